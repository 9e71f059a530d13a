/* What must hold of every database that keeps control state (db/control.h): one suite, run against each. */
#ifndef TW_TESTS_CONFORM_CONTROL_H
#define TW_TESTS_CONFORM_CONTROL_H

#include "db/control.h"

#define CONTROL_PLACE 256
/* A database under test. */
struct control_backend {
    const char *name;
    /* Where nothing is yet; another place each time. */
    void (*make)(char place[CONTROL_PLACE]);
    /* As after a restart, when it was open before. */
    void (*open)(const char *place, struct store **ret, struct store_reader **ret_reader);
    void (*close)(struct store *s, struct store_reader *r);
    /* May be NULL: nothing needs to be left of it. */
    void (*drop)(const char *place);
};

/* Runs the suite; the number of tests that failed. */
int conform_control(const struct control_backend *b);

#endif
