/* estimators: one block of samples becomes one node of the reduction tree.
 *
 *     score function     g = 1/n sum_i (J_i - b) s_i                      Williams 1992, eq. 5; b any baseline
 *     leave-one-out      g = 1/n sum_i (J_i - mean of the others) s_i     Kool, van Hoof and Welling 2019, eq. 8
 *                          = 1/(n-1) sum_i (J_i - Jbar) s_i
 *
 * with s the score of a site's parameter. A score has one value per class, so the block needs only histograms of its
 * outcomes, weighted by (J_i - c): h1[k] = sum_i (J_i - c) [y_i has class k]; then g = sum over classes of h1 times
 * score. c is the block's mean cost (leave-one-out) or the problem's baseline. For a baseline b_k per parameter
 * (Williams' b_ij) the plain counts h0 correct h1 by (b_k - c) h0.
 *
 * Error bar inside a group, asked for when there are too few groups to compare: the sample variance of the terms
 * (score function), the delete-one jackknife of the covariance (leave-one-out),
 *     v = n / ((n-1)(n-2)^2) sum_i (c_i - cbar)^2,   c_i = (J_i - Jbar)(s_i - sbar),
 * from h0, h1 and h2 = sum_i (J_i - c)^2 [class]. Groups too small to say anything (n < 3, or 1) give infinity.
 *
 * Other families, and scores that are mapped to theta (scores.h), are summed with weights J - c, and their error bar
 * inside a group from the terms themselves, sample by sample.
 *
 * Sums run in the order of the samples, or over eight fixed lanes; the mean is taken about the first sample, so that
 * J + 1e8 gives the same differences to rounding. The last block takes up a remainder of fewer than SC_LEAST samples.
 */
#ifndef SC_KERNELS_ESTIMATORS_H
#define SC_KERNELS_ESTIMATORS_H

#include <math.h>

#include "../job.h"
#include "bits.h"
#include "estimate.h"
#include "families.h"
#include "scores.h"

/* Sums of one block and problem: over all samples (order 0: n, 1: sum A, 2: sum A^2), with A = J - c. */
typedef struct sc_totals {
    int leave_one_out, within;
    double n, a, aa;
} sc_totals;

/* A gradient and its variance inside the group, from the first two moments of the terms. `squares` is the sum of
 * squared terms, about their centre for leave-one-out. */
static inline void sc_finish(const sc_totals *t, double sum, double squares, double *g, double *within)
{
    const double n = t->n;
    *g = sum / (t->leave_one_out ? n - 1.0 : n);
    if (!t->within) return;
    double mean = sum / n, spread = squares - n * mean * mean, weight;
    if (t->leave_one_out) weight = n > 2.0 ? n * n * n / ((n - 1.0) * ((n - 2.0) * (n - 2.0))) : INFINITY;
    else weight = n > 1.0 ? n / (n - 1.0) : INFINITY;
    *within = spread > 0.0 ? weight * spread : isinf(weight) ? INFINITY : 0.0; /* rounding can leave it below zero */
}

/* A parameter whose score is v1 where its indicator is 1 and v0 elsewhere; beta is its own baseline less c. */
static inline void sc_two_valued(const sc_totals *t, double v1, double v0, double beta, double h0, double h1, double h2,
                                 double *g, double *within)
{
    const double n = t->n, a = t->a - beta * n, jump = v1 - v0;
    double squares = 0.0;
    h2 = h2 - beta * (2.0 * h1 - beta * h0);
    h1 = h1 - beta * h0;
    if (t->within) {
        const double aa = t->aa - beta * (2.0 * t->a - beta * n);
        const double centre = t->leave_one_out ? v0 + h0 / n * jump : 0.0;
        squares = h2 * ((v1 - centre) * (v1 - centre)) + (aa - h2) * ((v0 - centre) * (v0 - centre));
    }
    sc_finish(t, jump * h1 + v0 * a, squares, g, within);
}

