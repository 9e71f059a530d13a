/* controller/core/doctor.h - what is wrong in a fleet, from what is known of it. Pure: facts in, findings
 * out.
 *
 * Each check is one row of doctor_checks[]: an id, what it looks at, a function, and what to tell: the likely
 * cause and the next thing to do. Rows stand in order: a check that explains a subject ends its examination,
 * so that a blocked port is one finding and not three. docs/operations.md has a line for each row; a test
 * compares the two.
 *
 * In texts {agent} or {source} and {target} stand for names of the subject. */
#ifndef TW_CONTROLLER_CORE_DOCTOR_H
#define TW_CONTROLLER_CORE_DOCTOR_H

#include <stdint.h>
#include "common/addr.h"
#include "common/clk.h"
#include "common/finding.h"
#include "controller/core/clock_audit.h"

/* ---- Facts ---- */

/* Connections that the agents' listener refused: a certificate that is not believed, TLS where there is none, ... */
struct doctor_refusal {
    const char *address, *name, *reason; /* name: that was claimed; "" if it did not come that far */
    uint64_t times;
    int64_t last_ns;
};

/* What was more than it takes, in the last ten minutes, and was told to come again. */
struct doctor_too_much {
    uint64_t requests, queries, calls, batches; /* HTTP; to the database; of operators; summaries of agents */
};

/* Of those that share our control state. */
struct doctor_peer {
    const char *name, *version, *host;
    bool self, up, ended; /* ended: by itself */
    bool twin;            /* another one that is up has its name */
    int64_t gone_ns;
};

struct doctor_controller {
    const char *version;
    const struct doctor_peer *peers; /* itself among them; none: it shares it with nobody */
    size_t n_peers;
    const char *const *problems; /* what makes it not ready */
    size_t n_problems;
    const char *control_problem; /* of shared control state; "" or NULL: none */
    const char *history_problem; /* of a history in a database of its own; "" or NULL: none */
    const char *history_lacks;   /* what it goes on without; likewise */
    bool disk_known;
    uint64_t disk_free, disk_size; /* octets, where the database is */
    uint64_t database;             /* octets, with what waits in its log */
    uint64_t queued_rows, max_rows; /* max_rows: as many as should wait, at most */
    const char *reload_error;      /* why it goes on with what a file said before; "" or NULL: nothing */
    const char *restart_needed;    /* options that wait for a restart; "" or NULL: none */
    const struct doctor_refusal *refused;
    size_t n_refused;
    struct doctor_too_much too_much;
};

struct doctor_mesh {
    const char *name;
    uint64_t pairs, unresolved; /* names that are no approved agent */
    bool paused;
};

/* Of a health report. */
struct doctor_health {
    int64_t time_ns;
    bool clock_synced;
    int64_t clock_error_ns;
    uint64_t spool_summaries, spool_dropped, results_refused;
    uint64_t host_stalls, noise_sent, noise_lost, reflector_drops, sender_drops, send_errors;
    int64_t host_stall_max_ns;
    uint32_t host_cpu_wait_ppm;
    uint64_t not_allowed, auth_failed, auth_demanded, answers_auth_failed, logins_failed;
    uint64_t rate_limited, loops, control_not_allowed, control_rate_limited;
    const char *restart_needed; /* as the controller's */
    const char *access_error, *config_error, *https_error, *secrets_error; /* "" or NULL = none */
    uint64_t names, names_unresolved, names_stale; /* of targets: in all; without address; by an old one */
};

enum doctor_state { DOCTOR_PENDING, DOCTOR_DOWN, DOCTOR_UP };

struct doctor_agent {
    const char *name, *software, *address; /* address: as it connected; "" = never */
    enum doctor_state state;
    bool away; /* in maintenance or drained: nothing about it is wrong */
    const char *const *capabilities;
    size_t n_capabilities;
    int64_t last_contact_ns, first_seen_ns;
    uint64_t pairs; /* as source */
    bool behind;    /* does not run the wanted schedule although it has had the time */
    unsigned push_failures;
    uint64_t generation, generation_wanted;
    size_t refusals;
    const char *first_refusal;
    unsigned other_keys; /* HELLOs with its name and another key, lately */
    int64_t other_key_ns;
    const char *other_key_address;
    unsigned takeovers; /* of its connection by another one of the same key, lately */
    bool has_health, has_base;
    struct doctor_health health, base; /* base: some time earlier, since the same start of the agent */
    bool audited;
    struct clock_host clock;
    int64_t clock_ahead_ns; /* its wall clock minus ours; with has_health */
    bool cannot_diagnose;   /* it was asked and does not know how */
    unsigned reflector_asked,
        reflector_answered; /* down: other agents that probed it, and those that got answers */
};

