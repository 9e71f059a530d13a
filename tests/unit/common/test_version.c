/* How far releases are from each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include "common/version.h"

static void skew(void **state)
{
    static const struct {
        const char *of, *from, *is;
    } cases[] = {
        { "0.1.0", "0.1.0", "" },
        { "twamp-agent 0.1.7", "0.1.0", "" },
        { "twamp-agent 0.1.0", "0.2.0", "older" },
        { "0.3.0", "twamp-controller 0.2.9", "newer" },
        { "0.1.0", "0.3.0", "too_old" },
        { "0.10.0", "0.9.0", "newer" },
        { "0.4.0", "0.2.0", "too_new" },
        { "0.9.0", "1.0.0", "older" },
        { "0.9.0", "1.1.0", "too_old" },
        { "2.0.0", "1.7.3", "newer" },
        { "3.0.0", "1.7.3", "too_new" },
        { "", "0.1.0", "" },
        { "mine", "0.1.0", "" },
        { "7", "0.1.0", "" },
        { "7.", "0.1.0", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(tw_skew_name(tw_version_skew(cases[i].of, cases[i].from)), cases[i].is) != 0)
            fail_msg("%s from %s: %s", cases[i].of, cases[i].from,
                     tw_skew_name(tw_version_skew(cases[i].of, cases[i].from)));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(skew) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
