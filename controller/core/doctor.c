/* controller/core/doctor.c - the table of checks, and how they are gone through; see doctor.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "controller/core/doctor_priv.h"

#define SOURCES_NAMED 3u

/* In each subject's order: what explains comes first. */
const struct doctor_check doctor_checks[] = {
    { "controller-store", "the database can be written", DOCTOR_OF_CONTROLLER, TW_PROBLEM, false, check_store,
      "the disk is full, has failed, or may not be written",
      "make room or repair the disk of --data-dir: agents keep their results until then" },
    { "controller-control", "the shared control state can be used", DOCTOR_OF_CONTROLLER, TW_PROBLEM, false, check_control,
      "etcd is down, has no leader, cannot be reached from here, or does not let the controller in",
      "see to the members of --control; nothing can be changed until then, and results are still stored" },
    { "controller-missing", "the other controllers are there", DOCTOR_OF_CONTROLLER, TW_PROBLEM, false, check_missing_controllers,
      "its process or its host has ended or stands still, or etcd cannot be reached from there",
      "on its host: systemctl status twamp-controller; if it is gone for good it is forgotten after a week, or at once by etcdctl del /twampmesh/CLUSTER/controller-known/NAME" },
    { "controller-twins", "each controller has a name of its own", DOCTOR_OF_CONTROLLER, TW_PROBLEM, false, check_twin_controllers,
      "two were started with the same --name, or on hosts of one name, or one is a copy of the other's machine",
      "give each a --name of its own and start it again" },
    { "controller-skew", "all controllers are of one release", DOCTOR_OF_CONTROLLER, TW_WARNING, false, check_controller_releases,
      "an upgrade was not ended, or has only begun",
      "install this controller's release there; one release of difference works (docs/upgrade.md)" },
    { "controller-history", "the history's database can be used", DOCTOR_OF_CONTROLLER, TW_PROBLEM, false, check_history,
      "its servers are down, cannot be reached from here, or do not let the controller in",
      "see to the servers of --history; agents keep their results until then, and what is measured is not in reports yet" },
    { "controller-history-replicas", "all replicas of the history are there, with all of it", DOCTOR_OF_CONTROLLER, TW_WARNING, false,
      check_history_replicas, "a server of the cluster is down, cannot reach ZooKeeper, or gets nothing from the others or not fast enough",
      "see to it before another one fails; it catches up by itself (docs/scaling.md, On replicas)" },
    { "controller-disk", "the database's disk has room", DOCTOR_OF_CONTROLLER, TW_PROBLEM, true, check_disk,
      "results of the past fill the disk, or something else does",
      "make room, or lower --keep-raw: when the disk is full nothing more is stored" },
    { "controller-disk-filling", "it will have room tomorrow", DOCTOR_OF_CONTROLLER, TW_WARNING, false,
      check_disk_filling, "results of the past fill the disk, or something else does",
      "twampctl schedule apply -f FILE --plan tells the growth per day; make room, or lower --keep-raw" },
    { "controller-queue", "results are stored as fast as they come", DOCTOR_OF_CONTROLLER, TW_WARNING, false,
      check_queue, "the disk is slower than the results that come: agents are told to wait",
      "twampctl status: twamp_ingest_commit_seconds; a faster disk, or longer report periods" },
    { "controller-config-error", "its files can be used as they are", DOCTOR_OF_CONTROLLER, TW_WARNING, false, check_controller_reload,
      "a file was changed and has a mistake: what it said before holds until the next start, which would fail or end with other values",
      "correct it, then: systemctl reload twamp-controller; twamp-controller --check-config tells all that is wrong with the configuration" },
    { "controller-restart-needed", "it runs with the options of its file", DOCTOR_OF_CONTROLLER, TW_NOTE, false, check_controller_restart,
      "options were changed in the configuration file that a reload cannot change",
      "when it suits: systemctl restart twamp-controller; agents keep their results meanwhile" },
    { "connections-refused", "who connects is let in", DOCTOR_OF_CONTROLLER, TW_WARNING, false, check_refused_connections,
      "an agent has no certificate, one of another fleet, or one whose time is over; it comes by tcp:// to tls+tcp:// or the reverse; or its clock is wrong",
      "on its host: twamp-agent --check with the options that it is started with, its clock, and --join-token-file if it has not joined" },
    { "too-much-asked", "it takes what it is asked and sent", DOCTOR_OF_CONTROLLER, TW_WARNING, false, check_too_much,
      "a script or many pages ask without a pause, agents send more than the disk takes, or the database is slow; who is refused comes again",
      "twampctl debug threads; twamp_http_busy_total and twamp_reader_client_refused_total of /metrics say what is too much" },
    { "controller-clock", "the controller's own clock", DOCTOR_OF_FLEET, TW_PROBLEM, false,
      check_controller_clock, "the clock of the controller's host is wrong, and not those of the agents",
      "on the controller's host: chronyc tracking, or timedatectl timesync-status" },

    { "mesh-names", "every name in a mesh is an agent", DOCTOR_OF_MESH, TW_WARNING, false, check_mesh_names,
      "an agent of the document has not come yet, waits for approval, or is misspelt",
      "twampctl schedule show {mesh} --document, and twampctl agent list" },

    { "key-taken", "one host has the name", DOCTOR_OF_AGENT, TW_PROBLEM, false, check_key_taken,
      "two hosts have the same --name, or the agent lost its key file (agent.key in --data-dir)",
      "rename the other host; if it is the same one: twampctl agent remove {agent}, then approve it" },
    { "agent-cloned", "one host has the key", DOCTOR_OF_AGENT, TW_PROBLEM, false, check_cloned,
      "a copy of its data directory runs on a second host: they take the connection from each other",
      "stop the copy, remove agent.key and spool.db there, and give it a --name of its own" },
    { "agent-pending", "the agent is approved", DOCTOR_OF_AGENT, TW_WARNING, true, check_pending,
      "nobody has let it in yet",
      "compare the fingerprint with that in the agent's log, then: twampctl agent approve {agent}" },
    { "agent-cut-off", "the agent reaches the controller", DOCTOR_OF_AGENT, TW_PROBLEM, true, check_cut_off,
      "its host is up and its reflector answers, but its TCP connection to the controller does not come: a "
      "firewall, or a wrong --controller",
      "on its host: twamp-agent --check with the options that it is started with" },
    { "agent-down", "the agent is connected", DOCTOR_OF_AGENT, TW_PROBLEM, true, check_down,
      "the agent or its host does not run, or it cannot reach the controller",
      "on its host: is twamp-agent running? twamp-agent --check, with its options, says what it cannot "
      "reach" },
    { "version-skew", "agent and controller are of one version", DOCTOR_OF_AGENT, TW_WARNING, false,
      check_version, "it was not upgraded with the rest, or before it",
      "install the controller's version on {agent}; what it cannot do it refuses: twampctl agent show "
      "{agent}" },
    { "capability-missing", "the agent can do what its version can", DOCTOR_OF_AGENT, TW_WARNING, false,
      check_capabilities, "it is built or started without it",
      "twampctl agent show {agent}; look at its options" },
    { "schedule-behind", "the agent runs the present schedule", DOCTOR_OF_AGENT, TW_PROBLEM, false,
      check_behind, "it refuses the schedule as a whole, or does not acknowledge it",
      "twampctl agent show {agent}, and the log of the agent" },
    { "sessions-refused", "the agent runs all its sessions", DOCTOR_OF_AGENT, TW_PROBLEM, false,
      check_refusals,
      "its own limits (--max-sessions, --max-pps, --max-bps, --probe-allow), a key that it lacks, or something it cannot do",
      "twampctl agent show {agent} has all reasons; change the mesh or the agent's options" },
    { "secrets-error", "its file of secrets can be used", DOCTOR_OF_AGENT, TW_PROBLEM, false, check_secrets,
      "the file was changed and has a mistake: the last good one stays in use",
      "correct that line on {agent}" },
    { "access-error", "its access lists can be used", DOCTOR_OF_AGENT, TW_PROBLEM, false, check_access_lists,
      "a file was changed and has a mistake: the last good lists stay in use",
      "correct that line on {agent}, then: systemctl reload twamp-agent" },
    { "config-error", "its configuration file can be used", DOCTOR_OF_AGENT, TW_WARNING, false, check_config,
      "the file was changed and has a mistake: what it said before holds until the agent's next start, which would fail",
      "correct that line on {agent}, then: systemctl reload twamp-agent" },
    { "restart-needed", "it runs with the options of its file", DOCTOR_OF_AGENT, TW_NOTE, false, check_restart,
      "options were changed in the configuration file that a reload cannot change",
      "when it suits, on {agent}: systemctl restart twamp-agent; its sessions begin anew" },
    { "https-error", "its certificate of HTTPS can be used", DOCTOR_OF_AGENT, TW_WARNING, false, check_https,
      "certificate or key of --http were replaced by what cannot be used: those before are shown until they end",
      "on {agent}: replace both files, then: systemctl reload twamp-agent" },
    { "names-unresolved", "it finds the addresses of its targets", DOCTOR_OF_AGENT, TW_PROBLEM, false, check_names,
      "a name in the document is wrong, or the resolver of {agent} does not work",
      "twampctl report --source {agent} shows name_error; on {agent}: getent ahosts NAME; /etc/resolv.conf" },
    { "names-stale", "it finds them again", DOCTOR_OF_AGENT, TW_WARNING, false, check_names_stale,
      "its name servers do not answer, or do not know the name any more",
      "on {agent}: getent ahosts NAME; /etc/resolv.conf; the names are in the agent's log" },
    { "spool-dropping", "no result is lost on the agent", DOCTOR_OF_AGENT, TW_PROBLEM, false,
      check_spool_dropping, "its spool was full while the controller was away or slow, or its disk failed",
      "on {agent}: more --spool-max-mb, a larger disk; twampctl status for what holds the controller up" },
    { "spool-growing", "results come as they are made", DOCTOR_OF_AGENT, TW_WARNING, false,
      check_spool_growing,
      "the controller takes less than the agent makes: a slow line, or a slow disk of the controller",
      "twampctl status; nothing is lost as long as its spool is not full" },
    { "clock-offset", "its clock agrees with the others", DOCTOR_OF_AGENT, TW_PROBLEM, false,
      check_clock_offset, "its time daemon follows a wrong or far server, or none at all",
      "on {agent}: chronyc tracking and sources, or timedatectl timesync-status; twampctl clock" },
    { "clock-ahead", "its clock agrees with the controller's", DOCTOR_OF_AGENT, TW_PROBLEM, false,
      check_clock_ahead, "nobody sets its clock, or the time zone was taken for the time",
      "on {agent}: chronyc tracking, or timedatectl; then the same on the controller's host" },
    { "clock-either", "it can be told whose clock is right", DOCTOR_OF_AGENT, TW_WARNING, false,
      check_clock_either, "two clocks contradict each other and there is no third to judge",
      "link them with a third agent; twampctl clock" },
    { "clock-unsynced", "its clock is synchronised", DOCTOR_OF_AGENT, TW_NOTE, false, check_clock_unsynced,
      "no time daemon runs on it, or it has lost its servers: one-way delays from and to it are not valid",
      "on {agent}: chronyc tracking, or timedatectl timesync-status" },
    { "host-drops", "its host drops none of our packets", DOCTOR_OF_AGENT, TW_WARNING, false,
      check_host_drops,
      "the agent did not get to its sockets in time: what is lost there is not the network's",
      "on {agent}: raise net.core.rmem_max, take load off the host" },
    { "host-starved", "it gets its CPU", DOCTOR_OF_AGENT, TW_WARNING, false, check_host_starved,
      "too much runs on the host, or its hypervisor takes the CPU away",
      "take load off {agent}, or give it weight: CPUWeight=, Nice= of its unit" },
    { "loopback-loss", "its loopback device loses nothing", DOCTOR_OF_AGENT, TW_WARNING, false,
      check_host_loopback, "a firewall rule on lo, or too little memory for sockets",
      "on {agent}: nft list ruleset; net.core.rmem_max" },
    { "auth-failed", "all signatures are good", DOCTOR_OF_AGENT, TW_WARNING, false, check_bad_signatures,
      "somebody signs with a key that it does not have, or it with one that they do not have",
      "compare the files of secrets: the first line of a key id signs, all of them are accepted" },
    { "acl-strangers", "nobody else asks its reflector", DOCTOR_OF_AGENT, TW_NOTE, false, check_strangers,
      "hosts that its access lists keep out send probes to it, or connect to its TWAMP-Control server",
      "add their prefix to --reflect-allow or --control-allow of {agent}, or find out who they are" },
    { "source-flood", "no source asks too often", DOCTOR_OF_AGENT, TW_WARNING, false, check_floods,
      "a host floods it, or measures with more packets than one source may send: those lost there are not the network's",
      "raise --reflect-rate or --control-rate of {agent} if that host is to send so many, or keep it out by "
      "--reflect-deny" },
    { "answer-loops", "nobody sends it answers", DOCTOR_OF_AGENT, TW_NOTE, false, check_loops,
      "somebody forges packets so that two reflectors answer each other, or a sender uses a port below 1024",
      "nothing is answered; on {agent}: tcpdump udp port 862; let the sender use a port from 1024 on" },
    { "logins-failed", "all logins to its TWAMP-Control server are good", DOCTOR_OF_AGENT, TW_NOTE, false,
      check_bad_logins, "a client with a wrong passphrase, or somebody who guesses",
      "compare the files of secrets" },

    { "name-unresolved", "the target's name has an address", DOCTOR_OF_WAY, TW_PROBLEM, true, check_name,
      "the name is wrong, or the resolver of {source} does not work",
      "on {source}: getent ahosts NAME; /etc/resolv.conf" },
    { "send-refused", "the source may send", DOCTOR_OF_WAY, TW_PROBLEM, true, check_send_refused,
      "a firewall rule or a missing route on {source} itself",
      "on {source}: ip route get ADDRESS; nft list ruleset" },
    { "acl-refused", "the reflector may answer the source", DOCTOR_OF_WAY, TW_PROBLEM, true, check_acl,
      "the access list of {target} keeps the address out that {source} has there",
      "add that address or its prefix to --reflect-allow of {target}" },
    { "auth-demanded", "the reflector takes packets without authentication", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_auth_demanded, "{target} runs with --demand-auth, and the classes of this pair do not sign",
      "give the class protocol: stamp, auth: authenticated and a key_id, or start {target} without "
      "--demand-auth" },
    { "answer-not-sent", "the reflector's host lets the answers go", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_answer_not_sent,
      "a firewall rule for outgoing packets, or a missing route back, on {target} itself",
      "on {target}: ip route get ADDRESS; nft list ruleset" },
    { "answer-elsewhere", "answers come from where probes went", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_answer_elsewhere,
      "address translation, or a second address of {target} by which it answers: the agent takes no answers "
      "of others",
      "give {target} the right --advertise, or --reflect with that one address" },
    { "udp-closed", "something listens at the target's port", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_port_closed,
      "no reflector listens there (--reflect none, another port, a stopped agent), or a firewall on {target} "
      "rejects the port",
      "on {target}: ss -lun; nft list ruleset; twamp-agent --check" },
    { "udp-rejected", "no router refuses the packets", DOCTOR_OF_WAY, TW_PROBLEM, true, check_rejected,
      "a firewall or a missing route at the host that told so", "look at the rules and routes there" },
    { "udp-blocked-backward", "answers come back", DOCTOR_OF_WAY, TW_PROBLEM, true, check_blocked_backward,
      "a firewall between {target} and {source}, or on {source}, drops the answers; or the way back is "
      "routed elsewhere",
      "allow UDP from the reflector's port to {source}; on {source}: nft list ruleset" },
    { "udp-blocked-forward", "probes arrive at the reflector", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_blocked_forward,
      "a firewall between {source} and {target}, or on {target}, drops UDP to the reflector's port",
      "allow UDP to the reflector's port; on {target}: nft list ruleset" },
    { "udp-silent", "the target answers", DOCTOR_OF_WAY, TW_PROBLEM, true, check_silent,
      "a firewall on either way, or nothing that reflects at that address",
      "probe it from somewhere else: twamp probe ADDRESS; look at the target itself" },
    { "mtu-local", "packets fit the source's interface", DOCTOR_OF_WAY, TW_PROBLEM, true, check_mtu_local,
      "the class has df: true and a size beyond the MTU of {source}",
      "lower the size of the class, or raise the MTU" },
    { "mtu-told", "large packets fit the path", DOCTOR_OF_WAY, TW_PROBLEM, true, check_mtu_told,
      "a link on the path has a smaller MTU: the router before it says so, as it should",
      "lower the size of the class, or leave df: true out" },
    { "mtu-black-hole", "large packets get through or are refused aloud", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_mtu_black_hole,
      "a link on the path has a smaller MTU, and the ICMP that should tell so is filtered: TCP connections "
      "hang there, too",
      "let ICMP type 3 code 4 (ICMPv6 type 2) pass; until then lower the size or the MTU at both ends" },
    { "mtu-black-hole-back", "large answers get back", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_mtu_black_hole_back,
      "a link on the way back has a smaller MTU, and fragments or the ICMP that should tell so are filtered",
      "look at the MTUs on the way from {target} to {source}" },
    { "control-closed", "a TWAMP-Control server listens", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_control_closed, "nothing listens at that TCP port: {target} was started without --control",
      "start {target} with --control, or use another protocol" },
    { "control-blocked", "its TCP port can be reached", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_control_blocked, "a firewall drops TCP to that port",
      "allow TCP to the control port of {target}" },
    { "control-silent", "it is a TWAMP-Control server", DOCTOR_OF_WAY, TW_PROBLEM, true, check_control_silent,
      "something else listens there, or the server has no room for more connections",
      "on {target}: ss -ltnp" },
    { "control-refused", "the TWAMP-Control server agrees to the sessions", DOCTOR_OF_WAY, TW_PROBLEM, true,
      check_control_refused,
      "a mode that it does not offer, a wrong passphrase, its limits, or a connection that comes and goes",
      "the reason is the server's own; twampctl agent show {source} has all of them" },
    { "keys-differ", "both ends have the same key", DOCTOR_OF_WAY, TW_PROBLEM, true, check_keys_differ,
      "plain probes come back, signed ones do not: the two files of secrets have different keys under one id",
      "compare the line of that key id on {source} and {target}" },
    { "one-way-only", "both directions of a pair work", DOCTOR_OF_WAY, TW_PROBLEM, true, check_one_way_only,
      "a firewall or address translation lets connections out and none in",
      "allow UDP to the reflector's port of {target}" },
    { "all-lost", "something comes back", DOCTOR_OF_WAY, TW_PROBLEM, true, check_all_lost,
      "a firewall, a wrong address, or a target that does not run", "twampctl doctor {source}:{target}" },
    { "send-error", "the source could send", DOCTOR_OF_WAY, TW_PROBLEM, true, check_send_error,
      "no route, a firewall rule for outgoing packets, or packets beyond the MTU with df: true",
      "twampctl doctor {source}:{target}" },
    { "not-sent", "the source's host sends all probes", DOCTOR_OF_WAY, TW_WARNING, false, check_not_sent,
      "a firewall rule for outgoing packets on {source} itself, or a full queue of its interface",
      "on {source}: nft list ruleset; tc -s qdisc; twampctl agent show {source}" },
    { "recovered", "it is as the last results say", DOCTOR_OF_WAY, TW_WARNING, true, check_recovered,
      "it has recovered since, or only some of its paths are broken",
      "look again in a minute; twampctl report --flows --source {source} --target {target}" },
    { "lossy", "at most 1 % of the packets are lost", DOCTOR_OF_WAY, TW_WARNING, true, check_lossy,
      "a full line, a bad link, or a policer", "twampctl outages --source {source} --target {target}" },
    { "no-data", "results come", DOCTOR_OF_WAY, TW_WARNING, true, check_no_data,
      "the session does not run although it is scheduled, or its results are held up",
      "twampctl agent show {source}; twampctl flight {source}:{target}" },
    { "not-probed", "the doctor could look", DOCTOR_OF_WAY, TW_NOTE, false, check_not_probed,
      "what is said of this pair is by its results alone", "twampctl doctor {source}:{target}" },
};
const size_t doctor_checks_n = TW_NELEM(doctor_checks);

