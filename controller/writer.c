#include "controller/writer.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/planner.h"
#include "controller/writer_priv.h"

#define MAX_ROWS 32768
#define GROUP_ROWS 1000
#define LINGER_NS (200 * TW_NS_PER_MS)
#define RETRY_NS TW_NS_PER_S
#define TURN_NS (500 * TW_NS_PER_MS)
#define STOP_NS (1500 * TW_NS_PER_MS)
#define SLICE_ROWS 1000
#define LOOK_NS (5 * TW_NS_PER_S) /* how often to ask whether it is time to roll up */
#define DELIVER_NS (5 * TW_NS_PER_MS) /* at a time, so that others get their turn */
#define ROLLUP_LATE_NS TW_NS_PER_S
#define GROUPS_MIN 6

void writer_list_init(struct job_list *l)
{
    *l = (struct job_list){ .end = &l->first };
}

void writer_list_add(struct job_list *l, struct writer_job *j)
{
    j->next = NULL;
    *l->end = j;
    l->end = &j->next;
    l->rows += j->rows;
    l->urgent |= j->urgent;
}

static struct writer_job *list_take(struct job_list *l)
{
    struct writer_job *j = l->first;

    if (!j)
        return NULL;
    l->first = j->next;
    if (!l->first)
        l->end = &l->first;
    l->rows -= j->rows;
    return j;
}

/* ---- Delivery, loop thread ---- */

static struct writer_job *take_finished(struct writer *w)
{
    struct writer_job *j;

    pthread_mutex_lock(&w->lock);
    j = w->finished.first;
    writer_list_init(&w->finished);
    pthread_mutex_unlock(&w->lock);
    return j;
}

/* In order: what is finished meanwhile comes behind. False: there is more. */
static bool deliver_until(struct writer *w, int64_t until_ns)
{
    if (!w->delivering)
        w->delivering = take_finished(w);
    while (w->delivering) {
        struct writer_job *j = w->delivering;

        w->delivering = j->next;
        j->done(j);
        if (!w->delivering)
            w->delivering = take_finished(w);
        else if (tw_mono_now().ns >= until_ns)
            return false;
    }
    return true;
}

static void deliver(struct loop_task *t)
{
    struct writer *w = t->ctx;

    if (!deliver_until(w, tw_mono_now().ns + DELIVER_NS))
        loop_post(w->conf.loop, &w->deliver);
}

/* ---- Commit, writer thread ---- */

static bool is_for_history(const struct writer_job *j)
{
    return j->history || (j->rows && !j->urgent);
}

static void set_history_problem(struct writer *w, const struct tw_err *err)
{
    struct store_history_info info;

    store_history_info(w->conf.store, &info);
    pthread_mutex_lock(&w->lock);
    if (!w->stats.history_problem[0])
        log_error("the history's database cannot be used; what comes waits, and agents keep what there is no "
                  "room for",
                  LOG_S("history", info.address), LOG_S("error", err->text));
    snprintf(w->stats.history_problem, sizeof w->stats.history_problem, "history at %.80s%s: %.140s",
             info.address, err->rc == TW_ENOSPC ? " is full" : " cannot be used", err->text);
    snprintf(w->stats.history_error, sizeof w->stats.history_error, "%s", err->text);
    w->stats.history_error_ns = tw_wall_now().ns;
    w->stats.history = info;
    pthread_mutex_unlock(&w->lock);
}

#define PACE_NS (10 * TW_NS_PER_S)
/* With the lock. */
static void note_pace_of_inserts(struct writer *w)
{
    int64_t now_ns = tw_mono_now().ns, passed_ns = now_ns - w->pace.at_ns;
    uint64_t inserts = w->stats.history.inserts;

    if (passed_ns < PACE_NS)
        return;
    if (w->pace.at_ns)
        w->stats.inserts_per_s = (double)(inserts - w->pace.inserts) * 1e9 / (double)passed_ns;
    w->pace.at_ns = now_ns;
    w->pace.inserts = inserts;
}

static void clear_history_problem(struct writer *w)
{
    struct store_history_info info;

    store_history_info(w->conf.store, &info);
    pthread_mutex_lock(&w->lock);
    if (w->stats.history_problem[0])
        log_info("the history's database can be used again", LOG_S("history", info.address),
                 LOG_U("retries", w->stats.history_retries));
    w->stats.history_problem[0] = '\0';
    w->stats.history = info;
    note_pace_of_inserts(w);
    pthread_mutex_unlock(&w->lock);
}

