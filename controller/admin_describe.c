/* What the audit log says of a request, of what it changed, and of its answer. Bounded, and without secrets.
 */
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/hextext.h"
#include "common/selector.h"
#include "common/utf8.h"
#include "controller/admin.h"
#include "controller/agent_ops.h"
#include "controller/alerts.h"
#include "controller/audit.h"
#include "controller/gate.h"
#include "controller/http/api.h"
#include "controller/http/pb_json.h"
#include "controller/inventory.h"

#define LONG_TEXT 256 /* octets from which on a text is told by its digest */

static void digest_text(const char *text, char buf[96])
{
    uint8_t md[SHA256_DIGEST_LENGTH];
    char hex[33];
    size_t len = strlen(text);

    SHA256((const uint8_t *)text, len, md);
    hextext_format(md, 16, hex);
    snprintf(buf, 96, "sha256:%s (%zu octets)", hex, len);
}

/* ---- The request ---- */

static void shorten(cJSON *o)
{
    char digest[96];

    for (cJSON *m = o->child; m; m = m->next) {
        if (cJSON_IsString(m) && strlen(m->valuestring) > LONG_TEXT) {
            digest_text(m->valuestring, digest);
            cJSON_SetValuestring(m, digest); /* shorter: it fits */
        }
        shorten(m);
    }
}

/* At the end of a character. */
static void clip(char *text, size_t max)
{
    if (strlen(text) <= max)
        return;
    text[max] = '\0';
    while (max > 0 && !tw_utf8_ok(text))
        text[--max] = '\0';
}

static char *message_json(const ProtobufCMessage *m, size_t max)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    pb_json_add(o, m);
    if (o)
        shorten(o);
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (text)
        clip(text, max);
    return text;
}

char *admin_describe_request(const ProtobufCMessage *rq)
{
    return message_json(rq, AUDIT_REQUEST_MAX);
}

static bool flag_of(const ProtobufCMessage *m, const char *name)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);

    return f && f->type == PROTOBUF_C_TYPE_BOOL && *(const protobuf_c_boolean *)((const char *)m + f->offset);
}

bool admin_is_trial(const ProtobufCMessage *rq)
{
    return flag_of(rq, "plan_only") || flag_of(rq, "check_only");
}

/* False: there is no such field, or it is empty. */
static bool put_field(const ProtobufCMessage *m, const char *name, bool bare, char *buf, size_t cap)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
    const void *at = f ? (const char *)m + f->offset : NULL;

    if (!f || f->label == PROTOBUF_C_LABEL_REPEATED)
        return false;
    if (f->type == PROTOBUF_C_TYPE_STRING && **(const char *const *)at) {
        snprintf(buf, cap, bare ? "%.0s%s" : "%s=%s", name, *(const char *const *)at);
        return true;
    }
    if (f->type == PROTOBUF_C_TYPE_UINT64 && *(const uint64_t *)at) {
        snprintf(buf, cap, "%s=%" PRIu64, name, *(const uint64_t *)at);
        return true;
    }
    return false;
}

void admin_describe_subject(const ProtobufCMessage *rq, char *buf, size_t cap)
{
    static const char *const names[] = { "name", "select", "id",     "test_id", "generation", "mesh",
                                         "kind", "match",  "source", "agent",   "file" };
    bool bare = true;

    buf[0] = '\0';
    for (size_t i = 0; i < TW_NELEM(names); i++, bare = false)
        if (put_field(rq, names[i], bare, buf, cap)) {
            clip(buf, cap - 1);
            return;
        }
}

/* ---- What it can change ---- */

struct lines {
    char text[AUDIT_TEXT_MAX + 1];
    size_t len;
    bool full;
};

static __attribute__((format(printf, 2, 3))) void line(struct lines *l, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text - 1, fmt, ap);
    va_end(ap);
    if (n < 0 || l->full)
        return;
    clip(text, sizeof text - 2);
    n = (int)strlen(text);
    l->full = l->len + (size_t)n + 1 + 5 > AUDIT_TEXT_MAX;
    if (l->full)
        l->len += (size_t)snprintf(l->text + l->len, sizeof l->text - l->len, "...\n");
    else
        l->len += (size_t)snprintf(l->text + l->len, sizeof l->text - l->len, "%s\n", text);
}

static void agent_line(struct lines *l, const struct agent *a)
{
    char *ops = a->ops ? agent_ops_to_json(a->ops) : NULL;
    const char *state = agent_state(a);

    /* whether it is connected is no change of anybody's */
    line(l, "agent %s: %s, %s", a->row.name,
         !strcmp(state, "up") || !strcmp(state, "down") ? "approved" : state, ops ? ops : "{}");
    free(ops);
}

