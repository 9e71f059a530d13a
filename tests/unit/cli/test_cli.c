/* twampctl as its users meet it: what every command prints in every format, exit codes, and one line for what
 * went wrong. TW_UPDATE_GOLDEN=1 in the environment writes the golden copies anew. */
#include <yaml.h>
#include "tests/unit/cli/fake_admin.h"

#define GOLDEN TW_SOURCE_DIR "/tests/golden/cli/"
#define GOOD "mesh: voice\ntopology: full\n"
#define BAD "mesh: voice\nclasses:\n\tvoice: { dscp: EFF }\n"

static struct run r;

/* ---- Golden copies ---- */

static const struct {
    const char *name, *words, *input;
} golden_cases[] = {
    { "help", "--help", NULL },
    { "help-apply", "schedule apply --help", NULL },
    { "help-agent", "help agent", NULL },
    { "agent-list", "agent list", NULL },
    { "agent-list-json", "agent list -o json", NULL },
    { "agent-list-csv", "-o csv agent list", NULL },
    { "agent-list-yaml", "agent list -o yaml", NULL },
    { "agent-list-wide", "agent list -o wide", NULL },
    { "agent-label", "agent label ams site=ams role- tier=", NULL },
    { "agent-label-csv", "agent label -l site=ams role=edge -o csv", NULL },
    { "agent-drain", "agent drain -l site=ams,role!=edge --reason disks", NULL },
    { "agent-drain-json", "agent drain ams -o json", NULL },
    { "agent-undrain", "agent undrain fra", NULL },
    { "agent-maintenance", "agent maintenance ams --to +2h", NULL },
    { "agent-revoke", "agent revoke ams --yes", NULL },
    { "agent-rename", "agent rename ams ams-1", NULL },
    { "agent-rename-unknown", "agent rename xyz ams-1", NULL },
    { "agent-show", "agent show ams", NULL },
    { "agent-show-csv", "agent show ams -o csv", NULL },
    { "agent-unknown", "agent show nope", NULL },
    { "report", "report", NULL },
    { "report-json", "report --output=json", NULL },
    { "report-csv", "report -ocsv", NULL },
    { "report-wide", "report -o wide", NULL },
    { "report-flows", "report --flows", NULL },
    { "report-flows-csv", "report --flows -o csv", NULL },
    { "report-by", "report --by label:site", NULL },
    { "report-by-json", "report --by label:site -o json", NULL },
    { "report-by-csv", "report --by label:site -o csv", NULL },
    { "report-top", "report top --sort availability_ratio -n 3", NULL },
    { "report-compare", "report compare --from -1h --back 30m", NULL },
    { "report-compare-by", "report compare --by label:site", NULL },
    { "report-compare-json", "report compare -o json", NULL },
    { "report-compare-csv", "report compare -o csv", NULL },
    { "report-sla", "report sla --availability 99.9% --p99 50ms", NULL },
    { "report-sla-json", "report sla --availability 99.9% -o json", NULL },
    { "report-sla-csv", "report sla --availability 99.9% -o csv", NULL },
    { "results", "results", NULL },
    { "results-wide", "results -o wide", NULL },
    { "results-json", "results -o json", NULL },
    { "results-csv", "results -o csv", NULL },
    { "plan", "schedule apply --plan -f -", GOOD },
    { "plan-json", "schedule apply --plan -f - -o json", GOOD },
    { "plan-csv", "schedule apply --plan -f - -o csv", GOOD },
    { "apply", "schedule apply -f -", GOOD },
    { "apply-json", "schedule apply -f - -o json", GOOD },
    { "apply-refused", "schedule apply -f -", BAD },
    { "plan-pairs", "schedule plan --pairs -f -", "mesh: many\n" },
    { "plan-refused", "schedule plan -f -", "mesh: dear\n" },
    { "plan-refused-json", "schedule plan -f - -o json", "mesh: dear\n" },
    { "apply-over-budget", "schedule apply -f -", "mesh: dear\n" },
    { "apply-unchanged", "schedule apply -f -", "mesh: again\n" },
    { "history", "schedule history", NULL },
    { "history-json", "schedule history -o json", NULL },
    { "history-csv", "schedule history -o csv", NULL },
    { "history-one", "schedule history 5", NULL },
    { "history-old", "schedule history 1", NULL },
    { "history-fleet", "schedule history 3", NULL },
    { "history-unknown", "schedule history 77", NULL },
    { "history-wrong", "schedule history x", NULL },
    { "rollback", "schedule rollback 4 --reason why", NULL },
    { "rollback-plan", "schedule rollback 4 --plan", NULL },
    { "rollout", "schedule rollout -l site=ams", NULL },
    { "rollout-json", "schedule rollout -o json", NULL },
    { "rollout-csv", "schedule rollout -o csv", NULL },
    { "export", "schedule export", NULL },
    { "export-one", "schedule export voice", NULL },
    { "export-json", "schedule export -o json", NULL },
    { "export-unknown", "schedule export nope", NULL },
    { "help-schedule", "help schedule", NULL },
    { "test", "test ams fra", NULL },
    { "test-json", "test ams fra -o json", NULL },
    { "test-refused", "test ams fra --spacing 1us", NULL },
    { "test-unknown", "test nope fra", NULL },
    { "test-args", "test ams", NULL },
    { "test-help", "test --help", NULL },
    { "alert-list", "alert list", NULL },
    { "alert-list-wide", "alert list -o wide", NULL },
    { "alert-list-json", "alert list --roots -o json", NULL },
    { "alert-list-csv", "alert list -o csv", NULL },
    { "alert-show", "alert show 1795749440", NULL },
    { "alert-show-json", "alert show 1795749440 -o json", NULL },
    { "alert-rules", "alert rules", NULL },
    { "alert-explain", "alert explain ams fra -o wide", NULL },
    { "alert-receivers", "alert receivers", NULL },
    { "alert-silences", "alert silences", NULL },
    { "alert-history", "alert history", NULL },
    { "access-create", "access token create --role operator --name ann --ttl 90d", NULL },
    { "access-create-json", "access token create --role viewer --name prometheus -o json", NULL },
    { "access-list", "access token list", NULL },
    { "access-list-csv", "access token list -o csv", NULL },
    { "access-revoke", "access token revoke prometheus", NULL },
    { "help-access", "help access token", NULL },
    { "debug-threads", "debug threads", NULL },
    { "debug-threads-wide", "debug threads -o wide", NULL },
    { "debug-threads-json", "debug threads -o json", NULL },
    { "debug-threads-csv", "debug threads -o csv", NULL },
    { "debug-threads-agent", "debug threads --agent ams", NULL },
    { "audit", "audit", NULL },
    { "audit-wide", "audit -o wide", NULL },
    { "audit-csv", "audit -o csv", NULL },
    { "audit-one", "audit 18", NULL },
    { "alert-export", "alert export", NULL },
    { "test-list", "test list", NULL },
    { "test-list-csv", "test list -o csv", NULL },
    { "schedule-list", "schedule list", NULL },
    { "schedule-list-json", "schedule list -o json", NULL },
    { "schedule-list-csv", "schedule list -o csv", NULL },
    { "schedule-show-yaml", "schedule show voice -o yaml", NULL },
    { "schedule-show", "schedule show voice", NULL },
    { "db-backup", "db backup", NULL },
    { "db-backup-csv", "db backup -o csv", NULL },
    { "db-backup-json", "db backup -o json", NULL },
    { "completeness", "completeness", NULL },
    { "completeness-wide", "completeness --incomplete -o wide", NULL },
    { "completeness-json", "completeness -o json", NULL },
    { "completeness-csv", "completeness -o csv", NULL },
    { "outages", "outages", NULL },
    { "outages-wide", "outages -o wide", NULL },
    { "outages-json", "outages -o json", NULL },
    { "outages-csv", "outages -o csv", NULL },
    { "clock", "clock", NULL },
    { "clock-wide", "clock -o wide", NULL },
    { "clock-json", "clock -o json", NULL },
    { "clock-csv", "clock -o csv", NULL },
    { "help-flight", "help flight", NULL },
    { "flight", "flight ams:fra --at 2026-11-23T12:00:00Z", NULL },
    { "flight-json", "flight ams:fra -o json", NULL },
    { "flight-csv", "-o csv flight ams:fra", NULL },
    { "flight-none", "flight ams:none", NULL },
    { "flight-list", "flight list", NULL },
    { "flight-list-json", "flight list -o json", NULL },
    { "flight-list-csv", "flight list -o csv", NULL },
    { "flight-freeze", "flight freeze ams:fra --reason x", NULL },
    { "help-doctor", "help doctor", NULL },
    { "doctor", "doctor", NULL },
    { "doctor-healthy", "doctor lon", NULL },
    { "doctor-json", "doctor -o json", NULL },
    { "doctor-csv", "doctor -o csv", NULL },
    { "token-create", "token create --uses 50 --ttl 8h --name ams-* --label site=ams", NULL },
    { "token-create-json", "token create --approve -o json", NULL },
    { "token-list", "token list --all", NULL },
    { "token-list-csv", "token list -o csv", NULL },
    { "token-revoke", "token revoke 5d41402abc4b2a76", NULL },
    { "token-revoke-unknown", "token revoke x", NULL },
    { "status", "status", NULL },
    { "status-json", "status -o json", NULL },
    { "status-csv", "status -o csv", NULL },
    { "version", "version", NULL },
    { "version-json", "version -o json", NULL },
    { "version-away", "version -c ipc:///nowhere/ctl.sock", NULL },
    { "context-show", "context show", NULL },
    { "help-context", "help context", NULL },
    { "watch", "watch --count 2 --interval 100ms", NULL },
    { "watch-yaml", "watch --count 2 --interval 100ms -o yaml", NULL },
    { "watch-csv", "watch --once -o csv", NULL },
};

