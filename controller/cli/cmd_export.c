/* schedule export: what runs, as documents that can be applied again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/cli.h"

static void print_part(const Tw__ScheduleExportReply *reply)
{
    for (size_t i = 0; i < reply->n_meshes; i++) {
        const Tw__ExportedMesh *m = reply->meshes[i];

        fputs(m->text, stdout);
        if (m->paused)
            cli_fail(CLI_OK, "mesh %s is paused, which a document does not say", m->mesh);
    }
}

enum cli_exit cmd_schedule_export(struct cli *c)
{
    Tw__ScheduleExportRequest rq = TW__SCHEDULE_EXPORT_REQUEST__INIT;
    char after[64] = "";
    bool more = true, any = false;

    if (c->args.n)
        rq.name = c->args.v[0];
    rq.json = c->opt.output == FORMAT_JSON;
    rq.after = after;
    while (more) {
        ProtobufCMessage *m = NULL;
        enum cli_exit code = cli_call(c, "ScheduleExport", &rq.base, &m);
        const Tw__ScheduleExportReply *reply = (const Tw__ScheduleExportReply *)m;

        if (code)
            return code;
        print_part(reply);
        any |= reply->n_meshes > 0;
        more = reply->truncated && reply->n_meshes && !*rq.name;
        if (more)
            snprintf(after, sizeof after, "%s", reply->meshes[reply->n_meshes - 1]->mesh);
        cli_free_reply(m);
    }
    if (!any)
        cli_fail(CLI_OK, "there are no meshes: twampctl schedule apply -f FILE");
    return CLI_OK;
}
