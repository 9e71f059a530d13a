/* The page over HTTP: files inside the program, files of a directory, and what browsers are told about them.
 */
#include <sys/stat.h>
#include <zlib.h>
#include "tests/unit/controller/http_get.h"
#include "controller/http/api.h"
#include "controller/http/page.h"

#define SCRIPT "assets/page-1.js"

struct rig {
    struct fx *f;
    struct controller c;
};

static const struct http_route routes[] = {
    { .path = "/", .help = "page", .fn = http_page },
    { .path = "/assets/{file}", .help = "parts", .fn = http_page },
    { .path = "/favicon.svg", .help = "sign", .fn = http_page },
    { .path = "/api/v1", .help = "list", .fn = http_index },
};

static void rig_start(struct rig *r, const char *root)
{
    struct httpd_conf h = { .address = "127.0.0.1:0",
                            .routes = routes,
                            .n_routes = TW_NELEM(routes),
                            .ctx = &r->c,
                            .index = "/api/v1" };

    *r = (struct rig){ .f = fx_new(1, 8) };
    r->c.loop = h.loop = r->f->loop;
    r->c.readers = r->f->readers;
    FX_OK(page_new(root, false, &r->c.page, &err));
    FX_OK(httpd_start(&h, &r->c.http, &err));
}

static void rig_stop(struct rig *r)
{
    httpd_stop(r->c.http);
    reader_pool_stop(r->f->readers);
    r->f->readers = NULL;
    page_free(r->c.page);
    fx_free(r->f);
}

static void fetch(struct rig *r, struct get *g, const char *target, const char *headers)
{
    get_start_with(g, r->f->loop, httpd_port(r->c.http), target, headers);
    get_await(g, r->f);
}

static void has(const struct get *g, const char *text)
{
    if (!strstr(g->text, text))
        fail_msg("%s: no \"%s\" in\n%.900s", g->target, text, g->text);
}

static void has_not(const struct get *g, const char *text)
{
    if (strstr(g->text, text))
        fail_msg("%s: \"%s\" in\n%.900s", g->target, text, g->text);
}

/* The text of the page itself may say what it likes. */
static void head_has_not(const struct get *g, const char *text)
{
    const char *at = strstr(g->text, text), *end = strstr(g->text, "\r\n\r\n");

    if (at && end && at < end)
        fail_msg("%s: \"%s\" in\n%.900s", g->target, text, g->text);
}

static void expect_policy(const struct get *g)
{
    has(g, "\r\nContent-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src "
           "'self' data: blob:; "
           "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
           "'none'\r\n");
    has(g, "\r\nX-Content-Type-Options: nosniff\r\n");
    has(g, "\r\nReferrer-Policy: no-referrer\r\n");
    head_has_not(g, "unsafe");
    head_has_not(g, "no-store");
}

static size_t body_len(const struct get *g)
{
    const char *at = strstr(g->text, "Content-Length: ");

    return at ? strtoul(at + 16, NULL, 10) : 0;
}

/* Every file that there is: plain and packed are the same octets, and who has them need not get them again.
 */
static void every_file(void **state)
{
    struct rig r;

    (void)state;
    rig_start(&r, NULL);
    assert_true(page_files_n >= 2);
    for (size_t i = 0; i < page_files_n; i++) {
        const struct page_file *f = &page_files[i];
        char target[128], known[64], *unpacked = calloc(1, f->len + 1);
        z_stream z = { .next_out = (Bytef *)unpacked, .avail_out = (uInt)f->len + 1 };
        struct get plain, packed, same;

        snprintf(target, sizeof target, "/%s", strcmp(f->name, "index.html") ? f->name : "");
        snprintf(known, sizeof known, "If-None-Match: \"other\", W/\"%s\"\r\n", f->digest);
        fetch(&r, &plain, target, "");
        fetch(&r, &packed, target, "Accept-Encoding: gzip\r\n");
        fetch(&r, &same, target, known);
        assert_int_equal(plain.status, 200);
        assert_int_equal(packed.status, 200);
        assert_int_equal(body_len(&plain), f->len);
        has(&plain, page_type(f->name));
        head_has_not(&plain, "octet-stream");
        has(&packed, "\r\nContent-Encoding: gzip\r\n");
        has(&packed, "\r\nVary: Accept-Encoding\r\n");
        assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
        z.next_in = (Bytef *)(uintptr_t)get_body(&packed);
        z.avail_in = (uInt)body_len(&packed);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        inflateEnd(&z);
        assert_int_equal(z.total_out, f->len);
        assert_memory_equal(unpacked, get_body(&plain), f->len);
        assert_int_equal(same.status, 304);
        assert_string_equal(get_body(&same), "");
        has(&same, f->digest);
        expect_policy(&plain);
        expect_policy(&packed);
        expect_policy(&same);
        has(&plain, strncmp(f->name, "assets/", 7)
                        ? "\r\nCache-Control: no-cache\r\n"
                        : "\r\nCache-Control: public, max-age=31536000, immutable\r\n");
        free(unpacked);
        free(plain.text);
        free(packed.text);
        free(same.text);
    }
    rig_stop(&r);
}

