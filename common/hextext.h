/* common/hextext.h - octets as text: two lower-case hexadecimal digits each. Pure. */
#ifndef TW_HEXTEXT_H
#define TW_HEXTEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Writes 2 * len digits and a NUL; returns where the NUL is. */
char *hextext_format(const void *data, size_t len, char *to);
/* Is the text as hextext_format() writes so many octets? */
bool hextext_is(const char *text, size_t octets);

#endif
