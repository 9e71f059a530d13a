/* controller/core/orphans.h - which of the things that other controllers were to do are ours to do, since those are gone: what
 * is seen so for long enough. A controller that starts again has until then to be back. Pure, not thread-safe.
 *
 * Whoever looks says everything that there is to do: orphans_begin(), orphans_see() of each, orphans_end(). */
#ifndef TW_CONTROLLER_CORE_ORPHANS_H
#define TW_CONTROLLER_CORE_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct orphans;
enum tw_rc orphans_new(int64_t after_ns, struct orphans **ret);
void orphans_free(struct orphans *o); /* also of NULL */

void orphans_begin(struct orphans *o);
/* there: whoever is to do it is. True, once: it is ours from now on. Without memory it is so the next time. */
bool orphans_see(struct orphans *o, uint64_t id, bool there, int64_t now_ns);
/* What was not seen since orphans_begin() is forgotten; all: everything was looked at. */
void orphans_end(struct orphans *o, bool all);

#endif
