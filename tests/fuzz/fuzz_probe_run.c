/* A probe whose answers are the fuzzer's: of any length, with the number of a packet that was sent in its
 * place or not. It ends, and what it finds does not contradict itself. */
#include <stdlib.h>
#include <string.h>

#include "agent/core/probe_run.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PACKETS_MAX = 3 * PROBE_STEPS + 300 };

struct input {
    const uint8_t *p;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->p++;
}

/* Op: 0 no answer, 1 the request and what follows, 2 with its number at 24, 3 whatever there is; octets. */
static void answer(struct probe_run *r, struct input *in, int64_t now, const uint8_t *request, size_t len)
{
    uint8_t op = take(in), n = take(in), *buf;
    struct probe_run_in rx = { { (int64_t)1795424684 * TW_NS_PER_S + now }, 250, (int16_t)(op & 0xfc) };

    if (!(op & 3))
        return;
    buf = calloc(1, n ? n : 1); /* exactly allocated */
    CHECK(buf);
    if ((op & 3) == 1)
        memcpy(buf, request, n < len ? n : len);
    for (size_t i = (op & 3) == 1 ? n / 2 : 0; i < n; i++)
        buf[i] ^= take(in);
    if ((op & 3) == 2 && n >= 28)
        memcpy(buf + 24, request, 4);
    probe_run_on_answer(r, (struct tw_mono){ now }, &rx, buf, n);
    if (op & 4)
        probe_run_on_answer(r, (struct tw_mono){ now }, &rx, buf, n);
    free(buf);
}

static void check(const struct probe_findings *f, unsigned packets)
{
    CHECK(f->kind < PROBE_KINDS && f->steps_answered <= f->steps_sent && f->steps_sent <= PROBE_STEPS);
    CHECK((f->kind == PROBE_NOTHING) == !f->steps_answered);
    CHECK(f->n_rates <= PROBE_RATES_MAX && (f->steps_answered || !f->n_rates));
    CHECK(!f->ssid_returned || f->stamp);
    CHECK(packets < PACKETS_MAX);
    for (size_t i = 0; i < f->n_rates; i++)
        CHECK(f->rates[i].answered <= f->rates[i].sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct probe_run_cfg cfg = { 46, 3, TW_NS_PER_MS, 2 * TW_NS_PER_MS, 200, 1 };
    struct input in = { data, size };
    struct probe_findings f;
    struct probe_run *r;
    int64_t now = 0;
    unsigned packets = 0;

    if (size > 1 << 14)
        return 0;
    CHECK(probe_run_new(&cfg, (struct tw_mono){ 0 }, &r) == TW_OK);
    while (probe_run_next_due(r).ns != TW_MONO_NEVER.ns) {
        struct tw_now t = { { now }, { (int64_t)1795424684 * TW_NS_PER_S + now } };
        uint8_t buf[PROBE_LEN_MAX];
        struct probe_run_out out;
        while (probe_run_next(r, t, buf, &out) == TW_OK) {
            CHECK(out.len <= sizeof buf && ++packets < PACKETS_MAX);
            answer(r, &in, now, buf, out.len);
        }
        CHECK(probe_run_next_due(r).ns >= now);
        if (probe_run_next_due(r).ns != TW_MONO_NEVER.ns)
            now = probe_run_next_due(r).ns;
    }
    probe_run_findings(r, &f);
    check(&f, packets);
    probe_run_free(r);
    return 0;
}