const struct doctor_check *doctor_check_find(const char *id)
{
    for (size_t i = 0; i < doctor_checks_n; i++)
        if (!strcmp(doctor_checks[i].id, id))
            return &doctor_checks[i];
    return NULL;
}

/* ---- Texts ---- */

static const char *name_for(const struct doctor_exam *e, const char *what)
{
    if (!strncmp(what, "{agent}", 7))
        return e->agent ? e->agent->name : "it";
    if (!strncmp(what, "{source}", 8))
        return e->way ? e->way->source : "it";
    if (!strncmp(what, "{target}", 8))
        return e->way ? e->way->target : "it";
    if (!strncmp(what, "{mesh}", 6))
        return e->mesh ? e->mesh->name : "it";
    return NULL;
}

static void expand(const struct doctor_exam *e, const char *text, char ret[FINDING_TEXT])
{
    size_t n = 0;

    while (*text && n + 1 < FINDING_TEXT) {
        const char *name = *text == '{' ? name_for(e, text) : NULL;
        if (name) {
            n += (size_t)snprintf(ret + n, FINDING_TEXT - n, "%s", name);
            text = strchr(text, '}') + 1;
        } else {
            ret[n++] = *text++;
        }
    }
    ret[n < FINDING_TEXT ? n : FINDING_TEXT - 1] = 0;
}

