/* The agent's own /metrics: what a scrape says of its pairs, what it leaves out, and in which format. */
#include "tests/unit/agent/schedule_rig.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include "agent/metrics_server.h"

static bool up, troubled;
static uint64_t generation = 7;
static struct reload reload;

static void fill_health(void *ctx, Tw__HealthReport *ret)
{
    (void)ctx;
    ret->generation = generation;
    ret->spool_summaries = 3;
    ret->clock->synced = true;
    if (troubled) {
        ret->clock->synced = false;
        ret->secrets_error = (char *)"secrets:3: expected KEYID";
        ret->restart_needed = (char *)"workers";
        ret->spool_dropped = 5;
        ret->results_refused = 6;
        ret->names_unresolved = 7;
    }
}

static bool is_up(void *ctx)
{
    (void)ctx;
    return up;
}

static size_t ways(void *ctx, struct roam_view ret[HOMING_MAX])
{
    (void)ctx;
    ret[0] = (struct roam_view){ .url = "tls+tcp://c2:8620",
                                 .since_ns = 1790000000 * TW_NS_PER_S,
                                 .why = "Connection refused" };
    ret[1] = (struct roam_view){ .url = "tls+tcp://c1:8620",
                                 .since_ns = 1790000001 * TW_NS_PER_S,
                                 .connected = true };
    ret[2] = (struct roam_view){ .url = "tls+tcp://c3:8620" };
    return 3;
}

static uint64_t moves(void *ctx)
{
    (void)ctx;
    return 4;
}

struct get {
    struct loop *loop;
    uint16_t port;
    const char *path, *headers;
    char *text;
    bool done;
    struct loop_task finished;
};

static void finished(struct loop_task *t)
{
    ((struct get *)t->ctx)->done = true;
}

static void *get_main(void *ctx)
{
    struct get *g = ctx;
    struct sockaddr_in sin = { .sin_family = AF_INET,
                               .sin_port = htons(g->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval tv = { .tv_sec = 20 };
    size_t cap = 1 << 20, len = 0;
    char request[256];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t n;

    g->text = calloc(1, cap);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: a\r\n%s\r\n", g->path, g->headers);
    if (!connect(fd, (struct sockaddr *)&sin, sizeof sin) &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        while (len < cap - 1 && (n = recv(fd, g->text + len, cap - 1 - len, 0)) > 0)
            len += (size_t)n;
    close(fd);
    loop_post(g->loop, &g->finished);
    return NULL;
}

/* A page; the caller frees it. */
static char *ask(struct fx *f, const struct metrics_server *m, const char *path, const char *headers)
{
    struct get g = { .loop = f->loop,
                     .port = metrics_server_port(m),
                     .path = path,
                     .headers = headers,
                     .finished = { .fn = finished, .ctx = &g } };
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, get_main, &g), 0);
    assert_int_equal(loop_run_until(f->loop, &g.done, (struct tw_mono){ tw_mono_now().ns + PATIENCE_NS }),
                     TW_OK);
    pthread_join(t, NULL);
    return g.text;
}

static char *scrape(struct fx *f, const struct metrics_server *m, const char *headers)
{
    return ask(f, m, "/metrics", headers);
}

static struct metrics_server *start(struct fx *f)
{
    struct metrics_server_conf c = { .loop = f->loop,
                                     .address = "127.0.0.1:0",
                                     .name = "ams",
                                     .schedule = f->run,
                                     .fill_health = fill_health,
                                     .is_up = is_up,
                                     .ways = ways,
                                     .moves = moves,
                                     .reload = &reload };
    struct metrics_server *m;
    struct tw_err err = { 0 };

    if (metrics_server_start(&c, &m, &err))
        fail_msg("%s", err.text);
    return m;
}

/* A report period that ends `ago_s` seconds ago. */
static void note(struct metrics_server *m, uint64_t pair_id, uint64_t test_id, int64_t ago_s, uint64_t sent,
                 uint64_t received)
{
    struct tw_summary s;

    summary_init(&s);
    s.pair_id = pair_id;
    s.test_id = test_id;
    s.end_ns = tw_wall_now().ns - ago_s * TW_NS_PER_S;
    s.start_ns = s.end_ns - TW_NS_PER_S;
    s.sent = sent;
    s.received = received;
    for (uint64_t i = 0; i < received; i++)
        hist_add(&s.delay[TW_ROUNDTRIP], 10 * TW_NS_PER_MS);
    metrics_server_note(m, &s);
    summary_free(&s);
}

static void has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no %s in:\n%.6000s", line, text);
}

