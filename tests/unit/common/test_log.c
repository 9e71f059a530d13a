#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <cjson/cJSON.h>

#include "common/clk.h"
#include "common/log.h"

/* ---- What came out on stderr ---- */

struct capture {
    int pipe[2], saved;
};

static void capture_begin(struct capture *c)
{
    assert_int_equal(pipe2(c->pipe, O_NONBLOCK), 0);
    c->saved = dup(STDERR_FILENO);
    dup2(c->pipe[1], STDERR_FILENO);
}

static const char *capture_end(struct capture *c)
{
    static char out[65536];
    ssize_t n;

    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    close(c->pipe[1]);
    n = read(c->pipe[0], out, sizeof out - 1);
    close(c->pipe[0]);
    out[n > 0 ? n : 0] = '\0';
    return out;
}

static const char *logged(enum log_format format, const char *event, const struct log_kv *kv)
{
    struct capture c;

    log_init("prog", LOG_INFO_, format);
    capture_begin(&c);
    log_event(LOG_WARN_, event, kv);
    return capture_end(&c);
}

/* ---- Text ---- */

static const struct {
    const char *value, *text; /* as printed after "k=" */
} strings[] = {
    { "plain", "plain" },
    { "tcp://[::1]:862", "tcp://[::1]:862" },
    { "", "\"\"" },
    { "two words", "\"two words\"" },
    { "a\"b\\c", "\"a\\\"b\\\\c\"" },
    { "x=y", "\"x=y\"" },
    { "line\nlevel=error", "\"line\\nlevel=error\"" },
    { "\x1b[31mred\x7f", "\"\\u001b[31mred\\u007f\"" },
    { "\xc2\x9b"
      "31m",
      "\"\\u009b31m\"" }, /* the one-character CSI */
    { "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
    { "bad\xff\xc3", "\"bad\xef\xbf\xbd\xef\xbf\xbd\"" },
    { "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                 /* overlong */
    { "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* surrogate */
    { "\xf0\x9f\x90\xa7", "\"\xf0\x9f\x90\xa7\"" },
    { NULL, "-" },
};

static void values_cannot_forge_a_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(strings); i++) {
        const char *out =
            logged(LOG_TEXT, "agent gone", (struct log_kv[]){ LOG_S("k", strings[i].value), { 0 } });
        char want[128];
        const char *rest = strstr(out, " level=");
        snprintf(want, sizeof want, " level=warn program=prog event=\"agent gone\" k=%s\n", strings[i].text);
        if (strncmp(out, "time=2", 6) || !rest || strcmp(rest, want))
            fail_msg("row %zu: %s expected %s", i, out, want);
    }
}

static void numbers_as_text(void **state)
{
    const char *out =
        logged(LOG_TEXT, "x",
               (struct log_kv[]){
                   LOG_I("i", INT64_MIN), LOG_U("u", UINT64_MAX), LOG_F("f", 0.25), LOG_F("n", NAN), { 0 } });

    (void)state;
    if (!strstr(out, " event=x i=-9223372036854775808 u=18446744073709551615 f=0.25 n=nan\n"))
        fail_msg("%s", out);
}

/* ---- JSON ---- */

static void the_journal_gets_levels_and_nothing_twice(void **state)
{
    (void)state;
    assert_string_equal(logged(LOG_JOURNAL, "agent gone", (const struct log_kv[]){ LOG_S("agent", "a b"), LOG_I("n", 3), { 0 } }),
                        "<4>event=\"agent gone\" agent=\"a b\" n=3\n");
    log_set(LOG_ERROR_, LOG_JOURNAL);
    {
        struct capture c;

        capture_begin(&c);
        log_warn("not this");
        log_error("this");
        assert_string_equal(capture_end(&c), "<3>event=this\n");
    }
}

static void json_is_json_whatever_the_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(strings); i++) {
        const char *out = logged(
            LOG_JSON, "agent \"gone\"",
            (struct log_kv[]){ LOG_S("k", strings[i].value), LOG_F("n", INFINITY), LOG_U("u", 5), { 0 } });
        cJSON *json = cJSON_Parse(out);
        const cJSON *k = cJSON_GetObjectItem(json, "k");
        if (!json || strchr(out, '\n') != out + strlen(out) - 1)
            fail_msg("row %zu: %s", i, out);
        if (!strings[i].value ? !cJSON_IsNull(k) : !cJSON_IsString(k))
            fail_msg("row %zu: %s", i, out);
        if (strings[i].value && !strstr(strings[i].text, "\xef\xbf\xbd"))
            assert_string_equal(k->valuestring, strings[i].value);
        assert_string_equal(cJSON_GetObjectItem(json, "event")->valuestring, "agent \"gone\"");
        assert_string_equal(cJSON_GetObjectItem(json, "level")->valuestring, "warn");
        assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "n")));
        assert_int_equal(cJSON_GetObjectItem(json, "u")->valuedouble, 5);
        cJSON_Delete(json);
    }
}

