/* Access tokens and the audit log in the database: kept, replaced, forgotten, found by who, what and when. */
#include "db/store_access.h"
#include "tests/unit/db/db_fixture.h"

struct file {
    char path[PATH_SIZE], got[512];
    struct store *s;
    struct tw_err err;
};

static void open_file(struct file *f)
{
    if (store_open(in_dir(f->path, "a.db"), &f->s, &f->err) != TW_OK)
        fail_msg("%s", f->err.text);
    f->got[0] = '\0';
}

static void add(struct file *f, const char *text)
{
    size_t n = strlen(f->got);

    snprintf(f->got + n, sizeof f->got - n, "%s ", text);
}

/* ---- Tokens ---- */

static enum tw_rc on_token(void *ctx, const struct store_access_token *t)
{
    char text[128];

    snprintf(text, sizeof text, "%s:%02x%02x:%u:%s:%s:%d:%d:%d:%d", t->id, t->digest[0], t->digest[31], t->role, t->name, t->author,
             (int)t->created_ns, (int)t->expires_ns, (int)t->revoked_ns, (int)t->used_ns);
    add(ctx, text);
    return TW_OK;
}

static void tokens(void **state)
{
    struct store_access_token t = { .id = "b", .role = 2, .name = "ann", .author = "ops", .created_ns = 1, .expires_ns = 5 };
    struct file f = { .err = { 0 } };

    (void)state;
    memset(t.digest, 0xab, sizeof t.digest);
    open_file(&f);
    assert_int_equal(store_begin(f.s, &f.err), TW_OK);
    assert_int_equal(store_put_access_token(f.s, &t, &f.err), TW_OK);
    t.id = "a";
    t.name = "bob";
    assert_int_equal(store_put_access_token(f.s, &t, &f.err), TW_OK);
    t.revoked_ns = 7;
    t.used_ns = 6;
    assert_int_equal(store_put_access_token(f.s, &t, &f.err), TW_OK);
    assert_int_equal(store_commit(f.s, &f.err), TW_OK);
    store_close(f.s);
    open_file(&f);
    assert_int_equal(store_each_access_token(f.s, on_token, &f, &f.err), TW_OK);
    assert_string_equal(f.got, "a:abab:2:bob:ops:1:5:7:6 b:abab:2:ann:ops:1:5:0:0 ");
    f.got[0] = '\0';
    assert_int_equal(store_begin(f.s, &f.err), TW_OK);
    assert_int_equal(store_remove_access_token(f.s, "a", &f.err), TW_OK);
    assert_int_equal(store_remove_access_token(f.s, "nosuch", &f.err), TW_OK);
    assert_int_equal(store_commit(f.s, &f.err), TW_OK);
    assert_int_equal(store_each_access_token(f.s, on_token, &f, &f.err), TW_OK);
    assert_string_equal(f.got, "b:abab:2:ann:ops:1:5:0:0 ");
    store_close(f.s);
}

/* Who could change the file could let himself in all the same: but a row that makes no sense is told. */
static void a_digest_of_another_length(void **state)
{
    struct file f = { .err = { 0 } };

    (void)state;
    open_file(&f);
    store_close(f.s);
    sql(f.path, "INSERT INTO access_token VALUES ('x', x'0102', 1, 'n', 'a', 0, 0, 0, 0)");
    open_file(&f);
    assert_int_equal(store_each_access_token(f.s, on_token, &f, &f.err), TW_ECORRUPT);
    assert_non_null(strstr(f.err.text, "2 octets"));
    store_close(f.s);
}

/* ---- The audit log ---- */

static void put(struct file *f, uint64_t id, int64_t time_ns, const char *who, const char *method, const char *subject, int status)
{
    const struct store_audit a = { .id = id,
                                   .time_ns = time_ns,
                                   .who = who,
                                   .role = "operator",
                                   .token_id = "",
                                   .way = "http",
                                   .origin = "192.0.2.1",
                                   .method = method,
                                   .subject = subject,
                                   .status = status,
                                   .detail = "d",
                                   .request = "{}",
                                   .before = "b\n",
                                   .after = "a\n" };

    assert_int_equal(store_put_audit(f->s, &a, &f->err), TW_OK);
}

