/* common/conf_file.c - see conf_file.h. */
#include "common/conf_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_priv.h"
#include "common/doc.h"
#include "common/name_index.h"

const char *const conf_print_words[] = { [CONF_PRINT_NOTHING] = "nothing",
                                         [CONF_PRINT_EFFECTIVE] = "effective",
                                         [CONF_PRINT_DEFAULT] = "default",
                                         NULL };

/* ---- Keys ---- */

struct file_walk {
    const struct conf_program *p;
    struct doc doc;
    struct conf_values *values;
    struct conf_errors *errors;
    bool *seen;
    bool no_memory;
};

/* The options that name files with secrets. */
static void secret_files(const struct conf_program *p, char *buf, size_t cap)
{
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < p->n_opts && len < cap; i++)
        if (p->opts[i].secret)
            len += (size_t)snprintf(buf + len, cap - len, "%s%s", len ? ", " : "", p->opts[i].name);
}

/* Would somebody write a secret behind this? */
static bool means_secret(const struct conf_program *p, const char *key)
{
    static const char *const words[] = { "password", "passphrase", "secret", "token", "psk", "private" };
    char name[CONF_ENV_NAME_MAX];
    const struct conf_opt *o;

    for (size_t i = 0; i < TW_NELEM(words); i++)
        if (strstr(key, words[i]))
            return true;
    snprintf(name, sizeof name, "%s-file", key);
    o = conf_find(p, name);
    return o && o->secret;
}

/* Also for those who write _ for -. */
static const char *meant_key(const struct conf_program *p, const char *key)
{
    struct name_near near = { .wanted = key };
    char dashes[64];

    snprintf(dashes, sizeof dashes, "%s", key);
    for (char *c = dashes; *c; c++)
        *c = (char)(*c == '_' ? '-' : *c);
    near.wanted = dashes;
    for (size_t i = 0; i < p->n_opts; i++)
        if (!p->opts[i].now)
            name_near_look(&near, p->opts[i].name);
    return *key ? name_near_get(&near) : NULL;
}

static void unknown_key(struct file_walk *w, const yaml_node_t *key, const char *text)
{
    const char *meant = meant_key(w->p, text);
    char files[128];

    if (!meant && means_secret(w->p, text)) {
        secret_files(w->p, files, sizeof files);
        doc_fail(&w->doc, key, "no secret is written here, but in a file of its own: %s", files);
        return;
    }
    doc_fail(&w->doc, key, "is no key%s%s%s",
             meant ? ": did you mean \"" : ": --print-config=default lists them", meant ? meant : "",
             meant ? "\"?" : "");
}

/* NULL: it is none, and that was said. */
static const struct conf_opt *key_option(struct file_walk *w, const yaml_node_t *key)
{
    const struct conf_opt *o;
    const char *text = "";
    char quote[DOC_QUOTE];

    if (key->type != YAML_SCALAR_NODE) {
        doc_fail(&w->doc, key, "expected the name of an option before the colon");
        return NULL;
    }
    if (doc_text(&w->doc, key, &text))
        return NULL;
    doc_push(&w->doc, "%s", doc_quote(text, quote));
    o = conf_find(w->p, text);
    if (!o) {
        unknown_key(w, key, text);
    } else if (o->now) {
        doc_fail(&w->doc, key, "is for the command line, not for a file");
        o = NULL;
    } else if (w->seen[o - w->p->opts]) {
        doc_fail(&w->doc, key, "is given twice");
        o = NULL;
    } else {
        w->seen[o - w->p->opts] = true;
    }
    return o;
}

/* ---- Values ---- */

static bool is_nothing(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;

    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || !strcmp(text, "~") || !strcmp(text, "null"));
}

/* Never shows what it refuses: it may be the secret. */
static bool is_path(const char *text)
{
    return (text[0] == '/' || !strncmp(text, "./", 2) || !strncmp(text, "../", 3)) && !strpbrk(text, "\n\r");
}

static enum tw_rc add_text(struct file_walk *w, const struct conf_opt *o, const yaml_node_t *node)
{
    const char *text = "";

