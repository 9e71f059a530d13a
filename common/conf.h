/* common/conf.h - one table of options per program: it parses the command line (argp), the environment and the
 * configuration file's values, and prints the help. A new option is one more row. */
#ifndef TW_COMMON_CONF_H
#define TW_COMMON_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/rc.h"

enum conf_type {
    CONF_FLAG,     /* bool *; no value on the command line */
    CONF_STR,      /* char **: allocated copy, conf_free() frees it */
    CONF_STRLIST,  /* struct conf_strlist *: may be repeated; a value with commas is split; conf_set() appends */
    CONF_INT,      /* int64_t *, within [min, max] */
    CONF_DURATION, /* int64_t * in ns, within [min, max]; "20ms" */
    CONF_ENUM,     /* int *: index into choices[] */
    CONF_PARSED    /* whatever parse() fills in; owns no memory */
};

struct conf_strlist {
    char **v;
    size_t n;
};

struct conf_opt {
    const char *name; /* long option and key: "controller-url"; environment: PREFIX_CONTROLLER_URL */
    char short_name;  /* 0 = none */
    enum conf_type type;
    size_t offset;         /* of the field in the program's option struct */
    const char *dflt;      /* as text, parsed like any other value; NULL = leave zero */
    int64_t min, max;      /* CONF_INT, CONF_DURATION */
    const char *const *choices; /* CONF_ENUM, NULL-terminated */
    const char *arg;       /* placeholder in help */
    const char *help;      /* one sentence, no default: it is printed from dflt */
    bool required;
    /* CONF_PARSED: on failure sets err's text, "must be ..., not ..."; the field of the error is ours. */
    enum tw_rc (*parse)(const char *text, void *field, struct tw_err *err);
    const char *implied; /* not NULL: the value may be left out, then it is this; it can only follow "--name=" */
    bool prefer;         /* an abbreviation that others could mean, too, means this one */
    bool now;            /* what to do at this call: no key of a configuration file */
    bool live;           /* a reload of the configuration file changes it; others need a restart */
    bool secret;         /* names a file with secrets: in a configuration file only a path, so that none is written there */
};

struct conf_program {
    const char *name, *env_prefix;
    const char *brief; /* of its manual page: what it is, without a full stop; NULL: it is part of another's page */
    int section;       /* of its manual page; 0 = 1 */
    const char *usage_args;   /* e.g. "MESH-FILE"; NULL = takes none */
    const char *doc;          /* paragraph before the options */
    const char *examples;     /* printed after the options */
    const struct conf_opt *opts;
    size_t n_opts;
    int min_args, max_args;
    const struct conf_program *beside; /* whose options may stand on the same line, for who mistypes one; NULL: none */
    const char *file_manual; /* of its configuration file, section 5; NULL: it has none (conf_file.h) */
};

/* Fills *target (zeroed by the caller): defaults, then environment, then command line. Positional arguments go
 * to ret_args (copies). On a bad value fills *err (field = the option) and returns TW_EINVAL.
 * --help prints to stdout and returns TW_ECLOSED, and so does --version: the caller exits with 0. A list given at a
 * later place replaces that of an earlier one. Unless TW_OK, *target owns nothing. argv is reordered.
 * Hidden, each prints and returns TW_ECLOSED: "--help=roff", the manual page (of a program without `brief` a part of one);
 * "--help=roff5", that of its configuration file; "--help=markdown", a table; "--complete WORD...", what the last word may
 * become. */
enum tw_rc conf_parse(const struct conf_program *p, int argc, char **argv, void *target,
                      struct conf_strlist *ret_args, struct tw_err *err);
/* Sets one option from text, as the file loader and tests do. */
enum tw_rc conf_set(const struct conf_opt *o, void *target, const char *text, struct tw_err *err);
void conf_print_help(const struct conf_program *p);
#define CONF_ENV_NAME_MAX 96
/* Name of the environment variable of an option; p has an env_prefix. */
void conf_env_name(const struct conf_program *p, const struct conf_opt *o, char buf[CONF_ENV_NAME_MAX]);
/* ---- Completion (conf_complete.c): a candidate a line, with a tab and what it is about where that helps; or one
 * of these: the shell shall name files, or folders. ---- */
