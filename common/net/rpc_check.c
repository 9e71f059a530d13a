#include "common/net/rpc_check.h"
#include <stdint.h>
#include <stdio.h>

static enum tw_rc wrong(const ProtobufCFieldDescriptor *f, struct tw_err *err, const char *text)
{
    if (err)
        snprintf(err->field, sizeof err->field, "%s", f->name);
    return tw_err_set(err, TW_EINVAL, "%s", text);
}

/* `at` is where the value is: a char *, an int, a message pointer. */
static enum tw_rc check_value(const ProtobufCFieldDescriptor *f, const void *at, struct tw_err *err)
{
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
        return sub ? rpc_check_message(sub, err)
                   : TW_OK; /* no message type contains itself: depth is bounded */
    default:
        return TW_OK;
    }
}

static enum tw_rc check_repeated(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m,
                                 struct tw_err *err)
{
    const char *base = (const char *)m;
    size_t n = *(const size_t *)(base + f->quantifier_offset);
    size_t width = f->type == PROTOBUF_C_TYPE_ENUM ? sizeof(int) : sizeof(void *);
    const char *values = *(const char *const *)(base + f->offset);

    if (f->type != PROTOBUF_C_TYPE_ENUM && f->type != PROTOBUF_C_TYPE_STRING &&
        f->type != PROTOBUF_C_TYPE_MESSAGE)
        return TW_OK;
    for (size_t i = 0; i < n; i++) {
        enum tw_rc rc = check_value(f, values + i * width, err);

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

enum tw_rc rpc_check_message(const ProtobufCMessage *m, struct tw_err *err)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        enum tw_rc rc = TW_OK;

        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            rc = check_repeated(f, m, err);
        else if (is_set(f, m))
            rc = check_value(f, (const char *)m + f->offset, err);
        if (rc)
            return rc;
    }
    return TW_OK;
}
