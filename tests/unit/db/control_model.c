#include "tests/unit/db/control_model.h"
#include "common/splitmix.h"

#define SECOND TW_NS_PER_S
#define CLASS "voice"

static const char *const mesh_names[M_MESHES] = { "core", "edge/1", "m\xc3\xa9sh", "x y%" };

void model_start(struct model *m)
{
    *m = (struct model){ .now_ns = DAY0 };
}

static unsigned draw(uint64_t *seed, unsigned n)
{
    return (unsigned)(tw_splitmix64(seed) % n);
}

/* ---- Changes: each of the model and of the store ---- */

static bool ok(enum tw_rc rc)
{
    return rc == TW_OK;
}

static bool put_agent(struct model *m, unsigned at, struct store *s)
{
    struct store_agent a = { .id = m->agent[at].id,
                             .public_key = { (uint8_t)at, 0xff },
                             .approved = true,
                             .first_seen_ns = INT64_MAX, /* no double holds it */
                             .last_contact_ns = m->agent[at].contact_ns,
                             .enrolment = at % 2 ? (char[]){ "{\"a\":\"\xc3\xa9 \\\"'\\n\"}" } : NULL };

    snprintf(a.name, sizeof a.name, "%s", m->agent[at].name);
    if (!ok(store_put_agent(s, &a, &test_err)))
        return false;
    m->agent[at].id = a.id;
    m->agent[at].used = true;
    return true;
}

static bool change_agent(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = draw(seed, M_AGENTS);

    m->agent[at].contact_ns = m->now_ns;
    if (!m->agent[at].used) {
        m->agent[at].id = 0;
        m->agent[at].maintenance_ns = 0;
        snprintf(m->agent[at].name, sizeof m->agent[at].name, "a%u/%%", (unsigned)++m->names);
    }
    return put_agent(m, at, s);
}

static bool remove_agent(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = draw(seed, M_AGENTS);

    if (!m->agent[at].used)
        return true;
    m->agent[at].used = false;
    return ok(store_remove_agent(s, m->agent[at].id, &test_err));
}

static void rename_in(char name[16], const char *from, const char *to)
{
    if (!strcmp(name, from))
        snprintf(name, 16, "%s", to);
}

static bool rename_agent(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = draw(seed, M_AGENTS);
    char from[16], to[16];

    if (!m->agent[at].used)
        return true;
    memcpy(from, m->agent[at].name, sizeof from);
    snprintf(to, sizeof to, "b%u", (unsigned)++m->names);
    memcpy(m->agent[at].name, to, sizeof to);
    for (unsigned i = 0; i < m->n_pairs; i++) {
        rename_in(m->pair[i].source, from, to);
        rename_in(m->pair[i].target, from, to);
    }
    for (unsigned i = 0; i < m->n_absences; i++)
        rename_in(m->absence[i].source, from, to);
    return put_agent(m, at, s) && ok(store_rename_source(s, from, to, &test_err));
}

/* A store that does not know yet what others did is refused later. */
static bool is_at(uint64_t last, uint64_t expected, const char *what)
{
    return last == expected || !tw_err_set(&test_err, TW_EAGAIN, "the last %s is %llu and not %llu", what,
                                           (unsigned long long)last, (unsigned long long)expected);
}

static bool put_generation(struct model *m, struct store *s)
{
    struct store_generation g = {
        .number = m->generation, .time_ns = m->now_ns, .author = "me", .what = "a change", .pairs = m->n_pairs
    };
    uint64_t last = 0;

    if (!ok(store_last_generation(s, &last, &test_err)))
        return false;
    return is_at(last, m->generation - 1, "generation") && ok(store_put_generation(s, &g, &test_err));
}

