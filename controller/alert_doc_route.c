/* The keys of receivers and routes. */
#include "controller/alert_doc_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVERS_MAX 64
#define ROUTES_MAX 256
#define SENDMAIL "/usr/sbin/sendmail"

struct receiver_doc {
    struct alert_receiver *r;
    const yaml_node_t *map, *webhook, *command, *mail, *format, *token, *from, *sendmail, *resend;
};

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return false;
    return true;
}

static enum tw_rc set_webhook(struct doc *d, const yaml_node_t *value, void *into)
{
    struct receiver_doc *rd = into;
    char quote[DOC_QUOTE];
    enum tw_rc rc = alert_doc_copy(d, value, &rd->r->url);
    const char *url = rd->r->url;

    if (rc)
        return rc;
    rd->webhook = value;
    rd->r->kind = ALERT_TO_WEBHOOK;
    if (!is_plain(url) || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return doc_fail(d, value, "expected a URL that begins with http:// or https://; got \"%s\"",
                        doc_quote(url, quote));
    return TW_OK;
}

static enum tw_rc each_argument(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    struct alert_receiver *r = into;
    enum tw_rc rc;

    if (i >= ALERT_ARGS_MAX)
        return doc_fail(d, item, "expected at most %d", ALERT_ARGS_MAX);
    rc = alert_doc_copy(d, item, &r->argv[i]);
    r->n_args = r->argv[i] ? i + 1 : i;
    return rc;
}

static enum tw_rc take_list(struct doc *d, const yaml_node_t *value, struct alert_receiver *r,
                            const char *what)
{
    if (r->n_args)
        return doc_fail(d, value, "expected one of webhook, command and mail");
    if (!doc_count(value))
        return doc_fail(d, value, "the list is empty: expected %s", what);
    return doc_list(d, value, DOC_TEXT, each_argument, r);
}

static enum tw_rc set_command(struct doc *d, const yaml_node_t *value, void *into)
{
    struct receiver_doc *rd = into;
    enum tw_rc rc = take_list(d, value, rd->r, "a program and its arguments");

    if (rc)
        return rc;
    rd->command = value;
    rd->r->kind = ALERT_TO_COMMAND;
    if (rd->r->argv[0][0] != '/')
        return doc_fail(
            d, value,
            "expected the program's whole path, such as /usr/local/bin/page: no shell looks for it");
    return TW_OK;
}

/* RFC 5321 allows more; nobody needs it, and what sendmail takes for an option or a header must not get
 * through. */
static bool is_address(const char *text)
{
    const char *at = strchr(text, '@');

    return at && at != text && at[1] && !strchr(at + 1, '@') && *text != '-' && strlen(text) < 255 &&
           is_plain(text) && !strpbrk(text, "<>()[]\\,;:\"") && (unsigned char)*text < 0x80;
}

static enum tw_rc set_mail(struct doc *d, const yaml_node_t *value, void *into)
{
    struct receiver_doc *rd = into;
    char quote[DOC_QUOTE];
    enum tw_rc rc = take_list(d, value, rd->r, "addresses");

    if (rc)
        return rc;
    rd->mail = value;
    rd->r->kind = ALERT_TO_MAIL;
    for (size_t i = 0; i < rd->r->n_args; i++)
        if (!is_address(rd->r->argv[i]))
            return doc_fail(d, value, "expected addresses such as noc@example.net; got \"%s\"",
                            doc_quote(rd->r->argv[i], quote));
    return TW_OK;
}

static enum tw_rc set_format(struct doc *d, const yaml_node_t *value, void *into)
{
    static const char *const names[] = { "generic", "alertmanager", "slack" };
    struct receiver_doc *rd = into;
    int format = 0;
    enum tw_rc rc = doc_choice(d, value, names, TW_NELEM(names), &format);

    rd->r->format = (enum alert_format)format;
    rd->format = value;
    return rc;
}

static enum tw_rc set_token(struct doc *d, const yaml_node_t *value, void *into)
{
    struct receiver_doc *rd = into;
    enum tw_rc rc = alert_doc_copy(d, value, &rd->r->token_file);

    rd->token = value;
    return !rc && rd->r->token_file[0] != '/'
               ? doc_fail(d, value, "expected the whole path of a file that holds the token")
               : rc;
}

static enum tw_rc set_from(struct doc *d, const yaml_node_t *value, void *into)
{
    struct receiver_doc *rd = into;
    char quote[DOC_QUOTE];
    enum tw_rc rc = alert_doc_copy(d, value, &rd->r->from);

    rd->from = value;
    if (!rc && !is_address(rd->r->from))
        return doc_fail(d, value, "expected an address such as twampmesh@example.net; got \"%s\"",
                        doc_quote(rd->r->from, quote));
    return rc;
}

static enum tw_rc set_sendmail(struct doc *d, const yaml_node_t *value, void *into)
{
    struct receiver_doc *rd = into;
    enum tw_rc rc = alert_doc_copy(d, value, &rd->r->sendmail);

    rd->sendmail = value;
    return !rc && rd->r->sendmail[0] != '/'
               ? doc_fail(d, value, "expected the program's whole path, such as " SENDMAIL)
               : rc;
}

static enum tw_rc set_timeout(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_duration(d, value, 100 * TW_NS_PER_MS, 300 * TW_NS_PER_S,
                        &((struct receiver_doc *)into)->r->timeout_ns);
}

static enum tw_rc set_resend(struct doc *d, const yaml_node_t *value, void *into)
{
    struct receiver_doc *rd = into;

