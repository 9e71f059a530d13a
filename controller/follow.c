/* What was told, and when it is looked at. Each subject has a file of its own. */
#include "controller/follow_priv.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/net/now.h"
#include "controller/change.h"
#include "db/etcd/mirror_key.h"

#define RETRY_NS TW_NS_PER_S
#define FINISH_NS (10 * TW_NS_PER_S) /* for another controller to schedule what it changed */

/* In the order in which they are taken. */
enum {
    PAIRS,
    AGENTS,
    CERTIFICATES,
    MESHES,
    JOIN_TOKENS,
    ACCESS_TOKENS,
    ALERT_RULES,
    SILENCES,
    ALERTS,
    NOTICES,
    ABSENCES,
    PARTS
};
static const struct follow_part *const parts[] = {
    [PAIRS] = &follow_pairs,
    [AGENTS] = &follow_agents,
    [CERTIFICATES] = &follow_certificates,
    [MESHES] = &follow_meshes,
    [JOIN_TOKENS] = &follow_join_tokens,
    [ACCESS_TOKENS] = &follow_access_tokens,
    [ALERT_RULES] = &follow_alert_rules,
    [SILENCES] = &follow_silences,
    [ALERTS] = &follow_alert_rows,
    [NOTICES] = &follow_notices,
    [ABSENCES] = &follow_absences,
};
_Static_assert(TW_NELEM(parts) == PARTS, "each has its place");
#define PIECE_KEYS 4 /* of pairs, with up to a thousand each: results are written in between */

const struct follow_table follow_tables[] = {
    { "agent", "agents", NULL },
    { "agent_former", "", "read where it is asked for: which numbers a name had" },
    { "agent_maintenance", "", "read for reports of the past; what goes on is in the agent's row" },
    { "certificate", "certificates", NULL },
    { "pair", "pairs", NULL },
    { "pair_interval", "", "whoever an agent is connected to opens them, and knows what is open" },
    { "times_rule", "", "read with the intervals that name it" },
    { "mesh", "meshes", NULL },
    { "generation", "meshes", NULL },
    { "mesh_version", "", "read for the history of the schedule" },
    { "document", "", "read with the versions that name it" },
    { "level_kept", "", "read where history is dropped" },
    { "absence", "absences", NULL },
    { "test", "",
      "a test is run by the controller that was asked, and its numbers are nobody else's; lists are read" },
    { "test_run", "", "as test" },
    { "alert_document", "alert rules", NULL },
    { "alert", "alerts", NULL },
    { "alert_silence", "silences", NULL },
    { "alert_notice", "notices", NULL },
    { "join_token", "join tokens", NULL },
    { "access_token", "access tokens", NULL },
    { "audit", "", "read where it is asked for; its numbers are nobody else's" },
};
const size_t follow_tables_n = TW_NELEM(follow_tables);

/* Rows that the writer reads. */
struct look {
    struct writer_job job; /* first */
    struct follow *f;
    bool ordered;
    struct follow_keys keys[PARTS];
    void *data[PARTS];
    size_t part; /* that is being taken */
};
struct follow {
    struct controller *c;
    struct follow_keys keys[PARTS]; /* told, and not with the writer yet */
    bool busy;                      /* a look is with the writer, or being taken */
    struct look *taking;
    struct loop_task take_task;
    bool expand;                    /* follow_expand() */
    bool waits;                     /* for the timer, after a failure */
    struct loop_timer retry, finish;
    struct follow_stats stats;
};

/* ---- Keys ---- */

static bool add_key(struct follow_keys *k, const char *text)
{
    size_t len = strlen(text);
    struct follow_key *key;

    k->any = true;
    if (k->all)
        return true;
    HASH_FIND(hh, k->v, text, len, key);
    if (key)
        return true;
    key = malloc(sizeof *key + len + 1);
    if (!key)
        return false;
    memcpy(key->text, text, len + 1);
    HASH_ADD_KEYPTR(hh, k->v, key->text, len, key);
    return true;
}

static void clear_keys(struct follow_keys *k)
{
    struct follow_key *key, *next;

    HASH_ITER(hh, k->v, key, next)
    {
        HASH_DEL(k->v, key);
        free(key);
    }
    *k = (struct follow_keys){ 0 };
}

/* Without memory for which, it may be any. */
static void note_all(struct follow_keys *k)
{
    clear_keys(k);
    k->any = k->all = true;
}

static void note_key(struct follow_keys *k, const char *text)
{
    if (!add_key(k, text))
        note_all(k);
}

static void merge_keys(struct follow_keys *to, struct follow_keys *from)
{
    struct follow_key *key, *next;

    if (from->all) {
        bool fresh = !to->all;

        note_all(to);
        to->after = fresh ? from->after : 0; /* what came meanwhile is of any number */
    }
    HASH_ITER(hh, from->v, key, next)
    note_key(to, key->text);
    to->any |= from->any;
    clear_keys(from);
}

