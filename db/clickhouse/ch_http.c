#include "db/clickhouse/ch_http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clk.h"
#include "common/net/now.h"
#include "db/clickhouse/ch_error.h"
#include "db/clickhouse/ch_settings.h"
#include "db/http_client.h"
#include "db/http_location.h"

#define PASSWORD_MAX 1000
/* A table of summaries has more than a hundred columns, and a server takes such a buffer for each of each
 * part: by default a MiB. */
#define SELECT_SETTINGS "max_read_buffer_size=65536"
#define SYNC_STALL_NS (4 * TW_NS_PER_S) /* a question of it */
#define SYNC_NS (8 * TW_NS_PER_S)       /* until a server is behind */
/* Of inserts with a quorum a table takes one at a time, of all controllers. */
#define CODE_TURN 286
#define TURN_NS (15 * TW_NS_PER_S)
#define FIRST_ASK_NS (TW_NS_PER_S / 10) /* until it is asked whether there will be a turn */
#define STUCK_NS (TW_NS_PER_S / 2)      /* and again */
#define ALONE_NS (5 * TW_NS_PER_S) /* until a quorum is tried again */
#define CODE_FEW_REPLICAS 285
#define CODE_UNKNOWN_STATUS 319

_Static_assert(CH_ENDPOINTS_MAX == HTTP_CLIENT_SERVERS, "each is a server");

struct ch_http {
    struct http_client *http;
    char *database, *settings, *alone_settings, *select_settings;
    int64_t alone_until_ns;
    bool replicas, tables; /* tables: each endpoint is to have them */
    bool bare;             /* one had none */
    char *stuck;
    ch_http_sync_fn sync; /* NULL: no replicas */
    void *sync_ctx;
    unsigned sync_which;
    bool synced;              /* all tables, since the last one was asked for */
    bool asks;                /* for what follows */
    struct ch_settings known; /* to the server that was entered last */
    char *known_at;           /* where they stand in the path of the statement that runs */
    char known_after;         /* '?' or '&' */
    struct http_client_request knock;
    int64_t insert_stall_ns;
    uint64_t inserts, insert_bytes;
};

/* A statement. */
struct statement {
    const char *query, *settings;
    bool query_in_url, changes;
    const void *body;
    size_t body_len;
    ch_data_fn fn;
    void *ctx;
    int code; /* of ClickHouse's exception, if fn is NULL */
};

static enum tw_rc no_memory(struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
}

/* ---- What the server says ---- */

/* 18.16 says 500 of all that it could not do just now; current releases say it of what takes too long by 408.
 */
static bool is_servers_fault(long status)
{
    return status >= 500 || status == 408 || status == 200;
}

/* Also of a 200: a statement that has no answer got one. */
static enum tw_rc judge_code(void *ctx, const struct http_client_refusal *r, bool *ret_elsewhere,
                             struct tw_err *err)
{
    char why[CH_WHY_MAX];
    int code;

    *(int *)ctx = 0;
    if (r->status == 200 && !r->len)
        return TW_OK;
    ch_error_parse(r->text, r->len, &code, why);
    *(int *)ctx = code;
    if (r->status == 200 && !code)
        return TW_OK;
    *ret_elsewhere = is_servers_fault(r->status) && ch_error_elsewhere(code);
    if (!code)
        return tw_err_set(err, TW_EIO, "clickhouse %.60s: HTTP status %ld: %s", r->server, r->status, why);
    return tw_err_set(err, ch_error_rc(code), "clickhouse %.60s: code %d: %s", r->server, code, why);
}

static enum tw_rc judge(void *ctx, const struct http_client_refusal *r, bool *ret_elsewhere,
                        struct tw_err *err)
{
    int code;

    (void)ctx;
    return judge_code(&code, r, ret_elsewhere, err);
}

/* Servers differ: it is put into the path when the server is known that the statement goes to. */
static void put_known(struct ch_http *h)
{
    if (h->known_at)
        snprintf(h->known_at, 1 + CH_SETTINGS_MAX, *h->known.changes ? "%c%s" : "", h->known_after,
                 h->known.changes);
}

static enum tw_rc judge_settings(void *ctx, const struct http_client_refusal *r, bool *ret_elsewhere,
                                 struct tw_err *err)
{
    struct ch_http *h = ctx;
    enum tw_rc rc = judge(NULL, r, ret_elsewhere, err);

