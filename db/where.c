#include "db/where.h"

#include <string.h>
#include "db/clickhouse/ch_history.h"
#include "db/clickhouse/ch_location.h"
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

enum tw_rc store_open_at(const struct store_where *w, struct store **ret, struct tw_err *err)
{
    struct history_conf conf = { .may_be_away = true };
    const struct database *d;
    struct history *h;
    enum tw_rc rc;

    if (!w->history)
        return store_open(w->control, ret, err);
    rc = find(w->history, &d, &conf.location, err);
    if (!rc)
        rc = d->ops->open(&conf, &h, err);
    return rc ? rc : store_open_with(w->control, h, ret, err);
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
