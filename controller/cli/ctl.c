#include "controller/cli/ctl.h"

#include <assert.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "admin.pb-c.h"
#include "common/net/now.h"
#include "common/net/rpc.h"
#include "common/net/rpc_check.h"
#include "common/splitmix.h"
#include "common/version.h"
#include "controller/cli/out.h"

#define PEM_BYTES_MAX 65536u
#define GRACE_NS (500 * TW_NS_PER_MS) /* a call ends itself at its deadline; only then do we */
#define IMPATIENCE_NS (3 * TW_NS_PER_S) /* with one of several controllers that says nothing */
#define MEANWHILE_NS (200 * TW_NS_PER_MS)
#define PATIENCE_NS (3600 * TW_NS_PER_S)
#define RETRIES 6                     /* of a call that the controller could not take at the moment */
#define RETRY_MAX_MS 5000u

struct ctl {
    struct loop *loop;
    struct rpc_client *client;
    struct rpc_peer *peer; /* NULL: not connected */
    const char *url;       /* the one that is used or tried */
    const char *urls[CTL_URLS_MAX];
    size_t n_urls, at;
    char *list; /* holds them */
    char token[128];
    struct ctl_tls tls;
    char *ca; /* what the file said at the last dial */
    char *cert, *key; /* the same of our own; NULL: none is shown */
    int64_t timeout_ns;
    bool settled; /* what is waited for has come, or will not */
    bool interrupted;
    bool begun; /* a call: ctl_begin() */

    Tw__Status status; /* of the last call or connection */
    bool answered;     /* it is the controller's own answer */
    char detail[600];
    uint32_t retry_ms; /* not 0: the call was not done and may be made again after so long */
    ProtobufCMessage *reply;
    bool for_people;
    struct ctl_patience patience; /* of the call that goes on; .meanwhile NULL: none */
};

/* ---- Hooks ---- */

static void note(struct ctl *c, Tw__Status status, const char *detail)
{
    c->status = status;
    snprintf(c->detail, sizeof c->detail, "%s", detail ? detail : "");
    c->settled = true;
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct ctl *c = ctx;

    c->peer = p;
    note(c, TW__STATUS__STATUS_OK, "");
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct ctl *c = ctx;

    (void)p;
    c->peer = NULL;
    if (!c->settled) /* a call that waits has been told the same */
        note(c, status, detail);
}

static void on_signal(void *ctx, int signo)
{
    struct ctl *c = ctx;

    (void)signo;
    c->interrupted = true;
    c->settled = true;
}

/* ---- Life ---- */

static enum tw_rc catch (struct ctl *c) {
    enum tw_rc rc = loop_on_signal(c->loop, SIGINT, on_signal, c);

    return rc ? rc : loop_on_signal(c->loop, SIGTERM, on_signal, c);
}

static enum tw_rc take_urls(struct ctl *c, const char *text)
{
    char *rest = c->list = strdup(text), *one;

    if (!rest)
        return TW_ENOMEM;
    while ((one = strsep(&rest, ",")) && c->n_urls < CTL_URLS_MAX)
        c->urls[c->n_urls++] = one;
    c->url = c->urls[0];
    return TW_OK;
}

enum tw_rc ctl_new(const char *url, int64_t timeout_ns, bool catch_signals, struct ctl **ret)
{
    struct ctl *c = calloc(1, sizeof *c);
    enum tw_rc rc;

    if (!c)
        return TW_ENOMEM;
    c->timeout_ns = timeout_ns;
    rc = take_urls(c, url);
    if (rc == TW_OK)
        rc = loop_new(&c->loop);
    if (rc == TW_OK && catch_signals)
        rc = catch (c);
    if (rc != TW_OK) {
        ctl_free(c);
        return rc;
    }
    *ret = c;
    return TW_OK;
}

void ctl_set_token(struct ctl *c, const char *token)
{
    snprintf(c->token, sizeof c->token, "%s", token);
}

void ctl_for_people(struct ctl *c)
{
    c->for_people = true;
}

