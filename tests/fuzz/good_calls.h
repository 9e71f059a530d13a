/* tests/fuzz/good_calls.h - requests to the service Admin as people make them: octets alone hardly ever say
 * something that fits what there is. */
#ifndef TESTS_FUZZ_GOOD_CALLS_H
#define TESTS_FUZZ_GOOD_CALLS_H

#include <stddef.h>
#include <stdint.h>

/* Packs number `which` (modulo how many there are) into out; *ret_method: of the service Admin. Returns the
 * length. */
size_t good_call(uint8_t which, int64_t now_ns, uint8_t *out, size_t cap, unsigned *ret_method);

#endif
