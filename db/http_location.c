#include "db/http_location.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PORT_DIGITS 5

static const struct {
    const char *key;
    size_t offset; /* of a text in struct http_location */
} keys[] = {
    { "user", offsetof(struct http_location, user) },
    { "password-file", offsetof(struct http_location, password_file) },
    { "ca-file", offsetof(struct http_location, ca_file) },
    { "cert-file", offsetof(struct http_location, cert_file) },
    { "key-file", offsetof(struct http_location, key_file) },
};

struct parsing {
    struct http_location *to;
    const struct http_location_form *form;
    size_t used; /* of to->text */
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

static bool is_name(const struct http_location_form *form, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)p[i]) && p[i] != '_' && (form->word || p[i] != '-'))
            return false;
    return len && len < HTTP_LOCATION_NAME && !(form->word && isdigit((unsigned char)p[0]));
}

static enum tw_rc unknown_option(const struct parsing *p, const char *text, size_t len)
{
    char more[HTTP_LOCATION_MORE * 16] = "";

    for (size_t i = 0, at = 0; i < HTTP_LOCATION_MORE && p->form->more[i]; i++)
        at += (size_t)snprintf(more + at, sizeof more - at, ", %s=", p->form->more[i]);
    return tw_err_set(
        p->err, TW_EINVAL,
        "%.*s: expected user=, password-file=, ca-file=, cert-file=, key-file=%s or tls=, each with a value",
        (int)(len < 60 ? len : 60), text, more);
}

static enum tw_rc take_option(struct parsing *p, const char *text, size_t len)
{
    const char *eq = memchr(text, '=', len), *value = eq ? eq + 1 : NULL;
    size_t key_len = eq ? (size_t)(eq - text) : len, value_len = eq ? len - key_len - 1 : 0;

    if (value && key_len == 3 && !strncmp(text, "tls", 3)) {
        p->to->tls = value_len == 3 && !strncmp(value, "yes", 3);
        if (p->to->tls || (value_len == 2 && !strncmp(value, "no", 2)))
            return TW_OK;
        return tw_err_set(p->err, TW_EINVAL, "tls=%.*s: expected yes or no",
                          (int)(value_len < 60 ? value_len : 60), value);
    }
    for (size_t i = 0; value_len && i < TW_NELEM(keys); i++)
        if (strlen(keys[i].key) == key_len && !strncmp(keys[i].key, text, key_len)) {
            const char *kept = keep(p, "", value, value_len, "");
            memcpy((char *)p->to + keys[i].offset, &kept, sizeof kept);
            return TW_OK;
        }
    for (size_t i = 0; value_len && i < HTTP_LOCATION_MORE && p->form->more[i]; i++)
        if (strlen(p->form->more[i]) == key_len && !strncmp(p->form->more[i], text, key_len)) {
            p->to->more[i] = keep(p, "", value, value_len, "");
            return TW_OK;
        }
    return unknown_option(p, text, len);
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

/* "host", "host:1", "[::1]:1": what else may be in it the resolver will say. */
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
    return len && (!colon || (colon != p && port && port <= PORT_DIGITS)) && (*p == '[') == (close != NULL);
}

static enum tw_rc take_hosts(struct parsing *p, const char *text, size_t len)
{
    struct http_location *to = p->to;

    for (const char *end = text + len; text <= end;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t n = (size_t)((comma ? comma : end) - text);
        char port[PORT_DIGITS + 2] = "";
        bool has_port;
        if (!is_host(text, n, &has_port))
            return tw_err_set(p->err, TW_EINVAL, "'%.*s': expected HOST or HOST:PORT", (int)(n < 60 ? n : 60),
                              text);
        if (to->n_endpoints == HTTP_CLIENT_SERVERS)
            return tw_err_set(p->err, TW_EINVAL, "expected at most %d hosts", HTTP_CLIENT_SERVERS);
        if (!has_port)
            snprintf(port, sizeof port, ":%s", to->tls ? p->form->tls_port : p->form->port);
        to->endpoints[to->n_endpoints++] = keep(p, to->tls ? "https://" : "http://", text, n, port);
        text += n + 1;
    }
    return TW_OK;
}

enum tw_rc http_location_parse(const char *text, const struct http_location_form *form,
                               struct http_location *ret, struct tw_err *err)
{
    struct parsing p = { .to = ret, .form = form, .err = err };
    const char *slash = strchr(text, '/'), *options = strchr(text, '?');
    size_t name_len = slash ? strcspn(slash + 1, "?") : 0;
    enum tw_rc rc;

    *ret = (struct http_location){ .n_endpoints = 0 };
    if (strlen(text) >= HTTP_LOCATION_MAX)
        return tw_err_set(err, TW_EINVAL, "expected less than %d characters", HTTP_LOCATION_MAX);
    if (!slash || (options && options < slash) || !is_name(form, slash + 1, name_len))
        return tw_err_set(err, TW_EINVAL,
                          "'%.80s': expected HOST:PORT/%s, a name of less than %d letters, digits%s", text,
                          form->name, HTTP_LOCATION_NAME, form->word ? " and _" : ", - and _");
    ret->name = keep(&p, "", slash + 1, name_len, "");
    rc = options ? take_options(&p, options + 1) : TW_OK;
    return rc ? rc : take_hosts(&p, text, (size_t)(slash - text));
}

enum tw_rc http_password_take(const char *path, char *ret, size_t cap, struct tw_err *err)
{
    FILE *f = fopen(path, "re");

    if (!f)
        return tw_err_set(err, tw_rc_errno(errno), "cannot read the password file %.100s: %s", path,
                          strerror(errno));
    if (!fgets(ret, (int)cap, f))
        ret[0] = '\0';
    fclose(f);
    ret[strcspn(ret, "\r\n")] = '\0';
    if (!ret[0])
        return tw_err_set(err, TW_EINVAL, "the password file %.100s has nothing in its first line", path);
    for (const char *p = ret; *p; p++)
        if (*p < ' ' || *p > '~')
            return tw_err_set(err, TW_EINVAL, "the password file %.100s: expected printable ASCII", path);
    return TW_OK;
}
