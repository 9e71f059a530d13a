/* db/spool.h - the agent's spool: summaries wait here until the controller says that they are durable, and a while
 * longer. One SQLite file, WAL; also keeps the agent's last schedule. One thread (the agent loop).
 *
 * Every record gets the next sequence number of this spool; the spool's random id and its numbers together make delivery
 * exactly-once. Bounded in octets and age: the oldest records go first, are counted, and leave a gap record in their place, so
 * the loss is reported like everything else. */
#ifndef TW_DB_SPOOL_H
#define TW_DB_SPOOL_H

#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"
#include "common/seqset.h"

#define SPOOL_ID_LEN 16
struct spool;

struct spool_cfg {
    const char *path;
    int64_t max_bytes;     /* of unacknowledged and kept records together; 0 = 256 MiB */
    int64_t max_age_ns;    /* unacknowledged records older than this are dropped; 0 = 7 days */
    int64_t keep_acked_ns; /* acknowledged ones are kept so long for a controller that lost its database; 0 = 6 h */
};

/* Opens or makes it. TW_ECORRUPT, TW_EVERSION: the file is left untouched and *err says what to do. TW_ENOSPC, TW_EPERM, TW_ENOENT (no
 * such directory), TW_EINUSE (another agent has it: an advisory lock on PATH.lock is held while open). */
enum tw_rc spool_open(const struct spool_cfg *cfg, struct spool **ret, struct tw_err *err);
void spool_close(struct spool *s);
const uint8_t *spool_id(const struct spool *s); /* SPOOL_ID_LEN octets */

/* As those of the struct; both > 0. What is beyond them goes with the next spool_append() or spool_trim(). */
void spool_set_bounds(struct spool *s, int64_t max_bytes, int64_t keep_acked_ns);

/* Appends n records (packed Summary messages) durably in one transaction (synchronous=FULL); `now_ns` is wall time. On TW_ENOSPC or
 * TW_EIO nothing was stored: the caller keeps them and tries again, or drops and counts them with spool_count_lost(). Over max_bytes
 * the oldest go in the same transaction. */
struct spool_record {
    const uint8_t *data;
    size_t len;
};
enum tw_rc spool_append(struct spool *s, int64_t now_ns, const struct spool_record *rec, size_t n, uint64_t *ret_first_seq);

/* n summaries were lost before they could be appended. The next append gives them numbers and a gap "spool_full" before its own
 * records, so they are reported too (unless the agent ends before that). */
void spool_count_lost(struct spool *s, uint64_t n);

/* The file is an old copy (of a host that was set back, of a clone): another one has given out the numbers
 * behind after_seq up to through_seq, too. What was appended here behind after_seq moves behind through_seq,
 * in one transaction; what is between is a gap "spool_full": it was in the other copy only. *ret_moved: so
 * many numbers were moved. TW_EINVAL: after_seq is below what was acknowledged, or beyond the last;
 * through_seq is not beyond it. Other errors as of spool_append(): nothing has changed. */
enum tw_rc spool_move_behind(struct spool *s, uint64_t after_seq, uint64_t through_seq, int64_t now_ns,
                             uint64_t *ret_moved);

/* Reads up to max_n records from `seq` on, in order, at most max_bytes in all (at least one). Consecutive; stops before a gap. If
 * `seq` itself was dropped: *ret_n = 0 and *ret_gap is filled with the dropped stretch from seq on that has one reason. Acknowledged
 * records that have been removed since (a controller restored from a backup asks for them) are a gap "spool_age"; one that is not what was
 * appended is a gap "spool_corrupt". TW_EAGAIN: seq is beyond the last. The bytes belong to the spool until the next call. */
struct spool_gap {
    uint64_t first_seq, last_seq; /* last_seq 0: no gap */
    const char *reason;           /* "spool_full", "spool_age", "spool_corrupt" */
    int64_t from_ns, until_ns;    /* when its first and its last record had been appended; 0: not known */
};
enum tw_rc spool_read(struct spool *s, uint64_t seq, size_t max_n, size_t max_bytes, struct spool_record *ret, size_t *ret_n,
                      struct spool_gap *ret_gap);
/* The first of the newest records that all came at or after time_ns, looking back over 20,000 at most; after
 * the last one if there are none. */
enum tw_rc spool_since(struct spool *s, int64_t time_ns, uint64_t *ret_seq);
/* Everything up to and including seq is durable at the controller. Going back (controller lost its database) is not an
 * acknowledgement: use the sequence number that the controller wants and read again. TW_EINVAL: seq was never given out. Written with
 * the next append or trim: losing it in a crash only sends some records twice. */
enum tw_rc spool_ack(struct spool *s, uint64_t through_seq, int64_t now_ns);
/* What the controller has stored beyond the acknowledged (fresh ones go before a backlog), until it says so
 * again; {0}: nothing, or not known. These do not wait, go before those that the controller has not when there
 * are too many octets, and are not counted as dropped. Kept in memory only. */
void spool_note_ahead(struct spool *s, const struct seqset *ahead);
/* Drops what is over the bounds; call now and then. */
enum tw_rc spool_trim(struct spool *s, int64_t now_ns);

struct spool_stats {
    uint64_t first_seq, last_seq; /* first stored record (none: last_seq + 1); last_seq = last one given out */
    uint64_t acked_seq;
    uint64_t waiting;             /* neither acknowledged nor stored ahead */
    uint64_t bytes, dropped, append_errors;
};
void spool_stats(struct spool *s, struct spool_stats *ret);

/* Small values kept with it: "schedule", ... put replaces durably. get: malloc'ed copy; TW_ENOENT; TW_ECORRUPT: it is not what was put. */
enum tw_rc spool_put_value(struct spool *s, const char *key, const void *data, size_t len);
enum tw_rc spool_get_value(struct spool *s, const char *key, uint8_t **ret, size_t *ret_len);

#endif
