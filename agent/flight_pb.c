/* agent/flight_pb.c - see flight_pb.h. */
#include "agent/flight_pb.h"

#include <stdlib.h>

_Static_assert((int)FLIGHT_SEND_ERROR == (int)TW__FLIGHT_FATE__FLIGHT_FATE_SEND_ERROR,
               "fates have the same numbers");

static Tw__FlightWay way_of(const struct flight_record *r)
{
    if (r->fate != FLIGHT_LOST && r->fate != FLIGHT_LATE)
        return TW__FLIGHT_WAY__FLIGHT_WAY_UNKNOWN;
    return r->way == TW_FORWARD    ? TW__FLIGHT_WAY__FLIGHT_WAY_FORWARD
           : r->way == TW_BACKWARD ? TW__FLIGHT_WAY__FLIGHT_WAY_BACKWARD
                                   : TW__FLIGHT_WAY__FLIGHT_WAY_UNKNOWN;
}

void flight_record_to_pb(const struct flight_record *r, Tw__FlightRecord *ret)
{
    tw__flight_record__init(ret);
    ret->seq = r->seq;
    ret->fate = (Tw__FlightFate)r->fate;
    ret->way = way_of(r);
    ret->t1_ns = r->t1_ns;
    ret->timed = r->flags & FLIGHT_TIMED;
    if (ret->timed) {
        ret->forward_ns = r->forward_ns;
        ret->backward_ns = r->backward_ns;
        ret->residence_ns = r->residence_ns;
    }
    ret->duplicates = r->duplicates;
    ret->ttl_forward = r->ttl_forward;
    ret->ttl_backward = r->ttl_backward;
    ret->tos_forward = r->flags & FLIGHT_TOS_FORWARD ? r->tos_forward + 1u : 0;
    ret->tos_backward = r->flags & FLIGHT_TOS_BACKWARD ? r->tos_backward + 1u : 0;
    ret->tx_source = flight_tx_source(r);
    ret->rx_source = flight_rx_source(r);
}

static bool is_one_of_ours(const Tw__FlightRecord *m)
{
    return (unsigned)m->fate < FLIGHT_FATE_COUNT && (unsigned)m->way <= TW__FLIGHT_WAY__FLIGHT_WAY_BACKWARD &&
           m->duplicates <= UINT8_MAX && m->ttl_forward <= UINT8_MAX && m->ttl_backward <= UINT8_MAX &&
           m->tos_forward <= UINT8_MAX + 1u && m->tos_backward <= UINT8_MAX + 1u &&
           m->tx_source <= TW_TS_HARDWARE && m->rx_source <= TW_TS_HARDWARE;
}

enum tw_rc flight_record_from_pb(const Tw__FlightRecord *m, struct flight_record *ret)
{
    static const uint8_t ways[] = { TW_UNKNOWN, TW_FORWARD, TW_BACKWARD };
    unsigned flags = m->timed ? FLIGHT_TIMED : 0;

    if (!is_one_of_ours(m))
        return TW_ECORRUPT;
    flags |= m->way ? FLIGHT_DECIDED : 0;
    flags |= m->tos_forward ? FLIGHT_TOS_FORWARD : 0;
    flags |= m->tos_backward ? FLIGHT_TOS_BACKWARD : 0;
    *ret = (struct flight_record){
        .t1_ns = m->t1_ns,
        .forward_ns = m->forward_ns,
        .backward_ns = m->backward_ns,
        .seq = m->seq,
        .residence_ns = m->residence_ns,
        .fate = (uint8_t)m->fate,
        .way = ways[m->way],
        .duplicates = (uint8_t)m->duplicates,
        .flags = flight_flags(flags, (enum tw_ts_source)m->tx_source, (enum tw_ts_source)m->rx_source),
        .ttl_forward = (uint8_t)m->ttl_forward,
        .ttl_backward = (uint8_t)m->ttl_backward,
        .tos_forward = (uint8_t)(m->tos_forward ? m->tos_forward - 1 : 0),
        .tos_backward = (uint8_t)(m->tos_backward ? m->tos_backward - 1 : 0),
    };
    return TW_OK;
}

Tw__FlightRecord **flight_records_to_pb(const struct flight_record *r, size_t n)
{
    Tw__FlightRecord **list = malloc(n * (sizeof *list + sizeof **list) + 1), *m;

    if (!list)
        return NULL;
    m = (Tw__FlightRecord *)(list + n);
    for (size_t i = 0; i < n; i++) {
        flight_record_to_pb(&r[i], &m[i]);
        list[i] = &m[i];
    }
    return list;
}
