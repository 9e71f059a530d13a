#include "common/net/rpc_check.h"
#include <stdint.h>
#include <stdio.h>

/* Of one value of a field. `at` is where it is: a char *, an int, a message pointer. */
typedef enum tw_rc (*value_fn)(const ProtobufCFieldDescriptor *f, void *at, void *ctx);

static enum tw_rc each_repeated(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m, value_fn fn, void *ctx)
{
    const char *base = (const char *)m;
    size_t n = *(const size_t *)(base + f->quantifier_offset);
    size_t width = f->type == PROTOBUF_C_TYPE_ENUM ? sizeof(int) : sizeof(void *);
    char *values = *(char *const *)(base + f->offset);

    if (f->type != PROTOBUF_C_TYPE_ENUM && f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
        return TW_OK;
    for (size_t i = 0; i < n; i++) {
        enum tw_rc rc = fn(f, values + i * width, ctx);

        if (rc)
            return rc;
    }
    return TW_OK;
}

/* A member of a oneof counts only if it is the one that is set. */
static bool is_set(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return true;
    return *(const uint32_t *)((const char *)m + f->quantifier_offset) == f->id;
}

/* The texts, enumerations and messages of a message; fn goes into those. No message type contains itself: depth is bounded. */
static enum tw_rc each_value(const ProtobufCMessage *m, value_fn fn, void *ctx)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        enum tw_rc rc = TW_OK;

        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            rc = each_repeated(f, m, fn, ctx);
        else if (is_set(f, m))
            rc = fn(f, (char *)(uintptr_t)m + f->offset, ctx);
        if (rc)
            return rc;
    }
    return TW_OK;
}

/* ---- What is wrong with it ---- */

static enum tw_rc wrong(const ProtobufCFieldDescriptor *f, struct tw_err *err, const char *text)
{
    if (err)
        snprintf(err->field, sizeof err->field, "%s", f->name);
    return tw_err_set(err, TW_EINVAL, "%s", text);
}

static enum tw_rc check_value(const ProtobufCFieldDescriptor *f, void *at, void *ctx)
{
    struct tw_err *err = ctx;
    const char *text;
    const ProtobufCMessage *sub;

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        text = *(const char *const *)at;
        return !text || tw_utf8_ok(text) ? TW_OK : wrong(f, err, "not UTF-8");
    case PROTOBUF_C_TYPE_ENUM:
        if (!protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)at))
            return wrong(f, err, "not a value of this enumeration");
        return TW_OK;
    case PROTOBUF_C_TYPE_MESSAGE:
        sub = *(const ProtobufCMessage *const *)at;
        return sub ? rpc_check_message(sub, err) : TW_OK;
    default:
        return TW_OK;
    }
}

enum tw_rc rpc_check_message(const ProtobufCMessage *m, struct tw_err *err)
{
    return each_value(m, check_value, err);
}

/* ---- Its texts ---- */

struct texts {
    void (*fn)(char *text);
};

static enum tw_rc visit_text(const ProtobufCFieldDescriptor *f, void *at, void *ctx)
{
    struct texts *t = ctx;
    char *text;

    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(ProtobufCMessage **)at ? each_value(*(ProtobufCMessage **)at, visit_text, t) : TW_OK;
    if (f->type != PROTOBUF_C_TYPE_STRING)
        return TW_OK;
    text = *(char **)at;
    if (text && text != f->default_value && *text) /* what is not set is a constant */
        t->fn(text);
    return TW_OK;
}

void rpc_each_text(ProtobufCMessage *m, void (*fn)(char *text))
{
    struct texts t = { fn };

    each_value(m, visit_text, &t);
}
