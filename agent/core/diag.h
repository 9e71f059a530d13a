/* agent/core/diag.h - what `doctor` sends and how it reads what comes of it: packets with a token that tells
 * them from all others, and the search for the largest that comes through. Pure.
 *
 * The token stands where a probe has its timestamp, as that is what every reflector returns: so an answer
 * proves itself, and a reflector of ours can count the packets that came, whatever it does with them. The two
 * lowest bits of the token are 0; in packets they tell the kind. */
#ifndef TW_AGENT_DIAG_H
#define TW_AGENT_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

enum diag_kind { DIAG_SMALL, DIAG_SIZED, DIAG_SEARCH, DIAG_KINDS };

#define DIAG_TOKEN_AT 4     /* of the token in a packet */
#define DIAG_RETURNED_AT 28 /* and in the answer to it */
#define DIAG_KIND_MASK UINT64_C(3)
#define DIAG_STAMP_MIN 44 /* shorter ones are TWAMP Light */
#define DIAG_PACKET_MIN 14

/* Fills buf, whose size is that of the packet (at least DIAG_PACKET_MIN). */
void diag_write(uint8_t *buf, size_t size, uint32_t seq, uint64_t token, enum diag_kind kind, bool stamp);
/* The token of a packet with its kind; 0: too short to have one. */
uint64_t diag_token_of(const uint8_t *data, size_t len);
/* The same of an answer. */
uint64_t diag_returned(const uint8_t *data, size_t len, uint32_t *ret_seq);

/* ---- The search: bisects between a size that came through and one that did not ---- */

struct diag_search {
    uint32_t through; /* octets of the IP packet; comes through */
    uint32_t lost;    /* does not; 0 = nobody has tried larger ones than `through` */
    uint32_t top;     /* the largest worth a try */
};
/* known: a size that comes through; top: the largest worth a try. */
void diag_search_begin(struct diag_search *s, uint32_t known, uint32_t top);
/* The size to try now; 0: the search is over. */
uint32_t diag_search_next(const struct diag_search *s);
void diag_search_result(struct diag_search *s, uint32_t size, bool came_through);

#endif
