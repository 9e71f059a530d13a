/* agent/tool/page.h - serves one page of Prometheus text at "/metrics" and, as the Python tool did, at "/".
 * Loop thread. */
#ifndef TW_AGENT_TOOL_PAGE_H
#define TW_AGENT_TOOL_PAGE_H

#include "common/metrics_buf.h"
#include "common/net/httpd.h"

struct page {
    void (*render)(void *ctx, struct mbuf *b); /* set by the owner, with ctx */
    void *ctx;
    struct httpd *httpd;
};

/* address: "0.0.0.0:8000". The page belongs to the caller and lives until page_stop(). */
enum tw_rc page_start(struct page *p, struct loop *loop, const char *address, struct tw_err *err);
void page_stop(struct page *p);

#endif
