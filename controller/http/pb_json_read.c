/* controller/http/pb_json_read.c - from JSON, or from a query, to a message; see pb_json.h. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clk.h"
#include "controller/http/pb_json.h"
#include "controller/http/query.h"

#define MEMBERS_MAX 1000             /* of one list */
#define EXACT_MAX 9007199254740992.0 /* 2^53: JSON numbers beyond it may have lost digits on their way */

struct reading {
    bool text;
    int64_t now_ns;
    struct tw_err *err;
};

static enum tw_rc fill(const struct reading *r, const ProtobufCMessageDescriptor *d, const cJSON *o,
                       ProtobufCMessage *m);

static enum tw_rc wrong(const struct reading *r, const char *member, const char *expected)
{
    snprintf(r->err->field, sizeof r->err->field, "%s", member);
    return tw_err_set(r->err, TW_EINVAL, "%s: expected %s", member, expected);
}

static enum tw_rc no_memory(const struct reading *r)
{
    return tw_err_set(r->err, TW_ENOMEM, "out of memory");
}

/* ---- Values ---- */

/* A whole number in [min, max]; texts are read exactly. */
static bool whole(const struct reading *r, const cJSON *v, double min, double max, int64_t *ret)
{
    char *end;

    if (cJSON_IsNumber(v) && !r->text) {
        if (v->valuedouble != floor(v->valuedouble) || v->valuedouble < min || v->valuedouble > max ||
            fabs(v->valuedouble) > EXACT_MAX)
            return false;
        *ret = (int64_t)v->valuedouble;
        return true;
    }
    if (!cJSON_IsString(v) || !*v->valuestring)
        return false;
    errno = 0;
    *ret = strtoll(v->valuestring, &end, 10);
    return !errno && !*end && (double)*ret >= min && (double)*ret <= max &&
           strchr("-0123456789", v->valuestring[0]);
}

static enum tw_rc take_u32(const struct reading *r, const char *member, const cJSON *v, void *at)
{
    int64_t n;

    if (!whole(r, v, 0, UINT32_MAX, &n))
        return wrong(r, member, "a whole number, 0 to 4294967295");
    *(uint32_t *)at = (uint32_t)n;
    return TW_OK;
}

static enum tw_rc take_i32(const struct reading *r, const char *member, const cJSON *v, void *at)
{
    int64_t n;

    if (!whole(r, v, INT32_MIN, INT32_MAX, &n))
        return wrong(r, member, "a whole number");
    *(int32_t *)at = (int32_t)n;
    return TW_OK;
}

/* As a text, for numbers that JSON's cannot hold. */
static enum tw_rc take_u64(const struct reading *r, const char *member, const cJSON *v, void *at)
{
    int64_t n;

    if (!whole(r, v, 0, (double)INT64_MAX, &n))
        return wrong(r, member, "a whole number; beyond 2^53 as a text");
    *(uint64_t *)at = (uint64_t)n;
    return TW_OK;
}

static enum tw_rc take_i64(const struct reading *r, const char *member, const cJSON *v, void *at)
{
    if (!whole(r, v, (double)INT64_MIN, (double)INT64_MAX, at))
        return wrong(r, member, "a whole number; beyond 2^53 as a text");
    return TW_OK;
}

static enum tw_rc take_real(const struct reading *r, const char *member, const cJSON *v, void *at)
{
    char *end;

    if (cJSON_IsNumber(v) && isfinite(v->valuedouble)) {
        *(double *)at = v->valuedouble;
        return TW_OK;
    }
    if (r->text && cJSON_IsString(v) && *v->valuestring) {
        *(double *)at = strtod(v->valuestring, &end);
        if (!*end && isfinite(*(double *)at))
            return TW_OK;
    }
    return wrong(r, member, "a number");
}

static enum tw_rc take_bool(const struct reading *r, const char *member, const cJSON *v, void *at)
{
    bool on = cJSON_IsTrue(v), known = on || cJSON_IsFalse(v);

