#include "controller/core/fair_queue.h"
#include <stdlib.h>
#include <utlist.h>

/* What one client waits for in one of the two turns. */
struct fair_client {
    struct fair_client *prev, *next;
    uint64_t client;
    unsigned n;
    struct fair_item *first, **end;
};

enum tw_rc fair_queue_init(struct fair_queue *q, unsigned max, unsigned max_each)
{
    struct fair_client *clients = calloc(max, sizeof *clients);

    if (!clients)
        return TW_ENOMEM;
    *q = (struct fair_queue){ .clients = clients, .max = max, .max_each = max_each };
    for (unsigned i = 0; i < max; i++)
        LL_PREPEND(q->unused, &clients[i]);
    return TW_OK;
}

void fair_queue_free(struct fair_queue *q)
{
    free(q->clients);
    *q = (struct fair_queue){ 0 };
}

static struct fair_client *find(const struct fair_queue *q, bool bulk, uint64_t client)
{
    struct fair_client *c = q->turn[bulk];

    while (c && c->client != client)
        c = c->next;
    return c;
}

static unsigned waiting(const struct fair_queue *q, uint64_t client)
{
    const struct fair_client *quick = find(q, false, client), *bulk = find(q, true, client);

    return (quick ? quick->n : 0) + (bulk ? bulk->n : 0);
}

/* There is one: each that is in use has an item. */
static struct fair_client *join(struct fair_queue *q, bool bulk, uint64_t client)
{
    struct fair_client *c = q->unused;

    LL_DELETE(q->unused, c);
    c->client = client;
    c->n = 0;
    c->first = NULL;
    c->end = &c->first;
    DL_APPEND(q->turn[bulk], c);
    return c;
}

bool fair_queue_put(struct fair_queue *q, struct fair_item *i)
{
    bool full = q->n >= q->max, many = !full && waiting(q, i->client) >= q->max_each;
    struct fair_client *c;

    q->refused += full || many;
    q->refused_client += many;
    if (full || many)
        return false;
    c = find(q, i->bulk, i->client);
    if (!c)
        c = join(q, i->bulk, i->client);
    i->next = NULL;
    *c->end = i;
    c->end = &i->next;
    c->n++;
    q->n++;
    return true;
}

/* Whoever has had its turn is the last of all, also if it asks anew at once. */
static struct fair_item *take_from(struct fair_queue *q, struct fair_client **turn)
{
    struct fair_client *c = *turn;
    struct fair_item *i = c->first;

    DL_DELETE(*turn, c);
    c->first = i->next;
    q->n--;
    if (--c->n == 0)
        LL_PREPEND(q->unused, c);
    else
        DL_APPEND(*turn, c);
    return i;
}

struct fair_item *fair_queue_take(struct fair_queue *q, bool bulk)
{
    bool quick_waits = q->turn[0] != NULL, bulk_waits = bulk && q->turn[1];

    if (bulk_waits && (!quick_waits || q->quick_since >= FAIR_QUEUE_BULK_EVERY - 1)) {
        q->quick_since = 0;
        return take_from(q, &q->turn[1]);
    }
    if (!quick_waits)
        return NULL;
    q->quick_since += q->turn[1] != NULL;
    return take_from(q, &q->turn[0]);
}
