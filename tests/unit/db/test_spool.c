/* The spool: numbers that never come twice, bounds, gaps, acknowledgements, crashes and full disks. */
#include "tests/unit/db/db_fixture.h"
#include "db/spool.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define HOUR (60 * MINUTE)
#define RECORD 100 /* octets of each test record */
#define COST (RECORD + 32)

struct fx {
    struct spool *s;
    struct spool_cfg cfg;
    char path[PATH_SIZE];
};

static int setup(void **state)
{
    static unsigned n;
    struct fx *f = calloc(1, sizeof *f);
    char name[32];

    snprintf(name, sizeof name, "spool%u.db", n++);
    f->cfg.path = in_dir(f->path, name);
    *state = f;
    return spool_open(&f->cfg, &f->s, &test_err) != TW_OK;
}

static int teardown(void **state)
{
    struct fx *f = *state;

    spool_close(f->s);
    free(f);
    return 0;
}

static void reopen(struct fx *f)
{
    spool_close(f->s);
    f->s = NULL;
    CHECK_OK(spool_open(&f->cfg, &f->s, &test_err));
}

/* Record i holds the number `tag + i` and filling. */
static enum tw_rc try_append(struct spool *s, int64_t now_ns, uint64_t tag, size_t n, uint64_t *first)
{
    static uint8_t data[1024][RECORD];
    struct spool_record rec[1024];

    for (size_t i = 0; i < n; i++) {
        memset(data[i], (int)(tag + i), RECORD);
        snprintf((char *)data[i], RECORD, "%llu", (unsigned long long)(tag + i));
        rec[i] = (struct spool_record){ data[i], RECORD };
    }
    return spool_append(s, now_ns, rec, n, first);
}

/* With tags equal to the numbers, so that a reader can tell. */
static void append(struct fx *f, int64_t now_ns, size_t n)
{
    struct spool_stats st;
    uint64_t first = 0;

    spool_stats(f->s, &st);
    CHECK_OK(try_append(f->s, now_ns, st.last_seq + 1, n, &first));
    assert_int_equal(first, st.last_seq + 1);
}

static void append_nothing(struct fx *f)
{
    uint64_t first;

    CHECK_OK(spool_append(f->s, DAY0, NULL, 0, &first));
}

/* "1-5 6-9:spool_full 10-12 " from seq on to the end; checks that each record is the one of its number. */
static const char *walk(struct spool *s, uint64_t seq, size_t max_n, size_t max_bytes)
{
    static char text[512];
    struct spool_record rec[64];
    struct spool_gap gap;
    size_t n, at = 0;
    enum tw_rc rc;

    text[0] = '\0';
    while ((rc = spool_read(s, seq, max_n, max_bytes, rec, &n, &gap)) == TW_OK) {
        uint64_t first = seq;
        assert_true((n == 0) == (gap.last_seq != 0));
        for (size_t i = 0; i < n; i++, seq++)
            if (rec[i].len != RECORD || strtoull((const char *)rec[i].data, NULL, 10) != seq)
                fail_msg("record %llu is '%s'", (unsigned long long)seq, (const char *)rec[i].data);
        if (!n) {
            assert_int_equal(gap.first_seq, seq);
            seq = gap.last_seq + 1;
        }
        at += (size_t)snprintf(text + at, sizeof text - at, "%llu-%llu%s%s ", (unsigned long long)first,
                               (unsigned long long)seq - 1, n ? "" : ":", n ? "" : gap.reason);
    }
    assert_int_equal(rc, TW_EAGAIN);
    return text;
}

static void check_walk(struct fx *f, const char *name, uint64_t seq, const char *expected)
{
    const char *text = walk(f->s, seq, 64, 1 << 20);

    if (strcmp(text, expected) != 0)
        fail_msg("%s: %s\nnot: %s", name, text, expected);
}

static void check_stats(struct fx *f, const char *name, uint64_t first, uint64_t last, uint64_t waiting,
                        uint64_t dropped)
{
    struct spool_stats st;

    spool_stats(f->s, &st);
    if (st.first_seq != first || st.last_seq != last || st.waiting != waiting || st.dropped != dropped)
        fail_msg("%s: first %llu last %llu waiting %llu dropped %llu", name, (unsigned long long)st.first_seq,
                 (unsigned long long)st.last_seq, (unsigned long long)st.waiting,
                 (unsigned long long)st.dropped);
}

