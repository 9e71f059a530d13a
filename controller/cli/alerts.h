/* controller/cli/alerts.h - how alerts are shown. */
#ifndef TW_CLI_ALERTS_H
#define TW_CLI_ALERTS_H

#include "controller/cli/cli.h"

extern const struct out_listing alerts_listing;
/* "5.2%", "31 ms", "3 hops", as the metric has it. Returns buf. */
const char *alerts_value(const char *metric, const Tw__AlertNumber *v, char buf[OUT_NUM]);
/* An id from the command line; says what is wrong with it. */
enum cli_exit alerts_read_id(const char *text, const char *what, uint64_t *ret);

#endif
