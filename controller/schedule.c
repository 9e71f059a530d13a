#include "controller/schedule.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/plan.h"

void session_list_free(struct session_list *l)
{
    if (!l)
        return;
    free(l->specs);
    free(l->list);
    free(l->rooms);
    for (size_t i = 0; i < l->n_texts; i++)
        free(l->texts[i]);
    free(l->texts);
    rule_list_free(&l->rules);
    free(l);
}

/* ---- Building one agent's list ---- */

/* The list's own copy; NULL: no memory. There are only as many texts as targets by name and classes, or two
 * of each. */
static char *keep_text(struct session_list *l, const char *text)
{
    char **more;

    if (!*text)
        return (char *)protobuf_c_empty_string;
    for (size_t i = 0; i < l->n_texts; i++)
        if (!strcmp(l->texts[i], text))
            return l->texts[i];
    more = realloc(l->texts, (l->n_texts + 1) * sizeof *more);
    if (!more)
        return NULL;
    l->texts = more;
    more[l->n_texts] = strdup(text);
    return more[l->n_texts] ? more[l->n_texts++] : NULL;
}

/* protocol and auth have the numbers of the mesh: checked here, so that nobody moves them. */
_Static_assert((int)TW__PROTOCOL__PROTOCOL_STAMP == MESH_STAMP &&
                   (int)TW__PROTOCOL__PROTOCOL_TWAMP == MESH_TWAMP &&
                   (int)TW__AUTH__AUTH_AUTHENTICATED == MESH_AUTHENTICATED &&
                   (int)TW__AUTH__AUTH_ENCRYPTED == MESH_ENCRYPTED && (int)TW__AUTH__AUTH_MIXED == MESH_MIXED,
               "fleet.proto and mesh.h number them alike");

static bool fill_packets(struct session_list *l, const struct wanted_pair *w, struct spec_room *room,
                         Tw__SessionSpec *s)
{
    const struct mesh_class *c = w->class_;
    uint16_t sizes[MESH_IMIX];

    s->protocol = (Tw__Protocol)c->protocol;
    s->auth = (Tw__Auth)c->auth;
    s->key_id = keep_text(l, c->key_id);
    s->df = c->df;
    s->zero_padding = c->zero_padding;
    s->bind = keep_text(l, c->bind);
    s->tlvs = c->tlvs;
    s->reply_dscp = c->reply_dscp;
    s->size_bytes = c->size_bytes;
    if (!c->imix)
        return s->key_id && s->bind;
    mesh_class_imix(c, (w->host ? w->host->family : w->address.family) == 6, sizes);
    for (unsigned i = 0; i < MESH_IMIX; i++)
        room->imix[i] = sizes[i];
    s->imix_bytes = room->imix;
    s->n_imix_bytes = MESH_IMIX;
    s->size_bytes = sizes[MESH_IMIX - 1];
    return s->key_id && s->bind;
}

static bool fill_where(struct session_list *l, const struct wanted_pair *w, struct spec_room *room,
                       Tw__SessionSpec *s)
{
    if (!w->host) {
        s->address = (char *)tw_addr_format_ip(&w->address, room->address);
        return true;
    }
    s->host = keep_text(l, w->host->host);
    s->host_family = w->host->family;
    return s->host != NULL;
}

static bool add_spec(struct session_list *l, const struct wanted_pair *w, uint32_t flow)
{
    struct spec_room *room = &l->rooms[l->n];
    Tw__SessionSpec *s = &l->specs[l->n];
    const struct store_pair *p = &w->pair->row;
    const struct mesh_class *c = w->class_;

    tw__session_spec__init(s);
    s->pair_id = p->id;
    s->flow = flow;
    s->mesh = (char *)p->mesh;
    s->class_name = (char *)p->class_name;
    s->target = (char *)p->target;
    s->port = w->address.port;
    s->spacing_ns = c->spacing_ns;
    s->spacing_kind =
        c->exponential ? TW__SPACING_KIND__SPACING_EXPONENTIAL : TW__SPACING_KIND__SPACING_FIXED;
    s->dscp = c->dscp;
    s->ttl = c->ttl;
    s->timeout_ns = c->timeout_ns;
    s->report_period_ns = c->report_period_ns;
    s->reflector_stateful = w->stateful;
    s->phase_ns = plan_phase_ns(p->mesh, p->class_name, p->source, p->target, flow, c->spacing_ns);
    if (c->times && c->times->id) {
        const struct pair_key key = { p->mesh, p->class_name, p->source, p->target };

        s->times_id = c->times->id;
        s->times_phase_ns = class_times_pace(c->times, &key, flow).phase_ns;
        if (rule_list_add(&l->rules, c->times) != TW_OK)
            return false;
    }
    if (w->refuse) {
        s->refuse = (char *)w->refuse;
        s->port = 0; /* an agent that is too old to know of `refuse` refuses this */
    }
    l->list[l->n++] = s;
    return fill_where(l, w, room, s) && fill_packets(l, w, room, s);
}

/* Names and address are bounded, so a packed session is too. */
#define SPEC_MAX_OCTETS 1024

static bool set_digest(struct session_list *l)
{
    uint8_t buf[SPEC_MAX_OCTETS];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

    for (size_t i = 0; ok && i < l->n; i++)
        ok = tw__session_spec__get_packed_size(&l->specs[i]) <= sizeof buf &&
             EVP_DigestUpdate(md, buf, tw__session_spec__pack(&l->specs[i], buf));
    ok = ok && EVP_DigestFinal_ex(md, l->digest, NULL);
    EVP_MD_CTX_free(md);
    return ok;
}