/* The sum that is carried along must be the sum of what is stored. */
static void check_bytes(struct fx *f)
{
    struct spool_stats st;

    spool_stats(f->s, &st);
    assert_int_equal(sql_int(f->path, "SELECT ifnull(sum(length(data) + 32), 0) FROM record"), st.bytes);
}

/* ---- Numbers and reading ------------------------------------------------------------------------ */

static void a_new_spool_is_empty(void **state)
{
    struct fx *f = *state;
    struct spool_record rec;
    struct spool_gap gap;
    size_t n;

    check_stats(f, "empty", 1, 0, 0, 0);
    assert_int_equal(spool_read(f->s, 1, 1, 1, &rec, &n, &gap), TW_EAGAIN);
    assert_int_equal(spool_read(f->s, 0, 1, 1, &rec, &n, &gap), TW_EINVAL);
    assert_int_equal(spool_ack(f->s, 1, DAY0), TW_EINVAL);
    CHECK_OK(spool_ack(f->s, 0, DAY0));
    CHECK_OK(spool_trim(f->s, DAY0));
}

static void numbers_go_on(void **state)
{
    struct fx *f = *state;
    uint8_t id[SPOOL_ID_LEN], zero[SPOOL_ID_LEN] = { 0 };

    memcpy(id, spool_id(f->s), sizeof id);
    assert_memory_not_equal(id, zero, sizeof id);
    append(f, DAY0, 3);
    reopen(f);
    assert_memory_equal(spool_id(f->s), id, sizeof id);
    append(f, DAY0, 2);
    CHECK_OK(spool_ack(f->s, 5, DAY0));
    CHECK_OK(spool_trim(f->s, DAY0 + 30 * 24 * HOUR)); /* all gone */
    reopen(f);
    check_stats(f, "after all went", 6, 5, 0, 0);
    append(f, DAY0, 1);
    check_walk(f, "after all went", 6, "6-6 ");

    spool_close(f->s);
    assert_int_equal(unlink(f->path), 0);
    CHECK_OK(spool_open(&f->cfg, &f->s, &test_err));
    assert_memory_not_equal(spool_id(f->s), id, sizeof id); /* another file, another spool */
}

static const struct {
    size_t max_n, max_bytes;
    const char *expected;
} pieces[] = {
    { 64, 1 << 20, "1-10 " },
    { 4, 1 << 20, "1-4 5-8 9-10 " },
    { 64, 3 * RECORD, "1-3 4-6 7-9 10-10 " },
    { 64, 3 * RECORD - 1, "1-2 3-4 5-6 7-8 9-10 " },
    { 5, 1, "1-1 2-2 3-3 4-4 5-5 6-6 7-7 8-8 9-9 10-10 " }, /* at least one */
};

static void read_in_pieces(void **state)
{
    struct fx *f = *state;

    append(f, DAY0, 10);
    for (size_t i = 0; i < TW_NELEM(pieces); i++) {
        const char *text = walk(f->s, 1, pieces[i].max_n, pieces[i].max_bytes);
        if (strcmp(text, pieces[i].expected) != 0)
            fail_msg("%zu, %zu: %s", pieces[i].max_n, pieces[i].max_bytes, text);
    }
}

static void records_of_any_size(void **state)
{
    struct fx *f = *state;
    static uint8_t big[300000];
    struct spool_record rec[3] = { { big, sizeof big }, { NULL, 0 }, { big, 1 } }, got[3];
    struct spool_gap gap;
    uint64_t first;
    size_t n;

    memset(big, 0x5a, sizeof big);
    CHECK_OK(spool_append(f->s, DAY0, rec, 3, &first));
    CHECK_OK(spool_read(f->s, 1, 3, 1 << 20, got, &n, &gap));
    assert_int_equal(n, 3);
    assert_int_equal(got[0].len, sizeof big);
    assert_memory_equal(got[0].data, big, sizeof big);
    assert_int_equal(got[1].len, 0);
    assert_int_equal(got[2].len, 1);
    assert_int_equal(got[2].data[0], 0x5a);
}

