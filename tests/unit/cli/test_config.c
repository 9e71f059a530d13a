/* The configuration file of twampctl: what is wrong with it, and edits that leave the rest as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "controller/cli/config.h"

#define LAB "contexts:\n  lab: { controller: \"tcp://lab:1\" }\n"

static void errors_have_line_and_field(void **state)
{
    static const struct {
        const char *text, *says; /* NULL: none */
    } cases[] = {
        { "", NULL },
        { "# only\n\n  # comments\n", NULL },
        { LAB, NULL },
        { "current: lab\n" LAB, NULL },
        { "current: x\n" LAB, "f:1:0: current: there is no context \"x\" in this file" },
        { "contexts:\n", "f:1:10: contexts: no value: expected keys and values" },
        { "context: {}\n", "f:1:1: : unknown key \"context\": did you mean \"contexts\"?" },
        { "current: lab\n", "contexts: key \"contexts\" is missing" },
        { "contexts:\n  lab:\n    output: json\n", "contexts.lab.controller: key \"controller\" is missing" },
        { "contexts:\n  lab:\n    controller: ipc:///x\n    output: xml\n",
          "f:4:13: contexts.lab.output: must be one of table, wide, json, yaml, csv, ndjson, not \"xml\"" },
        { "contexts:\n  lab:\n    controller: ipc:///x\n    timeout: 5\n",
          "f:4:14: contexts.lab.timeout: must be" },
        { "contexts:\n  lab:\n    controller: ipc:///x\n    no_color: perhaps\n",
          "f:4:15: contexts.lab.no_color: must be true or false" },
        { "contexts:\n  lab:\n    controller: ipc:///x\n    colour: no\n",
          "f:4:5: contexts.lab: unknown key \"colour\"" },
        { "contexts:\n  lab:\n    controller: http://x\n",
          "f:3:17: contexts.lab.controller: \"http://x\" is no URL: expected tls+tcp://HOST:PORT, tcp://HOST:PORT or "
          "ipc:///PATH" },
        { "contexts:\n  -x: { controller: \"ipc:///x\" }\n", "f:2:3: contexts.-x: a name of a context has" },
        { "contexts:\n  a: { controller: \"ipc:///x\" }\n  a: { controller: \"ipc:///x\" }\n",
          "f:3:3: contexts: key \"a\" is given twice" },
        { "contexts: [a]\n", "f:1:11: contexts: expected keys and values, got a list" },
        { "contexts:\n\tlab: {}\n", "f:2:1: " },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config c = { 0 };
        struct tw_err err = { .file = "f" };
        char text[512];
        bool ok = config_parse("f", cases[i].text, &c, &err) == TW_OK;
        snprintf(text, sizeof text, "%s:%u:%u: %s: %s", err.file, err.line, err.column, err.field, err.text);
        if (ok != !cases[i].says || (cases[i].says && !strstr(text, cases[i].says)))
            fail_msg("%s\n%s\nexpected %s", cases[i].text, ok ? "taken" : text,
                     cases[i].says ? cases[i].says : "no error");
        config_free(&c);
    }
}

/* ---- Edits ---- */

static char path[64];

