/* agent/flight_pb.h - records of the flight recorder as messages, and back. Pure but for the messages'
 * memory. */
#ifndef TW_AGENT_FLIGHT_PB_H
#define TW_AGENT_FLIGHT_PB_H

#include "agent/core/flight.h"
#include "flight.pb-c.h"

void flight_record_to_pb(const struct flight_record *r, Tw__FlightRecord *ret);
/* Of what this agent has kept. TW_ECORRUPT: no record of ours looks like this. */
enum tw_rc flight_record_from_pb(const Tw__FlightRecord *m, struct flight_record *ret);
/* n messages and the list of them in one piece of memory, freed by one free(); NULL: no memory. */
Tw__FlightRecord **flight_records_to_pb(const struct flight_record *r, size_t n);

#endif
