/* Agents. */
#include "db/store_priv.h"
#include "common/grow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_columns(struct sq_cur *c, const struct store_agent *a)
{
    sq_put_text(c, a->name);
    sq_put_blob(c, a->public_key, sizeof a->public_key);
    sq_put_i64(c, a->approved);
    sq_put_i64(c, a->first_seen_ns);
    sq_put_i64(c, a->approved_ns);
    sq_put_i64(c, a->last_contact_ns);
    sq_put_text(c, a->software);
    sq_put_text(c, a->enrolment);
    sq_put_text(c, a->ops);
}

enum tw_rc store_put_agent(struct store *s, struct store_agent *a, struct tw_err *err)
{
    struct sq_cur c;
    int64_t id;
    enum tw_rc rc = sq_start(s->q, a->id ? ST_AGENT_UPDATE : ST_AGENT_INSERT, &c, err);

    if (rc)
        return rc;
    put_columns(&c, a);
    if (a->id)
        sq_put_i64(&c, a->id);
    rc = sq_next(&c, err);
    if (rc == TW_ENOENT)
        return tw_err_set(err, rc, "no agent has id %lld", (long long)a->id);
    if (rc == TW_EEXIST)
        return tw_err_set(err, rc, "an agent named '%s' is enrolled already", a->name);
    if (rc)
        return rc;
    id = sq_take_i64(&c);
    rc = sq_run(&c, err);
    if (!rc)
        a->id = id;
    return rc;
}

enum tw_rc store_put_contact(struct store *s, const struct store_agent *a, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_AGENT_CONTACT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, a->id);
    sq_put_i64(&c, a->last_contact_ns);
    sq_put_text(&c, a->software);
    sq_put_text(&c, a->enrolment);
    return sq_run(&c, err);
}

enum tw_rc store_remove_agent(struct store *s, int64_t id, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_AGENT_DELETE, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, id);
    rc = sq_next(&c, err);
    if (rc == TW_ENOENT)
        return tw_err_set(err, rc, "no agent has id %lld", (long long)id);
    if (!rc)
        rc = sq_run(&c, err);
    return rc ? rc : store_forget_history(s, id, err);
}

enum tw_rc control_find_agent(struct store *s, int64_t id, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_AGENT_KNOWN, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, id);
    rc = sq_next(&c, err);
    if (rc == TW_ENOENT)
        return tw_err_set(err, rc, "no agent has id %lld", (long long)id);
    return rc ? rc : sq_run(&c, err);
}

enum tw_rc control_agents_named(struct store_reader *r, const char *name, int64_t **ret, size_t *ret_n,
                                struct tw_err *err)
{
    int64_t *ids = NULL;
    size_t n = 0, cap = 0;
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_AGENT_NAMED, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, name);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        if (!TW_GROW(&ids, n, &cap, 4)) {
            sq_end(&c);
            free(ids);
            return tw_err_set(err, TW_ENOMEM, "out of memory");
        }
        ids[n++] = sq_take_i64(&c);
    }
    if (rc != TW_ENOENT) {
        free(ids);
        return rc;
    }
    *ret = ids;
    *ret_n = n;
    return TW_OK;
}

enum tw_rc store_rename_source(struct store *s, const char *from, const char *to, struct tw_err *err)
{
    static const enum store_stmt all[] = { ST_RENAME_SOURCE,  ST_RENAME_TARGET,      ST_RENAME_FORMER,
                                           ST_RENAME_ABSENCE, ST_RENAME_MAINTENANCE, ST_RENAME_GAP };
    struct sq_cur c;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < TW_NELEM(all); i++) {
        rc = sq_start(s->q, all[i], &c, err);
        if (rc)
            return rc;
        sq_put_text(&c, from);
        sq_put_text(&c, to);
        rc = sq_run(&c, err);
    }
    return rc == TW_EEXIST ? tw_err_set(err, rc, "there are results of another '%s'", to) : rc;
}

/* ---- Maintenance ---- */

static enum tw_rc put_maintenance(struct store *s, const char *agent, int64_t from_ns, int64_t to_ns, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_MAINTENANCE_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, agent);
    sq_put_i64(&c, from_ns);
    sq_put_i64(&c, to_ns);
    return sq_run(&c, err);
}

enum tw_rc store_put_maintenance(struct store *s, const char *agent, int64_t now_ns, const struct store_time *v,
                                 size_t n, struct tw_err *err)
{
    static const enum store_stmt before[] = { ST_MAINTENANCE_DROP, ST_MAINTENANCE_CUT };
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < TW_NELEM(before); i++) {
        struct sq_cur c;
        rc = sq_start(s->q, before[i], &c, err);
        if (rc)
            return rc;
        sq_put_text(&c, agent);
        sq_put_i64(&c, now_ns);
        rc = sq_run(&c, err);
    }
    for (size_t i = 0; !rc && i < n; i++)
        if (v[i].to_ns > now_ns)
            rc = put_maintenance(s, agent, v[i].from_ns > now_ns ? v[i].from_ns : now_ns, v[i].to_ns, err);
    return rc;
}

enum tw_rc store_read_maintenance(struct store_reader *r, const char *agent, int64_t from_ns, int64_t to_ns,
                                  enum tw_rc (*fn)(void *ctx, const struct store_time *t), void *ctx,
                                  struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_MAINTENANCE, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, agent);
    sq_put_i64(&c, from_ns);
    sq_put_i64(&c, to_ns);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        struct store_time t = { .from_ns = sq_take_i64(&c) };

        t.to_ns = sq_take_i64(&c);
        rc = fn(ctx, &t);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* ---- All ---- */

static void take_agent(struct sq_cur *c, struct store_agent *a)
{
    size_t len;
    const uint8_t *key;
    const char *enrolment, *ops;

    *a = (struct store_agent){ .id = sq_take_i64(c) };
    sq_take_name(c, a->name, sizeof a->name);
    key = sq_take_blob(c, &len);
    if (len == sizeof a->public_key)
        memcpy(a->public_key, key, len);
    a->approved = sq_take_i64(c) != 0;
    a->first_seen_ns = sq_take_i64(c);
    a->approved_ns = sq_take_i64(c);
    a->last_contact_ns = sq_take_i64(c);
    sq_take_name(c, a->software, sizeof a->software);
    enrolment = sq_take_text(c);
    a->enrolment = *enrolment ? (char *)enrolment : NULL;
    ops = sq_take_text(c);
    a->ops = *ops ? (char *)ops : NULL;
}

enum tw_rc store_each_agent(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_agent *a),
                            void *ctx, struct tw_err *err)
{
    struct sq_cur c;
    struct store_agent a;
    enum tw_rc rc = sq_start(s->q, ST_AGENT_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        take_agent(&c, &a);
        if ((rc = fn(ctx, &a)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}