static void set_problem(struct writer *w, const struct tw_err *err)
{
    pthread_mutex_lock(&w->lock);
    if (!w->stats.problem[0])
        log_error("the database cannot be written; what came is kept and tried again",
                  LOG_S("error", err->text));
    snprintf(w->stats.problem, sizeof w->stats.problem, "database %s: %.200s",
             err->rc == TW_ENOSPC ? "disk full" : "cannot be written", err->text);
    w->stats.retries++;
    pthread_mutex_unlock(&w->lock);
}

static bool is_retryable(const struct writer *w, enum tw_rc rc)
{
    if (w->apart && (rc == TW_ETIMEOUT || rc == TW_ECLOSED))
        return true;
    return rc == TW_ENOSPC || rc == TW_EIO || rc == TW_ENOMEM || rc == TW_EBUSY || rc == TW_EPERM;
}

/* Decided by what is not true any more. */
static bool is_outdated(struct writer *w, const struct writer_job *j, struct tw_err *err)
{
    if (!j->decided || j->decided == w->memory)
        return false;
    tw_err_set(err, TW_EAGAIN, "another controller changed the control state meanwhile");
    pthread_mutex_lock(&w->lock);
    w->stats.decided++;
    pthread_mutex_unlock(&w->lock);
    return true;
}

/* While control state is away: what of the history needs it, too, must not hold up the rest. False: it does
 * not. */
static bool set_aside(struct writer *w, struct job_list *group, const struct writer_job *which)
{
    struct job_list all;
    struct writer_job *j;

    if (!w->splits || !store_shared_touched(w->conf.store))
        return false;
    store_rollback(w->conf.store);
    writer_list_init(&all);
    while ((j = list_take(group)))
        writer_list_add(&all, j);
    pthread_mutex_lock(&w->lock);
    while ((j = list_take(&all)))
        writer_list_add(j == which ? &w->held_both.jobs : group, j);
    w->held_both.due_ns = tw_mono_now().ns + w->conf.retry_ns;
    pthread_mutex_unlock(&w->lock);
    return true;
}

/* Jobs that failed by themselves have rc set and are left out. TW_EAGAIN: one more did, begin again without
 * it. */
static enum tw_rc run_jobs(struct writer *w, struct job_list *group, struct tw_err *err)
{
    for (struct writer_job *j = group->first; j; j = j->next) {
        enum tw_rc rc;

        if (j->rc != TW_OK)
            continue;
        j->err = (struct tw_err){ 0 };
        rc = is_outdated(w, j, &j->err) ? TW_EAGAIN : j->run(j, w->conf.store, &j->err);
        if (set_aside(w, group, j))
            return TW_EAGAIN;
        if (rc == TW_OK)
            continue;
        store_rollback(w->conf.store);
        if (is_retryable(w, rc)) {
            *err = j->err;
            err->rc = rc;
            return rc;
        }
        j->rc = rc;
        return TW_EAGAIN;
    }
    return TW_OK;
}

/* In a transaction that is begun. */
static enum tw_rc run_group(struct writer *w, struct job_list *group, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    if (group->first && is_for_history(group->first) &&
        (rc = store_begin_history(w->conf.store, err)) != TW_OK) {
        store_rollback(w->conf.store);
        err->rc = rc;
        return rc;
    }
    return run_jobs(w, group, err);
}

/* TW_EAGAIN: others came first. */
static enum tw_rc commit_once(struct writer *w, struct job_list *group, struct tw_err *err)
{
    enum tw_rc rc;

    do {
        *err = (struct tw_err){ 0 };
        rc = store_begin(w->conf.store, err);
        writer_tell_news(w);
        w->failed_shared = rc != TW_OK;
        if (rc != TW_OK)
            return rc;
        rc = run_group(w, group, err);
    } while (rc == TW_EAGAIN && err->rc == TW_OK);
    if (rc != TW_OK)
        return rc;
    w->touched_shared = store_shared_touched(w->conf.store);
    rc = store_commit(w->conf.store, err);
    w->failed_shared = store_shared_failed(w->conf.store);
    return rc;
}

