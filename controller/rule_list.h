/* controller/rule_list.h - the rules that sessions of one request refer to, each once, as messages want them.
 */
#ifndef TW_CONTROLLER_RULE_LIST_H
#define TW_CONTROLLER_RULE_LIST_H

#include "controller/core/class_times.h"
#include "fleet.pb-c.h"

struct rule_list {
    Tw__TimesRule **list;
    size_t n;
};
/* The one of these times, which have an id; once is enough. TW_ENOMEM. */
enum tw_rc rule_list_add(struct rule_list *l, const struct class_times *t);
/* NULL: it is not in the list. */
const Tw__TimesRule *rule_list_find(const struct rule_list *l, uint64_t id);
void rule_list_free(struct rule_list *l);

#endif
