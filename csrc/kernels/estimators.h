/* estimators: one block of samples becomes one node of the reduction tree.
 *
 * weights.h has the estimators and their formulas. A score has one value per class, so the block needs only histograms
 * of its outcomes, weighted by w_i: h1[k] = sum_i w_i [y_i has class k]; then the gradient is the sum over classes of h1
 * times score. For a baseline b_k per parameter (Williams' b_ij) the plain counts h0 correct h1 by (b_k - c) h0. The error
 * bar inside a block of the score function and of leave-one-out comes from h0, h1 and h2 = sum_i w_i^2 [class].
 *
 * Other families, and scores that are mapped to theta (scores.h), are summed with weights, and their error bar inside a
 * block comes from the terms themselves, unit by unit; so does that of the other estimators.
 *
 * Sums run in the order of the samples, or over eight fixed lanes. The last block takes up a remainder of fewer than
 * SC_LEAST samples.
 */
#ifndef SC_KERNELS_ESTIMATORS_H
#define SC_KERNELS_ESTIMATORS_H

#include "baselines.h"
#include "digits.h"
#include "families.h"
#include "local.h"
#include "weights.h"

/* A gradient and its variance inside the block, from the first two moments of the terms. `squares` is the sum of
 * squared terms, about their centre for leave-one-out. */
static inline void sc_finish(const sc_totals *t, double sum, double squares, double *g, double *within)
{
    *g = sum / t->divisor;
    if (t->within) *within = sc_unit_variance(t, sum, squares);
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
        const double centre = t->kind == SC_LEAVE_ONE_OUT ? v0 + h0 / n * jump : 0.0;
        squares = h2 * ((v1 - centre) * (v1 - centre)) + (aa - h2) * ((v0 - centre) * (v0 - centre));
    }
    sc_finish(t, jump * h1 + v0 * a, squares, g, within);
}

