/* Requests by HTTP to a whole controller, through its table of routes: every request has one answer, with a
 * status and a type that fit; JSON can be read; what changes something needs a token that may; nothing is
 * answered twice or never.
 *
 * Input: u8 flags, then records of requests: u8 which route (of the table, as many as there are), u8 how,
 * then what fills its path, query, headers and content. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/now.h"
#include "controller/http/api.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fake_controller.h"
#include "tests/fuzz/fake_mhd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len);

enum { REQUESTS_MAX = 12, TEXT_MAX = 512, POOL = 16384 };

static struct play {
    struct fake_controller f;
    struct pb_make in;
    struct fake_request rq;
    char pool[POOL]; /* of texts of one request */
    size_t used;
    char token[256]; /* that was made in this input; "" none */
} w;

static uint64_t random_state;

enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len)
{
    if (len == 32) {
        memset(buf, 0x5a, len);
        return TW_OK;
    }
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)((random_state = random_state * 6364136223846793005u + 1442695040888963407u) >> 56);
    return TW_OK;
}

static uint8_t octet(void)
{
    return pb_make_octet(&w.in);
}

/* ---- Texts ---- */

static char *keep(const char *data, size_t len)
{
    char *at = w.pool + w.used;

    len = len < TEXT_MAX ? len : TEXT_MAX;
    if (w.used + len + 1 > sizeof w.pool)
        return w.pool + sizeof w.pool - 1;
    memcpy(at, data, len);
    at[len] = '\0';
    w.used += len + 1;
    return at;
}

static char *some_text(void)
{
    uint8_t how = octet();
    size_t n;
    char *at;

    if (how < 224)
        return keep(fake_words[how % fake_words_n], strlen(fake_words[how % fake_words_n]));
    n = how & 31;
    n = n < (size_t)(w.in.end - w.in.p) ? n : (size_t)(w.in.end - w.in.p);
    at = keep((const char *)w.in.p, n);
    w.in.p += n;
    return at;
}

/* "/a/{name}/b" with something for each name. */
static char *fill_path(const char *pattern)
{
    char path[TEXT_MAX];
    size_t n = 0;

    while (*pattern && n < sizeof path - 64) {
        const char *text;
        size_t len;

        if (*pattern != '{') {
            path[n++] = *pattern++;
            continue;
        }
        text = some_text();
        len = strcspn(text, "/\n");
        len = len < 60 ? len : 60;
        memcpy(path + n, text, len);
        n += len;
        pattern += strcspn(pattern, "}") + 1;
    }
    return keep(path, n);
}

static void add(struct fake_item *v, size_t *n, const char *name, const char *value)
{
    if (*n < FAKE_ITEMS)
        v[(*n)++] = (struct fake_item){ name, value, strlen(name), strlen(value) };
}

static void add_query(void)
{
    static const char *const names[] = {
        "mesh", "class", "source",  "target",    "from",       "to",        "last",      "limit",
        "at",   "span",  "flow",    "select",    "metric",     "direction", "statistic", "by",
        "sort", "top",   "compare", "format",    "state",      "level",     "columns",   "step",
        "kind", "id",    "name",    "max_lines", "generation", "objective", "latest",    "all"
    };
    unsigned n = octet() % 6;

    while (n--) {
        uint8_t which = octet();

        add(w.rq.query, &w.rq.n_query, which < 240 ? names[which % TW_NELEM(names)] : some_text(),
            some_text());
    }
}

static void add_header(uint8_t which)
{
    static const char *const names[] = { "Accept",        "Accept-Encoding", "Cookie",        "Origin",
                                         "Host",          "X-CSRF-Token",    "If-None-Match", "Content-Type",
                                         "Authorization", "Sec-Fetch-Site" };
    static const char *const values[] = {
        "gzip",
        "application/openmetrics-text; version=1.0.0",
        "twamp_session=abc",
        "http://127.0.0.1",
        "127.0.0.1:8080",
        "*",
        "\"x\"",
        "application/json",
        "Bearer twa1.AAAA.BBBB",
        "same-origin",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    };

    add(w.rq.headers, &w.rq.n_headers, names[which % TW_NELEM(names)],
        which & 0x80 ? some_text() : values[octet() % TW_NELEM(values)]);
}

static void add_token(void)
{
    char text[300];

    if (!w.token[0])
        return;
    snprintf(text, sizeof text, "Bearer %s", w.token);
    add(w.rq.headers, &w.rq.n_headers, "Authorization", keep(text, strlen(text)));
}

/* ---- Content ---- */

