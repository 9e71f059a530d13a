#include "controller/http/page.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "controller/http/api.h"

#define FILE_MAX ((size_t)16 << 20) /* of --web-root */
#define NAME_MAX_LEN 256

/* Nothing from elsewhere, nothing inline, in nobody's frame. */
#define POLICY                                                                                          \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src " \
    "'self'; "                                                                                          \
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
/* By HTTPS for the next 30 days, whatever somebody types: long enough for who comes often, short enough to go back. Browsers take it for names, not for
 * addresses, and for all ports of the name. */
#define STRICT_TRANSPORT "max-age=2592000"

struct page {
    const char *root;
    bool secure;              /* served by HTTPS */
    struct http_blob **files; /* page_files_n of them, unless there is a root */
};

static const struct {
    const char *end, *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".woff2", "font/woff2" },
    { ".json", "application/json" },
    { ".map", "application/json" },
    { ".txt", "text/plain; charset=utf-8" },
};

const char *page_type(const char *name)
{
    const char *end = strrchr(name, '.');

    for (size_t i = 0; end && i < TW_NELEM(types); i++)
        if (!strcmp(types[i].end, end))
            return types[i].type;
    return "application/octet-stream";
}

/* What is under assets/ has a digest of its content in its name. */
static bool never_changes(const char *name)
{
    return !strncmp(name, "assets/", 7);
}

static void add_headers(const struct page *p, struct http_blob *b, const char *cache)
{
    http_blob_header(b, "Cache-Control", cache);
    http_blob_header(b, "Content-Security-Policy", POLICY);
    http_blob_header(b, "Referrer-Policy", "no-referrer");
    http_blob_header(b, "X-Frame-Options", "DENY"); /* for browsers that do not know frame-ancestors */
    if (!p->secure)
        return;
    /* Over plain HTTP browsers take neither, and complain of the first. */
    http_blob_header(b, "Cross-Origin-Opener-Policy", "same-origin");
    http_blob_header(b, "Strict-Transport-Security", STRICT_TRANSPORT);
}

/* ---- Files inside the program ---- */

static enum tw_rc make_blob(const struct page *p, const struct page_file *f, struct http_blob **ret)
{
    enum tw_rc rc =
        http_blob_packed(f->gzip, (size_t)(f->gzip_end - f->gzip), f->len, page_type(f->name), ret);

    if (rc != TW_OK)
        return rc;
    add_headers(p, *ret, never_changes(f->name) ? "public, max-age=31536000, immutable" : "no-cache");
    return http_blob_tag(*ret, f->digest);
}

static enum tw_rc make_blobs(struct page *p, struct tw_err *err)
{
    p->files = calloc(page_files_n, sizeof(struct http_blob *));
    if (!p->files)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < page_files_n; i++) {
        enum tw_rc rc = make_blob(p, &page_files[i], &p->files[i]);

        if (rc != TW_OK)
            return tw_err_set(err, rc, "the page's %s cannot be unpacked: %s", page_files[i].name,
                              tw_rc_name(rc));
    }
    return TW_OK;
}

static void answer_inside(struct page *p, struct http_req *rq, const char *name)
{
    for (size_t i = 0; i < page_files_n; i++)
        if (!strcmp(page_files[i].name, name)) {
            http_answer_blob(rq, 200, p->files[i]);
            return;
        }
    http_answer_error(rq, 404, "the page has no such file; / is the page");
}

/* ---- Files of a directory ---- */

struct file_job {
    struct reader_job job; /* first */
    struct http_req *rq;
    const struct page *page;
    char name[NAME_MAX_LEN], path[4096 + NAME_MAX_LEN];
    int error;
    struct http_blob *blob;
};

static int read_all(int fd, char *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = read(fd, data + at, len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? errno : EIO; /* it got shorter meanwhile */
        at += (size_t)n;
    }
    return 0;
}

