/* controller/admin.h - the Admin service: one handler per method of proto/admin.proto, in files by subject. Loop thread. */
#ifndef TW_CONTROLLER_ADMIN_H
#define TW_CONTROLLER_ADMIN_H

#include "controller/change.h"
#include "controller/controller.h"
#include "controller/core/access.h"
#include "controller/pair_lists.h"

/* A reply is packed into one frame of at most 1 MiB: lists stop here and say so. */
#define ADMIN_REPLY_MAX (900u << 10)
#define ADMIN_ARENA_CAP (16u << 20)

/* Starts the operators' listener. remote_url: a second listener, for operators from elsewhere; NULL: none. */
enum tw_rc admin_start(struct controller *c, const char *url, const char *remote_url, struct admin **ret, struct tw_err *err);
void admin_free(struct admin *a);

struct controller *admin_controller(Tw__Admin_Service *service);
/* The same service for what another controller asks for (relay.c): who may, and the audit log, are its
 * matter. */
Tw__Admin_Service *admin_trusted(struct controller *c);
bool admin_is_trusted(const Tw__Admin_Service *service);
/* Of those that ask page by page. */
struct pair_lists *admin_pair_lists(struct controller *c);
#define ADMIN_RETRY_MS 500 /* when too much of something waits: rpc_fail_later() */
/* For the reply that is being built; empty; valid until the next one. */
struct arena *admin_arena(struct controller *c);
/* Copy in the arena; "" when there is no room. */
char *admin_text(struct arena *ar, const char *text);
/* admin_results.c, for all that take a PairFilter. False: it has failed the call. */
bool admin_read_filter(const Tw__PairFilter *rq, struct report_filter *ret, void *closure_data);
/* admin_report.c: what is to be made of the pairs. False: it has failed the call. */
bool admin_read_shape(const Tw__PairFilter *rq, struct report_filter *ret, void *closure_data);
/* Groups in place of pairs. */
void admin_fill_groups(const struct report *rep, const char *by, size_t skip, struct arena *ar,
                       Tw__ReportReply *reply);
/* The texts stay the pair's. */
void admin_fill_pair(const struct inventory *inv, const struct store_pair *p, Tw__PairInfo *ret);
/* Fails a call whose query did not run. text may be "". */
void admin_fail_run(enum tw_rc rc, const char *text, void *closure_data);
/* NULL: nothing is missing. From the arena. */
Tw__Missing *admin_missing(const struct missing *m, struct arena *ar);
/* NULL: the agent has not been audited. From the arena. */
Tw__ClockFinding *admin_clock_finding(const struct agent *a, struct arena *ar);
/* admin_apply.c; who changes something, and why. False: it has failed the call. */
bool admin_author_ok(const char *author, const char *reason, void *closure_data);
/* admin_history.c: fails a call for which the history could not be read. */
void admin_fail_history(const struct tw_err *err, void *closure_data);
/* A call that waits for a change: rpc_fail() is called for what fails; else done(). */
void admin_change(Tw__Admin_Service *service, const struct change_request *rq, void *closure_data);
/* The answer to a change that failed: true if it did. */
bool admin_change_failed(const struct change_result *r, void *closure_data);

/* clang-format off: one row is one line */
/* One row: the method, its messages, and the role that it needs, by whatever way the call comes. VIEWER: it only reads. OPERATOR, ADMIN: it
 * changes something, and is in the audit log. ADMIN_READ: it reads what only admins are to see. Who belongs to the fleet, what runs on
 * the controller's host (receivers of alerts may be programs) and who may do what are matters of admins. */
