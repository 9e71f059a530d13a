#include "db/http_client.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clk.h"
#include "common/net/now.h"
#include "common/version.h"

#define HEADERS 8
#define POLL_MS 1000
#define SILENT_NS (100 * TW_NS_PER_MS) /* after that a server may be gone */

struct visit {
    http_client_visit_fn fn;
    void *ctx;
    int64_t within_ns;
};

struct http_client {
    const char *what;
    CURLM *multi;
    CURL *easy;
    char *headers[HEADERS]; /* "NAME: value" */
    size_t n_headers;
    struct curl_slist *list; /* of them */
    char *endpoints[HTTP_CLIENT_SERVERS], *ca_file, *cert_file, *key_file;
    size_t n, at; /* at: the one in use */
    int64_t connect_ns, stall_ns, quiet_ns;
    const struct http_client_request *knock;
    struct visit enter;   /* fn NULL: none */
    bool entered;         /* the server in use */
    bool refused;         /* it answered, and said what any would say */
    uint64_t changes;     /* of the server in use */
    struct tw_mono moved; /* when `at` left the first */
    struct tw_mono heard; /* when the one in use answered last; 0: it did not yet */
    atomic_bool interrupted;
    _Atomic int64_t hurry_ns;
    struct http_client_stats stats;
    char detail[CURL_ERROR_SIZE];
};

/* A request while one server is tried. */
struct attempt {
    struct http_client *c;
    const struct http_client_request *r;
    long status;
    size_t handed; /* octets given to fn */
    enum tw_rc fn_rc;
    char text[HTTP_CLIENT_TEXT];
    size_t text_len;
    curl_off_t octets; /* both ways */
    struct tw_mono progress;
    int64_t until_ns; /* 0: as long as something moves */
};

/* ---- Making ---- */

static enum tw_rc no_memory(const char *what, struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "%s: out of memory", what);
}

/* NULL stays NULL. */
static bool copy(char **ret, const char *text)
{
    return !text || (*ret = strdup(text)) != NULL;
}

static enum tw_rc copy_cfg(struct http_client *c, const struct http_client_cfg *cfg, struct tw_err *err)
{
    if (!cfg->n_endpoints || cfg->n_endpoints > HTTP_CLIENT_SERVERS)
        return tw_err_set(err, TW_EINVAL, "%s: expected 1 to %d servers", c->what, HTTP_CLIENT_SERVERS);
    for (size_t i = 0; i < cfg->n_endpoints; i++) {
        const char *url = cfg->endpoints[i];
        if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
            return tw_err_set(err, TW_EINVAL, "%s: %.100s: expected http://HOST:PORT or https://HOST:PORT",
                              c->what, url);
        if (!copy(&c->endpoints[c->n++], url))
            return no_memory(c->what, err);
    }
    if (!copy(&c->ca_file, cfg->ca_file) || !copy(&c->cert_file, cfg->cert_file) ||
        !copy(&c->key_file, cfg->key_file))
        return no_memory(c->what, err);
    c->connect_ns = cfg->connect_ns ? cfg->connect_ns : 3 * TW_NS_PER_S;
    c->stall_ns = cfg->stall_ns ? cfg->stall_ns : 5 * TW_NS_PER_S;
    c->quiet_ns = cfg->quiet_ns ? cfg->quiet_ns : 60 * TW_NS_PER_S;
    c->knock = cfg->knock;
    atomic_init(&c->hurry_ns, INT64_MAX);
    return TW_OK;
}

enum tw_rc http_client_new(const struct http_client_cfg *cfg, struct http_client **ret, struct tw_err *err)
{
    struct http_client *c = calloc(1, sizeof *c);
    enum tw_rc rc;

    if (!c)
        return no_memory(cfg->what, err);
    c->what = cfg->what;
    rc = copy_cfg(c, cfg, err);
    if (!rc && (!(c->multi = curl_multi_init()) || !(c->easy = curl_easy_init())))
        rc = no_memory(c->what, err);
    if (!rc)
        rc = http_client_header(c, "Expect", "", err); /* a body is sent at once */
    if (rc) {
        http_client_free(c);
        return rc;
    }
    *ret = c;
    return TW_OK;
}