/* False: stopping. */
static bool wait_retry(struct writer *w)
{
    int64_t due = tw_mono_now().ns + w->conf.retry_ns;
    struct timespec ts = { due / TW_NS_PER_S, due % TW_NS_PER_S };
    bool stopping;

    pthread_mutex_lock(&w->lock);
    while (!w->stopping && pthread_cond_timedwait(&w->wake, &w->lock, &ts) != ETIMEDOUT)
        ;
    stopping = w->stopping;
    pthread_mutex_unlock(&w->lock);
    return !stopping;
}

static bool stop_is_due(struct writer *w)
{
    bool due;

    pthread_mutex_lock(&w->lock);
    due = w->stopping && tw_mono_now().ns > w->stop_by_ns;
    pthread_mutex_unlock(&w->lock);
    return due;
}

/* Until it is known what became of it: others' changes are no failure. */
static enum tw_rc commit_after_others(struct writer *w, struct job_list *group, struct tw_err *err)
{
    enum tw_rc rc;

    while ((rc = commit_once(w, group, err)) == TW_EAGAIN && !stop_is_due(w)) {
        pthread_mutex_lock(&w->lock);
        w->stats.again++;
        pthread_mutex_unlock(&w->lock);
    }
    return rc;
}

/* When it is to stop there is no point in waiting for a disk, but another program may let go of the database:
 * the store waits for that. */
static enum tw_rc commit_until_done(struct writer *w, struct job_list *group)
{
    struct tw_err err;
    enum tw_rc rc;

    while ((rc = commit_once(w, group, &err)) != TW_OK) {
        err.rc = rc;
        set_problem(w, &err);
        if (!wait_retry(w) && (rc != TW_EINUSE || stop_is_due(w)))
            return TW_ECLOSED;
    }
    return TW_OK;
}

/* Half a group is enough to say how fast it goes. */
static void note_pace(struct writer *w, size_t rows, int64_t took_ns)
{
    double pace = (double)rows * 1e9 / (double)(took_ns + w->slice_ns + 1), most = (double)w->conf.max_rows;
    size_t least = GROUPS_MIN * w->conf.group_rows;
    double wanted;

    w->slice_ns = 0;
    if (2 * rows < w->conf.group_rows)
        return;
    w->rows_per_s = w->rows_per_s > 0 ? (w->rows_per_s + pace) / 2 : pace;
    wanted = w->rows_per_s * WRITER_WAIT_S;
    pthread_mutex_lock(&w->lock);
    w->wanted_rows = wanted < most ? (size_t)wanted : w->conf.max_rows;
    if (w->wanted_rows < least)
        w->wanted_rows = least < w->conf.max_rows ? least : w->conf.max_rows;
    pthread_mutex_unlock(&w->lock);
}

static void note_commit(struct writer *w, bool history, int64_t took_ns)
{
    struct store_stats st;
    int64_t p99 = 0;

    if (history && w->apart)
        clear_history_problem(w);
    w->commit_took_ns = took_ns;
    hist_add(&w->commit_ns, took_ns);
    hist_percentile(&w->commit_ns, 99, &p99);
    store_stats(w->conf.store, &st);
    pthread_mutex_lock(&w->lock);
    w->stats.store = st;
    w->stats.commit_last_s = (double)took_ns / 1e9;
    w->stats.commit_p99_s = (double)p99 / 1e9;
    if (w->stats.problem[0])
        log_info("the database can be written again", LOG_U("retries", w->stats.retries));
    w->stats.problem[0] = '\0';
    pthread_mutex_unlock(&w->lock);
}

static void finish(struct writer *w, struct job_list *group, enum tw_rc rc)
{
    struct writer_job *j;

    pthread_mutex_lock(&w->lock);
    w->rows -= group->rows;
    while ((j = list_take(group))) {
        if (rc != TW_OK)
            j->rc = rc;
        w->lost_rows += rc != TW_OK ? j->rows : 0;
        w->lost_jobs += rc != TW_OK && !j->rows;
        writer_list_add(&w->finished, j);
    }
    pthread_mutex_unlock(&w->lock);
    loop_post(w->conf.loop, &w->deliver);
}

/* ---- Roll-ups: between commits, when nothing waits, and a slice after each commit when all the time something does ---- */

static void note_rollup(struct writer *w, enum tw_rc rc, const struct tw_err *err)
{
    struct store_stats st;

    if (rc && !w->rollup_failing)
        log_error("summaries cannot be rolled up now; it is tried again, and reports are exact nevertheless",
                  LOG_S("error", err->text));
    w->rollup_failing = rc != TW_OK;
    store_stats(w->conf.store, &st);
    pthread_mutex_lock(&w->lock);
    w->stats.store = st;
    pthread_mutex_unlock(&w->lock);
}

