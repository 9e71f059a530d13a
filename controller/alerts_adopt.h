/* controller/alerts_adopt.h - notices that other controllers stored and never sent, since they are gone: the planner takes them
 * over. They keep their keys, so a receiver that was told already, by one that could not say so any more, knows them again.
 * Loop thread. */
#ifndef TW_CONTROLLER_ALERTS_ADOPT_H
#define TW_CONTROLLER_ALERTS_ADOPT_H

#include "controller/controller.h"
#include "controller/notify.h"

#define ALERTS_ADOPT_NS (10 * TW_NS_PER_S) /* a controller that starts again sends them itself */

struct alerts_adopt;
/* take() gets what is ours from now on, and owns it. after_ns: see ALERTS_ADOPT_NS. */
enum tw_rc alerts_adopt_new(struct controller *c, int64_t after_ns,
                            void (*take)(void *ctx, const char *receiver, struct notice *n), void *ctx,
                            struct alerts_adopt **ret);
void alerts_adopt_free(struct alerts_adopt *p); /* after the writer has stopped; also of NULL */
/* Often: looks when it is due, if we are the planner of several. */
void alerts_adopt_look(struct alerts_adopt *p, int64_t mono_ns);

/* Did the controller of that name make it? What does not say so was made by everybody. */
bool alerts_adopt_is_of(const char *body, const char *name);

#endif