static void read_golden(const char *path, char *buf, size_t cap)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(buf, 1, cap - 1, f) : 0;

    buf[n] = '\0';
    if (f)
        fclose(f);
}

static void write_golden(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    if (!f)
        fail_msg("cannot write %s", path);
    fputs(text, f);
    fclose(f);
}

static void expect_same(const char *name, const char *got, const char *want)
{
    size_t line = 1, at = 0, start = 0;

    while (got[at] && got[at] == want[at])
        if (got[at++] == '\n') {
            line++;
            start = at;
        }
    if (got[at] != want[at])
        fail_msg("%s, line %zu:\n  got      %.*s\n  expected %.*s", name, line,
                 (int)strcspn(got + start, "\n"), got + start, (int)strcspn(want + start, "\n"),
                 want + start);
}

static void check_golden(struct fake *f, const char *name, const char *words, const char *input)
{
    static char got[MAX_OUT + 32768], want[MAX_OUT + 32768];
    char path[256];

    f->list_calls = 0;
    run_ctl(f, words, input, &r);
    snprintf(got, sizeof got, "$ twampctl %s\n%s%s%s$ echo $?\n%d\n", words, r.out,
             r.err[0] ? "---- standard error\n" : "", r.err, r.code);
    snprintf(path, sizeof path, GOLDEN "%s.txt", name);
    if (getenv("TW_UPDATE_GOLDEN"))
        write_golden(path, got);
    read_golden(path, want, sizeof want);
    expect_same(name, got, want);
}

static void golden(void **state)
{
    for (size_t i = 0; i < TW_NELEM(golden_cases); i++)
        check_golden(*state, golden_cases[i].name, golden_cases[i].words, golden_cases[i].input);
}

/* Of a controller that shares its control state with others. */
static void golden_shared(void **state)
{
    struct fake *f = *state;

    f->shared = true;
    check_golden(f, "status-shared", "status", NULL);
    check_golden(f, "status-shared-wide", "status -o wide", NULL);
    check_golden(f, "status-shared-json", "status -o json", NULL);
    f->shared = false;
}

/* ---- YAML has what JSON has ---- */

static cJSON *from_yaml(yaml_document_t *d, const yaml_node_t *n)
{
    const char *text = (const char *)n->data.scalar.value;
    cJSON *ret;

    if (n->type == YAML_MAPPING_NODE) {
        ret = cJSON_CreateObject();
        for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
            cJSON_AddItemToObject(ret, (const char *)yaml_document_get_node(d, p->key)->data.scalar.value,
                                  from_yaml(d, yaml_document_get_node(d, p->value)));
        return ret;
    }
    if (n->type == YAML_SEQUENCE_NODE) {
        ret = cJSON_CreateArray();
        for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++)
            cJSON_AddItemToArray(ret, from_yaml(d, yaml_document_get_node(d, *i)));
        return ret;
    }
    /* What stands there plainly is what it reads as: by the core schema of YAML 1.2, which JSON is part of. */
    ret = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? cJSON_ParseWithOpts(text, NULL, true) : NULL;
    return ret ? ret : cJSON_CreateString(text);
}

/* The output as YAML; NULL: it is none. */
static cJSON *read_yaml(const char *text)
{
    yaml_parser_t parser;
    yaml_document_t d;
    cJSON *ret = NULL;

    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &d)) {
        ret = from_yaml(&d, yaml_document_get_root_node(&d));
        yaml_document_delete(&d);
    }
    yaml_parser_delete(&parser);
    return ret;
}

/* ---- Every list in every form ---- */

/* A row for each command that lists something: the key of its list in JSON, and the first title of its table (NULL: facts, or
 * text of its own). */
static const struct list_case {
    const char *words, *key, *title;
} lists[] = {
    { "agent list", "agents", "NAME" },
    { "agent show ams", "agents", NULL },
    { "schedule list", "meshes", "MESH" },
    { "schedule show voice", "meshes", NULL },
    { "schedule history", "generations", "GENERATION" },
    { "schedule history 5", "generations", NULL },
    { "schedule rollout", "rollout", "AGENT" },
    { "test list", "tests", "TEST" },
    { "test show 1795749438", "runs", NULL },
    { "results", "summaries", "START" },
    { "report", "pairs", "MESH/CLASS" },
    { "report --flows", "pairs", "MESH/CLASS" },
    { "outages", "outages", NULL },
    { "completeness", "hours", "HOUR" },
    { "clock", "agents", "AGENT" },
    { "status", "counters", "COUNTER" },
    { "token list", "tokens", "TOKEN" },
    { "watch --once", "pairs", "MESH/CLASS" },
    { "doctor", "findings", NULL },
    { "flight list", "frozen", "AT" },
    { "flight ams:fra", "probes", "SENT AT" },
    { "version", "versions", NULL },
    { "alert list", "alerts", NULL },
    { "alert show 1795749440", "alerts", NULL },
    { "alert rules", "rules", NULL },
    { "alert explain ams fra", "rules", NULL },
    { "alert receivers", "receivers", NULL },
    { "alert silences", "silences", NULL },
    { "alert history", "documents", NULL },
    { "access token list", "tokens", "ID" },
    { "debug threads", "threads", NULL },
    { "audit", "entries", "ID" },
    { "audit 18", "entries", NULL },
    { "report top --sort loss_ratio", "pairs", NULL },
    { "report compare", "pairs", NULL },
    { "report sla --availability 99.9%", "objectives", NULL },
};

static void run_as(struct fake *f, const char *words, const char *format)
{
    char copy[256];

    snprintf(copy, sizeof copy, "%s -o %s", words, format);
    run_ctl(f, copy, NULL, &r);
}

/* What reads, and is not here, would go untested. */
static void every_list_is_tested(void **state)
{
    (void)state;
    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++) {
        char words[64];
        size_t i = 0, len = strlen(cli_command_words(cmd, words));

        while (i < TW_NELEM(lists) && (strncmp(lists[i].words, words, len) != 0 || (lists[i].words[len] && lists[i].words[len] != ' ')))
            i++;
        if (cmd->reads && i == TW_NELEM(lists) && strcmp(cmd->name, "export") != 0) /* documents, not a list */
            fail_msg("twampctl %s reads, but has no row in lists[]", words);
    }
}

/* One record; at is moved behind it. */
static size_t csv_fields(const char **at)
{
    size_t n = 1;
    bool quoted = false;

    for (; **at && (quoted || **at != '\n'); (*at)++) {
        quoted ^= **at == '"';
        n += !quoted && **at == ',';
    }
    *at += **at == '\n';
    return n;
}

static void check_csv(const char *words, const char *csv, const cJSON *item)
{
    char header[8192], *save = NULL, *name;
    const char *at = csv;
    size_t columns = csv_fields(&at);
    const cJSON *next = item ? item->child : NULL;

    snprintf(header, sizeof header, "%.*s", (int)strcspn(csv, "\n"), csv);
    for (name = strtok_r(header, ",", &save); item && name; name = strtok_r(NULL, ",", &save)) {
        while (next && strcmp(next->string, name) != 0)
            next = next->next; /* trees are for JSON only */
        if (!next)
            fail_msg("%s: CSV has the column %s, JSON has no such member, or in another order", words, name);
        next = next->next;
    }
    while (*at) {
        const char *line = at;
        size_t n = csv_fields(&at);

        if (n != columns)
            fail_msg("%s: %zu columns, but %zu in: %.*s", words, columns, n, (int)(at - line), line);
    }
}

/* Of the line that begins with it, but for blanks; 0: there is none. */
static size_t count_titles(const char *text, const char *first)
{
    const char *line = text;
    size_t n = 0;

    while (line && strncmp(line + strspn(line, " "), first, strlen(first)) != 0) {
        line = strchr(line, '\n');
        line += line ? 1 : 0;
        if (line && !*line)
            line = NULL;
    }
    for (bool blank = true; line && *line && *line != '\n'; line++) {
        n += *line != ' ' && blank;
        blank = *line == ' ' && (line[1] == ' ' || blank);
    }
    return n;
}

static void check_tables(struct fake *f, const struct list_case *c, int code)
{
    size_t narrow, wide;

    run_as(f, c->words, "table");
    narrow = c->title ? count_titles(r.out, c->title) : r.out[0] != 0;
    if (r.code != code || !narrow)
        fail_msg("%s -o table: exit code %d, not %d, or no \"%s\": %s", c->words, r.code, code, c->title, r.out);
    run_as(f, c->words, "wide");
    wide = c->title ? count_titles(r.out, c->title) : r.out[0] != 0;
    if (r.code != code || wide < narrow)
        fail_msg("%s -o wide: exit code %d, %zu columns, less than %zu: %s", c->words, r.code, wide, narrow, r.out);
}

