#include "controller/core/access.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include "common/grow.h"
#include "common/hextext.h"
#include "common/id_secret.h"

#define PREFIX "twa1."
#define PREFIX_LEN (sizeof PREFIX - 1)

_Static_assert(PREFIX_LEN + ID_SECRET_CHARS + 1 == ACCESS_TOKEN_TEXT, "room for the text");
_Static_assert(ACCESS_ID_OCTETS == ID_SECRET_ID_OCTETS && ACCESS_SECRET_OCTETS == ID_SECRET_OCTETS,
               "both are in the text");
_Static_assert(ACCESS_DIGEST_OCTETS == SHA256_DIGEST_LENGTH, "room for the digest");

struct access {
    struct access_token *tokens; /* in the order of IDs */
    size_t n, cap, max;
};

/* ---- Words ---- */

static const char *const role_names[ACCESS_ROLES] = { "nobody", "viewer", "operator", "admin" };

const char *access_role_name(enum access_role r)
{
    return role_names[(unsigned)r < ACCESS_ROLES ? r : ACCESS_NOBODY];
}

enum tw_rc access_role_parse(const char *text, enum access_role *ret)
{
    for (unsigned i = ACCESS_VIEWER; i < ACCESS_ROLES; i++)
        if (!strcmp(text, role_names[i])) {
            *ret = (enum access_role)i;
            return TW_OK;
        }
    return TW_EINVAL;
}

const char *access_verdict_text(enum access_verdict v)
{
    switch (v) {
    case ACCESS_OK:
        return "the token is good";
    case ACCESS_MALFORMED:
        return "this is no access token: expected twa1.ID.SECRET, as twampctl access token create shows it "
               "once";
    case ACCESS_EXPIRED:
        return "the access token has expired: ask an admin for a new one (twampctl access token create)";
    case ACCESS_REVOKED:
        return "the access token has been revoked: ask an admin for a new one (twampctl access token create)";
    case ACCESS_UNKNOWN:
        break;
    }
    return "no such access token: ask an admin for one (twampctl access token create)";
}

const char *access_certificate_text(enum access_verdict v)
{
    switch (v) {
    case ACCESS_OK:
        return "the certificate is good";
    case ACCESS_EXPIRED:
        return "the operator's certificate has expired: ask an admin for a new one (twampctl ca operator)";
    case ACCESS_REVOKED:
        return "the operator's certificate has been revoked: ask an admin for a new one (twampctl ca "
               "operator)";
    case ACCESS_MALFORMED:
    case ACCESS_UNKNOWN:
        break;
    }
    return "the certificate is no operator's here: an admin makes one by twampctl ca operator";
}

/* ---- The text of a token ---- */

bool access_id_ok(const char *id)
{
    return hextext_is(id, ACCESS_ID_OCTETS);
}

static bool take_text(const char *text, char id[ACCESS_ID_TEXT], uint8_t secret[ACCESS_SECRET_OCTETS])
{
    const char *end =
        strncmp(text, PREFIX, PREFIX_LEN) ? NULL : id_secret_parse(text + PREFIX_LEN, id, secret);

    return end && !*end;
}

bool access_text_ok(const char *text)
{
    uint8_t secret[ACCESS_SECRET_OCTETS];
    char id[ACCESS_ID_TEXT];
    bool ok = take_text(text, id, secret);

    OPENSSL_cleanse(secret, sizeof secret);
    return ok;
}

void access_make(const uint8_t random[ACCESS_RANDOM_OCTETS], struct access_token *ret,
                 char text[ACCESS_TOKEN_TEXT])
{
    hextext_format(random, ACCESS_ID_OCTETS, ret->id);
    SHA256(random + ACCESS_ID_OCTETS, ACCESS_SECRET_OCTETS, ret->digest);
    memcpy(text, PREFIX, PREFIX_LEN);
    id_secret_format(random, text + PREFIX_LEN);
}

/* ---- The tokens ---- */

enum tw_rc access_new(size_t max_tokens, struct access **ret)
{
    struct access *a = calloc(1, sizeof *a);

    if (!a)
        return TW_ENOMEM;
    a->max = max_tokens;
    *ret = a;
    return TW_OK;
}

void access_free(struct access *a)
{
    if (!a)
        return;
    free(a->tokens);
    free(a);
}