static bool change_mesh(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = draw(seed, M_MESHES);
    struct store_mesh row = { .changed_ns = m->now_ns, .author = "me" };
    char document[400];

    if (m->generation + 1 == M_GENERATIONS)
        return true;
    row.generation = ++m->generation;
    snprintf(row.name, sizeof row.name, "%s", mesh_names[at]);
    if (m->mesh[at].used && !draw(seed, 4)) {
        m->mesh[at].used = false;
        return put_generation(m, s) && ok(store_remove_mesh(s, row.name, row.generation, &test_err));
    }
    m->mesh[at].used = true;
    m->mesh[at].paused = row.paused = draw(seed, 2);
    m->mesh[at].generation = row.generation;
    m->mesh[at].document = draw(seed, 5);
    snprintf(document, sizeof document, "members: \"%u\"\n\t# \xe2\x82\xac %300s", m->mesh[at].document, "");
    row.document = document;
    return put_generation(m, s) && ok(store_put_mesh(s, &row, &test_err));
}

/* Of two agents, if it is new. */
static struct model_pair *some_pair(struct model *m, uint64_t *seed)
{
    const char *a = m->agent[draw(seed, M_AGENTS)].name, *b = m->agent[draw(seed, M_AGENTS)].name,
               *mesh = mesh_names[draw(seed, 2)];
    struct model_pair *p;

    if (m->n_pairs == M_PAIRS || (m->n_pairs && draw(seed, 3)))
        return m->n_pairs ? &m->pair[draw(seed, m->n_pairs)] : NULL;
    if (!*a || !*b)
        return NULL;
    for (unsigned i = 0; i < m->n_pairs; i++)
        if (!strcmp(m->pair[i].source, a) && !strcmp(m->pair[i].target, b) && !strcmp(m->pair[i].mesh, mesh))
            return &m->pair[i];
    p = &m->pair[m->n_pairs++];
    *p = (struct model_pair){ .id = 0 };
    snprintf(p->mesh, sizeof p->mesh, "%s", mesh);
    memcpy(p->source, a, sizeof p->source);
    memcpy(p->target, b, sizeof p->target);
    return p;
}

static bool change_pair(struct model *m, uint64_t *seed, struct store *s)
{
    struct model_pair *p = some_pair(m, seed);
    struct store_pair row = { .class_name = CLASS };

    if (!p)
        return true;
    p->slot = 1 + draw(seed, 200);
    if (p->id && draw(seed, 2))
        return ok(store_put_slot(s, p->id, (uint8_t)p->slot, &test_err));
    row.mesh = p->mesh;
    row.source = p->source;
    row.target = p->target;
    row.slot = (uint8_t)p->slot;
    if (!ok(store_put_pair(s, &row, &test_err)))
        return false;
    if (p->id && !is_at(row.id, p->id, "pair"))
        return false;
    p->id = row.id;
    return true;
}

static bool schedule_pair(struct model *m, uint64_t *seed, struct store *s)
{
    struct model_pair *p = m->n_pairs ? &m->pair[draw(seed, m->n_pairs)] : NULL;
    struct store_expectation x = {
        .report_period_ns = 60 * SECOND, .flows = 1 + draw(seed, 3), .rule_id = 77, .spacing_ns = 5, .slot = 3
    };

    if (!p || p->n == M_INTERVALS || !p->id)
        return true;
    x.rule = (const uint8_t *)"r\0\xfe";
    x.rule_len = 3;
    if (p->n && !p->interval[p->n - 1].until_ns &&
        (x.flows == p->interval[p->n - 1].flows || !draw(seed, 3))) {
        if (x.flows == p->interval[p->n - 1].flows)
            return ok(store_pair_scheduled(s, p->id, m->generation, &x, m->now_ns, &test_err));
        p->interval[p->n - 1].until_ns = m->now_ns;
        return ok(store_pair_unscheduled(s, p->id, m->now_ns, &test_err));
    }
    if (p->n && !p->interval[p->n - 1].until_ns)
        p->interval[p->n - 1].until_ns = m->now_ns;
    p->interval[p->n].from_ns = m->now_ns;
    p->interval[p->n].until_ns = 0;
    p->interval[p->n++].flows = x.flows;
    return ok(store_pair_scheduled(s, p->id, m->generation, &x, m->now_ns, &test_err));
}

