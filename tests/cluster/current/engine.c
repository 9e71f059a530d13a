#include "tests/cluster/current/engine.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PAIRS_MAX 64
#define FORMAT "TabSeparated"

/* What of its interface is used here. */
typedef struct chdb_result chdb_result;
typedef struct chdb_connection *chdb_connection;
struct api {
    chdb_connection *(*connect)(int argc, char **argv);
    void (*close)(chdb_connection *c);
    chdb_result *(*query)(chdb_connection c, const char *text, size_t len, const char *format,
                          size_t format_len, const char *const *names, const size_t *name_lens,
                          const char *const *values, const size_t *value_lens, size_t n);
    chdb_result *(*stream)(chdb_connection c, const char *text, size_t len, const char *format,
                           size_t format_len, const char *const *names, const size_t *name_lens,
                           const char *const *values, const size_t *value_lens, size_t n);
    chdb_result *(*fetch)(chdb_connection c, chdb_result *stream);
    void (*destroy)(chdb_result *r);
    char *(*buffer)(chdb_result *r);
    size_t (*length)(chdb_result *r);
    const char *(*error)(chdb_result *r);
};

struct engine {
    struct api api;
    chdb_connection *connection;
    pthread_mutex_t lock;
    char *rows; /* file of an insert */
    char version[32];
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* ---- Answers ---- */

static void add(struct engine_answer *to, const char *data, size_t len)
{
    char *more = realloc(to->data, to->len + len + 1);

    if (!more)
        abort();
    memcpy(more + to->len, data, len);
    to->data = more;
    to->len += len;
    to->data[to->len] = '\0';
}

/* As a server words it, in one line. */
static void tell_why(const struct engine *e, const char *why, struct engine_answer *to)
{
    size_t len = strlen(why);

    while (len && why[len - 1] == '\n')
        len--;
    if (asprintf(&to->why, "%.*s (version %s (chdb))", (int)len, why, e->version) < 0)
        abort();
}

/* False: it is the last one. */
static bool take(const struct engine *e, chdb_result *r, struct engine_answer *to)
{
    const char *why = r ? e->api.error(r) : "Code: 1001. DB::Exception: no result";
    size_t len = why ? 0 : e->api.length(r);

    if (why)
        tell_why(e, why, to);
    else if (len)
        add(to, e->api.buffer(r), len);
    if (r)
        e->api.destroy(r);
    return len > 0;
}

void engine_free(struct engine_answer *a)
{
    free(a->data);
    free(a->why);
}

/* ---- Statements ---- */

static bool begins_with(const char *text, const char *word)
{
    return !strncasecmp(text + strspn(text, " \t\n"), word, strlen(word));
}

static void run_text(struct engine *e, const char *text, const struct engine_statement *s,
                     struct engine_answer *to)
{
    const char *names[PAIRS_MAX], *values[PAIRS_MAX];
    size_t name_lens[PAIRS_MAX], value_lens[PAIRS_MAX], n = s && s->n_params < PAIRS_MAX ? s->n_params : 0;
    bool rows = begins_with(text, "SELECT");
    chdb_result *stream;

