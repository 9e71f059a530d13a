/* From the files of an apply to the meshes that it puts, leaves and deletes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/change_priv.h"
#include "controller/doc_json.h"
#include "controller/doc_split.h"
#include "controller/report.h"

#define MAX_DOCUMENT (512u << 10) /* a mesh that is shown has to fit into a frame */

static enum tw_rc no_memory(struct change *ch)
{
    return change_refuse(ch, TW__STATUS__STATUS_INTERNAL, TW_ENOMEM, "out of memory");
}

/* The error is one of that document; its place in the file. */
static enum tw_rc fail_in_document(struct change *ch, const char *file, unsigned lines_before, enum tw_rc rc)
{
    struct tw_err *err = &ch->result.err;

    if (rc == TW_ENOMEM)
        return no_memory(ch);
    snprintf(err->file, sizeof err->file, "%s", file);
    if (err->line)
        err->line += lines_before;
    ch->result.in_document = true;
    return rc;
}

static const struct change_mesh *find_mesh(const struct change *ch, const char *name)
{
    for (size_t i = 0; i < ch->n_meshes; i++)
        if (!strcmp(ch->meshes[i].row.name, name))
            return &ch->meshes[i];
    return NULL;
}

static enum tw_rc check_piece(struct change *ch, const struct doc_piece *piece, const struct mesh *mesh)
{
    const struct change_mesh *twice = mesh ? find_mesh(ch, mesh->name) : NULL;
    struct tw_err *err = &ch->result.err;

    err->line = 1;
    err->column = 0;
    snprintf(err->field, sizeof err->field, "mesh");
    if (mesh && !strcmp(mesh->name, ONDEMAND_MESH))
        return tw_err_set(err, TW_EINVAL, "\"" ONDEMAND_MESH "\" is reserved for tests on demand: expected another name");
    if (twice)
        return tw_err_set(err, TW_EINVAL, "mesh \"%s\" is already in %s, line %u: expected each mesh once",
                          mesh->name, twice->file, twice->lines_before + 1);
    if (ch->n_meshes >= CHANGE_DOCUMENTS_MAX)
        return tw_err_set(err, TW_EINVAL, "this is document %zu: expected at most %d in one apply",
                          ch->n_meshes + 1, CHANGE_DOCUMENTS_MAX);
    err->line = 0;
    err->field[0] = '\0';
    if (strlen(piece->text) > MAX_DOCUMENT)
        return tw_err_set(err, TW_EINVAL, "the document has %zu octets: expected at most 512 KiB",
                          strlen(piece->text));
    return TW_OK;
}

/* *mesh is taken if it is needed. */
static enum tw_rc put_piece(struct change *ch, const struct change_document *d, struct doc_piece *piece,
                            struct mesh **mesh)
{
    const struct mesh_state *old = inventory_mesh(&ch->owner->c->inv, (*mesh)->name);
    struct change_mesh *m = change_add_mesh(ch, (*mesh)->name);

    if (!m)
        return no_memory(ch);
    if (old)
        m->row = old->row;
    if (d->set_paused)
        m->row.paused = d->paused;
    m->lines_before = piece->lines_before;
    m->file = strdup(d->file);
    m->put = !old || old->row.paused != m->row.paused;
    if (!m->file)
        return no_memory(ch);
    if (old && (doc_same(old->document, piece->text) || doc_is_json_of(piece->text, old->document))) {
        m->unchanged = !m->put;
        return TW_OK;
    }
    m->put = true;
    m->mesh = *mesh;
    m->document = piece->text;
    m->row.document = m->document;
    *mesh = NULL;
    piece->text = NULL;
    return TW_OK;
}

static enum tw_rc read_piece(struct change *ch, const struct change_document *d, struct doc_piece *piece)
{
    struct mesh *mesh = NULL;
    enum tw_rc rc = check_piece(ch, piece, NULL);

    if (rc == TW_OK)
        rc = mesh_doc_parse(d->file, piece->text, strlen(piece->text), &mesh, &ch->result.err);
    if (rc == TW_OK)
        rc = check_piece(ch, piece, mesh);
    if (rc != TW_OK)
        rc = fail_in_document(ch, d->file, piece->lines_before, rc);
    else
        rc = put_piece(ch, d, piece, &mesh);
    mesh_free(mesh);
    return rc;
}

static enum tw_rc read_file(struct change *ch, const struct change_document *d)
{
    struct doc_piece *pieces;
    size_t n;
    enum tw_rc rc = doc_split(d->text, &pieces, &n);

    if (rc != TW_OK)
        return no_memory(ch);
    for (size_t i = 0; rc == TW_OK && i < n; i++)
        rc = read_piece(ch, d, &pieces[i]);
    doc_pieces_free(pieces, n);
    return rc;
}

static enum tw_rc prune(struct change *ch)
{
    for (struct mesh_state *m = ch->owner->c->inv.meshes; m; m = m->hh.next) {
        struct change_mesh *cm;

        if (find_mesh(ch, m->row.name))
            continue;
        cm = change_add_mesh(ch, m->row.name);
        if (!cm)
            return no_memory(ch);
        cm->row = m->row;
        cm->drop = true;
    }
    return TW_OK;
}

/* ---- In words, for the history ---- */

/* "apply a, b", with as many names as there is room for. */
static void tell(struct change *ch, const char *word, bool drop)
{
    struct change_names names = { 0 };
    size_t len = strlen(ch->what);

    for (size_t i = 0; i < ch->n_meshes; i++)
        if (ch->meshes[i].drop == drop && !ch->meshes[i].unchanged)
            change_names_add(&names, ch->meshes[i].row.name);
    if (!names.n)
        return;
    snprintf(ch->what + len, sizeof ch->what - len, "%s%s %s", len ? "; " : "", word, names.text);
    len = strlen(ch->what);
    if (names.left_out)
        snprintf(ch->what + len, sizeof ch->what - len, " and %u more", names.left_out);
}

static void tell_what(struct change *ch)
{
    if (ch->rq.kind == CHANGE_ROLLBACK) {
        snprintf(ch->what, sizeof ch->what, "rollback to generation %llu", (unsigned long long)ch->rq.number);
        return;
    }
    tell(ch, "apply", false);
    tell(ch, "delete", true);
    if (!ch->what[0]) /* the agents have changed meanwhile */
        snprintf(ch->what, sizeof ch->what, "apply");
}

enum tw_rc change_read_documents(struct change *ch)
{
    enum tw_rc rc = TW_OK;

    if (!ch->rq.n_documents && ch->rq.kind == CHANGE_APPLY)
        return change_refuse(ch, TW__STATUS__STATUS_INVALID_ARGUMENT, TW_EINVAL,
                             "no document: expected at least one");
    for (size_t i = 0; rc == TW_OK && i < ch->rq.n_documents; i++)
        rc = read_file(ch, &ch->rq.documents[i]);
    if (rc == TW_OK && ch->rq.prune)
        rc = prune(ch);
    tell_what(ch);
    return rc;
}
