/* A controller that only has an Admin service with prepared answers, and twampctl as a process of its own
 * with a stopped clock: this program again, called with "--child". */
#ifndef TW_TEST_FAKE_ADMIN_H
#define TW_TEST_FAKE_ADMIN_H

#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "admin.pb-c.h"
#include "common/net/now.h"
#include "common/net/rpc.h"
#include "common/net/summary_pb.h"
#include "common/version.h"
#include "controller/cli/cli.h"
#include "tests/unit/common/summary_fixture.h"

#define PATIENCE_NS (60 * TW_NS_PER_S)
#define NOW_NS (1003 * MINUTE_NS + 5 * TW_NS_PER_S) /* a little after the last summary */
#define MAX_ARGS 24
#define MAX_OUT (256 * 1024)

/* What the service remembers and how it behaves. */
struct fake {
    struct loop *loop;
    struct rpc_server *server;
    struct rpc_service services[1];
    struct arena *arena;
    char dir[64], url[128];
    Tw__PairFilter filter; /* of the last Report or Results, without its texts */
    char direction[32];
    char filter_text[256];
    Tw__PairFlightRequest flight; /* of the last Flight or FlightFreeze, without its texts */
    char reason[128];
    char author[64], file[64];
    size_t document_len;
    bool plan_only;
    struct loop_timer late; /* answers late_data */
    Tw__ScheduleApplyReply_Closure late_closure;
    void *late_data;
    bool empty;          /* nothing is known */
    bool behind;         /* an agent that is up never takes a generation */
    unsigned list_calls; /* of ScheduleList */
    uint64_t rollback_to;
    bool prune, force, refusing;
    unsigned elsewhere; /* agents at other controllers */
    char selector[128];
    unsigned report_calls;
    char objectives[256];
    bool no_flows;    /* a controller from before they could be asked for */
    bool truncate;    /* a report of all sources does not fit */
    bool cut_lists;   /* neither do all agents */
    bool other_version; /* than that of twampctl */
    bool shared; /* with other controllers */
    unsigned busy, status_calls; /* so many calls of Status are told to come again; all of them */
    uint32_t busy_ms;            /* told: after so long; 0 = 20 */
    unsigned doctor_looks; /* since DoctorStart */
    bool doctor_healthy;   /* the last one was asked for lon */
    char doctor_asked[256];
    unsigned pages;    /* of results that are still to come; 0: all in one */
    bool page_texts;   /* results come as text where they are asked for as such */
    const char *long_text; /* each of three pages, which may be asked for again */
    bool asked_again;      /* for the page behind the first one */
    int out_fd;            /* what twampctl prints goes there; 0: into a file */
    bool report_pages; /* each answer has one pair */
    bool old;         /* a controller from before lists had pages */
    char select[128]; /* of the last AgentList */
    char edit[512];   /* the last edit of agents, all its fields */
    void *unanswered; /* a call that waits until the end */
};
static bool unset_controller; /* the child gets no TWAMPCTL_CONTROLLER */
static struct fake *fake; /* handlers get no context of their own */

/* ---- Answers ---- */

static Tw__Label site_ams = { PROTOBUF_C_MESSAGE_INIT(&tw__label__descriptor), (char *)"site",
                              (char *)"ams" };
static Tw__Label role_core = { PROTOBUF_C_MESSAGE_INIT(&tw__label__descriptor), (char *)"role",
                               (char *)"core" };

static Tw__Label rack_r1 = { PROTOBUF_C_MESSAGE_INIT(&tw__label__descriptor), (char *)"rack",
                             (char *)"r1" };

static inline Tw__HealthReport healthy(void)
{
    static Tw__ClockState clock = TW__CLOCK_STATE__INIT;
    static Tw__Noise noise = TW__NOISE__INIT;
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;

    clock.synced = true;
    clock.max_error_ns = 312000;
    h.time_ns = NOW_NS - 3 * TW_NS_PER_S;
    h.started_ns = 900 * MINUTE_NS;
    h.clock = &clock;
    h.spool_summaries = 2;
    h.spool_backlog = 1;
    h.spool_bytes = 4096;
    h.spool_dropped = 7;
    h.sessions = 6;
    h.generation = 4;
    h.probes_sent = 123456;
    h.probes_received = 123400;
    h.reflected = 99;
    h.cpu_ns = 1234567890;
    h.rss_bytes = 10500000;
    h.reflected_stamp = 80;
    h.reflected_auth = 70;
    h.reflector_auth_failed = 3;
    h.reflector_auth_demanded = 2;
    h.reflect_sessions = 5;
    h.auth_failed = 1;
    h.control_connections = 4;
    h.control_logins_failed = 6;
    h.control_refused = 8;
    noise.sent = 3600;
    noise.lost = 2;
    noise.p50_ns = 21500;
    noise.p99_ns = 64000;
    noise.max_ns = 1250000;
    h.noise = &noise;
    h.host_stalls = 11;
    h.host_stall_max_ns = 32000000;
    h.host_cpu_wait_ppm = 12500;
    h.send_errors = 12;
    h.sender_drops = 13;
    h.flight_share = 1024;
    h.flight_kept_ns = 20500 * TW_NS_PER_MS;
    h.flight_bytes = 245760;
    h.flight_frozen = 3;
    h.flight_frozen_bytes = 60000;
    h.flight_gave_way = 9;
    h.flight_unrecorded = 10;
    h.flight_withheld = 11;
    h.clock_leap = (char *)"insert";
    h.names = 3;
    h.names_unresolved = 1;
    h.names_stale = 1;
    h.name_lookups = 120;
    h.name_failures = 7;
    h.name_changes = 2;
    h.secrets_error = (char *)"/etc/twamp/secrets:3: expected KEYID and passphrase";
    h.https_error = (char *)"/etc/twamp/http.key: is not that of the certificate";
    return h;
}

/* Fra is wrong and does not know; lon is an hour behind and says it is not synchronised; two that nobody can
 * part; one without pairs; and one is right. */
static inline Tw__ClockFinding *clock_finding(size_t i)
{
    static Tw__ClockFinding v[6];
    static const char *const names[] = { "fra", "lon", "osl", "sto", "ams", "new" };

    for (size_t k = 0; k < 6; k++) {
        tw__clock_finding__init(&v[k]);
        v[k].agent = (char *)names[k];
        v[k].verdict = (char *)(k < 2 ? "offset" : k < 4 ? "either" : k == 4 ? "ok" : "unknown");
        v[k].claimed = k < 5;
        v[k].synced = k < 5 && k != 1;
        v[k].claimed_error_ns = v[k].synced ? 312000 : 0;
        v[k].measured = k < 5;
        v[k].uncertainty_ns = k < 5 ? 151234 : 0;
        v[k].limit_ns = k < 5 ? 563234 : 0;
        v[k].pairs = k == 2 || k == 3 ? 1 : k < 5 ? 99 : 0;
        v[k].pairs_used = k == 2 || k == 3 ? 1 : k < 5 ? 64 : 0;
        v[k].component = k == 2 || k == 3 ? 1 : k < 5 ? 0 : 2;
        v[k].component_agents = k == 2 || k == 3 ? 2 : k < 5 ? 100 : 1;
    }
    v[0].offset_ns = 5012345;
    v[1].offset_ns = -3600 * TW_NS_PER_S;
    v[1].certain = true;
    v[2].offset_ns = -25000000;
    v[3].offset_ns = 25000000;
    v[4].offset_ns = -12000;
    return &v[i];
}

/* Up and well but for a refusal; down; pending with a name that would move the cursor. */
static inline Tw__AgentInfo *agents(size_t i)
{
    static Tw__AgentInfo a[3];
    static Tw__HealthReport health;
    static Tw__Refusal refusal = TW__REFUSAL__INIT;
    static Tw__Refusal *refusals[] = { &refusal };
    static Tw__Label *labels[] = { &site_ams, &role_core }, *own[] = { &role_core, &rack_r1 };
    static Tw__AgentMark drained = TW__AGENT_MARK__INIT;
    static Tw__AgentSpan span = TW__AGENT_SPAN__INIT, *spans[] = { &span };
    static Tw__AgentLimits limits = TW__AGENT_LIMITS__INIT;
    static Tw__AgentCertificate certificate = TW__AGENT_CERTIFICATE__INIT;
    static char *removed[] = { (char *)"rack" }, *former[] = { (char *)"ams-old" };
    static char *addresses[] = { (char *)"192.0.2.1", (char *)"2001:db8::1" };
    static char *capabilities[] = { (char *)"light", (char *)"stamp", (char *)"stamp-auth" };

    health = healthy();
    refusal.pair_id = 77;
    drained.time_ns = 1000 * MINUTE_NS;
    drained.author = (char *)"joe";
    drained.reason = (char *)"new \033disks";
    span.from_ns = 1001 * MINUTE_NS;
    span.to_ns = 1100 * MINUTE_NS;
    span.author = (char *)"joe";
    span.reason = (char *)"new disks";
    limits.max_sessions = 10000;
    limits.max_pps = 100000;
    limits.max_bps = 250000000;
    refusal.reason = (char *)"over this agent's --max-pps, \"really\"";
    for (size_t k = 0; k < 3; k++)
        tw__agent_info__init(&a[k]);
    a[0].name = (char *)"ams";
    a[0].state = (char *)"up";
    a[0].fingerprint = (char *)"5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592";
    a[0].labels = labels;
    a[0].n_labels = 2;
    a[0].addresses = addresses;
    a[0].n_addresses = 2;
    a[0].reflector_port = 862;
    a[0].control_port = 8862;
    a[0].capabilities = capabilities;
    a[0].n_capabilities = 3;
    a[0].software = (char *)"twamp-agent 0.1.0";
    a[0].approved_ns = 950 * MINUTE_NS;
    a[0].last_contact_ns = NOW_NS - 3 * TW_NS_PER_S;
    a[0].generation = a[0].generation_wanted = 4;
    a[0].refusals = refusals;
    a[0].n_refusals = 1;
    a[0].health = &health;
    a[0].peer_address = (char *)"192.0.2.1";
    a[0].pairs = 6;
    a[0].clock = clock_finding(0);
    a[0].own_labels = own;
    a[0].n_own_labels = 2;
    a[0].operator_labels = labels;
    a[0].n_operator_labels = 1;
    a[0].removed_labels = removed;
    a[0].n_removed_labels = 1;
    a[0].drained = &drained;
    a[0].maintenance = spans;
    a[0].n_maintenance = 1;
    a[0].in_maintenance = true;
    a[0].former_names = former;
    a[0].n_former_names = 1;
    a[0].limits = &limits;
    certificate.serial = (char *)"4f1c5a0b9d3e7788aa01020304050607";
    certificate.issued_ns = 960 * MINUTE_NS;
    certificate.not_after_ns = NOW_NS + 80 * 86400 * TW_NS_PER_S;
    a[0].certificate = &certificate;
    a[1].clock = clock_finding(4);
    a[1].name = (char *)"fra";
    a[1].state = (char *)"down";
    a[1].peer_address = (char *)"2001:db8::2";
    a[1].reflector_port = 862;
    a[1].last_contact_ns = NOW_NS - 3 * 3600 * TW_NS_PER_S;
    a[1].generation = 3;
    a[1].generation_wanted = 4;
    a[1].pairs = 6;
    a[2].name = (char *)"p\033[31mr";
    a[2].state = (char *)"pending";
    a[2].fingerprint = (char *)"00";
    a[2].peer_address = (char *)"192.0.2.3";
    return &a[i];
}

