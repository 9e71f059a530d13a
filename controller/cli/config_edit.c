/* Edits of the configuration file, line by line: what the user wrote around them stays. The new text is read
 * back before it replaces the old one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "controller/cli/cli.h"
#include "controller/cli/config.h"

/* ---- Lines ---- */

/* Begin of a line, counted from 1; the end of the text if there are fewer. */
static const char *line_at(const char *text, unsigned line)
{
    while (line > 1 && *text) {
        text += strcspn(text, "\n");
        text += *text == '\n';
        line--;
    }
    return text;
}

static void copy_lines(FILE *to, const char *from, const char *end)
{
    fwrite(from, 1, (size_t)(end - from), to);
    if (end > from && end[-1] != '\n') /* the last line of a file may lack its end */
        putc('\n', to);
}

/* ---- Writing ---- */

static enum tw_rc fail_errno(struct tw_err *err, const char *what)
{
    return tw_err_set(err, TW_EIO, "cannot %s: %s", what, strerror(errno));
}

/* Folders on the way to the file, as the user's own. */
static enum tw_rc make_folders(const char *path, struct tw_err *err)
{
    char *copy = strdup(path);
    enum tw_rc rc = copy ? TW_OK : tw_err_set(err, TW_ENOMEM, "out of memory");

    for (char *slash = copy; !rc && (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        if (mkdir(copy, 0700) && errno != EEXIST)
            rc = fail_errno(err, "make its folder");
        *slash = '/';
    }
    free(copy);
    return rc;
}

static enum tw_rc write_all(int fd, const char *text, struct tw_err *err)
{
    size_t len = strlen(text);

    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return fail_errno(err, "write it");
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return fsync(fd) ? fail_errno(err, "write it") : TW_OK;
}

static enum tw_rc replace_file(const char *path, const char *text, struct tw_err *err)
{
    char *real = realpath(path, NULL), *temp = NULL; /* a link stays a link */
    enum tw_rc rc = TW_OK;
    int fd;

    if (asprintf(&temp, "%s.XXXXXX", real ? real : path) < 0) {
        free(real);
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    }
    fd = mkostemp(temp, O_CLOEXEC); /* 0600 */
    if (fd < 0) {
        rc = fail_errno(err, "write it");
    } else {
        rc = write_all(fd, text, err);
        close(fd);
        if (!rc && rename(temp, real ? real : path))
            rc = fail_errno(err, "replace it");
        if (rc)
            unlink(temp);
    }
    free(real);
    free(temp);
    return rc;
}

/* What the file must say afterwards. */
struct wanted {
    size_t n;
    const char *current, *there, *gone; /* NULL: none; a context that must be there, or gone */
};

static bool same(const char *a, const char *b)
{
    return !a || !b ? a == b : !strcmp(a, b);
}

/* Writes the text if it reads back as wanted. Takes text, which may be NULL: no memory. */
static enum tw_rc finish(const struct config *c, char *text, struct wanted w, struct tw_err *err)
{
    struct config now = { 0 };
    enum tw_rc rc;

    *err = (struct tw_err){ 0 };
    snprintf(err->file, sizeof err->file, "%s", c->path);
    rc = text ? config_parse(c->path, text, &now, err) : tw_err_set(err, TW_ENOMEM, "out of memory");
    if (!rc && (now.n != w.n || !same(now.current, w.current) || (w.there && !config_find(&now, w.there)) ||
                (w.gone && config_find(&now, w.gone))))
        rc = tw_err_set(err, TW_EINVAL, "cannot be edited as it is written: change it by hand");
    if (!rc)
        rc = make_folders(c->path, err);
    if (!rc)
        rc = replace_file(c->path, text, err);
    config_free(&now);
    free(text);
    return rc;
}

/* ---- Edits ---- */

static const char *text_of(const struct config *c)
{
    return c->text ? c->text : "";
}

/* All but the lines from..to (0, 0: all), and `current` where it was or at the top. */
static char *rewrite(const struct config *c, const char *current, unsigned from, unsigned to)
{
    const char *text = text_of(c), *end = text + strlen(text);
    char *ret = NULL;
    size_t len = 0;
    FILE *mem = open_memstream(&ret, &len);
    unsigned line = 1;

    if (!mem)
        return NULL;
    if (current && !c->current_line)
        fprintf(mem, "current: %s\n", current);
    for (const char *at = text; at < end; line++) {
        const char *next = line_at(at, 2), *comment = NULL;
        if (line == c->current_line) {
            comment = memmem(at, (size_t)(next - at), " #", 2);
            if (current)
                fprintf(mem, "current: %s%s%.*s\n", current, comment ? " " : "",
                        comment ? (int)strcspn(comment, "\n") : 0, comment ? comment : "");
        } else if (line < from || line > to) {
            copy_lines(mem, at, next);
        }
        at = next;
    }
    return fclose(mem) ? NULL : ret;
}

enum tw_rc config_use(const struct config *c, const char *name, struct tw_err *err)
{
    return finish(c, rewrite(c, name, 0, 0), (struct wanted){ c->n, name, NULL, NULL }, err);
}

enum tw_rc config_remove(const struct config *c, const char *name, struct tw_err *err)
{
    const struct context *x = config_find(c, name);
    const char *current = c->current && strcmp(c->current, name) != 0 ? c->current : NULL;
    unsigned from = c->n == 1 ? c->contexts_line : x->line; /* an empty map would have no value */

    return finish(c, rewrite(c, current, from, x->last_line),
                  (struct wanted){ c->n - 1, current, NULL, name }, err);
}

/* The new context as libyaml writes it, moved to the right. */
static enum tw_rc print_context(FILE *to, const struct context *x, unsigned indent)
{
    cJSON *root = cJSON_CreateObject(), *map = cJSON_AddObjectToObject(root, x->name);
    char *text = NULL;
    const char *why;
    size_t len = 0;
    FILE *mem = open_memstream(&text, &len);
    bool ok;

    for (int i = 0; i < CONTEXT_SETTINGS; i++)
        if (x->values[i])
            cJSON_AddStringToObject(map, context_settings[i].key, x->values[i]);
    ok = mem && out_yaml_print(root, mem, false, &why);
    ok = mem && !fclose(mem) && ok;
    for (const char *at = text; ok && *at;) {
        const char *next = line_at(at, 2);
        fprintf(to, "%*s", (int)indent, "");
        copy_lines(to, at, next);
        at = next;
    }
    free(text);
    return ok ? TW_OK : TW_ENOMEM;
}

enum tw_rc config_add(const struct config *c, const struct context *add, struct tw_err *err)
{
    const struct context *last = c->n ? &c->contexts[c->n - 1] : NULL;
    const char *text = text_of(c), *end = text + strlen(text),
               *at = last ? line_at(text, last->last_line + 1) : end;
    char *ret = NULL;
    size_t len = 0;
    FILE *mem = open_memstream(&ret, &len);
    bool ok = mem != NULL;

    if (ok) {
        copy_lines(mem, text, at);
        if (!last && !c->contexts_line)
            fputs("contexts:\n", mem);
        ok = print_context(mem, add, last ? last->column - 1 : 2) == TW_OK;
        copy_lines(mem, at, end);
        ok = !fclose(mem) && ok;
    }
    if (!ok) {
        free(ret);
        ret = NULL;
    }
    return finish(c, ret, (struct wanted){ c->n + 1, c->current, add->name, NULL }, err);
}
