/* From documents and agents to what each agent runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/sha.h>
#include "common/net/rpc.h"
#include "controller/core/plan.h"
#include "controller/enrolment.h"
#include "controller/schedule.h"

#define LISTS 64

struct fixture {
    struct inventory inv;
    struct session_list *lists[LISTS]; /* what the test has looked at */
    size_t n_lists;
    unsigned forgotten;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < f->n_lists; i++)
        session_list_free(f->lists[i]);
    inventory_free(&f->inv);
    free(f);
    return 0;
}

static void set_addresses(struct agent *a, const char *first, const char *second)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    char *addresses[] = { (char *)first, (char *)second };

    rq.n_addresses = (first != NULL) + (second != NULL);
    rq.addresses = addresses;
    rq.reflector_port = 8620;
    if (a->enrolment)
        tw__enrol_request__free_unpacked(a->enrolment, NULL);
    a->enrolment = message_clone(&rq.base);
    assert_non_null(a->enrolment);
}

static struct agent *add_agent(struct fixture *f, const char *name, bool approved, const char *address)
{
    struct store_agent row = { .id = 1, .approved = approved };
    struct agent *a;

    snprintf(row.name, sizeof row.name, "%s", name);
    a = inventory_add_agent(&f->inv, &row);
    assert_non_null(a);
    if (address)
        set_addresses(a, address, NULL);
    return a;
}

static struct mesh *parse(const char *text)
{
    struct tw_err err = { 0 };
    struct mesh *m = NULL;

    if (mesh_doc_parse("test", text, strlen(text), &m, &err) != TW_OK)
        fail_msg("mesh: %s", err.text);
    return m;
}

static void put_mesh(struct fixture *f, const char *text, bool paused)
{
    struct mesh *m = parse(text);
    struct store_mesh row = { .document = text, .author = "test", .paused = paused };

    snprintf(row.name, sizeof row.name, "%s", m->name);
    assert_int_equal(inventory_put_mesh(&f->inv, &row, m), TW_OK);
}

static struct wanted want(struct fixture *f, const struct overlay *o)
{
    struct wanted w;
    struct tw_err err = { 0 };

    if (wanted_build(&f->inv, o, &w, &err) != TW_OK)
        fail_msg("wanted_build: %s", err.text);
    return w;
}

static void compare(const struct inventory *inv, const struct wanted *w, struct wanted_diff *ret)
{
    wanted_compare_begin(w, ret);
    for (size_t i = 0; i < w->n_changes; i++)
        wanted_compare_change(inv, w, &w->changes[i], ret);
}

static void forget(void *ctx, struct pair *p)
{
    (void)p;
    ((struct fixture *)ctx)->forgotten++;
}

/* As change.c does: ids for the new ones, then the new schedule. */
static void adopt(struct fixture *f)
{
    struct wanted w = want(f, &(struct overlay){ 0 });

    for (size_t i = 0; i < w.n_changes; i++) {
        struct wanted_pair p;
        struct store_pair row;

        if (w.changes[i].row != PAIR_NEW)
            continue;
        wanted_change_pair(&w, &w.changes[i], &p);
        row = (struct store_pair){
            .mesh = p.mesh->name, .class_name = p.class_->name, .source = p.source, .target = p.target
        };
        row.id = store_pair_id(&row);
        assert_non_null(inventory_add_pair(&f->inv, &row));
    }
    assert_int_equal(schedule_adopt(&f->inv, &w, 1, forget, f), TW_OK);
    wanted_free(&w);
}

static bool differs(struct fixture *f)
{
    struct wanted w = want(f, &(struct overlay){ 0 });
    struct wanted_diff d;

    compare(&f->inv, &w, &d);
    wanted_free(&w);
    return d.differs;
}

/* What an agent is to run; valid until the test ends. */
static const struct session_list *runs(struct fixture *f, const struct agent *a)
{
    struct session_list *l = schedule_list(&f->inv, a);

    assert_non_null(l);
    assert_true(f->n_lists < LISTS);
    f->lists[f->n_lists++] = l;
    assert_int_equal(l->n, a->sessions);
    return l;
}

#define VOICE                                                                                              \
    "classes: { voice: { spacing: 20ms, flows: 2, dscp: EF, size: 172, timeout: 1s, report_period: 10s } " \
    "}\n"
#define FULL "mesh: lab\ntopology: full\nmembers: [a, b, c]\n" VOICE

