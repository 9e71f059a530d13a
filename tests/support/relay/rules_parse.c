/* tests/support/relay/rules_parse.c - reading rules; see rules.h */
#include "tests/support/relay/rules_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ctx {
    const char *const *names;
    unsigned names_n;
    struct tw_err *err;
};

static enum tw_rc number_parse(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    unsigned long long v;

    errno = 0;
    v = strtoull(text, &end, 10);
    if (end == text || *end || errno || v > max || *text == '-')
        return TW_EINVAL;
    *ret = v;
    return TW_OK;
}

static enum tw_rc parse_name(struct ctx *c, const char *text, int *ret)
{
    for (unsigned i = 0; i < c->names_n; i++) {
        if (!strcmp(c->names[i], text)) {
            *ret = (int)i;
            return TW_OK;
        }
    }
    return tw_err_set(c->err, TW_EINVAL, "must be the name of a port, not \"%s\"", text);
}

static enum tw_rc parse_udp_port(struct ctx *c, const char *text, uint16_t *ret)
{
    uint64_t v;

    if (number_parse(text, 65535, &v) || !v)
        return tw_err_set(c->err, TW_EINVAL, "must be a UDP port, 1 to 65535, not \"%s\"", text);
    *ret = (uint16_t)v;
    return TW_OK;
}

static enum tw_rc parse_duration(struct ctx *c, const char *text, int64_t *ret)
{
    if (tw_duration_parse(text, ret))
        return tw_err_set(c->err, TW_EINVAL, "must be a duration such as 10ms or 1.5s, not \"%s\"", text);
    return TW_OK;
}

static enum tw_rc parse_probability(struct ctx *c, const char *text, double *ret)
{
    char *end;
    double p = strtod(text, &end);

    if (end == text || *end || !(p >= 0 && p <= 1))
        return tw_err_set(c->err, TW_EINVAL, "must be a probability from 0 to 1, not \"%s\"", text);
    *ret = p;
    return TW_OK;
}

/* Cuts the text at the separator; returns the part before it, NULL at the end. */
static char *next_part(char **rest, const char *separator)
{
    char *part = *rest;

    if (!part)
        return NULL;
    *rest = strpbrk(part, separator);
    if (*rest)
        *(*rest)++ = '\0';
    return part;
}

static enum tw_rc parse_chance_item(struct ctx *c, char *text, struct chance_item *ret)
{
    struct chance_item it = { 0 };
    char *rest = text + 1, *a, *b;

    if (*text == '@') {
        it.kind = CHANCE_NUMBERS;
        a = next_part(&rest, "-");
        b = rest ? rest : a;
        if (number_parse(a, UINT64_MAX, &it.a) || number_parse(b, UINT64_MAX, &it.b) || !it.a || it.b < it.a)
            return tw_err_set(c->err, TW_EINVAL, "must be packet numbers such as @7 or @100-149, not \"%s\"",
                              text);
    } else if (*text == '/') {
        it.kind = CHANCE_EACH;
        if (number_parse(rest, UINT64_MAX, &it.a) || !it.a)
            return tw_err_set(c->err, TW_EINVAL, "must be each Nth packet such as /10, not \"%s\"", text);
    } else if (parse_probability(c, text, &it.p)) {
        return TW_EINVAL;
    }
    *ret = it;
    return TW_OK;
}

static enum tw_rc parse_chance(struct ctx *c, char *text, struct chance *ret)
{
    char *part;

    while ((part = next_part(&text, ","))) {
        if (ret->n == ITEMS_MAX)
            return tw_err_set(c->err, TW_EINVAL, "more than %d parts", ITEMS_MAX);
        if (parse_chance_item(c, part, &ret->items[ret->n]))
            return TW_EINVAL;
        ret->n++;
    }
    return TW_OK;
}

/* ---- keys of a rule ---- */

static enum tw_rc key_from(struct ctx *c, char *text, struct rule *r)
{
    return parse_name(c, text, &r->from);
}
static enum tw_rc key_to(struct ctx *c, char *text, struct rule *r)
{
    return parse_name(c, text, &r->to);
}
static enum tw_rc key_udp(struct ctx *c, char *text, struct rule *r)
{
    return parse_udp_port(c, text, &r->udp);
}
static enum tw_rc key_sport(struct ctx *c, char *text, struct rule *r)
{
    return parse_udp_port(c, text, &r->sport);
}
static enum tw_rc key_dport(struct ctx *c, char *text, struct rule *r)
{
    return parse_udp_port(c, text, &r->dport);
}
static enum tw_rc key_delay(struct ctx *c, char *text, struct rule *r)
{
    return parse_duration(c, text, &r->delay_ns);
}
static enum tw_rc key_jitter(struct ctx *c, char *text, struct rule *r)
{
    const char *kind = next_part(&text, ":");