static void free_list(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

static void free_header(char *line)
{
    explicit_bzero(line, strlen(line));
    free(line);
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->easy);
    curl_multi_cleanup(c->multi);
    free_list(c->list);
    for (size_t i = 0; i < c->n_headers; i++)
        free_header(c->headers[i]);
    for (size_t i = 0; i < c->n; i++)
        free(c->endpoints[i]);
    free(c->ca_file);
    free(c->cert_file);
    free(c->key_file);
    free(c);
}

/* ---- Headers ---- */

/* The place of the name, or the first free one. */
static size_t find_header(const struct http_client *c, const char *name)
{
    size_t i = 0, len = strlen(name);

    while (i < c->n_headers && (strncmp(c->headers[i], name, len) != 0 || c->headers[i][len] != ':'))
        i++;
    return i;
}

static enum tw_rc make_list(struct http_client *c, struct tw_err *err)
{
    struct curl_slist *list = NULL, *more;

    for (size_t i = 0; i < c->n_headers; i++) {
        if (!(more = curl_slist_append(list, c->headers[i]))) {
            free_list(list);
            return no_memory(c->what, err);
        }
        list = more;
    }
    free_list(c->list);
    c->list = list;
    return TW_OK;
}

enum tw_rc http_client_header(struct http_client *c, const char *name, const char *value, struct tw_err *err)
{
    size_t at = find_header(c, name);
    char *line = NULL;

    for (const char *p = value; p && *p; p++)
        if (*p < ' ' || *p > '~')
            return tw_err_set(err, TW_EINVAL, "%s: header %s: expected printable ASCII", c->what, name);
    if (value && (at == HEADERS || asprintf(&line, "%s:%s%s", name, *value ? " " : "", value) < 0))
        return no_memory(c->what, err);
    if (at < c->n_headers) {
        free_header(c->headers[at]);
        c->headers[at] = c->headers[--c->n_headers];
    }
    if (value)
        c->headers[c->n_headers++] = line;
    return make_list(c, err);
}

/* ---- From other threads ---- */

void http_client_interrupt(struct http_client *c)
{
    atomic_store(&c->interrupted, true);
    curl_multi_wakeup(c->multi);
}

void http_client_resume(struct http_client *c)
{
    atomic_store(&c->interrupted, false);
}

void http_client_hurry(struct http_client *c, int64_t by_mono_ns)
{
    atomic_store(&c->hurry_ns, by_mono_ns);
    curl_multi_wakeup(c->multi);
}

struct http_client_stats http_client_stats(const struct http_client *c)
{
    return c->stats;
}

/* ---- One server ---- */

static size_t take_answer(char *data, size_t size, size_t n, void *ctx)
{
    struct attempt *a = ctx;
    size_t len = size * n, room = HTTP_CLIENT_TEXT - a->text_len, take = len < room ? len : room;

    if (!a->status)
        curl_easy_getinfo(a->c->easy, CURLINFO_RESPONSE_CODE, &a->status);
    if (a->status != 200 || !a->r->fn) {
        memcpy(a->text + a->text_len, data, take);
        a->text_len += take;
        return len;
    }
    if (atomic_load(&a->c->interrupted))
        return 0;
    a->handed += len;
    a->fn_rc = a->r->fn(a->r->ctx, (const uint8_t *)data, len);
    a->progress = tw_mono_now(); /* fn may have taken its time */
    return a->fn_rc ? 0 : len;
}

static int note_progress(void *ctx, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total, curl_off_t ul)
{
    struct attempt *a = ctx;

    (void)dl_total;
    (void)ul_total;
    if (dl + ul != a->octets)
        a->progress = tw_mono_now();
    a->octets = dl + ul;
    return 0;
}

static void set_tls(const struct http_client *c)
{
    if (c->ca_file)
        curl_easy_setopt(c->easy, CURLOPT_CAINFO, c->ca_file);
    if (c->cert_file)
        curl_easy_setopt(c->easy, CURLOPT_SSLCERT, c->cert_file);
    if (c->key_file)
        curl_easy_setopt(c->easy, CURLOPT_SSLKEY, c->key_file);
}

static void set_request(struct attempt *a, const char *url)
{
    CURL *e = a->c->easy;

    curl_easy_reset(e); /* connections stay, in the multi handle */
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(a->c->connect_ns / TW_NS_PER_MS));
    curl_easy_setopt(e, CURLOPT_USERAGENT, "twampmesh/" TW_VERSION);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, a->c->list);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->r->body_len);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, a->r->body);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, a->c->detail);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, note_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, a);
    set_tls(a->c);
    a->c->detail[0] = '\0';
}

