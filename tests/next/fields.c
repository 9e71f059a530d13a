/* The release after this one, for tests: every message that it packs, and every message in it, has two fields
 * that nobody knows today. The linker puts these functions around those of protobuf-c. */
#include <protobuf-c/protobuf-c.h>

size_t __real_protobuf_c_message_get_packed_size(const ProtobufCMessage *m);
size_t __wrap_protobuf_c_message_get_packed_size(const ProtobufCMessage *m);
size_t __real_protobuf_c_message_pack(const ProtobufCMessage *m, uint8_t *out);
size_t __wrap_protobuf_c_message_pack(const ProtobufCMessage *m, uint8_t *out);

static uint8_t text[] = { 4, 'n', 'e', 'x', 't' }, number[] = { 42 };
static ProtobufCMessageUnknownField added[] = {
    { .tag = 14998, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = sizeof text, .data = text },
    { .tag = 14999, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = sizeof number, .data = number },
};

static void mark(ProtobufCMessage *m, int on);

static void mark_field(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, int on)
{
    void *member = (char *)m + f->offset, *quantifier = (char *)m + f->quantifier_offset;

    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        for (size_t i = 0; i < *(size_t *)quantifier; i++)
            mark((*(ProtobufCMessage ***)member)[i], on);
        return;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(uint32_t *)quantifier != f->id)
        return;
    mark(*(ProtobufCMessage **)member, on);
}

/* What came with unknown fields keeps those. */
static void mark(ProtobufCMessage *m, int on)
{
    if (!m)
        return;
    if (on && !m->n_unknown_fields) {
        m->n_unknown_fields = sizeof added / sizeof *added;
        m->unknown_fields = added;
    } else if (!on && m->unknown_fields == added) {
        m->n_unknown_fields = 0;
        m->unknown_fields = NULL;
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        mark_field(m, &m->descriptor->fields[i], on);
}

size_t __wrap_protobuf_c_message_get_packed_size(const ProtobufCMessage *m)
{
    size_t n;

    mark((ProtobufCMessage *)m, 1);
    n = __real_protobuf_c_message_get_packed_size(m);
    mark((ProtobufCMessage *)m, 0);
    return n;
}

size_t __wrap_protobuf_c_message_pack(const ProtobufCMessage *m, uint8_t *out)
{
    size_t n;

    mark((ProtobufCMessage *)m, 1);
    n = __real_protobuf_c_message_pack(m, out);
    mark((ProtobufCMessage *)m, 0);
    return n;
}
