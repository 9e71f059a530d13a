#include "controller/notify_send.h"
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/net/now.h"
#include "common/version.h"
#include "controller/notify_format.h"

#define ANSWER_MAX 120 /* of what a receiver says, for the error */
#define TOKEN_MAX 4096
#define HOLD_TIMES 4 /* resend intervals that an alert counts without another */
#define LOOK_MS 50
#define EX_DATAERR 65 /* sysexits.h: it will not be better the next time */

struct answer {
    char text[ANSWER_MAX + 1];
    size_t n;
};

static void keep(struct answer *a, const char *data, size_t n)
{
    for (size_t i = 0; i < n && a->n < ANSWER_MAX; i++)
        a->text[a->n++] = data[i] >= ' ' && data[i] <= '~' ? data[i] : ' ';
    a->text[a->n] = '\0';
}

/* ---- Webhooks ---- */

enum tw_rc notify_send_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? TW_OK : TW_ENOMEM;
}

static size_t take_answer(char *data, size_t size, size_t n, void *ctx)
{
    keep(ctx, data, size * n);
    return size * n;
}

static int look(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return atomic_load((const atomic_bool *)ctx);
}

/* Its first line. What could end the header is refused. */
static enum tw_rc read_token(const char *path, char ret[TOKEN_MAX], struct tw_err *err)
{
    FILE *f = fopen(path, "re");

    if (!f)
        return tw_err_set(err, tw_rc_errno(errno), "cannot read token_file %.100s: %s", path,
                          strerror(errno));
    if (!fgets(ret, TOKEN_MAX, f))
        ret[0] = '\0';
    fclose(f);
    ret[strcspn(ret, "\r\n")] = '\0';
    if (!ret[0])
        return tw_err_set(err, TW_EIO, "token_file %.100s has no token in its first line", path);
    for (const char *p = ret; *p; p++)
        if (*p < ' ' || *p > '~')
            return tw_err_set(err, TW_EIO, "token_file %.100s: expected printable ASCII", path);
    return TW_OK;
}

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *more = curl_slist_append(*list, text);

    if (more)
        *list = more;
    return more != NULL;
}

static enum tw_rc make_headers(const struct alert_receiver *r, const char *key, struct curl_slist **ret,
                               struct tw_err *err)
{
    char line[TOKEN_MAX + 32], token[TOKEN_MAX];
    bool ok = add_header(ret, "Content-Type: application/json") && add_header(ret, "Expect:");
    enum tw_rc rc;

    snprintf(line, sizeof line, "Idempotency-Key: %.200s", key);
    ok = ok && add_header(ret, line);
    if (ok && r->token_file) {
        rc = read_token(r->token_file, token, err);
        if (rc)
            return rc;
        snprintf(line, sizeof line, "Authorization: Bearer %s", token);
        ok = add_header(ret, line);
    }
    return ok ? TW_OK : tw_err_set(err, TW_ENOMEM, "out of memory");
}

/* What is wrong with the content stays wrong; all else may be put right at the other end. */
static bool is_final(long status)
{
    return status == 400 || status == 413 || status == 415 || status == 422;
}

static enum tw_rc judge(CURL *h, CURLcode code, const struct answer *a, const char *detail,
                        struct tw_err *err)
{
    long status = 0;

    if (code == CURLE_ABORTED_BY_CALLBACK)
        return tw_err_set(err, TW_ECLOSED, "stopped");
    if (code != CURLE_OK)
        return tw_err_set(err, code == CURLE_OPERATION_TIMEDOUT ? TW_ETIMEOUT : TW_EIO, "%.200s",
                          detail[0] ? detail : curl_easy_strerror(code));
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300)
        return TW_OK;
    return tw_err_set(err, is_final(status) ? TW_EINVAL : TW_EIO, "HTTP status %ld: %s", status, a->text);
}

