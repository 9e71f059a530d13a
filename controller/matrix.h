/* controller/matrix.h - the pairs of one mesh and class as a grid of cells, now or at a moment of the past.
 * Taken on the loop thread as a copy; written as JSON on any thread. */
#ifndef TW_CONTROLLER_MATRIX_H
#define TW_CONTROLLER_MATRIX_H

#include "controller/controller.h"
#include "controller/core/cell.h"
#include "controller/report.h"

#define MATRIX_CELLS_MAX 250000 /* 500 x 500; what is more is cut, and said */

enum matrix_flag {
    MATRIX_WITHHELD = 1,    /* one-way delays are not valid */
    MATRIX_MAINTENANCE = 2, /* goes on now, of the mesh or of an agent at either end */
    MATRIX_FIRES = 4        /* an alert of the pair */
};
struct matrix_cell {
    uint32_t source, target; /* of nodes */
    const char *state;       /* static */
    struct tw_num v[CELL_DIRECTIONS];
    int8_t severity[CELL_DIRECTIONS]; /* by direction; [TW_UNKNOWN]: the worst of them; CELL_NOT_JUDGED */
    uint8_t flags;
    uint16_t rule[3]; /* by direction: of rules, plus 1; 0: none. Of the past */
};
struct matrix_node {
    const char *name;        /* kept in inventory.names */
    const char *state;       /* of the agent; "target": it is none */
    struct tw_label *labels; /* a copy */
    size_t n_labels;
};
struct matrix_choice {
    const char *mesh, *class_name;
};
struct matrix {
    char mesh[STORE_NAME_MAX], class_name[STORE_NAME_MAX]; /* "": there is nothing to choose */
    enum cell_metric metric;
    int64_t now_ns;
    int64_t at_ns;     /* end of the newest report period; 0: there is none */
    int64_t period_ns; /* report period */
    bool live, truncated;
    struct alert_level level[ALERT_SEVERITY_COUNT]; /* absolute ones of the rule that most cells go by */
    bool has_levels;
    struct alert_rule *rules; /* of the past: a copy of those in force, without what they point to */
    enum store_level coarsest; /* of the past: that it is made of */
    struct matrix_choice *choices; /* sorted */
    size_t n_choices;
    struct matrix_node *nodes; /* each once, in no order */
    size_t n_nodes;
    struct matrix_cell *cells; /* in no order */
    uint64_t *ids;             /* of their pairs */
    size_t n_cells;
};

/* Of f: mesh and class ("": the first ones), metric, select, target_select, at. TW_ENOMEM. Loop thread. */
enum tw_rc matrix_take(struct controller *c, const struct report_filter *f, int64_t now_ns,
                       struct matrix **ret);
/* For a moment of the past (f.at_ns) the rest is read from the store: the last report period that had ended then, or what is left of it. Reader
 * thread. */
enum tw_rc matrix_fill_past(struct matrix *m, struct store_reader *db, struct tw_err *err);
void matrix_free(struct matrix *m);
/* malloc'ed; NULL: no memory. *ret_same: where what changes with time alone ends: octets from there on are
 * the same as long as the matrix is. */
char *matrix_json(const struct matrix *m, size_t *ret_len, size_t *ret_same);

/* Answers that are kept, by selection: made anew once listeners were told that something changed. Loop
 * thread. */
struct matrix_pages;
enum tw_rc matrix_pages_new(struct controller *c, struct matrix_pages **ret);
/* After reader_pool_stop(). */
void matrix_pages_free(struct matrix_pages *p);
void matrix_pages_answer(struct matrix_pages *p, const struct report_filter *f, struct http_req *rq);
struct matrix_counters {
    uint64_t built, kept, bytes; /* made; answers from what was there; what is there takes */
};
void matrix_pages_counters(const struct matrix_pages *p, struct matrix_counters *ret);

#endif
