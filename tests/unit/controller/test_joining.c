/* Tokens, and how agents get certificates by them. */
#include "tests/unit/controller/stale.h"
#include "common/net/authority.h"
#include "common/net/join_token.h"
#include "controller/core/access_tries.h"
#include "controller/joining_priv.h"
#include "join.pb-c.h"

/* ---- What is asked ---- */

static void restart(struct fixture *f)
{
    rpc_client_stop(f->operator_);
    f->operator_ = NULL;
    f->op = NULL;
    stop_controller(f);
    start_controller(f);
    start_operator(f);
}

static int setup_of_age(void **state, int64_t age_ns)
{
    static const char *const hosts[] = { "ctl" };
    struct authority_make m = { .hosts = hosts,
                                .n_hosts = 1,
                                .now_ns = tw_wall_now().ns - age_ns,
                                .ca_life_ns = 100 * FX_DAY,
                                .server_life_ns = FX_DAY };
    struct tw_err err = { 0 };
    struct fixture *f;
    char dir[192];

    if (fixture_setup(state))
        return -1;
    f = *state;
    snprintf(dir, sizeof dir, "%s/ca", f->data);
    m.dir = dir;
    if (authority_make(&m, &err))
        fail_msg("%s", err.text);
    restart(f);
    return 0;
}

static int setup(void **state)
{
    return setup_of_age(state, 0);
}

/* It was away for longer than its certificate lives. */
static int setup_over(void **state)
{
    return setup_of_age(state, 2 * FX_DAY);
}

struct made {
    struct op_result r;
    char text[JOIN_TOKEN_TEXT], id[JOIN_ID_TEXT];
};

static void token_made(const Tw__JoinTokenCreateReply *m, void *ctx)
{
    struct made *t = ctx;

    snprintf(t->text, sizeof t->text, "%s", m ? m->token : "");
    snprintf(t->id, sizeof t->id, "%s", m ? m->info->id : "");
    op_note(&t->r, m != NULL);
}

static struct made make_token(struct fixture *f, const char *glob, uint32_t uses, bool approve_it)
{
    Tw__JoinTokenCreateRequest rq = TW__JOIN_TOKEN_CREATE_REQUEST__INIT;
    Tw__Label l = TW__LABEL__INIT, *labels = &l;
    struct made t = { 0 };

    l.key = (char *)"role";
    l.value = (char *)"edge";
    rq.labels = &labels;
    rq.n_labels = 1;
    rq.name_glob = (char *)glob;
    rq.uses = uses;
    rq.approve = approve_it;
    rq.author = (char *)"joe";
    tw__admin__join_token_create(admin_stub(f), &rq, token_made, &t);
    WAIT(t.r.done);
    return t;
}

static void token_revoked(const Tw__JoinTokenRevokeReply *m, void *ctx)
{
    op_note(ctx, m != NULL);
}

static struct op_result revoke_token(struct fixture *f, const char *id)
{
    Tw__JoinTokenRevokeRequest rq = TW__JOIN_TOKEN_REVOKE_REQUEST__INIT;
    struct op_result r = { 0 };

    rq.id = (char *)id;
    rq.author = (char *)"joe";
    tw__admin__join_token_revoke(admin_stub(f), &rq, token_revoked, &r);
    WAIT(r.done);
    return r;
}

/* ---- Who asks ---- */

struct joiner {
    struct identity *id;
    struct pki_key *key;
};

static struct joiner joiner_new(struct fixture *f, const char *name)
{
    struct joiner j = { 0 };
    char path[192];

    snprintf(path, sizeof path, "%s/joiner-%s.key", f->dir, name);
    assert_int_equal(identity_load(path, &j.id, NULL), TW_OK);
    assert_int_equal(pki_key_make(&j.key), TW_OK);
    return j;
}

static void joiner_free(struct joiner *j)
{
    identity_free(j->id);
    pki_key_free(j->key);
}

struct answer {
    bool done;
    Tw__Status status;
    char detail[256], state[16], serial[PKI_SERIAL_TEXT], name[PKI_NAME_TEXT];
    bool good; /* a certificate of the CA, for the key that was asked for */
};

struct asked {
    struct answer a;
    struct fixture *f;
    const struct joiner *j;
};

