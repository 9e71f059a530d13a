#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "common/clk.h"
#include "common/conf.h"
#include "common/version.h"

struct opts {
    bool verbose;
    char *url;
    struct conf_strlist listen;
    int64_t port, any, every;
    int format;
};

static const char *const formats[] = { "text", "json", NULL };
static const struct conf_opt table[] = {
    { .name = "verbose",
      .short_name = 'v',
      .type = CONF_FLAG,
      .offset = offsetof(struct opts, verbose),
      .help = "Say more." },
    { .name = "controller-url",
      .short_name = 'u',
      .type = CONF_STR,
      .offset = offsetof(struct opts, url),
      .dflt = "tcp://localhost",
      .arg = "URL",
      .help = "Where the controller is." },
    { .name = "controller-port",
      .short_name = 'p',
      .type = CONF_INT,
      .offset = offsetof(struct opts, port),
      .dflt = "862",
      .min = 1,
      .max = 65535,
      .help = "Its port." },
    { .name = "any-number",
      .type = CONF_INT,
      .offset = offsetof(struct opts, any),
      .min = 0,
      .max = INT64_MAX,
      .help = "Any." },
    { .name = "listen",
      .type = CONF_STRLIST,
      .offset = offsetof(struct opts, listen),
      .dflt = "127.0.0.1,::1",
      .help = "Where to listen." },
    { .name = "every",
      .type = CONF_DURATION,
      .offset = offsetof(struct opts, every),
      .dflt = "20ms",
      .min = TW_NS_PER_MS,
      .max = 3600 * TW_NS_PER_S,
      .help = "Spacing." },
    { .name = "log-format",
      .type = CONF_ENUM,
      .offset = offsetof(struct opts, format),
      .dflt = "text",
      .choices = formats,
      .help = "How to log." },
};
static const struct conf_program prog = { .name = "prog",
                                          .env_prefix = "CONFTEST",
                                          .usage_args = "FILE...",
                                          .doc = "Does nothing.",
                                          .examples = "  prog -v file\n",
                                          .opts = table,
                                          .n_opts = TW_NELEM(table),
                                          .max_args = 2 };

/* ---- Running conf_parse() on one line of words ---- */

enum { WORDS = 16 };

struct run {
    char line[256];
    char *argv[WORDS];
    int argc;
    struct opts o;
    struct conf_strlist args;
    struct tw_err err;
    enum tw_rc rc;
};

static void run(struct run *r, const struct conf_program *p, const char *line)
{
    *r = (struct run){ .argv = { (char[]){ "prog" } }, .argc = 1 };
    snprintf(r->line, sizeof r->line, "%s", line);
    for (char *w = strtok(r->line, " "); w; w = strtok(NULL, " "))
        r->argv[r->argc++] = w;
    r->rc = conf_parse(p, r->argc, r->argv, &r->o, &r->args, &r->err);
}

static void end(struct run *r)
{
    conf_free(&prog, &r->o);
    conf_strlist_free(&r->args);
}

static void check_list(const char *what, const struct conf_strlist *l, const char *joined)
{
    char got[256] = "";

    for (size_t i = 0; i < l->n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? "|" : "", l->v[i]);
    if (strcmp(got, joined))
        fail_msg("%s: \"%s\", expected \"%s\"", what, got, joined);
}

/* ---- What is accepted ---- */

static const struct {
    const char *line;
    bool verbose;
    const char *url, *listen, *args;
    int64_t port, every_ms;
    int format;
} accepted[] = {
    { "", false, "tcp://localhost", "127.0.0.1|::1", "", 862, 20, 0 },
    { "-v", true, "tcp://localhost", "127.0.0.1|::1", "", 862, 20, 0 },
    { "-vp 99 f", true, "tcp://localhost", "127.0.0.1|::1", "f", 99, 20, 0 },
    { "a --controller-port=65535 b", false, "tcp://localhost", "127.0.0.1|::1", "a|b", 65535, 20, 0 },
    { "--controller-url x -u y", false, "y", "127.0.0.1|::1", "", 862, 20, 0 },
    { "--listen a --listen=b,,c, --listen d", false, "tcp://localhost", "a|b|c|d", "", 862, 20, 0 },
    { "--every 1.5s --log json", false, "tcp://localhost", "127.0.0.1|::1", "", 862, 1500, 1 },
    { "-- -v --nope", false, "tcp://localhost", "127.0.0.1|::1", "-v|--nope", 862, 20, 0 },
    { "-u --help", false, "--help", "127.0.0.1|::1", "", 862, 20, 0 }, /* a value, not a wish */
};

