/* agent/secrets.h - a file of passphrases, for TWAMP-Control and STAMP, of the agent and of the stand-alone
 * tool. One entry a line:
 *
 *     KEYID passphrase
 *
 * KEYID: 1 to 80 octets of UTF-8 without white space. The passphrase is what follows the white space, without
 * white space at its end: 1 to 256 octets, or "hex:0011.." for octets of any kind. '#' begins a comment line.
 * A KEYID may stand on several lines: the first is used to log in and to sign, all of them are accepted, so
 * that a passphrase can change without a lost interval.
 *
 * The file must be a regular one of the user that runs the program, and of nobody else's to read or write.
 * Nothing of it is ever in a message but its name and numbers of lines; all of it is wiped when it is freed.
 * Not thread-safe. */
#ifndef TW_AGENT_SECRETS_H
#define TW_AGENT_SECRETS_H

#include <stddef.h>
#include "agent/core/form.h"
#include "agent/core/stamp_pkt.h"
#include "common/rc.h"

#define SECRETS_KEY_ID_MAX 80
#define SECRETS_PASSPHRASE_MAX 256
#define SECRETS_FILE_MAX (1u << 20)
#define SECRETS_LINES_MAX 10000

struct secrets;

/* TW_EINVAL, TW_EPERM, TW_ENOENT, TW_EIO, TW_ENOMEM: one error, err->file and where it fits err->line say
 * where. A file without any entry is an error, too: it is being written, or it is the wrong one. */
enum tw_rc secrets_load(const char *path, struct secrets **ret, struct tw_err *err);
void secrets_free(struct secrets *s);
/* To be called now and then. TW_EAGAIN: the file is as it was. TW_OK: it has changed and been read. Else as
 * secrets_load(): what was read before stays in use, and the same file is not complained about again. */
enum tw_rc secrets_reload_if_changed(struct secrets *s, struct tw_err *err);

const char *secrets_path(const struct secrets *s);
size_t secrets_count(const struct secrets *s); /* entries */

/* In the order of the file; i < secrets_count(). The octets are valid until the next reload. */
struct form_key secrets_get(const struct secrets *s, size_t i);
/* The passphrases of a KEYID in the order of the file, at most cap; returns how many there are, 0 = unknown.
 * Takes as long for an unknown one as for others. The octets are valid until the next reload. */
size_t secrets_find(const struct secrets *s, const char *key_id, size_t len, struct form_key *ret,
                    size_t cap);
/* Adds the passphrases of a KEYID, or of everybody (NULL), to *keys as keys of STAMP, each once.
 * *ret_left: how many there was no room for. TW_ENOENT: no such KEYID; TW_ENOMEM, TW_EIO; then *keys is as it
 * was. */
enum tw_rc secrets_stamp_keys(const struct secrets *s, const char *key_id, struct stamp_keys *keys,
                              size_t *ret_left);

#endif
