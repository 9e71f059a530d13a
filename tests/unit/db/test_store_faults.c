/* Full disks and kill -9: what was acknowledged is there, once, and the store goes on. */
#include "tests/unit/db/db_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static const uint8_t spool[STORE_ID_LEN] = "spool";

/* Appends and commits n rows from first on; row i has seq_first i. */
static enum tw_rc append(struct store *s, int64_t agent, uint64_t first, size_t n, struct tw_err *err)
{
    static struct tw_summary rows[4096];
    struct store_batch b = { .agent_id = agent, .first_seq = first, .rows = rows, .n = n };
    enum store_append_result res;
    uint64_t through;
    enum tw_rc rc;

    for (size_t i = 0; i < n; i++)
        rows[i] = plain(1 + i % 7, 0, DAY0 + (int64_t)(first + i) * TW_NS_PER_S, (uint32_t)(first + i));
    memcpy(b.spool_id, spool, STORE_ID_LEN);
    rc = store_begin(s, err);
    if (rc)
        return rc;
    rc = store_append(s, &b, &res, &through, err);
    if (rc)
        store_rollback(s);
    return rc ? rc : store_commit(s, err);
}

/* Rows 1..n, each once. */
static void check_complete(const char *path, uint64_t n)
{
    assert_int_equal(sql_int(path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    assert_int_equal(sql_int(path, "SELECT count(*) FROM summary_20241004"), n);
    assert_int_equal(sql_int(path, "SELECT count(DISTINCT seq_first) FROM summary_20241004"), n);
    assert_int_equal(sql_int(path, "SELECT max(seq_first) FROM summary_20241004"), n);
    assert_int_equal(sql_int(path, "SELECT through_seq FROM cursor"), n);
    assert_int_equal(sql_int(path,
                             "SELECT count(*) FROM latest JOIN summary_20241004 s ON s.rowid = latest.row "
                             "WHERE s.pair_id = latest.pair_id AND s.start_ns = latest.start_ns"),
                     n < 7 ? n : 7);
}

/* ---- Full disk ---------------------------------------------------------------------------------- */

struct disk {
    const char *name;
    void (*fill)(const char *dir); /* from now on nothing more fits */
    void (*release)(const char *dir);
};

static void limit_files(const char *dir)
{
    struct rlimit l = { 200 << 10, RLIM_INFINITY };

    (void)dir;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void unlimit_files(const char *dir)
{
    struct rlimit l = { RLIM_INFINITY, RLIM_INFINITY };

    (void)dir;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void fill_disk(const char *dir)
{
    static char block[4096];
    char path[PATH_SIZE];
    FILE *f;

    snprintf(path, sizeof path, "%s/ballast", dir);
    f = fopen(path, "wb");
    assert_non_null(f);
    setbuf(f, NULL);
    while (fwrite(block, 1, sizeof block, f) == sizeof block)
        ;
    assert_int_equal(errno, ENOSPC);
    fclose(f);
}

static void empty_disk(const char *dir)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/ballast", dir);
    assert_int_equal(unlink(path), 0);
}

static void full_and_again(const struct disk *disk, const char *dir)
{
    char path[PATH_SIZE];
    struct tw_err err = { 0 };
    struct store *s;
    struct store_stats st;
    int64_t agent;
    uint64_t done = 10, through = 0;

    snprintf(path, sizeof path, "%s/store.db", dir);
    CHECK_OK(store_open(path, &s, &test_err));
    agent = new_agent(s, "ams1");
    CHECK_OK(append(s, agent, 1, 10, &test_err));
    disk->fill(dir);
    for (int i = 0; i < 3; i++) { /* stays full: the same answer, nothing half stored */
        enum tw_rc rc;
        while ((rc = append(s, agent, done + 1, 1000, &err)) == TW_OK && done < 100000)
            done += 1000;
        if (rc != TW_ENOSPC || !strstr(err.text, "no space left") || strchr(err.text, '\n'))
            fail_msg("%s: %s: %s", disk->name, tw_rc_name(rc), err.text);
        assert_int_equal(store_cursor(s, agent, spool, &through), TW_OK);
        assert_int_equal(through, done);
    }
    disk->release(dir);
    CHECK_OK(append(s, agent, done + 1, 1000, &test_err));
    store_stats(s, &st);
    assert_int_equal(st.rows_written, done + 1000);
    store_close(s);
    check_complete(path, done + 1000);
}

static void full_disk_by_file_size(void **state)
{
    static const struct disk disk = { "RLIMIT_FSIZE", limit_files, unlimit_files };

    (void)state;
    full_and_again(&disk, test_dir);
}

/* In a mount namespace of our own; needs root. */
static bool mount_small(const char *dir, const char *options)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, options) == 0;
}

static void full_disk_by_file_system(void **state)
{
    static const struct disk disk = { "tmpfs", fill_disk, empty_disk };
    char dir[PATH_SIZE];
    struct tw_err err = { 0 };
    struct store *s = NULL;

    (void)state;
    in_dir(dir, "small");
    assert_int_equal(mkdir(dir, 0700), 0);
    if (!mount_small(dir, "size=4m")) {
        print_message("no mount namespace here (%s): skipped\n", strerror(errno));
        skip();
    }
    full_and_again(&disk, dir);
    fill_disk(dir);
    strcat(dir, "/other.db");
    assert_int_equal(store_open(dir, &s, &err), TW_ENOSPC); /* nor can one be made */
    assert_null(s);
    assert_non_null(strstr(err.text, "pace")); /* ours or the system's words */
    dir[strlen(dir) - strlen("/other.db")] = '\0';
    assert_int_equal(umount(dir), 0);
}

/* A caller that goes on after an error must not get half of a transaction. */
static void nothing_slips_in_behind_a_failed_transaction(void **state)
{
    char path[PATH_SIZE];
    struct tw_err err = { 0 };
    struct store *s;
    int64_t agent;
    static struct tw_summary rows[4096];
    struct store_batch b = { .first_seq = 1, .rows = rows, .n = TW_NELEM(rows) };
    struct store_mesh m = { .name = "core" };
    enum store_append_result res;
    uint64_t through;
    enum tw_rc rc = TW_OK;

    (void)state;
    CHECK_OK(store_open(in_dir(path, "behind.db"), &s, &test_err));
    agent = new_agent(s, "ams1");
    b.agent_id = agent;
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        rows[i] = plain(1, 0, DAY0 + (int64_t)i * TW_NS_PER_S, (uint32_t)i);
    CHECK_OK(store_begin(s, &test_err));
    limit_files(test_dir);
    for (int i = 0; i < 400 && !rc; i++, b.first_seq += b.n) /* until the cache spills to the full disk */
        rc = store_append(s, &b, &res, &through, &err);
    assert_int_equal(rc, TW_ENOSPC);
    unlimit_files(test_dir);
    assert_int_not_equal(store_put_mesh(s, &m, &err), TW_OK);
    assert_int_not_equal(store_append(s, &b, &res, &through, &err), TW_OK);
    assert_int_equal(store_commit(s, &err), TW_ENOSPC);
    assert_int_equal(store_cursor(s, agent, spool, &through), TW_ENOENT);
    CHECK_OK(append(s, agent, 1, 10, &test_err));
    store_close(s);
    check_complete(path, 10);
    assert_int_equal(sql_int(path, "SELECT count(*) FROM mesh"), 0);
}

/* ---- kill -9 ------------------------------------------------------------------------------------ */

/* Appends batches for ever and tells each number that is durable. */
__attribute__((noreturn)) static void writer(const char *path, int fd, unsigned seed)
{
    struct store *s;
    struct tw_err err;
    uint64_t through = 0;

    if (store_open(path, &s, &err))
        _exit(1);
    store_cursor(s, 1, spool, &through);
    for (;;) {
        size_t n = 1 + (size_t)rand_r(&seed) % 300;
        if (append(s, 1, through + 1, n, &err))
            _exit(2);
        through += n;
        if (write(fd, &through, sizeof through) != sizeof through)
            _exit(3);
    }
}

/* Kills the writer after `acks` acknowledgements and a moment; returns the last number it told. */
static uint64_t run_and_kill(const char *path, unsigned acks, unsigned spin, unsigned seed)
{
    int fd[2], status;
    uint64_t told = 0, v;
    pid_t pid;

    assert_int_equal(pipe(fd), 0);
    pid = fork();
    if (pid == 0)
        writer(path, fd[1], seed);
    close(fd[1]);
    for (unsigned i = 0; i < acks; i++)
        if (read(fd[0], &v, sizeof v) == sizeof v)
            told = v;
    for (volatile unsigned i = 0; i < spin; i++) /* somewhere in the middle of the next one */
        ;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(fd[0], &v, sizeof v) == sizeof v)
        told = v;
    close(fd[0]);
    return told;
}

