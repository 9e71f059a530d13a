/* controller/core/alert_rule.h - when somebody is to be told: rules as a document says them, which of them is
 * a pair's, and what number of a pair each looks at. Pure.
 *
 * Of the rules that look at the same number (metric and direction) the most specific one that matches a pair
 * is the pair's: one that names the pair, before one that selects by labels, before one that names a class or
 * a mesh, before one that names nothing. Of two equally specific ones that which names more, and then the
 * first in the document. */
#ifndef TW_CONTROLLER_CORE_ALERT_RULE_H
#define TW_CONTROLLER_CORE_ALERT_RULE_H

#include "common/selector.h"
#include "common/stats.h"

#define ALERT_NAME_MAX 64 /* octets of a name with its NUL, as of agents, meshes, classes */
#define ALERT_RULES_MAX 1000

enum alert_metric {
    ALERT_LOSS,         /* ratio of probes lost; by direction or all */
    ALERT_P95,          /* 95th percentile of the delay, seconds; by direction */
    ALERT_JITTER,       /* RFC 3550, seconds; by direction */
    ALERT_AVAILABILITY, /* ratio of 10 s windows with an answer; low is bad */
    ALERT_NO_DATA,      /* seconds since the last report period that came */
    ALERT_CLOCK,        /* the worse error that the two clocks admit (16 s: not synchronised), or by which the mesh
                           clock audit finds one of them wrong, seconds */
    ALERT_COMPLETENESS, /* ratio of the last hour's report periods that came; low is bad */
    ALERT_ROUTE,        /* hops by which the received TTL differs from what it was; by direction */
    ALERT_AGENT_DOWN,   /* seconds since an agent was last connected: of agents, not of pairs */
    ALERT_METRIC_COUNT
};
const char *alert_metric_name(enum alert_metric m); /* "loss", "p95", "no_data", ... */
bool alert_metric_parse(const char *text, enum alert_metric *ret);
enum alert_unit { ALERT_RATIO, ALERT_SECONDS, ALERT_HOPS };
enum alert_unit alert_metric_unit(enum alert_metric m);
bool alert_metric_low_is_bad(enum alert_metric m);
/* May a rule on m say this direction? TW_UNKNOWN: none said. */
bool alert_metric_takes(enum alert_metric m, enum tw_direction d);
/* A number of m as people write it: "2.5%", "31.2ms", "3 hops"; returns buf. */
#define ALERT_VALUE_TEXT 32
const char *alert_value_text(enum alert_metric m, struct tw_num v, char buf[ALERT_VALUE_TEXT]);

enum alert_severity { ALERT_INFO, ALERT_WARNING, ALERT_CRITICAL, ALERT_SEVERITY_COUNT };
const char *alert_severity_name(enum alert_severity s);
bool alert_severity_parse(const char *text, enum alert_severity *ret);

/* What one pair's numbers can be looked at by. */
#define ALERT_SLOTS (ALERT_METRIC_COUNT * 4)
static inline unsigned alert_slot(enum alert_metric m, enum tw_direction d)
{
    return (unsigned)m * 4 + (unsigned)d;
}

struct alert_level {
    bool given;
    double raise, clear; /* in the metric's unit, or, of a relative rule, factors of the baseline */
};
enum alert_scope { ALERT_SCOPE_DEFAULT, ALERT_SCOPE_CLASS, ALERT_SCOPE_GROUP, ALERT_SCOPE_PAIR };
const char *alert_scope_name(enum alert_scope s); /* "default", ... */

struct alert_rule {
    char name[ALERT_NAME_MAX];
    enum alert_metric metric;
    enum tw_direction direction; /* TW_UNKNOWN: of all, or the metric has none */
    enum alert_scope scope;
    char mesh[ALERT_NAME_MAX], class_name[ALERT_NAME_MAX], source[ALERT_NAME_MAX],
        target[ALERT_NAME_MAX]; /* "": any */
    struct selector *select, *target_select,
        *group; /* of the source, of the target, of either; NULL: any. Owned */
    char *select_text, *target_select_text, *group_text;
    bool off;      /* pairs that it applies to have no alert on this number */
    bool relative; /* levels are factors of the baseline */
    struct alert_level level[ALERT_SEVERITY_COUNT];
    int64_t for_ns, clear_for_ns;
    uint64_t min_probes;             /* a period with fewer says nothing */
    bool skip_trouble;               /* nor does one in which the measuring host had trouble */
    int64_t over_ns;                 /* loss, availability: of so long; 0: of one report period */
    int64_t baseline_ns, warm_up_ns; /* relative: how far back, and how much of it must be known */
    double at_least;                 /* relative: a level is so much above the baseline at least */
    int64_t settle_ns;               /* route: what has been so long is the route */
    unsigned line;                   /* of the document */
};

