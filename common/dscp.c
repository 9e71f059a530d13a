#include "common/dscp.h"

#include <ctype.h>
#include <strings.h>

static const char *const names[64] = {
    "CS0", "LE", "2",    "3",  "4",           "5",  "6",    "7",  /* 0 */
    "CS1", "9",  "AF11", "11", "AF12",        "13", "AF13", "15", /* 8 */
    "CS2", "17", "AF21", "19", "AF22",        "21", "AF23", "23", /* 16 */
    "CS3", "25", "AF31", "27", "AF32",        "29", "AF33", "31", /* 24 */
    "CS4", "33", "AF41", "35", "AF42",        "37", "AF43", "39", /* 32 */
    "CS5", "41", "42",   "43", "VOICE-ADMIT", "45", "EF",   "47", /* 40 */
    "CS6", "49", "50",   "51", "52",          "53", "54",   "55", /* 48 */
    "CS7", "57", "58",   "59", "60",          "61", "62",   "63", /* 56 */
};

static const struct {
    const char *name;
    uint8_t dscp;
} aliases[] = {
    { "be", 0 },
    { "default", 0 },
    { "df", 0 },
    { "va", 44 },
};

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

static enum tw_rc parse_number(const char *text, uint8_t *ret)
{
    int base = 10, value = 0;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (!*text)
        return TW_EINVAL;
    for (; *text; text++) {
        int d = digit(*text);
        if (d >= base || (value = value * base + d) > 63)
            return TW_EINVAL;
    }
    *ret = (uint8_t)value;
    return TW_OK;
}

enum tw_rc dscp_parse(const char *text, uint8_t *ret)
{
    for (uint8_t i = 0; i < TW_NELEM(names); i++)
        if (!strcasecmp(text, names[i])) {
            *ret = i;
            return TW_OK;
        }
    for (size_t i = 0; i < TW_NELEM(aliases); i++)
        if (!strcasecmp(text, aliases[i].name)) {
            *ret = aliases[i].dscp;
            return TW_OK;
        }
    return parse_number(text, ret);
}

const char *dscp_name(uint8_t dscp)
{
    return names[dscp & 0x3f];
}
