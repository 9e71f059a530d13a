/* db/etcd/mirror_priv.h - what the parts of mirror.h share. */
#ifndef TW_DB_MIRROR_PRIV_H
#define TW_DB_MIRROR_PRIV_H

#include <string.h>

#include "db/etcd/mirror.h"
#include "db/etcd/mirror_feed.h"
#include "db/etcd/mirror_head.h"
#include "db/etcd/mirror_look.h"
#include "db/etcd/mirror_rows.h"

struct mirror {
    struct control_shared shared; /* first */
    struct mirror_conf conf;
    struct sq *q;
    struct mirror_rows *rows;
    struct etcd *e;
    struct mirror_feed *feed;
    struct mirror_look *look; /* NULL: nobody asks */
    struct tw_err blind;      /* rc not TW_OK: why it is not known what is true; then nothing of it is used */
    char address[160];
    char prefix[96], head_key[128], writer_key[160], id[17];
    int64_t at;     /* revision of etcd that the file is at */
    struct mirror_head head; /* then */
    int64_t writer;          /* of our key; 0: there is none */
    int64_t need;   /* revision that the file has to be at before there is a point in another transaction */
    bool stale;     /* the file is to be made anew */
    char fence_key[160];
    int64_t fence;   /* number that its holder has to have; 0: whoever */
    uint64_t number; /* of our last transaction */
    int64_t time_s;  /* when it was */
    /* The transaction that nobody knows the outcome of. */
    bool doubt;
    struct mirror_head doubt_head;
    struct mirror_stats stats;
};

static inline const struct etcd_kv *mirror_find(const struct etcd_answer *a, const char *key)
{
    for (size_t i = 0; i < a->n; i++)
        if (!strcmp(a->kv[i].key, key))
            return &a->kv[i];
    return NULL;
}

static inline int64_t mirror_revision_of(const struct etcd_kv *kv)
{
    return kv ? kv->mod_revision : 0;
}

static inline void mirror_need(struct mirror *m, int64_t revision)
{
    m->need = revision > m->need ? revision : m->need;
}

/* ---- One transaction of etcd: mirror_txn.c ---- */

/* Once it is known. */
struct mirror_outcome {
    bool done, fenced; /* fenced: we are not the holder any more, and head is as we know it */
    int64_t revision;  /* done: its own */
};

/* One of our own, if head is *head, which is then that of this one; `then` has room for two more. TW_EAGAIN:
 * others came first. TW_EPERM: we do not hold what is in m->fence_key. Else it failed; m->doubt: nobody knows
 * whether. */
enum tw_rc mirror_send(struct mirror *m, struct mirror_head *head, struct etcd_op *then, size_t n,
                       struct tw_err *err);
/* What became of our last one, that was sent when head was this. An error: it is not known yet. */
enum tw_rc mirror_settle(struct mirror *m, const struct mirror_head *head, struct mirror_outcome *ret,
                         struct tw_err *err);
/* etcd has another head than *head, by which we asked: others came first, or it has not the history any more
 * that the file is of, which is then made anew. NULL: it has none. */
void mirror_note_head(struct mirror *m, const struct mirror_head *head, const struct etcd_kv *now);
/* TW_EAGAIN, with a text. */
enum tw_rc mirror_conflict(struct mirror *m, struct tw_err *err);

/* ---- One of the store's: mirror_commit.c; struct control_shared says what they do ---- */

enum tw_rc mirror_agree(struct control_shared *shared, struct tw_err *err);
void mirror_done(struct control_shared *shared, bool committed);

/* ---- Everything anew: mirror_load.c ---- */

struct mirror_loading {
    struct mirror *m;
    struct mirror_changes c;
    struct tw_err *err;
    struct mirror_head head;
    int64_t schema, schema_version, writer;
    char *old[16]; /* writers that have gone */
    int64_t old_revision[16];
    size_t n_old;
};
/* Ended with mirror_free_loading(), also after an error. */
enum tw_rc mirror_load(struct mirror *m, struct mirror_loading *l, struct tw_err *err);
void mirror_free_loading(struct mirror_loading *l);
enum tw_rc mirror_load_again(struct mirror *m, struct tw_err *err);
/* TW_ECORRUPT: etcd has nothing of what it had. */
enum tw_rc mirror_gone(const struct mirror *m, struct tw_err *err);
enum tw_rc mirror_check_schema(const struct mirror *m, const char *value, int64_t *ret_version,
                               struct tw_err *err);
enum tw_rc mirror_exec(struct mirror *m, const char *sql, struct tw_err *err);
void mirror_tell(struct mirror *m, const char *key);

/* ---- What others did: mirror_follow.c ---- */

enum tw_rc mirror_take_in(struct control_shared *shared, struct tw_err *err);

#endif