/* Histograms h[0], h[1], h[2] of one problem (h[0], h[2] only where needed) to its gradient. */
static void sc_map_indicators(const sc_family *f, const sc_totals *t, ptrdiff_t offset, const double *beta,
                              double *const h[3], ptrdiff_t n, double *g, double *within)
{
    for (ptrdiff_t k = 0; k < n; k++) {
        double v1, v0;
        sc_indicator_scores(f, offset + k, &v1, &v0); /* categorical probabilities have a map of their own */
        sc_two_valued(t, v1, v0, beta ? beta[k] : 0.0, h[0] ? h[0][k] : 0.0, h[1][k], h[2] ? h[2][k] : 0.0, g + k,
                      within + k);
    }
}

/* Categorical by probabilities, tangent to the simplex: s_c = [y = c]/p_c - 1/(C p_y). One site of C classes. */
static void sc_map_simplex(const sc_totals *t, ptrdiff_t n_classes, const double *p, const double *beta,
                           double *const h[3], double *g, double *within)
{
    const double n = t->n, classes = (double)n_classes;
    double s[3][3] = {{0}}; /* s[i][j] = sum_c h[i][c] / p_c^j */
    for (int i = 0; i < 3; i++)
        for (ptrdiff_t c = 0; h[i] && c < n_classes; c++) {
            double v = sc_inverse(p[c]);
            s[i][0] += h[i][c];
            s[i][1] += h[i][c] * v;
            s[i][2] += h[i][c] * v * v;
        }
    for (ptrdiff_t c = 0; c < n_classes; c++) {
        const double b = beta ? beta[c] : 0.0, v = sc_inverse(p[c]), h0 = h[0] ? h[0][c] : 0.0;
        double squares = 0.0;
        if (t->within) {
            const double mean = t->leave_one_out ? (v * h0 - s[0][1] / classes) / n : 0.0;
            const double own = h[2][c] - b * (2.0 * h[1][c] - b * h0);
            double r[3]; /* sum over the other classes of h2 / p^j, with this parameter's baseline */
            for (int j = 0; j < 3; j++) r[j] = s[2][j] - b * (2.0 * s[1][j] - b * s[0][j]);
            r[0] -= own, r[1] -= own * v, r[2] -= own * v * v;
            const double at_own = v - v / classes - mean;
            squares =
                own * (at_own * at_own) + r[2] / (classes * classes) + 2.0 * mean * r[1] / classes + mean * mean * r[0];
        }
        sc_finish(t, v * (h[1][c] - b * h0) - (s[1][1] - b * s[0][1]) / classes, squares, g + c, within + c);
    }
}

/* Packed samples where y is NULL. */
static void sc_weigh(const sc_family *f, const void *y, const sc_scratch *scratch, ptrdiff_t problem, ptrdiff_t rows,
                     const double *w, double *h)
{
    const ptrdiff_t stride = f->n_problems * f->n_sites, at = problem * f->n_sites;
    if (!y) sc_weigh_bits(&scratch->bits, rows, f->n_sites, w, scratch->tables, h);
    else if (f->kind == SC_BERNOULLI) sc_weigh_bernoulli((const uint8_t *)y + at, stride, rows, f->n_sites, w, h);
    else sc_weigh_categorical((const int32_t *)y + at, stride, rows, f->n_sites, f->n_classes, w, h);
}

/* Mean, M2, smallest and its sample's number; two passes, about the first cost and then about the mean. */
static double sc_cost_moments(const double *j, ptrdiff_t n, ptrdiff_t first, double *stats)
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
    stats[3] = (double)(first + best);
    return mean;
}

