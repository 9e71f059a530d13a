/* common/acl.h - access lists: ranges of addresses that are let in or kept out. The longest range that
 * contains an address decides. What is in none of them is let in, unless some range is: who names friends
 * means nobody else. Pure; a list never changes, so any thread may look into it, without a lock and without
 * allocation. */
#ifndef TW_COMMON_ACL_H
#define TW_COMMON_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include "common/addr.h"
#include "common/prefix.h"

#define ACL_RULES_MAX 65536

struct acl_rule {
    struct tw_prefix prefix;
    bool allow;
};

/* ---- Collecting the rules ---- */

struct acl_rules { /* zeroed by the caller */
    struct acl_rule *v;
    size_t n, cap;
};
void acl_rules_free(struct acl_rules *l);
/* TW_EINVAL: no range; TW_ENOSPC: ACL_RULES_MAX; TW_ENOMEM. *err says it in words. */
enum tw_rc acl_rules_add(struct acl_rules *l, bool allow, const char *prefix, struct tw_err *err);
/* A file: "allow PREFIX" or "deny PREFIX" a line; what follows '#' and empty lines do not count. err->line.
 */
enum tw_rc acl_rules_parse(struct acl_rules *l, const char *text, size_t len, struct tw_err *err);

/* ---- The list ---- */

struct acl;

/* Copies the rules. TW_EINVAL: one range is both allowed and denied. Freed with the last hold on it. */
enum tw_rc acl_new(const struct acl_rules *rules, struct acl **ret, struct tw_err *err);
struct acl *acl_hold(struct acl *a); /* one more; NULL: NULL */
void acl_free(struct acl *a);        /* one less */

/* NULL: everybody may. The port does not count. */
bool acl_allows(const struct acl *a, const struct tw_addr *from);
/* The rules, sorted, each range once; for who decides elsewhere (XDP). *ret_others: those in none. NULL:
 * none. */
size_t acl_list(const struct acl *a, const struct acl_rule **ret, bool *ret_others);

/* Is this very range one of its rules? */
bool acl_names(const struct acl *a, const struct tw_prefix *p);

#endif
