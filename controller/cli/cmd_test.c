/* twampctl test: measures now, and shows it while it goes on. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/filter.h"
#include "controller/cli/pairs.h"
#include "controller/cli/test_runs.h"

#define FIRST_LOOK_NS (60 * TW_NS_PER_MS)
#define LOOK_NS (250 * TW_NS_PER_MS)
#define LINE_NS TW_NS_PER_S /* between two lines where nothing can be redrawn */
#define PATIENCE_NS \
    (10 * TW_NS_PER_S) /* with a controller that does not answer: the probes end after that, too */
#define CLEAR_LINE "\033[K"
#define SETTINGS_MAX 16

struct shown {
    struct cli *c;
    uint64_t id;
    bool single;
    bool terminal, drawn; /* the line is redrawn in place */
    bool lines;           /* plain lines for people */
    bool told;            /* as JSON, by --progress json */
    struct progress progress;
    int64_t last_line_ns;
    bool stopping;
    int64_t packets_from_ns; /* those before it are shown */
    bool packets_begun;
    struct test_packets kept; /* for programs: printed at the end */
};

/* ---- What is asked ---- */

struct question {
    Tw__TestStartRequest rq;
    Tw__TestSetting settings[SETTINGS_MAX], *list[SETTINGS_MAX];
    char user[64];
};

static void add_setting(struct question *q, const char *key, char *value)
{
    Tw__TestSetting *s = &q->settings[q->rq.n_settings];

    if (!value)
        return;
    tw__test_setting__init(s);
    s->key = (char *)key;
    s->value = value;
    q->list[q->rq.n_settings++] = s;
}

static void add_settings(const struct cli_options *o, struct question *q)
{
    add_setting(q, "protocol", o->set_protocol);
    add_setting(q, "auth", o->set_auth);
    add_setting(q, "key_id", o->set_key_id);
    add_setting(q, "spacing", o->set_spacing);
    add_setting(q, "spacing_kind", o->set_spacing_kind);
    add_setting(q, "size", o->set_size);
    add_setting(q, "dscp", o->set_dscp);
    add_setting(q, "ttl", o->set_ttl);
    add_setting(q, "timeout", o->set_timeout);
    add_setting(q, "flows", o->set_flows);
    add_setting(q, "tlvs", o->set_tlvs);
    add_setting(q, "bind", o->set_bind);
    q->rq.settings = q->list;
}

static enum cli_exit read_question(struct cli *c, struct question *q)
{
    const struct cli_options *o = &c->opt;

    memset(q, 0, sizeof *q);
    tw__test_start_request__init(&q->rq);
    if (o->mesh ? c->args.n != 0 : c->args.n != 2)
        return cli_fail(CLI_USAGE,
                        "test: expected SRC and DST, or --mesh NAME; twampctl test --help tells more");
    if (o->mesh && o->packets)
        return cli_fail(CLI_USAGE, "--packets: expected one pair, not a mesh");
    if (!o->mesh && (o->select || o->target_select))
        return cli_fail(CLI_USAGE, "--select and --target-select: expected --mesh NAME, too, not SRC and DST");
    q->rq.select = o->select ? o->select : (char *)protobuf_c_empty_string;
    q->rq.target_select = o->target_select ? o->target_select : (char *)protobuf_c_empty_string;
    if (o->mesh) {
        q->rq.mesh = o->mesh;
    } else {
        q->rq.source = c->args.v[0];
        q->rq.target = c->args.v[1];
    }
    q->rq.class_name = o->class_name ? o->class_name : (char *)protobuf_c_empty_string;
    q->rq.count = (uint64_t)o->count;
    q->rq.duration_ns = o->duration_ns;
    q->rq.parallel = (uint32_t)o->parallel;
    q->rq.author = o->author ? o->author : ctl_user_name(q->user);
    add_settings(o, q);
    return CLI_OK;
}

/* ---- While it runs ---- */

static void wipe(struct shown *s)
{
    if (s->drawn)
        fputs("\r" CLEAR_LINE, stdout);
    s->drawn = false;
}

/* total 0: not known. */
static void put_line(struct shown *s, uint64_t done, uint64_t total, const char *text)
{
    int64_t now = s->c->wall_ns();
    size_t width = cli_terminal_width();

    if (s->told) {
        progress_say(&s->progress, done, total, "%s", text);
    } else if (s->terminal) {
        printf("\r%.*s" CLEAR_LINE, (int)(width ? width - 1 : strlen(text)), text);
        s->drawn = true;
    } else if (s->lines && now - s->last_line_ns >= LINE_NS) {
        s->last_line_ns = now;
        puts(text);
    }
    fflush(stdout);
}

