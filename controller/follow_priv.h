/* controller/follow_priv.h - the parts of follow.h: one for each subject that memory has. */
#ifndef TW_CONTROLLER_FOLLOW_PRIV_H
#define TW_CONTROLLER_FOLLOW_PRIV_H

#include <uthash.h>
#include "controller/follow.h"
#include "controller/writer.h"

/* What is to be looked at of one table or two. */
struct follow_key {
    UT_hash_handle hh;
    char text[]; /* as told, without the table; escaped */
};
struct follow_keys {
    bool any;       /* something changed */
    bool all;       /* anything may have changed */
    uint64_t after; /* follow_pairs.c: of all, those up to this number have been looked at */
    struct follow_key *v;
};
bool follow_keys_have(const struct follow_keys *k, const char *text); /* or all */
bool follow_keys_have_number(const struct follow_keys *k, int64_t number);

struct follow_part {
    const char *name;
    bool ordered; /* changes build on it */
    /* Writer thread, in a transaction, and perhaps again in another: touches only keys, store and *ret, which
     * is NULL. */
    enum tw_rc (*read)(const struct follow_keys *keys, struct store *s, void **ret, struct tw_err *err);
    /* Loop thread. TW_EAGAIN: there is more, it is called again after others had their turn. TW_ENOMEM and
     * the like: it is read and taken again. */
    enum tw_rc (*take)(struct controller *c, struct follow_keys *keys, void *data);
    void (*free)(void *data);
};

/* In the order in which they are taken. */
extern const struct follow_part follow_pairs, follow_agents, follow_certificates, follow_meshes,
    follow_join_tokens, follow_access_tokens, follow_alert_rules, follow_silences, follow_alert_rows,
    follow_notices, follow_absences;

/* Meshes may come out otherwise: the part of meshes, which is the last of those in order, expands them. */
void follow_expand(struct controller *c);
bool follow_must_expand(const struct controller *c);
void follow_expanded(struct controller *c);
/* So many pairs have come to the schedule that are not in the store: whoever changed what they come of has
 * not gone on to schedule them. If it does not soon, we do. */
void follow_missing(struct controller *c, size_t n);
/* Expands them before all parts are in memory, by the documents that are; nobody is told yet. In pieces:
 * TW_EAGAIN, there is more; TW_OK: what is scheduled is by them. The caller frees it with
 * follow_expansion_free(), NULL is allowed. */
struct follow_expansion;
enum tw_rc follow_now(struct controller *c, struct follow_expansion **ret);
enum tw_rc follow_expansion_go_on(struct controller *c, struct follow_expansion *x);
void follow_expansion_free(struct follow_expansion *x);

#endif
