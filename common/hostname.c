#include "common/hostname.h"

#include <stdlib.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool is_number(const char *label, size_t n)
{
    if (n >= 2 && label[0] == '0' && (label[1] | 0x20) == 'x')
        return strspn(label + 2, DIGITS "abcdefABCDEF") >= n - 2;
    return strspn(label, DIGITS) >= n;
}

bool hostname_ok(const char *text)
{
    const char *label = text;
    bool number = false;

    if (!*text || strlen(text) >= HOSTNAME_MAX)
        return false;
    while (*label) {
        size_t n = strspn(label, LETTERS DIGITS "-_");

        if (!n || n > 63 || label[0] == '-' || label[n - 1] == '-' || (label[n] && label[n] != '.'))
            return false;
        number = is_number(label, n);
        label += n + (label[n] == '.');
    }
    return !number;
}

static bool read_port(const char *text, uint16_t *ret)
{
    unsigned long port;

    if (!*text || strlen(text) > 5 || text[strspn(text, DIGITS)])
        return false;
    port = strtoul(text, NULL, 10);
    if (!port || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

enum tw_rc hostname_parse(const char *text, uint16_t dflt_port, char *ret, size_t cap, uint16_t *ret_port)
{
    size_t len = strcspn(text, ":");
    uint16_t port = dflt_port;
    char name[HOSTNAME_MAX];

    if (len >= sizeof name || len >= cap || (text[len] && !read_port(text + len + 1, &port)))
        return TW_EINVAL;
    for (size_t i = 0; i < len; i++)
        name[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
    name[len] = '\0';
    if (!hostname_ok(name))
        return TW_EINVAL;
    memcpy(ret, name, len + 1);
    *ret_port = port;
    return TW_OK;
}
