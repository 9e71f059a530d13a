/* Checks an answer against a published schema: the keywords that docs/schema uses, but "pattern" and
 * "description". */
#ifndef TW_TESTS_JSON_SCHEMA_H
#define TW_TESTS_JSON_SCHEMA_H

#include <cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct schema_error {
    char text[512];
};

__attribute__((unused)) static bool schema_check(const cJSON *root, const cJSON *schema, const cJSON *v,
                                                 const char *at, struct schema_error *err);

__attribute__((unused)) static bool schema_fail(struct schema_error *err, const char *at, const char *why,
                                                const char *what)
{
    snprintf(err->text, sizeof err->text, "%s: %s %s", at, why, what);
    return false;
}

__attribute__((unused)) static bool schema_is(const cJSON *v, const char *type)
{
    if (!strcmp(type, "integer"))
        return cJSON_IsNumber(v) && v->valuedouble == floor(v->valuedouble);
    return !strcmp(type, "object")    ? cJSON_IsObject(v)
           : !strcmp(type, "array")   ? cJSON_IsArray(v)
           : !strcmp(type, "string")  ? cJSON_IsString(v)
           : !strcmp(type, "number")  ? cJSON_IsNumber(v)
           : !strcmp(type, "boolean") ? cJSON_IsBool(v)
                                      : !strcmp(type, "null") && cJSON_IsNull(v);
}

__attribute__((unused)) static bool schema_type(const cJSON *type, const cJSON *v)
{
    const cJSON *t;

    if (!cJSON_IsArray(type))
        return schema_is(v, type->valuestring);
    cJSON_ArrayForEach(t, type)
    {
        if (schema_is(v, t->valuestring))
            return true;
    }
    return false;
}

__attribute__((unused)) static bool schema_among(const cJSON *values, const cJSON *v)
{
    const cJSON *e;

    cJSON_ArrayForEach(e, values)
    {
        if (cJSON_Compare(e, v, true))
            return true;
    }
    return false;
}

__attribute__((unused)) static bool schema_object(const cJSON *root, const cJSON *schema, const cJSON *v,
                                                  const char *at, struct schema_error *err)
{
    const cJSON *props = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    const cJSON *more = cJSON_GetObjectItemCaseSensitive(schema, "additionalProperties"), *item;
    char below[256];

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(schema, "required"))
    {
        if (!cJSON_HasObjectItem(v, item->valuestring))
            return schema_fail(err, at, "lacks", item->valuestring);
    }
    cJSON_ArrayForEach(item, v)
    {
        const cJSON *s = cJSON_GetObjectItemCaseSensitive(props, item->string);
        snprintf(below, sizeof below, "%.200s.%.50s", at, item->string);
        if (!s && cJSON_IsFalse(more))
            return schema_fail(err, at, "must not have", item->string);
        if (!s)
            s = more;
        if (cJSON_IsObject(s) && !schema_check(root, s, item, below, err))
            return false;
    }
    return true;
}

__attribute__((unused)) static bool schema_any(const cJSON *root, const cJSON *list, const cJSON *v,
                                               const char *at, struct schema_error *err)
{
    const cJSON *s;

    cJSON_ArrayForEach(s, list)
    {
        if (schema_check(root, s, v, at, err))
            return true;
    }
    return false; /* err: why the last did not fit */
}

__attribute__((unused)) static bool schema_check(const cJSON *root, const cJSON *schema, const cJSON *v,
                                                 const char *at, struct schema_error *err)
{
    const cJSON *k, *item;

    k = cJSON_GetObjectItemCaseSensitive(schema, "$ref"); /* "#/$defs/NAME" */
    if (k) {
        const cJSON *defs = cJSON_GetObjectItemCaseSensitive(root, "$defs");
        schema = cJSON_GetObjectItemCaseSensitive(defs, k->valuestring + strlen("#/$defs/"));
        return schema ? schema_check(root, schema, v, at, err)
                      : schema_fail(err, at, "unknown", k->valuestring);
    }
    if ((k = cJSON_GetObjectItemCaseSensitive(schema, "anyOf")))
        return schema_any(root, k, v, at, err);
    if ((k = cJSON_GetObjectItemCaseSensitive(schema, "type")) && !schema_type(k, v))
        return schema_fail(err, at, "has another type", "");
    if ((k = cJSON_GetObjectItemCaseSensitive(schema, "const")) && !cJSON_Compare(k, v, true))
        return schema_fail(err, at, "is not", k->valuestring);
    if ((k = cJSON_GetObjectItemCaseSensitive(schema, "enum")) && !schema_among(k, v))
        return schema_fail(err, at, "is not one of the enum:", cJSON_IsString(v) ? v->valuestring : "");
    if ((k = cJSON_GetObjectItemCaseSensitive(schema, "minimum")) && cJSON_IsNumber(v) &&
        v->valuedouble < k->valuedouble)
        return schema_fail(err, at, "is too small", "");
    if ((k = cJSON_GetObjectItemCaseSensitive(schema, "maximum")) && cJSON_IsNumber(v) &&
        v->valuedouble > k->valuedouble)
        return schema_fail(err, at, "is too large", "");
    if (cJSON_IsObject(v))
        return schema_object(root, schema, v, at, err);
    k = cJSON_GetObjectItemCaseSensitive(schema, "prefixItems");
    if (cJSON_IsArray(v) && k) { /* with minItems and maxItems of as many */
        int i = 0;

        if (cJSON_GetArraySize(v) != cJSON_GetArraySize(k))
            return schema_fail(err, at, "has too few or too many items", "");
        cJSON_ArrayForEach(item, k)
        {
            if (!schema_check(root, item, cJSON_GetArrayItem(v, i++), at, err))
                return false;
        }
    }
    k = cJSON_GetObjectItemCaseSensitive(schema, "items");
    if (cJSON_IsArray(v) && k)
        cJSON_ArrayForEach(item, v)
        {
            if (!schema_check(root, k, item, at, err))
                return false;
        }
    return true;
}

#endif
