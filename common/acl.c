/* common/acl.c - the ranges of a family nest or are apart, so they cut its addresses into pieces that lie
 * side by side, each with one verdict: a look is a binary search for the piece. */
#include "common/acl.h"
#include "common/grow.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 u128;

enum { DEPTH_MAX = 130, LINE_MAX_ = 200, FAMILIES = 2 };

struct piece {
    u128 first;
    bool allow;
};

struct pieces {
    struct piece *v;
    size_t n;
};

struct acl {
    atomic_uint holds;
    bool others;
    struct pieces family[FAMILIES]; /* IPv4, IPv6 */
    size_t n;
    struct acl_rule rule[];
};

/* ---- Rules ---- */

void acl_rules_free(struct acl_rules *l)
{
    free(l->v);
    *l = (struct acl_rules){ 0 };
}

static enum tw_rc make_room(struct acl_rules *l, struct tw_err *err)
{
    if (l->n >= ACL_RULES_MAX)
        return tw_err_set(err, TW_ENOSPC, "an access list has at most %d ranges", ACL_RULES_MAX);
    if (!TW_GROW(&l->v, l->n, &l->cap, 16))
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    return TW_OK;
}

enum tw_rc acl_rules_add(struct acl_rules *l, bool allow, const char *prefix, struct tw_err *err)
{
    struct acl_rule r = { .allow = allow };
    enum tw_rc rc;

    if (tw_prefix_parse(prefix, &r.prefix) != TW_OK)
        return tw_err_set(err, TW_EINVAL, "\"%.64s\" is no prefix; expected 192.0.2.0/24 or 2001:db8::/32",
                          prefix);
    rc = make_room(l, err);
    if (rc == TW_OK)
        l->v[l->n++] = r;
    return rc;
}

/* ---- Files ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line; "" at its end. */
static const char *take_word(char **at)
{
    char *p = *at, *word;

    while (is_blank(*p))
        p++;
    word = p;
    while (*p && !is_blank(*p))
        p++;
    if (*p)
        *p++ = '\0';
    *at = p;
    return word;
}

static enum tw_rc parse_line(struct acl_rules *l, char *line, struct tw_err *err)
{
    const char *verb = take_word(&line), *prefix = take_word(&line), *rest = take_word(&line);
    bool allow = !strcmp(verb, "allow");

    if (!*verb)
        return TW_OK;
    if ((!allow && strcmp(verb, "deny") != 0) || !*prefix || *rest)
        return tw_err_set(err, TW_EINVAL,
                          "expected \"allow PREFIX\" or \"deny PREFIX\", not \"%.40s%s%.64s\"", verb,
                          *prefix ? " " : "", prefix);
    return acl_rules_add(l, allow, prefix, err);
}

enum tw_rc acl_rules_parse(struct acl_rules *l, const char *text, size_t len, struct tw_err *err)
{
    const char *end = text + len;
    enum tw_rc rc = TW_OK;

    for (unsigned number = 1; text < end && rc == TW_OK; number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text);
        const char *comment = memchr(text, '#', n);
        char line[LINE_MAX_];
        size_t used = comment ? (size_t)(comment - text) : n;

        if (used >= sizeof line || memchr(text, '\0', used)) {
            rc = tw_err_set(err, TW_EINVAL, "expected lines of text of at most %d octets", LINE_MAX_ - 1);
        } else {
            memcpy(line, text, used);
            line[used] = '\0';
            rc = parse_line(l, line, err);
        }
        if (rc != TW_OK && err)
            err->line = number;
        text += n + 1;
    }
    return rc;
}

/* ---- Making the pieces ---- */

static u128 number_of(const uint8_t ip[16], int family)
{
    u128 v = 0;

    for (int i = 0; i < (family == 4 ? 4 : 16); i++)
        v = v << 8 | ip[i];
    return v;
}

static u128 last_of(const struct tw_prefix *p)
{
    unsigned free_bits = (p->family == 4 ? 32U : 128U) - p->len;
    u128 ones = free_bits == 128 ? ~(u128)0 : ((u128)1 << free_bits) - 1;

    return number_of(p->ip, p->family) | ones;
}

/* By family and first address, the wider one first. */
static int compare(const void *a, const void *b)
{
    const struct tw_prefix *p = &((const struct acl_rule *)a)->prefix,
                           *q = &((const struct acl_rule *)b)->prefix;
    int c = memcmp(p->ip, q->ip, sizeof p->ip);

    if (p->family != q->family)
        return p->family < q->family ? -1 : 1;
    return c ? c : (int)p->len - (int)q->len;
}

static bool is_same(const struct tw_prefix *p, const struct tw_prefix *q)
{
    return p->family == q->family && p->len == q->len && !memcmp(p->ip, q->ip, sizeof p->ip);
}

