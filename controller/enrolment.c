#include "controller/enrolment.h"
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/addr.h"
#include "common/net/arena.h"

#define MAX_BPS 1e15 /* exact as a number of JSON */

void *message_clone(const ProtobufCMessage *m)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *buf = malloc(len ? len : 1);
    void *copy = NULL;

    if (buf) {
        protobuf_c_message_pack(m, buf);
        copy = protobuf_c_message_unpack(m->descriptor, NULL, len, buf);
    }
    free(buf);
    return copy;
}

/* ---- Checks. Texts go to terminals, pages and metrics: printable ASCII only. ---- */

static enum tw_rc check_text(const char *what, size_t i, const char *text, bool may_be_empty,
                             struct tw_err *err)
{
    size_t len = strlen(text);

    if (err)
        snprintf(err->field, sizeof err->field, "%s[%zu]", what, i);
    if (len >= ENROLMENT_TEXT_MAX || (!len && !may_be_empty))
        return tw_err_set(err, TW_EINVAL, "has %zu characters, allowed are 1 to %d", len,
                          ENROLMENT_TEXT_MAX - 1);
    for (const char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            return tw_err_set(err, TW_EINVAL, "has a character that is not printable ASCII");
    return TW_OK;
}

static enum tw_rc check_count(const char *what, size_t n, size_t max, struct tw_err *err)
{
    if (err)
        snprintf(err->field, sizeof err->field, "%s", what);
    return n <= max ? TW_OK : tw_err_set(err, TW_EINVAL, "%zu of them, at most %zu are allowed", n, max);
}

static enum tw_rc check_labels(const Tw__EnrolRequest *m, struct tw_err *err)
{
    enum tw_rc rc = check_count("labels", m->n_labels, ENROLMENT_MAX_LABELS, err);

    for (size_t i = 0; rc == TW_OK && i < m->n_labels; i++) {
        rc = check_text("labels.key", i, m->labels[i]->key, false, err);
        if (rc == TW_OK)
            rc = check_text("labels.value", i, m->labels[i]->value, true, err);
    }
    return rc;
}

static enum tw_rc check_addresses(const Tw__EnrolRequest *m, struct tw_err *err)
{
    enum tw_rc rc = check_count("addresses", m->n_addresses, ENROLMENT_MAX_ADDRESSES, err);
    struct tw_addr addr;

    for (size_t i = 0; rc == TW_OK && i < m->n_addresses; i++) {
        rc = check_text("addresses", i, m->addresses[i], false, err);
        if (rc == TW_OK && tw_addr_parse(m->addresses[i], 0, &addr) != TW_OK)
            rc = tw_err_set(err, TW_EINVAL, "is not a numeric IPv4 or IPv6 address");
    }
    return rc;
}

enum tw_rc enrolment_validate(const Tw__EnrolRequest *m, struct tw_err *err)
{
    enum tw_rc rc = check_labels(m, err);

    if (rc == TW_OK)
        rc = check_addresses(m, err);
    if (rc == TW_OK)
        rc = check_count("capabilities", m->n_capabilities, ENROLMENT_MAX_CAPABILITIES, err);
    for (size_t i = 0; rc == TW_OK && i < m->n_capabilities; i++)
        rc = check_text("capabilities", i, m->capabilities[i], false, err);
    if (rc == TW_OK && (double)m->max_bps > MAX_BPS) {
        check_count("max_bps", 0, 0, err);
        rc = tw_err_set(err, TW_EINVAL, "is more than 10^15 bit/s");
    }
    if (rc == TW_OK && m->reflector_port > UINT16_MAX) {
        check_count("reflector_port", 0, 0, err);
        rc = tw_err_set(err, TW_EINVAL, "%u is not a port", m->reflector_port);
    }
    if (rc == TW_OK && m->control_port > UINT16_MAX) {
        check_count("control_port", 0, 0, err);
        rc = tw_err_set(err, TW_EINVAL, "%u is not a port", m->control_port);
    }
    return rc;
}

/* ---- JSON ---- */

static bool add_texts(cJSON *o, const char *key, char **v, size_t n)
{
    cJSON *list = cJSON_AddArrayToObject(o, key);

    for (size_t i = 0; list && i < n; i++)
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(v[i])))
            return false;
    return list != NULL;
}

