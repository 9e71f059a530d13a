/* controller/ingest.h - results: decoded on nng's threads, checked against the inventory on the loop, stored by the writer, then
 * published and acknowledged. Loop thread but for ingest_decode() and ingest_drop().
 *
 * Rows of a pair that is not this agent's, or whose names do not make its number, and rows with impossible times are dropped and
 * counted, and keep their numbers as a gap in the store, so that the spool behind them is not blocked. But as long as the agent's clock and
 * ours do not agree nobody can say whose is wrong: then a batch with impossible times is not taken, and stays in the agent's spool.
 *
 * After an outage agents send fresh results first, and what waited (the backlog) beside them, slowly. The backlog is history: it is
 * stored, counted and rolled up, but raises and clears no alert, and is no sign that its pair is measured now. */
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
#define INGEST_AGREE_NS (3600 * TW_NS_PER_S) /* clocks that are no further apart agree */

struct ingest;
enum tw_rc ingest_new(struct controller *c, struct ingest **ret);
/* After the writer has stopped. */
void ingest_free(struct ingest *in);

void *ingest_decode(const uint8_t *body, size_t len, struct tw_err *err);
void ingest_drop(void *object);
void ingest_on_data(struct ingest *in, struct rpc_peer *p, void *object);

uint32_t ingest_window(struct ingest *in);
/* What is durable of (agent, spool); all zero: nothing. */
struct store_cursor ingest_cursor(const struct ingest *in, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN]);
enum tw_rc ingest_set_cursor(struct ingest *in, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                             const struct store_cursor *at);
/* What an agent is told of it beyond `through`, and of what it may send. */
struct rpc_ahead ingest_ahead(struct ingest *in, const struct store_cursor *at);
/* The agent was removed. */
void ingest_forget(struct ingest *in, int64_t agent_id);

struct ingest_counters {
    uint64_t summaries, batches; /* stored */
    uint64_t repeated_batches, out_of_sequence, batches_refused, rows_refused, gap_summaries;
    uint64_t backlog_summaries; /* of `summaries`: came after later ones of their spool */
    uint64_t spools_ahead;      /* now: of which later summaries are stored than some that are to come */
};
void ingest_counters(const struct ingest *in, struct ingest_counters *ret);

#endif