static void answered(void *ctx, const struct rpc_result *r, const ProtobufCMessage *m)
{
    struct asked *q = ctx;
    const Tw__JoinReply *reply = (const Tw__JoinReply *)m;
    struct pki_cert *cert = NULL;
    struct pki_info info;
    struct tw_err err;

    q->a.done = true;
    q->a.status = r->status;
    snprintf(q->a.detail, sizeof q->a.detail, "%s", r->detail ? r->detail : "");
    snprintf(q->a.state, sizeof q->a.state, "%s", reply ? reply->state : "");
    if (!reply || !reply->certificate.len)
        return;
    assert_int_equal(pki_cert_from_der(reply->certificate.data, reply->certificate.len, &cert, NULL), TW_OK);
    pki_cert_info(cert, &info);
    snprintf(q->a.serial, sizeof q->a.serial, "%s", info.serial);
    snprintf(q->a.name, sizeof q->a.name, "%s", info.name);
    q->a.good =
        pki_cert_is_of(cert, q->j->key) && pki_check(authority_ca(joining_authority(q->f->c->joining)), cert,
                                                     PKI_AGENT, tw_wall_now().ns, &err) == PKI_FINE;
    pki_cert_free(cert);
}

#define JOIN_METHOD 1
#define POLL_METHOD 2

/* *q is valid until it is done. */
static void begin_ask(struct fixture *f, const struct joiner *j, const char *name, const char *token,
                      bool spoil, struct asked *q)
{
    Tw__JoinRequest rq = TW__JOIN_REQUEST__INIT;
    uint8_t text[JOIN_PROOF_TEXT], sig[IDENTITY_SIG_LEN], key[IDENTITY_KEY_LEN];
    struct pki_octets csr = { 0 };
    size_t n;

    *q = (struct asked){ .f = f, .j = j };
    assert_int_equal(pki_csr_make(j->key, name, &csr), TW_OK);
    join_proof_text(csr.data, csr.len, name, token, text, &n);
    text[n - 1] ^= spoil;
    assert_int_equal(identity_sign(j->id, text, n, sig), TW_OK);
    identity_public(j->id, key);
    rq.name = (char *)name;
    rq.token = (char *)token;
    rq.csr = (ProtobufCBinaryData){ csr.len, csr.data };
    rq.public_key = (ProtobufCBinaryData){ sizeof key, key };
    rq.proof = (ProtobufCBinaryData){ sizeof sig, sig };
    rpc_call_local(f->loop, joining_service(f->c->joining)->service, *token ? JOIN_METHOD : POLL_METHOD,
                   &rq.base, NULL, answered, q);
    pki_octets_free(&csr);
}

static struct answer ask(struct fixture *f, const struct joiner *j, const char *name, const char *token,
                         bool spoil)
{
    struct asked q;

    begin_ask(f, j, name, token, spoil, &q);
    WAIT(q.a.done);
    return q.a;
}

static void expect(const struct answer *a, Tw__Status status, const char *says)
{
    if (a->status != status || !strstr(status ? a->detail : a->state, says))
        fail_msg("status %d, \"%s\", state \"%s\"; expected %d and \"%s\"", a->status, a->detail, a->state,
                 status, says);
}

static const char *label_of(struct fixture *f, const char *name, const char *key)
{
    const struct agent *a = inventory_agent(&f->c->inv, name);
    const char *value = a ? label_value(a->labels, a->n_labels, key) : NULL;

    return value ? value : "(none)";
}

static uint32_t used(struct fixture *f, const char *id)
{
    const struct join_token *v;
    size_t n = joining_tokens(f->c->joining, &v);

    for (size_t i = 0; i < n; i++)
        if (!strcmp(v[i].id, id))
            return v[i].used;
    fail_msg("no token %s", id);
    return 0;
}

/* ---- Tests ---- */

