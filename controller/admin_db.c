#include <string.h>
#include "common/net/now.h"
#include "controller/admin.h"
#include "controller/dbjob.h"
#include "controller/writer.h"

static void fill_checks(const struct dbjob_state *s, struct arena *ar, Tw__DatabaseReply *reply)
{
    reply->checks = arena_alloc(ar, sizeof *reply->checks * (s->n_checks + 1));
    for (size_t i = 0; reply->checks && i < s->n_checks; i++) {
        Tw__DatabaseCheck *m = arena_alloc(ar, sizeof *m);

        if (!m)
            return;
        tw__database_check__init(m);
        m->name = (char *)s->checks[i].name;
        m->what = (char *)s->checks[i].what;
        m->ok = s->checks[i].ok;
        m->looked_at = s->checks[i].looked_at;
        m->problem = admin_text(ar, s->checks[i].text);
        reply->checks[reply->n_checks++] = m;
    }
}

static void fill_file(const struct controller *c, const struct writer_stats *w, Tw__DatabaseHistory *m)
{
    m->backend = (char *)"sqlite";
    m->address = (char *)c->db_path;
    m->reachable = !w->problem[0];
}

static void fill_apart(const struct writer_stats *w, struct arena *ar, Tw__DatabaseHistory *m)
{
    m->backend = admin_text(ar, w->history.backend);
    m->address = admin_text(ar, w->history.address);
    m->server = admin_text(ar, w->history.server);
    m->reachable = !w->history_problem[0];
    m->last_error = admin_text(ar, w->history_error);
    m->last_failed_ns = w->history_error_ns;
    m->inserts = w->history.inserts;
    m->insert_bytes = w->history.insert_bytes;
    m->inserts_per_second = w->inserts_per_s;
    m->failures = w->history.failures;
    m->retries = w->history_retries;
    m->moves = w->history.moves;
}

static void fill_history(const struct controller *c, struct arena *ar, Tw__DatabaseReply *reply)
{
    Tw__DatabaseHistory *m = arena_alloc(ar, sizeof *m);
    struct writer_stats w;

    if (!m)
        return;
    writer_stats(c->writer, &w);
    tw__database_history__init(m);
    if (w.history.apart)
        fill_apart(&w, ar, m);
    else
        fill_file(c, &w, m);
    m->problem = admin_text(ar, w.history.apart ? w.history_problem : w.problem);
    reply->history = m;
    if (w.history.apart)
        reply->not_covered =
            (char *)"the history, which is in a database of its own: copy and check that by its own means";
}

static void fill_shared(const struct controller *c, const struct writer_stats *w, struct arena *ar,
                        Tw__DatabaseControl *m)
{
    m->backend = (char *)"etcd";
    m->address = admin_text(ar, w->control.address);
    m->mirror = (char *)c->db_path;
    m->reachable = !w->control_problem[0];
    m->problem = admin_text(ar, w->control_problem);
    m->last_error = admin_text(ar, w->control_error);
    m->last_failed_ns = w->control_error_ns;
    m->revision = w->control.revision;
    m->transactions = w->control.transactions;
    m->conflicts = w->control.conflicts;
    m->decided_again = w->decided;
    m->loads = w->control.loads;
    m->settled = w->control.settled;
    m->retries = w->control_retries;
}

static void fill_control(const struct controller *c, struct arena *ar, Tw__DatabaseReply *reply)
{
    Tw__DatabaseControl *m = arena_alloc(ar, sizeof *m);
    struct writer_stats w;

    if (!m)
        return;
    writer_stats(c->writer, &w);
    tw__database_control__init(m);
    reply->control = m;
    if (w.control.shared) {
        fill_shared(c, &w, ar, m);
        return;
    }
    m->backend = (char *)"sqlite";
    m->address = (char *)c->db_path;
    m->reachable = !w.problem[0];
    m->problem = admin_text(ar, w.problem);
}

static void answer(struct controller *c, Tw__DatabaseReply_Closure closure, void *closure_data)
{
    struct arena *ar = admin_arena(c);
    struct dbjob_state *s = arena_alloc(ar, sizeof *s);
    Tw__DatabaseReply reply = TW__DATABASE_REPLY__INIT;

    if (!s) {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    dbjob_look(c->dbjob, s);
    reply.kind = (char *)dbjob_kind_name(s->kind);
    reply.over = s->over;
    reply.error = s->error;
    reply.done = s->done;
    reply.total = s->total;
    reply.started_ns = s->started_ns;
    reply.ended_ns = s->ended_ns;
    reply.file = s->file;
    reply.bytes = s->bytes;
    fill_checks(s, ar, &reply);
    fill_history(c, ar, &reply);
    fill_control(c, ar, &reply);
    closure(&reply, closure_data);
}

static Tw__Status status_of(enum tw_rc rc)
{
    switch (rc) {
    case TW_EINVAL:
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    case TW_EEXIST:
        return TW__STATUS__STATUS_ALREADY_EXISTS;
    case TW_EBUSY:
        return TW__STATUS__STATUS_FAILED_PRECONDITION;
    default:
        return TW__STATUS__STATUS_UNAVAILABLE;
    }
}

void admin_database_start(Tw__Admin_Service *service, const Tw__DatabaseRequest *rq,
                          Tw__DatabaseReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    enum dbjob_kind kind = DBJOB_NONE;
    struct tw_err err = { 0 };
    enum tw_rc rc = dbjob_kind_parse(rq->kind, &kind);

    if (rc)
        tw_err_set(&err, rc, "\"%.40s\" cannot be done to the database: expected backup or check", rq->kind);
    else
        rc = dbjob_start(c->dbjob, kind, rq->name, tw_wall_now().ns, &err);
    if (rc)
        rpc_fail(closure_data, status_of(rc), "%s", err.text);
    else
        answer(c, closure, closure_data);
}

void admin_database_look(Tw__Admin_Service *service, const Tw__DatabaseLookRequest *rq,
                         Tw__DatabaseReply_Closure closure, void *closure_data)
{
    (void)rq;
    answer(admin_controller(service), closure, closure_data);
}

void admin_database_stop(Tw__Admin_Service *service, const Tw__DatabaseLookRequest *rq,
                         Tw__DatabaseReply_Closure closure, void *closure_data)
{
    (void)rq;
    dbjob_stop(admin_controller(service)->dbjob);
    answer(admin_controller(service), closure, closure_data);
}
