#include "common/net/words.h"
#include "common/rc.h"
#include "flight.pb-c.h"

#define WORDS(name, ...) static const char *const name[] = { __VA_ARGS__ }
WORDS(fates, "in_flight", "received", "lost", "late", "send_error");
WORDS(ways, "unknown", "forward", "backward");
WORDS(causes, "command", "alert", "loss_run");

/* Values count from 0. */
static const struct {
    const ProtobufCEnumDescriptor *d;
    const char *const *words;
    size_t n;
} table[] = {
    { &tw__flight_fate__descriptor, fates, TW_NELEM(fates) },
    { &tw__flight_way__descriptor, ways, TW_NELEM(ways) },
    { &tw__flight_cause__descriptor, causes, TW_NELEM(causes) },
};

const char *words_find(const ProtobufCEnumDescriptor *d, int value)
{
    for (size_t i = 0; i < TW_NELEM(table); i++)
        if (table[i].d == d)
            return value >= 0 && (size_t)value < table[i].n ? table[i].words[value] : NULL;
    return NULL;
}

const char *words_of(const ProtobufCEnumDescriptor *d, int value)
{
    const char *word = words_find(d, value);

    return word ? word : "unknown";
}
