/* Every call of the Admin service passes here: may who asks do that, and who did what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/audit.h"
#include "controller/core/changed_lines.h"
#include "controller/decide.h"
#include "controller/gate.h"
#include "controller/writer.h"

const char *admin_refusal_text(const char *what, enum access_role need, const struct access_who *who,
                               char *buf, size_t cap)
{
    snprintf(buf, cap, "%.60s needs the role %s; %.63s has %s", what, access_role_name(need),
             *who->name ? who->name : "who asks", access_role_name(who->role));
    return buf;
}

/* ---- A change ---- */

struct change {
    struct decide_call call;
    struct controller *c;
    struct audit_entry *entry;
    const ProtobufCMessage *rq; /* valid until it is answered */
};

/* A document was refused: that is an answer, but no change. */
static const char *error_of(const ProtobufCMessage *reply)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(reply->descriptor,
                                                                                        "error"),
                                   *t;
    const ProtobufCMessage *e;

    if (!f || f->type != PROTOBUF_C_TYPE_MESSAGE)
        return NULL;
    e = *(const ProtobufCMessage *const *)((const char *)reply + f->offset);
    t = e ? protobuf_c_message_descriptor_get_field_by_name(e->descriptor, "text") : NULL;
    if (!e)
        return NULL;
    return t && t->type == PROTOBUF_C_TYPE_STRING ? *(const char *const *)((const char *)e + t->offset)
                                                  : "the document was refused";
}

static void end_done(const struct change *ch, const ProtobufCMessage *reply)
{
    char *before = strdup(audit_before(ch->entry)), *after = admin_describe_state(ch->c, ch->rq);

    if (before && after)
        changed_lines(before, after);
    if (after && !*after) {
        free(after);
        after = admin_describe_reply(reply);
    }
    audit_end(ch->entry, TW__STATUS__STATUS_OK, "", before ? before : "", after ? after : "");
    free(before);
    free(after);
}

static void on_answer(void *ctx, const struct rpc_result *r, const ProtobufCMessage *reply)
{
    struct change *ch = ctx;
    const char *error = reply ? error_of(reply) : NULL;

    if (r->status != TW__STATUS__STATUS_OK)
        audit_end(ch->entry, r->status, r->detail, "", "");
    else if (error)
        audit_end(ch->entry, TW__STATUS__STATUS_FAILED_PRECONDITION, error, "", "");
    else
        end_done(ch, reply);
    free(ch);
}

static struct audit_entry *begin(struct controller *c, const struct actor *who, const char *method,
                                 const ProtobufCMessage *rq)
{
    char *request = admin_describe_request(rq), *before = admin_describe_state(c, rq), subject[256];
    struct audit_entry *e = NULL;

    admin_describe_subject(rq, subject, sizeof subject);
    if (request && before)
        e = audit_begin(c->audit, who, method, subject, request, before);
    free(request);
    free(before);
    return e;
}

/* False: it cannot be recorded, so it is not done. */
static bool record(const struct decide_call *call, const struct actor *who, const char *method)
{
    struct change *ch = malloc(sizeof *ch);
    struct audit_entry *e = ch ? begin(call->c, who, method, call->rq) : NULL;

    if (!e) {
        free(ch);
        rpc_fail(call->closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                 "the audit log takes no more entries at the moment, so nothing may be changed: try again");
        return false;
    }
    *ch = (struct change){ *call, call->c, e, call->rq };
    rpc_call_observe(call->closure_data, on_answer, ch);
    decide_watch(&ch->call);
    return true;
}

/* ---- All calls ---- */

static void forbid(struct controller *c, const struct actor *who, const char *method, enum access_role need,
                   const ProtobufCMessage *rq, void *closure_data)
{
    char text[256], subject[256];

    admin_describe_subject(rq, subject, sizeof subject);
    admin_refusal_text(method, need, &who->who, text, sizeof text);
    gate_count_forbidden(c->gate);
    audit_refused(c->audit, who, method, subject, TW__STATUS__STATUS_PERMISSION_DENIED, text);
    rpc_fail(closure_data, TW__STATUS__STATUS_PERMISSION_DENIED, "%s", text);
}

/* Whoever asks would wait until it comes back, and not know what became of it. Doctor is asked why. */
static bool is_barred(struct controller *c, const char *method, void *closure_data)
{
    struct writer_stats w;

    writer_stats(c->writer, &w);
    if (!w.control_problem[0] || !strncmp(method, "Doctor", strlen("Doctor")))
        return false;
    rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE, "%s; nothing was changed", w.control_problem);
    return true;
}

void admin_invoke(ProtobufCService *service, unsigned method, const ProtobufCMessage *rq,
                  ProtobufCClosure closure, void *closure_data)
{
    struct controller *c = admin_controller((Tw__Admin_Service *)service);
    const char *name = service->descriptor->methods[method].name;
    struct actor who = *gate_caller(closure_data);
    struct admin_needs needs = admin_needs(method);
    struct decide_call call = { .c = c,
                                .service = service,
                                .method = method,
                                .rq = rq,
                                .closure = closure,
                                .closure_data = closure_data,
                                .client = { .key = gate_client(&who) } };
    struct reader_client before;

    if (who.who.role < needs.role) {
        forbid(c, &who, name, needs.role, rq, closure_data);
        return;
    }
    if (needs.changes && is_barred(c, name, closure_data))
        return;
    if (needs.changes && !admin_is_trial(rq) && !record(&call, &who, name))
        return;
    before = reader_on_behalf(c->readers, call.client);
    protobuf_c_service_invoke_internal(service, method, rq, closure, closure_data);
    reader_on_behalf(c->readers, before);
}
