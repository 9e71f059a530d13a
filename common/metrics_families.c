#include "common/metrics_families.h"

#define DIRECTION(d) ",direction=\"" d "\""
#define CAUSE(c) ",cause=\"" c "\""
#define THREE_WAYS "direction (forward, backward, roundtrip)"
#define LOSS_WAYS "direction (forward, backward, unknown)"
#define ROWS(name) name, TW_NELEM(name)
/* A family of one sample without labels of its own. */
#define ONE(kind, object, member) \
    ((const struct metric_sample[]){ { "", kind, offsetof(struct object, member) } }), 1

/* ---- Pairs ---- */

#define IN_PAIR(member) offsetof(struct metrics_pair, member)
#define FRESH IN_PAIR(fresh)
#define EACH_DELAY(member)                                                              \
    { DIRECTION("forward"), METRIC_NUM, IN_PAIR(last.delay[TW_FORWARD].member) },       \
        { DIRECTION("backward"), METRIC_NUM, IN_PAIR(last.delay[TW_BACKWARD].member) }, \
    {                                                                                   \
        DIRECTION("roundtrip"), METRIC_NUM, IN_PAIR(last.delay[TW_ROUNDTRIP].member)    \
    }
#define QUANTILES(direction, d)                                                                  \
    { DIRECTION(direction) ",quantile=\"0.5\"", METRIC_NUM, IN_PAIR(last.delay[d].p50_s) },      \
        { DIRECTION(direction) ",quantile=\"0.95\"", METRIC_NUM, IN_PAIR(last.delay[d].p95_s) }, \
    {                                                                                            \
        DIRECTION(direction) ",quantile=\"0.99\"", METRIC_NUM, IN_PAIR(last.delay[d].p99_s)      \
    }

static const struct metric_sample pair_lost[] = {
    { DIRECTION("forward"), METRIC_U64, IN_PAIR(lost[TW_FORWARD]) },
    { DIRECTION("backward"), METRIC_U64, IN_PAIR(lost[TW_BACKWARD]) },
    { DIRECTION("unknown"), METRIC_U64, IN_PAIR(lost[TW_UNKNOWN]) },
};
static const struct metric_sample pair_reordered[] = {
    { DIRECTION("forward"), METRIC_U64, IN_PAIR(reordered[TW_FORWARD]) },
    { DIRECTION("backward"), METRIC_U64, IN_PAIR(reordered[TW_BACKWARD]) },
    { DIRECTION("roundtrip"), METRIC_U64, IN_PAIR(reordered[TW_ROUNDTRIP]) },
};
static const struct metric_sample pair_quantiles[] = {
    QUANTILES("forward", TW_FORWARD),
    QUANTILES("backward", TW_BACKWARD),
    QUANTILES("roundtrip", TW_ROUNDTRIP),
};
static const struct metric_sample pair_min[] = { EACH_DELAY(min_s) };
static const struct metric_sample pair_jitter[] = { EACH_DELAY(jitter_rfc3550_s) };
static const struct metric_sample pair_loss[] = {
    { DIRECTION("forward"), METRIC_NUM, IN_PAIR(last.loss_forward_ratio) },
    { DIRECTION("backward"), METRIC_NUM, IN_PAIR(last.loss_backward_ratio) },
    { DIRECTION("unknown"), METRIC_NUM, IN_PAIR(last.loss_unknown_ratio) },
    { DIRECTION("roundtrip"), METRIC_NUM, IN_PAIR(last.loss_ratio) },
};
static const struct metric_sample pair_ttl[] = {
    { DIRECTION("forward"), METRIC_NUM, IN_PAIR(last.ttl_forward_min) },
    { DIRECTION("backward"), METRIC_NUM, IN_PAIR(last.ttl_backward_min) },
};
static const struct metric_sample pair_tos[] = {
    { DIRECTION("sent"), METRIC_U8, IN_PAIR(last.tos_sent) },
    { DIRECTION("forward"), METRIC_NUM, IN_PAIR(last.tos_forward_min) },
    { DIRECTION("backward"), METRIC_NUM, IN_PAIR(last.tos_backward_min) },
};
static const struct metric_sample pair_status[] = { { ",status=\"", METRIC_LABEL, IN_PAIR(state) } };