/* A JSON object with fields of the method's request, or of any names. */
static void some_json(cJSON *o, const ProtobufCMessageDescriptor *d, unsigned depth)
{
    for (unsigned i = 0; d && i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        uint8_t how = octet();
        cJSON *v;

        if (how < 0x80)
            continue;
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && depth < 3) {
            v = cJSON_CreateObject();
            some_json(v, f->descriptor, depth + 1);
        } else if (f->type == PROTOBUF_C_TYPE_BOOL) {
            v = cJSON_CreateBool(how & 1);
        } else if (f->type == PROTOBUF_C_TYPE_STRING || how & 2) {
            v = cJSON_CreateString(some_text());
        } else {
            v = cJSON_CreateNumber((double)(how & 4 ? w.in.now_ns : octet() - 3));
        }
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            cJSON *list = cJSON_CreateArray();
            cJSON_AddItemToArray(list, v);
            v = list;
        }
        cJSON_AddItemToObject(o, f->name, v);
    }
}

static char *content(const struct http_route *r, uint8_t how)
{
    int method = r->fn == http_admin ? api_admin_method(r) : -1;
    cJSON *o;
    char *text;

    if (how & 1)
        return strdup(some_text());
    o = cJSON_CreateObject();
    if (method >= 0)
        some_json(o, tw__admin__descriptor.methods[method].input, 0);
    else
        cJSON_AddStringToObject(o, "token", w.token[0] ? w.token : some_text());
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

/* ---- Answers ---- */

static void look_for_token(const cJSON *o)
{
    const cJSON *text = cJSON_GetObjectItem(o, "text");

    if (cJSON_IsString(text) && !strncmp(text->valuestring, "twa1.", 5))
        snprintf(w.token, sizeof w.token, "%s", text->valuestring);
}

static void check_answer(const struct http_route *r, const struct fake_response *a)
{
    bool error = a->status >= 400;

    if (a->status == 0)
        return;
    CHECK(a->status == 304 || a->type[0] || !a->len);
    CHECK(!error || !a->len || !strncmp(a->type, "application/json", 16) || !strcmp(r->path, "/readyz"));
    if (a->packed || a->stream || !a->len || strncmp(a->type, "application/json", 16) != 0)
        return;
    cJSON *o = cJSON_ParseWithLength(a->body, a->len);
    CHECK(o);
    CHECK(!error || cJSON_IsString(cJSON_GetObjectItem(o, "error")) || !strcmp(r->path, "/readyz"));
    if (r->method && !strcmp(r->path, "/api/v1/access/tokens"))
        look_for_token(o);
    cJSON_Delete(o);
}

static void finish(const struct http_route *r)
{
    struct fake_response a;

    for (unsigned n = 0; n < 200; n++) {
        fake_loop_run(w.f.loop);
        if (fake_mhd_end(&a)) {
            check_answer(r, &a);
            return;
        }
        if (n > 60 && fake_mhd_park(&a))
            return;
        fake_loop_advance(w.f.loop, TW_NS_PER_S / 2);
    }
    abort(); /* it is never answered */
}

/* ---- Requests ---- */

static void request(void)
{
    static const char *const methods[] = { "GET", "POST", "DELETE", "HEAD", "PUT", "OPTIONS" };
    const struct http_route *r = &controller_routes[octet() % controller_routes_n];
    uint8_t how = octet(), more = octet();
    char *body = NULL, length[24];

    memset(&w.rq, 0, sizeof w.rq);
    w.used = 0;
    w.rq.method = how < 0xf0 ? (r->method ? r->method : "GET") : methods[how % TW_NELEM(methods)];
    w.rq.path = more == 0xff ? some_text() : fill_path(r->path);
    w.rq.from_afar = how & 1;
    if (how & 2)
        add_query();
    if (how & 4)
        add_header(octet());
    if (how & 8)
        add_header(octet());
    if (!(how & 16))
        add_token();
    if (r->body_max || (how & 0xe0) == 0x60) {
        body = content(r, more);
        w.rq.body = body;
        w.rq.body_len = strlen(body);
        snprintf(length, sizeof length, "%zu", w.rq.body_len);
        add(w.rq.headers, &w.rq.n_headers, "Content-Length", length);
    }
    if (fake_mhd_begin(&w.rq))
        finish(r);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t flags;

    memset(&w, 0, sizeof w);
    random_state = 0;
    fake_controller_begin(&w.f, true);
    w.in = (struct pb_make){ data, data + size, fake_words, fake_words_n, tw_wall_now().ns };
    flags = octet();
    w.f.c->http_write = flags & 2;
    for (unsigned n = 0; n < REQUESTS_MAX && w.in.p < w.in.end; n++) {
        request();
        if (flags & 4)
            fake_loop_advance(w.f.loop, flags * TW_NS_PER_S / 8);
    }
    fake_controller_end(&w.f, flags & 1);
    CHECK(fake_mhd_clean());
    return 0;
}
