#include "controller/cli/controllers.h"

#include <stdio.h>
#include <string.h>

static const struct out_col columns[] = {
    { .title = "CONTROLLER", .name = "name" },
    { .title = "STATE", .name = "state" },
    { .title = "VERSION", .name = "version" },
    { .title = "AGENTS", .name = "agents", .as = OUT_AS_COUNT },
    { .title = "ROLE" },
    { .title = "AGE", .name = "started_ns", .as = OUT_AS_AGO, .drop = 3 },
    { .title = "ADDRESS", .name = "agents_address", .drop = 1 },
    { .title = "HTTP", .name = "http_address", .drop = 2 },
    { .title = "HOST", .name = "host", .wide = true },
    { .title = "OPERATORS", .name = "admin_address", .wide = true },
};

static const char *state_text(const Tw__ControllerInfo *m)
{
    if (m->twin)
        return "up, name taken";
    if (strcmp(m->state, "up") != 0)
        return m->state;
    return m->ready ? "ready" : "NOT READY";
}

static void show(struct out_records *r, const Tw__ControllerInfo *m, const struct cli *c)
{
    bool up = !strcmp(m->state, "up"), missing = !strcmp(m->state, "missing");
    char ago[OUT_NUM];

    out_show(r, "state",
             missing || m->twin || (up && !m->ready) ? OUT_BAD
             : up                                    ? OUT_PLAIN
                                                     : OUT_DOUBT,
             "%s%s%s", state_text(m), up ? "" : " ", up ? "" : out_ago(m->gone_ns, c->wall_ns(), ago));
    out_style(r, "version", m->other_release ? OUT_DOUBT : OUT_PLAIN);
    out_show(r, "ROLE", OUT_PLAIN, "%s%s%s", m->planner ? "planner" : "", m->planner && m->self ? ", " : "",
             m->self ? "asked" : "");
    if (!up) {
        out_show(r, "started_ns", OUT_PLAIN, "-");
        out_show(r, "agents", OUT_PLAIN, "-");
    }
}

static void put(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__ControllerInfo *m = row;

    out_text(r, "name", m->name);
    out_text(r, "state", m->state);
    out_bool(r, "self", m->self);
    out_text(r, "version", m->version);
    out_text(r, "host", m->host);
    out_text(r, "agents_address", m->agents_address);
    out_text(r, "admin_address", m->admin_address);
    out_text(r, "http_address", m->http_address);
    out_ns(r, "started_ns", m->started_ns);
    out_ns(r, "gone_ns", m->gone_ns);
    out_u64(r, "agents", m->agents);
    out_bool(r, "planner", m->planner);
    out_bool(r, "ready", m->ready);
    out_text(r, "problem", m->problem);
    out_bool(r, "twin", m->twin);
    out_bool(r, "other_release", m->other_release);
    if (r->for_people)
        show(r, m, ctx);
}

static const Tw__ControllerInfo none = TW__CONTROLLER_INFO__INIT;
const struct out_listing controllers_listing = {
    .key = "controllers", .columns = columns, .n_columns = TW_NELEM(columns), .put = put, .none = &none
};

void controllers_print(struct cli *c, const Tw__StatusReply *s)
{
    struct out_records r = { .for_people = true };
    struct out_table t;

    if (!s->n_controllers)
        return;
    putchar('\n');
    out_listing_records(&controllers_listing, &r, OUT_ROWS(s->controllers, s->n_controllers), c);
    out_listing_table(&controllers_listing, &r, c->opt.output == FORMAT_WIDE, c->wall_ns(), &t);
    cli_print_table(c, &t);
    out_records_free(&r);
    for (size_t i = 0; i < s->n_controllers; i++) {
        const Tw__ControllerInfo *m = s->controllers[i];

        if (m->self || !*m->problem)
            continue;
        fputs("Problem of ", stdout);
        out_safe(stdout, m->name, false);
        fputs(": ", stdout);
        out_safe(stdout, m->problem, false);
        putchar('\n');
    }
}
