/* controller/cli/token.h - the access token that twampctl shows the controller: where it comes from. */
#ifndef TW_CLI_TOKEN_H
#define TW_CLI_TOKEN_H

#include "controller/cli/cli.h"

#define TOKEN_MAX 128

/* By option, variable or context, the nearest counts: the token, or a file that nobody else may read. buf "":
 * there is none. TW_EPERM (others may read the file), TW_EINVAL (no token in it), TW_ENOENT, TW_EIO. */
enum tw_rc token_read(const struct cli *c, char buf[TOKEN_MAX], struct tw_err *err);
/* The first line of a file. */
enum tw_rc token_read_file(const char *path, char buf[TOKEN_MAX], struct tw_err *err);

#endif
