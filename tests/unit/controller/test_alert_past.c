/* What alert rules stand on, read from a store of known summaries. */
#include "tests/unit/controller/api_fixture.h"
#include "controller/alert_past.h"

#define N 120
#define T0 (INT64_C(472000) * 3600 * TW_NS_PER_S)

struct rig {
    struct fx *f;
    struct alert_pasts *pasts;
    struct pair *p;
    struct reader_pool *readers; /* as the controller's: there later than the rules */
    unsigned learned;
    bool done;
    uint64_t periods;
    size_t parts;
    double sum, part, whole;
    int64_t first_ns, last_ns;
};

static void learn(void *ctx, const struct alert_want *w, struct alert_past *v, size_t n)
{
    struct rig *r = ctx;

    assert_int_equal(w->number, ++r->learned);
    r->periods = 0;
    r->sum = r->part = r->whole = 0;
    r->parts = n;
    r->first_ns = INT64_MAX;
    r->last_ns = 0;
    for (size_t i = 0; i < n; i++) {
        r->periods += v[i].periods;
        assert_true(v[i].value.known && v[i].has_parts && v[i].end_ns - v[i].start_ns <= w->step_ns);
        r->sum += v[i].value.value * (double)v[i].periods;
        r->part += v[i].part;
        r->whole += v[i].whole;
        r->first_ns = v[i].start_ns < r->first_ns ? v[i].start_ns : r->first_ns;
        r->last_ns = v[i].end_ns > r->last_ns ? v[i].end_ns : r->last_ns;
    }
    r->done = true;
}

static uint32_t flows(void *ctx, uint64_t pair_id)
{
    assert_int_equal(pair_id, ((struct rig *)ctx)->p->row.id);
    return 1;
}

static struct alert_want a_want(const struct rig *r, uint64_t number, enum alert_metric m, int64_t from_ns,
                                int64_t step_ns)
{
    struct alert_want w = { .pair_id = r->p->row.id,
                            .number = number,
                            .from_ns = from_ns,
                            .to_ns = T0 + N * FX_PERIOD,
                            .step_ns = step_ns };

    w.rule.metric = m;
    w.rule.direction = m == ALERT_LOSS ? TW_UNKNOWN : TW_ROUNDTRIP;
    return w;
}

static void ask(struct rig *r, const struct alert_want *w)
{
    r->done = false;
    assert_true(alert_pasts_want(r->pasts, w));
    alert_pasts_go(r->pasts);
    fx_run_until(r->f, &r->done, "the past");
}

static void what_is_stored(void **state)
{
    struct rig r = { .f = fx_new(1, 8) };
    const struct alert_pasts_conf c = { .readers = &r.readers, .learn = learn, .flows = flows, .ctx = &r };
    struct alert_want w;
    uint64_t lost = 0, sent = 0;

    (void)state;
    FX_OK(alert_pasts_new(&c, &r.pasts));
    r.p = fx_pair(r.f, "m", "c", "ams", "fra", 1, T0);
    for (int64_t i = 0; i < N; i++) {
        struct tw_summary s = fx_summary(r.f, r.p, 0, T0 + i * FX_PERIOD);
        struct stats_view view;

        stats_view(&s, &view);
        lost += view.lost;
        sent += view.sent;
        fx_store(r.f, &s);
        summary_free(&s);
    }
    w = a_want(&r, 1, ALERT_LOSS, T0, 600 * TW_NS_PER_S);
    assert_true(alert_pasts_want(r.pasts, &w));
    alert_pasts_go(r.pasts); /* there are no readers yet */
    assert_int_equal(alert_pasts_waiting(r.pasts), 1);
    r.readers = r.f->readers;
    alert_pasts_go(r.pasts);
    fx_run_until(r.f, &r.done, "the past");
    assert_int_equal(alert_pasts_waiting(r.pasts), 0);
    assert_int_equal(r.periods, N);
    assert_true(r.part == (double)lost && r.whole == (double)sent);
    assert_int_equal(r.first_ns, T0);
    assert_int_equal(r.last_ns, T0 + N * FX_PERIOD);
    w = a_want(&r, 2, ALERT_P95, T0 + N / 2 * FX_PERIOD, FX_PERIOD);
    ask(&r, &w);
    assert_int_equal(r.periods, N / 2);
    assert_true(r.sum > 0);
    w = a_want(&r, 3, ALERT_P95, T0 + 2 * N * FX_PERIOD, FX_PERIOD); /* nothing is there */
    w.to_ns = w.from_ns + FX_PERIOD;
    ask(&r, &w);
    assert_int_equal(r.parts, 0);
    reader_pool_stop(r.f->readers);
    r.f->readers = NULL;
    alert_pasts_free(r.pasts);
    fx_free(r.f);
}

/* So many that they wait: each is answered once, in its turn, and what is too much is refused. */
static void many_wait(void **state)
{
    struct rig r = { .f = fx_new(1, 8) };
    const struct alert_pasts_conf c = { .readers = &r.readers, .learn = learn, .flows = flows, .ctx = &r };
    uint64_t n = 0;

    (void)state;
    FX_OK(alert_pasts_new(&c, &r.pasts));
    r.p = fx_pair(r.f, "m", "c", "ams", "fra", 1, T0);
    for (bool taken = true; taken;) {
        struct alert_want w = a_want(&r, n + 1, ALERT_LOSS, T0, FX_PERIOD);
        taken = alert_pasts_want(r.pasts, &w);
        n += taken;
    }
    assert_in_range(n, 100, 100000);
    r.readers = r.f->readers;
    alert_pasts_go(r.pasts);
    while (r.learned < n) {
        r.done = false;
        fx_run_until(r.f, &r.done, "all of them");
    }
    assert_int_equal(alert_pasts_waiting(r.pasts), 0);
    reader_pool_stop(r.f->readers);
    r.f->readers = NULL;
    alert_pasts_free(r.pasts);
    fx_free(r.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_stored), cmocka_unit_test(many_wait) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
