/* agent/secrets.c - see secrets.h. */
#include "agent/secrets.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/core/crypto.h"
#include "common/utf8.h"

static_assert(SECRETS_KEY_ID_MAX <= UINT8_MAX && SECRETS_PASSPHRASE_MAX <= UINT16_MAX, "fit their counters");

struct entry {
    uint8_t id_len;
    uint16_t len;
    char id[SECRETS_KEY_ID_MAX];
    uint8_t octets[SECRETS_PASSPHRASE_MAX];
};

/* Entries are made once for each file, for as many lines as it has: a growing array would leave copies behind
 * that nobody wipes. */
struct table {
    struct entry *v;
    size_t n, cap;
};

/* Whether a file is another one than it was. The change of permissions counts: ctime. */
struct identity {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct secrets {
    char *path;
    struct table table;
    struct identity seen; /* of the file looked at last, good or bad; zero = there was none */
};

static void table_clear(struct table *t)
{
    if (t->v)
        crypto_wipe(t->v, t->cap * sizeof *t->v);
    free(t->v);
    *t = (struct table){ 0 };
}

/* ---- One line ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static enum tw_rc parse_key_id(const char *text, size_t len, struct entry *e, struct tw_err *err)
{
    char copy[SECRETS_KEY_ID_MAX + 1];

    if (len > SECRETS_KEY_ID_MAX)
        return tw_err_set(err, TW_EINVAL, "the KEYID has %zu octets: expected at most %d", len,
                          SECRETS_KEY_ID_MAX);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return tw_err_set(err, TW_EINVAL, "the KEYID has a control character: expected text");
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (!tw_utf8_ok(copy))
        return tw_err_set(err, TW_EINVAL, "the KEYID is not UTF-8");
    memcpy(e->id, text, len);
    e->id_len = (uint8_t)len;
    return TW_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static enum tw_rc parse_hex(const char *text, size_t len, struct entry *e, struct tw_err *err)
{
    if (!len || len % 2)
        return tw_err_set(err, TW_EINVAL, "hex: has %zu digits: expected two for each octet", len);
    if (len / 2 > SECRETS_PASSPHRASE_MAX)
        return tw_err_set(err, TW_EINVAL, "hex: has %zu octets: expected at most %d", len / 2,
                          SECRETS_PASSPHRASE_MAX);
    for (size_t i = 0; i < len; i += 2) {
        int hi = hex_digit(text[i]), lo = hex_digit(text[i + 1]);
        if (hi < 0 || lo < 0)
            return tw_err_set(err, TW_EINVAL, "hex: has something else than digits 0 to 9 and a to f");
        e->octets[i / 2] = (uint8_t)(hi << 4 | lo);
    }
    e->len = (uint16_t)(len / 2);
    return TW_OK;
}

static enum tw_rc parse_passphrase(const char *text, size_t len, struct entry *e, struct tw_err *err)
{
    static const char hex[] = "hex:";

    if (len >= strlen(hex) && !memcmp(text, hex, strlen(hex)))
        return parse_hex(text + strlen(hex), len - strlen(hex), e, err);
    if (len > SECRETS_PASSPHRASE_MAX)
        return tw_err_set(err, TW_EINVAL, "the passphrase has %zu octets: expected at most %d", len,
                          SECRETS_PASSPHRASE_MAX);
    memcpy(e->octets, text, len);
    e->len = (uint16_t)len;
    return TW_OK;
}

/* text: without its line end. Adds an entry, or none for a comment. */
static enum tw_rc parse_line(const char *text, size_t len, struct table *t, struct tw_err *err)
{
    struct entry *e = &t->v[t->n];
    size_t id;
    enum tw_rc rc;

    if (memchr(text, '\0', len))
        return tw_err_set(err, TW_EINVAL, "has a NUL octet: expected text; write such a passphrase as hex:");
    for (; len && (is_blank(text[len - 1]) || text[len - 1] == '\r'); len--)
        ;
    for (; len && is_blank(*text); len--)
        text++;
    if (!len || *text == '#')
        return TW_OK;
    for (id = 0; id < len && !is_blank(text[id]); id++)
        ;
    if (id == len)
        return tw_err_set(err, TW_EINVAL, "has one word: expected KEYID and passphrase, white space between");
    rc = parse_key_id(text, id, e, err);
    for (; is_blank(text[id]); id++)
        ;
    if (rc == TW_OK)
        rc = parse_passphrase(text + id, len - id, e, err);
    if (rc == TW_OK)
        t->n++;
    return rc;
}

/* ---- The file ---- */

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n + (len && text[len - 1] != '\n');
}

