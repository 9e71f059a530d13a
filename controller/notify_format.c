#include "controller/notify_format.h"
#include <cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/clk.h"

/* ---- Bodies ---- */

static void add_text(cJSON *o, const char *name, const char *text)
{
    cJSON_AddItemToObject(o, name, cJSON_CreateString(text));
}

static void add_time(cJSON *o, const char *name, int64_t ns)
{
    char text[TW_TIME_TEXT];

    cJSON_AddItemToObject(
        o, name, ns ? cJSON_CreateString(tw_wall_format((struct tw_wall){ ns }, text)) : cJSON_CreateNull());
}

static void add_number(cJSON *o, const char *name, struct tw_num v)
{
    cJSON_AddItemToObject(o, name, v.known ? cJSON_CreateNumber(v.value) : cJSON_CreateNull());
}

static void add_names(cJSON *o, const struct alert *a)
{
    bool many = a->key.slot == ALERT_SLOTS;
    enum tw_direction d = many ? TW_UNKNOWN : alert_direction_of(a);

    add_text(o, "kind", alert_kind_name((enum alert_kind)a->key.kind));
    add_text(o, "subject", a->key.subject);
    add_text(o, "metric", many ? "" : alert_metric_name(alert_metric_of(a)));
    add_text(o, "direction", d == TW_UNKNOWN ? "" : tw_direction_name(d));
    add_text(o, "rule", a->rule);
    add_text(o, "mesh", a->mesh);
    add_text(o, "class", a->class_name);
    add_text(o, "source", a->key.kind == ALERT_PAIR ? a->source : "");
    add_text(o, "target", a->target);
}

static cJSON *label_object(const struct tw_label *labels, size_t n)
{
    cJSON *o = cJSON_CreateObject();

    for (size_t i = 0; i < n && o; i++)
        add_text(o, labels[i].key, labels[i].value);
    return o;
}

char *notify_body(const struct alert *a, const char *event, const char *key, const char *controller,
                  const struct tw_label *labels, size_t n_labels, int64_t now_ns)
{
    cJSON *o = cJSON_CreateObject();
    char summary[ALERT_SUMMARY_MAX], *text;

    if (!o)
        return NULL;
    add_text(o, "notification_id", key);
    add_text(o, "event", event);
    add_text(o, "controller", controller);
    add_time(o, "time", now_ns);
    cJSON_AddItemToObject(o, "alert_id", cJSON_CreateNumber((double)a->id));
    add_text(o, "state", alert_state_name(a->state));
    add_text(o, "severity", alert_severity_name(a->severity));
    add_text(o, "summary", alert_summary(a, summary));
    add_names(o, a);
    add_number(o, "value", a->value);
    add_number(o, "worst", a->worst);
    add_number(o, "level", a->level);
    add_number(o, "baseline", a->baseline);
    cJSON_AddItemToObject(o, "bad_pairs", cJSON_CreateNumber(a->bad));
    cJSON_AddItemToObject(o, "pairs", cJSON_CreateNumber(a->total));
    add_time(o, "since", a->pending_ns);
    add_time(o, "started", a->fired_ns);
    add_time(o, "ended", a->ended_ns);
    add_text(o, "end_reason", a->end_reason);
    add_text(o, "acknowledged_by", a->acked_ns ? a->ack_author : "");
    cJSON_AddItemToObject(o, "labels", label_object(labels, n_labels));
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

char *notify_bodies(char *const *bodies, size_t n)
{
    cJSON *o = cJSON_CreateObject(), *list = o ? cJSON_AddArrayToObject(o, "alerts") : NULL;
    char *text;

    for (size_t i = 0; i < n && list; i++)
        cJSON_AddItemToArray(list, cJSON_CreateRaw(bodies[i]));
    text = list ? cJSON_PrintUnformatted(o) : NULL;
    cJSON_Delete(o);
    return text;
}

static const char *text_of(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsString(v) ? v->valuestring : "";
}

static bool is_over(const cJSON *o)
{
    return !strcmp(text_of(o, "state"), "resolved");
}

/* ---- Alertmanager, POST /api/v2/alerts ---- */

/* Label names there are [a-zA-Z_][a-zA-Z0-9_]*. */
static void add_label(cJSON *labels, const char *key, const char *value)
{
    char name[TW_LABEL_MAX + 1];
    size_t n = 0;

    if (!*value)
        return;
    if (isdigit((unsigned char)*key))
        name[n++] = '_';
    for (; *key && n < TW_LABEL_MAX; key++)
        name[n++] = isalnum((unsigned char)*key) ? *key : '_';
    name[n] = '\0';
    if (cJSON_GetObjectItemCaseSensitive(labels, name))
        return;
    add_text(labels, name, value);
}

static cJSON *alertmanager_labels(const cJSON *body)
{
    cJSON *o = cJSON_CreateObject();
    const cJSON *l;
    const char *rule = text_of(body, "rule");
    char name[2 * ALERT_NAME_MAX];

    if (!o)
        return NULL;
    snprintf(name, sizeof name, "twamp_%s", *rule ? rule : text_of(body, "kind"));
    add_text(o, "alertname", name);
    cJSON_ArrayForEach(l, cJSON_GetObjectItemCaseSensitive(body, "labels"))
    {
        if (cJSON_IsString(l))
            add_label(o, l->string, l->valuestring);
    }
    add_label(o, "controller", text_of(body, "controller"));
    return o;
}

static cJSON *alertmanager_one(const cJSON *body, int64_t now_ns, int64_t hold_ns)
{
    cJSON *o = cJSON_CreateObject(), *notes = cJSON_CreateObject();
    char id[32];

    if (!o || !notes) {
        cJSON_Delete(o);
        cJSON_Delete(notes);
        return NULL;
    }
    cJSON_AddItemToObject(o, "labels", alertmanager_labels(body));
    add_text(notes, "summary", text_of(body, "summary"));
    snprintf(id, sizeof id, "%.0f", cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(body, "alert_id")));
    add_text(notes, "alert_id", id);
    if (*text_of(body, "acknowledged_by"))
        add_text(notes, "acknowledged_by", text_of(body, "acknowledged_by"));
    cJSON_AddItemToObject(o, "annotations", notes);
    add_text(o, "startsAt", text_of(body, "started"));
    if (is_over(body))
        add_text(o, "endsAt", text_of(body, "ended"));
    else
        add_time(o, "endsAt", now_ns + hold_ns);
    return o;
}

