/* controller/alert_doc.h - the document that says what is an alert and who is told: docs/alerts.md is its
 * reference, and docs/schema/alerts.schema.json its schema. */
#ifndef TW_CONTROLLER_ALERT_DOC_H
#define TW_CONTROLLER_ALERT_DOC_H

#include "common/doc.h"
#include "controller/core/alert_rule.h"

/* On an error *err has file, line, column, field and what was expected, and *ret is empty; else end it with
 * alert_rules_clear(). */
enum tw_rc alert_doc_parse(const char *file, const char *text, size_t len, struct alert_rules *ret,
                           struct tw_err *err);

#endif