    if (r->text && cJSON_IsString(v)) {
        on = !strcmp(v->valuestring, "1") || !strcmp(v->valuestring, "true");
        known = on || !strcmp(v->valuestring, "0") || !strcmp(v->valuestring, "false");
    }
    if (!known)
        return wrong(r, member, "true or false");
    *(protobuf_c_boolean *)at = on;
    return TW_OK;
}

static enum tw_rc take_string(const struct reading *r, const char *member, const cJSON *v, void *at)
{
    char *copy;

    if (!cJSON_IsString(v))
        return wrong(r, member, "a text");
    copy = strdup(v->valuestring);
    if (!copy)
        return no_memory(r);
    *(char **)at = copy;
    return TW_OK;
}

static enum tw_rc take_word(const struct reading *r, const ProtobufCFieldDescriptor *f, const cJSON *v,
                            void *at)
{
    const ProtobufCEnumDescriptor *d = f->descriptor;
    char words[256] = "", buf[PB_JSON_WORD];
    size_t len = 0;

    for (unsigned i = 0; i < d->n_values; i++) {
        pb_json_word(d, &d->values[i], buf);
        if (cJSON_IsString(v) && !strcmp(v->valuestring, buf)) {
            *(int *)at = d->values[i].value;
            return TW_OK;
        }
        if (len < sizeof words)
            len += (size_t)snprintf(words + len, sizeof words - len, "%s%s", i ? ", " : "one of ", buf);
    }
    return wrong(r, pb_json_member(f), words);
}

static enum tw_rc take_message(const struct reading *r, const ProtobufCFieldDescriptor *f, const cJSON *v,
                               void *at)
{
    const ProtobufCMessageDescriptor *d = f->descriptor;
    ProtobufCMessage *m;

    if (!cJSON_IsObject(v))
        return wrong(r, pb_json_member(f), "an object");
    m = calloc(1, d->sizeof_message);
    if (!m)
        return no_memory(r);
    protobuf_c_message_init(d, m);
    *(ProtobufCMessage **)at = m; /* the whole is freed by whoever asked, whatever comes of this */
    return fill(r, d, v, m);
}

