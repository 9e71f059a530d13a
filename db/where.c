#include "db/where.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "db/clickhouse/ch_history.h"
#include "db/clickhouse/ch_location.h"
#include "common/clk.h"
#include "db/etcd/holder.h"
#include "db/etcd/mirror.h"
#include "db/etcd/number.h"
#include "db/etcd/presence.h"
#include "db/store_priv.h"

/* Those of databases of their own; a location is SCHEME://REST. */
static const struct database {
    const struct history_ops *ops;
    enum tw_rc (*check)(const char *rest, struct tw_err *err);
} databases[] = {
    { &clickhouse_history, ch_location_check },
};

static enum tw_rc find(const char *history, const struct database **ret, const char **ret_rest,
                       struct tw_err *err)
{
    const char *mark = strstr(history, "://");

    for (size_t i = 0; mark && i < TW_NELEM(databases); i++) {
        const char *scheme = databases[i].ops->scheme;
        if (strlen(scheme) == (size_t)(mark - history) && !strncmp(history, scheme, strlen(scheme))) {
            *ret = &databases[i];
            *ret_rest = mark + 3;
            return TW_OK;
        }
    }
    return tw_err_set(err, TW_EINVAL,
                      "expected %s://HOST[:PORT]/DATABASE, or nothing for the database in --data-dir",
                      databases[0].ops->scheme);
}

enum tw_rc store_where_check(const char *history, struct tw_err *err)
{
    const struct database *d;
    const char *rest;
    enum tw_rc rc = find(history, &d, &rest, err);

    return rc ? rc : d->check(rest, err);
}

/* ---- Shared control state: etcd ---- */

#define ETCD "etcd://"
#define STALL_NS (3 * TW_NS_PER_S)
#define SETTLE_NS (2 * TW_NS_PER_S)

static enum tw_rc parse_shared(const char *shared, struct http_location *ret, struct tw_err *err)
{
    if (strncmp(shared, ETCD, strlen(ETCD)) != 0)
        return tw_err_set(err, TW_EINVAL,
                          "expected " ETCD
                          "HOST[:PORT][,HOST[:PORT]...]/CLUSTER, or nothing for the database in "
                          "--data-dir");
    return http_location_parse(shared + strlen(ETCD), &etcd_location, ret, err);
}

enum tw_rc store_where_shared(const char *shared, struct http_location *ret, struct tw_err *err)
{
    return parse_shared(shared, ret, err);
}

enum tw_rc store_where_check_shared(const char *shared, const char *history, struct tw_err *err)
{
    struct http_location at;
    enum tw_rc rc = parse_shared(shared, &at, err);

    if (!rc && !history)
        rc = tw_err_set(
            err, TW_EINVAL,
            "needs --history with a database of its own: results in a file of --data-dir would know "
            "agents by numbers that all controllers give");
    return rc;
}

enum tw_rc store_where_hold(const char *shared, const char *role, const char *name, int64_t lease_ns,
                            struct holder **ret, struct tw_err *err)
{
    struct http_location at;
    enum tw_rc rc = parse_shared(shared, &at, err);

    return rc ? rc : holder_start(&(struct holder_conf){ &at, role, name, lease_ns }, ret, err);
}

enum tw_rc store_where_presence(const char *shared, const struct presence_conf *conf, struct presence **ret,
                                struct tw_err *err)
{
    struct presence_conf own = *conf;
    struct http_location at;
    enum tw_rc rc = parse_shared(shared, &at, err);

    own.at = &at;
    return rc ? rc : presence_start(&own, ret, err);
}

/* All who share the control state share the history. */
static enum tw_rc share_history(const struct store_where *w, struct history_conf *conf, struct tw_err *err)
{
    struct http_location at;
    int64_t number;
    enum tw_rc rc = parse_shared(w->shared, &at, err);

