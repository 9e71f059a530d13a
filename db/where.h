/* db/where.h - where a store is: its control state in an SQLite file, and its history in that file too, or in
 * a database of its own. The one place that knows which databases there are (db/history.h).
 * curl_global_init() before opening. */
#ifndef TW_DB_WHERE_H
#define TW_DB_WHERE_H

#include "db/store.h"

struct history_ops;

struct store_where {
    const char *control; /* PATH */
    const char *history; /* SCHEME://..., see docs/scaling.md; NULL: in the control state's file */
    /* SCHEME://..., where the control state is that several controllers share; PATH is then a mirror of it,
     * and is emptied. NULL: PATH is all there is. */
    const char *shared;
    /* history_conf.maintainer: who rolls up and deletes in a history that is shared, too. */
    int64_t (*maintainer)(void *ctx);
    void *ctx;
};

/* Is that how a history's location is written? Nothing is asked or read. TW_EINVAL: *err says what was
 * expected; what may be a secret is not in it. */
enum tw_rc store_where_check(const char *history, struct tw_err *err);
/* The same of a shared control state's; history may be NULL: that is wrong with it, too. */
enum tw_rc store_where_check_shared(const char *shared, const char *history, struct tw_err *err);
struct holder;
/* Starts to hold a role of that shared control state, or to wait for it (etcd/holder.h). */
enum tw_rc store_where_hold(const char *shared, const char *role, const char *name, int64_t lease_ns,
                            struct holder **ret, struct tw_err *err);
struct presence;
struct presence_conf;
/* Says that we are there to others of that shared control state, and hears of them (etcd/presence.h; conf->at
 * is not read). */
enum tw_rc store_where_presence(const char *shared, const struct presence_conf *conf, struct presence **ret,
                                struct tw_err *err);
/* As store_open(). A history whose servers cannot be reached is no error: it is opened when they can be, by
 * store_look_history() or the first transaction that needs it; one that is of a newer program is. Takes up to
 * some seconds for each of its servers. */
/* Shared control state is read, so its servers have to answer; later they may be away. */
/* The history is this control state's alone: PATH.history-owner has the number by which its database knows
 * that. TW_EINUSE: it is another one's. */
enum tw_rc store_open_at(const struct store_where *w, struct store **ret, struct tw_err *err);
/* Which database a history's location is of, and what its operations call the location. TW_EINVAL. */
enum tw_rc store_where_find(const char *history, const struct history_ops **ret, const char **ret_location,
                            struct tw_err *err);
/* The number in PATH.history-owner, which is made if it is not there. */
enum tw_rc store_where_owner(const char *control, uint64_t *ret, struct tw_err *err);
/* What a shared control state's location is. TW_EINVAL. */
struct http_location;
enum tw_rc store_where_shared(const char *shared, struct http_location *ret, struct tw_err *err);
/* As store_reader_open(): of a history elsewhere nothing is asked yet. */
enum tw_rc store_reader_open_at(const struct store_where *w, struct store_reader **ret, struct tw_err *err);

#endif
