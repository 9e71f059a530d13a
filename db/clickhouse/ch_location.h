/* db/clickhouse/ch_location.h - where ClickHouse is, as an operator writes it (db/http_location.h):
 *     HOST[:PORT][,HOST[:PORT]...]/DATABASE[?KEY=VALUE[&KEY=VALUE...]]
 * with two keys more: cluster=NAME, one that the servers know, and quorum=N, on how many of its replicas what
 * is written must be before it is confirmed. Unless said: on two, or on the one that is there. Pure. */
#ifndef TW_DB_CH_LOCATION_H
#define TW_DB_CH_LOCATION_H

#include "db/clickhouse/ch_http.h"
#include "db/http_location.h"

struct ch_location {
    struct ch_http_cfg http; /* its texts are in `said`; no database: statements name it */
    const char *cluster;     /* NULL: tables are one server's */
    unsigned quorum;         /* 0: not said */
    const char *database;    /* letters, digits and _: needs no quotes */
    struct http_location said;
};
/* TW_EINVAL: *err says what was expected, and *ret is not to be used. */
enum tw_rc ch_location_parse(const char *text, struct ch_location *ret, struct tw_err *err);
/* Is it one? */
enum tw_rc ch_location_check(const char *text, struct tw_err *err);

#endif
