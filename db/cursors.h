/* db/cursors.h - what of each (agent, spool) is stored, in memory: what the open transaction moved
 * counts at once, and is forgotten when the transaction is. Numbers start at 1; 0 = nothing stored. */
#ifndef TW_DB_CURSORS_H
#define TW_DB_CURSORS_H

#include "db/store_history.h"

struct cursor {
    int64_t agent_id;
    uint8_t spool_id[STORE_ID_LEN];
    struct store_cursor now, durable; /* with the open transaction; committed */
};
struct cursors {
    struct cursor *e; /* sorted by agent, spool */
    size_t n, cap;
};

void cursors_free(struct cursors *c);
const struct cursor *cursors_find(const struct cursors *c, int64_t agent_id, const uint8_t *spool_id);
/* TW_ENOMEM */
enum tw_rc cursors_set(struct cursors *c, int64_t agent_id, const uint8_t *spool_id,
                       const struct store_cursor *at);
/* Somebody else stored that much of it, which is durable, too. A stretch ahead for which there is no room is
 * not remembered. TW_ENOMEM */
enum tw_rc cursors_learn(struct cursors *c, int64_t agent_id, const uint8_t *spool_id,
                         const struct store_cursor *at);
bool cursors_same(const struct store_cursor *a, const struct store_cursor *b);
/* Is anything of any spool stored beyond its cursor? */
bool cursors_any_ahead(const struct cursors *c);
/* All of an agent's go to 0. */
void cursors_drop_agent(struct cursors *c, int64_t agent_id);
/* The open transaction was committed, or was lost. */
void cursors_commit(struct cursors *c);
void cursors_rollback(struct cursors *c);

#endif