char *notify_alertmanager(const char *text, int64_t now_ns, int64_t hold_ns)
{
    cJSON *body = cJSON_Parse(text), *list = cJSON_CreateArray();
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(body, "alerts"), *one;
    char *ret = NULL;

    if (cJSON_IsObject(body) && list) {
        if (!all)
            cJSON_AddItemToArray(list, alertmanager_one(body, now_ns, hold_ns));
        cJSON_ArrayForEach(one, all) cJSON_AddItemToArray(list, alertmanager_one(one, now_ns, hold_ns));
        ret = cJSON_PrintUnformatted(list);
    }
    cJSON_Delete(body);
    cJSON_Delete(list);
    return ret;
}

/* ---- Slack ---- */

/* As their rules for text want it. */
static void escape(const char *text, char *ret, size_t cap)
{
    size_t n = 0;

    for (; *text && n + 6 < cap; text++) {
        const char *as = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;

        if (as)
            n += (size_t)snprintf(ret + n, cap - n, "%s", as);
        else
            ret[n++] = *text;
    }
    ret[n] = '\0';
}

char *notify_slack(const char *text)
{
    cJSON *body = cJSON_Parse(text), *o = cJSON_CreateObject(), *list, *a;
    const char *colour;
    char safe[2 * ALERT_SUMMARY_MAX], line[3 * ALERT_SUMMARY_MAX], *ret = NULL;

    if (cJSON_IsObject(body) && o) {
        escape(text_of(body, "summary"), safe, sizeof safe);
        colour = is_over(body)                                    ? "good"
                 : !strcmp(text_of(body, "severity"), "critical") ? "danger"
                                                                  : "warning";
        snprintf(line, sizeof line, "%s %s: %s", is_over(body) ? "RESOLVED" : "FIRING",
                 text_of(body, "severity"), safe);
        add_text(o, "text", line);
        list = cJSON_AddArrayToObject(o, "attachments");
        a = cJSON_CreateObject();
        add_text(a, "color", colour);
        add_text(a, "fallback", line);
        add_text(a, "text", safe);
        add_text(a, "footer", text_of(body, "notification_id"));
        cJSON_AddItemToArray(list, a);
        ret = cJSON_PrintUnformatted(o);
    }
    cJSON_Delete(body);
    cJSON_Delete(o);
    return ret;
}

/* ---- Mail ---- */

struct text {
    char *at;
    size_t len;
    FILE *f;
};

static bool text_open(struct text *t)
{
    *t = (struct text){ 0 };
    t->f = open_memstream(&t->at, &t->len);
    return t->f != NULL;
}

static char *text_close(struct text *t)
{
    bool bad = ferror(t->f);

    if (fclose(t->f) == 0 && !bad)
        return t->at;
    free(t->at);
    return NULL;
}