static void lists_have_every_form(void **state)
{
    struct fake *f = *state;

    for (size_t i = 0; i < TW_NELEM(lists); i++) {
        const struct list_case *c = &lists[i];
        cJSON *json, *yaml, *list;
        int code;

        run_as(f, c->words, "json");
        code = r.code;
        json = cJSON_ParseWithOpts(r.out, NULL, true);
        list = cJSON_GetObjectItemCaseSensitive(json, c->key);
        if (!cJSON_IsArray(list) || !cJSON_GetArraySize(list))
            fail_msg("%s -o json: no JSON, or no list \"%s\": %s%s", c->words, c->key, r.out, r.err);
        run_as(f, c->words, "yaml");
        yaml = read_yaml(r.out);
        if (r.code != code || !cJSON_Compare(json, yaml, true))
            fail_msg("%s -o yaml: not what JSON has:\n%s", c->words, r.out);
        run_as(f, c->words, "csv");
        if (r.code != code)
            fail_msg("%s -o csv: exit code %d, not %d", c->words, r.code, code);
        check_csv(c->words, r.out, list->child);
        check_tables(f, c, code);
        cJSON_Delete(json);
        cJSON_Delete(yaml);
    }
}

/* Lines of a file of the folder. */
static size_t lines_in(struct fake *f, const char *name)
{
    static char text[MAX_OUT];
    size_t n = 0;

    read_out(f, name, text, sizeof text);
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        n++;
    return n;
}

/* A document a line, until somebody ends it. */
static int watch_twice(struct fake *f, const char *words)
{
    char copy[256], *argv[MAX_ARGS] = { (char *)"twampctl", (char *)"--child" }, *save = NULL;
    bool ended = false;
    struct loop_watch w = { .fn = child_ended, .ctx = &ended };
    struct tw_mono end = { tw_mono_now().ns + PATIENCE_NS };
    int argc = 2, status;
    pid_t pid;

    snprintf(copy, sizeof copy, "%s --watch=100ms -o json", words);
    for (char *word = strtok_r(copy, " ", &save); word && argc < MAX_ARGS - 1; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    write_in(f, "in", "");
    write_in(f, "out", "");
    fflush(NULL);
    pid = fork();
    if (!pid)
        become_child(f, argv);
    w.fd = pidfd_open(pid, 0);
    assert_int_equal(loop_watch(f->loop, &w, EPOLLIN), TW_OK);
    while (!ended && tw_mono_now().ns < end.ns) {
        loop_run_until(f->loop, &ended, (struct tw_mono){ tw_mono_now().ns + 20 * TW_NS_PER_MS });
        if (!ended && lines_in(f, "out") >= 2)
            kill(pid, SIGINT);
    }
    if (!ended)
        kill(pid, SIGKILL);
    loop_unwatch(f->loop, &w);
    close(w.fd);
    waitpid(pid, &status, 0);
    read_out(f, "out", r.out, sizeof r.out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void what_reads_can_be_watched(void **state)
{
    struct fake *f = *state;

    for (size_t i = 0; i < TW_NELEM(lists); i++) {
        const struct cli_command *cmd = cli_commands;
        char words[64];
        cJSON *json;
        int code;

        while (cmd->name && strncmp(cli_command_words(cmd, words), lists[i].words, strlen(words)) != 0)
            cmd++;
        if (!cmd->name || !cmd->reads || strchr(lists[i].words, '-'))
            continue;
        code = watch_twice(f, lists[i].words);
        json = cJSON_ParseWithOpts(strchr(r.out, '\n') ? strchr(r.out, '\n') + 1 : "", NULL, false);
        if (code || !cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(json, lists[i].key)))
            fail_msg("%s --watch: exit code %d, or no second answer in a line of its own: %.2000s", lists[i].words, code, r.out);
        cJSON_Delete(json);
    }
}

/* Lists of what there is none of: names of columns, an empty list, and a sentence for people. */
static void empty_lists_have_every_form(void **state)
{
    static const char *const can_be_empty[] = { "agent list", "schedule list", "schedule history", "schedule rollout", "results",
                                                "report", "flight list", "watch --once", "outages" };
    struct fake *f = *state;

    f->empty = true;
    for (size_t i = 0; i < TW_NELEM(can_be_empty); i++) {
        const struct list_case *c = lists;
        cJSON *json, *list;

        while (strcmp(c->words, can_be_empty[i]) != 0)
            c++;
        run_as(f, c->words, "json");
        json = cJSON_ParseWithOpts(r.out, NULL, true);
        list = cJSON_GetObjectItemCaseSensitive(json, c->key);
        if (r.code || !cJSON_IsArray(list) || cJSON_GetArraySize(list))
            fail_msg("%s -o json: exit code %d: %s%s", c->words, r.code, r.out, r.err);
        cJSON_Delete(json);
        run_as(f, c->words, "csv");
        if (r.code || strchr(r.out, '\n') != r.out + strlen(r.out) - 1)
            fail_msg("%s -o csv: exit code %d, or not a heading alone: %s", c->words, r.code, r.out);
        run_as(f, c->words, "table");
        if (r.code || !r.out[0])
            fail_msg("%s: exit code %d, and nothing is said: %s", c->words, r.code, r.err);
    }
    f->empty = false;
}

/* A name that nobody has is not merely an empty list; the answer for programs stays as it is. */
static void an_empty_answer_says_why(void **state)
{
    static const struct {
        const char *words, *says;
    } rows[] = {
        { "report --source amz", "twampctl: there is no agent \"amz\"; did you mean \"ams\"?: twampctl agent list shows them" },
        { "watch --once --source amz", "there is no agent \"amz\"; did you mean \"ams\"?" },
        { "report --source far-away-from-all", "there is no agent \"far-away-from-all\": twampctl" },
        { "report --source ams", NULL },
        { "report --source amz -o json", NULL },
        { "report --source amz -o csv", NULL },
    };

    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        run_ctl(*state, rows[i].words, GOOD, &r);
        if (r.code || (rows[i].says ? !strstr(r.err, rows[i].says) : r.err[0] != '\0'))
            fail_msg("%s: exit code %d, says \"%s\"", rows[i].words, r.code, r.err);
    }
}

/* Nobody shall sleep well because nothing is looked at. */
static void no_alert_without_rules_says_so(void **state)
{
    struct fake *f = *state;

    run_ctl(f, "alert list --state resolved", GOOD, &r);
    assert_non_null(strstr(r.out, "No alert. \"twampctl alert rules\""));
    f->empty = true;
    run_ctl(f, "alert list", GOOD, &r);
    assert_int_equal(r.code, 0);
    assert_non_null(
        strstr(r.out, "No alert, because nothing is looked at: no alert document was applied yet"));
    run_ctl(f, "alert list -o csv", GOOD, &r);
    assert_null(strstr(r.out, "No alert"));
    f->empty = false;
}

static void several_agents_are_approved_at_once(void **state)
{
    const char *second;

    run_ctl(*state, "agent approve ams ams", GOOD, &r);
    assert_int_equal(r.code, CLI_OK);
    second = strstr(r.out, "Approved ");
    assert_non_null(second);
    assert_non_null(strstr(second + 1, "Approved "));
    run_ctl(*state, "agent approve ams ams --fingerprint 00", GOOD, &r);
    assert_int_equal(r.code, CLI_USAGE);
    assert_non_null(strstr(r.err, "expected one NAME"));
}

/* For scripts: an object a line on standard error, and the answer as ever. */
static void progress_for_scripts(void **state)
{
    static const char *const words[] = { "doctor --progress json -o json", "test ams fra --progress json -o json",
                                         "schedule apply -f - -o json --progress json",
                                         "report -o json --progress json" };
    static const char *const works[] = { "doctor", "test", "rollout", "report" };
    struct fake *f = *state;

    for (size_t i = 0; i < TW_NELEM(words); i++) {
        char *save = NULL, *line;
        size_t n = 0;
        bool over = false;
        cJSON *json;

        f->truncate = !strcmp(works[i], "report"); /* source by source, then */
        run_ctl(f, words[i], GOOD, &r);
        f->truncate = false;
        json = cJSON_ParseWithOpts(r.out, NULL, true);
        if (!json)
            fail_msg("%s: no JSON: %s", words[i], r.out);
        cJSON_Delete(json);
        for (line = strtok_r(r.err, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            const cJSON *work, *done;

            if (line[0] != '{')
                continue; /* a message */
            json = cJSON_ParseWithOpts(line, NULL, true);
            work = cJSON_GetObjectItemCaseSensitive(json, "progress");
            done = cJSON_GetObjectItemCaseSensitive(json, "done");
            if (!cJSON_IsString(work) || strcmp(work->valuestring, works[i]) != 0 || !cJSON_IsNumber(done) ||
                !cJSON_GetObjectItemCaseSensitive(json, "total") || over)
                fail_msg("%s: %s", words[i], line);
            over = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "over"));
            cJSON_Delete(json);
            n++;
        }
        if (n < 2 || !over)
            fail_msg("%s: %zu lines of progress, the last one %s", words[i], n, over ? "ends it" : "does not end it");
    }
}

/* ---- The reference in docs/twampctl.md ---- */

#define REFERENCE TW_SOURCE_DIR "/docs/twampctl.md"
#define MARK "<!-- made: "
#define END_MARK "<!-- end -->\n"

/* From behind the line of the mark up to the end mark; NULL: there is none. */
static const char *marked(const char *text, const char *mark, size_t *ret_len)
{
    const char *at = strstr(text, mark), *end = at ? strstr(at, END_MARK) : NULL;

    if (!end)
        return NULL;
    at = strchr(at, '\n') + 1;
    *ret_len = (size_t)(end - at);
    return at;
}

