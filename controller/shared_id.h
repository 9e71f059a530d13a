/* controller/shared_id.h - numbers of things that several controllers make in one control state. By the clock
 * and by chance, so that no two get the same one: two that are made in the same millisecond do once in 4096.
 * Below 2^53, which is exact in JSON. */
#ifndef TW_CONTROLLER_SHARED_ID_H
#define TW_CONTROLLER_SHARED_ID_H

#include <stdint.h>
#include "common/clk.h"

/* Higher than *last, which it becomes. */
uint64_t shared_id_next(struct tw_wall now, uint64_t *last);
/* To count up from, where a million a second are not made: of those who began in different seconds, or in the
 * same one, which is at odds of one in a million. */
uint64_t shared_id_begin(struct tw_wall now);

#endif