static void lacks(const char *text, const char *what)
{
    const char *at = strstr(text, what);

    if (at)
        fail_msg("%s is there: %.200s", what, at);
}

#define OF_PAIR "{mesh=\"mesh\",class=\"class\",source=\"ams\",target=\"target\"} "
#define OF_GROUP "{mesh=\"mesh\",class=\"class\",source=\"ams\"} "

static void pairs_and_their_sums(void **state)
{
    struct fx *f = *state;
    struct metrics_server *m;
    char *text;

    add(f, 1, 0);
    add(f, 2, 0);
    apply(f, 1);
    m = start(f);
    up = true;
    note(m, 1, 0, 1, 10, 8);
    note(m, 1, 0, 0, 10, 9);
    note(m, 2, 0, 0, 5, 5);
    note(m, 1, 77, 0, 1000, 1000); /* of a test on demand */
    note(m, 9, 0, 0, 1000, 1000);  /* of a pair that is in no schedule */
    text = scrape(f, m, "");
    has(text, "twamp_agent_pairs" OF_GROUP "2\n");
    has(text, "twamp_agent_probes_sent_total" OF_GROUP "25\n");
    has(text, "twamp_agent_probes_received_total" OF_GROUP "22\n");
    has(text, "twamp_agent_up{agent=\"ams\"} 1\n");
    has(text, "twamp_agent_spool_summaries{agent=\"ams\"} 3\n");
    has(text, "twamp_metrics_lost_total 0\n");
    has(text, "twamp_agent_controller_connected{controller=\"tls+tcp://c2:8620\"} 0\n"
              "twamp_agent_controller_connected{controller=\"tls+tcp://c1:8620\"} 1\n"
              "twamp_agent_controller_connected{controller=\"tls+tcp://c3:8620\"} 0\n");
    has(text, "twamp_agent_controller_moves_total 4\n");
    lacks(text, "1000");
    lacks(text, "summaries_missing"); /* only the controller knows */
    lacks(text, "twamp_completeness_ratio");
    free(text);
    metrics_server_stop(m);
}

static void stale_pairs_have_no_gauges(void **state)
{
    struct fx *f = *state;
    struct metrics_server *m;
    char *text;

    add(f, 1, 0);
    apply(f, 1);
    m = start(f);
    up = false;
    note(m, 1, 0, 4 * 366 * 86400, 10, 8); /* four report periods */
    text = scrape(f, m, "");
    has(text, "twamp_probes_sent_total" OF_PAIR "10\n");
    has(text, "status=\"no_data\"} 1\n");
    lacks(text, "twamp_loss_ratio{");
    has(text, "twamp_agent_up{agent=\"ams\"} 0\n");
    free(text);
    metrics_server_stop(m);
}

/* What leaves the schedule leaves the page, and its sums with it. */
static void nothing_is_left_of_what_is_taken_off(void **state)
{
    struct fx *f = *state;
    struct metrics_server *m;
    char *text;

    add(f, 1, 0);
    apply(f, 1);
    m = start(f);
    note(m, 1, 0, 0, 10, 8);
    apply(f, 2);
    apply(f, 3);
    WAIT(f, f->ended == 1);
    apply(f, 4); /* one more generation, and its names are forgotten */
    apply(f, 5);
    text = scrape(f, m, "");
    lacks(text, "target=\"target\"");
    lacks(text, "twamp_agent_pairs{");
    free(text);
    metrics_server_stop(m);
}

