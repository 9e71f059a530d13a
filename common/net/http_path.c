#include "common/net/http_path.h"
#include <string.h>

struct part {
    const char *at;
    size_t len;
};

/* From one '/' to the next. */
static struct part part_of(const char *at)
{
    return (struct part){ at, strcspn(at, "/") };
}

static bool is_name(struct part r)
{
    return r.len > 2 && r.at[0] == '{' && r.at[r.len - 1] == '}';
}

static bool fits(struct part r, struct part p)
{
    return is_name(r) ? p.len > 0 : r.len == p.len && !memcmp(r.at, p.at, r.len);
}

static bool path_fits(const char *route, const char *path)
{
    for (;;) {
        struct part r = part_of(route), p = part_of(path);

        if (!fits(r, p))
            return false;
        route += r.len;
        path += p.len;
        if (!*route || !*path)
            return !*route && !*path;
        route++;
        path++;
    }
}

bool http_path_match(const char *route, const char *path,
                     bool (*take)(void *ctx, const char *name, size_t name_len, const char *value,
                                  size_t value_len),
                     void *ctx)
{
    if (!path_fits(route, path))
        return false;
    for (bool more = take; more;) {
        struct part r = part_of(route), p = part_of(path);

        if (is_name(r) && !take(ctx, r.at + 1, r.len - 2, p.at, p.len))
            break;
        more = route[r.len] == '/';
        route += r.len + 1;
        path += p.len + 1;
    }
    return true;
}
