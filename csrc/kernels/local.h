/* local: local expectations of bits (Titsias and Lazaro-Gredilla, "Local expectation gradients for black box variational
 * inference", NeurIPS 2015): each site is summed out, given the others,
 *
 *     g_d = dp_d/dtheta_d  E[ J(y with y_d = 1) - J(y with y_d = 0) ].
 *
 * Where the cost knows its flips they are affine in the other bits, so the mean over a block is the flip at the block's
 * mean: one count of bits and one row of flips, however many samples. A compiled cost is called once more for each site.
 * `factor` holds dp/dtheta.
 *
 * Error bar inside a block: the sample variance of the terms.
 */
#ifndef SC_KERNELS_LOCAL_H
#define SC_KERNELS_LOCAL_H

#include "baselines.h"
#include "costs.h"

/* Flips of one sample, whose cost is j, by calling the cost; y is scratch of its bytes. */
static int sc_call_flips(const sc_cost *cost, const uint8_t *row, ptrdiff_t sites, double j, uint8_t *y,
                         sc_cancel *cancel, double *delta)
{
    sc_patience patience = {0, 0, 0};
    memcpy(y, row, (size_t)sites);
    for (ptrdiff_t d = 0; d < sites; d++) {
        const int status = sc_cancelled_between(cancel, &patience);
        if (status) return status;
        y[d] ^= 1;
        const double other = cost->sign * cost->function(y, sites, cost->data);
        y[d] ^= 1;
        delta[d] = y[d] ? j - other : other - j;
    }
    return SC_OK;
}

/* Terms of the samples one by one, from their bytes: by theta, sums and squares of what they exceed `centre` by; that is the
 * first of them where costs are called. */
static int sc_local_rows(const sc_job *job, ptrdiff_t rows, const uint8_t *y, const double *j,
                         const sc_scratch *scratch, sc_cancel *cancel, double *centre, double *sums, double *squares)
{
    const sc_family *f = &job->family;
    const ptrdiff_t problems = f->n_problems, sites = f->n_sites, all = problems * sites, n = job->n_parameters;
    double *delta = scratch->histogram, *row = scratch->row, *term = scratch->theta;
    memset(sums, 0, (size_t)n * sizeof *sums);
    memset(squares, 0, (size_t)n * sizeof *squares);
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t p = 0; p < problems; p++) {
            const uint8_t *own = y + (i * problems + p) * sites;
            double *out = delta + p * sites;
            int status = SC_OK;
            if (job->cost.kind == SC_COST_COMPILED) {
                status = sc_call_flips(&job->cost, own, sites, j[i * problems + p], (uint8_t *)row, cancel, out);
            } else {
                sc_row_f64(SC_U8, own, sites, row);
                sc_flip_row(&job->cost, p, row, sites, out);
                status = sc_cancelled(cancel);
            }
            if (status) return status;
        }
        for (ptrdiff_t k = 0; k < all; k++) delta[k] *= job->estimator.factor[k];
        sc_pull(&f->map, all, delta, scratch->flat, n, term);
        if (job->cost.kind == SC_COST_COMPILED && i == 0) memcpy(centre, term, (size_t)n * sizeof *term);
        for (ptrdiff_t k = 0; k < n; k++) {
            const double x = term[k] - centre[k];
            sums[k] += x;
            squares[k] += x * x;
        }
    }
    return SC_OK;
}

/* The gradient from the share of ones at each site, [problems][sites]. */
static void sc_local_mean(const sc_job *job, double *share, const sc_scratch *scratch, double *g)
{
    const sc_family *f = &job->family;
    const ptrdiff_t sites = f->n_sites, all = f->n_problems * sites;
    double *row = scratch->row;
    for (ptrdiff_t p = 0; p < f->n_problems; p++) {
        double *own = share + p * sites;
        memcpy(row, own, (size_t)sites * sizeof *row);
        sc_flip_row(&job->cost, p, row, sites, own);
    }
    for (ptrdiff_t k = 0; k < all; k++) share[k] *= job->estimator.factor[k];
    sc_pull(&f->map, all, share, scratch->flat, job->n_parameters, g);
}

#endif
