/* scores: the derivative of log p(y; w) by a family's arguments, its weighted sum over samples, and the way back to
 * theta.
 *
 *   by class   s = v1 where the outcome is the parameter's class, v0 elsewhere: y - p by logits; by probabilities 1/p,
 *              -1/(1-p), and for categorical tangent to the simplex, [y = c]/p_c - 1/(C p_y)
 *   affine     s = slope (y - centre): Poisson by rate (1/rate, rate), by its logarithm (1, rate), and so on
 *   tabled     a row of numbers for each outcome
 *   Gaussian   by mean d/scale, by scale (d^2 - 1)/scale, by its logarithm d^2 - 1, d = (y - mean)/scale
 *   paths      by the logits of a state's transitions: [moved to j] - p_j for each step that left the state
 *   ranks      of an order, or of a set: order_scores.h
 *
 * A sum over samples sum_n w_n s(y_n) needs sufficient statistics only, so no score is stored: weighted histograms,
 * weighted sums of y, weighted counts of transitions. Where single scores are wanted (error bars of few samples), one
 * row at a time is made.
 *
 * Arguments may be shared by sites, or be x times weights plus bias: sc_pull adds derivatives by all sites up into
 * derivatives by theta.
 *
 * Sums run in the order of the samples: the same bits everywhere.
 */
#ifndef SC_KERNELS_SCORES_H
#define SC_KERNELS_SCORES_H

#include "costs.h"
#include "ladders.h"
#include "order_scores.h"
#include "orders.h"

static inline double sc_inverse(double p) { return p > 0.0 ? 1.0 / p : 0.0; } /* in a sum, what is never drawn has no score */

/* Where the outcome is the parameter's class, and elsewhere. A bit has 1 - p of its own, which is accurate where it is
 * small. */
static inline void sc_indicator_scores(const sc_family *f, ptrdiff_t i, double *v1, double *v0)
{
    const double p = f->probs[i], q = f->kind == SC_BERNOULLI ? f->slope[i] : 1.0 - p;
    *v1 = f->by_probs ? sc_inverse(p) : q;
    *v0 = f->by_probs ? -sc_inverse(q) : -p;
}

static inline int64_t sc_whole(const sc_family *f, const void *y, ptrdiff_t i)
{
    if (f->type == SC_U8) return ((const uint8_t *)y)[i];
    if (f->type == SC_I32) return ((const int32_t *)y)[i];
    return ((const int64_t *)y)[i];
}

/* ---- one row ----------------------------------------------------------------------------------------------------- */

static void sc_class_row(const sc_family *f, ptrdiff_t at, const void *y, double *out)
{
    const ptrdiff_t classes = f->n_classes;
    const double *p = f->probs + at;
    if (f->kind == SC_BERNOULLI) {
        for (ptrdiff_t d = 0; d < f->n_sites; d++) {
            const double q = f->slope[at + d];
            const int one = ((const uint8_t *)y)[d];
            if (f->by_probs) out[d] = one ? 1.0 / p[d] : -1.0 / q;
            else out[d] = one ? q : -p[d];
        }
        return;
    }
    for (ptrdiff_t d = 0; d < f->n_sites; d++, p += classes, out += classes) {
        const ptrdiff_t chosen = ((const int32_t *)y)[d];
        const double inverse = f->by_probs ? 1.0 / p[chosen] : 0.0;
        for (ptrdiff_t c = 0; c < classes; c++) out[c] = f->by_probs ? -inverse / (double)classes : -p[c];
        out[chosen] = f->by_probs ? inverse * (1.0 - 1.0 / (double)classes) : 1.0 - p[chosen];
    }
}

/* Transitions, each with that weight; `taken` first gets counts, and at the end they lose their expectation. */
static void sc_count_path(const sc_family *f, const int32_t *y, double weight, double *taken)
{
    const ptrdiff_t states = f->n_classes;
    taken[y[0]] += weight;
    for (ptrdiff_t t = 1; t < f->n_steps; t++) {
        const ptrdiff_t from = 1 + (f->per_step ? (t - 1) * states : 0) + y[t - 1];
        taken[from * states + y[t]] += weight;
    }
}

