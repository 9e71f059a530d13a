/* db/carry.h - all of a history, carried from one database to another: what is measured, what it adds up to
 * on every level, also of days whose summaries are gone, loss runs, gaps, and how far each spool is stored.
 * Agents' and pairs' numbers stay.
 *
 * It can end at any moment, also by SIGKILL, on either side, and goes on where it was when it is begun again;
 * nothing is there twice. Until all is there and compared nobody else opens that database. Nobody writes to
 * the one it comes from, which stays as it is.
 *
 * Compared is every row, as both databases' own readers give it: by kind, level and UTC day how many there
 * are, what they add up to, and a digest (the sum of those of the rows, since databases have no order in
 * common). One thread. */
#ifndef TW_DB_CARRY_H
#define TW_DB_CARRY_H

#include "db/history.h"

enum carry_phase { CARRY_COPY, CARRY_READ_FROM, CARRY_READ_TO };
struct carry_conf {
    const struct history_ops *from_ops, *to_ops;
    const char *from, *to; /* locations, as in history_conf */
    uint64_t owner;        /* whose `to` becomes, as in history_conf */
    /* Rows of all phases; false ends it with TW_ECLOSED. May be NULL. */
    bool (*progress)(void *ctx, enum carry_phase phase, uint64_t done, uint64_t total);
    void *ctx;
    int64_t patience_ns; /* how long servers may be away before it ends with an error; 0: a minute */
};

/* What there is of a kind and level. */
struct carry_sum {
    enum history_kind kind;
    enum store_level level;
    uint64_t days, rows;
    uint64_t sent, lost; /* probes; of loss runs: lost */
    uint64_t digest;
};
#define CARRY_SUMS (HISTORY_KINDS + STORE_LEVELS)
struct carry_report {
    struct carry_sum v[CARRY_SUMS];
    size_t n;
    uint64_t rows;        /* of all */
    uint64_t found_there; /* of those: by an earlier try */
    bool was_there;       /* all of it: it was only compared */
};

/* "summaries", "cells", "loss runs", ... */
const char *carry_kind_name(enum history_kind k);

/* TW_EEXIST: another history is in there, or this one has been written to since it was begun. TW_ECORRUPT: it
 * is not the same on both sides, or a row cannot be read. TW_EINUSE: it is another controller's. */
enum tw_rc carry_history(const struct carry_conf *conf, struct carry_report *ret, struct tw_err *err);

/* What would be carried, by what the database says of itself, without days and digests; and how many of its
 * rows can be read in a second, by a try of at most two. Nothing is opened of `to`. */
enum tw_rc carry_look(const struct carry_conf *conf, struct carry_report *ret, double *ret_rate,
                      struct tw_err *err);

#endif
