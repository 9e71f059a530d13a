#include "controller/shared_id.h"

#include <string.h>

#include "common/net/identity.h"

/* Without any from the kernel the clock alone tells. */
static uint64_t chance(unsigned bits)
{
    uint8_t octets[sizeof(uint64_t)];
    uint64_t v;

    if (identity_random(octets, sizeof octets) != TW_OK)
        return 0;
    memcpy(&v, octets, sizeof v);
    return v & ((UINT64_C(1) << bits) - 1);
}

uint64_t shared_id_next(struct tw_wall now, uint64_t *last)
{
    uint64_t id = (uint64_t)(now.ns / TW_NS_PER_MS) << 12 | chance(12);

    *last = id > *last ? id : *last + 1;
    return *last;
}

uint64_t shared_id_begin(struct tw_wall now)
{
    return (uint64_t)(now.ns / TW_NS_PER_S) << 21 | chance(20);
}
