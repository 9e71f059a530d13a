#include "tests/fuzz/pb_make.h"
#include <math.h>
#include <string.h>
#include "common/clk.h"

#define DEPTH_MAX 4
#define PART_MAX 4096

uint8_t pb_make_octet(struct pb_make *m)
{
    return m->p < m->end ? *m->p++ : 0;
}

static uint64_t octets_as_number(struct pb_make *m, unsigned n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | pb_make_octet(m);
    return v;
}

/* Small, around now, or anything. */
static uint64_t some_number(struct pb_make *m)
{
    uint8_t how = pb_make_octet(m);

    switch (how & 7) {
    case 0:
        return octets_as_number(m, 8);
    case 1:
        return octets_as_number(m, 4);
    case 2:
        return (uint64_t)(m->now_ns - (how >> 3) * 600 * TW_NS_PER_S);
    case 3:
        return (uint64_t)(m->now_ns + (how >> 3) * TW_NS_PER_S);
    case 4:
        return (how >> 3) * UINT64_C(1000000000);
    default:
        return how >> 3;
    }
}

static double some_double(struct pb_make *m)
{
    static const double telling[] = { 0, 1, -1, 0.5, 99.9, 1e308, -1e-308, 1e15 };
    uint8_t how = pb_make_octet(m);

    if (how == 255)
        return NAN;
    if (how == 254)
        return INFINITY;
    return how < 128 ? telling[how % TW_NELEM(telling)] : (double)how / 16;
}

static size_t some_text(struct pb_make *m, char *out, size_t cap)
{
    uint8_t how = pb_make_octet(m);
    const char *word;
    size_t n;

    if (how < 224 && m->n_words) {
        word = m->words[how % m->n_words];
        n = strlen(word);
        n = n < cap ? n : cap;
        memcpy(out, word, n);
        return n;
    }
    n = how & 31;
    n = n < (size_t)(m->end - m->p) ? n : (size_t)(m->end - m->p);
    memcpy(out, m->p, n);
    m->p += n;
    return n;
}

static size_t some_octets(struct pb_make *m, uint8_t *out)
{
    uint8_t how = pb_make_octet(m);
    size_t n = how & 1 ? 16u << (how >> 6) : how >> 1;

    if (how & 1)
        memset(out, how, n);
    n = how & 1 || n < (size_t)(m->end - m->p) ? n : (size_t)(m->end - m->p);
    if (how & 1)
        return n;
    memcpy(out, m->p, n);
    m->p += n;
    return n;
}

static void put_counted(struct wire_wr *w, uint32_t id, const uint8_t *data, size_t len)
{
    if ((size_t)(w->end - w->p) < len + 24)
        return;
    wire_put_varint(w, (uint64_t)id << 3 | 2);
    wire_put_varint(w, len);
    wire_put_bytes(w, data, len);
}

static void put_number(struct wire_wr *w, const ProtobufCFieldDescriptor *f, uint64_t v)
{
    if (w->end - w->p < 24)
        return;
    wire_put_varint(w, (uint64_t)f->id << 3);
    wire_put_varint(w, v);
}

static void put_fixed(struct wire_wr *w, const ProtobufCFieldDescriptor *f, const void *v, size_t len)
{
    if (w->end - w->p < 24)
        return;
    wire_put_varint(w, (uint64_t)f->id << 3 | (len == 8 ? 1 : 5));
    wire_put_bytes(w, v, len); /* as they are in memory: so it is on the wire, on the machines that test */
}

static size_t make(struct pb_make *m, const ProtobufCMessageDescriptor *d, uint8_t *out, size_t cap,
                   unsigned depth);

static void put_one(struct pb_make *m, struct wire_wr *w, const ProtobufCFieldDescriptor *f, unsigned depth)
{
    uint8_t part[PART_MAX];
    uint64_t v;
    double number;

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        put_counted(w, f->id, part, some_text(m, (char *)part, sizeof part));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_counted(w, f->id, part, some_octets(m, part));
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (depth < DEPTH_MAX)
            put_counted(w, f->id, part, make(m, f->descriptor, part, sizeof part, depth + 1));
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        number = some_double(m);
        put_fixed(w, f, &number, sizeof number);
        break;
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SINT64:
        v = some_number(m);
        put_number(w, f, v << 1 ^ (0 - (v >> 63)));
        break;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        v = some_number(m);
        put_fixed(w, f, &v, sizeof v);
        break;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        v = some_number(m);
        put_fixed(w, f, &v, 4);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_number(w, f, pb_make_octet(m) % (((const ProtobufCEnumDescriptor *)f->descriptor)->n_values + 1));
        break;
    default:
        put_number(w, f, f->type == PROTOBUF_C_TYPE_BOOL ? 1 : some_number(m));
    }
}

/* An octet for each field: is it there, and how often. */
static size_t make(struct pb_make *m, const ProtobufCMessageDescriptor *d, uint8_t *out, size_t cap,
                   unsigned depth)
{
    struct wire_wr w = { .p = out, .end = out + cap };

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        uint8_t how = pb_make_octet(m);
        unsigned n = how < 0x80 ? 0 : f->label == PROTOBUF_C_LABEL_REPEATED ? 1 + (how & 3) : 1;

        while (n--)
            put_one(m, &w, f, depth);
    }
    return (size_t)(w.p - out);
}

size_t pb_make(struct pb_make *m, const ProtobufCMessageDescriptor *d, uint8_t *out, size_t cap)
{
    return make(m, d, out, cap, 0);
}
