#include "db/clickhouse/ch_http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clk.h"
#include "db/clickhouse/ch_error.h"
#include "db/http_client.h"
#include "db/http_location.h"

#define PASSWORD_MAX 1000
/* A table of summaries has more than a hundred columns, and a server takes such a buffer for each of each
 * part: by default a MiB. */
#define SELECT_SETTINGS "max_read_buffer_size=65536"

_Static_assert(CH_ENDPOINTS_MAX == HTTP_CLIENT_SERVERS, "each is a server");

struct ch_http {
    struct http_client *http;
    char *database, *settings;
    struct http_client_request knock;
    int64_t insert_stall_ns;
    uint64_t inserts, insert_bytes;
};

/* A statement. */
struct statement {
    const char *query, *settings;
    bool query_in_url;
    const void *body;
    size_t body_len;
    ch_data_fn fn;
    void *ctx;
};

static enum tw_rc no_memory(struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
}

/* ---- What the server says ---- */

/* Also of a 200: a statement that has no answer got one. */
static enum tw_rc judge(void *ctx, const struct http_client_refusal *r, bool *ret_elsewhere, struct tw_err *err)
{
    char why[CH_WHY_MAX];
    int code;

    (void)ctx;
    if (r->status == 200 && !r->len)
        return TW_OK;
    ch_error_parse(r->text, r->len, &code, why);
    if (r->status == 200 && !code)
        return TW_OK;
    *ret_elsewhere = (r->status >= 500 || r->status == 200) && ch_error_elsewhere(code);
    if (!code)
        return tw_err_set(err, TW_EIO, "clickhouse %.60s: HTTP status %ld: %s", r->server, r->status, why);
    return tw_err_set(err, ch_error_rc(code), "clickhouse %.60s: code %d: %s", r->server, code, why);
}

/* ---- Making ---- */

static enum tw_rc add_credentials(struct ch_http *h, const struct ch_http_cfg *cfg, struct tw_err *err)
{
    char password[PASSWORD_MAX], user[CH_NAME_MAX + 1];
    enum tw_rc rc = TW_OK;

    if (cfg->user) {
        snprintf(user, sizeof user, "%s", cfg->user);
        rc = http_client_header(h->http, "X-ClickHouse-User", user, err);
    }
    if (rc || !cfg->password_file)
        return rc;
    rc = http_password_take(cfg->password_file, password, sizeof password, err);
    if (!rc)
        rc = http_client_header(h->http, "X-ClickHouse-Key", password, err);
    explicit_bzero(password, sizeof password);
    return rc;
}

static enum tw_rc make_client(struct ch_http *h, const struct ch_http_cfg *cfg, struct tw_err *err)
{
    struct http_client_cfg http = { .what = "clickhouse",
                                    .n_endpoints = cfg->n_endpoints,
                                    .ca_file = cfg->ca_file,
                                    .cert_file = cfg->cert_file,
                                    .key_file = cfg->key_file,
                                    .connect_ns = cfg->connect_ns ? cfg->connect_ns : 5 * TW_NS_PER_S,
                                    .stall_ns = cfg->stall_ns ? cfg->stall_ns : 60 * TW_NS_PER_S,
                                    .quiet_ns = cfg->quiet_ns };
    enum tw_rc rc;

    if (cfg->knock_ns) {
        h->knock.stall_ns = http.connect_ns = cfg->knock_ns;
        http.knock = &h->knock;
    }
    memcpy(http.endpoints, cfg->endpoints, sizeof http.endpoints);
    rc = http_client_new(&http, &h->http, err);
    if (!rc)
        rc = http_client_header(h->http, "Content-Type", "application/octet-stream", err);
    return rc ? rc : add_credentials(h, cfg, err);
}

/* NULL stays NULL. */
static bool copy(char **ret, const char *text)
{
    return !text || (*ret = strdup(text)) != NULL;
}

enum tw_rc ch_http_new(const struct ch_http_cfg *cfg, struct ch_http **ret, struct tw_err *err)
{
    static const char knock[] = "SELECT 1";
    struct ch_http *h = calloc(1, sizeof *h);
    enum tw_rc rc;

