/* Control state in SQLite does what is asked of every database that keeps it. */
#include "tests/unit/db/conform_control.h"
#include "tests/unit/db/db_fixture.h"

static void make(char place[CONTROL_PLACE])
{
    static unsigned n;

    snprintf(place, CONTROL_PLACE, "%s/control%u.db", test_dir, n++);
}

static void open_both(const char *place, struct store **ret, struct store_reader **ret_reader)
{
    CHECK_OK(store_open(place, ret, &test_err));
    CHECK_OK(store_reader_open(place, ret_reader, &test_err));
}

static void close_both(struct store *s, struct store_reader *r)
{
    store_reader_close(r);
    store_close(s);
}

int main(void)
{
    const struct control_backend sqlite = {
        .name = "control state in SQLite", .make = make, .open = open_both, .close = close_both
    };
    int failed;

    no_sync = true; /* whether commits wait for the disk is test_store_faults.c's */
    if (make_dir(NULL))
        return 1;
    failed = conform_control(&sqlite);
    return remove_dir(NULL) || failed;
}
