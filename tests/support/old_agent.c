/* An agent of another version, for tests of what doctor makes of it: it enrols, takes every schedule and measures nothing.
 * usage: old_agent URL NAME KEY-FILE SOFTWARE [CAPABILITY...] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/rpc.h"
#include "fleet.pb-c.h"

static struct old {
    Tw__FleetAgent_Service service;
    struct rpc_service offered;
    struct rpc_peer *peer;
    Tw__EnrolRequest enrolment;
} old;

static void enrolled(const Tw__EnrolReply *reply, void *ctx)
{
    (void)ctx;
    printf("enrolled: %s\n", !reply ? "failed" : reply->approved ? "approved" : "pending");
    fflush(stdout);
}

static void acked(const Tw__AckReply *reply, void *ctx)
{
    (void)reply;
    (void)ctx;
}

static void serve_schedule(Tw__FleetAgent_Service *s, const Tw__ScheduleRequest *rq, Tw__ScheduleReply_Closure closure,
                           void *closure_data)
{
    Tw__ScheduleReply reply = TW__SCHEDULE_REPLY__INIT;
    Tw__AckRequest ack = TW__ACK_REQUEST__INIT;

    (void)s;
    closure(&reply, closure_data);
    ack.generation = rq->generation;
    ack.digest = rq->digest;
    tw__fleet_controller__ack(rpc_peer_service(old.peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 10000), &ack,
                              acked, NULL);
}

static void serve_diagnose(Tw__FleetAgent_Service *s, const Tw__DiagnoseRequest *rq, Tw__DiagnoseReply_Closure closure,
                           void *closure_data)
{
    (void)s;
    (void)rq;
    (void)closure;
    rpc_fail(closure_data, TW__STATUS__STATUS_UNIMPLEMENTED, "not here");
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    (void)ctx;
    old.peer = p;
    tw__fleet_controller__enrol(rpc_peer_service(p, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 10000),
                                &old.enrolment, enrolled, NULL);
}

int main(int argc, char **argv)
{
    static const uint8_t boot_id[RPC_ID_LEN] = { 1 }, spool_id[RPC_ID_LEN] = { 2 };
    struct rpc_client *client;
    struct identity *identity;
    struct loop *loop;
    struct tw_err err = { 0 };
    struct rpc_client_conf c = { .role = TW__ROLE__ROLE_AGENT,
                                 .boot_id = boot_id,
                                 .spool_id = spool_id,
                                 .services = &old.offered,
                                 .n_services = 1,
                                 .hooks = { .on_up = on_up } };

    if (argc < 5) {
        fprintf(stderr, "usage: old_agent URL NAME KEY-FILE SOFTWARE [CAPABILITY...]\n");
        return 2;
    }
    log_init("old_agent", LOG_INFO_, LOG_TEXT);
    if (loop_new(&loop) || identity_load(argv[3], &identity, &err)) {
        fprintf(stderr, "old_agent: %s\n", err.text);
        return 1;
    }
    old.service = (Tw__FleetAgent_Service){ .base = TW__FLEET_AGENT__BASE_INIT, .schedule = serve_schedule, .diagnose = serve_diagnose };
    old.offered = (struct rpc_service){ RPC_FLEET_AGENT, &old.service.base };
    tw__enrol_request__init(&old.enrolment);
    old.enrolment.capabilities = argv + 5;
    old.enrolment.n_capabilities = (size_t)argc - 5;
    c.loop = loop;
    c.url = argv[1];
    c.name = argv[2];
    c.software = argv[4];
    c.identity = identity;
    if (rpc_client_start(&c, &client, &err)) {
        fprintf(stderr, "old_agent: %s\n", err.text);
        return 1;
    }
    loop_run(loop); /* until it is killed */
    return 0;
}
