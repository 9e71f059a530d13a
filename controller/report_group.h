/* controller/report_group.h - private to report*.c: groups of pairs, and the worst of them. */
#ifndef TW_CONTROLLER_REPORT_GROUP_H
#define TW_CONTROLLER_REPORT_GROUP_H

#include "controller/report.h"

enum report_by {
    REPORT_BY_PAIR,
    REPORT_BY_SOURCE,
    REPORT_BY_TARGET,
    REPORT_BY_AGENT,
    REPORT_BY_MESH,
    REPORT_BY_CLASS,
    REPORT_BY_LABEL
};
/* *ret_label points into text. TW_EINVAL: *err says what is expected. */
enum tw_rc report_by_parse(const char *text, enum report_by *ret, const char **ret_label, struct tw_err *err);
/* TW_EINVAL: there is no such number. "": none is asked for. */
enum tw_rc report_sort_check(const char *name, struct tw_err *err);

/* Finds the group, or the two of them, of a pair. Loop thread. TW_ENOMEM. */
enum tw_rc report_groups_take(struct report *r, const struct inventory *inv, enum report_by by,
                              const char *label, struct report_pair *p);
/* A pair's numbers are there: its histograms are not needed any more. */
void report_groups_add(struct report *r, const struct report_pair *p);
/* The pairs are those that stay; makes the views. */
void report_groups_finish(struct report *r);
void report_groups_free(struct report *r);

/* The worst first, by that number, and not more than top (0: all); the rest is freed. */
void report_sort(struct report *r, const char *name, uint32_t top);
void report_pair_free(struct report_pair *p);

/* report_run() with another span: two reports, one after the other. */
enum tw_rc report_compare_run(struct inventory *inv, struct reader_pool *readers,
                              const struct report_filter *f, int64_t now_ns,
                              void (*done)(void *ctx, struct report *rep, const struct tw_err *err),
                              void *ctx);

#endif
