#include "controller/near.h"

#include <stdio.h>
#include "common/name_index.h"

void near_look(struct near *n, const char *name)
{
    unsigned d = name_distance(n->wanted, name);

    if (n->best && d >= n->distance)
        return;
    n->best = name;
    n->distance = d;
}

const char *near_text(const struct near *n, char buf[NEAR_TEXT])
{
    buf[0] = '\0';
    if (n->best && name_is_near(n->distance, n->wanted))
        snprintf(buf, NEAR_TEXT, "; did you mean \"%s\"?", n->best);
    return buf;
}

const char *near_agent(const struct inventory *inv, const char *wanted, char buf[NEAR_TEXT])
{
    struct near n = { .wanted = wanted };

    for (const struct agent *a = inv->agents; a; a = a->hh.next)
        near_look(&n, a->row.name);
    return near_text(&n, buf);
}

const char *near_mesh(const struct inventory *inv, const char *wanted, char buf[NEAR_TEXT])
{
    struct near n = { .wanted = wanted };

    for (const struct mesh_state *m = inv->meshes; m; m = m->hh.next)
        near_look(&n, m->row.name);
    return near_text(&n, buf);
}
