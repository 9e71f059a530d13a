/* Pairs by mesh and class: every pair is in the group of its names, once, also of those that came since the
 * last look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "common/rc.h"
#include "controller/inventory.h"

#define MESHES 3
#define CLASSES 5

static void add_pair(struct inventory *inv, unsigned i)
{
    char mesh[16], class_name[16], source[16];
    struct store_pair row = {
        .id = i + 1, .mesh = mesh, .class_name = class_name, .source = source, .target = "x"
    };

    snprintf(mesh, sizeof mesh, "m%u", i / 7 % MESHES); /* some stand together, some do not */
    snprintf(class_name, sizeof class_name, "c%u", i % CLASSES);
    snprintf(source, sizeof source, "a%u", i);
    assert_non_null(inventory_add_pair(inv, &row));
}

static void expect(struct inventory *inv)
{
    size_t sum = 0;

    assert_int_equal(pair_groups_update(&inv->groups, &inv->pairs), TW_OK);
    for (size_t i = 0; i < inv->groups.n; i++) {
        const struct pair_group *g = &inv->groups.v[i];

        assert_ptr_equal(pair_groups_find(&inv->groups, g->mesh, g->class_name), g);
        for (size_t k = 0; k < g->n; k++) {
            const struct pair *p = pair_table_at(&inv->pairs, g->rows[k]);

            assert_ptr_equal(p->row.mesh, g->mesh);
            assert_ptr_equal(p->row.class_name, g->class_name);
            assert_true(!k || g->rows[k] > g->rows[k - 1]);
        }
        sum += g->n;
    }
    assert_int_equal(sum, inv->pairs.n);
}

static void every_pair_is_in_its_group(void **state)
{
    struct inventory inv = { 0 };
    static const unsigned until[] = { 0, 1, 1, 40, 5000 };
    unsigned n = 0;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(until); i++) {
        for (; n < until[i]; n++)
            add_pair(&inv, n);
        expect(&inv);
    }
    assert_int_equal(inv.groups.n, MESHES * CLASSES);
    assert_null(pair_groups_find(&inv.groups, names_keep(&inv.names, "other"), names_find(&inv.names, "c0")));
    inventory_free(&inv);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_pair_is_in_its_group) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