/* docs with the part of `made` in place of its own. */
static void replace_part(char *docs, size_t cap, const char *mark, const char *made, size_t len)
{
    size_t old = 0;
    const char *at = marked(docs, mark, &old);
    char *out = malloc(cap);

    snprintf(out, cap, "%.*s%.*s%s", (int)(at - docs), docs, (int)len, made, at + old);
    memcpy(docs, out, strlen(out) + 1);
    free(out);
}

static void the_reference_is_current(void **state)
{
    static char docs[MAX_OUT];

    read_golden(REFERENCE, docs, sizeof docs);
    run_ctl(*state, "--help=markdown", NULL, &r);
    for (const char *at = r.out; (at = strstr(at, MARK)); at++) {
        char mark[64];
        size_t len = 0, n = 0;
        const char *made, *there;

        snprintf(mark, sizeof mark, "%.*s", (int)strcspn(at, "\n"), at);
        made = marked(at, mark, &len);
        there = marked(docs, mark, &n);
        if (!made || !there)
            fail_msg("docs/twampctl.md has no part \"%s\"", mark);
        if (getenv("TW_UPDATE_GOLDEN"))
            replace_part(docs, sizeof docs, mark, made, len);
        else if (len != n || memcmp(made, there, n) != 0)
            fail_msg("docs/twampctl.md, the part \"%s\" is not what the tables say: run this with TW_UPDATE_GOLDEN=1", mark);
    }
    if (getenv("TW_UPDATE_GOLDEN"))
        write_golden(REFERENCE, docs);
}

/* ---- Exit codes and messages ---- */

struct expectation {
    const char *words;
    int code;
    const char *out, *err; /* must be in it; NULL = must be empty */
    const char *input;
};

static void expect_text(const char *words, const char *what, const char *got, const char *part)
{
    if (part ? !strstr(got, part) : *got)
        fail_msg("%s: %s is\n%s\nexpected %s", words, what, got, part ? part : "nothing");
}

static void check(struct fake *f, const struct expectation *e)
{
    run_ctl(f, e->words, e->input, &r);
    if (r.code != e->code)
        fail_msg("%s: exit %d, expected %d: %s%s", e->words, r.code, e->code, r.out, r.err);
    expect_text(e->words, "output", r.out, e->out);
    expect_text(e->words, "error", r.err, e->err);
}

static void check_all(struct fake *f, const struct expectation *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(f, &e[i]);
}

/* A mesh of a million pairs takes the controller half a minute: that it goes on is shown, and who would not
 * wait for so long is told where to look. */
static void a_slow_apply_is_waited_for(void **state)
{
    static const struct expectation cases[] = {
        { "schedule apply -f - --wait 0 --progress json", 0, "Applied: generation 5",
          "\"text\":\"the controller works on it, 1 s\"", "mesh: slowly\n" },
        { "schedule apply -f - --timeout 300ms", 4, NULL,
          "it may do it all the same: twampctl schedule history", "mesh: slowly\n" },
    };

    check_all(*state, cases, TW_NELEM(cases));
}

/* What the words become, and what the controller says to it. */
static void doctor_asks(void **state)
{
    static const struct {
        const char *words, *asked;
    } cases[] = {
        { "doctor", "||||0" },
        { "doctor ams", "ams||||0" },
        { "doctor ams:fra", "ams|fra|||0" },
        { "doctor ams:router.example.net:862 --probe-all", "ams|router.example.net:862|||1" },
        { "doctor -m voice -l site=ams", "||voice|site=ams|0" },
    };
    static const struct expectation refused = { "doctor none", 1, NULL, "no agent \"none\"", NULL };
    struct fake *f = *state;

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        run_ctl(f, cases[i].words, NULL, &r);
        assert_int_equal(r.code, CLI_FAILED); /* it has found problems */
        assert_string_equal(f->doctor_asked, cases[i].asked);
    }
    check(f, &refused);
}

static void wrong_usage(void **state)
{
    static const struct expectation cases[] = {
        { "alert show x", 2, NULL, "\"x\" is no number of an alert", NULL },
        { "alert show 7", 1, NULL, "no alert 7", NULL },
        { "alert list --state resolved", 0, "No alert. ", NULL, NULL },
        { "alert list --limit 3", 0, "critical", "there are more alerts than these 3", NULL },
        { "alert ack 1 2 -r works", 0, "Acknowledged alert 2", NULL, NULL },
        { "alert ack", 2, NULL, "ID", NULL },
        { "alert silence mesh=voice --for 2h", 0, "Silence 7 made: mesh=voice, from", NULL, NULL },
        { "alert silence mesh=voice --to soon", 2, NULL, "--to: \"soon\" is no time", NULL },
        { "alert unsilence 7", 0, "Silence 7 ended", NULL, NULL },
        { "alert unsilence x", 2, NULL, "is no number of a silence", NULL },
        { "test stop 1795749438", 0,
          "Test 1795749438, ams > fra, is stopped; twampctl test show 1795749438 has", NULL, NULL },
        { "test stop fra", 2, NULL, "is no number of a test", NULL },
        { "alert apply -f -", 0, "Version 4 is in force: 2 rules, 1 receiver, 1 route", NULL, "rules: 1" },
        { "alert apply -f - --plan", 0, "The document is good: 2 rules", NULL, "rules: 1" },
        { "alert apply -f -", 5, NULL, "<stdin>:1:8: rules: expected 1 to 1000 rules, got 0", "rules: {}" },
        { "alert apply", 2, NULL, "--file", NULL },
        { "agent drain", 2, NULL, "expected the NAME of an agent, or --select", NULL },
        { "agent drain ams -l site=ams", 2, NULL, "not both", NULL },
        { "agent label ams", 2, NULL, "expected labels", NULL },
        { "agent label ams site", 2, NULL, "\"site\" is no label", NULL },
        { "agent maintenance ams", 2, NULL, "expected --to TIME", NULL },
        { "agent maintenance ams --end --to +1h", 2, NULL, "--end goes without", NULL },
        { "agent maintenance ams --to soon", 2, NULL, "--to: \"soon\" is no time", NULL },
        { "agent revoke ams", 2, NULL, "give --yes to revoke ams", NULL },
        { "agent revoke -l site=ams", 2, NULL, "give --yes to revoke site=ams", NULL },
        { "agent revoke", 2, NULL, "expected the NAME of an agent, or --select", NULL },
        { "agent revoke ams -l site=ams --yes", 2, NULL, "not both", NULL },
        { "agent rename ams", 2, NULL, "NEW", NULL },
        { "", 2, NULL, "a command is missing", NULL },
        { "agnet list", 2, NULL, "did you mean \"agent\"?", NULL },
        { "agent lst", 2, NULL, "did you mean \"agent list\"?", NULL },
        { "list", 2, NULL, "did you mean \"agent list\"?", NULL },
        { "reprot", 2, NULL, "did you mean \"report\"?", NULL },
        { "nope", 2, NULL, "there is no command \"nope\"; twampctl --help", NULL },
        { "agent lsit", 2, NULL, "did you mean \"agent list\"?", NULL },
        { "report tpo", 2, NULL, "there is no command \"report tpo\": did you mean \"report top\"?", NULL },
        { "report matrix", 2, NULL, "there is no command \"report matrix\"; twampctl help report lists all",
          NULL },
        { "agent list --otput csv", 2, NULL,
          "--otput: is not an option of twampctl agent list: did you mean \"--output\"?", NULL },
        { "report --form -1h", 2, NULL,
          "--form: is not an option of twampctl report: did you mean \"--from\"?", NULL },
        { "frobnicate", 2, NULL, "there is no command \"frobnicate\"; twampctl --help", NULL },
        { "help frobnicate", 2, NULL, "no command \"frobnicate\"", NULL },
        { "schedule remove voice", 2, NULL,
          "did you mean \"schedule delete\"?; twampctl help schedule lists all", NULL },
        { "schedule diff -f -", 2, NULL, "did you mean \"schedule plan\"?", NULL },
        { "agent ls", 2, NULL, "did you mean \"agent list\"?", NULL },
        { "context delete lab", 2, NULL, "did you mean \"context remove\"?", NULL },
        { "token rm x", 2, NULL, "did you mean \"token revoke\"?", NULL },
        { "agent forge", 2, NULL, "\"agent forge\"; twampctl help agent lists all", NULL },
        { "agent", 2, NULL, "needs one more word", NULL },
        { "completion fish", 2, NULL, "\"fish\": expected bash or zsh", NULL },
        { "agent show", 2, NULL, "expected NAME", NULL },
        { "agent show a b", 2, NULL, "unexpected argument \"b\"", NULL },
        { "status now", 2, NULL, "unexpected argument \"now\"", NULL },
        { "--mesh x report", 2, NULL, "--mesh is no option of twampctl itself", NULL },
        { "report --bogus", 2, NULL, "--bogus", NULL },
        { "report --from yesterday", 2, NULL, "\"yesterday\" is no time", NULL },
        { "report --from 5m", 2, NULL, "-15m", NULL },
        { "report --from -1m --to -2m", 2, NULL, "--from must be before --to", NULL },
        { "report --from -1m --to", 2, NULL, "needs a value", NULL },
        { "report --latest --from -1h", 2, NULL, "--latest goes without --from and --to", NULL },
        { "status -o xml", 2, NULL, "table, wide, json, yaml, csv, ndjson", NULL },
        { "status --timeout 10", 2, NULL, "with a unit", NULL },
        { "--watch=5s -c nowhere status", 2, NULL, "tcp://HOST:PORT or ipc:///PATH", NULL },
        { "-c nowhere status", 2, NULL, "tcp://HOST:PORT or ipc:///PATH", NULL },
        { "schedule apply", 2, NULL, "--file: is required", NULL },
        { "schedule apply mesh.yaml", 2, NULL, "\"mesh.yaml\": expected -f FILE", NULL },
        { "agent remove ams", 2, NULL, "give --yes", NULL },
        { "doctor a b", 2, NULL, "unexpected argument \"b\"", NULL },
        { "doctor :fra", 2, NULL, "expected AGENT or SOURCE:TARGET", NULL },
        { "doctor ams:", 2, NULL, "expected AGENT or SOURCE:TARGET", NULL },
        { "flight", 2, NULL, "expected PAIR", NULL },
        { "flight ams", 2, NULL, "\"ams\" is no pair: expected SOURCE:TARGET, or MESH/CLASS/", NULL },
        { "flight :fra", 2, NULL, "is no pair", NULL },
        { "flight ams:", 2, NULL, "is no pair", NULL },
        { "flight a/b/c/ams:fra", 2, NULL, "is no pair", NULL },
        { "flight 0", 2, NULL, "is no pair", NULL },
        { "flight 99999999999999999999", 2, NULL, "is no pair", NULL },
        { "flight ams:fra --at noon", 2, NULL, "--at: \"noon\" is no time", NULL },
        { "flight ams:fra --span 0", 2, NULL, "--span", NULL },
        { "flight ams:fra --flow x", 2, NULL, "--flow", NULL },
        { "flight list ams", 2, NULL, "unexpected argument \"ams\"", NULL },
        { "flight freeze", 2, NULL, "expected PAIR", NULL },
        { "agent approve ams --watch", 2, NULL, "\"agent approve\" is not a command that can be repeated",
          NULL },
        { "watch --watch", 2, NULL, "can be repeated: it has --interval", NULL },
        { "agent list --watch 1ms", 2, NULL, "--watch", NULL },
        { "agent list --watch ams", 2, NULL, "unexpected argument \"ams\"", NULL },
    };

    check_all(*state, cases, TW_NELEM(cases));
}

