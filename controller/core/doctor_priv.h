/* controller/core/doctor_priv.h - what the files of the checks share. */
#ifndef TW_CONTROLLER_CORE_DOCTOR_PRIV_H
#define TW_CONTROLLER_CORE_DOCTOR_PRIV_H

#include "controller/core/doctor.h"

/* One check at one subject. */
struct doctor_exam {
    const struct doctor_facts *facts;
    const struct doctor_check *check;
    const struct doctor_mesh *mesh; /* by subject: one of these three */
    const struct doctor_agent *agent;
    const struct doctor_way *way;
    struct findings *out;
};

/* A finding of this check about its subject, with its cause and its next step. NULL: there is no room. */
struct finding *doctor_find(struct doctor_exam *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Another text than the row's; names are put in as there. f may be NULL. */
void doctor_cause(struct doctor_exam *e, struct finding *f, const char *text);
void doctor_next(struct doctor_exam *e, struct finding *f, const char *text);

/* doctor_fleet.c */
bool check_store(struct doctor_exam *e);
bool check_control(struct doctor_exam *e);
bool check_missing_controllers(struct doctor_exam *e);
bool check_twin_controllers(struct doctor_exam *e);
bool check_controller_releases(struct doctor_exam *e);
bool check_history(struct doctor_exam *e);
bool check_history_replicas(struct doctor_exam *e);
bool check_disk(struct doctor_exam *e);
bool check_disk_filling(struct doctor_exam *e);
bool check_queue(struct doctor_exam *e);
bool check_refused_connections(struct doctor_exam *e);
bool check_too_much(struct doctor_exam *e);
bool check_controller_reload(struct doctor_exam *e);
bool check_controller_restart(struct doctor_exam *e);
bool check_controller_clock(struct doctor_exam *e);
bool check_mesh_names(struct doctor_exam *e);
bool check_key_taken(struct doctor_exam *e);
bool check_cloned(struct doctor_exam *e);
bool check_pending(struct doctor_exam *e);
bool check_cut_off(struct doctor_exam *e);
bool check_down(struct doctor_exam *e);
bool check_version(struct doctor_exam *e);
bool check_capabilities(struct doctor_exam *e);
bool check_behind(struct doctor_exam *e);
bool check_refusals(struct doctor_exam *e);
bool check_secrets(struct doctor_exam *e);
bool check_names(struct doctor_exam *e);
bool check_names_stale(struct doctor_exam *e);
bool check_spool_dropping(struct doctor_exam *e);
bool check_spool_growing(struct doctor_exam *e);
bool check_clock_offset(struct doctor_exam *e);
bool check_clock_ahead(struct doctor_exam *e);
bool check_clock_either(struct doctor_exam *e);
bool check_clock_unsynced(struct doctor_exam *e);
bool check_host_drops(struct doctor_exam *e);
bool check_host_starved(struct doctor_exam *e);
bool check_host_loopback(struct doctor_exam *e);
bool check_strangers(struct doctor_exam *e);
bool check_access_lists(struct doctor_exam *e);
bool check_config(struct doctor_exam *e);
bool check_restart(struct doctor_exam *e);
bool check_https(struct doctor_exam *e);
bool check_floods(struct doctor_exam *e);
bool check_loops(struct doctor_exam *e);
bool check_bad_signatures(struct doctor_exam *e);
bool check_bad_logins(struct doctor_exam *e);

/* doctor_way.c */
bool check_name(struct doctor_exam *e);
bool check_send_refused(struct doctor_exam *e);
bool check_port_closed(struct doctor_exam *e);
bool check_rejected(struct doctor_exam *e);
bool check_acl(struct doctor_exam *e);
bool check_auth_demanded(struct doctor_exam *e);
bool check_answer_not_sent(struct doctor_exam *e);
bool check_answer_elsewhere(struct doctor_exam *e);
bool check_blocked_backward(struct doctor_exam *e);
bool check_blocked_forward(struct doctor_exam *e);
bool check_silent(struct doctor_exam *e);
bool check_mtu_local(struct doctor_exam *e);
bool check_mtu_told(struct doctor_exam *e);
bool check_mtu_black_hole(struct doctor_exam *e);
bool check_mtu_black_hole_back(struct doctor_exam *e);
bool check_control_closed(struct doctor_exam *e);
bool check_control_blocked(struct doctor_exam *e);
bool check_control_silent(struct doctor_exam *e);
bool check_control_refused(struct doctor_exam *e);
bool check_lossy(struct doctor_exam *e);
bool check_keys_differ(struct doctor_exam *e);
bool check_one_way_only(struct doctor_exam *e);
bool check_all_lost(struct doctor_exam *e);
bool check_recovered(struct doctor_exam *e);
bool check_send_error(struct doctor_exam *e);
bool check_not_sent(struct doctor_exam *e);
bool check_no_data(struct doctor_exam *e);
bool check_not_probed(struct doctor_exam *e);

#endif