static int read_file(const char *path, char **ret, size_t *ret_len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), e = 0;
    char *data = NULL;

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) < 0)
        e = errno;
    else if (!S_ISREG(st.st_mode))
        e = ENOENT;
    else if ((size_t)st.st_size > FILE_MAX)
        e = EFBIG;
    else if (!(data = malloc((size_t)st.st_size + 1)))
        e = ENOMEM;
    else
        e = read_all(fd, data, (size_t)st.st_size);
    close(fd);
    if (e) {
        free(data);
        return e;
    }
    *ret = data;
    *ret_len = (size_t)st.st_size;
    return 0;
}

static void file_work(struct reader_job *job, struct store_reader *db)
{
    struct file_job *j = (struct file_job *)job;
    char *data = NULL;
    size_t len = 0;

    (void)db;
    j->error = read_file(j->path, &data, &len);
    if (j->error)
        return;
    if (http_blob_new(data, len, page_type(j->name), true, &j->blob) != TW_OK)
        j->error = ENOMEM;
    else
        add_headers(j->page, j->blob, "no-cache");
}

static void file_done(struct reader_job *job)
{
    struct file_job *j = (struct file_job *)job;

    if (!j->error)
        http_answer_blob(j->rq, 200, j->blob);
    else if (j->error == ENOENT || j->error == ELOOP)
        http_answer_error(j->rq, 404, "the page has no such file: %s", j->path);
    else
        http_answer_error(j->rq, 503, "cannot read %s: %s", j->path, strerror(j->error));
    http_blob_unref(j->blob);
    free(j);
}

/* No way out of the directory, nothing hidden. */
static bool is_plain(const char *name)
{
    const char *last = strrchr(name, '/');

    return *name != '.' && (last ? last[1] != '.' : true);
}

static void answer_file(struct page *p, struct reader_pool *readers, struct http_req *rq, const char *name)
{
    struct file_job *j = NULL;
    enum tw_rc rc = TW_ENOMEM;

    if (!is_plain(name)) {
        http_answer_error(rq, 404, "the page has no such file");
        return;
    }
    j = calloc(1, sizeof *j);
    if (j) {
        j->job = (struct reader_job){ .run = file_work, .done = file_done };
        j->rq = rq;
        j->page = p;
        snprintf(j->name, sizeof j->name, "%s", name);
        snprintf(j->path, sizeof j->path, "%s/%s", p->root, name);
        rc = reader_submit(readers, &j->job);
    }
    if (rc == TW_OK)
        return;
    api_refuse(rq, rc, NULL);
    free(j);
}

/* ---- */

void page_answer(struct page *p, struct reader_pool *readers, struct http_req *rq, const char *name)
{
    if (p->root)
        answer_file(p, readers, rq, name);
    else
        answer_inside(p, rq, name);
}

enum tw_rc page_new(const char *root, bool secure, struct page **ret, struct tw_err *err)
{
    struct page *p = calloc(1, sizeof *p);
    enum tw_rc rc = TW_OK;

    if (!p)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    p->root = root;
    p->secure = secure;
    if (!root)
        rc = make_blobs(p, err);
    else if (strlen(root) > 4000)
        rc = tw_err_set(err, TW_EINVAL, "the path of --web-root is too long");
    if (rc == TW_OK)
        *ret = p;
    else
        page_free(p);
    return rc;
}

void page_free(struct page *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->files && i < page_files_n; i++)
        http_blob_unref(p->files[i]);
    free(p->files);
    free(p);
}

void http_page(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    const char *path = http_route_of(rq)->path, *file = http_path(rq, "file");
    char name[NAME_MAX_LEN];

    if (snprintf(name, sizeof name, "%s%s", file ? "assets/" : "",
                 file      ? file
                 : path[1] ? path + 1
                           : "index.html") >= (int)sizeof name)
        http_answer_error(rq, 404, "the page has no such file: its name is too long");
    else
        page_answer(c->page, c->readers, rq, name);
}
