/* What control state should be: a plain table of all there is, random changes of it and of a store at once,
 * and both as text. */
#ifndef TW_TESTS_CONTROL_MODEL_H
#define TW_TESTS_CONTROL_MODEL_H

#define TW_TESTS_REAL_SYNC
#include "db/control.h"
#include "tests/unit/db/db_fixture.h"

enum {
    M_AGENTS = 6,
    M_MESHES = 4,
    M_PAIRS = 40,
    M_INTERVALS = 30,
    M_ROWS = 24,
    M_ABSENCES = 200,
    M_GENERATIONS = 400
};
struct model_pair {
    uint64_t id;
    char mesh[16], source[16], target[16];
    unsigned slot, n;
    struct {
        int64_t from_ns, until_ns; /* 0: open */
        uint32_t flows;
    } interval[M_INTERVALS];
};
struct model {
    int64_t now_ns; /* goes up with each change */
    uint64_t names; /* given to agents so far */
    struct {
        bool used;
        int64_t id;
        char name[16];
        int64_t contact_ns, maintenance_ns;
    } agent[M_AGENTS];
    struct {
        bool used, paused;
        uint64_t generation;
        unsigned document;
    } mesh[M_MESHES];
    uint64_t generation, audit; /* the last */
    struct model_pair pair[M_PAIRS];
    unsigned n_pairs;
    struct {
        uint8_t state; /* 0: there is none */
        uint32_t value;
    } alert[M_ROWS], notice[M_ROWS], silence[M_ROWS], token[M_ROWS], join[M_ROWS], certificate[M_ROWS],
        test[M_ROWS], document[M_ROWS];
    uint32_t audited[M_GENERATIONS];
    struct {
        char source[16];
        int64_t from_ns, until_ns; /* 0: it goes on */
        bool down;
    } absence[M_ABSENCES];
    unsigned n_absences;
};

void model_start(struct model *m);
/* One change, in the open transaction. False: the store refused it, and why is in test_err. The model is then
 * as before. */
bool model_change(struct model *m, uint64_t *seed, struct store *s);
/* Lines in order; malloc'ed. */
char *model_text(const struct model *m);
/* The same of a store and a reader that has seen its last commit. */
char *store_text(const struct model *m, struct store *s, struct store_reader *r);
/* Both, and where they differ. */
void check_model(const struct model *m, struct store *s, struct store_reader *r, const char *when);

#endif