/* With cut_lists one agent at a time. */
static void fake_agent_list(Tw__Admin_Service *s, const Tw__AgentListRequest *rq,
                            Tw__AgentListReply_Closure closure, void *data)
{
    Tw__AgentListReply reply = TW__AGENT_LIST_REPLY__INIT;
    Tw__AgentInfo *list[] = { agents(0), agents(1), agents(2) };
    size_t n = fake->empty ? 0 : 3, first = 0;

    (void)s;
    snprintf(fake->select, sizeof fake->select, "%s", rq->select);
    if (!strcmp(rq->select, "site=nowhere"))
        n = 0;
    while (!fake->old && first < n && strcmp(list[first]->name, rq->after) <= 0)
        first++;
    reply.agents = list + first;
    reply.n_agents = fake->cut_lists && n > first ? 1 : n - first;
    reply.truncated = first + reply.n_agents < n;
    closure(&reply, data);
}

/* ---- Edits of agents ---- */

static void answer_edit(const Tw__AgentRequest *rq, Tw__AgentChangeReply_Closure closure, void *data)
{
    static char *names[] = { (char *)"ams", (char *)"fra" };
    Tw__AgentChangeReply reply = TW__AGENT_CHANGE_REPLY__INIT;
    size_t len;

    fake->edit[0] = '\0';
    len = (size_t)snprintf(fake->edit, sizeof fake->edit, "%s|%s|%s|%s|%s|%lld|%lld|%d", rq->name, rq->select,
                           rq->author, rq->reason, rq->new_name, (long long)rq->from_ns, (long long)rq->to_ns, rq->end);
    for (size_t i = 0; i < rq->n_set_labels; i++)
        len += (size_t)snprintf(fake->edit + len, sizeof fake->edit - len, "|%s=%s", rq->set_labels[i]->key,
                                rq->set_labels[i]->value);
    for (size_t i = 0; i < rq->n_remove_labels; i++)
        len += (size_t)snprintf(fake->edit + len, sizeof fake->edit - len, "|%s-", rq->remove_labels[i]);
    if (!strcmp(rq->name, "xyz")) {
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no agent \"xyz\": twampctl agent list shows them");
        return;
    }
    reply.agents = names;
    reply.n_agents = rq->select[0] ? 2 : 1;
    reply.changed = strcmp(rq->name, "fra") ? 1 : 0;
    reply.generation = 9;
    closure(&reply, data);
}

#define FAKE_EDIT(name)                                                                                      \
    static void fake_agent_##name(Tw__Admin_Service *s, const Tw__AgentRequest *rq,                          \
                                  Tw__AgentChangeReply_Closure closure, void *data)                          \
    {                                                                                                        \
        (void)s;                                                                                             \
        answer_edit(rq, closure, data);                                                                      \
    }
FAKE_EDIT(label)
FAKE_EDIT(drain)
FAKE_EDIT(undrain)
FAKE_EDIT(maintenance)
FAKE_EDIT(revoke)
FAKE_EDIT(rename)

static void answer_agent(const Tw__AgentRequest *rq, Tw__AgentReply_Closure closure, void *data)
{
    Tw__AgentReply reply = TW__AGENT_REPLY__INIT;

    reply.agent = agents(0);
    if (!strcmp(rq->name, "ams")) {
        closure(&reply, data);
    } else if (!strcmp(rq->name, "silent")) {
        fake->unanswered = data;
    } else if (!strcmp(rq->name, "busy")) {
        rpc_fail(data, TW__STATUS__STATUS_UNAVAILABLE, "the controller is stopping");
    } else {
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no agent \"%s\": twampctl agent list shows them",
                 rq->name);
    }
}

static void fake_agent_show(Tw__Admin_Service *s, const Tw__AgentRequest *rq, Tw__AgentReply_Closure closure,
                            void *data)
{
    (void)s;
    answer_agent(rq, closure, data);
}

static void fake_agent_approve(Tw__Admin_Service *s, const Tw__AgentRequest *rq,
                               Tw__AgentReply_Closure closure, void *data)
{
    (void)s;
    if (rq->fingerprint[0] && strcmp(rq->fingerprint, agents(0)->fingerprint) != 0)
        rpc_fail(data, TW__STATUS__STATUS_FAILED_PRECONDITION, "its key has another fingerprint");
    else
        answer_agent(rq, closure, data);
}

static void fake_agent_remove(Tw__Admin_Service *s, const Tw__AgentRequest *rq,
                              Tw__AgentReply_Closure closure, void *data)
{
    Tw__AgentReply reply = TW__AGENT_REPLY__INIT;

    (void)s;
    (void)rq;
    closure(&reply, data);
}

static inline void fill_plan(Tw__Plan *p)
{
    static Tw__PlanAgent a[2];
    static Tw__PlanAgent *list[] = { &a[0], &a[1] };

    for (size_t i = 0; i < 2; i++)
        tw__plan_agent__init(&a[i]);
    a[0].agent = (char *)"ams";
    a[0].pairs_before = 4;
    a[0].pairs_after = 6;
    a[0].packets_per_second = 1234.5;
    a[0].bits_per_second = 6.16e5;
    a[0].reflected_packets_per_second = 180;
    a[1].agent = (char *)"fra";
    a[1].pairs_after = 6;
    a[1].packets_per_second = 0.5;
    a[0].mean_packets_per_second = 61.725;
    a[1].mean_packets_per_second = 0.5;
    p->packets_per_second_before = 800;
    p->packets_per_second = 1235;
    p->mean_packets_per_second = 62.225;
    p->mesh = (char *)"voice";
    p->pairs = 12;
    p->added = 8;
    p->changed = 1;
    p->removed = 2;
    p->series = 1590;
    p->store_bytes_per_day = 93300000;
    p->agents = list;
    p->n_agents = 2;
}

/* Pairs if they are asked for; documents called "many" are of three meshes, "dear" ones go beyond all limits. */
static void fill_details(Tw__Plan *p, const Tw__ScheduleApplyRequest *rq, const char *document)
{
    static Tw__PlanPair pairs[3], *pair_list[3] = { &pairs[0], &pairs[1], &pairs[2] };
    static Tw__PlanMesh meshes[3], *mesh_list[3] = { &meshes[0], &meshes[1], &meshes[2] };
    static Tw__PlanExcess excesses[2], *excess_list[2] = { &excesses[0], &excesses[1] };
    static Tw__PlanShare shares[2], *share_list[2] = { &shares[0], &shares[1] };
    static const char *const actions[] = { "added", "changed", "removed" };
    static const char *const mesh_actions[] = { "changed", "unchanged", "deleted" };
    static const char *const names[] = { "voice", "bulk", "old" };

    for (size_t i = 0; i < 3; i++) {
        tw__plan_pair__init(&pairs[i]);
        pairs[i].action = (char *)actions[i];
        pairs[i].mesh = (char *)"voice";
        pairs[i].class_name = (char *)"ef";
        pairs[i].source = (char *)"ams";
        pairs[i].target = (char *)(i == 1 ? "fra\033" : "lon");
        pairs[i].what = (char *)(i == 1 ? "spacing 20ms -> 50ms" : "");
        tw__plan_mesh__init(&meshes[i]);
        meshes[i].mesh = (char *)names[i];
        meshes[i].action = (char *)mesh_actions[i];
        meshes[i].pairs = i == 2 ? 0 : 6;
        meshes[i].removed = i == 2 ? 6 : 0;
        meshes[i].paused = i == 0;
        meshes[i].below_degree = i == 0 ? 2 : 0;
        meshes[i].ended_classes = i == 0;
    }
    p->pairs_before = 6;
    p->pairs_after = 12;
    p->series_before = 800;
    p->store_bytes_per_day_before = 40e6;
    if (rq->max_pairs) {
        p->changed_pairs = pair_list;
        p->n_changed_pairs = 3;
        p->changed_pairs_truncated = true;
    }
    if (strstr(document, "many")) {
        p->meshes = mesh_list;
        p->n_meshes = 3;
    }
    if (!strstr(document, "dear"))
        return;
    for (size_t i = 0; i < 2; i++) {
        tw__plan_share__init(&shares[i]);
        shares[i].mesh = (char *)names[i];
        shares[i].class_name = (char *)"ef";
        shares[i].value = i ? 500 : 1500;
        shares[i].pairs = i ? 10 : 30;
        tw__plan_excess__init(&excesses[i]);
        excesses[i].kind = (char *)(i ? "series" : "packets_per_second");
        excesses[i].agent = (char *)(i ? "" : "ams");
        excesses[i].value = i ? 1590 : 2000;
        excesses[i].limit = 1000;
        excesses[i].hard = !i;
        excesses[i].text = (char *)(i ? "there would be 1590 Prometheus series: the budget is 1000"
                                      : "agent ams would send 2000 packets/s: its own limit is 1000");
        excesses[i].fits = (char *)(i ? "" : "a spacing of 60ms instead of 20ms in voice/ef");
        excesses[i].contributors = share_list;
        excesses[i].n_contributors = i ? 1 : 2;
    }
    p->excesses = excess_list;
    p->n_excesses = 2;
    p->excesses_all = 3;
}

#define LATE_NS (1700 * TW_NS_PER_MS)

static void apply_late(struct loop_timer *t)
{
    Tw__ScheduleApplyReply reply = TW__SCHEDULE_APPLY_REPLY__INIT;
    Tw__Plan plan = TW__PLAN__INIT;

    (void)t;
    fill_plan(&plan);
    reply.plan = &plan;
    reply.generation = 5;
    fake->late_closure(&reply, fake->late_data);
}

