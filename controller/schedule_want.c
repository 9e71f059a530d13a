#include "controller/schedule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/class_times.h"

struct view {
    struct inventory *inv;
    const struct overlay *o;
    struct roster *roster;
};

/* ---- Which meshes ---- */

static const struct overlay_mesh *find_overlay(const struct overlay *o, const char *name)
{
    for (size_t i = 0; i < o->n_meshes; i++)
        if (!strcmp(o->meshes[i].name, name))
            return &o->meshes[i];
    return NULL;
}

static void add_mesh(struct wanted *w, const struct mesh *m, bool paused)
{
    w->meshes[w->n_meshes++] = (struct wanted_mesh){ .mesh = m, .paused = paused, .pairs = { .mesh = m } };
}

static enum tw_rc list_meshes(const struct view *v, struct wanted *w)
{
    const struct overlay *o = v->o;

    w->meshes = calloc(HASH_COUNT(v->inv->meshes) + o->n_meshes + 1, sizeof *w->meshes);
    if (!w->meshes)
        return TW_ENOMEM;
    for (struct mesh_state *m = v->inv->meshes; m; m = m->hh.next) {
        const struct overlay_mesh *om = find_overlay(o, m->row.name);

        if (!om)
            add_mesh(w, m->mesh, m->row.paused);
        else if (!om->drop)
            add_mesh(w, om->put ? om->put : m->mesh, om->paused);
    }
    for (size_t i = 0; i < o->n_meshes; i++)
        if (o->meshes[i].put && !inventory_mesh(v->inv, o->meshes[i].name))
            add_mesh(w, o->meshes[i].put, o->meshes[i].paused);
    return TW_OK;
}

/* The line is that of the document, whoever reads it has the file. */
static enum tw_rc fail_in_file(const struct overlay_mesh *om, enum tw_rc rc, struct tw_err *err)
{
    if (!om || !err)
        return rc;
    snprintf(err->file, sizeof err->file, "%s", om->file ? om->file : "");
    if (err->line)
        err->line += om->lines_before;
    return rc;
}

static enum tw_rc expand_meshes(const struct view *v, struct wanted *w, struct tw_err *err)
{
    for (size_t i = 0; i < w->n_meshes; i++) {
        struct wanted_mesh *m = &w->meshes[i];
        const struct overlay_mesh *om = find_overlay(v->o, m->mesh->name);
        bool strict = om && om->put && om->strict;
        size_t unresolved = 0;
        enum tw_rc rc;

        m->pairs.agents = &w->roster->agents;
        rc = mesh_expand(m->mesh, m->pairs.agents, strict, &m->pairs.v, &m->pairs.n,
                         &unresolved, err);
        if (rc != TW_OK)
            return fail_in_file(om, rc, err);
        m->unresolved = unresolved;
    }
    return TW_OK;
}

/* ---- The pairs ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    for (int i = 0; i < 8; i++, v >>= 8)
        h = (h ^ (v & 0xff)) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

static uint64_t mix_text(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = mix(h, (uint8_t)*text);
    return mix(h, 0);
}

static uint64_t hash_packets(uint64_t h, const struct mesh_class *c)
{
    h = mix(mix(mix(mix(h, c->imix), c->df), c->zero_padding), c->protocol);
    h = mix(mix(mix(h, c->auth), c->tlvs), c->reply_dscp);
    return mix_text(mix_text(h, c->key_id), c->bind);
}

static uint64_t hash_settings(const struct mesh_class *c, const struct tw_addr *a,
                              const struct mesh_target *host, const char *refuse)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325), ip[2];

    memcpy(ip, a->ip, sizeof ip);
    h = mix(mix(mix(mix(h, ip[0]), ip[1]), a->port), a->scope);
    h = mix(mix(mix(mix(h, c->dscp), c->ttl), c->size_bytes), c->exponential);
    h = hash_packets(h, c);
    h = mix(mix_text(h, refuse ? refuse : ""), class_times_hash(c->times));
    if (host)
        h = mix(mix_text(h, host->host), host->family);
    return mix(
        mix(mix(mix(h, (uint64_t)c->spacing_ns), (uint64_t)c->timeout_ns), (uint64_t)c->report_period_ns),
        c->flows);
}

/* ---- What cannot run ---- */

