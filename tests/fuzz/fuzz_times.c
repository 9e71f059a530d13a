/* Rules from anywhere: octets as in a schedule, or, after a first octet of 0, a cron text. What is accepted
 * must answer quickly and without contradicting itself. */
#include <stdlib.h>
#include <string.h>

#include "common/times.h"
#include "tests/fuzz/check.h"

#define STEPS 50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cron(const uint8_t *data, size_t size)
{
    struct zone utc = { 0 };
    struct times_cron c;
    struct tw_err err = { 0 };
    int64_t at_ns = 0;
    char *text = calloc(size + 1, 1);

    CHECK(text);
    memcpy(text, data, size);
    if (times_cron_parse(text, &c, &err)) {
        CHECK(err.rc == TW_EINVAL && err.text[0]);
        free(text);
        return;
    }
    free(text);
    CHECK(c.minutes && c.hours && c.days && c.months && c.weekdays && !(c.weekdays & 0x80));
    for (int i = 0; i < STEPS && at_ns != TIMES_NEVER; i++) {
        int64_t next_ns = times_cron_next(&c, &utc, at_ns);

        CHECK(next_ns > at_ns && (next_ns == TIMES_NEVER || next_ns % (60 * TW_NS_PER_S) == 0));
        at_ns = next_ns;
    }
}

static void check_runs(const struct times *t, const struct times_pace *p, int64_t now_ns)
{
    struct times_run r;

    for (int i = 0; i < STEPS && now_ns < TIMES_END_NS; i++) {
        times_look(t, p, now_ns, &r);
        CHECK(r.next_ns >= now_ns && (!r.next_sure || r.next_ns > now_ns));
        CHECK(!r.in || (r.begin_ns <= now_ns && now_ns < r.end_ns && r.end_ns > r.begin_ns));
        CHECK(!r.in || r.next_ns >= r.end_ns || !r.next_sure);
        if (r.next_ns == TIMES_NEVER)
            break;
        now_ns = r.next_ns + !r.next_sure;
    }
}

static void check_rule(const uint8_t *data, size_t size)
{
    static uint8_t packed[TIMES_PACKED_MAX];
    struct times_pace p = { .spacing_ns = TW_NS_PER_S / 10 };
    struct times *t, *again;
    size_t len;

    if (times_unpack(data, size, &t))
        return;
    if (times_check_length(t, p.spacing_ns, false, 0, NULL) == TW_OK) {
        int64_t from_ns = t->start_ns ? t->start_ns : INT64_C(1800000000) * TW_NS_PER_S;

        check_runs(t, &p, from_ns - 1);
        check_runs(t, &p, t->at_ns);
        CHECK(times_expected(t, &p, TW_NS_PER_S, from_ns, from_ns) == 0);
        times_expected(t, &p, 10 * TW_NS_PER_S, from_ns, from_ns + 3600 * TW_NS_PER_S);
        CHECK(times_duty(t, &p, TW_NS_PER_S).share >= 0);
    }
    CHECK(times_pack(t, packed, sizeof packed, &len) == TW_OK);
    CHECK(times_unpack(packed, len, &again) == TW_OK && times_same(t, again));
    times_unref(again);
    times_unref(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && !data[0])
        check_cron(data + 1, size - 1);
    else
        check_rule(data, size);
    return 0;
}
