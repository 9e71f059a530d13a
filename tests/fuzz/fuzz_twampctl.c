/* twampctl before a hostile controller: every command with some of its options, in every format, and any
 * answers. It ends with a code of its own; JSON can be read; what it prints is UTF-8; what failed says so.
 *
 * Input: u8 which command, u8 format, u8 options, octets for those and the arguments, then the answers
 * (pb_make.h), failures among them. */
#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin.pb-c.h"
#include "common/clk.h"
#include "common/net/rpc_check.h"
#include "controller/cli/cli.h"
#include "controller/cli/ctl.h"
#include "controller/cli/out.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/pb_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libprotobuf-c forgets a nested message of an answer that is broken off; this process ends (docs/fuzzing.md).
 * What we forget of messages, unit tests of commands find. */
const char *__lsan_default_suppressions(void)
{
    return "leak:protobuf_c_message_unpack\n";
}

enum {
    PLAIN = 12 /* words that users may say */,
    ARGS_MAX = 32,
    TEXT_MAX = 64,
    CALLS_MAX = 16,
    BODY_MAX = 32768
};
#define NOW_NS (INT64_C(1795000000) * TW_NS_PER_S)

static const char *const words[] = {
    "ams",
    "fra",
    "core",
    "voice",
    "",
    "7",
    "1h",
    "site=ams",
    "2026-11-17T12:00:00Z",
    "loss",
    "p95",
    "viewer",
    "\x1b[31mred",
    "two\nlines",
    "\xc2\x9b",
    "ams:fra",
    "100",
    "all",
    "rtt_p95",
    "label:site",
    "5ms",
    "a very long name that no table has room for at all, not even the widest one",
    "pair",
    "\xd9\xa1"
};

struct ctl {
    bool for_people;
};

static struct pb_make in;
static unsigned calls;
static char document[64], settings[96];

static uint8_t octet(void)
{
    return pb_make_octet(&in);
}

/* ---- The controller, in place of ctl.c ---- */

enum tw_rc ctl_new(const char *url, int64_t timeout_ns, bool catch_signals, struct ctl **ret)
{
    (void)url;
    (void)timeout_ns;
    (void)catch_signals;
    *ret = calloc(1, sizeof **ret);
    return *ret ? TW_OK : TW_ENOMEM;
}

void ctl_set_token(struct ctl *c, const char *token)
{
    (void)c;
    (void)token;
}

void ctl_for_people(struct ctl *c)
{
    c->for_people = true;
}

void ctl_set_tls(struct ctl *c, const struct ctl_tls *t)
{
    (void)c;
    (void)t;
}

void ctl_free(struct ctl *c)
{
    free(c);
}

enum cli_exit ctl_connect(struct ctl *c, struct ctl_error *err)
{
    (void)c;
    (void)err;
    return CLI_OK;
}

static enum cli_exit fail(struct ctl_error *err, enum cli_exit code, const char *text)
{
    snprintf(err->text, sizeof err->text, "%s", text);
    return code;
}

enum cli_exit ctl_call(struct ctl *c, const char *method, const ProtobufCMessage *request,
                       ProtobufCMessage **ret, struct ctl_error *err)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    const ProtobufCMethodDescriptor *m = NULL;
    ProtobufCMessage *answer;
    uint8_t body[BODY_MAX];
    struct tw_err why = { 0 };
    size_t len;

    for (unsigned i = 0; i < d->n_methods; i++)
        if (!strcmp(d->methods[i].name, method))
            m = &d->methods[i];
    CHECK(m && m->input == request->descriptor && protobuf_c_message_check(request));
    if (++calls > CALLS_MAX || octet() == 0xff)
        return fail(err, CLI_UNREACHABLE, "it has gone");
    len = pb_make(&in, m->output, body, sizeof body);
    answer = protobuf_c_message_unpack(m->output, NULL, len, body);
    if (answer &&
        rpc_check_message(answer, &why) == TW_OK) { /* as the RPC layer does, so that texts are UTF-8 */
        if (c->for_people)
            rpc_each_text(answer, out_defuse);
        *ret = answer;
        return CLI_OK;
    }
    if (answer)
        protobuf_c_message_free_unpacked(answer, NULL);
    return fail(err, CLI_FAILED, "its answer cannot be read");
}

enum cli_exit ctl_call_patiently(struct ctl *c, const char *method, const ProtobufCMessage *request,
                                 const struct ctl_patience *p, ProtobufCMessage **ret, struct ctl_error *err)
{
    p->meanwhile(p->ctx, 2 * TW_NS_PER_S);
    return ctl_call(c, method, request, ret, err);
}

/* The answer is made when it is asked for. */
void ctl_begin(struct ctl *c, const char *method, const ProtobufCMessage *request)
{
    (void)c;
    CHECK(*method && protobuf_c_message_check(request));
}

void ctl_give_up(struct ctl *c)
{
    (void)c;
}

void ctl_pause(struct ctl *c, int64_t ns)
{
    (void)c;
    (void)ns;
    calls++;
}

bool ctl_interrupted(const struct ctl *c)
{
    (void)c;
    return calls > CALLS_MAX;
}

bool ctl_take_interrupt(struct ctl *c)
{
    return ctl_interrupted(c);
}

char *ctl_user_name(char buf[64])
{
    snprintf(buf, 64, "tester");
    return buf;
}

static int64_t wall_ns(void)
{
    return NOW_NS;
}

/* ---- The command line ---- */

