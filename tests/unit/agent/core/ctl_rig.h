/* Both ends of TWAMP-Control in a test: captured connections as octet streams, random octets that are fed,
 * and what an end gave out, gathered. */
#ifndef TESTS_UNIT_AGENT_CORE_CTL_RIG_H
#define TESTS_UNIT_AGENT_CORE_CTL_RIG_H

#include "agent/core/twamp_ctl.h"
#include "agent/core/twamp_ctl_crypt.h"
#include "tests/unit/agent/core/golden.h"

#define RIG_PASSPHRASE "correct horse battery"

struct rig_bytes {
    uint8_t v[8192];
    size_t len;
};

static inline void rig_add(struct rig_bytes *b, const void *data, size_t len)
{
    if (b->len + len > sizeof b->v)
        fail_msg("the stream of the test is full");
    memcpy(b->v + b->len, data, len);
    b->len += len;
}

static inline void rig_add_hex(struct rig_bytes *b, const char *hex)
{
    b->len += test_unhex(hex, b->v + b->len, sizeof b->v - b->len);
}

static inline void rig_check(const char *name, const char *what, const struct rig_bytes *got,
                             const struct rig_bytes *want, size_t len)
{
    if (got->len < len || want->len < len)
        fail_msg("%s: %s: %zu octets, expected %zu", name, what, got->len, len);
    for (size_t i = 0; i < len; i++)
        if (got->v[i] != want->v[i])
            fail_msg("%s: %s: octet %zu is %02x, expected %02x", name, what, i, got->v[i], want->v[i]);
}

/* Random octets as the capture has them, in the order in which they are drawn. Beyond them: a pattern. */
struct rig_random {
    struct rig_bytes fed;
    size_t at;
};

static inline void rig_draw(struct rig_random *r, uint8_t *buf, size_t n)
{
    for (size_t i = 0; i < n; i++, r->at++)
        buf[i] = r->at < r->fed.len ? r->fed.v[r->at] : (uint8_t)(r->at * 37 + 11);
}

/* ---- Captures ---- */

struct rig_capture {
    cJSON *doc;
    struct rig_bytes c2s, s2c;
    size_t stop_at; /* where Stop-Sessions begins in c2s */
};

static inline bool rig_is_from_client(const char *message)
{
    return strstr(message, "Request") || !strcmp(message, "Start-Sessions") ||
           !strcmp(message, "Stop-Sessions");
}

static inline const char *rig_wire(const cJSON *message)
{
    const char *wire = golden_text(message, "wire");

    return *wire ? wire : golden_text(message, "plain");
}

static inline void rig_load(const char *name, struct rig_capture *ret)
{
    const cJSON *message;

    memset(ret, 0, sizeof *ret);
    ret->doc = golden_load(name);
    rig_add_hex(&ret->s2c, golden_text(cJSON_GetObjectItem(ret->doc, "server_greeting"), "wire"));
    rig_add_hex(&ret->c2s, golden_text(cJSON_GetObjectItem(ret->doc, "set_up_response"), "wire"));
    rig_add_hex(&ret->s2c, golden_text(cJSON_GetObjectItem(ret->doc, "server_start"), "wire"));
    cJSON_ArrayForEach(message, cJSON_GetObjectItem(ret->doc, "control"))
    {
        const char *what = golden_text(message, "message");
        if (!strcmp(what, "Stop-Sessions"))
            ret->stop_at = ret->c2s.len;
        rig_add_hex(rig_is_from_client(what) ? &ret->c2s : &ret->s2c, rig_wire(message));
    }
    if (!ret->stop_at)
        ret->stop_at = ret->c2s.len;
}

/* The n-th message of this name. */
static inline const cJSON *rig_message(const struct rig_capture *c, const char *what, unsigned n)
{
    const cJSON *message;

    cJSON_ArrayForEach(message, cJSON_GetObjectItem(c->doc, "control"))
    {
        if (!strcmp(golden_text(message, "message"), what) && !n--)
            return message;
    }
    return NULL;
}

/* The addresses of the connection. */
static inline struct tw_addr rig_loopback(const struct rig_capture *c)
{
    struct tw_addr a;

    assert_int_equal(tw_addr_parse(golden_number(rig_message(c, "Request-TW-Session", 0), "ipvn") == 6
                                       ? "::1"
                                       : "127.0.0.1",
                                   862, &a),
                     TW_OK);
    return a;
}

#define RIG_CAPTURES                                                                                         \
    "open4", "open6", "open4-pad0", "open4-dscp-pad", "auth4", "auth4-zeroaddr-pad100", "enc4", "enc4-pad0", \
        "mixed4", "control-twampy-twampd", "control-tcaine-twampd-size0", "control-tcaine-twampd",           \
        "control-tcaine-rejected", "emirica-open2", "emirica-symm-dscpecn", "emirica-reflectoctets"
#define RIG_REFUSED "auth4-badsecret", "enc4-unknownuser"

#endif
