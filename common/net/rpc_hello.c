#include "common/net/rpc_hello.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "common/net/rpc_frame.h"
#include "common/version.h"
#include "common/wire.h"

/* Their NULs are signed, too. A label for each kind of transport: a proof cannot be carried from one to the other. */
static const char proof_label[] = "twampmesh-hello-v1", tls_proof_label[] = "twampmesh-hello-tls-v1";

/* ---- Both ---- */

bool hello_agent_name_ok(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-");

    return n > 0 && n < HELLO_NAME_TEXT && name[n] == '\0';
}

/* For people: fits, and holds nothing that a terminal acts on. */
static bool printable(const char *text, size_t cap)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return n < cap;
}

static void put_counted(struct wire_wr *w, const void *data, size_t len)
{
    wire_put_u32(w, (uint32_t)len);
    wire_put_bytes(w, data, len);
}

void hello_proof_text(const struct hello_id *id, const struct hello_channel *ch,
                      uint8_t buf[HELLO_PROOF_TEXT], size_t *ret_len)
{
    struct wire_wr w = { .p = buf, .end = buf + HELLO_PROOF_TEXT };

    if (ch->tls) {
        wire_put_bytes(&w, tls_proof_label, sizeof tls_proof_label);
        wire_put_bytes(&w, ch->binding, sizeof ch->binding);
    } else {
        wire_put_bytes(&w, proof_label, sizeof proof_label);
    }
    wire_put_bytes(&w, ch->nonce, HELLO_NONCE_LEN);
    put_counted(&w, id->name, strlen(id->name));
    put_counted(&w, id->boot_id, HELLO_ID_LEN);
    put_counted(&w, id->spool_id, HELLO_ID_LEN);
    *ret_len = (size_t)(w.p - buf);
}

static Tw__Status no(Tw__Status status, struct tw_err *err, const char *text)
{
    tw_err_set(err, TW_EINVAL, "%s", text);
    return status;
}

/* ---- Server ---- */

static bool copy_octets(const ProtobufCBinaryData *b, uint8_t *to, size_t len)
{
    if (b->len != len)
        return false;
    memcpy(to, b->data, len);
    return true;
}

static Tw__Status take_agent(const Tw__ClientHello *m, const struct hello_channel *ch, struct hello_id *id,
                             struct tw_err *err)
{
    uint8_t text[HELLO_PROOF_TEXT];
    size_t n;

    if (!hello_agent_name_ok(m->name))
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "agent names are 1 to 63 of a-z 0-9 . -");
    if (!copy_octets(&m->boot_id, id->boot_id, HELLO_ID_LEN) ||
        !copy_octets(&m->spool_id, id->spool_id, HELLO_ID_LEN))
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "boot_id and spool_id have 16 octets");
    if (!copy_octets(&m->public_key, id->public_key, IDENTITY_KEY_LEN))
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "public_key has 32 octets");
    id->others = m->others;
    hello_proof_text(id, ch, text, &n);
    if (!identity_verify(id->public_key, text, n, m->proof.data, m->proof.len))
        return no(TW__STATUS__STATUS_UNAUTHENTICATED, err,
                  "the proof was not made with this key for this connection");
    return TW__STATUS__STATUS_OK;
}

static Tw__Status take_operator(const Tw__ClientHello *m, struct hello_id *id, struct tw_err *err)
{
    if ((m->boot_id.len && !copy_octets(&m->boot_id, id->boot_id, HELLO_ID_LEN)) || m->spool_id.len ||
        m->public_key.len)
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "operators have no spool and no key");
    if (!printable(m->token, HELLO_TOKEN_TEXT))
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "token has at most 127 printable octets");
    snprintf(id->token, sizeof id->token, "%s", m->token);
    return TW__STATUS__STATUS_OK;
}

static Tw__Status take_joiner(const Tw__ClientHello *m, struct tw_err *err)
{
    if (!hello_agent_name_ok(m->name))
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "agent names are 1 to 63 of a-z 0-9 . -");
    if (m->boot_id.len || m->spool_id.len || m->public_key.len || m->proof.len)
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "who joins says its name and no more");
    return TW__STATUS__STATUS_OK;
}

static bool admits(struct hello_policy policy, Tw__Role role)
{
    return (role == TW__ROLE__ROLE_AGENT && policy.agents) || (role == TW__ROLE__ROLE_OPERATOR && policy.operators) ||
           (role == TW__ROLE__ROLE_JOINER && policy.joiners);
}