/* Costs of one problem less their centre into w; their moments into the node; sums over the block into t. */
static void sc_centre(const sc_job *job, ptrdiff_t problem, ptrdiff_t first, ptrdiff_t rows, const double *j,
                      double *node, double *w, sc_totals *t)
{
    const sc_family *f = &job->family;
    const sc_estimator *e = &job->estimator;
    double mean = sc_cost_moments(j, rows, first, sc_node_problem(node, problem));
    const double centre = t->leave_one_out ? mean : e->baseline[problem];
    vd a = vd_set1(0.0), aa = a;
    for (ptrdiff_t i = 0; i < rows; i += 8)
        vd_store_part(w + i, vd_sub(vd_load_part(j + i, rows - i, 0.0), vd_set1(centre)), rows - i);
    for (ptrdiff_t i = 0; e->sample_baseline && i < rows; i++)
        w[i] -= e->sample_baseline[(first - e->first_sample + i) * f->n_problems + problem];
    for (ptrdiff_t i = 0; i < rows; i += 8) {
        const vd x = vd_load_part(w + i, rows - i, 0.0);
        a = vd_add(a, x);
        aa = vd_add(aa, vd_mul(x, x));
    }
    t->a = vd_sum(a);
    t->aa = vd_sum(aa);
}

/* Histograms for one problem whose scores have one value for each class: fills the problem's part of the node. */
static void sc_block_classes(const sc_job *job, ptrdiff_t problem, ptrdiff_t first, ptrdiff_t rows, const void *y,
                             const sc_scratch *scratch, double *node)
{
    const sc_family *f = &job->family;
    const sc_estimator *e = &job->estimator;
    const ptrdiff_t each = f->n_scores, offset = problem * each;
    double *g = sc_node_gradient(node, f->n_problems) + offset, *within = g + 2 * job->n_parameters;
    double *w = scratch->weight, *other = w + rows + SC_ROWS_PAD;
    sc_totals t = {e->kind == SC_LEAVE_ONE_OUT, e->within, (double)rows, 0.0, 0.0};
    sc_centre(job, problem, first, rows, scratch->j, node, w, &t);
    memset(w + rows, 0, SC_ROWS_PAD * sizeof *w);
    memset(other + rows, 0, SC_ROWS_PAD * sizeof *w);

    double *h[3] = {NULL, scratch->histogram, NULL};
    sc_weigh(f, y, scratch, problem, rows, w, h[1]);
    if (e->within || e->parameter_baseline) {
        h[0] = h[1] + each;
        for (ptrdiff_t i = 0; i < rows; i++) other[i] = 1.0;
        sc_weigh(f, y, scratch, problem, rows, other, h[0]);
    }
    if (e->within) {
        h[2] = h[1] + 2 * each;
        for (ptrdiff_t i = 0; i < rows; i++) other[i] = w[i] * w[i];
        sc_weigh(f, y, scratch, problem, rows, other, h[2]);
    }
    const double *p = f->probs + offset, *beta = e->parameter_baseline ? e->parameter_baseline + offset : NULL;
    if (f->kind == SC_BERNOULLI || !f->by_probs) {
        sc_map_indicators(f, &t, offset, beta, h, each, g, within);
        return;
    }
    for (ptrdiff_t s = 0; s < each; s += f->n_classes) {
        double *at[3] = {h[0] ? h[0] + s : NULL, h[1] + s, h[2] ? h[2] + s : NULL};
        sc_map_simplex(&t, f->n_classes, p + s, beta ? beta + s : NULL, at, g + s, within + s);
    }
}

