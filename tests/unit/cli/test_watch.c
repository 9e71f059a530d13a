/* twampctl on a terminal: watch draws in place, survives a controller that goes and comes back, and leaves
 * the terminal as it was. */
#include <pty.h>
#include "controller/cli/progress.h"
#include "tests/unit/cli/fake_admin.h"

#define HOME "\033[H"
#define SHOW_CURSOR "\033[?25h"

/* A pseudo-terminal with twampctl on it, and everything that it has printed. */
struct screen {
    struct fake *f;
    pid_t pid;
    int fd;
    struct loop_watch watch;
    char text[MAX_OUT];
    size_t len;
    const char *wanted; /* what is waited for, from `seen` on */
    size_t seen;
    bool found;
};

static void on_text(struct loop_watch *w, uint32_t events)
{
    struct screen *s = w->ctx;
    ssize_t n = read(s->fd, s->text + s->len, sizeof s->text - 1 - s->len);

    (void)events;
    if (n <= 0) { /* EIO: the other end has ended */
        loop_unwatch(s->f->loop, w);
        s->watch.fd = -1;
        s->found = true;
        return;
    }
    s->len += (size_t)n;
    s->text[s->len] = '\0';
    s->found = s->wanted && strstr(s->text + s->seen, s->wanted) != NULL;
}

static void start_sized(struct screen *s, struct fake *f, const char *words, struct winsize size)
{
    char copy[256], *argv[MAX_ARGS] = { (char *)"twampctl", (char *)"--child" }, *save = NULL;
    int argc = 2;

    memset(s, 0, sizeof *s);
    s->f = f;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " ", &save); w && argc < MAX_ARGS - 1; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    fflush(NULL);
    s->pid = forkpty(&s->fd, NULL, NULL, &size);
    if (!s->pid) {
        unsetenv("NO_COLOR");
        setenv("XDG_CONFIG_HOME", f->dir, 1);
        setenv("TERM", "xterm", 1);
        setenv("TWAMPCTL_CONTROLLER", f->url, 1);
        execv("/proc/self/exe", argv);
        _exit(99);
    }
    s->watch = (struct loop_watch){ .fn = on_text, .ctx = s, .fd = s->fd };
    assert_int_equal(loop_watch(f->loop, &s->watch, EPOLLIN), TW_OK);
}

static void start(struct screen *s, struct fake *f, const char *words, unsigned short rows)
{
    start_sized(s, f, words, (struct winsize){ .ws_row = rows, .ws_col = 160 });
}

/* Until the text appears after what was waited for before; NULL: until the end. */
static void await(struct screen *s, const char *text)
{
    const char *at;

    s->wanted = text;
    s->found = text && strstr(s->text + s->seen, text);
    if (s->watch.fd >= 0)
        loop_run_until(s->f->loop, &s->found, (struct tw_mono){ tw_mono_now().ns + PATIENCE_NS });
    at = text ? strstr(s->text + s->seen, text) : NULL;
    if (text && !at)
        fail_msg("waited in vain for \"%s\" in: %s", text, s->text + s->seen);
    if (at)
        s->seen = (size_t)(at - s->text) + strlen(text);
}