    if (node->type != YAML_SCALAR_NODE)
        return doc_fail(&w->doc, node,
                        o->type == CONF_STRLIST ? "expected a text, or a list of texts"
                                                : "expected one value, not a list or keys");
    if (is_nothing(node))
        return doc_fail(&w->doc, node, "has no value: remove it, or put a # before it, for the default");
    if (doc_text(&w->doc, node, &text))
        return TW_EINVAL;
    if (o->secret && !is_path(text))
        return doc_fail(&w->doc, node,
                        "expected the path of a file, /... or ./..., and not the secret itself");
    if (conf_values_add(w->values, o, text, strlen(text), CONF_BY_FILE,
                        (unsigned)node->start_mark.line + 1) == TW_OK)
        return TW_OK;
    w->no_memory = true;
    return TW_ENOMEM;
}

static enum tw_rc add_value(struct file_walk *w, const struct conf_opt *o, const yaml_node_t *node)
{
    enum tw_rc rc = TW_OK;

    if (o->type != CONF_STRLIST || node->type != YAML_SEQUENCE_NODE)
        return add_text(w, o, node);
    if (!doc_count(node) &&
        conf_values_add(w->values, o, "", 0, CONF_BY_FILE, (unsigned)node->start_mark.line + 1)) {
        w->no_memory = true; /* an empty list replaces the default, too */
        return TW_ENOMEM;
    }
    for (const yaml_node_item_t *i = node->data.sequence.items.start;
         rc == TW_OK && i < node->data.sequence.items.top; i++)
        rc = add_text(w, o, yaml_document_get_node(&w->doc.yaml, *i));
    return rc;
}

static void walk_pair(struct file_walk *w, const yaml_node_pair_t *pair)
{
    const struct conf_opt *o;
    struct tw_err *err = w->doc.err;

    err->rc = TW_OK;
    o = key_option(w, yaml_document_get_node(&w->doc.yaml, pair->key));
    if (o)
        add_value(w, o, yaml_document_get_node(&w->doc.yaml, pair->value));
    if (err->rc != TW_OK)
        conf_errors_add(w->errors, err);
    doc_pop(&w->doc, 0);
}

static void walk(struct file_walk *w)
{
    const yaml_node_t *root = doc_root(&w->doc);

    if (root->type != YAML_MAPPING_NODE) {
        doc_fail(&w->doc, root, "expected lines of \"key: value\"");
        conf_errors_add(w->errors, w->doc.err);
        return;
    }
    for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++)
        walk_pair(w, p);
}

/* The file with the defaults is like that. */
static bool only_comments(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '#')
            while (i < len && text[i] != '\n')
                i++;
        else if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    }
    return true;
}

enum tw_rc conf_file_read_text(const struct conf_program *p, const char *path, const char *text, size_t len,
                               struct conf_values *ret, struct conf_errors *errors)
{
    struct tw_err err = { 0 };
    struct file_walk w = { .p = p, .values = ret, .errors = errors };

    if (only_comments(text, len))
        return TW_OK;
    w.seen = calloc(p->n_opts + 1, sizeof *w.seen);
    if (!w.seen)
        return TW_ENOMEM;
    if (doc_open(&w.doc, path, text, len, &err) == TW_OK) {
        walk(&w);
        doc_close(&w.doc);
    } else {
        conf_errors_add(errors, &err);
    }
    free(w.seen);
    return w.no_memory || err.rc == TW_ENOMEM ? TW_ENOMEM : TW_OK;
}

/* ---- The file ---- */

static enum tw_rc cannot_read(const char *path, int error, struct conf_errors *errors)
{
    struct tw_err err = { .rc = tw_rc_errno(error) };

    snprintf(err.file, sizeof err.file, "%s", path);
    snprintf(err.text, sizeof err.text, "cannot be read: %s", strerror(error));
    conf_errors_add(errors, &err);
    return TW_OK;
}

static enum tw_rc read_stream(const struct conf_program *p, const char *path, FILE *f,
                              struct conf_values *ret, struct conf_errors *errors)
{
    char *text = malloc(DOC_BYTES_MAX + 1);
    size_t len;
    enum tw_rc rc;

    if (!text)
        return TW_ENOMEM;
    errno = 0;
    len = fread(text, 1, DOC_BYTES_MAX + 1, f);
    rc = ferror(f) ? cannot_read(path, errno, errors) : conf_file_read_text(p, path, text, len, ret, errors);
    free(text);
    return rc;
}

