#include "controller/names.h"
#include <stdlib.h>
#include <string.h>

static struct name *find(const struct names *n, const char *text, size_t len)
{
    struct name *found;

    HASH_FIND(hh, n->all, text, len, found);
    return found;
}

const char *names_find(const struct names *n, const char *text)
{
    struct name *found = find(n, text, strlen(text));

    return found ? found->text : NULL;
}

const char *names_keep(struct names *n, const char *text)
{
    size_t len = strlen(text);
    struct name *kept = find(n, text, len);

    if (kept)
        return kept->text;
    kept = calloc(1, sizeof *kept + len + 1);
    if (!kept)
        return NULL;
    memcpy(kept->text, text, len + 1);
    HASH_ADD_KEYPTR(hh, n->all, kept->text, len, kept);
    return kept->text;
}

void names_free(struct names *n)
{
    struct name *v, *next;

    HASH_ITER(hh, n->all, v, next)
    {
        HASH_DEL(n->all, v);
        free(v);
    }
}