static enum tw_rc parse_text(const char *text, size_t len, struct table *t, struct tw_err *err)
{
    const char *end = text + len;
    size_t lines = count_lines(text, len);
    unsigned line = 0;

    if (lines > SECRETS_LINES_MAX)
        return tw_err_set(err, TW_EINVAL, "has %zu lines: expected at most %d", lines, SECRETS_LINES_MAX);
    t->cap = lines ? lines : 1;
    t->v = calloc(t->cap, sizeof *t->v);
    if (!t->v)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text);
        line++;
        if (parse_line(text, n, t, err)) {
            err->line = line;
            return TW_EINVAL;
        }
        text += n + 1;
    }
    if (!t->n)
        return tw_err_set(err, TW_EINVAL, "has no entry: expected lines of KEYID and passphrase");
    return TW_OK;
}

static struct identity identity_of(const struct stat *st)
{
    return (struct identity){ st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim };
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_file(const struct identity *a, const struct identity *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && same_time(a->mtime, b->mtime) &&
           same_time(a->ctime, b->ctime);
}

/* Of the service manager (systemd: LoadCredential=), in a folder that only this service can look into. The file may be
 * root's, and what looks like rights of a group are those of our user's entry in its access list. */
static bool is_credential(const char *path, const struct stat *st)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    size_t n = folder ? strlen(folder) : 0;

    return n && !strncmp(path, folder, n) && path[n] == '/' && !strchr(path + n + 1, '/') &&
           (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IRWXO | S_IWGRP));
}

static enum tw_rc check_file(const char *path, const struct stat *st, struct tw_err *err)
{
    if (!S_ISREG(st->st_mode))
        return tw_err_set(err, TW_EINVAL, "is not a regular file");
    if (is_credential(path, st) && st->st_size <= SECRETS_FILE_MAX)
        return TW_OK;
    if (st->st_uid != geteuid())
        return tw_err_set(
            err, TW_EPERM,
            "belongs to user %u, expected user %u, as whom this runs: chown it and chmod 600 %s",
            (unsigned)st->st_uid, (unsigned)geteuid(), path);
    if (st->st_mode & (S_IRWXG | S_IRWXO))
        return tw_err_set(err, TW_EPERM, "mode %04o lets others in; it holds secrets: chmod 600 %s",
                          (unsigned)(st->st_mode & 07777), path);
    if (st->st_size > SECRETS_FILE_MAX)
        return tw_err_set(err, TW_EINVAL, "has more than %u octets", SECRETS_FILE_MAX);
    return TW_OK;
}

static enum tw_rc read_text(int fd, char *buf, size_t cap, size_t *ret_len, struct tw_err *err)
{
    size_t len = 0;

    while (len < cap) {
        ssize_t n = read(fd, buf + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tw_err_set(err, tw_rc_errno(errno), "%s", strerror(errno));
        if (!n)
            break;
        len += (size_t)n;
    }
    *ret_len = len;
    return TW_OK;
}

static enum tw_rc read_table(int fd, const struct stat *st, struct table *ret, struct tw_err *err)
{
    size_t cap = (size_t)st->st_size, len = 0;
    char *text = malloc(cap + 1); /* one more, to see whether it grows */
    struct table t = { 0 };
    enum tw_rc rc;