void doctor_cause(struct doctor_exam *e, struct finding *f, const char *text)
{
    if (f)
        expand(e, text, f->cause);
}

void doctor_next(struct doctor_exam *e, struct finding *f, const char *text)
{
    if (f)
        expand(e, text, f->next);
}

static const char *about(const struct doctor_check *c)
{
    static const char *const names[] = { [DOCTOR_OF_CONTROLLER] = "controller",
                                         [DOCTOR_OF_FLEET] = "controller",
                                         [DOCTOR_OF_MESH] = "mesh",
                                         [DOCTOR_OF_AGENT] = "agent",
                                         [DOCTOR_OF_WAY] = "pair" };

    return names[c->subject];
}

static void subject(const struct doctor_exam *e, char ret[FINDING_SUBJECT])
{
    if (e->way)
        snprintf(ret, FINDING_SUBJECT, "%s:%s", e->way->source, e->way->target);
    else
        snprintf(ret, FINDING_SUBJECT, "%s",
                 e->agent  ? e->agent->name
                 : e->mesh ? e->mesh->name
                           : "controller");
}

static struct doctor_since since_of(const struct doctor_exam *e)
{
    if (e->way)
        return e->way->all_lost ? e->way->silent : e->way->lossy;
    if (e->agent && e->agent->state == DOCTOR_DOWN)
        return (struct doctor_since){ .ns = e->agent->last_contact_ns };
    return (struct doctor_since){ 0 };
}

