/* Why results are missing: nothing of it is in memory but which controller has an agent. Whoever notes that
 * an agent is lost, or found, has it, or had it last. */
#include <stdlib.h>
#include <string.h>
#include "controller/absence.h"
#include "controller/alerts.h"
#include "controller/follow_priv.h"
#include "db/etcd/mirror_key.h"

static enum tw_rc read_nothing(const struct follow_keys *keys, struct store *s, void **ret,
                               struct tw_err *err)
{
    (void)keys;
    (void)s;
    (void)ret;
    (void)err;
    return TW_OK;
}

/* A controller whose connection ended late said that it is lost, though it is here. */
static void take_agent(struct controller *c, struct agent *a)
{
    if (!a->peer) {
        alerts_agent_went(c->alerts, a);
        return;
    }
    a->found_started_ns = 0;
    if (a->health)
        absence_found(c, a, a->health->started_ns);
}

static enum tw_rc take_keys(struct controller *c, struct follow_keys *keys, void *data)
{
    (void)data;
    for (struct agent *a = c->inv.agents; a && keys->all; a = a->hh.next)
        if (a->peer) /* of the others nobody knows whether anything is different */
            take_agent(c, a);
    for (const struct follow_key *k = keys->v; k; k = k->hh.next) {
        char *copy = strdup(k->text), *name;
        struct agent *a = copy && mirror_key_parse(copy, &name, 1) ? inventory_agent(&c->inv, name) : NULL;

        if (a)
            take_agent(c, a);
        free(copy);
    }
    return TW_OK;
}

static void free_nothing(void *data)
{
    (void)data;
}

const struct follow_part follow_absences = { "absences", false, read_nothing, take_keys, free_nothing };