/* ---- Bounds ------------------------------------------------------------------------------------- */

/* Twenty records, one per hour from DAY0; `acked` acknowledged at hour ack_hour. Then trimmed at hour now. */
static const struct {
    const char *name;
    int64_t max_records, max_age_h, keep_h;
    uint64_t acked;
    int ack_hour, now;
    const char *walk;
    uint64_t first, waiting, dropped;
} trims[] = {
    { "nothing to do", 100, 100, 100, 0, 0, 20, "1-20 ", 1, 20, 0 },
    { "acknowledged are kept", 100, 100, 6, 10, 20, 21, "1-20 ", 1, 10, 0 },
    { "acknowledged long enough ago", 100, 100, 6, 10, 20, 27, "1-10:spool_age 11-20 ", 11, 10, 0 },
    { "all of them", 100, 100, 6, 20, 20, 27, "1-20:spool_age ", 21, 0, 0 },
    { "too old: lost", 100, 10, 6, 0, 0, 20, "1-10:spool_age 11-20 ", 11, 10, 10 },
    { "old but acknowledged: kept", 100, 10, 6, 15, 19, 20, "1-20 ", 1, 5, 0 },
    { "old behind acknowledged: lost", 100, 10, 6, 5, 19, 20, "1-5 6-10:spool_age 11-20 ", 1, 10, 5 },
    { "too many, acknowledged first", 12, 100, 100, 10, 20, 20, "1-8:spool_age 9-20 ", 9, 10, 0 },
    { "too many, then the oldest", 5, 100, 100, 10, 20, 20, "1-10:spool_age 11-15:spool_full 16-20 ", 16, 5,
      5 },
    { "too many, none acknowledged", 5, 100, 100, 0, 0, 20, "1-15:spool_full 16-20 ", 16, 5, 15 },
    { "old and too many", 5, 8, 100, 0, 0, 20, "1-12:spool_age 13-15:spool_full 16-20 ", 16, 5, 15 },
};

static void trim_step(struct fx *f, size_t i)
{
    f->cfg.max_bytes = 0;
    f->cfg.max_age_ns = trims[i].max_age_h * HOUR;
    f->cfg.keep_acked_ns = trims[i].keep_h * HOUR;
    spool_close(f->s);
    unlink(f->path);
    CHECK_OK(spool_open(&f->cfg, &f->s, &test_err));
    for (int k = 0; k < 20; k++)
        append(f, DAY0 + k * HOUR, 1);
    CHECK_OK(spool_ack(f->s, trims[i].acked, DAY0 + trims[i].ack_hour * HOUR));
    f->cfg.max_bytes = trims[i].max_records * COST;
    reopen(f); /* the acknowledgement must survive it */
    CHECK_OK(spool_trim(f->s, DAY0 + trims[i].now * HOUR));
    CHECK_OK(spool_trim(f->s, DAY0 + trims[i].now * HOUR)); /* again: no change */
    for (int pass = 0; pass < 2; pass++) {
        check_walk(f, trims[i].name, 1, trims[i].walk);
        check_stats(f, trims[i].name, trims[i].first, 20, trims[i].waiting, trims[i].dropped);
        check_bytes(f);
        reopen(f);
    }
}

static void trimming(void **state)
{
    for (size_t i = 0; i < TW_NELEM(trims); i++)
        trim_step(*state, i);
}

static void appending_keeps_the_bound(void **state)
{
    struct fx *f = *state;
    struct spool_stats st;

    f->cfg.max_bytes = 10 * COST;
    reopen(f);
    for (int i = 0; i < 10; i++) {
        append(f, DAY0, 3);
        spool_stats(f->s, &st);
        assert_true(st.bytes <= 10 * COST);
    }
    check_walk(f, "ten left, one gap", 1, "1-20:spool_full 21-30 ");
    append(f, DAY0, 15); /* more than fits at once */
    check_walk(f, "ten left, one gap", 1, "1-35:spool_full 36-45 ");
    check_walk(f, "from within the gap", 7, "7-35:spool_full 36-45 ");
    check_stats(f, "counted", 36, 45, 10, 35);
    check_bytes(f);
}

