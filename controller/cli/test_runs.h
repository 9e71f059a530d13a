/* controller/cli/test_runs.h - what tests on demand measured, as test and test show print it. */
#ifndef TW_CLI_TEST_RUNS_H
#define TW_CLI_TEST_RUNS_H

#include "controller/cli/cli.h"

struct test_run {
    const Tw__TestRun *run;
    bool measured; /* has a total; else view is that of none */
    struct stats_view view;
};
struct test_runs {
    const Tw__TestInfo *info;
    struct test_run *v;
    size_t n;
    ProtobufCMessage **replies; /* that the rows are of */
    size_t n_replies;
};
/* own: the reply is freed with the runs. False: it has said what is wrong. */
bool test_runs_add(struct test_runs *r, Tw__TestProgressReply *reply, bool own);
void test_runs_free(struct test_runs *r);

/* Single probes, for programs. */
#define TEST_PACKETS_MAX 200000u
struct test_packet {
    uint32_t flow;
    Tw__FlightRecord record;
};
struct test_packets {
    struct test_packet *v;
    size_t n, cap;
    uint64_t left_out;
};
void test_packets_keep(struct test_packets *p, uint32_t flow, const Tw__FlightRecord *r);
void test_packets_free(struct test_packets *p);
/* One line. heading: and what the columns are. */
void test_print_packet(uint32_t flow, const Tw__FlightRecord *r, bool colour, bool heading);

/* A table, or for one pair all about it; records with the test for programs. packets may be NULL. */
enum cli_exit test_print_runs(struct cli *c, const struct test_runs *runs,
                              const struct test_packets *packets);

#endif
