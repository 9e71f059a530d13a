/* Admin: tests on demand. */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include "controller/admin.h"
#include "controller/ondemand.h"
#include "controller/relay.h"

#define LIST_DEFAULT 20u
#define LIST_MAX 1000u
#define RUNS_MAX 20000u

struct test_call {
    struct controller *c;
    union {
        Tw__TestStartReply_Closure started;
        Tw__TestStopReply_Closure stopped;
        Tw__TestProgressReply_Closure progress;
        Tw__TestListReply_Closure listed;
    } closure;
    void *closure_data;
    uint64_t test_id;
    size_t octets_max; /* of runs in a reply */
    Tw__TestProgressRequest asked;
};

static struct test_call *new_call(Tw__Admin_Service *service, void *closure_data)
{
    struct test_call *call = calloc(1, sizeof *call);

    if (call)
        *call = (struct test_call){ .c = admin_controller(service), .closure_data = closure_data };
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    return call;
}

/* The controller that runs a test that does not run here; NULL: none does, or it is another one that asks. */
static ProtobufCService *owner_of(Tw__Admin_Service *service, uint64_t id)
{
    return admin_is_trusted(service) ? NULL : relay_test_owner(admin_controller(service)->relay, id);
}

/* What the owner answers. */
static bool passed(const ProtobufCMessage *reply, void *closure_data)
{
    struct rpc_result r = rpc_result();

    if (!reply)
        rpc_fail(closure_data, r.status, "%s", r.detail && *r.detail ? r.detail : rpc_status_name(r.status));
    return reply != NULL;
}

static void unknown(uint64_t id, void *closure_data)
{
    rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
             "no test %llu runs: \"twampctl test show %llu\" has what is stored of it",
             (unsigned long long)id, (unsigned long long)id);
}

/* ---- Start, stop ---- */

static void started(void *ctx, const struct ondemand_result *r)
{
    struct test_call *call = ctx;
    Tw__TestStartReply reply = TW__TEST_START_REPLY__INIT;
    Tw__TestInfo info;

    if (r->status) {
        rpc_fail(call->closure_data, r->status, "%s", r->text);
    } else if (!ondemand_info(call->c->ondemand, r->test_id, &info)) {
        unknown(r->test_id, call->closure_data);
    } else {
        reply.info = &info;
        reply.lease_ns = ONDEMAND_CLIENT_NS;
        call->closure.started(&reply, call->closure_data);
    }
    free(call);
}

void admin_test_start(Tw__Admin_Service *service, const Tw__TestStartRequest *rq,
                      Tw__TestStartReply_Closure closure, void *closure_data)
{
    struct test_call *call = new_call(service, closure_data);

    if (!call)
        return;
    call->closure.started = closure;
    ondemand_start(call->c->ondemand, rq, started, call);
}

static void stop_passed(const Tw__TestStopReply *reply, void *ctx)
{
    struct test_call *call = ctx;

    if (passed(reply ? &reply->base : NULL, call->closure_data))
        call->closure.stopped(reply, call->closure_data);
    free(call);
}

/* It runs at another controller, or nowhere. */
static void stop_elsewhere(Tw__Admin_Service *service, const Tw__TestStopRequest *rq,
                           Tw__TestStopReply_Closure closure, void *closure_data)
{
    ProtobufCService *owner = owner_of(service, rq->test_id);
    struct test_call *call;

    if (!owner) {
        unknown(rq->test_id, closure_data);
        return;
    }
    call = new_call(service, closure_data);
    if (!call)
        return;
    call->closure.stopped = closure;
    tw__admin__test_stop(owner, rq, stop_passed, call);
}

void admin_test_stop(Tw__Admin_Service *service, const Tw__TestStopRequest *rq,
                     Tw__TestStopReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    Tw__TestStopReply reply = TW__TEST_STOP_REPLY__INIT;
    Tw__TestInfo info;

    if (!ondemand_stop(c->ondemand, rq->test_id) || !ondemand_info(c->ondemand, rq->test_id, &info)) {
        stop_elsewhere(service, rq, closure, closure_data);
        return;
    }
    reply.info = &info;
    closure(&reply, closure_data);
}

/* ---- Progress ---- */

/* As many runs as a frame holds. */
static void add_runs(struct test_call *call, struct arena *ar, Tw__TestProgressReply *reply)
{
    const struct ondemand *o = call->c->ondemand;
    size_t n = reply->info->runs > call->asked.from_run ? reply->info->runs - call->asked.from_run : 0,
           octets = 0;

    reply->runs = arena_alloc(ar, (n + 1) * sizeof *reply->runs);
    for (size_t i = 0; reply->runs && i < n; i++) {
        Tw__TestRun *m = arena_alloc(ar, sizeof *m);
        if (!m || !ondemand_run(o, call->test_id, call->asked.from_run + i, m))
            return;
        octets += tw__test_run__get_packed_size(m) + 8;
        if (octets > call->octets_max) {
            reply->next_run = call->asked.from_run + (uint32_t)i;
            return;
        }
        reply->runs[reply->n_runs++] = m;
    }
}

