/* controller/doc_split.h - one text, several YAML documents: takes files apart into mesh documents and puts documents together to a file.
 * Works on lines, since "---" and "..." at the begin of a line always part documents (YAML 1.2, c-forbidden).
 *
 * The normal form of a document, in which it is stored: no byte order mark, no bare "---" before it, no bare "..." behind it, a newline at its
 * end. All else stays as its author wrote it. */
#ifndef TW_CONTROLLER_DOC_SPLIT_H
#define TW_CONTROLLER_DOC_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/rc.h"

struct doc_piece {
    char *text;          /* in normal form */
    unsigned lines_before; /* of the file, before its first line */
};

/* Documents of nothing but comments are left out, unless there is no other. TW_ENOMEM. */
enum tw_rc doc_split(const char *text, struct doc_piece **ret, size_t *ret_n);
void doc_pieces_free(struct doc_piece *v, size_t n);
/* One document in normal form; malloc'ed. NULL: no memory. */
char *doc_normal(const char *text);
/* Are two texts, one document each, the same in normal form? */
bool doc_same(const char *a, const char *b);
/* What has to stand between the documents before and a document in normal form. first: there are none before. Static. */
const char *doc_separator(const char *document, bool first);

#endif
