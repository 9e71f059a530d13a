#include "controller/cli/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "controller/cli/rollout.h"

uint32_t plan_max_pairs(const struct cli *c)
{
    return c->opt.pairs || cli_for_tree(c) ? PLAN_PAIRS : 0;
}

/* ---- For people ---- */

static void print_mesh(const Tw__PlanMesh *m)
{
    printf("  %c ", !strcmp(m->action, "added") ? '+' : !strcmp(m->action, "deleted") ? '-' : '~');
    out_safe(stdout, m->mesh, false);
    printf("%s: %" PRIu64 " pair%s: %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " removed\n",
           m->paused ? " (paused)" : "", m->pairs, m->pairs == 1 ? "" : "s", m->added, m->changed, m->removed);
}

static size_t count_unchanged(const Tw__Plan *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_meshes; i++)
        n += !strcmp(p->meshes[i]->action, "unchanged");
    return n;
}

static void print_meshes(const Tw__Plan *p)
{
    size_t unchanged = count_unchanged(p);

    if (p->n_meshes == 1 || !p->n_meshes) {
        printf("Mesh ");
        out_safe(stdout, p->mesh, false);
        printf(": %" PRIu64 " pair%s: %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " removed\n",
               p->pairs, p->pairs == 1 ? "" : "s", p->added, p->changed, p->removed);
        return;
    }
    printf("%zu meshes: %" PRIu64 " pairs: %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " removed\n",
           p->n_meshes, p->pairs, p->added, p->changed, p->removed);
    for (size_t i = 0; i < p->n_meshes; i++)
        if (strcmp(p->meshes[i]->action, "unchanged") != 0)
            print_mesh(p->meshes[i]);
    if (unchanged)
        printf("  %zu unchanged\n", unchanged);
}

/* Excluded pairs can leave members of a k-regular mesh with less than they were to have. */
static void print_below_degree(const Tw__Plan *p)
{
    for (size_t i = 0; i < p->n_meshes; i++) {
        const Tw__PlanMesh *m = p->meshes[i];

        if (!m->below_degree)
            continue;
        fputs("Mesh ", stdout);
        out_safe(stdout, m->mesh, false);
        printf(": %" PRIu64 " agent%s fewer targets or sources than the degree asks for, since pairs are excluded\n",
               m->below_degree, m->below_degree == 1 ? " has" : "s have");
    }
}

/* A slip in a year would be found out only much later. */
static void print_ended(const Tw__Plan *p)
{
    for (size_t i = 0; i < p->n_meshes; i++) {
        const Tw__PlanMesh *m = p->meshes[i];

        if (!m->ended_classes)
            continue;
        fputs("Mesh ", stdout);
        out_safe(stdout, m->mesh, false);
        printf(": no run is to come of %" PRIu64
               " class%s: the times are over, or maintenance stops what is left\n",
               m->ended_classes, m->ended_classes == 1 ? "" : "es");
    }
}

static const char *rate_text(double pps, char buf[OUT_NUM])
{
    snprintf(buf, OUT_NUM, "%.*f packets/s", pps < 10 && pps > 0 ? 2 : 0, pps);
    return buf;
}

static void print_rates(const Tw__Plan *p)
{
    char before[OUT_NUM], after[OUT_NUM], mean[OUT_NUM];

    printf("  %s sent now, %s then", rate_text(p->packets_per_second_before, before),
           rate_text(p->packets_per_second, after));
    if (p->mean_packets_per_second < p->packets_per_second)
        printf(", %s in the long run: sessions with times rest between their runs",
               rate_text(p->mean_packets_per_second, mean));
    putchar('\n');
}

static void print_totals(const Tw__Plan *p)
{
    char text[OUT_NUM];

    print_meshes(p);
    print_below_degree(p);
    print_ended(p);
    printf("All meshes: %" PRIu64 " pairs now, %" PRIu64 " then; %" PRIu64 " Prometheus series now, %" PRIu64
           " then;\n  %.1f MB stored per day now, %.1f MB then (%s in 30 days);\n",
           p->pairs_before, p->pairs_after, p->series_before, p->series, p->store_bytes_per_day_before / 1e6,
           p->store_bytes_per_day / 1e6, out_si(p->store_bytes_per_day * 30, "B", text));
    print_rates(p);
}

