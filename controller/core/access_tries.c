#include "controller/core/access_tries.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "common/addr.h"

/* A bucket that leaks: `empty_ns` is when it is empty again; each wrong try puts every_ns into it. */
struct entry {
    uint8_t key[9]; /* family, then IPv4 or the first half of IPv6 */
    bool used;
    int64_t empty_ns;
};

struct access_tries {
    struct entry *entries;
    uint32_t n;
    int64_t every_ns, room_ns;
    struct access_tries_counts counts;
};

enum tw_rc access_tries_new(uint32_t addresses, uint32_t burst, int64_t every_ns, struct access_tries **ret)
{
    struct access_tries *t = calloc(1, sizeof *t);

    if (!t)
        return TW_ENOMEM;
    t->entries = calloc(addresses, sizeof *t->entries);
    if (!t->entries) {
        free(t);
        return TW_ENOMEM;
    }
    t->n = addresses;
    t->every_ns = every_ns;
    t->room_ns = (int64_t)burst * every_ns;
    *ret = t;
    return TW_OK;
}

void access_tries_free(struct access_tries *t)
{
    if (!t)
        return;
    free(t->entries);
    free(t);
}

static bool make_key(const char *address, uint8_t ret[9])
{
    struct tw_addr a;

    if (!*address || tw_addr_parse(address, 0, &a) != TW_OK)
        return false;
    ret[0] = a.family;
    memcpy(ret + 1, a.ip, 8);
    return true;
}

static struct entry *find(const struct access_tries *t, const uint8_t key[9])
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->entries[i].used && !memcmp(t->entries[i].key, key, 9))
            return &t->entries[i];
    return NULL;
}

static int64_t wait_ns(const struct access_tries *t, const struct entry *e, struct tw_mono now)
{
    int64_t over = e->empty_ns - now.ns + t->every_ns - t->room_ns;

    return over > 0 ? over : 0;
}

int64_t access_tries_wait_ns(const struct access_tries *t, struct tw_mono now, const char *address)
{
    uint8_t key[9];
    const struct entry *e = make_key(address, key) ? find(t, key) : NULL;

    return e ? wait_ns(t, e, now) : 0;
}

/* A free one, or the one that is, or will be, empty first. */
static struct entry *take(struct access_tries *t, const uint8_t key[9], struct tw_mono now)
{
    struct entry *e = &t->entries[0];

    for (uint32_t i = 0; i < t->n && e->used; i++)
        if (!t->entries[i].used || t->entries[i].empty_ns < e->empty_ns)
            e = &t->entries[i];
    if (e->used && e->empty_ns > now.ns)
        t->counts.forgotten++;
    *e = (struct entry){ .used = true, .empty_ns = now.ns };
    memcpy(e->key, key, 9);
    return e;
}

int64_t access_tries_wrong(struct access_tries *t, struct tw_mono now, const char *address)
{
    uint8_t key[9];
    struct entry *e;
    int64_t wait;

    t->counts.wrong++;
    if (!make_key(address, key))
        return 0;
    e = find(t, key);
    if (!e)
        e = take(t, key, now);
    wait = wait_ns(t, e, now);
    if (wait) {
        t->counts.limited++; /* it costs nothing more: whoever waits gets in again */
        return wait;
    }
    e->empty_ns = (e->empty_ns > now.ns ? e->empty_ns : now.ns) + t->every_ns;
    return 0;
}

void access_tries_count(const struct access_tries *t, struct access_tries_counts *ret)
{
    *ret = t->counts;
}