static bool change_alert(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = 1 + draw(seed, M_ROWS - 1);
    char body[40];
    struct store_alert a = { .id = at, .changed_ns = m->now_ns, .body = body };

    if (m->alert[at].state && !draw(seed, 4)) {
        m->alert[at].state = 0;
        return ok(store_remove_alert(s, at, &test_err));
    }
    m->alert[at].state = (uint8_t)(1 + draw(seed, 2));
    m->alert[at].value = draw(seed, 1000);
    a.open = m->alert[at].state == 2;
    snprintf(body, sizeof body, "{\"v\":%u}", m->alert[at].value);
    return ok(store_put_alert(s, &a, &test_err));
}

static bool change_notice(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = 1 + draw(seed, M_ROWS - 1);
    struct store_alert_notice n = {
        .id = at, .made_ns = m->now_ns, .receiver = "r", .key = "", .body = "{}"
    };
    struct store_alert_silence i = { .id = at, .end_ns = INT64_MAX - at, .body = "\xe2\x82\xac\"" };
    struct store_alert_document d = {
        .version = at, .time_ns = m->now_ns, .author = "a", .reason = "", .text = "rules: []"
    };

    switch (draw(seed, 3)) {
    case 0:
        m->notice[at].state = !m->notice[at].state;
        return ok(m->notice[at].state ? store_put_alert_notice(s, &n, &test_err)
                                      : store_remove_alert_notice(s, at, &test_err));
    case 1:
        m->silence[at].state = 1;
        return ok(store_put_alert_silence(s, &i, &test_err));
    default:
        m->document[at].state = 1;
        return ok(store_put_alert_document(s, &d, &test_err));
    }
}

static bool change_token(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = draw(seed, M_ROWS);
    char id[16];
    struct store_access_token t = { .id = id,
                                    .digest = { 0, 1, 0xff },
                                    .role = 1 + at % 3,
                                    .name = "n'",
                                    .author = "",
                                    .created_ns = m->now_ns };
    struct store_join_token j = {
        .id = id, .uses = 10, .digest = { 0xfe }, .name_glob = "*", .labels = "", .author = "me"
    };
    struct store_certificate c = { .serial = id,
                                   .public_key = { (uint8_t)at },
                                   .issued_ns = m->now_ns,
                                   .der = (const uint8_t *)"\0\1\2",
                                   .der_len = 3 };

    snprintf(id, sizeof id, "t%02u", at);
    switch (draw(seed, 3)) {
    case 0:
        m->token[at].state = !m->token[at].state;
        return ok(m->token[at].state ? store_put_access_token(s, &t, &test_err)
                                     : store_remove_access_token(s, id, &test_err));
    case 1:
        m->join[at].state = 1;
        m->join[at].value = j.used = draw(seed, 10);
        return ok(store_put_join_token(s, &j, &test_err));
    default:
        m->certificate[at].state = 1;
        return ok(store_put_certificate(s, &c, 3, &test_err));
    }
}

static bool put_audit(struct model *m, uint64_t *seed, struct store *s)
{
    struct store_audit a = { .time_ns = m->now_ns,
                             .who = "me",
                             .role = "admin",
                             .token_id = "",
                             .way = "rpc",
                             .origin = "",
                             .method = "M" };
    uint64_t last = 0;

    a.subject = a.detail = a.request = a.before = a.after = "x";
    if (m->audit + 1 == M_GENERATIONS)
        return true;
    if (!ok(store_last_audit(s, &last, &test_err)))
        return false;
    if (!is_at(last, m->audit, "entry of the log"))
        return false;
    a.id = ++m->audit;
    m->audited[a.id] = 1 + draw(seed, 16);
    a.status = (int32_t)m->audited[a.id];
    return ok(store_put_audit(s, &a, &test_err));
}