enum ability { HAS_SHAPES, HAS_STAMP, HAS_STAMP_AUTH, HAS_TWAMP, HAS_STATELESS, HAS_DEMAND_AUTH, HAS_HOSTS, HAS_TIMES };
static const char *const abilities[] = {
    [HAS_SHAPES] = "shapes", [HAS_STAMP] = "stamp",         [HAS_STAMP_AUTH] = "stamp-auth",
    [HAS_TWAMP] = "twamp",   [HAS_STATELESS] = "stateless", [HAS_DEMAND_AUTH] = "demand-auth",
    [HAS_HOSTS] = "hosts",  [HAS_TIMES] = "times",
};

uint32_t schedule_abilities(const struct agent *a)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < TW_NELEM(abilities); i++)
        bits |= (uint32_t)agent_can(a, abilities[i]) << i;
    return bits;
}

static bool has(const struct agent *a, enum ability what)
{
    return agent_can(a, abilities[what]);
}

static const char *source_cannot(const struct agent *source, const struct mesh_class *c,
                                 const struct mesh_target *host)
{
    if (host && !has(source, HAS_HOSTS))
        return "the agent's program is too old for targets by host name";
    if (c->protocol == MESH_STAMP && !has(source, HAS_STAMP))
        return "the agent's program is too old for protocol stamp";
    if (c->protocol == MESH_TWAMP && !has(source, HAS_TWAMP))
        return "the agent's program is too old for protocol twamp";
    if ((c->imix || c->df || c->zero_padding || c->bind[0]) && !has(source, HAS_SHAPES))
        return "the agent's program is too old for imix, df, padding or bind";
    if (c->times && c->times->id && !has(source, HAS_TIMES)) /* it would run all the time */
        return "the agent's program is too old for a schedule: it would run all the time";
    return NULL;
}

/* target NULL: an address, of which nothing is known. */
static const char *target_cannot(const struct agent *target, const struct mesh_class *c)
{
    bool signs = c->protocol == MESH_STAMP && c->auth == MESH_AUTHENTICATED;

    if (!target)
        return NULL;
    if (c->protocol == MESH_TWAMP && !agent_control_port(target))
        return "the target agent has no TWAMP-Control server: start it with --control";
    if (signs && !has(target, HAS_STAMP_AUTH))
        return "the target agent has no keys for authenticated STAMP: start it with --secrets";
    if (c->protocol != MESH_TWAMP && !signs && has(target, HAS_DEMAND_AUTH))
        return "the target agent answers only authenticated STAMP: it was started with --demand-auth";
    return NULL;
}

const char *schedule_cannot(const struct agent *source, const struct agent *target, const struct mesh_class *c)
{
    const char *why = source_cannot(source, c, NULL);

    return why ? why : target_cannot(target, c);
}

/* An agent with both families sends to the target's address of the family that it prefers itself. target
 * NULL: one of the document's own. */
static enum tw_rc target_address(const struct mesh *m, const struct mesh_pair *p, const struct agent *source,
                                 const struct agent *target, struct tw_addr *ret)
{
    struct tw_addr own = { 0 };
    enum tw_rc rc;

    if (!target) {
        *ret = m->targets[~p->target].addr;
        return TW_OK;
    }
    agent_address(source, 0, &own);
    rc = agent_address(target, own.family, ret);
    if (!rc && m->classes[p->class_index].protocol == MESH_TWAMP)
        ret->port = agent_control_port(target);
    return rc;
}

static bool want_pair(const struct view *v, const struct wanted_mesh *m, const struct mesh_pair *p,
                      struct wanted_pair *ret)
{
    const struct mesh_class *c = &m->mesh->classes[p->class_index];
    struct agent *source = v->roster->of[p->source];
    const struct agent *target = p->target >= 0 ? v->roster->of[p->target] : NULL;
    const struct mesh_target *host =
        p->target < 0 && m->mesh->targets[~p->target].host[0] ? &m->mesh->targets[~p->target] : NULL;
    const char *target_name = mesh_pair_target(m->mesh, m->pairs.agents, p), *refuse;
    struct tw_addr address;
    bool drained;

