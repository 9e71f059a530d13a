#include "agent/core/homing.h"
#include <string.h>
#include "common/fnv1a.h"
#include "common/splitmix.h"

#define DEAD_MS 7000u
#define DEAD_MAX_MS 45000u
#define PATIENCE_NS \
    (3 * TW_NS_PER_S) /* with an attempt, while there is another one that can be tried, or used */
#define PATIENCE_LAST_NS (30 * TW_NS_PER_S) /* with the last of a round: it may be busy */

/* ---- Rank ---- */

static uint64_t weight(const char *name, const char *url)
{
    uint64_t h = tw_fnv1a(TW_FNV1A_INIT, name, strlen(name) + 1);

    h = tw_fnv1a(h, url, strlen(url));
    return tw_splitmix64(&h);
}

static bool is_better(const struct homing_one *a, const struct homing_one *b)
{
    return a->weight != b->weight ? a->weight > b->weight : strcmp(a->url, b->url) < 0;
}

/* The index of each in `urls` goes to order. */
static void sort(const char *name, const char *const *urls, size_t n, struct homing_one *v, size_t *order)
{
    for (size_t i = 0; i < n; i++) {
        struct homing_one one = { .url = urls[i], .weight = weight(name, urls[i]) };
        size_t at = i;

        for (; at && is_better(&one, &v[at - 1]); at--) {
            v[at] = v[at - 1];
            order[at] = order[at - 1];
        }
        v[at] = one;
        order[at] = i;
    }
}

void homing_rank(const char *name, const char *const *urls, size_t n, size_t ret[HOMING_MAX])
{
    struct homing_one v[HOMING_MAX];

    sort(name, urls, n, v, ret);
}

void homing_init(struct homing *h, const char *name, const char *const *urls, size_t n, uint64_t seed)
{
    size_t order[HOMING_MAX];

    *h = (struct homing){ .n = n,
                          .at = HOMING_NONE,
                          .dialing = HOMING_NONE,
                          .last = HOMING_NONE,
                          .backoff_ns = HOMING_BACKOFF_MIN_NS,
                          .random = seed };
    sort(name, urls, n, h->v, order);
}

/* ---- Waiting ---- */

static int64_t draw(struct homing *h, int64_t bound)
{
    return bound > 0 ? (int64_t)(tw_splitmix64(&h->random) % (uint64_t)bound) : 0;
}

static int64_t hold_of(const struct homing_one *o)
{
    return HOMING_HOLD_NS << (o->strikes ? o->strikes - 1 : 0);
}

static void hold(struct homing *h, struct homing_one *o, struct tw_mono now)
{
    int64_t ns = hold_of(o);

    o->hold_ns = now.ns + ns / 2 + draw(h, ns);
}

/* Full jitter: a thousand agents that lost the same controller do not come back in the same instant. */
static void back_off(struct homing *h, struct tw_mono now)
{
    h->next_ns = now.ns + draw(h, h->backoff_ns);
    h->backoff_ns = h->backoff_ns < HOMING_BACKOFF_MAX_NS / 2 ? 2 * h->backoff_ns : HOMING_BACKOFF_MAX_NS;
}

static void new_round(struct homing *h)
{
    for (size_t i = 0; i < h->n; i++)
        h->v[i].tried = false;
}

void homing_hurry(struct homing *h, struct tw_mono now)
{
    h->next_ns = now.ns;
    for (size_t i = 0; i < h->n; i++)
        h->v[i].retry_ns = h->v[i].hold_ns = 0;
    if (h->at == HOMING_NONE && h->dialing == HOMING_NONE)
        new_round(h);
}

/* ---- What next ---- */

static bool may_try(const struct homing_one *o, struct tw_mono now, bool held)
{
    return !o->tried && o->retry_ns <= now.ns && (held || o->hold_ns <= now.ns);
}

static size_t candidate(const struct homing *h, struct tw_mono now)
{
    for (int held = 0; held < 2; held++)
        for (size_t i = 0; i < h->n; i++)
            if (may_try(&h->v[i], now, held))
                return i;
    return HOMING_NONE;
}

bool homing_has_others(const struct homing *h, struct tw_mono now)
{
    return h->at != HOMING_NONE || candidate(h, now) != HOMING_NONE;
}

static struct homing_step wait_until(int64_t ns)
{
    return (struct homing_step){ HOMING_WAIT, HOMING_NONE, { ns } };
}

static struct homing_step dial(struct homing *h, size_t which, int64_t patience_ns, struct tw_mono now)
{
    h->dialing = which;
    h->v[which].tried = true;
    h->until_ns = h->n > 1 ? now.ns + patience_ns : TW_MONO_NEVER.ns;
    return (struct homing_step){ HOMING_DIAL, which, { h->until_ns } };
}

/* Connected, but a better one may be there again. */
static struct homing_step look_back(struct homing *h, struct tw_mono now)
{
    int64_t due = TW_MONO_NEVER.ns;

    for (size_t i = 0; i < h->at; i++) {
        const struct homing_one *o = &h->v[i];
        int64_t at = o->hold_ns > o->retry_ns ? o->hold_ns : o->retry_ns;

        if (at <= now.ns)
            return dial(h, i, PATIENCE_NS, now);
        if (at < due)
            due = at;
    }
    return wait_until(due);
}

