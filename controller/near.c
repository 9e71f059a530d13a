#include "controller/near.h"

#include <stdio.h>

const char *near_text(const struct name_near *n, char buf[NEAR_TEXT])
{
    const char *best = name_near_get(n);

    buf[0] = '\0';
    if (best)
        snprintf(buf, NEAR_TEXT, "; did you mean \"%s\"?", best);
    return buf;
}

const char *near_agent(const struct inventory *inv, const char *wanted, char buf[NEAR_TEXT])
{
    struct name_near n = { .wanted = wanted };

    for (const struct agent *a = inv->agents; a; a = a->hh.next)
        name_near_look(&n, a->row.name);
    return near_text(&n, buf);
}

const char *near_mesh(const struct inventory *inv, const char *wanted, char buf[NEAR_TEXT])
{
    struct name_near n = { .wanted = wanted };

    for (const struct mesh_state *m = inv->meshes; m; m = m->hh.next)
        name_near_look(&n, m->row.name);
    return near_text(&n, buf);
}