static bool change_absence(struct model *m, uint64_t *seed, struct store *s)
{
    const char *source = m->agent[draw(seed, M_AGENTS)].name;
    unsigned i = 0;

    if (!*source || m->n_absences == M_ABSENCES)
        return true;
    while (i < m->n_absences && (strcmp(m->absence[i].source, source) != 0 || m->absence[i].until_ns))
        i++;
    if (i == m->n_absences) {
        memcpy(m->absence[i].source, source, sizeof m->absence[i].source);
        m->absence[i].from_ns = m->now_ns;
        m->absence[i].until_ns = 0;
        m->absence[i].down = false;
        m->n_absences++;
        return ok(store_agent_lost(s, source, m->now_ns, &test_err));
    }
    if (draw(seed, 2)) { /* it never was away */
        memmove(&m->absence[i], &m->absence[i + 1], (--m->n_absences - i) * sizeof m->absence[0]);
        return ok(store_agent_found(s, source, 0, &test_err));
    }
    m->absence[i].until_ns = m->now_ns;
    m->absence[i].down = true;
    return ok(store_agent_found(s, source, m->now_ns, &test_err));
}

static bool change_test(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = 1 + draw(seed, M_ROWS - 1);
    struct store_test t = {
        .id = at, .started_ns = 1, .author = "me", .what = "a > b", .settings = "{}", .state = "runs"
    };
    struct store_test_run run = { .state = "ok", .reason = "" };

    m->test[at].state = 1;
    if (!ok(store_put_test(s, &t, &test_err)))
        return false;
    if (!m->n_pairs || !m->pair[0].id)
        return true;
    run.pair.id = m->pair[0].id;
    m->test[at].value = 1;
    return ok(store_put_test_run(s, at, &run, &test_err));
}

static bool change_maintenance(struct model *m, uint64_t *seed, struct store *s)
{
    unsigned at = draw(seed, M_AGENTS);
    const struct store_time t = { m->now_ns + SECOND, m->now_ns + 5 * SECOND };

    if (!m->agent[at].used)
        return true;
    m->agent[at].maintenance_ns = m->now_ns; /* all of it: what was said before began later than this */
    return ok(store_put_maintenance(s, m->agent[at].name, 0, &t, 1, &test_err));
}

bool model_change(struct model *m, uint64_t *seed, struct store *s)
{
    static bool (*const changes[])(struct model * m, uint64_t * seed, struct store * s) = {
        change_agent, change_agent,   remove_agent,  rename_agent,       change_mesh,  change_pair,
        change_pair,  schedule_pair,  schedule_pair, change_alert,       change_token, change_notice,
        put_audit,    change_absence, change_test,   change_maintenance,
    };
    struct model before = *m;
    bool done;

    m->now_ns += SECOND;
    done = changes[draw(seed, TW_NELEM(changes))](m, seed, s);
    if (!done)
        *m = before;
    return done;
}

/* ---- As text ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes the text. */
static char *sorted(char *text)
{
    size_t n = 0, len = strlen(text);
    char **lines, *to = malloc(len + 1), *at = to;

    for (const char *p = text; *p; p++)
        n += *p == '\n';
    lines = malloc((n + 1) * sizeof *lines);
    assert_true(to && lines);
    n = 0;
    for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n"))
        lines[n++] = p;
    qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, "%s\n", lines[i]);
    *at = '\0';
    free(lines);
    free(text);
    return to;
}

static const char *const interval_line = "interval %s %s>%s %lld %lld flows %u\n";

