/* Configuration files of daemons: every value that is taken is a good one or an error with its line; printed
 * as a file and read again all is the same; nothing that is refused as a secret is shown. A daemon starts
 * with such a file if and only if nothing is wrong with it, and reads it again, with what is in it then: all
 * of it or nothing.
 *
 * Input: the file; after a line "%%%%", if there is one, what it has become when the daemon reads it again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/options.h"
#include "common/conf_file.h"
#include "common/conf_priv.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *printed(const struct conf_values *values)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    CHECK(f != NULL);
    conf_print_values(f, &agent_program, values);
    fclose(f);
    return text;
}

/* Without where each value is from, which is another place. */
static void cut_comments(char *text)
{
    char *to = text;

    for (char *line = text, *end; *line; line = end) {
        char *comment = strstr(line, " # ");
        size_t len;

        end = line + strcspn(line, "\n");
        len = comment && comment < end ? (size_t)(comment - line) : (size_t)(end - line);
        end += *end == '\n';
        memmove(to, line, len);
        to += len;
        *to++ = '\n';
    }
    *to = '\0';
}

static void check_again(const struct conf_values *values)
{
    struct conf_values again = { .file = strdup("again") };
    struct conf_errors errors = { 0 };
    char *first = printed(values), *second;

    CHECK(conf_file_read_text(&agent_program, "again", first, strlen(first), &again, &errors) == TW_OK);
    for (size_t i = 0; i < errors.n; i++)
        fprintf(stderr, "%u: %s: %s\n%s\n", errors.v[i].line, errors.v[i].field, errors.v[i].text, first);
    CHECK(!errors.n && !errors.lost);
    second = printed(&again);
    cut_comments(first);
    cut_comments(second);
    if (strcmp(first, second))
        fprintf(stderr, "%s\n%s\n", first, second);
    CHECK(!strcmp(first, second));
    free(first);
    free(second);
    conf_values_free(&again);
}

/* Of the text alone. Returns whether it is good. */
static bool read_text(const uint8_t *data, size_t size)
{
    struct conf_values values = { .file = strdup("file") };
    struct conf_errors errors = { 0 };
    struct agent_options o = { 0 };
    bool good;

    CHECK(conf_file_read_text(&agent_program, "file", (const char *)data, size, &values, &errors) == TW_OK);
    good = !errors.n && !errors.lost;
    for (size_t i = 0; i < errors.n; i++)
        CHECK(errors.v[i].text[0] && errors.v[i].line);
    for (size_t i = 0; i < values.n; i++)
        CHECK(values.v[i].line && values.v[i].by == CONF_BY_FILE && !values.v[i].opt->now);
    conf_errors_free(&errors);
    conf_apply(&agent_program, &values, &o, &errors);
    agent_options_check(&o, &errors);
    for (size_t i = 0; i < errors.n; i++)
        CHECK(errors.v[i].text[0] && errors.v[i].field[0]);
    if (!errors.n)
        check_again(&values);
    good &= !errors.n && !errors.lost;
    conf_errors_free(&errors);
    conf_free(&agent_program, &o);
    conf_values_free(&values);
    return good;
}

/* ---- As a daemon ---- */

static char path[64]; /* of the file */

static void leave(void)
{
    unlink(path);
}

/* What is printed as the file of all defaults says nothing as it stands, and nothing wrong when it is used.
 */
static void check_defaults(void)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    struct conf_values values = { 0 };
    struct conf_errors errors = { 0 };

    CHECK(f);
    conf_print_default_file(f, &agent_program);
    fclose(f);
    CHECK(conf_file_read_text(&agent_program, "f", text, len, &values, &errors) == TW_OK);
    CHECK(!values.n && !errors.n);
    for (char *at = text; *at; at++)
        if (*at == '#' && (at == text || at[-1] == '\n') && at[1] != ' ')
            *at = ' ';
    CHECK(conf_file_read_text(&agent_program, "f", text, len, &values, &errors) == TW_OK && values.n > 20);
    for (size_t i = 0; i < errors.n; i++) /* what is not set by default is "" there */
        CHECK(errors.v[i].line && errors.v[i].text[0]);
    conf_errors_free(&errors);
    conf_values_free(&values);
    free(text);
}

static void begin(void)
{
    int fd;

    if (path[0])
        return;
    snprintf(path, sizeof path, "%s/tw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    atexit(leave);
    check_defaults();
}

static void write_file(const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "we");

    CHECK(f && fwrite(data, 1, size, f) == size);
    fclose(f);
}

static void check_options(void *target, struct conf_errors *errors)
{
    agent_options_check(target, errors);
}

static void check_errors(const struct conf_daemon *d)
{
    char text[640];

    CHECK(d->errors.n || d->errors.lost);
    for (size_t i = 0; i < d->errors.n; i++)
        CHECK(*conf_error_text(d->program, &d->errors.v[i], text, sizeof text) && !strchr(text, '\n'));
}

static void read_again(struct conf_daemon *d, struct agent_options *o, const uint8_t *data, size_t size)
{
    struct agent_options scratch = { 0 };
    struct conf_reload r;
    bool good = read_text(data, size);

    write_file(data, size);
    if (conf_daemon_reload(d, o, &scratch, &r) == TW_OK)
        CHECK(good && !d->errors.n);
    else
        check_errors(d);
    conf_free(&agent_program, &scratch);
}

static void as_daemon(const uint8_t *data, size_t size, bool good, const uint8_t *then, size_t then_size)
{
    char program[] = "twamp-agent", option[96], *argv[] = { program, option, NULL };
    struct conf_daemon d = { .program = &agent_program, .check = check_options, .argc = 2, .argv = argv };
    struct agent_options o = { 0 };
    int code = 0;
    enum tw_rc rc;

    snprintf(option, sizeof option, "--config=%s", path);
    write_file(data, size);
    rc = conf_daemon_parse(&d, &o, &code);
    CHECK(rc == (good ? TW_OK : TW_EINVAL) && code == 0);
    if (rc != TW_OK) {
        check_errors(&d);
        conf_daemon_free(&d);
        return;
    }
    read_again(&d, &o, then, then_size);
    read_again(&d, &o, data, size);
    conf_free(&agent_program, &o);
    conf_daemon_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char mark[] = "\n%%%%\n";
    const uint8_t *at = memmem(data, size, mark, sizeof mark - 1);
    size_t first = at ? (size_t)(at - data) + 1 : size, rest = first + sizeof mark - 2;
    bool good = read_text(data, first);

    begin();
    if (at)
        as_daemon(data, first, good, data + rest, size - rest);
    return 0;
}
