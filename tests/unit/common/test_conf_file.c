/* Reload of a configuration file; what is printed and refused tests/config_files.py tries with the daemons.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "common/clk.h"
#include "common/conf_file.h"

struct opts {
    struct conf_file_options file;
    char *name, *place;
    struct conf_strlist peers, fixed;
    int64_t limit, every;
    uint32_t parsed;
    bool loud;
};

static enum tw_rc parse_number(const char *text, void *field, struct tw_err *err)
{
    (void)err;
    *(uint32_t *)field = (uint32_t)strtoul(text, NULL, 10);
    return TW_OK;
}

#define AT(f) offsetof(struct opts, f)
#define FILE_AT(f) offsetof(struct opts, file.f)
static const struct conf_opt table[] = {
    CONF_FILE_OPTS(FILE_AT, "none"),
    { .name = "name", .type = CONF_STR, .offset = AT(name), .dflt = "x", .help = "Name." },
    { .name = "place", .type = CONF_STR, .offset = AT(place), .live = true, .help = "Place." },
    { .name = "peers",
      .type = CONF_STRLIST,
      .offset = AT(peers),
      .live = true,
      .dflt = "a,b",
      .help = "Peers." },
    { .name = "fixed", .type = CONF_STRLIST, .offset = AT(fixed), .help = "Fixed." },
    { .name = "limit",
      .type = CONF_INT,
      .offset = AT(limit),
      .live = true,
      .dflt = "7",
      .max = 100,
      .help = "Limit." },
    { .name = "every",
      .type = CONF_DURATION,
      .offset = AT(every),
      .dflt = "1s",
      .max = 3600 * TW_NS_PER_S,
      .help = "Spacing." },
    { .name = "parsed",
      .type = CONF_PARSED,
      .offset = AT(parsed),
      .dflt = "1",
      .parse = parse_number,
      .help = "Parsed." },
    { .name = "loud", .type = CONF_FLAG, .offset = AT(loud), .live = true, .help = "Loud." },
};
static const struct conf_program program = {
    .name = "prog", .env_prefix = "CONFFILETEST", .opts = table, .n_opts = TW_NELEM(table)
};

static void check_limit(void *target, struct conf_errors *errors)
{
    if (((struct opts *)target)->limit == 13)
        conf_errors_set(errors, "limit", "brings bad luck");
}

static char abbreviated[] = "--lim", fifty[] = "50";
static char path[] = "/tmp/conf_file_XXXXXX";

static void says(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_file(void **state)
{
    (void)state;
    close(mkstemp(path));
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static enum tw_rc reload(struct conf_daemon *d, struct opts *o, struct conf_reload *r)
{
    struct opts scratch = { 0 };
    enum tw_rc rc = conf_daemon_reload(d, o, &scratch, r);

    conf_free(&program, &scratch);
    return rc;
}

static void only_what_is_live_changes(void **state)
{
    static const struct {
        const char *file, *restart, *place, *peers;
        size_t changed;
        int64_t limit;
    } rows[] = {
        { "name: n\nlimit: 8\n", "", "(none)", "a|b", 0, 8 },
        { "name: n\nlimit: 9\nplace: here\npeers: [c]\nloud: yes\n", "", "here", "c", 4, 9 },
        { "name: n\nlimit: 9\nplace: here\npeers: [c]\nloud: yes\n", "", "here", "c", 0, 9 },
        { "name: other\nevery: 1000ms\nparsed: 2\nfixed: [q]\n", "name, fixed, parsed", "(none)", "a|b", 4,
          7 },
        { "name: n\nparsed: 1\nlimit: 55\n", "", "(none)", "a|b", 1,
          50 }, /* the command line says 50 from here on */
    };
    char *words[] = { (char[]){ "prog" }, (char[]){ "--config" }, path, NULL, NULL };
    struct conf_daemon d = { .program = &program, .check = check_limit, .argc = 3, .argv = words };
    struct opts o = { 0 };
    struct conf_reload r;
    int code;

    (void)state;
    says("name: n\nlimit: 8\n");
    assert_int_equal(conf_daemon_parse(&d, &o, &code), TW_OK);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char peers[64] = "";

        says(rows[i].file);
        if (i == TW_NELEM(rows) - 1) {
            words[d.argc++] = abbreviated; /* it must not be left behind in argv */
            words[d.argc++] = fifty;
        }
        assert_int_equal(reload(&d, &o, &r), TW_OK);
        for (size_t k = 0; k < o.peers.n; k++)
            snprintf(peers + strlen(peers), sizeof peers - strlen(peers), "%s%s", k ? "|" : "", o.peers.v[k]);
        if (strcmp(r.restart, rows[i].restart) || r.changed != rows[i].changed || o.limit != rows[i].limit ||
            strcmp(o.place ? o.place : "(none)", rows[i].place) || strcmp(peers, rows[i].peers) ||
            strcmp(o.name, "n"))
            fail_msg("%zu: restart \"%s\", %zu changed, limit %d, place %s, peers %s, name %s", i, r.restart,
                     r.changed, (int)o.limit, o.place, peers, o.name);
    }
    assert_int_equal(o.every, TW_NS_PER_S);
    conf_daemon_free(&d);
    conf_free(&program, &o);
}

