/* agent/tool/page.c - see page.h. */
#include "agent/tool/page.h"

#include <stdlib.h>

#define PAGE_TYPE "text/plain; version=0.0.4; charset=utf-8"

static void answer(void *ctx, struct http_req *rq)
{
    struct page *p = ctx;
    struct mbuf b = { 0 };

    p->render(p->ctx, &b);
    if (b.bad) {
        free(b.p);
        http_answer_error(rq, 503, "out of memory");
        return;
    }
    http_answer(rq, 200, PAGE_TYPE, b.p, b.len);
}

enum tw_rc page_start(struct page *p, struct loop *loop, const char *address, struct tw_err *err)
{
    static const struct http_route routes[] = {
        { .path = "/metrics", .help = "Prometheus metrics", .fn = answer },
        { .path = "/", .help = "the same", .fn = answer },
    };
    struct httpd_conf conf = { .loop = loop,
                               .address = address,
                               .routes = routes,
                               .n_routes = TW_NELEM(routes),
                               .ctx = p,
                               .max_connections = 64,
                               .plaintext = true }; /* it has nothing but metrics, and twampy served them so */

    return httpd_start(&conf, &p->httpd, err);
}

void page_stop(struct page *p)
{
    if (p->httpd)
        httpd_stop(p->httpd);
    p->httpd = NULL;
}
