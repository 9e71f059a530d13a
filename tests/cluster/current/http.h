/* tests/cluster/current/http.h - ClickHouse's HTTP interface, as far as our client and the tests use it: GET
 * and POST of "/", the statement in `query`, in the body, or one behind the other; `database`, settings and
 * `param_*` in the URL; users by headers; what went wrong as a status and as text, also within an answer that
 * has begun; "/ping". What is not there: sessions, compression, progress headers, basic authentication, and
 * that GET only reads. */
#ifndef TW_TEST_CURRENT_HTTP_H
#define TW_TEST_CURRENT_HTTP_H

#include "tests/cluster/current/config.h"
#include "tests/cluster/current/engine.h"

struct http;
/* At all addresses and ports of *c. Both must outlive it. Exits with a message if it cannot. */
struct http *http_start(const struct config *c, struct engine *e);
void http_stop(struct http *h);

#endif
