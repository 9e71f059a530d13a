/* tests/fuzz/replay_main.c - runs a fuzz target without libFuzzer: every file of the corpus, then mutations
 * of them. Mutation number i depends only on the corpus, the seed and i, so what is printed at a crash is
 * enough to repeat it: fuzz_NAME --seed S --from I --mutations 1 CORPUS */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/splitmix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

enum { INPUT_MAX = 65536, STEPS_MAX = 6 };

struct input {
    char *path;
    uint8_t *data;
    size_t len;
};

static struct {
    struct input *v;
    size_t n;
} corpus;

/* What runs now, for the report at a crash. */
static struct {
    uint64_t seed, mutation;
    const char *path;
} now;

/* ---- Corpus ---- */

static void die(const char *what, const char *path)
{
    fprintf(stderr, "%s: ", path);
    perror(what);
    exit(2);
}

static void load_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct input in = { .path = strdup(path), .data = malloc(INPUT_MAX) };

    if (!f || !in.path || !in.data)
        die("cannot read", path);
    in.len = fread(in.data, 1, INPUT_MAX, f);
    fclose(f);
    corpus.v = realloc(corpus.v, (corpus.n + 1) * sizeof *corpus.v);
    if (!corpus.v)
        die("no memory", path);
    corpus.v[corpus.n++] = in;
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void load(const char *path)
{
    struct dirent **names;
    struct stat st;
    int n;

    if (stat(path, &st))
        die("cannot read", path);
    if (!S_ISDIR(st.st_mode)) {
        load_file(path);
        return;
    }
    n = scandir(path, &names, is_visible, alphasort); /* in order: mutations depend on it */
    if (n < 0)
        die("cannot list", path);
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        load_file(file);
        free(names[i]);
    }
    free(names);
}

static void unload(void)
{
    for (size_t i = 0; i < corpus.n; i++) {
        free(corpus.v[i].path);
        free(corpus.v[i].data);
    }
    free(corpus.v);
}

/* ---- Mutation ---- */

static size_t below(uint64_t *rng, size_t n)
{
    return n ? (size_t)(tw_splitmix64(rng) % n) : 0;
}

struct work {
    uint8_t data[INPUT_MAX];
    size_t len;
};

static void flip_bit(struct work *w, uint64_t *rng)
{
    if (w->len)
        w->data[below(rng, w->len)] ^= (uint8_t)(1U << below(rng, 8));
}

static void set_octet(struct work *w, uint64_t *rng)
{
    static const uint8_t telling[] = { 0, 1, 0x7f, 0x80, 0x81, 0xfe, 0xff };
    bool any = below(rng, 2);

    if (w->len)
        w->data[below(rng, w->len)] = any ? (uint8_t)tw_splitmix64(rng) : telling[below(rng, sizeof telling)];
}

static void cut_end(struct work *w, uint64_t *rng)
{
    w->len = below(rng, w->len + 1);
}

static void remove_some(struct work *w, uint64_t *rng)
{
    size_t at = below(rng, w->len), n = below(rng, w->len - at < 16 ? w->len - at + 1 : 17);

    memmove(w->data + at, w->data + at + n, w->len - at - n);
    w->len -= n;
}

static void insert_some(struct work *w, uint64_t *rng)
{
    size_t at = below(rng, w->len + 1), n = 1 + below(rng, 8);

    if (w->len + n > INPUT_MAX)
        return;
    memmove(w->data + at + n, w->data + at, w->len - at);
    for (size_t i = 0; i < n; i++)
        w->data[at + i] = (uint8_t)tw_splitmix64(rng);
    w->len += n;
}

/* The rest is another input's. */
static void splice(struct work *w, uint64_t *rng)
{
    const struct input *other = &corpus.v[below(rng, corpus.n)];
    size_t at = below(rng, w->len + 1), from = below(rng, other->len + 1), n = other->len - from;

    if (n > INPUT_MAX - at)
        n = INPUT_MAX - at;
    memcpy(w->data + at, other->data + from, n);
    w->len = at + n;
}

static void (*const steps[])(struct work *, uint64_t *) = {
    flip_bit, flip_bit, set_octet, set_octet, cut_end, remove_some, insert_some, splice,
};

/* On the heap with its exact size, so that a sanitizer sees the first octet too far. */
static void run(const uint8_t *data, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);

    if (!exact)
        die("no memory", now.path);
    memcpy(exact, data, len);
    LLVMFuzzerTestOneInput(len ? exact : exact + 1, len);
    free(exact);
}

static void run_mutation(uint64_t seed, uint64_t i)
{
    static struct work w;
    uint64_t rng = seed * 0x2545f4914f6cdd1d + i;
    const struct input *from = &corpus.v[below(&rng, corpus.n)];

    now.mutation = i;
    now.path = from->path;
    memcpy(w.data, from->data, from->len);
    w.len = from->len;
    for (size_t n = 1 + below(&rng, STEPS_MAX); n; n--)
        steps[below(&rng, sizeof steps / sizeof *steps)](&w, &rng);
    run(w.data, w.len);
}

/* ---- Crashes ---- */

static void report(void)
{
    char text[512];
    int n;

    if (now.mutation == UINT64_MAX)
        n = snprintf(text, sizeof text, "\ncrashed on %s\n", now.path);
    else
        n = snprintf(text, sizeof text, "\ncrashed on mutation %" PRIu64 " (--seed %" PRIu64 ") of %s\n",
                     now.mutation, now.seed, now.path);
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(3);
}

static void on_signal(int sig)
{
    report();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void watch_for_crashes(void)
{
    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(report);
    else
        signal(SIGSEGV, on_signal);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t v = strtoull(text ? text : "", &end, 0);

    if (!text || !*text || *end) {
        fprintf(stderr, "usage: [--mutations N] [--seed S] [--from I] FILE-OR-FOLDER...\n");
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    uint64_t mutations = 0, from = 0;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--mutations"))
            mutations = number(argv[++i]);
        else if (!strcmp(argv[i], "--seed"))
            now.seed = number(argv[++i]);
        else if (!strcmp(argv[i], "--from"))
            from = number(argv[++i]);
        else
            load(argv[i]);
    }
    if (!corpus.n) {
        fprintf(stderr, "no inputs: an empty corpus would test nothing\n");
        return 2;
    }
    watch_for_crashes();
    printf("%zu inputs, %" PRIu64 " mutations, seed %" PRIu64 "\n", corpus.n, mutations, now.seed);
    fflush(stdout);
    now.mutation = UINT64_MAX;
    for (size_t i = 0; i < corpus.n; i++) {
        now.path = corpus.v[i].path;
        run(corpus.v[i].data, corpus.v[i].len);
    }
    for (uint64_t i = from; i < from + mutations; i++)
        run_mutation(now.seed, i);
    unload();
    return 0;
}
