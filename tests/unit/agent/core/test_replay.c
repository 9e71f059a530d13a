/* Every capture in tests/golden/vectors that holds test packets: what our reflector answers to its sender
 * packets is, octet by octet, what the peer answered, and our session takes the peer's answers. What the
 * reflector's own clock decides is taken from the capture; where peers do otherwise is in the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <unistd.h>
#include "agent/core/reflect.h"
#include "agent/core/reflect_session.h"
#include "agent/core/session.h"
#include "common/wire.h"
#include "tests/unit/agent/core/golden.h"

#define S TW_NS_PER_S
#define HOUR (3600 * S)

enum { CAP = 1500, ANY = -1, EXCHANGES_MAX = 16 };

/* ---- What peers do otherwise ---- */

enum deviation_kind {
    OCTETS = 1,   /* from..to */
    SHORTER,      /* the answer ends before ours does */
    TOS,          /* it is sent with another */
    SWAPPED_TIME, /* T1 does not come back: our session must refuse the answers */
    REFUSES_DSCP, /* this exchange is with a reflector that does so */
};

static const struct deviation {
    const char *capture;
    int exchange;
    enum deviation_kind kind;
    size_t from, to;
    const char *reason;
} deviations[] = {
    { "light-twampy-pad0", ANY, SHORTER, 38, 41, "no MBZ, no TTL" },
    { "light-twampy-pad0", ANY, TOS, 0, 0, "by option, not copied" },
    { "light-twampy-pad27", ANY, OCTETS, 40, 41, "padding of its own where the TTL should be" },
    { "light-twampy-pad27", ANY, TOS, 0, 0, "by option, not copied" },
    { "light-darox", ANY, OCTETS, 40, 41, "padding of its own where the TTL should be" },
    { "light-darox", ANY, TOS, 0, 0, "by option, not copied" },
    { "light-domos", ANY, SWAPPED_TIME, 28, 36, "T3 where T1 should come back" },
    { "light-twampy-domos", ANY, SWAPPED_TIME, 28, 36, "T3 where T1 should come back" },
    { "light-twampy-domos", ANY, TOS, 0, 0, "not copied" },
    { "control-tcaine-twampd", ANY, SHORTER, 56, 83,
      "cut at the Padding Length announced, not the one sent" },
    { "emirica-reflectoctets", ANY, OCTETS, 41, 43, "agrees to reflect octets, and does not" },
    { "emirica-symm-dscpecn", ANY, TOS, 0, 0, "copies ECN, too" },
    { "synth-stamp-unauth-tlv", 0, OCTETS, 53, 64, "link address of the sender: our shell does not know it" },
    { "synth-stamp-unauth-tlv", 0, OCTETS, 168, 184, "HMAC over the link address" },
    { "synth-stamp-unauth-tlv", 4, OCTETS, 14, 16, "knows RFC 8762 only: no SSID" },
    { "synth-stamp-unauth-tlv", 4, OCTETS, 44, 52, "knows RFC 8762 only: TLV as it came" },
    { "synth-stamp-unauth-tlv", 4, TOS, 0, 0, "knows RFC 8762 only: DSCP as received" },
    { "synth-stamp-auth", 1, TOS, 0, 0,
      "says that it answers in the DSCP wished, but the capture's IP header does not" },
    { "synth-stamp-unauth-tlv", 5, REFUSES_DSCP, 0, 0, "by policy" },
};
static bool deviation_seen[TW_NELEM(deviations)];

static const struct deviation *deviates(const char *capture, int exchange, enum deviation_kind kind)
{
    for (size_t i = 0; i < TW_NELEM(deviations); i++)
        if (deviations[i].kind == kind && !strcmp(deviations[i].capture, capture) &&
            (deviations[i].exchange == ANY || deviations[i].exchange == exchange)) {
            deviation_seen[i] = true;
            return &deviations[i];
        }
    return NULL;
}

/* ---- One session of a capture ---- */

struct packet {
    const cJSON *json;
    uint8_t wire[CAP];
    size_t len;
};

struct capture {
    const char *name;
    bool controlled, stamp, authenticated, synthetic;
    struct twamp_form_cfg form;
    uint8_t dscp;
    uint8_t key[32]; /* of STAMP */
    struct tw_addr sender, reflector;
    struct packet probe[EXCHANGES_MAX], reply[EXCHANGES_MAX];
    int n;
};

static const cJSON *control_message(const cJSON *doc, const char *kind, int nth)
{
    const cJSON *m;

    cJSON_ArrayForEach(m, cJSON_GetObjectItem(doc, "control")) if (!strcmp(golden_text(m, "message"), kind) &&
                                                                   !nth--) return m;
    fail_msg("there is no %s", kind);
    return NULL;
}

