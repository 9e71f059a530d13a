#include "controller/core/web_session.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1 /* then hh.tbl is NULL after HASH_ADD */
#include <uthash.h>
#include "common/hextext.h"

#define HOUR_NS (3600 * TW_NS_PER_S)
#define CSRF_NAME "twampmesh csrf 1:"

struct entry {
    struct web_session_key key;
    struct access_who who;
    int64_t begun_ns, used_ns; /* monotonic */
    UT_hash_handle hh;
};

struct web_sessions {
    struct web_sessions_conf conf;
    struct entry *entries; /* by key */
    struct web_sessions_counts n;
};

static const char *const end_names[] = { "logout", "life", "idle", "token", "replaced" };
_Static_assert(TW_NELEM(end_names) == WEB_ENDS, "every end has a name");

const char *web_end_name(enum web_end e)
{
    return end_names[e];
}

/* ---- Ids ---- */

bool web_session_key_of(const char *id, struct web_session_key *ret)
{
    if (!hextext_is(id, WEB_SESSION_OCTETS))
        return false;
    SHA256((const unsigned char *)id, WEB_SESSION_TEXT - 1, ret->digest);
    return true;
}

void web_session_csrf(const char *id, char ret[WEB_SESSION_TEXT])
{
    unsigned char text[sizeof CSRF_NAME + WEB_SESSION_TEXT] = CSRF_NAME, digest[SHA256_DIGEST_LENGTH];
    size_t len = strnlen(id, WEB_SESSION_TEXT);

    memcpy(text + sizeof CSRF_NAME - 1, id, len);
    SHA256(text, sizeof CSRF_NAME - 1 + len, digest);
    hextext_format(digest, sizeof digest, ret);
    OPENSSL_cleanse(text, sizeof text);
}

bool web_session_csrf_ok(const char *id, const char *csrf)
{
    char right[WEB_SESSION_TEXT];

    if (!csrf || !hextext_is(csrf, WEB_SESSION_OCTETS))
        return false;
    web_session_csrf(id, right);
    return !CRYPTO_memcmp(right, csrf, WEB_SESSION_TEXT - 1);
}

/* ---- Their ends ---- */

static void end(struct web_sessions *s, struct entry *e, enum web_end why)
{
    HASH_DEL(s->entries, e);
    free(e);
    s->n.ended[why]++;
    s->n.now--;
}

/* Ends it if its time is over. */
static bool is_over(struct web_sessions *s, struct entry *e, struct tw_now now)
{
    bool life = now.mono.ns - e->begun_ns >= s->conf.life_ns;

    if (!life && now.mono.ns - e->used_ns < s->conf.idle_ns)
        return false;
    end(s, e, life ? WEB_END_LIFE : WEB_END_IDLE);
    return true;
}

static void sweep(struct web_sessions *s, struct tw_now now)
{
    struct entry *e, *next;

    HASH_ITER(hh, s->entries, e, next)
    is_over(s, e, now);
}

static void end_all_of(struct web_sessions *s, const char *token_id)
{
    struct entry *e, *next;

    HASH_ITER(hh, s->entries, e, next)
    {
        if (!strcmp(e->who.id, token_id))
            end(s, e, WEB_END_TOKEN);
    }
}

/* As many as may be: the one that was used least recently makes room. */
static void make_room_of_token(struct web_sessions *s, const char *token_id)
{
    struct entry *oldest = NULL;
    uint32_t n = 0;

    for (struct entry *e = s->entries; e; e = e->hh.next) {
        if (strcmp(e->who.id, token_id) != 0)
            continue;
        n++;
        if (!oldest || e->used_ns < oldest->used_ns)
            oldest = e;
    }
    if (n >= s->conf.max_of_token)
        end(s, oldest, WEB_END_REPLACED);
}

/* ---- ---- */

enum tw_rc web_session_open(struct web_sessions *s, struct tw_now now, const struct access_who *who,
                            const uint8_t octets[WEB_SESSION_OCTETS], char ret_id[WEB_SESSION_TEXT])
{
    struct entry *e;

    sweep(s, now);
    make_room_of_token(s, who->id);
    if (s->n.now >= s->conf.max) {
        s->n.full++;
        return TW_ENOSPC;
    }
    e = calloc(1, sizeof *e);
    if (!e)
        return TW_ENOMEM;
    hextext_format(octets, WEB_SESSION_OCTETS, ret_id);
    web_session_key_of(ret_id, &e->key);
    e->who = *who;
    e->begun_ns = e->used_ns = now.mono.ns;
    HASH_ADD(hh, s->entries, key, sizeof e->key, e);
    if (!e->hh.tbl) {
        free(e);
        return TW_ENOMEM;
    }
    s->n.now++;
    s->n.opened++;
    return TW_OK;
}

static struct entry *entry_of(const struct web_sessions *s, const struct web_session_key *key)
{
    struct entry *e;

    HASH_FIND(hh, s->entries, key, sizeof *key, e);
    return e;
}

bool web_session_find(struct web_sessions *s, struct tw_now now, const struct access *a,
                      const struct web_session_key *key, struct access_who *ret)
{
    struct entry *e = entry_of(s, key);

    if (!e || is_over(s, e, now))
        return false;
    if (access_still(a, now.wall, e->who.id) != ACCESS_OK) {
        struct access_who who = e->who; /* e goes, too */

        end_all_of(s, who.id);
        return false;
    }
    e->used_ns = now.mono.ns;
    *ret = e->who;
    return true;
}

bool web_session_close(struct web_sessions *s, const struct web_session_key *key)
{
    struct entry *e = entry_of(s, key);

    if (e)
        end(s, e, WEB_END_LOGOUT);
    return e;
}

int64_t web_session_left_ns(const struct web_sessions *s, struct tw_now now,
                            const struct web_session_key *key)
{
    const struct entry *e = entry_of(s, key);
    int64_t left = e ? s->conf.life_ns - (now.mono.ns - e->begun_ns) : 0;

    return left > 0 ? left : 0;
}

enum tw_rc web_sessions_new(const struct web_sessions_conf *c, struct web_sessions **ret)
{
    struct web_sessions *s = calloc(1, sizeof *s);

    if (!s)
        return TW_ENOMEM;
    s->conf = *c;
    if (!s->conf.max)
        s->conf.max = 2048;
    if (!s->conf.max_of_token)
        s->conf.max_of_token = 8;
    if (!s->conf.life_ns)
        s->conf.life_ns = 12 * HOUR_NS;
    if (!s->conf.idle_ns)
        s->conf.idle_ns = 2 * HOUR_NS;
    *ret = s;
    return TW_OK;
}

void web_sessions_free(struct web_sessions *s)
{
    struct entry *e, *next;

    if (!s)
        return;
    HASH_ITER(hh, s->entries, e, next)
    {
        HASH_DEL(s->entries, e);
        free(e);
    }
    free(s);
}

void web_sessions_count(struct web_sessions *s, struct tw_now now, struct web_sessions_counts *ret)
{
    sweep(s, now);
    *ret = s->n;
}
