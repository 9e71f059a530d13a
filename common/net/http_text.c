#include "common/net/http_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static size_t skip_space(const char *p)
{
    return strspn(p, " \t");
}

/* A weight is 0 exactly when it has no digit but 0: "0", "0.", "0.000". */
static bool weight_is_zero(const char *params, size_t len)
{
    const char *end = params + len;
    const char *p = params;

    while (p < end) {
        p += strspn(p, "; \t");
        if (p + 2 <= end && (*p == 'q' || *p == 'Q') && p[1] == '=') {
            size_t n = strspn(p + 2, "0.");
            const char *rest = p + 2 + n;
            return n > 0 && (rest >= end || !strchr("123456789", *rest));
        }
        while (p < end && *p != ';')
            p++;
    }
    return false;
}

bool http_accept_gzip(const char *value)
{
    int gzip = -1, any = -1; /* not named */

    while (value && *value) {
        size_t item = strcspn(value, ",");
        size_t lead = skip_space(value);
        size_t name = strcspn(value + lead, ",; \t");
        bool zero = weight_is_zero(value + lead + name, item > lead + name ? item - lead - name : 0);

        if ((name == 4 && !strncasecmp(value + lead, "gzip", 4)) ||
            (name == 6 && !strncasecmp(value + lead, "x-gzip", 6)))
            gzip = !zero;
        else if (name == 1 && value[lead] == '*')
            any = !zero;
        value += item + (value[item] == ',');
    }
    return gzip >= 0 ? gzip > 0 : any > 0;
}

bool http_has_tag(const char *value, const char *tag)
{
    size_t tag_len = strlen(tag);

    for (const char *p = value; p && *p;) {
        size_t len;

        p += strspn(p, ", \t");
        if (*p == '*')
            return true;
        p += strncmp(p, "W/", 2) ? 0 : 2;
        if (*p != '"')
            return false;
        len = strcspn(++p, "\"");
        if (!p[len])
            return false;
        if (len == tag_len && !memcmp(p, tag, len))
            return true;
        p += len + 1;
    }
    return false;
}

char *http_error_json(const char *text, size_t *ret_len)
{
    char *out = NULL;
    FILE *f = open_memstream(&out, ret_len);

    if (!f)
        return NULL;
    fputs("{\"error\":\"", f);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', f);
        fputc(*text >= ' ' && *text <= '~' ? *text : '?', f);
    }
    fputs("\"}\n", f);
    if (fclose(f)) {
        free(out);
        return NULL;
    }
    return out;
}
