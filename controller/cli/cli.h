/* controller/cli/cli.h - what the files of twampctl share: options, exit codes, and the table of commands. */
#ifndef TW_CLI_CLI_H
#define TW_CLI_CLI_H

#include "admin.pb-c.h"
#include "common/conf.h"
#include "controller/cli/config.h"
#include "controller/cli/ctl.h"
#include "controller/cli/out.h"
#include "controller/cli/progress.h"

/* Options of all commands; each command's table names those that it takes. */
struct cli_options {
    char *config, *context;
    char *controller, *token, *token_file, *ca_file, *server_name, *client_cert, *client_key;
    int progress; /* enum progress_mode */
    int output; /* enum out_format; ask cli_for_people() and cli_for_tree() */
    int64_t timeout_ns, watch_ns;
    bool no_color;

    char *fingerprint, *author, *file;
    bool yes, plan, document, latest, once, flows;
    int64_t wait_ns, interval_ns, count, limit;
    int64_t min_probes, min_duration_ns;
    bool incomplete;
    char *direction;
    char *mesh, *class_name, *source, *target, *from, *to;
    char *select, *target_select;
    bool end;
    char *at, *reason;
    struct conf_strlist files;
    bool prune, force, pairs;
    int64_t before;
    int64_t span_ns, flow;
    bool probe_all;
    int64_t duration_ns, parallel;
    bool packets;
    char *state, *severity; /* of alerts */
    bool roots, all;
    int64_t silence_ns;
    char *group_by, *sort_by, *before_from, *before_to, *objectives, *availability, *loss, *p95, *p99;
    int64_t top, back_ns;
    char *data_dir, *agent, *out;
    char *to_history, *to_control;
    bool dry_run;
    char *dir;                  /* ca */
    struct conf_strlist names, labels;
    int64_t life_ns, ttl_ns, uses; /* of certificates and tokens */
    bool approve;
    char *name_glob;
    char *access_role, *access_name, *who, *what;
    int64_t access_ttl_ns;
    bool refused;
    char *set_protocol, *set_auth, *set_key_id, *set_spacing, *set_spacing_kind, *set_size, *set_dscp, *set_ttl,
        *set_timeout, *set_flows, *set_tlvs, *set_bind; /* of the class of a test: the controller reads them */
};
#define CLI_FIELD(f) offsetof(struct cli_options, f)

/* Where a setting comes from; what comes later in this list wins. */
enum cli_origin { CLI_FROM_DEFAULT, CLI_FROM_FILE, CLI_FROM_CONTEXT, CLI_FROM_ENV, CLI_FROM_OPTION };

struct cli {
    struct cli_options opt;
    struct config config; /* opt.context is one of its contexts, or NULL */
    enum cli_origin origins[CONTEXT_SETTINGS], config_origin, context_origin, token_origin;
    uint32_t given; /* bit by row of cli_global: stands on the command line */
    struct conf_strlist args;
    const struct cli_command *command;
    int64_t (*wall_ns)(void); /* what time it is; tests stop it */
    struct ctl *ctl;
    bool colour;
    bool repeats; /* the answer is printed again and again: each on a line, or as a document, of its own */
    size_t looks; /* so many times the answer was printed before: repeated records need no second heading */
};

struct cli_command {
    const char *group; /* NULL: stands alone; a command may have the name of a group, behind its rows */
    const char *name;
    const char *args; /* "NAME"; NULL = none */
    int n_args;
    int max_args;    /* 0 = n_args, else it may take more */
    const char *brief; /* one line for the list of commands */
    const char *doc, *examples;
    const struct conf_opt *opts;
    size_t n_opts;
    bool lines; /* comes page by page where that is wanted, and so has -o ndjson */
    bool reads; /* changes nothing and answers at once: --watch may repeat it */
    enum cli_exit (*run)(struct cli *c);
};
extern const struct cli_command cli_commands[]; /* ends with name NULL */
extern const struct conf_program cli_global;    /* the options that every command has */

const struct conf_opt *cli_global_option(const char *name); /* one that there is */
/* settings.c: reads the configuration file and fills in what neither option nor variable has said. */
enum cli_exit cli_configure(struct cli *c);

/* Everything but the process: parses, runs, cleans up, and returns the exit code. */
int cli_main(int argc, char **argv, int64_t (*wall_ns)(void));

/* repeat.c: runs the command every opt.watch_ns until Ctrl-C. */
enum cli_exit cli_repeat(struct cli *c);

/* complete.c: where the word stands that is to be completed. */
struct cli_place {
    const struct conf_opt *option; /* its value; NULL: no option's */
    const char *group;             /* it is a command of that; NULL: of any */
    size_t n_args;                 /* arguments of the command before it */
    const char *word;
};
/* own is NULL as long as the command is not complete. */
void cli_complete(struct cli *c, const struct conf_program *own, const struct cli_place *at);
void cli_complete_shells(const char *word, FILE *to);
/* manual.c: twampctl(1); and the reference, as parts between marks that docs/twampctl.md has, too (a test compares them). */
void cli_print_roff(FILE *to);
void cli_print_markdown(FILE *to);

