/* The checks of doctor with made-up facts: a healthy fleet has nothing wrong, and each thing that goes wrong
 * gives the one finding that it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/doctor.h"

#define NOW (1000000 * TW_NS_PER_S)
#define AGENTS 4
#define WAYS (AGENTS * (AGENTS - 1))

struct fleet {
    struct doctor_facts f;
    struct doctor_agent agents[AGENTS];
    struct doctor_way ways[WAYS];
    struct doctor_probe probes[WAYS];
    struct doctor_mesh mesh;
};
static const char *const names[AGENTS] = { "ams", "fra", "lon", "par" };
static const char *const all_capabilities[] = { "light", "rx-kernel-timestamps", "shapes", "stamp", "twamp",
                                                "test", "times", "schedule-delta", "hosts", "other" };

static void make_probe(struct doctor_probe *p)
{
    *p = (struct doctor_probe){
        .address = "10.0.0.2:862",
        .local = "10.0.0.1",
        .packets = { { .size = 40, .sent = 10, .received = 10, .rtt_min_ns = 1000000 },
                     { .size = 1400, .sent = 5, .received = 5, .rtt_min_ns = 1000000 } },
        .mtu_local = 1500,
        .watched = true,
        .seen = { { 10, 10, 0, 0, 0, 0 }, { 5, 5, 0, 0, 0, 0 }, { 0 } },
        .seen_from = "10.0.0.1:40000",
        .connect = DOCTOR_GREETED,
        .control_port = 862
    };
}

static void make(struct fleet *t)
{
    size_t n = 0;

    memset(t, 0, sizeof *t);
    t->mesh = (struct doctor_mesh){ .name = "lab", .pairs = WAYS };
    for (size_t i = 0; i < AGENTS; i++) {
        t->agents[i] = (struct doctor_agent){ .name = names[i],
                                              .software = "twamp-agent 1.2.3",
                                              .address = "10.0.0.1",
                                              .state = DOCTOR_UP,
                                              .capabilities = all_capabilities,
                                              .n_capabilities = TW_NELEM(all_capabilities),
                                              .last_contact_ns = NOW,
                                              .pairs = AGENTS - 1,
                                              .generation = 7,
                                              .generation_wanted = 7,
                                              .has_health = true,
                                              .has_base = true,
                                              .audited = true };
        t->agents[i].health = (struct doctor_health){ .time_ns = NOW,
                                                      .clock_synced = true,
                                                      .spool_summaries = 3,
                                                      .spool_dropped = 5,
                                                      .noise_sent = 6000,
                                                      .noise_lost = 1,
                                                      .not_allowed = 9,
                                                      .auth_failed = 9,
                                                      .secrets_error = "" };
        t->agents[i].base = t->agents[i].health; /* what was there before is not new */
        t->agents[i].base.time_ns -= 60 * TW_NS_PER_S;
        t->agents[i].base.noise_sent = 0;
        t->agents[i].clock =
            (struct clock_host){ .verdict = CLOCK_OK, .pairs_used = 3, .component_hosts = AGENTS };
    }
    for (size_t i = 0; i < AGENTS; i++)
        for (size_t k = 0; k < AGENTS; k++) {
            if (i == k)
                continue;
            make_probe(&t->probes[n]);
            t->ways[n] = (struct doctor_way){ .source = names[i],
                                              .target = names[k],
                                              .mesh = "lab",
                                              .source_state = DOCTOR_UP,
                                              .target_state = DOCTOR_UP,
                                              .target_is_agent = true,
                                              .pairs = 2,
                                              .sent = 1000,
                                              .received = 1000,
                                              .back_known = true,
                                              .back_works = true,
                                              .size = 1400,
                                              .probe = &t->probes[n] };
            n++;
        }
    t->f = (struct doctor_facts){ .now_ns = NOW,
                                  .controller = { .version = "1.2.3",
                                                  .disk_known = true,
                                                  .disk_free = UINT64_C(500) << 30,
                                                  .disk_size = UINT64_C(1000) << 30,
                                                  .max_rows = 1000 },
                                  .meshes = &t->mesh,
                                  .n_meshes = 1,
                                  .agents = t->agents,
                                  .n_agents = AGENTS,
                                  .ways = t->ways,
                                  .n_ways = WAYS };
}