struct line {
    char text[ARGS_MAX][256];
    char *argv[ARGS_MAX + 1];
    int n;
};

static void add(struct line *l, const char *name, const char *value)
{
    if (l->n == ARGS_MAX)
        return;
    snprintf(l->text[l->n], sizeof l->text[0], "%s%s", name, value);
    l->argv[l->n] = l->text[l->n];
    l->n++;
}

static void add_option(struct line *l, const struct conf_opt *o)
{
    char name[TEXT_MAX];
    uint8_t how = octet();

    snprintf(name, sizeof name, "--%s%s", o->name, o->type == CONF_FLAG ? "" : "=");
    if (o->type == CONF_FLAG)
        add(l, name, "");
    else if (o->arg && (strstr(o->arg, "FILE") || strstr(o->arg, "DIR")))
        add(l, name, document);
    else if (o->type == CONF_ENUM)
        add(l, name, o->choices[0]);
    else if (o->dflt && how & 1)
        add(l, name, o->dflt);
    else
        add(l, name, words[how % PLAIN]);
}

static void add_words(struct line *l, const char *text)
{
    char copy[TEXT_MAX], *save = NULL;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        add(l, w, "");
}

/* Files of ours, and the keys of a CA, are no matter of a controller. */
static bool is_local(const struct cli_command *c)
{
    return (c->group && (!strcmp(c->group, "context") || !strcmp(c->group, "ca"))) ||
           !strcmp(c->name, "completion") || !strcmp(c->name, "restore");
}

static const struct cli_command *pick(uint8_t which)
{
    size_t n = 0, k = 0;

    while (cli_commands[n].name)
        n++;
    k = which % n;
    while (is_local(&cli_commands[k]))
        k = (k + 1) % n;
    return &cli_commands[k];
}

static const char *const formats[] = { "table", "wide", "json", "csv", "yaml" };

static void make_line(struct line *l, const struct cli_command *c, const char *format)
{
    char name[64];
    int n_args = c->n_args + (c->max_args > c->n_args ? octet() % (c->max_args - c->n_args + 1) : 0);

    l->n = 0;
    add(l, "twampctl", "");
    add_words(l, cli_command_words(c, name));
    add(l, "--config=", settings);
    add(l, "--output=", format);
    for (int i = 0; i < n_args && i < 4; i++)
        add(l, words[octet() % PLAIN], "");
    for (size_t i = 0; i < c->n_opts; i++)
        if (c->opts[i].required || !strcmp(c->opts[i].name, "yes") || octet() > 0xd0)
            add_option(l, &c->opts[i]);
    l->argv[l->n] = NULL;
}

/* ---- What it prints ---- */

/* Nothing that a terminal obeys, but for ends of lines and tabs. */
static void check_text(const char *text, size_t len)
{
    CHECK(strlen(text) == len && tw_utf8_ok(text));
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        CHECK((*c >= ' ' || *c == '\n' || *c == '\t' || (*c == '\r' && c[1] == '\n')) && *c != 0x7f && !(c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f));
}

static void check_json(const char *text, size_t len)
{
    cJSON *o = len ? cJSON_Parse(text) : NULL;

    CHECK(!len || o);
    cJSON_Delete(o);
}

static void prepare(void)
{
    static const char yaml[] = "mesh: core\ntopology: full\nmembers: [ams, fra]\nclasses: {voice: {}}\n";
    FILE *f;

    if (document[0])
        return;
    snprintf(document, sizeof document, "%s/tw-fuzz-%d.yaml", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm",
             (int)getpid());
    snprintf(settings, sizeof settings, "%s.conf", document);
    f = fopen(settings, "w");
    CHECK(f && fputs("contexts: {}\n", f) >= 0 && !fclose(f));
    f = fopen(document, "w");
    CHECK(f && fwrite(yaml, 1, sizeof yaml - 1, f) && !fclose(f));
    unsetenv("TWAMPCTL_TOKEN");
    if (!freopen("/dev/null", "r", stdin))
        abort();
}

static void at_end(void)
{
    unlink(document);
    unlink(settings);
}

static bool says(const struct line *l, const char *option)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->argv[i], option))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *out = stdout, *err = stderr;
    char *out_text = NULL, *err_text = NULL;
    size_t out_len = 0, err_len = 0;
    const struct cli_command *c;
    const char *format;
    struct line line;
    int code;

    if (!document[0])
        atexit(at_end);
    prepare();
    calls = 0;
    in = (struct pb_make){ data, data + size, words, TW_NELEM(words), NOW_NS };
    c = pick(octet());
    format = formats[octet() % TW_NELEM(formats)];
    make_line(&line, c, format);
    stdout = open_memstream(&out_text, &out_len);
    stderr = open_memstream(&err_text, &err_len);
    CHECK(stdout && stderr);
    code = cli_main(line.n, line.argv, wall_ns);
    fclose(stdout);
    fclose(stderr);
    stdout = out;
    stderr = err;
    CHECK(code >= CLI_OK && code <= CLI_BEHIND);
    CHECK(code == CLI_OK || err_len || out_len);
    if (!strcmp(format, "table") || !strcmp(format, "wide")) /* the others are for programs */
        check_text(out_text, out_len);
    check_text(err_text, err_len);
    if (!strcmp(format, "json") && code == CLI_OK && strcmp(c->name, "export") != 0 &&
        strcmp(c->name, "watch") != 0 && !says(&line, "--document")) /* which comes as it was written */
        check_json(out_text, out_len);
    free(out_text);
    free(err_text);
    return 0;
}