    rd->resend = value;
    return doc_duration(d, value, TW_NS_PER_S, 3600 * TW_NS_PER_S, &rd->r->resend_ns);
}

static enum tw_rc set_resolved(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct receiver_doc *)into)->r->resolved);
}

static const struct doc_key receiver_keys[] = {
    { "webhook", DOC_TEXT, false, set_webhook },   { "command", DOC_LIST, false, set_command },
    { "mail", DOC_LIST, false, set_mail },         { "format", DOC_TEXT, false, set_format },
    { "token_file", DOC_TEXT, false, set_token },  { "from", DOC_TEXT, false, set_from },
    { "sendmail", DOC_TEXT, false, set_sendmail }, { "timeout", DOC_TEXT, false, set_timeout },
    { "resend", DOC_TEXT, false, set_resend },     { "resolved", DOC_TEXT, false, set_resolved },
};
const struct alert_doc_table alert_doc_receiver = { "receiver", receiver_keys, TW_NELEM(receiver_keys) };

static enum tw_rc check_receiver(struct doc *d, const struct receiver_doc *rd)
{
    const struct {
        const yaml_node_t *at;
        bool fits;
        const char *key, *belongs;
    } rows[] = {
        { rd->format, rd->webhook, "format", "webhook" },
        { rd->token, rd->webhook, "token_file", "webhook" },
        { rd->from, rd->mail, "from", "mail" },
        { rd->sendmail, rd->mail, "sendmail", "mail" },
        { rd->resend, rd->r->format == ALERT_FORMAT_ALERTMANAGER, "resend", "format alertmanager" },
    };

    if (!!rd->webhook + !!rd->command + !!rd->mail != 1)
        return doc_fail(d, rd->map, "expected one of webhook, command and mail");
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (rows[i].at && !rows[i].fits) {
            doc_push(d, ".%s", rows[i].key);
            return doc_fail(d, rows[i].at, "belongs to %s", rows[i].belongs);
        }
    if (rd->mail && !rd->from)
        return doc_fail(d, rd->map, "mail needs \"from\": an address");
    return TW_OK;
}

static enum tw_rc each_receiver(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                                void *into)
{
    struct alert_rules *rules = into;
    struct receiver_doc rd = { .r = &rules->receivers[i], .map = value };
    enum tw_rc rc;

    rules->n_receivers = i + 1;
    *rd.r = (struct alert_receiver){ .timeout_ns = 10 * TW_NS_PER_S, .resolved = true };
    rc = alert_doc_word(d, key, rd.r->name);
    if (!rc)
        rc = doc_map(d, value, receiver_keys, TW_NELEM(receiver_keys), &rd);
    if (!rc)
        rc = check_receiver(d, &rd);
    if (!rc && rd.mail && !rd.r->sendmail && !(rd.r->sendmail = strdup(SENDMAIL)))
        rc = doc_no_memory(d);
    if (rd.r->format == ALERT_FORMAT_ALERTMANAGER && !rd.r->resend_ns)
        rd.r->resend_ns = 60 * TW_NS_PER_S;
    return rc;
}

enum tw_rc alert_doc_set_receivers(struct doc *d, const yaml_node_t *value, void *into)
{
    struct alert_rules *rules = into;
    size_t n = doc_count(value);

    if (!n || n > RECEIVERS_MAX)
        return doc_fail(d, value, "expected 1 to %d receivers, got %zu", RECEIVERS_MAX, n);
    rules->receivers = calloc(n, sizeof *rules->receivers);
    if (!rules->receivers)
        return doc_no_memory(d);
    return doc_named(d, value, DOC_MAP, each_receiver, rules);
}

/* ---- Routes ---- */

static enum tw_rc set_receiver(struct doc *d, const yaml_node_t *value, void *into)
{
    return alert_doc_word(d, value, ((struct alert_route *)into)->receiver);
}

static enum tw_rc set_severity(struct doc *d, const yaml_node_t *value, void *into)
{
    const char *names[ALERT_SEVERITY_COUNT];
    int severity = 0;
    enum tw_rc rc;

    for (int i = 0; i < ALERT_SEVERITY_COUNT; i++)
        names[i] = alert_severity_name((enum alert_severity)i);
    rc = doc_choice(d, value, names, TW_NELEM(names), &severity);
    ((struct alert_route *)into)->least = (enum alert_severity)severity;
    return rc;
}

static enum tw_rc set_match(struct doc *d, const yaml_node_t *value, void *into)
{
    struct alert_route *r = into;

    return alert_doc_selector(d, value, &r->match, &r->match_text);
}

static enum tw_rc set_last(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct alert_route *)into)->last);
}

static const struct doc_key route_keys[] = {
    { "receiver", DOC_TEXT, true, set_receiver },
    { "severity", DOC_TEXT, false, set_severity },
    { "match", DOC_TEXT, false, set_match },
    { "last", DOC_TEXT, false, set_last },
};
const struct alert_doc_table alert_doc_route = { "route", route_keys, TW_NELEM(route_keys) };

static enum tw_rc each_route(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    struct alert_rules *rules = into;

    rules->n_routes = i + 1;
    return doc_map(d, item, route_keys, TW_NELEM(route_keys), &rules->routes[i]);
}

enum tw_rc alert_doc_set_routes(struct doc *d, const yaml_node_t *value, void *into)
{
    struct alert_rules *rules = into;
    size_t n = doc_count(value);

    if (n > ROUTES_MAX)
        return doc_fail(d, value, "expected at most %d routes, got %zu", ROUTES_MAX, n);
    rules->routes = calloc(n + 1, sizeof *rules->routes);
    if (!rules->routes)
        return doc_no_memory(d);
    return doc_list(d, value, DOC_MAP, each_route, rules);
}
