/* db/store_agent.h - agents, and when they were in maintenance. Control state. As db/store.h:
 * writing inside store_begin/commit, by the store's thread; each row is valid during fn, and a non-OK result
 * of fn stops and is returned. */
#ifndef TW_DB_STORE_AGENT_H
#define TW_DB_STORE_AGENT_H

#include "db/store_base.h"

struct store_agent {
    int64_t id; /* 0 = new: store_put_agent() fills it */
    char name[STORE_NAME_MAX];
    uint8_t public_key[STORE_KEY_LEN];
    bool approved;
    int64_t first_seen_ns, approved_ns, last_contact_ns;
    char software[STORE_NAME_MAX];
    char *enrolment; /* JSON as enrolled (labels, addresses, ...); may be NULL */
    char *ops;       /* JSON: what operators said of it; may be NULL */
};
/* TW_EEXIST: another agent has the name. TW_ENOENT: no agent has the id. */
enum tw_rc store_put_agent(struct store *s, struct store_agent *a, struct tw_err *err);
/* When it was last heard of, by which program, and what it enrolled with; nothing else of its row changes,
 * nor anything if there is none. For who knows an agent, but perhaps not what was decided of it just now. */
enum tw_rc store_put_contact(struct store *s, const struct store_agent *a, struct tw_err *err);
/* Everything that has this name as source or target gets the other one: pairs keep their ids, and with them
 * their history. In the open transaction. TW_EEXIST: there is such a pair under the new name already. */
enum tw_rc store_rename_source(struct store *s, const char *from, const char *to, struct tw_err *err);
/* From now on the agent is in maintenance at these times, and at no others; what was before stays as it was.
 * In the open transaction. */
struct store_time {
    int64_t from_ns, to_ns; /* [from, to) */
};
enum tw_rc store_put_maintenance(struct store *s, const char *agent, int64_t now_ns,
                                 const struct store_time *v, size_t n, struct tw_err *err);
/* Its history stays; its cursor and key go. */
enum tw_rc store_remove_agent(struct store *s, int64_t id, struct tw_err *err);
/* Each row is valid during fn; a non-OK result of fn stops and is returned. */
enum tw_rc store_each_agent(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_agent *a),
                            void *ctx, struct tw_err *err);
/* Times in which the agent was in maintenance, by what had been said at each moment; those that overlap
 * [from, to), oldest first, perhaps overlapping. */
enum tw_rc store_read_maintenance(struct store_reader *r, const char *agent, int64_t from_ns, int64_t to_ns,
                                  enum tw_rc (*fn)(void *ctx, const struct store_time *t), void *ctx,
                                  struct tw_err *err);

#endif
