/* twampctl whose reader is slow: the controller works at the next page meanwhile, and nothing is lost,
 * however long it takes. */
#include "tests/unit/cli/fake_admin.h"

#define PAGE_OCTETS (200u << 10) /* more than the pipe takes, or stdio keeps */
#define PAGES 3

struct reader {
    struct loop_watch watch;
    struct fake *f;
    size_t n;
    bool ended;
};

static char page[PAGE_OCTETS + 1];

static void on_text(struct loop_watch *w, uint32_t events)
{
    static char buf[65536];
    struct reader *r = w->ctx;
    ssize_t n = read(w->fd, buf, sizeof buf);

    (void)events;
    for (ssize_t i = 0; i < n; i++)
        if (buf[i] != page[r->n++ % PAGE_OCTETS])
            fail_msg("octet %zu is another one", r->n - 1);
    if (n > 0)
        return;
    loop_unwatch(r->f->loop, w);
    r->ended = true;
}

/* Serves until the child has asked for the second page, though nothing of the first one has been read. */
static pid_t start_unread(struct fake *f, const char *words, struct reader *r)
{
    int ends[2];
    pid_t pid;

    for (size_t i = 0; i < PAGE_OCTETS; i++)
        page[i] = i % 128 == 127 ? '\n' : (char)('a' + i % 23);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *r = (struct reader){ .watch = { .fn = on_text, .ctx = r, .fd = ends[0] }, .f = f };
    f->long_text = page;
    f->asked_again = false;
    f->out_fd = ends[1];
    pid = start_ctl(f, words, NULL);
    close(ends[1]);
    if (loop_run_until(f->loop, &f->asked_again, (struct tw_mono){ tw_mono_now().ns + PATIENCE_NS }))
        fail_msg("%s: the next page is only asked for when all of one has been printed", words);
    return pid;
}

static void finish(struct fake *f, pid_t pid, struct reader *r)
{
    char err[1024];
    int status;

    assert_int_equal(loop_watch(f->loop, &r->watch, EPOLLIN), TW_OK);
    loop_run_until(f->loop, &r->ended, (struct tw_mono){ tw_mono_now().ns + PATIENCE_NS });
    if (!r->ended)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(r->watch.fd);
    read_out(f, "err", err, sizeof err);
    if (status || r->n != PAGES * (size_t)PAGE_OCTETS)
        fail_msg("status %x, %zu octets: %s", (unsigned)status, r->n, err);
    f->long_text = NULL;
    f->out_fd = 0;
}

static void asks_for_the_next_page_meanwhile(void **state)
{
    struct reader r;
    pid_t pid = start_unread(*state, "results -o ndjson", &r);

    finish(*state, pid, &r);
}

/* By then the deadline of the call that was made meanwhile has passed. */
static void waits_longer_than_a_call_may_take(void **state)
{
    struct reader r;
    pid_t pid = start_unread(*state, "results -o ndjson --timeout 1s", &r);

    usleep(1300000);
    finish(*state, pid, &r);
}

static void outlives_the_connection(void **state)
{
    struct fake *f = *state;
    struct reader r;
    pid_t pid = start_unread(f, "results -o ndjson", &r);

    rpc_server_stop(f->server);
    fake_serve(f);
    finish(f, pid, &r);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_the_next_page_meanwhile),
        cmocka_unit_test(waits_longer_than_a_call_may_take),
        cmocka_unit_test(outlives_the_connection),
    };

    child_if_asked(argc, argv);
    return cmocka_run_group_tests(tests, fake_start, fake_stop);
}
