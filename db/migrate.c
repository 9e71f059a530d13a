#include "db/migrate.h"

#include <curl/curl.h>
#include <stdio.h>
#include <unistd.h>
#include "db/sqlite/history.h"
#include "db/http_location.h"
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

/* ---- Control state ---- */

/* A second name of the same file, which is never written again; in place of one that a controller left which
 * was started too early. */
static enum tw_rc keep_owner(const char *path, const char *mirror, struct tw_err *err)
{
    char from[4200], to[4200], tmp[4208];

    snprintf(from, sizeof from, "%s.history-owner", path);
    snprintf(to, sizeof to, "%s.history-owner", mirror);
    snprintf(tmp, sizeof tmp, "%s.new", to);
    unlink(tmp);
    if (access(from, F_OK)) /* no history of a database of its own yet */
        return TW_OK;
    if (link(from, tmp) || rename(tmp, to))
        return sq_path_fail(to, err);
    unlink(tmp); /* of two names of one file rename() takes neither away */
    return TW_OK;
}

static enum tw_rc fill(const struct mirror_fill_conf *conf, const char *control, struct mirror_filled *ret,
                       struct tw_err *err)
{
    struct mirror_fill_conf all = *conf;
    struct http_location at;
    enum tw_rc rc = store_where_shared(control, &at, err);

    if (rc)
        return rc;
    all.mirror.at = &at;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = mirror_fill(&all, ret, err);
    curl_global_cleanup();
    return rc;
}

enum tw_rc migrate_control(const char *path, const char *control, const char *mirror,
                           bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                           struct mirror_filled *ret, struct tw_err *err)
{
    char file[4200];
    struct mirror_fill_conf conf = {
        .mirror = { .file = file }, .from = path, .progress = progress, .ctx = ctx
    };
    int lock = -1;
    enum tw_rc rc = access(path, R_OK) ? sq_path_fail(path, err) : store_lock(path, &lock, err);

    snprintf(file, sizeof file, "%s.filling", mirror);
    *ret = (struct mirror_filled){ .rows = 0 };
    if (!rc)
        rc = fill(&conf, control, ret, err);
    if (!rc)
        rc = keep_owner(path, mirror, err);
    if (lock >= 0)
        close(lock);
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