static void gaps_are_acknowledged_and_forgotten(void **state)
{
    struct fx *f = *state;

    f->cfg.max_bytes = 5 * COST;
    reopen(f);
    append(f, DAY0, 8);
    CHECK_OK(spool_ack(f->s, 2, DAY0)); /* within the gap 1-3 */
    check_stats(f, "half of a gap", 4, 8, 5, 3);
    CHECK_OK(spool_ack(f->s, 8, DAY0));
    CHECK_OK(spool_ack(f->s, 4, DAY0)); /* late: no step back */
    check_stats(f, "all", 4, 8, 0, 3);
    append(f, DAY0 + HOUR, 1);
    CHECK_OK(spool_trim(f->s, DAY0 + 24 * HOUR));
    check_walk(f, "the next one", 9, "9-9 ");
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM gap"), 0);
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM ack"), 0);
}

static void what_is_stored_ahead_goes_before_what_is_not(void **state)
{
    struct seqset ahead = { .v = { { 8, 11 }, { 15, 16 } }, .n = 2 }, none = { 0 };
    struct fx *f = *state;

    f->cfg.max_bytes = 17 * COST;
    reopen(f);
    append(f, DAY0, 18);
    CHECK_OK(spool_ack(f->s, 2, DAY0));
    spool_note_ahead(f->s, &ahead);
    check_stats(f, "ahead does not wait", 2, 18, 10, 1);
    append(f, DAY0 + 1, 3);
    check_walk(f, "first the acknowledged, then what is ahead", 1, "1-1:spool_full 2-2:spool_age 3-7 8-9:spool_full 10-21 ");
    check_stats(f, "nothing is lost", 3, 21, 13, 1);
    append(f, DAY0 + 2, 6);
    check_walk(f, "then the oldest", 1,
               "1-1:spool_full 2-2:spool_age 3-4:spool_full 5-7 8-11:spool_full 12-14 15-16:spool_full 17-27 ");
    check_stats(f, "lost are two", 5, 27, 17, 3);
    spool_note_ahead(f->s, &none);
    check_stats(f, "a controller that has them no more: two gaps, no records", 5, 27, 17, 3);
    CHECK_OK(spool_ack(f->s, 27, DAY0 + 3));
    check_stats(f, "all", 5, 27, 0, 3);
    check_bytes(f);
}

static void what_is_stored_ahead_is_not_lost_by_age(void **state)
{
    struct seqset ahead = { .v = { { 3, 4 } }, .n = 1 };
    struct fx *f = *state;

    f->cfg.max_age_ns = 10 * HOUR;
    reopen(f);
    append(f, DAY0, 6);
    spool_note_ahead(f->s, &ahead);
    CHECK_OK(spool_trim(f->s, DAY0 + 11 * HOUR));
    check_walk(f, "all too old", 1, "1-6:spool_age ");
    check_stats(f, "two of them are stored", 7, 6, 0, 4);
}

static void losses_before_the_spool_are_told_too(void **state)
{
    struct fx *f = *state;
    uint64_t first;

    append(f, DAY0, 2);
    spool_count_lost(f->s, 3);
    spool_count_lost(f->s, 1);
    check_stats(f, "counted at once", 1, 2, 2, 4);
    CHECK_OK(try_append(f->s, DAY0, 7, 2, &first));
    assert_int_equal(first, 7);
    check_walk(f, "as a gap", 1, "1-2 3-6:spool_full 7-8 ");
    check_stats(f, "once", 1, 8, 4, 4);
    /* Dropping around that gap: each stretch is told, none twice. */
    f->cfg.max_bytes = 1 * COST;
    reopen(f);
    CHECK_OK(spool_trim(f->s, DAY0));
    check_stats(f, "records 1, 2 and 7 too", 8, 8, 1, 7);
    check_walk(f, "all told", 1, "1-2:spool_full 3-7:spool_full 8-8 ");
}

