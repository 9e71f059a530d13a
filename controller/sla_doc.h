/* controller/sla_doc.h - objectives as a document in YAML or JSON:
 *
 *     availability: 99.9%        # of judged windows
 *     loss: 0.5%                 # of sent probes
 *     p95: 40ms                  # round trip
 *     p99: 80ms
 *     classes:
 *       voice: { p99: 30ms }     # takes the place of the one above
 *
 * Ratios are percentages or plain numbers from 0 to 1. */
#ifndef TW_CONTROLLER_SLA_DOC_H
#define TW_CONTROLLER_SLA_DOC_H

#include "controller/core/sla.h"

#define SLA_DOC_MAX 65536
/* TW_EINVAL: *err says where and what was expected. *ret is freed with sla_objectives_free(). */
enum tw_rc sla_doc_parse(const char *text, size_t len, struct sla_objectives *ret, struct tw_err *err);

#endif
