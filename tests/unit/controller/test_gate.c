/* Who comes in as whom, what each role may, that connections end with their token, and what of all that is in
 * the audit log. */
#include "tests/unit/controller/fixture.h"
#include "controller/admin.h"
#include "controller/audit.h"
#include "controller/gate.h"

/* ---- Calls by the name of their method ---- */

struct call {
    bool done;
    Tw__Status status;
    char detail[256];
    ProtobufCMessage *reply; /* a copy */
};

static void call_done(const ProtobufCMessage *m, void *ctx)
{
    struct call *c = ctx;
    struct rpc_result r = rpc_result();
    uint8_t *data;
    size_t len;

    c->done = true;
    c->status = r.status;
    snprintf(c->detail, sizeof c->detail, "%s", r.detail);
    if (!m)
        return;
    len = protobuf_c_message_get_packed_size(m);
    data = malloc(len + 1);
    protobuf_c_message_pack(m, data);
    c->reply = protobuf_c_message_unpack(m->descriptor, NULL, len, data);
    free(data);
}

static void call_free(struct call *c)
{
    if (c->reply)
        protobuf_c_message_free_unpacked(c->reply, NULL);
    c->reply = NULL;
}

static struct call call_on(struct fixture *f, struct rpc_peer *p, const char *method,
                           const ProtobufCMessage *rq)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    const ProtobufCMethodDescriptor *m = protobuf_c_service_descriptor_get_method_by_name(d, method);
    ProtobufCService *s = rpc_peer_service(p, RPC_ADMIN, d, 20000);
    struct call c = { 0 };

    assert_non_null(m);
    s->invoke(s, (unsigned)(m - d->methods), rq, call_done, &c);
    WAIT(c.done);
    return c;
}

/* ---- Operators with tokens ---- */

struct op {
    struct rpc_client *client;
    struct rpc_peer *peer;
    bool down, refused;
    Tw__Status status;
    char why[256];
};

static void up(void *ctx, struct rpc_peer *p)
{
    ((struct op *)ctx)->peer = p;
}

static void down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct op *o = ctx;

    o->peer = NULL;
    o->down = true;
    o->refused = !p;
    o->status = status;
    snprintf(o->why, sizeof o->why, "%s", detail);
}

static void connect_op(struct fixture *f, struct op *o, const char *token)
{
    struct tw_err err = { 0 };
    struct rpc_client_conf c = { .loop = f->loop,
                                 .url = f->admin_url,
                                 .role = TW__ROLE__ROLE_OPERATOR,
                                 .name = "tester",
                                 .software = "test",
                                 .token = token,
                                 .once = true,
                                 .hooks = { .ctx = o, .on_up = up, .on_down = down } };

    memset(o, 0, sizeof *o);
    if (rpc_client_start(&c, &o->client, &err) != TW_OK)
        fail_msg("operator: %s", err.text);
    WAIT(o->peer || o->down);
}

static void make_token(struct fixture *f, const char *name, const char *role, int64_t duration_ns,
                       char text[ACCESS_TOKEN_TEXT], char id[ACCESS_ID_TEXT])
{
    Tw__AccessCreateRequest rq = TW__ACCESS_CREATE_REQUEST__INIT;
    struct call c;
    const Tw__AccessCreateReply *reply;

    rq.name = (char *)name;
    rq.role = (char *)role;
    rq.duration_ns = duration_ns;
    WAIT(f->op);
    c = call_on(f, f->op, "AccessCreate", &rq.base);
    if (c.status)
        fail_msg("AccessCreate: %s", c.detail);
    reply = (const Tw__AccessCreateReply *)c.reply;
    snprintf(text, ACCESS_TOKEN_TEXT, "%s", reply->text);
    if (id)
        snprintf(id, ACCESS_ID_TEXT, "%s", reply->token->id);
    assert_string_equal(reply->token->role, role);
    assert_string_equal(reply->token->state, "active");
    call_free(&c);
}

static struct call revoke_token(struct fixture *f, struct rpc_peer *p, const char *id)
{
    Tw__AccessRevokeRequest rq = TW__ACCESS_REVOKE_REQUEST__INIT;

