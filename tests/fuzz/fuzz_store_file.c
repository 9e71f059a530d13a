/* A database that the disk has damaged, or with values in it that no program of ours has written: the
 * controller refuses it with a reason, or starts; then every call that only reads is answered, and it stops.
 * What is damaged and in use is never more than an error.
 *
 * Input: u8 flags; then, with flag 1, damage to pages: records of { u16 page, u16 offset, u8 length, octets
 * }; else other values in place of good ones: { u8 table, u8 column, u8 kind, u8 length, octets }. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.pb-c.h"
#include "common/net/now.h"
#include "controller/admin.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fake_controller.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len);

enum { PAGE = 4096, TABLES_MAX = 64, COLUMNS_MAX = 200, CHANGES_MAX = 8 };

static unsigned n_answers;

enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len)
{
    memset(buf, 0x5a, len);
    return TW_OK;
}

static void on_answer(void *ctx, const struct fake_answer *a)
{
    (void)ctx;
    CHECK(a->status == TW__STATUS__STATUS_OK || a->detail[0]);
    n_answers++;
}

/* ---- Damage ---- */

static void damage_pages(uint8_t *file, size_t len, const uint8_t *data, size_t size)
{
    while (size >= 5) {
        size_t at =
            ((size_t)(data[0] << 8 | data[1]) * PAGE + ((size_t)(data[2] << 8 | data[3]) % PAGE)) % len;
        size_t n = data[4];

        data += 5;
        size -= 5;
        n = n < size ? n : size;
        n = n < len - at ? n : len - at;
        memcpy(file + at, data, n);
        data += n;
        size -= n;
    }
}

/* The n-th of what a statement lists in its first or second column; "" if there is none. */
static void nth(sqlite3 *db, const char *sql, unsigned n, int column, char ret[128])
{
    sqlite3_stmt *st = NULL;
    unsigned rows = 0;

    *ret = '\0';
    CHECK(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        rows++;
    sqlite3_reset(st);
    for (unsigned i = 0; rows && sqlite3_step(st) == SQLITE_ROW; i++)
        if (i == n % rows) {
            snprintf(ret, 128, "%s", sqlite3_column_text(st, column));
            break;
        }
    sqlite3_finalize(st);
}

static void bind_value(sqlite3_stmt *st, uint8_t kind, const uint8_t *data, size_t len)
{
    int64_t number = 0;

    for (size_t i = 0; i < len && i < 8; i++)
        number = (int64_t)((uint64_t)number << 8 | data[i]);
    if (kind % 4 == 0)
        sqlite3_bind_blob(st, 1, data, (int)len, SQLITE_STATIC);
    else if (kind % 4 == 1)
        sqlite3_bind_text(st, 1, (const char *)data, (int)len, SQLITE_STATIC);
    else if (kind % 4 == 2)
        sqlite3_bind_int64(st, 1, number);
    else
        sqlite3_bind_null(st, 1);
}

static void change_value(sqlite3 *db, uint8_t table, uint8_t column, uint8_t kind, const uint8_t *data,
                         size_t len)
{
    char name[128], field[128], sql[512];
    sqlite3_stmt *st = NULL;

    nth(db, "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%' ORDER BY name",
        table, 0, name);
    snprintf(sql, sizeof sql, "PRAGMA table_info(\"%s\")", name);
    nth(db, sql, column, 1, field);
    snprintf(sql, sizeof sql, "UPDATE OR IGNORE \"%s\" SET \"%s\" = ?1", name, field);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        return;
    bind_value(st, kind, data, len);
    sqlite3_step(st); /* constraints may say no */
    sqlite3_finalize(st);
}

static void change_values(const char *path, const uint8_t *data, size_t size)
{
    sqlite3 *db = NULL;

    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_exec(db, "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON; BEGIN", NULL, NULL, NULL);
    for (unsigned n = 0; size >= 4 && n < CHANGES_MAX; n++) {
        size_t len = data[3];

        len = len < size - 4 ? len : size - 4;
        change_value(db, data[0], data[1], data[2], data + 4, len);
        data += 4 + len;
        size -= 4 + len;
    }
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(db);
}

/* ---- Use ---- */

static unsigned ask(struct fake_controller *f, unsigned method, const uint8_t *body, size_t len)
{
    if (!fake_controller_call(f, FAKE_OPERATOR, RPC_ADMIN * 256 + method, body, len))
        return 0;
    fake_loop_run(f->loop);
    return 1;
}

/* What can be wanted to know of pairs, beside everything of now: spans that reach into roll-ups, rows, pages,
 * groups, comparisons. */
static unsigned ask_of_pairs(struct fake_controller *f, unsigned method)
{
    const int64_t day_ns = 86400 * TW_NS_PER_S, now_ns = FAKE_LOOP_START_NS;
    Tw__PairFilter q[8];
    uint8_t body[512];
    unsigned asked = 0;

    for (size_t i = 0; i < TW_NELEM(q); i++) {
        tw__pair_filter__init(&q[i]);
        q[i].from_ns = now_ns - 400 * day_ns;
        q[i].to_ns = now_ns + day_ns;
    }
    q[1].flows = q[1].on_demand = true;
    q[2].latest = true;
    q[2].from_ns = q[2].to_ns = 0;
    q[3].group_by = (char *)"mesh";
    q[4].sort_by = (char *)"loss_ratio";
    q[4].top = 3;
    q[5].paged = true;
    q[5].page_form = (char *)"csv";
    q[6].from_ns = now_ns - day_ns;
    q[6].before_from_ns = now_ns - 2 * day_ns;
    q[6].before_to_ns = now_ns - day_ns;
    q[7].from_ns = now_ns - 3600 * TW_NS_PER_S;
    q[7].incomplete = true;
    for (size_t i = 0; i < TW_NELEM(q); i++)
        asked += ask(f, method, body, tw__pair_filter__pack(&q[i], body));
    return asked;
}

/* Every call that changes nothing, about everything there is. */
static void read_everything(struct fake_controller *f)
{
    static const uint8_t empty_filter[] = { 0 };
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    unsigned asked = 0;

    n_answers = 0;
    for (unsigned i = 0; i < d->n_methods; i++) {
        if (admin_needs(i).changes)
            continue;
        asked += ask(f, i, empty_filter, 0);
        if (d->methods[i].input == &tw__pair_filter__descriptor)
            asked += ask_of_pairs(f, i);
    }
    for (unsigned n = 0; n < 4; n++)
        fake_loop_advance(f->loop, 15 * TW_NS_PER_S);
    CHECK(n_answers == asked || !fake_controller_is_up(f, FAKE_OPERATOR));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_controller f = { .on_answer = on_answer };
    struct tw_err err = { 0 };
    size_t len;
    uint8_t *db;
    const char *path;

    if (size < 2)
        return 0;
    db = fake_controller_db(&len);
    if (data[0] & 1)
        damage_pages(db, len, data + 1, size - 1);
    path = fake_controller_db_path(db, len);
    free(db);
    if (!(data[0] & 1))
        change_values(path, data + 1, size - 1);
    if (fake_controller_begin_on_it(&f, &err) != TW_OK) {
        CHECK(err.text[0]);
        return 0;
    }
    read_everything(&f);
    fake_controller_end(&f, false);
    return 0;
}
