/* agent/core/session_order.c - which probes and answers overtook each other, RFC 4737. Only first answers in
 * time take part. */
#include "agent/core/session_priv.h"

/* How far around an overtaken answer its neighbours are compared with it. */
#define ORDER_SCAN_MAX 1024

static void count_overtaken(struct session *s, struct slot *p)
{
    struct period *period = session_period_for(s, p);

    p->overtaken = true;
    if (period)
        period->sum.reordered_forward++;
}

static bool is_numbered(const struct session *s, uint32_t seq, const struct slot *p)
{
    return p->state == SLOT_RECEIVED && (int32_t)(seq - s->s_numbered_from) >= 0;
}

/* The answer came out of order, so probes on both sides of it are known whose order at the reflector its
 * number now tells: those sent later but numbered lower overtook it; those sent before and numbered higher
 * were overtaken by it. */
static void compare_neighbours(struct session *s, uint32_t seq, struct slot *p)
{
    uint32_t later = s->s_max_numbered - seq, earlier = s->span - 1 - (s->next_seq - 1 - seq);

    if ((int32_t)later < 0)
        later = 0;
    for (uint32_t i = later < ORDER_SCAN_MAX ? later : ORDER_SCAN_MAX; i > 0; i--) {
        const struct slot *q = slot_at(s, seq + i);
        if (is_numbered(s, seq + i, q) && (int32_t)(q->r - p->r) < 0) {
            count_overtaken(s, p);
            lossdir_overtaken(s->lossdir, i);
            break;
        }
    }
    for (uint32_t i = 1; i <= earlier && i <= ORDER_SCAN_MAX; i++) {
        struct slot *q = slot_at(s, seq - i);
        if (!is_numbered(s, seq - i, q) || (int32_t)(q->r - p->r) <= 0)
            continue;
        if (!q->overtaken)
            count_overtaken(s, q);
        lossdir_overtaken(s->lossdir, i);
    }
}

/* A late answer takes no part in order, but its number may say that the probe was overtaken on the way out,
 * by so much that it counted as lost: the probes lose their order further than those in time show. */
void session_overtaken_late(struct session *s, uint32_t seq, const struct slot *p)
{
    uint32_t later = s->s_max_numbered - seq;

    if (!s->any_number || (int32_t)later <= 0 || (int32_t)(seq - s->s_numbered_from) < 0)
        return;
    for (uint32_t i = later < ORDER_SCAN_MAX ? later : ORDER_SCAN_MAX; i > 0; i--) {
        const struct slot *q = slot_at(s, seq + i);
        if (is_numbered(s, seq + i, q) && (int32_t)(q->r - p->r) < 0) {
            lossdir_overtaken(s->lossdir, i);
            return;
        }
    }
}

static void start_numbers(struct session *s, uint32_t seq, uint32_t r, uint32_t from)
{
    s->any_number = true;
    s->r_max = r;
    s->s_max_numbered = seq;
    s->s_numbered_from = from;
}

/* By the reflector's numbers: order on the way out, and of the answers on the way back. */
static void order_by_number(struct session *s, uint32_t seq, struct slot *p, struct period *period)
{
    if ((int32_t)(p->r - s->r_max) < 0) {
        if (period && lossdir_is_stateful(s->lossdir)) /* else the number is the probe's own */
            period->sum.reordered_backward++;
        compare_neighbours(s, seq, p);
    } else {
        s->r_max = p->r;
        if ((int32_t)(seq - s->s_max_numbered) < 0) {
            count_overtaken(s, p);
            lossdir_overtaken(s->lossdir, s->s_max_numbered - seq);
        }
    }
    if ((int32_t)(seq - s->s_max_numbered) > 0)
        s->s_max_numbered = seq;
}

void session_order(struct session *s, uint32_t seq, struct slot *p, struct period *period,
                   enum lossdir_seen seen)
{
    if (!s->any_answer || (int32_t)(seq - s->s_max) > 0)
        s->s_max = seq;
    else if (period)
        period->sum.reordered_roundtrip++;
    s->any_answer = true;
    if ((int32_t)(seq - s->s_numbered_from) > INT32_MAX / 2) /* before it looks like one yet to come */
        s->s_numbered_from = seq - (s->span - 1);

    if (!s->any_number || seen == LOSSDIR_RESTART) {
        start_numbers(s, seq, p->r, seen == LOSSDIR_RESTART ? seq : s->cfg.seq_start);
    } else if (seen == LOSSDIR_NEW) {
        order_by_number(s, seq, p, period);
    }
}