static void a_full_mesh_becomes_lists(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1");
    const Tw__SessionSpec *s;

    add_agent(f, "b", true, "192.0.2.2");
    add_agent(f, "c", true, "192.0.2.3");
    put_mesh(f, FULL, false);
    assert_true(differs(f));
    adopt(f);
    assert_false(differs(f));
    assert_int_equal(f->inv.pairs.n, 6);
    assert_int_equal(runs(f, a)->n, 4);
    assert_int_equal(a->pairs, 2);
    for (size_t i = 0; i < runs(f, a)->n; i++) {
        s = runs(f, a)->list[i];
        assert_int_equal(s->phase_ns, plan_phase_ns("lab", "voice", "a", s->target, s->flow, s->spacing_ns));
        assert_in_range(s->phase_ns, 0, s->spacing_ns - 1);
    }
    s = runs(f, a)->list[0];
    assert_string_equal(s->address, !strcmp(s->target, "b") ? "192.0.2.2" : "192.0.2.3");
    assert_int_equal(s->port, 8620);
    assert_int_equal(s->dscp, 46);
    assert_int_equal(s->size_bytes, 172);
    assert_int_equal(s->ttl, 255);
    assert_int_equal(s->timeout_ns, TW_NS_PER_S);
}

static uint64_t lane(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

/* The sum of the SHA-256 of each, lane by lane, and 1. */
static void expect_digest_of(struct fixture *f, const struct agent *a)
{
    const struct session_list *l = runs(f, a);
    uint8_t buf[2048], md[SHA256_DIGEST_LENGTH];
    uint64_t sum[4] = { 1, 1, 1, 1 };

    for (size_t i = 0; i < l->n; i++) {
        SHA256(buf, tw__session_spec__pack(l->list[i], buf), md);
        for (int k = 0; k < 4; k++)
            sum[k] += lane(md + 8 * k);
    }
    for (int k = 0; k < 4; k++)
        assert_true(sum[k] == lane(a->digest + 8 * k));
}

static void the_digest_is_that_of_the_packed_sessions(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1");
    uint8_t before[AGENT_DIGEST_LEN];

    expect_digest_of(f, a); /* of nothing, and not zeros */
    add_agent(f, "b", true, "192.0.2.2");
    add_agent(f, "c", true, "192.0.2.3");
    put_mesh(f, FULL, false);
    adopt(f);
    expect_digest_of(f, a);
    memcpy(before, a->digest, sizeof before);
    adopt(f);
    assert_memory_equal(before, a->digest, sizeof before);
    set_addresses(inventory_agent(&f->inv, "c"), "192.0.2.33", NULL);
    assert_true(differs(f));
    adopt(f);
    assert_memory_not_equal(before, a->digest, sizeof before);
    expect_digest_of(f, a);
}

static void who_is_left_out(void **state)
{
    static const struct {
        const char *name;
        bool b_approved;
        const char *b_address;
        size_t pairs;
    } cases[] = {
        { "all there", true, "192.0.2.2", 6 },
        { "b waits for approval", false, "192.0.2.2", 2 },
        { "b has no address yet", true, NULL, 4 }, /* it can still send to the others */
    };

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct fixture f = { 0 };
        struct wanted w;

        add_agent(&f, "a", true, "192.0.2.1");
        add_agent(&f, "b", cases[i].b_approved, cases[i].b_address);
        add_agent(&f, "c", true, "192.0.2.3");
        put_mesh(&f, FULL, false);
        w = want(&f, &(struct overlay){ 0 });
        if (w.n != cases[i].pairs)
            fail_msg("%s: %zu pairs, expected %zu", cases[i].name, w.n, cases[i].pairs);
        wanted_free(&w);
        inventory_free(&f.inv);
    }
    (void)state;
}

static void the_family_of_the_source_decides(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "2001:db8::1"), *b = add_agent(f, "b", true, "192.0.2.2");

    set_addresses(b, "192.0.2.2", "2001:db8::2");
    put_mesh(f, "mesh: lab\ntopology: full\nmembers: [a, b]\n" VOICE, false);
    adopt(f);
    assert_string_equal(runs(f, a)->list[0]->address, "2001:db8::2");
    set_addresses(a, "192.0.2.1", NULL);
    assert_true(differs(f));
    adopt(f);
    assert_string_equal(runs(f, a)->list[0]->address, "192.0.2.2");
}

static void an_address_that_was_seen_serves_when_none_is_given(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, NULL);
    struct tw_addr addr;
    char text[TW_ADDR_TEXT];

    assert_int_equal(agent_address(a, 0, &addr), TW_ENOENT);
    strcpy(a->peer_address, "198.51.100.7");
    assert_int_equal(agent_address(a, 0, &addr), TW_OK);
    assert_string_equal(tw_addr_format(&addr, text), "198.51.100.7:862");
    set_addresses(a, NULL, NULL);
    assert_int_equal(agent_address(a, 0, &addr), TW_OK);
    assert_string_equal(tw_addr_format(&addr, text), "198.51.100.7:8620");
}

