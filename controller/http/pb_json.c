#include "controller/http/pb_json.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "common/hextext.h"
#include "common/json.h"
#include "common/net/summary_pb.h"
#include "fleet.pb-c.h"

/* ---- Names ---- */

bool pb_json_is_moment(const char *field_name)
{
    static const char *const moments[] = { "acked_ns",   "approved_ns",     "at_ns",     "before_from_ns", "before_to_ns", "behind_ns",
                                           "covers_from_ns", "covers_to_ns",
                                           "changed_ns", "end_ns",          "ended_ns",  "packets_from_ns",
                                           "first_ns",   "from_ns",         "frozen_ns", "kept_from_ns",
                                           "kept_to_ns", "last_contact_ns", "last_ns",   "next_run_ns", "start_ns",
                                           "started_ns", "t1_ns",           "time_ns",   "to_ns",
                                           "pending_ns", "fired_ns",        "made_ns",   "last_sent_ns",
                                           "last_failed_ns", "next_try_ns",     "until_ns",
                                           "maintenance_until_ns", "created_ns", "expires_ns", "revoked_ns", "issued_ns", "not_after_ns", "used_ns",
                                           "next_ns", "page_ns", "gone_ns", "since_ns" };

    for (size_t i = 0; i < TW_NELEM(moments); i++)
        if (!strcmp(moments[i], field_name))
            return true;
    return false;
}

const char *pb_json_member(const ProtobufCFieldDescriptor *f)
{
    static const char *const other[][2] = {
        { "class_name", "class" },
        { "host_cpu_wait_ppm", "host_cpu_wait_ratio" },
    };

    for (size_t i = 0; i < TW_NELEM(other); i++)
        if (!strcmp(f->name, other[i][0]))
            return other[i][1];
    return f->name;
}

/* Of pages as twampctl asks for them. */
bool pb_json_is_internal(const ProtobufCFieldDescriptor *f)
{
    return !strcmp(f->name, "paged") || !strncmp(f->name, "page_", 5);
}

bool pb_json_is_ratio(const ProtobufCFieldDescriptor *f)
{
    return !strcmp(f->name, "host_cpu_wait_ppm");
}

bool pb_json_is_unknown_if_empty(const ProtobufCFieldDescriptor *f)
{
    return !strcmp(f->name, "secrets_error") || !strcmp(f->name, "access_error") || !strcmp(f->name, "clock_leap") ||
           !strcmp(f->name, "config_error") || !strcmp(f->name, "restart_needed") ||
           !strcmp(f->name, "https_error");
}

/* Values begin with a word for the enumeration, up to an underscore: what all have in common goes. */
static size_t common_prefix(const ProtobufCEnumDescriptor *d)
{
    const char *first = d->values[0].name;
    size_t len = strlen(first);

    for (unsigned i = 1; i < d->n_values; i++) {
        size_t n = 0;
        while (n < len && d->values[i].name[n] == first[n])
            n++;
        len = n;
    }
    while (len && first[len - 1] != '_')
        len--;
    return len;
}

const char *pb_json_word(const ProtobufCEnumDescriptor *d, const ProtobufCEnumValue *v,
                         char buf[PB_JSON_WORD])
{
    const char *word = v->name + common_prefix(d);
    size_t i;

    for (i = 0; word[i] && i < PB_JSON_WORD - 1; i++)
        buf[i] = (char)tolower((unsigned char)word[i]);
    buf[i] = '\0';
    return buf;
}

/* ---- Messages that are more than their fields ---- */

static void add_summary(cJSON *o, const ProtobufCMessage *m)
{
    struct tw_summary s;
    struct stats_view view;
    struct tw_err err = { 0 };

    summary_init(&s);
    if (summary_from_pb((const Tw__Summary *)m, &s, &err) == TW_OK) {
        stats_view(&s, &view);
        json_put(o, "status", cJSON_CreateString(tw_status_name(s.status)));
        json_time(o, "start", "start_ns", s.start_ns);
        json_time(o, "end", "end_ns", s.end_ns);
        json_stats(o, &view);
    }
    summary_free(&s);
}