static void fake_schedule_apply(Tw__Admin_Service *s, const Tw__ScheduleApplyRequest *rq,
                                Tw__ScheduleApplyReply_Closure closure, void *data)
{
    Tw__ScheduleApplyReply reply = TW__SCHEDULE_APPLY_REPLY__INIT;
    Tw__Plan plan = TW__PLAN__INIT;
    Tw__Field error = TW__FIELD__INIT;
    const char *document = "";

    (void)s;
    snprintf(fake->author, sizeof fake->author, "%s", rq->author);
    fake->document_len = 0;
    for (size_t i = 0; i < rq->n_files; i++) {
        if (strstr(rq->files[i]->text, "EFF") || !i) {
            snprintf(fake->file, sizeof fake->file, "%s", rq->files[i]->name);
            document = rq->files[i]->text;
        }
        fake->document_len += strlen(rq->files[i]->text);
    }
    fake->plan_only = rq->plan_only;
    fake->prune = rq->prune;
    fake->force = rq->force;
    snprintf(fake->reason, sizeof fake->reason, "%s", rq->reason);
    if (strstr(document, "slowly")) {
        fake->late = (struct loop_timer){ .fn = apply_late };
        fake->late_closure = closure;
        fake->late_data = data;
        loop_timer_set(fake->loop, &fake->late, (struct tw_mono){ tw_mono_now().ns + LATE_NS });
        return;
    }
    if (strstr(document, "EFF")) {
        error.file = fake->file;
        error.line = 3;
        error.column = 17;
        error.path = (char *)"classes.voice.dscp";
        error.text = (char *)"\"EFF\" is no DSCP: expected a name such as EF, or 0..63";
        reply.error = &error;
    } else if (strstr(document, "expensive")) {
        rpc_fail(data, TW__STATUS__STATUS_FAILED_PRECONDITION,
                 "agent ams would send 200000 packets/s, its limit is 100000");
        return;
    } else {
        fill_plan(&plan);
        fill_details(&plan, rq, document);
        reply.plan = &plan;
        reply.generation = rq->plan_only ? 0 : 5;
        reply.unchanged = strstr(document, "again") != NULL;
        if (plan.n_excesses) {
            error.text = (char *)"agent ams would send 2000 packets/s: its own limit is 1000, and 2 more reasons";
            reply.error = &error;
            reply.generation = 0;
        }
    }
    closure(&reply, data);
}

static inline void fill_mesh(Tw__MeshInfo *m)
{
    static char *classes[] = { (char *)"voice", (char *)"bulk" };

    m->name = (char *)"voice";
    m->description = (char *)"Zürich – \033]0;x\007, \"quoted\"";
    m->topology = (char *)"full";
    m->classes = classes;
    m->n_classes = 2;
    m->pairs = 12;
    m->agents = 3;
    m->generation = 4;
    m->changed_ns = 990 * MINUTE_NS;
    m->author = (char *)"op";
    m->runs = (char *)"continuous,cron";
    m->next_run_ns = 1010 * MINUTE_NS;
    m->pairs_idle = 4;
    m->in_maintenance = true;
}

/* Agents take the generation at the third question, unless one stays behind. */
static void fake_schedule_list(Tw__Admin_Service *s, const Tw__ScheduleListRequest *rq,
                               Tw__ScheduleListReply_Closure closure, void *data)
{
    Tw__ScheduleListReply reply = TW__SCHEDULE_LIST_REPLY__INIT;
    Tw__MeshInfo mesh = TW__MESH_INFO__INIT, *meshes[] = { &mesh };
    Tw__AgentRollout up = TW__AGENT_ROLLOUT__INIT, down = TW__AGENT_ROLLOUT__INIT,
                     *rollout[] = { &down, &up };
    bool taken = !fake->behind;

    fake->list_calls++;

    (void)s;
    (void)rq;
    fill_mesh(&mesh);
    up.agent = (char *)"ams";
    up.state = (char *)"up";
    up.generation = taken ? 5 : 4;
    up.current = taken;
    down.agent = (char *)"fra";
    down.state = (char *)"down";
    down.generation = 3;
    reply.generation = 5;
    reply.meshes = meshes;
    reply.rollout = rollout;
    reply.n_meshes = fake->empty ? 0 : 1;
    reply.n_rollout = fake->empty ? 0 : 2;
    reply.truncated = fake->cut_lists;
    closure(&reply, data);
}

/* Agents take the generation at the third question, unless one stays behind. */
static void fake_schedule_rollout(Tw__Admin_Service *s, const Tw__ScheduleRolloutRequest *rq,
                                  Tw__ScheduleRolloutReply_Closure closure, void *data)
{
    Tw__ScheduleRolloutReply reply = TW__SCHEDULE_ROLLOUT_REPLY__INIT;
    Tw__AgentRollout up = TW__AGENT_ROLLOUT__INIT, down = TW__AGENT_ROLLOUT__INIT,
                     refusing = TW__AGENT_ROLLOUT__INIT, *rollout[] = { &up, &down, &refusing };
    Tw__RolloutRefusal refusal = TW__ROLLOUT_REFUSAL__INIT, *refused = &refusal;
    Tw__PairInfo pair = TW__PAIR_INFO__INIT;
    bool taken = ++fake->list_calls >= 3 && !fake->behind;

    (void)s;
    snprintf(fake->selector, sizeof fake->selector, "%s", rq->select);
    up.agent = (char *)"ams";
    up.state = (char *)"up";
    up.word = (char *)(taken ? "current" : "slow");
    up.generation = taken ? 5 : 4;
    up.current = taken;
    up.acked_ns = 980 * MINUTE_NS;
    up.behind_ns = taken ? 0 : 990 * MINUTE_NS;
    up.last_contact_ns = 1000 * MINUTE_NS;
    up.sessions_wanted = 24;
    up.sessions_running = taken ? 24 : 12;
    up.missing = taken ? 0 : 12;
    down.agent = (char *)"fra";
    down.state = (char *)"down";
    down.word = (char *)"away";
    down.generation = 3;
    down.last_contact_ns = 800 * MINUTE_NS;
    down.behind_ns = 970 * MINUTE_NS;
    down.sessions_wanted = 24;
    down.missing = 24;
    pair.mesh = (char *)"voice";
    pair.class_name = (char *)"ef";
    pair.source = (char *)"lon";
    pair.target = (char *)"ams";
    refusal.pair = &pair;
    refusal.flow = 1;
    refusal.reason = (char *)"no key \"site\"";
    refusing.agent = (char *)"lon";
    refusing.state = (char *)"up";
    refusing.word = (char *)"refuses";
    refusing.generation = 5;
    refusing.current = true;
    refusing.refusals = 2;
    refusing.refused = &refused;
    refusing.n_refused = 1;
    refusing.sessions_wanted = 24;
    refusing.sessions_running = 22;
    up.software = (char *)"twamp-agent 0.1.0";
    down.software = (char *)"twamp-agent 0.2.0";
    down.skew = (char *)"older";
    refusing.software = (char *)"twamp-agent 0.1.9";
    refusing.skew = (char *)"too_old";
    reply.agents_skewed = fake->refusing;
    reply.agents_elsewhere = fake->elsewhere;
    reply.generation = 5;
    reply.rollout = rollout;
    reply.n_rollout = fake->empty ? 0 : fake->refusing ? 3 : 2;
    reply.agents = reply.n_rollout;
    reply.agents_current = (uint64_t)taken + (fake->refusing && !fake->empty);
    reply.agents_behind = !taken && !fake->empty;
    reply.agents_away = !fake->empty;
    reply.agents_refusing = fake->refusing;
    reply.truncated = fake->cut_lists;
    closure(&reply, data);
}

/* In two parts. */
static void fake_schedule_export(Tw__Admin_Service *s, const Tw__ScheduleExportRequest *rq,
                                 Tw__ScheduleExportReply_Closure closure, void *data)
{
    Tw__ScheduleExportReply reply = TW__SCHEDULE_EXPORT_REPLY__INIT;
    Tw__ExportedMesh mesh = TW__EXPORTED_MESH__INIT, *list = &mesh;
    bool second = !strcmp(rq->after, "bulk") || !strcmp(rq->name, "voice");

    (void)s;
    mesh.mesh = (char *)(second ? "voice" : "bulk");
    mesh.paused = second;
    mesh.text = (char *)(rq->json  ? "---\n{\n  \"mesh\": \"x\"\n}\n"
                         : second ? "---\n# as I wrote it\nmesh: voice\n"
                                  : "---\nmesh: bulk\n");
    reply.meshes = &list;
    reply.n_meshes = 1;
    reply.truncated = !second && !*rq->name;
    if (!*rq->name || !strcmp(rq->name, "voice"))
        closure(&reply, data);
    else
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no mesh \"%s\": twampctl schedule list shows them",
                 rq->name);
}

static void fake_schedule_show(Tw__Admin_Service *s, const Tw__MeshRequest *rq,
                               Tw__ScheduleShowReply_Closure closure, void *data)
{
    Tw__ScheduleShowReply reply = TW__SCHEDULE_SHOW_REPLY__INIT;
    Tw__MeshInfo mesh = TW__MESH_INFO__INIT;

    (void)s;
    fill_mesh(&mesh);
    mesh.document = (char *)"# as I wrote it\nmesh: voice";
    reply.mesh = &mesh;
    if (!strcmp(rq->name, "voice"))
        closure(&reply, data);
    else
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no mesh \"%s\": twampctl schedule list shows them",
                 rq->name);
}

/* Generation 5 put a document, the row before stands for two that agents made, and 1 is of an older program. */
static void fake_schedule_history(Tw__Admin_Service *s, const Tw__ScheduleHistoryRequest *rq,
                                  Tw__ScheduleHistoryReply_Closure closure, void *data)
{
    static const struct {
        unsigned first, number;
        const char *author, *what, *reason;
        unsigned pairs, added, removed, changed;
        bool counted, complete;
    } rows[] = {
        { 5, 5, "op", "apply voice; delete bulk", "ticket 4711", 12, 0, 6, 6, true, true },
        { 3, 4, "op", "approve agents fra, lon", "", 18, 12, 0, 0, true, true },
        { 2, 2, "Zo\u00eb", "apply voice, bulk", "", 6, 6, 0, 0, true, true },
        { 1, 1, "op", "apply voice", "", 0, 0, 0, 0, false, false },
    };
    Tw__ScheduleHistoryReply reply = TW__SCHEDULE_HISTORY_REPLY__INIT;
    Tw__GenerationInfo info[TW_NELEM(rows)], *list[TW_NELEM(rows)];
    Tw__MeshChange voice = TW__MESH_CHANGE__INIT, bulk = TW__MESH_CHANGE__INIT, *meshes[] = { &bulk, &voice };

    (void)s;
    bulk.mesh = (char *)"bulk";
    bulk.action = (char *)"deleted";
    bulk.lines_removed = 6;
    bulk.diff = (char *)"@@ -1,2 +0,0 @@\n-mesh: bulk\n-topology: full\n";
    bulk.diff_truncated = true;
    voice.mesh = (char *)"voice";
    voice.action = (char *)"changed";
    voice.lines_added = voice.lines_removed = 1;
    voice.diff = (char *)"@@ -4,2 +4,2 @@\n classes:\n-  voice: { spacing: 20ms }\n+  voice: { spacing: 50ms }\n";
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        tw__generation_info__init(&info[i]);
        info[i].first_generation = rows[i].first;
        info[i].generation = rows[i].number;
        info[i].time_ns = (990 - (int64_t)i) * MINUTE_NS;
        info[i].author = (char *)rows[i].author;
        info[i].what = (char *)rows[i].what;
        info[i].reason = (char *)rows[i].reason;
        info[i].pairs = rows[i].pairs;
        info[i].added = rows[i].added;
        info[i].removed = rows[i].removed;
        info[i].changed = rows[i].changed;
        info[i].counted = rows[i].counted;
        info[i].kept = rows[i].complete;
        if (rq->generation ? rows[i].first <= rq->generation && rq->generation <= rows[i].number : !fake->empty)
            list[reply.n_generations++] = &info[i];
    }
    info[0].meshes = meshes;
    info[0].n_meshes = 2;
    reply.generation = 5;
    reply.generations = list;
    reply.truncated = fake->cut_lists;
    if (rq->generation && !reply.n_generations)
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "generation %d is not in the history: twampctl schedule "
                                                     "history shows them",
                 (int)rq->generation);
    else
        closure(&reply, data);
}

