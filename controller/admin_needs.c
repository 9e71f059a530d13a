/* Which role a method of the Admin service needs: its row in ADMIN_METHODS says so. */
#include <ctype.h>
#include "controller/admin.h"

#define VIEWER               \
    {                        \
        ACCESS_VIEWER, false \
    }
#define OPERATOR              \
    {                         \
        ACCESS_OPERATOR, true \
    }
#define ADMIN              \
    {                      \
        ACCESS_ADMIN, true \
    }
#define ADMIN_READ          \
    {                       \
        ACCESS_ADMIN, false \
    }
#define ROW(name, request, reply, role) { #name, role },
static const struct {
    const char *name; /* "agent_list" for AgentList */
    struct admin_needs needs;
} rows[] = { ADMIN_METHODS(ROW) };

static bool is_called(const char *method, const char *name)
{
    for (; *name; name++) {
        if (*name == '_')
            continue;
        if (tolower((unsigned char)*method++) != *name)
            return false;
    }
    return !*method;
}

struct admin_needs admin_needs(unsigned method)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;

    for (size_t i = 0; method < d->n_methods && i < TW_NELEM(rows); i++)
        if (is_called(d->methods[method].name, rows[i].name))
            return rows[i].needs;
    return (struct admin_needs){ ACCESS_ROLES, true };
}
