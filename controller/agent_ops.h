/* controller/agent_ops.h - what operators have said of an agent: labels, drain, maintenance, revocation, names that it had. A value:
 * edits make a new one, so that the old one counts until the new one is stored. Its JSON is a column of the agent's row. Pure but
 * for malloc. */
#ifndef TW_CONTROLLER_AGENT_OPS_H
#define TW_CONTROLLER_AGENT_OPS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/selector.h"

#define AGENT_AUTHOR_MAX 64  /* octets with the NUL */
#define AGENT_REASON_MAX 256
#define AGENT_NAME_MAX 64
#define AGENT_SPANS_MAX 32
#define AGENT_FORMER_MAX 8
/* A span that is over stays so long, for reports. */
#define AGENT_SPAN_KEPT_NS (INT64_C(400) * 86400 * 1000000000)

struct agent_mark {
    int64_t at_ns; /* 0: not */
    char author[AGENT_AUTHOR_MAX], reason[AGENT_REASON_MAX];
};
struct agent_span {
    int64_t from_ns, to_ns; /* [from, to) */
    char author[AGENT_AUTHOR_MAX], reason[AGENT_REASON_MAX];
};
struct agent_ops_label {
    char key[TW_LABEL_MAX], value[TW_LABEL_MAX];
    bool removed; /* there is no such label, whatever the agent says; value is "" */
};
struct agent_ops {
    struct agent_mark drained, revoked;
    size_t n_labels, n_spans, n_former;
    struct agent_ops_label labels[TW_LABELS_MAX]; /* sorted by key */
    struct agent_span spans[AGENT_SPANS_MAX];     /* sorted by from_ns */
    char former[AGENT_FORMER_MAX][AGENT_NAME_MAX]; /* oldest first */
    char joined_by[AGENT_NAME_MAX];                /* ID of the join token; "": none */
};

/* A label is set; "" as value forgets what was said of the key; removed hides the agent's own. TW_ENOSPC: there are TW_LABELS_MAX
 * others. Key and value must be label words. */
enum tw_rc agent_ops_label(struct agent_ops *o, const char *key, const char *value, bool removed);
/* Adds a span, and forgets those that were over long before now_ns. TW_ENOSPC, TW_EEXIST: just that one is there. */
enum tw_rc agent_ops_add_span(struct agent_ops *o, const struct agent_span *span, int64_t now_ns);
/* What is under way ends at now_ns, what comes later goes. False: there was nothing of it. */
bool agent_ops_end_spans(struct agent_ops *o, int64_t now_ns);
/* The span that holds t; NULL: none, or o is NULL. */
const struct agent_span *agent_ops_span_at(const struct agent_ops *o, int64_t t_ns);
/* The oldest goes if there is no room. */
void agent_ops_add_former(struct agent_ops *o, const char *name);
bool agent_ops_had_name(const struct agent_ops *o, const char *name);

/* The labels that count: the operator's, and what the agent says but for those; of a key that it says twice the last; sorted by key.
 * They point to the two. o may be NULL. At most `cap`; returns how many. */
size_t agent_ops_labels(const struct agent_ops *o, const struct tw_label *own, size_t n_own, struct tw_label *ret, size_t cap);

/* malloc'ed JSON; NULL: no memory. */
char *agent_ops_to_json(const struct agent_ops *o);
/* TW_ECORRUPT if it is not what agent_ops_to_json() writes; end *ret with free(). */
enum tw_rc agent_ops_from_json(const char *json, struct agent_ops **ret);

#endif
