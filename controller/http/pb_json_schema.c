/* controller/http/pb_json_schema.c - JSON Schemas of messages; see pb_json.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "common/json.h"
#include "controller/http/pb_json.h"
#include "fleet.pb-c.h"

const char *pb_json_schema_name(const ProtobufCMessageDescriptor *d, char buf[64])
{
    size_t n = 0, len = strlen(d->short_name);

    if (len > 5 && !strcmp(d->short_name + len - 5, "Reply"))
        len -= 5;
    for (const char *c = d->short_name; c < d->short_name + len && n < 62; c++) {
        if (isupper((unsigned char)*c) && c != d->short_name)
            buf[n++] = '-';
        buf[n++] = (char)tolower((unsigned char)*c);
    }
    buf[n] = '\0';
    return buf;
}

static cJSON *of_type(const char *type)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "type", type);
    return o;
}

static cJSON *or_null(cJSON *schema)
{
    cJSON *o = cJSON_CreateObject(), *any = cJSON_AddArrayToObject(o, "anyOf");

    cJSON_AddItemToArray(any, schema);
    cJSON_AddItemToArray(any, of_type("null"));
    return o;
}

static cJSON *whole(bool is_signed)
{
    cJSON *o = of_type("integer");

    if (!is_signed)
        cJSON_AddNumberToObject(o, "minimum", 0);
    return o;
}

static cJSON *words(const ProtobufCEnumDescriptor *d)
{
    cJSON *o = of_type("string"), *list = cJSON_AddArrayToObject(o, "enum");
    char buf[PB_JSON_WORD];

    for (unsigned i = 0; i < d->n_values; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(pb_json_word(d, &d->values[i], buf)));
    return o;
}

static cJSON *reference(const ProtobufCMessageDescriptor *d)
{
    cJSON *o = cJSON_CreateObject();
    char name[64], text[128];

    snprintf(text, sizeof text, "#/components/schemas/%s", pb_json_schema_name(d, name));
    cJSON_AddStringToObject(o, "$ref", text);
    return o;
}

static cJSON *of_value(const ProtobufCFieldDescriptor *f)
{
    if (pb_json_is_ratio(f))
        return of_type("number");
    if (pb_json_is_unknown_if_empty(f))
        return or_null(of_type("string"));
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return of_type("boolean");
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FIXED64:
        return whole(false);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return or_null(of_type("number")); /* null: not finite */
    case PROTOBUF_C_TYPE_ENUM:
        return words(f->descriptor);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        return of_type("string");
    case PROTOBUF_C_TYPE_MESSAGE:
        return reference(f->descriptor);
    default:
        return whole(true);
    }
}

static cJSON *of_labels(void)
{
    cJSON *o = of_type("object");

    json_put(o, "additionalProperties", of_type("string"));
    return o;
}

static cJSON *of_list(const ProtobufCFieldDescriptor *f)
{
    cJSON *o;

    if (f->type == PROTOBUF_C_TYPE_MESSAGE && f->descriptor == &tw__label__descriptor)
        return of_labels();
    o = of_type("array");
    json_put(o, "items", of_value(f));
    return o;
}

static cJSON *of_moment(void)
{
    cJSON *o = of_type("string");

    cJSON_AddStringToObject(o, "format", "date-time");
    return or_null(o);
}

/* A member that an answer always has. */
static void add(cJSON *properties, cJSON *required, const char *name, cJSON *schema)
{
    if (!cJSON_AddItemToObject(properties, name, schema)) {
        cJSON_Delete(schema);
        return;
    }
    if (required)
        cJSON_AddItemToArray(required, cJSON_CreateString(name));
}

static void add_field(cJSON *properties, cJSON *required, const ProtobufCFieldDescriptor *f)
{
    char name[64];

    if (pb_json_is_internal(f))
        return;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        add(properties, required, pb_json_member(f), of_list(f));
    } else if (pb_json_is_moment(f->name)) {
        snprintf(name, sizeof name, "%.*s", (int)strlen(f->name) - 3, f->name);
        add(properties, required, name, of_moment());
        add(properties, required, f->name, or_null(whole(true)));
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        add(properties, required, pb_json_member(f), or_null(of_value(f)));
    } else {
        add(properties, required, pb_json_member(f), of_value(f));
    }
}

cJSON *pb_json_schema(const ProtobufCMessageDescriptor *d, bool request)
{
    cJSON *o = of_type("object"), *properties, *required;

    if (!strcmp(d->short_name,
                "Summary")) { /* what it means; docs/schema/summaries-v1.json names the members */
        cJSON_AddStringToObject(o, "description", "The numbers of a summary, as in /api/v1/summaries.");
        return o;
    }
    properties = cJSON_AddObjectToObject(o, "properties");
    required = request ? NULL : cJSON_AddArrayToObject(o, "required");
    for (unsigned i = 0; i < d->n_fields; i++)
        add_field(properties, required, &d->fields[i]);
    cJSON_AddBoolToObject(o, "additionalProperties", 0);
    return o;
}
