/* controller/cli/paging.h - a listing printed a page at a time, so that neither we nor the controller hold more, whatever the span. */
#ifndef TW_CLI_PAGING_H
#define TW_CLI_PAGING_H

#include "controller/cli/cli.h"

struct paging {
    struct cli *c;
    struct progress progress;
    bool more; /* page() says so, for as long as there is another one */
};
/* Calls page() until there are no more, it fails, or nobody reads on. All pages have one heading. work: as progress_begin(). */
enum cli_exit paging_run(struct paging *p, struct cli *c, const char *work, enum cli_exit (*page)(struct paging *p));

#endif
