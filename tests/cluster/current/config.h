/* tests/cluster/current/config.h - what a server needs to know of a config.xml of clickhouse-server, and of
 * the users' file that it names: so a rig starts this server as it starts that one. Exits with a message if
 * it cannot. */
#ifndef TW_TEST_CURRENT_CONFIG_H
#define TW_TEST_CURRENT_CONFIG_H

#include <stdbool.h>

#define CONFIG_LISTEN_MAX 8

struct config {
    char *path;                      /* of data */
    unsigned http_port, https_port;  /* 0: none */
    char *certificate, *private_key; /* of HTTPS: what is in those files */
    char *listen[CONFIG_LISTEN_MAX]; /* addresses */
    unsigned n_listen;
    char *users;        /* the users' file */
    char *most_to_drop; /* max_partition_size_to_drop; NULL: as the engine has it */
};
void config_read(const char *path, struct config *ret);
/* NULL: default, without a password. Any thread. */
bool config_knows(const struct config *c, const char *user, const char *password);
void config_free(struct config *c);

#endif
