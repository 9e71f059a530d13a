/* The matrix of a moment of the past, from the store. Reader thread. */
#include <stdlib.h>
#include "controller/matrix.h"

struct place {
    uint64_t id;
    uint32_t at; /* in cells */
};
struct filling {
    struct matrix *m;
    struct place *places; /* sorted by id */
    bool *seen;           /* by cell: something is stored */
    struct tw_summary merged;
    uint64_t id; /* of `merged`; 0: none */
    enum store_level level;
    int64_t asked_ns;
};

static int cmp_places(const void *a, const void *b)
{
    uint64_t x = ((const struct place *)a)->id, y = ((const struct place *)b)->id;

    return x < y ? -1 : x > y;
}

static void judge(const struct matrix *m, const struct stats_view *v, struct matrix_cell *c)
{
    int worst = CELL_NOT_JUDGED;

    for (enum tw_direction d = TW_FORWARD; d <= TW_ROUNDTRIP; d++) {
        if (!c->rule[d])
            continue;
        c->severity[d] = (int8_t)cell_severity(&m->rules[c->rule[d] - 1], (struct tw_num){ 0 }, v, c->v[d]);
        worst = c->severity[d] > worst ? c->severity[d] : worst;
    }
    c->severity[TW_UNKNOWN] = (int8_t)worst;
}

/* No more rows of the pair will come. */
static void seal(struct filling *f)
{
    struct place key = { .id = f->id };
    const struct place *place =
        f->id ? bsearch(&key, f->places, f->m->n_cells, sizeof key, cmp_places) : NULL;
    struct matrix_cell *c;
    struct stats_view v;

    if (place) {
        c = &f->m->cells[place->at];
        f->seen[place->at] = true;
        stats_view(&f->merged, &v);
        c->state = tw_status_name(v.status);
        for (enum tw_direction d = TW_FORWARD; d < CELL_DIRECTIONS; d++)
            c->v[d] = cell_number(f->m->metric, &v, d);
        if (cell_is_withheld(f->m->metric, &v))
            c->flags |= MATRIX_WITHHELD;
        judge(f->m, &v, c);
        if (f->merged.end_ns > f->m->at_ns)
            f->m->at_ns = f->merged.end_ns;
    }
    summary_free(&f->merged);
    summary_init(&f->merged);
    f->id = 0;
}

static enum tw_rc add(void *ctx, const struct store_cell *c)
{
    struct filling *f = ctx;

    if (c->merged->pair_id != f->id)
        seal(f);
    f->id = c->merged->pair_id;
    summary_merge(&f->merged, c->merged);
    f->merged.pair_id = f->id;
    if (c->level > f->level)
        f->level = c->level;
    return TW_OK;
}

/* What neither the metric nor the rules on it need. */
static unsigned parts_without(enum cell_metric m)
{
    return STORE_REST | (m != CELL_JITTER ? STORE_JITTER : 0) |
           (m == CELL_LOSS || m == CELL_JITTER ? STORE_DELAYS : 0);
}

static enum tw_rc read_numbers(struct filling *f, struct store_reader *db, struct tw_err *err)
{
    struct matrix *m = f->m;
    int64_t period_ns = m->period_ns > 0 ? m->period_ns : 60 * TW_NS_PER_S;
    int64_t end_ns = f->asked_ns / period_ns * period_ns;
    uint64_t *ids = malloc((m->n_cells + 1) * sizeof *ids);
    enum tw_rc rc;

    if (!ids)
        return TW_ENOMEM;
    for (size_t i = 0; i < m->n_cells; i++)
        ids[i] = f->places[i].id;
    rc = store_read_span(db,
                         &(struct store_span){ .pair_ids = ids,
                                               .n_pairs = m->n_cells,
                                               .from_ns = end_ns - period_ns,
                                               .to_ns = end_ns,
                                               .without = parts_without(m->metric),
                                               .raw_from_ns = INT64_MAX,
                                               .fn = add,
                                               .ctx = f },
                         err);
    seal(f);
    free(ids);
    return rc;
}

/* ---- Where nothing is stored ---- */

static enum tw_rc note_interval(void *ctx, const struct store_interval *i)
{
    (void)i;
    *(bool *)ctx = true;
    return TW_OK;
}

struct down {
    int8_t known; /* 0: not asked yet; 1: it was down; -1: not */
};

static enum tw_rc note_absence(void *ctx, const struct store_absence *a)
{
    if (!a->pair_id && (a->cause == STORE_AGENT_DOWN || a->cause == STORE_AWAITED))
        *(bool *)ctx = true;
    return TW_OK;
}

static enum tw_rc find_down(const struct filling *f, struct store_reader *db, uint32_t source, struct down *d,
                            struct tw_err *err)
{
    bool down = false;
    enum tw_rc rc = store_read_absences(db, f->m->nodes[source].name, f->asked_ns - 1, f->asked_ns,
                                        note_absence, &down, err);

    d->known = down ? 1 : -1;
    return rc;
}

/* Was it scheduled? Else there is no such cell. */
static enum tw_rc explain(struct filling *f, struct store_reader *db, size_t at, struct down *downs,
                          struct tw_err *err)
{
    struct matrix_cell *c = &f->m->cells[at];
    bool scheduled = false;
    enum tw_rc rc =
        store_read_intervals(db, f->m->ids[at], f->asked_ns - 1, f->asked_ns, note_interval, &scheduled, err);

    c->state = NULL;
    if (rc != TW_OK || !scheduled)
        return rc;
    if (!downs[c->source].known)
        rc = find_down(f, db, c->source, &downs[c->source], err);
    c->state = downs[c->source].known > 0 ? "agent_down" : "no_data";
    return rc;
}

static enum tw_rc explain_all(struct filling *f, struct store_reader *db, struct tw_err *err)
{
    struct matrix *m = f->m;
    struct down *downs = calloc(m->n_nodes + 1, sizeof *downs);
    enum tw_rc rc = downs ? TW_OK : TW_ENOMEM;
    size_t n = 0;

    for (size_t i = 0; rc == TW_OK && i < m->n_cells; i++)
        if (!f->seen[i])
            rc = explain(f, db, i, downs, err);
    for (size_t i = 0; i < m->n_cells; i++)
        if (m->cells[i].state) {
            m->ids[n] = m->ids[i];
            m->cells[n++] = m->cells[i];
        }
    m->n_cells = n;
    free(downs);
    return rc;
}

enum tw_rc matrix_fill_past(struct matrix *m, struct store_reader *db, struct tw_err *err)
{
    struct filling f = { .m = m,
                         .places = malloc((m->n_cells + 1) * sizeof *f.places),
                         .seen = calloc(m->n_cells + 1, sizeof *f.seen),
                         .asked_ns = m->now_ns };
    enum tw_rc rc = f.places && f.seen ? TW_OK : TW_ENOMEM;

    summary_init(&f.merged);
    for (size_t i = 0; rc == TW_OK && i < m->n_cells; i++)
        f.places[i] = (struct place){ m->ids[i], (uint32_t)i };
    if (rc == TW_OK && m->n_cells) {
        qsort(f.places, m->n_cells, sizeof *f.places, cmp_places);
        rc = read_numbers(&f, db, err);
        m->coarsest = f.level;
    }
    if (rc == TW_OK)
        rc = explain_all(&f, db, err);
    if (rc == TW_ENOMEM)
        tw_err_set(err, rc, "out of memory");
    summary_free(&f.merged);
    free(f.places);
    free(f.seen);
    return rc;
}
