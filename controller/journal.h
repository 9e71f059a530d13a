/* controller/journal.h - which of an agent's pairs have been altered since the list that it has, so that it can be sent a difference.
 * Loop thread. Without memory, or when too much has been altered, it knows nothing, and the whole list is sent. */
#ifndef TW_CONTROLLER_JOURNAL_H
#define TW_CONTROLLER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_DIGEST_LEN 32
#define JOURNAL_MAX 4096 /* alterations; more are not worth it */

struct journal_entry {
    uint32_t row; /* of the pair in inventory.pairs */
    uint32_t had; /* sessions of it in the list before the alteration */
};
struct journal {
    struct journal_entry *v; /* in order of time; a pair may be in it more than once: then the first counts */
    size_t n, cap;
    size_t n_pushed;         /* the first so many have been sent, and are not acknowledged */
    bool known, pushed;      /* the digests are valid */
    uint8_t base[JOURNAL_DIGEST_LEN], sent[JOURNAL_DIGEST_LEN];
};

void journal_touch(struct journal *j, uint32_t row, uint32_t had);
/* All of it has been sent; the agent's list has this digest when it has taken it. */
void journal_sent(struct journal *j, const uint8_t digest[JOURNAL_DIGEST_LEN]);
/* The agent says what it has; current: that is all that is wanted. */
void journal_acked(struct journal *j, const uint8_t digest[JOURNAL_DIGEST_LEN], bool current);
/* Does it tell how the present list differs from the one with this digest? */
bool journal_covers(const struct journal *j, const uint8_t digest[JOURNAL_DIGEST_LEN]);
void journal_forget(struct journal *j);
void journal_free(struct journal *j);

#endif
