/* controller/cli/pairs.h - a report's pairs with their numbers, and what report, results and watch show of
 * them. */
#ifndef TW_CLI_PAIRS_H
#define TW_CLI_PAIRS_H

#include "controller/cli/cli.h"

struct pair_row {
    const Tw__PairReport *report; /* of the reply */
    bool measured;                /* has a summary; else view is that of none */
    struct stats_view view;
};
struct pairs {
    const Tw__ReportReply *reply;
    struct pair_row *rows;
    size_t n;
};

/* The reply must outlive *ret. On an error *err names the pair, and *ret owns nothing. */
enum tw_rc pairs_decode(const Tw__ReportReply *reply, struct pairs *ret, struct tw_err *err);
void pairs_free(struct pairs *p);
/* For a listing of pair rows; ctx is the struct pairs. */
void pairs_put_row(struct out_records *r, const void *row, const void *ctx);
extern const struct pair_row pairs_no_row;
void pairs_put_head(struct out_records *r, const void *ctx);

/* Below a table: whose numbers are of another span than the reply says, because of what is still kept. */
void pairs_print_covers(const struct pairs *p);

/* One summary as numbers. */
enum tw_rc pairs_view(const Tw__Summary *m, struct stats_view *ret, struct tw_err *err);
/* mesh, class, source and target; in a table the columns "MESH/CLASS" and "PAIR". */
void pairs_put_names(struct out_records *r, const Tw__PairInfo *p);
/* missing_refused and so on; NULL: nothing is missing. */
void pairs_put_missing(struct out_records *r, const Tw__Missing *m);
/* A state, or a status, with its colour. */
void pairs_put_state(struct out_records *r, const char *name, const char *state);
/* All numbers; in a table losses are red, marked with "!" if the host was in trouble, and one-way delays that
 * are not valid are marked with "?". */
void pairs_put_view(struct out_records *r, const struct stats_view *v);
/* Which marks are in a table, and what they mean, below it. */
#define PAIRS_MAINTENANCE 3 /* told below a table */
struct pairs_marks {
    bool one_way, host;
    const Tw__PairInfo *maintenance[PAIRS_MAINTENANCE]; /* each another one */
    size_t n_maintenance, more_maintenance;
};
void pairs_note_marks(struct pairs_marks *m, const struct stats_view *v);
/* Whose maintenance goes on, why, and until when. The report must outlive *m. */
void pairs_note_maintenance(struct pairs_marks *m, const Tw__PairReport *p);
void pairs_print_marks(const struct pairs_marks *m, const struct out_listing *l, const struct out_table *t,
                       FILE *to);
/* How bad a state is, for sorting: 0 ok. */
int pairs_severity(const struct pair_row *row);

#endif