static void good_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(accepted); i++) {
        struct run r;
        run(&r, &prog, accepted[i].line);
        if (r.rc || r.o.verbose != accepted[i].verbose || strcmp(r.o.url, accepted[i].url) ||
            r.o.port != accepted[i].port || r.o.every != accepted[i].every_ms * TW_NS_PER_MS ||
            r.o.format != accepted[i].format)
            fail_msg("\"%s\": rc %d %s: %s", accepted[i].line, r.rc, r.err.field, r.err.text);
        check_list(accepted[i].line, &r.o.listen, accepted[i].listen);
        check_list(accepted[i].line, &r.args, accepted[i].args);
        end(&r);
    }
}

/* ---- Values that may be left out, values with their own parser, preferred abbreviations ---- */

struct more_opts {
    char *json;
    bool forever, flows_flag;
    int64_t interval, twice;
    char *interface;
};

static enum tw_rc parse_twice(const char *text, void *field, struct tw_err *err)
{
    if (*text < '0' || *text > '9')
        return tw_err_set(err, TW_EINVAL, "must be a digit, not \"%.60s\"", text);
    *(int64_t *)field = 2 * (*text - '0');
    return TW_OK;
}

static const struct conf_opt more_table[] = {
    { .name = "json",
      .short_name = 'j',
      .type = CONF_STR,
      .offset = offsetof(struct more_opts, json),
      .arg = "FORM",
      .implied = "v1",
      .help = "As JSON." },
    { .name = "interval",
      .short_name = 'i',
      .type = CONF_INT,
      .offset = offsetof(struct more_opts, interval),
      .dflt = "100",
      .min = -1,
      .max = 1000,
      .prefer = true,
      .help = "Spacing." },
    { .name = "interface",
      .type = CONF_STR,
      .offset = offsetof(struct more_opts, interface),
      .help = "Where." },
    { .name = "forever",
      .short_name = 'f',
      .type = CONF_FLAG,
      .offset = offsetof(struct more_opts, forever),
      .prefer = true,
      .help = "Never end." },
    { .name = "flows",
      .type = CONF_FLAG,
      .offset = offsetof(struct more_opts, flows_flag),
      .help = "Flows." },
    { .name = "twice",
      .type = CONF_PARSED,
      .offset = offsetof(struct more_opts, twice),
      .dflt = "1",
      .parse = parse_twice,
      .help = "Doubles." },
};
static const struct conf_program more_prog = {
    .name = "more", .usage_args = "FILE...", .opts = more_table, .n_opts = TW_NELEM(more_table), .max_args = 9
};

static const struct {
    const char *line, *json, *interface, *args, *error;
    bool forever, flows;
    int64_t interval, twice;
} more[] = {
    { "", NULL, NULL, "", NULL, false, false, 100, 2 },
    { "-j a", "v1", NULL, "a", NULL, false, false, 100, 2 },
    { "--json a", "v1", NULL, "a", NULL, false, false, 100, 2 },
    { "--json=v0 a", "v0", NULL, "a", NULL, false, false, 100, 2 },
    { "-j=v0 a", "v0", NULL, "a", NULL, false, false, 100, 2 },
    { "--js=v0 a", "v0", NULL, "a", NULL, false, false, 100, 2 },
    { "-jf a", "v1", NULL, "a", NULL, true, false, 100, 2 },
    { "-fj --twice 4 a", "v1", NULL, "a", NULL, true, false, 100, 8 },
    { "--int 7 b", NULL, NULL, "b", NULL, false, false, 7, 2 },
    { "--int=7 b", NULL, NULL, "b", NULL, false, false, 7, 2 },
    { "--interf 7", NULL, "7", "", NULL, false, false, 100, 2 },
    { "--interface --int", NULL, "--int", "", NULL, false, false, 100, 2 }, /* a value stays what it is */
    { "-i -1 --f --fl", NULL, NULL, "", NULL, true, true, -1, 2 },
    { "-- --int", NULL, NULL, "--int", NULL, false, false, 100, 2 },
    { "--twice x", NULL, NULL, "", "must be a digit, not \"x\"", false, false, 0, 0 },
    { "-fi", NULL, NULL, "", "needs a value: --interval=N", false, false, 0, 0 },
};

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static void more_kinds_of_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(more); i++) {
        char line[256], *argv[WORDS] = { (char[]){ "more" } };
        struct more_opts o = { 0 };
        struct conf_strlist args = { 0 };
        struct tw_err err = { 0 };
        int argc = 1;

        snprintf(line, sizeof line, "%s", more[i].line);
        for (char *w = strtok(line, " "); w; w = strtok(NULL, " "))
            argv[argc++] = w;
        if (conf_parse(&more_prog, argc, argv, &o, &args, &err)) {
            if (!more[i].error || !strstr(err.text, more[i].error))
                fail_msg("\"%s\": %s: %s", more[i].line, err.field, err.text);
            continue;
        }
        if (more[i].error || !same_text(o.json, more[i].json) || !same_text(o.interface, more[i].interface) ||
            o.forever != more[i].forever || o.flows_flag != more[i].flows || o.interval != more[i].interval ||
            o.twice != more[i].twice)
            fail_msg("\"%s\": json %s interval %d twice %d", more[i].line, o.json ? o.json : "-",
                     (int)o.interval, (int)o.twice);
        check_list(more[i].line, &args, more[i].args);
        conf_free(&more_prog, &o);
        conf_strlist_free(&args);
    }
}

