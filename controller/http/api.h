/* controller/http/api.h - what the handlers of /api/v1 share. Handlers run on the loop thread with the controller as context. */
#ifndef TW_CONTROLLER_HTTP_API_H
#define TW_CONTROLLER_HTTP_API_H

#include "controller/controller.h"
#include "controller/http/json_stats.h"
#include "controller/maintenance.h"
#include "controller/http/query.h"

/* Reads the query; on an error answers 400 and returns false. `known`: bits of enum query_known. */
bool api_filter(const struct controller *c, struct http_req *rq, unsigned known, struct report_filter *ret);
/* Agents that the filter's `select` means; NULL: all. TW_ENOMEM. Ended with selector_free(). */
enum tw_rc api_selector(const struct report_filter *f, struct selector **ret);
/* Answers what could not be started, or read. */
void api_refuse(struct http_req *rq, enum tw_rc rc, const struct tw_err *err);
/* {"schema": "twampmesh/NAME/v1"} */
cJSON *api_head(const char *name);
/* Member `maintenance_now`; note NULL: nothing is known of any. */
void api_maintenance(cJSON *o, const struct maintenance_note *note);
/* Answers with finished JSON (malloc'ed); NULL: 503. */
void api_answer(struct http_req *rq, char *text, size_t len);
/* The same as another type of content. */
void api_render_as(struct controller *c, struct http_req *rq, const char *type,
                   char *(*write)(const void *data, size_t *ret_len), void (*free_data)(void *data), void *data);
/* Lets a reader thread print and compress the answer; write() gives malloc'ed JSON or NULL. Takes data. */
void api_render(struct controller *c, struct http_req *rq, char *(*write)(const void *data, size_t *ret_len),
                void (*free_data)(void *data), void *data);
/* A request that waits for a report; malloc'ed. NULL: no memory, answered. */
struct api_wait {
    struct controller *c;
    struct http_req *rq;
    struct report_filter filter;
};
struct api_wait *api_wait_new(struct controller *c, struct http_req *rq, const struct report_filter *f);

/* What the OpenAPI document says of a route that has a handler of its own (http_route.data). */
struct api_doc {
    unsigned known;     /* its parameters: bits of enum query_known */
    const char *schema; /* of its answer: a file of docs/schema */
    const char *request; /* of its content; NULL: it has none */
};
/* A method of the Admin service; http_route.data is its name. */
void http_admin(void *ctx, struct http_req *rq);
/* Number of the method that the row names; -1: there is none. */
int api_admin_method(const struct http_route *route);

void http_openapi(void *ctx, struct http_req *rq);
void http_schema(void *ctx, struct http_req *rq);
/* The document for these routes. */
cJSON *api_openapi(const struct http_route *routes, size_t n);
/* A file of docs/schema as it was when this was built; NULL: there is none. */
const char *api_schema_file(const char *name, size_t *ret_len);

void http_metrics(void *ctx, struct http_req *rq);
void http_healthz(void *ctx, struct http_req *rq);
void http_readyz(void *ctx, struct http_req *rq);
void http_agents(void *ctx, struct http_req *rq);
void http_pairs(void *ctx, struct http_req *rq);
void http_summaries(void *ctx, struct http_req *rq);
void http_report(void *ctx, struct http_req *rq);
void http_outages(void *ctx, struct http_req *rq);
void http_clock(void *ctx, struct http_req *rq);
void http_flight(void *ctx, struct http_req *rq);
void http_frozen(void *ctx, struct http_req *rq);
void http_matrix(void *ctx, struct http_req *rq);
void http_series(void *ctx, struct http_req *rq);
void http_timeline(void *ctx, struct http_req *rq);
void http_events(void *ctx, struct http_req *rq);
void http_sd(void *ctx, struct http_req *rq);

#endif