static void approved_at_once(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "", 1, true);
    struct joiner j = joiner_new(f, "a"), k = joiner_new(f, "b");
    struct answer first, again, other;

    first = ask(f, &j, "a", t.text, false);
    expect(&first, TW__STATUS__STATUS_OK, "issued");
    assert_true(first.good);
    assert_string_equal(first.name, "a");
    assert_string_equal(label_of(f, "a", "role"), "edge");
    assert_true(inventory_agent(&f->c->inv, "a")->row.approved);
    again = ask(f, &j, "a", t.text, false); /* its answer was lost */
    expect(&again, TW__STATUS__STATUS_OK, "issued");
    assert_string_equal(again.serial, first.serial);
    assert_int_equal(used(f, t.id), 1);
    other = ask(f, &k, "b", t.text, false);
    expect(&other, TW__STATUS__STATUS_PERMISSION_DENIED, "is used");
    assert_null(inventory_agent(&f->c->inv, "b"));
    restart(f);
    assert_int_equal(used(f, t.id), 1);
    again = ask(f, &j, "a", "", false);
    expect(&again, TW__STATUS__STATUS_OK, "issued");
    assert_string_equal(again.serial, first.serial);
    assert_true(agent_certs_have(inventory_agent(&f->c->inv, "a")->certs, first.serial));
    assert_string_equal(label_of(f, "a", "role"), "edge");
    joiner_free(&j);
    joiner_free(&k);
}

static void waits_for_an_operator(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "a*", 1, false);
    struct joiner j = joiner_new(f, "a");
    struct answer a = ask(f, &j, "a", t.text, false);

    expect(&a, TW__STATUS__STATUS_OK, "pending");
    a = ask(f, &j, "a", "", false);
    expect(&a, TW__STATUS__STATUS_OK, "pending");
    restart(f);
    a = ask(f, &j, "a", t.text, false); /* it, too, was restarted */
    expect(&a, TW__STATUS__STATUS_OK, "pending");
    assert_int_equal(used(f, t.id), 1);
    assert_true(approve(f, "a", "").ok);
    a = ask(f, &j, "a", "", false);
    expect(&a, TW__STATUS__STATUS_OK, "issued");
    assert_true(a.good);
    joiner_free(&j);
}

static void who_is_not_let_in(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "a*", 5, true), gone = make_token(f, "", 5, true);
    struct joiner j = joiner_new(f, "a"), k = joiner_new(f, "k");
    char wrong[JOIN_TOKEN_TEXT];
    struct answer a;

    a = ask(f, &j, "b", t.text, false);
    expect(&a, TW__STATUS__STATUS_PERMISSION_DENIED, "is for agents named a*");
    a = ask(f, &j, "a", t.text, true);
    expect(&a, TW__STATUS__STATUS_UNAUTHENTICATED, "the proof");
    a = ask(f, &j, "a", "", false);
    expect(&a, TW__STATUS__STATUS_NOT_FOUND, "no agent of this identity");
    snprintf(wrong, sizeof wrong, "%s", t.text);
    wrong[30] = wrong[30] == 'A' ? 'B' : 'A'; /* in the secret */
    a = ask(f, &j, "a", wrong, false);
    expect(&a, TW__STATUS__STATUS_PERMISSION_DENIED, "no such join token");
    assert_true(revoke_token(f, gone.id).ok);
    a = ask(f, &j, "a", gone.text, false);
    expect(&a, TW__STATUS__STATUS_PERMISSION_DENIED, "is revoked");
    assert_int_equal(HASH_COUNT(f->c->inv.agents), 0);
    a = ask(f, &j, "a", t.text, false);
    expect(&a, TW__STATUS__STATUS_OK, "issued");
    a = ask(f, &k, "a", t.text, false);
    expect(&a, TW__STATUS__STATUS_ALREADY_EXISTS, "another key is enrolled under the name a");
    a = ask(f, &j, "a2", t.text, false);
    expect(&a, TW__STATUS__STATUS_ALREADY_EXISTS, "this identity is that of agent a already");
    assert_int_equal(used(f, t.id), 1);
    joiner_free(&j);
    joiner_free(&k);
}

static void wrong_tokens_are_limited(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "", 1, true);
    struct joiner j = joiner_new(f, "a");
    struct joining_stats stats;
    struct answer a;

    for (int i = 0; i < ACCESS_TRIES_BURST; i++) {
        a = ask(f, &j, "a", "twj1.nonsense", false);
        expect(&a, TW__STATUS__STATUS_PERMISSION_DENIED, "expected a join token");
    }
    a = ask(f, &j, "a", t.text, false);
    expect(&a, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "too many wrong tokens");
    joining_stats(f->c->joining, tw_wall_now().ns, &stats);
    assert_int_equal(stats.limited, 1);
    assert_int_equal(stats.issued, 0);
    joiner_free(&j);
}