/* ---- What goes wrong: fra is agent 1, ams:fra is way 0 ---- */

#define AGENT (t->agents[1])
#define WAY (t->ways[0])
#define PROBE (t->probes[0])
#define SMALL (PROBE.packets[DOCTOR_SMALL])
#define SIZED (PROBE.packets[DOCTOR_SIZED])

static void mute(struct fleet *t)
{
    SMALL.received = SIZED.size = SIZED.sent = SIZED.received = 0;
    PROBE.seen[DOCTOR_SMALL] = PROBE.seen[DOCTOR_SIZED] = (struct doctor_seen){ 0 };
}
static void too_large(struct fleet *t)
{
    SIZED.received = 0;
    PROBE.seen[DOCTOR_SIZED] = (struct doctor_seen){ 0 };
    PROBE.searched = true;
    PROBE.mtu_through = 1200;
    PROBE.mtu_lost = 1201;
}
static void lose_all(struct fleet *t)
{
    WAY.all_lost = WAY.pairs;
    WAY.received = 0;
    WAY.lost_unknown = WAY.sent;
}

#define FAULT(name, body)             \
    static void name(struct fleet *t) \
    {                                 \
        body                          \
    }
static const char *const full_disk[] = { "the disk is full" };
FAULT(store, t->f.controller.problems = full_disk; t->f.controller.n_problems = 1;)
FAULT(control, t->f.controller.control_problem =
                   "control state at e1:2379/tw cannot be used: etcd e1:2379: no answer for 3.0 s";)
static const struct doctor_peer peers[] = {
    { .name = "ctl-1", .version = "1.2.3", .self = true, .up = true },
    { .name = "ctl-2", .version = "1.2.3", .host = "h2", .up = true },
    { .name = "ctl-3", .version = "1.2.3", .ended = true, .gone_ns = NOW },
};
static const struct doctor_peer missing_peers[] = {
    { .name = "ctl-2", .version = "1.2.2", .host = "h2", .gone_ns = NOW - 90 * TW_NS_PER_S },
};
static const struct doctor_peer twin_peers[] = {
    { .name = "ctl-1", .version = "1.2.3", .host = "h2", .up = true, .twin = true },
};
static const struct doctor_peer skewed_peers[] = {
    { .name = "ctl-1", .version = "1.2.2", .host = "h1", .up = true, .self = true },
    { .name = "ctl-2", .version = "1.2.2", .host = "h2", .up = true },
};
FAULT(well_peers, t->f.controller.peers = peers; t->f.controller.n_peers = TW_NELEM(peers);)
FAULT(missing_controller, t->f.controller.peers = missing_peers; t->f.controller.n_peers = 1;)
FAULT(twin_controllers, t->f.controller.peers = twin_peers; t->f.controller.n_peers = 1;)
FAULT(skewed_controllers, t->f.controller.peers = skewed_peers; t->f.controller.n_peers = 2;)
FAULT(history_replicas, t->f.controller.history_lacks = "of 2 replicas in cluster pair 1 are there";)
FAULT(history, t->f.controller.history_problem =
                   "history at ch1:8123/tw cannot be used: clickhouse ch1:8123: no answer for 3.0 s";)
FAULT(disk, t->f.controller.disk_free = 1 << 20;)
FAULT(small_disk, t->f.controller.disk_size = 25000000; t->f.controller.disk_free = 20800000;
      t->f.controller.database = 2600000;)
FAULT(disk_filling, t->f.controller.disk_free = UINT64_C(40) << 30;)
FAULT(queue, t->f.controller.queued_rows = 501;)
FAULT(own_config, t->f.controller.reload_error = "configuration: controller.yaml:3: budget-pairs: must be a number";)
FAULT(own_restart, t->f.controller.restart_needed = "native-buckets";)
FAULT(own_files_well, t->f.controller.reload_error = ""; t->f.controller.restart_needed = "";)
static const struct doctor_refusal refused_lately[] = { { "192.0.2.7", "", "the client's certificate expired at 2026", 4,
                                                          NOW - 5 * TW_NS_PER_S } },
                                   refused_long_ago[] = { { "192.0.2.7", "", "the client's certificate expired at 2026", 4,
                                                            NOW - 3600 * TW_NS_PER_S } };
