/* Notices against receivers that refuse, hang, fail, are slow, and come back: nothing lost, nothing twice but
 * what was not answered; and what commands and mail get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/net/now.h"
#include "controller/notify.h"
#include "controller/notify_format.h"

#define MS TW_NS_PER_MS

struct world {
    struct loop *loop;
    struct notify *notify;
    struct alert_receiver receivers[3];
    struct alert_rules rules;
    char dir[64], log[96], mode[96], url[96];
    pid_t python;
    int port;
    unsigned ended, sent, refused, dropped;
    bool enough;
    unsigned wanted;
};

static void ended(void *ctx, const struct notice *n, const char *receiver)
{
    struct world *w = ctx;

    (void)receiver;
    w->sent += n->end == NOTICE_SENT;
    w->refused += n->end == NOTICE_REFUSED;
    w->dropped += n->end == NOTICE_DROPPED;
    w->enough = ++w->ended >= w->wanted;
}

static void set_mode(struct world *w, const char *mode)
{
    char tmp[112];
    FILE *f;

    snprintf(tmp, sizeof tmp, "%s.new", w->mode);
    f = fopen(tmp, "w");
    assert_non_null(f);
    fputs(mode, f);
    fclose(f);
    assert_int_equal(rename(tmp, w->mode), 0);
}

/* On the port of the last one, if there was one. */
static void start_python(struct world *w)
{
    int out[2];
    char line[64] = "", port[16];
    FILE *f;

    assert_int_equal(pipe(out), 0);
    snprintf(port, sizeof port, "%d", w->port);
    w->python = fork();
    if (w->python == 0) {
        dup2(out[1], 1);
        close(out[0]);
        execl("/usr/bin/python3", "python3", TW_SOURCE_DIR "/tests/support/receiver.py", w->log, w->mode,
              "127.0.0.1", port, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    f = fdopen(out[0], "r");
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(sscanf(line, "port %d", &w->port), 1);
    fclose(f);
}

static void stop_python(struct world *w)
{
    if (w->python > 0) {
        kill(w->python, SIGKILL);
        waitpid(w->python, NULL, 0);
    }
    w->python = 0;
}

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct notify_conf c;

    assert_non_null(w);
    snprintf(w->dir, sizeof w->dir, "/tmp/twnotify-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->log, sizeof w->log, "%s/log", w->dir);
    snprintf(w->mode, sizeof w->mode, "%s/mode", w->dir);
    assert_int_equal(loop_new(&w->loop), TW_OK);
    c = (struct notify_conf){ .loop = w->loop,
                              .controller = "c",
                              .ended = ended,
                              .ctx = w,
                              .retry_ns = 20 * MS,
                              .retry_max_ns = 100 * MS };
    assert_int_equal(notify_new(&c, &w->notify), TW_OK);
    w->rules.receivers = w->receivers;
    *state = w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    char command[96];

    notify_free(w->notify);
    loop_free(w->loop);
    stop_python(w);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static void add_webhook(struct world *w, const char *name, int64_t timeout_ns)
{
    struct alert_receiver *r = &w->receivers[w->rules.n_receivers++];

    snprintf(w->url, sizeof w->url, "http://127.0.0.1:%d/hook", w->port);
    snprintf(r->name, sizeof r->name, "%s", name);
    r->url = w->url;
    r->timeout_ns = timeout_ns;
    assert_int_equal(notify_set_receivers(w->notify, &w->rules), TW_OK);
}

static void submit(struct world *w, const char *receiver, uint64_t id)
{
    char key[32], body[64];

    snprintf(key, sizeof key, "1-%llu", (unsigned long long)id);
    snprintf(body, sizeof body, "{\"notification_id\":\"%s\"}", key);
    notify_submit(w->notify, receiver, notice_new(id, key, body));
}

static void wait_for(struct world *w, unsigned n)
{
    w->wanted = n;
    w->enough = w->ended >= n;
    assert_int_equal(
        loop_run_until(w->loop, &w->enough, (struct tw_mono){ tw_mono_now().ns + 60 * TW_NS_PER_S }), TW_OK);
}

static struct notify_state state_of(struct world *w, size_t i)
{
    struct notify_state s[3];

    assert_true(notify_states(w->notify, s, 3) > i);
    return s[i];
}

/* Lets the loop run until the receiver has failed so often. */
static void wait_for_failures(struct world *w, uint64_t n)
{
    bool never = false;

    for (int i = 0; i < 3000 && state_of(w, 0).failed < n; i++)
        loop_run_until(w->loop, &never, (struct tw_mono){ tw_mono_now().ns + 20 * MS });
    assert_true(state_of(w, 0).failed >= n);
}

/* Of the log: how often each key was answered with a success, and in order. */
static void check_log(struct world *w, unsigned n)
{
    unsigned seen[64] = { 0 }, last = 0, id;
    char line[4096], *at;
    FILE *f = fopen(w->log, "r");

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        at = strstr(line, "\"key\": \"1-");
        assert_non_null(at);
        id = (unsigned)atoi(at + 10);
        assert_in_range(id, 1, n);
        if (!strstr(line, "\"mode\": \"ok\"") && !strstr(line, "\"mode\": \"slow\""))
            continue;
        seen[id]++;
        assert_true(id >= last);
        last = id;
    }
    fclose(f);
    for (id = 1; id <= n; id++)
        if (seen[id] != 1)
            fail_msg("notice %u was taken %u times", id, seen[id]);
}

static void a_receiver_that_fails_in_every_way(void **state)
{
    struct world *w = *state;
    uint64_t failed;

    start_python(w);
    stop_python(w); /* a port where nobody listens */
    add_webhook(w, "hook", 1500 * MS);
    for (uint64_t i = 1; i <= 20; i++)
        submit(w, "hook", i);
    wait_for_failures(w, 3);
    assert_true(state_of(w, 0).last_error[0] && state_of(w, 0).queued == 20 && state_of(w, 0).next_try_ns);
    set_mode(w, "500");
    start_python(w);
    failed = state_of(w, 0).failed;
    wait_for_failures(w, failed + 3);
    set_mode(w, "hang");
    failed = state_of(w, 0).failed;
    wait_for_failures(w, failed + 2);
    assert_int_equal(w->ended, 0);
    assert_true(state_of(w, 0).work.rounds >= state_of(w, 0).failed && state_of(w, 0).work.busy_ratio > 0);
    assert_true(state_of(w, 0).work.longest_ns >= 1400 * MS); /* as long as it was waited for an answer */
    set_mode(w, "slow");
    wait_for(w, 3);
    set_mode(w, "ok");
    wait_for(w, 20);
    assert_int_equal(w->sent, 20);
    assert_int_equal(state_of(w, 0).queued, 0);
    check_log(w, 20);
}

static void what_is_refused_for_good(void **state)
{
    struct world *w = *state;

    set_mode(w, "400");
    start_python(w);
    add_webhook(w, "hook", 5000 * MS);
    submit(w, "hook", 1);
    wait_for(w, 1);
    assert_int_equal(w->refused, 1);
    set_mode(w, "ok");
    submit(w, "hook", 2);
    wait_for(w, 2);
    assert_int_equal(w->sent, 1);
}

/* The queue is bounded: the oldest go, and are counted. A receiver that hangs keeps no other waiting. */
static void bounds(void **state)
{
    struct world *w = *state;

    set_mode(w, "ok");
    start_python(w);
    add_webhook(w, "hook", 5000 * MS);
    snprintf(w->receivers[1].name, sizeof w->receivers[1].name, "dead");
    w->receivers[1].url = (char *)"http://127.0.0.1:1/";
    w->receivers[1].timeout_ns = 200 * MS;
    w->rules.n_receivers = 2;
    assert_int_equal(notify_set_receivers(w->notify, &w->rules), TW_OK);
    for (uint64_t i = 1; i <= NOTIFY_QUEUE_MAX + 50; i++)
        submit(w, "dead", i);
    submit(w, "hook", 5000);
    for (unsigned n = 1; !w->sent; n++)
        wait_for(w, n);
    assert_in_range(w->dropped, 49, 50); /* one may be on its way */
    assert_int_equal(state_of(w, 1).dropped, w->dropped);
    w->rules.n_receivers = 1; /* it is taken away: what waits is dropped, and said so */
    assert_int_equal(notify_set_receivers(w->notify, &w->rules), TW_OK);
    assert_int_equal(w->dropped, NOTIFY_QUEUE_MAX + 50);
    submit(w, "nobody", 7);
    assert_int_equal(w->dropped, NOTIFY_QUEUE_MAX + 51);
}

static bool is_even(void *ctx, uint64_t id)
{
    (void)ctx;
    return id % 2 == 0;
}

/* Somebody else has brought them: those that wait, and the one that is tried again and again. */
static void what_others_brought(void **state)
{
    struct world *w = *state;

    set_mode(w, "500");
    start_python(w);
    add_webhook(w, "hook", 500 * MS);
    for (uint64_t i = 2; i <= 7; i++)
        submit(w, "hook", i);
    wait_for_failures(w, 1);
    notify_forget(w->notify, is_even, NULL);
    for (int i = 0; i < 3000 && state_of(w, 0).queued != 3; i++)
        usleep(10000);
    assert_int_equal(state_of(w, 0).queued, 3);
    assert_int_equal(w->ended, 0);
    set_mode(w, "ok");
    wait_for(w, 3);
    assert_int_equal(w->sent, 3);
    assert_int_equal(state_of(w, 0).dropped, 0);
    notify_forget(w->notify, is_even, NULL);
    submit(w, "hook", 8); /* it goes on */
    wait_for(w, 4);
    assert_int_equal(w->sent, 4);
}

/* ---- Commands ---- */

static void script(struct world *w, char path[112], const char *text)
{
    FILE *f;

    snprintf(path, 112, "%s/script", w->dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s", text);
    fclose(f);
    assert_int_equal(chmod(path, 0700), 0);
}

static char *slurp(const char *path)
{
    static char buf[16384];
    FILE *f = fopen(path, "r");
    size_t n;

    assert_non_null(f);
    n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[n] = '\0';
    return buf;
}

static void add_command(struct world *w, char *path, int64_t timeout_ns)
{
    struct alert_receiver *r = &w->receivers[w->rules.n_receivers++];

    snprintf(r->name, sizeof r->name, "run");
    r->kind = ALERT_TO_COMMAND;
    r->argv[0] = path;
    r->argv[1] = (char *)"$(touch /tmp/never)";
    r->n_args = 2;
    r->timeout_ns = timeout_ns;
    assert_int_equal(notify_set_receivers(w->notify, &w->rules), TW_OK);
}

static void commands(void **state)
{
    struct world *w = *state;
    char path[112], text[512], out[112];

    snprintf(out, sizeof out, "%s/out", w->dir);
    snprintf(text, sizeof text, "{ echo \"$1\"; echo \"$TWAMP_ALERT_SUMMARY\"; cat; } > %s\n", out);
    script(w, path, text);
    add_command(w, path, 5000 * MS);
    notify_submit(w->notify, "run", notice_new(1, "1-1", "{\"summary\":\"a\\nb\",\"alert_id\":7}"));
    wait_for(w, 1);
    assert_int_equal(w->sent, 1);
    assert_string_equal(slurp(out), "$(touch /tmp/never)\na?b\n{\"summary\":\"a\\nb\",\"alert_id\":7}");
    script(w, path, "echo no good >&2; exit 65\n");
    submit(w, "run", 2);
    wait_for(w, 2);
    assert_int_equal(w->refused, 1);
    assert_non_null(strstr(state_of(w, 0).last_error, "ended with 65: no good"));
}

static void a_command_that_hangs(void **state)
{
    struct world *w = *state;
    char path[112];

    script(w, path, "sleep 1000\n");
    add_command(w, path, 100 * MS);
    submit(w, "run", 1);
    wait_for_failures(w, 2);
    assert_non_null(strstr(state_of(w, 0).last_error, "was killed"));
    script(w, path, "exit 0\n");
    wait_for(w, 1);
    assert_int_equal(w->sent, 1);
}

/* ---- What they are sent ---- */

#define BODY                                                                                                \
    "{\"notification_id\":\"7-1\",\"state\":\"firing\",\"severity\":\"critical\",\"summary\":\"loss <12%> " \
    "& more\",\"alert_id\":7,"                                                                              \
    "\"rule\":\"loss\",\"kind\":\"pair\",\"started\":\"2026-11-27T08:00:00.000Z\",\"ended\":null,"          \
    "\"controller\":\"c\","                                                                                 \
    "\"labels\":{\"mesh\":\"m\",\"source.site\":\"ams\",\"severity\":\"critical\"}}"

static void formats(void **state)
{
    struct alert_receiver mail = { .argv = { (char *)"noc@example.net", (char *)"x@example.net" },
                                   .n_args = 2,
                                   .from = (char *)"tw@example.net" };
    char *text = notify_alertmanager(BODY, INT64_C(1795766400) * TW_NS_PER_S, 240 * TW_NS_PER_S);
    cJSON *o = cJSON_Parse(text);
    const cJSON *a = cJSON_GetArrayItem(o, 0), *labels = cJSON_GetObjectItem(a, "labels");
    char *many[2] = { (char *)BODY, (char *)BODY };

    (void)state;
    assert_string_equal(cJSON_GetObjectItem(labels, "alertname")->valuestring, "twamp_loss");
    assert_string_equal(cJSON_GetObjectItem(labels, "source_site")->valuestring, "ams");
    assert_string_equal(cJSON_GetObjectItem(a, "startsAt")->valuestring, "2026-11-27T08:00:00.000Z");
    assert_string_equal(cJSON_GetObjectItem(a, "endsAt")->valuestring, "2026-11-27T08:04:00.000Z");
    cJSON_Delete(o);
    free(text);
    text = notify_bodies(many, 2);
    o = cJSON_Parse(text);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "alerts")), 2);
    cJSON_Delete(o);
    free(text);
    text = notify_slack(BODY);
    assert_non_null(strstr(text, "FIRING critical: loss &lt;12%&gt; &amp; more"));
    free(text);
    text = notify_mail(BODY, &mail, INT64_C(1795766400) * TW_NS_PER_S);
    assert_non_null(strstr(text, "To: noc@example.net, x@example.net\n"));
    assert_non_null(strstr(text, "Date: Fri, 27 Nov 2026 08:00:00 +0000\n"));
    assert_non_null(strstr(text, "Message-ID: <twamp-7-1@example.net>\n"));
    free(text);
    assert_null(notify_mail("nonsense", &mail, 1));
}