    rq.id = (char *)id;
    return call_on(f, p, "AccessRevoke", &rq.base);
}

/* ---- Each role, each method ---- */

static void each_role_may_what_the_table_says(void **state)
{
    static const char *const roles[] = { "viewer", "operator", "admin" };
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    struct fixture *f = *state;
    unsigned refused = 0, allowed = 0;

    for (size_t r = 0; r < TW_NELEM(roles); r++) {
        char token[ACCESS_TOKEN_TEXT];
        struct op o;

        make_token(f, roles[r], roles[r], 0, token, NULL);
        connect_op(f, &o, token);
        if (!o.peer)
            fail_msg("%s: %s", roles[r], o.why);
        for (unsigned m = 0; m < d->n_methods; m++) {
            ProtobufCMessage *rq = calloc(1, d->methods[m].input->sizeof_message);
            bool may = (enum access_role)(ACCESS_VIEWER + r) >= admin_needs(m).role;
            struct call c;

            d->methods[m].input->message_init(rq);
            c = call_on(f, o.peer, d->methods[m].name, rq);
            if ((c.status != TW__STATUS__STATUS_PERMISSION_DENIED) != may)
                fail_msg("%s called by a %s: %s %s", d->methods[m].name, roles[r], rpc_status_name(c.status),
                         c.detail);
            if (!may && (!strstr(c.detail, roles[r]) || !strstr(c.detail, d->methods[m].name)))
                fail_msg("%s called by a %s is told: %s", d->methods[m].name, roles[r], c.detail);
            allowed += may;
            refused += !may;
            call_free(&c);
            free(rq);
        }
        rpc_client_stop(o.client);
    }
    assert_true(refused > 20 && allowed > 100);
}

/* ---- Tokens ---- */

static void wrong_tokens_do_not_come_in(void **state)
{
    struct fixture *f = *state;
    char token[ACCESS_TOKEN_TEXT];
    struct op o;

    make_token(f, "ann", "viewer", 0, token, NULL);
    token[ACCESS_TOKEN_TEXT - 5] = token[ACCESS_TOKEN_TEXT - 5] == 'A' ? 'B' : 'A';
    connect_op(f, &o, token);
    assert_true(o.refused);
    assert_int_equal(o.status, TW__STATUS__STATUS_UNAUTHENTICATED);
    assert_non_null(strstr(o.why, "no such access token"));
    rpc_client_stop(o.client);
    connect_op(f, &o, "nonsense");
    assert_true(o.refused);
    assert_non_null(strstr(o.why, "twa1.ID.SECRET"));
    rpc_client_stop(o.client);
}

static void a_token_is_not_sent_in_the_clear(void **state)
{
    struct fixture *f = *state;
    struct rpc_client *client = NULL;
    struct tw_err err = { 0 };

    assert_int_equal(rpc_client_start(&(struct rpc_client_conf){ .loop = f->loop,
                                                                 .url = "tcp://127.0.0.1:1",
                                                                 .role = TW__ROLE__ROLE_OPERATOR,
                                                                 .name = "t",
                                                                 .software = "t",
                                                                 .token = "twa1.x" },
                                      &client, &err),
                     TW_EINVAL);
    assert_non_null(strstr(err.text, "tls+tcp://"));
}