static void answer_progress(struct test_call *call, const Tw__TestRunProgress *p)
{
    struct arena *ar = admin_arena(call->c);
    Tw__TestProgressReply reply = TW__TEST_PROGRESS_REPLY__INIT;
    Tw__TestInfo info;

    if (!ondemand_info(call->c->ondemand, call->test_id, &info)) {
        unknown(call->test_id, call->closure_data);
        free(call);
        return;
    }
    reply.info = &info;
    if (call->asked.runs)
        add_runs(call, ar, &reply);
    if (p) {
        reply.n_packets = p->n_packets;
        reply.packets = p->packets;
        reply.recording = p->recording;
    }
    call->closure.progress(&reply, call->closure_data);
    free(call);
}

/* Without packets, too, there is something to say. */
static void got_packets(void *ctx, const struct ondemand_result *r, const Tw__TestRunProgress *p)
{
    (void)r;
    answer_progress(ctx, p);
}

static void progress_passed(const Tw__TestProgressReply *reply, void *ctx)
{
    struct test_call *call = ctx;

    if (passed(reply ? &reply->base : NULL, call->closure_data))
        call->closure.progress(reply, call->closure_data);
    free(call);
}

void admin_test_progress(Tw__Admin_Service *service, const Tw__TestProgressRequest *rq,
                         Tw__TestProgressReply_Closure closure, void *closure_data)
{
    struct test_call *call;
    bool here = ondemand_touch(admin_controller(service)->ondemand, rq->test_id);

    if (!here && !owner_of(service, rq->test_id)) {
        unknown(rq->test_id, closure_data);
        return;
    }
    call = new_call(service, closure_data);
    if (!call)
        return;
    call->closure.progress = closure;
    call->test_id = rq->test_id;
    call->asked = *rq;
    call->octets_max = admin_is_trusted(service) ? RELAY_PAGE_MAX : ADMIN_REPLY_MAX / 2;
    if (!here)
        tw__admin__test_progress(owner_of(service, rq->test_id), rq, progress_passed, call);
    else if (rq->packets)
        ondemand_packets(call->c->ondemand, rq->test_id, rq->packets_from_ns, got_packets, call);
    else
        answer_progress(call, NULL);
}

/* ---- List ---- */

struct list_job {
    struct reader_job job; /* first */
    struct test_call *call;
    uint64_t test_id;
    size_t limit, n_tests, n_runs;
    Tw__TestInfo tests[LIST_MAX + 1];
    Tw__TestRun *runs;
    size_t cap_runs;
    bool truncated;
    enum tw_rc rc;
    struct tw_err err;
};

static char *copy(const char *text)
{
    return *text ? strdup(text) : (char *)protobuf_c_empty_string;
}

static void drop(char *text)
{
    if (text != protobuf_c_empty_string)
        free(text);
}

static enum tw_rc add_test(void *ctx, const struct store_test *t)
{
    struct list_job *j = ctx;
    Tw__TestInfo *m;

    if (j->n_tests == j->limit) {
        j->truncated = true;
        return TW_OK;
    }
    m = &j->tests[j->n_tests++];
    tw__test_info__init(m);
    m->test_id = t->id;
    m->started_ns = t->started_ns;
    m->ended_ns = t->ended_ns;
    m->author = copy(t->author);
    m->what = copy(t->what);
    m->settings = copy(t->settings);
    m->state = copy(
        t->ended_ns ? t->state
                    : "interrupted"); /* unless it runs, here or at another controller: see answer_list() */
    m->count = t->count;
    m->duration_ns = t->duration_ns;
    m->runs = m->done = t->runs;
    m->failed = t->failed;
    return m->author && m->what && m->settings && m->state ? TW_OK : TW_ENOMEM;
}

static enum tw_rc add_run(void *ctx, const struct store_test_run *r)
{
    struct list_job *j = ctx;
    Tw__TestRun *m;

    if (j->n_runs == j->cap_runs) {
        size_t cap = j->cap_runs ? 2 * j->cap_runs : 64;
        Tw__TestRun *grown = cap <= 2 * RUNS_MAX ? realloc(j->runs, cap * sizeof *grown) : NULL;
        if (!grown) {
            j->truncated = true;
            return TW_OK;
        }
        j->runs = grown;
        j->cap_runs = cap;
    }
    m = &j->runs[j->n_runs++];
    tw__test_run__init(m);
    m->pair_id = r->pair.id;
    m->started_ns = r->started_ns;
    m->ended_ns = r->ended_ns;
    m->class_name = copy(r->pair.class_name);
    m->source = copy(r->pair.source);
    m->target = copy(r->pair.target);
    m->state = copy(r->state);
    m->reason = copy(r->reason);
    return m->class_name && m->source && m->target && m->state && m->reason ? TW_OK : TW_ENOMEM;
}

