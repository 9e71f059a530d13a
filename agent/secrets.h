/* agent/secrets.h - a file of names and secrets: users and passphrases of TWAMP-Control, keys of STAMP. A
 * line is a name, white space, and the secret: the rest of the line as it stands, or "hex:" and hexadecimal
 * digits. "#" begins a comment line. The file must be a regular one that belongs to root or to us and that no
 * one else can read or write. What was read is wiped when it is freed; errors never show a secret. */
#ifndef TW_AGENT_SECRETS_H
#define TW_AGENT_SECRETS_H

#include <stdint.h>
#include "common/rc.h"

#define SECRETS_MAX 1024        /* lines with secrets in a file */
#define SECRETS_NAME_MAX 80     /* octets; RFC 4656 section 3.1: the field of KeyID, without a terminator */
#define SECRETS_SECRET_MAX 1024 /* octets */

struct secrets;

/* TW_ENOENT, TW_EPERM (owner or mode), TW_EINVAL (err says the line), TW_ENOMEM, TW_EIO. */
enum tw_rc secrets_load(const char *path, struct secrets **ret, struct tw_err *err);
void secrets_free(struct secrets *s);

struct secret {
    const char *name;
    const uint8_t *octets;
    size_t len;
};
size_t secrets_count(const struct secrets *s);
/* In the order of the file; i < secrets_count(). */
struct secret secrets_get(const struct secrets *s, size_t i);
/* TW_ENOENT. */
enum tw_rc secrets_find(const struct secrets *s, const char *name, struct secret *ret);

#endif
