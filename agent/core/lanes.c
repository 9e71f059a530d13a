#include "agent/core/lanes.h"

/* A stretch for which there is no room is sent again, which does no harm. */
static void take_durable(struct lanes *l)
{
    if (l->grant.through)
        (void)seqset_add(&l->sent, 1, l->grant.through);
    for (size_t i = 0; i < l->grant.ahead.n; i++)
        (void)seqset_add(&l->sent, l->grant.ahead.v[i].first, l->grant.ahead.v[i].last);
}

void lanes_reset(struct lanes *l, const struct lanes_grant *g)
{
    l->grant = *g;
    l->sent = (struct seqset){ 0 };
    take_durable(l);
    l->fresh = seqset_end(&l->sent) + 1;
}

void lanes_ack(struct lanes *l, const struct lanes_grant *g)
{
    l->grant.window = g->window;
    l->grant.backlog_per_s = g->backlog_per_s;
    if (g->through < l->grant.through)
        return;
    l->grant.through = g->through;
    l->grant.ahead = g->ahead;
    l->grant.anchored |= g->anchored;
    take_durable(l);
}

/* What has been sent and is not durable, of the numbers up to `last`. */
static uint64_t flying_to(const struct lanes *l, uint64_t last)
{
    uint64_t n = 0;

    for (size_t i = 0; i < l->sent.n; i++) {
        uint64_t first = l->sent.v[i].first, end = l->sent.v[i].last;

        if (first <= l->grant.through)
            first = l->grant.through + 1;
        n += seqset_count_missing(&l->grant.ahead, first, end < last ? end : last);
    }
    return n;
}

static uint64_t flying(const struct lanes *l)
{
    return flying_to(l, UINT64_MAX - 1);
}

/* The first that have to go in the fresh lane: none if first > last_seq. */
static struct seq_span next_fresh(const struct lanes *l, uint64_t last_seq)
{
    struct seq_span part = { last_seq + 1, last_seq };

    if (l->fresh <= last_seq)
        (void)seqset_missing(&l->sent, l->fresh, last_seq, &part);
    return part;
}

/* The first stretch of the backlog. */
static bool next_backlog(const struct lanes *l, struct seq_span *ret)
{
    return l->fresh > 1 && seqset_missing(&l->sent, 1, l->fresh - 1, ret);
}

bool lanes_lags(const struct lanes *l, uint64_t last_seq)
{
    uint64_t next = next_fresh(l, last_seq).first;

    return l->grant.anchored && l->grant.max && last_seq >= next && last_seq - next >= LANES_JUMP_MIN;
}

/* The stretch that begins at the mark is one more than there are now; the first of `sent` is none. */
static bool has_room(const struct lanes *l)
{
    size_t max = l->grant.max < SEQSET_MAX - 1 ? l->grant.max : SEQSET_MAX - 1;

    return (l->sent.n ? l->sent.n - 1 : 0) < max;
}

void lanes_jump(struct lanes *l, uint64_t last_seq, uint64_t fresh_seq)
{
    uint64_t next = next_fresh(l, last_seq).first;

    if (lanes_lags(l, last_seq) && fresh_seq > next && fresh_seq - next >= LANES_JUMP_MIN && has_room(l))
        l->fresh = fresh_seq;
}

static void pick(struct lanes_pick *p, const struct seq_span *v, uint64_t most)
{
    p->first = v->first;
    p->gap_last = p->last = v->last;
    if (v->last - v->first >= most)
        p->last = v->first + most - 1;
}

/* Numbers of the window that are the backlog's, whatever comes fresh: else it would wait for ever on a line
 * that takes no more than that. */
static uint64_t share_of(const struct lanes *l)
{
    uint64_t share = l->grant.window / LANES_BACKLOG_PART;

    return share ? share : l->grant.window > 1;
}

/* What of that is free. */
static uint64_t free_share(const struct lanes *l)
{
    uint64_t share = share_of(l), out = flying_to(l, l->fresh - 1);

    return share > out ? share - out : 0;
}

static bool pick_fresh(const struct lanes *l, uint64_t last_seq, uint64_t out, struct lanes_pick *ret)
{
    struct seq_span next = next_fresh(l, last_seq), hole;
    bool ahead = next_backlog(l, &hole);
    uint64_t kept = ahead ? free_share(l) : 0;

    if (next.first > last_seq || out + kept >= l->grant.window)
        return false;
    *ret = (struct lanes_pick){ .ahead = ahead };
    pick(ret, &next, l->grant.window - out - kept);
    return true;
}

/* So many numbers of the backlog may go. Not in small pieces: only if half of what it may have is free. */
static uint64_t backlog_room(const struct lanes *l, uint64_t out)
{
    uint64_t most = l->grant.window / 2 < LANES_BACKLOG_FLYING ? l->grant.window / 2 : LANES_BACKLOG_FLYING;
    uint64_t room = free_share(l), left = l->grant.window - out;

    if (2 * out <= most)
        return most > out ? most - out : 1;
    if (2 * room < share_of(l))
        return 0;
    return room < left ? room : left;
}

static bool pick_backlog(const struct lanes *l, struct tw_mono now, uint64_t out, struct lanes_pick *ret)
{
    struct seq_span hole;
    uint64_t room;

    if (now.ns < l->backlog_due_ns || !next_backlog(l, &hole))
        return false;
    room = backlog_room(l, out);
    if (!room)
        return false;
    *ret = (struct lanes_pick){ .backlog = true };
    pick(ret, &hole, room);
    return true;
}

bool lanes_next(const struct lanes *l, uint64_t last_seq, struct tw_mono now, struct lanes_pick *ret)
{
    uint64_t out = flying(l);

    if (out >= l->grant.window || (!l->grant.anchored && out))
        return false;
    return pick_fresh(l, last_seq, out, ret) || pick_backlog(l, now, out, ret);
}

struct tw_mono lanes_due(const struct lanes *l, struct tw_mono now)
{
    struct seq_span hole;

    return now.ns < l->backlog_due_ns && next_backlog(l, &hole) ? (struct tw_mono){ l->backlog_due_ns }
                                                                : TW_MONO_NEVER;
}

void lanes_sent(struct lanes *l, const struct lanes_pick *p, uint64_t last, uint64_t records,
                struct tw_mono now)
{
    int64_t from_ns = l->backlog_due_ns > now.ns ? l->backlog_due_ns : now.ns;

    /* has_room() has seen to it, unless the controller has more stretches than it says it takes: what was
     * sent must be noted, or it is sent for ever. What is forgotten for it is sent again. */
    if (seqset_add(&l->sent, p->first, last) == TW_ENOSPC) {
        l->sent.n--;
        (void)seqset_add(&l->sent, p->first, last);
    }
    if (p->backlog && l->grant.backlog_per_s)
        l->backlog_due_ns = from_ns + (int64_t)records * TW_NS_PER_S / l->grant.backlog_per_s;
}

uint64_t lanes_backlog(const struct lanes *l, uint64_t first_seq)
{
    return first_seq && first_seq < l->fresh ? seqset_count_missing(&l->sent, first_seq, l->fresh - 1) : 0;
}
