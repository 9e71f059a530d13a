/* controller/results.h - the stored summaries themselves: at most so many, or page by page. */
#ifndef TW_CONTROLLER_RESULTS_H
#define TW_CONTROLLER_RESULTS_H

#include "controller/pair_lists.h"

#define RESULTS_LIMIT_DEFAULT 1000
/* An answer that takes more memory is cut, whatever its limit allows: histograms make a row some KiB, or up to 200. */
#define RESULTS_MAX_BYTES ((size_t)32 << 20)
/* A page looks at so many pairs at most, and may end without any row. */
#define RESULTS_PAGE_PAIRS 1024
/* Octets of a page as text. Past the first it ends at the next start of a pair; none is longer than the second. */
#define RESULTS_TEXT_FULL ((size_t)832 << 10)
#define RESULTS_TEXT_MAX ((size_t)896 << 10)

struct result_row {
    struct store_pair pair;
    struct tw_summary summary;
};
struct results {
    struct result_row *rows; /* sorted by pair, then start */
    size_t n_rows;
    bool truncated;
    uint64_t next_pair; /* truncated: of the first row that is not here; 0: a single start has more flows than a text holds */
    int64_t next_ns;
    char *text;         /* by results_form, in place of rows: lines of whole starts of pairs, without a heading */
    size_t text_len;
    uint64_t text_rows;
    struct store_pair last; /* of the last line */
};

/* Selects the pairs on the loop thread, reads on a reader, calls done on the loop thread. On an error res is NULL. done owns *res and frees
 * it with results_free(). lists: for f->paged, where pages find their place; NULL without. TW_EBUSY, TW_ENOMEM, TW_EINVAL
 * (report_filter_resolve(), or f->page_pair is no pair that matches) at once: done is not called. */
enum tw_rc results_run(struct inventory *inv, struct pair_lists *lists, struct reader_pool *readers, const struct report_filter *f,
                       int64_t now_ns, void (*done)(void *ctx, struct results *res, const struct tw_err *err), void *ctx);
void results_free(struct results *r);

#endif
