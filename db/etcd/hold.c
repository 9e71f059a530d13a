#include "db/etcd/hold.h"

#define TENTHS 9 /* of its time that we count on */

void hold_init(struct hold *h, const struct hold_conf *conf)
{
    *h = (struct hold){ .conf = *conf, .next_ns = INT64_MIN };
}

int64_t hold_until(const struct hold *h)
{
    return h->kept_ns + h->ttl_ns / 10 * TENTHS;
}

int64_t hold_number(const struct hold *h, int64_t now_ns)
{
    return h->lease && !h->resigned && now_ns < hold_until(h) ? h->number : 0;
}

static int64_t keep_due(const struct hold *h)
{
    return h->kept_ns + h->ttl_ns / 3;
}

static enum hold_what wanted(const struct hold *h, int64_t now_ns)
{
    if (h->resigned)
        return h->lease ? HOLD_REVOKE : HOLD_NOTHING;
    if (!h->lease)
        return HOLD_GRANT;
    if (now_ns >= keep_due(h))
        return HOLD_KEEP;
    return now_ns >= h->take_ns ? HOLD_TAKE : HOLD_NOTHING;
}

enum hold_what hold_next(struct hold *h, int64_t now_ns)
{
    if (h->asked || now_ns < h->next_ns)
        return HOLD_NOTHING;
    h->asked = wanted(h, now_ns);
    h->asked_ns = now_ns;
    return h->asked;
}

int64_t hold_due(const struct hold *h)
{
    int64_t due = h->take_ns;

    if (h->resigned && !h->lease)
        return INT64_MAX;
    if (!h->lease || h->resigned)
        return h->next_ns;
    if (keep_due(h) < due)
        due = keep_due(h);
    return due > h->next_ns ? due : h->next_ns;
}

/* ---- Answers ---- */

static void lose(struct hold *h)
{
    h->lease = h->number = 0;
}

void hold_granted(struct hold *h, int64_t now_ns, int64_t lease, int64_t ttl_ns)
{
    h->lease = lease;
    h->ttl_ns = ttl_ns;
    h->kept_ns = h->asked_ns;
    h->take_ns = now_ns;
    h->number = 0;
    h->asked = HOLD_NOTHING;
}

/* A key that somebody deleted by hand is not noticed by its lease: so it is looked at, too. */
void hold_kept(struct hold *h, int64_t now_ns, int64_t ttl_ns)
{
    h->asked = HOLD_NOTHING;
    if (ttl_ns <= 0) {
        lose(h);
        return;
    }
    h->ttl_ns = ttl_ns;
    h->kept_ns = h->asked_ns;
    h->take_ns = now_ns;
}

void hold_taken(struct hold *h, int64_t now_ns, int64_t lease, int64_t number)
{
    h->asked = HOLD_NOTHING;
    h->number = lease == h->lease ? number : 0;
    h->take_ns = h->number ? INT64_MAX : now_ns + h->conf.retry_ns;
}

void hold_revoked(struct hold *h)
{
    h->asked = HOLD_NOTHING;
    lose(h);
}

/* A key may have no lease any more (TAKE); KEEP will say so. */
void hold_failed(struct hold *h, int64_t now_ns)
{
    h->asked = HOLD_NOTHING;
    h->next_ns = now_ns + h->conf.retry_ns;
}

void hold_resign(struct hold *h)
{
    h->resigned = true;
    h->next_ns = INT64_MIN;
}
