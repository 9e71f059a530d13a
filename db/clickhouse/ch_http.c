#include "db/clickhouse/ch_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clk.h"
#include "common/net/now.h"
#include "common/version.h"
#include "db/clickhouse/ch_error.h"
#include "db/http_location.h"

#define ANSWER_MAX 1000 /* of an exception's text */
#define HEADER_MAX 1024
#define POLL_MS 1000
#define SILENT_NS (100 * TW_NS_PER_MS) /* after that it may be gone */
/* A table of summaries has more than a hundred columns, and a server takes such a buffer for each of each
 * part: by default a MiB. */
#define SELECT_SETTINGS "max_read_buffer_size=65536"

struct ch_http {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    char *endpoints[CH_ENDPOINTS_MAX], *database, *settings, *ca_file, *cert_file, *key_file;
    size_t n, at; /* at: the one in use */
    int64_t connect_ns, stall_ns, insert_stall_ns, quiet_ns, knock_ns;
    struct tw_mono moved; /* when `at` left the first */
    struct tw_mono heard; /* when the one in use did something last; 0: it did not yet */
    atomic_bool interrupted;
    _Atomic int64_t hurry_ns; /* nothing lasts longer; monotonic */
    struct ch_http_stats stats;
    char detail[CURL_ERROR_SIZE];
};

/* A statement while it runs. */
struct run {
    struct ch_http *h;
    const char *query, *settings;
    const void *body;
    size_t body_len;
    bool query_in_url;
    ch_data_fn fn;
    void *ctx;
    int64_t stall_ns;

    /* Of one attempt. */
    long status;
    size_t handed; /* octets given to fn */
    enum tw_rc fn_rc;
    bool stopped; /* interrupted while the answer came */
    char answer[ANSWER_MAX];
    size_t answer_len;
    curl_off_t octets; /* both ways */
    struct tw_mono progress;
};

/* ---- Making ---- */

static enum tw_rc no_memory(struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
}

static enum tw_rc add_header(struct ch_http *h, const char *text, struct tw_err *err)
{
    struct curl_slist *more = curl_slist_append(h->headers, text);

    if (!more)
        return no_memory(err);
    h->headers = more;
    return TW_OK;
}

static enum tw_rc add_credentials(struct ch_http *h, const struct ch_http_cfg *cfg, struct tw_err *err)
{
    char password[HEADER_MAX - 32], line[HEADER_MAX];
    enum tw_rc rc = TW_OK;

    if (cfg->user) {
        snprintf(line, sizeof line, "X-ClickHouse-User: %.*s", CH_NAME_MAX, cfg->user);
        rc = add_header(h, line, err);
    }
    if (rc || !cfg->password_file)
        return rc;
    rc = http_password_take(cfg->password_file, password, sizeof password, err);
    if (rc)
        return rc;
    snprintf(line, sizeof line, "X-ClickHouse-Key: %s", password);
    rc = add_header(h, line, err);
    explicit_bzero(password, sizeof password);
    explicit_bzero(line, sizeof line);
    return rc;
}

/* NULL stays NULL. */
static bool copy(char **ret, const char *text)
{
    return !text || (*ret = strdup(text)) != NULL;
}

static enum tw_rc copy_cfg(struct ch_http *h, const struct ch_http_cfg *cfg, struct tw_err *err)
{
    if (!cfg->n_endpoints || cfg->n_endpoints > CH_ENDPOINTS_MAX)
        return tw_err_set(err, TW_EINVAL, "clickhouse: expected 1 to %d endpoints", CH_ENDPOINTS_MAX);
    for (size_t i = 0; i < cfg->n_endpoints; i++) {
        const char *url = cfg->endpoints[i];
        if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
            return tw_err_set(err, TW_EINVAL, "clickhouse: %.100s: expected http://HOST:PORT or https://HOST:PORT", url);
        if (!copy(&h->endpoints[h->n++], url))
            return no_memory(err);
    }
    if (!copy(&h->database, cfg->database) || !copy(&h->settings, cfg->insert_settings) ||
        !copy(&h->ca_file, cfg->ca_file) || !copy(&h->cert_file, cfg->cert_file) || !copy(&h->key_file, cfg->key_file))
        return no_memory(err);
    h->connect_ns = cfg->connect_ns ? cfg->connect_ns : 5 * TW_NS_PER_S;
    h->stall_ns = cfg->stall_ns ? cfg->stall_ns : 60 * TW_NS_PER_S;
    h->insert_stall_ns = cfg->insert_stall_ns ? cfg->insert_stall_ns : h->stall_ns;
    h->quiet_ns = cfg->quiet_ns ? cfg->quiet_ns : 60 * TW_NS_PER_S;
    h->knock_ns = cfg->knock_ns;
    if (h->knock_ns)
        h->connect_ns = h->knock_ns;
    atomic_init(&h->hurry_ns, INT64_MAX);
    return TW_OK;
}