/* ---- Bounds ---- */

static void long_lines_are_cut_visibly(void **state)
{
    static char longer[200000];
    struct log_kv many[40] = { 0 };

    (void)state;
    for (int format = LOG_TEXT; format <= LOG_JSON; format++)
        for (int fill = 0; fill < 3; fill++) {
            /* One octet, six when escaped, three that must not be cut in two. */
            memset(longer, fill == 1 ? '\x01' : 'x', sizeof longer - 1);
            for (size_t i = 0; fill == 2 && i + 3 < sizeof longer; i += 3)
                memcpy(longer + i, "\xe2\x82\xac", 3);
            for (size_t n = 1; n < TW_NELEM(many); n += 6) {
                const char *out;
                cJSON *json;
                memset(many, 0, sizeof many);
                for (size_t i = 0; i < n; i++)
                    many[i] = LOG_S("key", longer);
                out = logged((enum log_format)format, "x", many);
                if (strlen(out) > 4096 || !strstr(out, "truncated") || out[strlen(out) - 1] != '\n')
                    fail_msg("format %d fill %d n %zu: %zu octets: %.200s", format, fill, n, strlen(out),
                             out);
                json = format == LOG_JSON ? cJSON_Parse(out) : NULL;
                if (format == LOG_JSON && !json)
                    fail_msg("fill %d n %zu: no JSON: %.200s", fill, n, out);
                cJSON_Delete(json);
            }
        }
}

static void levels_filter(void **state)
{
    struct capture c;
    enum log_level l = LOG_ERROR_;
    const char *out;

    (void)state;
    log_init("prog", LOG_WARN_, LOG_TEXT);
    capture_begin(&c);
    errno = EEXIST;
    log_debug("one");
    log_info("two", LOG_S("k", "v"));
    log_warn("three");
    log_error("four", LOG_S("k", "v"));
    assert_int_equal(errno, EEXIST);
    out = capture_end(&c);
    if (strstr(out, "one") || strstr(out, "two") || !strstr(out, "event=three\n") ||
        !strstr(out, "event=four k=v\n"))
        fail_msg("%s", out);
    assert_int_equal(log_level_parse("debug", &l), TW_OK);
    assert_int_equal(l, LOG_DEBUG_);
    assert_int_equal(log_level_parse("loud", &l), TW_EINVAL);
}

/* ---- Limits ---- */