static void killed_at_any_point(void **state)
{
    unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
    char path[PATH_SIZE];
    struct tw_err err;
    struct store *s;

    (void)state;
    print_message("SEED=%u\n", seed);
    CHECK_OK(store_open(in_dir(path, "killed.db"), &s, &test_err));
    assert_int_equal(new_agent(s, "ams1"), 1);
    store_close(s);
    for (int round = 0; round < 20; round++) {
        uint64_t told, through = 0;
        told = run_and_kill(path, (unsigned)rand_r(&seed) % 6, (unsigned)rand_r(&seed) % 3000000,
                            (unsigned)rand_r(&seed));
        if (store_open(path, &s, &err))
            fail_msg("round %d: %s", round, err.text);
        store_cursor(s, 1, spool, &through);
        if (through < told)
            fail_msg("round %d: %llu was acknowledged, %llu is stored", round, (unsigned long long)told,
                     (unsigned long long)through);
        store_close(s);
        if (through)
            check_complete(path, through);
    }
}

/* An acknowledgement promises that power loss takes nothing back. */
static void every_commit_waits_for_the_disk(void **state)
{
    char path[PATH_SIZE];
    struct store *s;
    int64_t agent;

    (void)state;
    CHECK_OK(store_open(in_dir(path, "synced.db"), &s, &test_err));
    agent = new_agent(s, "ams1");
    for (uint64_t i = 1; i <= 5; i++) {
        syncs = 0;
        CHECK_OK(append(s, agent, i, 1, &test_err));
        assert_true(syncs > 0);
    }
    store_close(s);
}