static void fake_schedule_rollback(Tw__Admin_Service *s, const Tw__ScheduleRollbackRequest *rq,
                                   Tw__ScheduleApplyReply_Closure closure, void *data)
{
    Tw__ScheduleApplyReply reply = TW__SCHEDULE_APPLY_REPLY__INIT;
    Tw__Plan plan = TW__PLAN__INIT;

    (void)s;
    snprintf(fake->author, sizeof fake->author, "%s", rq->author);
    fake->plan_only = rq->plan_only;
    fake->rollback_to = rq->generation;
    fill_plan(&plan);
    reply.plan = &plan;
    reply.generation = rq->plan_only ? 0 : 5;
    closure(&reply, data);
}

static void answer_change(const Tw__MeshRequest *rq, Tw__ScheduleChangeReply_Closure closure, void *data)
{
    Tw__ScheduleChangeReply reply = TW__SCHEDULE_CHANGE_REPLY__INIT;

    snprintf(fake->author, sizeof fake->author, "%s", rq->author);
    reply.generation = 6;
    closure(&reply, data);
}

static void fake_schedule_pause(Tw__Admin_Service *s, const Tw__MeshRequest *rq,
                                Tw__ScheduleChangeReply_Closure closure, void *data)
{
    (void)s;
    answer_change(rq, closure, data);
}

static void fake_schedule_resume(Tw__Admin_Service *s, const Tw__MeshRequest *rq,
                                 Tw__ScheduleChangeReply_Closure closure, void *data)
{
    (void)s;
    answer_change(rq, closure, data);
}

static void fake_schedule_delete(Tw__Admin_Service *s, const Tw__MeshRequest *rq,
                                 Tw__ScheduleChangeReply_Closure closure, void *data)
{
    (void)rq;
    (void)closure;
    (void)s;
    rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "unknown method");
}

static void keep_filter(const Tw__PairFilter *rq)
{
    fake->filter = *rq;
    snprintf(fake->filter_text, sizeof fake->filter_text, "%s|%s|%s|%s", rq->mesh, rq->class_name, rq->source,
             rq->target);
}

static Tw__Summary *as_pb(struct tw_summary *s)
{
    Tw__Summary *m = NULL;

    assert_int_equal(summary_to_pb(s, fake->arena, &m), TW_OK);
    summary_free(s);
    return m;
}

static Tw__PairInfo *pair(const char *class_name, const char *source, const char *target)
{
    Tw__PairInfo *p = arena_alloc(fake->arena, sizeof *p);

    tw__pair_info__init(p);
    p->pair_id = 9007199254740993u; /* more than a double can hold */
    p->mesh = (char *)"voice";
    p->class_name = (char *)class_name;
    p->source = (char *)source;
    p->target = (char *)target;
    p->scheduled = true;
    return p;
}

/* The number of the page stands for the pair. */
static void long_page(const Tw__PairFilter *rq, Tw__ResultsReply_Closure closure, void *data)
{
    Tw__ResultsReply reply = TW__RESULTS_REPLY__INIT;

    fake->asked_again |= rq->page_pair == 1;
    reply.truncated = rq->page_pair < 2;
    reply.next_pair = reply.truncated ? rq->page_pair + 1 : 0;
    reply.page_rows = 1;
    reply.page_text = (ProtobufCBinaryData){ strlen(fake->long_text), (uint8_t *)fake->long_text };
    closure(&reply, data);
}

static void fake_results(Tw__Admin_Service *s, const Tw__PairFilter *rq, Tw__ResultsReply_Closure closure,
                         void *data)
{
    Tw__ResultsReply reply = TW__RESULTS_REPLY__INIT;
    Tw__ResultRow rows[2] = { TW__RESULT_ROW__INIT, TW__RESULT_ROW__INIT }, *list[] = { &rows[0], &rows[1] };
    struct tw_summary sum;

    (void)s;
    keep_filter(rq);
    if (fake->long_text) {
        long_page(rq, closure, data);
        return;
    }
    arena_reset(fake->arena);
    make_summary(&sum, 1);
    sum.host_drops = 2;
    rows[0].pair = pair("ef", "ams", "fra");
    rows[0].summary = as_pb(&sum);
    make_all_lost(&sum, 2);
    rows[1].pair = pair("ef", "ams", "fra");
    rows[1].summary = as_pb(&sum);
    reply.rows = list;
    reply.n_rows = fake->empty ? 0 : 2;
    reply.truncated = rq->limit == 2;
    if (fake->pages) {
        assert_true(rq->paged);
        assert_int_equal(rq->page_pair, fake->pages == 3 ? 0 : 70 + fake->pages);
        reply.truncated = --fake->pages > 0;
        reply.next_pair = 70 + fake->pages;
    }
    if (fake->page_texts && *rq->page_form) {
        reply.n_rows = 0;
        reply.page_rows = strlen(rq->page_form);
        reply.page_text = (ProtobufCBinaryData){ reply.page_rows * 2, (uint8_t *)"1\n2\n3\n4\n5\n6\n" };
        reply.page_last = rows[0].pair;
    }
    closure(&reply, data);
}

static void put_pair(Tw__PairReport *p, Tw__PairInfo *info, const char *state, struct tw_summary *merged)
{
    tw__pair_report__init(p);
    p->pair = info;
    p->state = (char *)state;
    p->periods_expected = 3;
    p->merged = merged ? as_pb(merged) : NULL;
}

/* One pair that loses some, with a doubtful clock; one that loses all; one without anything. */
static size_t fill_pairs(Tw__PairReport *p)
{
    struct tw_summary sum;

    make_summary(&sum, 2);
    sum.clock_local.synced = false;
    sum.host_drops = 2;
    put_pair(&p[0], pair("ef", "ams", "fra"), "partial", &sum);
    p[0].periods_stored = 2;
    p[0].summaries_dropped = 4;
    make_all_lost(&sum, 2);
    put_pair(&p[1], pair("ef", "ams", "zürich"), "all_lost", &sum);
    p[1].periods_stored = 3;
    p[1].covers_from_ns = 600 * MINUTE_NS; /* an hour's roll-ups are left of it */
    p[1].covers_to_ns = 660 * MINUTE_NS;
    put_pair(&p[2], pair("ef", "fra", "ams"), "agent_down", NULL);
    p[2].maintenance = true;
    p[2].pair->maintenance_agent = (char *)"fra";
    p[2].pair->maintenance_reason = (char *)"new kernel";
    p[2].pair->maintenance_until_ns = 1100 * MINUTE_NS;
    return 3;
}

/* The same numbers as of pairs 1 and 2, and half an hour before those of others. */
static void fill_shape(const Tw__PairFilter *rq, Tw__ReportReply *reply, Tw__PairReport *pairs)
{
    static Tw__GroupReport groups[2], *list[] = { &groups[0], &groups[1] };
    struct tw_summary before;

    reply->sort_by = rq->sort_by;
    reply->before_from_ns = rq->before_from_ns;
    reply->before_to_ns = rq->before_to_ns;
    if (rq->before_to_ns) {
        make_summary(&before, 9);
        pairs[0].before = as_pb(&before);
        pairs[0].before_expected = pairs[0].before_stored = 3;
    }
    if (!*rq->group_by || !strcmp(rq->group_by, "pair"))
        return;
    reply->group_by = rq->group_by;
    for (int i = 0; i < 2; i++) {
        tw__group_report__init(&groups[i]);
        groups[i].key = (char *)(i ? "" : "north");
        groups[i].pairs = 2 - (unsigned)i;
        groups[i].merged = pairs[i].merged;
        groups[i].periods_expected = 3;
        groups[i].periods_stored = 2;
        groups[i].before = pairs[i].before;
        groups[i].covers_from_ns = pairs[i].covers_from_ns;
        groups[i].covers_to_ns = pairs[i].covers_to_ns;
    }
    reply->groups = list;
    reply->n_groups = 2;
    if (fake->report_pages) {
        list[0] = list[rq->skip];
        reply->n_groups = 1;
        reply->truncated = rq->skip == 0;
        reply->next = reply->truncated;
    }
}

