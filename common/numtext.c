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

static size_t digits_of(uint64_t n, char *buf)
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

/* ---- Exactly, in whole numbers of 128 bits ---- */

__extension__ typedef unsigned __int128 u128;

#define MANTISSA 53
#define DIGITS_FEWEST 15
#define DIGITS_MOST 17
#define EXACT_FROM 2e-6 /* from there on m * 10^k is below 2^127: k is 22 at most */
#define EXACT_BELOW 1e14

static u128 power_of_10(int k)
{
    u128 p = 1;

    while (k--)
        p *= 10;
    return p;
}

/* |v| is m / 2^s. */
struct binary {
    uint64_t m;
    int s;
};

static struct binary binary_of(double v)
{
    int e;
    double f = frexp(fabs(v), &e); /* in [1/2, 1) */

    return (struct binary){ (uint64_t)ldexp(f, MANTISSA), MANTISSA - e };
}

/* Of a * 2^-s, halves to the even one: as printf() rounds. */
static uint64_t round_off(u128 a, int s)
{
    u128 whole, rest, half;

    if (s <= 0)
        return (uint64_t)(a << -s);
    whole = a >> s;
    rest = a - (whole << s);
    half = (u128)1 << (s - 1);
    return (uint64_t)whole + (rest > half || (rest == half && (whole & 1)));
}

/* Is v the double that is nearest to n / 10^k? Its neighbours are 1 / 2^s away; one that is a power of 2 has a
 * nearer one below it. */
static bool reads_back(struct binary b, uint64_t n, u128 ten_k)
{
    u128 exact = b.m * ten_k, text = (u128)n << b.s;
    u128 off = text > exact ? text - exact : exact - text;

    if (b.m == UINT64_C(1) << (MANTISSA - 1) && text < exact)
        off *= 2;
    return 2 * off < ten_k || (2 * off == ten_k && b.m % 2 == 0);
}

/* d digits times 10^exponent, as "%.17g" has them. */
static void put_scientific(char *p, bool negative, uint64_t n, int exponent)
{
    char d[20 + DIGITS_MOST];
    size_t len = digits_of(n, d);

    if (negative)
        *p++ = '-';
    if (exponent < EXPONENT_BELOW) {
        p = put_digits(p, d, len, 1);
        sprintf(p, "e-%02d", -exponent);
        return;
    }
    if (exponent < 0) {
        memmove(d - exponent, d, len);
        memset(d, '0', (size_t)-exponent);
        len += (size_t)-exponent;
        exponent = 0;
    }
    *put_digits(p, d, len, (size_t)exponent + 1) = '\0';
}

/* Means and ratios: what has all its digits. */
static bool print_exactly(double v, char *buf)
{
    uint64_t least = UINT64_C(100000000000000); /* of DIGITS_FEWEST digits */
    struct binary b;
    int exponent;
    u128 ten_k;

    if (!(fabs(v) >= EXACT_FROM && fabs(v) < EXACT_BELOW))
        return false;
    b = binary_of(v);
    exponent = (int)floor(log10(fabs(v))); /* or one off beside a power of 10: told by the number of digits */
    ten_k = power_of_10(DIGITS_FEWEST - 1 - exponent);
    for (int digits = DIGITS_FEWEST; digits <= DIGITS_MOST; digits++, least *= 10, ten_k *= 10) {
        uint64_t n = round_off(b.m * ten_k, b.s);

        if (n < least || n >= 10 * least)
            return false;
        if (digits == DIGITS_MOST || reads_back(b, n, ten_k)) {
            put_scientific(buf, v < 0, n, exponent);
            return true;
        }
    }
    return false;
}

/* ---- All others ---- */

const char *numtext_u64(uint64_t v, char buf[NUMTEXT_MAX])
{
    buf[digits_of(v, buf)] = '\0';
    return buf;
}

const char *numtext_exact(double v, char buf[NUMTEXT_MAX])
{
    uint64_t n;

    if (in_billionths(v, &n)) {
        print_billionths(buf, v < 0, n);
        return buf;
    }
    if (print_exactly(v, buf))
        return buf;
    for (int digits = DIGITS_FEWEST; digits <= DIGITS_MOST; digits++) {
        snprintf(buf, NUMTEXT_MAX, "%.*g", digits, v);
        if (digits == DIGITS_MOST || strtod(buf, NULL) == v)
            break;
    }
    return buf;
}
