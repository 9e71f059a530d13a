/* What the database tests share: a folder of their own, whole files in memory, summaries that validate. */
#ifndef TW_TESTS_DB_FIXTURE_H
#define TW_TESTS_DB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>
#include "db/store.h"

#define DAY0 (INT64_C(20000) * 86400 * TW_NS_PER_S) /* 2024-10-04 00:00 UTC */
#define MINUTE (60 * TW_NS_PER_S)
#define PATH_SIZE 256

static char test_dir[64];

__attribute__((unused)) static int make_dir(void **state)
{
    (void)state;
    snprintf(test_dir, sizeof test_dir, "/tmp/twtest-db-XXXXXX");
    return mkdtemp(test_dir) ? 0 : -1;
}

__attribute__((unused)) static int remove_dir(void **state)
{
    char cmd[96];

    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", test_dir);
    return system(cmd);
}

__attribute__((unused)) static const char *in_dir(char path[PATH_SIZE], const char *name)
{
    snprintf(path, PATH_SIZE, "%s/%s", test_dir, name);
    return path;
}

/* malloc'ed; *ret_len 0 and an empty block when there is no file. */
__attribute__((unused)) static uint8_t *slurp(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    size_t cap = 16 << 20;
    uint8_t *data = malloc(cap);

    *ret_len = f ? fread(data, 1, cap, f) : 0;
    if (f)
        fclose(f);
    return data;
}

__attribute__((unused)) static void spew(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Runs SQL on a file of its own connection, closed again. */
__attribute__((unused)) static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    char *msg = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &msg) != SQLITE_OK)
        fail_msg("%s: %s", text, msg);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

__attribute__((unused)) static int64_t sql_int(const char *path, const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    int64_t v;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, text, -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return v;
}

/* The call gives &test_err as its err. */
__attribute__((unused)) static struct tw_err test_err;
#define CHECK_OK(call)                                                     \
    do {                                                                   \
        enum tw_rc rc_ = (call);                                           \
        if (rc_)                                                           \
            fail_msg("%s: %s: %s", #call, tw_rc_name(rc_), test_err.text); \
    } while (0)

/* A minute without a probe: the smallest valid summary. */
__attribute__((unused)) static struct tw_summary plain(uint64_t pair, uint32_t flow, int64_t start_ns,
                                                       uint32_t tag)
{
    struct tw_summary s;

    summary_init(&s);
    s.pair_id = pair;
    s.flow = flow;
    s.start_ns = start_ns;
    s.end_ns = start_ns + MINUTE;
    s.seq_first = tag;
    s.status = TW_STATUS_NOT_RUN;
    return s;
}

__attribute__((unused)) static int64_t new_agent(struct store *s, const char *name)
{
    struct store_agent a = { .approved = true };

    snprintf(a.name, sizeof a.name, "%s", name);
    CHECK_OK(store_put_agent(s, &a, &test_err));
    return a.id;
}

/* Summaries from before that moment go; all other levels stay. */
__attribute__((unused)) static enum tw_rc retain_before(struct store *s, int64_t before_ns,
                                                        struct tw_err *err)
{
    const int64_t day = 86400 * TW_NS_PER_S;
    const struct store_retention r = { .now_ns = before_ns + day,
                                       .keep.ns = { day, before_ns, before_ns, before_ns, before_ns } };
    bool more = true;
    enum tw_rc rc = TW_OK;

    while (more && !rc)
        rc = store_retain(s, &r, &more, err);
    return rc;
}

#ifndef TW_TESTS_REAL_SYNC /* one file of a program has it */
/* SQLite's calls come here: tells whether a commit waited for the disk. */
static unsigned syncs;
__attribute__((unused)) static bool no_sync; /* the system need not go down in this test */
int fdatasync(int fd)
{
    syncs++;
    if (no_sync)
        return 0;
    return (int)syscall(SYS_fdatasync, fd);
}
#endif

#endif
