/* db/sqlite/spool_priv.h - what the files of the spool share. */
#ifndef TW_DB_SPOOL_PRIV_H
#define TW_DB_SPOOL_PRIV_H

#include <stdbool.h>
#include "db/spool.h"
#include "db/sqlite/sq.h"

enum spool_stmt {
    SP_BEGIN,
    SP_COMMIT,
    SP_STATE_GET,
    SP_STATE_PUT,
    SP_RECORD_PUT,
    SP_RECORD_READ,
    SP_RECORD_FIRST,
    SP_RECORD_LAST,
    SP_RECORD_BEFORE,
    SP_RECORD_SCAN,
    SP_RECORD_DELETE,
    SP_RECORD_HIGHEST,
    SP_RECORD_MOVE,
    SP_GAP_PUT,
    SP_GAP_BEFORE,
    SP_GAP_AT,
    SP_GAP_DELETE,
    SP_GAP_STRETCH,
    SP_GAP_LIFT,
    SP_GAP_MOVE,
    SP_GAP_WAITING,
    SP_ACK_PUT,
    SP_ACK_EXPIRED,
    SP_ACK_DELETE,
    SP_VALUE_PUT,
    SP_VALUE_GET,
    SP_COUNT
};

/* The row of table state. */
struct spool_state {
    uint64_t last_seq, acked_seq, bytes, dropped;
};

struct spool {
    struct sq q;
    struct spool_cfg cfg; /* path NULL, defaults filled in */
    uint8_t id[SPOOL_ID_LEN];
    struct spool_state now, saved; /* saved: as it was before the open transaction */
    struct seqset ahead;           /* spool_note_ahead() */
    int64_t last_append_ns;        /* 0: none since the start */
    uint64_t lost;                 /* counted by the caller, not yet a gap */
    uint64_t append_errors;
    int64_t ack_ns; /* an acknowledgement not written yet came then; 0: none */
    uint8_t *buf;   /* of the last spool_read() */
    size_t buf_cap;
    char reason[32];
};

/* What a record takes beside its octets: key, time, header, its share of the page. */
#define SPOOL_RECORD_OVERHEAD 32

enum tw_rc spool_begin(struct spool *s);
/* Writes the state and commits if rc is TW_OK, else (or if that fails) rolls back. */
enum tw_rc spool_finish(struct spool *s, enum tw_rc rc);
/* Writes the acknowledgement that waits, if any; spool_finish() does it too. */
enum tw_rc spool_put_ack(struct spool *s);
/* Is it what was appended under that number? Records of older releases have no digest (0). */
bool spool_record_is_whole(int64_t digest, uint64_t seq, const uint8_t *data, size_t len);
/* Records it as dropped and counts it; joins the gap before it when that has the same reason. */
enum tw_rc spool_put_gap(struct spool *s, const struct spool_gap *gap);
/* In the open transaction; spool_trim.c. */
enum tw_rc spool_drop_over_bytes(struct spool *s);

#endif