static void say_pair(struct shown *s, const Tw__TestInfo *i, const Tw__TestRun *r)
{
    struct stats_view v;
    struct tw_err err = { 0 };
    const struct stats_delay *rtt = &v.delay[TW_ROUNDTRIP];
    char last[OUT_NUM], min[OUT_NUM], p50[OUT_NUM], p99[OUT_NUM], text[256];

    if (!r->total || pairs_view(r->total, &v, &err) != TW_OK) {
        put_line(s, 0, i->count, r->state);
        return;
    }
    snprintf(text, sizeof text,
             "%" PRIu64 " sent  %" PRIu64 " received  %" PRIu64
             " lost  rtt last %s  min %s  p50 %s  p99 %s%s",
             v.sent + r->in_flight, v.received, v.lost,
             out_seconds((struct tw_num){ r->last_known, out_ns_to_s(r->last_rtt_ns) }, last),
             out_seconds(rtt->min_s, min), out_seconds(rtt->p50_s, p50), out_seconds(rtt->p99_s, p99),
             s->stopping ? "  (stopping)" : "");
    put_line(s, v.sent + r->in_flight, i->count, text);
}

static void say_mesh(struct shown *s, const Tw__TestInfo *i)
{
    char text[256];

    snprintf(text, sizeof text, "%u of %u pairs done, %u running, %u waiting%s", i->done, i->runs, i->running,
             i->queued, s->stopping ? "  (stopping)" : "");
    if (i->failed)
        snprintf(text + strlen(text), sizeof text - strlen(text), ", %u failed", i->failed);
    put_line(s, i->done, i->runs, text);
}

/* In order of sending, up to the first whose fate is open: the next look begins there. */
static void take_packets(struct shown *s, const Tw__TestProgressReply *reply, bool all)
{
    for (size_t i = 0; i < reply->n_packets; i++) {
        const Tw__FlightFlow *f = reply->packets[i];
        for (size_t k = 0; k < f->n_records; k++) {
            if (f->records[k]->fate == TW__FLIGHT_FATE__FLIGHT_FATE_IN_FLIGHT && !all)
                return;
            if (f->records[k]->t1_ns < s->packets_from_ns)
                continue;
            wipe(s);
            if (cli_for_people(s->c))
                test_print_packet(f->flow, f->records[k], s->c->colour, !s->packets_begun);
            else
                test_packets_keep(&s->kept, f->flow, f->records[k]);
            s->packets_begun = true;
            if (reply->n_packets == 1)
                s->packets_from_ns = out_ns_sum(f->records[k]->t1_ns, 1);
        }
    }
}

static void show(struct shown *s, const Tw__TestProgressReply *reply)
{
    if (s->c->opt.packets)
        take_packets(s, reply, reply->info->ended_ns != 0);
    if (reply->info->ended_ns)
        return;
    if (!s->single)
        say_mesh(s, reply->info);
    else if (reply->n_runs && !(s->lines && s->c->opt.packets))
        say_pair(s, reply->info, reply->runs[0]);
}

/* ---- Calls ---- */

static enum cli_exit ask(struct shown *s, uint32_t from_run, bool runs, Tw__TestProgressReply **ret,
                         struct ctl_error *err)
{
    Tw__TestProgressRequest rq = TW__TEST_PROGRESS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;

    rq.test_id = s->id;
    rq.runs = runs;
    rq.from_run = from_run;
    rq.packets = s->single && s->c->opt.packets;
    rq.packets_from_ns = s->packets_from_ns;
    code = ctl_call(s->c->ctl, "TestProgress", &rq.base, &m, err);
    *ret = (Tw__TestProgressReply *)m;
    if (!code && !(*ret)->info) {
        cli_free_reply(m);
        *ret = NULL;
        snprintf(err->text, sizeof err->text, "the controller's answer lacks the test");
        return CLI_FAILED;
    }
    return code;
}

static enum cli_exit stop(struct shown *s)
{
    Tw__TestStopRequest rq = TW__TEST_STOP_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct ctl_error err;
    enum cli_exit code;

    s->stopping = true;
    rq.test_id = s->id;
    code = ctl_call(s->c->ctl, "TestStop", &rq.base, &m, &err);
    cli_free_reply(m);
    return code ? cli_fail(code, "the test could not be stopped, its probes end by themselves within 10s: %s",
                           err.text)
                : CLI_OK;
}

static enum cli_exit give_up(struct shown *s, enum cli_exit code, const struct ctl_error *err)
{
    wipe(s);
    if (code == CLI_UNREACHABLE || code == CLI_TIMEOUT)
        return cli_fail(code,
                        "%s; the probes end by themselves within 10s, and the result is stored when the "
                        "controller is back: "
                        "twampctl test show %" PRIu64,
                        err->text, s->id);
    return cli_fail(code, "%s", err->text);
}

/* Ctrl-C once stops the probes, twice leaves. *ret: the last progress, of an ended test. */
static enum cli_exit follow(struct shown *s, Tw__TestProgressReply **ret)
{
    int64_t pause_ns = FIRST_LOOK_NS, silent_since = 0;
    struct ctl_error err;

