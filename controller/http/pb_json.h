/* controller/http/pb_json.h - protobuf messages as the JSON of /api/v1, from their descriptors alone: a new
 * field of a message is a member of its JSON, and of its schema. Pure but for cJSON; any thread.
 *
 * Members have the names of the fields, but `class_name` is "class", and parts per million are ratios. 64 bit numbers are exact. A moment is
 * there twice: `changed` as RFC 3339, `changed_ns` in nanoseconds since 1970, both null for never; a duration
 * only in nanoseconds. Enumerations are words in lower case, octets are hexadecimal, labels an object, absent
 * messages null. A summary is what it means (common/stats.h), not its fields. */
#ifndef TW_CONTROLLER_HTTP_PB_JSON_H
#define TW_CONTROLLER_HTTP_PB_JSON_H

#include <cJSON.h>
#include <stdbool.h>
#include <protobuf-c/protobuf-c.h>
#include "common/rc.h"

/* Members of m are added to o. */
void pb_json_add(cJSON *o, const ProtobufCMessage *m);

/* Is a field in nanoseconds ("..._ns") a moment, else a duration? By its name; a test demands that every one
 * is classed. */
bool pb_json_is_moment(const char *field_name);
/* Name of the member. */
const char *pb_json_member(const ProtobufCFieldDescriptor *f);
/* Not for HTTP, and unknown there: how twampctl asks for pages, where HTTP streams. */
bool pb_json_is_internal(const ProtobufCFieldDescriptor *f);
/* Octets of one value of a repeated field, as protobuf-c lays them out. */
size_t pb_json_width(const ProtobufCFieldDescriptor *f);
/* Parts per million, told as a ratio. */
bool pb_json_is_ratio(const ProtobufCFieldDescriptor *f);
/* A text that is null, not "", where there is none. */
bool pb_json_is_unknown_if_empty(const ProtobufCFieldDescriptor *f);
/* Word of an enumeration's value: "fixed" of SPACING_FIXED, as in common/net/words.h; returns buf. */
#define PB_JSON_WORD 64
const char *pb_json_word(const ProtobufCEnumDescriptor *d, const ProtobufCEnumValue *v,
                         char buf[PB_JSON_WORD]);

/* Fills a message of this type from an object; what is not there stays as the message's own default. text:
 * all values are texts, as in a query. A moment may be RFC 3339 under its short name, Unix seconds, or a
 * duration before now_ns ("-15m"). TW_EINVAL: *err names the member and what was expected. *ret is freed with
 * protobuf_c_message_free_unpacked(m, NULL). */
enum tw_rc pb_json_parse(const ProtobufCMessageDescriptor *d, const cJSON *o, bool text, int64_t now_ns,
                         ProtobufCMessage **ret, struct tw_err *err);

/* The JSON Schema (2020-12) of a message: as answered, or as taken. Sub-messages are references to
 * "#/components/schemas/NAME", NAME by pb_json_schema_name(). */
cJSON *pb_json_schema(const ProtobufCMessageDescriptor *d, bool request);
/* "schedule-list" for ScheduleListReply, "mesh-request" for MeshRequest; returns buf. */
const char *pb_json_schema_name(const ProtobufCMessageDescriptor *d, char buf[64]);

#endif
