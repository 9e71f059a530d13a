/* tests/bench/control.c - control state in etcd: small changes, a full mesh, an agent that leaves it, and
 * another controller that reads everything.
 *
 * usage: bench_control LOCATION FOLDER [agents]     LOCATION: HOST:PORT/CLUSTER of etcd, where nothing is
 * yet; FOLDER: an empty one, for the mirrors; a full mesh of 1,000 agents unless said otherwise. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/net/now.h"
#include "db/etcd/mirror.h"
#include "db/sqlite/history.h"

#define SMALL 300

static struct http_location place;
static struct tw_err err;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "bench_control: %s: %s\n", what, err.text);
    exit(1);
}

static void must(enum tw_rc rc, const char *what)
{
    if (rc)
        die(what);
}

static double seconds(void)
{
    return (double)tw_mono_now().ns / 1e9;
}

static struct store *open_in(const char *folder, const char *name)
{
    char history[512], mirror[512];
    struct history *h;
    struct store *s;

    snprintf(history, sizeof history, "%s/%s-history.db", folder, name);
    snprintf(mirror, sizeof mirror, "%s/%s.db", folder, name);
    must(sqlite_history.open(&(struct history_conf){ .location = history }, &h, &err), "history");
    must(mirror_open(&(struct mirror_conf){ .at = &place, .file = mirror }, h, &s, &err), "mirror");
    return s;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void small_changes(struct store *s)
{
    static struct store_agent a = { .name = "small" };
    double took[SMALL], sum = 0;

    for (int i = 0; i < SMALL; i++) {
        double from = seconds();
        must(store_begin(s, &err), "begin");
        a.last_contact_ns = i;
        must(store_put_agent(s, &a, &err), "agent");
        must(store_commit(s, &err), "commit");
        sum += took[i] = seconds() - from;
    }
    qsort(took, SMALL, sizeof *took, by_time);
    printf("a change of one row: %.1f ms, of a hundred the slowest %.1f ms, %.0f in a second\n",
           1e3 * took[SMALL / 2], 1e3 * took[SMALL * 99 / 100], SMALL / sum);
}

static uint64_t put_pair(struct store *s, unsigned from, unsigned to)
{
    char source[32], target[32];
    struct store_pair p = { .mesh = "core", .class_name = "voice", .source = source, .target = target };

    snprintf(source, sizeof source, "agent%04u.example", from);
    snprintf(target, sizeof target, "agent%04u.example", to);
    p.slot = (uint8_t)(1 + (from + to) % 240);
    must(store_put_pair(s, &p, &err), "pair");
    return p.id;
}

static void schedule(struct store *s, uint64_t id, uint64_t generation)
{
    const struct store_expectation x = { .report_period_ns = 60 * TW_NS_PER_S,
                                         .flows = 1,
                                         .rule_id = 77,
                                         .rule = (const uint8_t *)"rule",
                                         .rule_len = 4,
                                         .spacing_ns = TW_NS_PER_S,
                                         .slot = (uint8_t)(id % 240 + 1) };

    must(store_pair_scheduled(s, id, generation, &x, INT64_C(1790000000000000000), &err), "interval");
}

static void commit_generation(struct store *s, uint64_t number, const char *what, double began)
{
    const struct store_generation g = { .number = number, .time_ns = 1, .what = what };
    uint64_t transactions = mirror_stats(s).transactions;
    double from = seconds();

    must(store_put_generation(s, &g, &err), "generation");
    must(store_commit(s, &err), "commit");
    printf("%s: %.1f s, and %.1f s to commit in %llu transactions\n", what, from - began, seconds() - from,
           (unsigned long long)(mirror_stats(s).transactions - transactions));
}

int main(int argc, char **argv)
{
    unsigned n = argc > 3 ? (unsigned)atoi(argv[3]) : 1000;
    char path[512];
    struct stat st;
    struct store *s;
    double from;

    if (argc < 3 || n < 2) {
        fprintf(stderr, "usage: bench_control LOCATION FOLDER [agents]\n");
        return 1;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    must(http_location_parse(argv[1], &etcd_location, &place, &err), argv[1]);
    s = open_in(argv[2], "one");
    small_changes(s);
    from = seconds();
    must(store_begin(s, &err), "begin");
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < n; k++)
            if (i != k)
                schedule(s, put_pair(s, i, k), 1);
    commit_generation(s, 1, "a full mesh", from);
    from = seconds();
    must(store_begin(s, &err), "begin");
    for (unsigned k = 1; k < n; k++) {
        must(store_pair_unscheduled(s, put_pair(s, 0, k), INT64_C(1790000060000000000), &err), "interval");
        must(store_pair_unscheduled(s, put_pair(s, k, 0), INT64_C(1790000060000000000), &err), "interval");
    }
    commit_generation(s, 2, "one agent leaves it", from);
    from = seconds();
    store_close(open_in(argv[2], "two"));
    snprintf(path, sizeof path, "%s/two.db", argv[2]);
    printf("another controller reads everything: %.1f s, a mirror of %.0f MB\n", seconds() - from,
           stat(path, &st) ? 0 : (double)st.st_size / 1e6);
    small_changes(s);
    store_close(s);
    curl_global_cleanup();
    return 0;
}