static void free_list(struct list_job *j)
{
    for (size_t i = 0; i < j->n_tests; i++) {
        Tw__TestInfo *m = &j->tests[i];
        drop(m->author), drop(m->what), drop(m->settings), drop(m->state);
    }
    for (size_t i = 0; i < j->n_runs; i++) {
        Tw__TestRun *m = &j->runs[i];
        drop(m->class_name), drop(m->source), drop(m->target), drop(m->state), drop(m->reason);
    }
    free(j->runs);
    free(j->call);
    free(j);
}

static void list_work(struct reader_job *job, struct store_reader *db)
{
    struct list_job *j = (struct list_job *)job;

    j->rc = store_read_tests(db, j->test_id, j->limit + 1, add_test, j, &j->err);
    if (!j->rc && j->test_id)
        j->rc = store_read_test_runs(db, j->test_id, add_run, j, &j->err);
}

/* The list of pointers that a message wants, cut where the frame ends. */
static void *point(struct arena *ar, void *v, size_t n, size_t size, size_t *octets, size_t *ret_n)
{
    ProtobufCMessage **list = arena_alloc(ar, (n + 1) * sizeof(*list));

    *ret_n = 0;
    for (size_t i = 0; list && i < n; i++) {
        ProtobufCMessage *m = (ProtobufCMessage *)(void *)((char *)v + i * size);
        *octets += protobuf_c_message_get_packed_size(m) + 8;
        if (*octets > ADMIN_REPLY_MAX)
            break;
        list[(*ret_n)++] = m;
    }
    return list;
}

/* Of the one test that was asked for: what had not ended when the controller did. */
static void interrupt_runs(struct list_job *j)
{
    for (size_t i = 0; i < j->n_runs; i++) {
        if (j->runs[i].ended_ns)
            continue;
        drop(j->runs[i].state);
        j->runs[i].state = copy("interrupted");
        if (!j->runs[i].state)
            j->runs[i].state = (char *)protobuf_c_empty_string;
    }
}

static void answer_list(struct list_job *j)
{
    struct controller *c = j->call->c;
    struct arena *ar = admin_arena(c);
    Tw__TestListReply reply = TW__TEST_LIST_REPLY__INIT;
    Tw__TestInfo live;
    size_t octets = 0;

    for (size_t i = 0; i < j->n_tests; i++) {
        if (j->tests[i].ended_ns)
            continue;
        if (!ondemand_info(c->ondemand, j->tests[i].test_id, &live) &&
            !relay_test_info(c->relay, j->tests[i].test_id, &live)) {
            interrupt_runs(j);
            continue;
        }
        drop(j->tests[i].state);
        j->tests[i].state = copy(live.state);
        j->tests[i].queued = live.queued;
        j->tests[i].running = live.running;
        j->tests[i].done = live.done;
        j->tests[i].failed = live.failed;
    }
    reply.tests = point(ar, j->tests, j->n_tests, sizeof j->tests[0], &octets, &reply.n_tests);
    reply.runs = point(ar, j->runs, j->n_runs, sizeof *j->runs, &octets, &reply.n_runs);
    reply.truncated = j->truncated || reply.n_tests < j->n_tests || reply.n_runs < j->n_runs;
    j->call->closure.listed(&reply, j->call->closure_data);
}

static void list_done(struct reader_job *job)
{
    struct list_job *j = (struct list_job *)job;

    if (j->rc)
        admin_fail_run(j->rc, j->err.text, j->call->closure_data);
    else if (j->test_id && !j->n_tests)
        rpc_fail(j->call->closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no test %llu: twampctl test list shows them", (unsigned long long)j->test_id);
    else
        answer_list(j);
    free_list(j);
}

void admin_test_list(Tw__Admin_Service *service, const Tw__TestListRequest *rq,
                     Tw__TestListReply_Closure closure, void *closure_data)
{
    struct test_call *call = new_call(service, closure_data);
    struct list_job *j = call ? calloc(1, sizeof *j) : NULL;
    enum tw_rc rc = j ? TW_OK : TW_ENOMEM;

    if (!call)
        return;
    call->closure.listed = closure;
    if (j) {
        j->job = (struct reader_job){ .run = list_work, .done = list_done };
        j->call = call;
        j->test_id = rq->test_id;
        j->limit = !rq->limit ? LIST_DEFAULT : rq->limit < LIST_MAX ? rq->limit : LIST_MAX;
        rc = reader_submit(call->c->readers, &j->job);
    }
    if (rc == TW_OK)
        return;
    admin_fail_run(rc, "", closure_data);
    if (j)
        free_list(j);
    else
        free(call);
}
