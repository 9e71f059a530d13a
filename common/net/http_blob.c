#include "common/net/http_blob.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include "common/net/http_text.h"

#define GZIP_LEVEL 4 /* pages are compressed for every change: half the time of 6 for a tenth more octets */
#define GZIP_MIN_LEN 512 /* below a packet there is nothing to win */

/* ---- Compression ---- */

static bool compress_all(z_stream *z, const char *data, size_t len, unsigned char *out, size_t cap)
{
    z->next_in = (z_const Bytef *)data;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)cap;
    return deflate(z, Z_FINISH) == Z_STREAM_END;
}

/* NULL: not worth it, or no memory. Either way the plain bytes do. */
static unsigned char *gzip_bytes(const char *data, size_t len, size_t *ret_len)
{
    z_stream z = { 0 };
    unsigned char *out = NULL;

    if (len < GZIP_MIN_LEN || len > UINT_MAX)
        return NULL;
    if (deflateInit2(&z, len < HTTP_LARGE ? GZIP_LEVEL : HTTP_GZIP_LEVEL_LARGE, Z_DEFLATED, 15 + 16 /* gzip header */, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    out = malloc(len); /* no larger: then it would not be worth it */
    if (out && compress_all(&z, data, len, out, len)) {
        unsigned char *less = realloc(out, z.total_out);
        *ret_len = z.total_out;
        out = less ? less : out;
    } else {
        free(out);
        out = NULL;
    }
    deflateEnd(&z);
    return out;
}

/* ---- Responses ---- */

static bool add_headers(struct MHD_Response *r, const char *type, bool vary, bool gzip)
{
    return MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
           MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
           MHD_add_response_header(r, "X-Content-Type-Options", "nosniff") == MHD_YES &&
           MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin") == MHD_YES &&
           (!vary || MHD_add_response_header(r, MHD_HTTP_HEADER_VARY, "Accept-Encoding") == MHD_YES) &&
           (!gzip || MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip") == MHD_YES);
}

/* Takes data whether it succeeds or not, unless that is to stay. */
static struct MHD_Response *make_response(void *data, size_t len, enum MHD_ResponseMemoryMode mode, const char *type,
                                          bool vary, bool gzip)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, data, mode);

    if (!r) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(data);
        return NULL;
    }
    if (!add_headers(r, type, vary, gzip)) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

/* ---- Blobs ---- */

enum tw_rc http_blob_new(char *data, size_t len, const char *type, bool gzip, struct http_blob **ret)
{
    struct http_blob *b = calloc(1, sizeof *b);
    unsigned char *small = NULL;
    size_t small_len = 0;

    if (!b) {
        free(data);
        return TW_ENOMEM;
    }
    if (gzip)
        small = gzip_bytes(data, len, &small_len);
    b->len = len;
    atomic_store(&b->refs, 1);
    b->plain = make_response(data, len, MHD_RESPMEM_MUST_FREE, type, gzip, false);
    if (small)
        b->gzip = make_response(small, small_len, MHD_RESPMEM_MUST_FREE, type, gzip, true);
    if (!b->plain) {
        http_blob_unref(b);
        return TW_ENOMEM;
    }
    *ret = b;
    return TW_OK;
}

enum tw_rc http_blob_of_packed(void *gzip, size_t gzip_len, size_t len, const char *type, struct http_blob **ret)
{
    struct http_blob *b = calloc(1, sizeof *b);

    if (!b) {
        free(gzip);
        return TW_ENOMEM;
    }
    b->len = len;
    b->packed = gzip;
    b->packed_len = gzip_len;
    atomic_store(&b->refs, 1);
    b->gzip = make_response(gzip, gzip_len, MHD_RESPMEM_MUST_FREE, type, true, true);
    if (!b->gzip) {
        http_blob_unref(b);
        return TW_ENOMEM;
    }
    *ret = b;
    return TW_OK;
}

/* NULL: it is not what was said. */
static char *gunzip_bytes(const void *gzip, size_t gzip_len, size_t len)
{
    z_stream z = { 0 };
    char *out = malloc(len + 1); /* one more shows that there is more */
    bool good = out && gzip_len <= UINT_MAX && len < UINT_MAX && inflateInit2(&z, 15 + 16) == Z_OK;

    if (good) {
        z.next_in = (z_const Bytef *)gzip;
        z.avail_in = (uInt)gzip_len;
        z.next_out = (Bytef *)out;
        z.avail_out = (uInt)(len + 1);
        good = inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == len && !z.avail_in;
        inflateEnd(&z);
    }
    if (!good) {
        free(out);
        return NULL;
    }
    return out;
}

enum tw_rc http_blob_packed(const void *gzip, size_t gzip_len, size_t len, const char *type, struct http_blob **ret)
{
    struct http_blob *b = calloc(1, sizeof *b);
    char *plain = b ? gunzip_bytes(gzip, gzip_len, len) : NULL;

    if (!plain) {
        enum tw_rc rc = b ? TW_EINVAL : TW_ENOMEM;

        free(b);
        return rc;
    }
    b->len = len;
    atomic_store(&b->refs, 1);
    b->plain = make_response(plain, len, MHD_RESPMEM_MUST_FREE, type, true, false);
    b->gzip = make_response((void *)gzip, gzip_len, MHD_RESPMEM_PERSISTENT, type, true, true);
    if (!b->plain || !b->gzip) {
        http_blob_unref(b);
        return TW_ENOMEM;
    }
    *ret = b;
    return TW_OK;
}

static void set_header(struct MHD_Response *r, const char *name, const char *value)
{
    const char *old = r ? MHD_get_response_header(r, name) : NULL;

    if (old)
        MHD_del_response_header(r, name, old);
    if (r)
        MHD_add_response_header(r, name, value);
}

void http_blob_header(struct http_blob *b, const char *name, const char *value)
{
    set_header(b->plain, name, value);
    set_header(b->gzip, name, value);
    set_header(b->unchanged, name, value);
}

static enum MHD_Result copy_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_TYPE) != 0 &&
        strcasecmp(name, MHD_HTTP_HEADER_CONTENT_ENCODING) != 0) /* there is no content */
        set_header(cls, name, value);
    return MHD_YES;
}

enum tw_rc http_blob_tag(struct http_blob *b, const char *tag)
{
    char value[128];

    b->tag = strdup(tag);
    b->unchanged = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!b->tag || !b->unchanged)
        return TW_ENOMEM;
    MHD_get_response_headers(b->plain ? b->plain : b->gzip, copy_header, b->unchanged);
    snprintf(value, sizeof value, "W/\"%s\"", tag); /* weak: the same one for plain and packed octets */
    http_blob_header(b, MHD_HTTP_HEADER_ETAG, value);
    return TW_OK;
}

bool http_blob_is_known(const struct http_blob *b, const char *if_none_match)
{
    return b->unchanged && b->tag && http_has_tag(if_none_match, b->tag);
}

struct MHD_Response *http_blob_unchanged(const struct http_blob *b)
{
    return b->unchanged;
}

struct http_blob *http_blob_ref(struct http_blob *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void http_blob_unref(struct http_blob *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    if (b->plain)
        MHD_destroy_response(b->plain);
    if (b->gzip)
        MHD_destroy_response(b->gzip);
    if (b->unchanged)
        MHD_destroy_response(b->unchanged);
    free(b->tag);
    free(b);
}

size_t http_blob_len(const struct http_blob *b)
{
    return b->len;
}

struct MHD_Response *http_blob_response(const struct http_blob *b, bool gzip)
{
    return gzip && b->gzip ? b->gzip : b->plain;
}
