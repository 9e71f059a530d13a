/* Reading everything. */
#include <cJSON.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clk.h"
#include "common/net/now.h"
#include "db/etcd/mirror_priv.h"

#define PAGE 256                             /* keys read at once */
#define WRITER_NS (30 * 86400 * TW_NS_PER_S) /* a writer that did nothing for so long has gone */

enum tw_rc mirror_exec(struct mirror *m, const char *sql, struct tw_err *err)
{
    return sq_exec(m->q, sql, err);
}

void mirror_tell(struct mirror *m, const char *key)
{
    if (m->conf.changed)
        m->conf.changed(m->conf.ctx, key);
}

/* {"version":N,"floor":N}: the newest program that was at work, and what one must know at least. */
enum tw_rc mirror_check_schema(const struct mirror *m, const char *value, int64_t *ret_version,
                               struct tw_err *err)
{
    cJSON *o = cJSON_Parse(value);
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(o, "version"),
                *floor = cJSON_GetObjectItemCaseSensitive(o, "floor");
    enum tw_rc rc = TW_OK;

    if (!cJSON_IsNumber(version) || !cJSON_IsNumber(floor))
        rc = tw_err_set(err, TW_ECORRUPT,
                        "etcd: %sschema is no version: this is no control state of twampmesh", m->prefix);
    else if (floor->valuedouble > (double)*store_spec.n_migrations)
        rc = tw_err_set(
            err, TW_EVERSION,
            "etcd: %sschema: a newer release was at work (schema %d, this one knows %zu): use that one",
            m->prefix, floor->valueint, *store_spec.n_migrations);
    else
        *ret_version = version->valueint;
    cJSON_Delete(o);
    return rc;
}

static enum tw_rc flush(struct mirror_loading *l)
{
    enum tw_rc rc = mirror_rows_apply(l->m->rows, l->c.v, l->c.n, l->err);

    mirror_changes_free(&l->c);
    return rc;
}

static enum tw_rc add_row(struct mirror_loading *l, unsigned table, const char *key, const struct etcd_kv *kv)
{
    struct mirror_change ch = { .table = table, .len = kv->value_len };

    if (strlen(kv->value) != kv->value_len)
        return tw_err_set(l->err, TW_ECORRUPT, "etcd: %.100s is no text", kv->key);
    if (!l->c.v)
        l->c.v = calloc(PAGE, sizeof *l->c.v);
    ch.key = strdup(key);
    ch.value = strdup(kv->value);
    if (!l->c.v || !ch.key || !ch.value) {
        free(ch.key);
        free(ch.value);
        return tw_err_set(l->err, TW_ENOMEM, "etcd: out of memory");
    }
    l->c.v[l->c.n++] = ch;
    return l->c.n == PAGE ? flush(l) : TW_OK;
}

static void note_writer(struct mirror_loading *l, const struct etcd_kv *kv)
{
    cJSON *o = cJSON_Parse(kv->value);
    const cJSON *time = cJSON_GetObjectItemCaseSensitive(o, "time_s");
    bool old = cJSON_IsNumber(time) && time->valuedouble * 1e9 < (double)(tw_wall_now().ns - WRITER_NS);

    cJSON_Delete(o);
    if (!strcmp(kv->key, l->m->writer_key))
        l->writer = kv->mod_revision;
    else if (old && l->n_old < TW_NELEM(l->old) && (l->old[l->n_old] = strdup(kv->key)))
        l->old_revision[l->n_old++] = kv->mod_revision;
}

static enum tw_rc load_key(void *ctx, const struct etcd_kv *kv)
{
    struct mirror_loading *l = ctx;
    const char *key = kv->key + strlen(l->m->prefix);
    unsigned table = mirror_rows_table(key);

    if (table != UINT_MAX)
        return add_row(l, table, key, kv);
    if (!strcmp(key, "head"))
        l->head = mirror_head_of(kv->mod_revision, kv->value, kv->value_len);
    else if (!strcmp(key, "filling") && !l->m->conf.filling)
        return tw_err_set(
            l->err, TW_EINUSE,
            "etcd: control state is being put to %.90s, and not all of it is there: end that first "
            "(twampctl db migrate)",
            l->m->prefix);
    else if (!strncmp(key, "writer/", 7))
        note_writer(l, kv);
    else if (!strcmp(key, "schema")) {
        l->schema = kv->mod_revision;
        return mirror_check_schema(l->m, kv->value, &l->schema_version, l->err);
    }
    return TW_OK;
}

/* An etcd that is empty is a new one at a start; to who has what was in it that is lost, and not to be lost
 * here, too. */
enum tw_rc mirror_gone(const struct mirror *m, struct tw_err *err)
{
    return tw_err_set(
        err, TW_ECORRUPT,
        "etcd: %.90s is empty and was not before: restore its snapshot (etcdctl snapshot restore)",
        m->prefix);
}

static enum tw_rc load_into(struct mirror_loading *l, int64_t *ret_revision)
{
    struct mirror *m = l->m;
    enum tw_rc rc = mirror_exec(m, "BEGIN IMMEDIATE", l->err);

    if (!rc)
        rc = mirror_rows_wipe(m->rows, l->err);
    if (!rc)
        rc = etcd_each(m->e, m->prefix, PAGE, load_key, l, ret_revision, l->err);
    if (rc == TW_ERANGE) /* read anew it is there: nothing that a change could be too large for */
        rc = tw_err_set(l->err, TW_EIO, "etcd: changes were forgotten (compacted) while %.90s was read",
                        m->prefix);
    if (!rc && !l->head.revision && m->head.revision)
        rc = mirror_gone(m, l->err);
    if (!rc)
        rc = flush(l);
    if (!rc)
        rc = mirror_rows_end(m->rows, l->err);
    if (!rc)
        rc = mirror_exec(m, "COMMIT", l->err);
    if (rc)
        sq_rollback(m->q);
    mirror_changes_free(&l->c);
    return rc;
}

enum tw_rc mirror_load(struct mirror *m, struct mirror_loading *l, struct tw_err *err)
{
    int64_t revision = 0;
    enum tw_rc rc;

    *l = (struct mirror_loading){ .m = m, .err = err };
    rc = load_into(l, &revision);
    if (rc)
        return rc;
    m->at = revision;
    m->head = l->head;
    m->writer = l->writer;
    m->stale = false;
    m->need = 0; /* it had all that was ever said to be there, unless it went back */
    m->stats.loads++;
    mirror_tell(m, "");
    return TW_OK;
}

void mirror_free_loading(struct mirror_loading *l)
{
    while (l->n_old)
        free(l->old[--l->n_old]);
}

enum tw_rc mirror_load_again(struct mirror *m, struct tw_err *err)
{
    struct mirror_loading l;
    enum tw_rc rc = mirror_load(m, &l, err);

    mirror_free_loading(&l);
    return rc;
}
