#include "common/hextext.h"
#include <stdint.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

char *hextext_format(const void *data, size_t len, char *to)
{
    const uint8_t *from = data;

    for (size_t i = 0; i < len; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
    *to = '\0';
    return to;
}

bool hextext_is(const char *text, size_t octets)
{
    return strspn(text, digits) == 2 * octets && !text[2 * octets];
}