/* ---- Values ---- */

static cJSON *hexadecimal(const ProtobufCBinaryData *b)
{
    char text[2 * 64 + 1];

    hextext_format(b->data, b->len < 64 ? b->len : 64, text);
    return cJSON_CreateString(text);
}

static cJSON *word(const ProtobufCEnumDescriptor *d, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
    char buf[PB_JSON_WORD];

    return v ? cJSON_CreateString(pb_json_word(d, v, buf)) : cJSON_CreateNull();
}

static cJSON *object(const ProtobufCMessage *m)
{
    cJSON *o;

    if (!m)
        return cJSON_CreateNull();
    o = cJSON_CreateObject();
    if (o)
        pb_json_add(o, m);
    return o;
}

static cJSON *value_at(const ProtobufCFieldDescriptor *f, const void *at)
{
    const char *text;

    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return cJSON_CreateBool(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return pb_json_is_ratio(f) ? json_num_item((struct tw_num){ true, *(const uint32_t *)at / 1e6 })
                                   : json_u64_item(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return json_u64_item(*(const uint64_t *)at);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_i64_item(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_i64_item(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
        return json_num_item((struct tw_num){ true, (double)*(const float *)at });
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_num_item((struct tw_num){ true, *(const double *)at });
    case PROTOBUF_C_TYPE_ENUM:
        return word(f->descriptor, *(const int *)at);
    case PROTOBUF_C_TYPE_STRING:
        text = *(const char *const *)at;
        return pb_json_is_unknown_if_empty(f) && !(text && *text) ? cJSON_CreateNull()
                                                                  : cJSON_CreateString(text ? text : "");
    case PROTOBUF_C_TYPE_BYTES:
        return hexadecimal(at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return object(*(const ProtobufCMessage *const *)at);
    }
    return cJSON_CreateNull();
}

size_t pb_json_width(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 4;
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return 8;
    }
}

static cJSON *labels(Tw__Label *const *v, size_t n)
{
    cJSON *o = cJSON_CreateObject();

    for (size_t i = 0; i < n; i++)
        cJSON_AddStringToObject(o, v[i]->key, v[i]->value);
    return o;
}

static cJSON *list(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    size_t n = *(const size_t *)((const char *)m + f->quantifier_offset);
    const char *values = *(const char *const *)((const char *)m + f->offset);
    cJSON *a;

    if (f->type == PROTOBUF_C_TYPE_MESSAGE && f->descriptor == &tw__label__descriptor)
        return labels((Tw__Label *const *)values, n);
    a = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(a, value_at(f, values + i * pb_json_width(f)));
    return a;
}

/* ---- Messages ---- */

/* The short name is made here, so cJSON has to copy it. */
static void add_moment(cJSON *o, const char *name, const char *ns_name, int64_t ns)
{
    char text[TW_TIME_TEXT];
    cJSON *item = ns ? cJSON_CreateString(tw_wall_format((struct tw_wall){ ns }, text)) : cJSON_CreateNull();

    if (!cJSON_AddItemToObject(o, name, item))
        cJSON_Delete(item);
    json_put(o, ns_name, ns ? json_i64_item(ns) : cJSON_CreateNull());
}

static void add_field(cJSON *o, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    const void *at = (const char *)m + f->offset;
    char name[64];

    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        json_put(o, pb_json_member(f), list(f, m));
        return;
    }
    if (!pb_json_is_moment(f->name)) {
        json_put(o, pb_json_member(f), value_at(f, at));
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)strlen(f->name) - 3, f->name);
    add_moment(o, name, f->name, *(const int64_t *)at);
}

void pb_json_add(cJSON *o, const ProtobufCMessage *m)
{
    if (m->descriptor == &tw__summary__descriptor) {
        add_summary(o, m);
        return;
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        if (!pb_json_is_internal(&m->descriptor->fields[i]))
            add_field(o, &m->descriptor->fields[i], m);
}
