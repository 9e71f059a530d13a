#include "controller/report_group.h"
#include <string.h>

static bool matches(const char *wanted, const char *name)
{
    return !*wanted || !strcmp(wanted, name);
}

static enum tw_rc parse_selector(const char *text, struct selector **ret, struct tw_err *err)
{
    return *text ? selector_parse(text, ret, err) : TW_OK;
}

bool report_filter_is_plain(const struct report_filter *f)
{
    return (!*f->group_by || !strcmp(f->group_by, "pair")) && !*f->sort_by && !f->top && !f->before_to_ns;
}

static enum tw_rc begin(struct report_match *m, const struct inventory *inv, const struct report_filter *f,
                        struct tw_err *err)
{
    enum tw_rc rc;

    *m = (struct report_match){ .f = f, .inv = inv };
    rc = parse_selector(f->select, &m->select, err);
    if (rc == TW_OK)
        rc = parse_selector(f->target_select, &m->target_select, err);
    if (rc != TW_OK)
        report_match_end(m);
    return rc;
}

enum tw_rc report_match_begin(struct report_match *m, const struct inventory *inv,
                              const struct report_filter *f)
{
    return begin(m, inv, f, NULL);
}

void report_match_end(struct report_match *m)
{
    selector_free(m->select);
    selector_free(m->target_select);
    m->select = m->target_select = NULL;
}

/* Who is no agent, or none any more, has a name but no labels. */
static bool is_selected(const struct report_match *m, const struct selector *sel, const char *name)
{
    const struct agent *a = sel ? inventory_agent((struct inventory *)m->inv, name) : NULL;

    return !sel || selector_match(sel, a ? a->labels : NULL, a ? a->n_labels : 0, name);
}

bool report_matches(const struct report_match *m, const struct store_pair *p)
{
    const struct report_filter *f = m->f;
    bool on_demand = !strcmp(p->mesh, ONDEMAND_MESH);

    if (f->test_id ? !on_demand : on_demand && !f->on_demand && strcmp(f->mesh, ONDEMAND_MESH) != 0)
        return false;
    return matches(f->mesh, p->mesh) && matches(f->class_name, p->class_name) &&
           matches(f->source, p->source) && matches(f->target, p->target) &&
           is_selected(m, m->select, p->source) && is_selected(m, m->target_select, p->target);
}

/* What is to be made of the pairs. */
static enum tw_rc check_shape(const struct report_filter *f, struct tw_err *err)
{
    enum report_by by;
    const char *label;
    enum tw_rc rc = report_by_parse(f->group_by, &by, &label, err);

    if (!rc)
        rc = report_sort_check(f->sort_by, err);
    if (rc)
        return rc;
    if (f->flows && (by != REPORT_BY_PAIR || *f->sort_by || f->before_to_ns))
        return tw_err_set(err, TW_EINVAL, "flows are of pairs: they are not grouped, sorted or compared");
    if (f->before_from_ns < 0 || f->before_to_ns < 0 || (f->before_to_ns && f->before_from_ns >= f->before_to_ns) ||
        (f->before_from_ns && !f->before_to_ns))
        return tw_err_set(err, TW_EINVAL, "\"before_from\" must be before \"before_to\"");
    if (f->latest && f->before_to_ns)
        return tw_err_set(err, TW_EINVAL, "the latest period has no other span to compare it with");
    return TW_OK;
}

enum tw_rc report_filter_resolve(struct report_filter *f, int64_t now_ns, struct tw_err *err)
{
    struct report_match m;
    enum tw_rc rc;

    if (f->from_ns < 0 || f->to_ns < 0)
        return tw_err_set(err, TW_EINVAL, "times before 1970 have no results");
    if (!f->to_ns)
        f->to_ns = now_ns;
    if (!f->from_ns)
        f->from_ns = f->to_ns - 3600 * TW_NS_PER_S;
    if (f->from_ns >= f->to_ns)
        return tw_err_set(err, TW_EINVAL, "\"from\" must be before \"to\"");
    rc = check_shape(f, err);
    if (rc)
        return rc;
    rc = begin(&m, NULL, f, err);
    if (rc == TW_OK)
        report_match_end(&m);
    return rc;
}
