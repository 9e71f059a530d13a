/* controller/report.h - results and reports of pairs: one function behind the Admin service and the HTTP API, so that the same pair
 * and interval gives the same numbers everywhere. */
#ifndef TW_CONTROLLER_REPORT_H
#define TW_CONTROLLER_REPORT_H

#include "controller/core/cell.h"
#include "controller/maintenance.h"
#include "controller/inventory.h"
#include "controller/missing.h"
#include "controller/reader.h"

struct pair_lists;

#define ONDEMAND_MESH "on-demand" /* reserved: the pairs of tests on demand */

enum report_format { REPORT_JSON, REPORT_CSV, REPORT_NDJSON, REPORT_HTML };
enum results_form { RESULTS_AS_ROWS, RESULTS_AS_CSV, RESULTS_AS_LINES }; /* twampctl's lines: CSV, or the same as JSON */
/* A filter as a user gives it; empty strings match everything. */
struct report_filter {
    char mesh[STORE_NAME_MAX], class_name[STORE_NAME_MAX], source[STORE_NAME_MAX], target[STORE_NAME_MAX];
    char select[SELECTOR_TEXT_MAX], target_select[SELECTOR_TEXT_MAX]; /* common/selector.h: sources and targets by labels */
    int64_t from_ns, to_ns; /* [from, to); to 0 = now, from 0 = one hour before to */
    uint32_t limit;         /* pairs (report) or rows (results); 0 = 10000 / 1000 */
    bool latest;            /* report: the last closed report period of each pair */
    bool flows;             /* report: the flows of each pair, too */
    uint64_t min_probes;    /* outages: at least so many lost, so long */
    int64_t min_duration_ns;
    bool by_direction;      /* outages: only those of `direction` */
    enum tw_direction direction;
    bool on_demand;         /* also what tests on demand measured; else only by the name of their mesh, or test_id */
    uint64_t test_id;       /* not 0: only what this test measured; results, report */
    int64_t at_ns, span_ns; /* flight recorder: 0 = now, its default */
    uint32_t flow;          /* flight recorder: with one_flow only this */
    bool one_flow;
    bool incomplete;        /* completeness: only hours that lack something */
    char group_by[TW_LABEL_MAX + 8]; /* report: as PairFilter.group_by */
    char sort_by[64];       /* report: the worst first, by this number of stats_fields[] or "completeness_ratio" */
    uint32_t top;           /* report: only so many of them; 0 = all */
    uint32_t skip;          /* report: without so many of the first pairs, where they stand in their order */
    bool paged;             /* results: a page, which may end before the limit and says where the next one begins */
    enum results_form form; /* of a page */
    uint64_t page_pair;     /* results: from this pair on, and of it from page_ns on; 0: all */
    int64_t page_ns;
    int64_t before_from_ns, before_to_ns; /* report: another span beside it; to 0 = none */
    enum report_format format; /* report, over HTTP */
    enum cell_metric metric; /* matrix */
    uint32_t points;         /* series: at most so many steps; 0 = its default */
    enum tw_direction heat;  /* series: of the heat map; query_filter() fills in the round trip */
    bool views_only;        /* report: merged comes without its histograms, which for many pairs take a GiB */
};

/* Fills the defaults (to, from). TW_EINVAL: from is not before to, one of them is before 1970, or what should be a selector is none. */
enum tw_rc report_filter_resolve(struct report_filter *f, int64_t now_ns, struct tw_err *err);

/* By pairs in their order, without another span: pair by pair is as good as all at once. */
bool report_filter_is_plain(const struct report_filter *f);

/* A filter ready to match pairs by: names, and the labels that agents have now. Loop thread; end it with report_match_end(). */
struct report_match {
    const struct report_filter *f;
    const struct inventory *inv;
    struct selector *select, *target_select;
};
/* TW_EINVAL: a selector is none; TW_ENOMEM. */
enum tw_rc report_match_begin(struct report_match *m, const struct inventory *inv, const struct report_filter *f);
bool report_matches(const struct report_match *m, const struct store_pair *p);
void report_match_end(struct report_match *m);
#define REPORT_LIMIT_DEFAULT 10000
#define REPORT_LIMIT_MAX 100000 /* where what is shown is made of all */

