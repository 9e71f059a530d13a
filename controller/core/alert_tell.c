/* Who is told of what when, and who is not; acknowledgements and silences; texts and labels of alerts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"

const char *alert_kind_name(enum alert_kind k)
{
    static const char *const names[] = { "pair", "agent", "site" };

    return names[k];
}

const char *alert_quiet_name(enum alert_quiet q)
{
    static const char *const names[] = {
        "", "waiting", "explained", "silenced", "maintenance", "acknowledged"
    };

    return names[q];
}

const char *alert_notice_name(enum alert_notice n)
{
    static const char *const names[] = { "firing", "severity", "repeat", "resolved" };

    return names[n];
}

/* ---- Texts ---- */

static const char *way(const struct alert *a)
{
    enum tw_direction d = alert_direction_of(a);

    return d == TW_UNKNOWN ? "" : tw_direction_name(d);
}

static void summary_of_pair(const struct alert *a, char *buf)
{
    enum alert_metric m = alert_metric_of(a);
    char value[ALERT_VALUE_TEXT], level[ALERT_VALUE_TEXT], base[ALERT_VALUE_TEXT], usual[64] = "";

    if (a->baseline.known)
        snprintf(usual, sizeof usual, ", usually %s", alert_value_text(m, a->baseline, base));
    snprintf(buf, ALERT_SUMMARY_MAX, "%s%s%s %s (raised at %s%s) from %s to %s, mesh %s, class %s",
             alert_metric_name(m), way(a)[0] ? " " : "", way(a), alert_value_text(m, a->value, value),
             alert_value_text(m, a->level, level), usual, a->source, a->target, a->mesh, a->class_name);
}

const char *alert_summary(const struct alert *a, char buf[ALERT_SUMMARY_MAX])
{
    char value[ALERT_VALUE_TEXT];

    if (a->key.slot == ALERT_SLOTS)
        snprintf(buf, ALERT_SUMMARY_MAX, "%s %s: %u of %u pairs from and to it are bad",
                 alert_kind_name((enum alert_kind)a->key.kind), a->key.subject, a->bad, a->total);
    else if (a->key.kind == ALERT_AGENT)
        snprintf(buf, ALERT_SUMMARY_MAX, "agent %s is not connected, for %s", a->key.subject,
                 alert_value_text(ALERT_AGENT_DOWN, a->value, value));
    else
        summary_of_pair(a, buf);
    return buf;
}

/* ---- Labels ---- */

static void put_label(struct alert_engine *e, const char *key, const char *value)
{
    if (!value[0] || e->n_labels == ALERT_LABELS_MAX)
        return;
    e->labels[e->n_labels++] = (struct tw_label){ key, value };
}

static void put_end_labels(struct alert_engine *e, const struct alert *a, unsigned end, const char *prefix)
{
    const struct tw_label *labels = NULL;
    size_t n = e->conf.end_labels(e->conf.ctx, a, end, &labels);

    for (size_t i = 0; i < n && e->n_labels < ALERT_LABELS_MAX; i++) {
        char *key = e->label_text[e->n_labels];

        if (snprintf(key, TW_LABEL_MAX, "%s.%s", prefix, labels[i].key) < TW_LABEL_MAX)
            put_label(e, key, labels[i].value);
    }
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct tw_label *)a)->key, ((const struct tw_label *)b)->key);
}

size_t alert_engine_labels(const struct alert_engine *engine, const struct alert *a,
                           const struct tw_label **ret)
{
    struct alert_engine *e = (struct alert_engine *)engine; /* its scratch */
    bool many = a->key.slot == ALERT_SLOTS;

    e->n_labels = 0;
    put_label(e, "kind", alert_kind_name((enum alert_kind)a->key.kind));
    put_label(e, "metric", many ? "" : alert_metric_name(alert_metric_of(a)));
    put_label(e, "direction", many ? "" : way(a));
    put_label(e, "severity", alert_severity_name(a->severity));
    put_label(e, "rule", a->rule);
    put_label(e, "mesh", a->mesh);
    put_label(e, "class", a->class_name);
    put_label(e, "source", a->key.kind == ALERT_PAIR ? a->source : "");
    put_label(e, "target", a->target);
    put_label(e, "agent", a->key.kind == ALERT_AGENT ? a->key.subject : "");
    put_label(e, "site", a->key.kind == ALERT_SITE ? a->key.subject : "");
    put_end_labels(e, a, 0, "source");
    put_end_labels(e, a, 1, "target");
    qsort(e->labels, e->n_labels, sizeof e->labels[0], by_key);
    *ret = e->labels;
    return e->n_labels;
}

/* ---- Silences ---- */

static struct alert_silence *find_silence(const struct alert_engine *e, uint64_t id)
{
    for (size_t i = 0; i < e->n_silences; i++)
        if (e->silences[i].id == id)
            return &e->silences[i];
    return NULL;
}

static bool is_full(const struct alert_engine *e, int64_t now_ns)
{
    size_t n = 0;

    for (size_t i = 0; i < e->n_silences; i++)
        n += e->silences[i].end_ns > now_ns;
    return n >= ALERT_SILENCES_MAX;
}

enum tw_rc alert_engine_silence(struct alert_engine *e, const struct alert_silence *s)
{
    struct alert_silence *at = find_silence(e, s->id);

