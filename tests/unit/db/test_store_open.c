/* What the store does with files that it cannot or must not use: refuse with a clear line, change no octet.
 */
#include "tests/unit/db/db_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void make_store(const char *path)
{
    struct store *s;

    CHECK_OK(store_open(path, &s, &test_err));
    new_agent(s, "ams1");
    store_close(s);
}

static void make_garbage(const char *path)
{
    char junk[8192];

    memset(junk, 'x', sizeof junk);
    spew(path, junk, sizeof junk);
}

static void make_text(const char *path)
{
    spew(path, "hello\n", 6);
}

static void make_truncated(const char *path)
{
    make_store(path);
    assert_int_equal(truncate(path, 3 * 4096), 0);
}

static void make_damaged(const char *path)
{
    size_t len;
    uint8_t *data;

    make_store(path);
    data = slurp(path, &len);
    for (size_t page = 2; page * 4096 < len; page++)
        memset(data + page * 4096 + 8, 0xa5, 64);
    spew(path, data, len);
    free(data);
}

static void make_foreign(const char *path)
{
    sql(path, "CREATE TABLE photo(id)");
}

static void make_spool_id(const char *path)
{
    sql(path, "CREATE TABLE record(id); PRAGMA application_id = 0x74777370; PRAGMA user_version = 1");
}

static void make_newer(const char *path)
{
    make_store(path);
    sql(path, "UPDATE schema_floor SET oldest = 9000; PRAGMA user_version = 9000");
}

