/* Cells are written by hand: a tree of 40,000 arrays would cost more than all else. Nodes and the head are
 * few. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/json.h"
#include "common/numtext.h"
#include "controller/matrix.h"

struct out {
    char *v;
    size_t len, cap;
    bool failed;
};

static char *room(struct out *o, size_t len)
{
    if (!o->failed && o->cap - o->len < len) {
        size_t cap = 2 * o->cap + len + 4096;
        char *more = realloc(o->v, cap);

        o->failed = !more;
        o->v = more ? more : o->v;
        o->cap = more ? cap : o->cap;
    }
    return o->failed ? NULL : o->v + o->len;
}

static void put(struct out *o, const char *text)
{
    size_t len = strlen(text);
    char *at = room(o, len);

    if (!at)
        return;
    memcpy(at, text, len);
    o->len += len;
}

/* Takes item. */
static void put_json(struct out *o, cJSON *item)
{
    char *text = item ? cJSON_PrintUnformatted(item) : NULL;

    if (text)
        put(o, text);
    else
        o->failed = true;
    cJSON_free(text);
    cJSON_Delete(item);
}

/* Members of a head without its braces. Takes head. */
static void put_members(struct out *o, cJSON *head)
{
    char *text = head ? cJSON_PrintUnformatted(head) : NULL;

    if (text) {
        text[strlen(text) - 1] = '\0';
        put(o, text + 1);
    } else {
        o->failed = true;
    }
    cJSON_free(text);
    cJSON_Delete(head);
}

static cJSON *levels(const struct matrix *m)
{
    cJSON *o;

    if (!m->has_levels)
        return cJSON_CreateNull();
    o = cJSON_CreateObject();
    for (int s = 0; s < ALERT_SEVERITY_COUNT; s++) /* names are static */
        json_num(o, alert_severity_name((enum alert_severity)s),
                 (struct tw_num){ m->level[s].given, m->level[s].raise });
    return o;
}

static cJSON *choices(const struct matrix *m)
{
    cJSON *list = cJSON_CreateArray(), *classes = NULL;

    for (size_t i = 0; i < m->n_choices; i++) {
        if (!i || m->choices[i].mesh != m->choices[i - 1].mesh) {
            cJSON *item = cJSON_CreateObject();

            cJSON_AddStringToObject(item, "mesh", m->choices[i].mesh);
            classes = cJSON_AddArrayToObject(item, "classes");
            cJSON_AddItemToArray(list, item);
        }
        cJSON_AddItemToArray(classes, cJSON_CreateString(m->choices[i].class_name));
    }
    return list;
}

static cJSON *text_or_null(const char *text)
{
    return *text ? cJSON_CreateString(text) : cJSON_CreateNull();
}

/* What changes with time alone. */
static cJSON *moment(const struct matrix *m)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "schema", "twampmesh/matrix/v1");
    json_time(o, "time", "time_ns", m->now_ns);
    json_num(o, "age_s", (struct tw_num){ m->at_ns != 0, (double)(m->now_ns - m->at_ns) / 1e9 });
    return o;
}

static cJSON *head(const struct matrix *m)
{
    cJSON *o = cJSON_CreateObject();

    json_time(o, "at", "at_ns", m->at_ns);
    cJSON_AddBoolToObject(o, "live", m->live);
    json_put(o, "mesh", text_or_null(m->mesh));
    json_put(o, "class", text_or_null(m->class_name));
    cJSON_AddStringToObject(o, "metric", cell_metric_name(m->metric));
    cJSON_AddStringToObject(o, "unit", cell_metric_unit(m->metric));
    json_i64(o, "period_ns", m->period_ns);
    cJSON_AddBoolToObject(o, "truncated", m->truncated);
    json_put(o, "level", m->live || !m->at_ns ? cJSON_CreateNull() : cJSON_CreateString(store_level_name(m->coarsest)));
    json_put(o, "levels", levels(m));
    json_put(o, "choices", choices(m));
    return o;
}

static cJSON *node(const struct matrix_node *n)
{
    cJSON *o = cJSON_CreateObject(), *all;

    cJSON_AddStringToObject(o, "name", n->name);
    cJSON_AddStringToObject(o, "state", n->state);
    all = cJSON_AddObjectToObject(o, "labels");
    for (size_t i = 0; i < n->n_labels; i++)
        cJSON_AddStringToObject(all, n->labels[i].key, n->labels[i].value);
    return o;
}

#define CELL_ROOM (64 + CELL_DIRECTIONS * (NUMTEXT_MAX + 8))

static char *add_unsigned(char *at, unsigned v)
{
    char digits[12];
    size_t n = 0;

    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *at++ = digits[--n];
    return at;
}

static char *add_number(char *at, struct tw_num v)
{
    char text[NUMTEXT_MAX];

    if (!v.known || !isfinite(v.value))
        return stpcpy(at, ",null");
    *at++ = ',';
    return stpcpy(at, v.value == 0 ? "0" : numtext_exact(v.value, text)); /* of losses most are */
}

static char *add_severity(char *at, int severity)
{
    if (severity == CELL_NOT_JUDGED)
        return stpcpy(at, ",null");
    *at++ = ',';
    return add_unsigned(at, (unsigned)severity);
}

static void put_cell(struct out *o, const struct matrix_cell *c)
{
    static const enum tw_direction numbers[] = { TW_FORWARD, TW_BACKWARD, TW_ROUNDTRIP, TW_UNKNOWN };
    char *begin = room(o, CELL_ROOM), *at = begin;

    if (!begin)
        return;
    *at++ = '[';
    at = add_unsigned(at, c->source);
    *at++ = ',';
    at = add_unsigned(at, c->target);
    at = stpcpy(stpcpy(stpcpy(at, ",\""), c->state), "\""); /* a word */
    at = add_severity(at, c->severity[TW_UNKNOWN]);
    for (size_t i = 0; i < TW_NELEM(numbers); i++)
        at = add_number(at, c->v[numbers[i]]);
    for (enum tw_direction d = TW_FORWARD; d <= TW_ROUNDTRIP; d++)
        at = add_severity(at, c->severity[d]);
    *at++ = ',';
    at = add_unsigned(at, c->flags);
    *at++ = ']';
    o->len += (size_t)(at - begin);
}

char *matrix_json(const struct matrix *m, size_t *ret_len, size_t *ret_same)
{
    struct out o = { 0 };

    put(&o, "{");
    put_members(&o, moment(m));
    put(&o, ",");
    *ret_same = o.len;
    put_members(&o, head(m));
    put(&o, ",\"nodes\":[");
    for (size_t i = 0; i < m->n_nodes; i++) {
        put(&o, i ? ",\n" : "\n");
        put_json(&o, node(&m->nodes[i]));
    }
    put(&o, "],\"cells\":[");
    for (size_t i = 0; i < m->n_cells; i++) {
        put(&o, i ? ",\n" : "\n");
        put_cell(&o, &m->cells[i]);
    }
    put(&o, "]}\n");
    if (o.failed) {
        free(o.v);
        return NULL;
    }
    *ret_len = o.len;
    return o.v;
}