struct finding *doctor_find(struct doctor_exam *e, const char *fmt, ...)
{
    char text[FINDING_SUBJECT];
    struct finding *f;
    va_list ap;

    subject(e, text);
    f = findings_add(e->out, e->check->id, about(e->check), e->check->severity, text);
    if (!f)
        return NULL;
    f->since_ns = since_of(e).ns;
    f->since_or_before = since_of(e).or_before;
    va_start(ap, fmt);
    vsnprintf(f->observed, sizeof f->observed, fmt, ap);
    va_end(ap);
    doctor_cause(e, f, e->check->cause);
    doctor_next(e, f, e->check->next);
    return f;
}

/* ---- Going through ---- */

static void examine(struct doctor_exam *e, enum doctor_subject what)
{
    for (size_t i = 0; i < doctor_checks_n; i++) {
        const struct doctor_check *c = &doctor_checks[i];

        if (c->subject != what)
            continue;
        e->check = c;
        if (c->fn(e) && c->explains)
            return;
    }
}

/* ---- One finding for many ---- */

static size_t source_len(const struct finding *f)
{
    return strcspn(f->subject, ":");
}

static const char *target_of(const struct finding *f)
{
    size_t n = source_len(f);

    return f->subject + n + (f->subject[n] == ':');
}

static bool is_alike(const struct finding *a, const struct finding *b, bool by_target)
{
    if (b->merged || a->id != b->id || strcmp(b->about, "pair") != 0)
        return false;
    return by_target ? !strcmp(target_of(a), target_of(b))
                     : source_len(a) == source_len(b) && !strncmp(a->subject, b->subject, source_len(a));
}

