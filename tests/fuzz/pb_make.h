/* tests/fuzz/pb_make.h - a packed message of any type out of a fuzzer's octets. Its fields are those of the
 * descriptor, so that new ones are covered without anybody thinking of it, and what stands in them is often
 * what handlers look for: names that exist, times near now. */
#ifndef TESTS_FUZZ_PB_MAKE_H
#define TESTS_FUZZ_PB_MAKE_H

#include <protobuf-c/protobuf-c.h>
#include "common/wire.h"

struct pb_make {
    const uint8_t *p, *end;   /* the octets that are left */
    const char *const *words; /* that strings are often one of */
    size_t n_words;
    int64_t now_ns;
};
uint8_t pb_make_octet(struct pb_make *m);
/* Returns the length; what does not fit is left out. */
size_t pb_make(struct pb_make *m, const ProtobufCMessageDescriptor *d, uint8_t *out, size_t cap);

#endif
