/* own_server.h - what a server of others' needs to be the test's own: a folder, ports, a certificate, an end.
 * One thread. What goes wrong is the test's failure (cmocka). */
#ifndef TW_TEST_OWN_SERVER_H
#define TW_TEST_OWN_SERVER_H

#include <stddef.h>
#include <sys/types.h>

/* Of a test with a static `struct tw_err err`. */
#define CHECK_OK(call)                                                \
    do {                                                              \
        enum tw_rc rc_ = (call);                                      \
        if (rc_)                                                      \
            fail_msg("%s: %s: %s", #call, tw_rc_name(rc_), err.text); \
    } while (0)

/* Of 127.0.0.1, that nobody listens at now. */
unsigned own_server_port(void);
/* FOLDER/cert.pem and key.pem, for 127.0.0.1; the certificate's path is who to believe. */
void own_server_certificate(const char *folder, char *ret_ca_file, size_t cap);
/* SIGKILL, now, and *pid is 0; of 0: nothing. */
void own_server_kill(pid_t *pid);
/* "": nothing. */
void own_server_remove(const char *folder);

#endif
