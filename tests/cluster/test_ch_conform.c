/* The history in ClickHouse does what is asked of every database. usage: cluster_ch_conform [TEST, may have
 * *] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <stdio.h>

#include "db/clickhouse/ch_history.h"
#include "tests/cluster/ch_server.h"
#include "tests/unit/db/conform_history.h"

static struct ch_server server;

static void make(char location[CONFORM_LOCATION])
{
    static unsigned n;

    snprintf(location, CONFORM_LOCATION, "%s/conform%u", server.endpoint, n++);
}

int main(int argc, char **argv)
{
    const struct conform_backend clickhouse = { .name = "history in ClickHouse",
                                                .ops = &clickhouse_history,
                                                .make = make };
    int failed;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    ch_server_start(&server);
    failed = conform_history(&clickhouse);
    ch_server_stop(&server);
    curl_global_cleanup();
    return failed;
}