static enum tw_rc drop_doubles(struct acl *a, struct tw_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++) {
        const struct acl_rule *r = &a->rule[i];
        if (!n || !is_same(&a->rule[n - 1].prefix, &r->prefix)) {
            a->rule[n++] = *r;
            continue;
        }
        if (a->rule[n - 1].allow != r->allow) {
            struct tw_addr addr = { .family = r->prefix.family };
            char text[TW_ADDR_TEXT];
            memcpy(addr.ip, r->prefix.ip, sizeof addr.ip);
            return tw_err_set(err, TW_EINVAL, "%s/%u is both allowed and denied; expected one of the two",
                              tw_addr_format_ip(&addr, text), r->prefix.len);
        }
    }
    a->n = n;
    return TW_OK;
}

/* What begins where another one begins takes its place. */
static void put_piece(struct pieces *p, u128 first, bool allow)
{
    if (p->n && p->v[p->n - 1].first == first)
        p->n--;
    p->v[p->n++] = (struct piece){ first, allow };
}

struct nest {
    const struct acl_rule *open[DEPTH_MAX];
    size_t n;
};

/* Behind those that end before `until` goes on what they were in. */
static void close_before(struct acl *a, struct pieces *p, struct nest *nest, u128 until, bool all)
{
    while (nest->n) {
        u128 last = last_of(&nest->open[nest->n - 1]->prefix);

        if (!all && last >= until)
            return;
        nest->n--;
        if (last != (all ? until : ~(u128)0)) /* else nothing is behind it */
            put_piece(p, last + 1, nest->n ? nest->open[nest->n - 1]->allow : a->others);
    }
}

static enum tw_rc make_pieces(struct acl *a, int family, struct pieces *p)
{
    u128 top = family == 4 ? UINT32_MAX : ~(u128)0;
    struct nest nest = { .n = 0 };

    p->v = calloc(2 * a->n + 1, sizeof *p->v);
    if (!p->v)
        return TW_ENOMEM;
    put_piece(p, 0, a->others);
    for (size_t i = 0; i < a->n; i++) {
        const struct acl_rule *r = &a->rule[i];
        u128 first = number_of(r->prefix.ip, family);

        if (r->prefix.family != family)
            continue;
        close_before(a, p, &nest, first, false);
        nest.open[nest.n++] = r;
        put_piece(p, first, r->allow);
    }
    close_before(a, p, &nest, top, true);
    return TW_OK;
}

/* ---- The list ---- */

enum tw_rc acl_new(const struct acl_rules *rules, struct acl **ret, struct tw_err *err)
{
    struct acl *a = calloc(1, sizeof *a + rules->n * sizeof a->rule[0]);
    enum tw_rc rc;

    if (!a)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    atomic_init(&a->holds, 1);
    a->n = rules->n;
    a->others = true;
    if (rules->n)
        memcpy(a->rule, rules->v, rules->n * sizeof a->rule[0]);
    for (size_t i = 0; i < a->n; i++)
        a->others &= !a->rule[i].allow;
    qsort(a->rule, a->n, sizeof a->rule[0], compare);
    rc = drop_doubles(a, err);
    if (rc == TW_OK && (make_pieces(a, 4, &a->family[0]) || make_pieces(a, 6, &a->family[1])))
        rc = tw_err_set(err, TW_ENOMEM, "out of memory");
    if (rc != TW_OK) {
        acl_free(a);
        return rc;
    }
    *ret = a;
    return TW_OK;
}

struct acl *acl_hold(struct acl *a)
{
    if (a)
        atomic_fetch_add(&a->holds, 1);
    return a;
}

void acl_free(struct acl *a)
{
    if (!a || atomic_fetch_sub(&a->holds, 1) != 1)
        return;
    for (int i = 0; i < FAMILIES; i++)
        free(a->family[i].v);
    free(a);
}

static bool is_mapped(const struct tw_addr *a)
{
    static const uint8_t head[12] = { [10] = 0xff, [11] = 0xff };

    return a->family == 6 && !memcmp(a->ip, head, sizeof head);
}

bool acl_allows(const struct acl *a, const struct tw_addr *from)
{
    bool mapped = is_mapped(from);
    int family = mapped ? 4 : from->family;
    const struct pieces *p;
    size_t low = 0, high;
    u128 at;

    if (!a)
        return true;
    p = &a->family[family == 6];
    at = number_of(mapped ? from->ip + 12 : from->ip, family);
    for (high = p->n; high - low > 1;) { /* v[low].first <= at, v[high].first > at */
        size_t mid = low + (high - low) / 2;
        if (p->v[mid].first <= at)
            low = mid;
        else
            high = mid;
    }
    return p->v[low].allow;
}

size_t acl_list(const struct acl *a, const struct acl_rule **ret, bool *ret_others)
{
    *ret = a ? a->rule : NULL;
    *ret_others = !a || a->others;
    return a ? a->n : 0;
}

bool acl_names(const struct acl *a, const struct tw_prefix *p)
{
    struct acl_rule wanted = { .prefix = *p };

    return a && bsearch(&wanted, a->rule, a->n, sizeof a->rule[0], compare);
}
