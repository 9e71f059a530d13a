/* The checks of `twamp-agent --check` with made-up facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "agent/core/selfcheck.h"

static void make(struct selfcheck_facts *f)
{
    *f = (struct selfcheck_facts){ .name = "ams",
                                   .data_dir = "/var/lib/x",
                                   .ways = { { .url = "tcp://10.0.0.1:8620",
                                               .host = "controller.example",
                                               .address = "10.0.0.1:8620",
                                               .reach = REACH_OK,
                                               .hello = HELLO_APPROVED },
                                             { .url = "tcp://10.0.0.2:8620",
                                               .address = "10.0.0.2:8620",
                                               .reach = REACH_OK,
                                               .hello = HELLO_APPROVED } },
                                   .n_ways = 2,
                                   .disk_known = true,
                                   .disk_free = UINT64_C(1) << 40,
                                   .ports = { { "0.0.0.0:862", "" } },
                                   .n_ports = 1,
                                   .kernel_times = true,
                                   .clock_known = true,
                                   .clock = { .state = { .synced = true } },
                                   .rmem_max = UINT64_C(8) << 20 };
}

#define FAULT(name, body)                       \
    static void name(struct selfcheck_facts *f) \
    {                                           \
        body                                    \
    }
FAULT(nothing, (void)f;)
FAULT(no_name, strcpy(f->ways[0].lookup_error, "no such name"); f->ways[0].reach = REACH_NOT_TRIED;)
FAULT(refused, f->ways[0].reach = REACH_REFUSED; strcpy(f->ways[0].reach_error, "Connection refused");)
FAULT(blocked, f->ways[0].reach = REACH_TIMEOUT;)
FAULT(unreachable, f->ways[0].reach = REACH_UNREACHABLE; strcpy(f->ways[0].reach_error, "No route to host");)
FAULT(strange, f->ways[0].reach = REACH_STRANGE;)
FAULT(not_let_in, f->ways[0].hello = HELLO_REFUSED;
      strcpy(f->ways[0].hello_error, "another key is enrolled");)
FAULT(second_refused, f->ways[1].reach = REACH_REFUSED; strcpy(f->ways[1].reach_error, "Connection refused");)
FAULT(pending, f->ways[0].hello = HELLO_PENDING;)
FAULT(data, strcpy(f->data_error, "/var/lib/x: Permission denied");)
FAULT(key, strcpy(f->key_error, "others may read it");)
FAULT(spool, strcpy(f->spool_error, "it is corrupt");)
FAULT(new_one, f->new_here = true;)
FAULT(disk, f->disk_free = 1000000;)
FAULT(port, strcpy(f->ports[0].error, "UDP 0.0.0.0:862 is in use");)
FAULT(secrets, strcpy(f->secrets_error, "secrets:3: expected KEYID");)
FAULT(times, f->kernel_times = false;)
FAULT(clock_off, f->clock.state.synced = false;)
FAULT(rmem, f->rmem_max = 212992;)
FAULT(rmem_forced, f->rmem_max = 212992; f->net_admin = true;)

static const struct {
    void (*fault)(struct selfcheck_facts *f);
    const char *id, *seen;
} rows[] = {
    { nothing, NULL, NULL },
    { no_name, "controller-name", "\"controller.example\": no such name" },
    { refused, "controller-refused", "10.0.0.1:8620: Connection refused" },
    { blocked, "controller-blocked", "no answer" },
    { unreachable, "controller-unreachable", "No route to host" },
    { strange, "controller-strange", "no controller" },
    { not_let_in, "hello-refused", "10.0.0.1:8620: another key" },
    { second_refused, "controller-refused", "10.0.0.2:8620: Connection refused" },
    { pending, "hello-pending", "waits" },
    { data, "data-dir", "Permission denied" },
    { key, "key-unreadable", "others" },
    { spool, "spool-unusable", "corrupt" },
    { new_one, "never-ran", "no agent.key" },
    { disk, "disk-full", "1.0 MB free" },
    { port, "port-unusable", "in use" },
    { secrets, "secrets-unusable", "secrets:3" },
    { times, "no-kernel-times", "without a time" },
    { clock_off, "clock-unsynced", "not synchronised" },
    { rmem, "rmem-small", "212992" },
    { rmem_forced, NULL, NULL },
};

static const struct selfcheck *check_of(const char *id)
{
    for (size_t i = 0; i < selfchecks_n; i++)
        if (!strcmp(selfchecks[i].id, id))
            return &selfchecks[i];
    return NULL;
}

static void each_fault_is_found(void **state)
{
    bool used[64] = { false };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct selfcheck_facts f;
        struct findings found = { 0 };

        make(&f);
        rows[i].fault(&f);
        selfcheck_examine(&f, &found);
        if (found.n != (rows[i].id != NULL))
            fail_msg("row %zu: %zu findings, the first %s", i, found.n, found.n ? found.v[0].id : "-");
        if (rows[i].id) {
            assert_string_equal(found.v[0].id, rows[i].id);
            assert_string_equal(found.v[0].subject, "ams");
            assert_non_null(check_of(rows[i].id));
            assert_int_equal(found.v[0].severity, check_of(rows[i].id)->severity);
            used[check_of(rows[i].id) - selfchecks] = true;
            if (!strstr(found.v[0].observed, rows[i].seen) || !found.v[0].cause[0] || !found.v[0].next[0])
                fail_msg("row %zu: %s", i, found.v[0].observed);
        }
        findings_free(&found);
    }
    for (size_t i = 0; i < selfchecks_n; i++)
        if (!used[i])
            fail_msg("no row shows %s", selfchecks[i].id);
}

/* The manual has a line for each, in a table of its own. */
static void the_manual_knows_all(void **state)
{
    FILE *f = fopen(TW_SOURCE_DIR "/docs/operations.md", "r");
    char line[4096];
    size_t found = 0;

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char id[64], severity[16];

        if (sscanf(line, "| `%63[a-z0-9-]` | --check | %15[a-z] |", id, severity) != 2)
            continue;
        if (!check_of(id) || strcmp(tw_severity_name(check_of(id)->severity), severity) != 0)
            fail_msg("the manual has a %s %s, the table has not", severity, id);
        found++;
    }
    fclose(f);
    assert_int_equal(found, selfchecks_n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_found),
        cmocka_unit_test(the_manual_knows_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
