/* controller/cli/doctor_print.h - what doctor found, for people, on standard output. */
#ifndef TW_CLI_DOCTOR_PRINT_H
#define TW_CLI_DOCTOR_PRINT_H

#include <stdbool.h>
#include "admin.pb-c.h"

/* Of an answer that is over and whole. */
void doctor_print(const Tw__DoctorReply *d, int64_t now_ns, bool colour); /* now_ns: by this host's clock */

#endif
