/* Files of other releases: which programs may work with a file, and what is kept for those that may not. */
#include "db/sqlite/sq.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

size_t sq_floor(const struct sq_spec *spec, size_t version)
{
    while (version > 1 && spec->migrations[version - 1].additive)
        version--;
    return version;
}

void sq_copy_name(const char *path, size_t version, char *ret, size_t cap)
{
    snprintf(ret, cap, "%s.before-v%zu", path, version);
}

/* Without the table: whoever made the file knew of no such thing. */
static enum tw_rc read_floor(struct sq *q, int64_t version, int64_t *ret, struct tw_err *err)
{
    int64_t any = 0;
    enum tw_rc rc =
        sq_get_int(q, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_floor'", &any, err);

    *ret = version;
    if (rc || !any)
        return rc;
    return sq_get_int(q, "SELECT oldest FROM schema_floor WHERE one = 1", ret, err);
}

/* The copy from before the upgrade, if there is one. */
static bool find_copy(const struct sq *q, int64_t version, char *ret, size_t cap)
{
    for (size_t v = *q->spec->n_migrations + 1; (int64_t)v <= version && v <= *q->spec->n_migrations + 1000;
         v++) {
        sq_copy_name(q->path, v, ret, cap);
        if (access(ret, F_OK) == 0)
            return true;
    }
    return false;
}

enum tw_rc sq_check_version(struct sq *q, int64_t version, struct tw_err *err)
{
    size_t known = *q->spec->n_migrations;
    char copy[PATH_MAX + 32];
    int64_t floor = version;
    enum tw_rc rc;

    if (version >= 0 && (uint64_t)version <= known)
        return TW_OK;
    rc = read_floor(q, version, &floor, err);
    if (rc || (version > 0 && floor > 0 && (uint64_t)floor <= known))
        return rc;
    if (q->spec->keep_copy && find_copy(q, version, copy, sizeof copy))
        return tw_err_set(err, TW_EVERSION,
                          "%s %s: made by a newer program (schema %lld, this one knows %zu): install that "
                          "program, or go back: twampctl db restore %s",
                          q->spec->what, q->path, (long long)version, known, copy);
    return tw_err_set(
        err, TW_EVERSION,
        "%s %s: made by a newer program (schema %lld, this one knows %zu): install that program, "
        "or restore the backup from before the upgrade",
        q->spec->what, q->path, (long long)version, known);
}

/* Through a name of its own, so that a copy that was cut short is never taken for one. */
static enum tw_rc make_copy(struct sq *q, const char *name, struct tw_err *err)
{
    char part[PATH_MAX + 40];
    uint64_t bytes;
    enum tw_rc rc;

    snprintf(part, sizeof part, "%s.part", name);
    unlink(part);
    rc = sq_copy(q, part, NULL, &bytes, err);
    if (!rc && rename(part, name))
        rc = sq_path_fail(name, err);
    if (rc)
        unlink(part);
    return rc ? rc : sq_settle_folder(name, err);
}

enum tw_rc sq_keep_copy(struct sq *q, size_t version, struct tw_err *err)
{
    size_t breaks = version + 1, last = *q->spec->n_migrations;
    char name[PATH_MAX + 32];
    struct tw_err why = { 0 };
    enum tw_rc rc;

    while (breaks <= last && q->spec->migrations[breaks - 1].additive)
        breaks++;
    if (!q->spec->keep_copy || !version || breaks > last)
        return TW_OK;
    sq_copy_name(q->path, breaks, name, sizeof name);
    rc = make_copy(q, name, &why);
    return rc ? tw_err_set(err, rc, "no copy could be made before the upgrade from schema %zu: %s", version,
                           why.text)
              : TW_OK;
}
