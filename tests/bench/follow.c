/* tests/bench/follow.c - what it costs a controller that another one changes the control state: an agent
 * joins a full mesh there. The change is written behind the controller's back, as a mirror of control state
 * does it; it is told the keys. No agent is connected.
 *
 * usage: bench_follow [AGENTS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/controller.h"
#include "controller/enrolment.h"
#include "controller/follow.h"
#include "controller/writer.h"

#define DAY (86400 * TW_NS_PER_S)

struct bench {
    struct loop *loop;
    struct controller *c;
    char dir[64], data[96];
    size_t n;
    struct loop_timer tick;
    int64_t ticked_ns, longest_ns;
};

static void die(const char *what, const struct tw_err *err)
{
    fprintf(stderr, "follow: %s: %s\n", what, err ? err->text : "failed");
    exit(1);
}

static void must(enum tw_rc rc, const char *what, const struct tw_err *err)
{
    if (rc != TW_OK)
        die(what, err);
}

/* ---- What is stored ---- */

static void put_agent(struct store *s, size_t i, struct tw_err *err)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    struct store_agent a = { .approved = true, .approved_ns = 1, .first_seen_ns = 1, .software = "bench" };
    char address[32], *addresses[] = { address }, stamp[] = "stamp", *can[] = { stamp };

    snprintf(a.name, sizeof a.name, "a%05zu", i);
    snprintf(address, sizeof address, "10.%zu.%zu.1", i / 200, i % 200);
    memcpy(a.public_key, &i, sizeof i);
    rq.n_addresses = 1;
    rq.addresses = addresses;
    rq.n_capabilities = 1;
    rq.capabilities = can;
    rq.reflector_port = 862;
    a.enrolment = enrolment_to_json(&rq, "");
    must(store_put_agent(s, &a, err), "agent", err);
    free(a.enrolment);
}

static void put_pair(struct store *s, size_t from, size_t to, struct tw_err *err)
{
    char source[16], target[16];
    struct store_pair p = { .mesh = "all", .class_name = "x", .source = source, .target = target };

    snprintf(source, sizeof source, "a%05zu", from);
    snprintf(target, sizeof target, "a%05zu", to);
    must(store_put_pair(s, &p, err), "pair", err);
}

static void put_generation(struct store *s, uint64_t number, struct tw_err *err)
{
    struct store_generation g = { .number = number, .time_ns = 1, .author = "a", .what = "w", .reason = "" };

    must(store_put_generation(s, &g, err), "generation", err);
}

static void fill(struct bench *b)
{
    static const char document[] = "mesh: all\ntopology: full\ngroups: { all: { select: \"*\" } }\n"
                                   "members: [\"@all\"]\nclasses: { x: {} }\n";
    struct store_mesh m = {
        .name = "all", .document = document, .generation = 1, .changed_ns = 1, .author = "a"
    };
    char path[128];
    struct tw_err err = { 0 };
    struct store *s;

    snprintf(path, sizeof path, "%s/controller.db", b->data);
    must(store_open(path, &s, &err), "store", &err);
    must(store_begin(s, &err), "begin", &err);
    for (size_t i = 0; i < b->n; i++)
        put_agent(s, i, &err);
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < b->n; k++)
            if (i != k)
                put_pair(s, i, k, &err);
    must(store_put_mesh(s, &m, &err), "mesh", &err);
    put_generation(s, 1, &err);
    must(store_commit(s, &err), "commit", &err);
    store_close(s);
}

/* ---- What another controller does ---- */

struct other {
    struct writer_job job; /* first */
    size_t n;
    bool done;
};

static enum tw_rc run_join(struct writer_job *j, struct store *s, struct tw_err *err)
{
    size_t n = ((struct other *)j)->n;

    put_agent(s, n, err);
    for (size_t i = 0; i < n; i++) {
        put_pair(s, i, n, err);
        put_pair(s, n, i, err);
    }
    put_generation(s, 2, err);
    return TW_OK;
}