/* The same for packed samples of at most eight sites, priced by a table: each outcome is met as often as it came. */
static int sc_block_outcomes(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const sc_scratch *scratch,
                             double *node, int64_t *bad_sample)
{
    const sc_family *f = &job->family;
    const sc_estimator *e = &job->estimator;
    const double *j = job->cost.tables, origin = j[sc_outcome(&scratch->bits, 0, f->n_sites)];
    const int outcomes = 1 << f->n_sites, leave_one_out = e->kind == SC_LEAVE_ONE_OUT;
    double count[256], w[256], sum = 0.0, squares = 0.0, least = origin;
    sc_count_outcomes(&scratch->bits, rows, f->n_sites, count);
    for (int k = 0; k < outcomes; k++) {
        if (count[k] == 0.0) continue;
        sum += count[k] * (j[k] - origin);
        least = SC_MIN(least, j[k]);
    }
    const double mean = origin + sum / (double)rows, centre = leave_one_out ? mean : e->baseline[0];
    sc_totals t = {leave_one_out, e->within, (double)rows, 0.0, 0.0};
    for (int k = 0; k < outcomes; k++) {
        if (count[k] == 0.0) continue;
        squares += count[k] * ((j[k] - mean) * (j[k] - mean));
        t.a += count[k] * (j[k] - centre);
        t.aa += count[k] * ((j[k] - centre) * (j[k] - centre));
    }
    const int finite = isfinite(squares); /* else look for the sample; one that is finite may have too large a square */
    ptrdiff_t at = 0;
    for (; at < rows; at++) {
        const double own = j[sc_outcome(&scratch->bits, at, f->n_sites)];
        if (finite ? own == least : !isfinite(own)) break;
    }
    if (!finite && at < rows) {
        *bad_sample = first + at;
        return SC_COST_NOT_FINITE;
    }
    double *stats = sc_node_problem(node, 0), *g = sc_node_gradient(node, 1), *h[3] = {NULL, scratch->histogram, NULL};
    stats[0] = mean, stats[1] = squares, stats[2] = least, stats[3] = (double)(first + SC_MIN(at, rows - 1));
    if (e->within || e->parameter_baseline) h[0] = h[1] + f->n_sites;
    if (e->within) h[2] = h[1] + 2 * f->n_sites;
    for (int order = 0; order < 3; order++) {
        if (!h[order]) continue;
        for (int k = 0; k < outcomes; k++) {
            const double a = j[k] - centre, power = order == 0 ? 1.0 : order == 1 ? a : a * a;
            w[k] = count[k] == 0.0 ? 0.0 : count[k] * power;
        }
        sc_empty_buckets((int)f->n_sites, w, h[order]);
    }
    sc_map_indicators(f, &t, 0, e->parameter_baseline, h, f->n_sites, g, g + 2 * job->n_parameters);
    return SC_OK;
}

static const char *sc_part(const sc_family *f, const void *y, ptrdiff_t row, ptrdiff_t problem)
{
    return (const char *)y + (row * f->n_problems + problem) * f->n_sites * sc_size(f->type);
}

/* Sums of terms and of their squares, one sample after another, about the mean score for leave-one-out. */
static void sc_block_squares(const sc_job *job, ptrdiff_t rows, const void *y, const sc_scratch *scratch,
                             int leave_one_out, double *sums, double *squares)
{
    const sc_family *f = &job->family;
    const ptrdiff_t problems = f->n_problems, each = f->n_scores, all = problems * each, n = job->n_parameters;
    const double *beta = job->estimator.parameter_baseline;
    double *mean = scratch->histogram, *row = mean + all, *weighed = row + all;
    double *term = scratch->theta, *plain = term + n;
    memset(mean, 0, (size_t)all * sizeof *mean);
    if (leave_one_out) {
        for (ptrdiff_t i = 0; i < rows; i++) scratch->j[i] = 1.0 / (double)rows;
        for (ptrdiff_t p = 0; p < problems; p++)
            sc_weigh_scores(f, p, sc_part(f, y, 0, p), rows, scratch->j, scratch->own, mean + p * each);
    }
    memset(sums, 0, (size_t)n * sizeof *sums);
    memset(squares, 0, (size_t)n * sizeof *squares);
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t p = 0; p < problems; p++) {
            const double w = scratch->weight[p * rows + i];
            sc_score_row(f, p, sc_part(f, y, i, p), scratch->own, row + p * each);
            for (ptrdiff_t k = p * each; k < (p + 1) * each; k++) weighed[k] = w * (row[k] - mean[k]);
        }
        sc_pull(&f->map, all, weighed, scratch->flat, n, term);
        if (beta) sc_pull(&f->map, all, row, scratch->flat, n, plain);
        for (ptrdiff_t k = 0; k < n; k++) {
            const double x = beta ? term[k] - beta[k] * plain[k] : term[k];
            sums[k] += x;
            squares[k] += x * x;
        }
    }
}

