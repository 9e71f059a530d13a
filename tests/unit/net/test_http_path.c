#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/net/http_path.h"
#include "common/rc.h"

struct seen {
    char text[128];
};

static bool take(void *ctx, const char *name, size_t name_len, const char *value, size_t value_len)
{
    struct seen *s = ctx;
    size_t len = strlen(s->text);

    snprintf(s->text + len, sizeof s->text - len, "%.*s=%.*s;", (int)name_len, name, (int)value_len, value);
    return true;
}

static const struct {
    const char *route, *path;
    const char *names; /* NULL: it does not fit */
} rows[] = {
    { "/", "/", "" },
    { "/", "/a", NULL },
    { "/a", "/", NULL },
    { "/a", "/a", "" },
    { "/a", "/a/", NULL },
    { "/a/", "/a", NULL },
    { "/a/{name}", "/a/x", "name=x;" },
    { "/a/{name}", "/a/", NULL },
    { "/a/{name}", "/a", NULL },
    { "/a/{name}", "/a/x/y", NULL },
    { "/a/{name}/b", "/a/x y/b", "name=x y;" },
    { "/a/{name}/b", "/a/x/c", NULL },
    { "/{one}/{two}", "/1/2", "one=1;two=2;" },
    { "/{one}/{two}", "/1", NULL },
    { "/{}", "/{}", "" }, /* no name: it stands for itself */
    { "/{}", "/x", NULL },
    { "/a/{name}", "", NULL },
    { "/a", "a", NULL },
};

static void paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct seen s = { "" };
        bool fits = http_path_match(rows[i].route, rows[i].path, take, &s);

        if (fits != !!rows[i].names || (fits && strcmp(s.text, rows[i].names) != 0))
            fail_msg("%s at %s: %s", rows[i].path, rows[i].route, fits ? s.text : "does not fit");
        assert_int_equal(http_path_match(rows[i].route, rows[i].path, NULL, NULL), fits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(paths) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