static void connections_end_with_their_token(void **state)
{
    struct fixture *f = *state;
    char token[2][ACCESS_TOKEN_TEXT], id[ACCESS_ID_TEXT];
    struct op revoked, expired;
    struct gate_counters n;
    struct call c;

    make_token(f, "ann", "operator", 0, token[0], id);
    make_token(f, "bob", "operator", 2 * TW_NS_PER_S, token[1], NULL);
    connect_op(f, &revoked, token[0]);
    connect_op(f, &expired, token[1]);
    assert_true(revoked.peer && expired.peer);
    c = revoke_token(f, f->op, id);
    assert_int_equal(c.status, TW__STATUS__STATUS_OK);
    assert_string_equal(((const Tw__AccessRevokeReply *)c.reply)->token->state, "revoked");
    call_free(&c);
    WAIT(revoked.down);
    assert_int_equal(revoked.status, TW__STATUS__STATUS_UNAUTHENTICATED);
    assert_non_null(strstr(revoked.why, "revoked"));
    WAIT(expired.down); /* by itself: WAIT() gives up before any other timer of ours ends it */
    assert_non_null(strstr(expired.why, "expired"));
    rpc_client_stop(revoked.client);
    rpc_client_stop(expired.client);
    connect_op(f, &revoked, token[0]);
    assert_true(revoked.refused && strstr(revoked.why, "revoked"));
    rpc_client_stop(revoked.client);
    gate_counters(f->c->gate, &n);
    assert_int_equal(n.cut_off, 2);
    assert_int_equal(n.tokens, 0);
}

/* The answer comes before the end. */
static void who_revokes_himself_is_told(void **state)
{
    struct fixture *f = *state;
    char token[ACCESS_TOKEN_TEXT], id[ACCESS_ID_TEXT];
    struct call c;
    struct op o;

    make_token(f, "root", "admin", 0, token, id);
    connect_op(f, &o, token);
    c = revoke_token(f, o.peer, id);
    assert_int_equal(c.status, TW__STATUS__STATUS_OK);
    call_free(&c);
    WAIT(o.down);
    rpc_client_stop(o.client);
}

static void what_cannot_be_made(void **state)
{
    static const struct {
        const char *name, *role;
        Tw__Status status;
    } rows[] = {
        { "", "viewer", TW__STATUS__STATUS_INVALID_ARGUMENT },
        { "with blank", "viewer", TW__STATUS__STATUS_INVALID_ARGUMENT },
        { "x", "root", TW__STATUS__STATUS_INVALID_ARGUMENT },
        { "x", "", TW__STATUS__STATUS_INVALID_ARGUMENT },
        { "taken", "viewer", TW__STATUS__STATUS_ALREADY_EXISTS },
    };
    struct fixture *f = *state;
    char token[ACCESS_TOKEN_TEXT], id[ACCESS_ID_TEXT];
    struct call c;

    make_token(f, "taken", "viewer", 0, token, id);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        Tw__AccessCreateRequest rq = TW__ACCESS_CREATE_REQUEST__INIT;

        rq.name = (char *)rows[i].name;
        rq.role = (char *)rows[i].role;
        c = call_on(f, f->op, "AccessCreate", &rq.base);
        if (c.status != rows[i].status)
            fail_msg("row %zu: %s %s", i, rpc_status_name(c.status), c.detail);
        call_free(&c);
    }
    c = revoke_token(f, f->op, "0000000000000000");
    assert_int_equal(c.status, TW__STATUS__STATUS_NOT_FOUND);
    c = revoke_token(f, f->op, id);
    call_free(&c);
    c = revoke_token(f, f->op, id);
    assert_int_equal(c.status, TW__STATUS__STATUS_ALREADY_EXISTS);
    make_token(f, "taken", "viewer", 0, token, NULL); /* the name is free again */
}

/* Two who ask for the same name at the same time. */
static void a_name_is_given_once(void **state)
{
    struct fixture *f = *state;
    Tw__AccessCreateRequest rq = TW__ACCESS_CREATE_REQUEST__INIT;
    struct call c[2] = { { 0 } };

    WAIT(f->op);
    rq.name = (char *)"twin";
    rq.role = (char *)"viewer";
    for (size_t i = 0; i < 2; i++)
        tw__admin__access_create(rpc_peer_service(f->op, RPC_ADMIN, &tw__admin__descriptor, 20000), &rq,
                                 (Tw__AccessCreateReply_Closure)call_done, &c[i]);
    WAIT(c[0].done && c[1].done);
    assert_int_equal(c[0].status + c[1].status, TW__STATUS__STATUS_ALREADY_EXISTS); /* and one is OK */
    call_free(&c[0]);
    call_free(&c[1]);
}

