#include "controller/matrix.h"
#include <stdlib.h>
#include <string.h>
#include "controller/alerts.h"

/* ---- What there is to choose ---- */

static bool is_shown(const struct pair *p)
{
    return p->scheduled || p->paused || p->drained;
}

/* Mostly the first one is. */
static bool has_shown(const struct inventory *inv, const struct pair_group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (is_shown(pair_table_at(&inv->pairs, g->rows[i])))
            return true;
    return false;
}

static int cmp_choices(const void *a, const void *b)
{
    const struct matrix_choice *x = a, *y = b;
    int d = strcmp(x->mesh, y->mesh);

    return d ? d : strcmp(x->class_name, y->class_name);
}

static enum tw_rc find_choices(struct inventory *inv, struct matrix *m)
{
    const struct pair_groups *g = &inv->groups;
    enum tw_rc rc = pair_groups_update(&inv->groups, &inv->pairs);

    if (rc)
        return rc;
    m->choices = malloc((g->n + 1) * sizeof *m->choices);
    if (!m->choices)
        return TW_ENOMEM;
    for (size_t i = 0; i < g->n; i++)
        if (has_shown(inv, &g->v[i]))
            m->choices[m->n_choices++] = (struct matrix_choice){ g->v[i].mesh, g->v[i].class_name };
    qsort(m->choices, m->n_choices, sizeof *m->choices, cmp_choices);
    return TW_OK;
}

static void set_name(char dst[STORE_NAME_MAX], const char *src)
{
    memcpy(dst, src, strnlen(src, STORE_NAME_MAX - 1)); /* into zeros */
}

/* What the filter does not say: the first one that there is. */
static void choose(struct matrix *m, const struct report_filter *f)
{
    set_name(m->mesh, f->mesh);
    set_name(m->class_name, f->class_name);
    for (size_t i = 0; i < m->n_choices && (!*m->mesh || !*m->class_name); i++) {
        const struct matrix_choice *c = &m->choices[i];

        if ((*m->mesh && strcmp(c->mesh, m->mesh) != 0) ||
            (*m->class_name && strcmp(c->class_name, m->class_name) != 0))
            continue;
        set_name(m->mesh, c->mesh);
        set_name(m->class_name, c->class_name);
    }
}

/* ---- Nodes ---- */

struct node {
    const char *name; /* the key: its address */
    uint32_t index;
    bool is_source, is_target; /* by the selectors */
    UT_hash_handle hh;
};

struct taking {
    struct controller *c;
    struct report_match match;
    struct matrix *m;
    struct node *nodes;
    size_t cap_nodes;
    uint32_t *tally;               /* by rule: cells that go by it */
};

/* All strings behind the array, so that there is one thing to free. */
static struct tw_label *copy_labels(const struct agent *a)
{
    size_t len = a->n_labels * sizeof(struct tw_label);
    struct tw_label *v;
    char *at;

    for (size_t i = 0; i < a->n_labels; i++)
        len += strlen(a->labels[i].key) + strlen(a->labels[i].value) + 2;
    v = malloc(len + 1);
    at = v ? (char *)(v + a->n_labels) : NULL;
    for (size_t i = 0; v && i < a->n_labels; i++) {
        v[i].key = at;
        at = stpcpy(at, a->labels[i].key) + 1;
        v[i].value = at;
        at = stpcpy(at, a->labels[i].value) + 1;
    }
    return v;
}

static enum tw_rc append_node(struct taking *t, struct node *n, const struct agent *a)
{
    struct matrix *m = t->m;
    struct matrix_node *row;

    if (m->n_nodes == t->cap_nodes) {
        size_t cap = 2 * t->cap_nodes + 64;
        struct matrix_node *more = realloc(m->nodes, cap * sizeof *more);

        if (!more)
            return TW_ENOMEM;
        m->nodes = more;
        t->cap_nodes = cap;
    }
    n->index = (uint32_t)m->n_nodes;
    row = &m->nodes[m->n_nodes++];
    *row = (struct matrix_node){ .name = n->name, .state = a ? agent_state(a) : "target" };
    if (a && a->n_labels) {
        row->labels = copy_labels(a);
        row->n_labels = row->labels ? a->n_labels : 0;
    }
    return a && a->n_labels && !row->labels ? TW_ENOMEM : TW_OK;
}

static bool is_selected(const struct selector *s, const struct agent *a, const char *name)
{
    return !s || selector_match(s, a ? a->labels : NULL, a ? a->n_labels : 0, name);
}

/* NULL: no memory. */
static struct node *node_of(struct taking *t, const char *name)
{
    const struct agent *a = name_of(name)->agent;
    struct node *n;

