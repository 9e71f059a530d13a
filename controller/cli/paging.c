#include "controller/cli/paging.h"
#include <unistd.h>

static enum cli_exit next_page(struct paging *p)
{
    ProtobufCMessage *reply = NULL;
    enum cli_exit code = cli_call(p->c, p->method, &p->rq.base, &reply);

    p->more = false;
    if (code)
        return code;
    p->turn(p, reply);
    if (p->more)
        cli_begin(p->c, p->method, &p->rq.base);
    code = p->print(p, reply);
    cli_free_reply(reply);
    return code;
}

enum cli_exit paging_run(struct paging *p)
{
    struct cli *c = p->c;
    size_t looks = c->looks;
    enum cli_exit code;

    progress_begin(&p->progress, isatty(STDOUT_FILENO) ? PROGRESS_NONE : cli_progress(c), p->work);
    do {
        code = next_page(p);
        c->looks++;
    } while (!code && p->more && !ferror(stdout));
    if (c->ctl)
        ctl_give_up(c->ctl);
    progress_end(&p->progress);
    c->looks = looks;
    return code;
}
