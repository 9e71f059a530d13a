#include <stdio.h>
#include <string.h>
#include "common/selector.h"
#include "controller/admin.h"
#include "controller/core/doctor.h"
#include "controller/doctor.h"

static Tw__DoctorFinding *finding_of(const struct finding *f, struct arena *ar)
{
    const struct doctor_check *check = doctor_check_find(f->id);
    Tw__DoctorFinding *m = arena_alloc(ar, sizeof *m);

    if (!m)
        return NULL;
    tw__doctor_finding__init(m);
    m->id = (char *)f->id;
    m->severity = (char *)tw_severity_name(f->severity);
    m->about = (char *)f->about;
    m->subject = (char *)f->subject;
    m->observed = (char *)f->observed;
    m->cause = (char *)f->cause;
    m->next = (char *)f->next;
    m->since_ns = f->since_ns;
    m->since_or_before = f->since_or_before;
    m->title = (char *)(check ? check->title : "");
    return m;
}

static void fill_findings(const struct doctor_run_info *info, uint32_t from, struct arena *ar,
                          Tw__DoctorReply *reply)
{
    const struct findings *f = info->findings;
    size_t octets = 0;

    reply->findings = arena_alloc(ar, sizeof *reply->findings * (f->n + 1));
    for (size_t i = from; reply->findings && i < f->n; i++) {
        Tw__DoctorFinding *m = finding_of(&f->v[i], ar);

        octets += m ? tw__doctor_finding__get_packed_size(m) + 8 : 0;
        if (!m || octets > ADMIN_REPLY_MAX) {
            reply->truncated = true;
            return;
        }
        reply->findings[reply->n_findings++] = m;
    }
}

static void answer(struct controller *c, uint64_t id, uint32_t from, Tw__DoctorReply_Closure closure,
                   void *closure_data)
{
    struct doctor_run_info info;
    Tw__DoctorReply reply = TW__DOCTOR_REPLY__INIT;

    if (doctor_look(c->doctor, id, &info) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no doctor with this number is at work, or was lately");
        return;
    }
    reply.id = info.id;
    reply.over = info.over;
    reply.stopped = info.stopped;
    reply.probes = info.probes;
    reply.probes_done = info.probes_done;
    reply.agents = info.agents;
    reply.meshes = info.meshes;
    reply.pairs = info.pairs;
    reply.not_probed = info.not_probed;
    reply.set_aside = info.set_aside;
    reply.checks = (uint32_t)doctor_checks_n;
    reply.elapsed_ns = info.elapsed_ns;
    reply.problems = (uint32_t)findings_count(info.findings, TW_PROBLEM);
    reply.warnings = (uint32_t)findings_count(info.findings, TW_WARNING);
    reply.notes = (uint32_t)findings_count(info.findings, TW_NOTE);
    reply.lost = (uint32_t)info.findings->lost;
    if (info.over)
        fill_findings(&info, from, admin_arena(c), &reply);
    closure(&reply, closure_data);
}

static enum tw_rc take(const char *what, const char *text, char *ret, size_t cap, struct tw_err *err)
{
    if (strlen(text) >= cap)
        return tw_err_set(err, TW_EINVAL, "%s has more than %zu octets", what, cap - 1);
    strcpy(ret, text);
    return TW_OK;
}

static enum tw_rc read_query(const Tw__DoctorRequest *rq, struct doctor_query *ret, struct tw_err *err)
{
    enum tw_rc rc = take("the source", rq->source, ret->source, sizeof ret->source, err);

    ret->probe_all = rq->probe_all;
    if (rc == TW_OK)
        rc = take("the target", rq->target, ret->target, sizeof ret->target, err);
    if (rc == TW_OK)
        rc = take("the mesh", rq->mesh, ret->mesh, sizeof ret->mesh, err);
    if (rc == TW_OK && *ret->target && !*ret->source)
        rc = tw_err_set(err, TW_EINVAL, "a target without a source: expected SOURCE:TARGET");
    if (rc == TW_OK && *rq->select)
        rc = selector_parse(rq->select, &ret->selector, err);
    return rc;
}

static Tw__Status status_of(enum tw_rc rc)
{
    switch (rc) {
    case TW_EINVAL:
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    case TW_ENOENT:
        return TW__STATUS__STATUS_NOT_FOUND;
    default:
        return TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    }
}

void admin_doctor_start(Tw__Admin_Service *service, const Tw__DoctorRequest *rq,
                        Tw__DoctorReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct doctor_query q = { .probe_all = false };
    struct tw_err err = { 0 };
    uint64_t id = 0;
    enum tw_rc rc = read_query(rq, &q, &err);

    if (rc == TW_OK)
        rc = doctor_start(c->doctor, &q, &id, &err);
    if (rc == TW_OK)
        answer(c, id, 0, closure, closure_data);
    else
        rpc_fail(closure_data, status_of(rc), "%s", err.text);
}

void admin_doctor_look(Tw__Admin_Service *service, const Tw__DoctorLookRequest *rq,
                       Tw__DoctorReply_Closure closure, void *closure_data)
{
    answer(admin_controller(service), rq->id, rq->from, closure, closure_data);
}

void admin_doctor_stop(Tw__Admin_Service *service, const Tw__DoctorLookRequest *rq,
                       Tw__DoctorReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);

    doctor_cancel(c->doctor, rq->id);
    answer(c, rq->id, rq->from, closure, closure_data);
}
