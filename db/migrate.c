#include "db/migrate.h"

#include <curl/curl.h>
#include <unistd.h>
#include "db/sqlite/history.h"
#include "db/store_priv.h"
#include "db/where.h"

struct way {
    struct carry_conf conf;
    int lock;
};

static enum tw_rc begin(const struct migrate_conf *conf, struct way *ret, struct tw_err *err)
{
    enum tw_rc rc;

    *ret = (struct way){ .lock = -1 };
    ret->conf = (struct carry_conf){
        .from_ops = &sqlite_history, .from = conf->path, .progress = conf->progress, .ctx = conf->ctx
    };
    rc = store_where_check(conf->history, err);
    if (!rc)
        rc = store_where_find(conf->history, &ret->conf.to_ops, &ret->conf.to, err);
    if (!rc && access(conf->path, R_OK)) /* before any word of a lock */
        rc = sq_path_fail(conf->path, err);
    return rc ? rc : store_lock(conf->path, &ret->lock, err);
}

static void end(struct way *w)
{
    if (w->lock >= 0)
        close(w->lock);
}

enum tw_rc migrate_history(const struct migrate_conf *conf, struct carry_report *ret, struct tw_err *err)
{
    struct way w;
    enum tw_rc rc = begin(conf, &w, err);

    *ret = (struct carry_report){ .n = 0 };
    if (!rc)
        rc = store_where_owner(conf->path, &w.conf.owner, err);
    if (!rc) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        rc = carry_history(&w.conf, ret, err);
        curl_global_cleanup();
    }
    end(&w);
    return rc;
}

enum tw_rc migrate_look(const struct migrate_conf *conf, struct carry_report *ret, double *ret_rate,
                        struct tw_err *err)
{
    struct way w;
    enum tw_rc rc = begin(conf, &w, err);

    *ret_rate = 0;
    *ret = (struct carry_report){ .n = 0 };
    if (!rc)
        rc = carry_look(&w.conf, ret, ret_rate, err);
    end(&w);
    return rc;
}