/* `must`: it was named. */
static enum tw_rc read_file(const struct conf_program *p, const char *path, bool must,
                            struct conf_values *ret, struct conf_errors *errors)
{
    FILE *f = fopen(path, "re");
    enum tw_rc rc;

    if (!f)
        return errno == ENOENT && !must ? TW_OK : cannot_read(path, errno, errors);
    ret->file = strdup(path);
    rc = ret->file ? read_stream(p, path, f, ret, errors) : TW_ENOMEM;
    fclose(f);
    return rc;
}

/* ---- All together ---- */

/* The path of the file, and whether somebody named it. */
static const char *wanted_file(const struct conf_program *p, const struct conf_cmdline *c, bool *ret_named)
{
    const struct conf_opt *o = conf_find(p, "config");
    char name[CONF_ENV_NAME_MAX];
    const char *path;

    *ret_named = true;
    for (size_t i = c->n_given; i-- > 0;)
        if (c->given[i].opt == o)
            return c->given[i].text;
    conf_env_name(p, o, name);
    path = getenv(name);
    if (path)
        return path;
    *ret_named = false;
    return o->dflt;
}

static enum tw_rc gather(struct conf_daemon *d, const struct conf_cmdline *c, struct conf_values *ret)
{
    bool named;
    const char *path = wanted_file(d->program, c, &named);
    enum tw_rc rc = strcmp(path, "none") ? read_file(d->program, path, named, ret, &d->errors) : TW_OK;

    if (rc == TW_OK)
        rc = conf_values_from_env(ret, d->program);
    return rc == TW_OK ? conf_values_from_cmdline(ret, c) : rc;
}

/* What check() found has the name of an option: where is its value from? */
static void check_all(struct conf_daemon *d, const struct conf_values *values, void *target)
{
    size_t before = d->errors.n;

    if (d->check)
        d->check(target, &d->errors);
    for (size_t i = before; i < d->errors.n; i++) {
        const struct conf_opt *o = conf_find(d->program, d->errors.v[i].field);
        const struct conf_value *v = o ? conf_values_find(values, o) : NULL;
        if (v)
            conf_err_place(d->program, values, v, &d->errors.v[i]);
    }
}

/* On the command line, of an option that takes one value: the earlier ones would be left out without a word.
 */
static void check_repeats(struct conf_daemon *d, const struct conf_values *values)
{
    for (size_t i = 1; i < values->n; i++) {
        const struct conf_value *v = &values->v[i], *before = v;

        if (v->by != CONF_BY_CMDLINE || v->opt->type == CONF_STRLIST)
            continue;
        while (before-- > values->v)
            if (before->opt == v->opt && before->by == CONF_BY_CMDLINE &&
                strcmp(before->text, v->text) != 0) {
                conf_errors_set(&d->errors, v->opt->name,
                                "is given twice, %.80s and %.80s: it takes one value", before->text, v->text);
                break;
            }
    }
}

static enum tw_rc fail_memory(struct conf_daemon *d)
{
    const struct tw_err err = { .rc = TW_ENOMEM, .text = "out of memory" };

    conf_errors_add(&d->errors, &err);
    return TW_ENOMEM;
}

static enum tw_rc evaluate(struct conf_daemon *d, const struct conf_cmdline *c, void *target)
{
    struct conf_values values = { 0 };
    enum tw_rc rc = gather(d, c, &values);

    if (rc == TW_OK) {
        check_repeats(d, &values);
        conf_apply(d->program, &values, target, &d->errors);
        check_all(d, &values, target);
    } else {
        fail_memory(d);
    }
    if (rc == TW_OK && (d->errors.n || d->errors.lost))
        rc = TW_EINVAL;
    conf_values_free(&d->values);
    d->values = values;
    return rc;
}

/* argp changes the order of words, and abbreviations are replaced: the next time all must be as it was. */
static enum tw_rc parse_once(struct conf_daemon *d, void *target)
{
    char **words = calloc((size_t)d->argc + 1, sizeof *words);
    struct conf_cmdline c = { .p = d->program };
    struct tw_err err = { 0 };
    enum tw_rc rc;

    if (!words)
        return fail_memory(d);
    memcpy(words, d->argv, (size_t)d->argc * sizeof *words);
    rc = conf_begin(&c, d->argc, words, &err);
    if (rc == TW_OK)
        rc = evaluate(d, &c, target);
    else if (rc != TW_ECLOSED)
        conf_errors_add(&d->errors, &err);
    conf_cmdline_free(&c);
    free(words);
    return rc;
}

