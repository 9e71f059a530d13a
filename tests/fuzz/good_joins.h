/* tests/fuzz/good_joins.h - what an agent that wants to join, or to renew its certificate, asks: with
 * requests and proofs that OpenSSL has signed, which no fuzzer comes to by itself. */
#ifndef TESTS_FUZZ_GOOD_JOINS_H
#define TESTS_FUZZ_GOOD_JOINS_H

#include <stddef.h>
#include <stdint.h>

/* A JoinRequest of one of two agents with one of two keys; bits of `which` spoil it. `token`: its text, ""
 * asks whether it is approved. Returns the length of the packed message. */
size_t good_join(uint8_t which, const char *token, uint8_t *out, size_t cap);
/* A RenewRequest for one of the same two keys. */
size_t good_renew(uint8_t which, uint8_t *out, size_t cap);

#endif