static void revoke_done(const Tw__AgentChangeReply *m, void *ctx)
{
    op_note(ctx, m != NULL);
}

static void revoked_and_removed_get_nothing(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "", 5, true);
    struct joiner j = joiner_new(f, "a");
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;
    struct op_result r = { 0 };
    struct answer a = ask(f, &j, "a", t.text, false);

    expect(&a, TW__STATUS__STATUS_OK, "issued");
    rq.name = (char *)"a";
    rq.author = (char *)"joe";
    tw__admin__agent_revoke(admin_stub(f), &rq, revoke_done, &r);
    WAIT(r.done);
    assert_true(r.ok);
    a = ask(f, &j, "a", "", false);
    expect(&a, TW__STATUS__STATUS_PERMISSION_DENIED, "revoked by an operator");
    a = ask(f, &j, "a", t.text, false);
    expect(&a, TW__STATUS__STATUS_PERMISSION_DENIED, "revoked by an operator");
    assert_true(remove_agent(f, "a").ok);
    a = ask(f, &j, "a", "", false);
    expect(&a, TW__STATUS__STATUS_NOT_FOUND, "no agent of this identity");
    restart(f); /* its certificate has gone from the store, too */
    a = ask(f, &j, "a", t.text, false);
    expect(&a, TW__STATUS__STATUS_OK, "issued");
    assert_int_equal(inventory_agent(&f->c->inv, "a")->certs->n, 1);
    joiner_free(&j);
}

static void without_authority(void **state)
{
    struct fixture *f = *state;
    struct joiner j = joiner_new(f, "a");
    struct made t = make_token(f, "", 1, true);
    struct answer a = ask(f, &j, "a", "twj1.x", false);

    assert_int_equal(t.r.status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(t.r.detail, "twampctl ca init"));
    expect(&a, TW__STATUS__STATUS_FAILED_PRECONDITION, "twampctl ca init");
    joiner_free(&j);
}

static void a_certificate_that_is_over_at_the_start_is_renewed(void **state)
{
    struct fixture *f = *state;
    struct joining_stats s;

    joining_stats(f->c->joining, tw_wall_now().ns, &s);
    assert_int_equal(s.server_renewals, 1);
    assert_true(s.server_expires_ns > tw_wall_now().ns);
}

/* ---- While another controller changes something ---- */

static uint64_t calls(struct fixture *f)
{
    struct joining_stats s;

    joining_stats(f->c->joining, tw_wall_now().ns, &s);
    return s.calls;
}

static void what_was_decided_too_early_is_decided_anew(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "", 2, true);
    struct joiner j = joiner_new(f, "a");
    struct stale s;
    struct answer a;

    stale_begin(&s, f->c, 3);
    a = ask(f, &j, "a", t.text, false);
    expect(&a, TW__STATUS__STATUS_OK, "issued");
    assert_true(a.good);
    assert_int_equal(stale_decided(f->c), 3);
    assert_int_equal(used(f, t.id), 1);
    assert_int_equal(calls(f), 1); /* as its agent sees it */
    /* A certificate alone. */
    pki_key_free(j.key);
    assert_int_equal(pki_key_make(&j.key), TW_OK);
    inventory_agent(&f->c->inv, "a")->certs->v[0].issued_ns -= 2 * TW_NS_PER_S;
    stale_begin(&s, f->c, 1);
    a = ask(f, &j, "a", "", false);
    expect(&a, TW__STATUS__STATUS_OK, "issued");
    assert_true(a.good);
    assert_int_equal(stale_decided(f->c), 4);
    stale_end(&s);
    restart(f);
    assert_int_equal(used(f, t.id), 1);
    assert_int_equal(inventory_agent(&f->c->inv, "a")->certs->n, 2);
    joiner_free(&j);
}