static void sc_expect_path(const sc_family *f, const double *p, double *taken)
{
    const ptrdiff_t states = f->n_classes;
    for (ptrdiff_t i = 0; i < f->n_ladders; i++, p += states, taken += states) {
        double visits = 0.0;
        for (ptrdiff_t j = 0; j < states; j++) visits += taken[j];
        for (ptrdiff_t j = 0; j < states; j++) taken[j] -= visits * p[j];
    }
}

/* out += weighted scores of all lists of one problem. */
static void sc_weigh_ranks(const sc_family *f, ptrdiff_t problem, const int32_t *y, ptrdiff_t rows,
                           const double *weight, double *scratch, double *out)
{
    const ptrdiff_t items = f->n_classes, k = f->n_taken, stride = f->n_problems * f->n_sites;
    const double *logits = f->logits + problem * f->n_scores;
    for (ptrdiff_t at = 0; at < f->n_sites; at += k, y += k, logits += items, out += items)
        sc_weigh_orders(logits, items, k, !f->unordered, y, stride, rows, weight, scratch, out);
}

/* log p of each list. */
static void sc_log_prob_ranks(const sc_family *f, ptrdiff_t lists, const int32_t *y, double *scratch, double *out)
{
    const ptrdiff_t items = f->n_classes, k = f->n_taken, each = f->n_elements / items;
    for (ptrdiff_t i = 0; i < lists; i++, y += k) {
        const double *logits = f->logits + i % each * items;
        if (f->unordered) out[i] = sc_set_log_prob(logits, items, k, y, scratch);
        else out[i] = sc_order_log_prob(logits, sc_order_linear(logits, items, scratch), items, k, y, scratch + items);
    }
}

/* Numbers that samples and scores want. */
static ptrdiff_t sc_ranks_scratch(ptrdiff_t items, ptrdiff_t k, int ordered)
{
    const ptrdiff_t a = sc_sample_orders_scratch(items), b = sc_weigh_orders_scratch(items, k, ordered);
    return a > b ? a : b;
}

/* Scores of one sample of one problem, n_scores of them; y is the problem's part of it. */
static void sc_score_row(const sc_family *f, ptrdiff_t problem, const void *y, double *scratch, double *out)
{
    const ptrdiff_t sites = f->n_sites, at = problem * sites, n = f->n_each;
    const double one = 1.0;
    switch (f->score) {
    case SC_BY_CLASS: sc_class_row(f, problem * f->n_scores, y, out); break;
    case SC_AFFINE:
        sc_row_f64(f->type, y, sites, out);
        for (ptrdiff_t d = 0; d < sites; d++) out[d] = f->slope[at + d] * (out[d] - f->centre[at + d]);
        break;
    case SC_TABLED:
        for (ptrdiff_t d = 0; d < sites; d++)
            memcpy(out + d * n, f->table + f->rows[at + d] + sc_whole(f, y, d) * n, (size_t)n * sizeof *out);
        break;
    case SC_GAUSSIAN:
        for (ptrdiff_t d = 0; d < sites; d++) {
            const double inverse = f->slope[at + d], z = (((const double *)y)[d] - f->centre[at + d]) * inverse;
            out[d] = z * inverse;
            out[sites + d] = (z * z - 1.0) * f->table[at + d];
        }
        break;
    case SC_PATHS:
        memset(out, 0, (size_t)f->n_scores * sizeof *out);
        for (ptrdiff_t t = 0; t < sites; t += f->n_steps) {
            const ptrdiff_t own = t / f->n_steps * f->n_ladders * f->n_classes;
            sc_count_path(f, (const int32_t *)y + t, 1.0, out + own);
            sc_expect_path(f, f->probs + problem * f->n_scores + own, out + own);
        }
        break;
    case SC_RANKS:
        memset(out, 0, (size_t)f->n_scores * sizeof *out);
        sc_weigh_ranks(f, problem, y, 1, &one, scratch, out);
        break;
    default: memcpy(out, y, (size_t)f->n_scores * sizeof *out);
    }
}

