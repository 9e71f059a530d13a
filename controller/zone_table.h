/* controller/zone_table.h - time zones of this host's tz database as tables that agents understand
 * (common/zone.h): the only user of GLib. */
#ifndef TW_CONTROLLER_ZONE_TABLE_H
#define TW_CONTROLLER_ZONE_TABLE_H

#include "common/zone.h"

/* Changes from 2020 to 2050; later ones are not foreseen by anybody. "UTC" and names of the tz database, such
 * as Europe/Amsterdam. TW_ENOENT: there is none of this name; near gets the name that was perhaps meant, or
 * "". */
enum tw_rc zone_table_make(const char *name, struct zone *ret, char near[ZONE_NAME]);

#endif