FAULT(refused, t->f.controller.refused = refused_lately; t->f.controller.n_refused = 1;)
FAULT(too_much, t->f.controller.too_much.requests = 7; t->f.controller.too_much.batches = 40;)
FAULT(refused_once, t->f.controller.refused = refused_long_ago; t->f.controller.n_refused = 1;)
FAULT(our_clock, for (size_t i = 0; i < AGENTS; i++) t->agents[i].clock_ahead_ns = -3600 * TW_NS_PER_S;)
FAULT(unknown_names, t->mesh.unresolved = 2;)
FAULT(key_taken, AGENT.other_keys = 3; AGENT.other_key_ns = NOW - TW_NS_PER_S;
      AGENT.other_key_address = "10.0.0.9";)
FAULT(key_taken_long_ago, AGENT.other_keys = 3; AGENT.other_key_ns = NOW - 3600 * TW_NS_PER_S;
      AGENT.other_key_address = "10.0.0.9";)
FAULT(cloned, AGENT.takeovers = 5;)
FAULT(pending, AGENT.state = DOCTOR_PENDING; AGENT.has_health = false;)
static void down(struct fleet *t)
{
    AGENT.state = DOCTOR_DOWN;
    AGENT.last_contact_ns = NOW - 60 * TW_NS_PER_S;
    for (size_t i = 0; i < WAYS; i++) {
        if (!strcmp(t->ways[i].source, "fra"))
            t->ways[i].source_state = DOCTOR_DOWN;
        if (strcmp(t->ways[i].target, "fra") != 0)
            continue;
        t->ways[i].target_state = DOCTOR_DOWN;
        t->ways[i].all_lost = 2;
        t->probes[i].packets[DOCTOR_SMALL].received = 0;
        t->probes[i].watched = false;
        AGENT.reflector_asked++;
    }
}
static void cut_off(struct fleet *t)
{
    AGENT.state = DOCTOR_DOWN;
    AGENT.last_contact_ns = NOW - 60 * TW_NS_PER_S;
    AGENT.reflector_asked = AGENT.reflector_answered = 2;
    for (size_t i = 0; i < WAYS; i++)
        if (!strcmp(t->ways[i].source, "fra"))
            t->ways[i].source_state = DOCTOR_DOWN;
}
FAULT(older, AGENT.software = "twamp-agent 1.1.9"; AGENT.n_capabilities = 2; AGENT.cannot_diagnose = true;)
FAULT(newer, AGENT.software = "twamp-agent 1.10";)
FAULT(lacks, AGENT.n_capabilities = 3;)
FAULT(behind, AGENT.behind = true; AGENT.generation = 6; AGENT.push_failures = 3;)
FAULT(refusals, AGENT.refusals = 2; AGENT.first_refusal = "over --max-pps";)
FAULT(secrets, AGENT.health.secrets_error = "line 3: expected KEYID and passphrase";)
FAULT(access_lists, AGENT.health.access_error = "acl:3: expected \"allow PREFIX\"";)
FAULT(configuration, AGENT.health.config_error = "agent.yaml:2: max_bps: is no key";)
FAULT(certificate, AGENT.health.https_error = "/etc/a.key: is not that of the certificate";)
FAULT(restart, AGENT.health.restart_needed = "name, workers";)
FAULT(restart_unknown, restart(t); AGENT.has_health = AGENT.has_base = false;)
FAULT(restart_well, AGENT.health.restart_needed = "";)
FAULT(names_without, AGENT.health.names = 9; AGENT.health.names_unresolved = 2;)
FAULT(names_of_old, AGENT.health.names = 9; AGENT.health.names_stale = 3;)
FAULT(dropping, AGENT.health.spool_dropped = 12;)
FAULT(dropped_at_start, AGENT.has_base = false;)
FAULT(growing, AGENT.health.spool_summaries = 500; AGENT.base.spool_summaries = 300;)
FAULT(offset, AGENT.clock.verdict = CLOCK_OFFSET; AGENT.clock.offset_s = 0.005;
      AGENT.clock_ahead_ns = 60 * TW_NS_PER_S;)
