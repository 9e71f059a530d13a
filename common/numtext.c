#include "common/numtext.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Whole billionths ---- */

#define DECIMALS 9
#define BILLION 1e9
#define EXPONENT_BELOW (-4) /* as printf() has it */

/* Most numbers are delays in whole nanoseconds, counts, or 0, and printf() and strtod() take a thousand times
 * as long as all else here. Of a number below 10^6 these are 15 digits at most, and it is the one nearest to
 * them: the division is rounded correctly. */
static bool in_billionths(double v, uint64_t *ret)
{
    double n = rint(fabs(v) * BILLION);

    if (!(fabs(v) < 1e6) || n / BILLION != fabs(v) || (v == 0 && signbit(v)))
        return false;
    *ret = (uint64_t)n;
    return true;
}

static size_t digits_of(uint64_t n, char buf[20])
{
    char back[20];
    size_t len = 0;

    do {
        back[len++] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    for (size_t i = 0; i < len; i++)
        buf[i] = back[len - 1 - i];
    return len;
}

/* d digits from the first one on, less the zeros at the end; the point is behind the first `whole` of them.
 */
static char *put_digits(char *p, const char *d, size_t len, size_t whole)
{
    while (len > whole && d[len - 1] == '0')
        len--;
    memcpy(p, d, whole);
    p += whole;
    if (len == whole)
        return p;
    *p++ = '.';
    memcpy(p, d + whole, len - whole);
    return p + (len - whole);
}

/* As "%.15g" would. */
static void print_billionths(char *p, bool negative, uint64_t n)
{
    char d[20 + DECIMALS];
    size_t len = digits_of(n, d);
    int exponent = (int)len - 1 - DECIMALS;

    if (negative)
        *p++ = '-';
    if (n && exponent < EXPONENT_BELOW) {
        p = put_digits(p, d, len, 1);
        sprintf(p, "e-%02d", -exponent);
        return;
    }
    if (len <= DECIMALS) {
        size_t zeros = DECIMALS + 1 - len;

        memmove(d + zeros, d, len);
        memset(d, '0', zeros);
        len += zeros;
    }
    *put_digits(p, d, len, len - DECIMALS) = '\0';
}

/* ---- All others ---- */

const char *numtext_exact(double v, char buf[NUMTEXT_MAX])
{
    uint64_t n;

    if (in_billionths(v, &n)) {
        print_billionths(buf, v < 0, n);
        return buf;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, NUMTEXT_MAX, "%.*g", digits, v);
        if (digits == 17 || strtod(buf, NULL) == v)
            break;
    }
    return buf;
}
