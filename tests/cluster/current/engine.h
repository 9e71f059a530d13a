/* tests/cluster/current/engine.h - the engine of a current ClickHouse release in this process: a libchdb.so
 * that is loaded when the program runs, so that nothing is needed to build it. It has one database folder, no
 * ZooKeeper, no replicas. Statements go one after another; any thread. */
#ifndef TW_TEST_CURRENT_ENGINE_H
#define TW_TEST_CURRENT_ENGINE_H

#include <stddef.h>

struct engine;

/* most_to_drop: setting max_partition_size_to_drop; NULL: as it has it. Exits with a message if it cannot. */
struct engine *engine_open(const char *library, const char *folder, const char *most_to_drop);
void engine_close(struct engine *e);

/* One setting or parameter of a request. */
struct engine_pair {
    char *name, *value;
};
struct engine_statement {
    const char *text;
    const char *database; /* NULL: default */
    const void *body;     /* of an INSERT: its rows */
    size_t body_len;
    const struct engine_pair *settings, *params;
    size_t n_settings, n_params;
};
struct engine_answer {
    char *data; /* as far as it came */
    size_t len;
    char *why; /* "Code: N. DB::Exception: ..."; NULL: it is done */
};
/* *ret is to be freed with engine_free(). */
void engine_run(struct engine *e, const struct engine_statement *s, struct engine_answer *ret);
void engine_free(struct engine_answer *a);

#endif