static enum tw_rc on_audit(void *ctx, const struct store_audit *a)
{
    char text[32];

    assert_string_equal(a->before, "b\n");
    assert_string_equal(a->origin, "192.0.2.1");
    snprintf(text, sizeof text, "%d:%d", (int)a->id, a->status);
    add(ctx, text);
    return TW_OK;
}

static const struct {
    const char *name;
    struct store_audit_query q;
    const char *got;
} queries[] = {
    { "all", { .who = "", .what = "", .limit = 10 }, "4:7 3:0 2:0 1:-1 " },
    { "some", { .who = "", .what = "", .limit = 2 }, "4:7 3:0 " },
    { "older", { .who = "", .what = "", .limit = 10, .before = 3 }, "2:0 1:-1 " },
    { "who", { .who = "ann", .what = "", .limit = 10 }, "3:0 1:-1 " },
    { "nobody", { .who = "an", .what = "", .limit = 10 }, "" },
    { "method, whatever its letters", { .who = "", .what = "agentd", .limit = 10 }, "2:0 1:-1 " },
    { "subject", { .who = "", .what = "ams", .limit = 10 }, "4:7 2:0 " },
    { "a sign of SQL", { .who = "", .what = "%", .limit = 10 }, "" },
    { "refused", { .who = "", .what = "", .refused = true, .limit = 10 }, "4:7 " },
    { "from", { .who = "", .what = "", .from_ns = 20, .limit = 10 }, "4:7 3:0 2:0 " },
    { "to", { .who = "", .what = "", .to_ns = 30, .limit = 10 }, "2:0 1:-1 " },
    { "all at once", { .who = "ann", .what = "schedule", .from_ns = 1, .to_ns = 100, .before = 4, .limit = 1 }, "3:0 " },
};

static void audit(void **state)
{
    struct file f = { .err = { 0 } };
    struct store_reader *r = NULL;
    uint64_t last = 99;

    (void)state;
    open_file(&f);
    assert_int_equal(store_last_audit(f.s, &last, &f.err), TW_OK);
    assert_int_equal(last, 0);
    assert_int_equal(store_begin(f.s, &f.err), TW_OK);
    put(&f, 1, 10, "ann", "AgentDrain", "fra", -1);
    put(&f, 2, 20, "bob", "AgentDrain", "ams", -1);
    put(&f, 2, 20, "bob", "AgentDrain", "ams", 0); /* it has ended */
    put(&f, 3, 30, "ann", "ScheduleApply", "lab", 0);
    put(&f, 4, 40, "eve", "AgentRevoke", "ams", 7);
    assert_int_equal(store_commit(f.s, &f.err), TW_OK);
    assert_int_equal(store_last_audit(f.s, &last, &f.err), TW_OK);
    assert_int_equal(last, 4);
    assert_int_equal(store_reader_open(f.path, &r, &f.err), TW_OK);
    for (size_t i = 0; i < TW_NELEM(queries); i++) {
        f.got[0] = '\0';
        assert_int_equal(store_read_audit(r, &queries[i].q, on_audit, &f, &f.err), TW_OK);
        if (strcmp(f.got, queries[i].got) != 0)
            fail_msg("%s: %s", queries[i].name, f.got);
    }
    assert_int_equal(store_begin(f.s, &f.err), TW_OK);
    assert_int_equal(store_retain_audit(f.s, 30, &f.err), TW_OK);
    assert_int_equal(store_commit(f.s, &f.err), TW_OK);
    f.got[0] = '\0';
    assert_int_equal(store_read_audit(r, &queries[0].q, on_audit, &f, &f.err), TW_OK);
    assert_string_equal(f.got, "4:7 3:0 ");
    store_reader_close(r);
    store_close(f.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_digest_of_another_length, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(audit, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
