#include "db/clickhouse/ch_location.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT "8123"
#define TLS_PORT "8443"

static const struct {
    const char *key;
    size_t offset; /* of a text in struct ch_http_cfg */
} keys[] = {
    { "user", offsetof(struct ch_http_cfg, user) },
    { "password-file", offsetof(struct ch_http_cfg, password_file) },
    { "ca-file", offsetof(struct ch_http_cfg, ca_file) },
    { "cert-file", offsetof(struct ch_http_cfg, cert_file) },
    { "key-file", offsetof(struct ch_http_cfg, key_file) },
};

struct parsing {
    struct ch_location *to;
    size_t used; /* of to->text */
    bool tls;
    struct tw_err *err;
};

/* A copy that stays; there is room for all that is given, and for what we put around hosts. */
static const char *keep(struct parsing *p, const char *before, const char *text, size_t len,
                        const char *after)
{
    char *at = p->to->text + p->used;
    size_t room = sizeof p->to->text - p->used;
    int n = snprintf(at, room, "%s%.*s%s", before, (int)len, text, after);

    assert((size_t)n < room);
    p->used += (size_t)n + 1;
    return at;
}

static bool is_name(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalpha((unsigned char)p[i]) && p[i] != '_' && (!i || !isdigit((unsigned char)p[i])))
            return false;
    return len && len < CH_NAME_MAX;
}

static enum tw_rc take_option(struct parsing *p, const char *text, size_t len)
{
    const char *eq = memchr(text, '=', len), *value = eq ? eq + 1 : NULL;
    size_t key_len = eq ? (size_t)(eq - text) : len, value_len = eq ? len - key_len - 1 : 0;

    if (value && key_len == 3 && !strncmp(text, "tls", 3)) {
        p->tls = value_len == 3 && !strncmp(value, "yes", 3);
        if (p->tls || (value_len == 2 && !strncmp(value, "no", 2)))
            return TW_OK;
        return tw_err_set(p->err, TW_EINVAL, "tls=%.*s: expected yes or no", (int)value_len, value);
    }
    for (size_t i = 0; value_len && i < TW_NELEM(keys); i++)
        if (strlen(keys[i].key) == key_len && !strncmp(keys[i].key, text, key_len)) {
            const char *kept = keep(p, "", value, value_len, "");
            memcpy((char *)&p->to->http + keys[i].offset, &kept, sizeof kept);
            return TW_OK;
        }
    return tw_err_set(
        p->err, TW_EINVAL,
        "%.*s: expected user=, password-file=, ca-file=, cert-file=, key-file= or tls=, each with a value",
        (int)(len < 60 ? len : 60), text);
}

static enum tw_rc take_options(struct parsing *p, const char *text)
{
    enum tw_rc rc = TW_OK;

    while (!rc && *text) {
        size_t len = strcspn(text, "&");
        rc = take_option(p, text, len);
        text += len + (text[len] == '&');
    }
    return rc;
}

/* "host", "host:1", "[::1]:1": what else may be in it curl will say. */
static bool is_host(const char *p, size_t len, bool *ret_port)
{
    const char *close = len && *p == '[' ? memchr(p, ']', len) : NULL, *from = close ? close : p;
    const char *colon = memchr(from, ':', len - (size_t)(from - p));
    size_t port = colon ? len - (size_t)(colon + 1 - p) : 0;

    *ret_port = colon != NULL;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)p[i]) && !strchr("-._:[]", p[i]))
            return false;
    for (size_t i = 0; i < port; i++)
        if (!isdigit((unsigned char)colon[1 + i]))
            return false;
    return len && (!colon || (colon != p && port && port <= 5)) && (*p == '[') == (close != NULL);
}

static enum tw_rc take_hosts(struct parsing *p, const char *text, size_t len)
{
    struct ch_http_cfg *http = &p->to->http;

    for (const char *end = text + len; text <= end;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t n = (size_t)((comma ? comma : end) - text);
        bool port;
        if (!is_host(text, n, &port))
            return tw_err_set(p->err, TW_EINVAL, "'%.*s': expected HOST or HOST:PORT", (int)(n < 60 ? n : 60),
                              text);
        if (http->n_endpoints == CH_ENDPOINTS_MAX)
            return tw_err_set(p->err, TW_EINVAL, "expected at most %d hosts", CH_ENDPOINTS_MAX);
        http->endpoints[http->n_endpoints++] = keep(p, p->tls ? "https://" : "http://", text, n,
                                                    port     ? ""
                                                    : p->tls ? ":" TLS_PORT
                                                             : ":" PORT);
        text += n + 1;
    }
    return TW_OK;
}

enum tw_rc ch_location_parse(const char *text, struct ch_location *ret, struct tw_err *err)
{
    struct parsing p = { .to = ret, .err = err };
    const char *slash = strchr(text, '/'), *options = strchr(text, '?');
    size_t name_len = slash ? strcspn(slash + 1, "?") : 0;
    enum tw_rc rc;

    *ret = (struct ch_location){ .database = NULL };
    if (strlen(text) >= CH_LOCATION_MAX)
        return tw_err_set(err, TW_EINVAL, "expected less than %d characters", CH_LOCATION_MAX);
    if (!slash || (options && options < slash) || !is_name(slash + 1, name_len))
        return tw_err_set(err, TW_EINVAL,
                          "'%.80s': expected HOST:PORT/DATABASE, a database of letters, digits and _", text);
    ret->database = keep(&p, "", slash + 1, name_len, "");
    rc = options ? take_options(&p, options + 1) : TW_OK;
    return rc ? rc : take_hosts(&p, text, (size_t)(slash - text));
}

enum tw_rc ch_location_check(const char *text, struct tw_err *err)
{
    struct ch_location scratch;

    return ch_location_parse(text, &scratch, err);
}
