#include "tests/cluster/ch_pair.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/cluster/own_server.h"

#define START_MS 60000
#define CLASSES "/usr/share/java/zookeeper.jar"

/* What each of them has on top. */
static const char replica[] =
    "  <tcp_port>%1$u</tcp_port>\n"
    "  <interserver_http_port>%2$u</interserver_http_port>"
    "<interserver_http_host>127.0.0.1</interserver_http_host>\n"
    "  <macros><replica>r%1$u</replica></macros>\n"
    "  <zookeeper><node><host>127.0.0.1</host><port>%3$u</port></node>"
    "<session_timeout_ms>4000</session_timeout_ms></zookeeper>\n"
    "  <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>\n"
    "  <remote_servers>\n"
    "    <" CH_PAIR_CLUSTER "><shard><internal_replication>true</internal_replication>"
    "<replica><host>127.0.0.1</host><port>%4$u</port></replica>"
    "<replica><host>127.0.0.1</host><port>%5$u</port></replica></shard></" CH_PAIR_CLUSTER ">\n"
    "    <" CH_PAIR_SHARDS "><shard><replica><host>127.0.0.1</host><port>%4$u</port></replica></shard>"
    "<shard><replica><host>127.0.0.1</host><port>%5$u</port></replica></shard></" CH_PAIR_SHARDS ">\n"
    "  </remote_servers>\n";

static void write_zk_config(const struct ch_pair *p)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/zoo.cfg", p->zk_folder);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "dataDir=%s/data\nclientPort=%u\nclientPortAddress=127.0.0.1\ntickTime=1000\n"
            "admin.enableServer=false\nforceSync=no\n",
            p->zk_folder, p->zk_port);
    fclose(f);
}

/* Its memory is bounded. */
static void run_zk(const struct ch_pair *p)
{
    char out[128], config[128];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(out, sizeof out, "%s/out", p->zk_folder);
    snprintf(config, sizeof config, "%s/zoo.cfg", p->zk_folder);
    if (!freopen(out, "a", stdout) || !freopen(out, "a", stderr))
        _exit(126);
    execlp("java", "java", "-Xmx64m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
           CLASSES, "org.apache.zookeeper.server.quorum.QuorumPeerMain", config, (char *)NULL);
    _exit(127);
}

static int zk_answers(const struct ch_pair *p)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)p->zk_port) };
    char answer[32] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0), ok = 0;

    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, "srvr", 4) == 4)
        ok = read(fd, answer, sizeof answer - 1) > 9 && !strncmp(answer, "Zookeeper", 9);
    close(fd);
    return ok;
}

void ch_pair_zk_again(struct ch_pair *p)
{
    int status, waited = 0;

    p->zk = fork();
    if (p->zk == 0)
        run_zk(p);
    assert_true(p->zk > 0);
    for (; !zk_answers(p); waited += 20) {
        if (waitpid(p->zk, &status, WNOHANG) == p->zk || waited >= START_MS)
            fail_msg("ZooKeeper did not start (deploy/install-deps cluster): see %s/out", p->zk_folder);
        usleep(20000);
    }
}

void ch_pair_kill_zk(struct ch_pair *p)
{
    own_server_kill(&p->zk);
}

void ch_pair_start(struct ch_pair *p)
{
    unsigned port[2], peers[2];
    char more[2048];

    *p = (struct ch_pair){ .zk_port = own_server_port() };
    snprintf(p->zk_folder, sizeof p->zk_folder, "/tmp/twtest-zk-XXXXXX");
    assert_non_null(mkdtemp(p->zk_folder));
    write_zk_config(p);
    ch_pair_zk_again(p);
    for (int i = 0; i < 2; i++) {
        port[i] = own_server_port();
        peers[i] = own_server_port();
    }
    for (int i = 0; i < 2; i++) {
        snprintf(more, sizeof more, replica, port[i], peers[i], p->zk_port, port[0], port[1]);
        ch_server_start_with(&p->r[i], more);
    }
}

void ch_pair_stop(struct ch_pair *p)
{
    ch_server_stop(&p->r[0]);
    ch_server_stop(&p->r[1]);
    ch_pair_kill_zk(p);
    own_server_remove(p->zk_folder);
}

void ch_pair_location(const struct ch_pair *p, unsigned first, const char *database, unsigned quorum,
                      char *ret, size_t cap)
{
    int n = snprintf(ret, cap, "%s,%s/%s?cluster=" CH_PAIR_CLUSTER, p->r[first].endpoint,
                     p->r[!first].endpoint, database);

    if (quorum)
        snprintf(ret + n, cap - (size_t)n, "&quorum=%u", quorum);
}
