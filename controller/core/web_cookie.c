#include "controller/core/web_cookie.h"
#include <string.h>
#include <strings.h>

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t");
}

/* A pair of the header: its name and value, without the spaces around and the quotes. */
struct pair {
    const char *name, *value;
    size_t name_len, value_len;
};

static size_t without_space(const char *p, size_t len)
{
    while (len && (p[len - 1] == ' ' || p[len - 1] == '\t'))
        len--;
    return len;
}

/* What has no '=' has no name. Returns what follows. */
static const char *take_pair(const char *p, struct pair *ret)
{
    size_t len = strcspn(p, ";");
    const char *at = memchr(p, '=', len), *end = p + len;

    *ret = (struct pair){ 0 };
    if (at) {
        ret->name = skip_space(p);
        ret->name_len = ret->name < at ? without_space(ret->name, (size_t)(at - ret->name)) : 0;
        ret->value = at + 1 + strspn(at + 1, " \t");
        ret->value_len = ret->value < end ? without_space(ret->value, (size_t)(end - ret->value)) : 0;
        if (ret->value_len >= 2 && ret->value[0] == '"' && ret->value[ret->value_len - 1] == '"') {
            ret->value++;
            ret->value_len -= 2;
        }
    }
    return *end ? end + 1 : end;
}

bool web_cookie_get(const char *header, const char *name, char *ret, size_t cap)
{
    struct pair p, found = { 0 };
    size_t len = strlen(name);

    for (const char *at = header ? header : ""; *at;) {
        at = take_pair(at, &p);
        if (!p.name || p.name_len != len || memcmp(p.name, name, len) != 0)
            continue;
        if (found.name)
            return false;
        found = p;
    }
    if (!found.name || !found.value_len || found.value_len >= cap)
        return false;
    memcpy(ret, found.value, found.value_len);
    ret[found.value_len] = '\0';
    return true;
}

bool web_origin_is_own(const char *origin, const char *host, bool secure)
{
    if (!origin)
        return true;
    if (!strncasecmp(origin, "https://", 8))
        origin += 8;
    else if (!secure && !strncasecmp(origin, "http://", 7))
        origin += 7;
    else
        return false;
    return host && *host && !strcasecmp(origin, host);
}
