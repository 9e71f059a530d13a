/* A server of the engine of a current ClickHouse release, as clickhouse-server to our client and tests.
 * usage: current_clickhouse LIBCHDB.SO --config-file=CONFIG.XML */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/cluster/current/http.h"

int main(int argc, char **argv)
{
    static const char option[] = "--config-file=";
    struct config c;
    struct engine *e;
    struct http *h;
    sigset_t ends;
    int which;

    if (argc != 3 || strncmp(argv[2], option, sizeof option - 1) != 0) {
        fprintf(stderr, "usage: current_clickhouse LIBCHDB.SO --config-file=CONFIG.XML\n");
        return 2;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    config_read(argv[2] + sizeof option - 1, &c);
    e = engine_open(argv[1], c.path, c.most_to_drop);
    h = http_start(&c, e);
    sigwait(&ends, &which);
    http_stop(h);
    engine_close(e);
    config_free(&c);
    return 0;
}