static bool add_labels(cJSON *o, const Tw__EnrolRequest *m)
{
    cJSON *labels = cJSON_AddObjectToObject(o, "labels");

    for (size_t i = 0; labels && i < m->n_labels; i++)
        if (!cJSON_AddStringToObject(labels, m->labels[i]->key, m->labels[i]->value))
            return false;
    return labels != NULL;
}

char *enrolment_to_json(const Tw__EnrolRequest *m, const char *peer_address)
{
    cJSON *o = cJSON_CreateObject();
    char *text = NULL;

    if (o && add_labels(o, m) && add_texts(o, "addresses", m->addresses, m->n_addresses) &&
        add_texts(o, "capabilities", m->capabilities, m->n_capabilities) &&
        cJSON_AddNumberToObject(o, "reflector_port", m->reflector_port) &&
        cJSON_AddNumberToObject(o, "control_port", m->control_port) &&
        cJSON_AddNumberToObject(o, "max_sessions", m->max_sessions) &&
        cJSON_AddNumberToObject(o, "max_pps", m->max_pps) &&
        cJSON_AddNumberToObject(o, "max_bps", (double)m->max_bps) &&
        cJSON_AddStringToObject(o, "peer_address", peer_address))
        text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

static uint32_t get_u32(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= UINT32_MAX ? (uint32_t)v->valuedouble
                                                                                    : 0;
}

static uint64_t get_u53(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= MAX_BPS ? (uint64_t)v->valuedouble : 0;
}

/* The texts stay those of the JSON tree. */
static size_t get_texts(const cJSON *o, const char *key, struct arena *ar, char ***ret)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, key), *v;
    size_t n = 0;

    *ret = arena_alloc(ar, sizeof **ret * (size_t)(cJSON_GetArraySize(list) + 1));
    cJSON_ArrayForEach(v, list) if (*ret && cJSON_IsString(v))(*ret)[n++] = v->valuestring;
    return n;
}

static void get_labels(const cJSON *o, struct arena *ar, Tw__EnrolRequest *m)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(o, "labels"), *v;

    m->labels = arena_alloc(ar, sizeof *m->labels * (size_t)(cJSON_GetArraySize(labels) + 1));
    cJSON_ArrayForEach(v, labels)
    {
        Tw__Label *l = arena_alloc(ar, sizeof *l);

        if (!l || !m->labels || !cJSON_IsString(v) || !v->string) /* in a list there are no keys */
            continue;
        tw__label__init(l);
        l->key = v->string;
        l->value = v->valuestring;
        m->labels[m->n_labels++] = l;
    }
}

static enum tw_rc from_tree(const cJSON *o, struct arena *ar, Tw__EnrolRequest **ret)
{
    Tw__EnrolRequest m = TW__ENROL_REQUEST__INIT;

    get_labels(o, ar, &m);
    m.n_addresses = get_texts(o, "addresses", ar, &m.addresses);
    m.n_capabilities = get_texts(o, "capabilities", ar, &m.capabilities);
    m.reflector_port = get_u32(o, "reflector_port");
    m.control_port = get_u32(o, "control_port");
    m.max_sessions = get_u32(o, "max_sessions");
    m.max_pps = get_u32(o, "max_pps");
    m.max_bps = get_u53(o, "max_bps");
    if (enrolment_validate(&m, NULL) != TW_OK)
        return TW_ECORRUPT;
    *ret = message_clone(&m.base);
    return *ret ? TW_OK : TW_ENOMEM;
}

enum tw_rc enrolment_from_json(const char *json, Tw__EnrolRequest **ret, char *ret_peer_address, size_t cap)
{
    cJSON *o = cJSON_Parse(json);
    const cJSON *peer = cJSON_GetObjectItemCaseSensitive(o, "peer_address");
    struct arena *ar = NULL;
    enum tw_rc rc = cJSON_IsObject(o) ? arena_new(64u << 10, &ar) : TW_ECORRUPT;

    if (rc == TW_OK)
        rc = from_tree(o, ar, ret);
    if (rc == TW_OK)
        snprintf(ret_peer_address, cap, "%s", cJSON_IsString(peer) ? peer->valuestring : "");
    arena_free(ar);
    cJSON_Delete(o);
    return rc;
}