/* ---- weighted sums ----------------------------------------------------------------------------------------------- */

/* out[d] = slope_d sum_n w_n (y_nd - centre_d) of eight sites at a time, in registers while the rows go by */
static void sc_weigh_affine(const sc_family *f, ptrdiff_t at, const void *y, ptrdiff_t stride, ptrdiff_t rows,
                            const double *weight, double *out)
{
    for (ptrdiff_t d = 0; d < f->n_sites; d += 8) {
        const ptrdiff_t m = SC_MIN(8, f->n_sites - d);
        const vd centre = vd_load_part(f->centre + at + d, m, 0.0);
        vd sum = vd_set1(0.0);
        for (ptrdiff_t n = 0; n < rows; n++) {
            vd x;
            if (f->type == SC_I32 && m == 8) {
                x = vd_load_i32((const int32_t *)y + n * stride + d);
            } else {
                double few[8] = {0};
                sc_row_f64(f->type, (const char *)y + (n * stride + d) * sc_size(f->type), m, few);
                x = vd_load(few);
            }
            sum = vd_fma(vd_set1(weight[n]), vd_sub(x, centre), sum);
        }
        vd_store_part(out + d, vd_mul(sum, vd_load_part(f->slope + at + d, m, 0.0)), m);
    }
}

static void sc_weigh_gaussian(const sc_family *f, ptrdiff_t at, const double *y, ptrdiff_t stride, ptrdiff_t rows,
                              const double *weight, double *out)
{
    for (ptrdiff_t d = 0; d < f->n_sites; d += 8) {
        const ptrdiff_t m = SC_MIN(8, f->n_sites - d);
        const vd centre = vd_load_part(f->centre + at + d, m, 0.0), inverse = vd_load_part(f->slope + at + d, m, 0.0);
        vd first = vd_set1(0.0), second = first;
        for (ptrdiff_t n = 0; n < rows; n++) {
            const vd w = vd_set1(weight[n]);
            const vd z = vd_mul(vd_sub(vd_load_part(y + n * stride + d, m, 0.0), centre), inverse);
            first = vd_fma(w, z, first);
            second = vd_fma(w, vd_fma(z, z, vd_set1(-1.0)), second);
        }
        vd_store_part(out + d, vd_mul(first, inverse), m);
        vd_store_part(out + f->n_sites + d, vd_mul(second, vd_load_part(f->table + at + d, m, 0.0)), m);
    }
}

/* Histograms to sums of scores; `total` is the sum of the weights. */
static void sc_finish_classes(const sc_family *f, ptrdiff_t at, double total, double *h)
{
    const double *p = f->probs + at;
    const ptrdiff_t classes = f->kind == SC_BERNOULLI ? 1 : f->n_classes;
    if (f->kind == SC_BERNOULLI || !f->by_probs) {
        for (ptrdiff_t k = 0; k < f->n_scores; k++) {
            double v1, v0;
            sc_indicator_scores(f, at + k, &v1, &v0);
            h[k] = (v1 - v0) * h[k] + v0 * total;
        }
        return;
    }
    for (ptrdiff_t d = 0; d < f->n_sites; d++, h += classes, p += classes) {
        double sum = 0.0;
        for (ptrdiff_t c = 0; c < classes; c++) sum += h[c] *= sc_inverse(p[c]);
        for (ptrdiff_t c = 0; c < classes; c++) h[c] -= sum / (double)classes;
    }
}