/* Tags tell by which number a record is to be found in the end. */
static void an_old_copy_gets_other_numbers(void **state)
{
    struct fx *f = *state;
    uint64_t first, moved = 0;

    append(f, DAY0, 3);
    CHECK_OK(spool_ack(f->s, 2, DAY0));
    assert_int_equal(spool_move_behind(f->s, 1, 9, DAY0, &moved), TW_EINVAL); /* of what was acknowledged */
    assert_int_equal(spool_move_behind(f->s, 4, 9, DAY0, &moved), TW_EINVAL);
    assert_int_equal(spool_move_behind(f->s, 3, 3, DAY0, &moved), TW_EINVAL);
    CHECK_OK(try_append(f->s, DAY0, 24, 3, &first)); /* 4 to 6 */
    spool_count_lost(f->s, 2);
    CHECK_OK(try_append(f->s, DAY0, 29, 2, &first)); /* 7 and 8 are lost, 9 and 10 */
    assert_int_equal(first, 9);
    CHECK_OK(spool_move_behind(f->s, 3, 23, DAY0, &moved));
    assert_int_equal(moved, 7);
    check_walk(f, "moved", 1, "1-3 4-23:spool_full 24-26 27-28:spool_full 29-30 ");
    check_bytes(f);
    reopen(f);
    check_walk(f, "durably", 1, "1-3 4-23:spool_full 24-26 27-28:spool_full 29-30 ");
    append(f, DAY0, 1);
    check_walk(f, "and goes on", 29, "29-31 ");
    check_stats(f, "nothing but what is left out is dropped", 1, 31, 7, 22);
}

/* A loss on either side of the place is one gap: it takes in what is left out. */
static void an_old_copy_with_a_gap_across(void **state)
{
    struct fx *f = *state;
    uint64_t first, moved = 0;

    append(f, DAY0, 1);
    spool_count_lost(f->s, 2); /* 2 and 3 */
    append_nothing(f);
    spool_count_lost(f->s, 2); /* 4 and 5, which joins them */
    CHECK_OK(try_append(f->s, DAY0, 16, 2, &first));
    assert_int_equal(first, 6);
    CHECK_OK(spool_move_behind(f->s, 3, 13, DAY0, &moved));
    check_walk(f, "one gap", 1, "1-1 2-15:spool_full 16-17 ");
    check_stats(f, "counted", 1, 17, 3, 14);
}

static void a_big_backlog_gives_its_room_back(void **state)
{
    struct fx *f = *state;
    int64_t pages;

    for (int i = 0; i < 200; i++)
        append(f, DAY0, 1000);
    pages = sql_int(f->path, "PRAGMA page_count");
    CHECK_OK(spool_ack(f->s, 200000, DAY0));
    for (int i = 0; i < 3; i++) {
        append(f, DAY0 + 24 * HOUR, 1);
        CHECK_OK(spool_trim(f->s, DAY0 + 24 * HOUR));
        CHECK_OK(spool_ack(f->s, 200000 + (uint64_t)i + 1, DAY0 + 24 * HOUR));
    }
    assert_true(sql_int(f->path, "PRAGMA page_count") < pages - 3000);
}

/* ---- Values ------------------------------------------------------------------------------------- */

static void values(void **state)
{
    struct fx *f = *state;
    uint8_t *v = NULL;
    size_t len = 0;

    assert_int_equal(spool_get_value(f->s, "schedule", &v, &len), TW_ENOENT);
    CHECK_OK(spool_put_value(f->s, "schedule", "one\0two", 7));
    CHECK_OK(spool_put_value(f->s, "empty", NULL, 0));
    CHECK_OK(spool_put_value(f->s, "schedule", "three\0", 6));
    reopen(f);
    CHECK_OK(spool_get_value(f->s, "schedule", &v, &len));
    assert_int_equal(len, 6);
    assert_memory_equal(v, "three\0", 6);
    free(v);
    CHECK_OK(spool_get_value(f->s, "empty", &v, &len));
    assert_int_equal(len, 0);
    free(v);
}

/* ---- Faults ------------------------------------------------------------------------------------- */

/* Within a value SQLite would give back anything. */
static void altered_records_are_given_up(void **state)
{
    struct fx *f = *state;
    uint8_t *v = NULL;
    size_t len = 0;

    append(f, DAY0, 9);
    CHECK_OK(spool_put_value(f->s, "schedule", "something", 9));
    sql(f->path, "UPDATE record SET data = zeroblob(length(data)) WHERE seq IN (1, 4);"
                 "UPDATE record SET data = (SELECT data FROM record WHERE seq = 6) WHERE seq = 7;"
                 "UPDATE value SET data = x'736f6d657468696e73'");
    check_walk(f, "altered", 1, "1-1:spool_corrupt 2-3 4-4:spool_corrupt 5-6 7-7:spool_corrupt 8-9 ");
    assert_int_equal(spool_get_value(f->s, "schedule", &v, &len), TW_ECORRUPT);
    CHECK_OK(spool_put_value(f->s, "schedule", "again", 5));
    CHECK_OK(spool_get_value(f->s, "schedule", &v, &len));
    free(v);
}

