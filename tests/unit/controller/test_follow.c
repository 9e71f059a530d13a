/* Memory follows what another controller changed: A does random things, B has its store changed behind its
 * back and is told where, and must then answer as a third one that was started on the same store. The seed is
 * printed when something is wrong. */
#include "tests/unit/controller/follow_fx.h"
#include <sys/stat.h>
#include "common/net/authority.h"
#include "controller/alert_row.h"
#include "controller/alerts.h"
#include "controller/alerts_adopt.h"
#include "controller/enrolment.h"
#include "controller/fleet.h"
#include "controller/gate.h"
#include "controller/joining.h"
#include "db/store_alert.h"
#include "tests/unit/common/rng.h"

#define AGENTS 8
#define ROUNDS 12
#define OPS 6

/* ---- Every table is somebody's ---- */

static void every_table_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < mirror_tables_n; i++) {
        size_t rows = 0;

        for (size_t k = 0; k < follow_tables_n; k++)
            rows += !strcmp(follow_tables[k].table, mirror_tables[i].name);
        if (rows != 1)
            fail_msg("table %s has %zu rows in follow_tables", mirror_tables[i].name, rows);
    }
    for (size_t k = 0; k < follow_tables_n; k++)
        if (!follow_tables[k].part[0] != (follow_tables[k].why != NULL))
            fail_msg("table %s: expected a part, or why there is none", follow_tables[k].table);
    assert_int_equal(follow_tables_n, mirror_tables_n);
}

/* ---- What a controller answers ---- */

/* Of when it was started, or of the moment, and what is of its own connections. */
static const char *const own[] = { "\"started",  "\"uptime",    "\"scheduled_since", "\"behind",
                                   "\"version",  "\"at\"",      "\"at_ns\"",         "\"now",
                                   "\"next_run", "\"pairs_idle" };

static char *without_own(char *text)
{
    char *ret = strdup(""), *rest = text, *line;

    while ((line = strsep(&rest, "\n"))) {
        bool is_own = false;

        for (size_t i = 0; i < TW_NELEM(own); i++)
            is_own |= strstr(line, own[i]) != NULL;
        if (is_own)
            continue;
        ret = append_text(append_text(ret, line), "\n");
    }
    free(text);
    return ret;
}

static int by_line(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Memory has no order. */
static char *sorted(char *text)
{
    char *lines[4096], *rest = text, *line, *ret = strdup("");
    size_t n = 0;

    while ((line = strsep(&rest, "\n")) && n < TW_NELEM(lines))
        lines[n++] = line;
    qsort(lines, n, sizeof(char *), by_line);
    for (size_t i = 0; i < n; i++)
        ret = append_text(append_text(ret, lines[i]), "\n");
    free(text);
    return ret;
}

static const struct {
    const char *method, *rq;
    bool unordered;
} asked[] = {
    { "AgentList", "{}", false },       { "ScheduleList", "{}", true },
    { "ScheduleRollout", "{}", false }, { "ScheduleExport", "{}", false },
    { "ScheduleHistory", "{}", false }, { "AccessList", "{}", false },
    { "AuditList", "{}", false },       { "AlertRules", "{}", false },
    { "AlertExport", "{}", false },     { "AlertHistory", "{}", false },
    { "AlertReceivers", "{}", false },  { "AlertList", "{\"state\":\"all\"}", false },
    { "AlertSilences", "{}", false },   { "TestList", "{}", false },
    { "JoinTokenList", "{}", false },
};

static char *answers_of(struct fixture *f)
{
    char *all = strdup("");

    for (size_t i = 0; i < TW_NELEM(asked); i++) {
        char *text = without_own(call_admin(f, asked[i].method, asked[i].rq, NULL));

        text = asked[i].unordered ? sorted(text) : text;
        all = append_text(append_text(append_text(all, asked[i].method), "\n"), text);
        free(text);
    }
    return all;
}

/* One that is in the store no more is remembered, and nothing else. */
static bool is_told(const struct pair *p)
{
    return p->scheduled || !p->unstored;
}

/* What is behind it: pairs, digests, the spread. */
static char *memory_of(struct fixture *f)
{
    struct inventory *inv = &f->c->inv;
    char line[1024], *all = strdup("");
    size_t n = 0;
    const struct agent **v = clocks_sorted(inv, &(size_t){ 0 });

    free(v);
    for (size_t i = 0; i < inv->pairs.n; i++)
        n += is_told(pair_table_at(&inv->pairs, i));
    snprintf(line, sizeof line, "generation %llu, pending %u, revoked %u, %zu pairs\n",
             (unsigned long long)inv->generation, inv->pending, inv->revoked, n);
    all = append_text(all, line);
    for (const struct agent *a = inv->agents; a; a = a->hh.next) {
        char hex[2 * AGENT_DIGEST_LEN + 1] = "", *ops = a->ops ? agent_ops_to_json(a->ops) : strdup("-");

        for (size_t i = 0; i < AGENT_DIGEST_LEN; i++)
            sprintf(hex + 2 * i, "%02x", a->digest[i]);
        snprintf(line, sizeof line, "agent %s %lld %d pairs %llu sessions %llu certs %zu %s %.600s\n",
                 a->row.name, (long long)a->row.id, a->row.approved, (unsigned long long)a->pairs,
                 (unsigned long long)a->sessions, a->certs ? a->certs->n : 0, hex, ops);
        free(ops);
        all = append_text(all, line);
    }
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        if (!is_told(p))
            continue;
        snprintf(line, sizeof line, "pair %llu %s/%s %s>%s slot %u %d%d%d flows %u sum %llx\n",
                 (unsigned long long)p->row.id, p->row.mesh, p->row.class_name, p->row.source, p->row.target,
                 p->row.slot, p->scheduled, p->paused,
                 p->drained && p->paused, /* a restart forgets why others are not scheduled */
                 p->scheduled ? p->flows : 0, p->scheduled ? (unsigned long long)p->sum[0] : 0);
        all = append_text(all, line);
    }
    for (size_t i = 0; i < inv->spread.n; i++) {
        const struct spread_group *g = inv->spread.v[i];

        snprintf(line, sizeof line, "spread %lld %llx %llu:", (long long)g->every_ns,
                 (unsigned long long)g->source, (unsigned long long)g->sessions);
        for (size_t k = 0; k < SPREAD_SLOTS; k++)
            if (g->load[k])
                snprintf(line + strlen(line), sizeof line - strlen(line), " %zu=%u", k, g->load[k]);
        all = append_text(append_text(all, line), "\n");
    }
    return all;
}

