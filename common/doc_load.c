/* From octets to a libyaml document: what can be refused is refused before libyaml builds anything large. */
#include "common/doc.h"

#include <stdio.h>
#include <string.h>

static enum tw_rc fail_at(struct tw_err *err, size_t line, size_t column, const char *text)
{
    err->line = (unsigned)line + 1;
    err->column = (unsigned)column + 1;
    return tw_err_set(err, TW_EINVAL, "%s", text);
}

/* ---- Characters ---- */

/* Octets of the UTF-8 character at p (RFC 3629), 0 if it is none; *ret = its code point. */
static size_t utf8_char(const unsigned char *p, size_t len, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = *p < 0x80                 ? 1
               : *p >= 0xf0 && *p < 0xf5 ? 4
               : *p >= 0xe0 && *p < 0xf0 ? 3
               : *p >= 0xc2 && *p < 0xe0 ? 2
                                         : 0;
    uint32_t c;

    if (!n || n > len)
        return 0;
    c = n == 1 ? *p : *p & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return n;
}

/* What YAML does not allow outside of escapes. */
static bool is_control(uint32_t c)
{
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f ||
           (c >= 0x80 && c < 0xa0 && c != 0x85) || c == 0xfffe || c == 0xffff;
}

static enum tw_rc check_characters(const char *text, size_t len, struct tw_err *err)
{
    size_t line = 0, column = 0, n;
    uint32_t c;

    for (size_t i = 0; i < len; i += n) {
        n = utf8_char((const unsigned char *)text + i, len - i, &c);
        if (!n)
            return fail_at(err, line, column, "not UTF-8: expected a YAML or JSON text");
        if (is_control(c))
            return fail_at(err, line, column,
                           c ? "a control character: expected a YAML or JSON text"
                             : "a NUL character: expected a YAML or JSON text");
        column = c == '\n' ? 0 : column + 1;
        line += c == '\n';
    }
    return TW_OK;
}

/* ---- Errors of libyaml ---- */

/* The character that the mark points to; marks count characters. */
static char char_at(const char *text, size_t len, const yaml_mark_t *mark)
{
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)text[i] & 0xc0) == 0x80)
            continue;
        if (at++ == mark->index)
            return text[i];
    }
    return '\0';
}

static const char *hint_for(char c)
{
    switch (c) {
    case '@':
        return "; quote the names of groups: \"@name\"";
    case '\t':
        return "; a tab: indent with spaces";
    default:
        return "";
    }
}

static enum tw_rc fail_yaml(const yaml_parser_t *p, const char *text, size_t len, struct tw_err *err)
{
    char what[200];

    if (p->error == YAML_MEMORY_ERROR)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    snprintf(what, sizeof what, "%s%s%s%s", p->context ? p->context : "", p->context ? ": " : "",
             p->problem ? p->problem : "not YAML", hint_for(char_at(text, len, &p->problem_mark)));
    return fail_at(err, p->problem_mark.line, p->problem_mark.column, what);
}

/* ---- Shape ---- */

struct shape {
    unsigned depth, nodes, documents;
};

static enum tw_rc check_event(const yaml_event_t *e, struct shape *s, struct tw_err *err)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (s->documents++)
            return fail_at(err, e->start_mark.line, e->start_mark.column,
                           "a second document begins here: expected one document in a file");
        return TW_OK;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        if (++s->depth > DOC_DEPTH_MAX)
            return fail_at(err, e->start_mark.line, e->start_mark.column,
                           "lists and maps are nested too deeply");
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        s->depth--;
        return TW_OK;
    case YAML_SCALAR_EVENT:
    case YAML_ALIAS_EVENT:
        break;
    default:
        return TW_OK;
    }
    if (++s->nodes > DOC_NODES_MAX)
        return fail_at(err, e->start_mark.line, e->start_mark.column, "too many values for one document");
    return TW_OK;
}

/* A first pass over the events: stops at the first excess, where building the document would go on. */
static enum tw_rc check_shape(yaml_parser_t *p, const char *text, size_t len, struct tw_err *err)
{
    struct shape s = { 0 };
    enum tw_rc rc = TW_OK;
    bool end = false;

    while (!rc && !end) {
        yaml_event_t e;

        if (!yaml_parser_parse(p, &e))
            return fail_yaml(p, text, len, err);
        rc = check_event(&e, &s, err);
        end = e.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    if (!rc && !s.documents)
        return fail_at(err, 0, 0, "the document is empty");
    return rc;
}

/* ---- Loading ---- */

static enum tw_rc with_parser(enum tw_rc (*run)(yaml_parser_t *p, void *ctx), void *ctx, const char *text,
                              size_t len, struct tw_err *err)
{
    yaml_parser_t p;
    enum tw_rc rc;

    if (!yaml_parser_initialize(&p))
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
    rc = run(&p, ctx);
    yaml_parser_delete(&p);
    return rc;
}

struct load {
    struct doc *d;
    const char *text;
    size_t len;
};

static enum tw_rc run_check(yaml_parser_t *p, void *ctx)
{
    struct load *l = ctx;

    return check_shape(p, l->text, l->len, l->d->err);
}

static enum tw_rc run_load(yaml_parser_t *p, void *ctx)
{
    struct load *l = ctx;

    if (!yaml_parser_load(p, &l->d->yaml))
        return fail_yaml(p, l->text, l->len, l->d->err);
    if (doc_root(l->d))
        return TW_OK;
    doc_close(l->d);
    return fail_at(l->d->err, 0, 0, "the document is empty");
}

enum tw_rc doc_open(struct doc *d, const char *file, const char *text, size_t len, struct tw_err *err)
{
    struct load l = { d, text, len };
    enum tw_rc rc;

    *d = (struct doc){ .err = err };
    *err = (struct tw_err){ 0 };
    snprintf(err->file, sizeof err->file, "%s", file ? file : "");
    if (len > DOC_BYTES_MAX)
        return tw_err_set(err, TW_EINVAL, "the document has %zu octets: expected at most %zu", len,
                          DOC_BYTES_MAX);
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* a byte order mark */
        l.text += 3;
        l.len -= 3;
    }
    rc = check_characters(l.text, l.len, err);
    if (!rc)
        rc = with_parser(run_check, &l, l.text, l.len, err);
    if (!rc)
        rc = with_parser(run_load, &l, l.text, l.len, err);
    return rc;
}

void doc_close(struct doc *d)
{
    yaml_document_delete(&d->yaml);
}