/* As the release before writes them, which knows of no digests. */
static void records_without_digests(void **state)
{
    struct fx *f = *state;
    uint8_t *v = NULL;
    size_t len = 0;

    append(f, DAY0, 3);
    sql(f->path, "UPDATE record SET digest = 0; INSERT OR REPLACE INTO value (key, data) VALUES ('schedule', x'6f6c64')");
    reopen(f);
    append(f, DAY0, 3);
    check_walk(f, "old and new", 1, "1-6 ");
    CHECK_OK(spool_get_value(f->s, "schedule", &v, &len));
    assert_int_equal(len, 3);
    free(v);
    sql(f->path, "UPDATE record SET data = zeroblob(length(data)) WHERE seq = 6");
    check_walk(f, "old and new", 1, "1-5 6-6:spool_corrupt ");
}

static void bad_files_are_refused_untouched(void **state)
{
    static const struct {
        const char *sql; /* NULL: not a database at all */
        enum tw_rc rc;
        const char *says;
    } bad[] = {
        { NULL, TW_ECORRUPT, "not an SQLite database" },
        { "UPDATE schema_floor SET oldest = 9000; PRAGMA user_version = 9000", TW_EVERSION, "newer program" },
        { "PRAGMA application_id = 1", TW_ECORRUPT, "not a spool" },
        { "DELETE FROM state", TW_ECORRUPT, "state is missing" },
        { "UPDATE state SET last_seq = 4", TW_ECORRUPT, "does not fit its records" },
        { "UPDATE state SET acked_seq = 6", TW_ECORRUPT, "does not fit its records" },
    };
    struct fx *f = *state;

    spool_close(f->s);
    f->s = NULL;
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        struct tw_err err = { 0 };
        size_t len[2];
        uint8_t *was, *is;
        enum tw_rc rc;
        unlink(f->path);
        CHECK_OK(spool_open(&f->cfg, &f->s, &test_err));
        append(f, DAY0, 5);
        spool_close(f->s);
        f->s = NULL;
        if (bad[i].sql)
            sql(f->path, bad[i].sql);
        else
            spew(f->path, "garbage, garbage, garbage", 25);
        was = slurp(f->path, &len[0]);
        rc = spool_open(&f->cfg, &f->s, &err);
        is = slurp(f->path, &len[1]);
        if (rc != bad[i].rc || !strstr(err.text, bad[i].says))
            fail_msg("%zu: %s: %s", i, tw_rc_name(rc), err.text);
        if (len[0] != len[1] || memcmp(was, is, len[0]))
            fail_msg("%zu: file changed", i);
        free(was);
        free(is);
    }
}

static void one_agent_at_a_time(void **state)
{
    struct fx *f = *state;
    struct spool *other = NULL;
    struct tw_err err = { 0 };

    assert_int_equal(spool_open(&f->cfg, &other, &err), TW_EINUSE);
    assert_null(other);
}