    if (!h)
        return no_memory(err);
    h->insert_stall_ns = cfg->insert_stall_ns;
    h->knock = (struct http_client_request){ .path = "/", .body = knock, .body_len = sizeof knock - 1, .judge = judge };
    rc = copy(&h->database, cfg->database) && copy(&h->settings, cfg->insert_settings) ? make_client(h, cfg, err) :
                                                                                           no_memory(err);
    if (rc) {
        ch_http_free(h);
        return rc;
    }
    *ret = h;
    return TW_OK;
}

void ch_http_free(struct ch_http *h)
{
    if (!h)
        return;
    http_client_free(h->http);
    free(h->database);
    free(h->settings);
    free(h);
}

void ch_http_interrupt(struct ch_http *h)
{
    http_client_interrupt(h->http);
}

void ch_http_hurry(struct ch_http *h, int64_t by_mono_ns)
{
    http_client_hurry(h->http, by_mono_ns);
}

struct ch_http_stats ch_http_stats(const struct ch_http *h)
{
    struct http_client_stats n = http_client_stats(h->http);

    return (struct ch_http_stats){ n.requests, n.failures, n.moves, h->inserts, h->insert_bytes };
}

const char *ch_http_server(const struct ch_http *h)
{
    return http_client_server(h->http);
}

/* ---- Statements ---- */

/* "?a", then "&b": an empty one would be a setting without a name. */
static bool add_part(char **path, const char *name, const char *value)
{
    char *longer = NULL;

    if (!value)
        return true;
    if (asprintf(&longer, "%s%c%s%s", *path, strchr(*path, '?') ? '&' : '?', name, value) < 0)
        return false;
    free(*path);
    *path = longer;
    return true;
}

/* NULL: no memory. */
static char *make_path(const struct ch_http *h, const struct statement *s)
{
    char *query = s->query_in_url ? curl_easy_escape(NULL, s->query, 0) : NULL, *path = strdup("/");
    bool ok = path && (query || !s->query_in_url);

    if (!ok || !add_part(&path, "database=", h->database) || !add_part(&path, "", s->settings) ||
        !add_part(&path, "query=", query)) {
        free(path);
        path = NULL;
    }
    curl_free(query);
    return path;
}

static enum tw_rc run(struct ch_http *h, const struct statement *s, struct tw_err *err)
{
    char *path = make_path(h, s);
    struct http_client_request r = { .path = path,
                                     .body = s->body,
                                     .body_len = s->body_len,
                                     .fn = s->fn,
                                     .ctx = s->ctx,
                                     .judge = judge,
                                     .stall_ns = s->query_in_url ? h->insert_stall_ns : 0 };
    enum tw_rc rc;

    http_client_resume(h->http);
    rc = path ? http_client_run(h->http, &r, err) : no_memory(err);
    free(path);
    return rc;
}

enum tw_rc ch_http_knock(struct ch_http *h, struct tw_err *err)
{
    http_client_resume(h->http);
    return http_client_knock(h->http, err);
}

enum tw_rc ch_http_select(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx, struct tw_err *err)
{
    struct statement s = { .query = query,
                           .settings = SELECT_SETTINGS,
                           .body = query,
                           .body_len = strlen(query),
                           .fn = fn,
                           .ctx = ctx };

    return run(h, &s, err);
}

enum tw_rc ch_http_run(struct ch_http *h, const char *query, struct tw_err *err)
{
    return run(h, &(struct statement){ .query = query, .body = query, .body_len = strlen(query) }, err);
}

enum tw_rc ch_http_insert(struct ch_http *h, const char *query, const void *rows, size_t len, struct tw_err *err)
{
    struct statement s = {
        .query = query, .query_in_url = true, .settings = h->settings, .body = rows, .body_len = len
    };
    enum tw_rc rc = len ? run(h, &s, err) : TW_OK;

    h->inserts += len && !rc;
    h->insert_bytes += rc ? 0 : len;
    return rc;
}