    for (;;) {
        enum cli_exit code;
        ctl_pause(s->c->ctl, pause_ns);
        pause_ns = LOOK_NS;
        if (ctl_take_interrupt(s->c->ctl)) {
            wipe(s);
            if (s->stopping)
                return cli_fail(CLI_FAILED, "left; twampctl test show %" PRIu64 " has what was measured",
                                s->id);
            if ((code = stop(s)) != CLI_OK)
                return code;
        }
        code = ask(s, 0, s->single, ret, &err);
        if (code && ctl_interrupted(s->c->ctl))
            continue;
        if (code && (code == CLI_UNREACHABLE || code == CLI_TIMEOUT)) {
            silent_since = silent_since ? silent_since : s->c->wall_ns();
            if (s->c->wall_ns() - silent_since < PATIENCE_NS)
                continue;
        }
        if (code)
            return give_up(s, code, &err);
        silent_since = 0;
        show(s, *ret);
        if ((*ret)->info->ended_ns)
            return CLI_OK;
        cli_free_reply(&(*ret)->base);
        *ret = NULL;
    }
}

/* ---- The result ---- */

static enum cli_exit exit_code(const struct test_runs *runs, const Tw__TestInfo *info)
{
    if (!info->failed)
        return CLI_OK;
    if (runs->n == 1 && !strcmp(runs->v[0].run->state, "refused"))
        return CLI_REFUSED;
    return CLI_FAILED;
}

/* All pages of a mesh's runs. */
static enum cli_exit fetch_runs(struct shown *s, Tw__TestProgressReply *first, struct test_runs *runs)
{
    Tw__TestProgressReply *reply = first;
    struct ctl_error err;
    enum cli_exit code = CLI_OK;

    if (!s->single)
        code = ask(s, 0, true, &reply, &err);
    for (;;) {
        uint32_t next = code ? 0 : reply->next_run;
        if (code)
            return cli_fail(code, "%s", err.text);
        if (!test_runs_add(runs, reply, reply != first))
            return CLI_FAILED;
        if (!next)
            return CLI_OK;
        code = ask(s, next, true, &reply, &err);
    }
}

static enum cli_exit finish(struct shown *s, Tw__TestProgressReply *last)
{
    struct test_runs runs = { .info = last->info };
    enum cli_exit code = fetch_runs(s, last, &runs), printed = CLI_OK;

    wipe(s);
    if (!code && s->single && runs.n && !strcmp(runs.v[0].run->state, "refused")) {
        code = cli_fail(CLI_REFUSED, "%s refuses: %s", runs.v[0].run->source, runs.v[0].run->reason);
    } else if (!code) {
        printed = test_print_runs(s->c, &runs, s->c->opt.packets && !cli_for_people(s->c) ? &s->kept : NULL);
        code = printed ? printed : exit_code(&runs, last->info);
    }
    test_runs_free(&runs);
    return code;
}

static enum cli_exit begin(struct cli *c, const struct question *q, struct shown *s)
{
    ProtobufCMessage *m = NULL;
    struct ctl_error err;
    const Tw__TestStartReply *reply;
    enum cli_exit code = ctl_call(c->ctl, "TestStart", &q->rq.base, &m, &err);

    if (code)
        return cli_fail(code, "%s", err.text);
    reply = (const Tw__TestStartReply *)m;
    s->id = reply->info ? reply->info->test_id : 0;
    if (reply->info && cli_for_people(c)) {
        printf("test %" PRIu64 "  ", s->id);
        out_safe(stdout, reply->info->what, false);
        printf("%s", *reply->info->settings ? "  " : "");
        out_safe(stdout, reply->info->settings, false);
        if (reply->info->runs > 1)
            printf("%s%u pairs", *reply->info->settings ? ", " : "  ", reply->info->runs);
        puts(s->terminal ? "  (Ctrl-C stops)" : "");
        fflush(stdout);
    }
    cli_free_reply(m);
    return s->id ? CLI_OK : cli_fail(CLI_FAILED, "the controller's answer lacks the test");
}

enum cli_exit cmd_test(struct cli *c)
{
    struct question q;
    Tw__TestProgressReply *last = NULL;
    struct shown s = { .c = c, .single = !c->opt.mesh };
    enum cli_exit code = read_question(c, &q);

    if (code)
        return code;
    code = cli_connect_catching(c);
    if (code)
        return code;
    s.terminal = cli_for_people(c) && isatty(STDOUT_FILENO) && c->opt.progress == PROGRESS_AUTO;
    s.lines = cli_for_people(c) && !s.terminal && c->opt.progress == PROGRESS_AUTO;
    s.told = c->opt.progress == PROGRESS_JSON;
    progress_begin(&s.progress, s.told ? PROGRESS_JSON : PROGRESS_NONE, "test");
    s.last_line_ns = c->wall_ns();
    code = begin(c, &q, &s);
    if (!code)
        code = follow(&s, &last);
    progress_end(&s.progress);
    if (!code)
        code = finish(&s, last);
    if (last)
        cli_free_reply(&last->base);
    test_packets_free(&s.kept);
    return code;
}
