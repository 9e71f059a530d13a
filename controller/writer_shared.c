/* Of the store writer: control state that others change, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/grow.h"
#include "common/net/now.h"
#include "controller/writer_priv.h"

/* ---- Can it be used? ---- */

static void set_problem(struct writer *w, const struct store_shared_info *info, const char *why)
{
    if (!w->stats.control_problem[0])
        log_error("the control state cannot be used; changes wait, results are still stored",
                  LOG_S("control", info->address), LOG_S("error", why));
    snprintf(w->stats.control_problem, sizeof w->stats.control_problem,
             "control state at %.80s cannot be used: %.140s", info->address, why);
    snprintf(w->stats.control_error, sizeof w->stats.control_error, "%s", why);
    w->stats.control_error_ns = tw_wall_now().ns;
}

static void clear_problem(struct writer *w, const struct store_shared_info *info)
{
    if (w->stats.control_problem[0])
        log_info("the control state can be used again", LOG_S("control", info->address),
                 LOG_U("retries", w->stats.control_retries));
    w->stats.control_problem[0] = '\0';
}

void writer_note_control(struct writer *w, const struct tw_err *err)
{
    struct store_shared_info info;

    store_shared_info(w->conf.store, &info);
    pthread_mutex_lock(&w->lock);
    w->control_failed = err->rc != TW_OK;
    if (err->rc)
        set_problem(w, &info, err->text);
    else if (!info.away)
        clear_problem(w, &info);
    w->stats.control = info;
    pthread_mutex_unlock(&w->lock);
}

/* What failed by a transaction is said until one works. */
static void look(struct writer *w)
{
    struct store_shared_info info;

    store_shared_info(w->conf.store, &info);
    pthread_mutex_lock(&w->lock);
    if (info.away)
        set_problem(w, &info, info.why);
    else if (!w->control_failed)
        clear_problem(w, &info);
    w->stats.control = info;
    pthread_mutex_unlock(&w->lock);
}

/* ---- What others did ---- */

struct news {
    struct writer_job job; /* first: it goes the way of those that are done */
    struct writer *w;
    uint64_t number;
    char **keys;
    size_t n;
};

static void free_keys(char **keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(keys[i]);
    free(keys);
}

/* Within the store: it only takes down. */
static void on_change(void *ctx, const char *key)
{
    struct writer *w = ctx;
    char *copy;

    if (!TW_GROW(&w->news, w->n_news, &w->cap_news, 16)) {
        w->news_lost = true;
        return;
    }
    copy = strdup(key);
    if (copy)
        w->news[w->n_news++] = copy;
    else
        w->news_lost = true;
}

/* Loop thread. */
static void tell(struct writer_job *j)
{
    struct news *n = (struct news *)j;
    const struct writer_conf *conf = &n->w->conf;

    if (conf->news)
        conf->news(conf->ctx, (const char *const *)n->keys, n->n, n->number);
    free_keys(n->keys, n->n);
    free(n);
}

/* No decision is made from these: they are notes of what happened. */
static bool is_note(const char *key)
{
    static const char *const notes[] = { "absence/", "alert_notice/", "audit/", "pair_interval/",
                                         "test_run/" };

    for (size_t i = 0; i < TW_NELEM(notes); i++)
        if (!strncmp(key, notes[i], strlen(notes[i])))
            return true;
    return false;
}

static bool matters(const struct writer *w)
{
    for (size_t i = 0; i < w->n_news; i++)
        if (!is_note(w->news[i]))
            return true;
    return false;
}

void writer_tell_news(struct writer *w)
{
    struct news *n;

    if (w->news_lost)
        on_change(w, "");
    if (!w->n_news)
        return;
    n = calloc(1, sizeof *n);
    w->memory += matters(w);
    w->news_lost = !n || (w->news_lost && w->news[w->n_news - 1][0]);
    if (!n) /* with the next ones */
        return;
    *n = (struct news){
        .job = { .done = tell }, .w = w, .number = w->memory, .keys = w->news, .n = w->n_news
    };
    w->news = NULL;
    w->n_news = w->cap_news = 0;
    pthread_mutex_lock(&w->lock);
    writer_list_add(&w->finished, &n->job);
    pthread_mutex_unlock(&w->lock);
    loop_post(w->conf.loop, &w->deliver);
}

void writer_follow(struct writer *w)
{
    struct tw_err err = { 0 };

    w->follow_due_ns = tw_mono_now().ns + WRITER_FOLLOW_NS;
    err.rc = store_follow(w->conf.store, &err);
    writer_tell_news(w);
    if (err.rc)
        writer_note_control(w, &err);
    else
        look(w);
}

void writer_shared_start(struct writer *w)
{
    store_shared_info(w->conf.store, &w->stats.control);
    w->memory = WRITER_MEMORY_START;
    w->shared = w->stats.control.shared;
    w->follow_due_ns = w->shared ? 0 : INT64_MAX;
    store_listen(w->conf.store, on_change, w);
}

void writer_shared_free(struct writer *w)
{
    store_listen(w->conf.store, NULL, NULL);
    free_keys(w->news, w->n_news);
}
