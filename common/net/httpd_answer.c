#include "common/net/httpd_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "common/net/http_blob.h"
#include "common/net/http_stream.h"
#include "common/net/http_text.h"

void http_count_status(struct httpd *h, unsigned status)
{
    if (status >= 500)
        atomic_fetch_add(&h->errors_5xx, 1);
    else if (status >= 400)
        atomic_fetch_add(&h->errors_4xx, 1);
}

void http_finish(struct http_req *rq, unsigned status, struct http_blob *b)
{
    if (rq->answered) { /* by httpd_stop(): rq->h is gone */
        http_blob_unref(b);
        http_req_unref(rq);
        return;
    }
    DL_DELETE(rq->h->pending, rq);
    http_count_status(rq->h, status);
    rq->status = status;
    rq->blob = b;
    rq->answered = true;
    MHD_resume_connection(rq->conn);
    http_req_unref(rq);
}

void http_answer_blob(struct http_req *rq, unsigned status, struct http_blob *b)
{
    if (status == MHD_HTTP_OK && http_blob_is_known(b, http_header(rq, MHD_HTTP_HEADER_IF_NONE_MATCH)))
        status = MHD_HTTP_NOT_MODIFIED;
    http_finish(rq, status, http_blob_ref(b));
}

void http_answer(struct http_req *rq, unsigned status, const char *type, char *data, size_t len)
{
    struct http_blob *b = NULL;

    if (http_blob_new(data, len, type, false, &b))
        status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    http_finish(rq, status, b);
}

static enum tw_rc answer_stream(struct http_req *rq, struct http_stream *s, struct http_stream **ret)
{
    if (rq->answered) {
        http_finish(rq, MHD_HTTP_OK, NULL); /* lets go of it */
        return TW_ECLOSED;
    }
    if (!s) {
        http_answer_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
        return TW_ENOMEM;
    }
    atomic_fetch_add(&s->refs, 1); /* the request's, since it outlives the response */
    rq->stream = s;
    memcpy(s->note, rq->note, sizeof s->note);
    s->h = rq->h;
    DL_APPEND(s->h->streams, s);
    *ret = s; /* before anybody takes of it */
    http_finish(rq, MHD_HTTP_OK, NULL);
    return TW_OK;
}

enum tw_rc http_answer_stream(struct http_req *rq, const char *type, const char *data, size_t len,
                              struct http_stream **ret)
{
    return answer_stream(rq, rq->answered ? NULL : http_stream_new(type, data, len, false), ret);
}

enum tw_rc http_answer_pieces(struct http_req *rq, const char *type, const char *data, size_t len,
                              struct loop_task *taken, struct http_stream **ret)
{
    struct http_stream *s = rq->answered ? NULL : http_stream_new(type, data, len, true);

    if (s) {
        s->loop = rq->h->loop;
        s->taken = taken;
    }
    return answer_stream(rq, s, ret);
}

void http_end_stream(struct http_stream *s)
{
    if (s->h)
        DL_DELETE(s->h->streams, s);
    s->h = NULL;
    http_stream_end(s);
}

void http_stream_close(struct http_stream *s)
{
    http_stream_forget_task(s);
    http_end_stream(s);
    http_stream_unref(s);
}

void http_stream_abort(struct http_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->aborted = true;
    pthread_mutex_unlock(&s->lock);
    http_stream_close(s);
}

struct http_blob *http_error_blob(const char *text)
{
    struct http_blob *b = NULL;
    size_t len;
    char *json = http_error_json(text, &len);

    if (json)
        http_blob_new(json, len, "application/json", false, &b);
    return b;
}

/* header NULL: none besides the usual ones. */
static void refuse(struct http_req *rq, unsigned status, const char *header, const char *value,
                   const char *fmt, va_list ap) __attribute__((format(printf, 5, 0)));
static void refuse(struct http_req *rq, unsigned status, const char *header, const char *value,
                   const char *fmt, va_list ap)
{
    char text[1024];
    struct http_blob *b;

    vsnprintf(text, sizeof text, fmt, ap);
    b = http_error_blob(text);
    if (b && header)
        http_blob_header(b, header, value);
    http_finish(rq, status, b);
}

void http_answer_error(struct http_req *rq, unsigned status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    refuse(rq, status, NULL, NULL, fmt, ap);
    va_end(ap);
}

void http_answer_refusal(struct http_req *rq, unsigned status, const char *header, const char *value,
                         const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    refuse(rq, status, header, value, fmt, ap);
    va_end(ap);
}

void httpd_sweep(struct httpd *h, bool (*keep)(void *ctx, const void *note), void *ctx)
{
    for (struct http_stream *s = h->streams; s; s = s->next)
        if (!s->aborted && !keep(ctx, s->note)) /* else it is on its way out */
            http_stream_cut(s);
}

void http_index(void *ctx, struct http_req *rq)
{
    (void)ctx;
    http_answer_blob(rq, MHD_HTTP_OK, rq->h->index);
}

void http_answer_later(struct http_req *rq, unsigned seconds, const char *fmt, ...)
{
    char after[16];
    va_list ap;

    snprintf(after, sizeof after, "%u", seconds);
    va_start(ap, fmt);
    refuse(rq, MHD_HTTP_SERVICE_UNAVAILABLE, MHD_HTTP_HEADER_RETRY_AFTER, after, fmt, ap);
    va_end(ap);
}
