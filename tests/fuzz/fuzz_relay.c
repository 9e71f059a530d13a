/* What stands in etcd in place of other controllers' calls and answers, while we have calls of our own. No
 * call is made twice, each of ours ends once, and what we say can be read.
 *
 * Input, again and again: u8 what (bits 0-1: whose text, 2: as it is, 3: we ask something first, 4: that one
 * alone is there), u16 length, big-endian, the text or what it is of. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"
#include "controller/relay_theirs.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SELF 77u
#define MADE_MAX 4096

struct book {
    struct relay_ours ours;
    struct relay_theirs theirs;
    int64_t revision;
    size_t asked, ended;
    struct {
        uint64_t self, id;
    } made[MADE_MAX];
    size_t n_made;
};

static const char *const names[] = { "two", "three", "four", "two" };

static void ask(struct book *b)
{
    const struct relay_ask what = {
        "two", b->asked % 3 ? "x" : "y", 3, (const uint8_t *)"question", 8, INT64_MAX, b
    };

    b->asked += relay_ours_ask(&b->ours, &what) == TW_OK;
}

static char *text_of(const uint8_t *data, size_t len, bool encode)
{
    char *text = malloc(4 * len / 3 + 5);

    CHECK(text);
    if (encode) {
        EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    } else {
        memcpy(text, data, len);
        text[len] = '\0';
    }
    return text;
}

static void hear(struct book *b, unsigned who, const char *text)
{
    const struct relay_from from = { names[who], (int64_t)who + 1, ++b->revision };
    Tw__RelaySaid *said = NULL;
    struct tw_err err = { 0 };
    struct arena *a = NULL;
    enum tw_rc rc;

    CHECK(!relay_theirs_has(&b->theirs, from.lease, from.revision));
    rc = relay_text_read(text, &a, &said, &err);
    CHECK(rc ? !a && err.text[0] : said->self != 0);
    if (said)
        said->self = who + 1; /* a lease is one process's */
    CHECK(relay_theirs_take(&b->theirs, "one", &from, said) == TW_OK);
    CHECK(relay_theirs_has(&b->theirs, from.lease, from.revision));
    if (said)
        relay_ours_take(&b->ours, names[who], SELF, said);
    arena_free(a);
}

static void make_all(struct book *b)
{
    const struct relay_in *c;
    uint64_t self;

    while ((c = relay_theirs_next(&b->theirs, &self))) {
        const struct relay_result r = { c->id % 5 ? TW__STATUS__STATUS_OK : TW__STATUS__STATUS_NOT_FOUND,
                                        "no", c->id % 7 == 0, c->request, c->len };

        for (size_t i = 0; i < b->n_made; i++)
            CHECK(b->made[i].self != self || b->made[i].id != c->id);
        if (b->n_made < MADE_MAX) {
            b->made[b->n_made].self = self;
            b->made[b->n_made++].id = c->id;
        }
        if (c->id % 3)
            relay_theirs_answer(&b->theirs, self, c->id, &r);
    }
}

static void end_all(struct book *b)
{
    struct relay_out *c;

    for (; (c = relay_ours_next_over(&b->ours)); b->ended++) {
        CHECK(c->ctx == b && (c->status || c->reply || c->here));
        relay_out_free(c);
    }
}

static void say(struct book *b)
{
    Tw__RelaySaid m = TW__RELAY_SAID__INIT, *again;
    Tw__RelayCall *calls[RELAY_CALLS_MAX];
    Tw__RelayAnswer *answers[RELAY_ANSWERS_MAX];
    struct arena *a;
    struct tw_err err;
    char *text;

    m.self = SELF;
    m.calls = calls;
    m.answers = answers;
    relay_ours_fill(&b->ours, &m);
    relay_theirs_fill(&b->theirs, &m);
    text = relay_text_write(&m);
    CHECK(text && relay_text_read(text, &a, &again, &err) == TW_OK);
    CHECK(again->n_calls == m.n_calls && again->n_answers == m.n_answers);
    arena_free(a);
    free(text);
}

static void bounds(const struct book *b)
{
    CHECK(b->theirs.n <= RELAY_ASKERS_MAX && b->ours.n <= RELAY_WAITING_MAX && b->ours.n_said <= b->ours.n);
    for (const struct relay_asker *a = b->theirs.askers; a; a = a->next)
        CHECK(a->n <= RELAY_CALLS_MAX && a->n_tests <= RELAY_TESTS_MAX);
}

static const char *where(void *ctx, const char *agent)
{
    const struct book *b = ctx;

    return *agent == 'x' ? names[b->revision & 3] : b->revision & 4 ? "one" : NULL;
}

static bool is_up(void *ctx, const char *controller)
{
    (void)controller;
    return ((const struct book *)ctx)->revision % 11 != 0;
}

static void step(struct book *b, uint8_t what, const uint8_t *data, size_t len)
{
    char *text = text_of(data, len, !(what & 4));

    if (what & 8)
        ask(b);
    relay_theirs_begin(&b->theirs);
    for (unsigned i = 0; i < 4 && !(what & 16); i++)
        for (struct relay_asker *a = b->theirs.askers; a; a = a->next)
            relay_theirs_has(&b->theirs, a->lease, a->revision);
    hear(b, what & 3, text);
    relay_theirs_end(&b->theirs, 1);
    relay_ours_route(&b->ours, &(struct relay_places){ "one", where, is_up, b });
    make_all(b);
    end_all(b);
    say(b);
    bounds(b);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_rd r = { .p = data, .end = data + size };
    struct book *b = calloc(1, sizeof *b);

    CHECK(b);
    while (r.p < r.end) {
        uint8_t what = wire_get_u8(&r);
        size_t len = wire_get_u16(&r), left = (size_t)(r.end - r.p);
        const uint8_t *text = r.p;

        if (r.bad)
            break;
        len = len < left ? len : left;
        wire_take(&r, len);
        step(b, what, text, len);
    }
    relay_ours_end_all(&b->ours, "over");
    end_all(b);
    CHECK(b->asked == b->ended);
    relay_theirs_free(&b->theirs);
    free(b);
    return 0;
}
