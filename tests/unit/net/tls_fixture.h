/* The fixture of the RPC layer with TLS: a CA, and certificates of every kind that a test wants. */
#ifndef TW_TEST_TLS_FIXTURE_H
#define TW_TEST_TLS_FIXTURE_H

#include "common/net/pki.h"
#include "tests/unit/net/rpc_fixture.h"

#define HOUR_NS (3600 * TW_NS_PER_S)

struct ca {
    struct pki_key *key;
    struct pki_cert *cert;
    struct pki_octets pem;
};

/* A certificate and its key, as texts. */
struct shown {
    struct pki_octets cert, key;
};

struct tls_fixture {
    struct fixture f; /* first */
    struct ca ca, other_ca;
    struct shown server, agent;
    struct rpc_tls server_tls, client_tls; /* what the two ends say when asked */
    unsigned asked;
};

static inline int64_t wall_ns(void)
{
    return tw_wall_now().ns;
}

static inline void make_ca(const char *name, struct ca *ret)
{
    MUST(pki_ca_make(name, wall_ns() - 10 * HOUR_NS, 1000 * HOUR_NS, &ret->key, &ret->cert));
    MUST(pki_cert_to_pem(ret->cert, &ret->pem));
}

static inline void free_ca(struct ca *c)
{
    pki_octets_free(&c->pem);
    pki_cert_free(c->cert);
    pki_key_free(c->key);
}

/* Valid from `from_ns` from now for life_ns. */
static inline void issue(const struct ca *ca, enum pki_purpose purpose, const char *name, const char *host,
                         int64_t from_ns, int64_t life_ns, struct shown *ret)
{
    struct pki_issue what = { .purpose = purpose,
                              .name = name,
                              .hosts = &host,
                              .n_hosts = host ? 1 : 0,
                              .now_ns = wall_ns() + from_ns,
                              .life_ns = life_ns };
    struct pki_octets der = { 0 };
    struct pki_key *key = NULL;
    struct pki_csr *csr = NULL;
    struct pki_cert *cert = NULL;
    struct tw_err err = { 0 };

    MUST(pki_key_make(&key));
    MUST(pki_csr_make(key, "any", &der));
    MUST(pki_csr_from_der(der.data, der.len, &csr, &err));
    if (pki_issue(ca->cert, ca->key, csr, &what, &cert, &err))
        fail_msg("%s: %s", name, err.text);
    MUST(pki_cert_to_pem(cert, &ret->cert));
    MUST(pki_key_to_pem(key, &ret->key));
    pki_octets_free(&der);
    pki_csr_free(csr);
    pki_cert_free(cert);
    pki_key_free(key);
}

static inline void free_shown(struct shown *s)
{
    pki_octets_free(&s->cert);
    pki_octets_free(&s->key);
}

static inline struct rpc_tls tls_of(const struct ca *ca, const struct shown *s)
{
    return (struct rpc_tls){ .ca = ca ? (const char *)ca->pem.data : NULL,
                             .certificate = s ? (const char *)s->cert.data : NULL,
                             .key = s ? (const char *)s->key.data : NULL };
}

static inline enum tw_rc tell_tls(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    struct tls_fixture *t = ctx;

    (void)err;
    t->asked++;
    *ret = t->client_tls;
    return TW_OK;
}

static inline struct rpc_server_conf tls_server_conf(struct tls_fixture *t)
{
    struct rpc_server_conf c = server_conf(&t->f);

    c.tls = &t->server_tls;
    return c;
}

static inline struct rpc_client_conf tls_client_conf(struct tls_fixture *t)
{
    struct rpc_client_conf c = client_conf(&t->f);

    c.tls = tell_tls;
    c.tls_ctx = t;
    return c;
}

static inline void tls_serve(struct tls_fixture *t, struct rpc_server_conf c)
{
    snprintf(t->f.url, sizeof t->f.url, "tls+tcp://127.0.0.1:0");
    serve(&t->f, c);
    snprintf(t->f.url, sizeof t->f.url, "tls+tcp://127.0.0.1:%u", rpc_server_port(t->f.server));
}

static inline void tls_connect(struct tls_fixture *t)
{
    tls_serve(t, tls_server_conf(t));
    dial_in(&t->f, tls_client_conf(t));
    WAIT(both_up, 0);
}

/* setup() makes a plain fixture; it moves in here. */
static inline int tls_setup(void **state)
{
    struct tls_fixture *t = calloc(1, sizeof *t);
    void *plain = NULL;

    if (!t || setup(&plain))
        return -1;
    t->f = *(struct fixture *)plain;
    free(plain);
    the = &t->f;
    make_ca("test CA", &t->ca);
    make_ca("test CA", &t->other_ca); /* of the same name: only its key tells it apart */
    issue(&t->ca, PKI_SERVER, "ctl", "127.0.0.1", 0, HOUR_NS, &t->server);
    issue(&t->ca, PKI_AGENT, "ams-1", NULL, 0, HOUR_NS, &t->agent);
    t->server_tls = tls_of(&t->ca, &t->server);
    t->client_tls = tls_of(&t->ca, &t->agent);
    *state = t;
    return 0;
}

static inline int tls_teardown(void **state)
{
    struct tls_fixture *t = *state;

    free_shown(&t->server);
    free_shown(&t->agent);
    free_ca(&t->ca);
    free_ca(&t->other_ca);
    return teardown(state); /* frees t: the fixture is its first member */
}

#endif
