#include "controller/flight.h"
#include <stdio.h>
#include "common/net/words.h"

const char *flight_cause_name(Tw__FlightCause c)
{
    return words_of(&tw__flight_cause__descriptor, (int)c);
}

void flight_row_of(const Tw__FlightFrozen *m, struct flight_row *ret)
{
    *ret = (struct flight_row){ .pair_id = m->pair_id,
                                .id = m->id,
                                .flow = m->flow,
                                .cause = m->cause,
                                .at_ns = m->at_ns,
                                .frozen_ns = m->frozen_ns,
                                .first_ns = m->first_ns,
                                .last_ns = m->last_ns,
                                .probes = m->probes,
                                .lost = m->lost };
    snprintf(ret->reason, sizeof ret->reason, "%s", m->reason);
}
