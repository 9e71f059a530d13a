/* What alerting keeps: alerts, documents, silences, baselines, notices; and that it comes back after the file
 * was closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "db/store_alert.h"

struct file {
    char dir[64], path[96];
    struct store *s;
    struct tw_err err;
    char got[1024];
};

static int make_file(void **state)
{
    struct file *f = calloc(1, sizeof *f);

    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/twalert-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/a.db", f->dir);
    assert_int_equal(store_open(f->path, &f->s, &f->err), TW_OK);
    *state = f;
    return 0;
}

static int free_file(void **state)
{
    struct file *f = *state;
    char command[96];

    store_close(f->s);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void reopen(struct file *f)
{
    store_close(f->s);
    assert_int_equal(store_open(f->path, &f->s, &f->err), TW_OK);
}

static void add(struct file *f, const char *text)
{
    size_t n = strlen(f->got);

    snprintf(f->got + n, sizeof f->got - n, "%s ", text);
}

static enum tw_rc on_alert(void *ctx, const struct store_alert *a)
{
    add(ctx, a->body);
    return TW_OK;
}

static enum tw_rc on_document(void *ctx, const struct store_alert_document *d)
{
    char text[128];

    snprintf(text, sizeof text, "%d:%s:%s:%s", (int)d->version, d->author, d->reason, d->text);
    add(ctx, text);
    return TW_OK;
}

static enum tw_rc on_silence(void *ctx, const struct store_alert_silence *i)
{
    add(ctx, i->body);
    return TW_OK;
}

static enum tw_rc on_baseline(void *ctx, const struct store_alert_baseline *b)
{
    char text[64];

    snprintf(text, sizeof text, "%d/%u=%s", (int)b->pair_id, b->slot, b->body);
    add(ctx, text);
    return TW_OK;
}

static enum tw_rc on_notice(void *ctx, const struct store_alert_notice *n)
{
    char text[64];

    snprintf(text, sizeof text, "%s:%s:%s", n->receiver, n->key, n->body);
    add(ctx, text);
    return n->id == 99 ? TW_EINVAL : TW_OK;
}

static void put_alert(struct file *f, uint64_t id, bool open, int64_t ns, const char *body)
{
    assert_int_equal(store_put_alert(f->s, &(struct store_alert){ id, open, ns, body }, &f->err), TW_OK);
}

static void alerts(void **state)
{
    struct file *f = *state;
    uint64_t last = 7;

    assert_int_equal(store_last_alert(f->s, &last, &f->err), TW_OK);
    assert_int_equal(last, 0);
    assert_int_equal(store_begin(f->s, &f->err), TW_OK);
    put_alert(f, 1, true, 10, "a");
    put_alert(f, 2, false, 20, "b");
    put_alert(f, 3, false, 30, "c");
    put_alert(f, 4, false, 40, "d");
    put_alert(f, 5, true, 50, "e");
    put_alert(f, 1, true, 60, "A"); /* again */
    assert_int_equal(store_remove_alert(f->s, 5, &f->err), TW_OK);
    assert_int_equal(store_commit(f->s, &f->err), TW_OK);
    reopen(f);
    assert_int_equal(store_each_alert(f->s, 2, on_alert, f, &f->err), TW_OK);
    assert_string_equal(f->got, "A c d ");
    assert_int_equal(store_last_alert(f->s, &last, &f->err), TW_OK);
    assert_int_equal(last, 4);
    assert_int_equal(store_begin(f->s, &f->err), TW_OK);
    assert_int_equal(store_retain_alerts(f->s, 40, &f->err), TW_OK);
    assert_int_equal(store_commit(f->s, &f->err), TW_OK);
    f->got[0] = '\0';
    assert_int_equal(store_each_alert(f->s, 100, on_alert, f, &f->err), TW_OK);
    assert_string_equal(f->got, "A d ");
}

