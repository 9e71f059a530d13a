/* db/http_location.h - where the servers of a database are, as an operator writes it:
 *     HOST[:PORT][,HOST[:PORT]...]/NAME[?KEY=VALUE[&KEY=VALUE...]]
 * with the keys user, password-file, ca-file, cert-file, key-file (paths) and tls (yes or no). Pure but for
 * http_password_take(). */
#ifndef TW_DB_HTTP_LOCATION_H
#define TW_DB_HTTP_LOCATION_H

#include <stdbool.h>
#include "common/rc.h"
#include "db/http_client.h"

#define HTTP_LOCATION_MAX 4096
#define HTTP_LOCATION_NAME 64
#define HTTP_LOCATION_MORE 2 /* keys of a kind of database */
struct http_location {
    const char *endpoints[HTTP_CLIENT_SERVERS]; /* http://HOST:PORT or https://HOST:PORT */
    size_t n_endpoints;
    const char *name;
    const char *user, *password_file, *ca_file, *cert_file, *key_file; /* NULL: not said */
    const char *more[HTTP_LOCATION_MORE];                              /* likewise, of the form's */
    bool tls;
    char text[HTTP_LOCATION_MAX + HTTP_CLIENT_SERVERS * 32];
};
/* What is particular to a kind of database. */
struct http_location_form {
    const char *port, *tls_port; /* of a host without one */
    const char *name;            /* what errors call it: "DATABASE" */
    bool word;                   /* the name is of letters, digits and '_', and begins with no digit: else
                                    it may, and have '-', too */
    const char *more[HTTP_LOCATION_MORE]; /* keys besides those above; NULL: none */
};
/* TW_EINVAL: *err says what was expected, and *ret is not to be used. */
enum tw_rc http_location_parse(const char *text, const struct http_location_form *form,
                               struct http_location *ret, struct tw_err *err);
/* The first line of a password's file; not an octet that could end a header. TW_EINVAL, or what the system
 * says. */
enum tw_rc http_password_take(const char *path, char *ret, size_t cap, struct tw_err *err);

#endif