enum tw_rc ch_http_new(const struct ch_http_cfg *cfg, struct ch_http **ret, struct tw_err *err)
{
    struct ch_http *h = calloc(1, sizeof *h);
    enum tw_rc rc = h ? copy_cfg(h, cfg, err) : no_memory(err);

    if (!rc && (!(h->multi = curl_multi_init()) || !(h->easy = curl_easy_init())))
        rc = no_memory(err);
    if (!rc)
        rc = add_header(h, "Expect:", err);
    if (!rc)
        rc = add_header(h, "Content-Type: application/octet-stream", err);
    if (!rc)
        rc = add_credentials(h, cfg, err);
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
    curl_easy_cleanup(h->easy);
    curl_multi_cleanup(h->multi);
    for (struct curl_slist *l = h->headers; l; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(h->headers);
    for (size_t i = 0; i < h->n; i++)
        free(h->endpoints[i]);
    free(h->database);
    free(h->settings);
    free(h->ca_file);
    free(h->cert_file);
    free(h->key_file);
    free(h);
}

void ch_http_interrupt(struct ch_http *h)
{
    atomic_store(&h->interrupted, true);
    curl_multi_wakeup(h->multi);
}

void ch_http_hurry(struct ch_http *h, int64_t by_mono_ns)
{
    atomic_store(&h->hurry_ns, by_mono_ns);
    curl_multi_wakeup(h->multi);
}

struct ch_http_stats ch_http_stats(const struct ch_http *h)
{
    return h->stats;
}

/* ---- One attempt ---- */

static size_t take_answer(char *data, size_t size, size_t n, void *ctx)
{
    struct run *r = ctx;
    size_t len = size * n, room = ANSWER_MAX - r->answer_len, take = len < room ? len : room;

    if (!r->status)
        curl_easy_getinfo(r->h->easy, CURLINFO_RESPONSE_CODE, &r->status);
    if (r->status != 200 || !r->fn) {
        memcpy(r->answer + r->answer_len, data, take);
        r->answer_len += take;
        return len;
    }
    if (atomic_load(&r->h->interrupted)) {
        r->stopped = true;
        return 0;
    }
    r->handed += len;
    r->fn_rc = r->fn(r->ctx, (const uint8_t *)data, len);
    r->progress = tw_mono_now(); /* fn may have taken its time */
    return r->fn_rc ? 0 : len;
}

static int note_progress(void *ctx, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total, curl_off_t ul)
{
    struct run *r = ctx;

    (void)dl_total;
    (void)ul_total;
    if (dl + ul != r->octets)
        r->progress = tw_mono_now();
    r->octets = dl + ul;
    return 0;
}

/* "?a", then "&b": an empty one would be a setting without a name. */
static bool add_part(char **url, const char *name, const char *value)
{
    char *longer = NULL;

    if (!value)
        return true;
    if (asprintf(&longer, "%s%c%s%s", *url, strchr(*url, '?') ? '&' : '?', name, value) < 0)
        return false;
    free(*url);
    *url = longer;
    return true;
}

static char *make_url(const struct run *r)
{
    const struct ch_http *h = r->h;
    char *query = r->query_in_url ? curl_easy_escape(h->easy, r->query, 0) : NULL, *url = NULL;
    bool ok = query || !r->query_in_url;

    if (asprintf(&url, "%s/", h->endpoints[h->at]) < 0)
        return NULL;
    if (!ok || !add_part(&url, "database=", h->database) || !add_part(&url, "", r->settings) ||
        !add_part(&url, "query=", query)) {
        free(url);
        url = NULL;
    }
    curl_free(query);
    return url;
}

static void set_tls(struct ch_http *h)
{
    if (h->ca_file)
        curl_easy_setopt(h->easy, CURLOPT_CAINFO, h->ca_file);
    if (h->cert_file)
        curl_easy_setopt(h->easy, CURLOPT_SSLCERT, h->cert_file);
    if (h->key_file)
        curl_easy_setopt(h->easy, CURLOPT_SSLKEY, h->key_file);
}

static void set_request(struct run *r, const char *url)
{
    CURL *e = r->h->easy;

    curl_easy_reset(e); /* connections stay, in the multi handle */
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(r->h->connect_ns / TW_NS_PER_MS));
    curl_easy_setopt(e, CURLOPT_USERAGENT, "twampmesh/" TW_VERSION);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->h->headers);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->h->detail);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, note_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, r);
    set_tls(r->h);
    r->h->detail[0] = '\0';
}

