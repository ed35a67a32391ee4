/* weights: what the costs of a block become, before they meet the scores.
 *
 * With J_i the costs of n samples and d_i = J_i - Jbar, the gradient is 1/divisor sum_i w_i s_i:
 *
 *     score function   w_i = J_i - b                                    divisor n       Williams 1992, eq. 5
 *     leave-one-out    w_i = d_i, since J_i - mean of the others        divisor n - 1   Kool, van Hoof, Welling 2019,
 *                            = n/(n-1) d_i                                              eq. 8
 *     groups of k      w_i = k/(k-1) (J_i - mean of the group)          divisor n       the same
 *     antithetic       w_i = J_i - mean of the other pairs              divisor n       Hammersley and Morton 1956
 *     DisARM           w_i = (J_i - J of the opposite)/2                divisor n/2     Dong, Mnih, Tucker 2020, eq. 6
 *     optimal baseline w_i = d_i, and baselines.h
 *
 * Opposites stand half a block apart: rows i and i + n/2 are samples 2i and 2i + 1. A unit is what is independent of
 * the rest: a sample, a group, a pair.
 *
 * Error bar inside a block, from the terms c_u of its U units: their sample variance; or, where all units are compared
 * with each other, the delete-one jackknife of the covariance, c_i = d_i (s_i - sbar),
 *     v = U / ((U-1)(U-2)^2) sum_u (c_u - cbar)^2.
 * Blocks too small to say anything give infinity.
 *
 * The mean is taken about the first sample, so that J + 1e8 gives the same differences to rounding.
 */
#ifndef SC_KERNELS_WEIGHTS_H
#define SC_KERNELS_WEIGHTS_H

#include <math.h>

#include "../job.h"
#include "../lanes/lanes.h"
#include "estimate.h"

/* Of one block and problem: a and aa are sums of the weights and of their squares. */
typedef struct sc_totals {
    int kind, within;
    double n, units, divisor, a, aa;
} sc_totals;

static sc_totals sc_totals_of(const sc_estimator *e, ptrdiff_t rows)
{
    const double n = (double)rows;
    sc_totals t = {e->kind, e->within, n, n / (double)e->unit, n, 0.0, 0.0};
    if (e->kind == SC_LEAVE_ONE_OUT) t.divisor = n - 1.0;
    if (e->kind == SC_DISARM) t.divisor = n / 2.0;
    return t;
}

/* Are all units of a block compared with each other? */
static inline int sc_compares(int kind) { return kind == SC_LEAVE_ONE_OUT || kind == SC_ANTITHETIC; }

/* n^2 times the variance of the block's gradient, from the sum of the units' terms and that of their squares. */
static inline double sc_unit_variance(const sc_totals *t, double sum, double squares)
{
    const double u = t->units, mean = sum / u, spread = squares - u * mean * mean;
    double weight;
    if (sc_compares(t->kind)) weight = u > 2.0 ? u * u * u / ((u - 1.0) * ((u - 2.0) * (u - 2.0))) : INFINITY;
    else weight = u > 1.0 ? u / (u - 1.0) * ((t->n / t->divisor) * (t->n / t->divisor)) : INFINITY;
    return spread > 0.0 ? weight * spread : isinf(weight) ? INFINITY : 0.0; /* rounding can leave it below zero */
}

static int sc_all_finite(const double *x, ptrdiff_t n)
{
    vd none = vd_set1(0.0);
    for (ptrdiff_t i = 0; i < n; i += 8) none = vd_fma(vd_load_part(x + i, n - i, 0.0), vd_set1(0.0), none);
    return vd_sum(none) == 0.0;
}

/* Mean, M2, smallest and its sample's number; two passes, about the first cost and then about the mean. M2 of opposites
 * is that of their means, each for two. */