/* ---- What is refused, and what is said ---- */

static const struct {
    const char *line, *field, *text;
} refused[] = {
    { "-p 0", "controller-port", "must be 1..65535, not \"0\"" },
    { "--controller-port=65536", "controller-port", "must be 1..65535, not \"65536\"" },
    { "-p 99999999999999999999", "controller-port", "must be 1..65535" },
    { "-p 5x", "controller-port", "must be 1..65535, not \"5x\"" },
    { "-p=", "controller-port", "must be 1..65535, not \"=\"" },
    { "--any-number=-1", "any-number", "must be at least 0, not \"-1\"" },
    { "--every 20", "every", "1ms..1h, not \"20\"" },
    { "--every 2h", "every", "1ms..1h, not \"2h\"" },
    { "--log-format xml", "log-format", "must be one of text, json, not \"xml\"" },
    { "--nope", "--nope", "is not an option" },
    { "--nope=5 a", "--nope", "is not an option" },
    { "a --nope b", "--nope", "is not an option of prog (--help lists them)" },
    { "--nope -1h", "--nope", "is not an option" }, /* and not -1 */
    { "--controller -zv", "--controller", "could be several options" },
    { "--evrey 20ms", "--evrey", "is not an option of prog: did you mean \"--every\"? (--help lists them)" },
    { "--log-fromat=json", "--log-fromat", "did you mean \"--log-format\"?" },
    { "-z", "-z", "is not an option" },
    { "-vz", "-z", "is not an option" },
    { "-zv", "-z", "is not an option" },
    { "a b -v -z", "-z", "is not an option" },
    { "-p", "-p", "needs a value: --controller-port=N" },
    { "--controller-url", "--controller-url", "needs a value: --controller-url=URL" },
    { "--controller 5", "--controller", "could be several options" },
    { "--verbose=1", "--verbose", "takes no value" },
    { "--help=1", "--help", "takes no value" },
    { "a b c", "", "unexpected argument \"c\": expected FILE..." },
};

static void bad_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(refused); i++) {
        struct run r;
        run(&r, &prog, refused[i].line);
        if (r.rc != TW_EINVAL || strcmp(r.err.field, refused[i].field) ||
            !strstr(r.err.text, refused[i].text))
            fail_msg("\"%s\": rc %d \"%s\": \"%s\"", refused[i].line, r.rc, r.err.field, r.err.text);
        if (r.o.url || r.o.listen.v || r.args.v)
            fail_msg("\"%s\": memory is left", refused[i].line);
        end(&r);
    }
}

static void everything_works_without_an_error_report(void **state)
{
    struct opts o = { 0 };
    struct conf_strlist args = { 0 };
    char *bad[] = { (char[]){ "prog" }, (char[]){ "--nope" }, NULL };
    char *good[] = { (char[]){ "prog" }, NULL };

    (void)state;
    assert_int_equal(conf_parse(&prog, 2, bad, &o, &args, NULL), TW_EINVAL);
    assert_int_equal(conf_parse(&prog, 1, good, &o, NULL, NULL), TW_OK);
    conf_free(&prog, &o);
    conf_free(&prog, &o); /* twice does no harm */
}

/* ---- Environment ---- */

static void the_environment_is_between_default_and_command_line(void **state)
{
    struct run r;

    (void)state;
    setenv("CONFTEST_CONTROLLER_PORT", "77", 1);
    setenv("CONFTEST_VERBOSE", "Yes", 1);
    setenv("CONFTEST_LISTEN", "x,y", 1);
    setenv("CONFTEST_CONTROLLER_URL", "env", 1);
    run(&r, &prog, "-u line");
    assert_int_equal(r.rc, TW_OK);
    assert_int_equal(r.o.port, 77);
    assert_true(r.o.verbose);
    assert_string_equal(r.o.url, "line");
    check_list("environment", &r.o.listen, "x|y");
    end(&r);
    run(&r, &prog, "--listen z");
    check_list("line after environment", &r.o.listen, "z");
    end(&r);
    setenv("CONFTEST_CONTROLLER_PORT", "many", 1);
    run(&r, &prog, "");
    assert_int_equal(r.rc, TW_EINVAL);
    assert_string_equal(r.err.field, "CONFTEST_CONTROLLER_PORT");
    end(&r);
    unsetenv("CONFTEST_CONTROLLER_PORT");
    unsetenv("CONFTEST_VERBOSE");
    unsetenv("CONFTEST_LISTEN");
    unsetenv("CONFTEST_CONTROLLER_URL");
}

