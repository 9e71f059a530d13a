#include "controller/agent_ops.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Labels ---- */

static size_t find_label(const struct agent_ops *o, const char *key)
{
    size_t i = 0;

    while (i < o->n_labels && strcmp(o->labels[i].key, key) < 0)
        i++;
    return i;
}

enum tw_rc agent_ops_label(struct agent_ops *o, const char *key, const char *value, bool removed)
{
    size_t i = find_label(o, key);
    struct agent_ops_label *at = &o->labels[i];
    bool found = i < o->n_labels && !strcmp(at->key, key), forget = !removed && !*value;

    if (!found && forget)
        return TW_OK;
    if (!found && o->n_labels == TW_LABELS_MAX)
        return TW_ENOSPC;
    if (forget) {
        memmove(at, at + 1, (--o->n_labels - i) * sizeof *at);
        return TW_OK;
    }
    if (!found)
        memmove(at + 1, at, (o->n_labels++ - i) * sizeof *at);
    memset(at, 0, sizeof *at); /* so that equal ones are equal octet by octet */
    snprintf(at->key, sizeof at->key, "%s", key);
    snprintf(at->value, sizeof at->value, "%s", removed ? "" : value);
    at->removed = removed;
    return TW_OK;
}

static const struct agent_ops_label *said_of(const struct agent_ops *o, const char *key)
{
    size_t i = o ? find_label(o, key) : 0;

    return o && i < o->n_labels && !strcmp(o->labels[i].key, key) ? &o->labels[i] : NULL;
}

static bool said_later(const struct tw_label *own, size_t n, size_t i)
{
    for (size_t k = i + 1; k < n; k++)
        if (!strcmp(own[k].key, own[i].key))
            return true;
    return false;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct tw_label *)a)->key, ((const struct tw_label *)b)->key);
}

size_t agent_ops_labels(const struct agent_ops *o, const struct tw_label *own, size_t n_own,
                        struct tw_label *ret, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; o && i < o->n_labels && n < cap; i++)
        if (!o->labels[i].removed)
            ret[n++] = (struct tw_label){ o->labels[i].key, o->labels[i].value };
    for (size_t i = 0; i < n_own && n < cap; i++)
        if (!said_of(o, own[i].key) && !said_later(own, n_own, i))
            ret[n++] = own[i];
    if (n)
        qsort(ret, n, sizeof *ret, by_key);
    return n;
}

/* ---- Maintenance ---- */

static void drop_span(struct agent_ops *o, size_t i)
{
    memmove(&o->spans[i], &o->spans[i + 1], (--o->n_spans - i) * sizeof o->spans[0]);
}

enum tw_rc agent_ops_add_span(struct agent_ops *o, const struct agent_span *span, int64_t now_ns)
{
    size_t at = 0;

    for (size_t i = 0; i < o->n_spans;)
        if (o->spans[i].to_ns < now_ns - AGENT_SPAN_KEPT_NS)
            drop_span(o, i);
        else
            i++;
    for (size_t i = 0; i < o->n_spans; i++)
        if (o->spans[i].from_ns == span->from_ns && o->spans[i].to_ns == span->to_ns)
            return TW_EEXIST;
    if (o->n_spans == AGENT_SPANS_MAX)
        return TW_ENOSPC;
    while (at < o->n_spans && o->spans[at].from_ns <= span->from_ns)
        at++;
    memmove(&o->spans[at + 1], &o->spans[at], (o->n_spans++ - at) * sizeof o->spans[0]);
    o->spans[at] = *span;
    return TW_OK;
}

bool agent_ops_end_spans(struct agent_ops *o, int64_t now_ns)
{
    bool any = false;

    for (size_t i = o->n_spans; i-- > 0;) {
        struct agent_span *s = &o->spans[i];

        if (s->to_ns <= now_ns)
            continue;
        any = true;
        if (s->from_ns >= now_ns)
            drop_span(o, i);
        else
            s->to_ns = now_ns;
    }
    return any;
}

const struct agent_span *agent_ops_span_at(const struct agent_ops *o, int64_t t_ns)
{
    for (size_t i = 0; o && i < o->n_spans; i++)
        if (o->spans[i].from_ns <= t_ns && t_ns < o->spans[i].to_ns)
            return &o->spans[i];
    return NULL;
}

/* ---- Names ---- */

void agent_ops_add_former(struct agent_ops *o, const char *name)
{
    if (o->n_former == AGENT_FORMER_MAX)
        memmove(o->former[0], o->former[1], --o->n_former * sizeof o->former[0]);
    memset(o->former[o->n_former], 0, sizeof o->former[0]);
    snprintf(o->former[o->n_former++], sizeof o->former[0], "%s", name);
}

bool agent_ops_had_name(const struct agent_ops *o, const char *name)
{
    for (size_t i = 0; o && i < o->n_former; i++)
        if (!strcmp(o->former[i], name))
            return true;
    return false;
}

/* ---- JSON. Times are texts: a number of JSON has 53 bits in too many programs. ---- */

static bool add_ns(cJSON *o, const char *key, int64_t ns)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, ns);
    return cJSON_AddStringToObject(o, key, text) != NULL;
}

static bool add_mark(cJSON *root, const char *key, const struct agent_mark *m)
{
    cJSON *o;

    if (!m->at_ns)
        return true;
    o = cJSON_AddObjectToObject(root, key);
    return o && add_ns(o, "at_ns", m->at_ns) && cJSON_AddStringToObject(o, "author", m->author) &&
           cJSON_AddStringToObject(o, "reason", m->reason);
}