static void say_pair(FILE *f, const struct model_pair *p)
{
    if (!p->id)
        return;
    fprintf(f, "pair %llu %s %s>%s slot %u\n", (unsigned long long)p->id, p->mesh, p->source, p->target,
            p->slot);
    for (unsigned i = 0; i < p->n; i++)
        fprintf(f, interval_line, p->mesh, p->source, p->target, (long long)p->interval[i].from_ns,
                (long long)(p->interval[i].until_ns ? p->interval[i].until_ns : INT64_MAX),
                p->interval[i].flows);
}

static void say_rows(FILE *f, const struct model *m)
{
    for (unsigned i = 0; i < M_ROWS; i++) {
        if (m->alert[i].state)
            fprintf(f, "alert %u %s {\"v\":%u}\n", i, m->alert[i].state == 2 ? "open" : "closed",
                    m->alert[i].value);
        if (m->notice[i].state)
            fprintf(f, "notice %u r {}\n", i);
        if (m->silence[i].state)
            fprintf(f, "silence %u %lld\n", i, (long long)(INT64_MAX - i));
        if (m->document[i].state)
            fprintf(f, "alert document %u rules: []\n", i);
        if (m->token[i].state)
            fprintf(f, "token t%02u role %u n' 0001ff\n", i, 1 + i % 3);
        if (m->join[i].state)
            fprintf(f, "join t%02u used %u\n", i, m->join[i].value);
        if (m->certificate[i].state)
            fprintf(f, "certificate t%02u of %u, 3 octets ending in 2\n", i, i);
        if (m->test[i].state)
            fprintf(f, "test %u runs, pairs %u\n", i, m->test[i].value);
    }
}

char *model_text(const struct model *m)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    for (unsigned i = 0; i < M_AGENTS; i++) {
        if (m->agent[i].used)
            fprintf(f, "agent %lld %s %lld key %u ff\n", (long long)m->agent[i].id, m->agent[i].name,
                    (long long)m->agent[i].contact_ns, i);
        if (m->agent[i].used && m->agent[i].maintenance_ns)
            fprintf(f, "maintenance %s %lld\n", m->agent[i].name,
                    (long long)(m->agent[i].maintenance_ns + SECOND));
    }
    for (unsigned i = 0; i < M_MESHES; i++)
        if (m->mesh[i].used)
            fprintf(f, "mesh %s %u %d %llu\n", mesh_names[i], m->mesh[i].document, m->mesh[i].paused,
                    (unsigned long long)m->mesh[i].generation);
    for (unsigned i = 0; i < m->n_pairs; i++)
        say_pair(f, &m->pair[i]);
    say_rows(f, m);
    for (uint64_t i = 1; i <= m->audit; i++)
        fprintf(f, "audit %llu %u\n", (unsigned long long)i, m->audited[i]);
    for (uint64_t i = 1; i <= m->generation; i++)
        fprintf(f, "generation %llu a change\n", (unsigned long long)i);
    for (unsigned i = 0; i < m->n_absences; i++)
        fprintf(f, "absence %s %lld %lld %s\n", m->absence[i].source, (long long)m->absence[i].from_ns,
                (long long)(m->absence[i].until_ns ? m->absence[i].until_ns : INT64_MAX),
                m->absence[i].down ? "agent_down" : "awaited");
    fclose(f);
    return sorted(text);
}

/* ---- A store as text ---- */

struct saying {
    FILE *f;
    struct store_reader *r;
    const struct store_pair *pair;
};

static enum tw_rc say_maintenance(void *ctx, const struct store_time *t)
{
    struct saying *to = ctx;

    fprintf(to->f, " %lld\n", (long long)t->from_ns);
    return TW_OK;
}

static enum tw_rc say_agent(void *ctx, const struct store_agent *a)
{
    struct saying *to = ctx;
    char *line = NULL;
    size_t len;
    struct saying times = { open_memstream(&line, &len), NULL, NULL };

