/* controller/publish.h - live state of the pairs and aggregates from committed summaries, and the metrics pages made of it. Loop
 * thread; pages are rendered and compressed on a reader thread from a snapshot, once per interval, only when somebody asks. */
#ifndef TW_CONTROLLER_PUBLISH_H
#define TW_CONTROLLER_PUBLISH_H

#include "common/net/httpd.h"
#include "controller/inventory.h"
#include "controller/reader.h"

struct publish;
struct publish_conf {
    struct loop *loop;
    struct inventory *inventory;
    struct reader_pool *readers;
    uint64_t max_pair_series;   /* 0 = 100000 */
    int64_t page_interval_ns;   /* 0 = 5 s: a page is at most so old */
    uint32_t native_buckets;    /* most buckets of a native histogram: with more its resolution is halved. 0 = none are kept */
    /* Fills rows about ourselves (ingest, store, rpc, http); returns how many. */
    size_t (*self)(void *ctx, struct metrics_self *rows, size_t cap); /* strings outlive the process's pages: static */
    void *self_ctx;
    bool shared; /* pairs and agents of other controllers are in the inventory, too: pages have only those
                    whose agent is here, or was last */
};
enum tw_rc publish_new(const struct publish_conf *c, struct publish **ret);
/* From the next page on. 0: the usual. */
void publish_set_max_pair_series(struct publish *p, uint64_t max);
/* From the next summary on; 0: the next page has none any more, and what was counted is forgotten. */
void publish_set_native_buckets(struct publish *p, uint32_t most);
/* After reader_pool_stop() and before the inventory goes: frees the live state of its pairs. */
void publish_free(struct publish *p);
/* A summary that is committed. */
void publish_summary(struct publish *p, struct pair *pair, const struct tw_summary *s);
/* One of a backlog: it is counted, but says nothing of how its pair and its agent do now. */
void publish_backlog(struct publish *p, struct pair *pair, const struct tw_summary *s);
/* A pair left the schedule or was deleted: its series and live state go. */
void publish_forget(struct publish *p, struct pair *pair);
/* The numbers of pair->live->last, kept ready. NULL without live state. */
const struct stats_view *publish_view(const struct pair *pair);
/* Soon its state will be asked for; it has a live state. */
static inline void publish_fetch(const struct pair *pair)
{
    __builtin_prefetch(&pair->live->last.status);
    __builtin_prefetch(&pair->live->last_end_ns);
}
/* Has a summary that ended so lately that the next one is not overdue? Two report periods, as in pair_state(). */
bool publish_is_fresh(const struct pair *pair, int64_t now_ns);
/* The wall clock was set: what it said of our start is so much later, or earlier, by it. */
void publish_stepped(struct publish *p, int64_t by_ns);
struct publish_periods {
    int64_t from_ns, to_ns; /* whole minutes */
    uint64_t expected, stored;
};
/* What completeness is made of. False: nothing was expected. */
bool publish_periods(const struct publish *p, const struct pair *pair, int64_t now_ns, struct publish_periods *ret);
/* Completeness of the last hour, as far as this process has seen it: report periods that ended in whole minutes after the pair was
 * scheduled and the process started, and one period and some seconds ago at least. */
struct tw_num publish_completeness(const struct publish *p, const struct pair *pair, int64_t now_ns);
/* Answers /metrics; `levels` bits of enum metrics_level, mesh NULL = all. */
enum publish_format { PUBLISH_TEXT, PUBLISH_OPENMETRICS, PUBLISH_PROTOBUF, PUBLISH_FORMATS };
const char *publish_content_type(enum publish_format f);
void publish_answer(struct publish *p, struct http_req *rq, unsigned levels, const char *mesh, enum publish_format format);

#endif
