/* What agents may answer to Diagnose: whatever it says, doctor makes findings of it whose texts end where
 * they should. Input: an octet with the length of the source's packed reply, that reply, and the target's. */
#include <string.h>

#include "controller/doctor_reply.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t room)
{
    CHECK(memchr(text, 0, room));
}

static void check_probe(const struct doctor_probe *p)
{
    check_text(p->host, sizeof p->host);
    check_text(p->lookup_error, sizeof p->lookup_error);
    check_text(p->address, sizeof p->address);
    check_text(p->local, sizeof p->local);
    check_text(p->seen_from, sizeof p->seen_from);
    check_text(p->connect_error, sizeof p->connect_error);
    check_text(p->mtu_icmp.from, sizeof p->mtu_icmp.from);
    for (size_t i = 0; i < 2; i++) {
        check_text(p->packets[i].elsewhere_from, sizeof p->packets[i].elsewhere_from);
        check_text(p->packets[i].send_error, sizeof p->packets[i].send_error);
        check_text(p->packets[i].icmp.from, sizeof p->packets[i].icmp.from);
    }
    CHECK(p->connect <= DOCTOR_UNREACHABLE);
}

static void examine(const struct doctor_probe *p, bool to_agent)
{
    struct doctor_agent agents[] = {
        { .name = "ams", .software = "twamp-agent 1.2.3", .address = "10.0.0.1", .state = DOCTOR_UP },
        { .name = "fra", .software = "twamp-agent 1.2.3", .address = "10.0.0.2", .state = DOCTOR_UP }
    };
    struct doctor_way way = { .source = "ams",
                              .target = "fra",
                              .mesh = "lab",
                              .source_state = DOCTOR_UP,
                              .target_state = DOCTOR_UP,
                              .target_is_agent = to_agent,
                              .pairs = 1,
                              .all_lost = 1,
                              .sent = 100,
                              .lost_unknown = 100,
                              .size = 1400,
                              .probe = p };
    struct doctor_facts facts = {
        .controller = { .version = "1.2.3" }, .agents = agents, .n_agents = 2, .ways = &way, .n_ways = 1
    };
    struct findings f = { 0 };

    doctor_examine(&facts, &f);
    for (size_t i = 0; i < f.n; i++) {
        CHECK(doctor_check_find(f.v[i].id));
        check_text(f.v[i].subject, sizeof f.v[i].subject);
        check_text(f.v[i].observed, sizeof f.v[i].observed);
        check_text(f.v[i].cause, sizeof f.v[i].cause);
        check_text(f.v[i].next, sizeof f.v[i].next);
        CHECK(f.v[i].observed[0] && f.v[i].cause[0] && f.v[i].next[0]);
    }
    findings_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = size && data[0] < size - 1 ? data[0] : size ? size - 1 : 0;
    Tw__DiagnoseReply *source = size ? tw__diagnose_reply__unpack(NULL, len, data + 1) : NULL;
    Tw__DiagnoseReply *target =
        size ? tw__diagnose_reply__unpack(NULL, size - 1 - len, data + 1 + len) : NULL;
    struct doctor_probe p;

    if (source) {
        doctor_take_probe(source, "router.example.net", 862, &p);
        if (target)
            doctor_take_seen(target, &p);
        check_probe(&p);
        examine(&p, false);
        examine(&p, true);
        tw__diagnose_reply__free_unpacked(source, NULL);
    }
    if (target)
        tw__diagnose_reply__free_unpacked(target, NULL);
    return 0;
}
