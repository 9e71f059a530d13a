#include "controller/mesh_now.h"
#include <stdio.h>
#include <string.h>
#include "controller/core/class_times.h"
#include "controller/core/mesh.h"

/* What was found for a class: its pairs come one after the other, mostly. */
#define MEMO 16
struct pair_now {
    bool idle;
    int64_t next_ns;
};
struct memo {
    const struct class_times *times[MEMO];
    struct pair_now found[MEMO];
    size_t n, next;
};

static struct pair_now ask(const struct pair *p, int64_t now_ns)
{
    const struct pair_key key = pair_key_of(p);

    return (struct pair_now){ class_times_is_idle(p->times, &key, now_ns),
                              class_times_next(p->times, &key, now_ns) };
}

static struct pair_now look(struct memo *memo, const struct pair *p, int64_t now_ns)
{
    size_t at;

    if (p->times->times->kind == TIMES_INTERVAL)
        return ask(p, now_ns);
    for (size_t i = 0; i < memo->n; i++)
        if (memo->times[i] == p->times)
            return memo->found[i];
    at = memo->next++ % MEMO;
    memo->n = memo->n < MEMO ? memo->n + 1 : MEMO;
    memo->times[at] = p->times;
    memo->found[at] = ask(p, now_ns);
    return memo->found[at];
}

static void add(struct mesh_now *now, struct pair_now p)
{
    now->idle += p.idle;
    if (p.next_ns != TIMES_NEVER && (!now->next_ns || p.next_ns < now->next_ns))
        now->next_ns = p.next_ns;
}

static bool has_times(const struct pair *p)
{
    return p->scheduled && p->times && p->times->id;
}

void mesh_now_one(const struct inventory *inv, const struct mesh_state *m, int64_t now_ns, struct mesh_now *ret)
{
    struct memo memo = { .n = 0 };

    *ret = (struct mesh_now){ 0 };
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        if (has_times(p) && !strcmp(p->row.mesh, m->row.name))
            add(ret, look(&memo, p, now_ns));
    }
}

static size_t number_of(const struct inventory *inv, const char *mesh)
{
    size_t i = 0;

    for (const struct mesh_state *m = inv->meshes; m; m = m->hh.next, i++)
        if (!strcmp(m->row.name, mesh))
            return i;
    return SIZE_MAX;
}

void mesh_now_all(const struct inventory *inv, int64_t now_ns, struct mesh_now *ret)
{
    struct memo memo = { .n = 0 };
    const char *mesh = NULL; /* names are kept once: the same mesh has the same pointer */
    size_t n = HASH_COUNT(inv->meshes), at = SIZE_MAX;

    memset(ret, 0, n * sizeof *ret);
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        if (!has_times(p))
            continue;
        if (p->row.mesh != mesh)
            at = number_of(inv, mesh = p->row.mesh);
        if (at < n)
            add(&ret[at], look(&memo, p, now_ns));
    }
}

const char *mesh_now_runs(const struct mesh *m, char buf[MESH_NOW_RUNS])
{
    static const char *const names[] = { [TIMES_CONTINUOUS] = "continuous",
                                         [TIMES_INTERVAL] = "interval",
                                         [TIMES_ONCE] = "once",
                                         [TIMES_CRON] = "cron" };
    bool has[TW_NELEM(names)] = { false };
    size_t len = 0;

    for (size_t i = 0; i < m->n_classes; i++)
        has[m->classes[i].times ? m->classes[i].times->times->kind : TIMES_CONTINUOUS] = true;
    buf[0] = '\0';
    for (size_t i = 0; i < TW_NELEM(names); i++)
        if (has[i])
            len += (size_t)snprintf(buf + len, MESH_NOW_RUNS - len, "%s%s", len ? "," : "", names[i]);
    return buf;
}

bool mesh_now_maintenance(const struct mesh *m, int64_t now_ns)
{
    for (size_t i = 0; i < m->n_classes; i++)
        if (class_times_maintenance(m->classes[i].times, now_ns))
            return true;
    return false;
}
