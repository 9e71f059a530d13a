/* common/net/authority.h - the fleet's certificate authority in a directory: its key, its certificate, and
 * the controller's own certificate, which it renews. All files are for their owner alone.
 *
 *   ca.key      the CA's private key: whoever has it can be any agent, and the controller
 *   ca.pem      its certificate, which agents and operators trust
 *   server.pem  the controller's certificate and then its private key, in one file, so that they change
 * together */
#ifndef TW_NET_AUTHORITY_H
#define TW_NET_AUTHORITY_H

#include "common/net/pki.h"

struct authority;

struct authority_make {
    const char *dir;          /* made; it may be there if it is empty */
    const char *const *hosts; /* by which agents and operators reach the controller */
    size_t n_hosts;
    int64_t now_ns, ca_life_ns, server_life_ns;
};
/* All of it or nothing. TW_EEXIST: something is there already. Made by root, it belongs to whom the directory
 * around belongs. */
enum tw_rc authority_make(const struct authority_make *m, struct tw_err *err);

/* TW_ENOENT: there is no such directory. Everything is read and checked but for times: who issues or shows
 * them does that. */
enum tw_rc authority_open(const char *dir, struct authority **ret, struct tw_err *err);
void authority_free(struct authority *a); /* NULL is allowed */

/* PEM. The server's has certificate and key; valid until authority_renew_server(). */
const char *authority_ca_pem(const struct authority *a);
const char *authority_server_pem(const struct authority *a);
const struct pki_cert *authority_ca(const struct authority *a);
void authority_server_info(const struct authority *a, struct pki_info *ret);

/* The controller's certificate again, with a new key, the same names and a life as long as that of the one
 * before; stored before it is taken. On an error the one before stays. */
enum tw_rc authority_renew_server(struct authority *a, int64_t now_ns, struct tw_err *err);
/* The same with more names; those that it has already make no difference. Done by root, the file stays its owner's. TW_ENOSPC: with these
 * there are more than PKI_MAX_HOSTS. TW_EINVAL: one is neither a name nor an address. */
enum tw_rc authority_add_hosts(struct authority *a, const char *const *hosts, size_t n, int64_t now_ns, struct tw_err *err);
/* By which the controller is reached; returns how many. */
size_t authority_hosts(const struct authority *a, char ret[PKI_MAX_HOSTS][PKI_HOST_TEXT]);
/* An agent's certificate. TW_ECORRUPT: the request is none; TW_EINVAL. */
enum tw_rc authority_issue(const struct authority *a, const uint8_t *csr, size_t len, const char *name,
                           int64_t now_ns, int64_t life_ns, struct pki_cert **ret, struct tw_err *err);

#endif