/* Of a history that is apart it is said here, too, whether it is there: nobody may have anything for it. */
static bool look_at_history(struct writer *w)
{
    struct tw_err err = { 0 };

    if (!w->apart)
        return true;
    if ((err.rc = store_look_history(w->conf.store, &err)) == TW_OK) {
        clear_history_problem(w);
        return true;
    }
    set_history_problem(w, &err);
    w->rollup_due_ns = tw_mono_now().ns + w->conf.retry_ns;
    return false;
}

static void roll_up(struct writer *w)
{
    struct tw_err err = { 0 };
    bool more = false;
    enum tw_rc rc;
    int64_t now, begun = tw_mono_now().ns;

    if (!look_at_history(w))
        return;
    work_begin(&w->work, begun);
    rc = store_rollup(w->conf.store, tw_wall_now().ns, SLICE_ROWS, &more, &err);
    now = tw_mono_now().ns;
    w->slice_ns = now - begun;
    w->rollup_due_ns = rc ? now + w->conf.retry_ns : more ? now : now + LOOK_NS;
    note_rollup(w, rc, &err);
    work_end(&w->work, tw_mono_now().ns);
}

static bool rollup_is_due(const struct writer *w)
{
    return tw_mono_now().ns >= w->rollup_due_ns;
}

/* Commits that are not full follow each other without a pause. */
static bool rollup_is_late(const struct writer *w)
{
    return tw_mono_now().ns >= w->rollup_due_ns + ROLLUP_LATE_NS;
}

/* ---- Collecting a group ---- */