static void fake_report_sla(Tw__Admin_Service *s, const Tw__PairFilter *rq, Tw__SlaReply_Closure closure, void *data)
{
    Tw__SlaReply reply = TW__SLA_REPLY__INIT;
    Tw__SlaPair pairs[2] = { TW__SLA_PAIR__INIT, TW__SLA_PAIR__INIT }, *list[] = { &pairs[0], &pairs[1] };
    Tw__SlaGoal goals[2] = { TW__SLA_GOAL__INIT, TW__SLA_GOAL__INIT }, *goal_list[] = { &goals[0], &goals[1] };
    Tw__SlaOutage outage = TW__SLA_OUTAGE__INIT, *outages[] = { &outage };
    Tw__SlaExcluded excluded = TW__SLA_EXCLUDED__INIT, *excluded_list[] = { &excluded };

    (void)s;
    keep_filter(rq);
    snprintf(fake->objectives, sizeof fake->objectives, "%s", rq->objectives);
    if (!strncmp(rq->objectives, "bad", 3)) {
        rpc_fail(data, TW__STATUS__STATUS_INVALID_ARGUMENT, "objectives:1:1: expected a map");
        return;
    }
    reply.from_ns = 900 * MINUTE_NS;
    reply.to_ns = 960 * MINUTE_NS;
    goals[0] = (Tw__SlaGoal){ goals[0].base, (char *)"availability", 0.999, true, 0.99, (char *)"missed", (char *)"windows", 0.36, 3.6, -3.24 };
    goals[1] = (Tw__SlaGoal){ goals[1].base, (char *)"p99", 0.05, true, 0.0169, (char *)"met", (char *)"probes", 36, 1, 35 };
    outage.start_ns = 910 * MINUTE_NS;
    outage.end_ns = 911 * MINUTE_NS;
    outage.windows = 6;
    excluded.from_ns = 930 * MINUTE_NS;
    excluded.to_ns = 940 * MINUTE_NS;
    for (int i = 0; i < 2; i++) {
        pairs[i].pair_id = 7 + (unsigned)i;
        pairs[i].mesh = (char *)"voice";
        pairs[i].class_name = (char *)"ef";
        pairs[i].source = (char *)"ams";
        pairs[i].target = (char *)(i ? "zürich" : "fra");
        pairs[i].verdict = (char *)(i ? "unknown" : "missed");
        pairs[i].goals = goal_list;
        pairs[i].n_goals = i ? 0 : 2;
        pairs[i].outages = outages;
        pairs[i].n_outages = !i;
        pairs[i].excluded = excluded_list;
        pairs[i].n_excluded = 1;
        pairs[i].periods_expected = 360;
        pairs[i].periods_stored = 360;
    }
    reply.pairs = list + rq->skip; /* one a call */
    reply.n_pairs = 1;
    reply.truncated = rq->skip == 0;
    reply.next = 1;
    reply.missed = rq->skip == 0;
    reply.unknown = rq->skip == 1;
    closure(&reply, data);
}

static void fake_report(Tw__Admin_Service *s, const Tw__PairFilter *rq, Tw__ReportReply_Closure closure,
                        void *data)
{
    Tw__ReportReply reply = TW__REPORT_REPLY__INIT;
    Tw__PairReport rows[3], *list[3];
    char *removed[] = { (char *)"gone" };
    size_t n;

    (void)s;
    keep_filter(rq);
    fake->report_calls++;
    arena_reset(fake->arena);
    n = fill_pairs(rows);
    reply.pairs = list;
    reply.from_ns = 1000 * MINUTE_NS;
    reply.to_ns = 1003 * MINUTE_NS;
    reply.flows = rq->flows && !fake->no_flows;
    for (uint32_t i = 0; i < 3; i++)
        rows[i].flow = reply.flows ? i : 0;
    if (!fake->no_flows) { /* so old that it does not know these either */
        fill_shape(rq, &reply, rows);
        if (reply.n_groups) {
            closure(&reply, data);
            return;
        }
    }
    for (size_t i = 0; i < n && !fake->empty; i++)
        if (!rq->source[0] || !strcmp(rq->source, rows[i].pair->source))
            list[reply.n_pairs++] = &rows[i];
    if (fake->report_pages) {
        list[0] = list[rq->skip];
        reply.truncated = rq->skip + 1 < reply.n_pairs;
        reply.next = reply.truncated ? rq->skip + 1 : 0;
        reply.n_pairs = 1;
    }
    if (fake->truncate && !rq->source[0]) {
        reply.truncated = true;
        reply.n_pairs = 1;
        reply.removed_sources = removed;
        reply.n_removed_sources = 1;
    }
    closure(&reply, data);
}

/* Of a control state that is shared. */
static void fake_controllers(Tw__StatusReply *reply)
{
    static Tw__ControllerInfo v[4], *list[] = { &v[0], &v[1], &v[2], &v[3] };
    static const char *const names[] = { "ctl-1", "ctl-2", "ctl-3", "ctl-3" };

    if (!fake->shared)
        return;
    for (size_t i = 0; i < 4; i++) {
        tw__controller_info__init(&v[i]);
        v[i].name = (char *)names[i];
        v[i].state = (char *)(i == 1 ? "missing" : "up");
        v[i].version = (char *)(i == 2 ? "0.0.9" : TW_VERSION);
        v[i].host = (char *)"h";
        v[i].agents_address = (char *)"tls+tcp://ctl:8620";
        v[i].http_address = (char *)"https://ctl:8443";
        v[i].started_ns = 900 * MINUTE_NS;
        v[i].ready = i == 0;
        v[i].agents = 334;
    }
    v[0].self = v[0].planner = true;
    v[1].gone_ns = 1000 * MINUTE_NS;
    v[2].other_release = true;
    v[2].problem = (char *)"the disk is full";
    v[2].twin = v[3].twin = true;
    reply->controllers = list;
    reply->n_controllers = 4;
}

static void fake_status(Tw__Admin_Service *s, const Tw__StatusRequest *rq, Tw__StatusReply_Closure closure,
                        void *data)
{
    Tw__StatusReply reply = TW__STATUS_REPLY__INIT;
    Tw__MaintenanceNow works[2] = { TW__MAINTENANCE_NOW__INIT, TW__MAINTENANCE_NOW__INIT },
                       *maintenance[] = { &works[0], &works[1] };
    Tw__Counter c[3] = { TW__COUNTER__INIT, TW__COUNTER__INIT, TW__COUNTER__INIT },
                *list[] = { &c[0], &c[1], &c[2] };
    char *problems[] = { (char *)"the disk is full" };

    (void)s;
    (void)rq;
    fake->status_calls++;
    if (fake->busy) {
        fake->busy--;
        rpc_fail_later(data, fake->busy_ms ? fake->busy_ms : 20, "too many of something: try again later");
        return;
    }
    c[0].name = (char *)"twamp_rpc_peers{listener=\"fleet\"}";
    c[0].value = 4;
    c[1].name = (char *)"twamp_commit_seconds";
    c[1].unit = (char *)"seconds";
    c[1].value = 0.0123456789012345;
    c[2].name = (char *)"twamp_nothing_total";
    reply.version = (char *)(fake->other_version ? "9.9.9" : TW_VERSION);
    reply.started_ns = 900 * MINUTE_NS;
    reply.generation = 5;
    reply.agents_up = 1;
    reply.agents_down = 1;
    reply.agents_pending = 1;
    reply.pairs = 12;
    works[0].agent = (char *)"fra";
    works[0].reason = (char *)"new kernel";
    works[0].until_ns = 1100 * MINUTE_NS;
    works[1].mesh = (char *)"core";
    reply.agents_drained = reply.agents_in_maintenance = 1;
    reply.pairs_in_maintenance = 8;
    reply.maintenance = maintenance;
    reply.n_maintenance = 2;
    reply.counters = list;
    reply.n_counters = 3;
    reply.problems = problems;
    reply.n_problems = 1;
    fake_controllers(&reply);
    closure(&reply, data);
}

static void fake_clock(Tw__Admin_Service *s, const Tw__ClockRequest *rq, Tw__ClockReply_Closure closure,
                       void *data)
{
    Tw__ClockReply reply = TW__CLOCK_REPLY__INIT;
    Tw__ClockFinding *list[6];
    Tw__ClockCrooked crooked = TW__CLOCK_CROOKED__INIT, *ways[] = { &crooked };

    (void)s;
    (void)rq;
    for (size_t i = 0; i < 6; i++)
        list[i] = clock_finding(i);
    crooked.a = (char *)"ams";
    crooked.b = (char *)"tok";
    crooked.longer_ns = -18000000;
    crooked.round_trip_ns = 230000000;
    reply.time_ns = NOW_NS;
    reply.agents = list;
    reply.n_agents = fake->empty ? 0 : 6;
    reply.crooked = ways;
    reply.n_crooked = fake->empty ? 0 : 1;
    reply.pairs = 4951;
    reply.pairs_used = 3200;
    reply.components = 2;
    closure(&reply, data);
}

/* One that goes on, a short one, and one of many periods whose begin is gone. */
static void fake_outages(Tw__Admin_Service *s, const Tw__PairFilter *rq, Tw__OutagesReply_Closure closure,
                         void *data)
{
    Tw__OutagesReply reply = TW__OUTAGES_REPLY__INIT;
    Tw__Outage v[3], *list[3];

    (void)s;
    keep_filter(rq);
    snprintf(fake->direction, sizeof fake->direction, "%s", rq->direction);
    arena_reset(fake->arena);
    for (size_t i = 0; i < 3; i++) {
        tw__outage__init(&v[i]);
        v[i].pair = pair(i == 1 ? "ef" : "be", "ams", i == 1 ? "fra" : "zürich");
        v[i].flow = i == 1;
        list[i] = &v[i];
    }
    v[0].start_ns = 1002 * MINUTE_NS + 123456789;
    v[0].length_ns = 42 * TW_NS_PER_S;
    v[0].probes = 2100;
    v[0].seq_first = 70000;
    v[0].direction = (char *)"unknown";
    v[0].ongoing = v[0].start_known = v[1].start_known = true;
    v[1].start_ns = 1001 * MINUTE_NS + 5000000;
    v[1].length_ns = 60 * TW_NS_PER_MS;
    v[1].probes = 3;
    v[1].direction = (char *)"forward";
    v[2].start_ns = 900 * MINUTE_NS;
    v[2].length_ns = 3700 * TW_NS_PER_S;
    v[2].probes = 185000;
    v[2].direction = (char *)"mixed";
    reply.outages = list;
    reply.n_outages = fake->empty ? 0 : 3;
    reply.truncated = fake->truncate;
    closure(&reply, data);
}

/* An hour with holes of several causes, one without, and one in which nothing came. */
static void fake_completeness(Tw__Admin_Service *s, const Tw__PairFilter *rq, Tw__CompletenessReply_Closure closure,
                              void *data)
{
    Tw__CompletenessReply reply = TW__COMPLETENESS_REPLY__INIT;
    Tw__CompletenessHour v[3], *list[3];
    Tw__Missing missing[3];

    (void)s;
    keep_filter(rq);
    arena_reset(fake->arena);
    for (size_t i = 0; i < 3; i++) {
        tw__completeness_hour__init(&v[i]);
        tw__missing__init(&missing[i]);
        v[i].pair = pair(i == 2 ? "ef" : "be", "ams", i == 2 ? "fra" : "zürich");
        v[i].start_ns = (int64_t)(16 + i % 2) * 60 * MINUTE_NS;
        v[i].expected = v[i].stored = 360;
        list[i] = &v[i];
    }
    v[0].stored = 300;
    missing[0].refused = 10;
    missing[0].dropped = 20;
    missing[0].agent_down = 29;
    missing[0].unknown = 1;
    v[0].missing = &missing[0];
    v[2].stored = 0;
    missing[2].awaited = 360;
    v[2].missing = &missing[2];
    reply.hours = list;
    reply.n_hours = fake->empty ? 0 : 3;
    reply.truncated = fake->truncate;
    closure(&reply, data);
}

