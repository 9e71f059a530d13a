/* Files to documents, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include "controller/core/mesh.h"
#include "controller/doc_json.h"
#include "controller/doc_split.h"
#include "tests/unit/common/rng.h"

#define MAX 8

static const struct {
    const char *name, *file;
    struct {
        unsigned before;
        const char *text;
    } pieces[MAX];
} cases[] = {
    { "one", "mesh: a\n", { { 0, "mesh: a\n" } } },
    { "no newline", "mesh: a", { { 0, "mesh: a\n" } } },
    { "a mark before it", "---\nmesh: a\n", { { 1, "mesh: a\n" } } },
    { "a BOM before it", "\xef\xbb\xbf---\nmesh: a\n", { { 1, "mesh: a\n" } } },
    { "an end behind it", "mesh: a\n...\n", { { 0, "mesh: a\n" } } },
    { "two", "mesh: a\n---\nmesh: b\n", { { 0, "mesh: a\n" }, { 2, "mesh: b\n" } } },
    { "CR LF", "mesh: a\r\n---\r\nmesh: b\r\n", { { 0, "mesh: a\r\n" }, { 2, "mesh: b\r\n" } } },
    { "comments stay with what they stand in",
      "# of a\nmesh: a\n# of a, too\n---\n# of b\nmesh: b\n",
      { { 0, "# of a\nmesh: a\n# of a, too\n" }, { 4, "# of b\nmesh: b\n" } } },
    { "a comment before the mark", "# of a\n---\nmesh: a\n", { { 0, "# of a\n---\nmesh: a\n" } } },
    { "a document on the line of the mark",
      "--- {mesh: a}\n--- {mesh: b}\n",
      { { 0, "--- {mesh: a}\n" }, { 1, "--- {mesh: b}\n" } } },
    { "ends",
      "mesh: a\n...\n# of b\n---\nmesh: b\n...\n",
      { { 0, "mesh: a\n" }, { 2, "# of b\n---\nmesh: b\n" } } },
    { "directives",
      "%YAML 1.1\n---\nmesh: a\n...\n%YAML 1.1\n---\nmesh: b\n",
      { { 0, "%YAML 1.1\n---\nmesh: a\n" }, { 4, "%YAML 1.1\n---\nmesh: b\n" } } },
    { "empty ones are no documents", "---\n---\n# nothing\n---\nmesh: a\n---\n\n", { { 4, "mesh: a\n" } } },
    { "no mark",
      "mesh: a\ndescription: |\n  ---\n  ----\n---x: y\n ---\n",
      { { 0, "mesh: a\ndescription: |\n  ---\n  ----\n---x: y\n ---\n" } } },
    { "JSON",
      "{\"mesh\": \"a\"}\n---\n{\"mesh\": \"b\"}\n",
      { { 0, "{\"mesh\": \"a\"}\n" }, { 2, "{\"mesh\": \"b\"}\n" } } },
    { "nothing at all", "", { { 0, "" } } },
    { "only comments", "# a\n", { { 0, "# a\n" } } },
};

static void files(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct doc_piece *v;
        size_t n;

        assert_int_equal(doc_split(cases[i].file, &v, &n), TW_OK);
        for (size_t k = 0; k <= n; k++) {
            const char *expected = k < MAX ? cases[i].pieces[k].text : NULL;

            if (k == n ? expected != NULL
                       : !expected || strcmp(expected, v[k].text) != 0 ||
                             v[k].lines_before != cases[i].pieces[k].before)
                fail_msg("%s: document %zu after line %u: \"%s\"", cases[i].name, k,
                         k < n ? v[k].lines_before : 0, k < n ? v[k].text : "(none)");
        }
        doc_pieces_free(v, n);
    }
}

static void sameness(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        { "mesh: a\n", "mesh: a\n", true },
        { "mesh: a", "mesh: a\n", true },
        { "---\nmesh: a\n", "mesh: a\n", true },
        { "mesh: a\n...\n", "---\nmesh: a", true },
        { "mesh: a\n", "mesh: b\n", false },
        { "mesh: a\n", "mesh: a\n\n", false },
        { "--- # x\nmesh: a\n", "mesh: a\n", false },
        { "", "", true },
        { "", "\n", true },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(pairs); i++)
        if (doc_same(pairs[i].a, pairs[i].b) != pairs[i].same ||
            doc_same(pairs[i].b, pairs[i].a) != pairs[i].same)
            fail_msg("\"%s\" and \"%s\"", pairs[i].a, pairs[i].b);
}

static void random_file(uint64_t *r, char *ret)
{
    static const char *const lines[] = { "---\n",       "...\n",   "# c\n",  "\n",        "mesh: a\n",
                                         "%YAML 1.1\n", "--- x\n", " - y\n", "--- # d\n", "... # e\n",
                                         "--- \n",      "a\r\n",   "---\r\n" };

    *ret = '\0';
    for (uint64_t n = rng_below(r, 10); n; n--)
        strcat(ret, lines[rng_below(r, TW_NELEM(lines))]);
    if (*ret && !rng_below(r, 4))
        ret[strlen(ret) - 1] = '\0';
}

/* What was taken apart is put together, and taken apart again to the same documents. */
static void documents_survive_export(void **state)
{
    uint64_t r = 20261127;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char file[256], again[512] = "";
        struct doc_piece *v, *w;
        size_t n, m;

        random_file(&r, file);
        if (!strstr(file, "mesh") && !strstr(file, "--- x") && !strstr(file, " - y") && !strstr(file, "a\r"))
            continue; /* no document at all */
        assert_int_equal(doc_split(file, &v, &n), TW_OK);
        for (size_t k = 0; k < n; k++) {
            strcat(again, doc_separator(v[k].text, !k));
            strcat(again, v[k].text);
        }
        assert_int_equal(doc_split(again, &w, &m), TW_OK);
        for (size_t k = 0; k < n; k++)
            if (n != m || strcmp(v[k].text, w[k].text) != 0)
                fail_msg("from\n%s\nthe export is\n%s\nwith %zu documents for %zu", file, again, m, n);
        doc_pieces_free(v, n);
        doc_pieces_free(w, m);
    }
}

