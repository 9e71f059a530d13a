/* What the options of twamp-agent mean, what contradicts itself, and what the agent says of itself for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "agent/core/twamp_form.h"
#include "agent/enrolment.h"
#include "agent/options.h"
#include "controller/core/doctor.h"

#define ARGS_MAX 12

/* words: the command line without the program. On TW_OK *o is the caller's to free. */
static enum tw_rc parse(const char *words, struct agent_options *o, struct tw_err *err)
{
    char text[512], *argv[ARGS_MAX] = { (char *)"twamp-agent" }, *save = NULL;
    struct conf_strlist args = { 0 };
    struct conf_errors errors = { 0 };
    int argc = 1;
    enum tw_rc rc;

    snprintf(text, sizeof text, "%s", words);
    for (char *p = strtok_r(text, " ", &save); p && argc < ARGS_MAX - 1; p = strtok_r(NULL, " ", &save))
        argv[argc++] = p;
    *o = (struct agent_options){ 0 };
    rc = conf_parse(&agent_program, argc, argv, o, &args, err);
    conf_strlist_free(&args);
    if (rc)
        return rc;
    agent_options_check(o, &errors);
    if (errors.n) {
        *err = errors.v[0];
        rc = err->rc;
        conf_free(&agent_program, o);
    }
    conf_errors_free(&errors);
    return rc;
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *words, *field, *says;
    } rows[] = {
        { "--name A_B", "name", "is no agent name" },
        { "--name a --label x", "label", "expected KEY=VALUE" },
        { "--name a --controller tcp://192.0.2.1:8620", "controller", "--allow-plaintext" },
        { "--name a --controller tcp://192.0.2.1:8620", "controller", "use tls+tcp://" },
        { "--name a --controller tls://192.0.2.1:8620", "controller", "expected tls+tcp://HOST:PORT" },
        { "--name a --demand-auth", "demand-auth", "without --secrets" },
        { "--name a --control 127.0.0.1 --control-modes encrypted", "control-modes", "needs --secrets" },
        { "--name a --control-modes open,secret", "control-modes", "must be open, authenticated" },
        { "--name a --control-modes open,", "control-modes", "not \"open,\"" },
        { "--name a --control-modes=", "control-modes", "must be open" },
        { "--name a --max-bps 999", "max-bps", "" },
        { "--name a --reflect 127.0.0.1:1,x", "reflect", "\"x\" is no address" },
        { "--name a --control 127.0.0.1:1,127.0.0.1:2", "control", "\"127.0.0.1:2\": all addresses must have the same port" },
        { "--name a --advertise host", "advertise", "no numeric address" },
        { "--name a --control-deny 10.0.0.0/33", "control-deny", "10.0.0.0/33" },
        { "--name a --probe-allow 10.0.0.0/33", "probe-allow", "is no prefix" },
        { "--name a --test-ports 100", "test-ports", "must be LOW-HIGH" },
        { "--name a --test-ports 200-100", "test-ports", "must be LOW-HIGH" },
        { "--name a --test-ports 0-100", "test-ports", "must be LOW-HIGH" },
        { "--name a --test-ports 1-65536", "test-ports", "must be LOW-HIGH" },
        { "--name a --test-ports 1-2x", "test-ports", "not \"1-2x\"" },
        { "--name a --test-ports 1--2", "test-ports", "must be LOW-HIGH" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct agent_options o;
        struct tw_err err = { 0 };

        if (parse(rows[i].words, &o, &err) != TW_EINVAL || strcmp(err.field, rows[i].field) ||
            !strstr(err.text, rows[i].says))
            fail_msg("%s: %s: \"%s\"", rows[i].words, err.field, err.text);
    }
}

static void what_is_encrypted_may_leave_the_host(void **state)
{
    static const char *const rows[] = { "--name a --controller tls+tcp://192.0.2.1:8620", "--name a --controller tcp://[::1]:8620",
                                        "--name a --controller tls+tcp://ctl.example.net:8620",
                                        "--name a --controller tcp://192.0.2.1:8620 --allow-plaintext" };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct agent_options o;
        struct tw_err err = { 0 };

        if (parse(rows[i], &o, &err) != TW_OK)
            fail_msg("%s: %s", rows[i], err.text);
        conf_free(&agent_program, &o);
    }
}

