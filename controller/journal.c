#include "controller/journal.h"
#include <stdlib.h>
#include <string.h>

void journal_forget(struct journal *j)
{
    j->n = j->n_pushed = 0;
    j->known = j->pushed = false;
}

void journal_touch(struct journal *j, uint32_t row, uint32_t had)
{
    if (!j->known)
        return;
    if (j->n == j->cap) {
        size_t cap = j->cap ? 2 * j->cap : 4;
        struct journal_entry *v = cap <= JOURNAL_MAX ? reallocarray(j->v, cap, sizeof *v) : NULL;

        if (!v) {
            journal_forget(j);
            return;
        }
        j->v = v;
        j->cap = cap;
    }
    j->v[j->n++] = (struct journal_entry){ row, had };
}

void journal_sent(struct journal *j, const uint8_t digest[JOURNAL_DIGEST_LEN])
{
    memcpy(j->sent, digest, sizeof j->sent);
    j->pushed = true;
    j->n_pushed = j->n;
}

bool journal_covers(const struct journal *j, const uint8_t digest[JOURNAL_DIGEST_LEN])
{
    return j->known && !memcmp(j->base, digest, sizeof j->base);
}

void journal_acked(struct journal *j, const uint8_t digest[JOURNAL_DIGEST_LEN], bool current)
{
    bool has_base = journal_covers(j, digest);
    bool has_sent = j->known && j->pushed && !memcmp(j->sent, digest, sizeof j->sent);
    size_t done = current ? j->n : has_sent ? j->n_pushed : 0;

    if (!current && !has_base && !has_sent) {
        journal_forget(j);
        return;
    }
    if (j->n > done)
        memmove(j->v, j->v + done, (j->n - done) * sizeof *j->v);
    j->n -= done;
    j->n_pushed = 0;
    j->pushed = false;
    j->known = true;
    memcpy(j->base, digest, sizeof j->base);
}

void journal_free(struct journal *j)
{
    free(j->v);
    *j = (struct journal){ 0 };
}
