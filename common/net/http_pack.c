/* Blobs that are made piece by piece, and kept compressed only when they are large. Who does not take them so
 * gets them unpacked on the way out, by libmicrohttpd's threads. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "common/net/http_blob.h"
#include "common/net/http_threads.h"

#define OUT_STEP ((size_t)1 << 20)
#define SEND_STEP ((size_t)64 << 10)

struct http_maker {
    char *type;
    char *plain; /* while it is small */
    size_t len, plain_cap;
    bool packing, bad;
    z_stream z; /* without gzip's frame, which is ours: see http_maker_hold() */
    unsigned char *out;
    size_t out_len, out_cap;
    uint32_t crc; /* of what is packed; while something is held, of that */
    struct {
        bool on;
        size_t len;   /* before it: octets, */
        size_t at;    /* where it begins in `plain`, or in `out`, */
        uint32_t crc; /* and the checksum */
    } held;
};

/* RFC 1952 section 2.3: deflate, no flags, no time, fastest, Unix. */
static const unsigned char gzip_head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3 };
#define GZIP_TAIL 8

enum tw_rc http_maker_new(const char *type, struct http_maker **ret)
{
    struct http_maker *m = calloc(1, sizeof *m);

    if (!m)
        return TW_ENOMEM;
    m->type = strdup(type);
    if (!m->type) {
        free(m);
        return TW_ENOMEM;
    }
    *ret = m;
    return TW_OK;
}

static void free_maker(struct http_maker *m)
{
    if (m->packing)
        deflateEnd(&m->z);
    free(m->out);
    free(m->plain);
    free(m->type);
    free(m);
}

/* Space for what comes next of the compressed octets. */
static bool make_room(struct http_maker *m)
{
    size_t cap = m->out_cap + (m->out_cap / 2 > OUT_STEP ? m->out_cap / 2 : OUT_STEP);
    unsigned char *out = realloc(m->out, cap);

    if (!out)
        return false;
    m->out = out;
    m->out_cap = cap;
    return true;
}

/* A piece is short enough for zlib's counters. */
static void deflate_piece(struct http_maker *m, const char *p, size_t len, int flush)
{
    int rc;

    m->z.next_in = (z_const Bytef *)p;
    m->z.avail_in = (uInt)len;
    do {
        size_t room;

        if (m->bad || (m->out_len + GZIP_TAIL >= m->out_cap && !make_room(m))) {
            m->bad = true;
            return;
        }
        room = m->out_cap - m->out_len - GZIP_TAIL;
        m->z.next_out = m->out + m->out_len;
        m->z.avail_out = (uInt)(room < OUT_STEP ? room : OUT_STEP);
        rc = deflate(&m->z, flush);
        m->out_len = (size_t)(m->z.next_out - m->out);
    } while (m->z.avail_in || (flush == Z_FINISH ? rc != Z_STREAM_END : !m->z.avail_out));
}

static void pack(struct http_maker *m, const char *p, size_t len)
{
    m->crc = (uint32_t)crc32_z(m->crc, (const Bytef *)p, len);
    deflate_piece(m, p, len, Z_NO_FLUSH);
}

/* Nothing behind it refers to what is before it, so that what is between two of them may be moved. */
static void cut(struct http_maker *m)
{
    deflate_piece(m, NULL, 0, Z_FULL_FLUSH);
}

static void hold_packed(struct http_maker *m)
{
    cut(m);
    m->held.at = m->out_len;
    m->held.crc = m->crc;
    m->crc = 0;
}