static const void *field_named(const struct conf_daemon *d, const char *name, const void *target)
{
    return (const char *)target + conf_find(d->program, name)->offset;
}

static size_t count_from_file(const struct conf_values *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        n += l->v[i].by == CONF_BY_FILE && (!i || l->v[i - 1].opt != l->v[i].opt);
    return n;
}

static int tell_check(const struct conf_daemon *d)
{
    if (d->errors.n || d->errors.lost) {
        conf_daemon_complain(d);
        return 1;
    }
    if (d->values.file)
        printf("%s: good, %zu keys\n", d->values.file, count_from_file(&d->values));
    else
        printf("good; there is no %s\n", conf_find(d->program, "config")->dflt);
    return 0;
}

enum tw_rc conf_daemon_parse(struct conf_daemon *d, void *target, int *ret_code)
{
    enum tw_rc rc = parse_once(d, target);
    int print = *(const int *)field_named(d, "print-config", target);

    *ret_code = 0;
    if (rc == TW_ECLOSED)
        return rc;
    if (*(const bool *)field_named(d, "check-config", target)) {
        *ret_code = tell_check(d);
        rc = TW_ECLOSED;
    } else if (print == CONF_PRINT_DEFAULT) {
        conf_print_default_file(stdout, d->program);
        rc = TW_ECLOSED;
    } else if (print == CONF_PRINT_EFFECTIVE && rc == TW_OK) {
        conf_print_values(stdout, d->program, &d->values);
        rc = TW_ECLOSED;
    }
    if (rc != TW_OK)
        conf_free(d->program, target);
    return rc == TW_OK || rc == TW_ECLOSED ? rc : TW_EINVAL;
}

static const char *text_of(const struct conf_values *l, const struct conf_opt *o)
{
    const struct conf_value *v = conf_values_find(l, o);

    return v ? v->text : o->dflt ? o->dflt : "";
}

static bool is_changed(const struct conf_opt *o, const void *now, const struct conf_values *said,
                       const void *wanted, const struct conf_values *says)
{
    return o->type == CONF_PARSED ? strcmp(text_of(said, o), text_of(says, o)) != 0
                                  : !conf_same(o, now, wanted);
}

static void add_restart(struct conf_reload *r, const char *name)
{
    size_t len = strlen(r->restart);

    snprintf(r->restart + len, sizeof r->restart - len, "%s%s", len ? ", " : "", name);
}

/* Texts of values that cannot be compared otherwise: those of the start count as long as there is no restart.
 */
static void keep_first(struct conf_daemon *d, struct conf_values *said)
{
    if (d->has_first) {
        conf_values_free(said);
        return;
    }
    d->first = *said;
    d->has_first = true;
}

enum tw_rc conf_daemon_reload(struct conf_daemon *d, void *target, void *scratch, struct conf_reload *ret)
{
    struct conf_values said = d->values;
    enum tw_rc rc;

    *ret = (struct conf_reload){ 0 };
    conf_errors_free(&d->errors);
    d->values = (struct conf_values){ 0 };
    rc = parse_once(d, scratch);
    if (rc != TW_OK) {
        conf_values_free(&d->values);
        d->values = said;
        return TW_EINVAL;
    }
    keep_first(d, &said);
    for (size_t i = 0; i < d->program->n_opts; i++) {
        const struct conf_opt *o = &d->program->opts[i];

        if (o->now || !is_changed(o, target, &d->first, scratch, &d->values))
            continue;
        if (!o->live) {
            add_restart(ret, o->name);
            continue;
        }
        conf_swap(o, target, scratch);
        ret->changed++;
    }
    return TW_OK;
}

void conf_daemon_complain(const struct conf_daemon *d)
{
    char text[640];

    for (size_t i = 0; i < d->errors.n; i++)
        fprintf(stderr, "%s: %s\n", d->program->name,
                conf_error_text(d->program, &d->errors.v[i], text, sizeof text));
    if (d->errors.lost)
        fprintf(stderr, "%s: and %zu more errors\n", d->program->name, d->errors.lost);
}

void conf_daemon_free(struct conf_daemon *d)
{
    conf_values_free(&d->values);
    conf_values_free(&d->first);
    conf_errors_free(&d->errors);
}