    HASH_FIND_PTR(t->nodes, &name, n);
    if (n)
        return n;
    n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->name = name;
    n->index = UINT32_MAX; /* of no cell so far */
    n->is_source = is_selected(t->match.select, a, name);
    n->is_target = is_selected(t->match.target_select, a, name);
    HASH_ADD_PTR(t->nodes, name, n);
    return n;
}

static enum tw_rc use_node(struct taking *t, struct node *n, uint32_t *ret)
{
    enum tw_rc rc = n->index == UINT32_MAX ? append_node(t, n, name_of(n->name)->agent) : TW_OK;

    *ret = n->index;
    return rc;
}

static void free_nodes(struct taking *t)
{
    struct node *n, *next;

    HASH_ITER(hh, t->nodes, n, next)
    {
        HASH_DEL(t->nodes, n);
        free(n);
    }
}

/* ---- Cells ---- */

static const uint16_t *rules_of(const struct taking *t, const struct pair *p, uint16_t buf[ALERT_SLOTS])
{
    struct alerts *a = t->c->alerts;
    const uint16_t *picked = alert_engine_picked(alerts_engine(a), p->row.id);
    struct alert_subject s;

    if (picked)
        return picked;
    s = alerts_subject(a, p);
    alert_rules_pick(alerts_rules(a), &s, buf);
    return buf;
}

static void judge(const struct taking *t, const struct pair *p, const struct stats_view *v,
                  struct matrix_cell *cell)
{
    struct alerts *a = t->c->alerts;
    uint16_t buf[ALERT_SLOTS];
    const uint16_t *picked = a ? rules_of(t, p, buf) : NULL;
    int worst = CELL_NOT_JUDGED;

    for (enum tw_direction d = TW_FORWARD; picked && d <= TW_ROUNDTRIP; d++) {
        unsigned slot = cell_slot(t->m->metric, d, picked);
        const struct alert_rule *r = slot < ALERT_SLOTS ? &alerts_rules(a)->rules[picked[slot] - 1] : NULL;
        int64_t known_ns;

        if (!r)
            continue;
        cell->rule[d] = picked[slot];
        if (v)
            cell->severity[d] =
                (int8_t)cell_severity(r,
                                      r->relative ? alert_engine_baseline(alerts_engine(a), p->row.id, slot,
                                                                          t->m->now_ns, &known_ns)
                                                  : (struct tw_num){ 0 },
                                      v, cell->v[d]);
        if (cell->severity[d] > worst)
            worst = cell->severity[d];
        t->tally[picked[slot] - 1] += d == TW_ROUNDTRIP;
    }
    cell->severity[TW_UNKNOWN] = (int8_t)worst;
}

static void take_cell(const struct taking *t, const struct pair *p, struct matrix_cell *cell)
{
    struct matrix *m = t->m;
    const struct stats_view *v = m->live && publish_is_fresh(p, m->now_ns) ? publish_view(p) : NULL;

    cell->state = m->live ? pair_state(p, m->now_ns) : NULL; /* else see matrix_fill_past() */
    for (enum tw_direction d = TW_FORWARD; d < CELL_DIRECTIONS; d++) {
        cell->severity[d] = CELL_NOT_JUDGED;
        cell->v[d] = v ? cell_number(m->metric, v, d) : (struct tw_num){ 0 };
    }
    judge(t, p, v, cell);
    if (v && p->live->last_end_ns > m->at_ns)
        m->at_ns = p->live->last_end_ns;
    if (v && cell_is_withheld(m->metric, v))
        cell->flags |= MATRIX_WITHHELD;
    if (m->live && pair_in_maintenance(p, m->now_ns))
        cell->flags |= MATRIX_MAINTENANCE;
    if (m->live && t->c->alerts && alert_engine_fires(alerts_engine(t->c->alerts), p->row.id))
        cell->flags |= MATRIX_FIRES;
}

/* All at once: what grows is copied, and memory that is new is cleared by the kernel, which is most of the
 * loop's time here. */
static enum tw_rc make_cells(struct matrix *m, size_t n)
{
    n = n < MATRIX_CELLS_MAX ? n : MATRIX_CELLS_MAX;
    m->cells = malloc((n + 1) * sizeof *m->cells);
    m->ids = malloc((n + 1) * sizeof *m->ids);
    return m->cells && m->ids ? TW_OK : TW_ENOMEM;
}

static enum tw_rc take_pair(struct taking *t, const struct pair *p)
{
    struct node *source = node_of(t, p->row.source), *target = node_of(t, p->row.target);
    struct matrix *m = t->m;
    struct matrix_cell cell = { 0 };
    enum tw_rc rc;