static void print_pairs(const Tw__Plan *p)
{
    if (p->n_changed_pairs)
        putchar('\n');
    for (size_t i = 0; i < p->n_changed_pairs; i++) {
        const Tw__PlanPair *x = p->changed_pairs[i];

        printf("%c ", !strcmp(x->action, "added") ? '+' : !strcmp(x->action, "removed") ? '-' : '~');
        out_safe(stdout, x->mesh, false);
        putchar('/');
        out_safe(stdout, x->class_name, false);
        putchar(' ');
        out_safe(stdout, x->source, false);
        fputs(" -> ", stdout);
        out_safe(stdout, x->target, false);
        fputs(*x->what ? "  " : "", stdout);
        out_safe(stdout, x->what, false);
        putchar('\n');
    }
    if (p->changed_pairs_truncated)
        printf("... and %" PRIu64 " more\n", p->added + p->changed + p->removed - p->n_changed_pairs);
}

/* ---- The agents' part ---- */

static const struct out_col agent_columns[] = {
    { .title = "AGENT", .name = "agent" },
    { .title = "PAIRS NOW", .name = "pairs_before", .as = OUT_AS_COUNT },
    { .title = "THEN", .name = "pairs_after", .as = OUT_AS_COUNT },
    { .title = "SENDS NOW", .name = "packets_per_second_before", .as = OUT_AS_COUNT },
    { .title = "THEN", .name = "packets_per_second", .as = OUT_AS_COUNT },
    { .title = "BITS NOW", .name = "bits_per_second_before", .as = OUT_AS_BITRATE, .drop = 2 },
    { .title = "THEN", .name = "bits_per_second", .as = OUT_AS_BITRATE },
    { .title = "REFLECTS", .name = "reflected_packets_per_second", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "LONG RUN", .name = "mean_packets_per_second", .as = OUT_AS_COUNT, .wide = true },
};

static void put_rate(struct out_records *r, const char *name, double pps)
{
    char text[OUT_NUM];

    out_real(r, name, pps);
    out_show(r, name, OUT_PLAIN, "%s", rate_text(pps, text));
}

static void put_agent(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__PlanAgent *a = row;

    (void)ctx;
    out_text(r, "agent", a->agent);
    out_u64(r, "pairs_before", a->pairs_before);
    out_u64(r, "pairs_after", a->pairs_after);
    put_rate(r, "packets_per_second", a->packets_per_second);
    out_real(r, "bits_per_second", a->bits_per_second);
    put_rate(r, "reflected_packets_per_second", a->reflected_packets_per_second);
    put_rate(r, "packets_per_second_before", a->packets_per_second_before);
    out_real(r, "bits_per_second_before", a->bits_per_second_before);
    put_rate(r, "mean_packets_per_second", a->mean_packets_per_second);
}

static const Tw__PlanAgent no_agent = TW__PLAN_AGENT__INIT;
static const struct out_listing agents = { .key = "agents",
                                           .columns = agent_columns,
                                           .n_columns = TW_NELEM(agent_columns),
                                           .put = put_agent,
                                           .none = &no_agent,
                                           .empty = "No agent would send anything." };

/* ---- As a tree ---- */

static bool add(cJSON *o, const char *key, cJSON *item)
{
    if (item && cJSON_AddItemToObject(o, key, item))
        return true;
    cJSON_Delete(item);
    return false;
}

static cJSON *take_array(struct out_records *r)
{
    cJSON *list = out_json_array(r);

    out_records_free(r);
    return list;
}

