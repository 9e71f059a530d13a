/* /api/v1/agents: the fleet as the Admin service knows it. */
#include <stdlib.h>
#include <string.h>
#include "controller/http/api.h"
#include "controller/http/pb_json.h"

#define ARENA_BYTES ((size_t)4 << 20) /* one agent: labels, addresses, refusals */

/* As /api/v1/agents/{name} shows it: every field of the message is here by itself. */
static cJSON *agent_item(const Tw__AgentInfo *i)
{
    cJSON *o = cJSON_CreateObject();

    if (o)
        pb_json_add(o, &i->base);
    return o;
}

static int cmp_agents(const void *a, const void *b)
{
    return strcmp((*(const struct agent *const *)a)->row.name, (*(const struct agent *const *)b)->row.name);
}

static const struct agent **sorted(const struct controller *c, const struct selector *sel, size_t *ret_n)
{
    const struct agent **v = malloc((HASH_COUNT(c->inv.agents) + 1) * sizeof(*v));

    *ret_n = 0;
    for (const struct agent *a = c->inv.agents; v && a; a = a->hh.next)
        if (selector_match(sel, a->labels, a->n_labels, a->row.name))
            v[(*ret_n)++] = a;
    if (v)
        qsort(v, *ret_n, sizeof(*v), cmp_agents);
    return v;
}

static char *write_agents(const struct controller *c, const struct selector *sel, struct arena *ar,
                          size_t *ret_len)
{
    size_t n;
    const struct agent **v = sorted(c, sel, &n);
    cJSON *head = api_head("agents");
    struct json_list l;

    json_time(head, "time", "time_ns", loop_now(c->loop).wall.ns);
    json_u64(head, "generation", c->inv.generation);
    json_list_begin(&l, head, "agents");
    l.failed = l.failed || !v;
    for (size_t i = 0; i < n; i++) {
        Tw__AgentInfo info = TW__AGENT_INFO__INIT;
        arena_reset(ar);
        controller_fill_agent(c, v[i], ar, &info);
        json_list_add(&l, agent_item(&info));
    }
    free(v);
    return json_list_end(&l, ret_len);
}

void http_agents(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct selector *sel = NULL;
    struct arena *ar = NULL;
    size_t len = 0;
    char *text = NULL;

    if (!api_filter(c, rq, QUERY_SELECT, &f))
        return;
    if (api_selector(&f, &sel) == TW_OK && arena_new(ARENA_BYTES, &ar) == TW_OK)
        text = write_agents(c, sel, ar, &len);
    arena_free(ar);
    selector_free(sel);
    api_answer(rq, text, len);
}