    assert_true(a->first_seen_ns == INT64_MAX && !a->enrolment == !(a->public_key[0] % 2));
    if (a->enrolment)
        assert_string_equal(a->enrolment, "{\"a\":\"\xc3\xa9 \\\"'\\n\"}");
    fprintf(to->f, "agent %lld %s %lld key %u %02x\n", (long long)a->id, a->name,
            (long long)a->last_contact_ns, a->public_key[0], a->public_key[1]);
    CHECK_OK(store_read_maintenance(to->r, a->name, 0, INT64_MAX, say_maintenance, &times, &test_err));
    fclose(times.f);
    for (char *p = strtok(line, "\n"); p; p = strtok(NULL, "\n"))
        fprintf(to->f, "maintenance %s%s\n", a->name, p);
    free(line);
    return TW_OK;
}

static enum tw_rc say_mesh(void *ctx, const struct store_mesh *m)
{
    struct saying *to = ctx;
    unsigned document = 99;

    assert_int_equal(sscanf(m->document, "members: \"%u\"", &document), 1);
    assert_non_null(strstr(m->document, "\n\t# \xe2\x82\xac "));
    fprintf(to->f, "mesh %s %u %d %llu\n", m->name, document, m->paused, (unsigned long long)m->generation);
    return TW_OK;
}

static enum tw_rc say_interval(void *ctx, const struct store_interval *i)
{
    struct saying *to = ctx;

    assert_true(i->x.rule_len == 3 && !memcmp(i->x.rule, "r\0\xfe", 3) && i->x.slot == 3);
    fprintf(to->f, interval_line, to->pair->mesh, to->pair->source, to->pair->target, (long long)i->from_ns,
            (long long)i->until_ns, i->x.flows);
    return TW_OK;
}

static enum tw_rc say_stored_pair(void *ctx, const struct store_pair *p)
{
    struct saying *to = ctx;

    assert_string_equal(p->class_name, CLASS);
    fprintf(to->f, "pair %llu %s %s>%s slot %u\n", (unsigned long long)p->id, p->mesh, p->source, p->target,
            p->slot);
    to->pair = p;
    return store_read_intervals(to->r, p->id, 0, INT64_MAX, say_interval, to, &test_err);
}

static enum tw_rc say_alert(void *ctx, const struct store_alert *a)
{
    fprintf(((struct saying *)ctx)->f, "alert %u %s %s\n", (unsigned)a->id, a->open ? "open" : "closed",
            a->body);
    return TW_OK;
}

static enum tw_rc say_notice(void *ctx, const struct store_alert_notice *n)
{
    fprintf(((struct saying *)ctx)->f, "notice %u %s %s\n", (unsigned)n->id, n->receiver, n->body);
    return TW_OK;
}

static enum tw_rc say_silence(void *ctx, const struct store_alert_silence *s)
{
    assert_string_equal(s->body, "\xe2\x82\xac\"");
    fprintf(((struct saying *)ctx)->f, "silence %u %lld\n", (unsigned)s->id, (long long)s->end_ns);
    return TW_OK;
}

static enum tw_rc say_document(void *ctx, const struct store_alert_document *d)
{
    fprintf(((struct saying *)ctx)->f, "alert document %u %s\n", (unsigned)d->version, d->text);
    return TW_OK;
}

static enum tw_rc say_token(void *ctx, const struct store_access_token *t)
{
    fprintf(((struct saying *)ctx)->f, "token %s role %u %s %02x%02x%02x\n", t->id, t->role, t->name,
            t->digest[0], t->digest[1], t->digest[2]);
    return TW_OK;
}

static enum tw_rc say_join(void *ctx, const struct store_join_token *t)
{
    fprintf(((struct saying *)ctx)->f, "join %s used %u\n", t->id, t->used);
    return TW_OK;
}

static enum tw_rc say_certificate(void *ctx, const struct store_certificate *c)
{
    fprintf(((struct saying *)ctx)->f, "certificate %s of %u, %zu octets ending in %u\n", c->serial,
            c->public_key[0], c->der_len, c->der[c->der_len - 1]);
    return TW_OK;
}

