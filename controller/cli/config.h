/* controller/cli/config.h - twampctl's configuration file: contexts, each a controller with what goes with
 * it.
 *
 *     current: lab                      # the context without --context
 *     contexts:
 *       lab:
 *         controller: tcp://192.0.2.1:8621
 *         output: wide                  # all but the controller may be left out
 *         timeout: 30s
 *         no_color: true
 *         token_file: /home/me/lab.token
 *         ca_file: /home/me/lab-ca.pem  # for tls+tcp://
 *         server_name: ctl.example.net
 *         client_cert: /home/me/me.pem  # in the place of token_file; its key is in client_key, or behind it
 *
 * An option wins over its variable, that over the context, and that over the default. Edits change only the
 * lines that they are about: comments and order stay. */
#ifndef TW_CLI_CONFIG_H
#define TW_CLI_CONFIG_H

#include "common/rc.h"

#include <stdbool.h>
#include <stddef.h>

/* What a context can say: options of every command, in the order of context_settings[]. */
enum {
    CONTEXT_CONTROLLER,
    CONTEXT_OUTPUT,
    CONTEXT_TIMEOUT,
    CONTEXT_NO_COLOR,
    CONTEXT_TOKEN_FILE,
    CONTEXT_CA_FILE,
    CONTEXT_SERVER_NAME,
    CONTEXT_CLIENT_CERT,
    CONTEXT_CLIENT_KEY,
    CONTEXT_SETTINGS
};
struct context_setting {
    const char *key;    /* in the file */
    const char *option; /* of cli_global, which says what values there are */
};
extern const struct context_setting context_settings[CONTEXT_SETTINGS];

struct context {
    char *name;
    char *values[CONTEXT_SETTINGS];   /* as text; NULL: not said */
    unsigned line, column, last_line; /* of its key, and of the end of its last value; from 1 */
};
struct config {
    char *path;
    char *text; /* of the file; NULL: there is none */
    char *current;
    unsigned current_line; /* of its key */
    struct context *contexts;
    size_t n;
    unsigned contexts_line;
    bool contexts_in_braces; /* so they have no lines of their own */
};

/* Where the file is without --config: $XDG_CONFIG_HOME or ~/.config, twampmesh/twampctl.yaml. NULL: nobody
 * knows. */
char *config_default_path(void);
/* Reads the file; that there is none is no error, but ret->text is NULL. Otherwise *err has file, line and
 * field, and *ret owns nothing. */
enum tw_rc config_load(const char *path, struct config *ret, struct tw_err *err);
/* The same from a text. */
enum tw_rc config_parse(const char *path, const char *text, struct config *ret, struct tw_err *err);
void config_free(struct config *c);
const struct context *config_find(const struct config *c, const char *name);
/* Letters, digits, '.', '_' and '-', beginning with a letter or digit, up to 64. */
bool config_is_name(const char *name);

#define CONFIG_URLS "tls+tcp://HOST:PORT, tcp://HOST:PORT or ipc:///PATH"
/* Begins as one; what else is wrong with it, connecting will tell. */
bool config_is_url(const char *url);
/* One, or several with commas. */
bool config_is_urls(const char *urls);

/* config_edit.c: each writes the file anew, at once and as 0600, or leaves it as it was. */
enum tw_rc config_use(const struct config *c, const char *name, struct tw_err *err); /* NULL: none */
enum tw_rc config_add(const struct config *c, const struct context *add, struct tw_err *err);
/* If it is the current one, none is afterwards. */
enum tw_rc config_remove(const struct config *c, const char *name, struct tw_err *err);

#endif
