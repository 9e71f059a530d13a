#include "controller/cli/rollout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/net/now.h"

#define ASK_EVERY_NS (200 * TW_NS_PER_MS)

enum cli_exit rollout_call(struct cli *c, ProtobufCMessage **ret)
{
    Tw__ScheduleRolloutRequest rq = TW__SCHEDULE_ROLLOUT_REQUEST__INIT;

    if (c->opt.select)
        rq.select = c->opt.select;
    return cli_call(c, "ScheduleRollout", &rq.base, ret);
}

static bool is_up(const Tw__AgentRollout *a)
{
    return !strcmp(a->state, "up");
}

/* ---- Columns ---- */

static const struct out_col columns[] = {
    { .title = "AGENT", .name = "agent" },
    { .title = "STATE", .name = "word" },
    { .title = "GENERATION", .name = "generation", .as = OUT_AS_COUNT },
    { .title = "SINCE", .name = "acked_ns", .as = OUT_AS_AGO, .drop = 2 },
    { .title = "BEHIND FOR", .name = "behind_ns", .as = OUT_AS_AGO },
    { .title = "SESSIONS", .name = "sessions_wanted", .as = OUT_AS_COUNT },
    { .title = "RUNNING", .name = "sessions_running", .as = OUT_AS_COUNT },
    { .title = "MISSING", .name = "missing", .as = OUT_AS_COUNT },
    { .title = "EXTRA", .name = "extra", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "REFUSED", .name = "refusals", .as = OUT_AS_COUNT },
    { .title = "VERSION", .name = "version", .drop = 4 },
    { .title = "LAST CONTACT", .name = "last_contact_ns", .as = OUT_AS_AGO, .drop = 3 },
};

static cJSON *refused_tree(const Tw__AgentRollout *a)
{
    struct out_records r = { 0 };
    cJSON *list;

    for (size_t i = 0; i < a->n_refused; i++) {
        const Tw__RolloutRefusal *f = a->refused[i];

        out_record(&r);
        out_text(&r, "mesh", f->pair ? f->pair->mesh : "");
        out_text(&r, "class", f->pair ? f->pair->class_name : "");
        out_text(&r, "target", f->pair ? f->pair->target : "");
        out_u64(&r, "flow", f->flow);
        out_text(&r, "reason", f->reason);
    }
    list = out_json_array(&r);
    out_records_free(&r);
    return list;
}

/* Of "twamp-agent 0.1.0" the last word. */
static const char *version_of(const Tw__AgentRollout *a)
{
    const char *blank = strrchr(a->software, ' ');

    return blank ? blank + 1 : a->software;
}

static bool is_too_far(const Tw__AgentRollout *a)
{
    return !strncmp(a->skew, "too_", 4);
}

static enum out_style style_of(const Tw__AgentRollout *a)
{
    if (!strcmp(a->word, "current"))
        return OUT_PLAIN;
    return is_up(a) && strcmp(a->word, "refuses") != 0 ? OUT_BAD : OUT_DOUBT;
}

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AgentRollout *a = row;

    (void)ctx;
    out_text(r, "agent", a->agent);
    out_text(r, "state", a->state);
    out_u64(r, "generation", a->generation);
    out_bool(r, "current", a->current);
    out_u64(r, "refusals", a->refusals);
    out_style(r, "refusals", a->refusals ? OUT_DOUBT : OUT_PLAIN);
    out_text(r, "word", a->word);
    out_style(r, "word", style_of(a));
    out_ns(r, "acked_ns", a->acked_ns);
    out_ns(r, "behind_ns", a->behind_ns);
    out_ns(r, "last_contact_ns", a->last_contact_ns);
    out_u64(r, "sessions_wanted", a->sessions_wanted);
    out_u64(r, "sessions_running", a->sessions_running);
    out_u64(r, "missing", a->missing);
    out_style(r, "missing", a->missing ? OUT_BAD : OUT_PLAIN);
    out_u64(r, "extra", a->extra);
    out_text(r, "version", version_of(a));
    out_style(r, "version", is_too_far(a) ? OUT_BAD : *a->skew ? OUT_DOUBT : OUT_PLAIN);
    out_text(r, "skew", a->skew);
    out_tree(r, "refused", refused_tree(a));
}

static const Tw__AgentRollout none = TW__AGENT_ROLLOUT__INIT;
static const struct out_listing rollout = { .key = "rollout",
                                            .columns = columns,
                                            .n_columns = TW_NELEM(columns),
                                            .put = put_row,
                                            .none = &none,
                                            .empty = "No agent is approved, or none matches." };