static size_t count_alike(const struct findings *f, size_t from, bool by_target)
{
    size_t n = 0;

    for (size_t i = from; i < f->n; i++)
        n += is_alike(&f->v[from], &f->v[i], by_target);
    return n;
}

/* What there is room for. */
static void append(char *to, size_t cap, const char *text)
{
    size_t n = strlen(to), m = strnlen(text, cap - 1 - n);

    memcpy(to + n, text, m);
    to[n + m] = 0;
}

/* The first of them becomes one of the agent at the end that they share. */
static void merge(struct findings *f, size_t at, size_t n, bool by_target)
{
    struct finding *first = &f->v[at];
    char names[FINDING_SUBJECT] = "", seen[FINDING_TEXT], common[FINDING_SUBJECT];
    size_t named = 0, len = 0;

    for (size_t i = at; i < f->n; i++) {
        struct finding *x = &f->v[i];
        if (!is_alike(first, x, by_target))
            continue;
        if (named++ < SOURCES_NAMED && len < sizeof names) {
            size_t k = by_target ? source_len(x) : strlen(target_of(x));
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%.*s", named > 1 ? ", " : "", (int)k,
                                    by_target ? x->subject : target_of(x));
        }
        if (x->since_ns && (!first->since_ns || x->since_ns < first->since_ns)) {
            first->since_ns = x->since_ns;
            first->since_or_before = x->since_or_before;
        }
        if (i > at)
            x->merged = true;
    }
    if (named > SOURCES_NAMED && len < sizeof names)
        snprintf(names + len, sizeof names - len, " and %zu more", named - SOURCES_NAMED);
    snprintf(seen, sizeof seen, "%s %.100s (%zu pairs of agents): ", by_target ? "from" : "to", names, n);
    append(seen, sizeof seen, first->observed);
    snprintf(common, sizeof common, "%.*s", (int)(by_target ? strlen(target_of(first)) : source_len(first)),
             by_target ? target_of(first) : first->subject);
    strcpy(first->observed, seen);
    strcpy(first->subject, common);
    first->about = "agent";
}