static void tokens_outlive_a_restart(void **state)
{
    struct fixture *f = *state;
    char good[ACCESS_TOKEN_TEXT], bad[ACCESS_TOKEN_TEXT], id[ACCESS_ID_TEXT];
    struct call c;
    struct op o;

    make_token(f, "good", "viewer", 0, good, NULL);
    make_token(f, "bad", "viewer", 0, bad, id);
    c = revoke_token(f, f->op, id);
    call_free(&c);
    connect_op(f, &o, good);
    rpc_client_stop(o.client);
    stop_controller(f);
    f->op = NULL; /* until it is there again */
    start_controller(f);
    connect_op(f, &o, good);
    assert_non_null(o.peer);
    rpc_client_stop(o.client);
    connect_op(f, &o, bad);
    assert_true(o.refused);
    rpc_client_stop(o.client);
    assert_true(access_at(gate_tokens(f->c->gate), 0)->used_ns > 0 ||
                access_at(gate_tokens(f->c->gate), 1)->used_ns > 0);
    WAIT(f->op);
}

/* ---- The audit log ---- */

/* Newest first. */
static struct call audit(struct fixture *f, const char *who, const char *what, bool refused)
{
    Tw__AuditListRequest rq = TW__AUDIT_LIST_REQUEST__INIT;

    rq.who = (char *)who;
    rq.what = (char *)what;
    rq.refused = refused;
    WAIT(f->op);
    return call_on(f, f->op, "AuditList", &rq.base);
}

#define ENTRY(call, i) (((const Tw__AuditListReply *)(call).reply)->entries[i])
#define ENTRIES(call) (((const Tw__AuditListReply *)(call).reply)->n_entries)

static void changes_are_in_the_audit_log(void **state)
{
    struct fixture *f = *state;
    struct op_result r;
    struct call c;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.1");
    r = apply(f, MESH_AB, true); /* a plan is no change */
    assert_true(r.ok);
    r = apply(f, MESH_AB, false);
    assert_true(r.ok);
    r = apply(f, "mesh: [\n", false);
    assert_true(r.in_document);
    c = audit(f, "", "schedule", false);
    assert_int_equal(ENTRIES(c), 2);
    assert_string_equal(ENTRY(c, 0)->result, "FAILED_PRECONDITION");
    assert_non_null(strstr(ENTRY(c, 0)->detail, r.text));
    assert_string_equal(ENTRY(c, 1)->result, "OK");
    assert_string_equal(ENTRY(c, 1)->method, "ScheduleApply");
    assert_string_equal(ENTRY(c, 1)->role, "admin");
    assert_string_equal(ENTRY(c, 1)->way, "socket");
    assert_non_null(strstr(ENTRY(c, 1)->before, "generation"));
    assert_null(strstr(ENTRY(c, 1)->before, "mesh lab"));
    assert_non_null(strstr(ENTRY(c, 1)->after, "mesh lab: runs"));
    assert_non_null(strstr(ENTRY(c, 1)->after, "sha256:"));
    call_free(&c);
    c = audit(f, "", "AgentApprove", false);
    assert_int_equal(ENTRIES(c), 2);
    assert_string_equal(ENTRY(c, 1)->subject, "a");
    assert_non_null(strstr(ENTRY(c, 1)->before, "agent a: pending"));
    assert_non_null(strstr(ENTRY(c, 1)->after, "agent a: approved"));
    call_free(&c);
}

/* The kernel says who it is on a socket. */
static void the_user_of_a_socket_is_known(void **state)
{
    struct fixture *f = *state;
    char token[ACCESS_TOKEN_TEXT], origin[64];
    struct call c;

    make_token(f, "x", "viewer", 0, token, NULL);
    c = audit(f, "", "AccessCreate", false);
    snprintf(origin, sizeof origin, "uid %u pid %d", (unsigned)getuid(), (int)getpid());
    assert_string_equal(ENTRY(c, 0)->origin, origin);
    assert_string_equal(ENTRY(c, 0)->subject, "x");
    assert_null(strstr(ENTRY(c, 0)->request, "twa1")); /* nor anywhere else */
    assert_null(strstr(ENTRY(c, 0)->after, token + 22));
    call_free(&c);
}

