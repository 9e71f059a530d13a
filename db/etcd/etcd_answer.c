#include "db/etcd/etcd_answer.h"

#include <cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum tw_rc corrupt(struct tw_err *err, const char *what)
{
    return tw_err_set(err, TW_ECORRUPT, "etcd: its answer has %s", what);
}

/* ---- Values: int64 are texts, int32 numbers, octets base64, and what is 0, false or empty is not there ----
 */

static bool take_i64(const cJSON *o, const char *name, int64_t *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
    const char *text = item ? cJSON_GetStringValue(item) : "0";
    char *end;

    if (!text || !*text)
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !*end && !errno && !isspace((unsigned char)*text);
}

static bool take_bool(const cJSON *o, const char *name, bool *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);

    *ret = cJSON_IsTrue(item);
    return !item || cJSON_IsBool(item);
}

static bool take_text(const cJSON *o, const char *name, const char **ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);

    *ret = item ? cJSON_GetStringValue(item) : "";
    return *ret != NULL;
}

/* In place: what comes out is shorter. OpenSSL takes spaces around it, and more padding than there is. */
static bool unbase64(char *text, size_t *ret_len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(text), body = strspn(text, alphabet), pad = len - body;

    if (len % 4 || pad > 2 || len > INT32_MAX || strspn(text + body, "=") != pad)
        return false;
    if (len && EVP_DecodeBlock((unsigned char *)text, (const unsigned char *)text, (int)len) < 0)
        return false;
    *ret_len = len / 4 * 3 - pad;
    text[*ret_len] = '\0';
    return true;
}

static bool take_octets(const cJSON *o, const char *name, const char **ret, size_t *ret_len)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
    char *text = item ? cJSON_GetStringValue(item) : NULL;

    *ret = text ? text : "";
    *ret_len = 0;
    return item ? text && unbase64(text, ret_len) : true;
}

/* ---- Keys and events ---- */

static bool take_kv(const cJSON *o, struct etcd_kv *kv)
{
    size_t key_len;

    return cJSON_IsObject(o) && take_octets(o, "key", &kv->key, &key_len) && key_len &&
           strlen(kv->key) == key_len && take_octets(o, "value", &kv->value, &kv->value_len) &&
           take_i64(o, "create_revision", &kv->create_revision) &&
           take_i64(o, "mod_revision", &kv->mod_revision) && kv->mod_revision > 0 &&
           take_i64(o, "lease", &kv->lease);
}

/* {"type":"DELETE","kv":{...}}; a PUT has no type. */
static bool take_event(const cJSON *o, struct etcd_kv *kv)
{
    const char *type;

    if (!cJSON_IsObject(o) || !take_text(o, "type", &type) ||
        (*type && strcmp(type, "DELETE") != 0 && strcmp(type, "PUT") != 0))
        return false;
    kv->deleted = !strcmp(type, "DELETE");
    return take_kv(cJSON_GetObjectItemCaseSensitive(o, "kv"), kv);
}

/* Adds those of a list, which may be missing. */
static enum tw_rc take_list(const cJSON *o, const char *name,
                            bool (*take)(const cJSON *o, struct etcd_kv *kv), struct etcd_answer *ret,
                            struct tw_err *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, name), *item;
    size_t n = (size_t)cJSON_GetArraySize(list);
    struct etcd_kv *more;

    if (list && !cJSON_IsArray(list))
        return corrupt(err, "no list where keys should be");
    if (!n)
        return TW_OK;
    more = reallocarray(ret->kv, ret->n + n, sizeof *more);
    if (!more)
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    ret->kv = more;
    cJSON_ArrayForEach(item, list)
    {
        struct etcd_kv *kv = &ret->kv[ret->n];
        *kv = (struct etcd_kv){ .key = NULL };
        if (!take(item, kv))
            return corrupt(err, "something else where a key should be");
        ret->n++;
    }
    return TW_OK;
}

static enum tw_rc take_responses(const cJSON *o, struct etcd_answer *ret, struct tw_err *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "responses"), *item;
    enum tw_rc rc = TW_OK;

    if (list && !cJSON_IsArray(list))
        return corrupt(err, "no list where responses should be");
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *range = cJSON_GetObjectItemCaseSensitive(item, "response_range");
        if (range && (rc = take_list(range, "kvs", take_kv, ret, err)) != TW_OK)
            return rc;
    }
    return rc;
}

static enum tw_rc take_members(const cJSON *o, struct etcd_answer *ret, struct tw_err *err)
{
    const cJSON *header = cJSON_GetObjectItemCaseSensitive(o, "header");
    enum tw_rc rc;

    if (!cJSON_IsObject(header) || !take_i64(header, "revision", &ret->revision) || ret->revision < 0)
        return corrupt(err, "no revision");
    if (!take_bool(o, "more", &ret->more) || !take_bool(o, "succeeded", &ret->succeeded) ||
        !take_bool(o, "canceled", &ret->canceled) || !take_i64(o, "ID", &ret->lease) ||
        !take_i64(o, "TTL", &ret->ttl_s) || !take_i64(o, "compact_revision", &ret->compacted) ||
        !take_text(o, "token", &ret->token) || !take_text(o, "cancel_reason", &ret->reason))
        return corrupt(err, "a member of another type");
    rc = take_list(o, "kvs", take_kv, ret, err);
    if (!rc)
        rc = take_list(o, "events", take_event, ret, err);
    return rc ? rc : take_responses(o, ret, err);
}

