/* Sessions of protocol TWAMP against a real control server on loopback: agreed, run, changed, lost, refused.
 */
#include "tests/unit/agent/schedule_rig.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static size_t find_secret(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    static const char passphrase[] = "old-passphrase"; /* as in setup_with_keys() */

    (void)ctx;
    if (which || strcmp(key_id, "site") || cap < sizeof passphrase)
        return 0;
    memcpy(ret, passphrase, sizeof passphrase - 1);
    return sizeof passphrase - 1;
}

static void listen_with(struct fx *f, uint32_t modes, uint16_t port, uint32_t max_sessions)
{
    struct ctl_listener_cfg c = { .loop = f->loop,
                                  .workers = f->workers,
                                  .n_workers = WORKERS,
                                  .modes = modes,
                                  .secret = find_secret,
                                  .count = 1024,
                                  .max_sessions = max_sessions };
    struct tw_addr a;
    struct tw_err err = { 0 };

    assert_int_equal(tw_addr_parse("127.0.0.1", port, &c.listen[0]), TW_OK);
    if (ctl_listener_start(&c, &f->control, &err))
        fail_msg("%s", err.text);
    assert_int_equal(ctl_listener_addr(f->control, 0, &a), TW_OK);
    f->control_port = a.port;
}

static int setup_with_control(void **state)
{
    setup_with_keys(state);
    listen_with(*state, TWAMP_SECURITY | TWAMP_FEATURES, 0, 0);
    return 0;
}

static Tw__SessionSpec *add_agreed(struct fx *f, uint64_t pair, uint32_t flow, Tw__Auth auth)
{
    Tw__SessionSpec *p = add(f, pair, flow);

    p->protocol = TW__PROTOCOL__PROTOCOL_TWAMP;
    p->port = f->control_port;
    p->auth = auth;
    p->key_id = (char *)(auth ? "site" : "");
    p->size_bytes = 100;
    return p;
}

static struct ctl_listener_counters control(struct fx *f)
{
    struct ctl_listener_counters c;

    ctl_listener_counters(f->control, &c);
    return c;
}

/* ---- Tests ---- */

/* Two flows on one connection, in every mode; then an orderly end with one summary each. */
static void every_mode(void **state)
{
    struct fx *f = *state;

    for (uint64_t pair = 1; pair <= 4; pair++)
        for (uint32_t flow = 0; flow < 2; flow++)
            add_agreed(f, pair, flow, (Tw__Auth)(pair - 1))->dscp = 46;
    apply(f, 1);
    for (uint64_t pair = 1; pair <= 4; pair++)
        WAIT(f, totals_of(f, pair).received >= 40);
    assert_int_equal(control(f).connections, 4);
    assert_int_equal(control(f).sessions, 8);
    assert_int_equal(refusals(f), 0);
    apply(f, 2);
    WAIT(f, f->ended == 8 && control(f).connections == 0 && control(f).sessions == 0);
    for (uint64_t pair = 1; pair <= 4; pair++) {
        if (f->seen[pair].n != 2 || f->seen[pair].sent != f->seen[pair].received ||
            strcmp(f->seen[pair].names, "mesh/class/target"))
            fail_msg("pair %u: %u summaries, %u sent, %u received, of %s", (unsigned)pair, f->seen[pair].n,
                     (unsigned)f->seen[pair].sent, (unsigned)f->seen[pair].received, f->seen[pair].names);
        assert_int_equal(f->seen[pair].tos_forward_min, 46 << 2); /* RFC 7750, which this server offers */
    }
    assert_int_equal(f->seen[1].last_generation, 1);
    assert_int_equal(control(f).closed[CTL_WHY_PEER], 4); /* after Stop-Sessions, by us */
}

static void a_new_generation_goes_on(void **state)
{
    struct fx *f = *state;

    add_agreed(f, 1, 0, TW__AUTH__AUTH_ENCRYPTED);
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 10);
    add_agreed(f, 1, 0, TW__AUTH__AUTH_ENCRYPTED);
    apply(f, 2);
    received_more(f, 1);
    assert_int_equal(f->seen[1].n, 0);
    assert_int_equal(control(f).accepted, 1);
    apply(f, 3);
    WAIT(f, f->seen[1].n == 1);
    assert_int_equal(f->seen[1].last_generation, 2);
}

/* Other settings: the old session ends in order, the new one is agreed on a connection of its own. */
static void a_change_agrees_anew(void **state)
{
    struct fx *f = *state;

    add_agreed(f, 1, 0, TW__AUTH__AUTH_NONE);
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 10);
    add_agreed(f, 1, 0, TW__AUTH__AUTH_MIXED)->size_bytes = 200;
    add_agreed(f, 1, 1, TW__AUTH__AUTH_MIXED)->size_bytes = 200;
    apply(f, 2);
    WAIT(f, f->seen[1].n == 1 && control(f).sessions == 2 && totals_of(f, 1).received >= 20);
    assert_int_equal(f->seen[1].sent, f->seen[1].received);
    assert_int_equal(control(f).accepted, 2);
    add(f, 1, 0); /* Light, then, and one flow less */
    apply(f, 3);
    WAIT(f, f->ended == 3 && control(f).connections == 0);
    received_more(f, 1);
}

