/* agent/keyring.h - the file of secrets in use: looked at every 5 s and when told to, its keys handed to the
 * reflectors of all workers as soon as it changes. A change that cannot be read is reported, and what was
 * read before stays in use. Loop thread only. */
#ifndef TW_AGENT_KEYRING_H
#define TW_AGENT_KEYRING_H

#include "agent/core/form.h"
#include "agent/io/worker.h"

struct keyring;

struct keyring_conf {
    struct loop *loop;
    const char *path;
    struct worker **workers;
    size_t n_workers;
    /* Other keys: sessions may start, stop, or need another form. NULL: nobody needs to know. */
    void (*on_changed)(void *ctx);
    void *ctx;
};

/* Reads the file: what is wrong with it ends the start, as *err says. */
enum tw_rc keyring_open(const struct keyring_conf *c, struct keyring **ret, struct tw_err *err);
void keyring_free(struct keyring *k); /* wipes the keys */
/* Has the file changed? As on SIGHUP. */
void keyring_look(struct keyring *k);

/* Counts how often it has been read. */
uint64_t keyring_version(const struct keyring *k);
/* The keys of a KeyID, at most cap, the one to sign with first; 0 = unknown. Valid until the file changes. */
size_t keyring_find(const struct keyring *k, const char *key_id, struct form_key *ret, size_t cap);
/* Why a session with this KeyID cannot run; NULL: it can. k NULL: no file of secrets. */
const char *keyring_lacks(const struct keyring *k, const char *key_id);
/* For TWAMP-Control: passphrase number `which` of a KeyID, copied; returns its length, 0 = unknown. */
size_t keyring_secret(const struct keyring *k, const char *key_id, unsigned which, uint8_t *ret, size_t cap);
/* Why the file as it is now is not in use; "" = it is. */
const char *keyring_error(const struct keyring *k);

#endif
