#include "tests/cluster/etcd_server.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/cluster/own_server.h"

#define PROGRAM "etcd"
#define START_MS 30000

static const char *scheme(const struct etcd_cluster *c)
{
    return c->tls ? "https" : "http";
}

static void peers(const struct etcd_cluster *c, char *ret, size_t cap)
{
    size_t len = 0;

    for (unsigned i = 0; i < c->n; i++)
        len += (size_t)snprintf(ret + len, cap - len, "%sm%u=http://127.0.0.1:%u", i ? "," : "", i,
                                c->member[i].peer_port);
}

static void run_member(const struct etcd_cluster *c, unsigned i)
{
    const struct etcd_member *m = &c->member[i];
    char name[16], dir[96], client[64], peer[64], all[256], out[96], cert[128], key[128];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(out, sizeof out, "%s/out%u", c->folder, i);
    if (!freopen(out, "a", stdout) || !freopen(out, "a", stderr))
        _exit(126);
    snprintf(name, sizeof name, "m%u", i);
    snprintf(dir, sizeof dir, "%s/data%u", c->folder, i);
    snprintf(client, sizeof client, "%s://127.0.0.1:%u", scheme(c), m->port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", m->peer_port);
    snprintf(cert, sizeof cert, "%s/cert.pem", c->folder);
    snprintf(key, sizeof key, "%s/key.pem", c->folder);
    peers(c, all, sizeof all);
    execlp(PROGRAM, PROGRAM, "--name", name, "--data-dir", dir, "--listen-client-urls", client,
           "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls",
           peer, "--initial-cluster", all, "--logger", "zap", "--log-level", "warn",
           c->tls ? "--cert-file" : NULL, cert, "--key-file", key, (char *)NULL);
    _exit(127);
}

static void show_log(const struct etcd_cluster *c, unsigned i)
{
    char command[128];

    snprintf(command, sizeof command, "tail -n 5 %s/out%u >&2", c->folder, i);
    if (system(command))
        fprintf(stderr, "no log\n");
}

static void start_member(struct etcd_cluster *c, unsigned i)
{
    c->member[i].pid = fork();
    if (c->member[i].pid == 0)
        run_member(c, i);
    assert_true(c->member[i].pid > 0);
}

void etcd_cluster_ctl(const struct etcd_cluster *c, const char *arguments, char *ret, size_t cap)
{
    char command[1024], hosts[128];
    FILE *f;

    etcd_cluster_hosts(c, hosts, sizeof hosts);
    snprintf(command, sizeof command,
             "ETCDCTL_API=3 etcdctl --command-timeout=2s --dial-timeout=1s %s%s --endpoints=%s %s 2>>%s/ctl",
             c->tls ? "--cacert=" : "", c->tls ? c->ca_file : "", hosts, arguments, c->folder);
    f = popen(command, "r");
    assert_non_null(f);
    if (!fgets(ret, (int)cap, f))
        ret[0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
    while (fgetc(f) != EOF)
        ;
    if (pclose(f))
        ret[0] = '\0';
}

/* Does it answer a read that needs the others? */
static bool answers(const struct etcd_cluster *c, unsigned i)
{
    char command[1024];

    snprintf(command, sizeof command,
             "ETCDCTL_API=3 etcdctl --command-timeout=1s --dial-timeout=1s %s%s --endpoints=127.0.0.1:%u get "
             "/ >/dev/null 2>&1",
             c->tls ? "--cacert=" : "", c->tls ? c->ca_file : "", c->member[i].port);
    return system(command) == 0;
}

static void await_member(struct etcd_cluster *c, unsigned i)
{
    int status, waited = 0;

    while (!answers(c, i)) {
        if (waitpid(c->member[i].pid, &status, WNOHANG) == c->member[i].pid || waited >= START_MS) {
            show_log(c, i);
            c->member[i].pid = waited >= START_MS ? c->member[i].pid : 0;
            fail_msg(PROGRAM " did not start (deploy/install-deps cluster)");
        }
        usleep(20000);
        waited += 20;
    }
}

void etcd_member_again(struct etcd_cluster *c, unsigned i)
{
    start_member(c, i);
    await_member(c, i);
}

void etcd_cluster_start(struct etcd_cluster *c, unsigned n, bool tls)
{
    *c = (struct etcd_cluster){ .n = n, .tls = tls };
    snprintf(c->folder, sizeof c->folder, "/tmp/twtest-etcd-XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    if (tls)
        own_server_certificate(c->folder, c->ca_file, sizeof c->ca_file);
    for (unsigned i = 0; i < n; i++) {
        c->member[i].port = own_server_port();
        c->member[i].peer_port = own_server_port();
    }
    for (unsigned i = 0; i < n; i++)
        start_member(c, i);
    for (unsigned i = 0; i < n; i++)
        await_member(c, i);
}

void etcd_cluster_hosts(const struct etcd_cluster *c, char *ret, size_t cap)
{
    size_t len = 0;

    for (unsigned i = 0; i < c->n; i++)
        len += (size_t)snprintf(ret + len, cap - len, "%s127.0.0.1:%u", i ? "," : "", c->member[i].port);
}

unsigned etcd_cluster_leader(const struct etcd_cluster *c)
{
    for (unsigned waited = 0; waited < 200; waited++) {
        for (unsigned i = 0; i < c->n; i++) {
            char command[512];
            if (!c->member[i].pid)
                continue;
            snprintf(command, sizeof command,
                     "ETCDCTL_API=3 etcdctl --command-timeout=1s %s%s --endpoints=127.0.0.1:%u endpoint "
                     "status 2>/dev/null | cut -d, -f5 | "
                     "grep -q true",
                     c->tls ? "--cacert=" : "", c->tls ? c->ca_file : "", c->member[i].port);
            if (system(command) == 0)
                return i;
        }
        usleep(50000);
    }
    fail_msg("no member leads");
    return 0;
}

void etcd_member_kill(struct etcd_cluster *c, unsigned i)
{
    own_server_kill(&c->member[i].pid);
}

void etcd_member_pause(struct etcd_cluster *c, unsigned i, bool pause)
{
    assert_int_equal(kill(c->member[i].pid, pause ? SIGSTOP : SIGCONT), 0);
}

void etcd_cluster_stop(struct etcd_cluster *c)
{
    for (unsigned i = 0; i < c->n; i++)
        etcd_member_kill(c, i);
    own_server_remove(c->folder);
    *c = (struct etcd_cluster){ .n = 0 };
}