static enum tw_rc post(const struct alert_receiver *r, const char *key, const char *content,
                       const atomic_bool *stop, struct tw_err *err)
{
    CURL *h = curl_easy_init();
    struct curl_slist *headers = NULL;
    struct answer a = { 0 };
    char detail[CURL_ERROR_SIZE] = "";
    enum tw_rc rc = h ? make_headers(r, key, &headers, err) : tw_err_set(err, TW_ENOMEM, "out of memory");

    if (rc == TW_OK) {
        curl_easy_setopt(h, CURLOPT_URL, r->url);
        curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(r->timeout_ns / TW_NS_PER_MS));
        curl_easy_setopt(h, CURLOPT_USERAGENT, "twampmesh/" TW_VERSION);
        curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, content);
        curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_answer);
        curl_easy_setopt(h, CURLOPT_WRITEDATA, &a);
        curl_easy_setopt(h, CURLOPT_ERRORBUFFER, detail);
        curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, look);
        curl_easy_setopt(h, CURLOPT_XFERINFODATA, stop);
        rc = judge(h, curl_easy_perform(h), &a, detail, err);
    }
    curl_slist_free_all(headers);
    if (h)
        curl_easy_cleanup(h);
    return rc;
}

static enum tw_rc send_webhook(const struct alert_receiver *r, const char *key, const char *body,
                               const atomic_bool *stop, struct tw_err *err)
{
    char *content = r->format == ALERT_FORMAT_SLACK ? notify_slack(body)
                    : r->format == ALERT_FORMAT_ALERTMANAGER
                        ? notify_alertmanager(body, tw_wall_now().ns, HOLD_TIMES * r->resend_ns)
                        : strdup(body);
    enum tw_rc rc = content ? post(r, key, content, stop, err) : tw_err_set(err, TW_ENOMEM, "out of memory");

    free(content);
    return rc;
}

/* ---- Programs ---- */

struct child {
    pid_t pid;
    int in, err; /* ours; -1: closed */
    const char *input;
    size_t left;
    struct answer answer;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Standard input and error are pipes, output goes nowhere; signals as at a fresh start; a process group of
 * its own. */
static int spawn(const struct alert_receiver *r, char *const argv[], char *const env[], int in, int err,
                 pid_t *ret)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int e;

    (void)r;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawn_file_actions_adddup2(&fa, in, 0);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, err, 2);
    e = posix_spawn(ret, argv[0], &fa, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return e;
}

static enum tw_rc start_child(struct child *c, const struct alert_receiver *r, char *const argv[],
                              char *const env[], struct tw_err *err)
{
    int in[2], out[2], e;

    if (pipe2(in, O_CLOEXEC) < 0)
        return tw_err_set(err, tw_rc_errno(errno), "cannot make a pipe: %s", strerror(errno));
    if (pipe2(out, O_CLOEXEC) < 0) {
        close(in[0]);
        close(in[1]);
        return tw_err_set(err, tw_rc_errno(errno), "cannot make a pipe: %s", strerror(errno));
    }
    e = spawn(r, argv, env, in[0], out[1], &c->pid);
    close(in[0]);
    close(out[1]);
    c->in = in[1];
    c->err = out[0];
    fcntl(c->in, F_SETFL, O_NONBLOCK);
    fcntl(c->err, F_SETFL, O_NONBLOCK);
    if (!e)
        return TW_OK;
    close_fd(&c->in);
    close_fd(&c->err);
    return tw_err_set(err, tw_rc_errno(e), "cannot run %.100s: %s", argv[0], strerror(e));
}

