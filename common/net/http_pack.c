/* Blobs that are made piece by piece, and kept compressed only when they are large. Who does not take them so
 * gets them unpacked on the way out, by libmicrohttpd's threads. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "common/net/http_blob.h"

#define OUT_STEP ((size_t)1 << 20)
#define SEND_STEP ((size_t)64 << 10)

struct http_maker {
    char *type;
    char *plain; /* while it is small */
    size_t len, plain_cap;
    bool packing, bad;
    z_stream z;
    unsigned char *out;
    size_t out_cap;
};

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
static void pack(struct http_maker *m, const char *p, size_t len, int flush)
{
    int rc;

    m->z.next_in = (z_const Bytef *)p;
    m->z.avail_in = (uInt)len;
    do {
        size_t done = m->z.total_out;

        if (m->bad || (done == m->out_cap && !make_room(m))) {
            m->bad = true;
            return;
        }
        m->z.next_out = m->out + done;
        m->z.avail_out = (uInt)(m->out_cap - done < OUT_STEP ? m->out_cap - done : OUT_STEP);
        rc = deflate(&m->z, flush);
    } while (m->z.avail_in || (flush == Z_FINISH ? rc != Z_STREAM_END : !m->z.avail_out));
}

static void begin_packing(struct http_maker *m)
{
    m->packing =
        deflateInit2(&m->z, HTTP_GZIP_LEVEL_LARGE, Z_DEFLATED, 15 + 16 /* gzip header */, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    m->bad |= !m->packing;
    if (m->bad)
        return;
    pack(m, m->plain, m->len, Z_NO_FLUSH);
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
    pack(m, p, len, Z_NO_FLUSH);
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

enum tw_rc http_maker_end(struct http_maker *m, struct http_blob **ret)
{
    enum tw_rc rc = TW_ENOMEM;

    if (m->packing && !m->bad)
        pack(m, NULL, 0, Z_FINISH);
    if (!m->bad && m->packing) {
        unsigned char *less = realloc(m->out, m->z.total_out);

        m->out = less ? less : m->out;
        rc = http_blob_of_packed(m->out, m->z.total_out, m->len, m->type, ret);
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

/* libmicrohttpd asks from the first octet to the last. */
static ssize_t unpack(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct unpacker *u = cls;
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