bool rollout_add_json(cJSON *root, const Tw__ScheduleRolloutReply *reply)
{
    struct out_records r = { 0 };
    cJSON *list;

    for (size_t i = 0; i < reply->n_rollout; i++) {
        out_record(&r);
        put_row(&r, reply->rollout[i], NULL);
    }
    list = out_json_array(&r);
    out_records_free(&r);
    if (list && cJSON_AddItemToObject(root, "rollout", list))
        return true;
    cJSON_Delete(list);
    return false;
}

/* ---- In words ---- */

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

void rollout_print_count(const Tw__ScheduleRolloutReply *reply)
{
    printf("Generation %" PRIu64 " runs on %" PRIu64 " of %" PRIu64 " agents", reply->generation,
           reply->agents_current, reply->agents);
    if (reply->agents_behind)
        printf(", %" PRIu64 " connected %s behind", reply->agents_behind,
               reply->agents_behind == 1 ? "is" : "are");
    if (reply->agents_away)
        printf(", %" PRIu64 " %s away", reply->agents_away, reply->agents_away == 1 ? "is" : "are");
    if (reply->agents_elsewhere)
        printf(", %" PRIu64 " %s connected to other controllers", reply->agents_elsewhere,
               reply->agents_elsewhere == 1 ? "is" : "are");
    if (reply->agents_refusing)
        printf(", %" PRIu64 " refuse%s sessions", reply->agents_refusing,
               reply->agents_refusing == 1 ? "s" : "");
    if (reply->agents_skewed)
        printf(", %" PRIu64 " %s more than one release off", reply->agents_skewed,
               reply->agents_skewed == 1 ? "is" : "are");
    putchar('\n');
}

static void tell_refusals(const Tw__AgentRollout *a)
{
    const Tw__RolloutRefusal *f = a->n_refused ? a->refused[0] : NULL;

    if (f && f->pair)
        cli_fail(CLI_OK, "agent %s refuses %u session%s: %s/%s to %s: %s", a->agent, a->refusals,
                 plural(a->refusals), f->pair->mesh, f->pair->class_name, f->pair->target, f->reason);
    else
        cli_fail(CLI_OK, "agent %s refuses %u session%s: twampctl agent show %s says why", a->agent,
                 a->refusals, plural(a->refusals), a->agent);
}

void rollout_tell(const Tw__ScheduleRolloutReply *reply, uint64_t generation)
{
    for (size_t i = 0; i < reply->n_rollout; i++) {
        const Tw__AgentRollout *a = reply->rollout[i];

        if (!strcmp(a->state, "elsewhere")) /* its controller gives it the schedule */
            continue;
        if (!is_up(a))
            cli_fail(CLI_OK, "agent %s is %s: it gets the schedule when it is back", a->agent, a->state);
        else if (!a->current && a->generation < generation)
            cli_fail(CLI_OK, "agent %s still runs generation %" PRIu64 ": twampctl agent show %s", a->agent,
                     a->generation, a->agent);
        else if (a->refusals)
            tell_refusals(a);
    }
    if (reply->agents_elsewhere)
        cli_fail(CLI_OK,
                 "not waited for: %" PRIu64 " agent%s of other controllers: \"twampctl schedule rollout\" at those "
                 "tells (twampctl status lists them)",
                 reply->agents_elsewhere, plural(reply->agents_elsewhere));
    if (reply->truncated)
        cli_fail(CLI_OK, "there are more agents than shown: narrow it with --select");
}

/* ---- The command ---- */

static void before(struct cli *c, const void *ctx)
{
    (void)c;
    rollout_print_count(ctx);
    putchar('\n');
}

static void print_refusals(struct cli *c, const void *ctx, const struct out_table *t)
{
    const Tw__ScheduleRolloutReply *reply = ctx;
    bool first = true;

    (void)c;
    (void)t;
    for (size_t i = 0; i < reply->n_rollout; i++) {
        const Tw__AgentRollout *a = reply->rollout[i];

        for (size_t k = 0; k < a->n_refused; k++) {
            const Tw__RolloutRefusal *f = a->refused[k];

            fputs(first ? "\n" : "", stdout);
            first = false;
            out_safe(stdout, a->agent, false);
            fputs(" refuses ", stdout);
            out_safe(stdout, f->pair ? f->pair->mesh : "?", false);
            putchar('/');
            out_safe(stdout, f->pair ? f->pair->class_name : "?", false);
            fputs(" to ", stdout);
            out_safe(stdout, f->pair ? f->pair->target : "?", false);
            printf(" flow %u: ", f->flow);
            out_safe(stdout, f->reason, false);
            putchar('\n');
        }
        if (a->refusals > a->n_refused)
            printf("%s refuses %" PRIu64 " more\n", a->agent, a->refusals - (uint64_t)a->n_refused);
    }
}

