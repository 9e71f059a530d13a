/* What the options of twamp-agent mean, what contradicts itself, and what the agent says of itself for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "agent/enrolment.h"
#include "agent/options.h"

#define ARGS_MAX 12

/* words: the command line without the program. On TW_OK *o is the caller's to free. */
static enum tw_rc parse(const char *words, struct agent_options *o, struct tw_err *err)
{
    char text[512], *argv[ARGS_MAX] = { (char *)"twamp-agent" }, *save = NULL;
    struct conf_strlist args = { 0 };
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
    rc = agent_options_check(o, err);
    if (rc)
        conf_free(&agent_program, o);
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
        { "--name a --demand-auth", "demand-auth", "without --secrets" },
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

static void capabilities_follow_the_options(void **state)
{
    static const struct {
        const char *words, *capabilities;
    } rows[] = {
        { "--name a", "light rx-kernel-timestamps shapes stamp " },
        { "--name a --secrets /tmp/none", "light rx-kernel-timestamps shapes stamp stamp-auth " },
        { "--name a --reflect-stateless", "light rx-kernel-timestamps shapes stamp stateless " },
        { "--name a -s /tmp/none --demand-auth",
          "light rx-kernel-timestamps shapes stamp stamp-auth demand-auth " },
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
        enrolment_free(rq);
        conf_free(&agent_program, &o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(capabilities_follow_the_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
