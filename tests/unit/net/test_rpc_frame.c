#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/net/rpc_check.h"
#include "common/net/rpc_frame.h"
#include "fleet.pb-c.h"
#include "measure.pb-c.h"

static struct arena *a;

static int setup(void **state)
{
    (void)state;
    return arena_new(1 << 20, &a) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

static void frames_are_cut_at_their_length(void **state)
{
    static const struct {
        const char *name;
        uint8_t data[8];
        size_t len, max;
        enum tw_rc rc;
        size_t ret;
    } rows[] = {
        { "nothing", { 0 }, 0, 100, TW_EAGAIN, 4 },
        { "half a header", { 0, 0, 0 }, 3, 100, TW_EAGAIN, 4 },
        { "header only", { 0, 0, 0, 5 }, 4, 100, TW_EAGAIN, 9 },
        { "one octet short", { 0, 0, 0, 4, 1, 1, 1 }, 7, 100, TW_EAGAIN, 8 },
        { "exact", { 0, 0, 0, 3, 1, 1, 1 }, 7, 100, TW_OK, 7 },
        { "more behind it", { 0, 0, 0, 3, 1, 1, 1, 9 }, 8, 100, TW_OK, 7 },
        { "empty frame", { 0, 0, 0, 0 }, 4, 100, TW_OK, 4 },
        { "at the limit", { 0, 0, 0, 100 }, 4, 100, TW_EAGAIN, 104 },
        { "over the limit", { 0, 0, 0, 101 }, 4, 100, TW_ERANGE, 0 },
        { "4 GiB", { 0xff, 0xff, 0xff, 0xff }, 4, 1 << 20, TW_ERANGE, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        size_t n = 0;
        enum tw_rc rc = rpc_frame_cut(rows[i].data, rows[i].len, rows[i].max, &n);

        if (rc != rows[i].rc || n != rows[i].ret)
            fail_msg("%s: %s, %zu", rows[i].name, tw_rc_name(rc), n);
    }
}

static void packed_frames_unpack_to_the_same(void **state)
{
    static const size_t sizes[] = { 0, 1, 117, 118, 127, 128, 16383, 16384, 200000 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(sizes); i++) {
        Tw__Frame f = TW__FRAME__INIT, *back;
        Tw__ScheduleRequest body = TW__SCHEDULE_REQUEST__INIT, *got;
        struct tw_err err = { 0 };
        uint8_t *buf;
        size_t n, cut = 0;

        f.kind = TW__FRAME_KIND__FRAME_REQUEST;
        f.id = 12345678901;
        f.method = 257;
        f.deadline_ms = 1000;
        body.digest = (ProtobufCBinaryData){ sizes[i], calloc(1, sizes[i] + 1) };
        memset(body.digest.data, 0x5a, sizes[i]);
        n = rpc_frame_size(&f, &body.base);
        buf = malloc(n); /* exactly: the address sanitizer sees one octet too many */
        rpc_frame_pack(&f, &body.base, buf);
        assert_int_equal(rpc_frame_cut(buf, n, 1 << 20, &cut), TW_OK);
        assert_int_equal(cut, n);
        if (rpc_frame_unpack(buf + RPC_FRAME_HEADER, n - RPC_FRAME_HEADER, a, &back, &err))
            fail_msg("%zu: %s", sizes[i], err.text);
        assert_int_equal(back->id, f.id);
        assert_int_equal(back->method, 257);
        assert_int_equal(back->deadline_ms, 1000);
        got = tw__schedule_request__unpack(NULL, back->body.len, back->body.data);
        assert_non_null(got);
        assert_int_equal(got->digest.len, sizes[i]);
        if (sizes[i])
            assert_memory_equal(got->digest.data, body.digest.data, sizes[i]);
        tw__schedule_request__free_unpacked(got, NULL);
        free(body.digest.data);
        free(buf);
        arena_reset(a);
    }
}

static void frames_that_nobody_may_send_are_refused(void **state)
{
    char detail[RPC_MAX_DETAIL + 2];
    struct {
        const char *name;
        Tw__FrameKind kind;
        Tw__Status status;
        const char *detail;
        enum tw_rc rc;
    } rows[] = {
        { "plain", TW__FRAME_KIND__FRAME_PING, 0, "", TW_OK },
        { "no kind", TW__FRAME_KIND__FRAME_NONE, 0, "", TW_EINVAL },
        { "unknown kind", (Tw__FrameKind)11, 0, "", TW_EINVAL },
        { "negative kind", (Tw__FrameKind)-1, 0, "", TW_EINVAL },
        { "unknown status", TW__FRAME_KIND__FRAME_REPLY, (Tw__Status)17, "", TW_EINVAL },
        { "last status", TW__FRAME_KIND__FRAME_REPLY, (Tw__Status)16, "", TW_OK },
        { "detail not UTF-8", TW__FRAME_KIND__FRAME_REPLY, 5, "\xff", TW_EINVAL },
        { "detail too long", TW__FRAME_KIND__FRAME_REPLY, 5, detail, TW_EINVAL },
        { "detail as long as allowed", TW__FRAME_KIND__FRAME_REPLY, 5, detail + 1, TW_OK },
    };

    (void)state;
    memset(detail, 'x', sizeof detail);
    detail[sizeof detail - 1] = '\0';
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        Tw__Frame f = TW__FRAME__INIT, *back = NULL;
        struct tw_err err = { 0 };
        uint8_t buf[1024];
        enum tw_rc rc;

        f.kind = rows[i].kind;
        f.status = rows[i].status;
        f.detail = (char *)rows[i].detail;
        rpc_frame_pack(&f, NULL, buf);
        rc = rpc_frame_unpack(buf + RPC_FRAME_HEADER, rpc_frame_size(&f, NULL) - RPC_FRAME_HEADER, a, &back,
                              &err);
        if (rc != rows[i].rc || (rc && !err.text[0]))
            fail_msg("%s: %s \"%s\"", rows[i].name, tw_rc_name(rc), err.text);
    }
    assert_int_equal(rpc_frame_unpack((const uint8_t *)"\x08", 1, a, &(Tw__Frame *){ NULL }, NULL),
                     TW_ECORRUPT);
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        { "", true },
        { "plain", true },
        { "\xc2\x80", true },
        { "\xdf\xbf", true },
        { "\xe0\xa0\x80", true },
        { "\xed\x9f\xbf", true },
        { "\xee\x80\x80", true },
        { "\xf0\x90\x80\x80", true },
        { "\xf4\x8f\xbf\xbf", true },
        { "gr\xc3\xbc\xc3\x9f", true },
        { "\x80", false },             /* continuation first */
        { "\xc0\x80", false },         /* overlong */
        { "\xc1\xbf", false },         /* overlong */
        { "\xe0\x9f\xbf", false },     /* overlong */
        { "\xf0\x8f\xbf\xbf", false }, /* overlong */
        { "\xed\xa0\x80", false },     /* surrogate */
        { "\xf4\x90\x80\x80", false }, /* beyond U+10FFFF */
        { "\xf5\x80\x80\x80", false },
        { "\xff", false },
        { "\xc3", false }, /* cut short */
        { "\xe2\x82", false },
        { "\xf0\x9f\x98", false },
        { "\xe2\x28\xa1", false },
        { "\xe2\x82\x28", false },
        { "\xf0\x9f\x98\x28", false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (tw_utf8_ok(rows[i].text) != rows[i].ok)
            fail_msg("row %zu", i);
}

/* Nested and repeated fields are looked at too. */
static void messages_are_checked_all_the_way_down(void **state)
{
    Tw__SessionSpec good = TW__SESSION_SPEC__INIT, bad_enum = TW__SESSION_SPEC__INIT,
                    bad_text = TW__SESSION_SPEC__INIT, *list[3] = { &good, &good, &good };
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;
    Tw__EnrolRequest enrol = TW__ENROL_REQUEST__INIT;
    char *strings[] = { (char *)"10.0.0.1", (char *)"\xfe" };
    struct tw_err err = { 0 };

    (void)state;
    bad_enum.spacing_kind = (Tw__SpacingKind)2;
    bad_text.mesh = (char *)"\xc3";
    rq.n_sessions = 3;
    rq.sessions = list;
    assert_int_equal(rpc_check_message(&rq.base, &err), TW_OK);
    list[2] = &bad_enum;
    assert_int_equal(rpc_check_message(&rq.base, &err), TW_EINVAL);
    assert_string_equal(err.field, "spacing_kind");
    list[2] = &bad_text;
    assert_int_equal(rpc_check_message(&rq.base, &err), TW_EINVAL);
    assert_string_equal(err.field, "mesh");
    enrol.addresses = strings;
    enrol.n_addresses = 1;
    assert_int_equal(rpc_check_message(&enrol.base, &err), TW_OK);
    enrol.n_addresses = 2;
    assert_int_equal(rpc_check_message(&enrol.base, &err), TW_EINVAL);
    assert_string_equal(err.field, "addresses");
}

/* 256 summaries that say almost nothing cost the most memory for their octets; they must still fit. */
static void an_honest_message_fits_its_arena(void **state)
{
    Tw__Summary s = TW__SUMMARY__INIT, *all[256];
    Tw__ClockState clock = TW__CLOCK_STATE__INIT;
    Tw__SummaryBatch b = TW__SUMMARY_BATCH__INIT;
    ProtobufCMessage *back = NULL;
    struct tw_err err = { 0 };
    struct arena *small;
    uint8_t buf[65536];
    size_t n;

    (void)state;
    s.pair_id = 1;
    s.start_ns = 1764000000000000000;
    s.end_ns = s.start_ns + 60000000000;
    s.clock_local = &clock;
    for (int i = 0; i < 256; i++)
        all[i] = &s;
    b.n_summaries = 256;
    b.summaries = all;
    n = tw__summary_batch__pack(&b, buf);
    assert_int_equal(arena_new(RPC_ARENA_CAP(n), &small), TW_OK);
    if (rpc_body_unpack(&tw__summary_batch__descriptor, buf, n, small, &back, &err))
        fail_msg("%zu octets: %s", n, err.text);
    arena_free(small);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(frames_are_cut_at_their_length),          T(packed_frames_unpack_to_the_same),
        T(frames_that_nobody_may_send_are_refused), T(utf8_is_what_rfc_3629_says),
        T(messages_are_checked_all_the_way_down),   T(an_honest_message_fits_its_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
