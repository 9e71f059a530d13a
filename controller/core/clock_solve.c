/* controller/core/clock_solve.c - iteratively reweighted least squares: each round is a weighted Laplacian
 * system, solved by conjugate gradients with the diagonal as preconditioner. It is singular (offsets are only
 * relative) but consistent, which conjugate gradients do not mind. */
#include "controller/core/clock_solve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 40
#define CG_STEPS 60
#define SMOOTH_S 5e-6   /* residuals below this count as squares: the sum has no corner at 0 */
#define SETTLED_S 50e-9 /* corrections below this change nothing that is shown */

struct system {
    const struct clock_edge *edges;
    size_t n_edges, n;
    double *weight;                         /* by edge */
    double *diag, *rhs, *x, *r, *z, *p, *q; /* by host */
};

static enum tw_rc system_init(struct system *s, const struct clock_edge *edges, size_t n_edges, size_t n)
{
    double *room = malloc((n_edges + 7 * n + 1) * sizeof *room);

    if (!room)
        return TW_ENOMEM;
    *s = (struct system){ .edges = edges, .n_edges = n_edges, .n = n, .weight = room };
    s->diag = room + n_edges;
    s->rhs = s->diag + n;
    s->x = s->rhs + n;
    s->r = s->x + n;
    s->z = s->r + n;
    s->p = s->z + n;
    s->q = s->p + n;
    return TW_OK;
}

/* Weights from the present residuals, and the right-hand side that asks for their corrections. */
static void reweigh(struct system *s, const double *offset)
{
    memset(s->diag, 0, s->n * sizeof *s->diag);
    memset(s->rhs, 0, s->n * sizeof *s->rhs);
    for (size_t i = 0; i < s->n_edges; i++) {
        const struct clock_edge *e = &s->edges[i];
        double r = clock_residual(e, offset), size = fabs(r) > SMOOTH_S ? fabs(r) : SMOOTH_S;
        double w = 1 / (e->scale_s * size);

        s->weight[i] = w;
        s->diag[e->a] += w;
        s->diag[e->b] += w;
        s->rhs[e->a] -= w * r;
        s->rhs[e->b] += w * r;
    }
}

static void multiply(const struct system *s, const double *v, double *ret)
{
    for (size_t i = 0; i < s->n; i++)
        ret[i] = s->diag[i] * v[i];
    for (size_t i = 0; i < s->n_edges; i++) {
        const struct clock_edge *e = &s->edges[i];
        ret[e->a] -= s->weight[i] * v[e->b];
        ret[e->b] -= s->weight[i] * v[e->a];
    }
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double precondition(struct system *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->z[i] = s->diag[i] > 0 ? s->r[i] / s->diag[i] : 0;
    return dot(s->r, s->z, s->n);
}

/* x: the corrections. What a round leaves undone, the next one finds. */
static void conjugate_gradients(struct system *s)
{
    double rz, first;

    memset(s->x, 0, s->n * sizeof *s->x);
    memcpy(s->r, s->rhs, s->n * sizeof *s->r);
    rz = first = precondition(s);
    memcpy(s->p, s->z, s->n * sizeof *s->p);
    for (int step = 0; step < CG_STEPS && rz > 1e-14 * first && rz > 0; step++) {
        double pq, alpha, before = rz;
        multiply(s, s->p, s->q);
        pq = dot(s->p, s->q, s->n);
        if (!(pq > 0))
            break;
        alpha = rz / pq;
        for (size_t i = 0; i < s->n; i++) {
            s->x[i] += alpha * s->p[i];
            s->r[i] -= alpha * s->q[i];
        }
        rz = precondition(s);
        for (size_t i = 0; i < s->n; i++)
            s->p[i] = s->z[i] + rz / before * s->p[i];
    }
}

enum tw_rc clock_solve(const struct clock_edge *edges, size_t n_edges, size_t n_hosts, double *offset)
{
    struct system s;
    double moved = INFINITY;

    if (!n_edges)
        return TW_OK;
    if (system_init(&s, edges, n_edges, n_hosts))
        return TW_ENOMEM;
    for (int round = 0; round < ROUNDS && moved > SETTLED_S; round++) {
        reweigh(&s, offset);
        conjugate_gradients(&s);
        moved = 0;
        for (size_t i = 0; i < n_hosts; i++) {
            offset[i] += s.x[i];
            moved = fabs(s.x[i]) > moved ? fabs(s.x[i]) : moved;
        }
    }
    free(s.weight);
    return TW_OK;
}
