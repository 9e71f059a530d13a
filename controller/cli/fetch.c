#include "controller/cli/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/agents.h"

static enum cli_exit call(struct ctl *c, const Tw__PairFilter *filter, Tw__ReportReply **ret,
                          struct ctl_error *err)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = ctl_call(c, "Report", &filter->base, &m, err);

    *ret = (Tw__ReportReply *)m;
    return code;
}

/* Moves the pairs of `part` behind those of `all`, and frees `part`. Both come from unpack() with malloc().
 */
static bool append(Tw__ReportReply *all, Tw__ReportReply *part)
{
    size_t n = all->n_pairs + part->n_pairs;
    Tw__PairReport **pairs = realloc(all->pairs, (n + 1) * sizeof(Tw__PairReport *));

    if (pairs) {
        all->pairs = pairs;
        for (size_t i = 0; i < part->n_pairs; i++)
            pairs[all->n_pairs++] = part->pairs[i];
        all->truncated |= part->truncated;
        part->n_pairs = 0;
    }
    tw__report_reply__free_unpacked(part, NULL);
    return pairs != NULL;
}

static void drop_pairs(Tw__ReportReply *r)
{
    for (size_t i = 0; i < r->n_pairs; i++)
        tw__pair_report__free_unpacked(r->pairs[i], NULL);
    r->n_pairs = 0;
}

static int by_names(const void *a, const void *b)
{
    const Tw__PairReport *ra = *(Tw__PairReport *const *)a, *rb = *(Tw__PairReport *const *)b;
    const Tw__PairInfo *pa = ra->pair, *pb = rb->pair;
    int d = pa && pb ? strcmp(pa->mesh, pb->mesh) : 0;

    if (!pa || !pb)
        return 0;
    if (!d)
        d = strcmp(pa->class_name, pb->class_name);
    if (!d)
        d = strcmp(pa->source, pb->source);
    if (!d)
        d = strcmp(pa->target, pb->target);
    return d ? d : (ra->flow > rb->flow) - (ra->flow < rb->flow);
}

static enum cli_exit fetch_one(struct ctl *c, Tw__PairFilter *filter, char *source, Tw__ReportReply *all,
                               struct ctl_error *err)
{
    Tw__ReportReply *part;
    enum cli_exit code;

    filter->source = source;
    code = call(c, filter, &part, err);
    if (code || append(all, part))
        return code;
    snprintf(err->text, sizeof err->text, "out of memory");
    return CLI_FAILED;
}

static char *source_at(const Tw__AgentListReply *list, const Tw__ReportReply *all, size_t i)
{
    return i < list->n_agents ? list->agents[i]->name : all->removed_sources[i - list->n_agents];
}

static enum cli_exit fetch_by_source(struct ctl *c, const Tw__PairFilter *filter, struct progress *progress,
                                     Tw__ReportReply *all, struct ctl_error *err)
{
    Tw__PairFilter one = *filter;
    Tw__AgentListReply *list = NULL;
    enum cli_exit code = agents_fetch(c, filter->select, &list, err);
    size_t n;

    if (code)
        return code;
    drop_pairs(all);
    all->truncated = list->truncated;
    one.to_ns = all->to_ns; /* the same span for all, however long it takes */
    one.from_ns = all->from_ns;
    n = list->n_agents + all->n_removed_sources;
    for (size_t i = 0; !code && i < n; i++) {
        progress_say(progress, i, n, "%zu of %zu sources, %zu pairs", i, n, all->n_pairs);
        code = fetch_one(c, &one, source_at(list, all, i), all, err);
    }
    tw__agent_list_reply__free_unpacked(list, NULL);
    if (!code && all->n_pairs)
        qsort(all->pairs, all->n_pairs, sizeof(Tw__PairReport *), by_names);
    return code;
}

enum cli_exit fetch_report(struct ctl *c, const Tw__PairFilter *filter, enum progress_mode mode,
                           Tw__ReportReply **ret, struct ctl_error *err)
{
    Tw__ReportReply *all = NULL;
    struct progress progress;
    enum cli_exit code;

    progress_begin(&progress, mode, "report");
    code = call(c, filter, &all, err);
    if (!code && all->truncated && !filter->source[0] && !filter->limit)
        code = fetch_by_source(c, filter, &progress, all, err);
    progress_end(&progress);
    if (code && all)
        tw__report_reply__free_unpacked(all, NULL);
    if (!code)
        *ret = all;
    return code;
}
