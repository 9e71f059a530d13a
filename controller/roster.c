#include "controller/roster.h"
#include <stdlib.h>
#include <string.h>

/* One that enrolled none has the address that its connection comes from: there is room for one more. */
static size_t take_addresses(const struct agent *a, struct tw_addr *ret)
{
    size_t n = 0;

    for (size_t i = 0; a->enrolment && i < a->enrolment->n_addresses; i++)
        n += tw_addr_parse(a->enrolment->addresses[i], 0, &ret[n]) == TW_OK;
    if (!n && a->peer_address[0])
        n = tw_addr_parse(a->peer_address, 0, ret) == TW_OK;
    return n;
}

static struct roster *allocate(const struct inventory *inv)
{
    size_t n = HASH_COUNT(inv->agents), addresses = n, labels = 0, octets = 0;
    struct roster *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    for (const struct agent *a = inv->agents; a; a = a->hh.next) {
        addresses += a->enrolment ? a->enrolment->n_addresses : 0;
        labels += a->n_labels;
        for (size_t i = 0; i < a->n_labels; i++)
            octets += strlen(a->labels[i].key) + strlen(a->labels[i].value) + 2;
    }
    r->of = calloc(n + 1, sizeof(struct agent *));
    r->room = calloc(n + 1, sizeof *r->room);
    r->addresses = calloc(addresses + 1, sizeof *r->addresses);
    r->labels = calloc(labels + 1, sizeof *r->labels);
    r->texts = malloc(octets + 1);
    if (r->of && r->room && r->addresses && r->labels && r->texts)
        return r;
    roster_free(r);
    return NULL;
}

static const char *take_text(char **to, const char *text)
{
    size_t size = strlen(text) + 1;
    const char *copy = memcpy(*to, text, size);

    *to += size;
    return copy;
}

static void take_labels(const struct agent *a, struct tw_label *ret, char **texts)
{
    for (size_t i = 0; i < a->n_labels; i++)
        ret[i] =
            (struct tw_label){ take_text(texts, a->labels[i].key), take_text(texts, a->labels[i].value) };
}

static void fill(struct roster *r, size_t n)
{
    struct tw_addr *address = r->addresses;
    struct tw_label *label = r->labels;
    char *texts = r->texts;

    for (size_t i = 0; i < n; i++) {
        const struct agent *a = r->of[i];

        take_labels(a, label, &texts);
        r->room[i] = (struct mesh_agent){ .name = a->row.name,
                                          .labels = label,
                                          .n_labels = a->n_labels,
                                          .draining = agent_is_drained(a),
                                          .addresses = address,
                                          .n_addresses = take_addresses(a, address) };
        address += r->room[i].n_addresses;
        label += a->n_labels;
    }
    r->agents = (struct mesh_agents){ r->room, n };
}

struct roster *roster_new(const struct inventory *inv, const struct agent *approve,
                          const struct agent *remove)
{
    struct roster *r = allocate(inv);
    size_t n = 0;

    if (!r)
        return NULL;
    for (struct agent *a = inv->agents; a; a = a->hh.next)
        if (a != remove && (a->row.approved || a == approve))
            r->of[n++] = a;
    if (n)
        qsort(r->of, n, sizeof(struct agent *), agent_by_name);
    fill(r, n);
    return r;
}

void roster_free(struct roster *r)
{
    if (!r)
        return;
    free(r->of);
    free(r->room);
    free(r->addresses);
    free(r->labels);
    free(r->texts);
    free(r);
}