static const struct metric_sample pair_trouble[] = {
    { ",verdict=\"", METRIC_LABEL, IN_PAIR(last.host_trouble) },
};

static const struct metric_sample pair_delay[] = {
    { DIRECTION("forward"), METRIC_NATIVE, IN_PAIR(delay[TW_FORWARD]) },
    { DIRECTION("backward"), METRIC_NATIVE, IN_PAIR(delay[TW_BACKWARD]) },
    { DIRECTION("roundtrip"), METRIC_NATIVE, IN_PAIR(delay[TW_ROUNDTRIP]) },
};

static const struct family pair_families[] = {
    { "probes_sent_total", "counter", "", "Probes sent.", NO_GATE, ONE(METRIC_U64, metrics_pair, sent) },
    { "probes_received_total", "counter", "", "Probes answered in time.", NO_GATE,
      ONE(METRIC_U64, metrics_pair, received) },
    { "probes_lost_total", "counter", LOSS_WAYS, "Probes not answered in time, by where they were lost.",
      NO_GATE, ROWS(pair_lost) },
    { "probes_late_total", "counter", "", "Answers after the timeout; the probe stays lost.", NO_GATE,
      ONE(METRIC_U64, metrics_pair, late) },
    { "probes_duplicate_total", "counter", "", "Second answers to a probe.", NO_GATE,
      ONE(METRIC_U64, metrics_pair, duplicates) },
    { "probes_reordered_total", "counter", THREE_WAYS, "Probes and answers that were overtaken (RFC 4737).",
      NO_GATE, ROWS(pair_reordered) },
    { "loss_runs_total", "counter", "",
      "Runs of consecutive lost probes; one that goes on over report periods counts once.", NO_GATE,
      ONE(METRIC_U64, metrics_pair, loss_runs) },
    { "delay_seconds", "histogram", THREE_WAYS,
      "Every delay, as a native histogram: only where protobuf is scraped; forward and backward: only of "
      "report "
      "periods with one_way_valid.",
      NO_GATE, ROWS(pair_delay) },
    { "delay_quantile_seconds", "summary", THREE_WAYS ", quantile (0.5, 0.95, 0.99)",
      "Delay in the last closed report period.", FRESH, ROWS(pair_quantiles) },
    { "delay_min_seconds", "gauge", THREE_WAYS, "Least delay in the last closed report period.", FRESH,
      ROWS(pair_min) },
    { "jitter_seconds", "gauge", THREE_WAYS,
      "Interarrival jitter (RFC 3550) in the last closed report period.", FRESH, ROWS(pair_jitter) },
    { "loss_ratio", "gauge", "direction (forward, backward, unknown, roundtrip)",
      "Lost probes of those sent in the last closed report period; roundtrip is the sum of the others.",
      FRESH, ROWS(pair_loss) },
    { "ttl", "gauge", "direction (forward, backward)",
      "Lowest TTL or Hop Limit of arriving packets in the last closed report period.", FRESH,
      ROWS(pair_ttl) },
    { "tos", "gauge", "direction (sent, forward, backward)",
      "Lowest TOS or Traffic Class of arriving packets in the last closed report period, and the one sent.",
      FRESH, ROWS(pair_tos) },
    { "one_way_valid", "gauge", "",
      "1 if both clocks are good enough for the one-way delays of the last closed report period.", FRESH,
      ONE(METRIC_BOOL, metrics_pair, last.one_way_valid) },
    { "host_trouble", "gauge", "verdict",
      "1 for what the source host did to the last closed report period, the only one that is shown; none: "
      "nothing.",
      FRESH, ROWS(pair_trouble) },
    { "completeness_ratio", "gauge", "", "Report periods stored of those expected in the last hour.", NO_GATE,
      ONE(METRIC_NUM, metrics_pair, completeness_ratio) },
    { "availability_ratio", "gauge", "",
      "Available windows of 10 s of those judged in the last closed report period.", FRESH,
      ONE(METRIC_NUM, metrics_pair, last.availability_ratio) },
    { "pair_status", "gauge", "status", "1 for the present status, the only one that is shown.", NO_GATE,
      ROWS(pair_status) },
    { "pair_maintenance", "gauge", "",
      "1 while a maintenance of the pair goes on; otherwise it is not shown.", IN_PAIR(maintenance),
      ONE(METRIC_BOOL, metrics_pair, maintenance) },
    { "last_result_timestamp_seconds", "gauge", "", "End of the last closed report period, Unix time.",
      NO_GATE, ONE(METRIC_TIME, metrics_pair, last_end_ns) },
};
const struct level level_pair = { "twamp_", "mesh, class, source, target", ROWS(pair_families) };

