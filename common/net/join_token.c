#include "common/net/join_token.h"
#include <fnmatch.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/hextext.h"
#include "common/id_secret.h"
#include "common/wire.h"

#define PREFIX "twj1."
#define PREFIX_LEN (sizeof PREFIX - 1)

_Static_assert(JOIN_ID_OCTETS == ID_SECRET_ID_OCTETS && JOIN_SECRET_OCTETS == ID_SECRET_OCTETS,
               "both are in the text");

static const char proof_label[] = "twampmesh-join-v1"; /* its NUL is signed too */

/* ---- The text ---- */

void join_token_make(const uint8_t random[JOIN_RANDOM_OCTETS], const uint8_t ca_hash[JOIN_HASH_OCTETS],
                     struct join_token *t, char text[JOIN_TOKEN_TEXT])
{
    char *to;

    hextext_format(random, JOIN_ID_OCTETS, t->id);
    SHA256(random + JOIN_ID_OCTETS, JOIN_SECRET_OCTETS, t->digest);
    memcpy(text, PREFIX, PREFIX_LEN);
    to = id_secret_format(random, text + PREFIX_LEN);
    *to++ = '.';
    base64url_encode(ca_hash, to);
}

enum tw_rc join_token_parse(const char *text, struct join_token_parts *ret, struct tw_err *err)
{
    uint8_t secret[JOIN_SECRET_OCTETS];
    const char *hash =
        strncmp(text, PREFIX, PREFIX_LEN) ? NULL : id_secret_parse(text + PREFIX_LEN, ret->id, secret);

    if (!hash || *hash != '.' || !base64url_decode(hash + 1, ret->ca_hash) || hash[1 + BASE64URL_CHARS]) {
        OPENSSL_cleanse(secret, sizeof secret);
        return tw_err_set(err, TW_EINVAL,
                          "expected a join token as twampctl token create prints it: twj1.ID.SECRET.CAHASH");
    }
    SHA256(secret, sizeof secret, ret->digest);
    OPENSSL_cleanse(secret, sizeof secret);
    return TW_OK;
}

/* ---- Whom it lets in ---- */

enum join_state join_token_state(const struct join_token *t, int64_t now_ns)
{
    return t->revoked_ns             ? JOIN_REVOKED
           : t->used >= t->uses      ? JOIN_USED_UP
           : now_ns >= t->expires_ns ? JOIN_EXPIRED
                                     : JOIN_USABLE;
}

const char *join_state_name(enum join_state s)
{
    static const char *const names[] = { "usable", "used", "expired", "revoked" };

    return names[s];
}

bool join_token_is(const struct join_token *t, const uint8_t digest[JOIN_HASH_OCTETS])
{
    return CRYPTO_memcmp(t->digest, digest, JOIN_HASH_OCTETS) == 0;
}

bool join_token_admits(const struct join_token *t, const char *name)
{
    return !t->name_glob[0] || fnmatch(t->name_glob, name, FNM_NOESCAPE) == 0;
}

/* ---- Labels ---- */

enum tw_rc join_token_add_label(struct join_token *t, const char *key, const char *value, struct tw_err *err)
{
    if (!label_key_ok(key) || !label_word_ok(value) || !*value)
        return tw_err_set(err, TW_EINVAL,
                          "\"%.64s=%.64s\" is no label: expected KEY=VALUE of letters, digits and -_./", key,
                          value);
    for (size_t i = 0; i < t->n_labels; i++)
        if (!strcmp(t->labels[i].key, key))
            return tw_err_set(err, TW_EINVAL, "there are two labels \"%.64s\"", key);
    if (t->n_labels == JOIN_LABELS_MAX)
        return tw_err_set(err, TW_EINVAL, "at most %d labels", JOIN_LABELS_MAX);
    snprintf(t->labels[t->n_labels].key, TW_LABEL_MAX, "%s", key);
    snprintf(t->labels[t->n_labels].value, TW_LABEL_MAX, "%s", value);
    t->n_labels++;
    return TW_OK;
}

const char *join_labels_format(const struct join_token *t, char ret[JOIN_LABELS_TEXT])
{
    size_t n = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < t->n_labels; i++)
        n += (size_t)snprintf(ret + n, JOIN_LABELS_TEXT - n, "%s%s=%s", i ? "," : "", t->labels[i].key,
                              t->labels[i].value);
    return ret;
}

enum tw_rc join_labels_parse(struct join_token *t, const char *text)
{
    char copy[JOIN_LABELS_TEXT], *save = NULL;

    t->n_labels = 0;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return TW_EINVAL;
    for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(p, '=');

        if (!eq)
            return TW_EINVAL;
        *eq = '\0';
        if (join_token_add_label(t, p, eq + 1, NULL))
            return TW_EINVAL;
    }
    return TW_OK;
}

/* ---- The proof ---- */

static void put_counted(struct wire_wr *w, const void *data, size_t len)
{
    wire_put_u32(w, (uint32_t)len);
    wire_put_bytes(w, data, len);
}

void join_proof_text(const uint8_t *csr, size_t csr_len, const char *name, const char *token,
                     uint8_t buf[JOIN_PROOF_TEXT], size_t *ret_len)
{
    struct wire_wr w = { .p = buf, .end = buf + JOIN_PROOF_TEXT };
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256(csr, csr_len, digest);
    wire_put_bytes(&w, proof_label, sizeof proof_label);
    put_counted(&w, digest, sizeof digest);
    put_counted(&w, name, strnlen(name, JOIN_NAME_MAX));
    put_counted(&w, token, strnlen(token, JOIN_TOKEN_TEXT));
    *ret_len = (size_t)(w.p - buf);
}
