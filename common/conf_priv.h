/* common/conf_priv.h - what the conf_*.c files share. */
#ifndef TW_COMMON_CONF_PRIV_H
#define TW_COMMON_CONF_PRIV_H

#include "common/conf.h"

/* What stands for the value in help; NULL for a flag. */
const char *conf_placeholder(const struct conf_opt *o);
/* Is this letter left for -h or -V? */
bool conf_short_is_free(const struct conf_program *p, char c);
/* What help says of an option: what it does, what is allowed, its default and variable. Returns buf. */
const char *conf_option_text(const struct conf_program *p, const struct conf_opt *o, char *buf, size_t cap);
/* What values are allowed, as a phrase after "must be". */
void conf_range_text(const struct conf_opt *o, char *buf, size_t cap);
void conf_choices_text(const struct conf_opt *o, char *buf, size_t cap);
enum tw_rc conf_strlist_append(struct conf_strlist *l, const char *text, size_t len);

struct conf_given {
    const struct conf_opt *opt;
    const char *text;
};
struct conf_cmdline {
    const struct conf_program *p;
    struct conf_given *given; /* in the order of the command line */
    size_t n_given;
    struct conf_strlist args;
    struct conf_strlist expanded; /* words that argv has instead of abbreviations */
    bool help, version;
};

/* Sorts the words of the command line into *c (zeroed but for p), to be freed also after a failure. */
enum tw_rc conf_cmdline_collect(struct conf_cmdline *c, int argc, char **argv, struct tw_err *err);
void conf_cmdline_free(struct conf_cmdline *c);

/* The beginning of every parse: sorts the command line, to be freed also after a failure. TW_ECLOSED: it was to print
 * something, and is done. */
enum tw_rc conf_begin(struct conf_cmdline *c, int argc, char **argv, struct tw_err *err);
enum tw_rc conf_values_from_env(struct conf_values *l, const struct conf_program *p);
enum tw_rc conf_values_from_cmdline(struct conf_values *l, const struct conf_cmdline *c);
/* Defaults, then the values. What is wrong goes to *errors, and leaves its field as it was. */
void conf_apply(const struct conf_program *p, const struct conf_values *l, void *target, struct conf_errors *errors);
/* Says in *e where this value is from. */
void conf_err_place(const struct conf_program *p, const struct conf_values *l, const struct conf_value *v, struct tw_err *e);
/* Do both structs of a program say the same of this option? Never of CONF_PARSED: their texts tell. */
bool conf_same(const struct conf_opt *o, const void *a, const void *b);
/* The value of *from goes to *to, and what was there to *from. Not of CONF_PARSED. */
void conf_swap(const struct conf_opt *o, void *to, void *from);
const struct conf_opt *conf_find(const struct conf_program *p, const char *name); /* NULL: none */

#endif