static cJSON *meshes_tree(const Tw__Plan *p)
{
    struct out_records r = { 0 };

    for (size_t i = 0; i < p->n_meshes; i++) {
        const Tw__PlanMesh *m = p->meshes[i];

        out_record(&r);
        out_text(&r, "mesh", m->mesh);
        out_text(&r, "action", m->action);
        out_bool(&r, "paused", m->paused);
        out_u64(&r, "pairs", m->pairs);
        out_u64(&r, "added", m->added);
        out_u64(&r, "removed", m->removed);
        out_u64(&r, "changed", m->changed);
        out_u64(&r, "below_degree", m->below_degree);
        out_u64(&r, "ended_classes", m->ended_classes);
    }
    return take_array(&r);
}

static cJSON *pairs_tree(const Tw__Plan *p)
{
    struct out_records r = { 0 };

    for (size_t i = 0; i < p->n_changed_pairs; i++) {
        const Tw__PlanPair *x = p->changed_pairs[i];

        out_record(&r);
        out_text(&r, "action", x->action);
        out_text(&r, "mesh", x->mesh);
        out_text(&r, "class", x->class_name);
        out_text(&r, "source", x->source);
        out_text(&r, "target", x->target);
        out_text(&r, "what", x->what);
    }
    return take_array(&r);
}

static cJSON *shares_tree(const Tw__PlanExcess *e)
{
    struct out_records r = { 0 };

    for (size_t i = 0; i < e->n_contributors; i++) {
        out_record(&r);
        out_text(&r, "mesh", e->contributors[i]->mesh);
        out_text(&r, "class", e->contributors[i]->class_name);
        out_real(&r, "value", e->contributors[i]->value);
        out_u64(&r, "pairs", e->contributors[i]->pairs);
    }
    return take_array(&r);
}

static cJSON *excesses_tree(const Tw__Plan *p)
{
    struct out_records r = { 0 };

    for (size_t i = 0; i < p->n_excesses; i++) {
        const Tw__PlanExcess *e = p->excesses[i];

        out_record(&r);
        out_text(&r, "kind", e->kind);
        out_text(&r, "agent", e->agent);
        out_real(&r, "value", e->value);
        out_real(&r, "limit", e->limit);
        out_bool(&r, "hard", e->hard);
        out_text(&r, "text", e->text);
        out_text(&r, "fits", e->fits);
        out_tree(&r, "contributors", shares_tree(e));
    }
    return take_array(&r);
}

static cJSON *plan_tree(const Tw__Plan *p)
{
    struct out_records r = { 0 }, list = { 0 };
    cJSON *o;

    out_record(&r);
    out_text(&r, "mesh", p->mesh);
    out_u64(&r, "pairs", p->pairs);
    out_u64(&r, "added", p->added);
    out_u64(&r, "removed", p->removed);
    out_u64(&r, "changed", p->changed);
    out_u64(&r, "pairs_before", p->pairs_before);
    out_u64(&r, "pairs_after", p->pairs_after);
    out_u64(&r, "series_before", p->series_before);
    out_u64(&r, "series", p->series);
    out_real(&r, "store_bytes_per_day_before", p->store_bytes_per_day_before);
    out_real(&r, "store_bytes_per_day", p->store_bytes_per_day);
    out_real(&r, "packets_per_second_before", p->packets_per_second_before);
    out_real(&r, "packets_per_second", p->packets_per_second);
    out_real(&r, "mean_packets_per_second", p->mean_packets_per_second);
    out_bool(&r, "truncated", p->truncated);
    out_bool(&r, "changed_pairs_truncated", p->changed_pairs_truncated);
    out_u64(&r, "excesses_all", p->excesses_all);
    o = out_json_object(&r, 0);
    out_records_free(&r);
    out_listing_records(&agents, &list, OUT_ROWS(p->agents, p->n_agents), NULL);
    if (o && add(o, "agents", take_array(&list)) && add(o, "meshes", meshes_tree(p)) &&
        add(o, "changed_pairs", pairs_tree(p)) && add(o, "excesses", excesses_tree(p)))
        return o;
    if (!o)
        out_records_free(&list);
    cJSON_Delete(o);
    return NULL;
}

