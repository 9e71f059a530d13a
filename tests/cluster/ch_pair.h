/* ch_pair.h - two replicas and the ZooKeeper they need, of the test's own (ch_server.h). Their tables may be
 * replicated on CH_PAIR_CLUSTER; cluster CH_PAIR_SHARDS has two shards. One thread. */
#ifndef TW_TEST_CH_PAIR_H
#define TW_TEST_CH_PAIR_H

#include "tests/cluster/ch_server.h"

#define CH_PAIR_CLUSTER "pair"
#define CH_PAIR_SHARDS "shards"
struct ch_pair {
    struct ch_server r[2];
    pid_t zk; /* 0: it does not run */
    unsigned zk_port;
    char zk_folder[64];
};
void ch_pair_start(struct ch_pair *p);
/* SIGKILL of ZooKeeper, and once more on the same folder and port: waits until it answers. */
void ch_pair_kill_zk(struct ch_pair *p);
void ch_pair_zk_again(struct ch_pair *p);
/* Ends all of it, also of one that is zeroed. */
void ch_pair_stop(struct ch_pair *p);
/* "127.0.0.1:A,127.0.0.1:B/DATABASE?cluster=...", replica `first` first; quorum 0: not said. */
void ch_pair_location(const struct ch_pair *p, unsigned first, const char *database, unsigned quorum,
                      char *ret, size_t cap);

#endif
