/* Every small text that others write: what people and files say as times, addresses, names of things, tokens,
 * contexts of twampctl, and what the database keeps as text. What is taken and can be printed means the same
 * again; what is refused says why, where there is room for it, and changes nothing.
 *
 * Input: u8 which row of the table, then the text up to a NUL. */
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/clk.h"
#include "common/dscp.h"
#include "common/log.h"
#include "common/net/http_path.h"
#include "common/net/join_token.h"
#include "common/prefix.h"
#include "common/stats.h"
#include "controller/agent_ops.h"
#include "controller/alert_row.h"
#include "controller/cli/config.h"
#include "controller/cli/filter.h"
#include "controller/core/access.h"
#include "controller/core/alert_rule.h"
#include "controller/core/alert_track.h"
#include "controller/core/cell.h"
#include "controller/dbjob.h"
#include "controller/enrolment.h"
#include "controller/listen.h"
#include "controller/report.h"
#include "controller/report_group.h"
#include "controller/registry_homes.h"
#include "controller/registry_row.h"
#include "controller/sla_doc.h"
#include "db/level.h"
#include "db/store.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_NS (INT64_C(1795000000) * TW_NS_PER_S)

static void said(enum tw_rc rc, const struct tw_err *err)
{
    CHECK(rc == TW_OK || err->text[0]);
}

/* ---- Numbers and times ---- */

static void wall(const char *text)
{
    struct tw_wall t = { 7 }, again;
    char buf[TW_TIME_TEXT];

    if (tw_wall_parse(text, &t) != TW_OK) {
        CHECK(t.ns == 7);
        return;
    }
    CHECK(tw_wall_parse(tw_wall_format(t, buf), &again) == TW_OK);
    CHECK(again.ns / TW_NS_PER_MS == t.ns / TW_NS_PER_MS || t.ns < 0); /* printed to the millisecond */
}

static void local(const char *text)
{
    int64_t s = 7;

    if (tw_local_parse(text, &s) != TW_OK)
        CHECK(s == 7);
}

static void duration(const char *text)
{
    char buf[TW_TIME_TEXT];
    int64_t ns = 7, again;

    if (tw_duration_parse(text, &ns) != TW_OK)
        CHECK(ns == 7);
    else
        CHECK(tw_duration_parse(tw_duration_format(ns, buf), &again) == TW_OK && again == ns);
}

static void filter(const char *text)
{
    int64_t ns = 7;

    if (filter_parse_time(text, NOW_NS, &ns) != TW_OK)
        CHECK(ns == 7);
}

/* ---- Addresses ---- */

static void address(const char *text)
{
    struct tw_addr a, again;
    char buf[TW_ADDR_TEXT];

    if (tw_addr_parse(text, 862, &a) != TW_OK)
        return;
    CHECK(a.family == 4 || a.family == 6);
    CHECK(tw_addr_parse(tw_addr_format(&a, buf), 0, &again) == TW_OK && !memcmp(&a, &again, sizeof a));
}

static void prefix(const char *text)
{
    struct tw_prefix p;
    struct tw_addr a = { .port = 1 };

    if (tw_prefix_parse(text, &p) != TW_OK)
        return;
    CHECK(p.family == 4 ? p.len <= 32 : p.family == 6 && p.len <= 128);
    a.family = p.family;
    memcpy(a.ip, p.ip, sizeof a.ip);
    CHECK(tw_prefix_contains(&p, &a));
}

static void listening(const char *text)
{
    struct tw_err err = { 0 };

    said(listen_check(text, false, &err), &err);
}

/* ---- Names of things ---- */

static void dscp(const char *text)
{
    uint8_t v = 77, again;

    if (dscp_parse(text, &v) != TW_OK)
        CHECK(v == 77);
    else
        CHECK(v < 64 && dscp_parse(dscp_name(v), &again) == TW_OK && again == v);
}

