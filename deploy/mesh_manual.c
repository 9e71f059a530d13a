/* twampmesh-mesh(5), from the tables by which the controller reads mesh documents and the schema that it publishes of them; used
 * when this is built: mesh_manual docs/schema/mesh.schema.json. Fails if a key of a table is not in the schema, so that the page
 * cannot lack one. */
#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/conf.h"
#include "controller/mesh_doc_priv.h"

static const struct {
    const struct mesh_doc_table *table;
    const char *title, *text;
} parts[] = {
    { &mesh_doc_table_document, "KEYS OF A DOCUMENT", "A document is one mesh." },
    { &mesh_doc_table_class, "KEYS OF A CLASS",
      "classes: { NAME: { ... } }. What a class does not say comes from the class that it extends, then from the document's "
      "defaults, then from this program's." },
    { &mesh_doc_table_group, "KEYS OF A GROUP",
      "groups: { NAME: [members] } or groups: { NAME: { ... } }. Members name a group as @NAME." },
    { &mesh_doc_table_target, "KEYS OF A TARGET", "targets: { NAME: ADDRESS } or targets: { NAME: { ... } }." },
    { &mesh_doc_table_schedule, "KEYS OF A SCHEDULE", "When sessions run: of the mesh, or of a class." },
    { &mesh_doc_table_window, "KEYS OF A WINDOW", "A part of the week in which runs may begin." },
    { &mesh_doc_table_maintenance, "KEYS OF A MAINTENANCE",
      "With dates one span; with days, or hours alone, every week." },
    { &mesh_doc_table_retention, "KEYS OF A RETENTION",
      "How long results of the mesh are kept, level by level; without it as the controller's options say." },
};

static const cJSON *at(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

/* The definition that a reference means; else o itself. */
static const cJSON *follow(const cJSON *defs, const cJSON *o)
{
    const char *ref = cJSON_GetStringValue(at(o, "$ref"));

    return ref && !strncmp(ref, "#/$defs/", 8) ? at(defs, ref + 8) : o;
}

static const char *description(const cJSON *defs, const cJSON *key)
{
    const char *own = cJSON_GetStringValue(at(key, "description"));

    return own ? own : cJSON_GetStringValue(at(follow(defs, key), "description"));
}

/* "One of full, hub-spoke, list. " */
static void add_choices(const cJSON *defs, const cJSON *key, char *text, size_t cap)
{
    const cJSON *list = at(follow(defs, key), "enum"), *v;
    size_t len = strlen(text);

    cJSON_ArrayForEach(v, list)
    {
        if (cJSON_IsString(v) && len < cap) /* numbers and truth are there as texts, too */
            len += (size_t)snprintf(text + len, cap - len, "%s%s", len ? ", " : "One of ", v->valuestring);
    }
    if (list && len < cap)
        snprintf(text + len, cap - len, ". ");
}

static const char *const kinds[] = {
    [DOC_TEXT] = "a value", [DOC_LIST] = "a list", [DOC_MAP] = "keys and values", [DOC_ANY] = "a value, a list, or keys and values"
};

static void print_key(FILE *to, const cJSON *defs, const struct doc_key *k, const cJSON *schema)
{
    const char *what = description(defs, schema);
    char text[1024] = "";
    size_t len;

    add_choices(defs, schema, text, sizeof text);
    len = strlen(text);
    if (what && len < sizeof text)
        snprintf(text + len, sizeof text - len, "%c%s.", what[0] >= 'a' && what[0] <= 'z' ? what[0] - 'a' + 'A' : what[0], what + 1);
    fprintf(to, ".TP\n\\fB%s\\fR: %s%s\n", k->key, kinds[k->kind], k->required ? ", required" : "");
    conf_roff_text(to, *text ? text : "See docs/mesh.md.");
}

/* false: a key is missing. */
static bool print_part(FILE *to, const cJSON *defs, const struct mesh_doc_table *t)
{
    const cJSON *properties = at(at(defs, t->name), "properties");

    for (size_t i = 0; i < t->n; i++) {
        const cJSON *schema = at(properties, t->keys[i].key);

        if (!schema) {
            fprintf(stderr, "mesh_manual: the schema has no key \"%s\" of %s\n", t->keys[i].key, t->name);
            return false;
        }
        print_key(to, defs, &t->keys[i], schema);
    }
    return true;
}

static const char example[] = "mesh: backbone\n"
                              "topology: full\n"
                              "members: [\"@core\"]\n"
                              "groups:\n"
                              "  core: { select: \"role=core\" }\n"
                              "classes:\n"
                              "  voice: { dscp: EF, spacing: 20ms, size: 200 }\n"
                              "  bulk: { size: imix, schedule: { every: 5m, for: 10s } }\n";

static bool print_page(FILE *to, const cJSON *defs)
{
    conf_roff_head(to, "twampmesh-mesh", 5, "mesh documents: who measures to whom, and how");
    fputs(".SH DESCRIPTION\n", to);
    conf_roff_text(to, "A mesh document, YAML or JSON, says which agents of a twampmesh measure to which others, in which classes of "
                       "traffic, and when. twampctl schedule apply puts it in force, all of it or nothing; twampctl schedule plan "
                       "tells what it would change and cost. A file may hold several documents, parted by ---. Every value is read as "
                       "text; a duration has its unit, such as 20ms or 5m. A key that is not known is refused.");
    for (size_t i = 0; i < TW_NELEM(parts); i++) {
        fprintf(to, ".SH %s\n", parts[i].title);
        conf_roff_text(to, parts[i].text);
        if (!print_part(to, defs, parts[i].table))
            return false;
    }
    fputs(".SH EXAMPLES\n", to);
    conf_roff_lines(to, example);
    fputs(".SH SEE ALSO\n", to);
    conf_roff_text(to, "twampctl(1), twamp-controller(8), twamp-agent(8)");
    return true;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t cap = 0;
    ssize_t n = f ? getdelim(&text, &cap, '\0', f) : -1;

    if (f)
        fclose(f);
    if (n < 0) {
        free(text);
        return NULL;
    }
    return text;
}

int main(int argc, char **argv)
{
    char *text = argc == 2 ? read_file(argv[1]) : NULL;
    cJSON *schema = text ? cJSON_Parse(text) : NULL;
    bool ok = schema && print_page(stdout, at(schema, "$defs"));

    if (!schema)
        fprintf(stderr, "mesh_manual: expected the path of mesh.schema.json\n");
    cJSON_Delete(schema);
    free(text);
    return ok && !fflush(stdout) ? 0 : 1;
}