/* ---- The flight recorder ---- */

static void fill_probe(Tw__FlightRecord *m, uint32_t seq, Tw__FlightFate fate, Tw__FlightWay way)
{
    tw__flight_record__init(m);
    m->seq = seq;
    m->fate = fate;
    m->way = way;
    m->t1_ns = 1002 * MINUTE_NS + seq * 20 * TW_NS_PER_MS + 1234567;
    m->tx_source = 1;
    if (fate != TW__FLIGHT_FATE__FLIGHT_FATE_RECEIVED && fate != TW__FLIGHT_FATE__FLIGHT_FATE_LATE)
        return;
    m->timed = true;
    m->forward_ns = -250000;
    m->backward_ns = fate == TW__FLIGHT_FATE__FLIGHT_FATE_LATE ? 1234000000 : 12750000;
    m->residence_ns = 65000;
    m->ttl_forward = 60;
    m->ttl_backward = 61;
    m->tos_backward = 0xb8 + 1;
    m->rx_source = 2;
}

/* One of each fate. */
static size_t fill_probes(Tw__FlightRecord *m, Tw__FlightRecord **list)
{
    fill_probe(&m[0], 7, TW__FLIGHT_FATE__FLIGHT_FATE_RECEIVED, 0);
    m[0].duplicates = 2;
    fill_probe(&m[1], 8, TW__FLIGHT_FATE__FLIGHT_FATE_LOST, TW__FLIGHT_WAY__FLIGHT_WAY_FORWARD);
    fill_probe(&m[2], 9, TW__FLIGHT_FATE__FLIGHT_FATE_LOST, TW__FLIGHT_WAY__FLIGHT_WAY_UNKNOWN);
    fill_probe(&m[3], 10, TW__FLIGHT_FATE__FLIGHT_FATE_LATE, TW__FLIGHT_WAY__FLIGHT_WAY_BACKWARD);
    fill_probe(&m[4], 11, TW__FLIGHT_FATE__FLIGHT_FATE_SEND_ERROR, 0);
    fill_probe(&m[5], 11, TW__FLIGHT_FATE__FLIGHT_FATE_IN_FLIGHT, 0);
    for (size_t i = 0; i < 6; i++)
        list[i] = &m[i];
    return 6;
}

static void fill_frozen(Tw__FlightFrozen *m, uint64_t id, Tw__FlightCause cause, const char *reason)
{
    tw__flight_frozen__init(m);
    m->id = id;
    m->pair_id = 9007199254740993u;
    m->flow = 1;
    m->cause = cause;
    m->reason = (char *)reason;
    m->at_ns = (990 + (int64_t)id) * MINUTE_NS;
    m->frozen_ns = m->at_ns + 6 * TW_NS_PER_S;
    m->first_ns = m->at_ns - 5 * TW_NS_PER_S;
    m->last_ns = m->at_ns + 5 * TW_NS_PER_S;
    m->probes = 500;
    m->lost = cause == TW__FLIGHT_CAUSE__FLIGHT_CAUSE_COMMAND ? 0 : 12;
}

static void keep_flight(const Tw__PairFlightRequest *rq)
{
    keep_filter(rq->pairs);
    fake->flight = *rq;
    snprintf(fake->reason, sizeof fake->reason, "%s", rq->reason);
}

/* "none" has no probes in the span, "new" has none at all, "off" has no flight recorder. */
static void fake_flight(Tw__Admin_Service *s, const Tw__PairFlightRequest *rq,
                        Tw__PairFlightReply_Closure closure, void *data)
{
    Tw__PairFlightReply reply = TW__PAIR_FLIGHT_REPLY__INIT;
    Tw__FlightReply flight = TW__FLIGHT_REPLY__INIT;
    Tw__FlightFlow flow[2] = { TW__FLIGHT_FLOW__INIT, TW__FLIGHT_FLOW__INIT },
                   *flows[] = { &flow[0], &flow[1] };
    Tw__FlightRecord probes[6], *list[6];
    Tw__FlightFrozen part, *parts[] = { &part };
    const char *target = rq->pairs->target;

    (void)s;
    keep_flight(rq);
    arena_reset(fake->arena);
    if (!strcmp(target, "nowhere")) {
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND,
                 "no pair matches ams:nowhere; \"twampctl watch\" shows all");
        return;
    }
    reply.pair = pair("ef", "ams", target);
    reply.flight = &flight;
    reply.from_ns = 1002 * MINUTE_NS;
    reply.to_ns = 1002 * MINUTE_NS + 10 * TW_NS_PER_S;
    flight.flows = flows;
    flight.n_flows = 2;
    flight.recording = strcmp(target, "off") != 0;
    flow[1].flow = 1;
    if (!strcmp(target, "fra")) {
        flow[1].records = list;
        flow[1].n_records = fill_probes(probes, list);
        flow[1].total = 8;
    }
    if (!strcmp(target, "none")) {
        flow[0].kept = 1024;
        flow[0].kept_from_ns = 1002 * MINUTE_NS + 40 * TW_NS_PER_S;
        flow[0].kept_to_ns = NOW_NS;
        fill_frozen(&part, 3, TW__FLIGHT_CAUSE__FLIGHT_CAUSE_LOSS_RUN, "");
        flight.frozen = parts;
        flight.n_frozen = 1;
    }
    closure(&reply, data);
}

/* Two frozen parts, and an agent that did not answer; with `empty` nothing. */
static void answer_frozen(Tw__FlightRowsReply_Closure closure, void *data)
{
    Tw__FlightRowsReply reply = TW__FLIGHT_ROWS_REPLY__INIT;
    Tw__FlightRow row[3] = { TW__FLIGHT_ROW__INIT, TW__FLIGHT_ROW__INIT, TW__FLIGHT_ROW__INIT },
                  *rows[] = { &row[0], &row[1], &row[2] };
    Tw__FlightFrozen part[2];

    arena_reset(fake->arena);
    fill_frozen(&part[0], 1, TW__FLIGHT_CAUSE__FLIGHT_CAUSE_LOSS_RUN, "3 or more probes lost in a row");
    fill_frozen(&part[1], 2, TW__FLIGHT_CAUSE__FLIGHT_CAUSE_COMMAND, "ticket \"4711\"");
    for (size_t i = 0; i < 2; i++) {
        row[i].agent = (char *)"ams";
        row[i].frozen = &part[i];
    }
    row[0].pair = pair("ef", "ams", "fra");
    row[2].agent = (char *)"fra";
    row[2].error = (char *)"agent fra is not connected: what it recorded can be read when it is back";
    reply.rows = rows;
    reply.n_rows = fake->empty ? 0 : 3;
    closure(&reply, data);
}

static void fake_flight_freeze(Tw__Admin_Service *s, const Tw__PairFlightRequest *rq,
                               Tw__FlightRowsReply_Closure closure, void *data)
{
    (void)s;
    keep_flight(rq);
    answer_frozen(closure, data);
}

static void fake_flight_list(Tw__Admin_Service *s, const Tw__PairFilter *rq,
                             Tw__FlightRowsReply_Closure closure, void *data)
{
    (void)s;
    keep_filter(rq);
    answer_frozen(closure, data);
}

/* ---- Tests on demand: done at the third look, of a mesh at the first one ---- */

static unsigned fake_test_looks;
static bool fake_test_stopped;

static Tw__TestInfo test_info(bool ended)
{
    Tw__TestInfo i = TW__TEST_INFO__INIT;

    i.test_id = 1795749438;
    i.started_ns = INT64_C(1795749438000000000);
    i.ended_ns = ended ? INT64_C(1795749448000000000) : 0;
    i.author = (char *)"ops";
    i.what = (char *)"ams > fra";
    i.settings = (char *)"protocol light, spacing 20ms";
    i.state = (char *)(!ended ? "running" : fake_test_stopped ? "stopped" : "complete");
    i.runs = i.done = 1;
    return i;
}

static void fake_test_start(Tw__Admin_Service *s, const Tw__TestStartRequest *rq, Tw__TestStartReply_Closure closure,
                            void *data)
{
    Tw__TestStartReply reply = TW__TEST_START_REPLY__INIT;
    Tw__TestInfo info = test_info(false);

    (void)s;
    if (!strcmp(rq->source, "nope")) {
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no agent \"nope\" to test from");
        return;
    }
    if (rq->n_settings && !strcmp(rq->settings[0]->value, "1us")) {
        rpc_fail(data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s: expected 1ms to 1h, got \"1us\"",
                 rq->settings[0]->key);
        return;
    }
    fake_test_looks = 0;
    fake_test_stopped = false;
    reply.info = &info;
    closure(&reply, data);
}

static void fake_test_stop(Tw__Admin_Service *s, const Tw__TestStopRequest *rq, Tw__TestStopReply_Closure closure,
                           void *data)
{
    Tw__TestStopReply reply = TW__TEST_STOP_REPLY__INIT;
    Tw__TestInfo info;

    (void)s;
    (void)rq;
    fake_test_stopped = true;
    info = test_info(true);
    reply.info = &info;
    closure(&reply, data);
}

static void put_test_run(Tw__TestRun *r, bool ended)
{
    struct tw_summary sum;

    tw__test_run__init(r);
    r->class_name = (char *)"ad-hoc";
    r->source = (char *)"ams";
    r->target = (char *)"fra";
    r->state = (char *)(ended ? "complete" : "running");
    r->pair_id = 77;
    make_summary(&sum, 1);
    r->total = as_pb(&sum);
}

static void fake_test_progress(Tw__Admin_Service *s, const Tw__TestProgressRequest *rq,
                               Tw__TestProgressReply_Closure closure, void *data)
{
    bool ended = ++fake_test_looks >= 3 || fake_test_stopped;
    Tw__TestProgressReply reply = TW__TEST_PROGRESS_REPLY__INIT;
    Tw__TestInfo info = test_info(ended);
    Tw__TestRun run, *runs[] = { &run };

    (void)s;
    arena_reset(fake->arena);
    put_test_run(&run, ended);
    reply.info = &info;
    reply.n_runs = rq->runs;
    reply.runs = runs;
    closure(&reply, data);
}

static void fake_test_list(Tw__Admin_Service *s, const Tw__TestListRequest *rq, Tw__TestListReply_Closure closure,
                           void *data)
{
    Tw__TestListReply reply = TW__TEST_LIST_REPLY__INIT;
    Tw__TestInfo info = test_info(true), *tests[] = { &info };
    Tw__TestRun run = TW__TEST_RUN__INIT, *runs[] = { &run };

    (void)s;
    run.source = (char *)"ams";
    run.target = (char *)"fra";
    run.class_name = (char *)"ad-hoc";
    run.state = (char *)"complete";
    reply.n_runs = rq->test_id != 0;
    reply.runs = runs;
    reply.n_tests = !fake->empty;
    reply.tests = tests;
    closure(&reply, data);
}