    if (!source || !target)
        return TW_ENOMEM;
    if (!source->is_source || !target->is_target)
        return TW_OK;
    if (m->n_cells == MATRIX_CELLS_MAX) {
        m->truncated = true;
        return TW_OK;
    }
    rc = use_node(t, source, &cell.source);
    if (rc == TW_OK)
        rc = use_node(t, target, &cell.target);
    if (rc != TW_OK)
        return rc;
    take_cell(t, p, &cell);
    m->ids[m->n_cells] = p->row.id;
    m->cells[m->n_cells++] = cell;
    if (p->report_period_ns > m->period_ns)
        m->period_ns =
            p->report_period_ns; /* they have the same, but while a change of the class is on its way */
    return TW_OK;
}

/* The levels that most cells go by, for a legend. */
static void find_levels(struct taking *t, const struct alert_rules *rules)
{
    size_t best = 0;

    for (size_t i = 1; i < rules->n_rules; i++)
        if (t->tally[i] > t->tally[best])
            best = i;
    if (!rules->n_rules || !t->tally[best] || rules->rules[best].relative || rules->rules[best].off)
        return;
    memcpy(t->m->level, rules->rules[best].level, sizeof t->m->level);
    t->m->has_levels = true;
}

/* A reader judges by them while others may come in force. */
static enum tw_rc copy_rules(struct matrix *m, const struct alert_rules *rules)
{
    m->rules = malloc((rules->n_rules + 1) * sizeof *m->rules);
    if (m->rules && rules->n_rules)
        memcpy(m->rules, rules->rules, rules->n_rules * sizeof *m->rules);
    return m->rules ? TW_OK : TW_ENOMEM;
}

/* Pairs are far apart, and so is what is known of each: without that the loop would wait for the memory at
 * every one. */
#define PAIRS_AHEAD 16
#define LIVE_AHEAD 8
static void fetch_ahead(const struct taking *t, const struct pair_group *g, size_t i)
{
    const struct pair_table *pairs = &t->c->inv.pairs;
    const struct pair *p;

    if (i + PAIRS_AHEAD < g->n) {
        p = pair_table_at(pairs, g->rows[i + PAIRS_AHEAD]);
        __builtin_prefetch(p);
        __builtin_prefetch(&p->scheduled);
        __builtin_prefetch(&p->live);
    }
    if (i + LIVE_AHEAD >= g->n || !t->m->live)
        return;
    p = pair_table_at(pairs, g->rows[i + LIVE_AHEAD]);
    if (p->live) {
        publish_fetch(p);
        cell_fetch(t->m->metric, publish_view(p));
    }
}

static enum tw_rc take_all(struct taking *t)
{
    const struct inventory *inv = &t->c->inv;
    const char *mesh = names_find(&inv->names, t->m->mesh),
               *class_name = names_find(&inv->names, t->m->class_name);
    const struct pair_group *g = mesh && class_name ? pair_groups_find(&inv->groups, mesh, class_name) : NULL;
    enum tw_rc rc = make_cells(t->m, g ? g->n : 0);

    for (size_t i = 0; g && rc == TW_OK && i < g->n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, g->rows[i]);

        fetch_ahead(t, g, i);
        if (!t->m->live || is_shown(p))
            rc = take_pair(t, p);
    }
    return rc;
}

/* ---- Life ---- */

enum tw_rc matrix_take(struct controller *c, const struct report_filter *f, int64_t now_ns,
                       struct matrix **ret)
{
    const struct alert_rules *rules = c->alerts ? alerts_rules(c->alerts) : NULL;
    struct taking t = { .c = c,
                        .m = calloc(1, sizeof *t.m),
                        .tally = calloc((rules ? rules->n_rules : 0) + 1, sizeof *t.tally) };
    enum tw_rc rc = t.m && t.tally ? report_match_begin(&t.match, &c->inv, f) : TW_ENOMEM;

    if (rc == TW_OK) {
        t.m->metric = f->metric;
        t.m->now_ns = f->at_ns ? f->at_ns : now_ns;
        t.m->live = !f->at_ns;
        rc = find_choices(&c->inv, t.m);
        choose(t.m, f);
        if (rc == TW_OK)
            rc = take_all(&t);
        if (rc == TW_OK && rules)
            find_levels(&t, rules);
        if (rc == TW_OK && rules && !t.m->live)
            rc = copy_rules(t.m, rules);
        report_match_end(&t.match);
    }
    free_nodes(&t);
    free(t.tally);
    if (rc == TW_OK)
        *ret = t.m;
    else
        matrix_free(t.m);
    return rc;
}

void matrix_free(struct matrix *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_nodes; i++)
        free(m->nodes[i].labels);
    free(m->nodes);
    free(m->cells);
    free(m->ids);
    free(m->choices);
    free(m->rules);
    free(m);
}