static void selected_lines(struct lines *l, const struct controller *c, const char *select)
{
    struct selector *s = NULL;

    if (selector_parse(select, &s, NULL) != TW_OK)
        return;
    for (const struct agent *a = c->inv.agents; a; a = a->hh.next)
        if (selector_match(s, a->labels, a->n_labels, a->row.name))
            agent_line(l, a);
    selector_free(s);
}

static void describe_agents(struct lines *l, struct controller *c, const ProtobufCMessage *m)
{
    const Tw__AgentRequest *rq = (const Tw__AgentRequest *)m;
    const char *names[] = { rq->name, rq->new_name };

    if (*rq->select)
        selected_lines(l, c, rq->select);
    for (size_t i = 0; i < TW_NELEM(names) && !*rq->select; i++) {
        const struct agent *a = *names[i] ? inventory_agent(&c->inv, names[i]) : NULL;

        if (a)
            agent_line(l, a);
    }
}

static void describe_meshes(struct lines *l, struct controller *c, const ProtobufCMessage *m)
{
    size_t octets = 0;

    (void)m;
    line(l, "generation %" PRIu64, c->inv.generation);
    for (const struct mesh_state *s = c->inv.meshes; s && !l->full; s = s->hh.next) {
        char digest[96] = "not looked at";

        octets += strlen(s->document);
        if (octets <= 4u << 20) /* it is the loop that waits */
            digest_text(s->document, digest);
        line(l, "mesh %s: %s, of generation %" PRIu64 ", document %s", s->row.name,
             s->row.paused ? "paused" : "runs", s->row.generation, digest);
    }
}

static void describe_alert_document(struct lines *l, struct controller *c, const ProtobufCMessage *m)
{
    const struct alerts_document *d = alerts_document(c->alerts);
    char digest[96] = "none";

    (void)m;
    if (d->text)
        digest_text(d->text, digest);
    line(l, "alert document: version %" PRIu64 ", %s", d->version, digest);
}

static void describe_token(struct lines *l, struct controller *c, const ProtobufCMessage *m)
{
    const struct access_token *t = access_get(gate_tokens(c->gate), ((const Tw__AccessRevokeRequest *)m)->id);

    if (t)
        line(l, "access token %s: %s, %s, %s", t->id, t->name, access_role_name(t->role),
             gate_token_state(t, loop_now(c->loop).wall));
}

static const struct {
    const ProtobufCMessageDescriptor *request;
    void (*fn)(struct lines *l, struct controller *c, const ProtobufCMessage *m);
} states[] = {
    { &tw__agent_request__descriptor, describe_agents },
    { &tw__schedule_apply_request__descriptor, describe_meshes },
    { &tw__mesh_request__descriptor, describe_meshes },
    { &tw__schedule_rollback_request__descriptor, describe_meshes },
    { &tw__alert_apply_request__descriptor, describe_alert_document },
    { &tw__access_revoke_request__descriptor, describe_token },
};

char *admin_describe_state(struct controller *c, const ProtobufCMessage *rq)
{
    static struct lines l; /* loop thread */

    l.len = 0;
    l.text[0] = '\0';
    l.full = false;
    for (size_t i = 0; i < TW_NELEM(states); i++)
        if (states[i].request == rq->descriptor)
            states[i].fn(&l, c, rq);
    return strdup(l.text);
}

/* ---- The answer ---- */

static char *new_token_line(const ProtobufCMessage *m)
{
    const Tw__AccessToken *t = ((const Tw__AccessCreateReply *)m)->token;
    char *text = NULL;

    return t && asprintf(&text, "access token %s: %s, %s, %s\n", t->id, t->name, t->role, t->state) > 0
               ? text
               : strdup("");
}

char *admin_describe_reply(const ProtobufCMessage *reply)
{
    static const ProtobufCMessageDescriptor *const told[] = {
        &tw__alert_silence_reply__descriptor, &tw__alert_ack_reply__descriptor,
        &tw__test_start_reply__descriptor,    &tw__test_stop_reply__descriptor,
        &tw__database_reply__descriptor,
    };

    if (reply->descriptor == &tw__access_create_reply__descriptor)
        return new_token_line(reply);
    for (size_t i = 0; i < TW_NELEM(told); i++)
        if (told[i] == reply->descriptor)
            return message_json(reply, AUDIT_REQUEST_MAX);
    return strdup("");
}