/* How long it may take from now on until something moves; <= 0: no longer. */
static int64_t patience_ns(const struct run *r)
{
    int64_t until_ns = r->progress.ns + r->stall_ns, hurry_ns = atomic_load(&r->h->hurry_ns);

    return (until_ns < hurry_ns ? until_ns : hurry_ns) - tw_mono_now().ns;
}

/* Until curl is done, nothing moves any more, or somebody wants no more. */
static enum tw_rc transfer(struct run *r, CURLcode *ret)
{
    struct ch_http *h = r->h;
    int running = 1, left;
    CURLMsg *msg;

    for (;;) {
        int64_t wait;
        if (curl_multi_perform(h->multi, &running) != CURLM_OK)
            return TW_EIO;
        if (!running)
            break;
        if (atomic_load(&h->interrupted))
            return TW_ECLOSED;
        wait = patience_ns(r) / TW_NS_PER_MS;
        if (wait <= 0)
            return TW_ETIMEOUT;
        curl_multi_poll(h->multi, NULL, 0, wait < POLL_MS ? (int)wait : POLL_MS, NULL);
    }
    *ret = CURLE_RECV_ERROR;
    while ((msg = curl_multi_info_read(h->multi, &left)))
        if (msg->msg == CURLMSG_DONE)
            *ret = msg->data.result;
    return TW_OK;
}

const char *ch_http_server(const struct ch_http *h)
{
    return strstr(h->endpoints[h->at], "://") + 3;
}

static enum tw_rc judge_curl(const struct run *r, CURLcode code, bool *ret_elsewhere, struct tw_err *err)
{
    const char *why = r->h->detail[0] ? r->h->detail : curl_easy_strerror(code);
    enum tw_rc rc = code == CURLE_OPERATION_TIMEDOUT                                             ? TW_ETIMEOUT
                    : code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ? TW_EPERM
                                                                                                 : TW_EIO;

    *ret_elsewhere = code != CURLE_SSL_CACERT_BADFILE && code != CURLE_SSL_CERTPROBLEM;
    return tw_err_set(err, rc, "clickhouse %.60s: %.160s", ch_http_server(r->h), why);
}

/* Also of a 200: a statement that has no answer got one. */
static enum tw_rc judge_answer(const struct run *r, bool *ret_elsewhere, struct tw_err *err)
{
    char why[CH_WHY_MAX];
    int code;

    if (r->status == 200 && !r->answer_len)
        return TW_OK;
    ch_error_parse(r->answer, r->answer_len, &code, why);
    if (r->status == 200 && !code)
        return TW_OK;
    *ret_elsewhere = (r->status >= 500 || r->status == 200) && ch_error_elsewhere(code);
    if (!code)
        return tw_err_set(err, TW_EIO, "clickhouse %.60s: HTTP status %ld: %s", ch_http_server(r->h),
                          r->status, why);
    return tw_err_set(err, ch_error_rc(code), "clickhouse %.60s: code %d: %s", ch_http_server(r->h), code,
                      why);
}

static enum tw_rc attempt(struct run *r, bool *ret_elsewhere, struct tw_err *err)
{
    struct ch_http *h = r->h;
    char *url = make_url(r);
    CURLcode code;
    enum tw_rc rc;