static void help_needs_no_controller(void **state)
{
    static const struct expectation cases[] = {
        { "--version", 0, "twampctl 0.", NULL, NULL },
        { "help", 0, "Commands:", NULL, NULL },
        { "completion bash", 0, "complete -F _twampmesh twampctl", NULL, NULL },
        { "--help=roff", 0, ".TH TWAMPCTL 1", NULL, NULL },
        { "help help", 0, "Commands:", NULL, NULL },
        { "help watch", 0, "--interval", NULL, NULL },
        { "-c ipc:///nowhere report --help", 0, "--latest", NULL, NULL },
        { "schedule --help", 0, "schedule apply", NULL, NULL },
        { "help schedule pause", 0, "Usage: twampctl schedule pause", NULL, NULL },
        { "flight --help", 0, "Usage: twampctl flight", NULL, NULL },
        { "help flight freeze", 0, "Usage: twampctl flight freeze", NULL, NULL },
    };

    check_all(*state, cases, TW_NELEM(cases));
}

static void failures(void **state)
{
    static const struct expectation cases[] = {
        { "-c ipc:///nowhere/ctl.sock status", 3, NULL,
          "there is no such socket: is twamp-controller running?", NULL },
        { "-c tcp://127.0.0.1:1 status", 3, NULL,
          "cannot reach the controller at tcp://127.0.0.1:1: ", NULL },
        { "--timeout 200ms agent show silent", 4, NULL, "did not answer within 200ms: --timeout", NULL },
        { "agent show nope", 1, NULL, "no agent \"nope\"", NULL },
        { "flight ams:nowhere", 1, NULL, "no pair matches ams:nowhere", NULL },
        { "flight ams:off", 1, NULL, "agent ams records nothing: it was started with --flight-probes 0",
          NULL },
        { "flight ams:new", 1, NULL, "agent ams has recorded nothing of voice/ef/ams:new yet", NULL },
        { "agent show busy", 1, NULL, "twampctl: the controller is stopping", NULL },
        { "schedule delete voice", 1, NULL, "does not know ScheduleDelete: it is older", NULL },
        { "agent approve ams --fingerprint 00", 1, NULL, "another fingerprint", NULL },
        { "schedule apply -f /nowhere/mesh.yaml", 1, NULL, "cannot read /nowhere/mesh.yaml: No such file",
          NULL },
        { "schedule apply -f -", 5, NULL, "200000 packets/s", "expensive" },
        { "schedule apply -f -", 5, NULL, "<stdin>:3:17: classes.voice.dscp: \"EFF\" is no DSCP", BAD },
    };

    check_all(*state, cases, TW_NELEM(cases));
}

static void a_list_that_is_cut_says_so(void **state)
{
    static const struct expectation cases[] = {
        { "agent list", 0, "p?[31mr", NULL, NULL }, /* page by page, to the last one */
        { "agent list -o json", 0, "\"fra\"", NULL, NULL },
        { "schedule list", 0, "voice", "there are more meshes or agents than shown", NULL },
        { "schedule list -o csv", 0, "voice", "there are more meshes or agents than shown", NULL },
        { "schedule apply -f -", 0, "Applied", "there are more agents than shown", GOOD },
    };
    struct fake *f = *state;

    f->cut_lists = true;
    check_all(f, cases, TW_NELEM(cases));
    f->old = true; /* it begins again each time */
    check(f, &(struct expectation){ "agent list", 0, "ams", "too old to tell them", NULL });
    f->old = f->cut_lists = false;
}

/* name|select|author|reason|new_name|from|to|end|labels: what each command asks for. */
static void edits_of_agents_reach_the_controller(void **state)
{
    static const struct {
        const char *words, *edit;
    } cases[] = {
        { "agent label ams site=ams role- tier= -a joe", "ams||joe|||0|0|0|site=ams|tier=|role-" },
        { "agent label -l site=ams,!role role=edge -a joe", "|site=ams,!role|joe|||0|0|0|role=edge" },
        { "agent drain ams -a joe --reason disks", "ams||joe|disks||0|0|0" },
        { "agent drain -l * -a joe", "|*|joe|||0|0|0" },
        { "agent undrain ams -a joe", "ams||joe|||0|0|0" },
        { "agent maintenance ams --from 2026-11-30T01:00:00Z --to 2026-11-30T03:00:00Z -a joe",
          "ams||joe|||1796000400000000000|1796007600000000000|0" },
        { "agent maintenance ams --to +2h -a joe", "ams||joe|||0|67385000000000|0" },
        { "agent maintenance ams --end -a joe", "ams||joe|||0|0|1" },
        { "agent revoke ams -y -a joe --reason stolen", "ams||joe|stolen||0|0|0" },
        { "agent rename ams ams-1 -a joe", "ams||joe||ams-1|0|0|0" },
    };
    struct fake *f = *state;

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        run_ctl(f, cases[i].words, NULL, &r);
        if (r.code || strcmp(f->edit, cases[i].edit) != 0)
            fail_msg("%s: exit code %d, %s, expected %s", cases[i].words, r.code, f->edit, cases[i].edit);
    }
    run_ctl(f, "agent list -l site=nowhere", NULL, &r);
    assert_string_equal(f->select, "site=nowhere");
    expect_text("agent list -l", "standard error", r.err, "no agent matches \"site=nowhere\"");
}

/* A message is one line, and names the program. */
static void errors_are_one_line(void **state)
{
    static const char *const words[] = { "-c ipc:///nowhere/ctl.sock status", "agent show nope", "agnet",
                                         "report --bogus" };

    for (size_t i = 0; i < TW_NELEM(words); i++) {
        run_ctl(*state, words[i], NULL, &r);
        if (strncmp(r.err, "twampctl: ", 10) != 0 || strchr(r.err, '\n') != r.err + strlen(r.err) - 1)
            fail_msg("%s: not one line: %s", words[i], r.err);
    }
}

/* ---- What is asked ---- */