/* A program that does not read all of it is fine. */
static void feed(struct child *c)
{
    ssize_t n = c->left ? write(c->in, c->input, c->left) : 0;

    if (n > 0) {
        c->input += n;
        c->left -= (size_t)n;
    }
    if (!c->left || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_fd(&c->in);
}

static void hear(struct child *c)
{
    char buf[256];
    ssize_t n = read(c->err, buf, sizeof buf);

    if (n > 0)
        keep(&c->answer, buf, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_fd(&c->err);
}

/* True: it has ended, *status as of waitpid(). False: it was killed, for being late or for `stop`. */
static bool tend(struct child *c, int64_t until_ns, const atomic_bool *stop, int *status)
{
    pid_t got;

    while ((got = waitpid(c->pid, status, WNOHANG)) == 0) {
        struct pollfd fds[2] = { { c->in, POLLOUT, 0 }, { c->err, POLLIN, 0 } };

        if (atomic_load(stop) || tw_mono_now().ns > until_ns) {
            kill(-c->pid, SIGKILL);
            waitpid(c->pid, status, 0);
            return false;
        }
        poll(fds, 2, LOOK_MS);
        if (c->in >= 0 && fds[0].revents)
            feed(c);
        if (c->err >= 0 && fds[1].revents)
            hear(c);
    }
    if (c->err >= 0)
        hear(c);
    if (got < 0) /* somebody else has taken it: what became of it is not known, so it counts as failed */
        *status = SIGCHLD;
    return true;
}

static enum tw_rc judge_child(const struct child *c, const char *program, bool ended, int status,
                              const atomic_bool *stop, const struct alert_receiver *r, struct tw_err *err)
{
    char text[TW_TIME_TEXT];

    if (!ended && atomic_load(stop))
        return tw_err_set(err, TW_ECLOSED, "stopped");
    if (!ended)
        return tw_err_set(err, TW_ETIMEOUT, "%.80s had not ended after %s and was killed", program,
                          tw_duration_format(r->timeout_ns, text));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TW_OK;
    if (WIFEXITED(status))
        return tw_err_set(err, WEXITSTATUS(status) == EX_DATAERR ? TW_EINVAL : TW_EIO,
                          "%.80s ended with %d: %s", program, WEXITSTATUS(status), c->answer.text);
    return tw_err_set(err, TW_EIO, "%.80s was ended by signal %d", program, WTERMSIG(status));
}

static enum tw_rc run(const struct alert_receiver *r, char *const argv[], char *const env[],
                      const char *input, const atomic_bool *stop, struct tw_err *err)
{
    struct child c = { .input = input, .left = strlen(input) };
    enum tw_rc rc = start_child(&c, r, argv, env, err);
    int status = 0;
    bool ended;

    if (rc)
        return rc;
    ended = tend(&c, tw_mono_now().ns + r->timeout_ns, stop, &status);
    close_fd(&c.in);
    close_fd(&c.err);
    return judge_child(&c, argv[0], ended, status, stop, r, err);
}

static char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static enum tw_rc send_command(const struct alert_receiver *r, const char *body, const atomic_bool *stop,
                               struct tw_err *err)
{
    char *env[NOTIFY_ENV_MAX + 1], *argv[ALERT_ARGS_MAX + 1] = { 0 };
    size_t n = notify_environment(body, env);
    enum tw_rc rc;

    env[n] = path_variable;
    env[n + 1] = NULL;
    memcpy(argv, r->argv, r->n_args * sizeof *argv);
    rc = run(r, argv, env, body, stop, err);
    for (size_t i = 0; i < n; i++)
        free(env[i]);
    return rc;
}

static char mail_i[] = "-i", mail_f[] = "-f", mail_end[] = "--";

static enum tw_rc send_mail(const struct alert_receiver *r, const char *body, const atomic_bool *stop,
                            struct tw_err *err)
{
    char *argv[ALERT_ARGS_MAX + 8] = { r->sendmail, mail_i, mail_f, r->from, mail_end },
                                *env[] = { path_variable, NULL };
    char *text = notify_mail(body, r, tw_wall_now().ns);
    enum tw_rc rc;

    memcpy(argv + 5, r->argv, r->n_args * sizeof *argv);
    rc = text ? run(r, argv, env, text, stop, err) : tw_err_set(err, TW_ENOMEM, "out of memory");
    free(text);
    return rc;
}

enum tw_rc notify_send(const struct alert_receiver *r, const char *key, const char *body,
                       const atomic_bool *stop, struct tw_err *err)
{
    switch (r->kind) {
    case ALERT_TO_WEBHOOK:
        return send_webhook(r, key, body, stop, err);
    case ALERT_TO_COMMAND:
        return send_command(r, body, stop, err);
    default:
        return send_mail(r, body, stop, err);
    }
}
