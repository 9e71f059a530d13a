#include "controller/core/alert_track.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/splitmix.h"

/* ---- Baseline ---- */

static int64_t at_least_one(int64_t ns)
{
    return ns > 0 ? ns : 1;
}

void alert_baseline_init(struct alert_baseline *b, int64_t span_ns, uint64_t seed)
{
    *b = (struct alert_baseline){ .cell_ns = at_least_one(span_ns / ALERT_CELLS), .random = seed };
}

static int cmp_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static float median(float *v, size_t n)
{
    qsort(v, n, sizeof *v, cmp_float);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static bool close_cell(struct alert_baseline *b)
{
    size_t i = (size_t)(b->cell % ALERT_CELLS),
           n = b->seen < ALERT_CELL_SAMPLES ? (size_t)b->seen : ALERT_CELL_SAMPLES;

    if (!n)
        return false;
    b->median[i] = median(b->sample, n);
    b->at[i] = b->cell + 1;
    b->seen = 0;
    return true;
}

static void add_value(struct alert_baseline *b, float value)
{
    uint64_t at = b->seen < ALERT_CELL_SAMPLES ? b->seen : tw_splitmix64(&b->random) % (b->seen + 1);

    if (at < ALERT_CELL_SAMPLES)
        b->sample[at] = value;
    b->seen++;
}

bool alert_baseline_add(struct alert_baseline *b, int64_t end_ns, double value)
{
    int64_t cell = end_ns / b->cell_ns;
    bool closed = false;

    if (cell < b->cell || cell < 0 || !isfinite(value))
        return false;
    if (cell > b->cell) {
        closed = close_cell(b);
        b->cell = cell;
    }
    add_value(b, (float)value);
    return closed;
}

void alert_baseline_trim(struct alert_baseline *b, int64_t end_ns)
{
    int64_t cell = end_ns / b->cell_ns;

    if (b->cell <= cell)
        return;
    b->cell = cell;
    b->seen = 0;
    for (size_t i = 0; i < ALERT_CELLS; i++)
        if (b->at[i] > cell)
            b->at[i] = 0;
}

int64_t alert_baseline_lacks(const struct alert_baseline *b, int64_t now_ns)
{
    int64_t now = now_ns / b->cell_ns, cell = now > ALERT_CELLS ? now - ALERT_CELLS : 0;

    while (cell < now && b->at[cell % ALERT_CELLS] == cell + 1)
        cell++;
    return cell * b->cell_ns;
}

/* What `from` has of the cell that b is filling, each of its samples for as many values as it stands for. */
static void fill_open(struct alert_baseline *b, const struct alert_baseline *from)
{
    size_t n = from->seen < ALERT_CELL_SAMPLES ? (size_t)from->seen : ALERT_CELL_SAMPLES;

    for (uint64_t i = 0; n && i < from->seen; i++)
        add_value(b, from->sample[i % n]);
}

bool alert_baseline_fill(struct alert_baseline *b, const struct alert_baseline *from)
{
    bool changed = false;

    for (size_t i = 0; i < ALERT_CELLS; i++)
        if (from->at[i] > b->at[i]) {
            b->at[i] = from->at[i];
            b->median[i] = from->median[i];
            changed = true;
        }
    if (!from->seen || from->cell < b->cell)
        return changed;
    if (from->cell > b->cell) {
        changed |= close_cell(b);
        b->cell = from->cell;
    }
    fill_open(b, from);
    return changed;
}

struct tw_num alert_baseline_value(const struct alert_baseline *b, int64_t now_ns, int64_t warm_up_ns,
                                   int64_t *ret_known_ns)
{
    float v[ALERT_CELLS];
    int64_t now = now_ns / b->cell_ns;
    size_t n = 0;

    for (size_t i = 0; i < ALERT_CELLS; i++)
        if (b->at[i] && b->at[i] - 1 >= now - ALERT_CELLS)
            v[n++] = b->median[i];
    *ret_known_ns = (int64_t)n * b->cell_ns;
    if (!n || *ret_known_ns < warm_up_ns)
        return (struct tw_num){ 0 };
    return (struct tw_num){ true, (double)median(v, n) };
}

bool alert_baseline_save(const struct alert_baseline *b, char buf[ALERT_BASELINE_TEXT])
{
    int n = snprintf(buf, ALERT_BASELINE_TEXT, "%" PRId64, b->cell_ns);

    for (size_t i = 0; i < ALERT_CELLS; i++) {
        if (!b->at[i])
            continue;
        n += snprintf(buf + n, ALERT_BASELINE_TEXT - (size_t)n, " %" PRId64 ":%.8g", b->at[i],
                      (double)b->median[i]);
        if (n >= ALERT_BASELINE_TEXT)
            return false;
    }
    return true;
}

bool alert_baseline_load(struct alert_baseline *b, const char *text)
{
    struct alert_baseline got = *b;
    int64_t cell_ns, at;
    double value;
    int used = 0;

    if (sscanf(text, "%" SCNd64 "%n", &cell_ns, &used) != 1 || cell_ns != b->cell_ns)
        return false;
    for (text += used; *text; text += used) {
        used = 0;
        if (sscanf(text, " %" SCNd64 ":%lf%n", &at, &value, &used) != 2 || !used || at <= 0 ||
            !(fabs(value) <= FLT_MAX)) /* NaN, too; more than that would be kept as infinite, and not be read again */
            return false;
        got.at[(at - 1) % ALERT_CELLS] = at;
        got.median[(at - 1) % ALERT_CELLS] = (float)value;
    }
    *b = got;
    return true;
}

/* ---- Window ---- */

void alert_window_init(struct alert_window *w, int64_t span_ns)
{
    *w = (struct alert_window){ .cell_ns = at_least_one(span_ns / ALERT_PARTS) };
}

/* A period that ends on a boundary belongs to the cell before it. */
static int64_t part_of(const struct alert_window *w, int64_t end_ns)
{
    return (end_ns - 1) / w->cell_ns;
}

void alert_window_add(struct alert_window *w, int64_t end_ns, double part, double whole)
{
    int64_t cell = part_of(w, end_ns) + 1;
    size_t i = (size_t)(cell % ALERT_PARTS);

    if (cell < w->at[i] || cell <= 0)
        return;
    if (cell > w->at[i]) {
        w->at[i] = cell;
        w->part[i] = w->whole[i] = 0;
    }
    w->part[i] += part;
    w->whole[i] += whole;
}

void alert_window_trim(struct alert_window *w, int64_t end_ns)
{
    int64_t now = part_of(w, end_ns) + 1;

    for (size_t i = 0; i < ALERT_PARTS; i++)
        if (w->at[i] > now)
            w->at[i] = 0;
}

struct tw_num alert_window_ratio(const struct alert_window *w, int64_t end_ns)
{
    int64_t now = part_of(w, end_ns) + 1;
    double part = 0, whole = 0;

    for (size_t i = 0; i < ALERT_PARTS; i++)
        if (w->at[i] && w->at[i] <= now && w->at[i] > now - ALERT_PARTS) {
            part += w->part[i];
            whole += w->whole[i];
        }
    return whole > 0 ? (struct tw_num){ true, part / whole } : (struct tw_num){ 0 };
}

/* ---- Hops ---- */

static int apart(int a, int b)
{
    return a < b ? b - a : a - b;
}

struct tw_num alert_hops_feed(struct alert_hops *h, struct tw_num min, struct tw_num max, int64_t end_ns,
                              int64_t settle_ns)
{
    int lo = (int)min.value, hi = (int)max.value, far;

    if (!min.known || !max.known || lo <= 0 || hi > 255)
        return (struct tw_num){ 0 };
    if (!h->usual)
        h->usual = (uint8_t)hi;
    if (h->other_since_ns > end_ns) /* of a clock that was ahead */
        h->other_since_ns = end_ns;
    far = apart(lo, h->usual) > apart(hi, h->usual) ? lo : hi;
    if (lo != hi || far == h->usual) {
        h->other = 0;
    } else if (h->other != far) {
        h->other = (uint8_t)far;
        h->other_since_ns = end_ns;
    } else if (end_ns - h->other_since_ns >= settle_ns) {
        h->usual = h->other;
        h->other = 0;
    }
    return (struct tw_num){ true, (double)apart(far, h->usual) };
}