static Tw__Status check_common(const Tw__ClientHello *m, struct hello_policy policy, struct tw_err *err)
{
    if (m->version < tw_rpc_version_min || m->version > tw_rpc_version_max) {
        tw_err_set(err, TW_EVERSION,
                   "%.60s speaks protocol version %u, expected %u to %u: install the release of this controller (%s) there, or one next to it",
                   printable(m->software, HELLO_SOFTWARE_TEXT) ? m->software : "it", m->version, tw_rpc_version_min, tw_rpc_version_max,
                   tw_version);
        return TW__STATUS__STATUS_FAILED_PRECONDITION;
    }
    if (!admits(policy, m->role))
        return no(TW__STATUS__STATUS_FAILED_PRECONDITION, err, "this address does not admit that role");
    if (!printable(m->name, HELLO_NAME_TEXT) || m->name[0] == '\0')
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "name has 1 to 63 printable octets");
    if (!printable(m->software, HELLO_SOFTWARE_TEXT))
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "software has at most 127 printable octets");
    return TW__STATUS__STATUS_OK;
}

Tw__Status hello_check_client(const uint8_t *body, size_t len, struct hello_policy policy,
                              const struct hello_channel *ch, struct arena *a, struct hello_id *ret,
                              struct tw_err *err)
{
    ProtobufCMessage *any = NULL;
    const Tw__ClientHello *m;
    struct hello_id id = { 0 };
    Tw__Status status;

    if (rpc_body_unpack(&tw__client_hello__descriptor, body, len, a, &any, err))
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    m = (const Tw__ClientHello *)any;
    status = check_common(m, policy, err);
    if (status)
        return status;
    id.role = m->role;
    id.version = m->version;
    snprintf(id.name, sizeof id.name, "%s", m->name);
    snprintf(id.software, sizeof id.software, "%s", m->software);
    if (id.role == TW__ROLE__ROLE_AGENT)
        status = take_agent(m, ch, &id, err);
    else
        status = id.role == TW__ROLE__ROLE_JOINER ? take_joiner(m, err) : take_operator(m, &id, err);
    if (!status)
        *ret = id;
    return status;
}

/* ---- Client ---- */

Tw__Status hello_check_server(const uint8_t *body, size_t len, struct arena *a, struct hello_server *ret,
                              struct tw_err *err)
{
    ProtobufCMessage *any = NULL;
    const Tw__ServerHello *m;

    if (rpc_body_unpack(&tw__server_hello__descriptor, body, len, a, &any, err))
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    m = (const Tw__ServerHello *)any;
    if (m->version_min > m->version_max || m->nonce.len != HELLO_NONCE_LEN ||
        !printable(m->controller, HELLO_NAME_TEXT))
        return no(TW__STATUS__STATUS_INVALID_ARGUMENT, err, "the server's HELLO is malformed");
    if (m->version_max < tw_rpc_version_min || m->version_min > tw_rpc_version_max) {
        tw_err_set(err, TW_EVERSION,
                   "the server speaks protocol versions %u to %u, this program (%s) %u to %u: install the release of the server, or one next to it",
                   m->version_min, m->version_max, tw_version, tw_rpc_version_min, tw_rpc_version_max);
        return TW__STATUS__STATUS_FAILED_PRECONDITION;
    }
    ret->version = m->version_max < tw_rpc_version_max ? m->version_max : tw_rpc_version_max;
    memcpy(ret->nonce, m->nonce.data, HELLO_NONCE_LEN);
    snprintf(ret->controller, sizeof ret->controller, "%s", m->controller);
    return TW__STATUS__STATUS_OK;
}

static ProtobufCBinaryData octets(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)data };
}

enum tw_rc hello_make_client(const struct hello_id *id, const struct identity *key,
                             const struct hello_server *server, const struct hello_channel *ch,
                             uint8_t sig[IDENTITY_SIG_LEN], Tw__ClientHello *ret)
{
    struct hello_channel here = ch ? *ch : (struct hello_channel){ .tls = false };
    uint8_t text[HELLO_PROOF_TEXT];
    size_t n;

    tw__client_hello__init(ret);
    ret->version = server->version;
    ret->role = id->role;
    ret->name = (char *)id->name;
    ret->software = (char *)id->software;
    ret->others = id->others;
    if (*id->token)
        ret->token = (char *)id->token;
    if (!key)
        return TW_OK;
    ret->boot_id = octets(id->boot_id, HELLO_ID_LEN);
    ret->spool_id = octets(id->spool_id, HELLO_ID_LEN);
    ret->public_key = octets(id->public_key, IDENTITY_KEY_LEN);
    ret->proof = octets(sig, IDENTITY_SIG_LEN);
    memcpy(here.nonce, server->nonce, HELLO_NONCE_LEN);
    hello_proof_text(id, &here, text, &n);
    return identity_sign(key, text, n, sig);
}
