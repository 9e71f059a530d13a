/* What must hold of every database that holds the history (db/history.h): one suite, run against each. */
#ifndef TW_TESTS_CONFORM_HISTORY_H
#define TW_TESTS_CONFORM_HISTORY_H

#include "db/history.h"

#define CONFORM_LOCATION 256
#define CONFORM_AGENTS 3 /* 1, 2, 3 */

/* A database under test. */
struct conform_backend {
    const char *name;
    const struct history_ops *ops;
    /* Where nothing is yet; another place each time. */
    void (*make)(char location[CONFORM_LOCATION]);
    /* May be NULL: what the database itself wants to know of agents 1 to CONFORM_AGENTS before it stores
     * anything of them. */
    void (*know_agents)(struct history *h);
    /* May be NULL: nothing needs to be left of it. */
    void (*drop)(const char *location);
};

/* Runs the suite; the number of tests that failed. */
int conform_history(const struct conform_backend *b);

#endif
