#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/grow.h"

static bool no_memory;
static unsigned asked;

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    asked++;
    return no_memory ? NULL : __real_reallocarray(p, n, size);
}

struct list {
    uint32_t *v;
    size_t n, cap;
};

static bool push(struct list *l, uint32_t x)
{
    if (!TW_GROW(&l->v, l->n, &l->cap, 3))
        return false;
    l->v[l->n++] = x;
    return true;
}

static void a_list_doubles_and_keeps_what_it_has(void **state)
{
    struct list l = { 0 };

    (void)state;
    asked = 0;
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(push(&l, i));
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(l.v[i], i);
    assert_int_equal(l.cap, 3 * 512);
    assert_int_equal(asked, 10);
    free(l.v);
}

static void without_memory_all_is_as_it_was(void **state)
{
    struct list l = { 0 };

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        assert_true(push(&l, i));
    no_memory = true;
    assert_false(push(&l, 3));
    assert_int_equal(l.n, 3);
    assert_int_equal(l.cap, 3);
    assert_int_equal(l.v[2], 2);
    no_memory = false;
    assert_true(push(&l, 3));
    assert_int_equal(l.v[3], 3);
    free(l.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_doubles_and_keeps_what_it_has),
        cmocka_unit_test(without_memory_all_is_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
