/* Differences and parts of schedules: base and request are messages out of the input; what comes of them must
 * be a list that agrees with both, or nothing.
 *
 * Input: two octets (big-endian) say how long the base is; then the base, then the request. */
#include <stddef.h>
#include <stdint.h>
#include "agent/schedule_merge.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(const Tw__ScheduleRequest *rq, const Tw__SessionKey *k)
{
    size_t n = 0;

    for (size_t i = 0; i < rq->n_sessions; i++)
        n += rq->sessions[i]->pair_id == k->pair_id && rq->sessions[i]->flow == k->flow;
    return n;
}

static const Tw__TimesRule *find_rule(Tw__TimesRule **v, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (v[i]->id == id)
            return v[i];
    return NULL;
}

/* What either has of the rules that sessions need, each once, and no other. */
static void check_rules(const Tw__ScheduleRequest *whole, const Tw__ScheduleRequest *x,
                        const Tw__ScheduleRequest *y)
{
    for (size_t i = 0; i < whole->n_sessions; i++) {
        uint64_t id = whole->sessions[i]->times_id;
        bool had = (x && find_rule(x->times, x->n_times, id)) || (y && find_rule(y->times, y->n_times, id));

        CHECK(!id || had == (find_rule(whole->times, whole->n_times, id) != NULL));
    }
    for (size_t i = 0; i < whole->n_times; i++) {
        size_t needed = 0;

        CHECK(find_rule(whole->times, i, whole->times[i]->id) == NULL);
        for (size_t k = 0; k < whole->n_sessions; k++)
            needed += whole->sessions[k]->times_id == whole->times[i]->id;
        CHECK(needed && whole->times[i]->id);
    }
}

static void merge(const Tw__ScheduleRequest *base, const Tw__ScheduleRequest *rq)
{
    Tw__ScheduleRequest *whole = NULL;
    struct tw_err err = { 0 };
    enum tw_rc rc = schedule_merge(base, rq, &whole, &err);

    CHECK((rc == TW_OK) == (whole != NULL));
    CHECK(rc == TW_OK || err.text[0]);
    if (!whole)
        return;
    CHECK(whole->n_sessions == rq->total && !whole->base_digest.len && !whole->n_added && !whole->n_removed);
    CHECK(whole->digest.len == rq->digest.len && whole->generation == rq->generation);
    for (size_t i = 0; i < rq->n_removed; i++) {
        size_t added = 0;
        for (size_t k = 0; k < rq->n_added; k++)
            added += rq->added[k]->pair_id == rq->removed[i]->pair_id &&
                     rq->added[k]->flow == rq->removed[i]->flow;
        CHECK(count(whole, rq->removed[i]) >= added);
    }
    check_rules(whole, base, rq);
    tw__schedule_request__free_unpacked(whole, NULL);
}

static void parts(const Tw__ScheduleRequest *first, const Tw__ScheduleRequest *second)
{
    const Tw__ScheduleRequest *v[] = { first, second };
    struct schedule_parts p = { 0 };

    for (int i = 0; i < 2; i++) {
        Tw__ScheduleRequest *whole = NULL;
        struct tw_err err = { 0 };
        enum tw_rc rc = v[i] ? schedule_parts_take(&p, v[i], &whole, &err) : TW_EAGAIN;

        CHECK((rc == TW_OK) == (whole != NULL));
        if (!whole)
            continue;
        CHECK(whole->n_sessions == v[i]->total && !p.list);
        check_rules(whole, v[i]->part ? v[0] : NULL, v[i]);
        tw__schedule_request__free_unpacked(whole, NULL);
    }
    schedule_parts_drop(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = size >= 2 ? (size_t)data[0] << 8 | data[1] : 0;
    Tw__ScheduleRequest *base, *rq;

    if (size < 2 || len > size - 2 || size > 4096)
        return 0;
    base = tw__schedule_request__unpack(NULL, len, data + 2);
    rq = tw__schedule_request__unpack(NULL, size - 2 - len, data + 2 + len);
    if (rq) {
        merge(base, rq);
        parts(base, rq);
        tw__schedule_request__free_unpacked(rq, NULL);
    }
    if (base)
        tw__schedule_request__free_unpacked(base, NULL);
    return 0;
}