/* What names say cannot become a header, or end the header. */
static void no_header_slips_in(void **state)
{
    struct alert_receiver mail = { .argv = { (char *)"noc@example.net" },
                                   .n_args = 1,
                                   .from = (char *)"tw@example.net" };
    char *text = notify_mail(
        "{\"notification_id\":\"1\\r\\nBcc: evil@example.net\",\"state\":\"firing\",\"severity\":\"info\","
        "\"summary\":\"x\\r\\nBcc: evil@example.net\\r\\n\\r\\nhello\\u00e9\"}",
        &mail, TW_NS_PER_S);
    size_t lines = 0;

    (void)state;
    assert_null(strstr(text, "\nBcc:"));
    for (const char *p = text; *p != '\n'; p = strchr(p, '\n') + 1)
        lines++;
    assert_int_equal(lines, 9);
    assert_null(strchr(text, '\r'));
    free(text);
}

/* A program that behaves like sendmail, in all its ways to fail; what is taken in the end is one whole message. */
static void mail_through_sendmail(void **state)
{
    static const struct {
        const char *mode, *error;
    } failing[] = {
        { "unread", "ended with 69: sendmail: cannot open the queue: No space left" }, /* reads nothing */
        { "tempfail", "ended with 75: sendmail: the mail server is not there" },
        { "nouser", "ended with 67: noc@example.net... User unknown" },
        { "crash", "was ended by signal 11" },
        { "slow", "was killed" },
    };
    struct world *w = *state;
    struct alert_receiver *r = &w->receivers[w->rules.n_receivers++];
    char path[112], command[320], body[9000], *mail;
    uint64_t failed = 0;

    snprintf(command, sizeof command, "cp " TW_SOURCE_DIR "/tests/support/sendmail.py %s/sendmail", w->dir);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/sendmail", w->dir);
    snprintf(r->name, sizeof r->name, "mail");
    r->kind = ALERT_TO_MAIL;
    r->sendmail = path;
    r->from = (char *)"tw@example.net";
    r->argv[0] = (char *)"noc@example.net";
    r->argv[1] = (char *)"-x@example.net"; /* no option */
    r->n_args = 2;
    r->timeout_ns = 2000 * MS;
    set_mode(w, "unread");
    assert_int_equal(notify_set_receivers(w->notify, &w->rules), TW_OK);
    snprintf(body, sizeof body,
             "{\"notification_id\":\"1-1\",\"state\":\"firing\",\"severity\":\"critical\",\"summary\":\".\","
             "\"rule\":\"%0*d\",\"mesh\":\"z\u00fcrich\"}",
             8000, 7); /* a line is cut */
    notify_submit(w->notify, "mail", notice_new(1, "1-1", body));
    for (size_t i = 0; i < TW_NELEM(failing); i++) {
        set_mode(w, failing[i].mode);
        failed = state_of(w, 0).failed;
        for (int tries = 1; tries <= 2 && !strstr(state_of(w, 0).last_error, failing[i].error); tries++)
            wait_for_failures(w, failed + (uint64_t)tries); /* the first may be of the mode before */
        if (!strstr(state_of(w, 0).last_error, failing[i].error))
            fail_msg("%s: %s", failing[i].mode, state_of(w, 0).last_error);
    }
    assert_int_equal(w->ended, 0);
    set_mode(w, "ok");
    wait_for(w, 1);
    assert_int_equal(w->sent, 1);
    snprintf(path, sizeof path, "%s/mailbox", w->dir);
    mail = slurp(path);
    assert_non_null(strstr(mail, "envelope tw@example.net noc@example.net -x@example.net\n"));
    assert_non_null(strstr(mail, "subject [firing critical] .\nid <twamp-1-1@example.net>\n"));
    assert_non_null(strstr(mail, "z\u00fcrich"));
    assert_null(strstr(strstr(mail, "envelope") + 1, "envelope")); /* once */
    set_mode(w, "dataerr"); /* what it will never take */
    notify_submit(w->notify, "mail", notice_new(2, "1-2", "{\"notification_id\":\"1-2\"}"));
    wait_for(w, 2);
    assert_int_equal(w->refused, 1);
}

static void tokens(void **state)
{
    struct world *w = *state;
    char path[112];
    FILE *f;

    set_mode(w, "ok");
    start_python(w);
    snprintf(path, sizeof path, "%s/token", w->dir);
    w->receivers[0].token_file = path;
    add_webhook(w, "hook", 5000 * MS);
    submit(w, "hook", 1);
    wait_for_failures(w, 1);
    assert_non_null(strstr(state_of(w, 0).last_error, "token_file"));
    f = fopen(path, "w");
    fputs("s3cret\nX-Evil: 1\n", f);
    fclose(f);
    wait_for(w, 1);
    assert_int_equal(w->sent, 1);
    assert_non_null(strstr(slurp(w->log), "\"authorization\": \"Bearer s3cret\""));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_world, free_world)
    const struct CMUnitTest tests[] = {
        T(a_receiver_that_fails_in_every_way),
        T(what_is_refused_for_good),
        T(bounds),
        T(what_others_brought),
        T(commands),
        T(a_command_that_hangs),
        T(tokens),
        T(mail_through_sendmail),
        cmocka_unit_test(formats),
        cmocka_unit_test(no_header_slips_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
