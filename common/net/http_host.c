#include "common/net/http_host.h"
#include <string.h>
#include <strings.h>
#include "common/addr.h"

/* Without the port and a dot at its end. */
static size_t name_len(const char *host)
{
    size_t len = strcspn(host, ":");

    return len && host[len - 1] == '.' ? len - 1 : len;
}

static bool is_name(const char *host, const char *name)
{
    size_t len = name_len(host);

    return len && len == name_len(name) && !strncasecmp(host, name, len);
}

bool http_host_is_ours(const char *host, const char *const *names, size_t n)
{
    struct tw_addr a;

    if (!host || is_name(host, "localhost") || (*host != ':' && tw_addr_parse(host, 80, &a) == TW_OK))
        return true;
    for (size_t i = 0; i < n; i++)
        if (names[i] && is_name(host, names[i]))
            return true;
    return false;
}