FAULT(ahead, AGENT.clock_ahead_ns = -61 * TW_NS_PER_S;)
FAULT(either, AGENT.clock.verdict = CLOCK_EITHER;)
FAULT(unsynced, AGENT.health.clock_synced = false;)
FAULT(drops, AGENT.health.reflector_drops = 7;)
FAULT(starved, AGENT.health.host_cpu_wait_ppm = 400000;)
FAULT(loopback, AGENT.health.noise_lost = 600;)
FAULT(bad_signatures, AGENT.health.auth_failed = 10;)
FAULT(strangers, AGENT.health.not_allowed = 10;)
FAULT(connecting_strangers, AGENT.health.control_not_allowed = 3;)
FAULT(flooded, AGENT.health.rate_limited = 1000;)
FAULT(looped, AGENT.health.loops = 5;)
FAULT(bad_logins, AGENT.health.logins_failed = 1;)
FAULT(no_name, strcpy(PROBE.lookup_error, "no such host"); strcpy(PROBE.host, "r.example"); mute(t);
      SMALL.sent = 0; PROBE.connect = 0;)
FAULT(no_name_unprobed, WAY.probe = NULL; WAY.name_error = 1;)
FAULT(cannot_send, mute(t); SMALL.sent = 0; strcpy(SMALL.send_error, "Operation not permitted");)
FAULT(acl, mute(t); PROBE.seen[0].came = PROBE.seen[0].not_allowed = 10;)
FAULT(demands, mute(t); PROBE.seen[0].came = PROBE.seen[0].auth_demanded = 10; lose_all(t);)
FAULT(demands_and_gets, mute(t); PROBE.seen[0].came = PROBE.seen[0].auth_demanded = 10; WAY.auth = true;)
FAULT(not_sent_back, mute(t); PROBE.seen[0].came = PROBE.seen[0].answered = PROBE.seen[0].send_errors = 10;)
FAULT(elsewhere, mute(t); SMALL.elsewhere = 10; PROBE.seen[0].came = PROBE.seen[0].answered = 10;)
FAULT(closed, mute(t);
      SMALL.icmp = ((struct doctor_icmp){ .count = 3, .type = 3, .code = 3, .from = "10.0.0.2" });)
FAULT(closed6, mute(t); SMALL.icmp = ((struct doctor_icmp){ .six = true, .count = 3, .type = 1, .code = 4 });)
FAULT(rejected, mute(t);
      SMALL.icmp = ((struct doctor_icmp){ .count = 3, .type = 3, .code = 13, .from = "10.0.0.254" });)
FAULT(backward, mute(t); PROBE.seen[0].came = PROBE.seen[0].answered = 10; lose_all(t);)
FAULT(forward, mute(t); lose_all(t);)
FAULT(silent, mute(t); PROBE.watched = false; lose_all(t);)
FAULT(mtu_local, too_large(t); SIZED.sent = 0; SIZED.too_long = true;)
FAULT(mtu_told, too_large(t);
      PROBE.mtu_icmp = ((struct doctor_icmp){ .count = 1, .type = 3, .code = 4, .mtu = 1200 });)