static void capabilities_follow_the_options(void **state)
{
    static const struct {
        const char *words, *capabilities;
    } rows[] = {
        { "--name a", "light rx-kernel-timestamps shapes schedule-delta stamp twamp test times hosts " },
        { "--name a --secrets /tmp/none", "light rx-kernel-timestamps shapes schedule-delta stamp stamp-auth twamp test times hosts " },
        { "--name a --reflect-stateless", "light rx-kernel-timestamps shapes schedule-delta stamp twamp test stateless times hosts " },
        { "--name a -s /tmp/none --demand-auth",
          "light rx-kernel-timestamps shapes schedule-delta stamp stamp-auth twamp test demand-auth times hosts " },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct agent_options o;
        struct tw_err err = { 0 };
        Tw__EnrolRequest *rq = NULL;
        char got[256] = "";

        if (parse(rows[i].words, &o, &err))
            fail_msg("%s: %s", rows[i].words, err.text);
        assert_int_equal(enrolment_new(&o, 863, 8862, &rq), TW_OK);
        for (size_t k = 0; k < rq->n_capabilities; k++) {
            strcat(got, rq->capabilities[k]);
            strcat(got, " ");
        }
        if (strcmp(got, rows[i].capabilities))
            fail_msg("%s: %s", rows[i].words, got);
        assert_int_equal(rq->reflector_port, 863);
        assert_int_equal(rq->control_port, 8862);
        assert_int_equal(rq->max_bps, 1000000000);
        enrolment_free(rq);
        conf_free(&agent_program, &o);
    }
}

/* An agent of the controller's version that lacks one of them is broken, and doctor must say so. */
static void doctor_misses_each_capability(void **state)
{
    struct agent_options o;
    struct tw_err err = { 0 };
    Tw__EnrolRequest *rq = NULL;

    (void)state;
    assert_int_equal(parse("--name a", &o, &err), TW_OK);
    assert_int_equal(enrolment_new(&o, 863, 0, &rq), TW_OK);
    for (size_t i = 0; i <= rq->n_capabilities; i++) { /* the last time it has all of them */
        const char *has[32];
        struct doctor_agent a = { .name = "a", .software = "twamp-agent 1.2.3", .address = "", .capabilities = has };
        struct doctor_facts facts = { .controller = { .version = "1.2.3" }, .agents = &a, .n_agents = 1 };
        struct findings f = { 0 };

        for (size_t k = 0; k < rq->n_capabilities; k++)
            if (k != i)
                has[a.n_capabilities++] = rq->capabilities[k];
        a.state = DOCTOR_UP;
        doctor_examine(&facts, &f);
        if (i == rq->n_capabilities)
            assert_int_equal(f.n, 0);
        else if (f.n != 1 || strcmp(f.v[0].id, "capability-missing") || !strstr(f.v[0].observed, rq->capabilities[i]))
            fail_msg("without %s: %zu findings", rq->capabilities[i], f.n);
        findings_free(&f);
    }
    enrolment_free(rq);
    conf_free(&agent_program, &o);
}

static void values_of_our_own(void **state)
{
    struct agent_options o;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(parse("--name a", &o, &err), TW_OK);
    assert_int_equal(o.control_modes, TWAMP_SECURITY);
    assert_int_equal(o.max_bps, 1000000000);
    assert_int_equal(o.test_ports.low, 0);
    assert_int_equal(o.control.n, 1);
    assert_string_equal(o.control.v[0], "none");
    conf_free(&agent_program, &o);
    assert_int_equal(
        parse("--name a --control-modes mixed,open --test-ports 1-65535 --control 127.0.0.1:863,[::1]:863", &o,
              &err),
        TW_OK);
    assert_int_equal(o.control_modes, TWAMP_OPEN | TWAMP_MIXED);
    assert_int_equal(o.test_ports.low, 1);
    assert_int_equal(o.test_ports.high, 65535);
    assert_int_equal(o.control.n, 2);
    conf_free(&agent_program, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(what_is_encrypted_may_leave_the_host),
        cmocka_unit_test(capabilities_follow_the_options),
        cmocka_unit_test(doctor_misses_each_capability),
        cmocka_unit_test(values_of_our_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
