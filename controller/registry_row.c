#include "controller/registry_row.h"

#include <cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row is one member. 64 bit numbers are texts, since a double does not hold them. */
enum kind { TEXT, I64, U32, BOOL };
static const struct field {
    const char *name;
    enum kind kind;
    size_t offset, size;
} fields[] = {
#define F(name, kind)                                                                                  \
    {                                                                                                  \
#name, kind, offsetof(struct registry_facts, name), sizeof(((struct registry_facts *)0)->name) \
    }
    F(name, TEXT),    F(version, TEXT), F(host, TEXT),    F(agents_at, TEXT), F(admin_at, TEXT),
    F(http_at, TEXT), F(problem, TEXT), F(owner, I64),    F(started_ns, I64), F(time_ns, I64),
    F(ended_ns, I64), F(agents, U32),   F(planner, BOOL), F(ready, BOOL),     F(takes_calls, BOOL),
#undef F
};

static cJSON *value_of(const struct field *f, const void *at)
{
    char text[24];

    switch (f->kind) {
    case TEXT:
        return cJSON_CreateString(at);
    case I64:
        snprintf(text, sizeof text, "%" PRId64, *(const int64_t *)at);
        return cJSON_CreateString(text);
    case U32:
        return cJSON_CreateNumber(*(const uint32_t *)at);
    default:
        return cJSON_CreateBool(*(const bool *)at);
    }
}

char *registry_row_write(const struct registry_facts *f)
{
    cJSON *o = cJSON_CreateObject();
    char *text = NULL;
    bool ok = o != NULL;

    for (size_t i = 0; i < TW_NELEM(fields) && ok; i++)
        ok = cJSON_AddItemToObject(o, fields[i].name,
                                   value_of(&fields[i], (const char *)f + fields[i].offset));
    if (ok)
        text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

/* False: it is of another kind. */
static bool take(const struct field *f, const cJSON *v, void *at)
{
    char *end;

    switch (f->kind) {
    case TEXT:
        if (cJSON_IsString(v))
            snprintf(at, f->size, "%s", v->valuestring);
        return cJSON_IsString(v);
    case I64:
        if (!cJSON_IsString(v) || !*v->valuestring)
            return false;
        *(int64_t *)at = strtoll(v->valuestring, &end, 10);
        return !*end;
    case U32:
        if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= UINT32_MAX))
            return false;
        *(uint32_t *)at = (uint32_t)v->valuedouble;
        return true;
    default:
        *(bool *)at = cJSON_IsTrue(v);
        return cJSON_IsBool(v);
    }
}

enum tw_rc registry_row_read(const char *text, struct registry_facts *ret)
{
    struct registry_facts f;
    cJSON *o = cJSON_Parse(text);
    bool ok = cJSON_IsObject(o);

    memset(&f, 0, sizeof f);
    for (size_t i = 0; i < TW_NELEM(fields) && ok; i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, fields[i].name);

        ok = !v || take(&fields[i], v, (char *)&f + fields[i].offset);
    }
    cJSON_Delete(o);
    if (!ok || !f.name[0])
        return TW_ECORRUPT;
    *ret = f;
    return TW_OK;
}

static bool same_field(const struct field *f, const char *a, const char *b)
{
    return f->kind == TEXT ? !strcmp(a, b) : !memcmp(a, b, f->size);
}

bool registry_row_same(const struct registry_facts *a, const struct registry_facts *b)
{
    for (size_t i = 0; i < TW_NELEM(fields); i++)
        if (fields[i].offset != offsetof(struct registry_facts, time_ns) &&
            !same_field(&fields[i], (const char *)a + fields[i].offset, (const char *)b + fields[i].offset))
            return false;
    return true;
}

static bool is_any(const char *host, size_t len)
{
    static const char *const any[] = { "", "*", "0.0.0.0", "[::]" };

    for (size_t i = 0; i < TW_NELEM(any); i++)
        if (strlen(any[i]) == len && !strncmp(host, any[i], len))
            return true;
    return false;
}

void registry_address(const char *listen, const char *scheme, const char *host, const char *own_host,
                      char ret[REGISTRY_ADDRESS_MAX])
{
    const char *mark = listen ? strstr(listen, "://") : NULL, *at = mark ? mark + 3 : listen,
               *port = at ? strrchr(at, ':') : NULL;
    int own = mark ? (int)(mark - listen) : 0;
    bool six;

    ret[0] = '\0';
    if (!port || !strncmp(listen, "ipc:", 4))
        return;
    if (!host && is_any(at, (size_t)(port - at)))
        host = own_host;
    six = host && strchr(host, ':') && host[0] != '[';
    snprintf(ret, REGISTRY_ADDRESS_MAX, "%.*s://%s%.*s%s%s", own ? own : (int)strlen(scheme),
             own ? listen : scheme, six ? "[" : "", host ? (int)strlen(host) : (int)(port - at),
             host ? host : at, six ? "]" : "", port);
}
