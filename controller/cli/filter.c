#include "controller/cli/filter.h"

#include <string.h>

enum tw_rc filter_parse_time(const char *text, int64_t now_ns, int64_t *ret_ns)
{
    struct tw_wall t;
    int64_t back_ns;
    enum tw_rc rc = TW_OK;

    if (!strcmp(text, "now")) {
        *ret_ns = now_ns;
    } else if (text[0] == '+') {
        rc = tw_duration_parse(text + 1, &back_ns);
        if (rc == TW_OK && back_ns < INT64_MAX - now_ns)
            *ret_ns = now_ns + back_ns;
        else
            rc = TW_EINVAL;
    } else if (text[0] == '-') {
        rc = tw_duration_parse(text + 1, &back_ns);
        if (rc == TW_OK && back_ns < now_ns)
            *ret_ns = now_ns - back_ns;
        else
            rc = TW_EINVAL;
    } else {
        rc = tw_wall_parse(text, &t);
        if (rc == TW_OK)
            *ret_ns = t.ns > 0 ? t.ns : 1; /* 0 asks for the default */
    }
    return rc;
}

enum cli_exit filter_time(struct cli *c, const char *option, const char *text, int64_t *ret_ns)
{
    if (!text || filter_parse_time(text, c->wall_ns(), ret_ns) == TW_OK)
        return CLI_OK;
    return cli_fail(
        CLI_USAGE,
        "--%s: \"%.60s\" is no time: expected 2026-11-23T12:00:00Z, Unix seconds, now, -15m (back from "
        "now) or +2h (ahead)",
        option, text);
}

static char *or_empty(char *text)
{
    return text ? text : (char *)protobuf_c_empty_string;
}

enum cli_exit filter_fill(struct cli *c, Tw__PairFilter *f)
{
    enum cli_exit code;

    f->mesh = or_empty(c->opt.mesh);
    f->class_name = or_empty(c->opt.class_name);
    f->source = or_empty(c->opt.source);
    f->target = or_empty(c->opt.target);
    f->select = or_empty(c->opt.select);
    f->target_select = or_empty(c->opt.target_select);
    f->limit = (uint32_t)c->opt.limit;
    f->latest = c->opt.latest;
    f->flows = c->opt.flows;
    f->group_by = or_empty(c->opt.group_by);
    f->sort_by = or_empty(c->opt.sort_by);
    f->top = (uint32_t)c->opt.top;
    if (f->latest && (c->opt.from || c->opt.to))
        return cli_fail(CLI_USAGE, "--latest goes without --from and --to");
    code = filter_time(c, "from", c->opt.from, &f->from_ns);
    if (!code)
        code = filter_time(c, "to", c->opt.to, &f->to_ns);
    if (!code && f->from_ns && f->from_ns >= (f->to_ns ? f->to_ns : c->wall_ns()))
        return cli_fail(CLI_USAGE, "--from must be before --to");
    return code;
}
