/* Looking for faults on request: a real worker reflects on loopback, and what is wrong with a target is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/ip_icmp.h>
#include <unistd.h>
#include <stdlib.h>
#include "agent/diagnose.h"
#include "common/log.h"
#include "tests/unit/agent/io/worker_rig.h"

#define TOKEN UINT64_C(0x1122334455667780)

struct got {
    unsigned answers, refused, invalid, unavailable, other;
    uint32_t sent, received, sized_sent, sized_received, icmp, icmp_code, through, lost, came, answered,
        not_allowed, packets;
    char lookup_error[160], address[TW_ADDR_TEXT], local[TW_ADDR_TEXT], seen_from[TW_ADDR_TEXT];
    size_t addresses;
    Tw__DiagnoseConnect connect;
};
static struct got got;

void __wrap_rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...);
void __wrap_rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...)
{
    (void)closure_data;
    (void)fmt;
    got.answers++;
    if (status == TW__STATUS__STATUS_RESOURCE_EXHAUSTED)
        got.refused++;
    else if (status == TW__STATUS__STATUS_INVALID_ARGUMENT)
        got.invalid++;
    else if (status == TW__STATUS__STATUS_UNAVAILABLE)
        got.unavailable++;
    else
        got.other++;
}

static void on_reply(const Tw__DiagnoseReply *m, void *ctx)
{
    (void)ctx;
    got.answers++;
    snprintf(got.lookup_error, sizeof got.lookup_error, "%s", m->lookup_error);
    snprintf(got.address, sizeof got.address, "%s", m->address);
    snprintf(got.local, sizeof got.local, "%s", m->local_address);
    snprintf(got.seen_from, sizeof got.seen_from, "%s", m->seen_from);
    got.addresses = m->n_addresses;
    got.sent = m->small ? m->small->sent : 0;
    got.received = m->small ? m->small->received : 0;
    got.icmp = m->small ? m->small->icmp_count : 0;
    got.icmp_code = m->small && m->small->icmp ? m->small->icmp->code : 0;
    got.sized_sent = m->sized ? m->sized->sent : 0;
    got.sized_received = m->sized ? m->sized->received : 0;
    got.through = m->mtu_through;
    got.lost = m->mtu_lost;
    got.connect = m->connect;
    got.packets = m->packets;
    if (m->n_seen == DIAG_KINDS) {
        got.came = m->seen[DIAG_SMALL]->came;
        got.answered = m->seen[DIAG_SMALL]->answered;
        got.not_allowed = m->seen[DIAG_SMALL]->not_allowed;
    }
}

struct bench {
    struct rig rig;
    struct diagnose *d;
};

static void begin_with(struct bench *b, struct acl *acl, struct target_rules targets)
{
    struct diagnose_conf c;

    log_init("test", LOG_ERROR_, LOG_TEXT);
    rig_prepare(&b->rig);
    b->rig.cfg.acl = acl;
    rig_go(&b->rig);
    c = (struct diagnose_conf){ .loop = b->rig.loop, .workers = &b->rig.w, .n_workers = 1, .targets = targets };
    assert_int_equal(diagnose_new(&c, &b->d), TW_OK);
    got = (struct got){ 0 };
}

static void begin(struct bench *b, struct acl *acl)
{
    begin_with(b, acl, (struct target_rules){ NULL, 0 });
}

static void end(struct bench *b)
{
    diagnose_free(b->d);
    rig_end(&b->rig);
}

static Tw__DiagnoseRequest request(const struct tw_addr *to, const char *address)
{
    Tw__DiagnoseRequest rq = TW__DIAGNOSE_REQUEST__INIT;

    rq.token = TOKEN;
    rq.address = (char *)address;
    rq.port = to->port;
    rq.small_bytes = 40;
    return rq;
}

static void ask(struct bench *b, const Tw__DiagnoseRequest *rq)
{
    unsigned before = got.answers;

    diagnose_serve(b->d, rq, on_reply, NULL);
    RIG_WAIT(&b->rig, got.answers > before);
}

static void ask_about(struct bench *b, Tw__DiagnoseAction action)
{
    Tw__DiagnoseRequest rq = TW__DIAGNOSE_REQUEST__INIT;

    rq.action = action;
    rq.token = TOKEN;
    ask(b, &rq);
}

/* All is well: everything comes back, the reflector has counted it, the largest packet is the loopback's. */
static void a_good_path_is_told(void **state)
{
    static const char *const addresses[] = { "127.0.0.1", "::1" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bench b;
        struct tw_addr to;
        Tw__DiagnoseRequest rq;
        Tw__HealthReport h = TW__HEALTH_REPORT__INIT;

        begin(&b, NULL);
        to = rig_reflector(&b.rig, i);
        rq = request(&to, addresses[i]);
        rq.size_bytes = 1400;
        rq.df = rq.path_mtu = true;
        ask_about(&b, TW__DIAGNOSE_ACTION__DIAGNOSE_WATCH);
        ask(&b, &rq);
        assert_true(got.sent == 10 && got.received == 10 && got.sized_sent == 5 && got.sized_received == 5);
        assert_int_equal(got.through, 0); /* no need to look for more */
        assert_string_equal(got.local, addresses[i]);
        assert_int_equal(got.packets, 15);
        ask_about(&b, TW__DIAGNOSE_ACTION__DIAGNOSE_SEEN);
        assert_true(got.came == 10 && got.answered == 10 && !got.not_allowed);
        assert_non_null(strstr(got.seen_from, addresses[i]));
        ask_about(&b, TW__DIAGNOSE_ACTION__DIAGNOSE_SEEN); /* it is counted no longer */
        assert_int_equal(got.other, 1);
        diagnose_fill_health(b.d, &h);
        assert_true(h.diagnoses == 1 && h.diagnoses_refused == 0 && h.diagnose_packets == 15);
        end(&b);
    }
}

