/* etcd_server.h - etcd members of the test's own: plain processes on loopback with their own folder and
 * ports, that end with the test. One thread. What goes wrong is the test's failure (cmocka). */
#ifndef TW_TEST_ETCD_SERVER_H
#define TW_TEST_ETCD_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#define ETCD_MEMBERS 3
struct etcd_member {
    pid_t pid; /* 0: it does not run */
    unsigned port, peer_port;
};
struct etcd_cluster {
    char folder[64];
    struct etcd_member member[ETCD_MEMBERS];
    unsigned n;
    bool tls;
    char ca_file[128]; /* with tls: who to believe */
};

/* n members, 1 or 3: waits until all answer. */
void etcd_cluster_start(struct etcd_cluster *c, unsigned n, bool tls);
/* "127.0.0.1:PORT,...": all of them. */
void etcd_cluster_hosts(const struct etcd_cluster *c, char *ret, size_t cap);
/* SIGKILL, now; data stay. */
void etcd_member_kill(struct etcd_cluster *c, unsigned i);
/* SIGSTOP and SIGCONT. */
void etcd_member_pause(struct etcd_cluster *c, unsigned i, bool pause);
/* After a kill: on the same folder and ports; waits until it answers. */
void etcd_member_again(struct etcd_cluster *c, unsigned i);
/* The member that leads; fails if none does within 10 s. */
unsigned etcd_cluster_leader(const struct etcd_cluster *c);
/* Runs etcdctl with these arguments; its first line, "" if it fails. */
void etcd_cluster_ctl(const struct etcd_cluster *c, const char *arguments, char *ret, size_t cap);
/* Ends all and removes the folder; also of a zeroed one. */
void etcd_cluster_stop(struct etcd_cluster *c);

#endif