/* ---- Aggregates ---- */

#define IN_GROUP(member) offsetof(struct metrics_group, member)

static const struct metric_sample group_lost[] = {
    { DIRECTION("forward"), METRIC_U64, IN_GROUP(lost[TW_FORWARD]) },
    { DIRECTION("backward"), METRIC_U64, IN_GROUP(lost[TW_BACKWARD]) },
    { DIRECTION("unknown"), METRIC_U64, IN_GROUP(lost[TW_UNKNOWN]) },
};
static const struct metric_sample group_delay[] = {
    { DIRECTION("forward"), METRIC_HIST, IN_GROUP(delay[TW_FORWARD]) },
    { DIRECTION("backward"), METRIC_HIST, IN_GROUP(delay[TW_BACKWARD]) },
    { DIRECTION("roundtrip"), METRIC_HIST, IN_GROUP(delay[TW_ROUNDTRIP]) },
};

static const struct metric_sample group_missing[] = {
    { CAUSE("refused"), METRIC_U64, IN_GROUP(missing[METRICS_REFUSED]) },
    { CAUSE("dropped"), METRIC_U64, IN_GROUP(missing[METRICS_DROPPED]) },
    { CAUSE("agent_down"), METRIC_U64, IN_GROUP(missing[METRICS_AGENT_DOWN]) },
    { CAUSE("awaited"), METRIC_U64, IN_GROUP(missing[METRICS_AWAITED]) },
    { CAUSE("unknown"), METRIC_U64, IN_GROUP(missing[METRICS_UNKNOWN]) },
};

static const struct family group_families[] = {
    { "pairs", "gauge", "", "Pairs in the schedule.", NO_GATE, ONE(METRIC_U64, metrics_group, pairs) },
    { "pairs_fresh", "gauge", "", "Pairs with a summary of the last two report periods.", NO_GATE,
      ONE(METRIC_U64, metrics_group, pairs_fresh) },
    { "probes_sent_total", "counter", "", "Probes sent, all pairs together.", NO_GATE,
      ONE(METRIC_U64, metrics_group, sent) },
    { "probes_received_total", "counter", "", "Probes answered in time, all pairs together.", NO_GATE,
      ONE(METRIC_U64, metrics_group, received) },
    { "probes_lost_total", "counter", LOSS_WAYS, "Probes not answered in time, all pairs together.", NO_GATE,
      ROWS(group_lost) },
    { "probes_late_total", "counter", "", "Answers after the timeout, all pairs together.", NO_GATE,
      ONE(METRIC_U64, metrics_group, late) },
    { "probes_duplicate_total", "counter", "", "Second answers to a probe, all pairs together.", NO_GATE,
      ONE(METRIC_U64, metrics_group, duplicates) },
    { "summaries_missing", "gauge", "cause (refused, dropped, agent_down, awaited, unknown)",
      "Summaries of the last hour that were expected and are not stored, by why.", IN_GROUP(has_missing),
      ROWS(group_missing) },
    { "delay_seconds", "histogram", THREE_WAYS,
      "Delay, all pairs together; forward and backward: only of report periods with one_way_valid.", NO_GATE,
      ROWS(group_delay) },
};
const struct level level_agent = { "twamp_agent_", "mesh, class, source", ROWS(group_families) };
const struct level level_site = { "twamp_site_", "mesh, class, source_site, target_site",
                                  ROWS(group_families) };
