/* The text of a token, as anybody may send it, to those who have given out some: good ones of each role, one
 * that has expired, one that was revoked, one that was forgotten. The same octets as an operator's
 * certificate, as an ID and as the name of a role. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/access.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KINDS = 6, MANY = 20 };
#define NOW_NS 1000

static const struct kind {
    struct access_token t;
    enum access_verdict found; /* by its text, and by its ID */
    bool forgotten;
} kinds[KINDS] = {
    { { .role = ACCESS_OPERATOR, .name = "operator" }, ACCESS_OK, false },
    { { .role = ACCESS_VIEWER, .name = "viewer", .expires_ns = NOW_NS + 1 }, ACCESS_OK, false },
    { { .role = ACCESS_ADMIN, .name = "expired", .expires_ns = NOW_NS }, ACCESS_EXPIRED, false },
    { { .role = ACCESS_ADMIN, .name = "revoked", .expires_ns = 1, .revoked_ns = 1 }, ACCESS_REVOKED, false },
    { { .role = ACCESS_ADMIN, .name = "forgotten" }, ACCESS_UNKNOWN, true },
    { { .role = ACCESS_ADMIN, .name = "admin", .expires_ns = INT64_MAX }, ACCESS_OK, false },
};

static struct {
    struct access *a;
    struct access_token made[KINDS];
    char text[KINDS][ACCESS_TOKEN_TEXT];
} w;

static const struct tw_wall now = { NOW_NS };

/* The token of kind k is of the octets k, k + 1, ..., k + 39. */
static void make(unsigned k)
{
    uint8_t random[ACCESS_RANDOM_OCTETS];

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(k + i);
    w.made[k] = kinds[k].t;
    access_make(random, &w.made[k], w.text[k]);
    CHECK(access_text_ok(w.text[k]) && access_id_ok(w.made[k].id));
    CHECK(access_put(w.a, &w.made[k]) == TW_OK);
}

/* Others, until there is no room; then the last goes again. */
static void fill(void)
{
    uint8_t sha[ACCESS_CERTIFICATE_OCTETS] = { 0 };
    struct access_token t = { .role = ACCESS_VIEWER, .name = "other" };

    do {
        sha[0]++;
        access_certificate(sha, &t);
    } while (access_put(w.a, &t) == TW_OK);
    CHECK(access_count(w.a) == MANY && access_put(w.a, &w.made[0]) == TW_OK && access_count(w.a) == MANY);
    for (size_t i = 1; i < MANY; i++)
        CHECK(strcmp(access_at(w.a, i - 1)->id, access_at(w.a, i)->id) < 0);
    sha[0]--;
    access_certificate(sha, &t);
    CHECK(access_remove(w.a, t.id) && !access_remove(w.a, t.id));
}

static bool begin(void)
{
    CHECK(access_new(MANY, &w.a) == TW_OK);
    CHECK(!access_any(w.a, now));
    for (unsigned k = 0; k < KINDS; k++)
        make(k);
    fill();
    for (unsigned k = 0; k < KINDS; k++)
        CHECK(!kinds[k].forgotten || access_remove(w.a, w.made[k].id));
    return access_any(w.a, now);
}

static void check_words(enum access_verdict v)
{
    const char *tokens = access_verdict_text(v), *certificates = access_certificate_text(v);

    CHECK(*tokens && *certificates && !strchr(tokens, '\n') && !strchr(certificates, '\n'));
}

static enum access_verdict wanted(const char *text, enum access_role *ret_role)
{
    for (unsigned k = 0; k < KINDS; k++)
        if (!strcmp(text, w.text[k])) {
            *ret_role = kinds[k].t.role;
            return kinds[k].found;
        }
    return access_text_ok(text) ? ACCESS_UNKNOWN : ACCESS_MALFORMED;
}

static void as_token(const char *text)
{
    struct access_who who = { .role = ACCESS_NOBODY }, before = who;
    enum access_role role = ACCESS_NOBODY;
    enum access_verdict v = access_find(w.a, now, text, &who);

    CHECK(v == wanted(text, &role));
    CHECK(v == ACCESS_OK ? who.role == role : !memcmp(&who, &before, sizeof who));
    CHECK(v != ACCESS_OK ||
          (access_get(w.a, who.id)->used_ns == NOW_NS && access_still(w.a, now, who.id) == v));
    check_words(v);
}

/* An ID is known whatever case it is in only as it was given out. */
static void as_id(const char *text)
{
    const struct access_token *t = access_get(w.a, text);

    CHECK(t ? access_id_ok(text) && !strcmp(t->id, text) : access_still(w.a, now, text) == ACCESS_UNKNOWN);
    for (unsigned k = 0; k < KINDS; k++)
        CHECK(strcmp(w.made[k].id, text) != 0 || access_still(w.a, now, text) == kinds[k].found);
}

static void as_role(const char *text)
{
    enum access_role role = ACCESS_NOBODY;

    if (access_role_parse(text, &role) == TW_OK)
        CHECK(role > ACCESS_NOBODY && role < ACCESS_ROLES && !strcmp(access_role_name(role), text));
    else
        CHECK(role == ACCESS_NOBODY);
}

/* The first octets stand for the digest of a certificate. An operator's is known once it was taken in, for as
 * long. */
static void as_certificate(const uint8_t *data, size_t size)
{
    uint8_t sha[ACCESS_CERTIFICATE_OCTETS] = { 0 };
    struct access_token t = { .role = ACCESS_OPERATOR, .name = "certificate" }, other;
    struct access_who who = { .role = ACCESS_NOBODY };
    enum access_verdict v;

    memcpy(sha, data, size < sizeof sha ? size : sizeof sha);
    access_certificate(sha, &t);
    if (access_get(w.a, t.id)) /* one of fill() */
        return;
    CHECK(access_find_certificate(w.a, now, sha, &who) == ACCESS_UNKNOWN && who.role == ACCESS_NOBODY);
    t.expires_ns = size && data[0] & 1 ? NOW_NS : 0;
    CHECK(access_put(w.a, &t) == TW_OK);
    v = access_find_certificate(w.a, now, sha, &who);
    CHECK(v == (t.expires_ns ? ACCESS_EXPIRED : ACCESS_OK));
    CHECK(who.role == (v == ACCESS_OK ? ACCESS_OPERATOR : ACCESS_NOBODY));
    check_words(v);
    sha[size ? data[0] % sizeof sha : 0] ^= 1;
    access_certificate(sha, &other);
    CHECK((access_find_certificate(w.a, now, sha, &who) == ACCESS_UNKNOWN) == !access_get(w.a, other.id));
    CHECK(access_remove(w.a, t.id));
}

static void leave(void)
{
    access_free(w.a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* its own block: a read behind the end shows */

    if (!text)
        return 0;
    if (!w.a) {
        CHECK(begin());
        atexit(leave);
    }
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    as_token(text);
    as_id(text);
    as_role(text);
    as_certificate(data, size);
    free(text);
    return 0;
}