static bool add_labels(cJSON *root, const struct agent_ops *o)
{
    cJSON *labels = cJSON_AddObjectToObject(root, "labels");
    bool ok = labels != NULL;

    for (size_t i = 0; ok && i < o->n_labels; i++)
        ok = o->labels[i].removed
                 ? cJSON_AddNullToObject(labels, o->labels[i].key) != NULL
                 : cJSON_AddStringToObject(labels, o->labels[i].key, o->labels[i].value) != NULL;
    return ok;
}

static bool add_spans(cJSON *root, const struct agent_ops *o)
{
    cJSON *list = cJSON_AddArrayToObject(root, "maintenance");
    bool ok = list != NULL;

    for (size_t i = 0; ok && i < o->n_spans; i++) {
        const struct agent_span *s = &o->spans[i];
        cJSON *item = cJSON_CreateObject();

        ok = item && add_ns(item, "from_ns", s->from_ns) && add_ns(item, "to_ns", s->to_ns) &&
             cJSON_AddStringToObject(item, "author", s->author) &&
             cJSON_AddStringToObject(item, "reason", s->reason) && cJSON_AddItemToArray(list, item);
        if (!ok)
            cJSON_Delete(item);
    }
    return ok;
}

static bool add_former(cJSON *root, const struct agent_ops *o)
{
    cJSON *list = cJSON_AddArrayToObject(root, "former_names");
    bool ok = list != NULL;

    for (size_t i = 0; ok && i < o->n_former; i++)
        ok = cJSON_AddItemToArray(list, cJSON_CreateString(o->former[i]));
    return ok;
}

char *agent_ops_to_json(const struct agent_ops *o)
{
    cJSON *root = cJSON_CreateObject();
    char *text = NULL;

    if (root && add_mark(root, "drained", &o->drained) && add_mark(root, "revoked", &o->revoked) &&
        add_labels(root, o) && add_spans(root, o) && add_former(root, o) && (!o->joined_by[0] || cJSON_AddStringToObject(root, "joined_by", o->joined_by)))
        text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

static bool get_text(const cJSON *o, const char *key, char *ret, size_t cap)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsString(v) && (size_t)snprintf(ret, cap, "%s", v->valuestring) < cap;
}

static bool get_ns(const cJSON *o, const char *key, int64_t *ret)
{
    char text[24], *end;

    if (!get_text(o, key, text, sizeof text) || !*text)
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !*end && !errno;
}

static bool get_mark(const cJSON *root, const char *key, struct agent_mark *m)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, key);

    return !o || (cJSON_IsObject(o) && get_ns(o, "at_ns", &m->at_ns) && m->at_ns > 0 &&
                  get_text(o, "author", m->author, sizeof m->author) &&
                  get_text(o, "reason", m->reason, sizeof m->reason));
}

static bool get_labels(const cJSON *root, struct agent_ops *o)
{
    const cJSON *v, *labels = cJSON_GetObjectItemCaseSensitive(root, "labels");

    if (!cJSON_IsObject(labels))
        return false;
    cJSON_ArrayForEach(v, labels)
    {
        bool removed = cJSON_IsNull(v);

        if (!label_key_ok(v->string) || !(removed || (cJSON_IsString(v) && label_word_ok(v->valuestring))) ||
            agent_ops_label(o, v->string, removed ? "" : v->valuestring, removed) != TW_OK)
            return false;
    }
    return true;
}

static bool get_spans(const cJSON *root, struct agent_ops *o)
{
    const cJSON *v, *list = cJSON_GetObjectItemCaseSensitive(root, "maintenance");

    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(v, list)
    {
        struct agent_span s = { 0 };

        if (!get_ns(v, "from_ns", &s.from_ns) || !get_ns(v, "to_ns", &s.to_ns) || s.from_ns >= s.to_ns ||
            !get_text(v, "author", s.author, sizeof s.author) ||
            !get_text(v, "reason", s.reason, sizeof s.reason) ||
            agent_ops_add_span(o, &s, INT64_MIN + AGENT_SPAN_KEPT_NS) != TW_OK)
            return false;
    }
    return true;
}

static bool get_former(const cJSON *root, struct agent_ops *o)
{
    const cJSON *v, *list = cJSON_GetObjectItemCaseSensitive(root, "former_names");

    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(v, list)
    {
        if (!cJSON_IsString(v) || strlen(v->valuestring) >= AGENT_NAME_MAX)
            return false;
        agent_ops_add_former(o, v->valuestring);
    }
    return true;
}

enum tw_rc agent_ops_from_json(const char *json, struct agent_ops **ret)
{
    cJSON *root = cJSON_Parse(json);
    struct agent_ops *o = calloc(1, sizeof *o);
    enum tw_rc rc = TW_OK;

    if (!o)
        rc = TW_ENOMEM;
    else if (!cJSON_IsObject(root) || !get_mark(root, "drained", &o->drained) ||
             !get_mark(root, "revoked", &o->revoked) || !get_labels(root, o) || !get_spans(root, o) ||
             !get_former(root, o) ||
             (cJSON_HasObjectItem(root, "joined_by") && !get_text(root, "joined_by", o->joined_by, sizeof o->joined_by)))
        rc = TW_ECORRUPT;
    cJSON_Delete(root);
    if (rc == TW_OK)
        *ret = o;
    else
        free(o);
    return rc;
}