static enum tw_rc say_test(void *ctx, const struct store_test *t)
{
    fprintf(((struct saying *)ctx)->f, "test %u %s, pairs %u\n", (unsigned)t->id, t->state, t->runs);
    return TW_OK;
}

static enum tw_rc say_audit(void *ctx, const struct store_audit *a)
{
    fprintf(((struct saying *)ctx)->f, "audit %llu %d\n", (unsigned long long)a->id, a->status);
    return TW_OK;
}

static enum tw_rc say_generation(void *ctx, const struct store_generation *g)
{
    fprintf(((struct saying *)ctx)->f, "generation %llu %s\n", (unsigned long long)g->number, g->what);
    return TW_OK;
}

static enum tw_rc say_absence(void *ctx, const struct store_absence *a)
{
    fprintf(((struct saying *)ctx)->f, "absence %s %lld %lld %s\n", a->source, (long long)a->from_ns,
            (long long)a->until_ns, store_cause_name(a->cause));
    return TW_OK;
}

static bool was_said(const struct model *m, unsigned i)
{
    for (unsigned a = 0; a < M_AGENTS; a++)
        if (!strcmp(m->agent[a].name, m->absence[i].source))
            return true;
    for (unsigned before = 0; before < i; before++)
        if (!strcmp(m->absence[before].source, m->absence[i].source))
            return true;
    return false;
}

char *store_text(const struct model *m, struct store *s, struct store_reader *r)
{
    char *text = NULL;
    size_t len;
    struct saying to = { open_memstream(&text, &len), r, NULL };
    const struct store_audit_query all = { .who = "", .what = "", .limit = M_GENERATIONS };

    CHECK_OK(store_each_agent(s, say_agent, &to, &test_err));
    CHECK_OK(store_each_mesh(s, say_mesh, &to, &test_err));
    CHECK_OK(store_each_pair(s, say_stored_pair, &to, &test_err));
    CHECK_OK(store_each_alert(s, M_ROWS, say_alert, &to, &test_err));
    CHECK_OK(store_each_alert_notice(s, say_notice, &to, &test_err));
    CHECK_OK(store_each_alert_silence(s, 0, say_silence, &to, &test_err));
    CHECK_OK(store_read_alert_documents(r, 0, M_ROWS, say_document, &to, &test_err));
    CHECK_OK(store_each_access_token(s, say_token, &to, &test_err));
    CHECK_OK(store_each_join_token(s, say_join, &to, &test_err));
    CHECK_OK(store_each_certificate(s, say_certificate, &to, &test_err));
    CHECK_OK(store_read_tests(r, 0, M_ROWS, say_test, &to, &test_err));
    CHECK_OK(store_read_audit(r, &all, say_audit, &to, &test_err));
    CHECK_OK(store_read_generations(r, 0, M_GENERATIONS, say_generation, &to, &test_err));
    /* Also of agents that should have none. */
    for (unsigned i = 0; i < M_AGENTS; i++)
        if (*m->agent[i].name)
            CHECK_OK(store_read_absences(r, m->agent[i].name, 0, INT64_MAX, say_absence, &to, &test_err));
    for (unsigned i = 0; i < m->n_absences; i++)
        if (!was_said(m, i))
            CHECK_OK(store_read_absences(r, m->absence[i].source, 0, INT64_MAX, say_absence, &to, &test_err));
    fclose(to.f);
    return sorted(text);
}

void check_model(const struct model *m, struct store *s, struct store_reader *r, const char *when)
{
    char *want = model_text(m), *have = store_text(m, s, r);
    size_t at = 0, line;

    while (want[at] && want[at] == have[at])
        at++;
    for (line = at; line && want[line - 1] != '\n'; line--)
        ;
    if (want[at] != have[at])
        fail_msg("%s: expected\n%.200s\nnot\n%.200s", when, want + line, have + line);
    free(want);
    free(have);
}