static void refused_tries_are_in_the_audit_log(void **state)
{
    struct fixture *f = *state;
    Tw__MeshRequest rq = TW__MESH_REQUEST__INIT;
    char token[ACCESS_TOKEN_TEXT], id[ACCESS_ID_TEXT];
    struct call c;
    struct op o;

    make_token(f, "eve", "viewer", 0, token, id);
    connect_op(f, &o, token);
    rq.name = (char *)"lab";
    c = call_on(f, o.peer, "ScheduleDelete", &rq.base);
    assert_int_equal(c.status, TW__STATUS__STATUS_PERMISSION_DENIED);
    call_free(&c);
    rpc_client_stop(o.client);
    c = audit(f, "eve", "", true);
    assert_int_equal(ENTRIES(c), 1);
    assert_string_equal(ENTRY(c, 0)->method, "ScheduleDelete");
    assert_string_equal(ENTRY(c, 0)->subject, "lab");
    assert_string_equal(ENTRY(c, 0)->result, "PERMISSION_DENIED");
    assert_string_equal(ENTRY(c, 0)->token_id, id);
    call_free(&c);
    connect_op(f, &o, "nonsense");
    rpc_client_stop(o.client);
    c = audit(f, "", "Login", true);
    assert_int_equal(ENTRIES(c), 1);
    assert_string_equal(ENTRY(c, 0)->role, "nobody");
    call_free(&c);
}

/* Whoever is refused again and again does not fill the disk. */
static void refusals_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct actor eve = { .who = { .name = "eve", .role = ACCESS_VIEWER },
                         .way = "http",
                         .origin = "192.0.2.1" };
    struct audit_counters n;

    for (int i = 0; i < 1000; i++)
        audit_refused(f->c->audit, &eve, "AgentRevoke", "x", TW__STATUS__STATUS_PERMISSION_DENIED, "no");
    WAIT((audit_counters(f->c->audit, &n), n.written >= 200));
    assert_true(n.held_back >= 700 && n.held_back <= 800); /* 200, and one more a second */
    assert_int_equal(n.lost, 0);
}

/* Its first row is on the disk before it begins; the controller that ends meanwhile still writes how it went.
 */
static void a_change_under_way_is_recorded(void **state)
{
    struct fixture *f = *state;
    struct actor ann = { .who = { .name = "ann", .role = ACCESS_OPERATOR },
                         .way = "tls",
                         .origin = "192.0.2.1" };
    struct audit_entry *done = audit_begin(f->c->audit, &ann, "AgentDrain", "a", "{}", "before\n");
    struct audit_entry *open = audit_begin(f->c->audit, &ann, "AgentDrain", "b", "{}", "before\n");
    struct call c;

    assert_true(done && open);
    c = audit(f, "ann", "", false);
    assert_int_equal(ENTRIES(c), 2);
    assert_string_equal(ENTRY(c, 0)->result, "BEGUN");
    call_free(&c);
    audit_end(done, TW__STATUS__STATUS_OK, "", "before\n", "after\n");
    audit_end(open, TW__STATUS__STATUS_ABORTED, "why not", "", "");
    stop_controller(f);
    f->op = NULL; /* until it is there again */
    start_controller(f);
    c = audit(f, "ann", "", false);
    assert_int_equal(ENTRIES(c), 2);
    assert_string_equal(ENTRY(c, 0)->result, "ABORTED");
    assert_string_equal(ENTRY(c, 0)->detail, "why not");
    assert_string_equal(ENTRY(c, 1)->after, "after\n");
    call_free(&c);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(each_role_may_what_the_table_says),
        T(wrong_tokens_do_not_come_in),
        T(a_token_is_not_sent_in_the_clear),
        T(connections_end_with_their_token),
        T(who_revokes_himself_is_told),
        T(what_cannot_be_made),
        T(a_name_is_given_once),
        T(tokens_outlive_a_restart),
        T(changes_are_in_the_audit_log),
        T(the_user_of_a_socket_is_known),
        T(refused_tries_are_in_the_audit_log),
        T(refusals_are_bounded),
        T(a_change_under_way_is_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
