/* The keys of an alert document that are of the whole, and the kinds of values that its parts share. */
#include "controller/alert_doc_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_NS (INT64_C(86400) * TW_NS_PER_S)
#define HOPS_MAX 255
#define FACTOR_MAX 1e6
#define SECONDS_MAX_NS (365 * DAY_NS)

/* ---- Values ---- */

enum tw_rc alert_doc_word(struct doc *d, const yaml_node_t *node, char ret[ALERT_NAME_MAX])
{
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    if (!label_word_ok(text))
        return doc_fail(d, node, "expected a name of 1 to 63 letters, digits and . _ - /; got \"%s\"",
                        doc_quote(text, quote));
    snprintf(ret, ALERT_NAME_MAX, "%s", text);
    return TW_OK;
}

enum tw_rc alert_doc_copy(struct doc *d, const yaml_node_t *node, char **ret)
{
    const char *text = "";
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    if (!*text)
        return doc_fail(d, node, "expected some text, got none");
    *ret = strdup(text);
    return *ret ? TW_OK : doc_no_memory(d);
}

enum tw_rc alert_doc_selector(struct doc *d, const yaml_node_t *node, struct selector **ret, char **ret_text)
{
    struct tw_err why = { 0 };
    const char *text = "";
    enum tw_rc rc = doc_text(d, node, &text);

    if (!rc && selector_parse(text, ret, &why) != TW_OK)
        return why.rc == TW_ENOMEM ? doc_no_memory(d) : doc_fail(d, node, "%s", why.text);
    return rc ? rc : alert_doc_copy(d, node, ret_text);
}

/* The number at the beginning; *ret_rest is what follows it. */
static bool number(const char *text, double *ret, const char **ret_rest)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *ret = strtod(text, &end);
    *ret_rest = end;
    return isfinite(*ret);
}

enum tw_rc alert_doc_ratio(struct doc *d, const yaml_node_t *node, double *ret)
{
    char quote[DOC_QUOTE];
    const char *text = "", *rest = "";
    double v = -1;
    enum tw_rc rc = doc_text(d, node, &text);
    bool ok;

    if (rc)
        return rc;
    ok = number(text, &v, &rest);
    if (ok && !strcmp(rest, "%"))
        v /= 100;
    else
        ok = ok && !*rest;
    if (!ok || v > 1)
        return doc_fail(d, node, "expected a ratio such as 2.5%% or 0.025, 0%% to 100%%; got \"%s\"",
                        doc_quote(text, quote));
    *ret = v;
    return TW_OK;
}

static enum tw_rc factor(struct doc *d, const yaml_node_t *node, double *ret)
{
    char quote[DOC_QUOTE];
    const char *text = "", *rest = "";
    double v = 0;
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    if (!number(text, &v, &rest) || strcmp(rest, "x") != 0 || v < 1 || v > FACTOR_MAX)
        return doc_fail(d, node,
                        "expected a factor of the baseline such as 2x or 1.5x, at least 1x; got \"%s\"",
                        doc_quote(text, quote));
    *ret = v;
    return TW_OK;
}

static enum tw_rc hops(struct doc *d, const yaml_node_t *node, double *ret)
{
    int64_t n = 0;
    enum tw_rc rc = doc_integer(d, node, 1, HOPS_MAX, "hops", &n);

    *ret = (double)n;
    return rc;
}

enum tw_rc alert_doc_value(struct doc *d, const yaml_node_t *node, const struct alert_rule *r, double *ret)
{
    int64_t ns = 0;
    enum tw_rc rc;

    if (r->relative)
        return factor(d, node, ret);
    switch (alert_metric_unit(r->metric)) {
    case ALERT_RATIO:
        return alert_doc_ratio(d, node, ret);
    case ALERT_HOPS:
        return hops(d, node, ret);
    default:
        rc = doc_duration(d, node, 1, SECONDS_MAX_NS, &ns);
        *ret = (double)ns / (double)TW_NS_PER_S;
        return rc;
    }
}

/* ---- Of the whole ---- */

static enum tw_rc set_site_label(struct doc *d, const yaml_node_t *value, void *into)
{
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    if (!label_key_ok(text))
        return doc_fail(d, value, "expected the key of a label, such as site; got \"%s\"",
                        doc_quote(text, quote));
    snprintf(((struct alert_rules *)into)->site_label, TW_LABEL_MAX, "%s", text);
    return TW_OK;
}

static enum tw_rc set_sites(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct alert_rules *)into)->sites);
}

static enum tw_rc set_agents(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct alert_rules *)into)->agents);
}

static enum tw_rc set_share(struct doc *d, const yaml_node_t *value, void *into)
{
    double *share = &((struct alert_rules *)into)->share;
    enum tw_rc rc = alert_doc_ratio(d, value, share);

