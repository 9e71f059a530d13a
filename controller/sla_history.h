/* controller/sla_history.h - which maintenance the documents of a mesh said there was, in force at the time.
 * Reader threads. */
#ifndef TW_CONTROLLER_SLA_HISTORY_H
#define TW_CONTROLLER_SLA_HISTORY_H

#include "controller/core/sla.h"
#include "db/store.h"

/* Adds to *ret what of `span` was maintenance of that mesh and class, by the document that was in force at
 * each moment. *ret_known false: there is no history of that mesh, and nothing was added. Of the time before
 * the history begins what is known first counts. */
struct sla_history; /* of one span: what was read for one pair serves the next of the same mesh */
enum tw_rc sla_history_new(const struct sla_span *span, struct sla_history **ret);
void sla_history_free(struct sla_history *h); /* NULL is fine */
enum tw_rc sla_history_add(struct sla_history *h, struct store_reader *db, const char *mesh,
                           const char *class_name, struct sla_spans *ret, bool *ret_known,
                           struct tw_err *err);

/* What of [from, to) lies in the times of `when`, within `in`. */
struct times_set;
enum tw_rc sla_add_rule(struct sla_spans *s, const struct sla_span *in, const struct times_set *when);

#endif