static struct session_list *list_alloc(size_t n)
{
    struct session_list *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->specs = calloc(n + 1, sizeof *l->specs);
    l->list = calloc(n + 1, sizeof *l->list);
    l->rooms = calloc(n + 1, sizeof *l->rooms);
    if (l->specs && l->list && l->rooms)
        return l;
    session_list_free(l);
    return NULL;
}

/* pairs: sorted by id, all of one agent. What goes beyond SCHEDULE_MAX_SESSIONS is cut off: an apply that
 * asks for it was refused, so it takes agents that come later. */
static struct session_list *list_build(struct wanted_pair *const *pairs, size_t n)
{
    struct session_list *l;
    size_t sessions = 0;
    bool ok = true;

    for (size_t i = 0; i < n; i++)
        sessions += pairs[i]->class_->flows;
    if (sessions > SCHEDULE_MAX_SESSIONS)
        sessions = SCHEDULE_MAX_SESSIONS;
    l = list_alloc(sessions);
    if (!l)
        return NULL;
    for (size_t i = 0; ok && i < n; i++)
        for (uint32_t flow = 0; ok && flow < pairs[i]->class_->flows && l->n < sessions; flow++)
            ok = add_spec(l, pairs[i], flow);
    if (ok && set_digest(l))
        return l;
    session_list_free(l);
    return NULL;
}

/* ---- All agents ---- */

static int by_source_and_id(const void *a, const void *b)
{
    const struct wanted_pair *x = *(struct wanted_pair *const *)a, *y = *(struct wanted_pair *const *)b;

    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return x->pair->row.id < y->pair->row.id ? -1 : x->pair->row.id > y->pair->row.id;
}

static enum tw_rc set_list(struct agent *a, struct wanted_pair *const *pairs, size_t n)
{
    struct session_list *l = list_build(pairs, n);

    if (!l)
        return TW_ENOMEM;
    session_list_free(a->wanted);
    a->wanted = l;
    a->pairs = n;
    a->acked_current = a->acked_generation && !memcmp(a->acked_digest, l->digest, sizeof l->digest);
    return TW_OK;
}

/* Agents without a pair get an empty list, so that they stop what they run. */
static enum tw_rc empty_lists(struct inventory *inv)
{
    enum tw_rc rc = TW_OK;

    for (struct agent *a = inv->agents; a && rc == TW_OK; a = a->hh.next)
        rc = set_list(a, NULL, 0);
    return rc;
}

static enum tw_rc build_lists(struct inventory *inv, struct wanted *w)
{
    struct wanted_pair **sorted = calloc(w->n + 1, sizeof(struct wanted_pair *));
    enum tw_rc rc = sorted ? empty_lists(inv) : TW_ENOMEM;
    size_t n = 0, end;

    for (size_t i = 0; rc == TW_OK && i < w->n; i++)
        if (w->pairs[i].pair && !w->pairs[i].paused)
            sorted[n++] = &w->pairs[i];
    if (rc == TW_OK)
        qsort(sorted, n, sizeof *sorted, by_source_and_id);
    for (size_t i = 0; rc == TW_OK && i < n; i = end) {
        for (end = i + 1; end < n && sorted[end]->source == sorted[i]->source;)
            end++;
        rc = set_list(sorted[i]->source, sorted + i, end - i);
    }
    free(sorted);
    return rc;
}

/* ---- Marks on the pairs ---- */

static void mark_pair(const struct wanted_pair *w, uint64_t mark, int64_t now_ns,
                      void (*forget)(void *ctx, struct pair *p), void *ctx)
{
    struct pair *p = w->pair;

    if (p->scheduled && w->paused)
        forget(ctx, p);
    if (!p->scheduled && !w->paused)
        p->scheduled_since_ns = now_ns;
    p->scheduled = !w->paused;
    p->paused = w->paused;
    p->drained = w->drained;
    p->flows = w->class_->flows;
    p->report_period_ns = w->class_->report_period_ns;
    class_times_unref(p->times);
    p->times = class_times_ref(w->class_->times);
    p->settings = w->settings;
    p->seen = mark;
}

static bool has_drained_end(const struct pair *p)
{
    const struct agent *source = pair_source(p), *target = name_of(p->row.target)->agent;

    return (source && agent_is_drained(source)) || (target && agent_is_drained(target));
}

static void unmark_others(struct inventory *inv, uint64_t mark, void (*forget)(void *ctx, struct pair *p),
                          void *ctx)
{
    for (size_t i = 0; i < inv->pairs.n; i++) {
        struct pair *p = pair_table_at(&inv->pairs, i);

        if (p->seen == mark)
            continue;
        /* Selections leave out who is drained: then its pairs are not wanted at all. */
        p->drained = (p->drained || p->scheduled || p->paused) && has_drained_end(p);
        if (!p->scheduled && !p->paused)
            continue;
        p->scheduled = p->paused = false;
        forget(ctx, p);
    }
}

static void count_meshes(struct inventory *inv, const struct wanted *w)
{
    for (size_t i = 0; i < w->n_meshes; i++) {
        struct mesh_state *m = inventory_mesh(inv, w->meshes[i].mesh->name);

        if (!m)
            continue;
        m->pairs = w->meshes[i].pairs.n - w->meshes[i].unreachable;
        m->unresolved = w->meshes[i].unresolved;
    }
}

enum tw_rc schedule_adopt(struct inventory *inv, struct wanted *w, int64_t now_ns,
                          void (*forget)(void *ctx, struct pair *p), void *ctx)
{
    uint64_t mark = ++inv->marks;

    for (size_t i = 0; i < w->n; i++)
        if (w->pairs[i].pair)
            mark_pair(&w->pairs[i], mark, now_ns, forget, ctx);
    unmark_others(inv, mark, forget, ctx);
    count_meshes(inv, w);
    return build_lists(inv, w);
}