static double sc_cost_moments(const sc_estimator *e, const double *j, ptrdiff_t n, ptrdiff_t first, double *stats)
{
    const vd origin = vd_set1(j[0]);
    vd sum = vd_set1(0.0), squares = sum, least = origin;
    for (ptrdiff_t i = 0; i < n; i += 8) sum = vd_add(sum, vd_sub(vd_load_part(j + i, n - i, j[0]), origin));
    const double mean = j[0] + vd_sum(sum) / (double)n;
    for (ptrdiff_t i = 0; i < n; i += 8) {
        const vd x = vd_load_part(j + i, n - i, mean), away = vd_sub(x, vd_set1(mean));
        squares = vd_add(squares, vd_mul(away, away));
        least = vd_min(vd_load_part(j + i, n - i, j[0]), least);
    }
    double lanes[8], smallest = j[0];
    vd_store(lanes, least);
    for (int k = 0; k < 8; k++) smallest = SC_MIN(smallest, lanes[k]);
    ptrdiff_t best = 0;
    while (j[best] != smallest) best++;
    stats[0] = mean;
    stats[1] = vd_sum(squares);
    stats[2] = j[best];
    if (e->mirrored) {
        const ptrdiff_t half = n / 2;
        best = best < half ? 2 * best : 2 * (best - half) + 1;
        squares = vd_set1(0.0);
        for (ptrdiff_t i = 0; i < half; i += 8) {
            const vd a = vd_sub(vd_load_part(j + i, half - i, mean), vd_set1(mean));
            const vd both = vd_add(a, vd_sub(vd_load_part(j + half + i, half - i, mean), vd_set1(mean)));
            squares = vd_add(squares, vd_mul(both, both));
        }
        stats[1] = vd_sum(squares) / 2.0;
    }
    stats[3] = (double)(first + best);
    return mean;
}

/* w holds J less its mean: less the mean of its group, or of the other pairs, or of its opposite. */
static void sc_compare(const sc_estimator *e, ptrdiff_t rows, double *w)
{
    const ptrdiff_t half = rows / 2, k = e->unit;
    double sum = 0.0;
    switch (e->kind) {
    case SC_GROUPS:
        for (ptrdiff_t g = 0; g < rows; g += k) {
            sum = 0.0;
            for (ptrdiff_t i = g; i < g + k; i++) sum += w[i];
            for (ptrdiff_t i = g; i < g + k; i++) w[i] = (w[i] - sum / (double)k) * ((double)k / (double)(k - 1));
        }
        break;
    case SC_ANTITHETIC:
        for (ptrdiff_t i = 0; i < half; i++) sum += w[i] + w[half + i];
        for (ptrdiff_t i = 0; i < half; i++) {
            const double others = (sum - (w[i] + w[half + i])) / (double)(rows - 2);
            w[i] -= others, w[half + i] -= others;
        }
        break;
    case SC_DISARM:
        for (ptrdiff_t i = 0; i < half; i++) {
            w[i] = (w[i] - w[half + i]) / 2.0;
            w[half + i] = -w[i];
        }
        break;
    default: break;
    }
}

/* The weights of one problem into w; the costs' moments into the node; sums over the block into t. */
static void sc_weights(const sc_job *job, ptrdiff_t problem, ptrdiff_t first, ptrdiff_t rows, const double *j,
                       double *node, double *w, sc_totals *t)
{
    const sc_estimator *e = &job->estimator;
    const double mean = sc_cost_moments(e, j, rows, first, sc_node_problem(node, problem));
    const double centre = e->kind == SC_SCORE_FUNCTION ? e->baseline[problem] : mean;
    vd a = vd_set1(0.0), aa = a;
    for (ptrdiff_t i = 0; i < rows; i += 8)
        vd_store_part(w + i, vd_sub(vd_load_part(j + i, rows - i, 0.0), vd_set1(centre)), rows - i);
    for (ptrdiff_t i = 0; e->sample_baseline && i < rows; i++)
        w[i] -= e->sample_baseline[(first - e->first_sample + i) * job->family.n_problems + problem];
    sc_compare(e, rows, w);
    for (ptrdiff_t i = 0; i < rows; i += 8) {
        const vd x = vd_load_part(w + i, rows - i, 0.0);
        a = vd_add(a, x);
        aa = vd_add(aa, vd_mul(x, x));
    }
    t->a = vd_sum(a);
    t->aa = vd_sum(aa);
}

#endif
