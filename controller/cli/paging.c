#include "controller/cli/paging.h"
#include <unistd.h>

enum cli_exit paging_run(struct paging *p, struct cli *c, const char *work,
                         enum cli_exit (*page)(struct paging *p))
{
    size_t looks = c->looks;
    enum cli_exit code = CLI_OK;

    p->c = c;
    p->more = true;
    progress_begin(&p->progress, isatty(STDOUT_FILENO) ? PROGRESS_NONE : cli_progress(c), work);
    while (!code && p->more && !ferror(stdout)) {
        code = page(p);
        c->looks++;
    }
    progress_end(&p->progress);
    c->looks = looks;
    return code;
}
