/* tests/sim/sim_check.c - what must hold while a simulation runs and when it is over. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_priv.h"

void sim_check(struct sim *s, bool ok, const char *what)
{
    if (ok)
        return;
    printf("  at %.6f s: %s\n", (double)s->now_ns / 1e9, what);
    s->bad++;
}
static bool knows_all(const struct sim *s)
{
    return s->sc->mirror == MIRROR_PORT || s->sc->mirror == MIRROR_CONTROLLED;
}

/* The first answer in time has the delays that the truth has. */
static void take_samples(struct sim *s)
{
    const uint32_t padding = STAMP_TLV_BIT(STAMP_TLV_PADDING);
    struct session_sample m;

    while (session_next_sample(s->session, &m) == TW_OK) {
        size_t i = m.seq - s->cfg.seq_start;
        const struct truth_probe *p = &s->truth.probe[i];
        s->samples[m.kind]++;
        if (m.kind != SAMPLE_RECEIVED)
            continue;
        sim_check(s, p->received && m.t1.ns == p->t1_wall && m.reflector_seq == p->r && m.timed == p->timed,
                  "a sample is not of its probe");
        sim_check(s, truth_times(&s->truth, i, m.tx_source == TW_TS_KERNEL, m.followed_up),
                  "a sample knows a time that nobody told");
        sim_check(s,
                  m.t1_used.ns == (p->left_used ? p->left_wall : p->t1_wall) &&
                      m.t3_used.ns == (p->followed_up ? p->t3_left : p->t3),
                  "a sample's times are wrong");
        sim_check(s, !m.timed || (m.forward_ns == p->d[TW_FORWARD] && m.backward_ns == p->d[TW_BACKWARD]),
                  "a sample's delays are wrong");
        sim_check(s, m.tos_forward == (sim_form_tells_tos(&s->sc->form) && knows_all(s) ? TOS : -1),
                  "a sample's TOS is wrong");
        sim_check(s, !m.tlvs.malformed && !m.tlvs.integrity && !m.tlvs.unrecognised,
                  "a sample's TLVs are in disorder");
        sim_check(s,
                  !s->sc->form.tlvs || (m.tlvs.answered & ~padding) == (knows_all(s) ? s->sc->form.tlvs : 0),
                  "a TLV is not answered");
    }
}

void sim_take_summaries(struct sim *s)
{
    struct session_totals t;

    take_samples(s);

    for (;;) {
        s->sum = realloc(s->sum, (s->n_sum + 1) * sizeof *s->sum);
        if (!s->sum)
            abort();
        summary_init(&s->sum[s->n_sum]);
        truth_clock(&s->truth, sim_now(s));
        if (session_next_summary(s->session, sim_now(s), &s->sum[s->n_sum]) != TW_OK)
            break;
        s->n_sum++;
    }
    session_totals(s->session, &t);
    sim_check(s, t.sent == t.received + t.lost + t.in_flight && t.in_flight <= t.sent,
              "sent is not received + lost + in flight");
    sim_check(s, !session_summaries_lost(s->session), "a summary was lost");
}

void sim_check_counters(struct sim *s)
{
    struct session_totals t;
    struct reflect_counters n;

    take_samples(s);
    session_totals(s->session, &t);
    sim_check(s, !session_samples_lost(s->session), "a sample was lost");
    sim_check(s,
              s->samples[SAMPLE_RECEIVED] == t.received && s->samples[SAMPLE_LOST] == t.lost &&
                  s->samples[SAMPLE_LATE] == t.late && s->samples[SAMPLE_DUPLICATE] == t.duplicates &&
                  s->samples[SAMPLE_SEND_ERROR] == t.send_errors,
              "samples are not what the totals say");
    sim_check(s, t.auth_failed == s->corrupt_answers, "answers that are not authentic are miscounted");
    mirror_counters(s->mirror, &n);
    if (s->sc->restart_every_s <= 0)
        sim_check(s, n.auth_failed + n.auth_demanded == s->refused,
                  "the reflector miscounted what it refused");
}

/* Of each twelve probes sent, seven, four and one. */
void sim_check_size(struct sim *s, size_t len)
{
    const uint16_t *size = s->cfg.imix_bytes;
    unsigned *n = s->mix;

    if (!size[0])
        return;
    for (int i = 0; i < 3; i++)
        n[i] += len == size[i];
    if (n[0] + n[1] + n[2] < 12 && s->truth.n % 12)
        return;
    sim_check(s, n[0] == 7 && n[1] == 4 && n[2] == 1, "the mix of sizes is not 7:4:1");
    memset(n, 0, sizeof s->mix);
}

static uint64_t excess(uint64_t said, uint64_t truth)
{
    return said > truth ? said - truth : 0;
}

void sim_add_tally(const struct sim *s, struct tally *t)
{
    for (size_t i = 0; i < s->n_sum && i < s->truth.n_period; i++) {
        struct truth_lost lost = truth_lost_in(&s->truth, i);
        t->forward += s->sum[i].lost_forward;
        t->backward += s->sum[i].lost_backward;
        t->unknown += s->sum[i].lost_unknown;
        t->lost += lost.forward + lost.backward;
        t->true_forward += lost.forward;
        t->wrong_forward += excess(s->sum[i].lost_forward, lost.forward);
        t->wrong_backward += excess(s->sum[i].lost_backward, lost.backward);
    }
    t->probes += s->truth.n;
}