    for (size_t i = 0; i < n; i++) {
        names[i] = s->params[i].name;
        values[i] = s->params[i].value;
        name_lens[i] = strlen(names[i]);
        value_lens[i] = strlen(values[i]);
    }
    if (!rows) {
        take(e,
             e->api.query(*e->connection, text, strlen(text), FORMAT, strlen(FORMAT), names, name_lens,
                          values, value_lens, n),
             to);
        return;
    }
    stream = e->api.stream(*e->connection, text, strlen(text), FORMAT, strlen(FORMAT), names, name_lens,
                           values, value_lens, n);
    if (!stream || e->api.error(stream)) {
        take(e, stream, to);
        return;
    }
    while (take(e, e->api.fetch(*e->connection, stream), to))
        ;
    e->api.destroy(stream);
}

/* One of our own, before or behind. */
__attribute__((format(printf, 3, 4))) static void prepare(struct engine *e, struct engine_answer *to,
                                                          const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int n;

    if (to->why)
        return;
    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    run_text(e, text, NULL, to);
    free(text);
}

/* Rows go by a file: what stands behind a statement is not taken as it is. */
static void run_insert(struct engine *e, const struct engine_statement *s, struct engine_answer *to)
{
    const char *format = strcasestr(s->text, " FORMAT ");
    FILE *f = fopen(e->rows, "w");
    char *text = NULL;

    if (!format || !f || fwrite(s->body, 1, s->body_len, f) != s->body_len || fclose(f) != 0)
        die(e->rows, "cannot be written, or an INSERT without a format");
    if (asprintf(&text, "%.*s FROM INFILE '%s' COMPRESSION 'none'%s", (int)(format - s->text), s->text,
                 e->rows, format) < 0)
        abort();
    run_text(e, text, s, to);
    free(text);
    unlink(e->rows);
}

/* Settings are the connection's: they are what they were behind it. */
void engine_run(struct engine *e, const struct engine_statement *s, struct engine_answer *ret)
{
    struct engine_answer ignored = { .len = 0 };
    size_t set = 0;

    *ret = (struct engine_answer){ .len = 0 };
    pthread_mutex_lock(&e->lock);
    add(ret, "", 0);
    prepare(e, ret, "USE %s", s->database ? s->database : "default");
    for (; set < s->n_settings && !ret->why; set++)
        prepare(e, ret, "SET %s = '%s'", s->settings[set].name, s->settings[set].value);
    if (!ret->why && s->body)
        run_insert(e, s, ret);
    else if (!ret->why)
        run_text(e, s->text, s, ret);
    while (set)
        prepare(e, &ignored, "SET %s = DEFAULT", s->settings[--set].name);
    engine_free(&ignored);
    pthread_mutex_unlock(&e->lock);
}

/* ---- Opening ---- */

static void load(struct api *api, const char *library)
{
    const struct {
        const char *name;
        void *to;
    } names[] = {
        { "chdb_connect", &api->connect },           { "chdb_close_conn", &api->close },
        { "chdb_query_with_params_n", &api->query }, { "chdb_stream_query_with_params_n", &api->stream },
        { "chdb_stream_fetch_result", &api->fetch }, { "chdb_destroy_query_result", &api->destroy },
        { "chdb_result_buffer", &api->buffer },      { "chdb_result_length", &api->length },
        { "chdb_result_error", &api->error },
    };
    void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL), *at;

    if (!lib)
        die(library, dlerror());
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        at = dlsym(lib, names[i].name);
        if (!at)
            die(library, dlerror());
        memcpy(names[i].to, &at, sizeof at);
    }
}

static void ask_version(struct engine *e)
{
    const struct engine_statement s = { .text = "SELECT version()" };
    struct engine_answer a;

    engine_run(e, &s, &a);
    if (a.why)
        die("SELECT version()", a.why);
    snprintf(e->version, sizeof e->version, "%.*s", (int)strcspn(a.data, "\n"), a.data);
    engine_free(&a);
}

/* Folders that are not there are made. */
struct engine *engine_open(const char *library, const char *folder, const char *most_to_drop)
{
    struct engine *e = calloc(1, sizeof *e);
    char name[] = "clickhouse", *path = NULL;
    struct engine_answer a = { .len = 0 };

    if (!e || asprintf(&path, "--path=%s", folder) < 0 ||
        asprintf(&e->rows, "%s/rows.%d", folder, (int)getpid()) < 0)
        abort();
    load(&e->api, library);
    pthread_mutex_init(&e->lock, NULL);
    e->connection = e->api.connect(2, (char *[]){ name, path, NULL });
    if (!e->connection)
        die(folder, "the engine does not open it");
    free(path);
    ask_version(e);
    if (most_to_drop)
        prepare(e, &a, "SET max_partition_size_to_drop = %s", most_to_drop);
    if (a.why)
        die("max_partition_size_to_drop", a.why);
    engine_free(&a);
    return e;
}

void engine_close(struct engine *e)
{
    e->api.close(e->connection);
    pthread_mutex_destroy(&e->lock);
    free(e->rows);
    free(e);
}