    if (target_address(m->mesh, p, source, target, &address) != TW_OK)
        return false;
    drained = !m->paused && (agent_is_drained(source) || (target && agent_is_drained(target)));
    refuse = source_cannot(source, c, host);
    if (!refuse)
        refuse = target_cannot(target, c);
    *ret = (struct wanted_pair){ .mesh = m->mesh,
                                 .class_ = c,
                                 .target = target_name,
                                 .source = source,
                                 .address = address,
                                 .host = host,
                                 .refuse = refuse,
                                 .stateful = target && !has(target, HAS_STATELESS),
                                 .settings = hash_settings(c, &address, host, refuse),
                                 .paused = m->paused || drained,
                                 .drained = drained,
                                 .pair = inventory_pair_by_names(v->inv, m->mesh->name, c->name,
                                                                 source->row.name, target_name) };
    return true;
}

static enum tw_rc list_pairs(const struct view *v, struct wanted *w)
{
    size_t total = 0;

    for (size_t i = 0; i < w->n_meshes; i++)
        total += w->meshes[i].pairs.n;
    w->pairs = calloc(total + 1, sizeof *w->pairs);
    if (!w->pairs)
        return TW_ENOMEM;
    for (size_t i = 0; i < w->n_meshes; i++)
        for (size_t k = 0; k < w->meshes[i].pairs.n; k++)
            if (want_pair(v, &w->meshes[i], &w->meshes[i].pairs.v[k], &w->pairs[w->n]))
                w->n++;
            else
                w->meshes[i].unreachable++;
    return TW_OK;
}

enum tw_rc wanted_build(struct inventory *inv, const struct overlay *o, struct wanted *ret,
                        struct tw_err *err)
{
    struct wanted w = { 0 };
    struct view v = { inv, o, roster_new(inv, o->approve, o->remove) };
    enum tw_rc rc = v.roster ? list_meshes(&v, &w) : TW_ENOMEM;

    w.roster = v.roster;
    if (rc == TW_OK)
        rc = expand_meshes(&v, &w, err);
    if (rc == TW_OK)
        rc = list_pairs(&v, &w);
    if (rc == TW_ENOMEM)
        tw_err_set(err, rc, "out of memory");
    if (rc != TW_OK) {
        wanted_free(&w);
        return rc;
    }
    *ret = w;
    return TW_OK;
}

void wanted_free(struct wanted *w)
{
    for (size_t i = 0; i < w->n_meshes; i++)
        free(w->meshes[i].pairs.v);
    free(w->meshes);
    free(w->pairs);
    roster_free(w->roster);
    *w = (struct wanted){ 0 };
}

const struct wanted_mesh *wanted_find_mesh(const struct wanted *w, const char *name)
{
    for (size_t i = 0; i < w->n_meshes; i++)
        if (!strcmp(w->meshes[i].mesh->name, name))
            return &w->meshes[i];
    return NULL;
}

void wanted_compare(struct inventory *inv, const struct wanted *w, struct wanted_diff *ret)
{
    struct wanted_diff d = { 0 };
    uint64_t kept = 0, listed = 0, now = 0, now_listed = 0;

    for (size_t i = 0; i < w->n; i++) {
        const struct wanted_pair *p = &w->pairs[i];
        bool was = p->pair && p->pair->scheduled, same = p->pair && p->pair->settings == p->settings;

        d.differs |= !same || p->pair->paused != p->paused || was == p->paused;
        d.pairs += !p->paused;
        d.added += !p->paused && !was;
        d.changed += !p->paused && was && !same;
        kept += !p->paused && was;
        listed++;
    }
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        now += p->scheduled;
        now_listed += p->scheduled || p->paused;
    }
    d.removed = now - kept;
    d.differs |= now_listed != listed; /* all of w is there already, so a difference is a pair that must go */
    *ret = d;
}