/* Another controller's agents used it while one of ours was on its way to the store. */
static void a_token_lets_in_as_many_as_it_says(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "", 3, true);
    struct joiner j = joiner_new(f, "a"), k = joiner_new(f, "b");
    const struct join_token *now;
    struct join_token *theirs;
    struct asked first;
    struct answer a;
    struct stale s;

    stale_begin(&s, f->c, 2);
    begin_ask(f, &j, "a", t.text, false, &first);
    assert_int_equal(joining_tokens(f->c->joining, &now), 1);
    theirs = malloc(sizeof *theirs);
    *theirs = *now;
    theirs->used = 2;
    joining_follow_tokens(f->c->joining, theirs, 1);
    WAIT(first.a.done);
    expect(&first.a, TW__STATUS__STATUS_OK, "issued");
    stale_end(&s);
    assert_int_equal(used(f, t.id), 3);
    a = ask(f, &k, "b", t.text, false);
    expect(&a, TW__STATUS__STATUS_PERMISSION_DENIED, "is used");
    restart(f);
    assert_int_equal(used(f, t.id), 3);
    joiner_free(&j);
    joiner_free(&k);
}

/* Another controller has made it, and the agent was faster than the news of that. */
static void a_token_that_is_not_known_yet(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "", 1, true);
    struct joiner j = joiner_new(f, "a"), k = joiner_new(f, "b");
    const struct join_token *now;
    struct join_token *theirs = malloc(sizeof *theirs);
    struct asked first;
    struct answer a;
    struct stale s;

    f->c->shared = true;
    assert_int_equal(joining_tokens(f->c->joining, &now), 1);
    *theirs = *now;
    joining_follow_tokens(f->c->joining, NULL, 0);
    a = ask(f, &k, "b", t.text, false); /* it is not, in the store either for all that is known */
    expect(&a, TW__STATUS__STATUS_PERMISSION_DENIED, "no such join token");
    stale_begin(&s, f->c, 1);
    begin_ask(f, &j, "a", t.text, false, &first);
    joining_follow_tokens(f->c->joining, theirs, 1);
    WAIT(first.a.done);
    expect(&first.a, TW__STATUS__STATUS_OK, "issued");
    assert_int_equal(stale_decided(f->c), 1);
    stale_end(&s);
    f->c->shared = false;
    joiner_free(&j);
    joiner_free(&k);
}

/* Two of ours at once, of which the first is not stored yet. */
static void not_more_of_two_at_once(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "", 1, true);
    struct joiner j = joiner_new(f, "a"), k = joiner_new(f, "b");
    struct asked first, second;

    begin_ask(f, &j, "a", t.text, false, &first);
    begin_ask(f, &k, "b", t.text, false, &second);
    assert_true(second.a.done);
    expect(&second.a, TW__STATUS__STATUS_PERMISSION_DENIED, "is used");
    WAIT(first.a.done);
    expect(&first.a, TW__STATUS__STATUS_OK, "issued");
    assert_int_equal(used(f, t.id), 1);
    joiner_free(&j);
    joiner_free(&k);
}

static void it_is_not_tried_for_ever(void **state)
{
    struct fixture *f = *state;
    struct made t = make_token(f, "", 1, true);
    struct joiner j = joiner_new(f, "a");
    struct joining_stats stats;
    struct stale s;
    struct answer a;

    stale_begin(&s, f->c, DECIDE_TRIES + 1);
    a = ask(f, &j, "a", t.text, false);
    expect(&a, TW__STATUS__STATUS_ABORTED, "another controller changed the control state meanwhile");
    assert_int_equal(stale_decided(f->c), DECIDE_TRIES);
    stale_end(&s);
    assert_int_equal(used(f, t.id), 0);
    assert_null(inventory_agent(&f->c->inv, "a")); /* nobody has it in the store */
    joining_stats(f->c->joining, tw_wall_now().ns, &stats);
    assert_int_equal(stats.calls, 1);
    assert_int_equal(stats.refused, 1);
    a = ask(f, &j, "a", t.text, false); /* as agents do */
    expect(&a, TW__STATUS__STATUS_OK, "issued");
    assert_int_equal(used(f, t.id), 1);
    joiner_free(&j);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(approved_at_once),
        TEST(waits_for_an_operator),
        TEST(who_is_not_let_in),
        TEST(wrong_tokens_are_limited),
        TEST(revoked_and_removed_get_nothing),
        TEST(what_was_decided_too_early_is_decided_anew),
        TEST(a_token_lets_in_as_many_as_it_says),
        TEST(a_token_that_is_not_known_yet),
        TEST(not_more_of_two_at_once),
        TEST(it_is_not_tried_for_ever),
        cmocka_unit_test_setup_teardown(a_certificate_that_is_over_at_the_start_is_renewed, setup_over,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(without_authority, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