    r->jitter = !strcmp(kind, "uniform") ? JITTER_UNIFORM
                : !strcmp(kind, "exp")   ? JITTER_EXPONENTIAL
                                         : JITTER_NONE;
    if (r->jitter == JITTER_NONE || !text)
        return tw_err_set(c->err, TW_EINVAL, "must be uniform:DURATION or exp:DURATION, not \"%s\"", kind);
    return parse_duration(c, text, &r->jitter_ns);
}
static enum tw_rc key_ordered(struct ctx *c, char *text, struct rule *r)
{
    r->ordered = !strcmp(text, "yes");
    if (!r->ordered && strcmp(text, "no"))
        return tw_err_set(c->err, TW_EINVAL, "must be yes or no, not \"%s\"", text);
    return TW_OK;
}
static enum tw_rc key_loss(struct ctx *c, char *text, struct rule *r)
{
    return parse_chance(c, text, &r->loss);
}
static enum tw_rc key_burst(struct ctx *c, char *text, struct rule *r)
{
    double *const to[] = { &r->burst_in, &r->burst_out, &r->burst_loss, &r->calm_loss };
    unsigned n = 0;
    char *part;

    r->burst_loss = 1;
    while ((part = next_part(&text, ":"))) {
        if (n == TW_NELEM(to))
            return tw_err_set(c->err, TW_EINVAL, "must be two to four probabilities with : between");
        if (parse_probability(c, part, to[n++]))
            return TW_EINVAL;
    }
    if (n < 2)
        return tw_err_set(c->err, TW_EINVAL, "must be two to four probabilities with : between");
    return TW_OK;
}
static enum tw_rc key_down(struct ctx *c, char *text, struct rule *r)
{
    char *part;

    while ((part = next_part(&text, ","))) {
        const char *from = next_part(&part, "-");
        if (r->down_n == ITEMS_MAX || !part)
            return tw_err_set(c->err, TW_EINVAL, "must be at most %d spans such as 1s-1.5s", ITEMS_MAX);
        if (parse_duration(c, from, &r->down[r->down_n].from_ns) ||
            parse_duration(c, part, &r->down[r->down_n].to_ns))
            return TW_EINVAL;
        if (r->down[r->down_n].to_ns <= r->down[r->down_n].from_ns)
            return tw_err_set(c->err, TW_EINVAL, "a span must end after its begin");
        r->down_n++;
    }
    return TW_OK;
}
static enum tw_rc key_dup(struct ctx *c, char *text, struct rule *r)
{
    return parse_chance(c, text, &r->dup);
}
static enum tw_rc key_dup_delay(struct ctx *c, char *text, struct rule *r)
{
    return parse_duration(c, text, &r->dup_delay_ns);
}
static enum tw_rc key_reorder(struct ctx *c, char *text, struct rule *r)
{
    return parse_chance(c, text, &r->reorder);
}
static enum tw_rc key_reorder_delay(struct ctx *c, char *text, struct rule *r)
{
    return parse_duration(c, text, &r->reorder_delay_ns);
}

static const struct rule_key {
    const char *name;
    enum tw_rc (*parse)(struct ctx *c, char *text, struct rule *r);
} rule_keys[] = {
    { "from", key_from },           { "to", key_to },           { "udp", key_udp },
    { "sport", key_sport },         { "dport", key_dport },     { "delay", key_delay },
    { "jitter", key_jitter },       { "ordered", key_ordered }, { "loss", key_loss },
    { "burst", key_burst },         { "down", key_down },       { "dup", key_dup },
    { "dup_delay", key_dup_delay }, { "reorder", key_reorder }, { "reorder_delay", key_reorder_delay },
};

/* ---- keys of a clock ---- */

static enum tw_rc clock_host(struct ctx *c, char *text, struct clock_rule *r)
{
    return parse_name(c, text, &r->host);
}
static enum tw_rc clock_offset(struct ctx *c, char *text, struct clock_rule *r)
{
    bool minus = *text == '-';

    if (parse_duration(c, text + minus, &r->offset_ns))
        return TW_EINVAL;
    if (minus)
        r->offset_ns = -r->offset_ns;
    return TW_OK;
}
static enum tw_rc clock_port(struct ctx *c, char *text, struct clock_rule *r)
{
    return parse_udp_port(c, text, &r->port);
}

static const struct clock_key {
    const char *name;
    enum tw_rc (*parse)(struct ctx *c, char *text, struct clock_rule *r);
} clock_keys[] = {
    { "host", clock_host },
    { "offset", clock_offset },
    { "port", clock_port },
};

/* ---- lines ---- */

/* Splits KEY=VALUE; names the key in the error to come. */
static char *split_word(struct ctx *c, char *word)
{
    char *value = strchr(word, '=');

    if (value)
        *value++ = '\0';
    snprintf(c->err->field, sizeof c->err->field, "%s", word);
    if (!value)
        tw_err_set(c->err, TW_EINVAL, "must be KEY=VALUE");
    return value;
}

static enum tw_rc line_rule(struct ctx *c, char *rest, struct rules *rs)
{
    struct rule *r = &rs->rules[rs->n];
    char *word, *save = NULL, *value;

