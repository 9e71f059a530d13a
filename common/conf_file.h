/* common/conf_file.h - the options of a daemon: defaults, a configuration file (YAML, the options' names are
 * its keys), the environment and the command line, each of which counts more than the one before. Tells
 * everything that is wrong, with its place. Main thread. */
#ifndef TW_COMMON_CONF_FILE_H
#define TW_COMMON_CONF_FILE_H

#include "common/conf.h"

/* ---- The same options in each daemon: one row, and a member of struct conf_file_options, each ---- */

enum conf_print { CONF_PRINT_NOTHING, CONF_PRINT_EFFECTIVE, CONF_PRINT_DEFAULT };
extern const char *const conf_print_words[];

struct conf_file_options {
    char *config;
    int print; /* enum conf_print */
    bool check;
};
/* at(member): its offset in the program's struct; path: of the file that is read if it exists and no other is
 * named. */
#define CONF_FILE_OPTS(at, path)                                                                             \
    { .name = "config",                                                                                      \
      .type = CONF_STR,                                                                                      \
      .offset = at(config),                                                                                  \
      .dflt = path,                                                                                          \
      .arg = "FILE",                                                                                         \
      .now = true,                                                                                           \
      .help = "Configuration file in YAML, whose keys are these options' names. The default need not "       \
              "exist; \"none\": no file." },                                                                 \
        { .name = "check-config",                                                                            \
          .type = CONF_FLAG,                                                                                 \
          .offset = at(check),                                                                               \
          .now = true,                                                                                       \
          .help = "Tell everything that is wrong with file, environment and command line, and end: exit "    \
                  "code 0: nothing, 1: something." },                                                        \
    {                                                                                                        \
        .name = "print-config", .type = CONF_ENUM, .offset = at(print), .choices = conf_print_words,         \
        .arg = "effective|default", .implied = "effective", .now = true,                                     \
        .help = "Print what would be in use and where it is from, or a file of all defaults with comments, " \
                "and end. Either can be "                                                                    \
                "read as --config."                                                                          \
    }

/* ---- Parse ---- */

/* What the table cannot say of a filled struct; every error's field is the name of an option. It may fill in
 * what is left out. */
typedef void (*conf_check_fn)(void *target, struct conf_errors *errors);

struct conf_daemon {
    const struct conf_program *program; /* with CONF_FILE_OPTS */
    conf_check_fn check;                /* may be NULL */
    int argc;
    char **argv;               /* main()'s: used until conf_daemon_free(), and left as it is */
    struct conf_values values; /* what was said, and where */
    struct conf_values first;  /* at the start, if there was a reload since: has_first */
    bool has_first;
    struct conf_errors errors; /* empty after TW_OK */
};

/* Fills *target (zeroed by the caller, freed by conf_free()). TW_OK: run. TW_ECLOSED: it was to print
 * something, which is done: *ret_code is the exit code. TW_EINVAL: d->errors says why, and *target owns
 * nothing. */
enum tw_rc conf_daemon_parse(struct conf_daemon *d, void *target, int *ret_code);
/* The errors, a line each, to stderr. */
void conf_daemon_complain(const struct conf_daemon *d);
void conf_daemon_free(struct conf_daemon *d);

/* ---- Reload ---- */

#define CONF_RESTART_TEXT 256
struct conf_reload {
    size_t changed;                  /* options that got another value */
    char restart[CONF_RESTART_TEXT]; /* those that differ and need a restart: "name, workers"; "": none */
};
/* Reads the file anew, with environment and command line as at the start. Options that are `live` get their
 * new value in *target, which conf_daemon_parse() filled; the caller tells those who use them. TW_EINVAL:
 * something is wrong: d->errors says what, and nothing has changed. `scratch`: zeroed, as large as *target;
 * free afterwards with conf_free(). */
enum tw_rc conf_daemon_reload(struct conf_daemon *d, void *target, void *scratch, struct conf_reload *ret);

/* The values of a configuration file, in its order; everything that is wrong goes to *errors. `path` is for
 * their places only; text need not be terminated. TW_ENOMEM; else TW_OK. */
enum tw_rc conf_file_read_text(const struct conf_program *p, const char *path, const char *text, size_t len,
                               struct conf_values *ret, struct conf_errors *errors);

#endif
