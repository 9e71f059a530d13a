/* controller/ingest_batch.h - a SummaryBatch as ingest.c works with it. */
#ifndef TW_CONTROLLER_INGEST_BATCH_H
#define TW_CONTROLLER_INGEST_BATCH_H

#include "controller/fleet_push.h"
#include "controller/ingest.h"
#include "controller/writer.h"

/* Why a row is not stored; stored instead is a gap with the reason. */
enum ingest_refusal { INGEST_ROW_OK, INGEST_UNKNOWN_PAIR, INGEST_BAD_TIME };

/* Into name_text; all empty when an agent did not say. */
struct batch_name {
    const char *mesh, *class_name, *target;
};

struct ingest_batch {
    struct writer_job job; /* first */
    struct ingest *in;
    struct fleet_link *link; /* a reference; NULL until the batch is accepted */
    int64_t agent_id, received_ns;
    uint8_t spool_id[STORE_ID_LEN];
    uint64_t first_seq;
    bool ahead;
    struct tw_summary *rows; /* row i has number first_seq + i */
    uint8_t *refused;        /* per row: enum ingest_refusal; such a row keeps its number but is not stored */
    struct batch_name *names; /* per row: what it says of its pair */
    char *name_text;
    struct store_pair *learned; /* pairs first heard of here; stored with the rows */
    size_t n_learned;
    size_t n;
    uint64_t gap_last_seq; /* n == 0: a gap from first_seq to here */
    char gap_reason[32];
    int64_t gap_from_ns, gap_until_ns;
    enum store_append_result result; /* of the whole batch, from the writer */
    struct store_cursor at;          /* afterwards */
};

/* Any thread. Everything is checked that the message alone can tell. NULL + *err. */
struct ingest_batch *ingest_batch_decode(const uint8_t *body, size_t len, struct tw_err *err);
void ingest_batch_free(struct ingest_batch *b);
/* Writer thread: a writer_job's run. */
enum tw_rc ingest_batch_store(struct writer_job *j, struct store *s, struct tw_err *err);

#endif