bool follow_keys_have(const struct follow_keys *k, const char *text)
{
    char escaped[3 * 256];
    size_t len = mirror_key_add(escaped, sizeof escaped, 0, true, text);
    struct follow_key *key = NULL;

    if (!k->all && len != SIZE_MAX)
        HASH_FIND(hh, k->v, escaped, len, key);
    return k->all || key;
}

bool follow_keys_have_number(const struct follow_keys *k, int64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)number);
    return follow_keys_have(k, text);
}

/* PARTS: no part has it. */
static size_t part_of(const char *table, size_t len)
{
    for (size_t i = 0; i < follow_tables_n; i++) {
        const struct follow_table *t = &follow_tables[i];

        if (strncmp(t->table, table, len) != 0 || t->table[len])
            continue;
        for (size_t k = 0; k < PARTS; k++)
            if (!strcmp(parts[k]->name, t->part))
                return k;
    }
    return PARTS;
}

static void note(struct follow *f, const char *key)
{
    const char *slash = strchr(key, '/');
    size_t part = slash ? part_of(key, (size_t)(slash - key)) : PARTS;

    f->stats.keys++;
    if (part < PARTS)
        note_key(&f->keys[part], slash + 1);
    for (size_t i = 0; !*key && i < PARTS; i++)
        note_all(&f->keys[i]);
}

/* ---- With the writer ---- */

static void free_data(struct look *l)
{
    for (size_t i = 0; i < PARTS; i++) {
        if (l->data[i])
            parts[i]->free(l->data[i]);
        l->data[i] = NULL;
    }
}

static void look_free(struct look *l)
{
    free_data(l);
    for (size_t i = 0; i < PARTS; i++)
        clear_keys(&l->keys[i]);
    free(l);
}

static enum tw_rc read_all(void *ctx, struct store *s, struct tw_err *err)
{
    struct look *l = ctx;
    enum tw_rc rc = TW_OK;

    free_data(l); /* of a run that was rolled back */
    for (size_t i = 0; rc == TW_OK && i < PARTS; i++)
        if (l->keys[i].any)
            rc = parts[i]->read(&l->keys[i], s, &l->data[i], err);
    return rc;
}

static enum tw_rc run_look(struct writer_job *j, struct store *s, struct tw_err *err)
{
    return store_glance(s, read_all, j, err);
}

/* ---- Loop thread ---- */

/* What is not taken, or was not all, is looked at again. True: there is more. */
static bool take_some(struct look *l)
{
    struct follow *f = l->f;

    for (; l->part < PARTS; l->part++) {
        size_t i = l->part;
        enum tw_rc rc = l->keys[i].any ? parts[i]->take(f->c, &l->keys[i], l->data[i]) : TW_OK;

        if (rc == TW_EAGAIN)
            return true;
        if (rc == TW_OK && l->keys[i].after)
            merge_keys(&f->keys[i], &l->keys[i]);
        if (rc == TW_OK)
            continue;
        log_error("what another controller changed is not in memory yet", LOG_S("what", parts[i]->name),
                  LOG_S("error", tw_rc_name(rc)));
        merge_keys(&f->keys[i], &l->keys[i]);
        f->waits = true;
    }
    return false;
}

static void wait_a_little(struct follow *f)
{
    f->stats.failed++;
    f->waits =
        loop_timer_set(f->c->loop, &f->retry, (struct tw_mono){ tw_mono_now().ns + RETRY_NS }) == TW_OK;
}

static void submit(struct follow *f, bool ordered);

static void look_over(struct look *l)
{
    struct follow *f = l->f;
    bool ordered = l->ordered;

    f->busy = false;
    look_free(l);
    if (f->waits)
        wait_a_little(f);
    if (!ordered)
        change_go_on(f->c->changes); /* which comes back to us */
    else if (!f->waits && f->keys[PAIRS].any)
        submit(f, true);
    else
        change_release(f->c->changes);
}

/* A piece of the loop: agents and operators have their turn in between, changes wait. */
static void take_piece(struct loop_task *t)
{
    struct follow *f = t->ctx;
    struct look *l = f->taking;
    int64_t begin_ns = tw_mono_now().ns, took_ns;
    bool more = take_some(l);

    took_ns = tw_mono_now().ns - begin_ns;
    if (took_ns > f->stats.longest_ns)
        f->stats.longest_ns = took_ns;
    if (more) {
        loop_post(f->c->loop, t);
        return;
    }
    f->stats.rounds++;
    f->taking = NULL;
    look_over(l);
}

