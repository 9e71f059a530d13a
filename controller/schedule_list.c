/* controller/schedule_list.c - sessions as messages, and the digests of lists. */
#include <stdlib.h>
#include <string.h>
#include "common/net/rpc.h"
#include "controller/core/plan.h"
#include "controller/schedule_priv.h"

/* Names and addresses are bounded, so a packed session is too. */
#define SPEC_MAX_OCTETS 2048

/* protocol and auth have the numbers of the mesh: checked here, so that nobody moves them. */
_Static_assert((int)TW__PROTOCOL__PROTOCOL_STAMP == MESH_STAMP &&
                   (int)TW__PROTOCOL__PROTOCOL_TWAMP == MESH_TWAMP &&
                   (int)TW__AUTH__AUTH_AUTHENTICATED == MESH_AUTHENTICATED &&
                   (int)TW__AUTH__AUTH_ENCRYPTED == MESH_ENCRYPTED && (int)TW__AUTH__AUTH_MIXED == MESH_MIXED,
               "fleet.proto and mesh.h number them alike");

/* ---- One session ---- */

void schedule_fill_class(const struct mesh_class *c, bool ipv6, uint32_t imix[MESH_IMIX], Tw__SessionSpec *s)
{
    uint16_t sizes[MESH_IMIX];

    s->spacing_ns = c->spacing_ns;
    s->spacing_kind =
        c->exponential ? TW__SPACING_KIND__SPACING_EXPONENTIAL : TW__SPACING_KIND__SPACING_FIXED;
    s->timeout_ns = c->timeout_ns;
    s->report_period_ns = c->report_period_ns;
    s->dscp = c->dscp;
    s->ttl = c->ttl;
    s->protocol = (Tw__Protocol)c->protocol;
    s->auth = (Tw__Auth)c->auth;
    s->key_id = (char *)c->key_id;
    s->df = c->df;
    s->zero_padding = c->zero_padding;
    s->bind = (char *)c->bind;
    s->tlvs = c->tlvs;
    s->reply_dscp = c->reply_dscp;
    s->size_bytes = c->size_bytes;
    if (!c->imix)
        return;
    mesh_class_imix(c, ipv6, sizes);
    for (unsigned i = 0; i < MESH_IMIX; i++)
        imix[i] = sizes[i];
    s->imix_bytes = imix;
    s->n_imix_bytes = MESH_IMIX;
    s->size_bytes = sizes[MESH_IMIX - 1];
}

/* Which pair of the store it is. */
struct stored {
    uint64_t id;
    uint8_t slot;
};

static struct stored stored_of(const struct pair *p)
{
    return (struct stored){ p->row.id, p->row.slot };
}

static void fill_times(const struct wanted_pair *w, struct stored p, uint32_t flow, Tw__SessionSpec *s)
{
    const struct mesh_class *c = w->class_;

    s->phase_ns = plan_phase_ns(w->mesh->name, c->name, w->source, w->target, flow, c->spacing_ns);
    if (c->times && c->times->id) {
        const struct pair_key key = { w->mesh->name, c->name, w->source, w->target, p.id, p.slot };

        s->times_id = c->times->id;
        s->times_phase_ns = class_times_pace(c->times, &key, flow).phase_ns;
    }
}

static void fill_spec(const struct wanted_pair *w, struct stored p, uint32_t flow, struct spec_room *room,
                      Tw__SessionSpec *s)
{
    tw__session_spec__init(s);
    s->pair_id = p.id;
    s->flow = flow;
    s->mesh = (char *)w->mesh->name;
    s->class_name = (char *)w->class_->name;
    s->target = (char *)w->target;
    if (w->host) {
        s->host = (char *)w->host->host;
        s->host_family = w->host->family;
    } else {
        s->address = (char *)tw_addr_format_ip(&w->address, room->address);
    }
    s->port = w->address.port;
    s->reflector_stateful = w->stateful;
    if (w->refuse) {
        s->refuse = (char *)w->refuse;
        s->port = 0; /* an agent that is too old to know of `refuse` refuses this */
    }
    fill_times(w, p, flow, s);
    schedule_fill_class(w->class_, (w->host ? w->host->family : w->address.family) == 6, room->imix, s);
}

/* ---- Digests ---- */

enum tw_rc summer_init(struct summer *s)
{
    s->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    s->ctx = EVP_MD_CTX_new();
    if (s->md && s->ctx)
        return TW_OK;
    summer_free(s);
    return TW_ENOMEM;
}

void summer_free(struct summer *s)
{
    EVP_MD_CTX_free(s->ctx);
    EVP_MD_free(s->md);
    *s = (struct summer){ 0 };
}