static void expect_same(char *b, char *c, uint64_t seed, int round, const char *what)
{
    size_t i = 0, from = 0;

    while (b[i] && b[i] == c[i]) {
        if (b[i] == '\n')
            from = i + 1;
        i++;
    }
    if (b[i] != c[i])
        fail_msg("seed %llu, round %d, after %s: follows\n%.600s\nbut a fresh one has\n%.600s",
                 (unsigned long long)seed, round, what, b + from, c + from);
    free(b);
    free(c);
}

/* ---- Controllers ---- */

static void make_ca(const char *data)
{
    static const char *const hosts[] = { "localhost" };
    char dir[200];
    struct tw_err err = { 0 };

    mkdir(data, 0700);
    snprintf(dir, sizeof dir, "%s/ca", data);
    if (authority_make(&(struct authority_make){ dir, hosts, 1, tw_wall_now().ns, 100 * FX_DAY, 50 * FX_DAY },
                       &err) != TW_OK)
        fail_msg("authority: %s", err.text);
}

static void begin(struct fixture *f, struct loop *l, const char *dir, const char *name)
{
    f->loop = l;
    snprintf(f->dir, sizeof f->dir, "%s", dir);
    snprintf(f->fleet_url, sizeof f->fleet_url, "ipc://%s/%s-fleet.sock", dir, name);
    snprintf(f->admin_url, sizeof f->admin_url, "ipc://%s/%s-ctl.sock", dir, name);
    snprintf(f->data, sizeof f->data, "%s/%s", dir, name);
}

static void start(struct fixture *f)
{
    f->shared = true;
    start_controller(f);
    start_operator(f);
}

static void end(struct fixture *f)
{
    for (size_t i = 0; i < f->n_fakes; i++) {
        stop_fake(f->fakes[i]);
        identity_free(f->fakes[i]->id);
        free(f->fakes[i]);
    }
    rpc_client_stop(f->operator_);
    f->operator_ = NULL;
    f->op = NULL;
    stop_controller(f);
}