static void words(const char *text)
{
    enum tw_direction direction;
    enum tw_status status;
    enum store_level level;
    enum log_level log;
    enum dbjob_kind kind;
    enum access_role role;
    enum alert_metric metric;
    enum alert_severity severity;
    enum cell_metric cell;

    if (tw_direction_parse(text, &direction) == TW_OK)
        CHECK(!strcmp(tw_direction_name(direction), text));
    if (tw_status_parse(text, &status) == TW_OK)
        CHECK(!strcmp(tw_status_name(status), text));
    if (store_level_parse(text, &level) == TW_OK)
        CHECK(level < STORE_LEVELS && !strcmp(store_level_name(level), text));
    if (log_level_parse(text, &log) == TW_OK)
        CHECK(log <= LOG_ERROR_);
    if (dbjob_kind_parse(text, &kind) == TW_OK)
        CHECK(!strcmp(dbjob_kind_name(kind), text));
    if (access_role_parse(text, &role) == TW_OK)
        CHECK(!strcmp(access_role_name(role), text));
    if (alert_metric_parse(text, &metric))
        CHECK(!strcmp(alert_metric_name(metric), text));
    if (alert_severity_parse(text, &severity))
        CHECK(!strcmp(alert_severity_name(severity), text));
    if (cell_metric_parse(text, &cell))
        CHECK(!strcmp(cell_metric_name(cell), text));
}

static void report_words(const char *text)
{
    const char *label = "";
    struct tw_err err = { 0 };
    enum report_by by;
    enum tw_rc rc = report_by_parse(text, &by, &label, &err);

    said(rc, &err);
    if (rc == TW_OK && by == REPORT_BY_LABEL)
        CHECK(label >= text && label <= text + strlen(text));
    err = (struct tw_err){ 0 };
    said(report_sort_check(text, &err), &err);
}

/* ---- Tokens ---- */

static void join_token(const char *text)
{
    struct join_token_parts parts;
    struct tw_err err = { 0 };
    enum tw_rc rc = join_token_parse(text, &parts, &err);

    said(rc, &err);
    if (rc == TW_OK)
        CHECK(memchr(parts.id, 0, sizeof parts.id) && strstr(text, parts.id));
    else
        CHECK(strlen(text) < 12 || !strstr(err.text, text)); /* it may be a secret */
}

static void join_labels(const char *text)
{
    struct join_token t = { .uses = 1 }, again = { .uses = 1 };
    char buf[JOIN_LABELS_TEXT];

    if (join_labels_parse(&t, text) != TW_OK)
        return;
    CHECK(t.n_labels <= JOIN_LABELS_MAX);
    CHECK(join_labels_parse(&again, join_labels_format(&t, buf)) == TW_OK && again.n_labels == t.n_labels);
}

static void name_glob(const char *text)
{
    struct join_token t = { .uses = 1 };

    snprintf(t.name_glob, sizeof t.name_glob, "%s", text);
    CHECK(join_token_admits(&t, "ams") || t.name_glob[0]);
}

/* ---- Documents and files ---- */

static void contexts(const char *text)
{
    struct config c = { 0 };
    struct tw_err err = { 0 };
    enum tw_rc rc = config_parse("f.yaml", text, &c, &err);

    said(rc, &err);
    if (rc != TW_OK)
        return;
    for (size_t i = 0; i < c.n; i++) {
        CHECK(config_is_name(c.contexts[i].name) && config_find(&c, c.contexts[i].name) == &c.contexts[i]);
        CHECK(c.contexts[i].values[CONTEXT_CONTROLLER] &&
              config_is_url(c.contexts[i].values[CONTEXT_CONTROLLER]));
        CHECK(c.contexts[i].line && c.contexts[i].line <= c.contexts[i].last_line);
    }
    config_free(&c);
}

static void objectives(const char *text)
{
    struct sla_objectives o = { 0 };
    struct tw_err err = { 0 };
    enum tw_rc rc = sla_doc_parse(text, strlen(text), &o, &err);

    said(rc, &err);
    if (rc == TW_OK)
        sla_objectives_free(&o);
}

/* ---- What the database keeps ---- */

static void alert(const char *text)
{
    struct alert a = { 0 }, again = { 0 };
    char *json;

    if (alert_row_read(text, &a) != TW_OK)
        return;
    json = alert_row_write(&a);
    CHECK(json && alert_row_read(json, &again) == TW_OK && again.id == a.id);
    free(json);
}

static void silence(const char *text)
{
    struct alert_silence s = { 0 }, again = { 0 };
    char *json;

    if (alert_silence_read(text, &s) != TW_OK)
        return;
    json = alert_silence_write(&s);
    CHECK(json && alert_silence_read(json, &again) == TW_OK && again.id == s.id);
    free(json);
    selector_free(s.match);
    selector_free(again.match);
}

