/* What tests of mirrors share: stores whose control state is in etcd, each with a history and a mirror in
 * files of their own. */
#ifndef TW_TESTS_MIRROR_FX_H
#define TW_TESTS_MIRROR_FX_H

#include "db/etcd/mirror.h"
#include "tests/unit/db/conform_control.h"
#include "tests/unit/db/control_model.h"

extern const char *mirror_folder; /* where their files are */
/* One controller's. */
struct controller {
    char file[PATH_SIZE], history[PATH_SIZE];
    struct store *s;
    struct store_reader *r;
    int64_t look_ns;  /* mirror_conf */
    unsigned changed; /* keys told of */
    char last[64];    /* the last of them */
};
void controller_start(struct controller *c, const struct http_location *at, int64_t settle_ns);
/* As after its end: the file stays, and is made anew. */
void controller_restart(struct controller *c, const struct http_location *at, int64_t settle_ns);
void controller_stop(struct controller *c);

/* What several controllers do with one model, for a number of rounds: whose commit is done is what a model
 * says that all share. */
struct crowd {
    struct controller *c;
    unsigned n;
    const struct http_location *at;
    int64_t settle_ns;
    struct model *now;
    uint64_t seed;
    void (*before)(void *ctx, unsigned round); /* may be NULL */
    void *ctx;
    unsigned done, conflicts, doubts, kills;
};
void crowd_run(struct crowd *w, unsigned rounds);
/* All are where the model is. */
void crowd_check(struct crowd *w, const char *when);

#endif