    if (!rc)
        rc = etcd_number(&at, STALL_NS, &number, err);
    if (rc)
        return rc;
    conf->cluster = (uint64_t)number;
    conf->maintainer = w->maintainer;
    conf->maintainer_ctx = w->ctx;
    return TW_OK;
}

/* The history becomes the store's, or is closed. */
static enum tw_rc open_shared(const struct store_where *w, struct history *h, struct store **ret,
                              struct tw_err *err)
{
    struct http_location at;
    enum tw_rc rc = parse_shared(w->shared, &at, err);

    if (rc) {
        h->ops->close(h);
        return rc;
    }
    return mirror_open(&(struct mirror_conf){ .at = &at,
                                              .file = w->control,
                                              .stall_ns = STALL_NS,
                                              .settle_ns = SETTLE_NS,
                                              .look_ns = TW_NS_PER_S },
                       h, ret, err);
}

/* ---- By what a database knows its controller: a number beside the control state's file ---- */

static enum tw_rc write_owner(const char *path, uint64_t *ret)
{
    FILE *f = fopen(path, "wxe");
    bool ok;

    if (!f)
        return tw_rc_errno(errno);
    do
        ok = getrandom(ret, sizeof *ret, 0) == (ssize_t)sizeof *ret;
    while (ok && !(*ret &= INT64_MAX));
    ok = ok && fprintf(f, "%" PRIu64 "\n", *ret) > 0 && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (fclose(f) || !ok) {
        remove(path);
        return TW_EIO;
    }
    return TW_OK;
}

enum tw_rc store_where_owner(const char *control, uint64_t *ret, struct tw_err *err)
{
    char path[4096];
    enum tw_rc rc = TW_OK;
    FILE *f;

    if (snprintf(path, sizeof path, "%s.history-owner", control) >= (int)sizeof path)
        return tw_err_set(err, TW_EINVAL, "%.100s...: the path is too long", control);
    f = fopen(path, "re");
    if (!f)
        rc = errno == ENOENT ? write_owner(path, ret) : tw_rc_errno(errno);
    else if (fscanf(f, "%" SCNu64, ret) != 1 || !*ret || *ret > INT64_MAX)
        rc = TW_ECORRUPT;
    if (f)
        fclose(f);
    return rc ? tw_err_set(err, rc, "%.150s, by which the history's database knows this controller: %s", path,
                           tw_rc_name(rc))
              : TW_OK;
}

enum tw_rc store_where_find(const char *history, const struct history_ops **ret, const char **ret_location,
                            struct tw_err *err)
{
    const struct database *d;
    enum tw_rc rc = find(history, &d, ret_location, err);

    if (!rc)
        *ret = d->ops;
    return rc;
}

enum tw_rc store_open_at(const struct store_where *w, struct store **ret, struct tw_err *err)
{
    struct history_conf conf = { .may_be_away = true };
    const struct database *d;
    struct history *h;
    enum tw_rc rc;

    if (!w->history && w->shared)
        return store_where_check_shared(w->shared, NULL, err);
    if (!w->history)
        return store_open(w->control, ret, err);
    rc = find(w->history, &d, &conf.location, err);
    if (!rc)
        rc = store_where_owner(w->control, &conf.owner, err);
    if (!rc && w->shared)
        rc = share_history(w, &conf, err);
    if (!rc)
        rc = d->ops->open(&conf, &h, err);
    if (rc)
        return rc;
    return w->shared ? open_shared(w, h, ret, err) : store_open_with(w->control, h, ret, err);
}

enum tw_rc store_reader_open_at(const struct store_where *w, struct store_reader **ret, struct tw_err *err)
{
    struct history_reader *r;
    struct history_conf conf = { .location = NULL };
    const struct database *d;
    enum tw_rc rc;

    if (!w->history)
        return store_reader_open(w->control, ret, err);
    rc = find(w->history, &d, &conf.location, err);
    if (!rc)
        rc = d->ops->reader_open(&conf, &r, err);
    return rc ? rc : store_reader_open_with(w->control, r, ret, err);
}