static struct timespec timespec_of(int64_t mono_ns)
{
    return (struct timespec){ mono_ns / TW_NS_PER_S, mono_ns % TW_NS_PER_S };
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* With the lock, which it gives up meanwhile. False: `until_ns` has passed. */
static bool pass_time(struct writer *w, int64_t until_ns)
{
    bool may_roll_up = !w->held_history.jobs.first; /* else it is known to be away, and when to try again */
    int64_t wake = earlier(until_ns, w->follow_due_ns);
    struct timespec ts = timespec_of(may_roll_up ? earlier(wake, w->rollup_due_ns) : wake);

    if (tw_mono_now().ns >= w->follow_due_ns) {
        pthread_mutex_unlock(&w->lock);
        writer_follow(w);
        pthread_mutex_lock(&w->lock);
    } else if (may_roll_up && rollup_is_due(w)) {
        pthread_mutex_unlock(&w->lock);
        roll_up(w);
        pthread_mutex_lock(&w->lock);
    } else {
        pthread_cond_timedwait(&w->wake, &w->lock, &ts);
    }
    return tw_mono_now().ns < until_ns;
}

/* Is there something to be written now of those that wait, or of the queue behind them? */
static bool is_due(const struct writer *w, const struct writer_held *held, const struct job_list *queue)
{
    return held->jobs.first ? w->stopping || tw_mono_now().ns >= held->due_ns : queue->first != NULL;
}

/* Of those that wait for both: they go when the history is there, and are set aside again if the other is
 * not. */
static bool both_are_due(const struct writer *w)
{
    return w->held_both.jobs.first && !w->held_history.jobs.first &&
           (w->stopping || tw_mono_now().ns >= w->held_both.due_ns);
}

static bool is_idle(const struct writer *w)
{
    return !is_due(w, &w->held_control, &w->control) && !is_due(w, &w->held_history, &w->queue) &&
           !both_are_due(w);
}

static int64_t due_of(const struct writer_held *held)
{
    return held->jobs.first ? held->due_ns : INT64_MAX;
}

static int64_t held_due_ns(const struct writer *w)
{
    int64_t history = w->held_history.jobs.first ? w->held_history.due_ns : due_of(&w->held_both);

    return earlier(due_of(&w->held_control), history);
}

static bool held_is_due(const struct writer *w)
{
    return held_due_ns(w) <= tw_mono_now().ns;
}

static void linger(struct writer *w)
{
    int64_t due = w->first_queued_ns + w->conf.linger_ns;

    while (!w->stopping && !(w->control.urgent && is_due(w, &w->held_control, &w->control)) &&
           w->queue.rows < w->conf.group_rows && pass_time(w, due))
        ;
}

static void move_all(struct job_list *from, struct job_list *to)
{
    while (from->first)
        writer_list_add(to, list_take(from));
}

/* What people wait for, all of it, and as many results as a commit takes. */
static bool fits(const struct writer *w, const struct job_list *group)
{
    const struct writer_job *next = w->queue.first;

    if (group->first && (next->fence || group->first->fence))
        return false;
    return !group->rows || group->rows + next->rows <= w->conf.group_rows;
}

/* However much there is of control state, results go in between; but not to a history that may be away, and
 * would hold up the others for as long as a try takes. */
static bool is_turn_of_history(const struct writer *w)
{
    return w->control_last && !w->stopping && !w->held_history.jobs.first &&
           tw_mono_now().ns - w->history_at_ns > w->conf.turn_ns && (both_are_due(w) || w->queue.first);
}

/* All that waits; once that was too much for one commit, as many jobs as it may take. */
static void fill_control(struct writer *w, struct job_list *ret)
{
    move_all(&w->control, &w->held_control.jobs);
    w->control.urgent = false;
    for (size_t n = 0; w->held_control.jobs.first && (!w->most_jobs || n < w->most_jobs); n++)
        writer_list_add(ret, list_take(&w->held_control.jobs));
    w->held_control.due_ns = 0; /* what is left goes next */
}

static void fill_group(struct writer *w, struct job_list *ret)
{
    bool control = is_due(w, &w->held_control, &w->control) && !(w->apart && is_turn_of_history(w));

    if (control)
        fill_control(w, ret);
    w->control_last = control;
    if (w->apart && ret->first) /* what waits for the history must not hold it up */
        return;
    w->history_at_ns = tw_mono_now().ns;
    if (both_are_due(w)) {
        move_all(&w->held_both.jobs, ret);
        return;
    }
    if (!is_due(w, &w->held_history, &w->queue))
        return;
    if (w->held_history.jobs.first) {
        move_all(&w->held_history.jobs, ret);
        return;
    }
    while (w->queue.first && fits(w, ret))
        writer_list_add(ret, list_take(&w->queue));
}

/* One commit is always tried; others only if they will be over in time, as far as the last one tells. */
static bool is_too_late(const struct writer *w, int64_t now_ns)
{
    return now_ns > w->stop_by_ns || (w->tried && now_ns + w->commit_took_ns > w->stop_by_ns);
}

/* False: stopped, and nothing is left. *ret_give_up: there is no time left to write it. */
static bool take_group(struct writer *w, struct job_list *ret, bool *ret_give_up)
{
    writer_list_init(ret);
    pthread_mutex_lock(&w->lock);
    while (is_idle(w) && !w->stopping)
        pass_time(w, held_due_ns(w));
    if (!is_idle(w) && !held_is_due(w))
        linger(w);
    fill_group(w, ret);
    w->first_queued_ns = tw_mono_now().ns;
    *ret_give_up = w->stopping && is_too_late(w, tw_mono_now().ns);
    w->tried = w->stopping;
    pthread_mutex_unlock(&w->lock);
    return ret->first != NULL;
}

static void note_failure(struct writer *w, bool history, const struct tw_err *err)
{
    bool shared = w->shared && (!history || w->failed_shared);

    if (shared)
        writer_note_control(w, err);
    else
        set_history_problem(w, err);
    pthread_mutex_lock(&w->lock);
    if (shared)
        w->stats.control_retries++;
    else
        w->stats.history_retries++;
    pthread_mutex_unlock(&w->lock);
}

/* Not at the end: what is left then is tried once. */
static bool may_split(struct writer *w)
{
    struct store_shared_info info;
    bool stopping;

    store_shared_info(w->conf.store, &info);
    pthread_mutex_lock(&w->lock);
    stopping = w->stopping;
    pthread_mutex_unlock(&w->lock);
    return info.away && !stopping;
}

/* More than control state takes in one transaction: the later half of the group waits for the next one, at
 * once. A job that is too large by itself fails. */
static void halve(struct writer *w, struct job_list *group, const struct tw_err *err)
{
    struct job_list all = *group, later;
    struct writer_job *j;
    size_t n = 0, i = 0;

    for (j = all.first; j; j = j->next)
        n++;
    w->most_jobs = n > 1 ? n / 2 : 1;
    if (n == 1) {
        all.first->rc = err->rc;
        all.first->err = *err;
        return;
    }
    writer_list_init(group);
    writer_list_init(&later);
    while ((j = list_take(&all)))
        writer_list_add(i++ < n / 2 ? group : &later, j);
    pthread_mutex_lock(&w->lock);
    move_all(&w->held_control.jobs, &later); /* what an earlier half has left is behind it */
    move_all(&later, &w->held_control.jobs);
    w->held_control.due_ns = 0;
    pthread_mutex_unlock(&w->lock);
}

/* To a database that may be away: once. False: the group waits. */
static bool write_or_hold(struct writer *w, struct job_list *group, enum tw_rc *ret)
{
    bool history = is_for_history(group->first), hold;
    struct writer_held *held = history ? &w->held_history : &w->held_control;
    int64_t fence = group->first->fence;
    struct tw_err err;

    w->splits = history && !fence && may_split(w);
    store_fence(w->conf.store, PLANNER_ROLE, fence);
    while ((err.rc = commit_after_others(w, group, &err)) == TW_ERANGE && !history)
        halve(w, group, &err);
    w->splits = false;
    *ret = err.rc;
    if (err.rc && fence && w->failed_shared) { /* whoever is the planner does it */
        group->first->rc = TW_EPERM;
        *ret = err.rc = TW_OK;
    }
    if (err.rc == TW_OK)
        return true;
    note_failure(w, history, &err);
    pthread_mutex_lock(&w->lock);
    hold = !w->stopping;
    if (hold) {
        move_all(&held->jobs, group); /* a later half is behind this one */
        move_all(group, &held->jobs);
    }
    held->due_ns = tw_mono_now().ns + w->conf.retry_ns;
    pthread_mutex_unlock(&w->lock);
    *ret = TW_ECLOSED;
    return !hold;
}

/* False: the group waits. */
static bool write_group(struct writer *w, struct job_list *group, enum tw_rc *ret)
{
    if (w->apart && (w->shared || is_for_history(group->first)))
        return write_or_hold(w, group, ret);
    *ret = commit_until_done(w, group);
    return true;
}

/* So many fitted: a few more may, too, until nothing is left of what was too much. */
static void widen(struct writer *w)
{
    bool left;

    pthread_mutex_lock(&w->lock);
    left = w->held_control.jobs.first != NULL;
    pthread_mutex_unlock(&w->lock);
    w->most_jobs = left ? w->most_jobs + (w->most_jobs + 1) / 2 : 0;
}

static void note_written(struct writer *w, bool history, size_t rows, int64_t took_ns)
{
    if (!history && w->most_jobs)
        widen(w);
    note_commit(w, history, took_ns);
    note_pace(w, rows, took_ns);
    if (w->touched_shared)
        writer_note_control(w, &(struct tw_err){ .rc = TW_OK });
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    struct job_list group;
    bool give_up;

    while (take_group(w, &group, &give_up)) {
        size_t rows = group.rows;
        int64_t start = tw_mono_now().ns;
        bool history = is_for_history(group.first), over = true;
        enum tw_rc rc = TW_ECLOSED;

        work_begin(&w->work, start);
        if (!give_up)
            over = write_group(w, &group, &rc);
        if (over && rc == TW_OK)
            note_written(w, history, rows, tw_mono_now().ns - start);
        if (over)
            finish(w, &group, rc);
        work_end(&w->work, tw_mono_now().ns);
        if (rc == TW_OK && !w->tried && rollup_is_due(w) && (rows >= w->conf.group_rows || rollup_is_late(w)))
            roll_up(w);
        if (tw_mono_now().ns >= w->follow_due_ns)
            writer_follow(w);
    }
    return NULL;
}

/* ---- Loop thread ---- */

enum tw_rc writer_submit(struct writer *w, struct writer_job *j)
{
    enum tw_rc rc = TW_OK;