static void no_ten_seconds_have_more_than_the_burst(void **state)
{
    enum { BURST = 5, STEPS = 4000 };
    struct log_limit l = { .burst = BURST };
    static int64_t passed[STEPS];
    size_t n = 0;
    unsigned held = 0, told = 0, refused = 0;

    (void)state;
    for (int64_t i = 0; i < STEPS; i++) {
        /* Fast for 300 steps, slow for 100, a pause now and then. */
        static int64_t t = 1;
        t += i % 400 < 300 ? 40 * TW_NS_PER_MS : i % 400 == 399 ? 30 * TW_NS_PER_S : 3 * TW_NS_PER_S;
        if (log_limit_ok(&l, t, &held)) {
            passed[n++] = t;
            told += held;
            if (n > BURST && t - passed[n - 1 - BURST] < 10 * TW_NS_PER_S)
                fail_msg("%d lines within %lld ms", BURST + 1,
                         (long long)((t - passed[n - 1 - BURST]) / TW_NS_PER_MS));
        } else {
            refused++;
        }
    }
    assert_true(n > 100);
    /* Every line held back is told of, but for those of the last stretch. */
    assert_int_equal(told + l.held, refused);
}

static void a_burst_of_none_holds_all(void **state)
{
    struct log_limit l = { 0 };
    unsigned held;

    (void)state;
    for (int64_t t = 0; t < 100; t++)
        assert_false(log_limit_ok(&l, t * TW_NS_PER_S, &held));
    assert_int_equal(l.held, 100);
}

static struct log_limit shared = { .burst = 10 };

static void *hammer(void *arg)
{
    unsigned *ok = arg, held;

    for (int i = 0; i < 20000; i++)
        *ok += log_limit_ok(&shared, 5, &held);
    return NULL;
}

static void threads_share_a_limit(void **state)
{
    pthread_t t[4];
    unsigned ok[4] = { 0 }, sum = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, &ok[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        sum += ok[i];
    }
    if (sum != shared.burst)
        fail_msg("%u let through", sum);
}

/* ---- A reader that sleeps ---- */

/* A pipe that blocks whoever writes to it when it is full. */
static void *log_six(void *arg)
{
    (void)arg;
    for (int i = 0; i < 6; i++)
        log_event(LOG_WARN_, "asleep", (const struct log_kv[]){ LOG_I("n", i), { 0 } });
    return arg;
}

static void a_reader_that_sleeps_holds_nobody(void **state)
{
    static char out[65536];
    int p[2], saved = dup(STDERR_FILENO);
    pthread_t threads[2];
    ssize_t n;

    (void)state;
    assert_int_equal(pipe(p), 0);
    assert_true(fcntl(p[1], F_SETPIPE_SZ, 8192) >= 8192);
    log_init("prog", LOG_INFO_, LOG_TEXT);
    dup2(p[1], STDERR_FILENO);
    alarm(20); /* the end, if anybody waits */
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_six, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    n = read(p[0], out, sizeof out - 1); /* the pipe had room for some */
    for (int i = 0; i < 300; i++)
        log_event(
            LOG_WARN_, "asleep",
            (const struct log_kv[]){ LOG_S("filler", "0123456789012345678901234567890123456789"), { 0 } });
    n = read(p[0], out, sizeof out - 1);
    assert_true(n > 0);
    log_event(LOG_WARN_, "awake", NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    alarm(0);
    n = read(p[0], out, sizeof out - 1);
    assert_true(n > 0);
    out[n] = '\0';
    assert_non_null(strstr(out, "event=\"lines of the log are lost: its reader did not read\" lines="));
    assert_null(strstr(out, "lines=0\n"));
    assert_true(strstr(out, "event=awake") > strstr(out, "lines="));
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_cannot_forge_a_line),
        cmocka_unit_test(numbers_as_text),
        cmocka_unit_test(json_is_json_whatever_the_value),
        cmocka_unit_test(the_journal_gets_levels_and_nothing_twice),
        cmocka_unit_test(long_lines_are_cut_visibly),
        cmocka_unit_test(levels_filter),
        cmocka_unit_test(a_reader_that_sleeps_holds_nobody),
        cmocka_unit_test(no_ten_seconds_have_more_than_the_burst),
        cmocka_unit_test(a_burst_of_none_holds_all),
        cmocka_unit_test(threads_share_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
