#include "tests/unit/db/etcd/mirror_fx.h"

#include "common/splitmix.h"
#include "db/sqlite/history.h"

const char *mirror_folder;

static void note_change(void *ctx, const char *key)
{
    struct controller *c = ctx;

    c->changed++;
    snprintf(c->last, sizeof c->last, "%s", key);
}

/* A spool's cursor refers to its agent in a history's file; no agent's are written here. */
void controller_restart(struct controller *c, const struct http_location *at, int64_t settle_ns)
{
    const struct mirror_conf conf = { .at = at,
                                      .file = c->file,
                                      .settle_ns = settle_ns,
                                      .stall_ns = 2 * TW_NS_PER_S,
                                      .watch_ns = 3 * TW_NS_PER_S,
                                      .look_ns = c->look_ns,
                                      .changed = note_change,
                                      .ctx = c };
    struct history_reader *r;
    struct history *h;

    CHECK_OK(sqlite_history.open(&(struct history_conf){ .location = c->history }, &h, &test_err));
    CHECK_OK(mirror_open(&conf, h, &c->s, &test_err));
    CHECK_OK(sqlite_history.reader_open(&(struct history_conf){ .location = c->history }, &r, &test_err));
    CHECK_OK(store_reader_open_with(c->file, r, &c->r, &test_err));
}

void controller_start(struct controller *c, const struct http_location *at, int64_t settle_ns)
{
    static unsigned n;

    *c = (struct controller){ .changed = 0 };
    snprintf(c->file, sizeof c->file, "%s/mirror%u.db", mirror_folder, n);
    snprintf(c->history, sizeof c->history, "%s/history%u.db", mirror_folder, n++);
    controller_restart(c, at, settle_ns);
}

void controller_stop(struct controller *c)
{
    store_reader_close(c->r);
    store_close(c->s);
    c->s = NULL;
}

/* ---- Several ---- */

static unsigned draw(struct crowd *w, unsigned n)
{
    return (unsigned)(tw_splitmix64(&w->seed) % n);
}

static bool is_model(const struct model *m, struct controller *c)
{
    char *want = model_text(m), *have = store_text(m, c->s, c->r);
    bool same = !strcmp(want, have);

    free(want);
    free(have);
    return same;
}

/* Its outcome was not known: it is one or the other now. */
static void resolve(struct crowd *w, struct controller *c, const struct model *after)
{
    enum tw_rc rc = TW_EIO;

    w->doubts++;
    if (draw(w, 3) == 0) {
        w->kills++;
        controller_stop(c);
        controller_restart(c, w->at, w->settle_ns);
        rc = TW_OK;
    }
    for (unsigned tries = 0; rc && tries < 200; tries++)
        rc = store_follow(c->s, &test_err);
    if (rc)
        fail_msg("%s", test_err.text);
    if (is_model(after, c))
        *w->now = *after;
    else
        check_model(w->now, c->s, c->r, "after a change of which nobody knew");
}

/* True: it is to be committed. */
static bool change(struct crowd *w, struct controller *c, struct model *after)
{
    unsigned n = 1 + draw(w, 5);
    enum tw_rc rc = TW_EIO;

    for (unsigned tries = 0; rc && tries < 200; tries++)
        rc = store_begin(c->s, &test_err);
    if (rc)
        fail_msg("%s", test_err.text);
    for (unsigned i = 0; i < n; i++)
        if (!model_change(after, &w->seed, c->s))
            return false; /* it is behind, and could see it */
    return draw(w, 10) > 0;
}

static void round_of(struct crowd *w, struct controller *c, struct model *after)
{
    enum tw_rc rc;

    *after = *w->now;
    if (!change(w, c, after)) {
        store_rollback(c->s);
        return;
    }
    rc = store_commit(c->s, &test_err);
    if (!rc) {
        w->done++;
        *w->now = *after;
    } else if (rc == TW_EAGAIN) {
        w->conflicts++;
    } else if (rc == TW_ETIMEOUT || rc == TW_EIO) {
        resolve(w, c, after);
    } else {
        fail_msg("%s: %s", tw_rc_name(rc), test_err.text);
    }
}

void crowd_run(struct crowd *w, unsigned rounds)
{
    struct model *after = malloc(sizeof *after);

    assert_non_null(after);
    for (unsigned i = 0; i < rounds; i++) {
        struct controller *c = &w->c[draw(w, w->n)];
        if (w->before)
            w->before(w->ctx, i);
        round_of(w, c, after);
        if (draw(w, 40) == 0) {
            controller_stop(c);
            controller_restart(c, w->at, w->settle_ns);
        }
    }
    free(after);
}

void crowd_check(struct crowd *w, const char *when)
{
    for (unsigned i = 0; i < w->n; i++) {
        enum tw_rc rc = TW_EIO;
        /* A transaction brings it to where the others are. */
        for (unsigned tries = 0; rc && tries < 50; tries++) {
            CHECK_OK(store_begin(w->c[i].s, &test_err));
            w->now->audit++;
            w->now->audited[w->now->audit] = 3;
            rc = store_put_audit(w->c[i].s,
                                 &(struct store_audit){ .id = w->now->audit,
                                                        .status = 3,
                                                        .who = "",
                                                        .role = "",
                                                        .token_id = "",
                                                        .way = "",
                                                        .origin = "",
                                                        .method = "",
                                                        .subject = "",
                                                        .detail = "",
                                                        .request = "",
                                                        .before = "",
                                                        .after = "" },
                                 &test_err);
            if (!rc)
                rc = store_commit(w->c[i].s, &test_err);
            else
                store_rollback(w->c[i].s);
            w->now->audit -= rc != TW_OK;
        }
        if (rc)
            fail_msg("%s", test_err.text);
        check_model(w->now, w->c[i].s, w->c[i].r, when);
    }
}
