/* How an answer becomes a table, a tree or CSV. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "controller/cli/cli.h"

bool cli_for_people(const struct cli *c)
{
    return c->opt.output == FORMAT_TABLE || c->opt.output == FORMAT_WIDE;
}

bool cli_for_tree(const struct cli *c)
{
    return c->opt.output == FORMAT_JSON || c->opt.output == FORMAT_YAML;
}

/* ---- Trees and records ---- */

bool cli_by_pages(const struct cli *c)
{
    return c->opt.output == FORMAT_CSV || c->opt.output == FORMAT_NDJSON;
}

enum cli_exit cli_print_tree(struct cli *c, cJSON *root)
{
    const char *why = NULL;

    if (!root)
        return cli_no_memory();
    if (c->opt.output != FORMAT_YAML)
        return out_json_print(root, stdout, c->repeats) ? CLI_OK : cli_no_memory();
    if (out_yaml_print(root, stdout, c->repeats, &why))
        return CLI_OK;
    return cli_fail(CLI_FAILED, "cannot write this as YAML (%s); -o json can", why);
}

static enum cli_exit print_csv(struct cli *c, const struct out_records *r)
{
    if (r->no_memory)
        return cli_no_memory();
    if (!c->looks)
        out_csv_header(r, stdout);
    out_csv_rows(r, stdout);
    return CLI_OK;
}

/* Takes list. false: no memory. */
static bool add(cJSON *root, const char *key, cJSON *list)
{
    if (list && cJSON_AddItemToObject(root, key, list))
        return true;
    cJSON_Delete(list);
    return false;
}

enum cli_exit cli_print_records(struct cli *c, const char *key, struct out_records *r)
{
    enum cli_exit code;
    cJSON *root = NULL;

    if (!cli_for_tree(c)) {
        code = print_csv(c, r);
        out_records_free(r);
        return code;
    }
    if (!r->no_memory)
        root = cJSON_CreateObject();
    if (!add(root, key, out_json_array(r))) {
        cJSON_Delete(root);
        root = NULL;
    }
    out_records_free(r);
    return cli_print_tree(c, root);
}

/* ---- Tables ---- */

size_t cli_terminal_width(void)
{
    struct winsize size = { 0 };

    return isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? size.ws_col : 0;
}

/* Does not free *t. */
static enum cli_exit print_table(struct cli *c, struct out_table *t)
{
    if (t->no_memory)
        return cli_no_memory();
    out_table_fit(t, c->opt.output == FORMAT_WIDE ? 0 : cli_terminal_width());
    out_table_print(t, stdout, c->colour, 0);
    out_table_print_hidden(t, stdout);
    return CLI_OK;
}

enum cli_exit cli_print_table(struct cli *c, struct out_table *t)
{
    enum cli_exit code = print_table(c, t);

    out_table_free(t);
    return code;
}

/* ---- Answers ---- */

static enum cli_exit answer_people(struct cli *c, const struct cli_answer *a)
{
    const struct out_listing *l = a->main.listing;
    struct out_records r = { .for_people = true };
    struct out_table t;
    enum cli_exit code;

    if (a->before)
        a->before(c, a->ctx);
    if (!a->main.rows.n) {
        if (l->empty)
            puts(l->empty);
        if (a->after)
            a->after(c, a->ctx, NULL);
        cli_explain_empty(c);
        return CLI_OK;
    }
    out_listing_records(l, &r, a->main.rows, a->ctx);
    out_listing_table(l, &r, c->opt.output == FORMAT_WIDE, c->wall_ns(), &t);
    code = print_table(c, &t);
    if (!code && a->after)
        a->after(c, a->ctx, &t);
    out_table_free(&t);
    out_records_free(&r);
    return code;
}

static bool add_part(cJSON *root, const struct cli_part *part, const void *ctx)
{
    struct out_records r = { 0 };
    cJSON *list;

    out_listing_records(part->listing, &r, part->rows, ctx);
    list = r.no_memory ? NULL : out_json_array(&r);
    out_records_free(&r);
    return add(root, part->listing->key, list);
}

static enum cli_exit answer_tree(struct cli *c, const struct cli_answer *a)
{
    struct out_records head = { 0 };
    cJSON *root;
    bool ok;

    if (a->head) {
        out_record(&head);
        a->head(&head, a->ctx);
        root = out_json_object(&head, 0);
        out_records_free(&head);
    } else {
        root = cJSON_CreateObject();
    }
    ok = root && add_part(root, &a->main, a->ctx);
    for (size_t i = 0; ok && i < CLI_PARTS && a->more[i].listing; i++)
        ok = add_part(root, &a->more[i], a->ctx);
    if (ok)
        return cli_print_tree(c, root);
    cJSON_Delete(root);
    return cli_no_memory();
}

static enum cli_exit answer_lines(struct cli *c, const struct cli_answer *a)
{
    struct out_records r = { 0 };
    enum cli_exit code;

    out_listing_records(a->main.listing, &r, a->main.rows, a->ctx);
    if (c->opt.output == FORMAT_NDJSON)
        code = out_ndjson_rows(&r, stdout) ? CLI_OK : cli_no_memory();
    else
        code = print_csv(c, &r);
    out_records_free(&r);
    return code;
}

enum cli_exit cli_print_answer(struct cli *c, const struct cli_answer *a)
{
    if (cli_for_people(c))
        return answer_people(c, a);
    return cli_for_tree(c) ? answer_tree(c, a) : answer_lines(c, a);
}

enum cli_exit cli_print_list(struct cli *c, const struct out_listing *l, struct out_rows rows,
                             const void *ctx)
{
    struct cli_answer a = { .main = { l, rows }, .ctx = ctx };

    return cli_print_answer(c, &a);
}

enum cli_exit cli_print_facts(struct cli *c, const struct out_listing *l, const void *row, const void *ctx)
{
    struct out_rows rows = { row, 1, 1 }; /* one: the stride does not matter */
    struct out_records r = { .for_people = true };
    struct out_table t;
    enum cli_exit code;

    if (!cli_for_people(c))
        return cli_print_list(c, l, rows, ctx);
    out_listing_records(l, &r, rows, ctx);
    out_listing_facts(l, &r, c->opt.output == FORMAT_WIDE, c->wall_ns(), &t);
    code = cli_print_table(c, &t);
    out_records_free(&r);
    return code;
}