/* cli_help.c */
/* What exit codes mean: said once, for help, manual and documents. Ends with brief NULL. */
struct cli_exit_text {
    enum cli_exit code;
    const char *brief;           /* a few words */
    const char *meaning, *advice; /* a sentence; what to do */
};
extern const struct cli_exit_text cli_exit_texts[];
/* First words of commands, or of a group their second ones, that begin so. */
void cli_complete_commands(const char *group, const char *word, FILE *to);
void cli_print_help(void);
void cli_print_group_help(const char *group);
void cli_print_command_help(const struct cli_command *cmd);
/* Or begins so: "access" of "access token". */
bool cli_group_exists(const char *group);
/* The group that two words name together; NULL: none. */
const char *cli_group_of_words(const char *first, const char *second);
/* In one line on stderr: no such command, and the nearest that there is. group may be NULL. */
void cli_unknown_command(const char *group, const char *word);
/* "agent approve"; returns buf. */
const char *cli_command_words(const struct cli_command *cmd, char buf[64]);

/* One line on stderr: "twampctl: " and the text; returns code. */
enum cli_exit cli_fail(enum cli_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum cli_exit cli_no_memory(void);
/* Asks on the terminal before something is done to the first argument, unless --yes was given: "BEFORE NAME
 * AFTER [y/N]". CLI_OK: yes. Where nobody can be asked that is an error. verb: for what is said then,
 * "remove". */
enum cli_exit cli_confirm(const struct cli *c, const char *verb, const char *before, const char *after);
/* Makes c->ctl unless there is one. */
enum cli_exit cli_connect(struct cli *c);
/* The same, for commands that have something to end when a signal comes. */
enum cli_exit cli_connect_catching(struct cli *c);
/* Sends what the next cli_call() must then ask for: ctl_begin(). A failure is that one's. */
void cli_begin(struct cli *c, const char *method, const ProtobufCMessage *request);
/* Calls the controller, connecting first if need be; on a failure says so. *ret is freed with
 * cli_free_reply(). */
enum cli_exit cli_call(struct cli *c, const char *method, const ProtobufCMessage *request,
                       ProtobufCMessage **ret);
/* The same for changes of the schedule, which may take long: shows that it goes on, and for how long; unless
 * the user has said how long to wait, it waits as long as the controller is there. */
enum cli_exit cli_change_schedule(struct cli *c, const char *method, const ProtobufCMessage *request,
                                  ProtobufCMessage **ret);
void cli_free_reply(ProtobufCMessage *m);

/* For progress_begin(): not for people where the answer is drawn again and again. */
enum progress_mode cli_progress(const struct cli *c);

/* unknown.c: an answer was empty, perhaps since it was narrowed by names that nobody has: says so on stderr. */
void cli_explain_empty(struct cli *c);

/* ---- Answers (answer.c); out.h says how a command describes its list ---- */

/* A table, plain or wide: what is printed is for people. */
bool cli_for_people(const struct cli *c);
/* JSON or YAML: one tree. */
bool cli_for_tree(const struct cli *c);
/* As lines, which can be printed page by page, however many there are. */
bool cli_by_pages(const struct cli *c);

struct cli_part {
    const struct out_listing *listing;
    struct out_rows rows;
};
#define CLI_PARTS 4
/* What a command has to say, in every format: people get the table with lines around it; CSV is the main list
 * alone; JSON and YAML have head's values, the main list and the others, each by its key. */
struct cli_answer {
    struct cli_part main;
    struct cli_part more[CLI_PARTS];                      /* up to the first without listing */
    void (*head)(struct out_records *r, const void *ctx); /* may be NULL */
    void (*before)(struct cli *c, const void *ctx);       /* for people; may be NULL */
    /* For people; may be NULL. The table tells what it shows: out_listing_shows(). NULL: there were no rows.
     */
    void (*after)(struct cli *c, const void *ctx, const struct out_table *t);
    const void *ctx;
};
enum cli_exit cli_print_answer(struct cli *c, const struct cli_answer *a);
enum cli_exit cli_print_list(struct cli *c, const struct out_listing *l, struct out_rows rows,
                             const void *ctx);
/* One row: for people a line for each column; else a list of one. */
enum cli_exit cli_print_facts(struct cli *c, const struct out_listing *l, const void *row, const void *ctx);

/* For what fits no listing. Records as JSON or YAML {"key": [...]}, or CSV with heading. Frees *r. */
enum cli_exit cli_print_records(struct cli *c, const char *key, struct out_records *r);
/* A tree as JSON or YAML; takes root (NULL: no memory). */
enum cli_exit cli_print_tree(struct cli *c, cJSON *root);
/* Columns of the terminal on standard output; 0: it is none, or does not say. */
size_t cli_terminal_width(void);
/* Prints and frees *t, with as many columns as the terminal has room for; -o wide: with all. */
enum cli_exit cli_print_table(struct cli *c, struct out_table *t);

/* "17"; else says what was expected. */
bool cli_read_generation(const char *text, uint64_t *ret);

/* cmd_apply.c: a file with a document, "-" is standard input; malloc'ed. Says what is wrong with it. */
enum cli_exit cli_read_document(const char *path, char **ret);
/* What the controller says is wrong with a document, with its line. Returns CLI_REFUSED. */
enum cli_exit cli_document_refused(const char *file, const char *document, const Tw__Field *e);

/* Commands, by file. */
enum cli_exit cmd_agent_list(struct cli *c);
enum cli_exit cmd_agent_show(struct cli *c);
enum cli_exit cmd_agent_approve(struct cli *c);
enum cli_exit cmd_agent_remove(struct cli *c);
enum cli_exit cmd_agent_label(struct cli *c); /* cmd_agent_edit.c */
enum cli_exit cmd_agent_drain(struct cli *c);
enum cli_exit cmd_agent_undrain(struct cli *c);
enum cli_exit cmd_agent_maintenance(struct cli *c);
enum cli_exit cmd_agent_revoke(struct cli *c);
enum cli_exit cmd_agent_rename(struct cli *c);
enum cli_exit cmd_schedule_apply(struct cli *c); /* cmd_apply.c */
enum cli_exit cmd_schedule_plan(struct cli *c);
enum cli_exit cmd_schedule_rollback(struct cli *c);
enum cli_exit cmd_schedule_history(struct cli *c);
enum cli_exit cmd_schedule_export(struct cli *c);
enum cli_exit cmd_schedule_rollout(struct cli *c); /* rollout.c */
enum cli_exit cmd_schedule_list(struct cli *c);
enum cli_exit cmd_schedule_show(struct cli *c);
enum cli_exit cmd_schedule_pause(struct cli *c);
enum cli_exit cmd_schedule_resume(struct cli *c);
enum cli_exit cmd_schedule_delete(struct cli *c);
enum cli_exit cmd_test(struct cli *c);
enum cli_exit cmd_test_list(struct cli *c);
enum cli_exit cmd_test_show(struct cli *c);
enum cli_exit cmd_test_stop(struct cli *c);
enum cli_exit cmd_results(struct cli *c);
enum cli_exit cmd_report(struct cli *c);
enum cli_exit cmd_report_top(struct cli *c);
enum cli_exit cmd_report_compare(struct cli *c); /* cmd_compare.c */
enum cli_exit cmd_report_sla(struct cli *c);     /* cmd_sla.c */
enum cli_exit cmd_outages(struct cli *c);
enum cli_exit cmd_completeness(struct cli *c);
enum cli_exit cmd_clock(struct cli *c);
enum cli_exit cmd_status(struct cli *c);
enum cli_exit cmd_debug_threads(struct cli *c);
enum cli_exit cmd_ca_operator(struct cli *c);
enum cli_exit cmd_completion(struct cli *c);
enum cli_exit cmd_version(struct cli *c);
enum cli_exit cmd_context_list(struct cli *c);
enum cli_exit cmd_context_show(struct cli *c);
enum cli_exit cmd_context_use(struct cli *c);
enum cli_exit cmd_context_add(struct cli *c);
enum cli_exit cmd_context_remove(struct cli *c);
enum cli_exit cmd_doctor(struct cli *c);
enum cli_exit cmd_db_backup(struct cli *c);
enum cli_exit cmd_db_restore(struct cli *c);
enum cli_exit cmd_db_migrate(struct cli *c);
enum cli_exit cmd_db_check(struct cli *c);
enum cli_exit cmd_watch(struct cli *c);
enum cli_exit cmd_ca_init(struct cli *c); /* cmd_ca.c */
enum cli_exit cmd_ca_server(struct cli *c);
enum cli_exit cmd_token_create(struct cli *c);
enum cli_exit cmd_token_list(struct cli *c);
enum cli_exit cmd_token_revoke(struct cli *c);
enum cli_exit cmd_access_create(struct cli *c);
enum cli_exit cmd_access_list(struct cli *c);
enum cli_exit cmd_access_revoke(struct cli *c);
enum cli_exit cmd_audit(struct cli *c);
enum cli_exit cmd_alert_list(struct cli *c);
enum cli_exit cmd_alert_show(struct cli *c);
enum cli_exit cmd_alert_ack(struct cli *c);
enum cli_exit cmd_alert_silence(struct cli *c);
enum cli_exit cmd_alert_unsilence(struct cli *c);
enum cli_exit cmd_alert_silences(struct cli *c);
enum cli_exit cmd_alert_receivers(struct cli *c);
enum cli_exit cmd_alert_apply(struct cli *c); /* cmd_alert_rules.c */
enum cli_exit cmd_alert_export(struct cli *c);
enum cli_exit cmd_alert_history(struct cli *c);
enum cli_exit cmd_alert_rules(struct cli *c);
enum cli_exit cmd_alert_explain(struct cli *c);
enum cli_exit cmd_flight(struct cli *c);
enum cli_exit cmd_flight_list(struct cli *c);
enum cli_exit cmd_flight_freeze(struct cli *c);

#endif
