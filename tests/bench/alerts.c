/* The alert engine with many pairs: what a report period of a pair costs, what it takes in memory, and, while
 * sites are down, what a round (who is to blame, who is to be told) costs and how long it holds the loop at a
 * time. bench_alerts [SITES [AGENTS-OF-A-SITE]]     100 and 10: 990,000 pairs, between sites */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "controller/core/alert.h"

#define LOOKS 2000 /* as controller/alerts.c has it */
#define PERIOD (10 * TW_NS_PER_S)
#define BAD_SITES 40
#define ROUNDS 5

struct bench {
    struct alert_engine *e;
    struct alert_rules rules;
    struct alert_rule rule[8];
    size_t sites, agents;
    char (*site)[32], (*agent)[32];
    struct tw_label *label; /* by agent */
    int64_t now;
    uint64_t changed, told;
};

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "bench_alerts: %s\n", what);
    exit(1);
}

static void *need(void *p)
{
    if (!p)
        die("out of memory");
    return p;
}

/* Of this thread. */
static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- What the engine asks ---- */

static void changed(void *ctx, const struct alert *a)
{
    (void)a;
    ((struct bench *)ctx)->changed++;
}

static void notice(void *ctx, const struct alert *a, enum alert_notice n)
{
    (void)a;
    (void)n;
    ((struct bench *)ctx)->told++;
}

static bool alive(void *ctx, const struct alert *a)
{
    (void)ctx;
    (void)a;
    return true;
}

static bool maintenance(void *ctx, const struct alert *a, int64_t now_ns, char *buf, size_t cap)
{
    (void)ctx;
    (void)a;
    (void)now_ns;
    (void)buf;
    (void)cap;
    return false;
}

static size_t end_labels(void *ctx, const struct alert *a, unsigned end, const struct tw_label **ret)
{
    (void)ctx;
    (void)a;
    (void)end;
    *ret = NULL;
    return 0;
}

static void baseline(void *ctx, uint64_t pair_id, unsigned slot, const char *text)
{
    (void)ctx;
    (void)pair_id;
    (void)slot;
    (void)text;
}

/* ---- Rules as most have them ---- */

static void add_rule(struct bench *b, enum alert_metric m, enum tw_direction d, double raise, double clear)
{
    struct alert_rule *r = &b->rule[b->rules.n_rules++];

    snprintf(r->name, sizeof r->name, "%s-%zu", alert_metric_name(m), b->rules.n_rules);
    r->metric = m;
    r->direction = d;
    r->level[ALERT_WARNING] = (struct alert_level){ true, raise, clear };
    r->for_ns = r->clear_for_ns = PERIOD;
}

static void make(struct bench *b, bool with_baseline)
{
    struct alert_conf c = { b, changed, changed, notice, alive, maintenance, end_labels, baseline, NULL, 0 };

    alert_rules_init(&b->rules);
    b->rules.rules = b->rule;
    add_rule(b, ALERT_LOSS, TW_UNKNOWN, 0.05, 0.02);
    add_rule(b, ALERT_P95, TW_ROUNDTRIP, 0.2, 0.15);
    add_rule(b, ALERT_JITTER, TW_FORWARD, 0.03, 0.02);
    add_rule(b, ALERT_NO_DATA, TW_UNKNOWN, 60, 30);
    if (with_baseline) {
        struct alert_rule *r = &b->rule[1];
        r->relative = true;
        r->level[ALERT_WARNING] = (struct alert_level){ true, 3, 2 };
        r->baseline_ns = 24 * 3600 * TW_NS_PER_S;
        r->warm_up_ns = 3600 * TW_NS_PER_S;
    }
    b->now = INT64_C(1790000000) * TW_NS_PER_S;
    if (alert_engine_new(&c, &b->e) != TW_OK)
        die("out of memory");
    alert_engine_set_rules(b->e, &b->rules);
}

static void name_agents(struct bench *b)
{
    size_t n = b->sites * b->agents;

    b->site = need(calloc(b->sites, sizeof *b->site));
    b->agent = need(calloc(n, sizeof *b->agent));
    b->label = need(calloc(n, sizeof *b->label));
    for (size_t i = 0; i < b->sites; i++)
        snprintf(b->site[i], sizeof b->site[i], "site-%zu", i);
    for (size_t i = 0; i < n; i++) {
        snprintf(b->agent[i], sizeof b->agent[i], "edge-%zu", i);
        b->label[i] = (struct tw_label){ "site", b->site[i / b->agents] };
    }
}

/* ---- Feeding ---- */

