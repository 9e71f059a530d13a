/* controller/alert_doc_priv.h - what the files that read alert documents share. */
#ifndef TW_CONTROLLER_ALERT_DOC_PRIV_H
#define TW_CONTROLLER_ALERT_DOC_PRIV_H

#include "controller/alert_doc.h"

/* Tables of keys, for the test of the schema. */
struct alert_doc_table {
    const char *name;
    const struct doc_key *keys;
    size_t n;
};
extern const struct alert_doc_table alert_doc_document, alert_doc_correlate, alert_doc_rule, alert_doc_level,
    alert_doc_baseline, alert_doc_receiver, alert_doc_route;

/* A label word of the author's choice. */
enum tw_rc alert_doc_word(struct doc *d, const yaml_node_t *node, char ret[ALERT_NAME_MAX]);
enum tw_rc alert_doc_copy(struct doc *d, const yaml_node_t *node, char **ret);
enum tw_rc alert_doc_selector(struct doc *d, const yaml_node_t *node, struct selector **ret, char **ret_text);
/* "5%" or "0.05". */
enum tw_rc alert_doc_ratio(struct doc *d, const yaml_node_t *node, double *ret);
/* A number of a metric: "5%", "30ms", "2", or, of a relative rule, "2x". */
enum tw_rc alert_doc_value(struct doc *d, const yaml_node_t *node, const struct alert_rule *r, double *ret);

enum tw_rc alert_doc_set_rules(struct doc *d, const yaml_node_t *value, void *into);
enum tw_rc alert_doc_set_receivers(struct doc *d, const yaml_node_t *value, void *into);
enum tw_rc alert_doc_set_routes(struct doc *d, const yaml_node_t *value, void *into);

#endif