static void write_file(const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void expect_file(const char *what, const char *want)
{
    char got[4096];
    FILE *f = fopen(path, "re");
    size_t n;

    assert_non_null(f);
    n = fread(got, 1, sizeof got - 1, f);
    got[n] = '\0';
    fclose(f);
    if (strcmp(got, want) != 0)
        fail_msg("%s:\n%s\nexpected\n%s", what, got, want);
}

#define BEFORE "# mine\n"
#define PROD                                                                                                \
    "  prod: # the real one\n    controller: tcp://prod:1 # by the door\n    timeout: 30s\n\n  # the next " \
    "one\n"
#define TEST "  test:\n    controller: ipc:///run/x\n"
#define AFTER "\n# the end\n"

static enum tw_rc use(const struct config *c, const char *arg, struct tw_err *err)
{
    return config_use(c, *arg ? arg : NULL, err);
}

static enum tw_rc add(const struct config *c, const char *arg, struct tw_err *err)
{
    struct context x = { .name = (char *)arg,
                         .values = { (char *)"tcp://[::1]:2", NULL, (char *)"5s", (char *)"true" } };
    return config_add(c, &x, err);
}

#define ADDED(indent)                                                                        \
    indent "new:\n" indent "  controller: tcp://[::1]:2\n" indent "  timeout: '5s'\n" indent \
           "  no_color: 'true'\n"

static const struct {
    const char *what, *before;
    enum tw_rc (*edit)(const struct config *c, const char *arg, struct tw_err *err);
    const char *arg, *after; /* NULL: refused */
} edits[] = {
    { "use replaces",
      BEFORE "current: test  # now\n"
             "contexts:\n" PROD TEST AFTER,
      use, "prod",
      BEFORE "current: prod  # now\n"
             "contexts:\n" PROD TEST AFTER },
    { "use adds", BEFORE "contexts:\n" PROD TEST, use, "prod",
      "current: prod\n" BEFORE "contexts:\n" PROD TEST },
    { "use none", "contexts:\n" TEST "current: test\n", use, "", "contexts:\n" TEST },
    { "add to nothing", "", add, "new", "contexts:\n" ADDED("  ") },
    { "add to comments", BEFORE, add, "new", BEFORE "contexts:\n" ADDED("  ") },
    { "add before the comments at the end", BEFORE "contexts:\n" PROD TEST AFTER, add, "new",
      BEFORE "contexts:\n" PROD TEST ADDED("  ") AFTER },
    { "add with the user's own indent", "contexts:\n    a:\n        controller: ipc:///a", add, "new",
      "contexts:\n    a:\n        controller: ipc:///a\n" ADDED("    ") },
    { "add behind one in braces", LAB, add, "new", LAB ADDED("  ") },
    { "add where there is no line for it", "{ contexts: { a: { controller: \"ipc:///a\" } } }\n", add, "new",
      NULL },
    { "remove the first", BEFORE "contexts:\n" PROD TEST AFTER, config_remove, "prod",
      BEFORE "contexts:\n\n  # the next one\n" TEST AFTER },
    { "remove the last", "contexts:\n" PROD TEST AFTER, config_remove, "test", "contexts:\n" PROD AFTER },
    { "remove the current one", "current: test\ncontexts:\n" PROD TEST, config_remove, "test",
      "contexts:\n" PROD },
    { "remove all", BEFORE "current: test\ncontexts:\n" TEST AFTER, config_remove, "test", BEFORE AFTER },
};

static void edits_leave_the_rest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct config c = { 0 };
        struct tw_err err = { 0 };
        struct stat st;
        enum tw_rc rc;
        write_file(edits[i].before);
        if (config_load(path, &c, &err) != TW_OK)
            fail_msg("%s: %s", edits[i].what, err.text);
        rc = edits[i].edit(&c, edits[i].arg, &err);
        if ((rc == TW_OK) != (edits[i].after != NULL))
            fail_msg("%s: %s", edits[i].what, rc ? err.text : "taken");
        expect_file(edits[i].what, edits[i].after ? edits[i].after : edits[i].before);
        assert_int_equal(stat(path, &st), 0);
        if (!rc)
            assert_int_equal(st.st_mode & 0777, 0600);
        config_free(&c);
    }
}

static void a_new_file_gets_its_folders(void **state)
{
    char deep[160], folder[128];
    struct config c = { 0 };
    struct tw_err err = { 0 };

    (void)state;
    snprintf(folder, sizeof folder, "%s.d/a", path);
    snprintf(deep, sizeof deep, "%s/twampctl.yaml", folder);
    assert_int_equal(config_load(deep, &c, &err), TW_OK);
    assert_null(c.text);
    assert_int_equal(add(&c, "new", &err), TW_OK);
    config_free(&c);
    assert_int_equal(config_load(deep, &c, &err), TW_OK);
    assert_non_null(config_find(&c, "new"));
    config_free(&c);
    unlink(deep);
    rmdir(folder);
    folder[strlen(folder) - 2] = '\0';
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_line_and_field),
        cmocka_unit_test(edits_leave_the_rest),
        cmocka_unit_test(a_new_file_gets_its_folders),
    };
    int code;

    snprintf(path, sizeof path, "/tmp/twampctl-config.%d.yaml", (int)getpid());
    code = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return code;
}
