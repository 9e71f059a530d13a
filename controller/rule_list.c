#include "controller/rule_list.h"

#include <stdlib.h>
#include <string.h>

/* A rule and its octets in one piece. */
static Tw__TimesRule *make_rule(const struct class_times *t)
{
    uint8_t octets[TIMES_PACKED_MAX];
    Tw__TimesRule *r;
    size_t len;

    if (times_pack(t->times, octets, sizeof octets, &len) != TW_OK || !(r = malloc(sizeof *r + len)))
        return NULL;
    tw__times_rule__init(r);
    r->id = t->id;
    r->rule = (ProtobufCBinaryData){ len, (uint8_t *)(r + 1) };
    memcpy(r->rule.data, octets, len);
    return r;
}

const Tw__TimesRule *rule_list_find(const struct rule_list *l, uint64_t id)
{
    for (size_t i = l->n; i-- > 0;)
        if (l->list[i]->id == id)
            return l->list[i];
    return NULL;
}

enum tw_rc rule_list_add(struct rule_list *l, const struct class_times *t)
{
    Tw__TimesRule **more;

    if (rule_list_find(l, t->id))
        return TW_OK;
    more = realloc(l->list, (l->n + 1) * sizeof *more);
    if (!more)
        return TW_ENOMEM;
    l->list = more;
    more[l->n] = make_rule(t);
    if (!more[l->n])
        return TW_ENOMEM;
    l->n++;
    return TW_OK;
}

void rule_list_free(struct rule_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->list[i]);
    free(l->list);
    *l = (struct rule_list){ 0 };
}