static void join_done(struct writer_job *j)
{
    ((struct other *)j)->done = true;
}

/* ---- How long the loop does nothing else ---- */

static void on_tick(struct loop_timer *t)
{
    struct bench *b = t->ctx;
    int64_t now = tw_mono_now().ns;

    if (b->ticked_ns && now - b->ticked_ns > b->longest_ns)
        b->longest_ns = now - b->ticked_ns;
    b->ticked_ns = now;
    if (loop_timer_set(b->loop, t, (struct tw_mono){ now }) != TW_OK)
        die("timer", NULL);
}

static void run_until(struct bench *b, bool (*cond)(const struct bench *b))
{
    const bool never = false;

    while (!cond(b))
        loop_run_until(b->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
}

static bool is_even(const struct bench *b)
{
    return follow_is_even(b->c);
}

static void follow_join(struct bench *b)
{
    struct other o = { .job = { .run = run_join, .done = join_done, .urgent = true }, .n = b->n };
    const bool never = false;
    char(*text)[64] = calloc(b->n + 3, sizeof *text);
    const char **keys = calloc(b->n + 3, sizeof *keys);
    int64_t begin_ns;

    must(writer_submit(b->c->writer, &o.job), "job", NULL);
    while (!o.done)
        loop_run_until(b->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
    for (size_t i = 0; i <= b->n; i++)
        snprintf(text[i], sizeof text[i], "pair/all/x/a%05zu", i);
    snprintf(text[b->n + 1], sizeof text[0], "agent/%zu", b->n + 1);
    snprintf(text[b->n + 2], sizeof text[0], "generation/2");
    for (size_t i = 0; i < b->n + 3; i++)
        keys[i] = text[i];
    b->tick = (struct loop_timer){ .fn = on_tick, .ctx = b };
    on_tick(&b->tick);
    begin_ns = tw_mono_now().ns;
    follow_changed(b->c, keys, b->n + 3);
    run_until(b, is_even);
    printf("  in memory after %38.0f ms\n", (double)(tw_mono_now().ns - begin_ns) / 1e6);
    printf("  looks at the store %35llu\n", (unsigned long long)follow_stats(b->c).rounds);
    printf("  longest that the loop did nothing else %15.1f ms\n", (double)b->longest_ns / 1e6);
    printf("  longest piece of it %34.1f ms\n", (double)follow_stats(b->c).longest_ns / 1e6);
    printf("  pairs %48zu\n", b->c->inv.pairs.n);
    loop_timer_cancel(b->loop, &b->tick);
    free(keys);
    free(text);
}

int main(int argc, char **argv)
{
    struct bench b = { .n = argc > 1 ? (size_t)atoi(argv[1]) : 1000, .dir = "/tmp/twbench-XXXXXX" };
    char fleet[128], admin[128], cmd[128];
    struct tw_err err = { 0 };

    log_init("bench", LOG_ERROR_, LOG_TEXT);
    if (!mkdtemp(b.dir))
        die("no temporary directory", NULL);
    snprintf(b.data, sizeof b.data, "%s", b.dir);
    snprintf(fleet, sizeof fleet, "ipc://%s/fleet.sock", b.dir);
    snprintf(admin, sizeof admin, "ipc://%s/ctl.sock", b.dir);
    fill(&b);
    must(loop_new(&b.loop), "loop", NULL);
    must(controller_start(&(struct controller_conf){ .loop = b.loop,
                                                     .listen = fleet,
                                                     .admin_listen = admin,
                                                     .http = "off",
                                                     .data_dir = b.data,
                                                     .name = "bench",
                                                     .shared = true,
                                                     .keep = { { DAY, DAY, DAY, DAY, DAY } },
                                                     .history_days = 1 },
                          &b.c, &err),
         "controller", &err);
    printf("follow, an agent joins a full mesh of %zu\n", b.n);
    follow_join(&b);
    controller_stop(b.c);
    loop_free(b.loop);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", b.dir);
    return system(cmd) ? 1 : 0;
}
