/* controller/ingest.h - results: decoded on nng's threads, checked against the inventory on the loop, stored by the writer, then
 * published and acknowledged. Loop thread but for ingest_decode() and ingest_drop().
 *
 * Rows of a pair that is not this agent's, or whose names do not make its number, and rows with impossible times are dropped and
 * counted, and keep their numbers as a gap in the store, so that the spool behind them is not blocked. */
#ifndef TW_CONTROLLER_INGEST_H
#define TW_CONTROLLER_INGEST_H

#include "controller/controller.h"
#include "controller/core/window.h"

#define INGEST_BATCH_MAX 256 /* summaries; measure.proto */
#define INGEST_WINDOW WINDOW_MAX /* summaries that an agent may have unacknowledged */
#define INGEST_LEARN_MAX 20000 /* pairs that one agent may tell of; bounds what a hostile one can make us keep */
/* The store makes a table for each day it is given: times far from ours are refused. */
#define INGEST_FUTURE_NS (24 * 3600 * TW_NS_PER_S)
#define INGEST_PAST_NS (400 * 24 * 3600 * TW_NS_PER_S)

struct ingest;
enum tw_rc ingest_new(struct controller *c, struct ingest **ret);
/* After the writer has stopped. */
void ingest_free(struct ingest *in);

void *ingest_decode(const uint8_t *body, size_t len, struct tw_err *err);
void ingest_drop(void *object);
void ingest_on_data(struct ingest *in, struct rpc_peer *p, void *object);

uint32_t ingest_window(struct ingest *in);
/* What is durable of (agent, spool); 0: nothing. */
uint64_t ingest_cursor(const struct ingest *in, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN]);
enum tw_rc ingest_set_cursor(struct ingest *in, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN], uint64_t through);
/* The agent was removed. */
void ingest_forget(struct ingest *in, int64_t agent_id);

struct ingest_counters {
    uint64_t summaries, batches; /* stored */
    uint64_t repeated_batches, out_of_sequence, batches_refused, rows_refused, gap_summaries;
};
void ingest_counters(const struct ingest *in, struct ingest_counters *ret);

#endif