    if (!text)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rc = read_text(fd, text, cap + 1, &len, err);
    if (rc == TW_OK && len != cap)
        rc = tw_err_set(err, TW_EINVAL, "changed while it was read");
    if (rc == TW_OK)
        rc = parse_text(text, len, &t, err);
    crypto_wipe(text, cap + 1);
    free(text);
    if (rc)
        table_clear(&t);
    else
        *ret = t;
    return rc;
}

/* *seen is set whatever the result, *ret only on success. */
static enum tw_rc read_file(const char *path, struct identity *seen, struct table *ret, struct tw_err *err)
{
    struct tw_err e = { 0 };
    struct stat st;
    enum tw_rc rc;
    /* O_NONBLOCK: a pipe of this name must not hold us up */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = tw_err_set(&e, tw_rc_errno(errno), "%s", strerror(errno));
    } else {
        *seen = identity_of(&st);
        rc = check_file(path, &st, &e);
        if (rc == TW_OK)
            rc = read_table(fd, &st, ret, &e);
    }
    if (fd >= 0)
        close(fd);
    snprintf(e.file, sizeof e.file, "%s", path);
    if (rc && err)
        *err = e;
    return rc;
}

enum tw_rc secrets_load(const char *path, struct secrets **ret, struct tw_err *err)
{
    struct secrets *s = calloc(1, sizeof *s);
    enum tw_rc rc;

    if (s)
        s->path = strdup(path);
    if (!s || !s->path)
        rc = tw_err_set(err, TW_ENOMEM, "out of memory");
    else
        rc = read_file(path, &s->seen, &s->table, err);
    if (rc)
        secrets_free(s);
    else
        *ret = s;
    return rc;
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    table_clear(&s->table);
    free(s->path);
    free(s);
}

enum tw_rc secrets_reload_if_changed(struct secrets *s, struct tw_err *err)
{
    struct identity now = { 0 };
    struct table t = { 0 };
    struct stat st;
    enum tw_rc rc;

    if (stat(s->path, &st) == 0)
        now = identity_of(&st);
    if (same_file(&now, &s->seen))
        return TW_EAGAIN;
    s->seen = now;
    rc = read_file(s->path, &s->seen, &t, err);
    if (rc)
        return rc;
    table_clear(&s->table);
    s->table = t;
    return TW_OK;
}

/* ---- Looking up ---- */

const char *secrets_path(const struct secrets *s)
{
    return s->path;
}

size_t secrets_count(const struct secrets *s)
{
    return s->table.n;
}

struct form_key secrets_get(const struct secrets *s, size_t i)
{
    return (struct form_key){ s->table.v[i].octets, s->table.v[i].len };
}

static bool is_of(const struct entry *e, const char *key_id, size_t len)
{
    return len <= SECRETS_KEY_ID_MAX && e->id_len == len && crypto_equal(e->id, key_id, len);
}

size_t secrets_find(const struct secrets *s, const char *key_id, size_t len, struct form_key *ret, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < s->table.n; i++) {
        const struct entry *e = &s->table.v[i];
        if (!is_of(e, key_id, len))
            continue;
        if (n < cap)
            ret[n] = (struct form_key){ e->octets, e->len };
        n++;
    }
    return n;
}

static enum tw_rc drop_keys(struct stamp_keys *keys, unsigned from, enum tw_rc rc)
{
    while (keys->n > from)
        crypto_hmac_free(keys->key[--keys->n]);
    return rc;
}

/* Is it the same as one of those that were taken? */
static bool is_taken(const struct entry *e, const struct entry *const *taken, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (taken[i]->len == e->len && crypto_equal(taken[i]->octets, e->octets, e->len))
            return true;
    return false;
}

enum tw_rc secrets_stamp_keys(const struct secrets *s, const char *key_id, struct stamp_keys *keys,
                              size_t *ret_left)
{
    const struct entry *taken[STAMP_KEYS_MAX];
    unsigned before = keys->n;
    size_t found = 0, left = 0, n = 0;

    for (size_t i = 0; i < s->table.n; i++) {
        const struct entry *e = &s->table.v[i];
        enum tw_rc rc;
        if (key_id && !is_of(e, key_id, strlen(key_id)))
            continue;
        found++;
        if (is_taken(e, taken, n))
            continue;
        rc = stamp_keys_add(keys, e->octets, e->len);
        if (rc == TW_OK)
            taken[n++] = e;
        else if (rc == TW_ENOSPC)
            left++;
        else
            return drop_keys(keys, before, rc);
    }
    if (!found)
        return TW_ENOENT;
    *ret_left = left;
    return TW_OK;
}