    if (rs->n == RULES_MAX)
        return tw_err_set(c->err, TW_EINVAL, "more than %d rules", RULES_MAX);
    *r = (struct rule){ .from = ANY_PORT, .to = ANY_PORT };
    for (word = strtok_r(rest, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
        size_t k = 0;
        if (!(value = split_word(c, word)))
            return TW_EINVAL;
        while (k < TW_NELEM(rule_keys) && strcmp(rule_keys[k].name, word))
            k++;
        if (k == TW_NELEM(rule_keys))
            return tw_err_set(c->err, TW_EINVAL, "no such key of a rule");
        if (rule_keys[k].parse(c, value, r))
            return TW_EINVAL;
    }
    rs->n++;
    return TW_OK;
}

static enum tw_rc line_clock(struct ctx *c, char *rest, struct rules *rs)
{
    struct clock_rule *r = &rs->clocks[rs->clocks_n];
    char *word, *save = NULL, *value;

    if (rs->clocks_n == RULES_MAX)
        return tw_err_set(c->err, TW_EINVAL, "more than %d clocks", RULES_MAX);
    *r = (struct clock_rule){ .host = ANY_PORT, .port = 862 };
    for (word = strtok_r(rest, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
        size_t k = 0;
        if (!(value = split_word(c, word)))
            return TW_EINVAL;
        while (k < TW_NELEM(clock_keys) && strcmp(clock_keys[k].name, word))
            k++;
        if (k == TW_NELEM(clock_keys))
            return tw_err_set(c->err, TW_EINVAL, "no such key of a clock");
        if (clock_keys[k].parse(c, value, r))
            return TW_EINVAL;
    }
    if (r->host == ANY_PORT)
        return tw_err_set(c->err, TW_EINVAL, "a clock needs host=NAME");
    rs->clocks_n++;
    return TW_OK;
}

static enum tw_rc line_seed(struct ctx *c, char *rest, struct rules *rs)
{
    if (number_parse(rest + strspn(rest, " \t"), UINT64_MAX, &rs->seed))
        return tw_err_set(c->err, TW_EINVAL, "seed must be a number");
    return TW_OK;
}

static const struct line_kind {
    const char *name;
    enum tw_rc (*parse)(struct ctx *c, char *rest, struct rules *rs);
} line_kinds[] = { { "seed", line_seed }, { "rule", line_rule }, { "clock", line_clock } };

static enum tw_rc parse_line(struct ctx *c, char *line, struct rules *rs)
{
    char *comment = strchr(line, '#'), *word, *rest;

    if (comment)
        *comment = '\0';
    for (size_t end = strlen(line); end && strchr(" \t\r", line[end - 1]); end--)
        line[end - 1] = '\0';
    word = line + strspn(line, " \t");
    if (!*word)
        return TW_OK;
    rest = word;
    word = next_part(&rest, " \t");
    c->err->field[0] = '\0';
    for (size_t k = 0; k < TW_NELEM(line_kinds); k++)
        if (!strcmp(line_kinds[k].name, word))
            return line_kinds[k].parse(c, rest ? rest : word + strlen(word), rs);
    return tw_err_set(c->err, TW_EINVAL, "a line must begin with seed, rule or clock, not \"%s\"", word);
}

/* Each rule has random numbers of its own, so that what one sees does not depend on what the others do. */
static void seed_rules(struct rules *rs)
{
    for (unsigned i = 0; i < rs->n; i++)
        rs->rules[i].random = rs->seed + UINT64_C(0x632be59bd9b4e019) * (i + 1);
}

enum tw_rc rules_parse(const char *text, const char *const *names, unsigned names_n, struct rules **ret,
                       struct tw_err *err)
{
    struct ctx c = { .names = names, .names_n = names_n, .err = err };
    struct rules *rs = calloc(1, sizeof *rs);
    char *copy = strdup(text), *rest = copy, *line;
    enum tw_rc rc = rs && copy ? TW_OK : tw_err_set(err, TW_ENOMEM, "out of memory");

    if (rs)
        rs->seed = 1;
    for (unsigned n = 1; rc == TW_OK && (line = next_part(&rest, "\n")); n++) {
        err->line = n;
        rc = parse_line(&c, line, rs);
    }
    free(copy);
    if (rc) {
        free(rs);
        return rc;
    }
    seed_rules(rs);
    *ret = rs;
    return TW_OK;
}

enum tw_rc rules_load(const char *file, const char *const *names, unsigned names_n, struct rules **ret,
                      struct tw_err *err)
{
    enum { MAX = 1 << 16 };
    char *text = malloc(MAX + 1);
    FILE *f = fopen(file, "re");
    enum tw_rc rc;
    size_t n;

    *err = (struct tw_err){ 0 };
    snprintf(err->file, sizeof err->file, "%s", file);
    if (!f || !text) {
        rc = tw_err_set(err, TW_EIO, "cannot be read: %s", strerror(errno));
    } else if ((n = fread(text, 1, MAX + 1, f)) > MAX) {
        rc = tw_err_set(err, TW_EINVAL, "longer than %d octets", MAX);
    } else {
        text[n] = '\0';
        rc = rules_parse(text, names, names_n, ret, err);
    }
    if (f)
        fclose(f);
    free(text);
    return rc;
}
