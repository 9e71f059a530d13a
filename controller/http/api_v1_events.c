/* /api/v1/events: an answer that goes on. */
#include "controller/events.h"
#include "controller/gate.h"
#include "controller/http/api.h"

void http_events(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter none;

    if (api_filter(c, rq, 0, &none))
        events_join(c->events, rq, gate_http_actor(rq)->who.role >= ACCESS_OPERATOR);
}