FAULT(black_hole, too_large(t);)
FAULT(black_hole_unwatched, too_large(t); PROBE.watched = false;)
FAULT(black_hole_back, too_large(t); PROBE.seen[DOCTOR_SIZED].came = PROBE.seen[DOCTOR_SIZED].answered = 5;)
FAULT(control_closed, PROBE.connect = DOCTOR_REFUSED;)
FAULT(control_blocked, PROBE.connect = DOCTOR_TIMEOUT;)
FAULT(control_unreachable, PROBE.connect = DOCTOR_UNREACHABLE;)
FAULT(control_silent, PROBE.connect = DOCTOR_SILENT;)
FAULT(control_refused, WAY.refusal = "TWAMP-Control with 10.0.0.2:862: no mode"; WAY.refused = 2;)
FAULT(keys, lose_all(t); WAY.auth = true;)
FAULT(one_way, lose_all(t); WAY.probe = NULL;)
FAULT(lost, lose_all(t); WAY.probe = NULL; WAY.back_works = false;)
FAULT(send_errors, WAY.send_error = 1; WAY.probe = NULL;)
FAULT(recovered, lose_all(t);)
FAULT(lossy, WAY.lost_forward = 100; WAY.received -= 100;)
FAULT(lossy_probe, SMALL.received = 8;)
FAULT(lossy_all_round, lossy(t); lossy_probe(t);)
FAULT(a_little_lossy, WAY.lost_forward = 30; WAY.received -= 30;)
FAULT(one_of_few, WAY.sent = 20; WAY.received = 19; WAY.lost_backward = 1;)
FAULT(not_sent, WAY.sent = 950; WAY.received = 950; WAY.not_sent = 50;)
FAULT(few_not_sent, WAY.not_sent = 5;)
FAULT(few_losses, WAY.lost_forward = 10; WAY.received -= 10;)
FAULT(no_data, WAY.no_data = 1;)
FAULT(no_data_explained, WAY.no_data = 1; WAY.source_behind = true;)
FAULT(not_probed, WAY.probe = NULL; WAY.not_probed = "its source is too old";)
FAULT(away, AGENT.away = true; AGENT.refusals = 2;)
FAULT(away_and_down, AGENT.away = true; AGENT.state = DOCTOR_DOWN;
      for (size_t i = 0; i < WAYS; i++) {
          if (strcmp(t->ways[i].source, "fra") != 0 && strcmp(t->ways[i].target, "fra") != 0)
              continue;
          t->ways[i].away = true;
          t->ways[i].all_lost = 2;
          t->ways[i].received = 0;
          t->ways[i].lost_unknown = 1000;
          t->ways[i].probe = NULL;
      })
FAULT(way_in_maintenance, lose_all(t); WAY.away = true; WAY.probe = NULL;)
FAULT(nothing, (void)t;)