static void forget_text(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

static const char *said(const char *text)
{
    return text && *text ? text : NULL;
}

void ctl_set_tls(struct ctl *c, const struct ctl_tls *t)
{
    c->tls =
        (struct ctl_tls){ said(t->ca_file), said(t->server_name), said(t->cert_file), said(t->key_file) };
}

static void disconnect(struct ctl *c)
{
    if (c->client)
        rpc_client_stop(c->client);
    c->client = NULL;
    c->peer = NULL;
}

void ctl_free(struct ctl *c)
{
    if (!c)
        return;
    disconnect(c);
    if (c->loop)
        loop_free(c->loop);
    free(c->list);
    free(c->ca);
    forget_text(&c->cert);
    forget_text(&c->key);
    free(c);
}

bool ctl_interrupted(const struct ctl *c)
{
    return c->interrupted;
}

bool ctl_take_interrupt(struct ctl *c)
{
    bool was = c->interrupted;

    c->interrupted = false;
    return was;
}

/* ---- Waiting ---- */

static enum tw_rc wait_until_settled(struct ctl *c, int64_t ns)
{
    return loop_run_until(c->loop, &c->settled, (struct tw_mono){ tw_mono_now().ns + ns });
}

void ctl_pause(struct ctl *c, int64_t ns)
{
    c->settled = c->interrupted;
    while (!c->interrupted && wait_until_settled(c, ns) == TW_OK && !c->interrupted)
        c->settled = false; /* the connection broke: the next call will see to that */
}

/* ---- Connecting ---- */

/* What rpc says, without the URL, which we say ourselves. */
static const char *reason(const struct ctl *c)
{
    char start[600];
    size_t n = (size_t)snprintf(start, sizeof start, "cannot connect to %s: ", c->url);

    return n < sizeof start && !strncmp(c->detail, start, n) ? c->detail + n : c->detail;
}

/* nng says "Connection refused" of a socket that does not exist, too: two things to look at at night. */
static bool socket_is_missing(const struct ctl *c)
{
    return !strncmp(c->url, "ipc://", 6) && access(c->url + 6, F_OK) && errno == ENOENT;
}

static enum cli_exit unreachable(const struct ctl *c, struct ctl_error *err)
{
    const char *hint = "is twamp-controller running? --controller or TWAMPCTL_CONTROLLER says where";

    if (c->status == TW__STATUS__STATUS_UNAUTHENTICATED || c->status == TW__STATUS__STATUS_RESOURCE_EXHAUSTED) {
        snprintf(err->text, sizeof err->text, "the controller at %s does not let us in: %s", c->url, reason(c));
        return CLI_UNREACHABLE;
    }
    if (c->status != TW__STATUS__STATUS_UNAVAILABLE) /* something answered and refused us */
        hint = "is that its --admin-listen?";
    else if (strstr(c->detail, "ermission denied"))
        hint = "only the owner and the group of its socket may";
    snprintf(err->text, sizeof err->text, "cannot reach the controller at %s: %s: %s", c->url,
             socket_is_missing(c) ? "there is no such socket" : reason(c), hint);
    return CLI_UNREACHABLE;
}

static enum cli_exit timed_out(const struct ctl *c, const char *what, struct ctl_error *err)
{
    char text[TW_TIME_TEXT];

    snprintf(err->text, sizeof err->text,
             "the controller at %s did not %s within %s: --timeout gives it longer", c->url, what,
             tw_duration_format(c->timeout_ns, text));
    return CLI_TIMEOUT;
}

static enum cli_exit interrupted(struct ctl_error *err)
{
    snprintf(err->text, sizeof err->text, "interrupted");
    return CLI_FAILED;
}

char *ctl_user_name(char buf[64])
{
    const struct passwd *pw = getpwuid(geteuid());

    if (pw)
        snprintf(buf, 64, "%s", pw->pw_name);
    else
        snprintf(buf, 64, "uid-%u", geteuid());
    return buf;
}

static bool is_tls(const struct ctl *c)
{
    return !strncmp(c->url, "tls+tcp://", 10);
}

/* A terminated text of the file's first PEM_BYTES_MAX octets; more is cut, and then refused as no
 * certificate. */
static enum tw_rc read_text(const char *option, const char *path, char **ret, struct tw_err *err)
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return tw_err_set(err, TW_EINVAL, "--%s: %s: %s", option, path, strerror(errno));
    forget_text(ret);
    *ret = malloc(PEM_BYTES_MAX + 1);
    n = *ret ? fread(*ret, 1, PEM_BYTES_MAX, f) : 0;
    fclose(f);
    if (!*ret)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    (*ret)[n] = '\0';
    return TW_OK;
}