static int finish(struct screen *s)
{
    int status;

    while (s->watch.fd >= 0)
        await(s, NULL);
    waitpid(s->pid, &status, 0);
    close(s->fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static struct screen screen;

static void draws_in_place_until_interrupted(void **state)
{
    struct screen *s = &screen;

    start(s, *state, "watch --interval 100ms", 24);
    await(s, "\033[2J");
    for (int i = 0; i < 3; i++) {
        await(s, HOME);
        await(s, "MESH/CLASS");
        await(s, "\033[33mpartial\033[0m");
        await(s, "\033[31mall_lost\033[0m");
        await(s, "\033[J"); /* what was below is wiped */
    }
    assert_int_equal(write(s->fd, "\003", 1), 1); /* Ctrl-C */
    assert_int_equal(finish(s), 0);
    if (!strstr(s->text + s->seen, SHOW_CURSOR))
        fail_msg("the cursor stays hidden: %s", s->text + s->seen);
}

/* Ctrl-C does not wait for the next look. */
static void interrupt_ends_a_pause(void **state)
{
    struct fake *f = *state;
    struct screen *s = &screen;

    start(s, f, "watch --interval 1h", 24);
    await(s, "\033[J");
    assert_int_equal(write(s->fd, "\003", 1), 1);
    assert_int_equal(finish(s), 0);
}

static void survives_the_controller(void **state)
{
    struct fake *f = *state;
    struct screen *s = &screen;

    start(s, f, "watch --interval 100ms", 24);
    await(s, "all_lost");
    rpc_server_stop(f->server);
    await(s, "cannot reach the controller");
    fake_serve(f);
    await(s, HOME);
    await(s, "all_lost");
    assert_int_equal(write(s->fd, "\003", 1), 1);
    assert_int_equal(finish(s), 0);
}

/* ---- --watch ---- */

static void any_reading_command_repeats_in_place(void **state)
{
    struct screen *s = &screen;

    start(s, *state, "agent list --watch 100ms", 24);
    await(s, "\033[2J");
    for (int i = 0; i < 3; i++) {
        await(s, HOME);
        await(s, "twampctl agent list, every 100ms  (Ctrl-C ends)");
        await(s, "\033[31mdown\033[0m");
        await(s, "\033[J");
    }
    assert_int_equal(write(s->fd, "\003", 1), 1);
    assert_int_equal(finish(s), 0);
    if (!strstr(s->text + s->seen, SHOW_CURSOR))
        fail_msg("the cursor stays hidden: %s", s->text + s->seen);
}

/* The old picture stays while the controller is away, with the reason below, and a new one comes when it is back. */
static void repeating_survives_the_controller(void **state)
{
    struct fake *f = *state;
    struct screen *s = &screen;

    start(s, f, "clock --watch=100ms", 24);
    await(s, "VERDICT");
    await(s, "\033[J");
    rpc_server_stop(f->server);
    await(s, "\rtwampctl: cannot reach the controller");
    if (strstr(s->text + s->seen, HOME))
        fail_msg("the old picture is gone");
    fake_serve(f);
    await(s, HOME);
    await(s, "VERDICT");
    assert_int_equal(write(s->fd, "\003", 1), 1);
    assert_int_equal(finish(s), 0);
}

/* Never scrolls: 30 lines on a screen of 12. */
static void repeating_stays_on_the_screen(void **state)
{
    struct screen *s = &screen;
    size_t lines = 0;
    const char *at;

    start(s, *state, "agent show ams --watch=1h", 12);
    await(s, HOME);
    await(s, " more lines");
    await(s, "\033[J");
    at = strstr(s->text, HOME);
    for (; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 11);
    assert_int_equal(write(s->fd, "\003", 1), 1);
    assert_int_equal(finish(s), 0);
}

/* Runs "twampctl WORDS" into files until the controller was asked for its schedule often enough, then Ctrl-C. */
static int until_asked(struct fake *f, const char *words, unsigned times, char *out, size_t cap)
{
    char copy[256], *argv[MAX_ARGS] = { (char *)"twampctl", (char *)"--child" }, *save = NULL;
    int64_t end = tw_mono_now().ns + PATIENCE_NS;
    int argc = 2, code;
    pid_t pid;

    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    write_in(f, "in", "");
    f->list_calls = 0;
    fflush(NULL);
    pid = fork();
    if (!pid)
        become_child(f, argv);
    while (f->list_calls < times && tw_mono_now().ns < end) {
        bool never = false;
        loop_run_until(f->loop, &never, (struct tw_mono){ tw_mono_now().ns + 20 * TW_NS_PER_MS });
    }
    kill(pid, SIGINT);
    code = serve(f, pid);
    read_out(f, "out", out, cap);
    return code;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

/* Into a pipe: a document a line, YAML documents, one heading of CSV, or tables one below the other. */
static void repeating_into_a_pipe(void **state)
{
    static char out[MAX_OUT];

    assert_int_equal(until_asked(*state, "schedule list -o json --watch 100ms", 4, out, sizeof out), 0);
    assert_true(count(out, "\n") >= 3 && count(out, "{\"generation\":") == count(out, "\n"));
    assert_int_equal(until_asked(*state, "schedule list -o yaml --watch=100ms", 4, out, sizeof out), 0);
    assert_true(count(out, "---\ngeneration: ") >= 3);
    assert_int_equal(until_asked(*state, "--watch=100ms schedule list -o csv", 4, out, sizeof out), 0);
    assert_int_equal(count(out, "name,paused"), 1);
    assert_true(count(out, "\nvoice,") >= 3);
    assert_int_equal(until_asked(*state, "schedule list --watch=100ms", 4, out, sizeof out), 0);
    assert_true(count(out, "twampctl schedule list, every 100ms\nMESH ") >= 3 && !strchr(out, '\033'));
}

/* What stands on standard error, a terminal, or else a pipe. */
static ssize_t progress_on(bool terminal, char *buf, size_t cap)
{
    int ends[2], saved = dup(STDERR_FILENO);
    struct progress p;
    size_t len = 0;
    ssize_t n;

    setenv("TERM", "xterm", 1);
    assert_int_equal(terminal ? openpty(&ends[0], &ends[1], NULL, NULL, NULL) : pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    progress_begin(&p, PROGRESS_AUTO, "test");
    progress_say(&p, 1, 9, "too early");
    usleep(600000);
    progress_say(&p, 3, 9, "%d of %d", 3, 9);
    progress_say(&p, 4, 9, "too soon");
    progress_end(&p);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]); /* what was written still comes, then the end */
    while (len < cap - 1 && (n = read(ends[0], buf + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    buf[len] = '\0';
    close(ends[0]);
    return (ssize_t)len;
}

static void progress_leaves_nothing(void **state)
{
    char buf[256];

    (void)state;
    progress_on(true, buf, sizeof buf);
    assert_string_equal(buf, "\r| 3 of 9\033[K\r\033[K");
    assert_true(progress_on(false, buf, sizeof buf) <= 0);
}

/* Three pairs, one in maintenance, on a terminal with room for two: the worst are shown, and how many are not. */
static void worst_first_without_room(void **state)
{
    struct screen *s = &screen;

    start(s, *state, "watch --interval 100ms --no-color --count 1", 11);
    assert_int_equal(finish(s), 0);
    assert_non_null(strstr(s->text, "all_lost"));
    assert_non_null(strstr(s->text, "agent_down"));
    assert_null(strstr(s->text, "partial"));
    assert_non_null(strstr(s->text, "... and 1 more"));
    assert_null(strstr(s->text, "\033[31m"));
}

/* How wide the widest line of the table is, without what moves the cursor or colours. Notes below it may
 * wrap. */
static size_t widest(const char *text)
{
    const char *end = strstr(text, " left out");
    size_t widest = 0, n = 0;

    for (const char *c = text; c < end; c++) {
        if (*c == '\033')
            c += strcspn(c, "mHJKhl");
        else if (*c == '\n')
            n = 0;
        else if (*c != '\r' && ((unsigned char)*c & 0xc0) != 0x80 && ++n > widest)
            widest = n;
    }
    return widest;
}

/* 80 columns: which pair, its state and its loss by direction stay, and a line says what is missing. */
static void narrow_terminals_show_what_matters(void **state)
{
    static const char *const commands[] = { "watch --count 1", "watch --once", "report", "agent list" };
    static const char *const of_classes[] = { "completeness", "outages" };
    struct screen *s = &screen;

    for (size_t i = 0; i < TW_NELEM(commands); i++) {
        start_sized(s, *state, commands[i], (struct winsize){ .ws_row = 24, .ws_col = 80 });
        assert_int_equal(finish(s), 0);
        if (widest(s->text) > 80 || !strstr(s->text, " left out: -o wide shows all ("))
            fail_msg("%s is %zu wide, or does not say what is left out: %s", commands[i], widest(s->text),
                     s->text);
        if (i < 3 && (!strstr(s->text, "all_lost") || !strstr(s->text, "UNKN") || strstr(s->text, "JIT FWD")))
            fail_msg("%s does not show what matters: %s", commands[i], s->text);
        if (strstr(s->text, "one-way delay"))
            fail_msg("%s explains a mark that it does not show: %s", commands[i], s->text);
    }
    for (size_t i = 0; i < TW_NELEM(of_classes); i++) { /* two classes of a pair are not the same row */
        start_sized(s, *state, of_classes[i], (struct winsize){ .ws_row = 24, .ws_col = 80 });
        assert_int_equal(finish(s), 0);
        if (!strstr(s->text, "MESH/CLASS") || !strstr(s->text, " left out"))
            fail_msg("%s does not say of which class: %s", of_classes[i], s->text);
    }
    start(s, *state, "watch --once", 24);
    assert_int_equal(finish(s), 0);
    assert_null(strstr(s->text, "left out"));
    assert_non_null(strstr(s->text, "one-way delay"));
}

static void colours_only_on_terminals(void **state)
{
    struct screen *s = &screen;

    start(s, *state, "agent list", 24);
    assert_int_equal(finish(s), 0);
    assert_non_null(strstr(s->text, "\033[31mdown\033[0m"));
    start(s, *state, "agent list --no-color", 24);
    assert_int_equal(finish(s), 0);
    assert_null(strstr(s->text, "\033["));
}

static void asks_before_removing(void **state)
{
    struct screen *s = &screen;

    start(s, *state, "agent remove ams", 24);
    await(s, "[y/N] ");
    assert_int_equal(write(s->fd, "n\n", 2), 2);
    await(s, "is left as it is");
    assert_int_equal(finish(s), 1);
    start(s, *state, "agent remove ams", 24);
    await(s, "[y/N] ");
    assert_int_equal(write(s->fd, "y\n", 2), 2);
    await(s, "Removed ams");
    assert_int_equal(finish(s), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_in_place_until_interrupted),
        cmocka_unit_test(interrupt_ends_a_pause),
        cmocka_unit_test(survives_the_controller),
        cmocka_unit_test(any_reading_command_repeats_in_place),
        cmocka_unit_test(repeating_survives_the_controller),
        cmocka_unit_test(repeating_stays_on_the_screen),
        cmocka_unit_test(repeating_into_a_pipe),
        cmocka_unit_test(progress_leaves_nothing),
        cmocka_unit_test(worst_first_without_room),
        cmocka_unit_test(narrow_terminals_show_what_matters),
        cmocka_unit_test(colours_only_on_terminals),
        cmocka_unit_test(asks_before_removing),
    };

    child_if_asked(argc, argv);
    return cmocka_run_group_tests(tests, fake_start, fake_stop);
}