/* On loopback the largest is the longest that reflectors answer. */
static void the_largest_is_found(void **state)
{
    struct bench b;
    struct tw_addr to;
    Tw__DiagnoseRequest rq;

    (void)state;
    begin(&b, NULL);
    to = rig_reflector(&b.rig, 0);
    rq = request(&to, "127.0.0.1");
    rq.path_mtu = true;
    ask(&b, &rq);
    assert_true(got.through == 9028 && got.lost == 0 && got.packets <= DIAGNOSE_PACKETS);
    end(&b);
}

static void nobody_there_is_told_by_icmp(void **state)
{
    struct bench b;
    struct udpsock gone = rig_socket("127.0.0.1");
    struct tw_addr to = gone.local;
    Tw__DiagnoseRequest rq = request(&to, "127.0.0.1");

    (void)state;
    udp_close(&gone);
    begin(&b, NULL);
    ask(&b, &rq);
    assert_true(got.received == 0 && got.icmp > 0 && got.icmp_code == ICMP_PORT_UNREACH);
    end(&b);
}

static void silence_is_told(void **state)
{
    struct bench b;
    struct udpsock silent = rig_socket("127.0.0.1");
    Tw__DiagnoseRequest rq = request(&silent.local, "127.0.0.1");

    (void)state;
    begin(&b, NULL);
    rq.size_bytes = 1400;
    rq.path_mtu = true;
    ask(&b, &rq);
    assert_true(got.sent == 10 && got.received == 0 && got.icmp == 0 && got.sized_sent == 0 &&
                got.through == 0);
    end(&b);
    udp_close(&silent);
}

static void what_is_not_allowed_is_counted(void **state)
{
    struct acl_rules only = { 0 };
    struct acl *acl;
    struct bench b;
    struct tw_addr to;
    Tw__DiagnoseRequest rq;

    (void)state;
    assert_int_equal(acl_rules_add(&only, true, "192.0.2.0/24", NULL), TW_OK);
    assert_int_equal(acl_new(&only, &acl, NULL), TW_OK);
    acl_rules_free(&only);
    begin(&b, acl);
    acl_free(acl);
    to = rig_reflector(&b.rig, 0);
    rq = request(&to, "127.0.0.1");
    ask_about(&b, TW__DIAGNOSE_ACTION__DIAGNOSE_WATCH);
    ask(&b, &rq);
    ask_about(&b, TW__DIAGNOSE_ACTION__DIAGNOSE_SEEN);
    assert_true(got.came == 10 && got.not_allowed == 10 && !got.answered);
    end(&b);
}

/* A listener that says nothing, and a port where nobody listens. */
static void connections_are_tried(void **state)
{
    struct bench b;
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct tw_addr to = { 0 };
    Tw__DiagnoseRequest rq = request(&to, "127.0.0.1");

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    begin(&b, NULL);
    rq.control_port = ntohs(sin.sin_port);
    ask(&b, &rq);
    assert_int_equal(got.connect, TW__DIAGNOSE_CONNECT__CONNECT_SILENT);
    close(fd);
    ask(&b, &rq);
    assert_int_equal(got.connect, TW__DIAGNOSE_CONNECT__CONNECT_REFUSED);
    assert_int_equal(got.packets, 0);
    end(&b);
}