static void merge_all(struct findings *f, size_t from)
{
    size_t kept = from;

    for (size_t i = from; i < f->n; i++) {
        size_t by_target, by_source;

        if (f->v[i].merged || strcmp(f->v[i].about, "pair") != 0)
            continue;
        by_target = count_alike(f, i, true);
        by_source = count_alike(f, i, false);
        if (by_target > 1 || by_source > 1)
            merge(f, i, by_target >= by_source ? by_target : by_source, by_target >= by_source);
    }
    for (size_t i = from; i < f->n; i++)
        if (!f->v[i].merged)
            f->v[kept++] = f->v[i];
    f->n = kept;
}

/* ---- All of it ---- */

/* Whose source cannot be asked, and says so by findings of its own, is not examined. */
static bool is_examined(const struct doctor_way *w)
{
    bool probed = w->probe && (w->probe->packets[DOCTOR_SMALL].received || w->probe->lookup_error[0]);

    if (w->away || w->source_state != DOCTOR_UP)
        return false;
    return !w->target_is_agent || w->target_state == DOCTOR_UP || probed;
}

void doctor_examine(const struct doctor_facts *facts, struct findings *ret)
{
    size_t from;

    examine(&(struct doctor_exam){ .facts = facts, .out = ret }, DOCTOR_OF_CONTROLLER);
    examine(&(struct doctor_exam){ .facts = facts, .out = ret }, DOCTOR_OF_FLEET);
    for (size_t i = 0; i < facts->n_meshes; i++)
        examine(&(struct doctor_exam){ .facts = facts, .mesh = &facts->meshes[i], .out = ret },
                DOCTOR_OF_MESH);
    for (size_t i = 0; i < facts->n_agents; i++)
        if (!facts->agents[i].away)
            examine(&(struct doctor_exam){ .facts = facts, .agent = &facts->agents[i], .out = ret },
                    DOCTOR_OF_AGENT);
    from = ret->n;
    for (size_t i = 0; i < facts->n_ways; i++)
        if (is_examined(&facts->ways[i]))
            examine(&(struct doctor_exam){ .facts = facts, .way = &facts->ways[i], .out = ret },
                    DOCTOR_OF_WAY);
    merge_all(ret, from);
    findings_sort(ret);
}
