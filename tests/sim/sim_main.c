/* tests/sim/sim_main.c - runs scenarios from seeds.
 *
 *   sim_session [--seed N] [--seeds N] [--seconds N] [--scenario NAME] [--verbose]
 *
 * Without --seed the seeds 1..N run; a failure prints the seed and scenario that repeat it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

/* Where probes overtake each other or are duplicated, the direction of a loss can be wrong, in the rare cases
 * that lossdir.h names: the lost probe is the first that was overtaken so far, or the answer to a second copy
 * is lost (no path back loses more than 8 %). */
static bool is_tally_plausible(const struct tally *t, const struct scenario *sc)
{
    double second_copies = (double)t->probes * sc->out.duplicate;

    return t->wrong_forward <= t->lost / 500 &&
           (double)t->wrong_backward <= (double)t->lost / 500 + second_copies * 0.08;
}

struct options {
    uint64_t seed, seeds;
    int64_t seconds;
    const char *scenario;
    bool verbose;
};

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--verbose"))
            o->verbose = true;
        else if (i + 1 == argc)
            return false;
        else if (!strcmp(argv[i], "--seed"))
            o->seed = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--seeds"))
            o->seeds = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--seconds"))
            o->seconds = strtoll(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--scenario"))
            o->scenario = argv[++i];
        else
            return false;
    }
    return o->seconds > 0;
}

int main(int argc, char **argv)
{
    struct options o = { .seeds = 20, .seconds = 60 };
    unsigned bad = 0;

    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: sim_session [--seed N] [--seeds N] [--seconds N] [--scenario NAME] [--verbose]\n");
        return 2;
    }
    if (o.seed)
        o.seeds = 1;
    printf("seeds %" PRIu64 "..%" PRIu64 ", %" PRId64 " simulated seconds each\n", o.seed ? o.seed : 1,
           o.seed ? o.seed : o.seeds, o.seconds);
    for (size_t i = 0; i < sim_scenarios_n; i++) {
        struct tally t = { 0 };
        if (o.scenario && strcmp(o.scenario, sim_scenarios[i].name))
            continue;
        for (uint64_t k = 0; k < o.seeds; k++)
            bad += sim_run(&sim_scenarios[i], (o.seed ? o.seed : 1) + k, o.seconds, &t) != 0;
        if (!is_tally_plausible(&t, &sim_scenarios[i])) {
            printf("FAILED: '%s': of %" PRIu64 " lost, %" PRIu64 " wrongly forward, %" PRIu64
                   " wrongly backward\n",
                   sim_scenarios[i].name, t.lost, t.wrong_forward, t.wrong_backward);
            bad++;
        }
        if (o.verbose)
            printf("%-40s probes %7" PRIu64 " lost %6" PRIu64 " forward %6" PRIu64 " (truth %6" PRIu64
                   ") backward %6" PRIu64 " unknown %6" PRIu64 "\n",
                   sim_scenarios[i].name, t.probes, t.lost, t.forward, t.true_forward, t.backward, t.unknown);
    }
    printf("%u runs failed\n", bad);
    return bad ? 1 : 0;
}