#define CONF_COMPLETE_FILES ":files"
#define CONF_COMPLETE_FOLDERS ":folders"
/* What the last of n words may become, by the table alone. */
void conf_complete(const struct conf_program *p, int n, char **words, FILE *to);
void conf_complete_options(const struct conf_program *p, const char *word, FILE *to);
/* `before` stands before each candidate: "--output=". */
void conf_complete_value(const struct conf_opt *o, const char *before, const char *value, FILE *to);
/* "--output", "--output=x" or "-o"; NULL: none of p. */
const struct conf_opt *conf_option_of_word(const struct conf_program *p, const char *word);
/* Does its value stand in the next word? */
bool conf_value_follows(const struct conf_opt *o, const char *word);

/* ---- Manual pages (conf_roff.c), in man(7) ---- */
/* A whole page. */
void conf_print_roff(FILE *to, const struct conf_program *p);
/* Its pieces, for programs with commands. */
void conf_roff_head(FILE *to, const char *name, int section, const char *brief);
void conf_roff_text(FILE *to, const char *text);
void conf_roff_lines(FILE *to, const char *text);
void conf_roff_options(FILE *to, const struct conf_program *p);
void conf_roff_synopsis(FILE *to, const struct conf_program *p);
void conf_roff_examples(FILE *to, const char *examples);
/* Synopsis, what it does, options, examples. */
void conf_roff_part(FILE *to, const struct conf_program *p);

/* Of the configuration file, section 5. */
void conf_print_roff_file(FILE *to, const struct conf_program *p);

/* ---- What several places say of options (conf_values.c) ---- */
enum conf_by { CONF_BY_DEFAULT, CONF_BY_FILE, CONF_BY_ENV, CONF_BY_CMDLINE }; /* a later one replaces an earlier one */
struct conf_value {
    const struct conf_opt *opt;
    char *text;
    enum conf_by by;
    unsigned line; /* CONF_BY_FILE */
};
struct conf_values { /* in the order in which they count */
    struct conf_value *v;
    size_t n;
    char *file; /* of CONF_BY_FILE; NULL: there was none */
};
/* len octets of text. TW_ENOMEM. */
enum tw_rc conf_values_add(struct conf_values *l, const struct conf_opt *o, const char *text, size_t len, enum conf_by by, unsigned line);
/* The last one of an option, NULL: its default holds. Of lists those by the same are together the value. */
const struct conf_value *conf_values_find(const struct conf_values *l, const struct conf_opt *o);
void conf_values_free(struct conf_values *l);

/* Everything that is wrong, not only the first. */
#define CONF_ERRORS_MAX 100
struct conf_errors {
    struct tw_err *v;
    size_t n, lost; /* lost: beyond that, or without memory */
};
void conf_errors_add(struct conf_errors *l, const struct tw_err *e);
void conf_errors_free(struct conf_errors *l);
/* As tw_err_set(), about the option of that name. */
void conf_errors_set(struct conf_errors *l, const char *option, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- Print (conf_print.c) ---- */
/* The configuration file with everything commented out: what there is, and the defaults. */
void conf_print_default_file(FILE *to, const struct conf_program *p);
/* A configuration file that says all that these values say, and where each is from. */
void conf_print_values(FILE *to, const struct conf_program *p, const struct conf_values *l);
/* A table of all options in Markdown. */
void conf_print_markdown(FILE *to, const struct conf_program *p);

/* Frees what the options own; args of conf_parse() are freed by conf_strlist_free(). */
void conf_free(const struct conf_program *p, void *target);
void conf_strlist_free(struct conf_strlist *l);

/* As tw_err_format(), with the dashes of an option of p that the error is about: what is typed to mend it. Gives buf. */
const char *conf_error_text(const struct conf_program *p, const struct tw_err *e, char *buf, size_t cap);

#endif
