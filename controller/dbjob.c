#include "controller/dbjob.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/clk.h"
#include "common/log.h"
#include "common/net/now.h"

struct dbjob {
    const char *database, *folder;
    pthread_t thread;
    bool has_thread;      /* to be joined */
    struct work work;     /* of the threads, one after another: a job is a round */
    pthread_mutex_t lock; /* all below */
    bool stop;
    struct dbjob_state s;
};

static const char *const kinds[] = { "", "backup", "check" };

const char *dbjob_kind_name(enum dbjob_kind k)
{
    return kinds[k];
}

enum tw_rc dbjob_kind_parse(const char *name, enum dbjob_kind *ret)
{
    for (size_t i = DBJOB_BACKUP; i < TW_NELEM(kinds); i++)
        if (!strcmp(kinds[i], name)) {
            *ret = (enum dbjob_kind)i;
            return TW_OK;
        }
    return TW_EINVAL;
}

/* ---- The thread ---- */

static bool note_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct dbjob *j = ctx;
    bool go_on;

    pthread_mutex_lock(&j->lock);
    j->s.done = done;
    j->s.total = total;
    go_on = !j->stop;
    pthread_mutex_unlock(&j->lock);
    return go_on;
}

static void note_check(void *ctx, const struct store_checked *c)
{
    struct dbjob *j = ctx;

    if (!c->ok)
        log_error("the database is not whole", LOG_S("check", c->name), LOG_S("problem", c->text));
    pthread_mutex_lock(&j->lock);
    if (j->s.n_checks < DBJOB_CHECKS)
        j->s.checks[j->s.n_checks++] = *c;
    pthread_mutex_unlock(&j->lock);
}

static void end(struct dbjob *j, enum tw_rc rc, const struct tw_err *err, uint64_t bytes)
{
    pthread_mutex_lock(&j->lock);
    j->s.bytes = bytes;
    j->s.ended_ns = tw_wall_now().ns;
    j->s.over = true;
    if (rc)
        snprintf(j->s.error, sizeof j->s.error, "%s", err->text);
    pthread_mutex_unlock(&j->lock);
    if (rc && rc != TW_ECLOSED)
        log_error("a copy or check of the database failed", LOG_S("what", kinds[j->s.kind]),
                  LOG_S("error", err->text));
    else if (!rc && j->s.kind == DBJOB_BACKUP)
        log_info("the database was copied", LOG_S("file", j->s.file), LOG_U("bytes", bytes));
}

static void *run(void *arg)
{
    struct dbjob *j = arg;
    struct store_progress p = { note_progress, j };
    struct tw_err err = { 0 };
    uint64_t bytes = 0;
    enum tw_rc rc;

    work_begin(&j->work, tw_mono_now().ns);
    rc = j->s.kind == DBJOB_BACKUP ? store_backup(j->database, j->s.file, &p, &bytes, &err)
                                   : store_check(j->database, &p, note_check, j, &err);
    work_end(&j->work, tw_mono_now().ns);
    end(j, rc, &err, bytes);
    return NULL;
}

/* Signals are the loop's. */
static int start_thread(struct dbjob *j)
{
    sigset_t all, before;
    int e;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    e = pthread_create(&j->thread, NULL, run, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e;
}

static void join(struct dbjob *j)
{
    if (j->has_thread)
        pthread_join(j->thread, NULL);
    j->has_thread = false;
}

/* ---- Loop thread ---- */

static bool is_plain(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return n && !name[n] && n <= DBJOB_NAME_MAX && name[0] != '.' && name[0] != '-';
}

static enum tw_rc make_folder(const char *folder, struct tw_err *err)
{
    if (mkdir(folder, 0750) == 0 || errno == EEXIST)
        return TW_OK;
    return tw_err_set(err, tw_rc_errno(errno), "cannot make the folder for copies, %s: %s", folder,
                      strerror(errno));
}

static enum tw_rc name_file(const struct dbjob *j, const char *name, int64_t now_ns, char ret[PATH_MAX],
                            struct tw_err *err)
{
    char by_time[48];
    time_t t = (time_t)(now_ns / TW_NS_PER_S);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(by_time, sizeof by_time, "controller-%Y%m%dT%H%M%SZ.db", &tm);
    if (*name && !is_plain(name))
        return tw_err_set(err, TW_EINVAL,
                          "\"%.100s\" is no name of a copy: expected up to %d of A-Z a-z 0-9 . _ -, no "
                          "folder; it goes to %s",
                          name, DBJOB_NAME_MAX, j->folder);
    if (snprintf(ret, PATH_MAX, "%s/%s", j->folder, *name ? name : by_time) >= PATH_MAX)
        return tw_err_set(err, TW_EINVAL, "the path of the folder for copies is too long");
    if (access(ret, F_OK) == 0)
        return tw_err_set(err, TW_EEXIST, "%s: there is such a copy already: give another name", ret);
    return make_folder(j->folder, err);
}

static bool is_under_way(struct dbjob *j)
{
    bool over;

    pthread_mutex_lock(&j->lock);
    over = j->s.over;
    pthread_mutex_unlock(&j->lock);
    return !over;
}

enum tw_rc dbjob_start(struct dbjob *j, enum dbjob_kind kind, const char *name, int64_t now_ns,
                       struct tw_err *err)
{
    char file[PATH_MAX] = "";
    enum tw_rc rc = TW_OK;
    int e;

    if (is_under_way(j))
        return tw_err_set(err, TW_EBUSY, "a %s of the database is under way: wait for its end, or stop it",
                          kinds[j->s.kind]);
    if (kind == DBJOB_BACKUP)
        rc = name_file(j, name, now_ns, file, err);
    if (rc)
        return rc;
    join(j);
    j->stop = false;
    j->s = (struct dbjob_state){ .kind = kind, .started_ns = now_ns };
    memcpy(j->s.file, file, sizeof file);
    e = start_thread(j);
    if (e) {
        j->s = (struct dbjob_state){ .kind = DBJOB_NONE, .over = true };
        return tw_err_set(err, tw_rc_errno(e), "cannot start a thread: %s", strerror(e));
    }
    j->has_thread = true;
    return TW_OK;
}

void dbjob_look(struct dbjob *j, struct dbjob_state *ret)
{
    pthread_mutex_lock(&j->lock);
    *ret = j->s;
    pthread_mutex_unlock(&j->lock);
}

void dbjob_work(const struct dbjob *j, struct work_stats *ret)
{
    work_look(&j->work, tw_mono_now().ns, ret);
}

void dbjob_stop(struct dbjob *j)
{
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_mutex_unlock(&j->lock);
}

enum tw_rc dbjob_new(const char *database, const char *folder, struct dbjob **ret)
{
    struct dbjob *j = calloc(1, sizeof *j);

    if (!j)
        return TW_ENOMEM;
    j->database = database;
    j->folder = folder;
    j->s.over = true;
    work_init(&j->work, tw_mono_now().ns);
    pthread_mutex_init(&j->lock, NULL);
    *ret = j;
    return TW_OK;
}

void dbjob_free(struct dbjob *j)
{
    if (!j)
        return;
    dbjob_stop(j);
    join(j);
    pthread_mutex_destroy(&j->lock);
    free(j);
}