/* The server goes: sessions end, the reason is told; it comes back: they run again by themselves. */
static void a_lost_connection_is_dialled_again(void **state)
{
    struct fx *f = *state;
    unsigned applied;
    uint16_t port = f->control_port;

    add_agreed(f, 1, 0, TW__AUTH__AUTH_NONE);
    add_agreed(f, 1, 1, TW__AUTH__AUTH_NONE);
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 10);
    applied = f->applied;
    ctl_listener_stop(f->control);
    f->control = NULL;
    WAIT(f, refusals(f) == 2);
    assert_non_null(strstr(refusal_of(f, 1, 0), "TWAMP-Control with 127.0.0.1:"));
    assert_true(f->applied > applied); /* the controller hears of it */
    WAIT(f, f->ended == 2 && f->seen[1].n == 2);
    add_agreed(f, 1, 0, TW__AUTH__AUTH_NONE)->port = port; /* a new generation does not hide it */
    add_agreed(f, 1, 1, TW__AUTH__AUTH_NONE)->port = port;
    apply(f, 2);
    assert_int_equal(refusals(f), 2);
    listen_with(f, TWAMP_OPEN, port, 0);
    WAIT(f, refusals(f) == 0 && totals_of(f, 1).received >= 10);
    assert_int_equal(schedule_run_sessions(f->run), 2);
}

static void what_the_server_refuses_is_told(void **state)
{
    struct fx *f = *state;

    ctl_listener_stop(f->control);
    listen_with(f, TWAMP_ENCRYPTED, 0, 0);
    add_agreed(f, 1, 0, TW__AUTH__AUTH_NONE); /* not offered */
    add_agreed(f, 2, 0, TW__AUTH__AUTH_ENCRYPTED);
    apply(f, 1);
    WAIT(f, *refusal_of(f, 1, 0) && totals_of(f, 2).received >= 10);
    assert_string_equal(refusal_of(f, 2, 0), "");
    ctl_listener_stop(f->control);
    listen_with(f, TWAMP_SECURITY, 0, 1); /* one session in all: the others are refused, that one runs */
    for (uint32_t flow = 0; flow < 3; flow++)
        add_agreed(f, 3, flow, TW__AUTH__AUTH_NONE);
    apply(f, 2);
    WAIT(f, refusals(f) == 2 && totals_of(f, 3).received >= 10);
    assert_string_equal(refusal_of(f, 3, 0), "");
    assert_non_null(strstr(refusal_of(f, 3, 2), "the server refuses the session"));
    WAIT(f, strstr(refusal_of(f, 3, 1), "TWAMP-Control with")); /* tried again, on its own */
    received_more(f, 3);
    assert_int_equal(f->seen[3].n, 0);        /* the one that runs was left alone */
    for (uint32_t flow = 1; flow < 3; flow++) /* it goes: there is room for another */
        add_agreed(f, 3, flow, TW__AUTH__AUTH_NONE);
    apply(f, 3);
    WAIT(f, f->seen[3].n == 1);
    WAIT(f, refusals(f) == 1 && totals_of(f, 3).received >= 10);
    apply(f, 4);
    WAIT(f, control(f).connections == 0 && sessions_in_workers(f) == 0);
}

static void a_wrong_passphrase_is_told(void **state)
{
    struct fx *f = *state;

    new_secrets(f, "site another-passphrase\n");
    add_agreed(f, 1, 0, TW__AUTH__AUTH_AUTHENTICATED);
    apply(f, 1);
    WAIT(f, *refusal_of(f, 1, 0));
    assert_int_equal(totals_of(f, 1).received, 0);
    new_secrets(f, "site old-passphrase\n"); /* the next try is with this one */
    WAIT(f, !*refusal_of(f, 1, 0) && totals_of(f, 1).received >= 10);
}

/* Somebody who takes connections and says nothing, and nobody at all. */
static void servers_that_are_none(void **state)
{
    struct fx *f = *state;
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    add_agreed(f, 1, 0, TW__AUTH__AUTH_NONE)->port = ntohs(sin.sin_port); /* not listening */
    apply(f, 1);
    WAIT(f, strstr(refusal_of(f, 1, 0), "refused"));
    assert_int_equal(listen(fd, 4), 0);
    WAIT(f, strstr(refusal_of(f, 1, 0), "TWAMP-Control") && !strstr(refusal_of(f, 1, 0), "refused"));
    apply(f, 2); /* and it can be given up at any time */
    assert_int_equal(refusals(f), 0);
    close(fd);
}

/* However schedules follow each other, in the end what runs is what the last one says. */
static void many_changes_in_a_row(void **state)
{
    struct fx *f = *state;

    for (uint64_t g = 1; g <= 30; g++) {
        for (uint32_t flow = 0; flow < g % 4; flow++)
            add_agreed(f, 1, flow, (Tw__Auth)(g % 3))->size_bytes = (uint32_t)(100 + g % 2);
        apply(f, g);
        for (uint64_t i = 0; i < g % 5; i++)
            turn(f);
    }
    for (uint32_t flow = 0; flow < 2; flow++)
        add_agreed(f, 1, flow, TW__AUTH__AUTH_NONE);
    apply(f, 31);
    WAIT(f, control(f).sessions == 2 && sessions_in_workers(f) == 2);
    received_more(f, 1);
    assert_int_equal(refusals(f), 0);
    apply(f, 32);
    WAIT(f, control(f).connections == 0 && sessions_in_workers(f) == 0);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup_with_control, teardown)
    const struct CMUnitTest tests[] = {
        ROW(every_mode),
        ROW(a_new_generation_goes_on),
        ROW(a_change_agrees_anew),
        ROW(a_lost_connection_is_dialled_again),
        ROW(what_the_server_refuses_is_told),
        ROW(a_wrong_passphrase_is_told),
        ROW(servers_that_are_none),
        ROW(many_changes_in_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