static void put_head(struct out_records *r, const void *ctx)
{
    const Tw__ScheduleRolloutReply *reply = ctx;

    out_u64(r, "generation", reply->generation);
    out_u64(r, "agents", reply->agents);
    out_u64(r, "agents_current", reply->agents_current);
    out_u64(r, "agents_behind", reply->agents_behind);
    out_u64(r, "agents_away", reply->agents_away);
    out_u64(r, "agents_elsewhere", reply->agents_elsewhere);
    out_u64(r, "agents_refusing", reply->agents_refusing);
    out_u64(r, "agents_skewed", reply->agents_skewed);
    out_bool(r, "truncated", reply->truncated);
}

/* One release and the next one work together; what is further off is not tried. */
static void tell_skew(const Tw__ScheduleRolloutReply *reply)
{
    for (size_t i = 0; i < reply->n_rollout; i++) {
        const Tw__AgentRollout *a = reply->rollout[i];

        if (is_too_far(a))
            cli_fail(CLI_OK,
                     "agent %s runs %s, which is more than one release %s than the controller: upgrade %s, a "
                     "release at a time",
                     a->agent, version_of(a), !strcmp(a->skew, "too_old") ? "older" : "newer",
                     !strcmp(a->skew, "too_old") ? "it" : "the controller");
    }
}

enum cli_exit cmd_schedule_rollout(struct cli *c)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = rollout_call(c, &m);
    const Tw__ScheduleRolloutReply *reply = (const Tw__ScheduleRolloutReply *)m;

    if (code)
        return code;
    code = cli_print_answer(
        c, &(struct cli_answer){ .main = { &rollout, OUT_ROWS(reply->rollout, reply->n_rollout) },
                                 .head = put_head,
                                 .before = before,
                                 .after = print_refusals,
                                 .ctx = reply });
    if (!code && reply->truncated)
        cli_fail(CLI_OK, "there are more agents than shown: narrow it with --select");
    if (!code)
        tell_skew(reply);
    if (!code && reply->agents_behind)
        code = CLI_BEHIND;
    cli_free_reply(m);
    return code;
}

/* ---- Waiting ---- */

/* Somebody may have applied a later generation meanwhile, which has replaced ours. */
static bool has_taken(const Tw__AgentRollout *a, uint64_t generation)
{
    return a->current || a->generation >= generation;
}

static bool all_have_taken(const Tw__ScheduleRolloutReply *reply, uint64_t generation)
{
    if (reply->truncated && reply->agents_behind)
        return false;
    for (size_t i = 0; i < reply->n_rollout; i++)
        if (is_up(reply->rollout[i]) && !has_taken(reply->rollout[i], generation))
            return false;
    return true;
}

static void show_progress(struct progress *p, const Tw__ScheduleRolloutReply *reply)
{
    uint64_t connected = reply->agents - reply->agents_away - reply->agents_elsewhere, done = connected - reply->agents_behind;

    progress_say(p, done, connected, "%" PRIu64 " of %" PRIu64 " connected agents run it", done, connected);
}

enum cli_exit rollout_wait(struct cli *c, uint64_t generation, int64_t wait_ns, ProtobufCMessage **ret_reply)
{
    int64_t end_ns = tw_mono_now().ns + wait_ns;
    ProtobufCMessage *m = NULL;
    struct progress progress;
    enum cli_exit code;

    progress_begin(&progress, cli_progress(c), "rollout");
    for (;;) {
        code = rollout_call(c, &m);
        if (code)
            break;
        show_progress(&progress, (const Tw__ScheduleRolloutReply *)m);
        *ret_reply = m;
        if (all_have_taken((const Tw__ScheduleRolloutReply *)m, generation))
            code = CLI_OK;
        else if (tw_mono_now().ns >= end_ns)
            code = CLI_BEHIND;
        else
            code = CLI_TIMEOUT; /* go on */
        if (code != CLI_TIMEOUT)
            break;
        cli_free_reply(m);
        *ret_reply = NULL;
        ctl_pause(c->ctl, ASK_EVERY_NS);
    }
    progress_end(&progress);
    return code;
}
