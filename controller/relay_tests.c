/* Which tests on demand run at which controller. */
#include <stdio.h>
#include <string.h>

#include "controller/ondemand.h"
#include "controller/relay_priv.h"

static bool same_tests(const struct relay_running *a, const struct relay_running *b)
{
    for (size_t i = 0; i < RELAY_TESTS_MAX; i++)
        if (a[i].id != b[i].id)
            return false;
    return true;
}

/* Whoever asks elsewhere waits for a new one to be known, and not for how it goes: that is told when somebody
 * asks. */
void relay_tests_look(struct relay *r)
{
    Tw__TestInfo infos[RELAY_TESTS_MAX];
    struct relay_running v[RELAY_TESTS_MAX] = { 0 };
    size_t n = ondemand_tests(r->c->ondemand, infos, RELAY_TESTS_MAX);

    for (size_t i = 0; i < n; i++) {
        v[i].id = infos[i].test_id;
        v[i].queued = infos[i].queued;
        v[i].running = infos[i].running;
        v[i].done = infos[i].done;
        v[i].failed = infos[i].failed;
        snprintf(v[i].state, sizeof v[i].state, "%s", infos[i].state);
    }
    if (!memcmp(v, r->tests, sizeof v))
        return;
    r->tests_changed = same_tests(v, r->tests) ? RELAY_TIDIER : RELAY_NEWS;
    memcpy(r->tests, v, sizeof v);
    r->n_tests = n;
}

size_t relay_tests_fill(struct relay *r, Tw__RelayTest v[RELAY_TESTS_MAX],
                        Tw__RelayTest *list[RELAY_TESTS_MAX])
{
    for (size_t i = 0; i < r->n_tests; i++) {
        const struct relay_running *t = &r->tests[i];

        tw__relay_test__init(&v[i]);
        v[i].test_id = t->id;
        v[i].state = (char *)t->state;
        v[i].queued = t->queued;
        v[i].running = t->running;
        v[i].done = t->done;
        v[i].failed = t->failed;
        list[i] = &v[i];
    }
    r->tests_changed = RELAY_SAME;
    return r->n_tests;
}

bool relay_test_info(const struct relay *r, uint64_t test_id, Tw__TestInfo *ret)
{
    const struct relay_running *t = NULL;

    if (!r || !relay_theirs_test(&r->theirs, test_id, &t))
        return false;
    ret->state = (char *)t->state;
    ret->queued = t->queued;
    ret->running = t->running;
    ret->done = t->done;
    ret->failed = t->failed;
    return true;
}
