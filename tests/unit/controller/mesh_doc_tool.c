/* What the controller makes of mesh documents, for mesh_schema.py:
 *   keys        the tables of keys, as JSON
 *   json FILE   the document as JSON, its values by the YAML 1.2 core schema, as editors see them
 *   check       a document in each line of the input: "ok", or the error, in each line of the output */
#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/mesh_doc_priv.h"

static const struct mesh_doc_table *const tables[] = {
    &mesh_doc_table_document,
    &mesh_doc_table_class,
    &mesh_doc_table_group,
    &mesh_doc_table_target,
    &mesh_doc_table_schedule,
    &mesh_doc_table_window,
    &mesh_doc_table_maintenance,
    &mesh_doc_table_retention,
};

static int fail(const char *what)
{
    fprintf(stderr, "mesh_doc_tool: %s\n", what);
    return 1;
}

static int print(cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    cJSON_Delete(json);
    if (!text)
        return fail("out of memory");
    puts(text);
    free(text);
    return 0;
}

static int keys(void)
{
    static const char *const kinds[] = {
        [DOC_TEXT] = "text", [DOC_LIST] = "list", [DOC_MAP] = "map", [DOC_ANY] = "any"
    };
    cJSON *all = cJSON_CreateObject();

    for (size_t i = 0; i < TW_NELEM(tables); i++) {
        cJSON *table = cJSON_AddObjectToObject(all, tables[i]->name);

        for (size_t k = 0; k < tables[i]->n; k++) {
            cJSON *key = cJSON_AddObjectToObject(table, tables[i]->keys[k].key);

            cJSON_AddStringToObject(key, "kind", kinds[tables[i]->keys[k].kind]);
            cJSON_AddBoolToObject(key, "required", tables[i]->keys[k].required);
        }
    }
    return print(all);
}

static cJSON *scalar(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value, *digits = text + (*text == '-');

    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return cJSON_CreateString(text);
    if (!strcmp(text, "true") || !strcmp(text, "false"))
        return cJSON_CreateBool(*text == 't');
    if (!*text || !strcmp(text, "null") || !strcmp(text, "~"))
        return cJSON_CreateNull();
    if (*digits && digits[strspn(digits, "0123456789")] == '\0')
        return cJSON_CreateNumber(strtod(text, NULL));
    return cJSON_CreateString(text);
}

/* doc_open() has bounded the depth. */
static cJSON *convert(struct doc *d, const yaml_node_t *node)
{
    cJSON *json;

    if (node->type == YAML_SCALAR_NODE)
        return scalar(node);
    if (node->type == YAML_SEQUENCE_NODE) {
        json = cJSON_CreateArray();
        for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
             i++)
            cJSON_AddItemToArray(json, convert(d, yaml_document_get_node(&d->yaml, *i)));
        return json;
    }
    json = cJSON_CreateObject();
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(&d->yaml, p->key);

        cJSON_AddItemToObject(json, (const char *)key->data.scalar.value,
                              convert(d, yaml_document_get_node(&d->yaml, p->value)));
    }
    return json;
}

static int to_json(const char *path)
{
    static char text[DOC_BYTES_MAX];
    FILE *f = fopen(path, "r");
    struct tw_err e = { 0 };
    struct doc d;
    size_t len;
    int status;

    if (!f)
        return fail("the file cannot be read");
    len = fread(text, 1, sizeof text, f);
    fclose(f);
    if (doc_open(&d, path, text, len, &e))
        return fail(e.text);
    status = print(convert(&d, doc_root(&d)));
    doc_close(&d);
    return status;
}

static int check(void)
{
    char *line = NULL, text[512];
    size_t cap = 0;

    for (ssize_t len; (len = getline(&line, &cap, stdin)) > 0;) {
        struct mesh *m = NULL;
        struct tw_err e = { 0 };

        if (mesh_doc_parse("", line, (size_t)len, &m, &e))
            puts(tw_err_format(&e, text, sizeof text));
        else
            puts("ok");
        mesh_free(m);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "keys"))
        return keys();
    if (argc == 2 && !strcmp(argv[1], "check"))
        return check();
    if (argc == 3 && !strcmp(argv[1], "json"))
        return to_json(argv[2]);
    return fail("expected keys, check or json FILE");
}