static const struct {
    void (*fault)(struct fleet *t);
    const char *id, *subject, *seen; /* id NULL: nothing is found */
} rows[] = {
    { nothing, NULL, NULL, NULL },
    { store, "controller-store", "controller", "the disk is full" },
    { control, "controller-control", "controller", "control state at e1:2379/tw cannot be used" },
    { well_peers, NULL, NULL, NULL },
    { missing_controller, "controller-missing", "controller", "controller ctl-2 (on h2) is missing" },
    { twin_controllers, "controller-twins", "controller", "with the name ctl-1 runs on h2" },
    { skewed_controllers, "controller-skew", "controller", "controller ctl-2 runs 1.2.2, this one 1.2.3" },
    { history, "controller-history", "controller", "history at ch1:8123/tw cannot be used" },
    { history_replicas, "controller-history-replicas", "controller", "of 2 replicas in cluster pair 1" },
    { disk, "controller-disk", "controller", "of 1073.7 GB free" },
    { small_disk, "controller-disk", "controller",
      "20.8 MB of 25.0 MB free (83.2 %), the database has 2.6 MB" },
    { disk_filling, "controller-disk-filling", "controller", "4.0 %" },
    { queue, "controller-queue", "controller", "501 summaries" },
    { own_config, "controller-config-error", "controller", "controller.yaml:3: budget-pairs" },
    { own_restart, "controller-restart-needed", "controller", "native-buckets" },
    { own_files_well, NULL, NULL, NULL },
    { too_much, "too-much-asked", "controller",
      "7 HTTP requests, 0 queries, 0 calls of operators, 40 batches of results" },
    { refused, "connections-refused", "controller",
      "192.0.2.7: the client's certificate expired at 2026 (4 times, the last 5 s ago)" },
    { refused_once, NULL, NULL, NULL },
    { our_clock, "controller-clock", "controller", "3600.0 s ahead of the clocks of 4 of 4" },
    { unknown_names, "mesh-names", "lab", "2 names" },
    { key_taken, "key-taken", "fra", "10.0.0.9" },
    { key_taken_long_ago, NULL, NULL, NULL },
    { cloned, "agent-cloned", "fra", "5 times" },
    { pending, "agent-pending", "fra", "10.0.0.1" },
    { down, "agent-down", "fra", "none of 3 agents" },
    { cut_off, "agent-cut-off", "fra", "2 of 2 agents" },
    { older, "version-skew", "fra",
      "older than the controller (1.2.3); lacks shapes, stamp, twamp, test, times, schedule-delta, hosts; "
      "cannot look" },
    { newer, "version-skew", "fra", "newer than" },
    { lacks, "capability-missing", "fra", "lacks stamp, twamp" },
    { behind, "schedule-behind", "fra", "generation 6, wanted is 7; 3 attempts" },
    { refusals, "sessions-refused", "fra", "over --max-pps" },
    { secrets, "secrets-error", "fra", "line 3" },
    { access_lists, "access-error", "fra", "acl:3" },
    { configuration, "config-error", "fra", "agent.yaml:2" },
    { certificate, "https-error", "fra", "a.key" },
    { restart, "restart-needed", "fra", "name, workers" },
    { restart_unknown, NULL, NULL, NULL },
    { restart_well, NULL, NULL, NULL },
    { names_without, "names-unresolved", "fra", "2 of 9 host names" },
    { names_of_old, "names-stale", "fra", "3 of 9 host names" },
    { dropping, "spool-dropping", "fra", "7 summaries lost in the last 60 s" },
    { growing, "spool-growing", "fra", "500 summaries wait, 200 more" },
    { offset, "clock-offset", "fra", "5.00 ms ahead" },
    { ahead, "clock-ahead", "fra", "61.0 s behind most agents" },
    { either, "clock-either", "fra", "4 agents" },
    { unsynced, "clock-unsynced", "fra", "its kernel" },
    { drops, "host-drops", "fra", "7 probes" },
    { starved, "host-starved", "fra", "40 %" },
    { loopback, "loopback-loss", "fra", "599 of 6000" },
    { bad_signatures, "auth-failed", "fra", "1 probes" },
    { strangers, "acl-strangers", "fra", "1 datagrams" },
    { connecting_strangers, "acl-strangers", "fra", "3 connections" },
    { flooded, "source-flood", "fra", "1000 datagrams" },
    { looped, "answer-loops", "fra", "5 datagrams" },
    { bad_logins, "logins-failed", "fra", "1 logins" },
    { no_name, "name-unresolved", "ams:fra", "r.example" },
    { no_name_unprobed, "name-unresolved", "ams:fra", "1 of 2 pairs do not run" },
    { cannot_send, "send-refused", "ams:fra", "Operation not permitted" },
    { acl, "acl-refused", "ams:fra", "10 came there, from 10.0.0.1:40000: 10 refused" },
    { demands, "auth-demanded", "ams:fra", "10 refused" },
    { demands_and_gets, NULL, NULL, NULL },
    { not_sent_back, "answer-not-sent", "ams:fra", "refused to send 10" },
    { elsewhere, "answer-elsewhere", "ams:fra", "10 answers came from" },
    { closed, "udp-closed", "ams:fra", "3 times ICMP port unreachable from 10.0.0.2" },
    { closed6, "udp-closed", "ams:fra", "ICMPv6 port unreachable" },
    { rejected, "udp-rejected", "ams:fra", "administratively prohibited from 10.0.0.254" },
    { backward, "udp-blocked-backward", "ams:fra", "10 were answered" },
    { forward, "udp-blocked-forward", "ams:fra", "none came to its reflector" },
    { silent, "udp-silent", "ams:fra", "no answer" },
    { mtu_local, "mtu-local", "ams:fra", "takes 1500" },
    { mtu_told, "mtu-told", "ams:fra", "next link takes 1200" },
    { black_hole, "mtu-black-hole", "ams:fra", "do not arrive, and no ICMP told so; up to 1200" },
    { black_hole_unwatched, "mtu-black-hole", "ams:fra", "are not answered" },
    { black_hole_back, "mtu-black-hole-back", "ams:fra", "do not come back" },
    { control_closed, "control-closed", "ams:fra", "TCP port 862" },
    { control_blocked, "control-blocked", "ams:fra", "TCP port 862" },
    { control_unreachable, "control-blocked", "ams:fra", "TCP port 862" },
    { control_silent, "control-silent", "ams:fra", "no greeting" },
    { control_refused, "control-refused", "ams:fra", "no mode" },
    { keys, "keys-differ", "ams:fra", "come back" },
    { one_way, "one-way-only", "ams:fra", "1000 of 1000" },
    { lost, "all-lost", "ams:fra", "1000 of 1000" },
    { send_errors, "send-error", "ams:fra", "1 of 2 pairs" },
    { recovered, "recovered", "ams:fra", "come back" },
    { lossy, "lossy", "ams:fra", "100 of 1000 probes of the last report period lost (100 on the way there" },
    { lossy_probe, "lossy", "ams:fra", "2 of 10" },
    { lossy_all_round, "lossy", "ams:fra", "0 of 2 pairs all lost; 2 of 10 packets of doctor lost" },
    { a_little_lossy, "lossy", "ams:fra", "30 of 1000 probes" },
    { one_of_few, NULL, NULL, NULL },
    { not_sent, "not-sent", "ams:fra",
      "50 of 1000 probes of the last report period were refused by the host of ams" },
    { few_not_sent, NULL, NULL, NULL },
    { few_losses, NULL, NULL, NULL },
    { no_data, "no-data", "ams:fra", "1 of 2 pairs" },
    { no_data_explained, NULL, NULL, NULL },
    { not_probed, "not-probed", "ams:fra", "too old" },
    { away, NULL, NULL, NULL },
    { away_and_down, NULL, NULL, NULL },
    { way_in_maintenance, NULL, NULL, NULL },
};

