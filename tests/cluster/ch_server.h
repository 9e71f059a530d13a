/* ch_server.h - a clickhouse-server of the test's own: a plain process on loopback with its own folder and
 * port, that ends with the test. One thread. What goes wrong is the test's failure (cmocka). */
#ifndef TW_TEST_CH_SERVER_H
#define TW_TEST_CH_SERVER_H

#include <sys/types.h>

struct ch_server {
    char folder[64], endpoint[32], url[64]; /* 127.0.0.1:PORT; http://127.0.0.1:PORT */
    char tls_url[64], ca_file[128];         /* https://127.0.0.1:PORT, and who to believe */
    pid_t pid;                              /* 0: it does not run */
    unsigned port;
};

/* Makes the folder and starts: waits until it answers. It knows user default without a password, and CH_USER.
 */
/* An environment variable: the libchdb.so whose engine the server is, instead of the clickhouse-server of
 * $PATH. That has no replicas. */
#define CH_CURRENT "TW_CLICKHOUSE_CURRENT"
#define CH_USER "measurer"
#define CH_PASSWORD "s3cr&t"
void ch_server_start(struct ch_server *s);
/* With that in its configuration, too. */
void ch_server_start_with(struct ch_server *s, const char *more);
/* SIGKILL, now; data stay. */
void ch_server_kill(struct ch_server *s);
/* After a kill: on the same folder and port. */
void ch_server_again(struct ch_server *s);
/* Ends it and removes its folder; also of one that was killed, or is zeroed. */
void ch_server_stop(struct ch_server *s);

#endif
