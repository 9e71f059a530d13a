#include "tests/fuzz/good_joins.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/net/identity.h"
#include "common/net/join_token.h"
#include "common/net/pki.h"
#include "join.pb-c.h"
#include "tests/fuzz/check.h"

enum { AGENTS = 2, KEYS = 2 };
/* Bits of `which`. */
enum { AGENT = 1, KEY = 2, OTHER_NAME = 4, TAKEN_NAME = 8, OTHER_PROOF = 0x10, SPOILT_REQUEST = 0x20 };

static struct {
    struct identity *agents[AGENTS];
    struct pki_octets requests[KEYS]; /* in DER */
} w;

static void at_end(void)
{
    for (size_t i = 0; i < AGENTS; i++)
        identity_free(w.agents[i]);
    for (size_t i = 0; i < KEYS; i++)
        pki_octets_free(&w.requests[i]);
}

static void make_identity(struct identity **ret)
{
    char dir[] = "/tmp/tw-fuzz-XXXXXX", file[64];
    struct tw_err err = { 0 };

    CHECK(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/key", dir);
    CHECK(identity_load(file, ret, &err) == TW_OK);
    CHECK(unlink(file) == 0 && rmdir(dir) == 0);
}

/* Once: all of it takes longer than an input. */
static void prepare(void)
{
    if (w.agents[0])
        return;
    atexit(at_end);
    for (size_t i = 0; i < AGENTS; i++)
        make_identity(&w.agents[i]);
    for (size_t i = 0; i < KEYS; i++) {
        struct pki_key *k = NULL;
        CHECK(pki_key_make(&k) == TW_OK && pki_csr_make(k, "joiner", &w.requests[i]) == TW_OK);
        pki_key_free(k);
    }
}

static ProtobufCBinaryData request(uint8_t which)
{
    const struct pki_octets *q = &w.requests[which & KEY ? 1 : 0];

    return (ProtobufCBinaryData){ which & SPOILT_REQUEST ? q->len - 1 : q->len, q->data };
}

size_t good_join(uint8_t which, const char *token, uint8_t *out, size_t cap)
{
    static const char *const names[AGENTS] = { "lon", "par" };
    size_t agent = which & AGENT ? 1 : 0, n;
    uint8_t key[IDENTITY_KEY_LEN], sig[IDENTITY_SIG_LEN], text[JOIN_PROOF_TEXT];
    Tw__JoinRequest rq = TW__JOIN_REQUEST__INIT;

    prepare();
    rq.token = (char *)token;
    rq.name = (char *)(which & TAKEN_NAME ? "ams" : names[which & OTHER_NAME ? !agent : agent]);
    rq.csr = request(which);
    rq.software = (char *)"fuzz 1";
    join_proof_text(rq.csr.data, rq.csr.len, rq.name, token, text, &n);
    CHECK(identity_sign(w.agents[agent], text, n, sig) == TW_OK);
    identity_public(w.agents[which & OTHER_PROOF ? !agent : agent], key);
    rq.public_key = (ProtobufCBinaryData){ sizeof key, key };
    rq.proof = (ProtobufCBinaryData){ sizeof sig, sig };
    CHECK(tw__join_request__get_packed_size(&rq) <= cap);
    return tw__join_request__pack(&rq, out);
}

size_t good_renew(uint8_t which, uint8_t *out, size_t cap)
{
    Tw__RenewRequest rq = TW__RENEW_REQUEST__INIT;

    prepare();
    rq.csr = request(which);
    CHECK(tw__renew_request__get_packed_size(&rq) <= cap);
    return tw__renew_request__pack(&rq, out);
}
