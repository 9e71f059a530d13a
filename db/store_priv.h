/* db/store_priv.h - what the parts of the store share: the history, behind its table of operations, and the
 * control state, which is in SQLite. */
#ifndef TW_DB_STORE_PRIV_H
#define TW_DB_STORE_PRIV_H

#include "db/history.h"
#include "db/sqlite/statements.h"
#include "db/store.h"
#include "db/store_shared.h"

/* What store_retain() is at. */
struct kept_level {
    int64_t from_ns, done_ns; /* as in level_kept */
    int64_t wanted_ns;
};
struct kept_mesh {
    char name[STORE_NAME_MAX];
    struct kept_level level[STORE_LEVELS];
};
struct kept {
    bool planned;
    struct kept_mesh *meshes;
    size_t n_meshes;
    struct history_group *groups;
    size_t *mesh_of, n_groups; /* by group */
    struct history_retention asked;
};

/* What stands behind the file of control state where others write it, too (etcd/mirror.h). */
struct control_shared {
    /* The file gets what others did; the transaction is begun after that. */
    enum tw_rc (*follow)(struct control_shared *c, struct tw_err *err);
    /* The open transaction is done for all, or for nobody; then it is committed in the file, too. */
    enum tw_rc (*agree)(struct control_shared *c, struct tw_err *err);
    void (*done)(struct control_shared *c, bool committed); /* in the file */
    void (*hurry)(struct control_shared *c, int64_t by_mono_ns);
    void (*listen)(struct control_shared *c, void (*fn)(void *ctx, const char *key), void *ctx);
    void (*info)(struct control_shared *c, struct store_shared_info *ret);
    void (*fence)(struct control_shared *c, const char *role, int64_t number);
    void (*close)(struct control_shared *c);
};

struct store {
    struct control_shared *shared; /* NULL: the file is all there is */
    struct history *history;
    struct sq *q; /* control state: the history's own file, or `own` */
    struct sq own;
    bool shared_failed; /* the last commit, because of `shared` */
    enum tw_rc broken; /* a write of the open transaction failed half-way: it cannot be committed */
    struct kept kept;
    bool history_begun; /* the open transaction is one of the history apart, too */
    /* Agents that are no more, and that the history apart has not been told of; new: by the open transaction.
     */
    struct forgotten {
        int64_t *v;
        size_t n, n_new, cap;
    } forgotten;
};

struct store_reader {
    struct history_reader *history;
    struct sq *q;
    struct sq own;
};

/* The store with its control state in the SQLite file `control` and its history elsewhere, which becomes the
 * store's, also on an error. A transaction commits the history first and then the control state: what was
 * committed of a history by a store that ended between is found again by its cursors. */
enum tw_rc store_open_with(const char *control, struct history *history, struct store **ret,
                           struct tw_err *err);
enum tw_rc store_reader_open_with(const char *control, struct history_reader *history,
                                  struct store_reader **ret, struct tw_err *err);

/* In the open transaction: the history forgets that agent with it, or, if it is apart, with the next one that
 * it takes part in. Until then, and after an end between, something of an agent that nobody knows is left
 * there. */
enum tw_rc store_forget_history(struct store *s, int64_t agent_id, struct tw_err *err);

/* sqlite/store_agent.c: the agent with that number; TW_ENOENT. */
enum tw_rc control_find_agent(struct store *s, int64_t id, struct tw_err *err);
/* The numbers that agents of this name have and had; malloc'ed. */
enum tw_rc control_agents_named(struct store_reader *r, const char *name, int64_t **ret, size_t *ret_n,
                                struct tw_err *err);
/* sqlite/store_absence.c: store_read_absences() of all but what spools dropped. */
enum tw_rc control_read_absences(struct store_reader *r, const char *source, int64_t from_ns, int64_t to_ns,
                                 enum tw_rc (*fn)(void *ctx, const struct store_absence *a), void *ctx,
                                 struct tw_err *err);
/* sqlite/store_test.c: the row is of a test on demand; makes the test known if it is not. */
enum tw_rc control_note_test(struct store *s, const struct tw_summary *row, struct tw_err *err);
/* sqlite/store_generation.c: the mesh is that from this generation on; document NULL: it is deleted. */
enum tw_rc control_put_version(struct store *s, const char *mesh, uint64_t generation, const char *document,
                               bool paused, struct tw_err *err);

/* sqlite/store_kept.c: the first step of store_retain(): says what is kept no more, and what the history is
 * asked for. */
enum tw_rc kept_plan(struct store *s, const struct store_retention *r, struct tw_err *err);
void kept_forget(struct store *s);
/* A history_keeper of a reader. */
enum tw_rc kept_read(void *ctx, uint64_t pair_id, struct history_kept *ret, struct tw_err *err);

/* sqlite/backup.c: nobody else has the file open while the descriptor is. TW_EINUSE: a controller has. */
enum tw_rc store_lock(const char *path, int *ret_fd, struct tw_err *err);

#endif