    if (!at && is_full(e, s->made_ns)) {
        selector_free(s->match);
        return TW_ENOSPC;
    }
    if (!at) {
        at = realloc(e->silences, (e->n_silences + 1) * sizeof *at);
        if (!at) {
            selector_free(s->match);
            return TW_ENOMEM;
        }
        e->silences = at;
        at += e->n_silences++;
        at->match = NULL;
    }
    selector_free(at->match);
    *at = *s;
    return TW_OK;
}

bool alert_engine_unsilence(struct alert_engine *e, uint64_t id, int64_t now_ns, struct alert_silence *ret)
{
    struct alert_silence *s = find_silence(e, id);

    if (!s || s->end_ns <= now_ns)
        return false;
    s->end_ns = now_ns;
    if (s->start_ns > now_ns)
        s->start_ns = now_ns;
    *ret = *s;
    return true;
}

/* Those that are over stay for a day, to be looked at; the database has them longer. */
void alert_engine_forget_silence(struct alert_engine *e, uint64_t id)
{
    struct alert_silence *s = find_silence(e, id);

    if (!s)
        return;
    selector_free(s->match);
    memmove(s, s + 1, (size_t)(e->silences + --e->n_silences - s) * sizeof *s);
}

void alert_prune_silences(struct alert_engine *e, int64_t now_ns)
{
    size_t kept = 0;

    for (size_t i = 0; i < e->n_silences; i++) {
        if (now_ns - e->silences[i].end_ns < ALERT_SILENCE_OVER_NS)
            e->silences[kept++] = e->silences[i];
        else
            selector_free(e->silences[i].match);
    }
    e->n_silences = kept;
}

const struct alert_silence *alert_engine_silences(const struct alert_engine *e, size_t *ret_n)
{
    *ret_n = e->n_silences;
    return e->silences;
}

static const struct alert_silence *silence_of(const struct alert_engine *e, const struct alert *a,
                                              int64_t now_ns)
{
    const struct tw_label *labels = NULL;
    size_t n = 0;

    for (size_t i = 0; i < e->n_silences; i++) {
        const struct alert_silence *s = &e->silences[i];

        if (now_ns < s->start_ns || now_ns >= s->end_ns)
            continue;
        if (!labels)
            n = alert_engine_labels(e, a, &labels);
        if (selector_match(s->match, labels, n, a->key.kind == ALERT_PAIR ? a->source : a->key.subject))
            return s;
    }
    return NULL;
}

/* ---- Telling ---- */

static enum alert_quiet why_quiet(struct alert_engine *e, const struct alert *a, int64_t now_ns, char *text,
                                  size_t cap)
{
    const struct alert_silence *s;

    text[0] = '\0';
    if (a->cause) {
        snprintf(text, cap, "by alert %llu", (unsigned long long)a->cause);
        return ALERT_EXPLAINED;
    }
    s = silence_of(e, a, now_ns);
    if (s) {
        snprintf(text, cap, "by silence %llu of %.63s", (unsigned long long)s->id, s->author);
        return ALERT_SILENCED;
    }
    if (e->conf.maintenance(e->conf.ctx, a, now_ns, text, cap))
        return ALERT_MAINTENANCE;
    if (a->acked_ns) {
        snprintf(text, cap, "by %.63s", a->ack_author);
        return ALERT_ACKED;
    }
    return now_ns < a->due_ns ? ALERT_WAITS : ALERT_HEARD;
}

static bool what_to_tell(const struct alert_engine *e, const struct alert *a, int64_t now_ns,
                         enum alert_notice *ret)
{
    if (!a->told)
        *ret = ALERT_NOTICE_FIRING;
    else if (a->severity > a->told_severity)
        *ret = ALERT_NOTICE_SEVERITY;
    else if (e->rules->repeat_ns && now_ns - a->told_ns >= e->rules->repeat_ns)
        *ret = ALERT_NOTICE_REPEAT;
    else
        return false;
    return true;
}

void alert_tell(struct alert_engine *e, struct alert *a, int64_t now_ns)
{
    enum alert_notice n;

    a->quiet = why_quiet(e, a, now_ns, a->quiet_text, sizeof a->quiet_text);
    if (a->quiet != ALERT_HEARD || !what_to_tell(e, a, now_ns, &n))
        return;
    a->told = true;
    a->told_ns = now_ns;
    a->told_severity = a->severity;
    if (a->severity > a->told_worst)
        a->told_worst = a->severity;
    a->notices++;
    e->conf.notice(e->conf.ctx, a, n);
    e->conf.changed(e->conf.ctx, a);
}

enum tw_rc alert_engine_ack(struct alert_engine *e, uint64_t id, const char *author, const char *reason,
                            int64_t now_ns)
{
    struct alert *a = (struct alert *)alert_engine_find(e, id);

    if (!a || a->state == ALERT_RESOLVED)
        return TW_ENOENT;
    a->acked_ns = now_ns;
    snprintf(a->ack_author, sizeof a->ack_author, "%s", author);
    snprintf(a->ack_reason, sizeof a->ack_reason, "%s", reason);
    e->conf.changed(e->conf.ctx, a);
    return TW_OK;
}