/* Of each pair: to feed it, or to say that it is not silent. Returns how many there are. */
static size_t each_pair(struct bench *b, size_t bad_sites, bool feed)
{
    size_t n = b->sites * b->agents, pairs = 0;
    struct stats_view v = { .sent = 1000, .host_trouble = "none", .one_way_valid = true };

    v.delay[TW_ROUNDTRIP].p95_s = v.delay[TW_FORWARD].jitter_rfc3550_s = (struct tw_num){ true, 0.01 };
    v.delay[TW_ROUNDTRIP].count = 1000;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            bool bad = i / b->agents < bad_sites || k / b->agents < bad_sites;
            struct alert_subject s = { i * n + k + 1, "m", "c", b->agent[i], b->agent[k], &b->label[i],
                                       &b->label[k],  1,   1 };
            struct alert_facts f = {
                .start_ns = b->now - PERIOD, .end_ns = b->now, .period_ns = PERIOD, .view = &v
            };

            if (i / b->agents == k / b->agents)
                continue;
            pairs++;
            v.loss_ratio = (struct tw_num){ true, bad ? 1 : 0 };
            v.lost = bad ? 1000 : 0;
            v.received = 1000 - v.lost;
            if ((feed ? alert_engine_feed(b->e, &s, &f, b->now)
                      : alert_engine_absent(b->e, &s, (struct tw_num){ true, 1 }, b->now)) != TW_OK)
                die("out of memory");
        }
    return pairs;
}

/* ---- A round ---- */

static void time_round(struct bench *b, double *ret_ms, double *ret_longest_ms)
{
    bool more = true;

    *ret_ms = *ret_longest_ms = 0;
    while (more) {
        double start = now_ms(), ms;

        if (alert_engine_work(b->e, b->now, LOOKS, &more) != TW_OK)
            die("out of memory");
        ms = now_ms() - start;
        *ret_ms += ms;
        *ret_longest_ms = ms > *ret_longest_ms ? ms : *ret_longest_ms;
    }
}

static void print_rounds(struct bench *b, const char *what, size_t bad_sites)
{
    double most = 0, longest = 0;
    struct alert_counts counts;
    size_t active = 0;

    for (int i = 0; i < ROUNDS; i++) {
        double ms, piece;

        b->now += PERIOD; /* also what is not dirty is correlated again then */
        each_pair(b, bad_sites, true);
        time_round(b, &ms, &piece);
        most = ms > most ? ms : most;
        longest = piece > longest ? piece : longest;
    }
    alert_engine_counts(b->e, &counts);
    for (int s = 0; s < ALERT_SEVERITY_COUNT; s++)
        active += counts.active[ALERT_FIRING][s] + counts.active[ALERT_PENDING][s];
    printf("  %-32s %10zu alerts, %6llu told; round %8.1f ms of CPU at most, its longest piece %5.2f ms\n",
           what, active, (unsigned long long)b->told, most, longest);
    fflush(stdout);
}

static void bench(size_t sites, size_t agents, bool with_baseline)
{
    struct bench b = { .sites = sites, .agents = agents };
    size_t before, pairs;
    double first, feed, absent;

    name_agents(&b);
    make(&b, with_baseline);
    before = mallinfo2().uordblks;
    first = now_ms();
    pairs = each_pair(&b, 0, true);
    first = now_ms() - first;
    b.now += PERIOD;
    feed = now_ms();
    each_pair(&b, 0, true);
    feed = now_ms() - feed;
    absent = now_ms();
    each_pair(&b, 0, false);
    absent = now_ms() - absent;
    printf("%zu pairs, %zu sites, 4 rules%s\n", pairs, sites,
           with_baseline ? ", one of them against the pair's baseline" : "");
    printf("  memory for each pair             %10.0f octets\n",
           (double)(mallinfo2().uordblks - before) / (double)pairs);
    printf("  a report period of a pair        %10.2f us of CPU (the first one %.2f)\n",
           feed * 1e3 / (double)pairs, first * 1e3 / (double)pairs);
    printf("  a look whether it is silent      %10.2f us of CPU\n", absent * 1e3 / (double)pairs);
    printf("  of a core, at a period of 10 s   %10.1f %%\n",
           100 * feed / 10000 + 100 * absent / (1e3 * (double)pairs / 20000));
    if (!with_baseline) {
        print_rounds(&b, "all is well:", 0);
        print_rounds(&b, "one bad site:", 1);
        print_rounds(&b, "40 bad sites:", BAD_SITES);
        print_rounds(&b, "all is well again:", 0);
    }
    alert_engine_free(b.e);
    free(b.site);
    free(b.agent);
    free(b.label);
}

int main(int argc, char **argv)
{
    size_t sites = argc > 1 ? strtoul(argv[1], NULL, 10) : 100,
           agents = argc > 2 ? strtoul(argv[2], NULL, 10) : 10;

    if (sites < BAD_SITES + 2 || !agents || sites * agents > 2000)
        die("usage: bench_alerts [SITES, from 42 [AGENTS-OF-A-SITE]], 2000 agents at most");
    bench(sites, agents, false);
    bench(sites, agents, true);
    return 0;
}