static enum tw_rc read_tls(struct ctl *c, struct tw_err *err)
{
    const struct ctl_tls *t = &c->tls;
    enum tw_rc rc;

    if (!t->ca_file)
        return tw_err_set(
            err, TW_EINVAL,
            "tls+tcp:// needs --ca-file: the ca.pem that \"twampctl ca init\" made for the controller");
    if (t->key_file && !t->cert_file)
        return tw_err_set(err, TW_EINVAL, "--client-key: expected --client-cert, too");
    rc = read_text("ca-file", t->ca_file, &c->ca, err);
    if (rc == TW_OK && t->cert_file)
        rc = read_text("client-cert", t->cert_file, &c->cert, err);
    if (rc == TW_OK && t->key_file)
        rc = read_text("client-key", t->key_file, &c->key, err);
    return rc;
}

static enum tw_rc show_tls(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    struct ctl *c = ctx;

    (void)err;
    *ret = (struct rpc_tls){ .ca = c->ca,
                             .server_name = c->tls.server_name,
                             .certificate = c->cert,
                             .key = c->key ? c->key : c->cert };
    return TW_OK;
}

/* To c->url. */
static enum cli_exit connect_to(struct ctl *c, int64_t timeout_ns, struct ctl_error *err)
{
    char user[64];
    struct tw_err why = { 0 };
    struct rpc_client_conf conf = { .loop = c->loop,
                                    .url = c->url,
                                    .role = TW__ROLE__ROLE_OPERATOR,
                                    .name = ctl_user_name(user),
                                    .software = tw_software_ctl,
                                    .token = *c->token ? c->token : NULL,
                                    .hooks = { .ctx = c, .on_up = on_up, .on_down = on_down },
                                    .tls_ctx = c,
                                    .once = true };

    disconnect(c);
    c->settled = c->interrupted;
    if (is_tls(c)) {
        conf.tls = show_tls;
        if (read_tls(c, &why) != TW_OK) {
            tw_err_format(&why, err->text, sizeof err->text);
            return CLI_USAGE;
        }
    }
    if (rpc_client_start(&conf, &c->client, &why) != TW_OK) {
        c->client = NULL;
        tw_err_format(&why, err->text, sizeof err->text);
        return why.rc == TW_EINVAL ? CLI_USAGE : CLI_FAILED;
    }
    if (wait_until_settled(c, timeout_ns) == TW_ETIMEOUT)
        return timed_out(c, "accept the connection", err);
    if (c->interrupted)
        return interrupted(err);
    return c->peer ? CLI_OK : unreachable(c, err);
}

/* Would another controller answer otherwise? Who is not let in here has the wrong token for all of them. */
static bool another_may_do(const struct ctl *c, enum cli_exit code)
{
    return code == CLI_TIMEOUT ||
           (code == CLI_UNREACHABLE && c->status != TW__STATUS__STATUS_UNAUTHENTICATED);
}

static void none_answers(const struct ctl *c, struct ctl_error *err)
{
    char last[800];

    snprintf(last, sizeof last, "%.799s", err->text);
    snprintf(err->text, sizeof err->text, "none of %zu controllers answers; the last one: %s", c->n_urls,
             last);
}

enum cli_exit ctl_connect(struct ctl *c, struct ctl_error *err)
{
    int64_t short_ns = c->timeout_ns < IMPATIENCE_NS ? c->timeout_ns : IMPATIENCE_NS;

    if (c->peer)
        return CLI_OK;
    for (size_t i = 1;; i++) {
        enum cli_exit code;

        c->url = c->urls[c->at];
        code = connect_to(c, i < c->n_urls ? short_ns : c->timeout_ns, err);
        if (!another_may_do(c, code))
            return code;
        if (i >= c->n_urls) {
            if (i > 1)
                none_answers(c, err);
            return code;
        }
        c->at = (c->at + 1) % c->n_urls;
    }
}