static void other_controller(const char *text)
{
    static struct registry_facts f, again;
    char *json;

    if (registry_row_read(text, &f) != TW_OK)
        return;
    json = registry_row_write(&f);
    CHECK(json && registry_row_read(json, &again) == TW_OK && registry_row_same(&f, &again) &&
          again.time_ns == f.time_ns);
    free(json);
}

/* What is taken of it can be said again, and means the same. */
static void agents_of_another(const char *text)
{
    struct homes h = { 0 };
    struct homes_own own = { 0 };

    homes_begin(&h);
    if (homes_take(&h, "other", 1, 0, 1, text) == TW_OK) {
        CHECK(homes_take(&h, "other", 1, 0, 1, text) == TW_OK && h.n_said == 1);
        homes_end(&h);
        for (size_t i = 0; i < h.n; i++) {
            const struct home *home = homes_find(&h, h.v[i].id);
            CHECK(home && home->id > 0 && home->id == h.v[i].id && !strcmp(home->controller, "other"));
            CHECK(homes_own_add(&own, home->id, home->connected) == TW_OK);
        }
        homes_begin(&h);
        for (unsigned slot = 0; slot < HOMES_SLOTS; slot++) {
            char *again = homes_text(&own.parts[slot]);
            CHECK(again && homes_take(&h, "again", 2, slot, 1, again) == TW_OK);
            free(again);
        }
        homes_end(&h);
        for (size_t i = 0; i < h.n; i++)
            CHECK(!strcmp(h.v[i].controller, "again"));
    }
    homes_own_free(&own);
    homes_free(&h);
}

static void baseline(const char *text)
{
    struct alert_baseline b, before;
    char saved[ALERT_BASELINE_TEXT], again[ALERT_BASELINE_TEXT];
    int64_t known;

    alert_baseline_init(&b, 48 * INT64_C(3600) * TW_NS_PER_S, 1);
    before = b;
    if (!alert_baseline_load(&b, text)) {
        CHECK(!memcmp(&b, &before, sizeof b));
        return;
    }
    alert_baseline_value(&b, NOW_NS, TW_NS_PER_S, &known);
    CHECK(known >= 0);
    if (!alert_baseline_save(&b, saved))
        return;
    CHECK(alert_baseline_load(&before, saved) && alert_baseline_save(&before, again) &&
          !strcmp(saved, again));
}

static void ops(const char *text)
{
    struct agent_ops *o = NULL, *again = NULL;
    char *json;

    if (agent_ops_from_json(text, &o) != TW_OK)
        return;
    json = agent_ops_to_json(o);
    CHECK(json && agent_ops_from_json(json, &again) == TW_OK && !memcmp(o, again, sizeof *o));
    free(json);
    free(again);
    free(o);
}

static void enrolment(const char *text)
{
    Tw__EnrolRequest *m = NULL;
    struct tw_err err = { 0 };
    char peer[64];

    if (enrolment_from_json(text, &m, peer, sizeof peer) != TW_OK)
        return;
    CHECK(memchr(peer, 0, sizeof peer) && enrolment_validate(m, &err) == TW_OK);
    tw__enrol_request__free_unpacked(m, NULL);
}

/* ---- Paths ---- */

static bool take_name(void *ctx, const char *name, size_t name_len, const char *value, size_t value_len)
{
    size_t *n = ctx;

    CHECK(name_len && value_len && !memchr(value, '/', value_len) && memchr(name, 'n', name_len));
    return ++*n < 2;
}

static void path(const char *text)
{
    size_t n = 0;

    if (http_path_match("/a/{n}/b/{n2}", text, take_name, &n))
        CHECK(n == 2 && !strncmp(text, "/a/", 3));
    else
        CHECK(n == 0);
}

static void (*const rows[])(const char *text) = {
    wall,    local,        duration,   filter,      address,   prefix,           listening,         dscp,
    words,   report_words, join_token, join_labels, name_glob, contexts,         objectives,        alert,
    silence, baseline,     ops,        enrolment,   path,      other_controller, agents_of_another,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (!size)
        return 0;
    text = malloc(size);
    CHECK(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    rows[data[0] % TW_NELEM(rows)](text);
    free(text);
    return 0;
}
