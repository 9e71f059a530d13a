/* agent/tool/out_text.c - the table that people know from the Python tool, with what it left out below. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "agent/tool/compat.h"
#include "agent/tool/out.h"

#define RULE "==============================================================================="
#define LINE "-------------------------------------------------------------------------------"

const char *out_delay(double ms, char buf[24])
{
    double size = fabs(ms);

    if (size >= 60e3)
        snprintf(buf, 24, "%7.1fmin", ms / 60e3);
    else if (size >= 10e3)
        snprintf(buf, 24, "%7.1fsec", ms / 1e3);
    else if (size >= 1e3)
        snprintf(buf, 24, "%7.2fsec", ms / 1e3);
    else if (size >= 1)
        snprintf(buf, 24, "%8.2fms", ms);
    else
        snprintf(buf, 24, "%8.0fus", fabs(ms * 1e3) < 0.5 ? 0 : ms * 1e3);
    return buf;
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " ");
}

static void print_row(FILE *to, const char *label, const struct compat_row *r)
{
    char min[24], max[24], avg[24], jitter[24];

    if (r->known)
        fprintf(to, "  %-13s%s  %s  %s  %s    %5.1f%%\n", label, out_delay(r->min_ms, min),
                out_delay(r->max_ms, max), out_delay(r->avg_ms, avg), out_delay(r->jitter_ms, jitter),
                r->loss_percent);
    else
        fprintf(to, "  %-13s%10s  %10s  %10s  %10s    %5.1f%%\n", label, "-", "-", "-", "-", r->loss_percent);
}

static void print_rows(FILE *to, const struct compat_view *c)
{
    static const char *const labels[] = { "Outbound:", "Inbound:", "Roundtrip:" };

    if (!c->ok) {
        fprintf(to, "  NO STATS AVAILABLE (%s)\n", c->loss_known ? "100% loss" : "nothing could be sent");
        return;
    }
    for (int d = 0; d < 3; d++)
        print_row(to, labels[d], &c->row[d]);
    if (c->unknown_percent > 0)
        fprintf(to, "  %-63s%5.1f%%\n", "Direction unknown:", c->unknown_percent);
}

static void print_trouble(FILE *to, const struct stats_view *v)
{
    fprintf(to,
            "this host was in trouble (%s): stalls %" PRIu64
            ", longest %.1f ms, waiting for a CPU %.1f%% of the\n"
            "worst second; loss and delays may be its own\n",
            v->host_trouble, v->host_stalls, v->host_stall_max_s * 1e3, v->host_cpu_wait_ratio * 100);
}

static void print_lateness(FILE *to, const struct stats_view *v)
{
    char p50[24], p99[24], max[24];

    if (!v->send_lateness_max_s.known)
        return;
    fprintf(to, "sent after the time due: p50 %s, p99 %s, max %s\n",
            skip_blanks(out_delay(v->send_lateness_p50_s.value * 1e3, p50)),
            skip_blanks(out_delay(v->send_lateness_p99_s.value * 1e3, p99)),
            skip_blanks(out_delay(v->send_lateness_max_s.value * 1e3, max)));
}

static void print_counts(FILE *to, const struct stats_view *v)
{
    fprintf(to,
            "sent %" PRIu64 ", received %" PRIu64 ", lost %" PRIu64 " (outbound %" PRIu64 ", inbound %" PRIu64
            ", unknown %" PRIu64 "), late %" PRIu64 ",\nduplicates %" PRIu64 ", reordered %" PRIu64
            " (outbound %" PRIu64 ", inbound %" PRIu64 "), rejected %" PRIu64 ", send errors %" PRIu64 "\n",
            v->sent, v->received, v->lost, v->lost_forward, v->lost_backward, v->lost_unknown, v->late,
            v->duplicates, v->reordered_roundtrip, v->reordered_forward, v->reordered_backward, v->rejected,
            v->send_errors);
    print_lateness(to, v);
    if (v->skipped || v->host_drops || v->invalid_time)
        fprintf(to,
                "this host: skipped %" PRIu64 ", dropped %" PRIu64 "; answers with impossible times %" PRIu64
                "\n",
                v->skipped, v->host_drops, v->invalid_time);
    if (strcmp(v->host_trouble, tw_trouble_name(TW_TROUBLE_NONE)))
        print_trouble(to, v);
    if (v->received && !v->one_way_valid)
        fputs("outbound and inbound delays need clocks that agree, which these are not known to do;\n"
              "round trip, jitter and loss do not\n",
              to);
}

/* So many lines at most: the longest, in order of time. */
#define RUNS_SHOWN 10