static void copy_file(const struct fixture *from, const char *path)
{
    char sql[300];
    sqlite3 *db;

    unlink(path);
    assert_int_equal(sqlite3_open_v2(from->c->db_path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", path);
    copy_sql(db, sql);
    sqlite3_close(db);
}

/* B's store as it is. */
static void copy_store(const struct fixture *from, const struct fixture *to)
{
    char path[200];

    mkdir(to->data, 0700);
    snprintf(path, sizeof path, "%s/controller.db", to->data);
    copy_file(from, path);
}

struct world {
    struct fixture a, b, c;
    struct loop *loop;
    char dir[64];
    uint64_t rng, seed;
    char what[4096]; /* was done in this round */
    unsigned names, accesses;
};

static void world_begin(struct world *w, uint64_t seed)
{
    *w = (struct world){ .rng = seed, .seed = seed };
    log_init("test", LOG_ERROR_, LOG_TEXT);
    strcpy(w->dir, "/tmp/tw-follow-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(loop_new(&w->loop), TW_OK);
    begin(&w->a, w->loop, w->dir, "a");
    begin(&w->b, w->loop, w->dir, "b");
    begin(&w->c, w->loop, w->dir, "c");
    make_ca(w->a.data);
    make_ca(w->b.data);
    make_ca(w->c.data);
    start(&w->a);
    start(&w->b);
}

static void world_end(struct world *w)
{
    char cmd[128];

    end(&w->a);
    end(&w->b);
    loop_free(w->loop);
    snprintf(cmd, sizeof cmd, "rm -rf %s", w->dir);
    assert_int_equal(system(cmd), 0);
}

/* ---- What A does ---- */

/* What it has to store is stored. */
static enum tw_rc run_none(struct writer_job *j, struct store *s, struct tw_err *err)
{
    (void)j;
    (void)s;
    (void)err;
    return TW_OK;
}

static void alert_flush(struct fixture *f)
{
    struct copy_job j = { .job = { .run = run_none, .done = copy_done, .urgent = true } };

    assert_int_equal(writer_submit(f->c->writer, &j.job), TW_OK);
    WAIT(j.done);
}

static unsigned draw(struct world *w, unsigned n)
{
    return (unsigned)(rng_next(&w->rng) % n);
}

static struct agent *any_agent(struct world *w)
{
    unsigned n = HASH_COUNT(w->a.c->inv.agents), at = n ? draw(w, n) : 0;
    struct agent *a = w->a.c->inv.agents;

    for (unsigned i = 0; a && i < at; i++)
        a = a->hh.next;
    return a;
}

/* The calls may be refused: then nothing changes. */
__attribute__((format(printf, 3, 4))) static void ask(struct world *w, const char *method, const char *fmt,
                                                      ...)
{
    char json[2048];
    va_list ap;
    Tw__Status status;
    char *text;

    va_start(ap, fmt);
    vsnprintf(json, sizeof json, fmt, ap);
    va_end(ap);
    text = call_admin(&w->a, method, json, &status);
    snprintf(w->what + strlen(w->what), sizeof w->what - strlen(w->what), "%s %.300s%s%.120s; ", method, json,
             status ? ": " : "", status ? text : "");
    if (!status && strstr(text, "\"error\":\t{"))
        fail_msg("%s %s: %s", method, json, text); /* the document is wrong */
    free(text);
}

static void set_enrolment(struct world *w, struct agent *a)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    char address[32], key[] = "site", value[8], times[] = "times", stamp[] = "stamp",
                      *addresses[] = { address }, *can[] = { times, stamp };
    Tw__Label label = TW__LABEL__INIT, *labels = &label;

    snprintf(address, sizeof address, "192.0.2.%u", 1 + draw(w, 250));
    snprintf(value, sizeof value, "s%u", draw(w, 3));
    label.key = key;
    label.value = value;
    rq.n_labels = 1;
    rq.labels = &labels;
    rq.n_addresses = draw(w, 8) != 0;
    rq.addresses = addresses;
    rq.capabilities = can;
    rq.n_capabilities = 2;
    rq.reflector_port = 862;
    if (a->enrolment)
        tw__enrol_request__free_unpacked(a->enrolment, NULL);
    a->enrolment = message_clone(&rq.base);
    assert_int_equal(agent_refresh(a), TW_OK);
}

static void settle(struct world *w)
{
    struct fixture *f = &w->a;

    WAIT(!f->c->edits);
    for (struct agent *a = f->c->inv.agents; a; a = a->hh.next)
        WAIT(!a->saving && !a->save_again && !a->changing);
}

static void do_enrol(struct world *w)
{
    struct fixture *f = &w->a;
    uint8_t key[STORE_KEY_LEN] = { 1, (uint8_t)++w->names };
    char name[16];
    struct agent *a;

    if (HASH_COUNT(f->c->inv.agents) >= AGENTS)
        return;
    snprintf(name, sizeof name, "%c%u", 'a' + (char)draw(w, 5), w->names);
    a = fleet_new_agent(f->c, name, "test 1", key, "192.0.2.1");
    assert_non_null(a);
    set_enrolment(w, a);
    fleet_save(f->c, a);
    WAIT(a->row.id);
    if (draw(w, 5))
        ask(w, "AgentApprove", "{\"name\":\"%s\"}", name);
}

static void do_move(struct world *w)
{
    struct agent *a = any_agent(w);

    if (!a)
        return;
    set_enrolment(w, a);
    fleet_save(w->a.c, a);
    change_expand_for(w->a.c->changes, a->row.name);
    settle(w);
    snprintf(w->what + strlen(w->what), sizeof w->what - strlen(w->what), "move %s; ", a->row.name);
}

static void do_agent(struct world *w)
{
    static const char *const methods[] = { "AgentApprove", "AgentRemove", "AgentDrain",       "AgentUndrain",
                                           "AgentRevoke",  "AgentLabel",  "AgentMaintenance", "AgentRename" };
    struct agent *a = any_agent(w);
    char extra[160] = "";
    unsigned which = draw(w, TW_NELEM(methods));

    if (!a || (which == 4 && draw(w, 3)))
        return;
    if (which == 5)
        snprintf(extra, sizeof extra, ",\"set_labels\":[{\"key\":\"site\",\"value\":\"s%u\"}]", draw(w, 3));
    if (which == 6)
        snprintf(extra, sizeof extra, ",\"from_ns\":\"%lld\",\"to_ns\":\"%lld\"", (long long)tw_wall_now().ns,
                 (long long)tw_wall_now().ns + (1 + draw(w, 5)) * 3600 * TW_NS_PER_S);
    if (which == 7)
        snprintf(extra, sizeof extra, ",\"new_name\":\"%c%u\"", 'a' + (char)draw(w, 5), ++w->names);
    ask(w, methods[which], "{\"name\":\"%s\",\"reason\":\"why\",\"author\":\"eve\"%s}", a->row.name, extra);
}

static void do_mesh(struct world *w)
{
    static const char *const classes[] = {
        "x: { spacing: 20ms }",
        "x: { spacing: 50ms }\\n  y: { schedule: { every: 5m, for: 10s } }",
        "x: { schedule: { every: 5m, for: 10s } }\\n  z: { flows: 2 }",
        "x: { schedule: { every: 1h, for: 20s } }\\n  y: { schedule: { every: 5m, for: 10s } }",
    };
    static const char *const topologies[] = {
        "full\\nmembers: [\\\"@all\\\", t]\\ntargets: { t: 192.0.2.251 }",
        "full\\nmembers: [\\\"@all\\\", t]\\ntargets: { t: 192.0.2.252 }",
        "k-regular\\ndegree: 2\\nmembers: [\\\"@all\\\"]",
    };
    unsigned mesh = draw(w, 3);

    switch (draw(w, 6)) {
    case 0:
        ask(w, "SchedulePause", "{\"name\":\"m%u\"}", mesh);
        break;
    case 1:
        ask(w, "ScheduleResume", "{\"name\":\"m%u\"}", mesh);
        break;
    case 2:
        if (draw(w, 3) == 0)
            ask(w, "ScheduleDelete", "{\"name\":\"m%u\"}", mesh);
        else
            ask(w, "ScheduleRollback", "{\"generation\":%llu}",
                (unsigned long long)(1 + draw(w, (unsigned)w->a.c->inv.generation + 1)));
        break;
    default:
        ask(w, "ScheduleApply",
            "{\"file\":\"x\",\"author\":\"eve\",\"document\":\"mesh: m%u\\ntopology: %s\\ngroups: { all: { "
            "select: \\\"%s\\\", "
            "allow_empty: true } }\\nclasses:\\n  %s\\n\"}",
            mesh, topologies[draw(w, 3)], draw(w, 2) ? "*" : "site=s1", classes[draw(w, TW_NELEM(classes))]);
    }
}

static void do_token(struct world *w)
{
    struct fixture *f = &w->a;
    struct access *t = gate_tokens(f->c->gate);
    const struct join_token *j;
    size_t n = joining_tokens(f->c->joining, &j);

    switch (draw(w, 4)) {
    case 0:
        ask(w, "AccessCreate", "{\"name\":\"t%u\",\"role\":\"viewer\"}", ++w->accesses);
        break;
    case 1:
        if (access_count(t))
            ask(w, "AccessRevoke", "{\"id\":\"%s\"}", access_at(t, draw(w, (unsigned)access_count(t)))->id);
        break;
    case 2:
        ask(w, "JoinTokenCreate", "{\"uses\":%u,\"name_glob\":\"*\",\"ttl_ns\":3600000000000}",
            1 + draw(w, 3));
        break;
    default:
        if (n)
            ask(w, "JoinTokenRevoke", "{\"id\":\"%s\"}", j[draw(w, (unsigned)n)].id);
    }
}

static void do_alert(struct world *w)
{
    static const char *const levels[] = { "1%", "2%", "5%" };
    size_t n;
    const struct alert_silence *s = alert_engine_silences(alerts_engine(w->a.c->alerts), &n);

    switch (draw(w, 3)) {
    case 0:
        ask(w, "AlertApply",
            "{\"file\":\"x\",\"author\":\"eve\",\"document\":\"rules:\\n  l: { metric: loss, warning: { "
            "raise: %s } }\\n"
            "receivers:\\n  r: { webhook: \\\"http://192.0.2.1/\\\" }\\nroutes:\\n  - { receiver: r }\\n\"}",
            levels[draw(w, 3)]);
        break;
    case 1:
        ask(w, "AlertSilence",
            "{\"match\":\"source=a%u\",\"duration_ns\":3600000000000,\"author\":\"eve\",\"reason\":\"r\"}",
            draw(w, 9));
        break;
    default:
        if (n)
            ask(w, "AlertUnsilence", "{\"id\":%llu,\"author\":\"eve\"}",
                (unsigned long long)s[draw(w, (unsigned)n)].id);
    }
    alert_flush(&w->a);
}

static void (*const does[])(struct world *w) = { do_enrol, do_enrol, do_move, do_agent, do_agent,
                                                 do_agent, do_mesh,  do_mesh, do_token, do_alert };

/* ---- The property ---- */

static void compare(struct world *w, int round)
{
    copy_store(&w->b, &w->c);
    start(&w->c);
    expect_same(sorted(memory_of(&w->b)), sorted(memory_of(&w->c)), w->seed, round, w->what);
    expect_same(answers_of(&w->b), answers_of(&w->c), w->seed, round, w->what);
    end(&w->c);
}

static void follow_seed(uint64_t seed)
{
    struct world w;

    world_begin(&w, seed);
    for (int round = 0; round < ROUNDS; round++) {
        w.what[0] = '\0';
        for (unsigned n = 1 + draw(&w, OPS); n; n--)
            does[draw(&w, TW_NELEM(does))](&w);
        settle(&w);
        follow_other(&w.b, &w.a, draw(&w, 4) == 0);
        if (getenv("FOLLOW_SHOW"))
            print_message("seed %llu, round %d: %s\n%s", (unsigned long long)seed, round, w.what,
                          memory_of(&w.b));
        compare(&w, round);
    }
    world_end(&w);
}

static void follows_as_if_loaded(void **state)
{
    const char *text = getenv("FOLLOW_SEED"), *many = getenv("FOLLOW_SEEDS");
    uint64_t first = text ? strtoull(text, NULL, 10) : 1, n = many ? strtoull(many, NULL, 10) : 3;

    (void)state;
    for (uint64_t seed = first; seed < first + n; seed++)
        follow_seed(seed);
}

/* As where an older snapshot was restored: all that came since then goes, also what else nobody takes away.
 */
static void follow_older(uint64_t seed)
{
    struct world w;
    char older[128];

    world_begin(&w, seed);
    snprintf(older, sizeof older, "%s/older.db", w.dir);
    for (int round = 0; round < 6; round++) {
        for (unsigned n = 2 * OPS; n; n--)
            does[draw(&w, TW_NELEM(does))](&w);
        settle(&w);
        if (round % 3 == 0) /* first of all it is of before anything */
            copy_file(round ? &w.a : &w.b, older);
        follow_other(&w.b, &w.a, false);
        w.what[0] = '\0';
        if (round % 3 == 2) {
            follow_file(&w.b, older, true);
            compare(&w, round);
        }
    }
    world_end(&w);
}

static void follows_an_older_state(void **state)
{
    (void)state;
    follow_older(1);
    follow_older(2);
}

/* ---- Agents that are connected to B ---- */

static struct world *two(void)
{
    struct world *w = calloc(1, sizeof *w);

    world_begin(w, 1);
    return w;
}

/* By its row. */
static size_t open_intervals(struct fixture *f)
{
    size_t n = 0;
    sqlite3_stmt *st;
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(f->c->db_path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*) FROM pair_interval WHERE until_ns IS NULL", -1, &st, NULL),
        SQLITE_OK);
    if (sqlite3_step(st) == SQLITE_ROW)
        n = (size_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

/* Both ways, since agents have come to both. */
static void follow_each_other(struct world *w)
{
    follow_other(&w->b, &w->a, false);
}

static void connected_agents_are_told(void **state)
{
    struct world *w = two();
    struct fixture *f = &w->b;
    struct fake *a, *b, *late;
    struct op_result r;

    (void)state;
    /* They come to B; A has what B has. */
    a = bring_up(f, "a", "192.0.2.1");
    b = bring_up(f, "b", "192.0.2.2");
    WAIT(!inventory_agent(&f->c->inv, "a")->saving && !inventory_agent(&f->c->inv, "b")->saving);
    follow_other(&w->a, f, false);

    /* Applied at A: both get it from B, and run it. */
    must(&w->a, "ScheduleApply",
         "{\"file\":\"x\",\"document\":\"mesh: lab\\ntopology: full\\nmembers: [a, b]\\nclasses: { x: {} "
         "}\\n\"}");
    follow_each_other(w);
    WAIT(a->n_sessions == 1 && b->n_sessions == 1 && inventory_agent(&f->c->inv, "a")->acked_current &&
         inventory_agent(&f->c->inv, "b")->acked_current);
    assert_string_equal(a->targets[0], "b");
    assert_int_equal(a->generation, w->a.c->inv.generation);
    WAIT(open_intervals(f) == 2);
    follow_other(&w->a, f, false);

    /* Another class at A: its change closes what B had opened. */
    must(&w->a, "ScheduleApply",
         "{\"file\":\"x\",\"document\":\"mesh: lab\\ntopology: full\\nmembers: [a, b]\\nclasses: { x: { "
         "size: 1000 } }\\n\"}");
    assert_int_equal(open_intervals(&w->a), 0);
    follow_each_other(w);
    WAIT(a->generation == 2 && inventory_agent(&f->c->inv, "a")->acked_current &&
         inventory_agent(&f->c->inv, "b")->acked_current);
    WAIT(open_intervals(f) == 2);
    follow_other(&w->a, f, false);

    /* One waits at B, and is approved at A. */
    late = new_fake(f, "c", "c", "192.0.2.3");
    connect_fake(late);
    WAIT(late->n_enrolled);
    WAIT(inventory_agent(&f->c->inv, "c")->row.id);
    WAIT(!inventory_agent(&f->c->inv, "c")->saving);
    follow_other(&w->a, f, false);
    r = approve(&w->a, "c", "");
    assert_true(r.ok);
    follow_each_other(w);
    WAIT(late->n_enrolled == 2 && late->peer);
    WAIT(!inventory_agent(&f->c->inv, "c")->saving);
    follow_other(&w->a, f, false);

    /* Revoked at A: cut off at B. */
    must(&w->a, "AgentRevoke", "{\"name\":\"b\",\"reason\":\"stolen\"}");
    follow_each_other(w);
    WAIT(b->down_status == TW__STATUS__STATUS_PERMISSION_DENIED && !inventory_agent(&f->c->inv, "b")->peer);
    WAIT(a->generation == w->a.c->inv.generation && a->n_sessions == 0);

    /* Removed at A. */
    must(&w->a, "AgentRemove", "{\"name\":\"c\"}");
    follow_each_other(w);
    WAIT(late->down_status == TW__STATUS__STATUS_PERMISSION_DENIED);
    assert_null(inventory_agent(&f->c->inv, "c")
                    ? inventory_agent(&f->c->inv, "c")->row.approved ? "approved" : NULL
                    : NULL);
    world_end(w);
    free(w);
}

static void a_token_that_is_gone_ends_connections(void **state)
{
    struct world *w = two();
    struct fixture *f = &w->b;
    struct access_who who;
    int64_t wait_ns;
    Tw__Status status;
    char *reply, *text, *end_of_it, id[ACCESS_ID_TEXT];

    (void)state;
    reply = call_admin(&w->a, "AccessCreate", "{\"name\":\"eve\",\"role\":\"operator\"}", &status);
    text = strstr(reply, "twa1.");
    assert_non_null(text);
    end_of_it = strchr(text, '"');
    *end_of_it = '\0';
    assert_int_not_equal(gate_token(f->c->gate, "tls", "192.0.2.9", text, &who, &wait_ns), ACCESS_OK);
    follow_other(f, &w->a, false);
    assert_int_equal(gate_token(f->c->gate, "tls", "192.0.2.9", text, &who, &wait_ns), ACCESS_OK);
    assert_string_equal(who.name, "eve");
    snprintf(id, sizeof id, "%s", who.id);

    /* Revoked at B; what A still notes of its use does not bring it back. */
    must(f, "AccessRevoke", (snprintf(w->what, sizeof w->what, "{\"id\":\"%s\"}", id), w->what));
    assert_int_equal(gate_token(w->a.c->gate, "tls", "192.0.2.9", text, &who, &wait_ns), ACCESS_OK);
    follow_other(&w->a, f, true);
    assert_int_equal(gate_token(w->a.c->gate, "tls", "192.0.2.9", text, &who, &wait_ns), ACCESS_REVOKED);
    gate_stop(w->a.c->gate);
    must(&w->a, "AccessList", "{}");
    follow_other(f, &w->a, true);
    assert_int_equal(gate_token(f->c->gate, "tls", "192.0.2.9", text, &who, &wait_ns), ACCESS_REVOKED);
    free(reply);
    world_end(w);
    free(w);
}

/* ---- One that ends between ---- */

struct approve_job {
    struct copy_job j; /* first */
    struct store_agent row;
};

static enum tw_rc run_approve(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct store_agent row = ((struct approve_job *)j)->row;

    return store_put_agent(s, &row, err);
}

/* Somebody let two agents in, and ended before it had expanded the mesh that selects them. */
static void what_nobody_finishes_is_finished(void **state)
{
    struct world *w = two();
    struct fixture *f = &w->b;
    struct approve_job j = { .j.job = { .run = run_approve, .done = copy_done, .urgent = true } };

    (void)state;
    must(&w->a, "ScheduleApply",
         "{\"file\":\"x\",\"document\":\"mesh: m\\ntopology: full\\nmembers: [\\\"@g\\\", t]\\ntargets: { t: "
         "192.0.2.9 }\\n"
         "groups: { g: { select: \\\"*\\\", allow_empty: true } }\\nclasses: { x: {} }\\n\"}");
    follow_other(f, &w->a, false);
    j.row = (struct store_agent){ .name = "a",
                                  .approved = true,
                                  .approved_ns = 1,
                                  .public_key = { 1 },
                                  .enrolment =
                                      (char[]){ "{\"addresses\":[\"192.0.2.1\"],\"reflector_port\":862}" } };
    assert_int_equal(writer_submit(f->c->writer, &j.j.job), TW_OK);
    WAIT(j.j.done);
    follow_changed(f->c, (const char *const[]){ "agent/1" }, 1);
    WAIT(follow_is_even(f->c));
    assert_non_null(inventory_agent(&f->c->inv, "a"));
    assert_int_equal(f->c->inv.generation, 1);
    WAIT(f->c->inv.generation == 2); /* 10 s */
    assert_int_equal(inventory_agent(&f->c->inv, "a")->pairs, 1);
    world_end(w);
    free(w);
}

/* ---- Alerts ---- */

struct alert_job {
    struct copy_job j; /* first */
    struct store_alert row;
};

static enum tw_rc run_alert(struct writer_job *j, struct store *s, struct tw_err *err)
{
    return store_put_alert(s, &((struct alert_job *)j)->row, err);
}

/* As if it had judged it. */
static void put_alert(struct fixture *f, const struct alert *a)
{
    struct alert_job j = { .j.job = { .run = run_alert, .done = copy_done, .urgent = true } };
    char *body = alert_row_write(a);

    j.row = (struct store_alert){ a->id, a->state != ALERT_RESOLVED, tw_wall_now().ns, body };
    assert_int_equal(writer_submit(f->c->writer, &j.j.job), TW_OK);
    WAIT(j.j.done);
    free(body);
}

static const struct alert *alert_at(struct fixture *f, uint64_t id)
{
    return alert_engine_find(alerts_engine(f->c->alerts), id);
}

static void alerts_are_judged_by_one(void **state)
{
    struct world *w = two();
    struct fixture *f = &w->b;
    struct alert a;
    char rq[128];
    struct fake *fake;

    (void)state;
    memset(&a, 0, sizeof a);
    a.id = 1000;
    a.key = (struct alert_key){ .kind = ALERT_AGENT, .slot = ALERT_NO_DATA * 4 };
    snprintf(a.key.subject, sizeof a.key.subject, "a");
    snprintf(a.rule, sizeof a.rule, "down");
    a.state = ALERT_FIRING;
    a.pending_ns = a.fired_ns = tw_wall_now().ns;
    assert_int_equal(alert_engine_restore(alerts_engine(w->a.c->alerts), &a), TW_OK); /* A's */
    put_alert(&w->a, &a);

    /* B shows it, and does nothing about it. */
    follow_other(f, &w->a, false);
    assert_non_null(alert_at(f, 1000));
    assert_true(alert_at(f, 1000)->elsewhere);

    /* Acknowledged at B: A knows, and what A says of it later does not take that back. */
    snprintf(rq, sizeof rq, "{\"id\":1000,\"author\":\"eve\",\"reason\":\"known\"}");
    must(f, "AlertAck", rq);
    alert_flush(f);
    follow_other(&w->a, f, false);
    assert_int_equal(alert_at(&w->a, 1000)->acked_ns, alert_at(f, 1000)->acked_ns);
    assert_string_equal(alert_at(&w->a, 1000)->ack_author, "eve");
    assert_false(alert_at(&w->a, 1000)->elsewhere);

    /* It is over at A. */
    a.id = 1001;
    a.key.slot++;
    put_alert(&w->a, &a);
    follow_other(f, &w->a, false);
    assert_non_null(alert_at(f, 1001));
    a.state = ALERT_RESOLVED;
    put_alert(&w->a, &a);
    follow_other(f, &w->a, false);
    assert_int_equal(alert_at(f, 1001)->state, ALERT_RESOLVED);
    assert_false(alert_at(f, 1001)->elsewhere);

    /* The agent comes to B: so does the alert. */
    fake = new_fake(f, "a", "a", "192.0.2.1");
    connect_fake(fake);
    WAIT(fake->n_enrolled);
    assert_false(alert_at(f, 1000)->elsewhere);
    stop_fake(fake);
    WAIT(!inventory_agent(&f->c->inv, "a")->peer);
    assert_true(inventory_agent(&f->c->inv, "a")->ours); /* nobody else has it */
    follow_changed(f->c, (const char *const[]){ "absence/a" }, 1);
    WAIT(follow_is_even(f->c));
    assert_false(inventory_agent(&f->c->inv, "a")->ours);
    assert_true(alert_at(f, 1000)->elsewhere);
    world_end(w);
    free(w);
}

/* ---- Notices of alerts ---- */

struct notice_job {
    struct copy_job j; /* first */
    uint64_t id;
    const char *maker; /* NULL: it is taken away */
};

static enum tw_rc run_notice(struct writer_job *job, struct store *s, struct tw_err *err)
{
    const struct notice_job *j = (struct notice_job *)job;
    char body[128];

    if (!j->maker)
        return store_remove_alert_notice(s, j->id, err);
    snprintf(body, sizeof body, "{\"notification_id\":\"9-1\",\"controller\":\"%s\"}", j->maker);
    return store_put_alert_notice(s, &(struct store_alert_notice){ j->id, 1, "r", "9-1", body }, err);
}

static void put_notice(struct fixture *f, uint64_t id, const char *maker)
{
    struct notice_job j = { { .job = { .run = run_notice, .done = copy_done, .urgent = true } }, id, maker };

    assert_int_equal(writer_submit(f->c->writer, &j.j.job), TW_OK);
    WAIT(j.j.done);
    assert_int_equal(j.j.job.rc, TW_OK);
}

static unsigned queued(struct fixture *f)
{
    struct notify_state s = { 0 };

    assert_int_equal(notify_states(alerts_notify(f->c->alerts), &s, 1), 1);
    return s.queued;
}

struct adopted {
    struct fixture *f;
    struct alerts_adopt *adopt;
    struct loop_timer timer;
    unsigned n;
    uint64_t id;
};

static void adopt(void *ctx, const char *receiver, struct notice *n)
{
    struct adopted *a = ctx;

    a->n++;
    a->id = n->id;
    assert_string_equal(n->key, "9-1");
    notify_submit(alerts_notify(a->f->c->alerts), receiver, n);
}

static void look_again(struct loop_timer *t)
{
    struct adopted *a = t->ctx;
    int64_t now_ns = tw_mono_now().ns;

    alerts_adopt_look(a->adopt, now_ns);
    assert_int_equal(loop_timer_set(a->f->loop, t, (struct tw_mono){ now_ns + 10 * TW_NS_PER_MS }), TW_OK);
}

static void notices_of_who_is_gone(void **state)
{
    struct world *w = two();
    struct fixture *f = &w->b;
    struct adopted a = { .f = f, .timer = { .fn = look_again, .ctx = &a } };

    (void)state;
    must(&w->a, "AlertApply",
         "{\"file\":\"x\",\"author\":\"eve\",\"document\":\"rules:\\n  l: { metric: loss, warning: { raise: 9% } }\\n"
         "receivers:\\n  r: { webhook: \\\"http://127.0.0.1:1/\\\" }\\nroutes:\\n  - { receiver: r }\\n\"}");
    put_notice(&w->a, 77, "gone");
    put_notice(&w->a, 78, "test"); /* who has our name is us */
    follow_other(f, &w->a, false);
    assert_int_equal(queued(f), 0); /* who made one sends it */

    assert_int_equal(alerts_adopt_new(f->c, 50 * TW_NS_PER_MS, adopt, &a, &a.adopt), TW_OK);
    look_again(&a.timer);
    WAIT(a.n); /* nobody is there, by what is known here */
    assert_int_equal(a.id, 77);
    assert_int_equal(queued(f), 1);
    put_notice(&w->a, 79, "gone");
    follow_other(f, &w->a, false);
    WAIT(a.id == 79);
    assert_int_equal(a.n, 2); /* each once */
    assert_int_equal(queued(f), 2);

    put_notice(&w->a, 77, NULL); /* who made it was back, and brought it */
    put_notice(&w->a, 78, NULL);
    follow_other(f, &w->a, false);
    WAIT(queued(f) == 1);
    loop_timer_cancel(f->loop, &a.timer);
    alert_flush(f); /* a look that is with the writer is over */
    alerts_adopt_free(a.adopt);

    put_notice(f, 80, "test");
    end(f);
    start(f);
    assert_int_equal(queued(f), 1); /* 80, and 79 is another's */
    f->shared = false;
    end(f);
    start_controller(f);
    start_operator(f);
    assert_int_equal(queued(f), 2);
    world_end(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_has_a_row),
        cmocka_unit_test(connected_agents_are_told),
        cmocka_unit_test(a_token_that_is_gone_ends_connections),
        cmocka_unit_test(alerts_are_judged_by_one),
        cmocka_unit_test(notices_of_who_is_gone),
        cmocka_unit_test(what_nobody_finishes_is_finished),
        cmocka_unit_test(follows_as_if_loaded),
        cmocka_unit_test(follows_an_older_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