/* One flow of a pair; the pair's own numbers are the merge of all its flows. */
struct report_flow {
    uint32_t flow;
    struct tw_summary merged;   /* of the span */
    struct stats_view view;     /* of merged */
    uint64_t periods_expected, periods_stored;
    struct tw_num completeness_ratio;
};
struct report_pair {
    struct store_pair pair;
    uint32_t number; /* its place among those that match */
    bool scheduled;
    const char *state;          /* static string */
    bool maintenance;           /* going on now */
    struct maintenance_note *maintenance_note; /* what of it is known; NULL: nothing */
    struct class_times *times;  /* of the pair as it is scheduled: a reference of the loop thread's; NULL: always */
    struct tw_summary merged;   /* of the span, all flows; n of flows merged */
    struct stats_view view;     /* of merged */
    /* Whole report periods in what is covered, of every flow, as far as they are due: they ended two periods ago (one to close, one
     * for the way here). With `latest`: those of the one period. */
    uint64_t periods_expected, periods_stored;
    struct missing missing;     /* expected and not stored, by cause */
    uint64_t summaries_dropped; /* by the source's spool, for whatever pair */
    struct tw_num completeness_ratio;
    /* What the numbers are of: the span; more, where only coarser roll-ups are left; less, where nothing is. From >= to:
     * nothing is kept of it any more. With `latest` that period. */
    int64_t covers_from_ns, covers_to_ns;
    uint32_t groups[2];         /* its places in report.groups, plus 1 */
    const struct report_pair *before; /* the same in the other span; NULL: not there */
    struct report_flow *flows;  /* by number: those that are scheduled and those that have something stored */
    size_t n_flows;             /* 0 unless asked for */
};
/* All pairs that have the same of what is grouped by. */
struct report_group {
    char key[STORE_NAME_MAX > TW_LABEL_MAX ? STORE_NAME_MAX : TW_LABEL_MAX]; /* "": no such label */
    uint64_t pairs;
    struct tw_summary merged;
    struct stats_view view;
    uint64_t periods_expected, periods_stored;
    struct tw_num completeness_ratio;
    uint64_t loss_runs;         /* joined, of its pairs */
    int64_t covers_from_ns, covers_to_ns; /* of all its pairs together */
    const struct report_group *before;
};
struct report {
    int64_t from_ns, to_ns;
    struct report_pair *pairs;  /* sorted by mesh, class, source, target */
    size_t n_pairs;
    bool truncated;
    uint32_t next;               /* truncated: skip of the rest; 0: there is no such */
    struct report_group *groups; /* sorted by key; of f.group_by, with pairs without histograms */
    size_t n_groups, cap_groups;
    struct report *before;      /* of the other span; owned */
};
/* The pairs that match, sorted by mesh, class, source, target; the array is malloc'ed. Loop thread. */
enum tw_rc report_select(const struct inventory *inv, const struct report_filter *f, const struct pair ***ret, size_t *ret_n);

/* The only one of these; those that are scheduled go before those that once were. NULL: *ret_n says how many there are. */
const struct pair *report_one(const struct pair *const *v, size_t n, size_t *ret_n);

/* Selects the pairs on the loop thread, reads on a reader, calls done on the loop thread. On an error rep is
 * NULL. done owns *rep and frees it with report_free(). TW_EBUSY, TW_ENOMEM, TW_EINVAL
 * (report_filter_resolve()) at once: done is not called. A pair that is not scheduled is left out when it has
 * nothing to show: nothing expected and nothing stored in the span, or `latest`. Completeness: min(1, stored
 * / expected); unknown when nothing was expected. Sorting changes the order of pairs, or groups. lists: for
 * who asks with `limit` and `skip` page by page; else NULL. */
enum tw_rc report_run(struct inventory *inv, struct pair_lists *lists, struct reader_pool *readers,
                      const struct report_filter *f, int64_t now_ns,
                      void (*done)(void *ctx, struct report *rep, const struct tw_err *err), void *ctx);
/* The same of pairs that are given, in the order given, whatever the filter's names and limit say; for those that report many, some at a time. *f
 * is resolved, and neither groups, sorts nor compares. */
enum tw_rc report_run_some(struct inventory *inv, struct reader_pool *readers, const struct report_filter *f,
                           const struct pair *const *pairs, size_t n, int64_t now_ns,
                           void (*done)(void *ctx, struct report *rep, const struct tw_err *err), void *ctx);
void report_free(struct report *r);

#endif
