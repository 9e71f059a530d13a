/* agent/core/session_sample.c - outcomes of single probes, for those who want them. */
#include "agent/core/session_priv.h"

void session_start_sample(const struct session *s, struct session_sample *m, enum sample_kind kind,
                          uint32_t seq, const struct slot *p)
{
    *m = (struct session_sample){ .kind = kind,
                                  .seq = seq,
                                  .size_bytes = session_size_of(s, seq),
                                  .t1 = p->t1_wall,
                                  .t1_used = { p->t1_wall.ns + session_left_ns(p) },
                                  .tx_source = session_tx_source(p),
                                  .ttl_forward = -1,
                                  .ttl_backward = -1,
                                  .tos_forward = -1,
                                  .tos_backward = -1 };
}

struct session_sample *session_add_sample(struct session *s, enum sample_kind kind, uint32_t seq,
                                          const struct slot *p)
{
    struct session_sample *m;

    if (!s->samples)
        return NULL;
    if (s->n_samples == s->cfg.samples) {
        s->sample_first = (s->sample_first + 1) % s->cfg.samples;
        s->n_samples--;
        s->samples_lost++;
    }
    m = &s->samples[((uint64_t)s->sample_first + s->n_samples++) % s->cfg.samples];
    session_start_sample(s, m, kind, seq, p);
    return m;
}

enum tw_rc session_next_sample(struct session *s, struct session_sample *ret)
{
    if (!s->n_samples)
        return TW_EAGAIN;
    *ret = s->samples[s->sample_first];
    s->sample_first = (s->sample_first + 1) % s->cfg.samples;
    s->n_samples--;
    return TW_OK;
}

uint64_t session_samples_lost(const struct session *s)
{
    return s->samples_lost;
}

void session_set_flight(struct session *s, struct flight *f)
{
    s->flight = f;
}
