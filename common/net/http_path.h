/* common/net/http_path.h - paths of routes: "/api/v1/agents/{name}/approve" fits
 * "/api/v1/agents/ams/approve". Pure. */
#ifndef TW_NET_HTTP_PATH_H
#define TW_NET_HTTP_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* Does `path` (decoded) fit? A {name} stands for one or more octets other than '/', and fills its part of the
 * path. If it fits, take(ctx, name, value) is called for each of them in order, unless take is NULL; false
 * from it ends the calls. */
bool http_path_match(const char *route, const char *path,
                     bool (*take)(void *ctx, const char *name, size_t name_len, const char *value,
                                  size_t value_len),
                     void *ctx);

#endif
