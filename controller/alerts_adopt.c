#include "controller/alerts_adopt.h"

#include <cJSON.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "controller/core/orphans.h"
#include "controller/planner.h"
#include "controller/registry.h"
#include "controller/writer.h"
#include "db/store_alert.h"

#define LOOK_NS (2 * TW_NS_PER_S)
#define LOOK_MAX 2000 /* notices of one look: bodies are a kilobyte */

struct found {
    uint64_t id;
    char *receiver, *maker;
    struct notice *notice;
};
struct alerts_adopt {
    struct writer_job job; /* first */
    struct controller *c;
    void (*take)(void *ctx, const char *receiver, struct notice *n);
    void *ctx;
    struct orphans *orphans;
    int64_t due_ns;
    bool busy; /* the job is with the writer, whose are: */
    bool all;
    struct found *v; /* LOOK_MAX */
    size_t n;
};

/* ---- The writer thread ---- */

/* From malloc(); "": it does not say. NULL: no memory. */
static char *maker_of(const char *body)
{
    cJSON *o = cJSON_Parse(body);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "controller"));
    char *ret = strdup(name ? name : "");

    cJSON_Delete(o);
    return ret;
}

static void drop_found(struct alerts_adopt *p)
{
    while (p->n) {
        struct found *f = &p->v[--p->n];

        free(f->receiver);
        free(f->maker);
        notice_free(f->notice);
    }
}

static enum tw_rc find(void *ctx, const struct store_alert_notice *row)
{
    struct alerts_adopt *p = ctx;
    struct found f = { .id = row->id };

    if (p->n == LOOK_MAX) {
        p->all = false;
        return TW_OK;
    }
    f.maker = maker_of(row->body);
    if (f.maker && (!*f.maker || !strcmp(f.maker, p->c->name))) {
        free(f.maker);
        return TW_OK;
    }
    f.receiver = strdup(row->receiver);
    f.notice = notice_new(row->id, row->key, row->body);
    p->v[p->n++] = f;
    return f.maker && f.receiver && f.notice ? TW_OK : TW_ENOMEM;
}

static enum tw_rc find_all(void *ctx, struct store *s, struct tw_err *err)
{
    struct alerts_adopt *p = ctx;

    drop_found(p); /* of a run that was rolled back */
    p->all = true;
    return store_each_alert_notice(s, find, p, err);
}

static enum tw_rc run_look(struct writer_job *job, struct store *s, struct tw_err *err)
{
    return store_glance(s, find_all, job, err);
}

/* ---- Loop thread ---- */

static void looked(struct writer_job *job)
{
    struct alerts_adopt *p = (struct alerts_adopt *)job;
    int64_t now_ns = loop_now(p->c->loop).mono.ns;
    size_t taken = 0;

    p->busy = false;
    if (job->rc == TW_OK) {
        orphans_begin(p->orphans);
        for (size_t i = 0; i < p->n; i++)
            if (orphans_see(p->orphans, p->v[i].id, registry_find_up(p->c->registry, p->v[i].maker) != NULL,
                            now_ns)) {
                p->take(p->ctx, p->v[i].receiver, p->v[i].notice);
                p->v[i].notice = NULL;
                taken++;
            }
        orphans_end(p->orphans, p->all);
    }
    if (taken)
        log_info("notices of alerts are sent that a controller which is gone has left", LOG_U("notices", taken));
    drop_found(p);
}

void alerts_adopt_look(struct alerts_adopt *p, int64_t mono_ns)
{
    if (!p->c->shared || p->busy || mono_ns < p->due_ns || !p->c->writer || !planner_is(p->c->planner))
        return;
    p->due_ns = mono_ns + LOOK_NS;
    p->job = (struct writer_job){ .run = run_look, .done = looked };
    p->busy = writer_submit(p->c->writer, &p->job) == TW_OK;
}

bool alerts_adopt_is_of(const char *body, const char *name)
{
    char *maker = maker_of(body);
    bool ret = !maker || !*maker || !strcmp(maker, name);

    free(maker);
    return ret;
}

enum tw_rc alerts_adopt_new(struct controller *c, int64_t after_ns,
                            void (*take)(void *ctx, const char *receiver, struct notice *n), void *ctx,
                            struct alerts_adopt **ret)
{
    struct alerts_adopt *p = calloc(1, sizeof *p);

    if (!p)
        return TW_ENOMEM;
    p->c = c;
    p->take = take;
    p->ctx = ctx;
    p->v = calloc(LOOK_MAX, sizeof *p->v);
    if (!p->v || orphans_new(after_ns, &p->orphans) != TW_OK) {
        free(p->v);
        free(p);
        return TW_ENOMEM;
    }
    *ret = p;
    return TW_OK;
}

void alerts_adopt_free(struct alerts_adopt *p)
{
    if (!p)
        return;
    drop_found(p);
    orphans_free(p->orphans);
    free(p->v);
    free(p);
}
