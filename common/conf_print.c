/* Configuration files and tables of options, from the table of options. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/conf_priv.h"
#include "common/utf8.h"
#include "common/version.h"

enum { COMMENT_WIDTH = 110 };

/* ---- Text ---- */

static void print_comment(FILE *to, const char *text)
{
    int column = 0;

    while (*text) {
        size_t word = strcspn(text, " ");
        if (column && column + 1 + (int)word > COMMENT_WIDTH) {
            putc('\n', to);
            column = 0;
        }
        column += fprintf(to, "%s%.*s", column ? " " : "# ", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    putc('\n', to);
}

/* What a person would write without quotes, and every reader of YAML takes for what it is. */
static bool is_plain(const char *text)
{
    static const char *const others[] = { "null", "on", "off", "yes",
                                          "no" }; /* some readers make truth values of these */
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:+@=%-";
    size_t len = strlen(text);

    for (size_t i = 0; i < TW_NELEM(others); i++)
        if (!strcasecmp(text, others[i]))
            return false;
    return len && strspn(text, safe) == len && !strchr(":+@=%-", text[0]) && text[len - 1] != ':';
}

/* May it stand in a quoted text as it is? To YAML some characters beyond ASCII are ends of lines. */
static bool is_shown(const unsigned char *s, size_t n)
{
    if (n == 2)
        return s[0] != 0xc2 || s[1] >= 0xa0;
    return n != 3 || (memcmp(s, "\xe2\x80\xa8", 3) != 0 && memcmp(s, "\xe2\x80\xa9", 3) != 0 &&
                      memcmp(s, "\xef\xbb\xbf", 3) != 0 && memcmp(s, "\xef\xbf\xbe", 3) != 0 &&
                      memcmp(s, "\xef\xbf\xbf", 3) != 0);
}

/* One character of a quoted text; returns its octets. What is no UTF-8 becomes U+FFFD. */
static size_t print_character(FILE *to, const unsigned char *s, size_t left)
{
    size_t n = tw_utf8_len(s);

    if (!n || n > left) {
        fputs("\xef\xbf\xbd", to);
        return 1;
    }
    if (*s == '"' || *s == '\\')
        fprintf(to, "\\%c", *s);
    else if (*s < ' ' || *s == 0x7f)
        fprintf(to, "\\x%02x", *s);
    else if (n == 1 || is_shown(s, n))
        fwrite(s, 1, n, to);
    else if (n == 2)
        fprintf(to, "\\x%02x", s[1]);
    else
        fprintf(to, "\\u%04x", (unsigned)((s[0] & 0x0f) << 12 | (s[1] & 0x3f) << 6 | (s[2] & 0x3f)));
    return n;
}

static void print_scalar(FILE *to, const char *text, size_t len)
{
    char word[256];

    if (len < sizeof word) {
        snprintf(word, sizeof word, "%.*s", (int)len, text);
        if (is_plain(word)) {
            fputs(word, to);
            return;
        }
    }
    putc('"', to);
    for (size_t i = 0; i < len;)
        i += print_character(to, (const unsigned char *)text + i, len - i);
    putc('"', to);
}

/* The items of a text with commas; returns how many stand before it and in it. */
static size_t print_items(FILE *to, const char *text, size_t before)
{
    size_t len;

    for (const char *p = text;; p += len + 1) {
        len = strcspn(p, ",");
        if (len) {
            fputs(before++ ? ", " : "", to);
            print_scalar(to, p, len);
        }
        if (!p[len])
            return before;
    }
}

static void print_text_value(FILE *to, const struct conf_opt *o, const char *text)
{
    if (o->type == CONF_STRLIST) {
        putc('[', to);
        print_items(to, text, 0);
        putc(']', to);
    } else {
        print_scalar(to, text, strlen(text));
    }
}

static const char *default_text(const struct conf_opt *o)
{
    return o->dflt ? o->dflt : o->type == CONF_FLAG ? "false" : NULL;
}

/* ---- The file with the defaults ---- */

/* As in help, without what the line itself shows. */
static void print_about(FILE *to, const struct conf_opt *o)
{
    char allowed[160] = "", text[1024];

    if (o->type == CONF_ENUM)
        conf_choices_text(o, allowed, sizeof allowed);
    else if (o->type == CONF_INT)
        conf_range_text(o, allowed, sizeof allowed);
    snprintf(text, sizeof text, "%s%s%s%s%s", o->help, allowed[0] ? " Allowed: " : "", allowed,
             allowed[0] ? "." : "", default_text(o) ? "" : " Not set by default.");
    print_comment(to, text);
}

void conf_print_default_file(FILE *to, const struct conf_program *p)
{
    const struct conf_opt *file = conf_find(p, "config");
    char text[1024];

    snprintf(text, sizeof text,
             "Configuration of %s, read at %s. What is commented out here is the default. An environment "
             "variable (%s_ and the key in "
             "capitals, with _ for -) counts more than this file, the command line more than both.",
             p->name, file ? file->dflt : "", p->env_prefix);
    print_comment(to, text);
    snprintf(text, sizeof text,
             "Check it: %s --check-config. What is in use, and where from: %s --print-config.", p->name,
             p->name);
    print_comment(to, text);
    print_comment(to, "Passphrases, keys and tokens are never written here: they are in files of their own, "
                      "which are named here.");
    for (size_t i = 0; i < p->n_opts; i++) {
        const struct conf_opt *o = &p->opts[i];
        if (o->now)
            continue;
        putc('\n', to);
        print_about(to, o);
        fprintf(to, "#%s: ", o->name);
        if (default_text(o))
            print_text_value(to, o, default_text(o));
        else
            fputs(o->type == CONF_STRLIST ? "[]" : "\"\"", to);
        putc('\n', to);
    }
}

/* ---- What is in use ---- */

static void print_origin(FILE *to, const struct conf_program *p, const struct conf_values *l,
                         const struct conf_value *v)
{
    char name[CONF_ENV_NAME_MAX];

    if (!v) {
        fputs(" # default\n", to);
    } else if (v->by == CONF_BY_FILE) {
        fprintf(to, " # %s:%u\n", l->file, v->line);
    } else if (v->by == CONF_BY_ENV) {
        conf_env_name(p, v->opt, name);
        fprintf(to, " # environment: %s\n", name);
    } else {
        fputs(" # command line\n", to);
    }
}

static void print_list(FILE *to, const struct conf_values *l, const struct conf_value *last)
{
    size_t n = 0;

    putc('[', to);
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].opt == last->opt && l->v[i].by == last->by)
            n = print_items(to, l->v[i].text, n);
    putc(']', to);
}