static void names_are_looked_up(void **state)
{
    struct bench b;
    struct tw_addr to;
    Tw__DiagnoseRequest rq;

    (void)state;
    begin(&b, NULL);
    to = rig_reflector(&b.rig, 0);
    rq = request(&to, "");
    rq.host = (char *)"localhost";
    rq.family = 4;
    ask(&b, &rq);
    assert_true(got.addresses >= 1 && got.received == 10 && !got.lookup_error[0]);
    rq.host = (char *)"no-such-host.invalid";
    ask(&b, &rq);
    assert_true(got.lookup_error[0] && !got.address[0] && !got.sent);
    end(&b);
}

static void there_are_limits(void **state)
{
    struct bench b;
    struct udpsock silent = rig_socket("127.0.0.1");
    Tw__DiagnoseRequest rq = request(&silent.local, "127.0.0.1"), watch = TW__DIAGNOSE_REQUEST__INIT;
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;

    (void)state;
    begin(&b, NULL);
    for (unsigned i = 0; i < DIAGNOSE_RUNS + 2; i++)
        diagnose_serve(b.d, &rq, on_reply, NULL);
    assert_true(got.refused == 2 && got.answers == 2);
    watch.action = TW__DIAGNOSE_ACTION__DIAGNOSE_WATCH;
    for (uint64_t i = 0; i < WORKER_TALLIES + 3; i++) {
        watch.token = TOKEN + 4 * i;
        diagnose_serve(b.d, &watch, on_reply, NULL);
    }
    assert_int_equal(got.refused, 2 + 3);
    diagnose_fill_health(b.d, &h);
    assert_true(h.diagnoses == DIAGNOSE_RUNS && h.diagnoses_refused == 5);
    diagnose_free(b.d); /* what is open is answered */
    assert_int_equal(got.unavailable, DIAGNOSE_RUNS);
    b.d = NULL;
    end(&b);
    udp_close(&silent);
}

/* Where a name leads counts, not what somebody wrote. */
static void no_packets_where_the_agent_may_not_send(void **state)
{
    struct tw_addr to = { .port = 862 };
    struct tw_prefix documentation;
    struct bench b;
    Tw__DiagnoseRequest rq = request(&to, "127.0.0.1");
    unsigned invalid;

    (void)state;
    assert_int_equal(tw_prefix_parse("192.0.2.0/24", &documentation), TW_OK);
    begin_with(&b, NULL, (struct target_rules){ &documentation, 1 });
    invalid = got.invalid;
    diagnose_serve(b.d, &rq, on_reply, NULL);
    assert_int_equal(got.invalid, invalid + 1);
    rq.address = (char *)"";
    rq.host = (char *)"localhost";
    ask(&b, &rq);
    assert_non_null(strstr(got.lookup_error, "--probe-allow"));
    end(&b);
}

static void nonsense_is_refused(void **state)
{
    struct bench b;
    struct tw_addr to = { .port = 862 };
    char host[300];
    Tw__DiagnoseRequest good = request(&to, "127.0.0.1"), rq;

    (void)state;
    begin(&b, NULL);
    memset(host, 'x', sizeof host);
    host[sizeof host - 1] = 0;
#define REFUSED(field, value)                      \
    do {                                           \
        unsigned before = got.invalid;             \
        rq = good;                                 \
        rq.field = value;                          \
        diagnose_serve(b.d, &rq, on_reply, NULL);  \
        assert_int_equal(got.invalid, before + 1); \
    } while (0)
    REFUSED(token, 0);
    REFUSED(token, 3);
    REFUSED(action, (Tw__DiagnoseAction)3);
    REFUSED(action, (Tw__DiagnoseAction)-1);
    REFUSED(address, (char *)"");
    REFUSED(address, (char *)"example.net");
    REFUSED(address, (char *)"239.1.1.1");
    REFUSED(address, (char *)"255.255.255.255");
    REFUSED(host, host);
    REFUSED(family, 5);
    REFUSED(port, 65536);
    REFUSED(control_port, 65536);
    REFUSED(dscp, 64);
    REFUSED(small_bytes, 13);
    REFUSED(small_bytes, 1001);
    REFUSED(size_bytes, 9001);
    assert_int_equal(got.answers, got.invalid);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_path_is_told),   cmocka_unit_test(nobody_there_is_told_by_icmp),
        cmocka_unit_test(the_largest_is_found),
        cmocka_unit_test(silence_is_told),       cmocka_unit_test(what_is_not_allowed_is_counted),
        cmocka_unit_test(connections_are_tried), cmocka_unit_test(names_are_looked_up),
        cmocka_unit_test(no_packets_where_the_agent_may_not_send),
        cmocka_unit_test(there_are_limits),      cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
