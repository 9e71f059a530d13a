/* controller/history.h - reads the history of the schedule: which generations there were, and what meshes were in them. Queries run on the
 * readers' threads; loop thread otherwise. */
#ifndef TW_CONTROLLER_HISTORY_H
#define TW_CONTROLLER_HISTORY_H

#include "controller/core/text_diff.h"
#include "controller/reader.h"

/* What a generation did to a mesh. */
struct history_mesh {
    char name[STORE_NAME_MAX];
    bool existed, exists, was_paused, paused;
    bool same_document;    /* both existed, with the same document */
    struct text_diff diff; /* history_query.diffs, and unless it is the same; text may be NULL */
};
struct history_row {
    struct store_generation g; /* its texts are owned here */
    struct history_mesh *meshes;
    size_t n_meshes;
};
struct history {
    struct history_row *rows; /* newest first */
    size_t n;
    bool more; /* there are older ones */
};
struct history_query {
    uint64_t number; /* that one; 0: a list */
    uint64_t before; /* list: below it; 0: all */
    uint32_t limit;
    bool diffs;
};
/* done(ctx, NULL, err): it did not work; TW_ENOENT: `number` is not kept. The history is done()'s, which frees it with history_free().
 * TW_EBUSY, TW_ENOMEM, TW_ECLOSED: done() is not called. */
enum tw_rc history_run(struct reader_pool *readers, const struct history_query *q,
                       void (*done)(void *ctx, struct history *h, const struct tw_err *err), void *ctx);
void history_free(struct history *h);

/* All meshes as they were in a generation. */
struct history_set {
    struct store_generation g;
    struct store_mesh *meshes; /* in order of name; documents are owned here */
    size_t n;
};
/* As history_run(). TW_EINVAL: not all documents of that generation are known. */
enum tw_rc history_run_set(struct reader_pool *readers, uint64_t number,
                           void (*done)(void *ctx, struct history_set *set, const struct tw_err *err), void *ctx);
void history_set_free(struct history_set *set);

#endif