void conf_print_values(FILE *to, const struct conf_program *p, const struct conf_values *l)
{
    fprintf(to, "# What %s %s uses, and where from.\n", p->name, tw_version);
    for (size_t i = 0; i < p->n_opts; i++) {
        const struct conf_opt *o = &p->opts[i];
        const struct conf_value *v = conf_values_find(l, o);

        if (o->now)
            continue;
        if (!v && !default_text(o)) {
            fprintf(to, "# %s: not set\n", o->name);
            continue;
        }
        fprintf(to, "%s: ", o->name);
        if (v && o->type == CONF_STRLIST)
            print_list(to, l, v);
        else
            print_text_value(to, o, v ? v->text : default_text(o));
        print_origin(to, p, l, v);
    }
}

/* ---- A table in Markdown ---- */

/* What would end a cell, or begin something of its own. */
static void print_cell(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (strchr("|<>*_", *text))
            putc('\\', to);
        putc(*text, to);
    }
}

/* A key of a file by its name, any other option as it stands on a command line. */
static void print_name(FILE *to, const struct conf_program *p, const struct conf_opt *o)
{
    if (p->file_manual) {
        fprintf(to, "`%s%s`", o->now ? "--" : "", o->name);
        return;
    }
    if (o->short_name)
        fprintf(to, "`-%c`, ", o->short_name);
    fprintf(to, "`--%s", o->name);
    if (o->arg)
        fprintf(to, o->implied ? "[=%s]" : "=%s", o->arg);
    putc('`', to);
}

void conf_print_markdown(FILE *to, const struct conf_program *p)
{
    fprintf(to, "| option%s | default | %swhat |\n|---|---|%s---|\n", p->file_manual ? ", key" : "",
            p->file_manual ? "reload | " : "", p->file_manual ? "---|" : "");
    for (size_t i = 0; i < p->n_opts; i++) {
        const struct conf_opt *o = &p->opts[i];
        const char *dflt = o->now ? NULL : default_text(o);

        fputs("| ", to);
        print_name(to, p, o);
        fprintf(to, " | %s%s%s | ", dflt ? "`" : "", dflt ? dflt : "", dflt ? "`" : "");
        if (p->file_manual)
            fprintf(to, "%s | ", o->now ? "" : o->live ? "yes" : "restart");
        print_cell(to, o->help);
        fputs(" |\n", to);
    }
}