static void load_packets(struct capture *c, const cJSON *packets)
{
    const cJSON *p;

    cJSON_ArrayForEach(p, packets)
    {
        bool is_probe = !strcmp(golden_text(p, "dir"), "sender");
        struct packet *to = is_probe ? &c->probe[c->n] : &c->reply[c->n];
        to->json = p;
        to->len = golden_wire(p, to->wire, CAP);
        c->n += !is_probe;
        assert_true(c->n < EXCHANGES_MAX);
    }
    assert_true(c->n >= 3);
}

static void load_controlled(struct capture *c, const cJSON *doc, int nth)
{
    const cJSON *s = cJSON_GetArrayItem(cJSON_GetObjectItem(doc, "test_sessions"), nth);
    const cJSON *request = control_message(doc, "Request-TW-Session", nth);
    const cJSON *accept = control_message(doc, "Accept-Session", nth);

    c->controlled = true;
    c->form.mode = (uint32_t)golden_number(cJSON_GetObjectItem(doc, "set_up_response"), "mode");
    c->form.server_octets = (uint16_t)strtoul(golden_text(accept, "server_octets"), NULL, 16);
    test_unhex(golden_text(s, "test_aes_key"), c->form.keys.aes, sizeof c->form.keys.aes);
    test_unhex(golden_text(s, "test_hmac_key"), c->form.keys.hmac, sizeof c->form.keys.hmac);
    c->dscp = (uint8_t)(strtoul(golden_text(request, "type_p"), NULL, 16) >> 24);
    c->sender.port = (uint16_t)golden_number(s, "sender_port");
    load_packets(c, cJSON_GetObjectItem(s, "packets"));
}

static void load_free(struct capture *c, const cJSON *doc)
{
    c->stamp = strstr(golden_text(doc, "kind"), "stamp");
    c->authenticated = !strcmp(c->name, "synth-stamp-auth");
    c->synthetic = cJSON_GetObjectItem(doc, "synthetic");
    test_unhex(golden_text(doc, "hmac_key"), c->key, sizeof c->key);
    load_packets(c, cJSON_GetObjectItem(doc, "packets"));
}

static struct capture *load(const char *name, const cJSON *doc, int nth)
{
    struct capture *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->name = name;
    tw_addr_parse("192.0.2.1", 50862, &c->sender);
    tw_addr_parse("198.51.100.2", 862, &c->reflector);
    if (cJSON_GetArraySize(cJSON_GetObjectItem(doc, "test_sessions")))
        load_controlled(c, doc, nth);
    else
        load_free(c, doc);
    return c;
}

/* ---- Times in packets ---- */

struct layout {
    size_t t3, err_est, t2, sender_t1;
};

static const struct layout *layout_of(const struct capture *c)
{
    static const struct layout open = { 4, 12, 16, 28 }, secure = { 16, 24, 32, 64 };

    return c->authenticated || c->form.mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED) ? &secure : &open;
}

static void run_aes(const struct capture *c, enum crypto_aes_kind kind, uint8_t *reply)
{
    struct crypto_aes *aes;

    assert_int_equal(crypto_aes_new(kind, c->form.keys.aes, NULL, &aes), TW_OK);
    crypto_aes_run(aes, reply, 96, reply);
    crypto_aes_free(aes);
}

static void sign(enum crypto_hash hash, const uint8_t *key, uint8_t *reply)
{
    struct crypto_hmac *m;

    assert_int_equal(crypto_hmac_new(hash, key, 32, &m), TW_OK);
    crypto_hmac(m, reply, 96, NULL, 0, reply + 96);
    crypto_hmac_free(m);
}

/* In clear, and back: signed and encrypted anew, not by the code that is tested. Authenticated TWAMP mode
 * protects no times. */
static void open_reply(const struct capture *c, uint8_t *reply)
{
    if (c->form.mode & TWAMP_ENCRYPTED)
        run_aes(c, CRYPTO_CBC_DECRYPT, reply);
}

static void close_reply(const struct capture *c, uint8_t *reply)
{
    if (c->authenticated)
        sign(CRYPTO_SHA256, c->key, reply);
    if (!(c->form.mode & TWAMP_ENCRYPTED))
        return;
    sign(CRYPTO_SHA1, c->form.keys.hmac, reply);
    run_aes(c, CRYPTO_CBC_ENCRYPT, reply);
}

static struct tw_wall time_of(const struct packet *p, const char *field)
{
    static const struct tw_wall near = { INT64_C(1795424480) * S };

    return tw_wall_from_ntp(golden_hex(p->json, field), near);
}

/* ---- Our reflector ---- */

struct mirror {
    struct reflector *open;
    struct reflect_session *session;
};