static void what_there_is_not(void **state)
{
    static const struct {
        const char *target;
        unsigned status;
        const char *expect;
    } cases[] = {
        { "/assets/nosuch.js", 404, "the page has no such file" },
        { "/assets/..%2Findex.html", 404, "no such" },
        { "/assets/../index.html", 404, "no such" },
        { "/assets/", 404, "no such path; /api/v1 lists" },
        { "/index.html", 404, "no such path; /api/v1 lists" },
        { "/matrix", 404, "no such path; /api/v1 lists" },
        { "/api/v1", 200, "GET    /favicon.svg" },
        { "/?any=query", 200, "<title>" },
    };
    struct rig r;

    (void)state;
    rig_start(&r, NULL);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct get g;

        fetch(&r, &g, cases[i].target, "");
        if (g.status != cases[i].status)
            fail_msg("%s: %u", cases[i].target, g.status);
        has(&g, cases[i].expect);
        free(g.text);
    }
    rig_stop(&r);
}

/* The page refers only to what is there, and has no script or style of its own: the policy would not let it.
 */
static void the_page_is_complete(void **state)
{
    struct rig r;
    struct get g;
    unsigned n = 0;

    (void)state;
    rig_start(&r, NULL);
    fetch(&r, &g, "/", "");
    for (const char *at = g.text; (at = strstr(at, "=\"/")); n++) {
        char target[128];
        struct get part;

        at += 2;
        snprintf(target, sizeof target, "%.*s", (int)strcspn(at, "\""), at);
        fetch(&r, &part, target, "");
        if (part.status != 200)
            fail_msg("the page refers to %s: %u", target, part.status);
        free(part.text);
    }
    assert_true(n >= 2);
    has_not(&g, "<style");
    has_not(&g, " style=");
    has_not(&g, "<script>");
    has_not(&g, "://");
    free(g.text);
    rig_stop(&r);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_directory(void **state)
{
    static const struct {
        const char *target;
        unsigned status;
        const char *expect;
    } cases[] = {
        { "/", 200, "first" },
        { "/" SCRIPT, 200, "text/javascript" },
        { "/favicon.svg", 404, "the page has no such file" },
        { "/assets/..", 404, "the page has no such file" },
        { "/assets/.hidden", 404, "the page has no such file" },
        { "/assets/link.js", 404, "the page has no such file" },
        { "/assets/dir.js", 404, "the page has no such file" },
    };
    char dir[] = "/tmp/twtest-page-XXXXXX", path[64], cmd[64];
    struct get g;
    struct rig r;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/assets", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/assets/dir.js", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/assets/link.js", dir);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    write_file(dir, "index.html", "first");
    write_file(dir, SCRIPT, "1;");
    write_file(dir, "assets/.hidden", "secret");
    rig_start(&r, dir);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        fetch(&r, &g, cases[i].target, "");
        if (g.status != cases[i].status)
            fail_msg("%s: %u", cases[i].target, g.status);
        has(&g, cases[i].expect);
        if (g.status == 200) {
            expect_policy(&g);
            has(&g, "\r\nCache-Control: no-cache\r\n"); /* whatever its name: it is being worked on */
        }
        free(g.text);
    }
    write_file(dir, "index.html", "second");
    fetch(&r, &g, "/", "");
    has(&g, "second");
    free(g.text);
    rig_stop(&r);
    snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
    assert_int_equal(system(cmd), 0);
}

/* What is inside is bounded: a page for slow lines. */
static void is_small(void **state)
{
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < page_files_n; i++)
        len += page_files[i].len;
    if (len >= 500000)
        fail_msg("the page has %zu octets", len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file),
        cmocka_unit_test(what_there_is_not),
        cmocka_unit_test(the_page_is_complete),
        cmocka_unit_test(a_directory),
        cmocka_unit_test(is_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