static void filters_reach_the_controller(void **state)
{
    struct fake *f = *state;

    check(f, &(struct expectation){
                 "report -m voice --class ef -s ams --target fra --from -15m --to now --limit 9", 0, "", NULL,
                 NULL });
    assert_string_equal(f->filter_text, "voice|ef|ams|fra");
    assert_int_equal(f->filter.from_ns, NOW_NS - 15 * MINUTE_NS);
    assert_int_equal(f->filter.to_ns, NOW_NS);
    assert_int_equal(f->filter.limit, 9);
    assert_false(f->filter.latest);
    check(f, &(struct expectation){ "results --from 1970-01-01T16:40:00Z --to=60120", 0, "", NULL, NULL });
    assert_int_equal(f->filter.from_ns, 1000 * MINUTE_NS);
    assert_int_equal(f->filter.to_ns, 1002 * MINUTE_NS);
    check(f, &(struct expectation){ "report --latest", 0, "", NULL, NULL });
    assert_true(f->filter.latest);
    assert_int_equal(f->filter.from_ns, 0);
    assert_false(f->filter.flows);
    check(f, &(struct expectation){ "report --flows -o json", 0, "\"flow\":\t2", NULL, NULL });
    assert_true(f->filter.flows);
    f->no_flows = true;
    check(f, &(struct expectation){ "report --flows", 1, NULL, "too old for --flows", NULL });
    f->no_flows = false;
    check(f, &(struct expectation){ "report top --sort mos_g711 --by agent -n 3", 0, "By agent", NULL, NULL });
    assert_int_equal(f->filter.top, 3);
    check(f, &(struct expectation){ "report compare --from -1h --to now", 0, "before: ", NULL, NULL });
    assert_int_equal(f->filter.before_from_ns, NOW_NS - 120 * MINUTE_NS);
    assert_int_equal(f->filter.before_to_ns, NOW_NS - 60 * MINUTE_NS);
    check(f, &(struct expectation){ "report compare --from -1h --back 5h", 0, "", NULL, NULL });
    assert_int_equal(f->filter.before_to_ns, NOW_NS - 300 * MINUTE_NS);
    check(f, &(struct expectation){ "report compare --before-from -2h", 2, NULL, "both are needed", NULL });
    check(f, &(struct expectation){ "report sla --availability 99.9% --loss 1% --p95 \"x", 0, "", NULL, NULL });
    assert_string_equal(f->objectives, "{availability: \"99.9%\", loss: \"1%\", p95: \"\\\"x\"}");
    check(f, &(struct expectation){ "report sla", 2, NULL, "no objectives", NULL });
    check(f, &(struct expectation){ "report sla --loss 1% -f x", 2, NULL, "goes without", NULL });
    check(f, &(struct expectation){ "report sla -f /nonexistent", 2, NULL, "cannot read /nonexistent", NULL });
    f->no_flows = true;
    check(f, &(struct expectation){ "report --by agent", 1, NULL, "too old for that", NULL });
    check(f, &(struct expectation){ "report compare", 1, NULL, "too old for that", NULL });
    f->no_flows = false;
    check(f, &(struct expectation){ "results --limit 2", 0, "", "more than these 2 summaries", NULL });
    check(f, &(struct expectation){ "outages -s ams --min-duration 200ms --min-probes 3 --direction forward", 0, "", NULL,
                                    NULL });
    assert_string_equal(f->filter_text, "||ams|");
    assert_int_equal(f->filter.min_duration_ns, 200 * TW_NS_PER_MS);
    assert_int_equal(f->filter.min_probes, 3);
    assert_string_equal(f->direction, "forward");
    check(f, &(struct expectation){ "outages --direction roundtrip", 2, NULL,
                                    "expected forward, backward, mixed or unknown", NULL });
    f->truncate = true;
    check(f, &(struct expectation){ "outages", 0, "", "go on with --to 1970-01-01T15:00:00.001Z", NULL });
    f->truncate = false;
    f->empty = true;
    check(f, &(struct expectation){ "outages", 0, "No outage in", NULL, NULL });
    check(f, &(struct expectation){ "outages -o csv", 0, "mesh,class,source", NULL, NULL });
    f->empty = false;
}

static void documents_reach_the_controller(void **state)
{
    struct fake *f = *state;
    char words[256], big[70000];

    write_in(f, "mesh.yaml", GOOD);
    snprintf(words, sizeof words, "schedule apply -f %s/mesh.yaml --author me --wait 0", f->dir);
    check(f, &(struct expectation){ words, 0, "Applied: generation 5", NULL, NULL });
    assert_string_equal(f->author, "me");
    assert_int_equal(f->document_len, strlen(GOOD));
    assert_false(f->plan_only || f->prune || f->force);
    snprintf(words, sizeof words, "schedule apply -f %s/mesh.yaml -f - --prune --force --reason because --wait 0", f->dir);
    check(f, &(struct expectation){ words, 0, "Applied: generation 5", NULL, GOOD });
    assert_int_equal(f->document_len, 2 * strlen(GOOD));
    assert_true(f->prune && f->force);
    assert_string_equal(f->reason, "because");
    snprintf(words, sizeof words, "schedule apply -f %s/mesh.yaml -f -", f->dir);
    check(f, &(struct expectation){ words, 5, NULL, "<stdin>:3:17: classes.voice.dscp", BAD });
    check(f, &(struct expectation){ "schedule rollback 4 -r because --wait 0", 0, "Applied", NULL, NULL });
    assert_int_equal(f->rollback_to, 4);
    memset(big, '#', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    check(f, &(struct expectation){ "schedule apply --plan -f -", 0, "8 added", NULL, big });
    assert_string_equal(f->file, "<stdin>");
    assert_int_equal(f->document_len, sizeof big - 1);
    assert_true(f->plan_only);
    check(f, &(struct expectation){ "schedule pause voice -a you", 0, "Paused voice: generation 6", NULL,
                                    NULL });
    assert_string_equal(f->author, "you");
}

static void too_large_documents_stay_here(void **state)
{
    size_t n = 1100000;
    char *big = malloc(n + 1);

    memset(big, '#', n);
    big[n] = '\0';
    check(*state, &(struct expectation){ "schedule apply -f -", 5, NULL, "larger than 1000 KiB", big });
    free(big);
}

static void raw_document(void **state)
{
    check(*state, &(struct expectation){ "schedule show voice --document", 0, "", NULL, NULL });
    assert_string_equal(r.out, "# as I wrote it\nmesh: voice\n");
}

static void apply_waits_for_connected_agents(void **state)
{
    struct fake *f = *state;

    f->list_calls = 0;
    check(f, &(struct expectation){ "schedule apply -f -", 0, "runs on 1 of 2 agents", "agent fra is down",
                                    GOOD });
    assert_int_equal(f->list_calls, 3);
    f->behind = true;
    check(f, &(struct expectation){ "schedule apply -f - --wait 300ms", 6, "Applied: generation 5",
                                    "agent ams still runs generation 4", GOOD });
    f->behind = false;
}

/* More pairs than fit into one answer are asked for source by source. */
static void large_reports_come_in_parts(void **state)
{
    struct fake *f = *state;

    f->truncate = true;
    f->report_calls = 0;
    check(f, &(struct expectation){ "report -o csv", 0, "voice,ef,fra,ams,agent_down", NULL, NULL });
    assert_non_null(strstr(r.out, "voice,ef,ams,fra,partial"));
    assert_non_null(strstr(r.out, "voice,ef,ams,zürich,all_lost"));
    /* a controller that knows no pages: one that it cannot give, all, each agent of the list, and one that was removed */
    assert_int_equal(f->report_calls, 6);
    assert_string_equal(f->filter_text, "||gone|");
    check(f, &(struct expectation){ "report -o csv --limit 1", 0, "voice,ef,ams,fra", "more pairs than shown",
                                    NULL });
    f->truncate = false;
}

/* Nothing there: people are told what to do, programs get the names of the columns. */
static void nothing_there(void **state)
{
    static const struct expectation cases[] = {
        { "agent list", 0, "No agents yet", NULL, NULL },
        { "agent list -o csv", 0, "name,state,generation", NULL, NULL },
        { "agent list -o json", 0, "\"agents\":\t[]", NULL, NULL },
        { "report", 0, "No pair matches", NULL, NULL },
        { "report -o csv", 0, "mesh,class,source,target,state,maintenance,status,start_ns,end_ns", NULL, NULL },
        { "report -o json", 0, "\"pairs\":\t[]", NULL, NULL },
        { "results", 0, "No summaries", NULL, NULL },
        { "results -o csv", 0, "mesh,class,source,target,flow,status", NULL, NULL },
        { "results -o json", 0, "\"summaries\":\t[]", NULL, NULL },
        { "flight list", 0, "No frozen parts", NULL, NULL },
        { "flight list -o csv", 0, "agent,error,mesh,class,source,target,pair_id", NULL, NULL },
        { "flight list -o json", 0, "\"frozen\":\t[]", NULL, NULL },
        { "schedule list", 0, "No meshes yet", NULL, NULL },
        { "schedule list -o csv", 0, "name,paused,", NULL, NULL },
        { "watch --once", 0, "No pair is scheduled", NULL, NULL },
    };
    struct fake *f = *state;

    f->empty = true;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        check(f, &cases[i]);
        if (strstr(cases[i].words, "csv") && strchr(r.out, '\n') != r.out + strlen(r.out) - 1)
            fail_msg("%s: rows out of nothing: %s", cases[i].words, r.out);
    }
    f->empty = false;
}

