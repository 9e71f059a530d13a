/* How far spools are stored, asked of a history that others write, too, when agents connect. */
#include <pthread.h>
#include "controller/learn.h"
#include "db/history.h"
#include "db/store_priv.h"
#include "tests/unit/controller/fixture.h"

#define ELSEWHERE 41 /* that others stored of each spool */
enum { CROWD = MAX_FAKES };

/* A history that others write: learn_cursors() finds it, once it is let go. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stands_still, learned;
    unsigned questions, agents;
    enum tw_rc rc;
    const struct history_ops *real;
    struct history_ops ops;
} others = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static enum tw_rc learn_cursors(struct history *h, const int64_t *agent_ids, size_t n, struct tw_err *err)
{
    (void)h;
    pthread_mutex_lock(&others.lock);
    others.questions++;
    others.agents += (unsigned)n;
    for (size_t i = 0; i < n; i++)
        assert_true(agent_ids[i] > 0);
    while (others.stands_still)
        pthread_cond_wait(&others.changed, &others.lock);
    others.learned = true;
    pthread_mutex_unlock(&others.lock);
    return others.rc ? tw_err_set(err, others.rc, "not today") : TW_OK;
}

static enum tw_rc cursor(struct history *h, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                         struct store_cursor *ret, struct tw_err *err)
{
    if (!others.learned)
        return others.real->cursor(h, agent_id, spool_id, ret, err);
    *ret = (struct store_cursor){ .through = ELSEWHERE };
    return TW_OK;
}

static void stand_still(bool yes)
{
    pthread_mutex_lock(&others.lock);
    others.stands_still = yes;
    pthread_cond_broadcast(&others.changed);
    pthread_mutex_unlock(&others.lock);
}

static unsigned asked(void)
{
    unsigned n;

    pthread_mutex_lock(&others.lock);
    n = others.questions;
    pthread_mutex_unlock(&others.lock);
    return n;
}

static struct learn_counters counted(struct fixture *f)
{
    struct learn_counters n;

    learn_counters(f->c->learn, &n);
    return n;
}

/* Its agents are approved and away; from then on it shares its history. */
static struct fixture *shared_fleet(void **state, size_t n)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "a%zu", i);
        bring_up(f, name, "127.0.0.1");
    }
    for (size_t i = 0; i < f->n_fakes; i++)
        stop_fake(f->fakes[i]);
    stop_controller(f);
    f->shared = true;
    start_controller(f);
    others.real = f->c->store->history->ops;
    others.ops = *others.real;
    others.ops.learn_cursors = learn_cursors;
    others.ops.cursor = cursor;
    others.questions = others.agents = 0;
    others.learned = others.stands_still = false;
    others.rc = TW_OK;
    f->c->store->history->ops = &others.ops; /* its thread has nothing to do yet */
    return f;
}

static uint64_t welcomed_through(const struct fake *a)
{
    return rpc_client_welcome(a->client).through_seq;
}

static void come(struct fake *a)
{
    struct fixture *f = a->f;

    connect_fake(a);
    WAIT(a->peer);
}

static void an_agent_goes_on_where_another_controller_stood(void **state)
{
    struct fixture *f = shared_fleet(state, 1);
    struct fake *a = f->fakes[0];

    come(a);
    assert_int_equal(welcomed_through(a), ELSEWHERE);
    assert_int_equal(asked(), 1);
    assert_int_equal(counted(f).late, 0);
    stop_fake(a);
    WAIT(!inventory_agent(&f->c->inv, "a0")->peer);
    come(a); /* it may have been elsewhere since */
    assert_int_equal(asked(), 2);
    assert_int_equal(counted(f).spools, 2);
}

static bool all_up(struct fixture *f)
{
    size_t up = 0;

    for (size_t i = 0; i < f->n_fakes; i++)
        up += f->fakes[i]->peer != NULL;
    return up == f->n_fakes;
}

/* One is being asked for when all the others come. */
static void many_at_once_are_two_questions(void **state)
{
    struct fixture *f = shared_fleet(state, CROWD);

    stand_still(true);
    connect_fake(f->fakes[0]);
    WAIT(asked() == 1);
    for (size_t i = 1; i < CROWD; i++)
        connect_fake(f->fakes[i]);
    WAIT(counted(f).waiting == CROWD);
    stand_still(false);
    WAIT(all_up(f));
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(welcomed_through(f->fakes[i]), ELSEWHERE);
    assert_int_equal(counted(f).spools, CROWD);
    assert_int_equal(counted(f).waiting, 0);
    assert_int_equal(asked(), 2);
}

static void nobody_waits_for_long(void **state)
{
    struct fixture *f = shared_fleet(state, 1);
    struct fake *a = f->fakes[0];
    int64_t began_ns;

    stand_still(true);
    began_ns = tw_mono_now().ns;
    come(a);
    assert_true(tw_mono_now().ns - began_ns >= LEARN_WAIT_NS);
    assert_int_equal(welcomed_through(a), 0);
    assert_int_equal(counted(f).late, 1);
    assert_int_equal(ingest_cursor(f->c->ingest, 1, a->spool_id).through, 0);
    stand_still(false); /* the answer counts all the same */
    WAIT(ingest_cursor(f->c->ingest, 1, a->spool_id).through == ELSEWHERE);
}

static void who_fails_to_ask_goes_on_with_what_is_known(void **state)
{
    struct fixture *f = shared_fleet(state, 1);

    others.rc = TW_EINVAL;
    come(f->fakes[0]);
    assert_int_equal(welcomed_through(f->fakes[0]), 0);
    assert_int_equal(counted(f).late, 0);
}

static void a_stop_does_not_wait(void **state)
{
    struct fixture *f = shared_fleet(state, 2);

    stand_still(true);
    connect_fake(f->fakes[0]);
    WAIT(asked() == 1);
    connect_fake(f->fakes[1]);
    WAIT(counted(f).waiting == 2);
    stand_still(false);
}

static void alone_nobody_is_asked(void **state)
{
    struct fixture *f = *state;

    bring_up(f, "a", "127.0.0.1");
    assert_int_equal(counted(f).questions, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_agent_goes_on_where_another_controller_stood),
        T(many_at_once_are_two_questions),
        T(nobody_waits_for_long),
        T(who_fails_to_ask_goes_on_with_what_is_known),
        T(a_stop_does_not_wait),
        T(alone_nobody_is_asked),
    };

    return cmocka_run_group_tests_name("learn", tests, NULL, NULL);
}
