#include "tests/cluster/current/http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DAEMONS_MAX (2 * CONFIG_LISTEN_MAX)
#define PAIRS_MAX 64
#define BODY_MAX (1UL << 30)
#define BEGUN (1 << 20)        /* octets that a server holds back before it says 200 */
#define TAG "twampmeshcurrent" /* servers make one up for each answer */

struct http {
    const struct config *config;
    struct engine *engine;
    struct MHD_Daemon *daemons[DAEMONS_MAX];
    unsigned n;
};

struct request {
    char *body;
    size_t len, cap;
    struct engine_pair settings[PAIRS_MAX], params[PAIRS_MAX];
    size_t n_settings, n_params;
    const char *query, *database;
};

/* ---- Answers ---- */

/* By the code of the exception; all others are 500. */
static unsigned status_of(const char *why)
{
    static const struct {
        unsigned status;
        int codes[16];
    } rows[] = {
        { 400, { 6, 8, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 117, 321, 427 } },
        { 401, { 194 } },
        { 403, { 192, 193, 497, 512, 516 } },
        { 404, { 46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, 511 } },
        { 408, { 159 } },
        { 501, { 48 } },
        { 503, { 76, 209, 439 } },
    };
    int code = 0;

    sscanf(why, "Code: %d", &code);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof rows->codes / sizeof *rows->codes; k++)
            if (code && rows[i].codes[k] == code)
                return rows[i].status;
    return 500;
}

static enum MHD_Result send_text(struct MHD_Connection *con, unsigned status, char *text, size_t len)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result ok = MHD_queue_response(con, status, r);

    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result refuse(struct MHD_Connection *con, const char *why)
{
    char *text = NULL;
    int n = asprintf(&text, "%s (current release, for tests)\n", why);

    return n < 0 ? MHD_NO : send_text(con, status_of(why), text, (size_t)n);
}

/* An answer that had begun. */
struct broken {
    char *text;
    size_t len;
};

static ssize_t read_broken(void *ctx, uint64_t at, char *to, size_t max)
{
    const struct broken *b = ctx;
    size_t n = b->len - at < max ? b->len - at : max;

    if (at >= b->len)
        return MHD_CONTENT_READER_END_WITH_ERROR; /* no last chunk */
    memcpy(to, b->text + at, n);
    return (ssize_t)n;
}

static void free_broken(void *ctx)
{
    struct broken *b = ctx;

    free(b->text);
    free(b);
}

/* The exception goes behind what was sent, between tags, and the answer is never at its end. */
static enum MHD_Result break_off(struct MHD_Connection *con, const struct engine_answer *a)
{
    struct broken *b = calloc(1, sizeof *b);
    FILE *f = b ? open_memstream(&b->text, &b->len) : NULL;
    struct MHD_Response *r;
    enum MHD_Result ok;

    if (!f) {
        free(b);
        return MHD_NO;
    }
    fwrite(a->data, 1, a->len, f);
    fprintf(f, "\r\n__exception__\r\n" TAG "\r\n%s\r\n%zu " TAG "\r\n__exception__\r\n", a->why,
            strlen(a->why));
    fclose(f);
    r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 65536, read_broken, b, free_broken);
    MHD_add_response_header(r, "X-ClickHouse-Exception-Tag", TAG);
    ok = MHD_queue_response(con, 200, r);
    MHD_destroy_response(r);
    return ok;
}

/* ---- Statements ---- */

static const char *const no_settings[] = { "query",    "database",       "query_id",         "user",
                                           "password", "default_format", "wait_end_of_query" };

static enum MHD_Result take_argument(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct request *rq = ctx;
    struct engine_pair p = { (char *)(uintptr_t)name, (char *)(uintptr_t)(value ? value : "") };

    (void)kind;
    if (!strcmp(name, "query"))
        rq->query = p.value;
    if (!strcmp(name, "database"))
        rq->database = p.value;
    for (size_t i = 0; i < sizeof no_settings / sizeof *no_settings; i++)
        if (!strcmp(name, no_settings[i]))
            return MHD_YES;
    if (!strncmp(name, "param_", 6) && rq->n_params < PAIRS_MAX) {
        p.name += 6;
        rq->params[rq->n_params++] = p;
    } else if (rq->n_settings < PAIRS_MAX) {
        rq->settings[rq->n_settings++] = p;
    }
    return MHD_YES;
}

static bool is_insert(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return !strncasecmp(text, "INSERT", 6);
}