/* What becomes of the words. */
static void flight_questions(void **state)
{
    static const struct {
        const char *words, *names;
        uint64_t id;
        int64_t at_ns, before_ns, after_ns;
        bool one_flow;
        uint32_t flow, limit;
    } cases[] = {
        { "flight ams:fra", "||ams|fra", 0, NOW_NS, 10, 0, false, 0, 0 },
        { "flight voice/ams:fra --at -1m", "voice||ams|fra", 0, NOW_NS - MINUTE_NS, 5, 5, false, 0, 0 },
        { "flight voice/ef/ams>fra --at now --span 4s --flow 3 --limit 7", "voice|ef|ams|fra", 0, NOW_NS, 2,
          2, true, 3, 7 },
        { "flight --at -1m 9007199254740993", "|||", 9007199254740993u, NOW_NS - MINUTE_NS, 5, 5, false, 0,
          0 },
        { "flight freeze */*/*:fra --at -1m", "|||fra", 0, NOW_NS - MINUTE_NS, 30, 30, false, 0, 0 },
        { "flight freeze ams:fra", "||ams|fra", 0, NOW_NS, 60, 60, false, 0, 0 },
    };
    struct fake *f = *state;

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        run_ctl(f, cases[i].words, NULL, &r);
        if (strcmp(f->filter_text, cases[i].names) || f->flight.pair_id != cases[i].id ||
            f->flight.at_ns != cases[i].at_ns || f->flight.before_ns != cases[i].before_ns * TW_NS_PER_S ||
            f->flight.after_ns != cases[i].after_ns * TW_NS_PER_S ||
            f->flight.one_flow != cases[i].one_flow || f->flight.flow != cases[i].flow ||
            f->flight.limit != cases[i].limit)
            fail_msg("%s: asked for %s, pair %llu, flow %u, at %lld - %lld + %lld", cases[i].words,
                     f->filter_text, (unsigned long long)f->flight.pair_id, f->flight.flow,
                     (long long)f->flight.at_ns, (long long)f->flight.before_ns,
                     (long long)f->flight.after_ns);
    }
    run_ctl(f, "flight freeze ams:fra --reason because", NULL, &r);
    assert_string_equal(f->reason, "because");
    f->empty = true;
    run_ctl(f, "flight freeze ams:fra", NULL, &r);
    assert_int_equal(r.code, 1);
    f->empty = false;
}

static void version_skew(void **state)
{
    struct fake *f = *state;

    f->other_version = true;
    check(f, &(struct expectation){ "version", 0, "Controller  9.9.9", "twampctl: versions differ: twampctl is 0.", NULL });
    check(f, &(struct expectation){ "version -o json", 0, "\"skew\":\ttrue", "versions differ", NULL });
    f->other_version = false;
    check(f, &(struct expectation){ "version", 0, "Controller  0.", NULL, NULL });
}

/* Who is told to come again does, but not for ever, and not beyond its time. */
static void a_busy_controller_is_asked_again(void **state)
{
    struct fake *f = *state;

    f->busy = 2;
    f->status_calls = 0;
    check(f, &(struct expectation){ "status", 0, "12", NULL, NULL });
    assert_int_equal(f->status_calls, 3);
    f->busy = 100;
    f->status_calls = 0;
    check(f, &(struct expectation){ "status", 1, NULL, "too many of something: try again later", NULL });
    assert_int_equal(f->status_calls, 7);
    f->status_calls = 0;
    f->busy_ms = 60000; /* however busy this machine is: the call has its time, and another would be too late */
    check(f, &(struct expectation){ "--timeout 4s status", 1, NULL, "too many of something", NULL });
    assert_int_equal(f->status_calls, 1);
    f->busy = f->busy_ms = 0;
}

/* ---- What shells ask ---- */

static void completion_names_what_there_is(void **state)
{
    struct fake *f = *state;
    static const struct {
        const char *words, *has, *lacks; /* lines */
    } cases[] = {
        { "--complete agent show a", "\nams\n", "\nfra\n" },
        { "--complete agent show ams f", "\n", "\nfra\n" }, /* it takes one */
        { "--complete report --source f", "\nfra\n", "\nams\n" },
        { "--complete report --source=f", "\n--source=fra\n", "\nfra\n" },
        { "--complete report -s f", "\nfra\n", "\nams\n" },
        { "--complete schedule show v", "\nvoice\n", "\nams\n" },
        { "--complete report -m v", "\nvoice\n", "\nams\n" },
        { "--complete report --class b", "\nbulk\n", "\nvoice\n" },
        { "--complete -c ipc:///nowhere report -m v", "\n", "\nvoice\n" },
        { "--complete report -o w", "\nwide\n", "\ncsv\n" },
        { "--complete nonsense x", "\n", "x" },
        { "--complete", "\nagent\tcommands\n", "\nlist" },
    };

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        char lines[MAX_OUT + 1];

        /* The controller is asked for 0.4 s at most: on a busy machine somebody presses Tab again. */
        for (int tries = 0; tries < 10 && (!tries || !strstr(lines, cases[i].has)); tries++) {
            run_ctl(f, cases[i].words, NULL, &r);
            snprintf(lines, sizeof lines, "\n%s", r.out);
        }
        if (r.code || !strstr(lines, cases[i].has) || strstr(lines, cases[i].lacks))
            fail_msg("%s: exit code %d:%s", cases[i].words, r.code, lines);
    }
}

/* ---- The certificate authority ---- */

static void ca_init(void **state)
{
    struct fake *f = *state;
    char words[7][256];
    const struct expectation cases[] = {
        { "ca init", 2, NULL, "--name: is required", NULL },
        { words[0], 1, NULL, "\"no_such/\" is neither a host name nor a numeric address", NULL },
        { words[1], 0, "SHA-256 of its key ", NULL, NULL },
        { words[1], 1, NULL, "/ca is there already and is not touched", NULL },
        { words[2], 0, "\"names\":\t[\"ctl.example.net\", \"192.0.2.1\", \"h2\"]", NULL, NULL },
        { words[3], 0, "\"names\":\t[\"ctl.example.net\", \"192.0.2.1\", \"h2\", \"2001:db8::7\"]", NULL, NULL },
        { words[4], 0, "For ctl.example.net h2\nThe controller's new certificate in", NULL, NULL },
        { words[5], 1, NULL, "\"no_such/\" is neither a host name nor a numeric address", NULL },
        { words[6], 1, NULL, "ca3: No such file", NULL },
    };

    snprintf(words[3], sizeof words[3], "ca server --dir %s/ca2 --name H2,2001:db8::7 -o json", f->dir);
    snprintf(words[4], sizeof words[4], "ca server --dir %s/ca -n h2", f->dir);
    snprintf(words[5], sizeof words[5], "ca server --dir %s/ca -n no_such/", f->dir);
    snprintf(words[6], sizeof words[6], "ca server --dir %s/ca3 -n h2", f->dir);
    snprintf(words[0], sizeof words[0], "ca init --dir %s/ca --name no_such/", f->dir);
    snprintf(words[1], sizeof words[1], "ca init --dir %s/ca --name ctl.example.net", f->dir);
    snprintf(words[2], sizeof words[2], "ca init --dir %s/ca2 --name ctl.example.net,192.0.2.1 -n h2 -o json", f->dir);
    check_all(f, cases, TW_NELEM(cases));
    for (int i = 0; i < 8; i++) {
        static const char *const left[] = { "ca/ca.key", "ca/ca.pem", "ca/server.pem", "ca2/ca.key", "ca2/ca.pem", "ca2/server.pem", "ca", "ca2" };

        snprintf(words[0], sizeof words[0], "%s/%s", f->dir, left[i]);
        if (remove(words[0]))
            fail_msg("%s: not made", left[i]);
    }
}

/* ---- Contexts ---- */

/* The variable TWAMPCTL_CONTROLLER is set all along: it wins over a context, and an option over both. */
static void contexts(void **state)
{
    struct fake *f = *state;
    char add[256], use[256], words[256];
    static const struct expectation cases[] = {
        { "context list", 0, "No contexts yet", NULL, NULL },
        { "context add lab -c tcp://127.0.0.1:1 --timeout 3s", 0, "Added lab", NULL, NULL },
        { "context add lab -c tcp://127.0.0.1:1", 1, NULL, "already", NULL },
        { "context add x -c nowhere", 2, NULL, "is no URL", NULL },
        { "context add x -c tcp://127.0.0.1:1,nowhere", 2, NULL, "is no URL", NULL },
        { "context add x -c tcp://127.0.0.1:1,", 2, NULL, "is no URL", NULL },
        { "context add x", 2, NULL, "--controller: is required", NULL },
        { "context add a/b -c tcp://127.0.0.1:1", 2, NULL, "is no name of a context", NULL },
        { "context use x", 1, NULL, "there is no context \"x\"", NULL },
        { "context use lab", 0, "Now uses lab", NULL, NULL },
        { "context list", 0, "lab   *        tcp://127.0.0.1:1  -       3s", NULL, NULL },
        { "context list -o csv", 0, "lab,true,tcp://127.0.0.1:1,,3s,,,,,,\n", NULL, NULL },
        { "context show", 0, "variable TWAMPCTL_CONTROLLER\noutput       table", NULL, NULL },
        { "context show -o json", 0, "\"context lab\"", NULL, NULL },
        { "status --context x", 2, NULL, "--context: there is no context \"x\" in ", NULL },
        { "status --config /nowhere/x.yaml", 2, NULL, "--config: there is no file /nowhere/x.yaml", NULL },
        { "status", 0, "NOT READY", NULL, NULL },
        { "context remove x", 1, NULL, "there is no context \"x\"", NULL },
        { "context remove lab", 0, "Removed lab", "it was the current one", NULL },
        { "context list -o json", 0, "\"contexts\":\t[]", NULL, NULL },
    };

    check_all(f, cases, TW_NELEM(cases));
    unset_controller = true; /* now the contexts say where it is */
    snprintf(add, sizeof add, "--config %s/other.yaml context add here -o json -c %s", f->dir, f->url);
    snprintf(use, sizeof use, "--config %s/other.yaml context use here", f->dir);
    check(f, &(struct expectation){ add, 0, "\"added\"", NULL, NULL });
    check(f, &(struct expectation){ use, 0, "Now uses here", NULL, NULL });
    snprintf(words, sizeof words, "status --config %s/other.yaml", f->dir);
    check(f, &(struct expectation){ words, 0, "\"ready\":\tfalse", NULL, NULL });
    snprintf(words, sizeof words, "status --config %s/other.yaml -o table", f->dir);
    check(f, &(struct expectation){ words, 0, "Controller", NULL, NULL });
    write_in(f, "other.yaml", "contexts:\n  here: { colour: red }\n");
    check(f, &(struct expectation){ words, 2, NULL, "other.yaml:2: contexts.here: unknown key \"colour\"", NULL });
    unset_controller = false;
    remove_file(f, "other.yaml");
    remove_file(f, "twampmesh/twampctl.yaml");
    snprintf(words, sizeof words, "%s/twampmesh", f->dir);
    rmdir(words);
}