/* Messages of a stream are {"result":{...}}, or {"error":{"grpc_code":..,"message":".."}} at its end. */
static enum tw_rc take_answer(const cJSON *o, struct etcd_answer *ret, struct tw_err *err)
{
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(o, "result"),
                *error = cJSON_GetObjectItemCaseSensitive(o, "error");
    struct etcd_refusal no;
    char *text;

    if (!error)
        return take_members(result ? result : o, ret, err);
    text = cJSON_PrintUnformatted(cJSON_IsObject(error) ? error : o);
    if (!text)
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    etcd_refusal_parse(text, strlen(text), 500, &no);
    cJSON_free(text);
    return tw_err_set(err, no.rc, "etcd: %s", no.why);
}

enum tw_rc etcd_answer_parse(const char *text, size_t len, struct etcd_answer *ret, struct tw_err *err)
{
    struct etcd_answer a = { .token = "", .reason = "" };
    cJSON *tree = cJSON_ParseWithLength(text, len);
    enum tw_rc rc = cJSON_IsObject(tree) ? take_answer(tree, &a, err) : corrupt(err, "no JSON object");

    a.tree = tree;
    if (rc) {
        etcd_answer_free(&a);
        return rc;
    }
    *ret = a;
    return TW_OK;
}

void etcd_answer_free(struct etcd_answer *a)
{
    cJSON_Delete(a->tree);
    free(a->kv);
    a->tree = NULL;
    a->kv = NULL;
}

/* ---- Refusals ---- */

/* Codes of gRPC. */
static const struct {
    int code;
    long status; /* of HTTP, where the text has no code */
    enum tw_rc rc;
    bool elsewhere;
} codes[] = {
    { 3, 400, TW_EINVAL, false },    /* INVALID_ARGUMENT; also "too many operations" */
    { 4, 504, TW_ETIMEOUT, true },   /* DEADLINE_EXCEEDED */
    { 5, 404, TW_ENOENT, false },    /* NOT_FOUND: a lease */
    { 6, 409, TW_EEXIST, false },    /* ALREADY_EXISTS */
    { 7, 403, TW_EPERM, false },     /* PERMISSION_DENIED */
    { 8, 429, TW_EIO, true },        /* RESOURCE_EXHAUSTED: too many requests, or one of the two below */
    { 9, 412, TW_EINVAL, false },    /* FAILED_PRECONDITION: authentication is not enabled, ... */
    { 11, 416, TW_ERANGE, false },   /* OUT_OF_RANGE: a revision that is compacted, or not there yet */
    { 12, 501, TW_EVERSION, false }, /* UNIMPLEMENTED */
    { 14, 503, TW_EIO, true },       /* UNAVAILABLE: no leader, ... */
    { 16, 401, TW_EPERM, false },    /* UNAUTHENTICATED */
};

static void copy_line(const char *p, size_t len, char ret[ETCD_WHY_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < len && p[i] && n < ETCD_WHY_MAX - 1; i++)
        if (n || !isspace((unsigned char)p[i]))
            ret[n++] = p[i] >= ' ' && p[i] <= '~' ? p[i] : ' ';
    while (n && ret[n - 1] == ' ')
        n--;
    ret[n] = '\0';
}

static int code_of(const cJSON *o)
{
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(o, "code");

    if (!code)
        code = cJSON_GetObjectItemCaseSensitive(o, "grpc_code");
    return cJSON_IsNumber(code) ? code->valueint : 0;
}

/* Of all members, until somebody does something about it: what, is said, too. */
static void refuse_full(struct etcd_refusal *ret)
{
    ret->rc = TW_ENOSPC;
    ret->elsewhere = false;
    snprintf(ret->why, sizeof ret->why,
             "its quota is used up: etcdctl compact, defrag, alarm disarm (database space exceeded)");
}

static void judge(int code, long status, struct etcd_refusal *ret)
{
    ret->rc = TW_EIO;
    ret->elsewhere = status >= 500 || status < 100;
    for (size_t i = 0; i < TW_NELEM(codes); i++)
        if (code ? codes[i].code == code : codes[i].status == status) {
            ret->rc = codes[i].rc;
            ret->elsewhere = codes[i].elsewhere;
        }
    ret->too_large = code == 8 && strstr(ret->why, "larger than max");
    if (ret->too_large) {
        ret->rc = TW_EINVAL;
        ret->elsewhere = false;
    }
    if (code == 8 && strstr(ret->why, "space exceeded"))
        refuse_full(ret);
    ret->token = code == 16 || strstr(ret->why, "invalid auth token") ||
                 strstr(ret->why, "user name is empty") || strstr(ret->why, "revision of auth store is old");
    if (ret->token)
        ret->rc = TW_EPERM;
}

void etcd_refusal_parse(const char *text, size_t len, long status, struct etcd_refusal *ret)
{
    cJSON *o = cJSON_ParseWithLength(text, len);
    const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "message"));

    *ret = (struct etcd_refusal){ .rc = TW_EIO };
    if (!why)
        why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "error"));
    if (why)
        copy_line(why, strlen(why), ret->why);
    else
        copy_line(text, len, ret->why);
    judge(code_of(o), status, ret);
    cJSON_Delete(o);
}
