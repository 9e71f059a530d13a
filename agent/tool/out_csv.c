/* agent/tool/out_csv.c - one line per flow and one for all together, for each report; the columns are those
 * of common/stats. */
#include <inttypes.h>
#include <math.h>
#include "agent/tool/out.h"
#include "common/numtext.h"

static void begin(FILE *to, const struct plan *p, uint16_t metrics_port)
{
    (void)p;
    (void)metrics_port;
    fputs("start,end,scope,flow,source,target,status", to);
    for (size_t i = 0; i < stats_fields_n; i++)
        fprintf(to, ",%s", stats_fields[i].name);
    fputs("\r\n", to);
}

static void print_real(FILE *to, double v)
{
    char text[NUMTEXT_MAX];

    if (isfinite(v))
        fputs(numtext_exact(v, text), to);
}

static void print_field(FILE *to, const struct stats_field *f, const void *at)
{
    switch (f->kind) {
    case STATS_U64:
        fprintf(to, "%" PRIu64, *(const uint64_t *)at);
        break;
    case STATS_U32:
        fprintf(to, "%" PRIu32, *(const uint32_t *)at);
        break;
    case STATS_U8:
        fprintf(to, "%u", *(const uint8_t *)at);
        break;
    case STATS_F64:
        print_real(to, *(const double *)at);
        break;
    case STATS_NUM: /* not known: empty */
        if (((const struct tw_num *)at)->known)
            print_real(to, ((const struct tw_num *)at)->value);
        break;
    case STATS_BOOL:
        fputs(*(const bool *)at ? "true" : "false", to);
        break;
    case STATS_TEXT:
        fputs(*(const char *const *)at, to);
        break;
    }
}

/* flow -1: all. No field needs quotes: addresses, names of hosts, numbers. */
static void print_line(FILE *to, const struct report *r, int flow, const struct tw_summary *s)
{
    char from[TW_TIME_TEXT], until[TW_TIME_TEXT], source[TW_ADDR_TEXT], number[12] = "all";
    struct stats_view v;

    if (flow >= 0)
        snprintf(number, sizeof number, "%d", flow);
    stats_view(s, &v);
    fprintf(to, "%s,%s,%s,%s,%s,%s,%s", tw_wall_format((struct tw_wall){ v.start_ns }, from),
            tw_wall_format((struct tw_wall){ v.end_ns }, until), r->whole ? "run" : "period", number,
            tw_addr_format(&r->plan->source[flow < 0 ? 0 : flow], source), r->plan->target,
            tw_status_name(v.status));
    for (size_t i = 0; i < stats_fields_n; i++) {
        putc(',', to);
        print_field(to, &stats_fields[i], (const char *)&v + stats_fields[i].offset);
    }
    fputs("\r\n", to);
}

static void print_report(FILE *to, const struct report *r)
{
    for (size_t i = 0; r->n_flows > 1 && i < r->n_flows; i++)
        print_line(to, r, (int)i, &r->flows[i]);
    print_line(to, r, -1, r->total);
}

const struct out_writer out_csv = { .name = "csv", .begin = begin, .report = print_report };