static void limit(rlim_t bytes)
{
    struct rlimit l = { bytes, RLIM_INFINITY };

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void full_disk_and_again(void **state)
{
    struct fx *f = *state;
    struct spool_stats st;
    uint64_t first, done = 10;
    enum tw_rc rc;

    append(f, DAY0, 10);
    CHECK_OK(spool_ack(f->s, 4, DAY0));
    limit(300 << 10);
    for (int i = 0; i < 3; i++) {
        while ((rc = try_append(f->s, DAY0, done + 1, 500, &first)) == TW_OK && done < 100000)
            done += 500;
        assert_int_equal(rc, TW_ENOSPC);
        spool_stats(f->s, &st);
        assert_int_equal(st.last_seq, done);
        assert_int_equal(st.append_errors, i + 1);
    }
    spool_count_lost(f->s, 500);
    assert_int_not_equal(spool_put_value(f->s, "schedule", (char[300000]){ 0 }, 300000), TW_OK);
    limit(RLIM_INFINITY);
    CHECK_OK(try_append(f->s, DAY0, done + 501, 3, &first));
    assert_int_equal(first, done + 501);
    reopen(f);
    spool_stats(f->s, &st);
    assert_int_equal(st.last_seq, done + 503);
    assert_int_equal(st.acked_seq, 4);
    assert_int_equal(st.dropped, 500);
    assert_int_equal(st.waiting, done - 4 + 3);
    check_bytes(f);
    walk(f->s, 1, 64, 1 << 20);
}

__attribute__((noreturn)) static void writer(const struct spool_cfg *cfg, int fd)
{
    struct spool *s;
    struct spool_stats st;
    uint64_t first;

    if (spool_open(cfg, &s, &test_err))
        _exit(1);
    spool_stats(s, &st);
    for (uint64_t last = st.last_seq;;) {
        if (try_append(s, DAY0, last + 1, 7, &first) || first != last + 1 || spool_ack(s, first, DAY0))
            _exit(2);
        last += 7;
        if (write(fd, &last, sizeof last) != sizeof last)
            _exit(3);
    }
}

static void killed_at_any_point(void **state)
{
    struct fx *f = *state;
    unsigned seed = 1;

    f->cfg.max_bytes = 200 * COST; /* so that dropping is interrupted too */
    for (int round = 0; round < 20; round++) {
        struct spool_stats st;
        uint64_t told = 0, v;
        int fd[2], status;
        pid_t pid;

        spool_close(f->s);
        f->s = NULL;
        assert_int_equal(pipe(fd), 0);
        pid = fork();
        if (pid == 0)
            writer(&f->cfg, fd[1]);
        close(fd[1]);
        for (int i = rand_r(&seed) % 40; i > 0 && read(fd[0], &v, sizeof v) == sizeof v; i--)
            told = v;
        for (volatile int i = rand_r(&seed) % 1000000; i > 0; i--)
            ;
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(fd[0], &v, sizeof v) == sizeof v)
            told = v;
        close(fd[0]);
        CHECK_OK(spool_open(&f->cfg, &f->s, &test_err));
        spool_stats(f->s, &st);
        if (st.last_seq < told || st.last_seq % 7 != 0)
            fail_msg("round %d: last %llu, told %llu", round, (unsigned long long)st.last_seq,
                     (unsigned long long)told);
        check_bytes(f);
        walk(f->s, 1, 64, 1 << 20);
    }
}

static void every_append_waits_for_the_disk(void **state)
{
    struct fx *f = *state;

    for (int i = 0; i < 5; i++) {
        syncs = 0;
        append(f, DAY0, 1);
        assert_true(syncs > 0);
    }
    syncs = 0;
    CHECK_OK(spool_trim(f->s, DAY0)); /* nothing to do: leaves the disk alone */
    assert_int_equal(syncs, 0);
}

#define WITH_SPOOL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SPOOL(a_new_spool_is_empty),
        WITH_SPOOL(numbers_go_on),
        WITH_SPOOL(read_in_pieces),
        WITH_SPOOL(records_of_any_size),
        WITH_SPOOL(trimming),
        WITH_SPOOL(appending_keeps_the_bound),
        WITH_SPOOL(gaps_are_acknowledged_and_forgotten),
        WITH_SPOOL(what_is_stored_ahead_goes_before_what_is_not),
        WITH_SPOOL(what_is_stored_ahead_is_not_lost_by_age),
        WITH_SPOOL(losses_before_the_spool_are_told_too),
        WITH_SPOOL(an_old_copy_gets_other_numbers),
        WITH_SPOOL(an_old_copy_with_a_gap_across),
        WITH_SPOOL(a_big_backlog_gives_its_room_back),
        WITH_SPOOL(values),
        WITH_SPOOL(altered_records_are_given_up),
        WITH_SPOOL(records_without_digests),
        WITH_SPOOL(bad_files_are_refused_untouched),
        WITH_SPOOL(one_agent_at_a_time),
        WITH_SPOOL(full_disk_and_again),
        WITH_SPOOL(killed_at_any_point),
        WITH_SPOOL(every_append_waits_for_the_disk),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