#define ADMIN_METHODS(X) \
    X(agent_list, AgentListRequest, AgentListReply, VIEWER) \
    X(agent_show, AgentRequest, AgentReply, VIEWER) \
    X(agent_approve, AgentRequest, AgentReply, ADMIN) \
    X(agent_remove, AgentRequest, AgentReply, ADMIN) \
    X(schedule_apply, ScheduleApplyRequest, ScheduleApplyReply, OPERATOR) \
    X(schedule_list, ScheduleListRequest, ScheduleListReply, VIEWER) \
    X(schedule_show, MeshRequest, ScheduleShowReply, VIEWER) \
    X(schedule_pause, MeshRequest, ScheduleChangeReply, OPERATOR) \
    X(schedule_resume, MeshRequest, ScheduleChangeReply, OPERATOR) \
    X(schedule_delete, MeshRequest, ScheduleChangeReply, OPERATOR) \
    X(results, PairFilter, ResultsReply, VIEWER) \
    X(report, PairFilter, ReportReply, VIEWER) \
    X(outages, PairFilter, OutagesReply, VIEWER) \
    X(clock, ClockRequest, ClockReply, VIEWER) \
    X(status, StatusRequest, StatusReply, VIEWER) \
    X(flight, PairFlightRequest, PairFlightReply, VIEWER) \
    X(flight_freeze, PairFlightRequest, FlightRowsReply, OPERATOR) \
    X(flight_list, PairFilter, FlightRowsReply, VIEWER) \
    X(schedule_history, ScheduleHistoryRequest, ScheduleHistoryReply, VIEWER) \
    X(schedule_rollback, ScheduleRollbackRequest, ScheduleApplyReply, OPERATOR) \
    X(doctor_start, DoctorRequest, DoctorReply, OPERATOR) \
    X(doctor_look, DoctorLookRequest, DoctorReply, VIEWER) \
    X(doctor_stop, DoctorLookRequest, DoctorReply, OPERATOR) \
    X(schedule_export, ScheduleExportRequest, ScheduleExportReply, VIEWER) \
    X(schedule_rollout, ScheduleRolloutRequest, ScheduleRolloutReply, VIEWER) \
    X(agent_label, AgentRequest, AgentChangeReply, OPERATOR) \
    X(agent_drain, AgentRequest, AgentChangeReply, OPERATOR) \
    X(agent_undrain, AgentRequest, AgentChangeReply, OPERATOR) \
    X(agent_maintenance, AgentRequest, AgentChangeReply, OPERATOR) \
    X(agent_revoke, AgentRequest, AgentChangeReply, ADMIN) \
    X(agent_rename, AgentRequest, AgentChangeReply, ADMIN) \
    X(test_start, TestStartRequest, TestStartReply, OPERATOR) \
    X(test_stop, TestStopRequest, TestStopReply, OPERATOR) \
    X(test_progress, TestProgressRequest, TestProgressReply, VIEWER) \
    X(test_list, TestListRequest, TestListReply, VIEWER) \
    X(report_sla, PairFilter, SlaReply, VIEWER) \
    X(completeness, PairFilter, CompletenessReply, VIEWER) \
    X(alert_list, AlertListRequest, AlertListReply, VIEWER) \
    X(alert_show, AlertRequest, AlertShowReply, VIEWER) \
    X(alert_rules, AlertRulesRequest, AlertRulesReply, VIEWER) \
    X(alert_explain, AlertExplainRequest, AlertExplainReply, VIEWER) \
    X(alert_apply, AlertApplyRequest, AlertApplyReply, ADMIN) \
    X(alert_export, AlertExportRequest, AlertExportReply, VIEWER) \
    X(alert_history, AlertHistoryRequest, AlertHistoryReply, VIEWER) \
    X(alert_ack, AlertAckRequest, AlertAckReply, OPERATOR) \
    X(alert_silence, AlertSilenceRequest, AlertSilenceReply, OPERATOR) \
    X(alert_unsilence, AlertUnsilenceRequest, AlertSilenceReply, OPERATOR) \
    X(alert_silences, AlertSilencesRequest, AlertSilencesReply, VIEWER) \
    X(alert_receivers, AlertReceiversRequest, AlertReceiversReply, VIEWER) \
    X(database_start, DatabaseRequest, DatabaseReply, ADMIN) \
    X(database_look, DatabaseLookRequest, DatabaseReply, VIEWER) \
    X(database_stop, DatabaseLookRequest, DatabaseReply, ADMIN) \
    X(join_token_create, JoinTokenCreateRequest, JoinTokenCreateReply, ADMIN) \
    X(join_token_list, JoinTokenListRequest, JoinTokenListReply, ADMIN_READ) \
    X(join_token_revoke, JoinTokenRevokeRequest, JoinTokenRevokeReply, ADMIN) \
    X(access_create, AccessCreateRequest, AccessCreateReply, ADMIN) \
    X(access_list, AccessListRequest, AccessListReply, ADMIN_READ) \
    X(access_revoke, AccessRevokeRequest, AccessRevokeReply, ADMIN) \
    X(audit_list, AuditListRequest, AuditListReply, ADMIN_READ) \
    X(debug_threads, DebugThreadsRequest, DebugThreadsReply, ADMIN_READ)
/* clang-format on */
#define ADMIN_DECLARE(name, request, reply, role)                                                                           \
    void admin_##name(Tw__Admin_Service *service, const Tw__##request *rq, Tw__##reply##_Closure closure,              \
                      void *closure_data);
ADMIN_METHODS(ADMIN_DECLARE)
#undef ADMIN_DECLARE

/* admin_needs.c: what the row of a method says. `method`: number in the service's descriptor. */
struct admin_needs {
    enum access_role role; /* a method without a row needs more than anybody has */
    bool changes;          /* it is in the audit log */
};
struct admin_needs admin_needs(unsigned method);

/* admin_gate.c: in place of the service's own invoke(), so that every call passes, by whatever way it came: the role is checked, and what
 * changes something is in the audit log. */
void admin_invoke(ProtobufCService *service, unsigned method, const ProtobufCMessage *rq, ProtobufCClosure closure, void *closure_data);
/* "AgentDrain needs the role operator; token x has viewer" */
const char *admin_refusal_text(const char *what, enum access_role need, const struct access_who *who, char *buf, size_t cap);

/* admin_describe.c, for the audit log. Texts are malloc'ed; NULL: no memory. */
/* "ams"; "select=site=ams": what a request is about. */
void admin_describe_subject(const ProtobufCMessage *rq, char *buf, size_t cap);
/* The request as JSON, with long texts as their digest. */
char *admin_describe_request(const ProtobufCMessage *rq);
/* What a change by this request can change, as it is now: a line for each thing; "": nothing that can be told so. */
char *admin_describe_state(struct controller *c, const ProtobufCMessage *rq);
/* What came of it, for those whose reply says so and holds no secret; else "". */
char *admin_describe_reply(const ProtobufCMessage *reply);
/* Does the request only ask what would come of it? */
bool admin_is_trial(const ProtobufCMessage *rq);

#endif