static enum tw_rc take_value(const struct reading *r, const ProtobufCFieldDescriptor *f, const cJSON *v,
                             void *at)
{
    const char *member = pb_json_member(f);

    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return take_bool(r, member, v, at);
    case PROTOBUF_C_TYPE_UINT32:
        return take_u32(r, member, v, at);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
        return take_i32(r, member, v, at);
    case PROTOBUF_C_TYPE_UINT64:
        return take_u64(r, member, v, at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
        return take_i64(r, member, v, at);
    case PROTOBUF_C_TYPE_DOUBLE:
        return take_real(r, member, v, at);
    case PROTOBUF_C_TYPE_ENUM:
        return take_word(r, f, v, at);
    case PROTOBUF_C_TYPE_STRING:
        return take_string(r, member, v, at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return take_message(r, f, v, at);
    default:
        return wrong(r, member, "nothing: this member cannot be given here");
    }
}

/* ---- Lists ---- */

/* n counts on as the list grows, so that what is there is freed, however it ends. A query has one text: a
 * list of one. */
static enum tw_rc take_list(const struct reading *r, const ProtobufCFieldDescriptor *f, const cJSON *v,
                            ProtobufCMessage *m)
{
    size_t *n = (size_t *)((char *)m + f->quantifier_offset);
    int count = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : 1;
    const cJSON *item = cJSON_IsArray(v) ? v->child : v;
    char *values;

    if (!cJSON_IsArray(v) && !r->text)
        return wrong(r, pb_json_member(f), "a list");
    if (count > MEMBERS_MAX)
        return wrong(r, pb_json_member(f), "a list of at most 1000");
    values = count ? calloc((size_t)count, pb_json_width(f)) : NULL;
    if (count && !values)
        return no_memory(r);
    *(char **)((char *)m + f->offset) = values;
    for (; item && (int)*n < count; item = item->next) {
        enum tw_rc rc = take_value(r, f, item, values + *n * pb_json_width(f));

        if (rc == TW_OK || f->type == PROTOBUF_C_TYPE_MESSAGE)
            ++*n;
        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

/* ---- Messages ---- */

static enum tw_rc take_moment(const struct reading *r, const ProtobufCFieldDescriptor *f, const cJSON *v,
                              void *at)
{
    char number[32];
    const char *text = cJSON_IsString(v) ? v->valuestring : NULL;

    if (cJSON_IsNumber(v)) {
        snprintf(number, sizeof number, "%.0f", v->valuedouble);
        text = number;
    }
    if (!text || query_time(text, r->now_ns, at))
        return wrong(r, f->name,
                     "a time: RFC 3339, whole Unix seconds, or a duration before now such as \"-15m\"");
    return TW_OK;
}

static bool is_short_name(const ProtobufCFieldDescriptor *f, const char *key)
{
    size_t len = strlen(key);

    return pb_json_is_moment(f->name) && strlen(f->name) == len + 3 && !strncmp(f->name, key, len);
}

static enum tw_rc unknown(const struct reading *r, const ProtobufCMessageDescriptor *d, const char *key)
{
    char known[512] = "nothing";
    size_t len = 0;

    for (unsigned i = 0; i < d->n_fields && len < sizeof known; i++) { /* moments by their short names, as documented */
        const char *name = pb_json_member(&d->fields[i]);
        int n = (int)strlen(name) - (pb_json_is_moment(name) ? 3 : 0);

        if (pb_json_is_internal(&d->fields[i]))
            continue;
        len += (size_t)snprintf(known + len, sizeof known - len, "%s%.*s", i ? ", " : "", n, name);
    }
    snprintf(r->err->field, sizeof r->err->field, "%.60s", key);
    return tw_err_set(r->err, TW_EINVAL, "unknown member \"%.60s\"; known: %s", key, known);
}

static enum tw_rc take_member(const struct reading *r, const ProtobufCMessageDescriptor *d, const cJSON *v,
                              ProtobufCMessage *m)
{
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        void *at = (char *)m + f->offset;

        if (pb_json_is_internal(f))
            continue;
        if (is_short_name(f, v->string))
            return take_moment(r, f, v, at);
        if (strcmp(v->string, pb_json_member(f)) != 0)
            continue;
        return f->label == PROTOBUF_C_LABEL_REPEATED ? take_list(r, f, v, m) : take_value(r, f, v, at);
    }
    return unknown(r, d, v->string);
}

/* Twice the same member would leave the first one's memory behind, and is a mistake. */
static enum tw_rc check_once(const struct reading *r, const cJSON *v)
{
    for (const cJSON *before = v->prev; before && before->next; before = before->prev)
        if (!strcmp(before->string, v->string))
            return wrong(r, v->string, "it once");
    return TW_OK;
}

static enum tw_rc fill(const struct reading *r, const ProtobufCMessageDescriptor *d, const cJSON *o,
                       ProtobufCMessage *m)
{
    enum tw_rc rc = TW_OK;

    for (const cJSON *v = o->child; v && rc == TW_OK; v = v->next) {
        if (cJSON_IsNull(v))
            continue; /* as if absent */
        rc = check_once(r, v);
        if (rc == TW_OK)
            rc = take_member(r, d, v, m);
    }
    return rc;
}

enum tw_rc pb_json_parse(const ProtobufCMessageDescriptor *d, const cJSON *o, bool text, int64_t now_ns,
                         ProtobufCMessage **ret, struct tw_err *err)
{
    const struct reading r = { text, now_ns, err };
    ProtobufCMessage *m;
    enum tw_rc rc;

    if (!cJSON_IsObject(o))
        return tw_err_set(err, TW_EINVAL, "expected a JSON object");
    m = calloc(1, d->sizeof_message);
    if (!m)
        return no_memory(&r);
    protobuf_c_message_init(d, m);
    rc = fill(&r, d, o, m);
    if (rc != TW_OK) {
        protobuf_c_message_free_unpacked(m, NULL);
        return rc;
    }
    *ret = m;
    return TW_OK;
}