static void begin_packing(struct http_maker *m)
{
    size_t before = m->held.on ? m->held.at : m->len;

    m->packing = deflateInit2(&m->z, HTTP_GZIP_LEVEL_LARGE, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    m->bad |= !m->packing || !make_room(m);
    if (m->bad)
        return;
    memcpy(m->out, gzip_head, sizeof gzip_head);
    m->out_len = sizeof gzip_head;
    pack(m, m->plain, before);
    if (m->held.on) {
        hold_packed(m);
        pack(m, m->plain + before, m->len - before);
    }
    free(m->plain);
    m->plain = NULL;
}

static void keep_plain(struct http_maker *m, const char *p, size_t len)
{
    size_t cap = m->plain_cap ? m->plain_cap : 4096;

    while (cap - m->len < len)
        cap *= 2;
    if (cap != m->plain_cap) {
        char *plain = realloc(m->plain, cap);
        if (!plain) {
            m->bad = true;
            return;
        }
        m->plain = plain;
        m->plain_cap = cap;
    }
    memcpy(m->plain + m->len, p, len);
    m->len += len;
}

static void put_piece(struct http_maker *m, const char *p, size_t len)
{
    if (!m->packing && m->len + len > HTTP_LARGE)
        begin_packing(m);
    if (m->bad)
        return;
    if (!m->packing) {
        keep_plain(m, p, len);
        return;
    }
    pack(m, p, len);
    m->len += len;
}

void http_maker_put(struct http_maker *m, const char *p, size_t len)
{
    while (len && !m->bad) {
        size_t n = len < HTTP_LARGE ? len : HTTP_LARGE;

        put_piece(m, p, n);
        p += n;
        len -= n;
    }
}

/* ---- Held back ---- */

void http_maker_hold(struct http_maker *m)
{
    m->held.on = true;
    m->held.len = m->len;
    m->held.at = m->len;
    if (m->packing)
        hold_packed(m);
}

/* The last `n` of the octets from `at` on go before the others. */
static void to_the_front(void *octets, size_t at, size_t len, size_t n)
{
    char *from = (char *)octets + at, tmp[256];

    memcpy(tmp, from + (len - at - n), n);
    memmove(from + n, from, len - at - n);
    memcpy(from, tmp, n);
}

static void release_packed(struct http_maker *m, const char *first, size_t len)
{
    size_t body_len = m->len - m->held.len, before, n;
    uint32_t body_crc = m->crc;

    cut(m);
    before = m->out_len;
    m->crc = m->held.crc;
    pack(m, first, len);
    cut(m);
    m->crc = (uint32_t)crc32_combine(m->crc, body_crc, (z_off_t)body_len);
    m->len += len;
    n = m->out_len - before;
    if (!m->bad)
        to_the_front(m->out, m->held.at, m->out_len, n);
}

/* `first` is short: packed, too, it has room beside zlib's marks. */
void http_maker_release(struct http_maker *m, const char *first, size_t len)
{
    assert(m->held.on && len <= HTTP_FIRST_MAX);
    if (!m->packing && m->len + len > HTTP_LARGE)
        begin_packing(m);
    if (m->bad)
        return;
    if (m->packing) {
        release_packed(m, first, len);
    } else {
        keep_plain(m, first, len);
        if (!m->bad)
            to_the_front(m->plain, m->held.at, m->len, len);
    }
    m->held.on = false;
}

/* ---- The end ---- */

static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (8 * i)); /* RFC 1952: the least first */
}

static void end_packing(struct http_maker *m)
{
    deflate_piece(m, NULL, 0, Z_FINISH);
    if (m->bad)
        return;
    put_u32(m->out + m->out_len, m->crc);
    put_u32(m->out + m->out_len + 4, (uint32_t)m->len);
    m->out_len += GZIP_TAIL;
}

enum tw_rc http_maker_end(struct http_maker *m, struct http_blob **ret)
{
    enum tw_rc rc = TW_ENOMEM;

    if (m->packing && !m->bad)
        end_packing(m);
    if (!m->bad && m->packing) {
        unsigned char *less = realloc(m->out, m->out_len);

        m->out = less ? less : m->out;
        rc = http_blob_of_packed(m->out, m->out_len, m->len, m->type, ret);
        m->out = NULL;
    } else if (!m->bad && (m->plain || (m->plain = malloc(1)))) {
        rc = http_blob_new(m->plain, m->len, m->type, true, ret);
        m->plain = NULL;
    }
    free_maker(m);
    return rc;
}

/* ---- Unpacking ---- */

struct unpacker {
    struct http_blob *blob;
    z_stream z;
    size_t read; /* of the packed octets */
};

static ssize_t unpack_piece(struct unpacker *u, uint64_t pos, char *buf, size_t max)
{
    const struct http_blob *b = u->blob;
    int rc = Z_OK;

    if (pos != u->z.total_out)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    u->z.next_out = (Bytef *)buf;
    u->z.avail_out = (uInt)(max < SEND_STEP ? max : SEND_STEP);
    while (u->z.avail_out && rc == Z_OK) {
        if (!u->z.avail_in && u->read < b->packed_len) {
            size_t n = b->packed_len - u->read;

            n = n < SEND_STEP ? n : SEND_STEP;
            u->z.next_in = (z_const Bytef *)b->packed + u->read;
            u->z.avail_in = (uInt)n;
            u->read += n;
        }
        rc = inflate(&u->z, Z_NO_FLUSH);
    }
    if (u->z.total_out > pos)
        return (ssize_t)(u->z.total_out - pos);
    return rc == Z_STREAM_END ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* libmicrohttpd asks from the first octet to the last. */
static ssize_t unpack(void *cls, uint64_t pos, char *buf, size_t max)
{
    ssize_t n;

    http_round_begin(NULL);
    n = unpack_piece(cls, pos, buf, max);
    http_round_end();
    return n;
}

static void free_unpacker(void *cls)
{
    struct unpacker *u = cls;

    inflateEnd(&u->z);
    http_blob_unref(u->blob);
    free(u);
}

static enum MHD_Result copy_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    if (strcmp(name, MHD_HTTP_HEADER_CONTENT_ENCODING) != 0)
        MHD_add_response_header(cls, name, value);
    return MHD_YES;
}

struct MHD_Response *http_blob_unpacked(const struct http_blob *b)
{
    struct unpacker *u = calloc(1, sizeof *u);
    struct MHD_Response *r;

    if (!u || inflateInit2(&u->z, 15 + 16) != Z_OK) {
        free(u);
        return NULL;
    }
    u->blob = http_blob_ref((struct http_blob *)b);
    r = MHD_create_response_from_callback(b->len, SEND_STEP, unpack, u, free_unpacker);
    if (r)
        MHD_get_response_headers(b->gzip, copy_header, r);
    else
        free_unpacker(u);
    return r;
}
