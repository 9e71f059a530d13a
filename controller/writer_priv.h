/* controller/writer_priv.h - what the parts of writer.h share. */
#ifndef TW_CONTROLLER_WRITER_PRIV_H
#define TW_CONTROLLER_WRITER_PRIV_H

#include <pthread.h>
#include "common/hist.h"
#include "controller/writer.h"

struct job_list {
    struct writer_job *first, **end;
    size_t rows;
    bool urgent;
};

/* Of a database that is away: they wait, and are tried again. */
struct writer_held {
    struct job_list jobs;
    int64_t due_ns;
};

struct writer {
    struct writer_conf conf;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    struct job_list control, queue, finished;
    int64_t first_queued_ns;     /* when the oldest job of the queue came */
    size_t rows;                 /* queued or being committed */
    size_t wanted_rows;          /* should be, at most */
    size_t lost_rows, lost_jobs; /* not written at the end; jobs: those without rows */
    bool stopping;
    int64_t stop_by_ns;
    struct writer_stats stats;
    struct loop_task deliver;
    struct writer_job *delivering; /* loop thread */
    struct work work;              /* commits and slices of roll-ups */
    struct hist commit_ns;         /* writer thread only, as all below */
    int64_t rollup_due_ns;         /* monotonic; the next slice, or look */
    bool rollup_failing;
    double rows_per_s;      /* when there is enough to do; 0: not known */
    int64_t commit_took_ns; /* the last one */
    bool tried;             /* a commit since it is to stop */
    bool apart;             /* the history is in a database of its own */
    bool shared;            /* control state is others', too (db/store_shared.h) */
    bool splits;            /* what the history's group needs of that is set aside */
    bool touched_shared;    /* the last commit looked at that */
    bool failed_shared;     /* it failed because of that */
    bool control_failed;    /* a commit did, and none that needs it worked since */
    size_t most_jobs;       /* of control state in one commit, since more were too many; 0: all that wait */
    bool control_last;      /* the last group was of control state */
    int64_t history_at_ns;  /* when the last one of the history was taken */
    struct writer_held held_history, held_control;
    struct writer_held held_both; /* for the history, and control state that is away */
    int64_t follow_due_ns;        /* of what others changed; INT64_MAX: nobody does */
    uint64_t memory;              /* what memory has to have followed for a decision of it to count */
    char **news;                  /* what others changed, and nobody on the loop's thread was told of yet */
    size_t n_news, cap_news;
    bool news_lost; /* for want of memory: anything may have changed */
    struct {
        int64_t at_ns;
        uint64_t inserts;
    } pace;           /* since then inserts_per_s is counted */
    int64_t slice_ns; /* what the last slice took, if it followed a full commit */
};

/* With the lock. */
void writer_list_init(struct job_list *l);
void writer_list_add(struct job_list *l, struct writer_job *j);

/* ---- Control state that others change, too: writer_shared.c; writer's thread ---- */

#define WRITER_FOLLOW_NS (100 * TW_NS_PER_MS)
void writer_shared_start(struct writer *w); /* before the thread */
void writer_shared_free(struct writer *w);
/* Between transactions: takes in what others did, and says whether the control state can be used. */
void writer_follow(struct writer *w);
/* What store_begin() took in of others is told on the loop's thread, behind what is done already. */
void writer_tell_news(struct writer *w);
/* What a commit says of it; rc TW_OK: it worked. */
void writer_note_control(struct writer *w, const struct tw_err *err);

#endif
