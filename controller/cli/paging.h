/* controller/cli/paging.h - a listing printed a page at a time, so that neither we nor the controller hold
 * more, whatever the span. While a page is printed the controller works at the next one. */
#ifndef TW_CLI_PAGING_H
#define TW_CLI_PAGING_H

#include "controller/cli/cli.h"

struct paging {
    struct cli *c;
    const char *method, *work; /* of Admin; as progress_begin() */
    Tw__PairFilter rq;         /* for the next page */
    /* A page has come: turns rq to the one behind it and says so in `more`. */
    void (*turn)(struct paging *p, const ProtobufCMessage *reply);
    enum cli_exit (*print)(struct paging *p, const ProtobufCMessage *reply);
    /* paging_run()'s own, for those two: */
    bool more; /* false before turn() */
    struct progress progress;
};
/* Asks for a page after the other until there are no more, one fails, or nobody reads on. All pages have one
 * heading. */
enum cli_exit paging_run(struct paging *p);

#endif