/* Any of several controllers will do, for reading and for changing. */
static void the_next_controller_is_asked(void **state)
{
    struct fake *f = *state;
    char words[512];

    snprintf(words, sizeof words, "agent list -c tcp://127.0.0.1:1,ipc:///nowhere,%s", f->url);
    check(f, &(struct expectation){ words, 0, "ams", NULL, NULL });
    snprintf(words, sizeof words, "agent undrain fra -c %s,tcp://127.0.0.1:1", f->url);
    check(f, &(struct expectation){ words, 0, "Undrained ams already", NULL, NULL });
    check(f, &(struct expectation){
                 "agent list -c tcp://127.0.0.1:1,ipc:///nowhere", 3, NULL,
                 "none of 2 controllers answers; the last one: cannot reach the controller at "
                 "ipc:///nowhere: there is no such socket",
                 NULL });
    unset_controller = true;
    snprintf(words, sizeof words, "contexts:\n  both:\n    controller: tcp://127.0.0.1:1,%s\ncurrent: both\n",
             f->url);
    write_in(f, "other.yaml", words);
    snprintf(words, sizeof words, "--config %s/other.yaml agent list", f->dir);
    check(f, &(struct expectation){ words, 0, "ams", NULL, NULL });
    unset_controller = false;
    remove_file(f, "other.yaml");
}

static size_t count_lines(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void rollout_tells_of_releases_that_are_too_far(void **state)
{
    struct fake *f = *state;

    f->refusing = true;
    run_ctl(f, "schedule rollout", NULL, &r);
    f->refusing = false;
    if (!strstr(r.out, ", 1 is more than one release off\n") ||
        !strstr(r.err, "agent lon runs 0.1.9, which is more than one release older than the controller: upgrade it"))
        fail_msg("%s%s", r.out, r.err);
    run_ctl(f, "schedule rollout", NULL, &r); /* one release older is as it should be */
    if (strstr(r.out, "off") || strstr(r.err, "release"))
        fail_msg("%s%s", r.out, r.err);
}

/* Nothing is waited for that is not connected here, and that is said. */
static void rollout_tells_of_other_controllers(void **state)
{
    struct fake *f = *state;

    f->elsewhere = 2;
    run_ctl(f, "schedule apply -f -", GOOD, &r);
    if (!strstr(r.out, ", 2 are connected to other controllers\n") || !strstr(r.err, "not waited for: 2 agents of other controllers"))
        fail_msg("%s%s", r.out, r.err);
    f->elsewhere = 1;
    run_ctl(f, "schedule rollout", NULL, &r);
    if (!strstr(r.out, ", 1 is connected to other controllers\n") || strstr(r.err, "not waited for"))
        fail_msg("%s%s", r.out, r.err);
    f->elsewhere = 0;
    run_ctl(f, "schedule apply -f -", GOOD, &r);
    if (strstr(r.out, "other controllers") || strstr(r.err, "other controllers"))
        fail_msg("%s%s", r.out, r.err);
}

/* Three pages of two rows: whole, with one heading, or as many as were asked for. */
static void results_by_pages(void **state)
{
    static const struct {
        const char *words;
        size_t lines;
        const char *err;
    } cases[] = {
        { "results -o csv", 7, "" },
        { "results -o ndjson", 6, "" },
        { "results -o ndjson -n 3", 3, "more than these 3 summaries" },
        { "results -o ndjson --progress json", 6, "\"progress\":\"results\"" },
    };
    static const struct {
        const char *words;
        size_t lines;
        const char *out, *err;
    } texts[] = {
        { "results -o csv", 10, NULL, "" },
        { "results -o ndjson", 18, "1\n2\n3\n4\n5\n6\n1\n2\n3\n4\n5\n6\n1\n2\n3\n4\n5\n6\n", "" },
        { "results -o ndjson --progress json", 18, NULL, "6 summaries, at ams > fra" },
        { "results -o ndjson -n 3", 3, NULL, "more than these 3 summaries" },
    };
    static const char *const reports[] = { "report -o ndjson", "report -o ndjson", "report -o csv",
                                           "report -o csv" };
    struct fake *f = *state;

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        f->pages = 3;
        run_ctl(f, cases[i].words, NULL, &r);
        if (r.code || count_lines(r.out) != cases[i].lines || !strstr(r.err, cases[i].err))
            fail_msg("%s: %d, %zu lines, \"%s\"", cases[i].words, r.code, count_lines(r.out), r.err);
    }
    f->page_texts = true; /* three lines each, and six; where a limit may be in the middle of a page, rows */
    for (size_t i = 0; i < TW_NELEM(texts); i++) {
        f->pages = 3;
        run_ctl(f, texts[i].words, NULL, &r);
        if (r.code || count_lines(r.out) != texts[i].lines || !strstr(r.err, texts[i].err) ||
            (texts[i].out && strcmp(r.out, texts[i].out) != 0))
            fail_msg("%s: %d, \"%s\", \"%s\"", texts[i].words, r.code, r.out, r.err);
    }
    f->page_texts = false;
    f->pages = 0;
    for (size_t i = 0; i < TW_NELEM(reports); i++) { /* three pairs: in one answer, and one in each */
        f->report_pages = i % 2;
        f->report_calls = 0;
        run_ctl(f, reports[i], NULL, &r);
        if (r.code || count_lines(r.out) != (i < 2 ? 3 : 4) || f->report_calls != (i % 2 ? 3 : 1))
            fail_msg("%s: %d, %u calls: %s%s", reports[i], r.code, f->report_calls, r.out, r.err);
        assert_true(i >= 2 || r.out[0] == '{');
    }
    f->report_pages = true;
    f->report_calls = 0;
    run_ctl(f, "report --by label:site -o csv", NULL, &r);
    if (r.code || count_lines(r.out) != 3 || f->report_calls != 2 || *r.err)
        fail_msg("groups in parts: %d, %u calls: %s%s", r.code, f->report_calls, r.out, r.err);
    f->report_pages = false;
    run_ctl(f, "agent list -o ndjson", NULL, &r);
    assert_int_equal(r.code, 2);
    assert_non_null(strstr(r.err, "\"ndjson\" is for results"));
}

/* "forms" as argument: every list in every form, which takes most of the time. */
int main(int argc, char **argv)
{
    const struct CMUnitTest forms[] = {
        cmocka_unit_test(every_list_is_tested),
        cmocka_unit_test(lists_have_every_form),
        cmocka_unit_test(empty_lists_have_every_form),
        cmocka_unit_test(what_reads_can_be_watched),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(golden_shared),
        cmocka_unit_test(the_reference_is_current),
        cmocka_unit_test(progress_for_scripts),
        cmocka_unit_test(a_slow_apply_is_waited_for),
        cmocka_unit_test(an_empty_answer_says_why),
        cmocka_unit_test(no_alert_without_rules_says_so),
        cmocka_unit_test(several_agents_are_approved_at_once),
        cmocka_unit_test(flight_questions),
        cmocka_unit_test(doctor_asks),
        cmocka_unit_test(wrong_usage),
        cmocka_unit_test(help_needs_no_controller),
        cmocka_unit_test(failures),
        cmocka_unit_test(a_list_that_is_cut_says_so),
        cmocka_unit_test(edits_of_agents_reach_the_controller),
        cmocka_unit_test(errors_are_one_line),
        cmocka_unit_test(filters_reach_the_controller),
        cmocka_unit_test(documents_reach_the_controller),
        cmocka_unit_test(too_large_documents_stay_here),
        cmocka_unit_test(raw_document),
        cmocka_unit_test(apply_waits_for_connected_agents),
        cmocka_unit_test(large_reports_come_in_parts),
        cmocka_unit_test(results_by_pages),
        cmocka_unit_test(rollout_tells_of_releases_that_are_too_far),
        cmocka_unit_test(rollout_tells_of_other_controllers),
        cmocka_unit_test(nothing_there),
        cmocka_unit_test(version_skew),
        cmocka_unit_test(a_busy_controller_is_asked_again),
        cmocka_unit_test(completion_names_what_there_is),
        cmocka_unit_test(contexts),
        cmocka_unit_test(the_next_controller_is_asked),
        cmocka_unit_test(ca_init),
    };

    child_if_asked(argc, argv);
    if (argc > 1 && !strcmp(argv[1], "forms"))
        return cmocka_run_group_tests(forms, fake_start, fake_stop);
    return cmocka_run_group_tests(tests, fake_start, fake_stop);
}
