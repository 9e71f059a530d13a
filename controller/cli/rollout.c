#include "controller/cli/rollout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"

#define ASK_EVERY_NS (200 * TW_NS_PER_MS)

static int by_agent(const void *a, const void *b)
{
    const Tw__AgentRollout *const *ra = a, *const *rb = b;

    return strcmp((*ra)->agent, (*rb)->agent);
}

static int by_mesh(const void *a, const void *b)
{
    const Tw__MeshInfo *const *ma = a, *const *mb = b;

    return strcmp((*ma)->name, (*mb)->name);
}

enum cli_exit rollout_call(struct cli *c, ProtobufCMessage **ret)
{
    Tw__ScheduleListRequest rq = TW__SCHEDULE_LIST_REQUEST__INIT;
    enum cli_exit code = cli_call(c, "ScheduleList", &rq.base, ret);
    Tw__ScheduleListReply *reply = (Tw__ScheduleListReply *)*ret;

    if (code)
        return code;
    if (reply->n_rollout)
        qsort(reply->rollout, reply->n_rollout, sizeof(Tw__AgentRollout *), by_agent);
    if (reply->n_meshes)
        qsort(reply->meshes, reply->n_meshes, sizeof(Tw__MeshInfo *), by_mesh);
    return CLI_OK;
}

void rollout_warn_cut(const Tw__ScheduleListReply *reply)
{
    if (reply->truncated)
        cli_fail(CLI_OK, "there are more meshes or agents than shown: the answer is full");
}

static bool is_up(const Tw__AgentRollout *a)
{
    return !strcmp(a->state, "up");
}

/* ---- Printing ---- */

static void print_agent(const Tw__AgentRollout *a)
{
    printf("  ");
    out_safe(stdout, a->agent, false);
    if (!is_up(a))
        printf(": %s, gets it when it is back\n", a->state);
    else if (!a->current)
        printf(": runs generation %" PRIu64 "\n", a->generation);
    else
        printf(": refuses %u session%s, \"twampctl agent show\" says why\n", a->refusals,
               a->refusals == 1 ? "" : "s");
}

void rollout_print_count(const Tw__ScheduleListReply *reply)
{
    size_t current = 0;

    for (size_t i = 0; i < reply->n_rollout; i++)
        current += reply->rollout[i]->current;
    printf("Generation %" PRIu64 " runs on %zu of %zu agents\n", reply->generation, current,
           reply->n_rollout);
}

void rollout_print(const Tw__ScheduleListReply *reply)
{
    rollout_print_count(reply);
    for (size_t i = 0; i < reply->n_rollout; i++)
        if (!reply->rollout[i]->current || !is_up(reply->rollout[i]) || reply->rollout[i]->refusals)
            print_agent(reply->rollout[i]);
}

bool rollout_add_json(cJSON *root, const Tw__ScheduleListReply *reply)
{
    struct out_records r = { 0 };
    cJSON *list;

    for (size_t i = 0; i < reply->n_rollout; i++) {
        const Tw__AgentRollout *a = reply->rollout[i];
        out_record(&r);
        out_text(&r, "agent", a->agent);
        out_text(&r, "state", a->state);
        out_u64(&r, "generation", a->generation);
        out_bool(&r, "current", a->current);
        out_u64(&r, "refusals", a->refusals);
    }
    list = out_json_array(&r);
    out_records_free(&r);
    if (list && cJSON_AddItemToObject(root, "rollout", list))
        return true;
    cJSON_Delete(list);
    return false;
}

/* ---- Waiting ---- */

/* Somebody may have applied a later generation meanwhile, which has replaced ours. */
static bool has_taken(const Tw__AgentRollout *a, uint64_t generation)
{
    return a->current || a->generation >= generation;
}

static bool all_have_taken(const Tw__ScheduleListReply *reply, uint64_t generation)
{
    for (size_t i = 0; i < reply->n_rollout; i++)
        if (is_up(reply->rollout[i]) && !has_taken(reply->rollout[i], generation))
            return false;
    return true;
}

enum cli_exit rollout_wait(struct cli *c, uint64_t generation, int64_t wait_ns, ProtobufCMessage **ret_reply)
{
    int64_t end_ns = tw_mono_now().ns + wait_ns;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;

    for (;;) {
        code = rollout_call(c, &m);
        if (code)
            return code;
        *ret_reply = m;
        if (all_have_taken((const Tw__ScheduleListReply *)m, generation))
            return CLI_OK;
        if (tw_mono_now().ns >= end_ns)
            return CLI_BEHIND;
        cli_free_reply(m);
        *ret_reply = NULL;
        ctl_pause(c->ctl, ASK_EVERY_NS);
    }
}