enum doctor_kind { DOCTOR_SMALL, DOCTOR_SIZED, DOCTOR_SEARCH, DOCTOR_KINDS };
enum doctor_connect {
    DOCTOR_NOT_TRIED,
    DOCTOR_GREETED,
    DOCTOR_SILENT,
    DOCTOR_REFUSED,
    DOCTOR_TIMEOUT,
    DOCTOR_UNREACHABLE
};

struct doctor_icmp {
    bool six;
    uint32_t count, type, code, mtu;
    char from[TW_ADDR_TEXT];
};
struct doctor_packets {
    uint32_t size, sent, received, elsewhere; /* UDP payload octets */
    char elsewhere_from[TW_ADDR_TEXT], send_error[80];
    bool too_long;
    struct doctor_icmp icmp;
    int64_t rtt_min_ns;
};
struct doctor_seen {
    uint32_t came, answered, not_allowed, auth_demanded, refused, send_errors;
};
/* What a source found when it was asked to probe a target. */
struct doctor_probe {
    char host[256], lookup_error[160]; /* host: "" = there was no name to look up */
    char address[TW_ADDR_TEXT], local[TW_ADDR_TEXT];
    struct doctor_packets packets[2]; /* DOCTOR_SMALL, DOCTOR_SIZED */
    bool searched;
    uint32_t mtu_local, mtu_through, mtu_lost; /* octets of IP packets */
    struct doctor_icmp mtu_icmp;
    bool watched; /* the reflector counted: `seen` is known */
    bool driver;  /* but its network driver answers what has 41 octets and more */
    struct doctor_seen seen[DOCTOR_KINDS];
    char seen_from[TW_ADDR_TEXT];
    enum doctor_connect connect;
    uint16_t control_port;
    char connect_error[160];
};

/* ns 0: it is not so, or nobody knows; or_before: or earlier. */
struct doctor_since {
    int64_t ns;
    bool or_before;
};

/* From a source to a target, all classes together. */
struct doctor_way {
    const char *source, *target, *mesh;           /* mesh: of the first pair; "" = none has it */
    enum doctor_state source_state, target_state; /* of a target that is no agent DOCTOR_UP */
    bool target_is_agent;
    bool away; /* an end is, or all of its pairs are in maintenance */
    bool source_behind; /* or refuses them: no wonder that nothing comes */
    uint32_t pairs, all_lost, partial, no_data, name_error, send_error, refused, idle;
    uint64_t sent, received, lost_forward, lost_backward, lost_unknown; /* of their last report periods */
    struct doctor_since silent, lossy;                                  /* of the pair that has it longest */
    uint64_t not_sent;                                                  /* likewise: its host refused them */
    bool back_known, back_works;                                        /* of the pairs the other way */
    bool auth;                                                          /* any class signs or encrypts */
    const char *refusal; /* of a pair, by its TWAMP-Control server; NULL: none is refused for that */
    uint32_t size;                    /* of the largest class, UDP payload */
    const struct doctor_probe *probe; /* NULL: it has not been probed */
    const char *not_probed;           /* why; NULL: no need */
};

struct doctor_facts {
    int64_t now_ns;
    struct doctor_controller controller;
    const struct doctor_mesh *meshes;
    size_t n_meshes;
    const struct doctor_agent *agents;
    size_t n_agents;
    const struct doctor_way *ways;
    size_t n_ways;
};

/* ---- Checks ---- */

struct doctor_exam; /* doctor_priv.h: what a check works with */

enum doctor_subject { DOCTOR_OF_CONTROLLER, DOCTOR_OF_FLEET, DOCTOR_OF_MESH, DOCTOR_OF_AGENT, DOCTOR_OF_WAY };
struct doctor_check {
    const char *id, *title;
    enum doctor_subject subject;
    enum tw_severity severity;
    bool explains; /* what stands below is not asked about the same subject then */
    /* True: it has found something. */
    bool (*fn)(struct doctor_exam *e);
    const char *cause, *next;
};
extern const struct doctor_check doctor_checks[];
extern const size_t doctor_checks_n;
/* By id; NULL: none. */
const struct doctor_check *doctor_check_find(const char *id);

/* Appends to *ret, sorted in the end; what several sources find of one target, or one source of several, is
 * one finding. */
void doctor_examine(const struct doctor_facts *facts, struct findings *ret);

/* Is this way worth a probe? What is well by its numbers is not. */
bool doctor_way_is_suspect(const struct doctor_way *w);
/* Of one report period: has the source's host refused so many that it is worth telling? */
bool doctor_is_much_not_sent(uint64_t not_sent, uint64_t sent);
/* "ICMP port unreachable from 10.0.0.2", for texts; returns buf. */
const char *doctor_icmp_text(const struct doctor_icmp *i, char *buf, size_t cap);
/* -1, 0, 1 by the numbers in "twamp-agent 0.1.0"; equal if either has none. */
int doctor_compare_versions(const char *a, const char *b);

#endif
