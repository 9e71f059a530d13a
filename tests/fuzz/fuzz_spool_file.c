/* A spool file that the disk has damaged, or somebody has made: opened, read, written to and acknowledged by
 * the agent's own code. It is refused with a reason, or works: numbers in order and never given out twice,
 * gaps only where something is missing, and what is appended can be read.
 *
 * Input: u8 flags; then damage to a good file: records of { u16 page, u16 offset, u8 length, octets }; or
 * with flag 1 a whole file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clk.h"
#include "common/log.h"
#include "db/spool.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_NS (INT64_C(1795000000) * TW_NS_PER_S)

enum { RECORDS = 40, PAGE = 4096, READS_MAX = 300, READ_N = 16 };

static struct {
    char dir[64], path[96];
    uint8_t *good;
    size_t len;
} w;

static void leave_nothing(void)
{
    static const char *const endings[] = { "", "-wal", "-shm", ".lock", "-journal" };

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char path[128];

        snprintf(path, sizeof path, "%s%s", w.path, endings[i]);
        unlink(path);
    }
}

static void at_end(void)
{
    leave_nothing();
    rmdir(w.dir);
    free(w.good);
}

static enum tw_rc open_spool(struct spool **ret, struct tw_err *err)
{
    return spool_open(
        &(struct spool_cfg){ .path = w.path, .max_bytes = 8192, .max_age_ns = 3600 * TW_NS_PER_S }, ret, err);
}

static uint64_t append(struct spool *s, size_t n)
{
    struct spool_record rec[RECORDS];
    uint8_t octets[300];
    uint64_t first = 0;

    memset(octets, 0xa5, sizeof octets);
    for (size_t i = 0; i < n; i++)
        rec[i] = (struct spool_record){ octets, 100 + i };
    return spool_append(s, NOW_NS, rec, n, &first) == TW_OK ? first : 0;
}

static void take_file(void)
{
    int fd = open(w.path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    w.len = (size_t)st.st_size;
    w.good = malloc(w.len);
    CHECK(w.good && read(fd, w.good, w.len) == st.st_size);
    close(fd);
}

static void prepare(void)
{
    struct tw_err err = { 0 };
    struct spool *s;

    log_init("fuzz", LOG_ERROR_, LOG_TEXT);
    log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
    snprintf(w.dir, sizeof w.dir, "%s/tw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK(mkdtemp(w.dir));
    atexit(at_end);
    snprintf(w.path, sizeof w.path, "%s/spool.db", w.dir);
    CHECK(open_spool(&s, &err) == TW_OK);
    CHECK(append(s, RECORDS) == 1 && append(s, 20));
    spool_count_lost(s, 3);
    CHECK(append(s, 5) && spool_ack(s, 30, NOW_NS) == TW_OK);
    CHECK(spool_put_value(s, "schedule", "a schedule", 10) == TW_OK);
    spool_close(s);
    take_file();
}

static void write_file(const uint8_t *data, size_t len)
{
    int fd = open(w.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
}

/* Offsets are within a page, so that the fuzzer finds headers and cells. */
static void damage(const uint8_t *data, size_t size)
{
    uint8_t *file = malloc(w.len);

    CHECK(file);
    memcpy(file, w.good, w.len);
    while (size >= 5) {
        size_t at =
            ((size_t)(data[0] << 8 | data[1]) * PAGE + ((size_t)(data[2] << 8 | data[3]) % PAGE)) % w.len;
        size_t n = data[4];

        data += 5;
        size -= 5;
        n = n < size ? n : size;
        n = n < w.len - at ? n : w.len - at;
        memcpy(file + at, data, n);
        data += n;
        size -= n;
    }
    write_file(file, w.len);
    free(file);
}

static void read_all(struct spool *s, const struct spool_stats *st)
{
    struct spool_record rec[READ_N];
    struct spool_gap gap;
    uint64_t seq = st->acked_seq + 1;
    size_t n;

    for (unsigned k = 0; k < READS_MAX; k++) {
        enum tw_rc rc = spool_read(s, seq, READ_N, 2048, rec, &n, &gap);

        if (rc != TW_OK)
            return;
        CHECK(n <= READ_N && (n || gap.last_seq));
        for (size_t i = 0; i < n; i++)
            CHECK(rec[i].len == 0 || rec[i].data);
        if (!n)
            CHECK(gap.first_seq <= seq && gap.last_seq >= seq && gap.reason && gap.reason[0]);
        seq = n ? seq + n : gap.last_seq + 1;
        if (!seq)
            return;
    }
}

static void use(struct spool *s)
{
    struct spool_stats st, after;
    uint8_t *value = NULL;
    size_t len = 0;
    uint64_t first;

    spool_stats(s, &st);
    CHECK(spool_id(s));
    read_all(s, &st);
    if (spool_get_value(s, "schedule", &value, &len) == TW_OK) {
        CHECK(value || !len);
        free(value);
    }
    first = append(s, 3);
    spool_stats(s, &after);
    if (first) {
        CHECK(first > st.last_seq && after.last_seq >= first + 2);
        spool_ack(s, first, NOW_NS);
    }
    spool_trim(s, NOW_NS + TW_NS_PER_S);
    spool_stats(s, &after);
    CHECK(!first || after.acked_seq <= after.last_seq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tw_err err = { 0 };
    struct spool *s = NULL;

    if (!w.good)
        prepare();
    if (!size)
        return 0;
    leave_nothing();
    if (data[0] & 1)
        write_file(data + 1, size - 1);
    else
        damage(data + 1, size - 1);
    if (open_spool(&s, &err) != TW_OK) {
        CHECK(err.text[0]);
        return 0;
    }
    use(s);
    spool_close(s);
    return 0;
}
