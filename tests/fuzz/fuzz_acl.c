/* Access list files: nothing but rules or an error comes of any text; and for some addresses the list that is
 * made of them agrees with a look at every rule. */
#include <string.h>
#include "common/acl.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An IPv4-mapped address is one of IPv4: no range of IPv6 is about it. */
static struct tw_addr plain(const struct tw_addr *a)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    struct tw_addr ret = { .family = 4 };

    if (a->family == 4 || memcmp(a->ip, mapped, sizeof mapped) != 0)
        return *a;
    memcpy(ret.ip, a->ip + sizeof mapped, 4);
    return ret;
}

static bool by_hand(const struct acl_rules *rules, const struct tw_addr *addr)
{
    struct tw_addr from = plain(addr);
    bool verdict = true;
    int longest = -1;

    for (size_t i = 0; i < rules->n; i++)
        verdict &= !rules->v[i].allow;
    for (size_t i = 0; i < rules->n; i++) {
        const struct acl_rule *r = &rules->v[i];
        if (tw_prefix_contains(&r->prefix, &from) && r->prefix.len > longest) {
            longest = r->prefix.len;
            verdict = r->allow;
        }
    }
    return verdict;
}

/* The first address of each range, and some that differ from it in a bit: inside and outside. */
static void check_around(const struct acl *a, const struct acl_rules *rules, const struct tw_prefix *p)
{
    struct tw_addr at = { .family = p->family };
    unsigned bits = p->family == 4 ? 32 : 128;

    for (unsigned bit = 0; bit <= bits; bit++) {
        memcpy(at.ip, p->ip, sizeof at.ip);
        if (bit < bits)
            at.ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        CHECK(acl_allows(a, &at) == by_hand(rules, &at));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct acl_rules rules = { 0 };
    struct tw_err err = { 0 };
    struct acl *a = NULL;
    enum tw_rc rc = acl_rules_parse(&rules, (const char *)data, size, &err);

    CHECK(rc == TW_OK ? !err.text[0] : err.text[0] && err.line);
    if (acl_new(&rules, &a, &err) == TW_OK) {
        const struct acl_rule *list;
        bool others;
        size_t n = acl_list(a, &list, &others);
        CHECK(n <= rules.n);
        for (size_t i = 0; i < n && i < 64; i++) {
            CHECK(acl_names(a, &list[i].prefix));
            check_around(a, &rules, &list[i].prefix);
        }
        acl_free(a);
    } else {
        CHECK(err.text[0]);
    }
    acl_rules_free(&rules);
    return 0;
}