static enum MHD_Result run(struct http *h, struct MHD_Connection *con, struct request *rq)
{
    bool rows = rq->query && rq->len && is_insert(rq->query);
    struct engine_statement s = { .database = rq->database,
                                  .body = rows ? rq->body : NULL,
                                  .body_len = rows ? rq->len : 0,
                                  .settings = rq->settings,
                                  .n_settings = rq->n_settings,
                                  .params = rq->params,
                                  .n_params = rq->n_params };
    struct engine_answer a;
    enum MHD_Result ok;
    char *text = NULL;

    if (asprintf(&text, "%s%s%s", rq->query ? rq->query : "", rq->query && !rows && rq->len ? "\n" : "",
                 rows || !rq->body ? "" : rq->body) < 0)
        return MHD_NO;
    s.text = text;
    engine_run(h->engine, &s, &a);
    free(text);
    if (a.why && a.len < BEGUN) {
        ok = refuse(con, a.why);
    } else if (a.why) {
        ok = break_off(con, &a);
    } else {
        ok = send_text(con, 200, a.data, a.len);
        a.data = NULL;
    }
    engine_free(&a);
    return ok;
}

static enum MHD_Result answer(struct http *h, struct MHD_Connection *con, const char *path,
                              struct request *rq)
{
    const char *user = MHD_lookup_connection_value(con, MHD_HEADER_KIND, "X-ClickHouse-User");
    const char *password = MHD_lookup_connection_value(con, MHD_HEADER_KIND, "X-ClickHouse-Key");
    char why[200];

    if (!strcmp(path, "/ping"))
        return send_text(con, 200, strdup("Ok.\n"), 4);
    if (strcmp(path, "/") != 0)
        return send_text(con, 404, strdup("There is no handle\n"), 19);
    if (!config_knows(h->config, user, password)) {
        snprintf(why, sizeof why,
                 "Code: 516. DB::Exception: %.60s: Authentication failed: password is incorrect, or there is "
                 "no user "
                 "with such name. (AUTHENTICATION_FAILED)",
                 user ? user : "default");
        return refuse(con, why);
    }
    MHD_get_connection_values(con, MHD_GET_ARGUMENT_KIND, take_argument, rq);
    return run(h, con, rq);
}

/* ---- Requests ---- */

/* The body ends in NUL. */
static bool keep(struct request *rq, const char *data, size_t len)
{
    if (rq->len + len + 1 > rq->cap) {
        size_t cap = 2 * rq->cap > rq->len + len + 1 ? 2 * rq->cap : rq->len + len + 1;
        char *more = cap > BODY_MAX ? NULL : realloc(rq->body, cap);
        if (!more)
            return false;
        rq->body = more;
        rq->cap = cap;
    }
    memcpy(rq->body + rq->len, data, len);
    rq->len += len;
    rq->body[rq->len] = '\0';
    return true;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *con, const char *path, const char *method,
                                  const char *version, const char *data, size_t *len, void **state)
{
    struct request *rq = *state;

    (void)method;
    (void)version;
    if (!rq) {
        *state = calloc(1, sizeof *rq);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*len) {
        if (!keep(rq, data, *len))
            return MHD_NO;
        *len = 0;
        return MHD_YES;
    }
    return answer(ctx, con, path, rq);
}

static void on_completed(void *ctx, struct MHD_Connection *con, void **state,
                         enum MHD_RequestTerminationCode how)
{
    struct request *rq = *state;

    (void)ctx;
    (void)con;
    (void)how;
    if (rq)
        free(rq->body);
    free(rq);
}

static void listen_at(struct http *h, const char *address, unsigned port, bool tls)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct MHD_OptionItem options[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, h->config->certificate },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, h->config->private_key },
        { MHD_OPTION_END, 0, NULL },
    };
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                     MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);

    if (!tls)
        options[0].option = MHD_OPTION_END;
    if (inet_pton(AF_INET, address, &a.sin_addr) == 1)
        h->daemons[h->n] = MHD_start_daemon(
            flags, (uint16_t)port, NULL, NULL, on_request, h, MHD_OPTION_SOCK_ADDR, &a,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)1 << 20, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
            NULL, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (!h->daemons[h->n]) {
        fprintf(stderr, "cannot listen at %s:%u: %s\n", address, port, strerror(errno));
        exit(1);
    }
    h->n++;
}

struct http *http_start(const struct config *c, struct engine *e)
{
    struct http *h = calloc(1, sizeof *h);

    if (!h)
        abort();
    h->config = c;
    h->engine = e;
    for (unsigned i = 0; i < c->n_listen; i++) {
        listen_at(h, c->listen[i], c->http_port, false);
        if (c->https_port)
            listen_at(h, c->listen[i], c->https_port, true);
    }
    return h;
}

void http_stop(struct http *h)
{
    for (unsigned i = 0; i < h->n; i++)
        MHD_stop_daemon(h->daemons[i]);
    free(h);
}