/* ---- Calling ---- */

/* The reply is only lent to us: it is kept by packing and unpacking it. */
static ProtobufCMessage *copy(const ProtobufCMessage *m)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *data = malloc(len ? len : 1);
    ProtobufCMessage *ret = NULL;

    if (data) {
        protobuf_c_message_pack(m, data);
        ret = protobuf_c_message_unpack(m->descriptor, NULL, len, data);
    }
    free(data);
    return ret;
}

static void on_reply(const ProtobufCMessage *reply, void *ctx)
{
    struct ctl *c = ctx;
    struct rpc_result r = rpc_result();

    c->answered = r.answered;
    c->retry_ms = r.retry_ms;
    if (!reply) {
        note(c, r.status, r.detail);
        return;
    }
    c->reply = copy(reply);
    if (c->reply && c->for_people)
        rpc_each_text(c->reply, out_defuse);
    if (c->reply)
        note(c, TW__STATUS__STATUS_OK, "");
    else
        note(c, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

static void invoke(struct ctl *c, const char *method, const ProtobufCMessage *request)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    const ProtobufCMethodDescriptor *m = protobuf_c_service_descriptor_get_method_by_name(d, method);
    ProtobufCService *service =
        rpc_peer_service(c->peer, RPC_ADMIN, d, (uint32_t)(c->timeout_ns / TW_NS_PER_MS));

    assert(m && m->input == request->descriptor);
    service->invoke(service, (unsigned)(m - d->methods), request, on_reply, c);
}

static enum cli_exit explain(struct ctl *c, const char *method, struct ctl_error *err)
{
    const char *text = c->detail[0] ? c->detail : rpc_status_name(c->status);

    if (c->status == TW__STATUS__STATUS_UNAVAILABLE && !c->answered)
        return unreachable(c, err);
    switch (c->status) {
    case TW__STATUS__STATUS_DEADLINE_EXCEEDED:
        return timed_out(c, "answer", err);
    case TW__STATUS__STATUS_UNIMPLEMENTED:
        snprintf(err->text, sizeof err->text,
                 "the controller at %s does not know %s: it is older than this twampctl", c->url, method);
        return CLI_FAILED;
    case TW__STATUS__STATUS_INVALID_ARGUMENT:
    case TW__STATUS__STATUS_FAILED_PRECONDITION:
    case TW__STATUS__STATUS_OUT_OF_RANGE:
        snprintf(err->text, sizeof err->text, "%s", text);
        return strcmp(method, "ScheduleApply") && strcmp(method, "TestStart") ? CLI_FAILED : CLI_REFUSED;
    default:
        snprintf(err->text, sizeof err->text, "%s", text);
        return CLI_FAILED;
    }
}

static void on_caught_up(struct loop_task *t)
{
    *(bool *)t->ctx = true;
}

/* What happened while nobody ran the loop, such as the end of the connection; and its clock is right again,
 * by which deadlines are set. */
static void catch_up(struct ctl *c)
{
    bool done = false;
    struct loop_task t = { .fn = on_caught_up, .ctx = &done };

    loop_post(c->loop, &t);
    loop_run_until(c->loop, &done, TW_MONO_NEVER);
    loop_unpost(c->loop, &t);
}

static enum cli_exit begin(struct ctl *c, const char *method, const ProtobufCMessage *request,
                           struct ctl_error *err)
{
    enum cli_exit code;

    catch_up(c);
    code = ctl_connect(c, err);
    c->retry_ms = 0;
    if (code)
        return code;
    c->settled = c->interrupted;
    c->answered = false;
    c->reply = NULL;
    invoke(c, method, request);
    return CLI_OK;
}

/* The call is given up, and so is its answer. */
static void give_up(struct ctl *c)
{
    disconnect(c);
    if (c->reply)
        protobuf_c_message_free_unpacked(c->reply, NULL);
    c->reply = NULL;
}

static enum tw_rc wait_for_reply(struct ctl *c)
{
    const struct ctl_patience *p = &c->patience;
    int64_t began_ns = tw_mono_now().ns, waited_ns = 0, most_ns = c->timeout_ns + GRACE_NS;
    enum tw_rc rc = TW_ETIMEOUT;

    if (!p->meanwhile)
        return wait_until_settled(c, most_ns);
    for (; rc == TW_ETIMEOUT && waited_ns < most_ns; waited_ns = tw_mono_now().ns - began_ns) {
        p->meanwhile(p->ctx, waited_ns);
        rc = wait_until_settled(c, MEANWHILE_NS);
    }
    return rc;
}

static enum cli_exit finish(struct ctl *c, const char *method, ProtobufCMessage **ret, struct ctl_error *err)
{
    enum tw_rc rc = wait_for_reply(c);

    if (c->reply) {
        *ret = c->reply;
        c->reply = NULL;
        return CLI_OK;
    }
    if (rc == TW_OK && !c->interrupted)
        return explain(c, method, err);
    give_up(c);
    return c->interrupted ? interrupted(err) : timed_out(c, "answer", err);
}

/* Called once. */
static enum cli_exit call_once(struct ctl *c, const char *method, const ProtobufCMessage *request,
                               ProtobufCMessage **ret, struct ctl_error *err)
{
    enum cli_exit code = begin(c, method, request, err);

    return code ? code : finish(c, method, ret, err);
}

void ctl_begin(struct ctl *c, const char *method, const ProtobufCMessage *request)
{
    struct ctl_error err;

    assert(!c->begun);
    c->begun = begin(c, method, request, &err) == CLI_OK;
}

void ctl_give_up(struct ctl *c)
{
    if (c->begun)
        give_up(c);
    c->begun = false;
}

/* The answer of one that was begun. Its deadline may have passed, or the connection ended, only because we
 * were busy for so long. */
static enum cli_exit call_begun(struct ctl *c, const char *method, const ProtobufCMessage *request,
                                ProtobufCMessage **ret, struct ctl_error *err)
{
    enum cli_exit code = finish(c, method, ret, err);

    c->begun = false;
    return code == CLI_OK || c->answered || c->interrupted ? code : call_once(c, method, request, ret, err);
}

/* As it was told, and longer each time: many may have been told the same. */
static int64_t retry_after_ns(const struct ctl *c, unsigned tries)
{
    uint64_t ms = (uint64_t)(c->retry_ms < RETRY_MAX_MS ? c->retry_ms : RETRY_MAX_MS)
                  << (tries < 3 ? tries : 3);
    uint64_t seed = (uint64_t)tw_mono_now().ns ^ (uint64_t)getpid() << 32;

    ms += tw_splitmix64(&seed) % (ms + 1);
    return (int64_t)(ms < 2 * RETRY_MAX_MS ? ms : 2 * RETRY_MAX_MS) * TW_NS_PER_MS;
}

enum cli_exit ctl_call(struct ctl *c, const char *method, const ProtobufCMessage *request,
                       ProtobufCMessage **ret, struct ctl_error *err)
{
    int64_t until_ns = tw_mono_now().ns + c->timeout_ns, wait_ns;
    enum cli_exit code =
        c->begun ? call_begun(c, method, request, ret, err) : call_once(c, method, request, ret, err);

    for (unsigned tries = 0; code != CLI_OK && c->retry_ms && tries < RETRIES && !c->interrupted; tries++) {
        wait_ns = retry_after_ns(c, tries);
        if (tw_mono_now().ns + wait_ns > until_ns)
            break;
        ctl_pause(c, wait_ns);
        if (!c->interrupted)
            code = call_once(c, method, request, ret, err);
    }
    return code;
}

enum cli_exit ctl_call_patiently(struct ctl *c, const char *method, const ProtobufCMessage *request,
                                 const struct ctl_patience *p, ProtobufCMessage **ret, struct ctl_error *err)
{
    int64_t timeout_ns = c->timeout_ns;
    enum cli_exit code = ctl_connect(c, err);

    if (code)
        return code;
    c->patience = *p;
    c->timeout_ns = timeout_ns > PATIENCE_NS ? timeout_ns : PATIENCE_NS;
    code = ctl_call(c, method, request, ret, err);
    c->timeout_ns = timeout_ns;
    c->patience = (struct ctl_patience){ 0 };
    return code;
}
