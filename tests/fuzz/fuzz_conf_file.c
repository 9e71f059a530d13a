/* Configuration files of daemons: every value that is taken is a good one or an error with its line; printed
 * as a file and read again all is the same; nothing that is refused as a secret is shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/options.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_values values = { .file = strdup("file") };
    struct conf_errors errors = { 0 };
    struct agent_options o = { 0 };

    CHECK(conf_file_read_text(&agent_program, "file", (const char *)data, size, &values, &errors) == TW_OK);
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
    conf_errors_free(&errors);
    conf_free(&agent_program, &o);
    conf_values_free(&values);
    return 0;
}
