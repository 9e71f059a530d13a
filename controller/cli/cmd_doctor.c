/* What is wrong, and what to do: started, looked at until it is over, and then told, worst first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/cli.h"
#include "controller/cli/doctor_print.h"

#define LOOK_NS (200 * TW_NS_PER_MS)

/* ---- Records ---- */

static void put_finding(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__DoctorFinding *f = row;

    (void)ctx;
    out_text(r, "severity", f->severity);
    out_text(r, "id", f->id);
    out_text(r, "about", f->about);
    out_text(r, "subject", f->subject);
    out_text(r, "observed", f->observed);
    out_text(r, "cause", f->cause);
    out_text(r, "next", f->next);
    out_text(r, "title", f->title);
    out_ns(r, "since_ns", f->since_ns);
    out_bool(r, "since_or_before", f->since_or_before);
}

static const Tw__DoctorFinding none = TW__DOCTOR_FINDING__INIT;
static const struct out_listing findings = { .key = "findings", .put = put_finding, .none = &none };

static void put_head(struct out_records *r, const void *ctx)
{
    const Tw__DoctorReply *d = ctx;

    out_u64(r, "problems", d->problems);
    out_u64(r, "warnings", d->warnings);
    out_u64(r, "notes", d->notes);
    out_u64(r, "agents", d->agents);
    out_u64(r, "meshes", d->meshes);
    out_u64(r, "pairs", d->pairs);
    out_u64(r, "probes", d->probes);
    out_u64(r, "not_probed", d->not_probed);
    out_u64(r, "set_aside", d->set_aside);
    out_u64(r, "checks", d->checks);
    out_real(r, "elapsed_seconds", out_ns_to_s(d->elapsed_ns));
}

/* ---- Printing ---- */

static enum cli_exit print_people(struct cli *c, const Tw__DoctorReply *d)
{
    doctor_print(d, c->wall_ns(), c->colour);
    return CLI_OK;
}

static enum cli_exit print(struct cli *c, const Tw__DoctorReply *d)
{
    struct cli_answer a = { .main = { &findings, OUT_ROWS(d->findings, d->n_findings) },
                            .head = put_head,
                            .ctx = d };
    enum cli_exit code = cli_for_people(c) ? print_people(c, d) : cli_print_answer(c, &a);

    return code ? code : d->problems ? CLI_FAILED : CLI_OK;
}

/* ---- Waiting ---- */

static void stop(struct cli *c, uint64_t id)
{
    Tw__DoctorLookRequest rq = TW__DOCTOR_LOOK_REQUEST__INIT;
    struct ctl_error err;
    ProtobufCMessage *reply = NULL;

    rq.id = id;
    ctl_call(c->ctl, "DoctorStop", &rq.base, &reply, &err); /* as far as that still works */
    cli_free_reply(reply);
}

/* The findings of *more go to the end of those of *all, which may be NULL. */
static enum cli_exit join(Tw__DoctorReply **all, Tw__DoctorReply *more)
{
    Tw__DoctorFinding **grown;
    Tw__DoctorReply *a = *all;

    if (!a) {
        *all = more;
        return CLI_OK;
    }
    grown = realloc(a->findings, (a->n_findings + more->n_findings + 1) * sizeof *grown);
    if (!grown)
        return cli_no_memory();
    a->findings = grown;
    for (size_t i = 0; i < more->n_findings; i++)
        a->findings[a->n_findings++] = more->findings[i];
    more->n_findings = 0;
    a->truncated = more->truncated;
    cli_free_reply(&more->base);
    return CLI_OK;
}

/* One look. */
static enum cli_exit look(struct cli *c, uint64_t id, Tw__DoctorReply **all)
{
    Tw__DoctorLookRequest rq = TW__DOCTOR_LOOK_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    enum cli_exit code;

    rq.id = id;
    rq.from = *all && (*all)->over ? (uint32_t)(*all)->n_findings : 0;
    code = cli_call(c, "DoctorLook", &rq.base, &reply);
    if (code)
        return code;
    if (*all && !(*all)->over) { /* only progress: the newest counts */
        cli_free_reply(&(*all)->base);
        *all = NULL;
    }
    return join(all, (Tw__DoctorReply *)reply);
}

static enum cli_exit wait_until_over(struct cli *c, uint64_t id, Tw__DoctorReply **all)
{
    enum cli_exit code = CLI_OK;
    struct progress progress;

    progress_begin(&progress, cli_progress(c), "doctor");
    while (!code && (!(*all)->over || (*all)->truncated)) {
        const Tw__DoctorReply *d = *all;
        progress_say(&progress, d->probes_done, d->probes, "%u agents, %" PRIu64 " pairs: %u of %u ways probed, %.0f s", d->agents, d->pairs,
                     d->probes_done, d->probes, out_ns_to_s(d->elapsed_ns));
        if (!(*all)->over)
            ctl_pause(c->ctl, LOOK_NS);
        if (ctl_interrupted(c->ctl)) {
            progress_end(&progress);
            stop(c, id);
            return cli_fail(CLI_FAILED, "interrupted");
        }
        code = look(c, id, all);
    }
    progress_end(&progress);
    return code;
}

/* ---- The command ---- */

/* "ams", or "ams:fra"; of a target with a colon all but the first belong to it. */
static enum cli_exit read_subject(struct cli *c, Tw__DoctorRequest *rq, char source[256])
{
    const char *text = c->args.n ? c->args.v[0] : "", *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);

    if (!*text)
        return CLI_OK;
    if (!len || len >= 256 || (colon && !colon[1]))
        return cli_fail(CLI_USAGE, "\"%.100s\" is no agent and no way: expected AGENT or SOURCE:TARGET",
                        text);
    memcpy(source, text, len);
    source[len] = 0;
    rq->source = source;
    if (colon)
        rq->target = (char *)colon + 1;
    return CLI_OK;
}

enum cli_exit cmd_doctor(struct cli *c)
{
    Tw__DoctorRequest rq = TW__DOCTOR_REQUEST__INIT;
    char source[256];
    ProtobufCMessage *reply = NULL;
    Tw__DoctorReply *all = NULL;
    enum cli_exit code = read_subject(c, &rq, source);

    if (!code)
        code = cli_connect_catching(c);
    if (c->opt.mesh)
        rq.mesh = c->opt.mesh;
    if (c->opt.select)
        rq.select = c->opt.select;
    rq.probe_all = c->opt.probe_all;
    if (!code)
        code = cli_call(c, "DoctorStart", &rq.base, &reply);
    if (code)
        return code;
    all = (Tw__DoctorReply *)reply;
    code = wait_until_over(c, all->id, &all);
    if (!code)
        code = print(c, all);
    cli_free_reply(&all->base);
    return code;
}
