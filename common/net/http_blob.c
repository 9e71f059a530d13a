#include "common/net/http_blob.h"
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zlib.h>

#define GZIP_LEVEL 4 /* pages are compressed for every change: half the time of 6 for a tenth more octets */
#define GZIP_LEVEL_LARGE 2 /* a third less time again, for as many octets more: what counts where compressing takes long */
#define LARGE ((size_t)4 << 20)
#define GZIP_MIN_LEN 512 /* below a packet there is nothing to win */

struct http_blob {
    _Atomic unsigned refs;
    size_t len;
    struct MHD_Response *plain, *gzip; /* own the bytes; gzip may be NULL */
};

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
    if (deflateInit2(&z, len < LARGE ? GZIP_LEVEL : GZIP_LEVEL_LARGE, Z_DEFLATED, 15 + 16 /* gzip header */, 8, Z_DEFAULT_STRATEGY) != Z_OK)
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
           (!vary || MHD_add_response_header(r, MHD_HTTP_HEADER_VARY, "Accept-Encoding") == MHD_YES) &&
           (!gzip || MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip") == MHD_YES);
}

/* Takes data whether it succeeds or not. */
static struct MHD_Response *make_response(void *data, size_t len, const char *type, bool vary, bool gzip)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);

    if (!r) {
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
    b->plain = make_response(data, len, type, gzip, false);
    if (small)
        b->gzip = make_response(small, small_len, type, gzip, true);
    if (!b->plain) {
        http_blob_unref(b);
        return TW_ENOMEM;
    }
    *ret = b;
    return TW_OK;
}

void http_blob_header(struct http_blob *b, const char *name, const char *value)
{
    MHD_add_response_header(b->plain, name, value);
    if (b->gzip)
        MHD_add_response_header(b->gzip, name, value);
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