    j->rc = TW_OK;
    pthread_mutex_lock(&w->lock);
    if (w->stopping) {
        rc = TW_ECLOSED;
    } else if (j->rows && w->rows + j->rows > w->conf.max_rows) {
        rc = TW_EBUSY;
        w->stats.refused++;
    } else {
        if (is_idle(w))
            w->first_queued_ns = tw_mono_now().ns;
        writer_list_add((w->apart ? is_for_history(j) : j->rows && !j->urgent) ? &w->queue : &w->control, j);
        w->rows += j->rows;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    return rc;
}

bool writer_pressed(struct writer *w)
{
    bool pressed;

    pthread_mutex_lock(&w->lock);
    pressed = w->rows > w->wanted_rows / 2;
    pthread_mutex_unlock(&w->lock);
    return pressed;
}

size_t writer_capacity(struct writer *w)
{
    size_t rows;

    pthread_mutex_lock(&w->lock);
    rows = w->wanted_rows;
    pthread_mutex_unlock(&w->lock);
    return rows;
}

void writer_stats(struct writer *w, struct writer_stats *ret)
{
    pthread_mutex_lock(&w->lock);
    *ret = w->stats;
    ret->queued_rows = w->rows;
    ret->max_rows = w->conf.max_rows;
    ret->wanted_rows = w->wanted_rows;
    pthread_mutex_unlock(&w->lock);
    work_look(&w->work, tw_mono_now().ns, &ret->work);
}

static void set_defaults(struct writer_conf *c)
{
    c->max_rows = c->max_rows ? c->max_rows : MAX_ROWS;
    c->group_rows = c->group_rows ? c->group_rows : GROUP_ROWS;
    c->linger_ns = c->linger_ns ? c->linger_ns : LINGER_NS;
    c->retry_ns = c->retry_ns ? c->retry_ns : RETRY_NS;
    c->turn_ns = c->turn_ns ? c->turn_ns : TURN_NS;
}

/* Waits are by the monotonic clock: a step of the wall clock must not stretch them. */
static void init_sync(struct writer *w)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
}

static void writer_free(struct writer *w)
{
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    hist_free(&w->commit_ns);
    writer_shared_free(w);
    free(w);
}

/* Signals are the loop's. */
static int start_thread(struct writer *w)
{
    sigset_t all, before;
    int e;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    e = pthread_create(&w->thread, NULL, writer_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e;
}

enum tw_rc writer_start(const struct writer_conf *c, struct writer **ret, struct tw_err *err)
{
    struct writer *w = calloc(1, sizeof *w);
    int e;

    if (!w)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    w->conf = *c;
    set_defaults(&w->conf);
    w->wanted_rows = w->conf.max_rows;
    writer_list_init(&w->control);
    writer_list_init(&w->queue);
    writer_list_init(&w->finished);
    writer_list_init(&w->held_history.jobs);
    writer_list_init(&w->held_control.jobs);
    writer_list_init(&w->held_both.jobs);
    hist_init(&w->commit_ns);
    w->deliver = (struct loop_task){ .fn = deliver, .ctx = w };
    store_stats(c->store, &w->stats.store);
    store_history_info(c->store, &w->stats.history);
    w->apart = w->stats.history.apart;
    writer_shared_start(w);
    init_sync(w);
    work_init(&w->work, tw_mono_now().ns);
    e = start_thread(w);
    if (e) {
        writer_free(w);
        return tw_err_set(err, tw_rc_errno(e), "cannot start the store writer thread: %s", strerror(e));
    }
    *ret = w;
    return TW_OK;
}

struct drain {
    struct loop_task task;
    bool done;
};

static void drained(struct loop_task *t)
{
    ((struct drain *)t->ctx)->done = true;
}

static void tell_lost(const struct writer *w)
{
    if (w->lost_rows || w->lost_jobs)
        log_warn("not all could be written before the end: agents send their summaries again",
                 LOG_U("summaries", w->lost_rows), LOG_U("other_changes", w->lost_jobs),
                 LOG_S("reason", *w->stats.problem ? w->stats.problem : "there was no time left"));
}

void writer_stop(struct writer *w)
{
    struct drain end = { .task = { .fn = drained, .ctx = &end } };

    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    w->stop_by_ns = tw_mono_now().ns + STOP_NS;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    store_hurry(w->conf.store, w->stop_by_ns);
    pthread_join(w->thread, NULL);
    tell_lost(w);
    /* Tasks run in order, so none of ours is in the loop any more once this one has run. */
    loop_post(w->conf.loop, &end.task);
    while (!end.done && loop_run_until(w->conf.loop, &end.done, TW_MONO_NEVER) == TW_ECLOSED)
        ; /* a second signal must not cut this short */
    deliver_until(w, INT64_MAX);
    loop_unpost(w->conf.loop, &w->deliver);
    writer_free(w);
}
