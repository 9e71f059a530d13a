/* Who is there, as each says of itself: over one etcd in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clk.h"
#include "common/log.h"
#include "db/etcd/presence.h"
#include "tests/unit/db/etcd/fake_etcd.h"

#define SLOTS 3

/* So many copies of texts find no memory. */
static atomic_int no_memory;

char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    if (no_memory > 0 && no_memory--)
        return NULL;
    return __real_strdup(s);
}

#define WAIT(condition)                                             \
    for (int tries = 0; !(condition); tries++) {                    \
        if (tries > 2000)                                           \
            fail_msg("waited for " #condition ", found %s", found); \
        usleep(5000);                                               \
    }

static void changed(void *ctx)
{
    (void)ctx;
}

static struct presence *begin(const char *name)
{
    static const struct http_location at = { .name = (char *)"c" };
    const struct presence_conf c = {
        .at = &at, .name = name, .ttl_ns = 2 * TW_NS_PER_S, .slots = SLOTS, .changed = changed
    };
    struct tw_err err = { 0 };
    struct presence *p;

    assert_int_equal(presence_start(&c, &p, &err), TW_OK);
    return p;
}

static void say(struct presence *p, unsigned slot, const char *text)
{
    presence_put(p, slot, __real_strdup(text));
}

/* "a/0=one a/1=two", of those with a lease, or of those that stay: whatever order etcd has. */
static char found[512];

static void note_living(void *ctx, const struct presence_text *t)
{
    size_t len = strlen(found);

    if ((t->lease != 0) == *(const bool *)ctx)
        snprintf(found + len, sizeof found - len, "%s%s/%u=%s", len ? " " : "", t->name, t->slot, t->text);
}

static const char *heard(struct presence *p, bool living)
{
    found[0] = '\0';
    presence_read(p, note_living, &living);
    return found;
}

static const char *error_of(struct presence *p)
{
    static struct presence_state s;
    const bool living = true;

    s = presence_read(p, note_living, (void *)&living);
    return s.error;
}

static int setup(void **state)
{
    (void)state;
    fake_etcd_reset();
    log_init("test", LOG_ERROR_, LOG_TEXT);
    return 0;
}

static void others_hear_who_comes_and_goes(void **state)
{
    struct presence *a = begin("a"), *b = begin("b");

    (void)state;
    say(a, 0, "one");
    WAIT(!strcmp(heard(b, true), "a/0=one"));
    WAIT(!strcmp(heard(b, false), "a/0=one"));
    say(a, 2, "two");
    WAIT(!strcmp(heard(b, true), "a/0=one a/2=two"));
    presence_put(a, 2, NULL);
    WAIT(!strcmp(heard(b, true), "a/0=one"));
    presence_stop(a, "gone");
    WAIT(!strcmp(heard(b, true), "") && !strcmp(heard(b, false), "a/0=gone"));
    presence_forget(b, "a");
    WAIT(!strcmp(heard(b, false), ""));
    presence_stop(b, NULL);
}

/* Nobody has kept its lease while it stood still. */
static void who_was_away_for_too_long_is_there_again(void **state)
{
    struct presence *a = begin("a"), *b = begin("b");

    (void)state;
    say(a, 0, "one");
    say(a, 1, "two");
    WAIT(!strcmp(heard(b, true), "a/0=one a/1=two"));
    fake_etcd_end_leases();
    WAIT(!strcmp(heard(b, true), ""));
    WAIT(!strcmp(heard(b, true), "a/0=one a/1=two"));
    presence_stop(a, NULL);
    presence_stop(b, NULL);
}

/* Revisions begin again at the snapshot's: what comes is heard all the same, and what is gone is not there.
 */
static void an_older_snapshot_is_heard(void **state)
{
    struct presence *a = begin("a"), *b = begin("b");

    (void)state;
    say(a, 0, "one");
    WAIT(!strcmp(heard(b, true), "a/0=one"));
    fake_etcd_save();
    say(a, 1, "two");
    WAIT(!strcmp(heard(b, true), "a/0=one a/1=two"));
    say(a, 1, "three");
    WAIT(!strcmp(heard(b, true), "a/0=one a/1=three"));
    fake_etcd_restore();
    WAIT(!strcmp(heard(b, true), "a/0=one"));
    say(a, 2, "four");
    WAIT(!strcmp(heard(b, true), "a/0=one a/2=four"));
    presence_stop(a, NULL);
    presence_stop(b, NULL);
}

static void without_memory_it_is_said_later(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        struct presence *a = begin("a"), *b = begin("b");

        say(b, 0, "x");
        WAIT(!strcmp(heard(a, true), "b/0=x"));
        no_memory = n;
        say(a, 0, "one");
        say(a, 1, "two");
        say(a, 2, "three");
        WAIT(!no_memory);
        WAIT(strstr(heard(a, true), "a/0=one") && strstr(found, "a/1=two") && strstr(found, "a/2=three"));
        WAIT(!strcmp(error_of(a), ""));
        WAIT(strstr(heard(a, false), "a/0=one"));
        presence_stop(a, NULL);
        presence_stop(b, NULL);
        fake_etcd_reset();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(others_hear_who_comes_and_goes, setup),
        cmocka_unit_test_setup(who_was_away_for_too_long_is_there_again, setup),
        cmocka_unit_test_setup(an_older_snapshot_is_heard, setup),
        cmocka_unit_test_setup(without_memory_it_is_said_later, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