enum alert_receiver_kind { ALERT_TO_WEBHOOK, ALERT_TO_COMMAND, ALERT_TO_MAIL };
enum alert_format { ALERT_FORMAT_GENERIC, ALERT_FORMAT_ALERTMANAGER, ALERT_FORMAT_SLACK };
#define ALERT_ARGS_MAX 32
struct alert_receiver {
    char name[ALERT_NAME_MAX];
    enum alert_receiver_kind kind;
    enum alert_format format;
    char *url, *token_file;         /* webhook; the file holds what goes into Authorization: Bearer */
    char *argv[ALERT_ARGS_MAX + 1]; /* command; or mail: recipients */
    size_t n_args;
    char *from, *sendmail; /* mail */
    int64_t timeout_ns, resend_ns;
    bool resolved; /* is told of ends, too */
};
struct alert_route {
    char receiver[ALERT_NAME_MAX];
    enum alert_severity least;
    struct selector *match; /* of the alert's labels; NULL: any. Owned */
    char *match_text;
    bool last; /* routes after it do not count for what it takes */
};
struct alert_rules {
    struct alert_rule *rules;
    size_t n_rules;
    struct alert_receiver *receivers;
    size_t n_receivers;
    struct alert_route *routes;
    size_t n_routes;
    char site_label[TW_LABEL_MAX];
    bool sites, agents; /* are pairs gathered into alerts of sites, of agents? */
    double share;       /* of the neighbours, from which on it is the site */
    uint32_t min_peers; /* neighbours that it must have */
    int64_t wait_ns;    /* from firing to telling: what belongs together comes together */
    int64_t repeat_ns;  /* told again as long as it goes on and nobody has acknowledged; 0: not */
    bool freeze;        /* the flight recorders of what fires */
};
/* Levels of a rule that says nothing more; share, waits and so on of a document that does not. */
void alert_rules_init(struct alert_rules *r);
void alert_rules_clear(struct alert_rules *r);

struct alert_subject {
    uint64_t pair_id;
    const char *mesh, *class_name, *source, *target; /* of an agent: source alone, the others "" */
    const struct tw_label *source_labels, *target_labels;
    size_t n_source_labels, n_target_labels;
};
/* Why a rule is, or is not, the one that applies. */
enum alert_verdict {
    ALERT_APPLIES,
    ALERT_OTHER_MESH,
    ALERT_OTHER_CLASS,
    ALERT_OTHER_SOURCE,
    ALERT_OTHER_TARGET,
    ALERT_SOURCE_LABELS,
    ALERT_TARGET_LABELS,
    ALERT_GROUP_LABELS,
    ALERT_OTHER_KIND, /* a rule of agents for a pair, or the other way round */
    ALERT_LESS_SPECIFIC,
    ALERT_LATER
};
const char *alert_verdict_text(enum alert_verdict v);
enum alert_verdict alert_rule_match(const struct alert_rule *r, const struct alert_subject *s);
/* ret[slot] = index + 1 of the rule that applies, 0: none. */
void alert_rules_pick(const struct alert_rules *r, const struct alert_subject *s, uint16_t ret[ALERT_SLOTS]);
/* As alert_rule_match(), but also whether another one goes first: *ret_other is its index. */
enum alert_verdict alert_rules_explain(const struct alert_rules *r, const struct alert_subject *s, size_t i,
                                       size_t *ret_other);

/* What is known of a pair over one closed report period. */
struct alert_facts {
    int64_t start_ns, end_ns, period_ns;
    const struct stats_view *view; /* NULL: nothing came, only what else is here counts */
    struct tw_num completeness;
    struct tw_num clock_offset; /* by which the mesh clock audit finds one of the clocks wrong; unknown: it does not */
};
/* From where on a number is of this severity, which must be given; baseline: of a relative rule. */
double alert_rule_raise(const struct alert_rule *r, enum alert_severity s, double baseline);
/* The number of the period itself, without window, baseline or route. */
struct tw_num alert_rule_value(const struct alert_rule *r, const struct alert_facts *f);
/* Parts of a ratio, for rules over a longer time: false: there are none. */
bool alert_rule_parts(const struct alert_rule *r, const struct alert_facts *f, double *ret_part,
                      double *ret_whole);

#endif