/* Histograms h[0], h[1], h[2] of one problem (h[0], h[2] only where needed) to its gradient. */
static void sc_map_indicators(const sc_family *f, const sc_totals *t, ptrdiff_t offset, const double *beta,
                              double *const h[3], ptrdiff_t n, double *g, double *within)
{
    if (!beta && !t->within) {
        for (ptrdiff_t k = 0; k < n; k++) {
            double v1, v0;
            sc_indicator_scores(f, offset + k, &v1, &v0);
            g[k] = ((v1 - v0) * h[1][k] + v0 * t->a) / t->divisor;
        }
        return;
    }
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
            const double mean = t->kind == SC_LEAVE_ONE_OUT ? (v * h0 - s[0][1] / classes) / n : 0.0;
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

/* Weighted sums of packed bits. */
static void sc_weigh_bits(const sc_packed *b, ptrdiff_t rows, ptrdiff_t sites, const double *w, double *tables,
                          double *h)
{
    if (sites <= SC_BUCKET_ROW) sc_weigh_words(b, rows, sites, w, tables, h);
    else sc_weigh_columns(b, rows, sites, w, (uint8_t *)tables, h);
}

/* Weighted sums of one problem's outcomes. Packed samples where y is NULL; opposites have packs of their own. */
static void sc_weigh(const sc_job *job, const void *y, const sc_scratch *scratch, ptrdiff_t problem, ptrdiff_t rows,
                     const double *w, double *h)
{
    const sc_family *f = &job->family;
    const ptrdiff_t stride = f->n_problems * f->n_sites, at = problem * f->n_sites, half = rows / 2;
    if (y && f->kind == SC_BERNOULLI) {
        sc_weigh_bernoulli((const uint8_t *)y + at, stride, rows, f->n_sites, w, h);
    } else if (y) {
        sc_weigh_categorical((const int32_t *)y + at, stride, rows, f->n_sites, f->n_classes, w, h);
    } else if (!job->estimator.mirrored) {
        sc_weigh_bits(scratch->bits, rows, f->n_sites, w, scratch->tables, h);
    } else {
        double *other = scratch->row;
        sc_weigh_bits(scratch->bits, half, f->n_sites, w, scratch->tables, h);
        sc_weigh_bits(scratch->bits + 1, half, f->n_sites, w + half, scratch->tables, other);
        for (ptrdiff_t d = 0; d < f->n_sites; d++) h[d] += other[d];
    }
}

/* The best baseline of each parameter, from weighted histograms of the samples of either parity. */
static void sc_block_optimal(const sc_job *job, ptrdiff_t problem, ptrdiff_t rows, const void *y,
                             const sc_scratch *scratch, const double *w, double *g)
{
    const sc_family *f = &job->family;
    const ptrdiff_t each = f->n_scores;
    double *other = scratch->weight + rows + SC_ROWS_PAD, *h[2][2], n[2][2] = {{0}};
    for (int half = 0; half < 2; half++)
        for (int order = 0; order < 2; order++) {
            h[half][order] = scratch->histogram + (2 * half + order) * each;
            for (ptrdiff_t i = 0; i < rows; i++) {
                other[i] = (i & 1) != half ? 0.0 : order ? w[i] : 1.0;
                n[half][order] += other[i];
            }
            sc_weigh(job, y, scratch, problem, rows, other, h[half][order]);
        }
    sc_optimal_indicators(f, problem * each, (double *const(*)[2])h, (const double (*)[2])n, (double)rows, each, g);
}

/* The costs of one of several problems, out of [rows][problems]; `own` has room for them. */
static const double *sc_costs_of(const double *j, ptrdiff_t rows, ptrdiff_t problem, ptrdiff_t problems, double *own)
{
    if (problems == 1) return j;
    for (ptrdiff_t i = 0; i < rows; i++) own[i] = j[i * problems + problem];
    return own;
}

/* Histograms for one problem whose scores have one value for each class: fills the problem's part of the node. */
static void sc_block_classes(const sc_job *job, ptrdiff_t problem, ptrdiff_t first, ptrdiff_t rows, const void *y,
                             const double *j, const sc_scratch *scratch, double *node)
{
    const sc_family *f = &job->family;
    const sc_estimator *e = &job->estimator;
    const ptrdiff_t each = f->n_scores, offset = problem * each;
    double *g = sc_node_gradient(node, f->n_problems) + offset, *within = g + 2 * job->n_parameters;
    double *w = scratch->weight, *other = w + rows + SC_ROWS_PAD;
    const int within_here = e->within && !sc_wants_terms(job);
    sc_totals t = sc_totals_of(e, rows);
    t.within = within_here;
    sc_weights(job, problem, first, rows, j, node, w, &t);
    memset(w + rows, 0, SC_ROWS_PAD * sizeof *w);
    memset(other + rows, 0, SC_ROWS_PAD * sizeof *w);

    if (e->kind == SC_OPTIMAL_BASELINE) {
        sc_block_optimal(job, problem, rows, y, scratch, w, g);
        return;
    }
    double *h[3] = {NULL, scratch->histogram, NULL};
    sc_weigh(job, y, scratch, problem, rows, w, h[1]);
    if (within_here || e->parameter_baseline) {
        h[0] = h[1] + each;
        for (ptrdiff_t i = 0; i < rows; i++) other[i] = 1.0;
        sc_weigh(job, y, scratch, problem, rows, other, h[0]);
    }
    if (within_here) {
        h[2] = h[1] + 2 * each;
        for (ptrdiff_t i = 0; i < rows; i++) other[i] = w[i] * w[i];
        sc_weigh(job, y, scratch, problem, rows, other, h[2]);
    }
    const double *p = f->probs + offset, *beta = e->parameter_baseline ? e->parameter_baseline + offset : NULL;
    if (sc_has_indicators(f)) {
        sc_map_indicators(f, &t, offset, beta, h, each, g, within);
        for (ptrdiff_t k = 0; e->factor && k < each; k++) g[k] *= e->factor[offset + k];
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
    const double *j = job->cost.outcomes, origin = j[sc_outcome(scratch->bits, 0, f->n_sites)];
    const int outcomes = 1 << f->n_sites, leave_one_out = e->kind == SC_LEAVE_ONE_OUT;
    double count[256], w[256], sum = 0.0, squares = 0.0, least = origin;
    sc_count_outcomes(scratch->bits, rows, f->n_sites, count);
    for (int k = 0; k < outcomes; k++) {
        if (count[k] == 0.0) continue;
        sum += count[k] * (j[k] - origin);
        least = SC_MIN(least, j[k]);
    }
    const double mean = origin + sum / (double)rows, centre = leave_one_out ? mean : e->baseline[0];
    sc_totals t = sc_totals_of(e, rows);
    for (int k = 0; k < outcomes; k++) {
        if (count[k] == 0.0) continue;
        squares += count[k] * ((j[k] - mean) * (j[k] - mean));
        t.a += count[k] * (j[k] - centre);
        t.aa += count[k] * ((j[k] - centre) * (j[k] - centre));
    }
    const int finite = isfinite(squares); /* else look for the sample; one that is finite may have too large a square */
    ptrdiff_t at = 0;
    for (; at < rows; at++) {
        const double own = j[sc_outcome(scratch->bits, at, f->n_sites)];
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

/* The variance inside the block from the terms of its units, about the mean score where all are compared; weights are
 * [problems][rows]. */
static void sc_block_terms(const sc_job *job, ptrdiff_t rows, const void *y, const double *j, const double *node,
                           const sc_scratch *scratch, double *within)
{
    const sc_family *f = &job->family;
    const sc_estimator *e = &job->estimator;
    const ptrdiff_t problems = f->n_problems, each = f->n_scores, all = problems * each, n = job->n_parameters;
    const ptrdiff_t unit = e->unit, apart = e->mirrored ? rows / 2 : 1, next = e->mirrored ? 1 : unit;
    const int compares = sc_compares(e->kind);
    double *mean = scratch->histogram, *row = mean + all, *weighed = row + all, *plain = weighed + all;
    double *sums = scratch->theta, *squares = sums + n, *term = squares + n, *beta_term = term + n;
    const sc_totals t = sc_totals_of(e, rows);
    memset(mean, 0, (size_t)all * sizeof *mean);
    if (compares) {
        for (ptrdiff_t i = 0; i < rows; i++) scratch->j[i] = 1.0 / (double)rows;
        for (ptrdiff_t p = 0; p < problems; p++)
            sc_weigh_scores(f, p, sc_part(f, y, 0, p), rows, scratch->j, scratch->own, mean + p * each);
    }
    memset(sums, 0, (size_t)(2 * n) * sizeof *sums);
    for (ptrdiff_t u = 0; u < rows / unit; u++) {
        memset(weighed, 0, (size_t)(2 * all) * sizeof *weighed);
        for (ptrdiff_t m = 0, i = u * next; m < unit; m++, i += apart)
            for (ptrdiff_t p = 0; p < problems; p++) {
                const double w = compares ? j[i * problems + p] - node[SC_NODE_HEAD + SC_NODE_PROBLEM * p]
                                          : scratch->weight[p * rows + i];
                sc_score_row(f, p, sc_part(f, y, i, p), scratch->own, row + p * each);
                for (ptrdiff_t k = p * each; k < (p + 1) * each; k++) {
                    weighed[k] += w * (row[k] - mean[k]);
                    plain[k] += row[k];
                }
            }
        for (ptrdiff_t k = 0; e->factor && k < all; k++) weighed[k] *= e->factor[k];
        sc_pull(&f->map, all, weighed, scratch->flat, n, term);
        if (e->parameter_baseline) sc_pull(&f->map, all, plain, scratch->flat, n, beta_term);
        for (ptrdiff_t k = 0; k < n; k++) {
            const double x = e->parameter_baseline ? term[k] - e->parameter_baseline[k] * beta_term[k] : term[k];
            sums[k] += x;
            squares[k] += x * x;
        }
    }
    for (ptrdiff_t k = 0; k < n; k++) within[k] = sc_unit_variance(&t, sums[k], squares[k]);
}

/* A block of any family: weighted sums of scores, by all problems, mapped to theta. */
static void sc_block_scores(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const void *y, const double *j,
                            const sc_scratch *scratch, double *node)
{
    const sc_family *f = &job->family;
    const sc_estimator *e = &job->estimator;
    const ptrdiff_t problems = f->n_problems, each = f->n_scores, all = problems * each, n = job->n_parameters;
    double *g = sc_node_gradient(node, problems), *sum = scratch->histogram, *plain = scratch->theta;
    sc_totals t = sc_totals_of(e, rows);
    for (ptrdiff_t p = 0; p < problems; p++) {
        double *w = scratch->weight + p * rows;
        sc_weights(job, p, first, rows, sc_costs_of(j, rows, p, problems, scratch->j), node, w, &t);
        if (e->kind != SC_OPTIMAL_BASELINE)
            sc_weigh_scores(f, p, sc_part(f, y, 0, p), rows, w, scratch->own, sum + p * each);
    }
    if (e->kind == SC_OPTIMAL_BASELINE) {
        /* One centre for all problems, for a baseline takes up one: its own for each would bias shared parameters. */
        const double *own = sc_node_problem(node, 0);
        for (ptrdiff_t p = 1; p < problems; p++)
            for (ptrdiff_t i = 0; i < rows; i++) scratch->weight[p * rows + i] += own[SC_NODE_PROBLEM * p] - own[0];
        sc_optimal_rows(job, &t, rows, y, scratch, g, e->within ? g + 2 * n : NULL);
        return;
    }
    for (ptrdiff_t k = 0; e->factor && k < all; k++) sum[k] *= e->factor[k];
    sc_pull(&f->map, all, sum, scratch->flat, n, g);
    if (e->parameter_baseline) {
        for (ptrdiff_t i = 0; i < rows; i++) scratch->j[i] = 1.0;
        for (ptrdiff_t p = 0; p < problems; p++)
            sc_weigh_scores(f, p, sc_part(f, y, 0, p), rows, scratch->j, scratch->own, sum + p * each);
        sc_pull(&f->map, all, sum, scratch->flat, n, plain);
        for (ptrdiff_t k = 0; k < n; k++) g[k] -= e->parameter_baseline[k] * plain[k];
    }
    for (ptrdiff_t k = 0; k < n; k++) g[k] /= t.divisor;
    if (e->within) sc_block_terms(job, rows, y, j, node, scratch, g + 2 * n);
}

/* Scores that have one value for each class, problem by problem. */
static void sc_block_plain(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const void *y, int packed,
                           const double *j, const sc_scratch *scratch, double *node)
{
    const sc_family *f = &job->family;
    const ptrdiff_t problems = f->n_problems, n = job->n_parameters;
    const int optimal = job->estimator.kind == SC_OPTIMAL_BASELINE, indicators = sc_has_indicators(f);
    double *g = sc_node_gradient(node, problems), *within = g + 2 * n;
    sc_totals t = sc_totals_of(&job->estimator, rows);
    for (ptrdiff_t p = 0; p < problems && (indicators || !optimal); p++)
        sc_block_classes(job, p, first, rows, packed ? NULL : y, sc_costs_of(j, rows, p, problems, scratch->j), scratch,
                         node);
    if (!sc_wants_rows(job)) return;
    for (ptrdiff_t p = 0; p < problems; p++) /* the weights of all problems together */
        sc_weights(job, p, first, rows, sc_costs_of(j, rows, p, problems, scratch->j), node, scratch->weight + p * rows,
                   &t);
    if (!optimal) {
        sc_block_terms(job, rows, y, j, node, scratch, within);
    } else if (!indicators) {
        sc_optimal_rows(job, &t, rows, y, scratch, g, job->estimator.within ? within : NULL);
    } else { /* for the error bar; the gradient is there, in other bits */
        sc_optimal_rows(job, &t, rows, y, scratch, g + n, within);
        memset(g + n, 0, (size_t)n * sizeof *g);
    }
}

/* Bits, each summed out given the others (local.h). */
static int sc_block_local(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const void *y, int packed,
                          const double *j, const sc_scratch *scratch, sc_cancel *cancel, double *node)
{
    const sc_family *f = &job->family;
    const ptrdiff_t problems = f->n_problems, n = job->n_parameters, sites = f->n_sites;
    const int calls = job->cost.kind == SC_COST_COMPILED, rows_too = calls || job->estimator.within;
    double *g = sc_node_gradient(node, problems), *within = g + 2 * n, *sums = scratch->theta + n,
           *ones = scratch->weight;
    const sc_totals t = sc_totals_of(&job->estimator, rows);
    for (ptrdiff_t i = 0; i < rows; i++) ones[i] = 1.0 / (double)rows;
    memset(ones + rows, 0, SC_ROWS_PAD * sizeof *ones);
    for (ptrdiff_t p = 0; p < problems; p++) {
        sc_cost_moments(&job->estimator, sc_costs_of(j, rows, p, problems, scratch->j), rows, first,
                        sc_node_problem(node, p));
        if (!calls) sc_weigh(job, packed ? NULL : y, scratch, p, rows, ones, scratch->histogram + p * sites);
    }
    if (!calls) sc_local_mean(job, scratch->histogram, scratch, g);
    if (!rows_too) return SC_OK;
    const int status = sc_local_rows(job, rows, y, j, scratch, cancel, g, sums, sums + n);
    for (ptrdiff_t k = 0; k < n; k++) {
        if (calls) g[k] += sums[k] / t.n;
        if (t.within) within[k] = sc_unit_variance(&t, sums[k], sums[n + k]);
    }
    return status;
}

/* Samples of the block, packed where that can be; returns where they stand as bytes, or NULL where they are packed only.
 * The opposites follow. */
static const void *sc_draw_block(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const void *y, int bits_suffice,
                                 const sc_scratch *scratch)
{
    const sc_family *f = &job->family;
    const int halves = 1 + job->estimator.mirrored, packed = sc_is_packed(f);
    const ptrdiff_t each = rows / halves, width = f->n_problems * f->n_sites * sc_size(f->type);
    const uint64_t element = (uint64_t)(first / halves) * (uint64_t)f->n_elements;
    int bytes = 0;
    for (int half = 0; half < halves; half++) {
        sc_stream stream = job->stream;
        stream.antithetic ^= (uint32_t)half;
        char *to = (char *)scratch->y + half * each * width;
        const char *from = y ? (const char *)y + half * each * width : to;
        if (!y && bits_suffice && !sc_sample_bits(f, &stream, element, each, scratch->bits + half)) continue;
        if (!y) sc_sample(f, &stream, element, each, scratch->own, to);
        if (packed) sc_pack_bits(f, (const uint8_t *)from, each, scratch->bits + half);
        bytes = 1;
    }
    return y ? y : bytes && !bits_suffice ? scratch->y : NULL;
}

/* Samples first .. first + rows: draw them (unless y is given), price them (unless j is given), weigh them. */
static int sc_estimate_block(const sc_job *job, ptrdiff_t first, ptrdiff_t rows, const void *y, const double *j,
                             const sc_scratch *scratch, sc_cancel *cancel, double *node, int64_t *bad_sample)
{
    const sc_family *f = &job->family;
    const sc_estimator *e = &job->estimator;
    const ptrdiff_t problems = f->n_problems;
    int status = sc_cancelled(cancel);
    if (status) return status;
    const int packed = sc_is_packed(f);
    const double *outcomes = packed && !j ? job->cost.outcomes : NULL;
    const int bits = packed && !j && job->cost.kind != SC_COST_GIVEN; /* the cost wants no bytes */
    y = sc_draw_block(job, first, rows, y, bits && !sc_wants_rows(job), scratch);
    memset(node, 0, (size_t)sc_node_size(problems, job->n_parameters) * sizeof(double));
    node[0] = (double)rows;
    node[1] = 1.0;
    if (outcomes && e->kind <= SC_LEAVE_ONE_OUT && !e->sample_baseline)
        return sc_block_outcomes(job, first, rows, scratch, node, bad_sample);
    for (int half = 0; packed && half <= e->mirrored; half++) {
        const sc_packed *own = scratch->bits + half;
        const ptrdiff_t each = rows / (1 + e->mirrored);
        if (f->n_sites <= SC_SHORT_ROW) sc_words_of_stream(own, each, f->n_sites);
        if (sc_wants_columns(job)) sc_turn_bits(own, each, f->n_sites, !j && job->cost.digits);
    }
    if (!j) {
        status = sc_price(job, bits ? NULL : y, rows, scratch, cancel, scratch->costs);
        if (status) return status;
        j = scratch->costs;
    }
    if (!sc_all_finite(j, rows * problems)) {
        ptrdiff_t i = 0;
        while (isfinite(j[i])) i++;
        const ptrdiff_t row = i / problems, half = rows / 2;
        *bad_sample = first + (!e->mirrored ? row : row < half ? 2 * row : 2 * (row - half) + 1);
        return SC_COST_NOT_FINITE;
    }
    if (e->kind == SC_LOCAL) return sc_block_local(job, first, rows, y, packed, j, scratch, cancel, node);
    if (!sc_is_plain(f)) sc_block_scores(job, first, rows, y, j, scratch, node);
    else sc_block_plain(job, first, rows, y, packed, j, scratch, node);
    return SC_OK;
}

#endif
