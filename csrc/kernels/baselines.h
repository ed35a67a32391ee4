/* baselines: the best constant to subtract from the cost, for each parameter of its own.
 *
 * b_k = E[J s_k^2] / E[s_k^2] makes the variance of (J - b_k) s_k least (Weaver and Tao 2001, theorem 4; Greensmith,
 * Bartlett and Baxter 2004, section 4.2). Found on the same samples it would bias the gradient, so a block is cut in two by
 * the parity of its samples: each half takes the baseline that the other half has found, and the other half's mean cost
 * where that has no information (all its s_k are zero). So the gradient stays unbiased, for two samples as well. (Costs come
 * centred by the mean of the whole block, which such a half must not be left with: that holds its own samples.)
 *
 * Where a parameter gathers scores of several problems, J s stands for the sum of theirs.
 */
#ifndef SC_KERNELS_BASELINES_H
#define SC_KERNELS_BASELINES_H

#include "scores.h"
#include "weights.h"

static inline double sc_best_baseline(double weighed, double squares, double mean)
{
    return squares > 0.0 ? weighed / squares : mean;
}

/* Parameters whose score is v1 where their indicator is 1 and v0 elsewhere. h[half][order]: histograms of the samples of
 * that parity weighted by 1, J - c; n[half][order] their sums. */
static void sc_optimal_indicators(const sc_family *f, ptrdiff_t offset, double *const h[2][2], const double n[2][2],
                                  double rows, ptrdiff_t each, double *g)
{
    for (ptrdiff_t k = 0; k < each; k++) {
        double v1, v0, sum = 0.0;
        sc_indicator_scores(f, offset + k, &v1, &v0);
        for (int half = 0; half < 2; half++) {
            const double *a = (const double[2]){h[half][0][k], h[half][1][k]};
            const double *b = (const double[2]){h[!half][0][k], h[!half][1][k]};
            const double best =
                sc_best_baseline(v1 * v1 * b[1] + v0 * v0 * (n[!half][1] - b[1]),
                                 v1 * v1 * b[0] + v0 * v0 * (n[!half][0] - b[0]), n[!half][1] / n[!half][0]);
            sum += (v1 * a[1] + v0 * (n[half][1] - a[1])) - best * (v1 * a[0] + v0 * (n[half][0] - a[0]));
        }
        g[k] = sum / rows;
    }
}

static const char *sc_part(const sc_family *f, const void *y, ptrdiff_t row, ptrdiff_t problem)
{
    return (const char *)y + (row * f->n_problems + problem) * f->n_sites * sc_size(f->type);
}

/* One sample's J s, with weights [problems][rows], and its s, both by theta. */
static void sc_sample_terms(const sc_job *job, ptrdiff_t rows, ptrdiff_t i, const void *y, const sc_scratch *scratch,
                            double *term, double *score)
{
    const sc_family *f = &job->family;
    const ptrdiff_t each = f->n_scores, all = f->n_problems * each;
    double *row = scratch->histogram, *weighed = row + all;
    for (ptrdiff_t p = 0; p < f->n_problems; p++) {
        sc_score_row(f, p, sc_part(f, y, i, p), scratch->own, row + p * each);
        for (ptrdiff_t k = p * each; k < (p + 1) * each; k++) weighed[k] = scratch->weight[p * rows + i] * row[k];
    }
    sc_pull(&f->map, all, weighed, scratch->flat, job->n_parameters, term);
    sc_pull(&f->map, all, row, scratch->flat, job->n_parameters, score);
}

/* Any scores, sample by sample: the gradient, and its variance inside the block where `within` is given. */
static void sc_optimal_rows(const sc_job *job, const sc_totals *t, ptrdiff_t rows, const void *y,
                            const sc_scratch *scratch, double *g, double *within)
{
    const ptrdiff_t n = job->n_parameters;
    double *term = scratch->theta, *score = term + n, *sums = score + n; /* for each half: J s s, s s, J s, s */
    double mean[2] = {0.0, 0.0}; /* cost of each half, over all problems */
    memset(sums, 0, (size_t)(8 * n) * sizeof *sums);
    for (ptrdiff_t i = 0; i < rows; i++) {
        double *own = sums + (i & 1) * 4 * n;
        for (ptrdiff_t p = 0; p < job->family.n_problems; p++)
            mean[i & 1] += scratch->weight[p * rows + i] / (double)((rows + !(i & 1)) / 2 * job->family.n_problems);
        sc_sample_terms(job, rows, i, y, scratch, term, score);
        for (ptrdiff_t k = 0; k < n; k++) {
            own[k] += term[k] * score[k];
            own[n + k] += score[k] * score[k];
            own[2 * n + k] += term[k];
            own[3 * n + k] += score[k];
        }
    }
    for (ptrdiff_t k = 0; k < n; k++) {
        double *even = sums + k, *odd = even + 4 * n;
        const double from_even = sc_best_baseline(even[0], even[n], mean[0]);
        const double from_odd = sc_best_baseline(odd[0], odd[n], mean[1]);
        g[k] = ((even[2 * n] - from_odd * even[3 * n]) + (odd[2 * n] - from_even * odd[3 * n])) / t->n;
        even[0] = from_odd, odd[0] = from_even; /* what each half takes */
        even[n] = odd[n] = even[2 * n] = 0.0;
    }
    if (!within) return;
    double *squares = sums + n, *total = sums + 2 * n;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double *best = sums + (i & 1) * 4 * n;
        sc_sample_terms(job, rows, i, y, scratch, term, score);
        for (ptrdiff_t k = 0; k < n; k++) {
            const double x = term[k] - best[k] * score[k];
            total[k] += x;
            squares[k] += x * x;
        }
    }
    for (ptrdiff_t k = 0; k < n; k++) within[k] = sc_unit_variance(t, total[k], squares[k]);
}

#endif