/* A newer program ran last and was killed: its version is in the WAL only. */
static void make_newer_in_wal(const char *path)
{
    int status;
    pid_t pid;

    make_store(path);
    pid = fork();
    if (pid == 0) {
        sqlite3 *db;
        if (sqlite3_open(path, &db) || sqlite3_exec(db, "UPDATE schema_floor SET oldest = 9000; PRAGMA user_version = 9000", NULL, NULL, NULL))
            _exit(1);
        _exit(0); /* without closing */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static const struct {
    const char *name;
    void (*make)(const char *path);
    enum tw_rc rc;
    const char *says;
} refused[] = {
    { "garbage", make_garbage, TW_ECORRUPT, "not an SQLite database" },
    { "text", make_text, TW_ECORRUPT, "not an SQLite database" },
    { "truncated", make_truncated, TW_ECORRUPT, "damaged" },
    { "damaged", make_damaged, TW_ECORRUPT, "damaged" },
    { "foreign ?#%41", make_foreign, TW_ECORRUPT, "not a history database" },
    { "spool", make_spool_id, TW_ECORRUPT, "not a history database" },
    { "newer", make_newer, TW_EVERSION, "newer program" },
    { "newer in WAL", make_newer_in_wal, TW_EVERSION, "newer program" },
};

static void bad_files_are_refused_untouched(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(refused); i++) {
        char path[PATH_SIZE], wal[PATH_SIZE + 8];
        struct tw_err err = { 0 };
        struct store *s = NULL;
        size_t len[2], wal_len[2];
        uint8_t *was, *is, *wal_was, *wal_is;
        enum tw_rc rc;

        refused[i].make(in_dir(path, refused[i].name));
        snprintf(wal, sizeof wal, "%s-wal", path);
        was = slurp(path, &len[0]);
        wal_was = slurp(wal, &wal_len[0]);
        rc = store_open(path, &s, &err);
        is = slurp(path, &len[1]);
        wal_is = slurp(wal, &wal_len[1]);
        if (rc != refused[i].rc || s || !strstr(err.text, refused[i].says) || !strstr(err.text, path))
            fail_msg("%s: %s: %s", refused[i].name, tw_rc_name(rc), err.text);
        if (len[0] != len[1] || memcmp(was, is, len[0]) || wal_len[0] != wal_len[1] ||
            memcmp(wal_was, wal_is, wal_len[0]))
            fail_msg("%s: file changed", refused[i].name);
        free(was);
        free(is);
        free(wal_was);
        free(wal_is);
    }
}

static void refusal_frees_the_lock(void **state)
{
    char path[PATH_SIZE];
    struct tw_err err;
    struct store *s;

    (void)state;
    make_garbage(in_dir(path, "again"));
    assert_int_equal(store_open(path, &s, &err), TW_ECORRUPT);
    assert_int_equal(unlink(path), 0);
    CHECK_OK(store_open(path, &s, &test_err));
    store_close(s);
}

static void first_starts_that_did_not_get_far(void **state)
{
    char path[PATH_SIZE];

    (void)state;
    spew(in_dir(path, "empty"), "", 0);
    make_store(path);
    sql(in_dir(path, "begun"), "PRAGMA auto_vacuum = 2; PRAGMA journal_mode = WAL;");
    make_store(path);
    assert_int_equal(sql_int(path, "SELECT count(*) FROM agent"), 1);
}

static void settings(void **state)
{
    char path[PATH_SIZE];
    struct stat st;

    (void)state;
    make_store(in_dir(path, "settings"));
    assert_int_equal(sql_int(path, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(sql_int(path, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(
        sql_int(path, "SELECT count(*) FROM pragma_table_list WHERE NOT strict AND name NOT GLOB 'sqlite_*'"),
        0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07, 0); /* public keys, addresses: nobody else's business */
}

static void one_writer_at_a_time(void **state)
{
    char path[PATH_SIZE];
    struct tw_err err = { 0 };
    struct store *s, *other = NULL;

    (void)state;
    CHECK_OK(store_open(in_dir(path, "busy"), &s, &test_err));
    assert_int_equal(store_open(path, &other, &err), TW_EINUSE);
    assert_non_null(strstr(err.text, "in use by another process"));
    assert_null(other);
    new_agent(s, "still-works");
    store_close(s);
    CHECK_OK(store_open(path, &s, &test_err));
    store_close(s);
}

static void missing_directory(void **state)
{
    char path[PATH_SIZE];
    struct tw_err err = { 0 };
    struct store *s = NULL;
    struct store_reader *r = NULL;

    (void)state;
    assert_int_equal(store_open(in_dir(path, "none/store.db"), &s, &err), TW_ENOENT);
    assert_non_null(strstr(err.text, "directory does not exist"));
    assert_null(s);
    assert_int_not_equal(store_reader_open(path, &r, &err), TW_OK);
    assert_null(r);
}

/* In a child as nobody: to root everything is writable. */
static enum tw_rc open_as_nobody(const char *path, char *says, size_t cap)
{
    int fd[2], status;
    struct {
        enum tw_rc rc;
        struct tw_err err;
    } r = { 0 };
    pid_t pid;

    assert_int_equal(pipe(fd), 0);
    pid = fork();
    if (pid == 0) {
        struct store *s = NULL;
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(1);
        r.rc = store_open(path, &s, &r.err);
        _exit(write(fd[1], &r, sizeof r) != sizeof r);
    }
    close(fd[1]);
    assert_int_equal(read(fd[0], &r, sizeof r), sizeof r);
    close(fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    snprintf(says, cap, "%s", r.err.text);
    return r.rc;
}

static void not_writable(void **state)
{
    char path[PATH_SIZE], lock[PATH_SIZE], says[256];

    (void)state;
    in_dir(path, "readonly");
    assert_int_equal(mkdir(path, 0755), 0);
    chmod(test_dir, 0755);
    in_dir(path, "readonly/store.db");
    make_store(path);
    chmod(path, 0444);
    assert_int_equal(chmod(in_dir(lock, "readonly"), 0555), 0);
    if (open_as_nobody(path, says, sizeof says) != TW_EPERM || !strstr(says, "check owner and mode"))
        fail_msg("directory: %s", says);
    chmod(lock, 0777);
    chmod(in_dir(lock, "readonly/store.db.lock"), 0666);
    if (open_as_nobody(path, says, sizeof says) != TW_EPERM || !strstr(says, "check owner and mode"))
        fail_msg("file: %s", says);
}

static void readers_need_our_file(void **state)
{
    char path[PATH_SIZE];
    struct tw_err err = { 0 };
    struct store_reader *r = NULL;

    (void)state;
    make_foreign(in_dir(path, "photos"));
    assert_int_equal(store_reader_open(path, &r, &err), TW_ECORRUPT);
    make_newer(in_dir(path, "future"));
    assert_int_equal(store_reader_open(path, &r, &err), TW_EVERSION);
    assert_null(r);
}

/* A scheme says which database; of one that we do not know nothing is told that may be a secret. */
static void locations_have_schemes(void **state)
{
    static const struct {
        const char *location;
        enum tw_rc rc;
        const char *says;
    } rows[] = {
        { "clickhouse://user:secret@db1:8443/twamp", TW_EINVAL,
          "database at clickhouse://: this program knows none but sqlite" },
        { "sqlite://host/path", TW_EINVAL, "give PATH or sqlite:PATH" },
        { "none/there:is://no folder", TW_ENOENT, "none" },
    };
    char path[PATH_SIZE], named[PATH_SIZE + 8];
    struct store *s = NULL;
    struct store_reader *r = NULL;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_err err = { 0 };
        assert_int_equal(store_open(rows[i].location, &s, &err), rows[i].rc);
        assert_non_null(strstr(err.text, rows[i].says));
        assert_null(strstr(err.text, "secret"));
        assert_int_not_equal(store_reader_open(rows[i].location, &r, &err), TW_OK);
    }
    snprintf(named, sizeof named, "sqlite:%s", in_dir(path, "named.db"));
    CHECK_OK(store_open(named, &s, &test_err));
    CHECK_OK(store_reader_open(path, &r, &test_err));
    store_reader_close(r);
    CHECK_OK(store_reader_open(named, &r, &test_err));
    store_reader_close(r);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_refused_untouched),
        cmocka_unit_test(refusal_frees_the_lock),
        cmocka_unit_test(first_starts_that_did_not_get_far),
        cmocka_unit_test(settings),
        cmocka_unit_test(one_writer_at_a_time),
        cmocka_unit_test(missing_directory),
        cmocka_unit_test(not_writable),
        cmocka_unit_test(readers_need_our_file),
        cmocka_unit_test(locations_have_schemes),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