static void required_options_must_come_from_somewhere(void **state)
{
    struct conf_opt one = table[1];
    struct conf_program p = prog;
    struct run r;

    (void)state;
    one.dflt = NULL;
    one.required = true;
    p.opts = &one;
    p.n_opts = 1;
    p.min_args = 1;
    run(&r, &p, "f");
    assert_int_equal(r.rc, TW_EINVAL);
    assert_string_equal(r.err.field, "controller-url");
    run(&r, &p, "-u x");
    assert_int_equal(r.rc, TW_EINVAL);
    assert_non_null(strstr(r.err.text, "too few arguments"));
    run(&r, &p, "-u x f");
    assert_int_equal(r.rc, TW_OK);
    end(&r);
    setenv("CONFTEST_CONTROLLER_URL", "env", 1);
    run(&r, &p, "f");
    assert_int_equal(r.rc, TW_OK);
    assert_string_equal(r.o.url, "env");
    end(&r);
    unsetenv("CONFTEST_CONTROLLER_URL");
}

static void flags_from_text(void **state)
{
    static const struct {
        const char *text;
        enum tw_rc rc;
        bool value;
    } cases[] = {
        { "true", TW_OK, true }, { "off", TW_OK, false },  { "1", TW_OK, true },
        { "NO", TW_OK, false },  { "", TW_EINVAL, false }, { "2", TW_EINVAL, false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct opts o = { .verbose = !cases[i].value };
        struct tw_err err = { 0 };
        assert_int_equal(conf_set(&table[0], &o, cases[i].text, &err), cases[i].rc);
        if (!cases[i].rc)
            assert_int_equal(o.verbose, cases[i].value);
    }
}

/* ---- Help ---- */

static size_t capture(const char *line, char *out, size_t cap, struct run *r)
{
    FILE *f = tmpfile();
    int saved = dup(STDOUT_FILENO);
    size_t n;

    assert_non_null(f);
    fflush(stdout);
    dup2(fileno(f), STDOUT_FILENO);
    run(r, &prog, line);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(f);
    n = fread(out, 1, cap - 1, f);
    out[n] = '\0';
    fclose(f);
    return n;
}

static void help_tells_defaults_and_examples(void **state)
{
    static const char *const must[] = { "Usage: prog [OPTION...] FILE...\n",
                                        "  -u, --controller-url=URL\n",
                                        "Default: tcp://localhost [CONFTEST_CONTROLLER_URL]",
                                        "Allowed: 1..65535.",
                                        "Allowed: text, json.",
                                        "Default: 20ms",
                                        "      --listen=ITEM,...\n",
                                        "Examples:\n  prog -v file\n",
                                        "--help",
                                        "Does nothing." };
    char out[8192];
    struct run r;

    (void)state;
    setenv("CONFTEST_CONTROLLER_PORT", "bad", 1); /* help is needed most when something is wrong */
    capture("--help", out, sizeof out, &r);
    unsetenv("CONFTEST_CONTROLLER_PORT");
    assert_int_equal(r.rc, TW_ECLOSED);
    assert_null(r.o.url);
    for (size_t i = 0; i < TW_NELEM(must); i++)
        if (!strstr(out, must[i]))
            fail_msg("help lacks \"%s\":\n%s", must[i], out);
    capture("-V", out, sizeof out, &r);
    assert_int_equal(r.rc, TW_ECLOSED);
    assert_string_equal(out, "prog " TW_VERSION "\n");
    assert_int_equal(capture("--nope", out, sizeof out, &r), 0); /* errors are the caller's to print */
    assert_int_equal(r.rc, TW_EINVAL);
}

static void errors_name_what_is_typed(void **state)
{
    struct tw_err option = { .field = "interval" }, other = { .field = "CONFTEST_INTERVAL" };
    char text[200];

    (void)state;
    tw_err_set(&option, TW_EINVAL, "is too long");
    tw_err_set(&other, TW_EINVAL, "is too long");
    assert_string_equal(conf_error_text(&more_prog, &option, text, sizeof text), "--interval: is too long");
    assert_string_equal(conf_error_text(&more_prog, &other, text, sizeof text), "CONFTEST_INTERVAL: is too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),
        cmocka_unit_test(more_kinds_of_options),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(everything_works_without_an_error_report),
        cmocka_unit_test(the_environment_is_between_default_and_command_line),
        cmocka_unit_test(required_options_must_come_from_somewhere),
        cmocka_unit_test(flags_from_text),
        cmocka_unit_test(help_tells_defaults_and_examples),
        cmocka_unit_test(errors_name_what_is_typed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