/* ---- Life ---- */

/* Two looks until it is over, and what it found comes in two parts. */
static Tw__DoctorFinding *doctor_finding(size_t i)
{
    static const char *const text[5][8] = {
        { "udp-blocked-forward", "problem", "agent", "fra",
          "from ams, lon (2 pairs of agents): 10 packets sent, none came", "a firewall",
          "allow UDP to the reflector's port", "probes arrive" },
        { "version-skew", "warning", "agent", "p\033[31mr",
          "twamp-agent 0.0.9, older than the controller (0.1.0)", "it was not upgraded",
          "install the controller's version", "one version" },
        { "clock-unsynced", "note", "agent", "lon", "its kernel says so", "no time daemon",
          "on lon: chronyc tracking", "synchronised" },
        { "clock-unsynced", "note", "agent", "lon-2", "its kernel says so", "no time daemon",
          "on lon-2: chronyc tracking", "synchronised" },
        { "clock-unsynced", "note", "agent", "par", "an error of 3 s", "no time daemon",
          "on par: chronyc tracking", "synchronised" },
    };
    static Tw__DoctorFinding v[5];

    tw__doctor_finding__init(&v[i]);
    v[i].id = (char *)text[i][0];
    v[i].severity = (char *)text[i][1];
    v[i].about = (char *)text[i][2];
    v[i].subject = (char *)text[i][3];
    v[i].observed = (char *)text[i][4];
    v[i].cause = (char *)text[i][5];
    v[i].next = (char *)text[i][6];
    v[i].title = (char *)text[i][7];
    v[i].since_ns = i ? 0 : NOW_NS - 90 * TW_NS_PER_S;
    v[i].since_or_before = !i;
    return &v[i];
}

static void doctor_answer(uint32_t from, bool over, Tw__DoctorReply_Closure closure, void *data)
{
    Tw__DoctorReply m = TW__DOCTOR_REPLY__INIT;
    Tw__DoctorFinding *list[5];

    m.id = 7;
    m.over = over;
    m.probes = 40;
    m.probes_done = over ? 40 : 12;
    m.agents = 12;
    m.meshes = 1;
    m.pairs = 132;
    m.checks = 55;
    m.elapsed_ns = 4100 * TW_NS_PER_MS;
    if (!fake->doctor_healthy) {
        m.problems = m.warnings = 1;
        m.notes = 3;
        m.not_probed = 3;
        for (size_t i = from; over && i < (from ? 5 : 2); i++)
            list[m.n_findings++] = doctor_finding(i);
        m.truncated = over && !from;
    }
    m.findings = list;
    closure(&m, data);
}

static void fake_doctor_start(Tw__Admin_Service *s, const Tw__DoctorRequest *rq,
                              Tw__DoctorReply_Closure closure, void *data)
{
    (void)s;
    fake->doctor_looks = 0;
    fake->doctor_healthy = !strcmp(rq->source, "lon");
    snprintf(fake->doctor_asked, sizeof fake->doctor_asked, "%s|%s|%s|%s|%d", rq->source, rq->target,
             rq->mesh, rq->select, rq->probe_all);
    if (!strcmp(rq->source, "none"))
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no agent \"none\": twampctl agent list shows them");
    else
        doctor_answer(0, false, closure, data);
}

static void fake_doctor_look(Tw__Admin_Service *s, const Tw__DoctorLookRequest *rq,
                             Tw__DoctorReply_Closure closure, void *data)
{
    (void)s;
    doctor_answer(rq->from, rq->id == 7 && ++fake->doctor_looks > 1, closure, data);
}

static void fake_doctor_stop(Tw__Admin_Service *s, const Tw__DoctorLookRequest *rq,
                             Tw__DoctorReply_Closure closure, void *data)
{
    fake_doctor_look(s, rq, closure, data);
}

#include "tests/unit/cli/fake_alert.h"
/* Under way when it is started, over when it is looked at. */
static void database_answer(const char *kind, bool over, Tw__DatabaseReply_Closure closure, void *data)
{
    Tw__DatabaseReply m = TW__DATABASE_REPLY__INIT;
    static Tw__DatabaseCheck rows[2];
    static Tw__DatabaseCheck *list[] = { &rows[0], &rows[1] };

    for (size_t i = 0; i < 2; i++)
        tw__database_check__init(&rows[i]);
    rows[0].name = (char *)"integrity";
    rows[0].what = (char *)"pages, tables and indexes are whole";
    rows[0].ok = true;
    rows[0].looked_at = 2048;
    rows[1].name = (char *)"rollups";
    rows[1].what = (char *)"roll-ups add up to their summaries";
    rows[1].problem = (char *)"level 1h: summary_20261123 has 1440 summaries, its cells 1439";
    rows[1].looked_at = 7;
    m.kind = (char *)kind;
    m.over = over;
    m.done = over ? 100 : 40;
    m.total = 100;
    m.started_ns = NOW_NS;
    m.ended_ns = over ? NOW_NS + 2 * TW_NS_PER_S : 0;
    if (!strcmp(kind, "check")) {
        m.checks = list;
        m.n_checks = over ? 2 : 0;
    } else {
        m.file = (char *)"/var/lib/twampmesh-controller/backups/night.db";
        m.bytes = over ? 8388608 : 0;
    }
    closure(&m, data);
}

static char fake_database_kind[16];

static void fake_database_start(Tw__Admin_Service *s, const Tw__DatabaseRequest *rq,
                                Tw__DatabaseReply_Closure closure, void *data)
{
    (void)s;
    if (!strcmp(rq->name, "there.db")) {
        rpc_fail(data, TW__STATUS__STATUS_ALREADY_EXISTS, "there.db: there is such a copy already: give another name");
        return;
    }
    snprintf(fake_database_kind, sizeof fake_database_kind, "%s", rq->kind);
    database_answer(fake_database_kind, false, closure, data);
}

static void fake_database_look(Tw__Admin_Service *s, const Tw__DatabaseLookRequest *rq,
                               Tw__DatabaseReply_Closure closure, void *data)
{
    (void)s;
    (void)rq;
    database_answer(fake_database_kind, true, closure, data);
}

static void fake_database_stop(Tw__Admin_Service *s, const Tw__DatabaseLookRequest *rq,
                               Tw__DatabaseReply_Closure closure, void *data)
{
    fake_database_look(s, rq, closure, data);
}

#define FAKE_TOKEN_NS (INT64_C(1795435200) * TW_NS_PER_S) /* 2026-11-23T12:00:00Z */
static Tw__JoinTokenInfo fake_token(const char *id)
{
    static Tw__Label label = { .base = PROTOBUF_C_MESSAGE_INIT(&tw__label__descriptor), .key = (char *)"site", .value = (char *)"ams" };
    static Tw__Label *labels[] = { &label };
    Tw__JoinTokenInfo t = TW__JOIN_TOKEN_INFO__INIT;

    t.id = (char *)id;
    t.state = (char *)"usable";
    t.created_ns = FAKE_TOKEN_NS;
    t.expires_ns = FAKE_TOKEN_NS + 3600 * TW_NS_PER_S;
    t.uses = 50;
    t.used = 3;
    t.name_glob = (char *)"ams-*";
    t.labels = labels;
    t.n_labels = 1;
    t.approve = true;
    t.author = (char *)"ada";
    return t;
}

static void fake_join_token_create(Tw__Admin_Service *s, const Tw__JoinTokenCreateRequest *rq, Tw__JoinTokenCreateReply_Closure closure,
                                   void *data)
{
    Tw__JoinTokenCreateReply m = TW__JOIN_TOKEN_CREATE_REPLY__INIT;
    Tw__JoinTokenInfo t = fake_token("5d41402abc4b2a76");

    (void)s;
    t.used = 0;
    t.uses = rq->uses;
    t.name_glob = rq->name_glob;
    t.n_labels = rq->n_labels;
    t.labels = rq->labels;
    t.approve = rq->approve;
    t.expires_ns = t.created_ns + rq->ttl_ns;
    m.token = (char *)"twj1.5d41402abc4b2a76.SECRET.CAHASH";
    m.info = &t;
    closure(&m, data);
}

static void fake_join_token_list(Tw__Admin_Service *s, const Tw__JoinTokenListRequest *rq, Tw__JoinTokenListReply_Closure closure,
                                 void *data)
{
    Tw__JoinTokenListReply m = TW__JOIN_TOKEN_LIST_REPLY__INIT;
    Tw__JoinTokenInfo a = fake_token("5d41402abc4b2a76"), b = fake_token("7d793037a0760186"), *all[] = { &a, &b };

    (void)s;
    b.state = (char *)"revoked";
    b.revoked_ns = FAKE_TOKEN_NS + TW_NS_PER_S;
    b.n_labels = 0;
    b.approve = false;
    b.name_glob = (char *)"";
    m.tokens = all;
    m.n_tokens = rq->all ? 2 : 1;
    closure(&m, data);
}

static void fake_join_token_revoke(Tw__Admin_Service *s, const Tw__JoinTokenRevokeRequest *rq, Tw__JoinTokenRevokeReply_Closure closure,
                                   void *data)
{
    Tw__JoinTokenRevokeReply m = TW__JOIN_TOKEN_REVOKE_REPLY__INIT;
    Tw__JoinTokenInfo t = fake_token(rq->id);

    (void)s;
    if (strcmp(rq->id, "5d41402abc4b2a76") != 0) {
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no join token \"%s\": twampctl token list shows them", rq->id);
        return;
    }
    t.state = (char *)"revoked";
    t.revoked_ns = FAKE_TOKEN_NS;
    m.info = &t;
    closure(&m, data);
}

/* ---- Access, audit ---- */

static void fake_access_token(Tw__AccessToken *t, const char *id, const char *name, const char *role, const char *state)
{
    tw__access_token__init(t);
    t->id = (char *)id;
    t->name = (char *)name;
    t->role = (char *)role;
    t->state = (char *)state;
    t->author = (char *)"ops";
    t->created_ns = NOW_NS - 90 * TW_NS_PER_S;
    t->used_ns = NOW_NS - 3 * TW_NS_PER_S;
}

static void fake_access_create(Tw__Admin_Service *s, const Tw__AccessCreateRequest *rq, Tw__AccessCreateReply_Closure closure, void *data)
{
    Tw__AccessCreateReply reply = TW__ACCESS_CREATE_REPLY__INIT;
    Tw__AccessToken t;

    (void)s;
    fake_access_token(&t, "0001020304050607", rq->name, rq->role, "active");
    t.used_ns = 0;
    t.expires_ns = rq->duration_ns ? t.created_ns + rq->duration_ns : 0;
    reply.token = &t;
    reply.text = (char *)"twa1.0001020304050607.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic";
    closure(&reply, data);
}

