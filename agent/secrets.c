/* agent/secrets.c - see secrets.h. */
#include "agent/secrets.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/core/crypto.h"

enum { LINE_OCTETS = SECRETS_NAME_MAX + 2 * SECRETS_SECRET_MAX + 64 };

struct row {
    char name[SECRETS_NAME_MAX + 1];
    uint8_t octets[SECRETS_SECRET_MAX];
    size_t len;
};

struct secrets {
    size_t n;
    struct row *rows[SECRETS_MAX];
};

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        crypto_wipe(s->rows[i], sizeof *s->rows[i]);
        free(s->rows[i]);
    }
    free(s);
}

size_t secrets_count(const struct secrets *s)
{
    return s->n;
}

struct secret secrets_get(const struct secrets *s, size_t i)
{
    return (struct secret){ s->rows[i]->name, s->rows[i]->octets, s->rows[i]->len };
}

enum tw_rc secrets_find(const struct secrets *s, const char *name, struct secret *ret)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->rows[i]->name, name)) {
            *ret = secrets_get(s, i);
            return TW_OK;
        }
    return TW_ENOENT;
}

/* ---- Reading ---- */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, struct row *r)
{
    for (; text[0]; text += 2) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0 || r->len == sizeof r->octets)
            return false;
        r->octets[r->len++] = (uint8_t)(high << 4 | low);
    }
    return r->len > 0;
}

/* What is wrong with the line, NULL if nothing. `line` has no newline. */
static const char *read_line(char *line, struct row *r)
{
    size_t name = strcspn(line, " \t");
    char *secret = line + name;

    if (!*secret)
        return "a line must be a name, white space and a secret";
    if (name > SECRETS_NAME_MAX)
        return "the name is longer than 80 octets";
    memcpy(r->name, line, name);
    secret += strspn(secret, " \t");
    if (!strncmp(secret, "hex:", 4))
        return read_hex(secret + 4, r)
                   ? NULL
                   : "after \"hex:\" there must be pairs of hexadecimal digits, 1024 at most";
    if (!*secret)
        return "the secret is empty";
    r->len = strlen(secret);
    if (r->len > sizeof r->octets)
        return "the secret is longer than 1024 octets";
    memcpy(r->octets, secret, r->len);
    return NULL;
}

static enum tw_rc add_line(struct secrets *s, char *line, unsigned number, struct tw_err *err)
{
    struct secret other;
    const char *wrong;
    struct row *r;

    line[strcspn(line, "\r\n")] = '\0';
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return TW_OK;
    if (s->n == SECRETS_MAX)
        return tw_err_set(err, TW_EINVAL, "more than %d secrets", SECRETS_MAX);
    r = calloc(1, sizeof *r);
    if (!r)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    wrong = read_line(line, r);
    if (!wrong && secrets_find(s, r->name, &other) == TW_OK)
        wrong = "this name stands in the file before";
    if (!wrong) {
        s->rows[s->n++] = r;
        return TW_OK;
    }
    crypto_wipe(r, sizeof *r);
    free(r);
    if (err)
        err->line = number;
    return tw_err_set(err, TW_EINVAL, "%s", wrong);
}

static enum tw_rc check_file(int fd, struct tw_err *err)
{
    struct stat st;

    if (fstat(fd, &st))
        return tw_err_set(err, TW_EIO, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return tw_err_set(err, TW_EPERM, "is no regular file");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return tw_err_set(err, TW_EPERM,
                          "belongs to user %u; it must belong to root or to the user of this program",
                          (unsigned)st.st_uid);
    if (st.st_mode & 077)
        return tw_err_set(err, TW_EPERM, "others may read or write it (mode %04o); say: chmod 600",
                          (unsigned)st.st_mode & 07777);
    return TW_OK;
}

static enum tw_rc read_lines(FILE *f, struct secrets *s, struct tw_err *err)
{
    char line[LINE_OCTETS];
    enum tw_rc rc = TW_OK;

    setvbuf(f, NULL, _IONBF, 0); /* no second copy of the secrets in memory */
    for (unsigned number = 1; !rc && fgets(line, sizeof line, f); number++) {
        if (!strchr(line, '\n') && !feof(f)) {
            if (err)
                err->line = number;
            rc = tw_err_set(err, TW_EINVAL, "the line is too long");
        } else {
            rc = add_line(s, line, number, err);
        }
    }
    if (!rc && ferror(f))
        rc = tw_err_set(err, TW_EIO, "cannot be read");
    crypto_wipe(line, sizeof line);
    return rc;
}

enum tw_rc secrets_load(const char *path, struct secrets **ret, struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct secrets *s = NULL;
    FILE *f = NULL;
    enum tw_rc rc;

    if (err)
        snprintf(err->file, sizeof err->file, "%s", path);
    if (fd < 0)
        return tw_err_set(err, errno == ENOENT ? TW_ENOENT : tw_rc_errno(errno), "cannot be opened: %s",
                          strerror(errno));
    rc = check_file(fd, err);
    if (!rc && (!(s = calloc(1, sizeof *s)) || !(f = fdopen(fd, "r"))))
        rc = tw_err_set(err, TW_ENOMEM, "out of memory");
    if (!rc)
        rc = read_lines(f, s, err);
    if (f)
        fclose(f);
    else
        close(fd);
    if (rc) {
        secrets_free(s);
        return rc;
    }
    if (err)
        err->file[0] = '\0';
    *ret = s;
    return TW_OK;
}
