/* common/numtext.h - numbers as text for programs: every output that shows a number shows the same digits. Pure. */
#ifndef TW_NUMTEXT_H
#define TW_NUMTEXT_H

#include <stdint.h>

#define NUMTEXT_MAX 32

/* The fewest digits, from 15 on, that read back as the same number; returns buf. v must be finite: JSON and CSV know no others. */
const char *numtext_exact(double v, char buf[NUMTEXT_MAX]);
/* Its decimal digits; returns buf. */
const char *numtext_u64(uint64_t v, char buf[NUMTEXT_MAX]);

#endif