static void mistakes_change_nothing(void **state)
{
    static const struct {
        const char *file, *says;
        unsigned line;
        size_t errors;
    } rows[] = {
        { "limit: 1\nplace: [x]\npeers: {}\n", "expected one value", 2, 2 },
        { "limit: 101\n", "must be 0..100", 1, 1 },
        { "# x\n\nlimit: 13\n", "brings bad luck", 3, 1 },
        { "limit: 1\nlimit: 2\n", "is given twice", 2, 1 },
        { "limit: [1\n", "", 2, 1 },
    };
    char *words[] = { (char[]){ "prog" }, (char[]){ "--config" }, path, NULL };
    struct conf_daemon d = { .program = &program, .check = check_limit, .argc = 3, .argv = words };
    struct opts o = { 0 };
    struct conf_reload r;
    int code;

    (void)state;
    says("place: here\n");
    assert_int_equal(conf_daemon_parse(&d, &o, &code), TW_OK);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        says(rows[i].file);
        assert_int_equal(reload(&d, &o, &r), TW_EINVAL);
        if (d.errors.n != rows[i].errors || d.errors.v[0].line != rows[i].line ||
            !strstr(d.errors.v[0].text, rows[i].says))
            fail_msg("%zu: %zu errors, line %u: %s", i, d.errors.n, d.errors.n ? d.errors.v[0].line : 0,
                     d.errors.n ? d.errors.v[0].text : "");
        assert_string_equal(o.place, "here");
        assert_int_equal(o.limit, 7);
    }
    says("place: there\n");
    assert_int_equal(reload(&d, &o, &r), TW_OK);
    assert_string_equal(o.place, "there");
    assert_int_equal(d.errors.n, 0);
    conf_daemon_free(&d);
    conf_free(&program, &o);
}

static void what_is_given_twice_is_told(void **state)
{
    static const struct {
        const char *words[6], *says; /* NULL: it is taken */
    } rows[] = {
        { { "--limit", "1", "--limit", "2" }, "--limit: is given twice, 1 and 2: it takes one value" },
        { { "--limit=1", "--name", "a", "--lim", "3", "--name=a" },
          "--limit: is given twice, 1 and 3: it takes one value" },
        { { "--parsed", "4", "--parsed", "5" }, "--parsed: is given twice, 4 and 5: it takes one value" },
        { { "--config", "/nowhere", "--config", "none" },
          "--config: is given twice, /nowhere and none: it takes one value" },
        { { "--name", "a", "--name", "a", "--loud", "--loud" }, NULL }, /* the same: nothing is lost */
        { { "--peers", "a", "--peers", "b" }, NULL },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char *words[8] = { (char[]){ "prog" } }, text[512];
        struct conf_daemon d = { .program = &program, .argc = 1, .argv = words };
        struct opts o = { 0 };
        int code;
        enum tw_rc rc;

        for (size_t k = 0; k < TW_NELEM(rows[i].words) && rows[i].words[k]; k++)
            words[d.argc++] = (char *)rows[i].words[k];
        rc = conf_daemon_parse(&d, &o, &code);
        if (d.errors.n != (rows[i].says != NULL) || (rc == TW_OK) != !rows[i].says ||
            (rows[i].says &&
             strcmp(conf_error_text(&program, &d.errors.v[0], text, sizeof text), rows[i].says) != 0))
            fail_msg("%zu: %s, %zu errors: %s", i, tw_rc_name(rc), d.errors.n, d.errors.n ? text : "");
        conf_daemon_free(&d);
        conf_free(&program, &o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(only_what_is_live_changes),
                                        cmocka_unit_test(what_is_given_twice_is_told),
                                        cmocka_unit_test(mistakes_change_nothing) };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
