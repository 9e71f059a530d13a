#include "controller/alert_row.h"
#include <cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row is one member. 64 bit numbers are texts, since a double does not hold them. */
enum field_kind { F_TEXT, F_I64, F_U32, F_BOOL, F_NUM, F_U32_LATER, F_I64_LATER };
struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, size;
};
#define TEXT(type, name, member)                                          \
    {                                                                     \
        name, F_TEXT, offsetof(type, member), sizeof(((type *)0)->member) \
    }
#define I64(type, name, member)                \
    {                                          \
        name, F_I64, offsetof(type, member), 0 \
    }
#define U32(type, name, member)                \
    {                                          \
        name, F_U32, offsetof(type, member), 0 \
    }
#define BOOL(type, name, member)                \
    {                                           \
        name, F_BOOL, offsetof(type, member), 0 \
    }
#define NUM(type, name, member)                \
    {                                          \
        name, F_NUM, offsetof(type, member), 0 \
    }
#define A struct alert
static const struct field alert_fields[] = {
    I64(A, "id", id),
    TEXT(A, "subject", key.subject),
    I64(A, "pair_id", key.pair_id),
    U32(A, "kind", key.kind),
    U32(A, "slot", key.slot),
    TEXT(A, "mesh", mesh),
    TEXT(A, "class", class_name),
    TEXT(A, "source", source),
    TEXT(A, "target", target),
    TEXT(A, "rule", rule),
    U32(A, "state", state),
    U32(A, "severity", severity),
    I64(A, "pending_ns", pending_ns),
    I64(A, "fired_ns", fired_ns),
    I64(A, "ended_ns", ended_ns),
    NUM(A, "value", value),
    NUM(A, "worst", worst),
    NUM(A, "level", level),
    NUM(A, "baseline", baseline),
    U32(A, "bad", bad),
    U32(A, "total", total),
    I64(A, "cause", cause),
    TEXT(A, "end_reason", end_reason),
    I64(A, "acked_ns", acked_ns),
    TEXT(A, "ack_author", ack_author),
    TEXT(A, "ack_reason", ack_reason),
    BOOL(A, "told", told),
    U32(A, "told_severity", told_severity),
    { "told_worst", F_U32_LATER, offsetof(A, told_worst), 0 },
    { "clear_since_ns", F_I64_LATER, offsetof(A, cond.clear_since_ns), 0 },
    I64(A, "due_ns", due_ns),
    I64(A, "told_ns", told_ns),
    U32(A, "notices", notices),
};
#undef A
#define S struct alert_silence
static const struct field silence_fields[] = {
    I64(S, "id", id),           TEXT(S, "match", match_text), I64(S, "start_ns", start_ns),
    I64(S, "end_ns", end_ns),   TEXT(S, "author", author),    TEXT(S, "reason", reason),
    I64(S, "made_ns", made_ns),
};
#undef S

static cJSON *value_of(const struct field *f, const void *at)
{
    char text[24];

    switch (f->kind) {
    case F_TEXT:
        return cJSON_CreateString(at);
    case F_I64:
    case F_I64_LATER:
        snprintf(text, sizeof text, "%" PRId64, *(const int64_t *)at);
        return cJSON_CreateString(text);
    case F_U32:
    case F_U32_LATER:
        return cJSON_CreateNumber(*(const uint32_t *)at);
    case F_BOOL:
        return cJSON_CreateBool(*(const bool *)at);
    default:
        return ((const struct tw_num *)at)->known ? cJSON_CreateNumber(((const struct tw_num *)at)->value)
                                                  : cJSON_CreateNull();
    }
}

static char *write_row(const struct field *fields, size_t n, const void *row)
{
    cJSON *o = cJSON_CreateObject();
    char *text = NULL;
    bool ok = o != NULL;

    for (size_t i = 0; i < n && ok; i++)
        ok = cJSON_AddItemToObject(o, fields[i].name,
                                   value_of(&fields[i], (const char *)row + fields[i].offset));
    if (ok)
        text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

static bool read_i64(const cJSON *v, int64_t *ret)
{
    char *end;

    if (!cJSON_IsString(v) || !*v->valuestring)
        return false;
    *ret = strtoll(v->valuestring, &end, 10);
    return !*end;
}

static bool read_field(const struct field *f, const cJSON *v, void *at)
{
    switch (f->kind) {
    case F_TEXT:
        if (!cJSON_IsString(v) || strlen(v->valuestring) >= f->size)
            return false;
        memcpy(at, v->valuestring, strlen(v->valuestring) + 1);
        return true;
    case F_I64:
        return read_i64(v, at);
    case F_I64_LATER:
        return !v || read_i64(v, at); /* of before it was stored: 0 */
    case F_U32:
        if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > UINT32_MAX)
            return false;
        *(uint32_t *)at = (uint32_t)v->valuedouble;
        return true;
    case F_U32_LATER:
        *(uint32_t *)at = cJSON_IsNumber(v) && v->valuedouble >= 0 ? (uint32_t)v->valuedouble : 0;
        return true;
    case F_BOOL:
        *(bool *)at = cJSON_IsTrue(v);
        return cJSON_IsBool(v);
    default:
        *(struct tw_num *)at = (struct tw_num){ cJSON_IsNumber(v), cJSON_IsNumber(v) ? v->valuedouble : 0 };
        return cJSON_IsNumber(v) || cJSON_IsNull(v);
    }
}

static enum tw_rc read_row(const char *json, const struct field *fields, size_t n, void *row)
{
    cJSON *o = cJSON_Parse(json);
    bool ok = cJSON_IsObject(o);

    for (size_t i = 0; i < n && ok; i++)
        ok = read_field(&fields[i], cJSON_GetObjectItemCaseSensitive(o, fields[i].name),
                        (char *)row + fields[i].offset);
    cJSON_Delete(o);
    return ok ? TW_OK : TW_ECORRUPT;
}

char *alert_row_write(const struct alert *a)
{
    return write_row(alert_fields, TW_NELEM(alert_fields), a);
}

enum tw_rc alert_row_read(const char *json, struct alert *ret)
{
    enum tw_rc rc;

    memset(ret, 0, sizeof *ret); /* its key is hashed, padding and all */
    rc = read_row(json, alert_fields, TW_NELEM(alert_fields), ret);
    if (rc)
        return rc;
    if (ret->told && ret->told_worst < ret->told_severity)
        ret->told_worst = ret->told_severity; /* of before it was stored */
    return ret->key.kind <= ALERT_SITE && ret->key.slot <= ALERT_SLOTS && ret->state >= ALERT_PENDING &&
                   ret->state < ALERT_STATE_COUNT && ret->severity < ALERT_SEVERITY_COUNT &&
                   ret->told_severity < ALERT_SEVERITY_COUNT && ret->told_worst < ALERT_SEVERITY_COUNT
               ? TW_OK
               : TW_ECORRUPT;
}

char *alert_silence_write(const struct alert_silence *s)
{
    return write_row(silence_fields, TW_NELEM(silence_fields), s);
}

enum tw_rc alert_silence_read(const char *json, struct alert_silence *ret)
{
    struct tw_err err;
    enum tw_rc rc;

    memset(ret, 0, sizeof *ret);
    rc = read_row(json, silence_fields, TW_NELEM(silence_fields), ret);
    return rc ? rc : selector_parse(ret->match_text, &ret->match, &err);
}