static struct homing_step end_round(struct homing *h, struct tw_mono now)
{
    int64_t due = TW_MONO_NEVER.ns;
    bool tried = false;

    for (size_t i = 0; i < h->n; i++) {
        tried |= h->v[i].tried;
        if (h->v[i].retry_ns < due)
            due = h->v[i].retry_ns;
    }
    if (!tried) /* all want to be left alone */
        return wait_until(due);
    new_round(h);
    h->rounds++;
    back_off(h, now);
    return wait_until(h->next_ns > due ? h->next_ns : due);
}

static struct homing_step search(struct homing *h, struct tw_mono now)
{
    size_t i;

    if (now.ns < h->next_ns)
        return wait_until(h->next_ns);
    i = candidate(h, now);
    if (i == HOMING_NONE)
        return end_round(h, now);
    h->v[i].tried = true;
    return dial(h, i, candidate(h, now) == HOMING_NONE ? PATIENCE_LAST_NS : PATIENCE_NS, now);
}

struct homing_step homing_next(struct homing *h, struct tw_mono now)
{
    if (h->dialing != HOMING_NONE && now.ns >= h->until_ns)
        return (struct homing_step){ HOMING_GIVE_UP, h->dialing, now };
    if (h->dialing != HOMING_NONE)
        return wait_until(h->until_ns);
    return h->at != HOMING_NONE ? look_back(h, now) : search(h, now);
}

/* ---- What became of it ---- */

/* So long did the connection last that ends now. */
static void note_lasted(struct homing *h, int64_t lasted_ns)
{
    if (lasted_ns >= HOMING_STEADY_NS)
        h->backoff_ns = HOMING_BACKOFF_MIN_NS;
    if (lasted_ns >= HOMING_CALM_NS)
        h->silences = 0;
}

void homing_up(struct homing *h, size_t which, struct tw_mono now)
{
    if (h->at != HOMING_NONE)
        note_lasted(h, now.ns - h->since_ns);
    if (h->last != HOMING_NONE && h->last != which)
        h->moves++;
    h->at = h->last = which;
    h->dialing = HOMING_NONE;
    h->since_ns = now.ns;
    h->rounds = 0;
    new_round(h);
}

static void set_retry(struct homing *h, struct homing_one *o, int64_t retry_ns, struct tw_mono now)
{
    if (retry_ns > 0)
        o->retry_ns = now.ns + retry_ns + draw(h, retry_ns);
}

static void attempt_failed(struct homing *h, size_t which, enum homing_end end, struct tw_mono now)
{
    h->dialing = HOMING_NONE;
    if (h->at == HOMING_NONE && end == HOMING_UNWANTED) { /* so say all of them: the round is over */
        for (size_t i = 0; i < h->n; i++)
            h->v[i].tried = true;
        return;
    }
    hold(h, &h->v[which], now);
}

/* Does it lie with the controller, and is another one to be tried before it? */
static bool lies_with_it(enum homing_end end, int64_t lasted_ns)
{
    if (end == HOMING_AGAIN || end == HOMING_UNWANTED)
        return false;
    return end != HOMING_BROKEN || lasted_ns < HOMING_STEADY_NS;
}

static void connection_lost(struct homing *h, enum homing_end end, struct tw_mono now)
{
    struct homing_one *o = &h->v[h->at];
    int64_t lasted_ns = now.ns - h->since_ns;
    int64_t lasting_ns = end == HOMING_AWAY ? HOMING_STEADY_NS /* it was restarted in good order */
                         : hold_of(o) > HOMING_LASTING_NS ? hold_of(o)
                                                          : HOMING_LASTING_NS;

    h->at = HOMING_NONE;
    note_lasted(h, lasted_ns);
    h->silences += end == HOMING_SILENT;
    if (lasted_ns >= lasting_ns)
        o->strikes = 0;
    else if (end != HOMING_AGAIN && end != HOMING_UNWANTED && o->strikes < HOMING_STRIKES_MAX)
        o->strikes++;
    new_round(h);
    if (h->dialing != HOMING_NONE)
        h->v[h->dialing].tried = true;
    if (lies_with_it(end, lasted_ns)) {
        o->tried = h->n > 1; /* else a round of its own */
        hold(h, o, now);
    }
    back_off(h, now);
}

void homing_ended(struct homing *h, size_t which, enum homing_end end, int64_t retry_ns, struct tw_mono now)
{
    if (which == h->at)
        connection_lost(h, end, now);
    else if (which == h->dialing)
        attempt_failed(h, which, end, now);
    else
        return; /* it was given up, or moved away from */
    set_retry(h, &h->v[which], retry_ns, now);
}

/* ---- Silence ---- */

uint32_t homing_dead_ms(const struct homing *h)
{
    unsigned doublings = h->silences > 1 ? h->silences - 1 : 0;

    if (h->n < 2)
        return 0;
    return doublings > 2 || DEAD_MS << doublings > DEAD_MAX_MS ? DEAD_MAX_MS : DEAD_MS << doublings;
}
