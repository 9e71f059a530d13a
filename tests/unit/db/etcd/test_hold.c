/* Who holds a key, simulated: an etcd with leases, and several who want it, with clocks that go wrong,
 * pauses, and requests and answers that are lost or late. HOLD_HOURS=N HOLD_SEED=N in the environment: for
 * longer, or otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/clk.h"
#include "common/splitmix.h"
#include "db/etcd/hold.h"

enum { WHO = 3, LEASES = 64, GHOSTS = 4 };
#define MS TW_NS_PER_MS
#define SECOND TW_NS_PER_S
#define TTL (10 * SECOND)
#define STEP (50 * MS)

static const struct hold_conf conf = { TTL, SECOND / 2 };

/* ---- Etcd ---- */

struct server {
    struct {
        int64_t id, until_ns;
    } lease[LEASES];
    int64_t next_lease, key_lease, key_number, revision;
};

/* A request on its way there, or its answer on its way back. */
struct message {
    enum hold_what what;
    int64_t there_ns, back_ns, lease; /* true time; back_ns INT64_MAX: lost */
    bool done;                        /* the server has it */
    bool failed;
    int64_t got_lease, got_number, got_ttl_ns;
};

struct who {
    struct hold h;
    struct message m, ghost[GHOSTS]; /* ghosts: nobody waits for them any more, and they come all the same */
    int64_t give_up_ns;              /* true time at which the shell waits no longer */
    int64_t offset_ns;
    double rate;       /* of its clock */
    int64_t paused_ns; /* until then it does nothing */
    int64_t number;    /* that it believed in last */
    unsigned restarts;
};

struct world {
    uint64_t seed;
    int64_t now_ns;
    bool calm; /* nothing goes wrong */
    struct server s;
    struct who w[WHO];
    uint64_t holders, changes, handed, idle_steps;
    int64_t highest;
};

static uint64_t draw(struct world *w, uint64_t n)
{
    return tw_splitmix64(&w->seed) % n;
}

static int64_t local(const struct world *w, const struct who *p)
{
    return p->offset_ns + (int64_t)((double)w->now_ns * p->rate);
}

static int64_t *find_lease(struct server *s, int64_t id)
{
    for (int i = 0; i < LEASES; i++)
        if (id && s->lease[i].id == id)
            return &s->lease[i].until_ns;
    return NULL;
}

static void end_lease(struct server *s, int i)
{
    if (s->key_lease == s->lease[i].id)
        s->key_lease = 0;
    s->lease[i].id = 0;
}

/* Leases end late, never early; with a new leader they all last their whole time again. */
static void tick_server(struct world *w)
{
    bool new_leader = !w->calm && draw(w, 40000) == 0;

    for (int i = 0; i < LEASES; i++) {
        if (!w->s.lease[i].id)
            continue;
        if (new_leader)
            w->s.lease[i].until_ns = w->now_ns + TTL;
        if (w->now_ns >= w->s.lease[i].until_ns && draw(w, 10) == 0)
            end_lease(&w->s, i);
    }
}

static void serve_grant(struct world *w, struct message *m)
{
    for (int i = 0; i < LEASES; i++)
        if (!w->s.lease[i].id) {
            w->s.lease[i].id = m->got_lease = ++w->s.next_lease;
            w->s.lease[i].until_ns = w->now_ns + TTL;
            m->got_ttl_ns = TTL;
            return;
        }
    m->failed = true;
}

static void serve_take(struct world *w, struct message *m)
{
    if (!w->s.key_lease && find_lease(&w->s, m->lease)) {
        w->s.key_lease = m->lease;
        w->s.key_number = ++w->s.revision;
    }
    m->failed = !w->s.key_lease;
    m->got_lease = w->s.key_lease;
    m->got_number = w->s.key_number;
}

static void serve(struct world *w, struct message *m)
{
    int64_t *until = find_lease(&w->s, m->lease);

    m->done = true;
    w->s.revision++;
    if (m->what == HOLD_GRANT)
        serve_grant(w, m);
    else if (m->what == HOLD_TAKE)
        serve_take(w, m);
    else if (m->what == HOLD_KEEP && until)
        *until = w->now_ns + (m->got_ttl_ns = TTL);
    else if (m->what == HOLD_REVOKE)
        for (int i = 0; i < LEASES; i++)
            if (w->s.lease[i].id == m->lease)
                end_lease(&w->s, i);
}

/* ---- One who wants it ---- */