/* How long nothing may move from now on; <= 0: no longer. */
static int64_t patience_ns(const struct attempt *a)
{
    int64_t stall_ns = a->r->stall_ns ? a->r->stall_ns : a->c->stall_ns;
    int64_t until_ns = a->progress.ns + stall_ns, hurry_ns = atomic_load(&a->c->hurry_ns);

    if (a->until_ns && a->until_ns < until_ns)
        until_ns = a->until_ns;
    return (until_ns < hurry_ns ? until_ns : hurry_ns) - tw_mono_now().ns;
}

/* Until curl is done, nothing moves any more, or somebody wants no more. */
static enum tw_rc transfer(struct attempt *a, CURLcode *ret)
{
    struct http_client *c = a->c;
    int running = 1, left;
    CURLMsg *msg;

    for (;;) {
        int64_t wait_ms;
        if (curl_multi_perform(c->multi, &running) != CURLM_OK)
            return TW_EIO;
        if (!running)
            break;
        if (atomic_load(&c->interrupted))
            return TW_ECLOSED;
        wait_ms = (patience_ns(a) + TW_NS_PER_MS - 1) / TW_NS_PER_MS;
        if (wait_ms <= 0)
            return TW_ETIMEOUT;
        curl_multi_poll(c->multi, NULL, 0, wait_ms < POLL_MS ? (int)wait_ms : POLL_MS, NULL);
    }
    *ret = CURLE_RECV_ERROR;
    while ((msg = curl_multi_info_read(c->multi, &left)))
        if (msg->msg == CURLMSG_DONE)
            *ret = msg->data.result;
    return TW_OK;
}

const char *http_client_server(const struct http_client *c)
{
    return strstr(c->endpoints[c->at], "://") + 3;
}

static enum tw_rc judge_curl(const struct http_client *c, CURLcode code, bool *ret_elsewhere,
                             struct tw_err *err)
{
    const char *why = c->detail[0] ? c->detail : curl_easy_strerror(code);
    enum tw_rc rc = code == CURLE_OPERATION_TIMEDOUT                                             ? TW_ETIMEOUT
                    : code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ? TW_EPERM
                                                                                                 : TW_EIO;

    *ret_elsewhere = code != CURLE_SSL_CACERT_BADFILE && code != CURLE_SSL_CERTPROBLEM;
    return tw_err_set(err, rc, "%s %.60s: %.160s", c->what, http_client_server(c), why);
}

static enum tw_rc judge(const struct attempt *a, CURLcode code, bool *ret_elsewhere, struct tw_err *err)
{
    enum tw_rc rc;

    if (atomic_load(&a->c->interrupted))
        return tw_err_set(err, TW_ECLOSED, "%s %.60s: interrupted", a->c->what, http_client_server(a->c));
    if (a->fn_rc)
        return a->fn_rc; /* the text is fn's */
    if (code != CURLE_OK)
        return judge_curl(a->c, code, ret_elsewhere, err);
    a->c->heard = tw_mono_now();
    if (a->status == 200 && a->r->fn)
        return TW_OK;
    rc = a->r->judge(
        a->r->ctx, &(struct http_client_refusal){ http_client_server(a->c), a->status, a->text, a->text_len },
        ret_elsewhere, err);
    a->c->refused = rc && !*ret_elsewhere;
    return rc;
}

static enum tw_rc try_server(struct attempt *a, bool *ret_elsewhere, struct tw_err *err)
{
    struct http_client *c = a->c;
    char *url = NULL;
    CURLcode code = CURLE_OK;
    enum tw_rc rc;

    *ret_elsewhere = c->refused = false;
    if (asprintf(&url, "%s%s", c->endpoints[c->at], a->r->path) < 0)
        return no_memory(c->what, err);
    if (a->r->again)
        a->r->again(a->r->ctx);
    a->progress = tw_mono_now();
    set_request(a, url);
    rc = curl_multi_add_handle(c->multi, c->easy) == CURLM_OK ? transfer(a, &code) : TW_ENOMEM;
    if (!a->status)
        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &a->status);
    curl_multi_remove_handle(c->multi, c->easy);
    free(url);
    if (!rc || rc == TW_ECLOSED)
        return judge(a, code, ret_elsewhere, err);
    *ret_elsewhere = rc == TW_ETIMEOUT;
    return tw_err_set(err, rc, "%s %.60s: no answer for %.1f s", c->what, http_client_server(c),
                      (double)(tw_mono_now().ns - a->progress.ns) / 1e9);
}