static uint64_t lane(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

void digest_sum_bytes(const struct digest_sum *s, uint8_t ret[AGENT_DIGEST_LEN])
{
    for (int i = 0; i < AGENT_DIGEST_LEN; i++)
        ret[i] = (uint8_t)(s->v[i / 8] >> (56 - 8 * (i % 8)));
}

static enum tw_rc add_spec(struct summer *s, const Tw__SessionSpec *spec, struct digest_sum *sum)
{
    uint8_t buf[SPEC_MAX_OCTETS], md[EVP_MAX_MD_SIZE];
    size_t len = tw__session_spec__get_packed_size(spec);

    if (len > sizeof buf)
        return TW_ENOMEM;
    tw__session_spec__pack(spec, buf);
    if (!EVP_DigestInit_ex2(s->ctx, s->md, NULL) || !EVP_DigestUpdate(s->ctx, buf, len) ||
        !EVP_DigestFinal_ex(s->ctx, md, NULL))
        return TW_ENOMEM;
    for (int i = 0; i < 4; i++)
        sum->v[i] += lane(md + 8 * i);
    return TW_OK;
}

enum tw_rc summer_pair(struct summer *s, const struct wanted_pair *w, uint64_t id, uint8_t slot,
                       struct digest_sum *ret)
{
    struct digest_sum sum = { 0 };
    enum tw_rc rc = TW_OK;

    for (uint32_t flow = 0; rc == TW_OK && flow < w->class_->flows; flow++) {
        struct spec_room room;
        Tw__SessionSpec spec;

        fill_spec(w, (struct stored){ id, slot }, flow, &room, &spec);
        rc = add_spec(s, &spec, &sum);
    }
    if (rc == TW_OK)
        *ret = sum;
    return rc;
}

/* ---- Lists ---- */

void session_list_free(struct session_list *l)
{
    if (!l)
        return;
    free(l->specs);
    free(l->list);
    free(l->rooms);
    rule_list_free(&l->rules);
    free(l);
}

static struct session_list *list_new(size_t cap)
{
    struct session_list *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->cap = cap;
    l->specs = calloc(cap + 1, sizeof *l->specs);
    l->list = calloc(cap + 1, sizeof *l->list);
    l->rooms = calloc(cap + 1, sizeof *l->rooms);
    if (l->specs && l->list && l->rooms)
        return l;
    session_list_free(l);
    return NULL;
}

static bool list_add(struct session_list *l, const struct wanted_pair *w, const struct pair *p)
{
    const struct class_times *t = w->class_->times;

    if (t && t->id && rule_list_add(&l->rules, t) != TW_OK)
        return false;
    for (uint32_t flow = 0; flow < w->class_->flows && l->n < l->cap; flow++, l->n++) {
        l->list[l->n] = &l->specs[l->n];
        fill_spec(w, stored_of(p), flow, &l->rooms[l->n], &l->specs[l->n]);
    }
    return true;
}

static Tw__TimesRule *find_rule(Tw__TimesRule *const *v, size_t n, uint64_t id)
{
    for (size_t i = n; i-- > 0;)
        if (v[i]->id == id)
            return v[i];
    return NULL;
}

/* The rule that the session needs, unless the part has it. */
static Tw__TimesRule *further_rule(const struct session_list *l, const struct session_part *p,
                                   const Tw__SessionSpec *s)
{
    return s->times_id && !find_rule(p->rules, p->n_rules, s->times_id)
               ? find_rule(l->rules.list, l->rules.n, s->times_id)
               : NULL;
}

/* With what goes before it in the message. */
static size_t octets_of(size_t packed)
{
    return packed + 5;
}

enum tw_rc session_list_part(const struct session_list *l, size_t from, struct session_part *ret)
{
    struct session_part p = { .list = l->list + from, .rules = calloc(l->rules.n + 1, sizeof *p.rules) };
    size_t octets = 0;

    if (!p.rules)
        return TW_ENOMEM;
    for (; from + p.n < l->n && p.n < SCHEDULE_PART_SESSIONS; p.n++) {
        Tw__TimesRule *rule = further_rule(l, &p, p.list[p.n]);

        octets += octets_of(tw__session_spec__get_packed_size(p.list[p.n]));
        octets += rule ? octets_of(tw__times_rule__get_packed_size(rule)) : 0;
        if (p.n && octets > SCHEDULE_PART_OCTETS)
            break;
        if (rule)
            p.rules[p.n_rules++] = rule;
    }
    *ret = p;
    return TW_OK;
}

/* The first pair from `from` whose class or source is not less; pairs of a class are together, sorted by
 * source. */
static size_t seek(const struct mesh_pairs *m, size_t from, size_t end, uint32_t source)
{
    while (from < end) {
        size_t middle = from + (end - from) / 2;

        if (m->v[middle].source < source)
            from = middle + 1;
        else
            end = middle;
    }
    return from;
}

static size_t class_end(const struct mesh_pairs *m, size_t from)
{
    size_t low = from, high = m->n;
    uint16_t k = m->v[from].class_index;

    while (high - low > 1 && m->v[high - 1].class_index != k) {
        size_t middle = low + (high - low) / 2;

        if (m->v[middle].class_index == k)
            low = middle;
        else
            high = middle;
    }
    return m->v[high - 1].class_index == k ? high : low + 1;
}

/* Of the agent with this name in what is scheduled; ->n_agents: there is none. */
static size_t number_of_name(const struct wanted *w, const char *name)
{
    size_t low = 0, high = w->n_agents;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(w->names[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->n_agents && !strcmp(w->names[low], name) ? low : w->n_agents;
}

static size_t number_of(const struct wanted *w, const struct agent *a)
{
    size_t i = number_of_name(w, a->row.name);

    return i < w->n_agents && w->agents[i] == a ? i : w->n_agents;
}

/* fn returns false to stop. */
static void each_pair_of_mesh(const struct wanted_mesh *m, uint32_t source,
                              bool (*fn)(void *ctx, const struct wanted_mesh *m, size_t at), void *ctx)
{
    size_t end;

    for (size_t from = 0; from < m->pairs.n; from = end) {
        end = class_end(&m->pairs, from);
        for (size_t i = seek(&m->pairs, from, end, source); i < end && m->pairs.v[i].source == source; i++)
            if (m->rows[i] < PAIR_ABSENT && !fn(ctx, m, i))
                return;
    }
}

struct collect {
    const struct inventory *inv;
    struct session_list *list;
    bool failed;
    void (*fn)(void *ctx, uint32_t row);
    void *ctx;
};

static bool is_scheduled(const struct inventory *inv, uint32_t row)
{
    return pair_table_at(&inv->pairs, row)->scheduled;
}

static bool collect_spec(void *ctx, const struct wanted_mesh *m, size_t at)
{
    struct collect *c = ctx;
    struct wanted_pair w;

    if (is_scheduled(c->inv, m->rows[at]) && wanted_pair(c->inv->scheduled, m, at, &w))
        c->failed |= !list_add(c->list, &w, pair_table_at(&c->inv->pairs, m->rows[at]));
    return !c->failed;
}

static bool collect_row(void *ctx, const struct wanted_mesh *m, size_t at)
{
    const struct collect *c = ctx;

    if (is_scheduled(c->inv, m->rows[at]))
        c->fn(c->ctx, m->rows[at]);
    return true;
}

static void each_pair(const struct inventory *inv, const struct agent *a,
                      bool (*fn)(void *ctx, const struct wanted_mesh *m, size_t at), void *ctx)
{
    const struct wanted *w = inv->scheduled;
    size_t source = w ? number_of(w, a) : 0;

    for (size_t i = 0; w && source < w->n_agents && i < w->n_meshes; i++)
        if (!w->meshes[i].paused)
            each_pair_of_mesh(&w->meshes[i], (uint32_t)source, fn, ctx);
}

struct session_list *schedule_list(const struct inventory *inv, const struct agent *a)
{
    struct collect c = { .inv = inv, .list = list_new(a->sessions) };

    if (c.list)
        each_pair(inv, a, collect_spec, &c);
    if (!c.failed)
        return c.list;
    session_list_free(c.list);
    return NULL;
}

void schedule_each_pair(const struct inventory *inv, const struct agent *a,
                        void (*fn)(void *ctx, uint32_t row), void *ctx)
{
    struct collect c = { .inv = inv, .fn = fn, .ctx = ctx };

    each_pair(inv, a, collect_row, &c);
}

struct search {
    const struct inventory *inv;
    bool found;
};

static bool find_one(void *ctx, const struct wanted_mesh *m, size_t at)
{
    struct search *s = ctx;

    s->found = is_scheduled(s->inv, m->rows[at]);
    return !s->found;
}

bool schedule_runs_mesh(const struct inventory *inv, const struct agent *a, const char *mesh)
{
    const struct wanted *w = inv->scheduled;
    const struct wanted_mesh *m = w ? wanted_find_mesh(w, mesh) : NULL;
    size_t source = w ? number_of(w, a) : 0;
    struct search s = { inv, false };

    if (m && source < w->n_agents)
        each_pair_of_mesh(m, (uint32_t)source, find_one, &s);
    return s.found;
}

/* ---- Differences ---- */

static const struct wanted_mesh *mesh_of(const struct wanted *w, const char *kept_name)
{
    for (size_t i = 0; i < w->n_meshes; i++)
        if (w->meshes[i].name == kept_name)
            return &w->meshes[i];
    return NULL;
}

/* The place of a kept name in a list that ends with NULL; -1: it is not there. */
static int32_t place_of(const char *const *names, const char *kept)
{
    for (int32_t i = 0; names[i]; i++)
        if (names[i] == kept)
            return i;
    return -1;
}

/* A pair that is scheduled, as it is. */
static bool find_scheduled(const struct wanted *w, const struct pair *p, struct wanted_pair *ret)
{
    const struct wanted_mesh *m = mesh_of(w, p->row.mesh);
    size_t source = number_of_name(w, p->row.source), target = number_of_name(w, p->row.target);
    int32_t class_index = m ? place_of(m->classes, p->row.class_name) : -1;
    int32_t own = m ? place_of(m->targets, p->row.target) : -1;
    struct mesh_pair mp;

    if (class_index < 0 || source == w->n_agents || (own < 0 && target == w->n_agents))
        return false;
    mp = (struct mesh_pair){ .source = (uint32_t)source,
                             .target = own >= 0 ? ~own : (int32_t)target,
                             .class_index = (uint16_t)class_index };
    return wanted_make_pair(w, m, &mp, ret);
}

bool schedule_session(const struct inventory *inv, const struct pair *p, uint32_t flow,
                      struct spec_room *room, Tw__SessionSpec *ret)
{
    struct wanted_pair w;

    if (!p->scheduled || !inv->scheduled || !find_scheduled(inv->scheduled, p, &w))
        return false;
    fill_spec(&w, stored_of(p), flow, room, ret);
    return true;
}

struct placed {
    struct journal_entry e;
    uint32_t place;
};

static int by_row_and_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;

    if (x->e.row != y->e.row)
        return x->e.row < y->e.row ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Each row once, with what was there before the first alteration. NULL: no memory. */
static struct placed *settle_journal(const struct journal *j, size_t *ret_n)
{
    struct placed *v = malloc((j->n + 1) * sizeof *v);
    size_t out = 0;

    if (!v)
        return NULL;
    for (size_t i = 0; i < j->n; i++)
        v[i] = (struct placed){ j->v[i], (uint32_t)i };
    qsort(v, j->n, sizeof *v, by_row_and_place);
    for (size_t i = 0; i < j->n; i++)
        if (!out || v[out - 1].e.row != v[i].e.row)
            v[out++] = v[i];
    *ret_n = out;
    return v;
}

static size_t count_delta(const struct inventory *inv, const struct placed *v, size_t n, size_t *ret_removed)
{
    size_t added = 0;

    *ret_removed = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, v[i].e.row);

        added += p->scheduled ? p->flows : 0;
        *ret_removed += v[i].e.had;
    }
    return added;
}

static bool fill_delta(const struct inventory *inv, const struct placed *v, size_t n, struct session_delta *d)
{
    for (size_t i = 0; i < n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, v[i].e.row);
        struct wanted_pair w;

        for (uint32_t flow = 0; flow < v[i].e.had; flow++) {
            Tw__SessionKey *k = d->removed[d->n_removed] = &d->keys[d->n_removed];

            d->n_removed++;
            tw__session_key__init(k);
            k->pair_id = p->row.id;
            k->flow = flow;
        }
        if (p->scheduled && find_scheduled(inv->scheduled, p, &w) && !list_add(d->added, &w, p))
            return false;
    }
    return true;
}

void session_delta_free(struct session_delta *d)
{
    session_list_free(d->added);
    free(d->keys);
    free(d->removed);
    *d = (struct session_delta){ 0 };
}

enum tw_rc schedule_delta(const struct inventory *inv, const struct agent *a, struct session_delta *ret)
{
    const struct journal *j = &a->journal;
    struct session_delta d = { 0 };
    size_t n, added, removed;
    struct placed *v;
    bool ok;

    if (!inv->scheduled || !journal_covers(j, a->acked_digest))
        return TW_ENOENT;
    v = settle_journal(j, &n);
    if (!v)
        return TW_ENOMEM;
    added = count_delta(inv, v, n, &removed);
    d.added = list_new(added);
    d.keys = calloc(removed + 1, sizeof *d.keys);
    d.removed = calloc(removed + 1, sizeof *d.removed);
    ok = d.added && d.keys && d.removed && fill_delta(inv, v, n, &d);
    free(v);
    if (!ok) {
        session_delta_free(&d);
        return TW_ENOMEM;
    }
    *ret = d;
    return TW_OK;
}