    *ret_elsewhere = false;
    if (!url)
        return no_memory(err);
    r->status = 0;
    r->answer_len = r->handed = 0;
    r->octets = 0;
    r->fn_rc = TW_OK;
    r->stopped = false;
    r->progress = tw_mono_now();
    set_request(r, url);
    rc = curl_multi_add_handle(h->multi, h->easy) == CURLM_OK ? transfer(r, &code) : TW_ENOMEM;
    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &r->status);
    curl_multi_remove_handle(h->multi, h->easy);
    free(url);
    if (rc == TW_ECLOSED || r->stopped)
        return tw_err_set(err, TW_ECLOSED, "clickhouse %.60s: interrupted", ch_http_server(h));
    if (rc) {
        *ret_elsewhere = rc == TW_ETIMEOUT;
        return tw_err_set(err, rc, "clickhouse %.60s: no answer for %.1f s", ch_http_server(h),
                          (double)(tw_mono_now().ns - r->progress.ns) / 1e9);
    }
    if (code == CURLE_OK)
        h->heard = tw_mono_now();
    if (r->fn_rc)
        return r->fn_rc; /* the text is fn's */
    return code == CURLE_OK ? judge_answer(r, ret_elsewhere, err) : judge_curl(r, code, ret_elsewhere, err);
}

/* ---- Statements ---- */

static void return_to_first(struct ch_http *h)
{
    if (!h->at || tw_mono_now().ns - h->moved.ns < h->quiet_ns)
        return;
    h->at = 0;
    h->heard.ns = 0;
}

static void move_on(struct ch_http *h)
{
    h->at = (h->at + 1) % h->n;
    h->moved = tw_mono_now();
    h->heard.ns = 0;
    h->stats.moves++;
}

/* A server that stands still takes connections all the same, and a statement may take its time: this one does
 * not. */
static enum tw_rc knock(struct ch_http *h, bool *ret_elsewhere, struct tw_err *err)
{
    static const char query[] = "SELECT 1";
    struct run r = {
        .h = h, .query = query, .body = query, .body_len = sizeof query - 1, .stall_ns = h->knock_ns
    };

    if (!h->knock_ns || (h->heard.ns && tw_mono_now().ns - h->heard.ns < SILENT_NS))
        return TW_OK;
    return attempt(&r, ret_elsewhere, err);
}

static enum tw_rc run(struct run *r, struct tw_err *err)
{
    struct ch_http *h = r->h;
    bool elsewhere = false;
    enum tw_rc rc = TW_OK;

    atomic_store(&h->interrupted, false);
    h->stats.statements++;
    r->stall_ns = r->query_in_url ? h->insert_stall_ns : h->stall_ns;
    return_to_first(h);
    for (size_t tried = 0; tried < h->n; tried++) {
        if (tried)
            move_on(h);
        rc = knock(h, &elsewhere, err);
        if (!rc && r->query)
            rc = attempt(r, &elsewhere, err);
        if (!rc || !elsewhere || r->handed)
            break;
    }
    h->stats.failures += rc != TW_OK;
    if (rc)
        h->heard.ns = 0;
    return rc;
}

enum tw_rc ch_http_knock(struct ch_http *h, struct tw_err *err)
{
    struct run r = { .h = h };

    h->heard.ns = 0;
    return run(&r, err);
}

enum tw_rc ch_http_select(struct ch_http *h, const char *query, ch_data_fn fn, void *ctx, struct tw_err *err)
{
    struct run r = { .h = h,
                     .query = query,
                     .settings = SELECT_SETTINGS,
                     .body = query,
                     .body_len = strlen(query),
                     .fn = fn,
                     .ctx = ctx };

    return run(&r, err);
}

enum tw_rc ch_http_run(struct ch_http *h, const char *query, struct tw_err *err)
{
    struct run r = { .h = h, .query = query, .body = query, .body_len = strlen(query) };

    return run(&r, err);
}

enum tw_rc ch_http_insert(struct ch_http *h, const char *query, const void *rows, size_t len, struct tw_err *err)
{
    struct run r = { .h = h, .query = query, .query_in_url = true, .settings = h->settings, .body = rows, .body_len = len };

    enum tw_rc rc = len ? run(&r, err) : TW_OK;

    h->stats.inserts += len && !rc;
    h->stats.insert_bytes += rc ? 0 : len;
    return rc;
}