static void documents(void **state)
{
    struct file *f = *state;
    struct store_reader *r;

    assert_int_equal(store_last_alert_document(f->s, on_document, f, &f->err), TW_ENOENT);
    assert_int_equal(store_begin(f->s, &f->err), TW_OK);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(
            store_put_alert_document(
                f->s,
                &(struct store_alert_document){ (uint64_t)i, i * 10, "op", "why", i == 2 ? "two" : "x" },
                &f->err),
            TW_OK);
    assert_int_equal(store_commit(f->s, &f->err), TW_OK);
    assert_int_equal(store_last_alert_document(f->s, on_document, f, &f->err), TW_OK);
    assert_string_equal(f->got, "3:op:why:x ");
    f->got[0] = '\0';
    assert_int_equal(store_reader_open(f->path, &r, &f->err), TW_OK);
    assert_int_equal(store_read_alert_documents(r, 2, 1, on_document, f, &f->err), TW_OK);
    assert_int_equal(store_read_alert_documents(r, 0, 2, on_document, f, &f->err), TW_OK);
    assert_string_equal(f->got, "2:op:why:two 3:op:why:x 2:op:why:two ");
    store_reader_close(r);
    assert_int_equal(store_begin(f->s, &f->err), TW_OK);
    assert_int_equal(store_retain_alerts(f->s, 1000, &f->err), TW_OK); /* the newest stays */
    assert_int_equal(store_commit(f->s, &f->err), TW_OK);
    f->got[0] = '\0';
    assert_int_equal(store_last_alert_document(f->s, on_document, f, &f->err), TW_OK);
    assert_string_equal(f->got, "3:op:why:x ");
}

static void the_rest(void **state)
{
    struct file *f = *state;
    uint64_t last;

    assert_int_equal(store_begin(f->s, &f->err), TW_OK);
    assert_int_equal(store_put_alert_silence(f->s, &(struct store_alert_silence){ 1, 100, "old" }, &f->err),
                     TW_OK);
    assert_int_equal(store_put_alert_silence(f->s, &(struct store_alert_silence){ 2, 200, "new" }, &f->err),
                     TW_OK);
    assert_int_equal(store_put_alert_baseline(f->s, &(struct store_alert_baseline){ 5, 6, "x" }, &f->err),
                     TW_OK);
    assert_int_equal(store_put_alert_baseline(f->s, &(struct store_alert_baseline){ 5, 6, "y" }, &f->err),
                     TW_OK);
    assert_int_equal(
        store_put_alert_notice(f->s, &(struct store_alert_notice){ 8, 1, "am", "1-1", "z" }, &f->err), TW_OK);
    assert_int_equal(
        store_put_alert_notice(f->s, &(struct store_alert_notice){ 9, 1, "am", "1-2", "w" }, &f->err), TW_OK);
    assert_int_equal(store_remove_alert_notice(f->s, 8, &f->err), TW_OK);
    assert_int_equal(store_commit(f->s, &f->err), TW_OK);
    reopen(f);
    assert_int_equal(store_each_alert_silence(f->s, 100, on_silence, f, &f->err), TW_OK);
    assert_int_equal(store_each_alert_baseline(f->s, on_baseline, f, &f->err), TW_OK);
    assert_int_equal(store_each_alert_notice(f->s, on_notice, f, &f->err), TW_OK);
    assert_string_equal(f->got, "new 5/6=y am:1-2:w ");
    assert_int_equal(store_last_alert_silence(f->s, &last, &f->err), TW_OK);
    assert_int_equal(last, 2);
    assert_int_equal(store_last_alert_notice(f->s, &last, &f->err), TW_OK);
    assert_int_equal(last, 9);
    assert_int_equal(store_begin(f->s, &f->err), TW_OK);
    assert_int_equal(
        store_put_alert_notice(f->s, &(struct store_alert_notice){ 99, 1, "a", "b", "c" }, &f->err), TW_OK);
    assert_int_equal(store_commit(f->s, &f->err), TW_OK);
    assert_int_equal(store_each_alert_notice(f->s, on_notice, f, &f->err), TW_EINVAL); /* what fn says */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_file, free_file)
    const struct CMUnitTest tests[] = { T(alerts), T(documents), T(the_rest) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