    return !rc && *share < 0.5
               ? doc_fail(d, value, "expected 50%% to 100%%: less is not the fault of one site")
               : rc;
}

static enum tw_rc set_min_peers(struct doc *d, const yaml_node_t *value, void *into)
{
    int64_t n = 0;
    enum tw_rc rc = doc_integer(d, value, 2, 1000000, "neighbours", &n);

    ((struct alert_rules *)into)->min_peers = (uint32_t)n;
    return rc;
}

static const struct doc_key correlate_keys[] = {
    { "sites", DOC_TEXT, false, set_sites },
    { "agents", DOC_TEXT, false, set_agents },
    { "share", DOC_TEXT, false, set_share },
    { "min_peers", DOC_TEXT, false, set_min_peers },
};
const struct alert_doc_table alert_doc_correlate = { "correlate", correlate_keys, TW_NELEM(correlate_keys) };

static enum tw_rc set_correlate(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_map(d, value, correlate_keys, TW_NELEM(correlate_keys), into);
}

static enum tw_rc set_wait(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_duration(d, value, 0, 3600 * TW_NS_PER_S, &((struct alert_rules *)into)->wait_ns);
}

static enum tw_rc set_repeat(struct doc *d, const yaml_node_t *value, void *into)
{
    int64_t *repeat = &((struct alert_rules *)into)->repeat_ns;
    enum tw_rc rc = doc_duration(d, value, 0, 365 * DAY_NS, repeat);

    if (!rc && *repeat && *repeat < 60 * TW_NS_PER_S)
        return doc_fail(d, value, "expected 1m at least, or 0 to say it only once");
    return rc;
}

static enum tw_rc set_freeze(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct alert_rules *)into)->freeze);
}

static const struct doc_key document_keys[] = {
    { "site_label", DOC_TEXT, false, set_site_label },
    { "correlate", DOC_MAP, false, set_correlate },
    { "wait", DOC_TEXT, false, set_wait },
    { "repeat", DOC_TEXT, false, set_repeat },
    { "freeze", DOC_TEXT, false, set_freeze },
    { "rules", DOC_MAP, true, alert_doc_set_rules },
    { "receivers", DOC_MAP, false, alert_doc_set_receivers },
    { "routes", DOC_LIST, false, alert_doc_set_routes },
};
const struct alert_doc_table alert_doc_document = { "document", document_keys, TW_NELEM(document_keys) };

static const struct alert_receiver *receiver_of(const struct alert_rules *r, const char *name)
{
    for (size_t i = 0; i < r->n_receivers; i++)
        if (!strcmp(r->receivers[i].name, name))
            return &r->receivers[i];
    return NULL;
}

/* Receivers may stand after the routes. */
static enum tw_rc check_routes(struct doc *d, const struct alert_rules *r)
{
    const yaml_node_t *routes = doc_get(d, doc_root(d), "routes");

    for (size_t i = 0; i < r->n_routes; i++)
        if (!receiver_of(r, r->routes[i].receiver)) {
            const yaml_node_t *route = yaml_document_get_node(&d->yaml, routes->data.sequence.items.start[i]);

            doc_push(d, "routes[%zu].receiver", i);
            return doc_fail(d, doc_get(d, route, "receiver"), "there is no receiver \"%s\" in this document",
                            r->routes[i].receiver);
        }
    return TW_OK;
}

/* Without routes everybody is told of everything. */
static enum tw_rc add_routes(struct doc *d, struct alert_rules *r)
{
    if (r->n_routes || !r->n_receivers || doc_get(d, doc_root(d), "routes"))
        return TW_OK;
    r->routes = calloc(r->n_receivers, sizeof *r->routes);
    if (!r->routes)
        return doc_no_memory(d);
    for (size_t i = 0; i < r->n_receivers; i++)
        memcpy(r->routes[r->n_routes++].receiver, r->receivers[i].name, ALERT_NAME_MAX);
    return TW_OK;
}

enum tw_rc alert_doc_parse(const char *file, const char *text, size_t len, struct alert_rules *ret,
                           struct tw_err *err)
{
    struct tw_err unwanted = { 0 };
    struct doc d;
    enum tw_rc rc;

    alert_rules_init(ret);
    rc = doc_open(&d, file, text, len, err ? err : &unwanted);
    if (rc)
        return rc;
    rc = doc_map(&d, doc_root(&d), document_keys, TW_NELEM(document_keys), ret);
    if (!rc)
        rc = check_routes(&d, ret);
    if (!rc)
        rc = add_routes(&d, ret);
    doc_close(&d);
    if (rc)
        alert_rules_clear(ret);
    return rc;
}