static void answer(struct world *w, struct who *p, bool failed)
{
    int64_t now = local(w, p);
    const struct message *m = &p->m;

    if (failed || m->failed)
        hold_failed(&p->h, now);
    else if (m->what == HOLD_GRANT)
        hold_granted(&p->h, now, m->got_lease, m->got_ttl_ns);
    else if (m->what == HOLD_KEEP)
        hold_kept(&p->h, now, m->got_ttl_ns);
    else if (m->what == HOLD_TAKE)
        hold_taken(&p->h, now, m->got_lease, m->got_number);
    else
        hold_revoked(&p->h);
}

/* Nobody waits for it any more. */
static void abandon(struct who *p)
{
    if (p->m.what && !p->m.done && p->m.there_ns < INT64_MAX)
        for (int i = 0; i < GHOSTS; i++)
            if (!p->ghost[i].what) {
                p->ghost[i] = p->m;
                break;
            }
    p->m.what = HOLD_NOTHING;
}

static int64_t some_delay(struct world *w)
{
    if (w->calm || draw(w, 5))
        return (int64_t)draw(w, 20) * MS;
    return (int64_t)draw(w, 20000) * MS; /* also longer than anybody waits, or a lease lasts */
}

static void ask(struct world *w, struct who *p)
{
    enum hold_what what = hold_next(&p->h, local(w, p));

    if (!what)
        return;
    abandon(p);
    p->m = (struct message){ .what = what, .lease = p->h.lease, .there_ns = w->now_ns + some_delay(w) };
    p->m.back_ns = p->m.there_ns + some_delay(w);
    if (!w->calm && draw(w, 20) == 0)
        p->m.there_ns = INT64_MAX; /* lost on its way there */
    if (!w->calm && draw(w, 20) == 0)
        p->m.back_ns = INT64_MAX;
    p->give_up_ns = w->now_ns + TTL / 3;
}

static void restart(struct who *p)
{
    hold_init(&p->h, &conf);
    abandon(p);
    p->restarts++;
}

/* What is on its way arrives also while the one who asked is paused; what it missed is waiting then. */
static void live(struct world *w, struct who *p)
{
    if (p->m.what && !p->m.done && w->now_ns >= p->m.there_ns)
        serve(w, &p->m);
    for (int i = 0; i < GHOSTS; i++)
        if (p->ghost[i].what && w->now_ns >= p->ghost[i].there_ns) {
            serve(w, &p->ghost[i]);
            p->ghost[i].what = HOLD_NOTHING;
        }
    if (w->now_ns < p->paused_ns)
        return;
    if (!w->calm && draw(w, 4000) == 0) {
        p->paused_ns = w->now_ns + (int64_t)draw(w, 60) * SECOND;
        return;
    }
    if (!w->calm && draw(w, 40000) == 0)
        restart(p); /* killed */
    if (!w->calm && draw(w, 40000) == 0)
        hold_resign(&p->h);
    if (p->h.resigned && !p->h.lease && !p->h.asked)
        restart(p);
    if (p->h.asked && p->m.done && w->now_ns >= p->m.back_ns)
        answer(w, p, false);
    else if (p->h.asked && w->now_ns >= p->give_up_ns)
        answer(w, p, true);
    else if (!p->h.asked)
        ask(w, p);
}

/* ---- What must hold ---- */

/* Who acts does so between two looks at its clock: a pause may begin right after it. Its opinion counts while
 * it is not paused. */
static void check(struct world *w)
{
    int64_t held = 0;

    for (int i = 0; i < WHO; i++) {
        int64_t number = hold_number(&w->w[i].h, local(w, &w->w[i]));
        if (!number)
            continue;
        if (held)
            fail_msg("at %.3f s two hold it: %lld and %lld", (double)w->now_ns / 1e9, (long long)held,
                     (long long)number);
        held = number;
        if (number < w->highest)
            fail_msg("at %.3f s %lld holds it after %lld", (double)w->now_ns / 1e9, (long long)number,
                     (long long)w->highest);
        w->changes += number > w->highest;
        w->highest = number;
        if (w->s.key_number != number || !w->s.key_lease)
            fail_msg("at %.3f s %lld holds it by its own opinion only", (double)w->now_ns / 1e9,
                     (long long)number);
    }
    w->holders += held != 0;
    w->idle_steps = held ? 0 : w->idle_steps + 1;
}