static enum cli_exit print_tree(struct cli *c, const Tw__ScheduleApplyReply *reply,
                                const Tw__ScheduleRolloutReply *rollout)
{
    struct out_records head = { 0 };
    cJSON *root;

    out_record(&head);
    out_u64(&head, "generation", reply->generation);
    out_bool(&head, "unchanged", reply->unchanged);
    out_bool(&head, "refused", reply->error != NULL);
    root = out_json_object(&head, 0);
    out_records_free(&head);
    if (root && add(root, "plan", plan_tree(reply->plan)) && (!rollout || rollout_add_json(root, rollout)))
        return cli_print_tree(c, root);
    cJSON_Delete(root);
    return cli_no_memory();
}

/* ---- All of it ---- */

static enum cli_exit print_plan(struct cli *c, const Tw__ScheduleApplyReply *reply)
{
    const Tw__Plan *p = reply->plan;

    if (!cli_for_people(c))
        return cli_for_tree(c) ? print_tree(c, reply, NULL)
                               : cli_print_list(c, &agents, OUT_ROWS(p->agents, p->n_agents), NULL);
    print_totals(p);
    print_pairs(p);
    putchar('\n');
    return cli_print_list(c, &agents, OUT_ROWS(p->agents, p->n_agents), NULL);
}

static enum cli_exit after(struct cli *c, const Tw__ScheduleApplyReply *reply)
{
    ProtobufCMessage *m = NULL;
    const Tw__ScheduleRolloutReply *rollout;
    enum cli_exit code = CLI_OK, printed = CLI_OK;

    if (cli_for_people(c)) {
        printf(reply->unchanged ? "Unchanged: generation %" PRIu64 "\n" : "Applied: generation %" PRIu64 "\n",
               reply->generation);
        print_totals(reply->plan);
        print_pairs(reply->plan);
        fflush(stdout);
    }
    if (c->opt.wait_ns)
        code = rollout_wait(c, reply->generation, c->opt.wait_ns, &m);
    rollout = (const Tw__ScheduleRolloutReply *)m;
    if (cli_for_tree(c))
        printed = print_tree(c, reply, rollout);
    else if (!cli_for_people(c))
        printed = print_plan(c, reply);
    else if (m)
        rollout_print_count(rollout);
    if (m)
        rollout_tell(rollout, reply->generation);
    cli_free_reply(m);
    return code ? code : printed;
}

enum cli_exit plan_tell(struct cli *c, const Tw__ScheduleApplyReply *reply)
{
    enum cli_exit code = c->opt.plan ? print_plan(c, reply) : after(c, reply);

    if (reply->plan->truncated)
        cli_fail(CLI_OK, "the plan has more agents than shown: the answer is full");
    return code;
}

static void print_excess(const Tw__PlanExcess *e)
{
    cli_fail(CLI_OK, "%s%s", e->text, e->hard ? "" : " (--force goes past it)");
    for (size_t i = 0; i < e->n_contributors; i++) {
        const Tw__PlanShare *k = e->contributors[i];

        fprintf(stderr, "  %s %.0f by %" PRIu64 " pair%s of ", i ? "         " : "most of it", k->value, k->pairs, k->pairs == 1 ? "" : "s");
        out_safe(stderr, k->mesh, false);
        putc('/', stderr);
        out_safe(stderr, k->class_name, false);
        putc('\n', stderr);
    }
    if (!*e->fits)
        return;
    fprintf(stderr, "  would fit: ");
    out_safe(stderr, e->fits, false);
    putc('\n', stderr);
}

enum cli_exit plan_refused(struct cli *c, const Tw__ScheduleApplyReply *reply)
{
    const Tw__Plan *p = reply->plan;

    if (cli_for_tree(c))
        print_tree(c, reply, NULL);
    else if (c->opt.plan)
        print_plan(c, reply);
    for (size_t i = 0; i < p->n_excesses; i++)
        print_excess(p->excesses[i]);
    if (p->excesses_all > p->n_excesses)
        cli_fail(CLI_OK, "and %" PRIu64 " more such reasons", p->excesses_all - p->n_excesses);
    return cli_fail(CLI_REFUSED, c->opt.plan ? "this would be refused" : "refused: nothing has changed");
}
