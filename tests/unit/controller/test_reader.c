/* What people ask waits in a bounded queue in which clients take turns; what the controller needs has places
 * of its own and comes first. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/net/now.h"
#include "controller/reader.h"

struct job {
    struct reader_job job; /* first */
    int name;
    sem_t *gate; /* waited for; NULL: nothing */
    sem_t *began;
};

static int order[64];
static size_t n_run, n_done; /* with one reader */

static void run(struct reader_job *job, struct store_reader *db)
{
    struct job *j = (struct job *)job;

    (void)db;
    if (j->began)
        sem_post(j->began);
    if (j->gate)
        sem_wait(j->gate);
    order[n_run++] = j->name;
}

static void done(struct reader_job *job)
{
    (void)job;
    n_done++;
}

static bool never;

static void finish(struct loop *l, size_t n)
{
    int64_t until = tw_mono_now().ns + 20 * TW_NS_PER_S;

    while (n_done < n) {
        loop_run_until(l, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
        assert_true(tw_mono_now().ns < until);
    }
}

struct rig {
    char dir[32];
    struct store *s;
    struct loop *l;
    struct reader_pool *p;
    sem_t gate, began;
    struct job first; /* keeps a reader busy until release() */
};

static struct job make(int name)
{
    return (struct job){ .job = { .run = run, .done = done }, .name = name };
}

static void hold(struct rig *r, struct job *j)
{
    j->gate = &r->gate;
    j->began = &r->began;
    assert_int_equal(reader_submit(r->p, &j->job), TW_OK);
    sem_wait(&r->began);
}

static void set_up(struct rig *r, unsigned threads, unsigned max)
{
    struct tw_err err = { 0 };
    char path[64];

    *r = (struct rig){ .dir = "/tmp/twreaderXXXXXX" };
    n_run = n_done = 0;
    sem_init(&r->gate, 0, 0);
    sem_init(&r->began, 0, 0);
    assert_non_null(mkdtemp(r->dir));
    snprintf(path, sizeof path, "%s/c.db", r->dir);
    assert_int_equal(store_open(path, &r->s, &err), TW_OK);
    assert_int_equal(loop_new(&r->l), TW_OK);
    assert_int_equal(
        reader_pool_start(r->l, &(struct store_where){ .control = path }, threads, max, &r->p, &err), TW_OK);
    r->first = make(1);
    hold(r, &r->first);
}

static void tear_down(struct rig *r)
{
    char more[80];

    reader_pool_stop(r->p);
    loop_free(r->l);
    store_close(r->s);
    snprintf(more, sizeof more, "rm -rf %s", r->dir);
    assert_int_equal(system(more), 0);
    sem_destroy(&r->gate);
    sem_destroy(&r->began);
}

static enum tw_rc submit_for(struct rig *r, uint64_t client, bool bulk, struct job *j)
{
    struct reader_client before = reader_on_behalf(r->p, (struct reader_client){ client, bulk });
    enum tw_rc rc = reader_submit(r->p, &j->job);

    reader_on_behalf(r->p, before);
    return rc;
}

static void own_jobs_have_places_and_come_first(void **state)
{
    enum { MAX = 3 };
    struct job asked[MAX + 1], own[READER_OWN_MAX + 1];
    struct rig r;

    (void)state;
    set_up(&r, 1, MAX);
    for (int i = 0; i <= MAX; i++) {
        asked[i] = make(100 + i);
        assert_int_equal(reader_submit(r.p, &asked[i].job), i < MAX ? TW_OK : TW_EBUSY);
    }
    for (int i = 0; i <= READER_OWN_MAX; i++) {
        own[i] = make(10 + i);
        own[i].job.own = true;
        assert_int_equal(reader_submit(r.p, &own[i].job), i < READER_OWN_MAX ? TW_OK : TW_EBUSY);
    }
    assert_int_equal(reader_refused(r.p), 2);
    assert_int_equal(reader_refused_client(r.p), 0);
    sem_post(&r.gate);
    finish(r.l, 1 + MAX + READER_OWN_MAX);
    assert_int_equal(order[0], 1);
    for (int i = 0; i < READER_OWN_MAX; i++)
        assert_int_equal(order[1 + i], 10 + i);
    for (int i = 0; i < MAX; i++)
        assert_int_equal(order[1 + READER_OWN_MAX + i], 100 + i);
    tear_down(&r);
}

/* One who asks for all that there is leaves a quarter of the places, and has every second turn. */
static void clients_take_turns(void **state)
{
    struct job hog[7], other[2];
    const int want[] = { 1, 100, 200, 101, 201, 102, 103, 104, 105 };
    struct rig r;

    (void)state;
    set_up(&r, 1, 8);
    for (int i = 0; i < 7; i++) {
        hog[i] = make(100 + i);
        assert_int_equal(submit_for(&r, 1, false, &hog[i]), i < 6 ? TW_OK : TW_EBUSY);
    }
    assert_int_equal(reader_refused_client(r.p), 1);
    for (int i = 0; i < 2; i++) {
        other[i] = make(200 + i);
        assert_int_equal(submit_for(&r, 2, false, &other[i]), TW_OK);
    }
    assert_int_equal(submit_for(&r, 3, false, &hog[6]), TW_EBUSY); /* the ninth of all */
    assert_int_equal(reader_refused(r.p), 2);
    assert_int_equal(reader_refused_client(r.p), 1);
    sem_post(&r.gate);
    finish(r.l, TW_NELEM(want));
    for (size_t i = 0; i < TW_NELEM(want); i++)
        assert_int_equal(order[i], want[i]);
    tear_down(&r);
}

struct follow {
    struct job job; /* first */
    struct rig *r;
    struct job next;
};

static void go_on(struct reader_job *job)
{
    struct follow *f = (struct follow *)job;

    assert_int_equal(reader_submit(f->r->p, &f->next.job), TW_OK);
    done(job);
}

/* What follows from a job in its done() waits as its client's, and is bulk if that was. */
static void what_follows_is_of_the_same_client(void **state)
{
    struct follow f = { .job = make(2), .next = make(3) };
    struct job after = make(4);
    struct rig r;

    (void)state;
    set_up(&r, 1, 8);
    f.r = &r;
    f.job.job.done = go_on;
    assert_int_equal(submit_for(&r, 7, true, &f.job), TW_OK);
    sem_post(&r.gate);
    finish(r.l, 3);
    assert_int_equal(f.next.job.item.client, 7);
    assert_true(f.next.job.item.bulk);
    assert_int_equal(reader_submit(r.p, &after.job), TW_OK); /* it is over */
    assert_int_equal(after.job.item.client, 0);
    assert_false(after.job.item.bulk);
    finish(r.l, 4);
    tear_down(&r);
}

/* Whatever exports want: of two readers one is free of them. */
static void bulk_leaves_a_reader(void **state)
{
    struct job bulk = make(2), quick = make(3);
    struct rig r;

    (void)state;
    set_up(&r, 2, 8);
    sem_post(&r.gate);
    finish(r.l, 1);
    r.first = make(1);
    r.first.job.bulk = true;
    hold(&r, &r.first);
    assert_int_equal(submit_for(&r, 2, true, &bulk), TW_OK);
    assert_int_equal(submit_for(&r, 3, false, &quick), TW_OK);
    finish(r.l, 2); /* the first one still runs */
    assert_int_equal(n_run, 2);
    assert_int_equal(order[1], 3);
    sem_post(&r.gate);
    finish(r.l, 4);
    assert_int_equal(order[2], 1);
    assert_int_equal(order[3], 2);
    tear_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_jobs_have_places_and_come_first),
        cmocka_unit_test(clients_take_turns),
        cmocka_unit_test(what_follows_is_of_the_same_client),
        cmocka_unit_test(bulk_leaves_a_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
