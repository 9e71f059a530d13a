/* common/net/words.h - the words of the values that messages number: one for each, the same in tables, JSON, YAML, CSV and over
 * HTTP. Pure; any thread. Words of several parts have '_' between them, like the names of members. */
#ifndef TW_COMMON_WORDS_H
#define TW_COMMON_WORDS_H

#include <protobuf-c/protobuf-c.h>

/* "in_flight" of FLIGHT_FATE_IN_FLIGHT; NULL: there is no such value, or the enumeration is not in the
 * table, in which are those that programs print by themselves. */
const char *words_find(const ProtobufCEnumDescriptor *d, int value);
/* The same; what has no word is "unknown". */
const char *words_of(const ProtobufCEnumDescriptor *d, int value);

#endif