/* A block of any family: weighted sums of scores, by all problems, mapped to theta. */
static void sc_block_scores(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const void *y, const double *j,
                            const sc_scratch *scratch, double *node)
{
    const sc_family *f = &job->family;
    const sc_estimator *e = &job->estimator;
    const ptrdiff_t problems = f->n_problems, each = f->n_scores, n = job->n_parameters;
    double *g = sc_node_gradient(node, problems), *within = g + 2 * n, *sum = scratch->histogram;
    double *plain = scratch->theta;
    sc_totals t = {e->kind == SC_LEAVE_ONE_OUT, e->within, (double)rows, 0.0, 0.0};
    for (ptrdiff_t p = 0; p < problems; p++) {
        double *w = scratch->weight + p * rows;
        for (ptrdiff_t i = 0; i < rows; i++) scratch->j[i] = j[i * problems + p];
        sc_centre(job, p, first, rows, scratch->j, node, w, &t);
        sc_weigh_scores(f, p, sc_part(f, y, 0, p), rows, w, scratch->own, sum + p * each);
    }
    sc_pull(&f->map, problems * each, sum, scratch->flat, n, g);
    if (e->parameter_baseline) {
        for (ptrdiff_t i = 0; i < rows; i++) scratch->j[i] = 1.0;
        for (ptrdiff_t p = 0; p < problems; p++)
            sc_weigh_scores(f, p, sc_part(f, y, 0, p), rows, scratch->j, scratch->own, sum + p * each);
        sc_pull(&f->map, problems * each, sum, scratch->flat, n, plain);
        for (ptrdiff_t k = 0; k < n; k++) g[k] -= e->parameter_baseline[k] * plain[k];
    }
    double *sums = scratch->theta + 2 * n, *squares = sums + n, mean;
    if (e->within) sc_block_squares(job, rows, y, scratch, t.leave_one_out, sums, squares);
    for (ptrdiff_t k = 0; k < n; k++) {
        if (e->within) sc_finish(&t, sums[k], squares[k], &mean, within + k);
        g[k] /= t.leave_one_out ? t.n - 1.0 : t.n;
    }
}

/* Samples first .. first + rows: draw them (unless y is given), price them (unless j is given), weigh them. */
static int sc_estimate_block(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const void *y, const double *j,
                             const sc_scratch *scratch, sc_cancel *cancel, double *node, int64_t *bad_sample)
{
    const sc_family *f = &job->family;
    const ptrdiff_t problems = f->n_problems;
    int status = sc_cancelled(cancel);
    if (status) return status;
    const uint64_t element = (uint64_t)first * (uint64_t)f->n_elements;
    const int packed = sc_is_packed(f);
    const double *tables = packed && !j ? job->cost.tables : NULL;
    if (!tables || y || sc_sample_bits(f, &job->stream, element, rows, &scratch->bits)) {
        if (!y) sc_sample(f, &job->stream, element, rows, scratch->own, scratch->y), y = scratch->y;
        if (packed) sc_pack_bits(f, y, rows, &scratch->bits);
    }
    memset(node, 0, (size_t)sc_node_size(problems, job->n_parameters) * sizeof(double));
    node[0] = (double)rows;
    node[1] = 1.0;
    if (tables && f->n_sites <= 8 && !job->estimator.sample_baseline)
        return sc_block_outcomes(job, first, rows, scratch, node, bad_sample);
    if (!j) {
        if (tables) sc_linear_costs(&scratch->bits, rows, f->n_sites, tables, scratch->costs);
        else status = sc_cost_rows(f, &job->cost, y, rows, scratch->row, cancel, scratch->costs);
        if (status) return status;
        j = scratch->costs;
    }
    for (ptrdiff_t i = 0; i < rows * problems; i++)
        if (!isfinite(j[i])) {
            *bad_sample = first + i / problems;
            return SC_COST_NOT_FINITE;
        }
    if (!sc_is_plain(f)) {
        sc_block_scores(job, first, rows, y, j, scratch, node);
        return SC_OK;
    }
    for (ptrdiff_t p = 0; p < problems; p++) {
        for (ptrdiff_t i = 0; i < rows; i++) scratch->j[i] = j[i * problems + p];
        sc_block_classes(job, p, first, rows, packed ? NULL : y, scratch, node);
    }
    return SC_OK;
}

#endif
