#include "db/store_shared.h"

#include "db/store_priv.h"

void store_shared_info(struct store *s, struct store_shared_info *ret)
{
    *ret = (struct store_shared_info){ .shared = s->shared != NULL };
    if (s->shared)
        s->shared->info(s->shared, ret);
}

enum tw_rc store_follow(struct store *s, struct tw_err *err)
{
    return s->shared ? s->shared->follow(s->shared, err) : TW_OK;
}

void store_listen(struct store *s, void (*fn)(void *ctx, const char *key), void *ctx)
{
    if (s->shared)
        s->shared->listen(s->shared, fn, ctx);
}

void store_fence(struct store *s, const char *role, int64_t number)
{
    if (s->shared)
        s->shared->fence(s->shared, role, number);
}

bool store_shared_touched(const struct store *s)
{
    return s->shared && s->q->touched;
}

bool store_shared_failed(const struct store *s)
{
    return s->shared_failed;
}