/* Reports from before the agent's start count from there. */
static void each_fault_is_found(void **state)
{
    bool used[256] = { false };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct fleet t;
        struct findings f = { 0 };

        make(&t);
        rows[i].fault(&t);
        doctor_examine(&t.f, &f);
        if (f.n != (rows[i].id != NULL))
            fail_msg("row %zu (%s): %zu findings, the first %s of %s: %s", i,
                     rows[i].id ? rows[i].id : "none", f.n, f.n ? f.v[0].id : "-", f.n ? f.v[0].subject : "-",
                     f.n ? f.v[0].observed : "-");
        if (rows[i].id) {
            const struct doctor_check *c = doctor_check_find(rows[i].id);
            assert_non_null(c);
            used[c - doctor_checks] = true;
            if (strcmp(f.v[0].id, rows[i].id) != 0 || strcmp(f.v[0].subject, rows[i].subject) != 0 ||
                !strstr(f.v[0].observed, rows[i].seen) || f.v[0].severity != c->severity ||
                !f.v[0].cause[0] || !f.v[0].next[0] || strchr(f.v[0].cause, '{') || strchr(f.v[0].next, '{'))
                fail_msg("row %zu: %s of %s: %s / %s / %s", i, f.v[0].id, f.v[0].subject, f.v[0].observed,
                         f.v[0].cause, f.v[0].next);
        }
        findings_free(&f);
    }
    for (size_t i = 0; i < doctor_checks_n; i++)
        if (!used[i])
            fail_msg("no row shows %s", doctor_checks[i].id);
}

static void counters_count_from_the_start_without_an_earlier_report(void **state)
{
    struct fleet t;
    struct findings f = { 0 };

    (void)state;
    make(&t);
    dropped_at_start(&t);
    doctor_examine(&t.f, &f);
    assert_int_equal(f.n, 3); /* drops, strangers, signatures */
    assert_string_equal(f.v[0].id, "spool-dropping");
    assert_non_null(strstr(f.v[0].observed, "5 summaries lost since it was started"));
    findings_free(&f);
}