/* A header is one line of printable ASCII, whatever names say; other octets are '?'. */
static void put_header(FILE *f, const char *name, const char *value)
{
    fprintf(f, "%s: ", name);
    for (size_t i = 0; value[i] && i < 900; i++)
        fputc(value[i] >= ' ' && value[i] <= '~' ? value[i] : '?', f);
    fputs("\n", f);
}

/* RFC 5322 section 3.3, in English whatever the locale. */
static void put_date(FILE *f, int64_t ns)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)(ns / TW_NS_PER_S);
    struct tm tm;

    gmtime_r(&t, &tm);
    fprintf(f, "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000\n", days + 3 * tm.tm_wday, tm.tm_mday,
            months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Lines end as those of this system do, since sendmail makes of them what the wire wants; a lone dot is its -i's business. */
static void put_line(FILE *f, const char *name, const char *value)
{
    if (!*value)
        return;
    fprintf(f, "%-12s ", name);
    for (size_t i = 0; value[i] && i < 900; i++)
        fputc((unsigned char)value[i] >= ' ' && value[i] != 0x7f ? value[i] : '?', f);
    fputs("\n", f);
}

static void put_mail(FILE *f, const cJSON *body, const struct alert_receiver *r, int64_t now_ns)
{
    static const char *const lines[] = { "state",  "severity", "subject", "mesh",       "class",
                                         "source", "target",   "metric",  "direction",  "rule",
                                         "since",  "started",  "ended",   "end_reason", "controller" };
    char subject[ALERT_SUMMARY_MAX + 64], to[900] = "", id[512];
    const char *at = strchr(r->from, '@');
    size_t n = 0;

    snprintf(subject, sizeof subject, "[%s %s] %s", is_over(body) ? "resolved" : "firing",
             text_of(body, "severity"), text_of(body, "summary"));
    for (size_t i = 0; i < r->n_args && n + strlen(r->argv[i]) + 3 < sizeof to;
         i++) /* the envelope has all */
        n += (size_t)snprintf(to + n, sizeof to - n, "%s%s", i ? ", " : "", r->argv[i]);
    snprintf(id, sizeof id, "<twamp-%s%s>", text_of(body, "notification_id"), at ? at : "@localhost");
    put_header(f, "From", r->from);
    put_header(f, "To", to);
    put_header(f, "Subject", subject);
    put_date(f, now_ns);
    put_header(f, "Message-ID", id);
    put_header(f, "MIME-Version", "1.0");
    put_header(f, "Content-Type", "text/plain; charset=utf-8");
    put_header(f, "Content-Transfer-Encoding", "8bit");
    put_header(f, "Auto-Submitted", "auto-generated");
    fputs("\n", f);
    put_line(f, "alert", text_of(body, "summary"));
    for (size_t i = 0; i < TW_NELEM(lines); i++)
        put_line(f, lines[i], text_of(body, lines[i]));
}

char *notify_mail(const char *text, const struct alert_receiver *r, int64_t now_ns)
{
    cJSON *body = cJSON_Parse(text);
    struct text t;
    char *ret = NULL;

    if (cJSON_IsObject(body) && text_open(&t)) {
        put_mail(t.f, body, r, now_ns);
        ret = text_close(&t);
    }
    cJSON_Delete(body);
    return ret;
}

/* ---- Environment ---- */

/* A value is one line. */
static char *variable(const char *name, const char *value)
{
    char *ret = malloc(strlen(name) + strlen(value) + 24), *p;

    if (!ret)
        return NULL;
    p = stpcpy(ret, "TWAMP_ALERT_");
    for (; *name; name++)
        *p++ = (char)toupper((unsigned char)*name);
    *p++ = '=';
    for (; *value; value++)
        *p++ = (unsigned char)*value >= ' ' && *value != 0x7f ? *value : '?';
    *p = '\0';
    return ret;
}

size_t notify_environment(const char *text, char *ret[NOTIFY_ENV_MAX])
{
    cJSON *body = cJSON_Parse(text);
    const cJSON *v;
    char number[32];
    size_t n = 0;

    cJSON_ArrayForEach(v, body)
    {
        if (n == NOTIFY_ENV_MAX - 1)
            break;
        if (cJSON_IsNumber(v))
            snprintf(number, sizeof number, "%.15g", v->valuedouble);
        if (cJSON_IsString(v) || cJSON_IsNumber(v))
            ret[n] = variable(v->string, cJSON_IsNumber(v) ? number : v->valuestring);
        n += (cJSON_IsString(v) || cJSON_IsNumber(v)) && ret[n];
    }
    cJSON_Delete(body);
    ret[n] = NULL;
    return n;
}
