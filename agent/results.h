/* agent/results.h - closed summaries on their way from the workers to the spool: collected for a moment, so
 * that one durable write takes all that close at the end of a report period. What the spool cannot take (disk
 * full) waits in memory, bounded; what does not fit there is dropped, counted, and reported as a gap. Loop
 * thread only. */
#ifndef TW_AGENT_RESULTS_H
#define TW_AGENT_RESULTS_H

#include "agent/io/worker.h"
#include "db/spool.h"
#include "measure.pb-c.h"

struct results;
struct results_conf {
    struct loop *loop;
    struct spool *spool;
    struct worker **workers;
    size_t n_workers;
    void (*name)(void *ctx, Tw__Summary *m); /* puts the pair's names in; called before packing */
    void (*note)(void *ctx, const struct tw_summary *s); /* sees each one; NULL: nobody looks */
    void (*on_stored)(void *ctx);            /* new records are in the spool */
    void *ctx;
};
enum tw_rc results_new(const struct results_conf *c, struct results **ret);
void results_free(struct results *r);
/* A worker has summaries: takes and names them at once, stores them within 50 ms. */
void results_notify(struct results *r);
/* One that no worker has made; copied. */
void results_add(struct results *r, const struct tw_summary *s);
/* Collects and stores everything now, as before exit. */
void results_flush(struct results *r);
/* Summaries dropped because neither disk nor memory could take them; the spool counts them too. */
uint64_t results_dropped(const struct results *r);

#endif
