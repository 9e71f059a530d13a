/* What a controller may ask an agent to run. */
#include <stdint.h>
#include <string.h>
#include "agent/session_spec.h"
#include "common/hostname.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const Tw__SessionSpec *p, const struct session_spec *s)
{
    struct session_spec again;

    CHECK(s->target.port == p->port && s->target.port);
    if (s->by_name)
        CHECK(hostname_ok(p->host) && !*p->address &&
              (!s->target.family || s->target.family == 4 || s->target.family == 6) &&
              (!p->host_family || s->target.family == p->host_family));
    else
        CHECK(!*p->host && (s->target.family == 4 || s->target.family == 6));
    CHECK(!s->bind.family || s->bind.family == s->target.family);
    CHECK(strlen(s->key_id) < SPEC_KEY_ID && s->ttl);
    CHECK(!session_spec_read(p, 1, &again) && session_spec_same(s, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Tw__SessionSpec *p = tw__session_spec__unpack(NULL, size, data);
    struct session_spec s;
    const char *why;

    if (!p)
        return 0;
    why = session_spec_read(p, 1, &s);
    if (why)
        CHECK(*why);
    else
        check(p, &s);
    tw__session_spec__free_unpacked(p, NULL);
    return 0;
}