static struct mirror make_mirror(const struct capture *c, bool refuse_dscp)
{
    struct reflect_cfg cfg = { .max_sessions = 4,
                               .refwait_ns = HOUR,
                               .restart_gap_ns = 3 * S,
                               .port = 862,
                               .refuse_dscp = refuse_dscp };
    struct reflect_session_cfg controlled = {
        .form = c->form, .sender = c->sender, .dscp = c->dscp, .refwait_ns = HOUR
    };
    const struct tw_clock_state clock = { .synced = golden_hex(c->reply[0].json, "ee") & 0x8000 };
    struct stamp_keys keys = { 0 };
    struct mirror m = { 0 };

    if (c->controlled) {
        assert_int_equal(reflect_session_new(&controlled, (struct tw_mono){ 0 }, &m.session), TW_OK);
        reflect_session_start(m.session, (struct tw_mono){ 0 });
        reflect_session_set_clock(m.session, &clock);
        return m;
    }
    assert_int_equal(reflector_new(&cfg, &m.open), TW_OK);
    assert_int_equal(stamp_keys_add(&keys, c->key, sizeof c->key), TW_OK);
    reflector_set_keys(m.open, &keys);
    reflector_set_clock(m.open, &clock);
    return m;
}

static size_t ask(const struct capture *c, const struct mirror *m, int i, uint8_t *ret, uint8_t *ret_tos)
{
    const struct packet *p = &c->probe[i];
    struct reflect_rx rx = { .from = c->sender,
                             .to = c->reflector,
                             .t2 = time_of(&c->reply[i], "rx_ts"),
                             .source = TW_TS_KERNEL,
                             .mono = { i * S / 10 },
                             .ttl = (int16_t)(golden_number(p->json, "ip_ttl") - c->synthetic),
                             .tos = (int16_t)golden_number(p->json, "ip_tos") };
    struct reflect_tx tx;

    if (m->session) {
        assert_int_equal(reflect_session_answer(m->session, &rx, p->wire, p->len, ret, CAP, &tx), TW_OK);
        reflect_session_stamp(m->session, &tx, ret, time_of(&c->reply[i], "ts"));
    } else {
        assert_int_equal(reflect_answer(m->open, &rx, p->wire, p->len, ret, CAP, &tx), TW_OK);
        reflect_stamp(m->open, &tx, ret, time_of(&c->reply[i], "ts"));
        if (tx.want_txstamp) /* as in the synthetic capture */
            reflect_on_txstamp(m->open, &tx, (struct tw_wall){ time_of(&c->reply[i], "ts").ns + 10000 },
                               TW_TS_HARDWARE);
    }
    *ret_tos = tx.tos;
    return tx.len;
}

/* The reflector's times are within a nanosecond of the peer's; then its own stand in. */
static void take_times(const struct capture *c, int i, uint8_t *ours, const uint8_t *theirs)
{
    const struct layout *l = layout_of(c);

    memcpy(ours + l->t3, theirs + l->t3, 8);
    memcpy(ours + l->err_est, theirs + l->err_est, 2);
    memcpy(ours + l->t2, theirs + l->t2, 8);
    for (size_t k = 0; k < TW_NELEM(deviations); k++) {
        const struct deviation *d = &deviations[k];
        if ((d->kind != OCTETS && d->kind != SWAPPED_TIME) || strcmp(d->capture, c->name) ||
            (d->exchange != ANY && d->exchange != i))
            continue;
        if (memcmp(ours + d->from, theirs + d->from, d->to - d->from))
            deviation_seen[k] = true;
        memcpy(ours + d->from, theirs + d->from, d->to - d->from);
    }
}

static void compare_answer(const struct capture *c, const struct mirror *m, int i, bool look)
{
    const struct packet *want = &c->reply[i];
    const struct deviation *shorter = deviates(c->name, i, SHORTER);
    uint8_t ours[CAP], theirs[CAP], tos;
    size_t len = ask(c, m, i, ours, &tos);

    if (!look)
        return;
    if (shorter) {
        assert_true(want->len == shorter->from && len == shorter->to);
        len = shorter->from;
    }
    if (len != want->len)
        fail_msg("%s: answer %d has %zu octets, not %zu", c->name, i, len, want->len);
    if ((tos != golden_number(want->json, "ip_tos")) != !!deviates(c->name, i, TOS))
        fail_msg("%s: answer %d would be sent with TOS %02x", c->name, i, tos);
    memcpy(theirs, want->wire, len);
    open_reply(c, ours);
    open_reply(c, theirs);
    take_times(c, i, ours, theirs);
    close_reply(c, ours);
    for (size_t at = 0; at < len; at++)
        if (ours[at] != want->wire[at])
            fail_msg("%s: answer %d, octet %zu is %02x, not %02x", c->name, i, at, ours[at], want->wire[at]);
}

