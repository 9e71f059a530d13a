/* Packets of doctor, and the search for the largest that comes through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/diag.h"
#include "agent/core/reflect.h"

#define TOKEN UINT64_C(0x1122334455667788)

/* A packet of each form through a reflector: the token comes back, with the kind, and so does the number. */
static void reflectors_return_the_token(void **state)
{
    static const struct {
        size_t size;
        bool stamp;
        uint64_t answered_stamp;
    } rows[] = { { 14, false, 0 }, { 40, false, 0 },  { 40, true, 0 },
                 { 44, true, 1 },  { 1400, true, 2 }, { 1400, false, 2 } };
    struct reflect_cfg cfg = {
        .max_sessions = 4, .refwait_ns = TW_NS_PER_S, .restart_gap_ns = TW_NS_PER_S, .port = 862
    };
    struct reflect_rx rx = { .from = { .ip = { 127, 0, 0, 1 }, .port = 4711, .family = 4 },
                             .ttl = 255,
                             .tos = 0 };
    struct reflector *r;
    struct reflect_counters n;
    uint8_t packet[1500], answer[1500];

    (void)state;
    assert_int_equal(reflector_new(&cfg, &r), TW_OK);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct reflect_tx tx;
        uint32_t seq = 0;

        diag_write(packet, rows[i].size, 1000 + (uint32_t)i, TOKEN, DIAG_SEARCH, rows[i].stamp);
        assert_true(diag_token_of(packet, rows[i].size) == (TOKEN | DIAG_SEARCH));
        assert_int_equal(reflect_answer(r, &rx, packet, rows[i].size, answer, sizeof answer, &tx), TW_OK);
        assert_true(diag_returned(answer, tx.len, &seq) == (TOKEN | DIAG_SEARCH));
        assert_int_equal(seq, 1000 + i);
        reflector_counters(r, &n);
        assert_int_equal(n.answered_stamp, rows[i].answered_stamp);
    }
    reflector_free(r);
}

static void short_ones_have_none(void **state)
{
    uint8_t packet[64];
    uint32_t seq = 7;

    (void)state;
    diag_write(packet, sizeof packet, 1, TOKEN, DIAG_SMALL, false);
    assert_true(diag_token_of(packet, 11) == 0 && diag_token_of(packet, 12) != 0 &&
                diag_token_of(packet, 0) == 0);
    assert_true(diag_returned(packet, 35, &seq) == 0 && seq == 7);
}

/* Every limit is found exactly, in few steps. */
static void the_search_finds_the_limit(void **state)
{
    static const struct {
        uint32_t known, top, limit, through, lost;
    } rows[] = {
        { 68, 1500, 1500, 1500, 0 },    { 68, 1500, 9000, 1500, 0 },   { 68, 1500, 1499, 1499, 1500 },
        { 68, 1500, 1280, 1280, 1281 }, { 68, 9000, 68, 68, 69 },      { 68, 1500, 576, 576, 577 },
        { 1500, 1500, 1500, 1500, 0 },  { 1500, 1400, 9000, 1500, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct diag_search s;
        uint32_t size;
        unsigned steps = 0;

        diag_search_begin(&s, rows[i].known, rows[i].top);
        while ((size = diag_search_next(&s)) != 0) {
            diag_search_result(&s, size, size <= rows[i].limit);
            assert_true(++steps <= 15);
        }
        if (s.through != rows[i].through || s.lost != rows[i].lost)
            fail_msg("row %zu: %u through, %u lost", i, s.through, s.lost);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reflectors_return_the_token),
        cmocka_unit_test(short_ones_have_none),
        cmocka_unit_test(the_search_finds_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