static void a_target_by_name_is_left_to_the_agent(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1");
    char *can[] = { (char *)"hosts" };
    const Tw__SessionSpec *s;
    bool addresses;

    put_mesh(f,
             "mesh: lab\ntopology: list\npairs: [[a, r1], [a, r2]]\n"
             "targets: { r1: \"r1.example.net:8620\", r2: { address: r2.example.net, family: 6 } }\n"
             "classes: { c: {} }\n",
             false);
    adopt(f);
    assert_int_equal(runs(f, a)->n, 2);
    assert_string_equal(runs(f, a)->list[0]->refuse,
                        "the agent's program is too old for targets by host name");
    assert_int_equal(runs(f, a)->list[0]->port, 0);
    a->enrolment->capabilities = can;
    a->enrolment->n_capabilities = 1;
    assert_true(differs(f));
    adopt(f);
    for (size_t i = 0; i < 2; i++) {
        s = runs(f, a)->list[i];
        addresses = !strcmp(s->target, "r1")
                        ? !strcmp(s->host, "r1.example.net") && s->port == 8620 && !s->host_family
                        : !strcmp(s->host, "r2.example.net") && s->port == 862 && s->host_family == 6;
        if (!addresses || s->address[0] || s->refuse[0])
            fail_msg("%s: host \"%s\", family %u, port %u, address \"%s\", refuse \"%s\"", s->target, s->host,
                     s->host_family, s->port, s->address, s->refuse);
    }
    put_mesh(f,
             "mesh: lab\ntopology: list\npairs: [[a, r1], [a, r2]]\n"
             "targets: { r1: \"r3.example.net:8620\", r2: { address: r2.example.net, family: 6 } }\n"
             "classes: { c: {} }\n",
             false);
    assert_true(differs(f));
    a->enrolment->capabilities = NULL;
    a->enrolment->n_capabilities = 0;
}

static void a_paused_mesh_is_known_but_not_run(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1");
    const struct overlay_mesh pause = { .name = "lab", .paused = true };
    struct wanted_diff d;
    struct wanted w;
    struct pair *p;

    add_agent(f, "b", true, "192.0.2.2");
    add_agent(f, "c", true, "192.0.2.3");
    put_mesh(f, FULL, false);
    adopt(f);
    w = want(f, &(struct overlay){ .meshes = &pause, .n_meshes = 1 });
    compare(&f->inv, &w, &d);
    assert_true(d.differs && d.pairs == 0 && d.added == 0 && d.removed == 6 && d.changed == 0);
    assert_int_equal(schedule_adopt(&f->inv, &w, 2, forget, f), TW_OK);
    assert_int_equal(f->forgotten, 6);
    assert_int_equal(runs(f, a)->n, 0);
    p = inventory_pair_by_names(&f->inv, "lab", "voice", "a", "b");
    assert_true(p->paused && !p->scheduled);
    assert_string_equal(pair_state(p, 3), "paused");
    w = want(f, &(struct overlay){ .meshes = &pause, .n_meshes = 1 });
    compare(&f->inv, &w, &d);
    assert_true(!d.differs && d.pairs == 0 && d.removed == 0);
    wanted_free(&w);
}

static void an_overlay_is_what_would_be(void **state)
{
    static const struct {
        const char *name;
        bool drop, approve, remove;
        size_t pairs;
    } cases[] = {
        { "as it is", false, false, false, 2 },
        { "mesh dropped", true, false, false, 0 },
        { "agent approved", false, true, false, 6 },
        { "agent removed", false, false, true, 0 },
    };
    static const struct overlay_mesh drop = { .name = "lab", .drop = true };
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1"), *c = add_agent(f, "c", false, "192.0.2.3");

    add_agent(f, "b", true, "192.0.2.2");
    put_mesh(f, FULL, false);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct overlay o = { .meshes = &drop,
                             .n_meshes = cases[i].drop,
                             .approve = cases[i].approve ? c : NULL,
                             .remove = cases[i].remove ? a : NULL };
        struct wanted w = want(f, &o);

        if (w.n != cases[i].pairs)
            fail_msg("%s: %zu pairs, expected %zu", cases[i].name, w.n, cases[i].pairs);
        wanted_free(&w);
    }
}

