/* What people ask waits in a bounded queue; what the controller needs has places of its own and comes first.
 */
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
static size_t n_run, n_done;

static void run(struct reader_job *job, struct store_reader *db)
{
    struct job *j = (struct job *)job;

    (void)db;
    if (j->began)
        sem_post(j->began);
    if (j->gate)
        sem_wait(j->gate);
    order[n_run++] = j->name; /* one reader */
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

static void own_jobs_have_places_and_come_first(void **state)
{
    enum { MAX = 3 };
    char dir[] = "/tmp/twreaderXXXXXX", path[64], more[80];
    struct job first = { { run, done, NULL, false }, 1, NULL, NULL }, asked[MAX + 1], own[READER_OWN_MAX + 1];
    struct reader_pool *p = NULL;
    struct tw_err err = { 0 };
    struct store *s = NULL;
    struct loop *l = NULL;
    sem_t gate, began;

    (void)state;
    sem_init(&gate, 0, 0);
    sem_init(&began, 0, 0);
    first.gate = &gate;
    first.began = &began;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/c.db", dir);
    assert_int_equal(store_open(path, &s, &err), TW_OK);
    assert_int_equal(loop_new(&l), TW_OK);
    assert_int_equal(reader_pool_start(l, path, 1, MAX, &p, &err), TW_OK);
    assert_int_equal(reader_submit(p, &first.job), TW_OK);
    sem_wait(&began); /* the reader is busy with it */
    for (int i = 0; i <= MAX; i++) {
        asked[i] = (struct job){ { run, done, NULL, false }, 100 + i, NULL, NULL };
        assert_int_equal(reader_submit(p, &asked[i].job), i < MAX ? TW_OK : TW_EBUSY);
    }
    for (int i = 0; i <= READER_OWN_MAX; i++) {
        own[i] = (struct job){ { run, done, NULL, true }, 10 + i, NULL, NULL };
        assert_int_equal(reader_submit(p, &own[i].job), i < READER_OWN_MAX ? TW_OK : TW_EBUSY);
    }
    assert_int_equal(reader_refused(p), 2);
    sem_post(&gate);
    finish(l, 1 + MAX + READER_OWN_MAX);
    assert_int_equal(order[0], 1);
    for (int i = 0; i < READER_OWN_MAX; i++)
        assert_int_equal(order[1 + i], 10 + i);
    for (int i = 0; i < MAX; i++)
        assert_int_equal(order[1 + READER_OWN_MAX + i], 100 + i);
    reader_pool_stop(p);
    loop_free(l);
    store_close(s);
    snprintf(more, sizeof more, "rm -rf %s", dir);
    assert_int_equal(system(more), 0);
    sem_destroy(&gate);
    sem_destroy(&began);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(own_jobs_have_places_and_come_first) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