static void start_world(struct world *w, uint64_t seed)
{
    *w = (struct world){ .seed = seed };
    for (int i = 0; i < WHO; i++) {
        hold_init(&w->w[i].h, &conf);
        w->w[i].offset_ns = (int64_t)draw(w, 1000000) * SECOND;
        w->w[i].rate = 0.96 + 0.04 * i; /* 4 % slow, right, 4 % fast */
    }
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void at_most_one_at_any_time(void **state)
{
    static struct world w;
    uint64_t hours = setting("HOLD_HOURS", 150), steps = hours * 3600 * SECOND / STEP,
             seed = setting("HOLD_SEED", 1);
    unsigned restarts = 0;

    (void)state;
    start_world(&w, seed);
    for (uint64_t i = 0; i < steps; i++) {
        w.now_ns += STEP;
        w.calm = i % 72000 > 60000; /* 10 minutes of each hour */
        tick_server(&w);
        for (int k = 0; k < WHO; k++)
            live(&w, &w.w[k]);
        check(&w);
        if (w.calm && i % 72000 > 62000 && w.idle_steps > 3 * TTL / STEP)
            fail_msg("at %.3f s nobody has held it for half a minute, and nothing is wrong",
                     (double)w.now_ns / 1e9);
    }
    for (int k = 0; k < WHO; k++)
        restarts += w.w[k].restarts;
    print_message("HOLD_SEED=%llu: %llu hours, held %.1f %% of the time by %llu in turn, %u ends\n",
                  (unsigned long long)seed, (unsigned long long)hours,
                  100.0 * (double)w.holders / (double)steps, (unsigned long long)w.changes, restarts);
    assert_true(w.changes > hours / 2 && w.holders > steps / 2);
}

/* ---- One by one ---- */

static void a_holder_gives_up_in_time(void **state)
{
    struct hold h;

    (void)state;
    hold_init(&h, &conf);
    assert_int_equal(hold_next(&h, 1000), HOLD_GRANT);
    assert_int_equal(hold_next(&h, 2000), HOLD_NOTHING); /* one at a time */
    hold_granted(&h, 3 * SECOND, 77, TTL);
    assert_int_equal(hold_next(&h, 3 * SECOND), HOLD_TAKE);
    hold_taken(&h, 3 * SECOND + 1, 77, 5);
    assert_int_equal(hold_number(&h, 3 * SECOND + 2), 5);
    assert_int_equal(hold_until(&h), 1000 + 9 * SECOND); /* since it asked, not since it heard */
    assert_int_equal(hold_number(&h, 1000 + 9 * SECOND), 0);
    assert_int_equal(hold_next(&h, hold_due(&h)), HOLD_KEEP);
    hold_failed(&h, 5 * SECOND);
    assert_int_equal(hold_next(&h, 5 * SECOND), HOLD_NOTHING);
    assert_int_equal(hold_next(&h, 6 * SECOND), HOLD_KEEP);
    hold_kept(&h, 20 * SECOND, TTL); /* too late to be sure */
    assert_int_equal(hold_number(&h, 20 * SECOND), 0);
    assert_int_equal(hold_next(&h, 20 * SECOND), HOLD_KEEP);
    hold_kept(&h, 20 * SECOND, TTL);
    assert_int_equal(hold_number(&h, 20 * SECOND), 5); /* it never was another's */
    assert_int_equal(hold_next(&h, 20 * SECOND), HOLD_TAKE);
    hold_taken(&h, 20 * SECOND, 78, 9); /* but was taken by hand */
    assert_int_equal(hold_number(&h, 20 * SECOND), 0);
    assert_int_equal(hold_next(&h, 21 * SECOND), HOLD_TAKE);
    hold_taken(&h, 21 * SECOND, 77, 11); /* an earlier try */
    assert_int_equal(hold_number(&h, 21 * SECOND), 11);
    assert_int_equal(hold_next(&h, 25 * SECOND), HOLD_KEEP);
    hold_kept(&h, 25 * SECOND, 0);
    assert_int_equal(hold_number(&h, 25 * SECOND), 0);
    assert_int_equal(hold_next(&h, 25 * SECOND), HOLD_GRANT);
    hold_granted(&h, 25 * SECOND, 79, TTL);
    hold_resign(&h);
    assert_int_equal(hold_next(&h, 25 * SECOND), HOLD_REVOKE);
    hold_revoked(&h);
    assert_int_equal(hold_next(&h, 26 * SECOND), HOLD_NOTHING);
    assert_true(hold_due(&h) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_holder_gives_up_in_time),
        cmocka_unit_test(at_most_one_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