static void a_strict_mesh_names_what_is_unknown(void **state)
{
    struct fixture *f = *state;
    struct mesh *m = parse(FULL);
    struct overlay_mesh put = {
        .name = "lab", .put = m, .file = "many.yaml", .lines_before = 40, .strict = true
    };
    const struct overlay o = { .meshes = &put, .n_meshes = 1 };
    struct tw_err err = { 0 };
    struct wanted w;

    add_agent(f, "a", true, "192.0.2.1");
    add_agent(f, "b", true, "192.0.2.2");
    assert_int_equal(wanted_build(&f->inv, &o, &w, &err), TW_EINVAL);
    assert_int_equal(err.line, 43);
    assert_string_equal(err.file, "many.yaml");
    put.strict = false;
    assert_int_equal(wanted_build(&f->inv, &o, &w, &err), TW_OK);
    assert_int_equal(w.n, 2);
    wanted_free(&w);
    mesh_free(m);
}

/* The longest names there are must fit into one message with the most sessions. */
static void the_largest_schedule_fits_into_a_frame(void **state)
{
    char name[STORE_NAME_MAX], key[MESH_KEY_MAX + 1], host[MESH_HOST_MAX],
        reason[100]; /* the longest there is has 83 */
    uint32_t imix[MESH_IMIX] = { 9000, 9000, 9000 };
    Tw__SessionSpec s = TW__SESSION_SPEC__INIT;

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    s.pair_id = UINT64_MAX;
    s.flow = 31;
    s.mesh = s.class_name = s.target = name;
    memset(host, 'h', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    s.host = host; /* takes more room than an address, which is not there then */
    s.host_family = 6;
    s.port = UINT16_MAX;
    s.spacing_ns = s.timeout_ns = s.report_period_ns = s.phase_ns = 3600 * TW_NS_PER_S;
    s.spacing_kind = TW__SPACING_KIND__SPACING_EXPONENTIAL;
    s.size_bytes = 9000;
    s.dscp = 63;
    s.ttl = 255;
    s.protocol = TW__PROTOCOL__PROTOCOL_TWAMP;
    s.auth = TW__AUTH__AUTH_MIXED;
    s.key_id = key;
    s.bind = (char *)"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff";
    s.df = s.zero_padding = s.reflector_stateful = true;
    s.imix_bytes = imix;
    s.n_imix_bytes = MESH_IMIX;
    s.tlvs = 0x1fc;
    s.reply_dscp = 63;
    s.refuse = reason;
    assert_true((tw__session_spec__get_packed_size(&s) + 4) * SCHEDULE_PART_SESSIONS < RPC_MAX_FRAME - 1024);
}

/* A request has the rules of its own sessions, and ends before it gets too long. */
static void requests_are_cut_by_sessions_and_octets(void **state)
{
    static const struct {
        const char *name;
        size_t sessions, every, octets; /* every so many-th has a rule of its own, with so many octets */
        size_t n, rules, second_n, second_rules;
    } cases[] = {
        { "no rules", 3500, 0, 0, 3000, 0, 500, 0 },
        { "few", 10, 5, 100, 10, 2, 0, 0 },
        { "long", 400, 1, 16384, 111, 111, 111, 111 },
        { "nothing", 0, 0, 0, 0, 0, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        size_t n = cases[i].sessions, rules = cases[i].every ? n / cases[i].every : 0;
        struct session_list l = { .n = n };
        Tw__TimesRule *rule = calloc(rules + 1, sizeof *rule);
        uint8_t *octets = calloc(1, cases[i].octets + 1);
        struct session_part p;

        l.specs = calloc(n + 1, sizeof *l.specs);
        l.list = calloc(n + 1, sizeof *l.list);
        l.rules.list = calloc(rules + 1, sizeof *l.rules.list);
        assert_true(rule && octets && l.specs && l.list && l.rules.list);
        for (size_t k = 0; k < rules; k++) {
            tw__times_rule__init(&rule[k]);
            rule[k].id = k + 1;
            rule[k].rule = (ProtobufCBinaryData){ cases[i].octets, octets };
            l.rules.list[l.rules.n++] = &rule[k];
        }
        for (size_t k = 0; k < n; k++) {
            tw__session_spec__init(&l.specs[k]);
            l.specs[k].times_id = rules ? k / cases[i].every + 1 : 0;
            l.list[k] = &l.specs[k];
        }
        assert_int_equal(session_list_part(&l, 0, &p), TW_OK);
        if (p.n != cases[i].n || p.n_rules != cases[i].rules)
            fail_msg("%s: %zu sessions, %zu rules", cases[i].name, p.n, p.n_rules);
        free(p.rules);
        assert_int_equal(session_list_part(&l, p.n, &p), TW_OK);
        if (p.n != cases[i].second_n || p.n_rules != cases[i].second_rules)
            fail_msg("%s: then %zu sessions, %zu rules", cases[i].name, p.n, p.n_rules);
        for (size_t k = 0; k < p.n_rules; k++)
            assert_int_equal(p.rules[k]->id, p.list[0]->times_id + k);
        free(p.rules);
        free(l.rules.list);
        free(l.list);
        free(l.specs);
        free(rule);
        free(octets);
    }
}

/* ---- Classes ---- */

static void set_abilities(struct agent *a, const char *list, uint32_t control_port)
{
    char text[128], *v[8], *save = NULL;
    Tw__EnrolRequest *before = a->enrolment, rq = *before;

    snprintf(text, sizeof text, "%s", list);
    rq.capabilities = v;
    rq.n_capabilities = 0;
    for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
        v[rq.n_capabilities++] = p;
    rq.control_port = control_port;
    a->enrolment = message_clone(&rq.base);
    assert_non_null(a->enrolment);
    tw__enrol_request__free_unpacked(before, NULL);
}

#define MODERN "light shapes stamp stamp-auth twamp"
#define PAIR_OF(class) "mesh: m\ntopology: list\npairs: [[a, b]]\nclasses: {c: {" class "}}\n"

static void a_class_reaches_the_agent(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1"), *b = add_agent(f, "b", true, "192.0.2.2");
    const Tw__SessionSpec *s;

    set_abilities(a, MODERN, 0);
    set_abilities(b, MODERN, 8621);
    put_mesh(
        f,
        PAIR_OF("protocol: stamp, auth: authenticated, key_id: site, size: imix, df: true, padding: zero, "
                "bind: eth0, flows: 2, reply_dscp: EF"),
        false);
    adopt(f);
    assert_int_equal(runs(f, a)->n, 2);
    for (uint32_t flow = 0; flow < 2; flow++) {
        s = runs(f, a)->list[flow];
        assert_int_equal(s->flow, flow);
        assert_int_equal(s->protocol, TW__PROTOCOL__PROTOCOL_STAMP);
        assert_int_equal(s->auth, TW__AUTH__AUTH_AUTHENTICATED);
        assert_string_equal(s->key_id, "site");
        assert_string_equal(s->bind, "eth0");
        assert_true(s->df && s->zero_padding && s->reflector_stateful);
        assert_int_equal(s->n_imix_bytes, 3);
        assert_int_equal(s->imix_bytes[0], 140); /* 112, 8 of the CoS TLV, 20 of the HMAC TLV */
        assert_int_equal(s->imix_bytes[1], 548);
        assert_int_equal(s->imix_bytes[2], 1472);
        assert_int_equal(s->tlvs, 0x110);
        assert_int_equal(s->reply_dscp, 46);
        assert_string_equal(s->refuse, "");
        assert_int_equal(s->port, 8620);
    }
}

static void a_twamp_pair_goes_to_the_control_port(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1"), *b = add_agent(f, "b", true, "192.0.2.2");

    set_abilities(a, MODERN, 0);
    set_abilities(b, MODERN, 8621);
    put_mesh(f, PAIR_OF("protocol: twamp, size: imix"), false);
    adopt(f);
    assert_int_equal(runs(f, a)->list[0]->port, 8621);
    assert_int_equal(runs(f, a)->list[0]->imix_bytes[0], 22);
    assert_int_equal(runs(f, a)->list[0]->protocol, TW__PROTOCOL__PROTOCOL_TWAMP);
}

/* What is known to be impossible is planned all the same; the agent is told to refuse it, and why. */
static void what_cannot_run_is_said(void **state)
{
    static const struct {
        const char *mesh, *source, *target;
        uint32_t control_port; /* of the target */
        const char *says;      /* NULL: runs */
    } rows[] = {
        { PAIR_OF(""), "", "", 0, NULL },
        { PAIR_OF("protocol: stamp"), "light shapes", MODERN, 0, "too old for protocol stamp" },
        { PAIR_OF("protocol: stamp"), MODERN, "light", 0, NULL },
        { PAIR_OF("protocol: twamp"), "light shapes stamp", MODERN, 862, "too old for protocol twamp" },
        { PAIR_OF("protocol: twamp"), MODERN, MODERN, 0, "no TWAMP-Control server" },
        { PAIR_OF("protocol: twamp"), MODERN, "", 862, NULL },
        { PAIR_OF("protocol: stamp, auth: authenticated, key_id: k"), MODERN, "light stamp", 0, "no keys" },
        { PAIR_OF("protocol: stamp, auth: authenticated, key_id: k"), MODERN, MODERN, 0, NULL },
        { PAIR_OF("df: true"), "light", MODERN, 0, "too old for imix, df, padding or bind" },
        { PAIR_OF(""), MODERN, MODERN " demand-auth", 0, "--demand-auth" },
        { PAIR_OF("protocol: stamp, auth: authenticated, key_id: k"), MODERN, MODERN " demand-auth", 0,
          NULL },
    };

    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct fixture *f = *state;
        struct agent *a = add_agent(f, "a", true, "192.0.2.1"), *b = add_agent(f, "b", true, "192.0.2.2");
        const Tw__SessionSpec *s;

        set_abilities(a, rows[i].source, 0);
        set_abilities(b, rows[i].target, rows[i].control_port);
        put_mesh(f, rows[i].mesh, false);
        adopt(f);
        assert_int_equal(runs(f, a)->n, 1);
        s = runs(f, a)->list[0];
        if (rows[i].says ? !strstr(s->refuse, rows[i].says) || s->port || strlen(s->refuse) >= 100
                         : *s->refuse || !s->port)
            fail_msg("row %zu: refuse \"%s\", port %u", i, s->refuse, s->port);
        assert_true(s->reflector_stateful);
        inventory_free(&f->inv);
    }
}

/* An agent that comes back with another ability changes what its neighbours run. */
static void abilities_change_the_schedule(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1"), *b = add_agent(f, "b", true, "192.0.2.2");
    uint32_t before;

    set_abilities(a, MODERN, 0);
    set_abilities(b, MODERN, 0);
    put_mesh(f, PAIR_OF("protocol: twamp"), false);
    adopt(f);
    assert_true(*runs(f, a)->list[0]->refuse);
    set_abilities(b, MODERN, 862);
    assert_true(differs(f));
    adopt(f);
    assert_false(*runs(f, a)->list[0]->refuse);
    before = schedule_abilities(b);
    set_abilities(b, MODERN " stateless", 862);
    assert_int_not_equal(schedule_abilities(b), before);
    adopt(f);
    assert_false(runs(f, a)->list[0]->reflector_stateful);
}

static void an_enrolment_survives_the_store(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1");
    Tw__EnrolRequest *back = NULL;
    char peer[TW_ADDR_TEXT], *json;

    set_addresses(a, "192.0.2.1", "2001:db8::1");
    a->enrolment->control_port = 8621;
    json = enrolment_to_json(a->enrolment, "198.51.100.7");
    assert_non_null(json);
    assert_int_equal(enrolment_from_json(json, &back, peer, sizeof peer), TW_OK);
    assert_string_equal(peer, "198.51.100.7");
    assert_int_equal(back->n_addresses, 2);
    assert_string_equal(back->addresses[1], "2001:db8::1");
    assert_int_equal(back->reflector_port, 8620);
    assert_int_equal(back->control_port, 8621);
    tw__enrol_request__free_unpacked(back, NULL);
    free(json);
    assert_int_equal(enrolment_from_json("{\"addresses\":[\"nowhere\"]}", &back, peer, sizeof peer),
                     TW_ECORRUPT);
    assert_int_equal(enrolment_from_json("[", &back, peer, sizeof peer), TW_ECORRUPT);
}

/* Nobody is called at night because the controller was restarted. */
static void after_a_restart_agents_have_time_to_come_back(void **state)
{
    struct agent gone = { .row.approved = true };
    struct pair p = { .scheduled = true, .scheduled_since_ns = 1000 * TW_NS_PER_S };
    struct names names = { 0 };

    (void)state;
    p.row.source = names_keep(&names, "gone");
    name_of(p.row.source)->agent = &gone;
    assert_string_equal(pair_state(&p, 1044 * TW_NS_PER_S), "no_data");
    assert_string_equal(pair_state(&p, 1045 * TW_NS_PER_S), "agent_down");
    strcpy(gone.peer_address, "192.0.2.1"); /* it was here and went */
    assert_string_equal(pair_state(&p, 1001 * TW_NS_PER_S), "agent_down");
    name_of(p.row.source)->agent = NULL;
    assert_string_equal(pair_state(&p, 1001 * TW_NS_PER_S), "agent_down");
    names_free(&names);
}

/* A pair that its agent refuses is that, and not merely silent; with another acknowledgement it no longer is.
 */
static void a_refused_pair_says_so(void **state)
{
    struct fixture *f = *state;
    struct agent *a = add_agent(f, "a", true, "192.0.2.1");
    struct store_pair row = { 7, "m", "c", "a", "t", 0 }, foreign = { 8, "m", "c", "b", "t", 0 };
    struct pair *p, *other;
    Tw__Refusal r[] = { TW__REFUSAL__INIT, TW__REFUSAL__INIT, TW__REFUSAL__INIT },
                *list[] = { &r[0], &r[1], &r[2] };
    Tw__AckRequest ack = TW__ACK_REQUEST__INIT;

    p = inventory_add_pair(&f->inv, &row);
    other = inventory_add_pair(&f->inv, &foreign);
    p->scheduled = other->scheduled = true;
    a->peer = (struct rpc_peer *)f; /* connected: nobody looks at it */
    assert_string_equal(pair_state(p, 1), "no_data");
    r[0].pair_id = 7;
    r[1].pair_id = 8; /* of another agent: it has no say in that */
    r[2].pair_id = 9; /* of nobody */
    ack.refusals = list;
    ack.n_refusals = 3;
    ack.refusals_more = 5;
    inventory_take_ack(&f->inv, a, message_clone(&ack.base));
    assert_string_equal(pair_state(p, 1), "refused");
    assert_int_equal(agent_refusals(a), 8);
    assert_string_not_equal(pair_state(other, 1), "refused");
    p->paused = true;
    assert_string_equal(pair_state(p, 1), "paused");
    p->paused = false;
    ack.n_refusals = 0;
    inventory_take_ack(&f->inv, a, message_clone(&ack.base));
    assert_string_equal(pair_state(p, 1), "no_data");
    a->peer = NULL;
}

/* ---- Starts of runs ---- */

#define FLEET 34
#define EVERY_MINUTE                                                                    \
    "mesh: m\ntopology: full\ngroups: { all: { select: \"*\", allow_empty: true } }\n" \
    "members: [\"@all\"]\nclasses: { c: { spacing: 100ms } }\nschedule: { every: 1m, count: 5 }\n"

static void fleet_name(unsigned i, char ret[8])
{
    snprintf(ret, 8, "a%02u", i);
}

static struct agent *join(struct fixture *f, unsigned i)
{
    char name[8], address[16];

    fleet_name(i, name);
    snprintf(address, sizeof address, "192.0.2.%u", i + 1);
    return add_agent(f, name, true, address);
}

static void leave(struct fixture *f, unsigned i)
{
    char name[8];

    fleet_name(i, name);
    inventory_drop_agent(&f->inv, inventory_agent(&f->inv, name));
}

/* Of each row, as the agent is told; -1: not scheduled. */
struct starts {
    int64_t v[FLEET * FLEET];
    size_t scheduled;
};

static void note_starts(const struct inventory *inv, struct starts *ret)
{
    memset(ret->v, 0xff, sizeof ret->v);
    ret->scheduled = 0;
    assert_true(inv->pairs.n <= TW_NELEM(ret->v));
    for (size_t i = 0; i < inv->pairs.n; i++) {
        struct spec_room room;
        Tw__SessionSpec s;

        if (!schedule_session(inv, pair_table_at(&inv->pairs, i), 0, &room, &s))
            continue;
        ret->v[i] = s.times_phase_ns;
        ret->scheduled++;
    }
}

/* Once there are 1,000, at most 3 % begin in one second. Those that were there begin when they did. */
static void expect_starts(struct fixture *f, struct starts *s, const char *when)
{
    unsigned in_second[120] = { 0 };
    struct starts now;

    note_starts(&f->inv, &now);
    for (size_t i = 0; i < TW_NELEM(now.v); i++) {
        if (now.v[i] >= 0)
            in_second[now.v[i] / TW_NS_PER_S]++;
        if (now.v[i] >= 0 && s->v[i] >= 0 && now.v[i] != s->v[i])
            fail_msg("%s: pair %zu moved from %lld to %lld", when, i, (long long)s->v[i], (long long)now.v[i]);
    }
    for (unsigned i = 0; now.scheduled >= 1000 && i < TW_NELEM(in_second); i++)
        if (in_second[i] * 100 > 3 * now.scheduled)
            fail_msg("%s: %u of %zu begin in second %u", when, in_second[i], now.scheduled, i);
    *s = now;
}

static void adopt_and_expect(struct fixture *f, struct starts *s, const char *when, size_t pairs)
{
    adopt(f);
    expect_starts(f, s, when);
    assert_int_equal(s->scheduled, pairs);
    assert_false(differs(f));
}

/* What the database keeps, into another controller. */
static void restart(const struct inventory *from, struct fixture *to)
{
    for (const struct agent *a = from->agents; a; a = a->hh.next) {
        struct agent *copy = inventory_add_agent(&to->inv, &a->row);

        copy->enrolment = message_clone(&a->enrolment->base);
    }
    for (size_t i = 0; i < from->pairs.n; i++)
        assert_non_null(inventory_add_pair(&to->inv, &pair_table_at(&from->pairs, i)->row));
    put_mesh(to, EVERY_MINUTE, false);
}

static void starts_are_spread_and_stay(void **state)
{
    struct fixture *f = *state, other = { 0 };
    struct starts s;
    const char *kept;

    memset(s.v, 0xff, sizeof s.v);
    for (unsigned i = 0; i < FLEET - 2; i++)
        join(f, i);
    put_mesh(f, EVERY_MINUTE, false);
    adopt_and_expect(f, &s, "applied", 32 * 31);
    join(f, FLEET - 2);
    adopt_and_expect(f, &s, "an agent joined", 33 * 32);
    leave(f, 5);
    adopt_and_expect(f, &s, "an agent left", 32 * 31);
    join(f, FLEET - 1);
    adopt_and_expect(f, &s, "another joined", 33 * 32);
    join(f, 5);
    adopt_and_expect(f, &s, "the former came back", 34 * 33);
    kept = names_keep(&f->inv.names, "zz");
    inventory_rename_agent(&f->inv, inventory_agent(&f->inv, "a07"), kept);
    adopt_and_expect(f, &s, "an agent was renamed", 34 * 33);
    restart(&f->inv, &other);
    adopt_and_expect(&other, &s, "restarted", 34 * 33);
    inventory_free(&other.inv);
}

/* A pause keeps the places of those that do not run; who comes back after a deletion need not have its old one. */
static void starts_after_a_pause_and_a_deletion(void **state)
{
    struct fixture *f = *state;
    struct starts s, before;

    memset(s.v, 0xff, sizeof s.v);
    for (unsigned i = 0; i < FLEET - 1; i++)
        join(f, i);
    put_mesh(f, EVERY_MINUTE, false);
    adopt_and_expect(f, &s, "applied", 33 * 32);
    before = s;
    put_mesh(f, EVERY_MINUTE, true);
    adopt(f);
    assert_int_equal(f->inv.spread.v[0]->sessions, 33 * 32);
    put_mesh(f, EVERY_MINUTE, false);
    adopt_and_expect(f, &before, "resumed", 33 * 32);
    inventory_drop_mesh(&f->inv, inventory_mesh(&f->inv, "m"));
    adopt(f);
    assert_int_equal(f->inv.spread.n, 0);
    put_mesh(f, EVERY_MINUTE, false);
    memset(s.v, 0xff, sizeof s.v);
    adopt_and_expect(f, &s, "applied again", 33 * 32);
}

/* A database of before there were slots: they are chosen at the start. One whose class gets another interval keeps its slot, if it can. */
static void slots_are_chosen_for_who_has_none(void **state)
{
    struct fixture *f = *state, old = { 0 };
    struct starts s;

    memset(s.v, 0xff, sizeof s.v);
    for (unsigned i = 0; i < FLEET - 1; i++)
        join(f, i);
    put_mesh(f, EVERY_MINUTE, false);
    adopt_and_expect(f, &s, "applied", 33 * 32);
    for (size_t i = 0; i < f->inv.pairs.n; i += 2)
        pair_table_at(&f->inv.pairs, i)->row.slot = 0;
    restart(&f->inv, &old);
    for (size_t i = 0; i < f->inv.pairs.n; i += 2)
        s.v[i] = -1;
    adopt_and_expect(&old, &s, "half of them had no slots", 33 * 32);
    put_mesh(&old,
             "mesh: m\ntopology: full\ngroups: { all: { select: \"*\", allow_empty: true } }\n"
             "members: [\"@all\"]\nclasses: { c: { spacing: 100ms } }\nschedule: { every: 2m, count: 5 }\n",
             false);
    adopt(&old);
    assert_int_equal(old.inv.spread.n, 1 + 33); /* all, and each agent's */
    for (size_t i = 0; i < s.scheduled; i++)
        s.v[i] = -1;
    expect_starts(&old, &s, "every two minutes");
    put_mesh(&old,
             "mesh: m\ntopology: full\ngroups: { all: { select: \"*\", allow_empty: true } }\n"
             "members: [\"@all\"]\nclasses: { c: { spacing: 100ms } }\n",
             false);
    adopt(&old);
    assert_int_equal(old.inv.spread.n, 0);
    inventory_free(&old.inv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(after_a_restart_agents_have_time_to_come_back),
        T(a_full_mesh_becomes_lists),
        T(the_digest_is_that_of_the_packed_sessions),
        T(who_is_left_out),
        T(the_family_of_the_source_decides),
        T(an_address_that_was_seen_serves_when_none_is_given),
        T(a_target_by_name_is_left_to_the_agent),
        T(a_paused_mesh_is_known_but_not_run),
        T(an_overlay_is_what_would_be),
        T(a_strict_mesh_names_what_is_unknown),
        T(the_largest_schedule_fits_into_a_frame),
        T(requests_are_cut_by_sessions_and_octets),
        T(an_enrolment_survives_the_store),
        T(a_class_reaches_the_agent),
        T(a_twamp_pair_goes_to_the_control_port),
        T(what_cannot_run_is_said),
        T(abilities_change_the_schedule),
        T(a_refused_pair_says_so),
        T(starts_are_spread_and_stay),
        T(starts_after_a_pause_and_a_deletion),
        T(slots_are_chosen_for_who_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
