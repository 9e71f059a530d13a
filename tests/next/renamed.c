/* A release after this one whose migration is not additive, for tests: it has renamed a table and a column
 * (breaking/breaking.sql), and says so in all of its statements. The linker puts this function around
 * SQLite's. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *was, *is;
} names[] = { { "cursor", "delivery" }, { "through_seq", "delivered_seq" } };

static bool in_word(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Copies one word, or one octet between words, to `out`; advances *in. Returns what it has written. */
static size_t copy_word(const char **in, char *out)
{
    const char *from = *in;
    size_t n = 0;

    while (in_word(from[n]))
        n++;
    *in += n ? n : 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (n == strlen(names[i].was) && !memcmp(from, names[i].was, n)) {
            memcpy(out, names[i].is, strlen(names[i].is));
            return strlen(names[i].is);
        }
    memcpy(out, from, n ? n : 1);
    return n ? n : 1;
}

int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags, sqlite3_stmt **ret,
                              const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags, sqlite3_stmt **ret,
                              const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags, sqlite3_stmt **ret,
                              const char **tail)
{
    char *text = malloc(2 * strlen(sql) + 1); /* no name becomes twice as long */
    size_t len = 0;
    int rc;

    if (n >= 0 || tail)
        abort(); /* our programs give whole texts, one statement each */
    if (!text)
        return SQLITE_NOMEM;
    while (*sql)
        len += copy_word(&sql, text + len);
    text[len] = 0;
    rc = __real_sqlite3_prepare_v3(db, text, -1, flags, ret, NULL);
    free(text);
    return rc;
}
