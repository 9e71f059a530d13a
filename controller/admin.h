/* controller/admin.h - the Admin service: one handler per method of proto/admin.proto, in files by subject. Loop thread. */
#ifndef TW_CONTROLLER_ADMIN_H
#define TW_CONTROLLER_ADMIN_H

#include "controller/change.h"
#include "controller/controller.h"
#include "controller/report.h"

/* A reply is packed into one frame of at most 1 MiB: lists stop here and say so. */
#define ADMIN_REPLY_MAX (900u << 10)
#define ADMIN_ARENA_CAP (16u << 20)

/* Starts the operators' listener. */
enum tw_rc admin_start(struct controller *c, const char *url, struct admin **ret, struct tw_err *err);
void admin_free(struct admin *a);

struct controller *admin_controller(Tw__Admin_Service *service);
/* For the reply that is being built; empty; valid until the next one. */
struct arena *admin_arena(struct controller *c);
/* Copy in the arena; "" when there is no room. */
char *admin_text(struct arena *ar, const char *text);
/* admin_results.c, for all that take a PairFilter. False: it has failed the call. */
bool admin_read_filter(const Tw__PairFilter *rq, struct report_filter *ret, void *closure_data);
/* admin_report.c: what is to be made of the pairs. False: it has failed the call. */
bool admin_read_shape(const Tw__PairFilter *rq, struct report_filter *ret, void *closure_data);
/* Groups in place of pairs. */
void admin_fill_groups(const struct report *rep, const char *by, struct arena *ar, Tw__ReportReply *reply);
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

#define ADMIN_METHODS(X)                                                                                                \
    X(agent_list, AgentListRequest, AgentListReply)                                                                    \
    X(agent_show, AgentRequest, AgentReply)                                                                            \
    X(agent_approve, AgentRequest, AgentReply)                                                                         \
    X(agent_remove, AgentRequest, AgentReply)                                                                          \
    X(schedule_apply, ScheduleApplyRequest, ScheduleApplyReply)                                                        \
    X(schedule_list, ScheduleListRequest, ScheduleListReply)                                                           \
    X(schedule_show, MeshRequest, ScheduleShowReply)                                                                   \
    X(schedule_pause, MeshRequest, ScheduleChangeReply)                                                                \
    X(schedule_resume, MeshRequest, ScheduleChangeReply)                                                               \
    X(schedule_delete, MeshRequest, ScheduleChangeReply)                                                               \
    X(results, PairFilter, ResultsReply)                                                                               \
    X(report, PairFilter, ReportReply)                                                                                 \
    X(outages, PairFilter, OutagesReply)                                                                               \
    X(clock, ClockRequest, ClockReply)                                                                                 \
    X(status, StatusRequest, StatusReply)                                                                              \
    X(flight, PairFlightRequest, PairFlightReply)                                                                      \
    X(flight_freeze, PairFlightRequest, FlightRowsReply)                                                               \
    X(flight_list, PairFilter, FlightRowsReply)                                                                        \
    X(schedule_history, ScheduleHistoryRequest, ScheduleHistoryReply)                                                  \
    X(schedule_rollback, ScheduleRollbackRequest, ScheduleApplyReply)                                                  \
    X(doctor_start, DoctorRequest, DoctorReply)                                                                        \
    X(doctor_look, DoctorLookRequest, DoctorReply)                                                                     \
    X(doctor_stop, DoctorLookRequest, DoctorReply)\
    X(schedule_export, ScheduleExportRequest, ScheduleExportReply)                                                     \
    X(schedule_rollout, ScheduleRolloutRequest, ScheduleRolloutReply) \
    X(agent_label, AgentRequest, AgentChangeReply)                                                                     \
    X(agent_drain, AgentRequest, AgentChangeReply)                                                                     \
    X(agent_undrain, AgentRequest, AgentChangeReply)                                                                   \
    X(agent_maintenance, AgentRequest, AgentChangeReply)                                                               \
    X(agent_revoke, AgentRequest, AgentChangeReply)                                                                    \
    X(agent_rename, AgentRequest, AgentChangeReply)                                                                      \
    X(test_start, TestStartRequest, TestStartReply)                                                                    \
    X(test_stop, TestStopRequest, TestStopReply)                                                                       \
    X(test_progress, TestProgressRequest, TestProgressReply)                                                           \
    X(test_list, TestListRequest, TestListReply)                                                                       \
    X(report_sla, PairFilter, SlaReply) \
    X(completeness, PairFilter, CompletenessReply) \
    X(alert_list, AlertListRequest, AlertListReply) \
    X(alert_show, AlertRequest, AlertShowReply) \
    X(alert_rules, AlertRulesRequest, AlertRulesReply) \
    X(alert_explain, AlertExplainRequest, AlertExplainReply) \
    X(alert_apply, AlertApplyRequest, AlertApplyReply) \
    X(alert_export, AlertExportRequest, AlertExportReply) \
    X(alert_history, AlertHistoryRequest, AlertHistoryReply) \
    X(alert_ack, AlertAckRequest, AlertAckReply) \
    X(alert_silence, AlertSilenceRequest, AlertSilenceReply) \
    X(alert_unsilence, AlertUnsilenceRequest, AlertSilenceReply) \
    X(alert_silences, AlertSilencesRequest, AlertSilencesReply) \
    X(alert_receivers, AlertReceiversRequest, AlertReceiversReply) \
    X(database_start, DatabaseRequest, DatabaseReply)                                                                  \
    X(database_look, DatabaseLookRequest, DatabaseReply)                                                               \
    X(database_stop, DatabaseLookRequest, DatabaseReply)
#define ADMIN_DECLARE(name, request, reply)                                                                             \
    void admin_##name(Tw__Admin_Service *service, const Tw__##request *rq, Tw__##reply##_Closure closure,              \
                      void *closure_data);
ADMIN_METHODS(ADMIN_DECLARE)
#undef ADMIN_DECLARE

#endif