static void json(void **state)
{
    static const struct {
        const char *yaml, *json;
    } pairs[] = {
        { "mesh: a\nflows: 3\ndf: true\n", "{\n  \"mesh\": \"a\",\n  \"flows\": 3,\n  \"df\": true\n}\n" },
        { "a: [1.5, 01, -2e3, 20ms, '7', 0x10]\n",
          "{\n  \"a\": [\n    1.5,\n    \"01\",\n    -2e3,\n    \"20ms\",\n    \"7\",\n    \"0x10\"\n  ]\n}\n" },
        { "a: &x {b: null}\nc: *x\n# gone\n",
          "{\n  \"a\": {\n    \"b\": \"null\"\n  },\n  \"c\": {\n    \"b\": \"null\"\n  }\n}\n" },
        { "a: {}\nb: []\nc: \"x\\\"\\ty\\\\\"\n",
          "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": \"x\\\"\\u0009y\\\\\"\n}\n" },
    };
    struct tw_err err;
    char *made, *again;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(pairs); i++) {
        assert_int_equal(doc_to_json(pairs[i].yaml, &made, &err), TW_OK);
        assert_string_equal(made, pairs[i].json);
        assert_true(doc_is_json_of(made, pairs[i].yaml));
        assert_false(doc_is_json_of(pairs[i].yaml, made));
        assert_int_equal(doc_to_json(made, &again, &err), TW_OK);
        assert_string_equal(made, again);
        free(made);
        free(again);
    }
    assert_false(doc_is_json_of("{\"mesh\": \"a b\"}", "mesh: ab\n"));
    assert_true(doc_is_json_of("{ \"mesh\" :\"a b\"}\n", "mesh: a b\n"));
    assert_int_equal(doc_to_json("a: &x [*x]\n", &made, &err), TW_EINVAL); /* it contains itself */
    assert_int_equal(doc_to_json("a: [\n", &made, &err), TW_EINVAL);
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = calloc(1, 1 << 16);

    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    return text;
}

/* Every example, exported as it is and as JSON, says the same again. */
static void examples_survive_export(void **state)
{
    DIR *dir = opendir(TW_SOURCE_DIR "/deploy/examples");
    struct dirent *e;
    unsigned n = 0;

    (void)state;
    assert_non_null(dir);
    while ((e = readdir(dir))) {
        char path[512], *text, *out, *made, *back;
        struct doc_piece *v;
        struct tw_err err = { 0 };
        struct mesh *m = NULL;
        size_t k;

        if (!strstr(e->d_name, ".yaml") || !strcmp(e->d_name, "alerts.yaml")) /* that is no mesh */
            continue;
        n++;
        snprintf(path, sizeof path, TW_SOURCE_DIR "/deploy/examples/%s", e->d_name);
        text = slurp(path);
        out = doc_normal(text);
        assert_int_equal(doc_split(out, &v, &k), TW_OK);
        assert_true(k == 1 && doc_same(v[0].text, text));
        if (doc_to_json(text, &made, &err) != TW_OK ||
            mesh_doc_parse("json", made, strlen(made), &m, &err) != TW_OK)
            fail_msg("%s: %s", e->d_name, err.text);
        mesh_free(m);
        assert_true(doc_is_json_of(made, text));
        assert_int_equal(doc_to_json(made, &back, &err), TW_OK);
        assert_string_equal(made, back);
        doc_pieces_free(v, k);
        free(text);
        free(out);
        free(made);
        free(back);
    }
    closedir(dir);
    assert_true(n >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(sameness),
        cmocka_unit_test(documents_survive_export),
        cmocka_unit_test(json),
        cmocka_unit_test(examples_survive_export),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