    if (rc)
        return rc;
    ch_settings_take(r->text, r->len, &h->known);
    put_known(h);
    return TW_OK;
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
    free(h->stuck);
    free(h->database);
    free(h->settings);
    free(h->alone_settings);
    free(h->select_settings);
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

uint64_t ch_http_changes(const struct ch_http *h)
{
    return http_client_changes(h->http);
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

/* Room for what the server knows. */
static bool add_known(struct ch_http *h, char **path)
{
    size_t len = strlen(*path);
    char *longer = realloc(*path, len + 1 + CH_SETTINGS_MAX);

    if (!longer)
        return false;
    *path = longer;
    h->known_at = longer + len;
    h->known_after = strchr(longer, '?') ? '&' : '?';
    put_known(h);
    return true;
}

/* NULL: no memory. */
static char *make_path(struct ch_http *h, const struct statement *s)
{
    char *query = s->query_in_url ? curl_easy_escape(NULL, s->query, 0) : NULL, *path = strdup("/");
    bool ok = path && (query || !s->query_in_url);

    if (!ok || !add_part(&path, "database=", h->database) || !add_part(&path, "", s->settings) ||
        !add_part(&path, "query=", query) || (s->changes && !add_known(h, &path))) {
        free(path);
        path = NULL;
    }
    curl_free(query);
    return path;
}

static enum tw_rc run(struct ch_http *h, struct statement *s, struct tw_err *err)
{
    char *path = make_path(h, s);
    struct http_client_request r = { .path = path,
                                     .body = s->body,
                                     .body_len = s->body_len,
                                     .fn = s->fn,
                                     .ctx = s->fn ? s->ctx : &s->code,
                                     .judge = s->fn ? judge : judge_code,
                                     .stall_ns = s->query_in_url ? h->insert_stall_ns : 0 };
    enum tw_rc rc;

    http_client_resume(h->http);
    rc = path ? http_client_run(h->http, &r, err) : no_memory(err);
    if (rc == TW_ENOENT)
        http_client_leave(h->http); /* its disk may have been lost: a sync will tell */
    h->known_at = NULL;
    free(path);
    return rc;
}

/* With the quorum, if there is one to be had. */
static void choose_settings(const struct ch_http *h, struct statement *s)
{
    bool alone = h->alone_settings && tw_mono_now().ns < h->alone_until_ns;

    if (h->replicas)
        s->settings = alone ? h->alone_settings : h->settings;
    s->code = 0;
}

static enum tw_rc take_count(void *ctx, const uint8_t *data, size_t len)
{
    *(bool *)ctx |= len && data[0] >= '1' && data[0] <= '9';
    return TW_OK;
}

/* Does it wait for a replica that is away, or gets nothing, and not for another controller's insert? */
static bool is_stuck(struct ch_http *h)
{
    struct tw_err err = { 0 };
    bool stuck = false;

    return !ch_http_select(h, h->stuck, take_count, &stuck, &err) && stuck;
}

/* After a failure: is there no use in waiting for a turn? Mostly others are done before anybody is asked. */
static bool waits_in_vain(struct ch_http *h, int64_t *ask_ns)
{
    if (!h->stuck || tw_mono_now().ns < *ask_ns)
        return false;
    if (is_stuck(h))
        return true;
    *ask_ns = tw_mono_now().ns + STUCK_NS;
    return false;
}

static bool goes_alone(struct ch_http *h, const struct statement *s)
{
    if (!h->alone_settings || s->settings == h->alone_settings)
        return false;
    h->alone_until_ns = tw_mono_now().ns + ALONE_NS;
    return true;
}

/* One that changes something. */
static enum tw_rc run_change(struct ch_http *h, struct statement *s, struct tw_err *err)
{
    int64_t begun_ns = tw_mono_now().ns, ask_ns = begun_ns + FIRST_ASK_NS;

    for (;;) {
        enum tw_rc rc;
        int64_t now_ns;
        bool no_quorum;
        choose_settings(h, s);
        rc = run(h, s, err);
        now_ns = tw_mono_now().ns;
        if (!rc)
            return TW_OK;
        no_quorum = s->code == CODE_FEW_REPLICAS || s->code == CODE_UNKNOWN_STATUS ||
                    (s->code == CODE_TURN && waits_in_vain(h, &ask_ns));
        if (no_quorum && goes_alone(h, s))
            continue;
        if (no_quorum || s->code != CODE_TURN || now_ns - begun_ns >= TURN_NS)
            return rc;
        usleep(5000 + (useconds_t)(now_ns / 1000 % 20000)); /* not all at the same moment */
    }
}

/* ---- Replicas ---- */

/* Its disk was lost, or it is new: others have everything. */
static enum tw_rc is_bare(struct ch_http *h, bool *ret_elsewhere, struct tw_err *err)
{
    if (!h->tables)
        return TW_OK;
    h->bare = *ret_elsewhere = true;
    return tw_err_set(err, TW_ETIMEOUT, "clickhouse %.60s: it has no tables, which other replicas have",
                      ch_http_server(h));
}

static enum tw_rc sync_tables(struct ch_http *h, unsigned which, int64_t until_ns, bool *ret_elsewhere,
                              struct tw_err *err)
{
    enum tw_rc rc = h->sync(h->sync_ctx, which, until_ns, ret_elsewhere, err);

    return rc == TW_ENOENT ? is_bare(h, ret_elsewhere, err) : rc;
}

static enum tw_rc sync_all(void *ctx, int64_t until_ns, bool *ret_elsewhere, struct tw_err *err)
{
    struct ch_http *h = ctx;
    enum tw_rc rc = sync_tables(h, ~0U, until_ns, ret_elsewhere, err);

    h->synced = !rc;
    return rc;
}

static enum tw_rc sync_some(void *ctx, int64_t until_ns, bool *ret_elsewhere, struct tw_err *err)
{
    struct ch_http *h = ctx;

    return h->synced ? TW_OK : sync_tables(h, h->sync_which, until_ns, ret_elsewhere, err);
}

/* Before anything else is asked of a server. */
static enum tw_rc enter(void *ctx, int64_t until_ns, bool *ret_elsewhere, struct tw_err *err)
{
    struct ch_http *h = ctx;
    const struct http_client_request r = { .path = "/",
                                           .ctx = h,
                                           .body = ch_settings_query,
                                           .body_len = strlen(ch_settings_query),
                                           .judge = judge_settings,
                                           .stall_ns = SYNC_STALL_NS };
    enum tw_rc rc = h->asks ? http_client_ask(h->http, &r, until_ns, ret_elsewhere, err) : TW_OK;

    return rc || !h->sync ? rc : sync_all(h, until_ns, ret_elsewhere, err);
}

void ch_http_ask_settings(struct ch_http *h)
{
    h->asks = true;
    http_client_enter(h->http, enter, h, SYNC_NS);
}

bool ch_http_drops_any(const struct ch_http *h)
{
    return h->known.drop_any;
}

enum tw_rc ch_http_replicas(struct ch_http *h, const struct ch_http_replicas *r, struct tw_err *err)
{
    if (h->replicas)
        return TW_OK;
    free(h->settings);
    h->settings = NULL;
    if (!copy(&h->settings, r->change_settings) || !copy(&h->alone_settings, r->alone_settings) ||
        asprintf(&h->select_settings, "%s%s%s", SELECT_SETTINGS, r->select_settings ? "&" : "",
                 r->select_settings ? r->select_settings : "") < 0)
        return no_memory(err);
    if (!copy(&h->stuck, r->stuck))
        return no_memory(err);
    h->sync = r->sync;
    h->sync_ctx = r->sync_ctx;
    http_client_enter(h->http, enter, h, SYNC_NS);
    h->replicas = true;
    return TW_OK;
}

enum tw_rc ch_http_ask(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx, int64_t until_ns,
                       bool *ret_elsewhere, struct tw_err *err)
{
    struct http_client_request r = { .path = "/",
                                     .body = query,
                                     .body_len = strlen(query),
                                     .fn = fn,
                                     .ctx = ctx,
                                     .judge = judge,
                                     .stall_ns = SYNC_STALL_NS };

    return http_client_ask(h->http, &r, until_ns, ret_elsewhere, err);
}

void ch_http_expect_tables(struct ch_http *h)
{
    h->tables = true;
}

bool ch_http_saw_bare(const struct ch_http *h)
{
    return h->bare;
}

void ch_http_forget_bare(struct ch_http *h)
{
    h->bare = false;
}

void ch_http_pass_bare(struct ch_http *h)
{
    h->bare = true;
    http_client_move(h->http);
}

enum tw_rc ch_http_sync(struct ch_http *h, unsigned which, struct tw_err *err)
{
    if (!h->sync || !which)
        return TW_OK;
    http_client_resume(h->http);
    h->sync_which = which;
    h->synced = false;
    return http_client_visit(h->http, sync_some, h, SYNC_NS, err);
}

/* ---- What is asked for ---- */

enum tw_rc ch_http_knock(struct ch_http *h, struct tw_err *err)
{
    http_client_resume(h->http);
    return http_client_knock(h->http, err);
}

enum tw_rc ch_http_select(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx, struct tw_err *err)
{
    struct statement s = { .query = query,
                           .settings = h->select_settings ? h->select_settings : SELECT_SETTINGS,
                           .body = query,
                           .body_len = strlen(query),
                           .fn = fn,
                           .ctx = ctx };

    return run(h, &s, err);
}

enum tw_rc ch_http_run(struct ch_http *h, const char *query, struct tw_err *err)
{
    struct statement s = { .query = query, .changes = true, .body = query, .body_len = strlen(query) };

    return run_change(h, &s, err);
}

enum tw_rc ch_http_insert(struct ch_http *h, const char *query, const void *rows, size_t len, struct tw_err *err)
{
    struct statement s = { .query = query,
                           .query_in_url = true,
                           .changes = true,
                           .settings = h->settings,
                           .body = rows,
                           .body_len = len };
    enum tw_rc rc = len ? run_change(h, &s, err) : TW_OK;

    h->inserts += len && !rc;
    h->insert_bytes += rc ? 0 : len;
    return rc;
}