static void replay_to_reflector(const struct capture *c)
{
    for (int refuse = 0; refuse < 2; refuse++) {
        struct mirror m = make_mirror(c, refuse);
        for (int i = 0; i < c->n; i++)
            compare_answer(c, &m, i, !!deviates(c->name, i, REFUSES_DSCP) == refuse);
        reflector_free(m.open);
        reflect_session_free(m.session);
    }
}

/* ---- Our session ---- */

static struct form *make_form(const struct capture *c)
{
    struct form_cfg cfg = { .kind = c->stamp ? FORM_STAMP : FORM_TWAMP, .twamp = c->form };
    struct form *f;

    if (c->stamp) {
        cfg.ssid = (uint16_t)golden_number(c->probe[0].json, "ssid");
        cfg.authenticated = c->authenticated;
        cfg.keys[0] = (struct form_key){ c->key, sizeof c->key };
        cfg.n_keys = 1;
    }
    assert_int_equal(form_new(&cfg, &f), TW_OK);
    return f;
}

/* Our session takes T1 from the capture, but in whole nanoseconds: the answer returns what it has sent. */
static void return_our_t1(const struct capture *c, uint8_t *reply, struct tw_wall t1)
{
    const struct layout *l = layout_of(c);
    struct wire_wr w = { .p = reply + l->sender_t1, .end = reply + l->sender_t1 + 8 };

    open_reply(c, reply);
    wire_put_u64(&w, tw_wall_to_ntp(t1));
    close_reply(c, reply);
}

static void replay_to_session(const struct capture *c)
{
    struct session_cfg cfg = { .spacing_ns = S / 1000, .timeout_ns = S, .report_period_ns = HOUR };
    bool swapped = deviates(c->name, ANY, SWAPPED_TIME);
    struct tw_wall t0 = time_of(&c->probe[0], "ts");
    struct session_totals n;
    uint32_t next = 0;
    struct session *s;

    cfg.phase_ns = t0.ns % cfg.spacing_ns;
    assert_int_equal(session_new(&cfg, make_form(c), (struct tw_now){ { 0 }, t0 }, &s), TW_OK);
    for (int i = 0; i < c->n; i++) {
        struct tw_wall t1 = { t0.ns + i * S / 10 }, t4 = { t1.ns + S / 100 };
        struct session_rx rx = { t4, TW_TS_KERNEL, 64, 0 };
        uint8_t wire[CAP];
        size_t len;
        for (; next <= golden_number(c->probe[i].json, "seq"); next++, t1.ns += S / 1000)
            assert_int_equal(session_next_probe(s, (struct tw_now){ { t1.ns - t0.ns }, t1 }, wire, CAP, &len),
                             TW_OK);
        t1.ns -= S / 1000;
        memcpy(wire, c->reply[i].wire, c->reply[i].len);
        if (!swapped)
            return_our_t1(c, wire, t1);
        if (session_on_reply(s, (struct tw_now){ { t4.ns - t0.ns }, t4 }, &rx, wire, c->reply[i].len) !=
            (swapped ? TW_EINVAL : TW_OK))
            fail_msg("%s: answer %d", c->name, i);
    }
    session_totals(s, &n);
    if (n.received != (swapped ? 0 : (uint64_t)c->n) || n.rejected != (swapped ? (uint64_t)c->n : 0))
        fail_msg("%s: %d of %d received, %d rejected", c->name, (int)n.received, c->n, (int)n.rejected);
    session_free(s);
}

/* ---- All of them ---- */

static void replay_file(const char *name, unsigned *ret_n)
{
    cJSON *doc = golden_load(name);
    int sessions = cJSON_GetArraySize(cJSON_GetObjectItem(doc, "test_sessions"));

    if (!sessions && cJSON_GetArraySize(cJSON_GetObjectItem(doc, "packets")))
        sessions = 1;
    for (int i = 0; i < sessions; i++) {
        struct capture *c = load(name, doc, i);
        replay_to_reflector(c);
        replay_to_session(c);
        free(c);
        ++*ret_n;
    }
    cJSON_Delete(doc);
}

static void every_capture(void **state)
{
    DIR *dir = opendir(TW_SOURCE_DIR "/tests/golden/vectors");
    const struct dirent *e;
    unsigned n = 0;

    (void)state;
    assert_non_null(dir);
    while ((e = readdir(dir))) {
        char name[sizeof e->d_name];
        size_t len = strlen(e->d_name);
        if (len < 6 || strcmp(e->d_name + len - 5, ".json"))
            continue;
        memcpy(name, e->d_name, len - 5);
        name[len - 5] = '\0';
        replay_file(name, &n);
    }
    closedir(dir);
    assert_int_equal(n, 27);
    for (size_t i = 0; i < TW_NELEM(deviations); i++)
        if (!deviation_seen[i])
            fail_msg("%s does no longer deviate: %s", deviations[i].capture, deviations[i].reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_capture) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