static void fake_access_list(Tw__Admin_Service *s, const Tw__AccessListRequest *rq, Tw__AccessListReply_Closure closure, void *data)
{
    Tw__AccessListReply reply = TW__ACCESS_LIST_REPLY__INIT;
    Tw__AccessToken t[3], *list[] = { &t[0], &t[1], &t[2] };

    (void)s;
    (void)rq;
    fake_access_token(&t[0], "0001020304050607", "prometheus", "viewer", "active");
    fake_access_token(&t[1], "1112131415161718", "ann", "operator", "expired");
    t[1].expires_ns = NOW_NS - 10 * TW_NS_PER_S;
    fake_access_token(&t[2], "2122232425262728", "bob", "admin", "revoked");
    t[2].revoked_ns = NOW_NS - 20 * TW_NS_PER_S;
    reply.tokens = list;
    reply.n_tokens = 3;
    closure(&reply, data);
}

static void fake_access_revoke(Tw__Admin_Service *s, const Tw__AccessRevokeRequest *rq, Tw__AccessRevokeReply_Closure closure, void *data)
{
    Tw__AccessRevokeReply reply = TW__ACCESS_REVOKE_REPLY__INIT;
    Tw__AccessToken t;

    (void)s;
    fake_access_token(&t, rq->id, "prometheus", "viewer", "revoked");
    reply.token = &t;
    closure(&reply, data);
}

static void fake_audit_list(Tw__Admin_Service *s, const Tw__AuditListRequest *rq, Tw__AuditListReply_Closure closure, void *data)
{
    Tw__AuditListReply reply = TW__AUDIT_LIST_REPLY__INIT;
    Tw__AuditEntry e[2], *list[] = { &e[0], &e[1] };

    (void)s;
    tw__audit_entry__init(&e[0]);
    e[0].id = rq->before && rq->limit == 1 ? rq->before - 1 : 18;
    e[0].time_ns = NOW_NS - 20 * TW_NS_PER_S;
    e[0].who = (char *)"ann";
    e[0].role = (char *)"operator";
    e[0].token_id = (char *)"1112131415161718";
    e[0].way = (char *)"tls";
    e[0].origin = (char *)"192.0.2.7";
    e[0].method = (char *)"SchedulePause";
    e[0].subject = (char *)"voice";
    e[0].result = (char *)"OK";
    e[0].request = (char *)"{\"name\":\"voice\",\"reason\":\"works\"}";
    e[0].before = (char *)"mesh voice: runs, of generation 3\n";
    e[0].after = (char *)"mesh voice: paused, of generation 4\n";
    e[1] = e[0];
    e[1].id = 17;
    e[1].who = (char *)"eve";
    e[1].role = (char *)"viewer";
    e[1].way = (char *)"http";
    e[1].method = (char *)"AgentRevoke";
    e[1].subject = (char *)"ams";
    e[1].result = (char *)"PERMISSION_DENIED";
    e[1].detail = (char *)"AgentRevoke needs the role admin; eve has viewer";
    e[1].request = e[1].before = e[1].after = (char *)protobuf_c_empty_string;
    reply.entries = list;
    reply.n_entries = rq->limit == 1 ? 1 : 2;
    reply.truncated = rq->limit == 1;
    closure(&reply, data);
}

static void fake_debug_threads(Tw__Admin_Service *s, const Tw__DebugThreadsRequest *rq, Tw__DebugThreadsReply_Closure closure,
                               void *data)
{
    Tw__DebugThreadsReply reply = TW__DEBUG_THREADS_REPLY__INIT;
    Tw__ThreadState t[4], *list[] = { &t[0], &t[1], &t[2], &t[3] };

    (void)s;
    for (size_t i = 0; i < 4; i++) {
        tw__thread_state__init(&t[i]);
        t[i].threads = 1;
        t[i].measured = i != 2;
    }
    t[0].name = (char *)"main loop";
    t[0].working = true;
    t[0].rounds = 123456;
    t[0].busy_ns = 90 * TW_NS_PER_S;
    t[0].busy_ratio = 0.875;
    t[0].longest_ns = 20 * TW_NS_PER_MS;
    t[0].quiet_ns = 100 * TW_NS_PER_US;
    t[0].timers = 17;
    t[1].name = (char *)"store writer";
    t[1].rounds = 300;
    t[1].busy_ns = 2 * TW_NS_PER_S;
    t[1].busy_ratio = 0.01;
    t[1].longest_ns = 40 * TW_NS_PER_MS;
    t[1].quiet_ns = 3 * TW_NS_PER_S;
    t[1].queued = 12;
    t[1].queue_max = 32768;
    t[1].dropped = 5;
    t[2].name = (char *)"readers";
    t[2].threads = 2;
    t[3].name = (char *)"receiver ops";
    t[3].queue_max = 1000;
    if (*rq->agent) {
        t[1].name = (char *)"worker 0";
        t[1].queue_max = 4096;
    }
    reply.threads = list;
    reply.n_threads = *rq->agent ? 2 : 4;
    closure(&reply, data);
}

static Tw__Admin_Service fake_service = TW__ADMIN__INIT(fake_);

static inline void fake_serve(struct fake *f)
{
    struct rpc_server_conf conf = { .loop = f->loop,
                                    .url = f->url,
                                    .name = "fake",
                                    .operators = true,
                                    .services = f->services,
                                    .n_services = 1 };
    struct tw_err err = { 0 };

    if (rpc_server_start(&conf, &f->server, &err) != TW_OK)
        fail_msg("the server does not start: %s", err.text);
}

static inline int fake_start(void **state)
{
    struct fake *f = calloc(1, sizeof *f);

    snprintf(f->dir, sizeof f->dir, "/tmp/twampctl-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->url, sizeof f->url, "ipc://%s/ctl.sock", f->dir);
    assert_int_equal(arena_new(1 << 20, &f->arena), TW_OK);
    assert_int_equal(loop_new(&f->loop), TW_OK);
    f->services[0] = (struct rpc_service){ RPC_ADMIN, &fake_service.base };
    fake = f;
    fake_serve(f);
    *state = f;
    return 0;
}

static inline void remove_file(struct fake *f, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    unlink(path);
}

static inline int fake_stop(void **state)
{
    static const char *const names[] = { "ctl.sock", "out", "err", "in", "mesh.yaml" };
    struct fake *f = *state;

    if (f->unanswered)
        rpc_fail(f->unanswered, TW__STATUS__STATUS_CANCELLED, "the end");
    rpc_server_stop(f->server);
    loop_free(f->loop);
    arena_free(f->arena);
    for (size_t i = 0; i < TW_NELEM(names); i++)
        remove_file(f, names[i]);
    rmdir(f->dir);
    free(f);
    return 0;
}

/* ---- twampctl ---- */

struct run {
    int code;
    char out[MAX_OUT], err[16384];
};

static int64_t stopped_clock(void)
{
    return NOW_NS;
}

/* In main() of the test program, before anything else. */
static inline void child_if_asked(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--child") != 0)
        return;
    setlocale(LC_CTYPE, "C.UTF-8");
    argv[1] = (char *)"twampctl";
    exit(cli_main(argc - 1, argv + 1, stopped_clock));
}

static inline int open_in(struct fake *f, const char *name, int flags)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return open(path, flags | O_CLOEXEC, 0600);
}

static inline void write_in(struct fake *f, const char *name, const char *text)
{
    int fd = open_in(f, name, O_WRONLY | O_CREAT | O_TRUNC);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* The folder has another name each time. */
static inline void read_out(struct fake *f, const char *name, char *buf, size_t cap)
{
    int fd = open_in(f, name, O_RDONLY);
    ssize_t n = read(fd, buf, cap - 1);

    close(fd);
    assert_true(n >= 0);
    buf[n] = '\0';
    for (char *at; (at = strstr(buf, f->dir));) {
        memcpy(at, "DIR", 3);
        memmove(at + 3, at + strlen(f->dir), strlen(at + strlen(f->dir)) + 1);
    }
}

static inline void become_child(struct fake *f, char **argv)
{
    dup2(open_in(f, "in", O_RDONLY), 0);
    dup2(f->out_fd ? f->out_fd : open_in(f, "out", O_WRONLY | O_CREAT | O_TRUNC), 1);
    dup2(open_in(f, "err", O_WRONLY | O_CREAT | O_TRUNC), 2);
    unsetenv("TWAMPCTL_OUTPUT");
    unsetenv("TWAMPCTL_TIMEOUT");
    unsetenv("TWAMPCTL_CONFIG");
    unsetenv("TWAMPCTL_CONTEXT");
    unsetenv("TWAMPCTL_TOKEN");
    unsetenv("TWAMPCTL_TOKEN_FILE");
    setenv("XDG_CONFIG_HOME", f->dir, 1);
    setenv("TWAMPCTL_CONTROLLER", f->url, 1);
    if (unset_controller)
        unsetenv("TWAMPCTL_CONTROLLER");
    execv("/proc/self/exe", argv);
    _exit(99);
}

static inline void child_ended(struct loop_watch *w, uint32_t events)
{
    (void)events;
    *(bool *)w->ctx = true;
}

/* Serves until the child has ended. */
static inline int serve(struct fake *f, pid_t pid)
{
    bool ended = false;
    struct loop_watch w = { .fn = child_ended, .ctx = &ended, .fd = pidfd_open(pid, 0) };
    struct tw_mono deadline = { tw_mono_now().ns + PATIENCE_NS };
    int status;

    assert_int_equal(loop_watch(f->loop, &w, EPOLLIN), TW_OK);
    if (loop_run_until(f->loop, &ended, deadline) != TW_OK)
        kill(pid, SIGKILL);
    loop_unwatch(f->loop, &w);
    close(w.fd);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Starts "twampctl WORDS" with the text as standard input; words are parted by blanks. */
static inline pid_t start_ctl(struct fake *f, const char *words, const char *input)
{
    char copy[512], *argv[MAX_ARGS] = { (char *)"twampctl", (char *)"--child" }, *save = NULL;
    int argc = 2;
    pid_t pid;

    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " ", &save); w && argc < MAX_ARGS - 1; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    write_in(f, "in", input ? input : "");
    fflush(NULL);
    pid = fork();
    if (!pid)
        become_child(f, argv);
    return pid;
}

static inline void run_ctl(struct fake *f, const char *words, const char *input, struct run *ret)
{
    ret->code = serve(f, start_ctl(f, words, input));
    read_out(f, "out", ret->out, sizeof ret->out);
    read_out(f, "err", ret->err, sizeof ret->err);
}

#endif
