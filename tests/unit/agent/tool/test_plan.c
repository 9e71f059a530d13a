/* From options to sizes and forms; what does not fit is refused before anything is opened. */
#include "tests/unit/agent/tool/tool_fixture.h"
#include <sys/stat.h>
#include <unistd.h>
#include "agent/core/twamp_pkt.h"
#include "agent/tool/tool.h"

static char keys[] = "/tmp/twplanXXXXXX";

static const struct {
    const char *line, *error; /* KEYS stands for the file */
    uint16_t size, imix[3];
    bool ssid;
} cases[] = {
    { "192.0.2.1", NULL, 41, { 0 }, false },
    { "192.0.2.1 --padding 0", NULL, 14, { 0 }, false },
    { "192.0.2.1 --padding 27", NULL, 41, { 0 }, false },
    { "192.0.2.1 --padding 8986", NULL, 9000, { 0 }, false },
    { "192.0.2.1 --size 14", NULL, 14, { 0 }, false },
    { "192.0.2.1 --size 9000", NULL, 9000, { 0 }, false },
    { "192.0.2.1 --padding -1", NULL, 0, { 41, 548, 1472 }, false },
    { "2001:db8::1 --padding -1", NULL, 0, { 41, 528, 1452 }, false },
    { "192.0.2.1 --protocol stamp", NULL, 44, { 0 }, true },
    { "192.0.2.1 --protocol stamp --padding 0", NULL, 44, { 0 }, true },
    { "192.0.2.1 --protocol stamp --padding 4", NULL, 48, { 0 }, true },
    { "192.0.2.1 --protocol stamp --padding 3", "expected 0 octets, or at least 4", 0, { 0 }, true },
    { "192.0.2.1 --protocol stamp --size 45", "expected 44 octets, or at least 48", 0, { 0 }, true },
    { "192.0.2.1 --protocol stamp --size 43", "need at least 44 octets, not 43", 0, { 0 }, true },
    { "192.0.2.1 --protocol stamp --padding -1", NULL, 0, { 44, 548, 1472 }, true },
    { "192.0.2.1 --protocol stamp --tlv direct", NULL, 60, { 0 }, true },
    { "192.0.2.1 --protocol stamp --reply-dscp ef", NULL, 52, { 0 }, true },
    { "192.0.2.1 --protocol stamp --auth --secrets KEYS", NULL, 112, { 0 }, true },
    { "192.0.2.1 --protocol stamp --auth --secrets KEYS --key-id b", NULL, 112, { 0 }, true },
    { "192.0.2.1 --protocol stamp --auth --secrets KEYS --key-id c", "has no key \"c\"", 0, { 0 }, true },
    { "192.0.2.1 --protocol stamp --tlv hmac --secrets KEYS", NULL, 64, { 0 }, true },
    { "192.0.2.1 --protocol stamp --padding 8960", "that is 9004 octets, more than 9000", 0, { 0 }, true },
    { "192.0.2.1 --tos 5 --dscp ef", "give one of them", 0, { 0 }, false },
};

static enum tw_rc make(const char *line, struct plan *p, struct tw_err *err)
{
    char text[256], *argv[24] = { (char[]){ "sender" } }, *save = NULL;
    struct host_spec remote, local;
    struct host_pair hosts;
    struct tool_line l;
    int argc = 1;
    enum tw_rc rc;

    snprintf(text, sizeof text, "%s", line);
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(w, "KEYS") ? w : keys;
    assert_int_equal(tool_parse(&cmd_sender, argc, argv, &l, err), TW_OK);
    assert_int_equal(plan_read_hosts(&l.options, &l.args, &remote, &local, err), TW_OK);
    assert_int_equal(host_resolve_pair(&remote, &local, host_lookup, &hosts, err), TW_OK);
    rc = plan_make(&l.options, &hosts, p, err);
    tool_line_free(&l);
    return rc;
}

static void sizes(void **state)
{
    struct plan *p = calloc(1, sizeof *p);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct tw_err err = { 0 };
        enum tw_rc rc = make(cases[i].line, p, &err);

        if ((rc == TW_OK) != !cases[i].error || (rc && !strstr(err.text, cases[i].error)))
            fail_msg("\"%s\": rc %d \"%s\"", cases[i].line, rc, err.text);
        if (rc)
            continue;
        if (p->size_bytes != cases[i].size || memcmp(p->imix_bytes, cases[i].imix, sizeof p->imix_bytes) ||
            p->run.session.size_bytes != cases[i].size || !p->ssid != !cases[i].ssid)
            fail_msg("\"%s\": %u octets, mix %u %u %u", cases[i].line, p->size_bytes, p->imix_bytes[0],
                     p->imix_bytes[1], p->imix_bytes[2]);
        assert_true(p->run.session.samples >= 256);
        plan_close(p);
    }
    free(p);
}

static void report_periods(void **state)
{
    static const struct {
        const char *line;
        int64_t period_ns;
        uint64_t count;
    } rows[] = {
        { "192.0.2.1 -c 7", RUN_ONE_PERIOD_NS, 7 },
        { "192.0.2.1 --forever", 10 * TW_NS_PER_S, 0 },
        { "192.0.2.1 -m -c 7", 10 * TW_NS_PER_S, 7 },
        { "192.0.2.1 -f --report-period 1m", 60 * TW_NS_PER_S, 0 },
    };
    struct plan *p = calloc(1, sizeof *p);
    struct tw_err err = { 0 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        assert_int_equal(make(rows[i].line, p, &err), TW_OK);
        assert_int_equal(p->run.session.report_period_ns, rows[i].period_ns);
        assert_int_equal(p->run.session.count, rows[i].count);
        plan_close(p);
    }
    free(p);
}

/* An occupied port is no error unless it was named; flows leave out the reflector's own. */
static void source_ports(void **state)
{
    struct tool_options o = { .flows = 3 };
    struct plan *p = calloc(1, sizeof *p);
    struct udp_conf conf = { .rcvbuf_bytes = 0 };
    struct host_pair hosts = { .target = "x" };
    struct udpsock taken;
    struct tw_err err = { 0 };

    (void)state;
    fixture_addr("127.0.0.1:0", &conf.local);
    assert_int_equal(udp_open(&conf, &taken, &err), TW_OK);
    hosts.local = taken.local;
    fixture_addr("127.0.0.1:9", &hosts.remote);
    hosts.remote.port = (uint16_t)(taken.local.port + 1);
    p->remote = hosts.remote;
    p->run.n_flows = 3;
    for (size_t i = 0; i < RUN_FLOWS_MAX; i++)
        p->flows[i].sock.fd = -1;
    assert_int_equal(plan_open(&o, &hosts, true, p, &err), TW_EINUSE);
    assert_non_null(strstr(err.text, "is in use, by another sender?"));
    plan_close(p);
    assert_int_equal(plan_open(&o, &hosts, false, p, &err), TW_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_not_equal(p->source[i].port, hosts.remote.port);
        assert_int_not_equal(p->source[i].port, taken.local.port);
        assert_int_equal(p->source[i].ip[0], 127);
    }
    plan_close(p);
    udp_close(&taken);
    free(p);
}

static int write_keys(void **state)
{
    int fd = mkstemp(keys);

    (void)state;
    return fd < 0 || dprintf(fd, "a hush\nb hex:0011\n") < 0 || fchmod(fd, 0600) || close(fd);
}

static int remove_keys(void **state)
{
    (void)state;
    return unlink(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(report_periods),
        cmocka_unit_test(source_ports),
    };

    return cmocka_run_group_tests(tests, write_keys, remove_keys);
}
