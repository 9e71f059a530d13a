/* controller/cli/ctl.h - a connection to the controller's Admin service, with calls that wait for their
 * answer. Single-threaded but for nng's threads, which rpc hides. */
#ifndef TW_CLI_CTL_H
#define TW_CLI_CTL_H

#include <protobuf-c/protobuf-c.h>
#include "common/clk.h"

/* Exit codes of twampctl; documented in docs/twampctl.md. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the controller refused, or something else went wrong; doctor found problems */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_UNREACHABLE = 3, /* no connection to the controller */
    CLI_TIMEOUT = 4,     /* no answer in time */
    CLI_REFUSED = 5,     /* the document or what it asks for was refused */
    CLI_BEHIND = 6       /* applied, but some connected agents have not taken it over */
};

struct ctl;
struct ctl_error {
    char text[1024]; /* one line: what is wrong and what to do */
};

#define CTL_URLS_MAX 16

/* Makes a loop and nothing else. url: one, or several with commas: the next one is tried when one does not
 * answer; copied. With catch_signals SIGINT and SIGTERM end any waiting and are remembered. */
enum tw_rc ctl_new(const char *url, int64_t timeout_ns, bool catch_signals, struct ctl **ret);
/* To show when it connects; copied. "": none. */
void ctl_set_token(struct ctl *c, const char *token);
/* What answers say goes to a terminal: control characters in their texts become '?', but for ends of lines and tabs. */
void ctl_for_people(struct ctl *c);
/* For tls+tcp://. All borrowed; NULL: none. */
struct ctl_tls {
    const char *ca_file;     /* the certificates of authorities that are believed */
    const char *server_name; /* whom the controller's certificate must name instead of the host of the URL */
    const char *cert_file, *key_file; /* to show; without a key_file the key is in cert_file, too */
};
void ctl_set_tls(struct ctl *c, const struct ctl_tls *t);
void ctl_free(struct ctl *c);
/* Connects unless connected, to the first that answers, from the one on that was used at last. A call that
 * was under way when its connection ended is not made again by itself: nobody knows whether it was done. */
enum cli_exit ctl_connect(struct ctl *c, struct ctl_error *err);
/* Connects if need be and calls a method of Admin by its name. *ret belongs to the caller
 * (protobuf_c_message_free_unpacked(m, NULL)). What the controller cannot take at the moment is tried again
 * some times within the timeout, when it says that this may help (retry_ms). After a failure that is not the
 * method's own, the next call connects anew. */
enum cli_exit ctl_call(struct ctl *c, const char *method, const ProtobufCMessage *request,
                       ProtobufCMessage **ret, struct ctl_error *err);
/* What is done meanwhile, several times a second. */
struct ctl_patience {
    void (*meanwhile)(void *ctx, int64_t waited_ns);
    void *ctx;
};
/* ctl_call() for what may take the controller minutes, such as a mesh of a million pairs: the timeout is that
 * of the connection, and after that it is waited for as long as the connection lives, an hour at most. */
enum cli_exit ctl_call_patiently(struct ctl *c, const char *method, const ProtobufCMessage *request,
                                 const struct ctl_patience *p, ProtobufCMessage **ret, struct ctl_error *err);
/* Sends a call that changes nothing, and does not wait: the next ctl_call() must be the same, and gets its
 * answer, or calls anew if it came to nothing. So there is time for other things while the controller works.
 * At most one. */
void ctl_begin(struct ctl *c, const char *method, const ProtobufCMessage *request);
/* There will be no such ctl_call(). No effect unless one was begun. */
void ctl_give_up(struct ctl *c);
/* Runs the loop for a while; ends early when a signal came. */
void ctl_pause(struct ctl *c, int64_t ns);
bool ctl_interrupted(const struct ctl *c);
/* The same, once: what follows is waited for again, until the next signal. */
bool ctl_take_interrupt(struct ctl *c);
/* Who we are to the controller; returns buf. */
char *ctl_user_name(char buf[64]);

#endif