static void formats_and_their_age(void **state)
{
    struct fx *f = *state;
    struct metrics_server *m;
    char *text, *again;

    add(f, 1, 0);
    apply(f, 1);
    m = start(f);
    note(m, 1, 0, 0, 10, 8);
    text = scrape(f, m, "Accept: application/openmetrics-text; version=1.0.0\r\n");
    has(text, "application/openmetrics-text");
    has(text, "\n# EOF\n");
    free(text);
    text = scrape(f, m, "");
    has(text, "text/plain");
    has(text, "Vary: Accept");
    note(m, 1, 0, 0, 10, 8);
    again = scrape(f, m, ""); /* at once: the page that there is */
    has(again, "twamp_probes_sent_total" OF_PAIR "10\n");
    free(again);
    free(text);
    metrics_server_stop(m);
}

static void addresses(void **state)
{
    struct fx *f = *state;
    struct metrics_server_conf c = {
        .loop = f->loop, .address = "nowhere", .name = "ams", .schedule = f->run
    };
    struct metrics_server *m = NULL;
    struct tw_err err = { 0 };

    assert_int_equal(metrics_server_start(&c, &m, &err), TW_EINVAL);
    assert_true(err.text[0] && !m);
    metrics_server_note(NULL, NULL); /* nobody looks */
    metrics_server_stop(NULL);
}

static void readiness_has_its_reasons(void **state)
{
    static const struct {
        bool up, troubled;
        uint64_t generation;
        const char *reload, *status, *page;
    } rows[] = {
        { true, false, 7, "", "200", "ready\n" },
        { true, false, 0, "", "200", "ready\n" },
        { false, false, 7, "", "200", "ready\nwarning: the controller is not connected: results wait in the spool\n" },
        { false, false, 0, "", "503",
          "not ready: it has no controller and no schedule, so it measures nothing\n"
          "warning: the controller is not connected: results wait in the spool\n" },
        { true, true, 7, "configuration: agent.yaml:3: workers: must be 1..64", "200",
          "ready\nwarning: secrets: secrets:3: expected KEYID\nwarning: last reload: configuration: agent.yaml:3: workers: must be 1..64\n"
          "warning: options that need a restart: workers\nwarning: 5 summaries were dropped, the spool being full\n"
          "warning: 6 summaries could not be kept\nwarning: 7 names of targets have no address\n"
          "warning: the clock is not synchronised: one-way delays are not valid\n" },
    };
    static const char list[] =
        "controller tls+tcp://c2:8620: Connection refused, since 2026-09-21T14:13:20.000Z\n"
        "controller tls+tcp://c1:8620: connected, since 2026-09-21T14:13:21.000Z\n"
        "controller tls+tcp://c3:8620: not tried\n";
    struct fx *f = *state;
    struct metrics_server *m = start(f);
    char *page = ask(f, m, "/healthz", "");

    has(page, " 200 ");
    free(page);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        const char *body;
        char want[2048];

        up = rows[i].up;
        troubled = rows[i].troubled;
        generation = rows[i].generation;
        snprintf(reload.error, sizeof reload.error, "%s", rows[i].reload);
        page = ask(f, m, "/readyz", "");
        body = strstr(page, "\r\n\r\n");
        snprintf(want, sizeof want, "%s%s", rows[i].page, list);
        if (!body || strcmp(body + 4, want) || strncmp(page + 9, rows[i].status, 3))
            fail_msg("%zu: %s", i, page);
        free(page);
    }
    troubled = up = false;
    generation = 7;
    reload.error[0] = '\0';
    metrics_server_stop(m);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = { T(pairs_and_their_sums), T(stale_pairs_have_no_gauges),
                                        T(nothing_is_left_of_what_is_taken_off), T(formats_and_their_age),
                                        T(readiness_has_its_reasons), T(addresses) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
