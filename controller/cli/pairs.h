/* controller/cli/pairs.h - a report's pairs with their numbers, and the cells that report, results and watch
 * share. */
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
/* With a record that only names the columns if there are no pairs. */
void pairs_records(const struct pairs *p, struct out_records *r);
cJSON *pairs_json(const struct pairs *p, const struct out_records *r);

/* One summary as numbers. */
enum tw_rc pairs_view(const Tw__Summary *m, struct stats_view *ret, struct tw_err *err);
/* "quickstart/voice" and "ams > fra" as two cells. */
void pairs_cell_names(struct out_table *t, const Tw__PairInfo *p);
void pairs_cell_state(struct out_table *t, const char *state);
void pairs_cell_loss(struct out_table *t, struct tw_num ratio);
/* The loss of v both ways together, marked with "!" if its host was in trouble; true if it was marked. */
bool pairs_cell_total_loss(struct out_table *t, const struct stats_view *v);
/* "!" or "", for other cells that tell of loss. */
const char *pairs_host_mark(const struct stats_view *v);
extern const char pairs_host_note[];
void pairs_cell_seconds(struct out_table *t, struct tw_num s);
/* A one-way delay of v, marked with "?" unless it is valid; true if it was marked. */
bool pairs_cell_one_way(struct out_table *t, const struct stats_view *v, struct tw_num delay);
extern const char pairs_one_way_note[];
/* How bad a state is, for sorting: 0 ok. */
int pairs_severity(const struct pair_row *row);

#endif
