/* db/control.h - control state: what people and the controller decided, as against what was measured
 * (db/history.h). It is a store's (db/store.h), behind the functions of the headers below; this says what
 * must hold of every database that keeps it, which tests/unit/db/conform_control.h tries.
 *
 * One transaction (store_begin() to store_commit()) is the unit: all of it is there for everybody and
 * durable, or none of it. What was read in it was true until it was committed, as if nobody else had been
 * there: a name is still free, a number is still the highest. Where there are others (several controllers),
 * TW_EAGAIN of store_commit() says that one of them came first: nothing of the transaction is there, the next
 * store_begin() sees what the other did, and what was wanted is to be decided anew by that, not repeated.
 *
 * Errors that are not the caller's (TW_EIO, TW_ETIMEOUT, TW_ENOSPC, ...) of store_commit() mean the same as
 * everywhere in db/store.h. */
#ifndef TW_DB_CONTROL_H
#define TW_DB_CONTROL_H

#include "db/store_absence.h" /* but for what spools dropped */
#include "db/store_access.h"
#include "db/store_agent.h"
#include "db/store_alert.h"
#include "db/store_join.h"
#include "db/store_mesh.h"
#include "db/store_test.h"

#endif