/* ---- All of them ---- */

static void use_server(struct http_client *c, size_t at)
{
    c->at = at;
    c->heard.ns = 0;
    c->entered = false;
    c->changes++;
}

static void return_to_first(struct http_client *c)
{
    if (c->at && tw_mono_now().ns - c->moved.ns >= c->quiet_ns)
        use_server(c, 0);
}

uint64_t http_client_changes(const struct http_client *c)
{
    return c->changes;
}

void http_client_enter(struct http_client *c, http_client_visit_fn fn, void *ctx, int64_t within_ns)
{
    c->enter = (struct visit){ fn, ctx, within_ns };
    c->entered = false;
}

void http_client_leave(struct http_client *c)
{
    c->entered = false;
}

void http_client_move(struct http_client *c)
{
    use_server(c, (c->at + 1) % c->n);
    c->moved = tw_mono_now();
    c->stats.moves++;
}

enum tw_rc http_client_ask(struct http_client *c, const struct http_client_request *r, int64_t until_ns,
                           bool *ret_elsewhere, struct tw_err *err)
{
    struct attempt a = { .c = c, .r = r, .until_ns = until_ns };

    return try_server(&a, ret_elsewhere, err);
}

static enum tw_rc visit(const struct visit *v, bool *ret_elsewhere, struct tw_err *err)
{
    *ret_elsewhere = false;
    return v->fn(v->ctx, tw_mono_now().ns + v->within_ns, ret_elsewhere, err);
}

static enum tw_rc enter(struct http_client *c, bool *ret_elsewhere, struct tw_err *err)
{
    enum tw_rc rc = c->enter.fn && !c->entered ? visit(&c->enter, ret_elsewhere, err) : TW_OK;

    c->entered = !rc;
    return rc;
}

/* The server in use; r and v NULL: it is only to be there. */
static enum tw_rc go(struct http_client *c, const struct http_client_request *r, const struct visit *v,
                     bool *ret_elsewhere, struct tw_err *err)
{
    struct attempt knock = { .c = c, .r = c->knock }, a = { .c = c, .r = r };
    enum tw_rc rc = TW_OK;

    if (c->knock && (!c->heard.ns || tw_mono_now().ns - c->heard.ns >= SILENT_NS))
        rc = try_server(&knock, ret_elsewhere, err);
    if (!rc && (r || v))
        rc = enter(c, ret_elsewhere, err);
    if (!rc && r)
        rc = try_server(&a, ret_elsewhere, err);
    if (!rc && v)
        rc = visit(v, ret_elsewhere, err);
    *ret_elsewhere &= !a.handed && tw_mono_now().ns < atomic_load(&c->hurry_ns);
    return rc;
}

static enum tw_rc go_anywhere(struct http_client *c, const struct http_client_request *r,
                              const struct visit *v, struct tw_err *err)
{
    bool elsewhere = true;
    enum tw_rc rc = TW_EIO;

    c->stats.requests++;
    return_to_first(c);
    for (size_t tried = 0; tried < c->n && rc && elsewhere; tried++) {
        if (tried)
            http_client_move(c);
        rc = go(c, r, v, &elsewhere, err);
    }
    if (rc && elsewhere && c->n > 1)
        http_client_move(c); /* the next request does not begin with the one that failed last */
    if (rc && !c->refused) {
        c->heard.ns = 0;
        c->entered = false;
    }
    c->stats.failures += rc != TW_OK;
    return rc;
}

enum tw_rc http_client_run(struct http_client *c, const struct http_client_request *r, struct tw_err *err)
{
    return go_anywhere(c, r, NULL, err);
}

enum tw_rc http_client_visit(struct http_client *c, http_client_visit_fn fn, void *ctx, int64_t within_ns,
                             struct tw_err *err)
{
    return go_anywhere(c, NULL, &(struct visit){ fn, ctx, within_ns }, err);
}

enum tw_rc http_client_knock(struct http_client *c, struct tw_err *err)
{
    c->heard.ns = 0;
    return go_anywhere(c, NULL, NULL, err);
}