const struct level level_mesh = { "twamp_mesh_", "mesh, class", ROWS(group_families) };

/* ---- Agents ---- */

#define HEALTH offsetof(struct metrics_agent, has_health)

static const struct metric_sample agent_info[] = { { ",software=\"", METRIC_LABEL,
                                                     offsetof(struct metrics_agent, software) } };

static const struct metric_sample agent_leap[] = { { ",leap=\"", METRIC_LABEL,
                                                     offsetof(struct metrics_agent, clock_leap) } };

static const struct metric_sample agent_noise[] = {
    { ",quantile=\"0.5\"", METRIC_NUM, offsetof(struct metrics_agent, noise_p50_s) },
    { ",quantile=\"0.99\"", METRIC_NUM, offsetof(struct metrics_agent, noise_p99_s) },
    { ",quantile=\"1\"", METRIC_NUM, offsetof(struct metrics_agent, noise_max_s) },
};

static const struct metric_sample agent_lateness[] = {
    { ",quantile=\"0.99\"", METRIC_NUM, offsetof(struct metrics_agent, lateness_p99_s) },
    { ",quantile=\"1\"", METRIC_NUM, offsetof(struct metrics_agent, lateness_max_s) },
};

static const struct family fleet_families[] = {
    { "info", "gauge", "software", "1 for each approved agent.", NO_GATE, ROWS(agent_info) },
    { "up", "gauge", "", "1 if the agent is connected.", NO_GATE, ONE(METRIC_IS_UP, metrics_agent, state) },
    { "generation", "gauge", "", "Generation of the schedule that the agent runs.", HEALTH,
      ONE(METRIC_U64, metrics_agent, generation) },
    { "spool_summaries", "gauge", "", "Summaries that wait in the agent's spool.", HEALTH,
      ONE(METRIC_U64, metrics_agent, spool_summaries) },
    { "spool_backlog_summaries", "gauge", "",
      "Summaries in the agent's spool that wait behind fresh ones; sent beside them, at a bounded rate.", HEALTH,
      ONE(METRIC_U64, metrics_agent, spool_backlog) },
    { "spool_dropped_total", "counter", "", "Summaries that a full spool has dropped.", HEALTH,
      ONE(METRIC_U64, metrics_agent, spool_dropped) },
    { "spool_bytes", "gauge", "", "What the agent's spool takes on its disk.", HEALTH,
      ONE(METRIC_U64, metrics_agent, spool_bytes) },
    { "sessions", "gauge", "", "Sessions that the agent runs, of the schedule and of tests.", HEALTH,
      ONE(METRIC_U64, metrics_agent, sessions) },
    { "clock_error_seconds", "gauge", "", "Greatest error of the agent's clock, as its kernel reckons.",
      HEALTH, ONE(METRIC_DOUBLE, metrics_agent, clock_error_s) },
    { "clock_synced", "gauge", "", "1 if the agent's kernel says that its clock is synchronised.", HEALTH,
      ONE(METRIC_BOOL, metrics_agent, clock_synced) },
    { "clock_estimated_error_seconds", "gauge", "", "Error of the agent's clock as its time daemon estimates it; what sets it is up to the daemon.", HEALTH,
      ONE(METRIC_DOUBLE, metrics_agent, clock_est_error_s) },
    { "clock_frequency_ratio", "gauge", "", "By which the agent's kernel corrects its oscillator.", HEALTH,
      ONE(METRIC_DOUBLE, metrics_agent, clock_frequency_ratio) },
    { "clock_tai_offset_seconds", "gauge", "", "TAI minus UTC as the agent's kernel has been told; 0: it has not.", HEALTH,
      ONE(METRIC_DOUBLE, metrics_agent, clock_tai_offset_s) },
    { "clock_steps_total", "counter", "", "Steps of the agent's clock.", HEALTH,
      ONE(METRIC_U64, metrics_agent, clock_steps) },
    { "clock_leap", "gauge", "leap (none, insert, delete, now, done)",
      "1 for what the agent's kernel says of a leap second, the only one that is shown.", HEALTH, ROWS(agent_leap) },
    { "clock_offset_seconds", "gauge", "",
      "The agent's clock minus the median of the others, as the pairs between agents show it.", NO_GATE,
      ONE(METRIC_NUM, metrics_agent, clock_offset_s) },
    { "clock_suspect", "gauge", "",
      "1 if the pairs between agents show that this agent's clock is wrong, 0 if it is right.", NO_GATE,
      ONE(METRIC_NUM, metrics_agent, clock_suspect) },
    { "reflected_total", "counter", "", "Answers that the agent's reflector has sent.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflected) },
    { "reflector_rejected_total", "counter", "", "Datagrams that the reflector did not answer.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflector_rejected) },
    { "reflected_stamp_total", "counter", "", "Answers that the agent's reflector has sent to STAMP.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflected_stamp) },
    { "reflected_xdp_total", "counter", "", "Answers of the reflector that its network driver has sent.",
      HEALTH, ONE(METRIC_U64, metrics_agent, reflected_xdp) },
    { "reflector_not_allowed_total", "counter", "",
      "Datagrams to the reflector from whom it is not to answer.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflector_not_allowed) },
    { "reflector_rate_limited_total", "counter", "",
      "Datagrams to the reflector beyond what a single source may send.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflector_rate_limited) },
    { "reflector_loops_total", "counter", "",
      "Datagrams to the reflector that were answers, or came from where only servers send.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflector_loops) },
    { "reflector_longer_total", "counter", "",
      "Probes that were not reflected since the answer would have been longer.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflector_longer) },
    { "reflector_evicted_total", "counter", "",
      "Senders that the full reflector forgot before their time, to make room for others.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflector_evicted) },
    { "control_not_allowed_total", "counter", "",
      "Connections to the TWAMP-Control server from whom it takes none.", HEALTH,
      ONE(METRIC_U64, metrics_agent, control_not_allowed) },
    { "control_rate_limited_total", "counter", "",
      "Connections to the TWAMP-Control server beyond what a single source may open.", HEALTH,
      ONE(METRIC_U64, metrics_agent, control_rate_limited) },
    { "access_lists_stale", "gauge", "",
      "1 if the agent's access lists as they are now cannot be used, so that those before are in use.", HEALTH,
      ONE(METRIC_BOOL, metrics_agent, access_stale) },
    { "reflected_auth_total", "counter", "", "Answers of the reflector that were authenticated.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflected_auth) },
    { "reflector_auth_failed_total", "counter", "",
      "Datagrams to the reflector whose HMAC was wrong, of the packet or of its TLVs.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflector_auth_failed) },
    { "reflector_auth_demanded_total", "counter", "",
      "Datagrams that were not reflected since the agent demands authentication.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflector_auth_demanded) },
    { "reflect_sessions", "gauge", "", "Sessions that others have agreed by TWAMP-Control.", HEALTH,
      ONE(METRIC_U64, metrics_agent, reflect_sessions) },
    { "auth_failed_total", "counter", "", "Answers to the agent's probes whose HMAC was wrong.", HEALTH,
      ONE(METRIC_U64, metrics_agent, auth_failed) },
    { "control_connections", "gauge", "", "TWAMP-Control connections to the agent.", HEALTH,
      ONE(METRIC_U64, metrics_agent, control_connections) },
    { "control_logins_failed_total", "counter", "",
      "TWAMP-Control logins with an unknown user or a wrong passphrase.", HEALTH,
      ONE(METRIC_U64, metrics_agent, control_logins_failed) },
    { "control_refused_total", "counter", "",
      "TWAMP-Control connections and requests that the agent's limits did not allow.", HEALTH,
      ONE(METRIC_U64, metrics_agent, control_refused) },
    { "secrets_stale", "gauge", "",
      "1 if the agent's file of secrets has changed and cannot be used: the keys before stay in use.", HEALTH,
      ONE(METRIC_BOOL, metrics_agent, secrets_stale) },
    { "names", "gauge", "", "Targets by host name that sessions of the agent want.", HEALTH,
      ONE(METRIC_U64, metrics_agent, names) },
    { "names_unresolved", "gauge", "", "Those of them without an address yet: their sessions do not run.", HEALTH,
      ONE(METRIC_U64, metrics_agent, names_unresolved) },
    { "names_stale", "gauge", "", "Those of them in use by an address that the last lookup could not confirm.", HEALTH,
      ONE(METRIC_U64, metrics_agent, names_stale) },
    { "name_lookups_total", "counter", "", "Lookups of names of targets.", HEALTH,
      ONE(METRIC_U64, metrics_agent, name_lookups) },
    { "name_failures_total", "counter", "", "Those of them that gave no address.", HEALTH,
      ONE(METRIC_U64, metrics_agent, name_failures) },
    { "name_changes_total", "counter", "", "Sessions that went on to another address of their target's name.", HEALTH,
      ONE(METRIC_U64, metrics_agent, name_changes) },
    { "host_drops_total", "counter", "", "Datagrams that full socket buffers of the host have dropped.",
      HEALTH, ONE(METRIC_U64, metrics_agent, host_drops) },
    { "sender_drops_total", "counter", "",
      "Datagrams, among them answers, that full socket buffers of the agent's senders have dropped.", HEALTH,
      ONE(METRIC_U64, metrics_agent, sender_drops) },
    { "send_errors_total", "counter", "", "Probes that the agent's operating system refused to send.", HEALTH,
      ONE(METRIC_U64, metrics_agent, send_errors) },
    { "host_stalls_total", "counter", "",
      "Times that a measuring thread came more than 1 ms late to a timer or a datagram.", HEALTH,
      ONE(METRIC_U64, metrics_agent, host_stalls) },
    { "host_stall_max_seconds", "gauge", "", "The longest of these in the last minute.", HEALTH,
      ONE(METRIC_DOUBLE, metrics_agent, host_stall_max_s) },
    { "cpu_wait_ratio", "gauge", "",
      "Highest share of any second of the last minute that a measuring thread waited for a CPU.", HEALTH,
      ONE(METRIC_DOUBLE, metrics_agent, cpu_wait_ratio) },
    { "noise_floor_seconds", "summary", "quantile (0.5, 0.99, 1)",
      "Roundtrip of the loopback self-test in the last minute: what the host adds by itself.", HEALTH,
      ROWS(agent_noise) },
    { "self_test_probes_total", "counter", "", "Probes of the loopback self-test.", HEALTH,
      ONE(METRIC_U64, metrics_agent, self_test_sent) },
    { "self_test_lost_total", "counter", "", "Those of them that were lost, inside the host.", HEALTH,
      ONE(METRIC_U64, metrics_agent, self_test_lost) },
    { "start_time_seconds", "gauge", "", "When the agent was started, Unix time.", HEALTH,
      ONE(METRIC_TIME, metrics_agent, started_ns) },
    { "cpu_seconds_total", "counter", "", "Processor time of the agent.", HEALTH,
      ONE(METRIC_DOUBLE, metrics_agent, cpu_s) },
    { "rss_bytes", "gauge", "", "Resident memory of the agent.", HEALTH,
      ONE(METRIC_DOUBLE, metrics_agent, rss_bytes) },
    { "send_lateness_seconds", "summary", "quantile (0.99, 1)",
      "How late probes were sent, by the summaries that came in the last one to two minutes or report periods.",
      NO_GATE, ROWS(agent_lateness) },
    { "results_refused_total", "counter", "",
      "Summaries that were lost between a measuring thread and the spool.", HEALTH,
      ONE(METRIC_U64, metrics_agent, results_refused) },
    { "runs_total", "counter", "", "Runs of sessions with times that have begun.", HEALTH,
      ONE(METRIC_U64, metrics_agent, runs) },
    { "runs_missed_total", "counter", "",
      "Runs of sessions with times that were over before they could begin.", HEALTH,
      ONE(METRIC_U64, metrics_agent, runs_missed) },
    { "tests_running", "gauge", "", "Tests on demand that the agent runs.", HEALTH,
      ONE(METRIC_U64, metrics_agent, tests) },
    { "tests_started_total", "counter", "", "Tests on demand that the agent has started.", HEALTH,
      ONE(METRIC_U64, metrics_agent, tests_started) },
    { "tests_refused_total", "counter", "", "Tests on demand that the agent did not take.", HEALTH,
      ONE(METRIC_U64, metrics_agent, tests_refused) },
    { "tests_expired_total", "counter", "", "Tests on demand that the agent ended because nobody asked for their progress any more.", HEALTH,
      ONE(METRIC_U64, metrics_agent, tests_expired) },
    { "diagnoses_total", "counter", "", "Looks at a path for doctor that sent packets.", HEALTH,
      ONE(METRIC_U64, metrics_agent, diagnoses) },
    { "diagnoses_refused_total", "counter", "", "Such that were beyond the agent's limits.", HEALTH,
      ONE(METRIC_U64, metrics_agent, diagnoses_refused) },
    { "diagnose_packets_total", "counter", "", "Packets sent for them.", HEALTH,
      ONE(METRIC_U64, metrics_agent, diagnose_packets) },
    { "flight_share_probes", "gauge", "",
      "Probes that each session can keep in the flight recorder; 0: it is off.", HEALTH,
      ONE(METRIC_U64, metrics_agent, flight_share) },
    { "flight_kept_seconds", "gauge", "",
      "The shortest time back that any session kept in the flight recorder lately; not shown while none has "
      "forgotten.",
      HEALTH, ONE(METRIC_NUM, metrics_agent, flight_kept_s) },
    { "flight_bytes", "gauge", "", "Memory of the flight recorder's rings in use.", HEALTH,
      ONE(METRIC_U64, metrics_agent, flight_bytes) },
    { "flight_frozen_parts", "gauge", "", "Frozen parts that the flight recorder keeps.", HEALTH,
      ONE(METRIC_U64, metrics_agent, flight_frozen) },
    { "flight_frozen_bytes", "gauge", "", "Memory of the frozen parts.", HEALTH,
      ONE(METRIC_U64, metrics_agent, flight_frozen_bytes) },
    { "flight_gave_way_total", "counter", "", "Frozen parts that had to go, and such that could not be kept.",
      HEALTH, ONE(METRIC_U64, metrics_agent, flight_gave_way) },
    { "flight_unrecorded_total", "counter", "",
      "Probes without a record in the flight recorder: more sessions than memory.", HEALTH,
      ONE(METRIC_U64, metrics_agent, flight_unrecorded) },
    { "flight_withheld_total", "counter", "",
      "Runs of lost probes that were not frozen, so soon after another one.", HEALTH,
      ONE(METRIC_U64, metrics_agent, flight_withheld) },
};
const struct level level_fleet = { "twamp_agent_", "agent", ROWS(fleet_families) };

/* ---- Single ones ---- */

const struct family singles[SINGLE_COUNT] = {
    [SINGLE_BUILD] = { "twamp_build_info", "gauge", "version", "1; the version of the program.", NO_GATE,
                       NULL, 0 },
    [SINGLE_SUPPRESSED] = { "twamp_series_suppressed", "gauge", "level",
                            "Series that the budget of a level keeps off this page.", NO_GATE, NULL, 0 },
    [SINGLE_AGENTS] = { "twamp_agents", "gauge", "state (pending, up, down, revoked)", "Agents by state.",
                        NO_GATE, NULL, 0 },
    [SINGLE_GENERATION] = { "twamp_schedule_generation", "gauge", "", "Generation of the schedule.", NO_GATE,
                            NULL, 0 },
};