/* Of ways by their results, of who is away by the last that was heard. */
static void it_is_said_since_when(void **state)
{
    static const struct doctor_since early = { .ns = NOW - 90 * TW_NS_PER_S, .or_before = true },
                                     late = { .ns = NOW - 30 * TW_NS_PER_S };
    static const struct {
        void (*fault)(struct fleet *t);
        int64_t since_ns;
        bool or_before;
    } cases[] = {
        { forward, NOW - 30 * TW_NS_PER_S, false },
        { lossy, NOW - 90 * TW_NS_PER_S, true },
        { cut_off, NOW - 60 * TW_NS_PER_S, false },
        { missing_controller, NOW - 90 * TW_NS_PER_S, false },
        { refusals, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct fleet t;
        struct findings f = { 0 };

        make(&t);
        t.ways[0].silent = late;
        t.ways[0].lossy = early;
        cases[i].fault(&t);
        doctor_examine(&t.f, &f);
        assert_int_equal(f.n, 1);
        if (f.v[0].since_ns != cases[i].since_ns || f.v[0].since_or_before != cases[i].or_before)
            fail_msg("%s: %lld s ago", f.v[0].id, (long long)((NOW - f.v[0].since_ns) / TW_NS_PER_S));
        findings_free(&f);
    }
}

/* What all find of one is one finding, and what one finds of all. */
static void many_become_one(void **state)
{
    static const struct {
        bool at_target;
        const char *subject, *seen;
    } cases[] = { { true, "fra", "from ams, lon, par (3 pairs of agents): 10 packets" },
                  { false, "fra", "to ams, lon, par (3 pairs of agents): 10 packets" } };

    (void)state;
    for (size_t c = 0; c < TW_NELEM(cases); c++) {
        struct fleet t;
        struct findings f = { 0 };
        int64_t since_ns = NOW;

        make(&t);
        for (size_t i = 0; i < WAYS; i++) {
            struct doctor_probe *p = &t.probes[i];
            if (strcmp(cases[c].at_target ? t.ways[i].target : t.ways[i].source, "fra") != 0)
                continue;
            p->packets[DOCTOR_SMALL].received = 0;
            p->seen[DOCTOR_SMALL] = (struct doctor_seen){ 0 };
            t.ways[i].all_lost = 1;
            t.ways[i].silent.ns = NOW - (i % 5) * TW_NS_PER_S;
            since_ns = t.ways[i].silent.ns < since_ns ? t.ways[i].silent.ns : since_ns;
        }
        doctor_examine(&t.f, &f);
        assert_int_equal(f.n, 1);
        assert_string_equal(f.v[0].id, "udp-blocked-forward");
        assert_string_equal(f.v[0].about, "agent");
        assert_string_equal(f.v[0].subject, cases[c].subject);
        assert_true(f.v[0].since_ns == since_ns); /* the first of them */
        if (!strstr(f.v[0].observed, cases[c].seen))
            fail_msg("%s", f.v[0].observed);
        findings_free(&f);
    }
}

static void versions_compare_by_number(void **state)
{
    static const struct {
        const char *a, *b;
        int order;
    } v[] = { { "twamp-agent 0.1.0", "0.1.0", 0 },
              { "twamp-agent 0.9.0", "0.10.0", -1 },
              { "2.0", "1.9.9", 1 },
              { "1.2.1", "1.2", 1 },
              { "1.2", "1.2.1", -1 },
              { "test-agent", "0.1.0", 0 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(v); i++)
        if (doctor_compare_versions(v[i].a, v[i].b) != v[i].order)
            fail_msg("%s and %s: %d", v[i].a, v[i].b, doctor_compare_versions(v[i].a, v[i].b));
}

/* The troubleshooting chapter has a row for each check and none for others. */
static void the_manual_knows_all(void **state)
{
    FILE *f = fopen(TW_SOURCE_DIR "/docs/operations.md", "r");
    char line[4096];
    size_t found = 0;
    bool inside = false;

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char id[64], severity[16];
        const struct doctor_check *c;

        if (!strncmp(line, "## ", 3))
            inside = strstr(line, "Troubleshooting") != NULL;
        if (!inside || sscanf(line, "| `%63[a-z0-9-]` | %15[a-z] |", id, severity) != 2 ||
            strstr(line, "| --check |"))
            continue;
        c = doctor_check_find(id);
        if (!c)
            fail_msg("the manual has %s, which is no check", id);
        if (strcmp(tw_severity_name(c->severity), severity) != 0)
            fail_msg("%s: a %s in the manual, a %s in the table", id, severity,
                     tw_severity_name(c->severity));
        found++;
    }
    fclose(f);
    assert_int_equal(found, doctor_checks_n);
    for (size_t i = 0; i < doctor_checks_n; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(doctor_checks[i].id, doctor_checks[k].id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_found),
        cmocka_unit_test(counters_count_from_the_start_without_an_earlier_report),
        cmocka_unit_test(it_is_said_since_when),
        cmocka_unit_test(many_become_one),
        cmocka_unit_test(versions_compare_by_number),
        cmocka_unit_test(the_manual_knows_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