static void look_done(struct writer_job *j)
{
    struct look *l = (struct look *)j;
    struct follow *f = l->f;

    if (j->rc == TW_OK) {
        f->taking = l;
        take_piece(&f->take_task);
        return;
    }
    if (j->rc == TW_ECLOSED) {
        f->busy = false;
        look_free(l);
        return;
    }
    log_error("what another controller changed cannot be read", LOG_S("error", j->err.text));
    for (size_t i = 0; i < PARTS; i++)
        merge_keys(&f->keys[i], &l->keys[i]);
    f->waits = true;
    look_over(l);
}

static bool wants(const struct follow *f, bool ordered)
{
    for (size_t i = 0; i < PARTS; i++)
        if (f->keys[i].any && parts[i]->ordered == ordered)
            return true;
    return ordered && f->expand;
}

/* Some of them. */
static void take_keys(struct follow_keys *from, size_t max, struct follow_keys *ret)
{
    struct follow_key *key, *next;
    size_t n = 0;

    *ret = (struct follow_keys){ .any = true, .all = from->all, .after = from->after };
    HASH_ITER(hh, from->v, key, next)
    {
        if (n++ == max)
            return;
        HASH_DEL(from->v, key);
        HASH_ADD_KEYPTR(hh, ret->v, key->text, strlen(key->text), key);
    }
    *from = (struct follow_keys){ 0 };
}

/* Pairs come before what is made of them, and in pieces. Then the meshes are looked at in any case: agents
 * and pairs may have altered what they come to. */
static void choose_keys(struct follow *f, bool ordered, struct look *l)
{
    if (ordered && f->keys[PAIRS].any) {
        take_keys(&f->keys[PAIRS], PIECE_KEYS, &l->keys[PAIRS]);
        return;
    }
    for (size_t i = 0; i < PARTS; i++)
        if (parts[i]->ordered == ordered) {
            l->keys[i] = f->keys[i];
            f->keys[i] = (struct follow_keys){ 0 };
        }
    l->keys[MESHES].any |= ordered;
}

static void submit(struct follow *f, bool ordered)
{
    struct look *l = calloc(1, sizeof *l);

    if (l)
        choose_keys(f, ordered, l);
    if (l) {
        l->f = f;
        l->ordered = ordered;
        l->job = (struct writer_job){ .run = run_look, .done = look_done, .urgent = true };
        f->busy = true;
        if (writer_submit(f->c->writer, &l->job) == TW_OK)
            return;
        f->busy = false; /* stopping */
        look_free(l);
        return;
    }
    wait_a_little(f);
    if (ordered)
        change_release(f->c->changes);
}

void follow_go(struct follow *f)
{
    if (!f || f->busy || f->waits)
        return;
    if (wants(f, false))
        submit(f, false);
    else if (wants(f, true) && change_hold(f->c->changes))
        submit(f, true);
}

static void on_retry(struct loop_timer *t)
{
    struct follow *f = t->ctx;

    f->waits = false;
    change_go_on(f->c->changes); /* which comes back to us */
}

void follow_changed(struct controller *c, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        note(c->follow, keys[i]);
    follow_go(c->follow);
}

bool follow_is_behind(const struct follow *f)
{
    return f && !f->waits && (f->busy || wants(f, true));
}

void follow_expand(struct controller *c)
{
    c->follow->expand = true;
}

static void on_finish(struct loop_timer *t)
{
    change_expand(((struct follow *)t->ctx)->c->changes);
}

void follow_missing(struct controller *c, size_t n)
{
    struct follow *f = c->follow;

    loop_timer_cancel(c->loop, &f->finish);
    if (n && loop_timer_set(c->loop, &f->finish, (struct tw_mono){ tw_mono_now().ns + FINISH_NS }) != TW_OK)
        change_expand(c->changes);
}

bool follow_must_expand(const struct controller *c)
{
    return c->follow->expand;
}

void follow_expanded(struct controller *c)
{
    c->follow->expand = false;
}

bool follow_is_even(const struct controller *c)
{
    return !c->follow->busy && !wants(c->follow, false) && !wants(c->follow, true);
}

struct follow_stats follow_stats(const struct controller *c)
{
    return c->follow->stats;
}

enum tw_rc follow_new(struct controller *c, struct follow **ret)
{
    struct follow *f = calloc(1, sizeof *f);

    if (!f)
        return TW_ENOMEM;
    f->c = c;
    f->retry = (struct loop_timer){ .fn = on_retry, .ctx = f };
    f->finish = (struct loop_timer){ .fn = on_finish, .ctx = f };
    f->take_task = (struct loop_task){ .fn = take_piece, .ctx = f };
    *ret = f;
    return TW_OK;
}

void follow_free(struct follow *f)
{
    if (!f)
        return;
    loop_timer_cancel(f->c->loop, &f->retry);
    loop_timer_cancel(f->c->loop, &f->finish);
    loop_unpost(f->c->loop, &f->take_task);
    if (f->taking) /* what it would come to is in the store */
        look_free(f->taking);
    for (size_t i = 0; i < PARTS; i++)
        clear_keys(&f->keys[i]);
    free(f);
}
