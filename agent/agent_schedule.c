/* agent/agent_schedule.c - what the agent is to measure: what the controller sends, what is kept for a
 * restart, and what ends it all. */
#include "agent/agent.h"
#include <stdlib.h>
#include "agent/ondemand.h"
#include "agent/schedule_run.h"
#include "agent/uplink.h"
#include "common/log.h"
#include "common/net/now.h"
#include "common/wire.h"
#include "db/spool.h"

#define SCHEDULE_KEY "schedule"
#define TAKEN_KEY "schedule-taken" /* when, and which generation; eight octets each, big-endian */

void agent_on_applied(void *ctx)
{
    struct agent *a = ctx;

    log_info("schedule applied", LOG_U("generation", schedule_run_generation(a->schedule)),
             LOG_U("sessions", schedule_run_sessions(a->schedule)));
    if (a->uplink)
        uplink_send_ack(a->uplink);
}

void agent_on_clock_step(void *ctx)
{
    schedule_run_clock_set(((struct agent *)ctx)->schedule);
}

static enum tw_rc keep_moment(struct agent *a, uint64_t generation)
{
    uint8_t buf[16];
    struct wire_wr w = { .p = buf, .end = buf + sizeof buf };

    a->schedule_taken_ns = tw_wall_now().ns;
    wire_put_u64(&w, (uint64_t)a->schedule_taken_ns);
    wire_put_u64(&w, generation);
    return spool_put_value(a->spool, TAKEN_KEY, buf, sizeof buf);
}

/* An earlier release kept no generation (eight octets), or nothing: 0. Who was killed after a schedule was
 * kept and before its moment was has that of the one before: it runs since now. */
static void take_kept_moment(struct agent *a, uint64_t generation)
{
    uint8_t *data = NULL;
    size_t len = 0;

    a->schedule_taken_ns = 0;
    if (spool_get_value(a->spool, TAKEN_KEY, &data, &len) == TW_OK && (len == 8 || len == 16)) {
        struct wire_rd r = { .p = data, .end = data + len };

        a->schedule_taken_ns = (int64_t)wire_get_u64(&r);
        if (len == 16 && wire_get_u64(&r) != generation)
            keep_moment(a, generation);
    }
    free(data);
}

static void keep_schedule(struct agent *a, const Tw__ScheduleRequest *rq)
{
    size_t len = tw__schedule_request__get_packed_size(rq);
    uint8_t *data = malloc(len ? len : 1);
    enum tw_rc rc = TW_ENOMEM;

    if (data) {
        tw__schedule_request__pack(rq, data);
        rc = spool_put_value(a->spool, SCHEDULE_KEY, data, len);
    }
    if (rc == TW_OK)
        rc = keep_moment(a, rq->generation);
    if (rc != TW_OK)
        log_warn("the schedule cannot be kept for a restart", LOG_S("reason", tw_rc_name(rc)));
    free(data);
}

/* NULL: there is none; err->rc is not 0 if it cannot be decoded. */
static Tw__ScheduleRequest *kept_schedule(struct agent *a, struct tw_err *err)
{
    uint8_t *data = NULL;
    size_t len = 0;
    Tw__ScheduleRequest *rq;
    enum tw_rc rc;

    rc = spool_get_value(a->spool, SCHEDULE_KEY, &data, &len);
    if (rc != TW_OK && rc != TW_ENOENT)
        tw_err_set(err, rc, "it cannot be read: %s", tw_rc_name(rc));
    if (rc != TW_OK)
        return NULL;
    rq = tw__schedule_request__unpack(NULL, len, data);
    free(data);
    if (!rq)
        tw_err_set(err, TW_ECORRUPT, "it cannot be decoded");
    return rq;
}

/* At the start: goes on with what ran before; without one, waits for the controller. */
void agent_apply_kept(struct agent *a)
{
    struct tw_err err = { 0 };
    Tw__ScheduleRequest *rq = kept_schedule(a, &err);

    if (rq) {
        schedule_run_apply(a->schedule, rq, &err);
        take_kept_moment(a, rq->generation);
    }
    if (err.rc != TW_OK)
        log_error("the kept schedule cannot be used, waiting for the controller", LOG_S("reason", err.text));
    if (rq)
        tw__schedule_request__free_unpacked(rq, NULL);
}

/* What was refused for want of a key may start, what has lost its key must stop, the rest gets the new ones.
 */
void agent_on_keys(void *ctx)
{
    agent_apply_kept(ctx);
}

/* Only one that is accepted replaces the one that is kept. After a crash in between the agent runs the one
 * before and says so when it enrols. */
static enum tw_rc apply_and_keep(struct agent *a, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    enum tw_rc rc = schedule_run_apply(a->schedule, rq, err);

    if (rc == TW_OK)
        keep_schedule(a, rq);
    ondemand_on_schedule(a->ondemand);
    return rc;
}

static enum tw_rc whole_schedule(struct agent *a, const Tw__ScheduleRequest *rq, Tw__ScheduleRequest **ret,
                                 struct tw_err *err)
{
    Tw__ScheduleRequest *base;
    enum tw_rc rc;

    if (schedule_is_part(rq))
        return schedule_parts_take(&a->parts, rq, ret, err);
    base = kept_schedule(a, err);
    rc = schedule_merge(base, rq, ret, err);
    if (base)
        tw__schedule_request__free_unpacked(base, NULL);
    return rc;
}

/* A part is answered like a list; what it is part of is applied with the last one. */
enum tw_rc agent_on_schedule(void *ctx, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    struct agent *a = ctx;
    Tw__ScheduleRequest *whole = NULL;
    enum tw_rc rc;

    if (!schedule_is_part(rq))
        schedule_parts_drop(&a->parts);
    if (!schedule_is_part(rq) && !rq->base_digest.len)
        return apply_and_keep(a, rq, err);
    rc = whole_schedule(a, rq, &whole, err);
    if (rc == TW_EAGAIN)
        return TW_OK;
    if (rc == TW_OK) {
        rc = apply_and_keep(a, whole, err);
        tw__schedule_request__free_unpacked(whole, NULL);
    }
    return rc;
}

/* Nothing runs, and nothing would after a restart without a controller in reach. */
static void stop_all(struct agent *a, const char *why)
{
    static const uint8_t
        none[32]; /* no schedule has this digest: the next one is taken over, whatever it is */
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;
    struct tw_err err = { 0 };

    rq.generation = schedule_run_generation(a->schedule);
    rq.digest = (ProtobufCBinaryData){ sizeof none, (uint8_t *)none };
    if (schedule_run_apply(a->schedule, &rq, &err) != TW_OK)
        log_error("sessions cannot be stopped", LOG_S("reason", err.text));
    keep_schedule(a, &rq);
    schedule_parts_drop(&a->parts);
    ondemand_end_all(a->ondemand, why);
}

/* Whoever revoked it, or took its place with another key, must not be probed for by it any more. It goes on
 * asking, now and then: an operator may let it in again. */
void agent_on_unwanted(void *ctx, const char *why)
{
    struct agent *a = ctx;

    log_error(
        "the controller does not want this agent: all its sessions are stopped, its schedule is forgotten",
        LOG_S("reason", why), LOG_U("sessions", schedule_run_sessions(a->schedule)));
    a->unwanted = true;
    stop_all(a, why);
}

void agent_on_wanted(void *ctx)
{
    ((struct agent *)ctx)->unwanted = false;
    log_info("the controller lets this agent in again");
}