/* Where it is, or should be. IDs are no secret: how long this takes tells nothing that matters. */
static size_t place(const struct access *a, const char *id, bool *ret_found)
{
    size_t low = 0, high = a->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(a->tokens[mid].id, id);

        if (c == 0) {
            *ret_found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_found = false;
    return low;
}

static enum tw_rc make_room(struct access *a)
{
    if (a->n >= a->max)
        return TW_ENOSPC;
    return TW_GROW(&a->tokens, a->n, &a->cap, 16) ? TW_OK : TW_ENOMEM;
}

enum tw_rc access_put(struct access *a, const struct access_token *t)
{
    bool found;
    size_t at = place(a, t->id, &found);
    enum tw_rc rc = found ? TW_OK : make_room(a);

    if (rc != TW_OK)
        return rc;
    if (!found) {
        memmove(a->tokens + at + 1, a->tokens + at, (a->n - at) * sizeof *a->tokens);
        a->n++;
    }
    a->tokens[at] = *t;
    return TW_OK;
}

bool access_remove(struct access *a, const char *id)
{
    bool found;
    size_t at = place(a, id, &found);

    if (!found)
        return false;
    a->n--;
    memmove(a->tokens + at, a->tokens + at + 1, (a->n - at) * sizeof *a->tokens);
    return true;
}

const struct access_token *access_get(const struct access *a, const char *id)
{
    bool found;
    size_t at = place(a, id, &found);

    return found ? &a->tokens[at] : NULL;
}

size_t access_count(const struct access *a)
{
    return a->n;
}

const struct access_token *access_at(const struct access *a, size_t i)
{
    return &a->tokens[i];
}

/* ---- Who is it ---- */

static enum access_verdict judge(const struct access_token *t, struct tw_wall now)
{
    if (t->revoked_ns)
        return ACCESS_REVOKED;
    return t->expires_ns && now.ns >= t->expires_ns ? ACCESS_EXPIRED : ACCESS_OK;
}

bool access_any(const struct access *a, struct tw_wall now)
{
    for (size_t i = 0; i < a->n; i++)
        if (judge(&a->tokens[i], now) == ACCESS_OK)
            return true;
    return false;
}

/* Fills *ret only with ACCESS_OK, and notes the use. */
static enum access_verdict use(struct access_token *t, struct tw_wall now, struct access_who *ret)
{
    enum access_verdict v = judge(t, now);

    if (v != ACCESS_OK)
        return v;
    t->used_ns = now.ns;
    *ret = (struct access_who){ .role = t->role };
    memcpy(ret->name, t->name, sizeof ret->name);
    memcpy(ret->id, t->id, sizeof ret->id);
    return ACCESS_OK;
}

enum access_verdict access_find(struct access *a, struct tw_wall now, const char *token_text,
                                struct access_who *ret)
{
    static const uint8_t nobodys[ACCESS_DIGEST_OCTETS]; /* of no secret that anybody could find */
    uint8_t secret[ACCESS_SECRET_OCTETS], digest[ACCESS_DIGEST_OCTETS];
    char id[ACCESS_ID_TEXT];
    bool found, right;
    size_t at;

    if (!take_text(token_text, id, secret))
        return ACCESS_MALFORMED;
    at = place(a, id, &found);
    SHA256(secret, sizeof secret, digest);
    OPENSSL_cleanse(secret, sizeof secret);
    right = !CRYPTO_memcmp(digest, found ? a->tokens[at].digest : nobodys, sizeof digest);
    if (!found || !right)
        return ACCESS_UNKNOWN;
    return use(&a->tokens[at], now, ret);
}

void access_certificate(const uint8_t sha256[ACCESS_CERTIFICATE_OCTETS], struct access_token *ret)
{
    static const char label[] = "twampmesh operator's certificate"; /* with its NUL: longer than a secret */
    uint8_t text[sizeof label + ACCESS_CERTIFICATE_OCTETS];

    memcpy(text, label, sizeof label);
    memcpy(text + sizeof label, sha256, ACCESS_CERTIFICATE_OCTETS);
    SHA256(text, sizeof text, ret->digest);
    hextext_format(ret->digest, ACCESS_ID_OCTETS, ret->id);
}

enum access_verdict access_find_certificate(struct access *a, struct tw_wall now,
                                            const uint8_t sha256[ACCESS_CERTIFICATE_OCTETS],
                                            struct access_who *ret)
{
    struct access_token t;
    bool found;
    size_t at;

    access_certificate(sha256, &t);
    at = place(a, t.id, &found);
    if (!found || CRYPTO_memcmp(t.digest, a->tokens[at].digest, sizeof t.digest) != 0)
        return ACCESS_UNKNOWN;
    return use(&a->tokens[at], now, ret);
}

enum access_verdict access_still(const struct access *a, struct tw_wall now, const char *id)
{
    const struct access_token *t = access_get(a, id);

    return t ? judge(t, now) : ACCESS_UNKNOWN;
}
