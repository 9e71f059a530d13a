/* controller/ingest_batch.h - a SummaryBatch as ingest.c works with it. */
#ifndef TW_CONTROLLER_INGEST_BATCH_H
#define TW_CONTROLLER_INGEST_BATCH_H

#include "controller/fleet_push.h"
#include "controller/ingest.h"
#include "controller/writer.h"

struct ingest_batch {
    struct writer_job job; /* first */
    struct ingest *in;
    struct fleet_link *link; /* a reference; NULL until the batch is accepted */
    int64_t agent_id, received_ns;
    uint8_t spool_id[STORE_ID_LEN];
    uint64_t first_seq;
    struct tw_summary *rows; /* row i has number first_seq + i */
    bool *unknown;           /* rows of pairs that are not known */
    size_t n;
    uint64_t gap_last_seq; /* n == 0: a gap from first_seq to here */
    char gap_reason[32];
    enum store_append_result result; /* of the whole batch, from the writer */
    uint64_t through;
};

/* Any thread. Everything is checked that the message alone can tell. NULL + *err. */
struct ingest_batch *ingest_batch_decode(const uint8_t *body, size_t len, struct tw_err *err);
void ingest_batch_free(struct ingest_batch *b);
/* Writer thread: a writer_job's run. */
enum tw_rc ingest_batch_store(struct writer_job *j, struct store *s, struct tw_err *err);

#endif