static void print_run(FILE *to, const struct tw_loss_run *r, bool flows)
{
    static const char *const ways[TW_DIRECTION_COUNT] = { "outbound", "inbound", "", "direction unknown",
                                                          "both ways" };
    char start[TW_TIME_TEXT], length[24];
    const char *text = out_delay((double)r->length_ns / (double)TW_NS_PER_MS, length);

    fprintf(to, "lost at %s: %" PRIu64 " in a row, %s%s, %s",
            tw_wall_format((struct tw_wall){ r->start_ns }, start), r->probes, text + strspn(text, " "),
            r->continues_after ? " and more" : "", ways[r->direction]);
    if (flows)
        fprintf(to, ", flow %" PRIu32, r->flow);
    fputc('\n', to);
}

/* How many are longer, or as long and earlier. */
static size_t rank_of(const struct tw_loss_runs *l, size_t at)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        n += l->v[i].length_ns > l->v[at].length_ns || (l->v[i].length_ns == l->v[at].length_ns && i < at);
    return n;
}

static void print_runs(FILE *to, const struct tw_summary *s, bool flows)
{
    size_t shown = s->runs.n < RUNS_SHOWN ? s->runs.n : RUNS_SHOWN;

    for (size_t i = 0; i < s->runs.n; i++)
        if (rank_of(&s->runs, i) < RUNS_SHOWN)
            print_run(to, &s->runs.v[i], flows);
    if (shown && s->loss_runs > shown)
        fprintf(to, "and %" PRIu64 " shorter losses\n", s->loss_runs - shown);
}

static void print_flows(FILE *to, const struct report *r)
{
    char min[24], max[24], avg[24], jitter[24];

    fputs("Flow   Source port         Min         Max         Avg      Jitter     Loss\n", to);
    for (size_t i = 0; i < r->n_flows; i++) {
        struct compat_view c;
        struct stats_view v;

        stats_view(&r->flows[i], &v);
        compat_view(&v, &c);
        fprintf(to, "%4zu        %6u", i, r->plan->source[i].port);
        if (c.row[TW_ROUNDTRIP].known)
            fprintf(to, "  %s  %s  %s  %s   %5.1f%%\n", out_delay(c.row[TW_ROUNDTRIP].min_ms, min),
                    out_delay(c.row[TW_ROUNDTRIP].max_ms, max), out_delay(c.row[TW_ROUNDTRIP].avg_ms, avg),
                    out_delay(c.row[TW_ROUNDTRIP].jitter_ms, jitter), c.row[TW_ROUNDTRIP].loss_percent);
        else
            fprintf(to, "  NO STATS AVAILABLE (%s)\n", c.loss_known ? "100% loss" : "nothing could be sent");
    }
}

static void print_report(FILE *to, const struct report *r)
{
    char from[TW_TIME_TEXT], until[TW_TIME_TEXT];
    struct compat_view c;
    struct stats_view v;

    stats_view(r->total, &v);
    compat_view(&v, &c);
    if (r->plan->forever)
        fprintf(to, "%s to %s: %s%s\n", tw_wall_format((struct tw_wall){ v.start_ns }, from),
                tw_wall_format((struct tw_wall){ v.end_ns }, until), r->plan->target,
                r->whole ? ", everything since the start" : "");
    fputs(RULE "\nDirection         Min         Max         Avg          Jitter     Loss\n" LINE "\n", to);
    print_rows(to, &c);
    fputs(LINE "\n                                                    Jitter Algorithm [RFC1889]\n" RULE "\n",
          to);
    print_counts(to, &v);
    print_runs(to, r->total, r->n_flows > 1);
    if (r->n_flows > 1)
        print_flows(to, r);
}

const struct out_writer out_text = { .name = "text", .report = print_report, .periods = true };
