/* The history in SQLite does what is asked of every database. */
#include "db/sqlite/history.h"
#include "tests/unit/db/conform_history.h"
#include "tests/unit/db/db_fixture.h"

static void make(char location[CONFORM_LOCATION])
{
    static unsigned n;

    snprintf(location, CONFORM_LOCATION, "%s/history%u.db", test_dir, n++);
}

/* A spool's cursor refers to its agent. */
static void know_agents(struct history *h)
{
    for (int i = 1; i <= CONFORM_AGENTS; i++) {
        char text[200];

        snprintf(text, sizeof text,
                 "INSERT INTO agent (id, name, public_key, approved, first_seen_ns, approved_ns, "
                 "last_contact_ns, software)"
                 " VALUES (%d, 'agent%d', x'00', 1, 0, 0, 0, '')",
                 i, i);
        CHECK_OK(sq_exec(sqlite_history_file(h), text, &test_err));
    }
}

int main(void)
{
    const struct conform_backend sqlite = {
        .name = "history in SQLite", .ops = &sqlite_history, .make = make, .know_agents = know_agents
    };
    int failed;

    no_sync = true; /* whether commits wait for the disk is test_store_faults.c's */
    if (make_dir(NULL))
        return 1;
    failed = conform_history(&sqlite);
    return remove_dir(NULL) || failed;
}
