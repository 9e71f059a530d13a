/* agent/io/worker_tally.c - counts packets that `doctor` of another agent sent to our reflectors: did they
 * come, and what became of them? The loop sets a token in a free place, the worker counts there, the loop
 * reads and frees it. Between the two there are only atomics: a count that is a packet late does no harm. */
#include <string.h>
#include "agent/io/worker_priv.h"

_Static_assert(sizeof(struct tw_addr) % sizeof(uint64_t) == 0, "an address is kept in whole words");

/* ---- Loop thread ---- */

static struct tally *find(struct worker *w, uint64_t token)
{
    for (size_t i = 0; i < WORKER_TALLIES; i++)
        if (atomic_load_explicit(&w->tallies[i].token, memory_order_acquire) == token)
            return &w->tallies[i];
    return NULL;
}

enum tw_rc worker_tally_begin(struct worker *w, uint64_t token)
{
    struct tally *t;

    if (!token || (token & DIAG_KIND_MASK))
        return TW_EINVAL;
    if (find(w, token))
        return TW_EEXIST;
    t = find(w, 0);
    if (!t)
        return TW_EBUSY;
    for (size_t k = 0; k < DIAG_KINDS; k++)
        for (size_t i = 0; i < TALLY_COUNTS; i++)
            atomic_store_explicit(&t->n[k][i], 0, memory_order_relaxed);
    for (size_t i = 0; i < TW_NELEM(t->from); i++)
        atomic_store_explicit(&t->from[i], 0, memory_order_relaxed);
    atomic_store_explicit(&t->token, token, memory_order_release);
    atomic_fetch_add_explicit(&w->n_tallies, 1, memory_order_relaxed);
    return TW_OK;
}

static uint64_t count(const struct tally *t, size_t kind, enum tally_count c)
{
    return atomic_load_explicit(&t->n[kind][c], memory_order_relaxed);
}

enum tw_rc worker_tally_end(struct worker *w, uint64_t token, struct worker_tally *ret)
{
    struct tally *t = token ? find(w, token) : NULL;
    uint64_t from[TW_NELEM(t->from)];

    if (!t)
        return TW_ENOENT;
    memset(ret, 0, sizeof *ret);
    for (size_t k = 0; k < DIAG_KINDS; k++) {
        ret->kind[k].came = count(t, k, TALLY_CAME);
        ret->kind[k].answered = count(t, k, TALLY_ANSWERED);
        ret->kind[k].not_allowed = count(t, k, TALLY_NOT_ALLOWED);
        ret->kind[k].auth_demanded = count(t, k, TALLY_AUTH_DEMANDED);
        ret->kind[k].refused = count(t, k, TALLY_REFUSED);
        ret->kind[k].send_errors = count(t, k, TALLY_SEND_ERRORS);
    }
    for (size_t i = 0; i < TW_NELEM(from); i++)
        from[i] = atomic_load_explicit(&t->from[i], memory_order_relaxed);
    memcpy(&ret->from, from, sizeof ret->from);
    atomic_store_explicit(&t->token, 0, memory_order_release);
    atomic_fetch_sub_explicit(&w->n_tallies, 1, memory_order_relaxed);
    return TW_OK;
}

/* ---- Worker thread ---- */

/* token: with the kind in its lowest bits. NULL: nobody asked for it. */
static struct tally *wanted(struct worker *w, uint64_t token, size_t *ret_kind)
{
    *ret_kind = token & DIAG_KIND_MASK;
    if (!(token & ~DIAG_KIND_MASK) || *ret_kind >= DIAG_KINDS)
        return NULL;
    return find(w, token & ~DIAG_KIND_MASK);
}

static void add(struct tally *t, size_t kind, enum tally_count c)
{
    atomic_fetch_add_explicit(&t->n[kind][c], 1, memory_order_relaxed);
}

static enum tally_count fate(enum tw_rc rc, const struct reflect_counters *before,
                             const struct reflect_counters *after)
{
    if (rc == TW_OK)
        return TALLY_ANSWERED;
    if (after->not_allowed != before->not_allowed)
        return TALLY_NOT_ALLOWED;
    return after->auth_demanded != before->auth_demanded ? TALLY_AUTH_DEMANDED : TALLY_REFUSED;
}

void tally_datagram(struct worker *w, const struct udp_in *in, enum tw_rc rc,
                    const struct reflect_counters *before, const struct reflect_counters *after)
{
    size_t kind;
    struct tally *t = wanted(w, diag_token_of(in->data, in->len), &kind);
    uint64_t from[TW_NELEM(t->from)];

    if (!t)
        return;
    memcpy(from, &in->from, sizeof from);
    for (size_t i = 0; i < TW_NELEM(from); i++)
        atomic_store_explicit(&t->from[i], from[i], memory_order_relaxed);
    add(t, kind, TALLY_CAME);
    add(t, kind, fate(rc, before, after));
}

void tally_unsent(struct worker *w, const uint8_t *answer, size_t len)
{
    uint32_t seq;
    size_t kind;
    struct tally *t = tally_wanted(w) ? wanted(w, diag_returned(answer, len, &seq), &kind) : NULL;

    if (t)
        add(t, kind, TALLY_SEND_ERRORS);
}
