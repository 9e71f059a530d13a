/* tests/support/relay/record.h - what was done to each packet: kept in memory while the relay runs, so that
 * writing does not disturb it, and written as CSV at its end. */
#ifndef TW_RELAY_RECORD_H
#define TW_RELAY_RECORD_H

#include <stdio.h>
#include "common/clk.h"
#include "tests/support/relay/rules.h"

enum departure_source { DEPARTURE_NONE, DEPARTURE_USER, DEPARTURE_KERNEL };

struct record {
    uint64_t number; /* within the rule */
    int64_t arrival_ns, due_ns, departure_ns;
    uint32_t seq, seq24; /* words of the payload at 0 and 24: the Sequence Number; in answers, the probe's */
    uint32_t size;       /* UDP payload */
    uint16_t sport, dport;
    uint8_t ip_len, src[16], dst[16]; /* 4 or 16 octets */
    uint8_t rule, from, to, fate, source;
};

struct records {
    struct record *rows;
    size_t n, cap;
    uint64_t missed; /* no room: the record is not complete */
};

enum tw_rc records_init(struct records *r, size_t cap);
void records_free(struct records *r);
/* Index of a new row, SIZE_MAX if there is no room. */
size_t records_add(struct records *r, const struct record *row);
/* Header and rows; names by port. */
enum tw_rc records_write(const struct records *r, const char *file, const char *const *names,
                         struct tw_err *err);

#endif
