#include "controller/doctor_reply.h"

#include <stdio.h>

static void take_icmp(const Tw__DiagnoseIcmp *m, uint32_t count, struct doctor_icmp *ret)
{
    if (!m)
        return;
    *ret = (struct doctor_icmp){
        .six = m->six, .count = count, .type = m->type, .code = m->code, .mtu = m->mtu
    };
    snprintf(ret->from, sizeof ret->from, "%s", m->from);
}

static void take_packets(const Tw__DiagnosePackets *m, struct doctor_packets *ret)
{
    if (!m)
        return;
    ret->size = m->size_bytes;
    ret->sent = m->sent;
    ret->received = m->received;
    ret->elsewhere = m->elsewhere;
    ret->too_long = m->too_long;
    ret->rtt_min_ns = m->rtt_min_ns;
    snprintf(ret->elsewhere_from, sizeof ret->elsewhere_from, "%s", m->elsewhere_from);
    snprintf(ret->send_error, sizeof ret->send_error, "%s", m->send_error);
    take_icmp(m->icmp, m->icmp_count, &ret->icmp);
}

static enum doctor_connect connect_of(Tw__DiagnoseConnect c)
{
    switch (c) {
    case TW__DIAGNOSE_CONNECT__CONNECT_GREETED:
        return DOCTOR_GREETED;
    case TW__DIAGNOSE_CONNECT__CONNECT_SILENT:
        return DOCTOR_SILENT;
    case TW__DIAGNOSE_CONNECT__CONNECT_REFUSED:
        return DOCTOR_REFUSED;
    case TW__DIAGNOSE_CONNECT__CONNECT_TIMEOUT:
        return DOCTOR_TIMEOUT;
    case TW__DIAGNOSE_CONNECT__CONNECT_UNREACHABLE:
        return DOCTOR_UNREACHABLE;
    default:
        return DOCTOR_NOT_TRIED;
    }
}

void doctor_take_probe(const Tw__DiagnoseReply *m, const char *host, uint32_t control_port,
                       struct doctor_probe *ret)
{
    struct doctor_probe *p = ret;

    *p = (struct doctor_probe){ .searched = m->mtu_searched,
                                .mtu_local = m->mtu_local,
                                .mtu_through = m->mtu_through,
                                .mtu_lost = m->mtu_lost,
                                .connect = connect_of(m->connect),
                                .control_port = (uint16_t)control_port };
    snprintf(p->host, sizeof p->host, "%s", host);
    snprintf(p->lookup_error, sizeof p->lookup_error, "%s", m->lookup_error);
    snprintf(p->address, sizeof p->address, "%s", m->address);
    snprintf(p->local, sizeof p->local, "%s", m->local_address);
    snprintf(p->connect_error, sizeof p->connect_error, "%s", m->connect_error);
    take_packets(m->small, &p->packets[DOCTOR_SMALL]);
    take_packets(m->sized, &p->packets[DOCTOR_SIZED]);
    take_icmp(m->mtu_icmp, 1, &p->mtu_icmp);
}

void doctor_take_seen(const Tw__DiagnoseReply *m, struct doctor_probe *p)
{
    if (m->n_seen < DOCTOR_KINDS)
        return;
    p->watched = true;
    p->driver = m->driver_answers;
    snprintf(p->seen_from, sizeof p->seen_from, "%s", m->seen_from);
    for (size_t i = 0; i < DOCTOR_KINDS; i++)
        p->seen[i] = (struct doctor_seen){ .came = m->seen[i]->came,
                                           .answered = m->seen[i]->answered,
                                           .not_allowed = m->seen[i]->not_allowed,
                                           .auth_demanded = m->seen[i]->auth_demanded,
                                           .refused = m->seen[i]->refused,
                                           .send_errors = m->seen[i]->send_errors };
}