/* ---- No memory ---------------------------------------------------------------------------------- */

static sqlite3_mem_methods plenty;
static long allocations_left = -1; /* of SQLite's; -1: as many as it wants */

static bool may_allocate(void)
{
    if (allocations_left > 0)
        allocations_left--;
    return allocations_left != 0;
}

static void *scarce_malloc(int n)
{
    return may_allocate() ? plenty.xMalloc(n) : NULL;
}

static void *scarce_realloc(void *p, int n)
{
    return may_allocate() ? plenty.xRealloc(p, n) : NULL;
}

static void make_memory_scarce(void)
{
    sqlite3_mem_methods scarce;

    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plenty), SQLITE_OK);
    scarce = plenty;
    scarce.xMalloc = scarce_malloc;
    scarce.xRealloc = scarce_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &scarce), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK); /* as when all of it is in use */
}

/* It runs out at any point, for the rollback, too; once there is some again the same rows go in, once. */
static void no_memory_and_again(void **state)
{
    char path[PATH_SIZE];
    struct tw_err err = { 0 };
    struct store *s;
    int64_t agent;
    uint64_t done = 10;
    unsigned failed = 0;

    (void)state;
    CHECK_OK(store_open(in_dir(path, "memory.db"), &s, &test_err));
    agent = new_agent(s, "ams1");
    CHECK_OK(append(s, agent, 1, 10, &test_err));
    for (long k = 1; k < 400; k++) {
        enum tw_rc rc;

        allocations_left = k % 200;
        rc = append(s, agent, done + 1, 200, &err);
        allocations_left = -1;
        if (rc != TW_OK) {
            failed++;
            CHECK_OK(append(s, agent, done + 1, 200, &test_err));
        }
        done += 200;
    }
    assert_true(failed > 10);
    CHECK_OK(store_begin(s, &test_err)); /* it was for something of our own that there was none, and now for taking it back */
    CHECK_OK(store_put_mesh(s, &(struct store_mesh){ .name = "core" }, &test_err));
    allocations_left = 0;
    store_rollback(s);
    allocations_left = -1;
    CHECK_OK(append(s, agent, done + 1, 200, &test_err));
    done += 200;
    assert_int_equal(sql_int(path, "SELECT count(*) FROM mesh"), 0);
    store_close(s);
    check_complete(path, done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_disk_by_file_size),
        cmocka_unit_test(full_disk_by_file_system),
        cmocka_unit_test(nothing_slips_in_behind_a_failed_transaction),
        cmocka_unit_test(no_memory_and_again),
        cmocka_unit_test(killed_at_any_point),
        cmocka_unit_test(every_commit_waits_for_the_disk),
    };

    make_memory_scarce(); /* before SQLite's first use */
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