/* out = sum over rows of weight times score of one problem; y begins with its part of the first row. */
static void sc_weigh_scores(const sc_family *f, ptrdiff_t problem, const void *y, ptrdiff_t rows, const double *weight,
                            double *scratch, double *out)
{
    const ptrdiff_t stride = f->n_problems * f->n_sites, at = problem * f->n_sites, n = f->n_each;
    const double *p = f->probs + problem * f->n_scores;
    double total = 0.0;
    switch (f->score) {
    case SC_BY_CLASS:
        for (ptrdiff_t i = 0; i < rows; i++) total += weight[i];
        if (f->kind == SC_BERNOULLI) sc_weigh_bernoulli(y, stride, rows, f->n_sites, weight, out);
        else sc_weigh_categorical(y, stride, rows, f->n_sites, f->n_classes, weight, out);
        sc_finish_classes(f, problem * f->n_scores, total, out);
        return;
    case SC_AFFINE: sc_weigh_affine(f, at, y, stride, rows, weight, out); return;
    case SC_GAUSSIAN: sc_weigh_gaussian(f, at, y, stride, rows, weight, out); return;
    default: break;
    }
    memset(out, 0, (size_t)f->n_scores * sizeof *out);
    if (f->score == SC_RANKS) {
        sc_weigh_ranks(f, problem, y, rows, weight, scratch, out);
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        const ptrdiff_t row = i * stride;
        if (f->score == SC_TABLED) {
            for (ptrdiff_t d = 0; d < f->n_sites; d++) {
                const double *entry = f->table + f->rows[at + d] + sc_whole(f, y, row + d) * n;
                for (ptrdiff_t j = 0; j < n; j++) out[d * n + j] += weight[i] * entry[j];
            }
        } else if (f->score == SC_PATHS) {
            for (ptrdiff_t t = 0; t < f->n_sites; t += f->n_steps)
                sc_count_path(f, (const int32_t *)y + row + t, weight[i],
                              out + t / f->n_steps * f->n_ladders * f->n_classes);
        } else {
            for (ptrdiff_t j = 0; j < f->n_scores; j++) out[j] += weight[i] * ((const double *)y)[row + j];
        }
    }
    if (f->score == SC_PATHS)
        for (ptrdiff_t own = 0; own < f->n_scores; own += f->n_ladders * f->n_classes)
            sc_expect_path(f, p + own, out + own);
}

/* ---- back to theta ----------------------------------------------------------------------------------------------- */

/* out += x' g: weights [inputs][outputs], then the bias */
static void sc_pull_linear(const sc_argument *a, const double *g, double *out)
{
    const ptrdiff_t outputs = a->n / a->rows;
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t i = 0; i < a->inputs; i++)
            for (ptrdiff_t d = 0; d < outputs; d++)
                out[i * outputs + d] += a->x[r * a->inputs + i] * g[r * outputs + d];
    for (ptrdiff_t r = 0; a->bias && r < a->rows; r++)
        for (ptrdiff_t d = 0; d < outputs; d++) out[a->inputs * outputs + d] += g[r * outputs + d];
}

/* Derivatives by all that the family makes, `n` numbers, to derivatives by theta. `flat`: scratch for all arguments. */
static void sc_pull(const sc_map *map, ptrdiff_t n, const double *scores, double *flat, ptrdiff_t n_theta,
                    double *theta)
{
    const double *g = scores;
    if (map->plain) {
        memcpy(theta, scores, (size_t)n * sizeof *theta);
        return;
    }
    if (map->index) {
        ptrdiff_t size = 0;
        for (ptrdiff_t i = 0; i < map->n_arguments; i++) size += map->argument[i].n;
        memset(flat, 0, (size_t)size * sizeof *flat);
        for (ptrdiff_t i = 0; i < n; i++) flat[map->index[i]] += scores[i];
        g = flat;
    }
    memset(theta, 0, (size_t)n_theta * sizeof *theta);
    for (ptrdiff_t i = 0; i < map->n_arguments; g += map->argument[i++].n) {
        const sc_argument *a = &map->argument[i];
        if (a->x) sc_pull_linear(a, g, theta + a->theta);
        else memcpy(theta + a->theta, g, (size_t)a->n * sizeof *theta);
    }
}

#endif
