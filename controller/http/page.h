/* controller/http/page.h - the dashboard: files that this program has inside, packed, or for who works on
 * them those of a directory. */
#ifndef TW_CONTROLLER_HTTP_PAGE_H
#define TW_CONTROLLER_HTTP_PAGE_H

#include "common/net/httpd.h"

struct reader_pool;

/* Of controller/web/dist as it was when this was built; made by controller/web/embed.cmake. */
struct page_file {
    const char *name;   /* "index.html", "assets/index-1a2b.js" */
    const char *digest; /* of its content, hexadecimal */
    size_t len;         /* unpacked */
    const unsigned char *gzip, *gzip_end;
};
extern const struct page_file page_files[];
extern const size_t page_files_n;

struct page;
/* root: serve the files of this directory as they are at each request, instead of those inside; NULL: those
 * inside. Not copied. secure: it is served by HTTPS, and browsers are told to come by nothing else. */
enum tw_rc page_new(const char *root, bool secure, struct page **ret, struct tw_err *err);
/* After httpd_stop() and reader_pool_stop(). */
void page_free(struct page *p);
/* Answers with a file; 404 if there is none. Loop thread; files of a directory are read on a reader. */
void page_answer(struct page *p, struct reader_pool *readers, struct http_req *rq, const char *name);
/* By the end of its name. */
const char *page_type(const char *name);

/* "/", "/favicon.svg", "/assets/{file}"; the context is the controller. */
void http_page(void *ctx, struct http_req *rq);

#endif
