/* ends: what a network costs, and what weighs the scores of its units.
 *
 * An end tells each row of a level what it costs; a level is to blame for what is told to it and to those above. With
 * K samples of each of B inputs, J_k the cost that a layer of units is to blame for in sample k, its score weighs
 *   constant        (J_k - baseline) / BK
 *   leave one out   (J_k - mean of the others) / BK = (J_k - mean) / B(K - 1)
 *   vimco           (L_k - L + s_k) / B, where the cost of an input is -L, L = log(sum_k e^-J_k / K): L_k has the mean of
 *                   the others' -J in the place of -J_k, and s_k = e^-J_k / sum_j e^-J_j is the share of the sample, by
 *                   which its other gradients are weighed (Mnih and Rezende, "Variational inference for Monte Carlo
 *                   objectives", ICML 2016, eqs. 8 to 10). s_k here is the direct derivative of L by log q.
 *   nvil            (J_k - baseline - c) / s BK, c foretold by a net that learns by the squared error, s 1 or a spread
 *                   of past signals (Mnih and Gregor, "Neural variational inference and learning in belief networks",
 *                   ICML 2014, section 2.3 and algorithm 1)
 *   double, rodeo   as leave one out in layers before the last one; that one's stands in units.h and stein.h
 * All other gradients are means over the rows of a level that are samples.
 */
#ifndef SC_KERNELS_ENDS_H
#define SC_KERNELS_ENDS_H

#include "../network.h"
#include "distributions.h"
#include "numbers.h"

/* ---- of a row, and scale times its gradient, unless that is NULL ------------------------------------------------- */

static double sc_end_numbers(int end, ptrdiff_t n, const float *o, const float *t, float scale, float *delta)
{
    vd sum = vd_set1(0);
    for (ptrdiff_t j = 0; j < n; j += 16) {
        /* past the end: (0 - 0)^2, and softplus(-200) = 0 */
        const vf x = vf_load_part(o + j, n - j, end == SC_END_SQUARED ? 0.0f : -200.0f);
        const vf target = vf_load_part(t + j, n - j, 0);
        vf value, slope;
        if (end == SC_END_SQUARED) {
            vf gap = vf_sub(x, target);
            value = vf_mul(gap, gap), slope = vf_add(gap, gap);
        } else {
            vf softplus, p = sc_sigmoid_softplus32(x, &softplus);
            value = vf_fma(vf_neg(target), x, softplus), slope = vf_sub(p, target);
        }
        sum = vd_add(sum, vd_add(vf_lo_f64(value), vf_hi_f64(value)));
        if (delta) vf_store_part(delta + j, vf_mul(slope, vf_set1(scale)), n - j);
    }
    return vd_sum(sum);
}

static double sc_end_label(ptrdiff_t n, const float *o, int64_t label, float scale, double *scratch, float *delta)
{
    double *logits = scratch, *p = scratch + n, *log_p = scratch + 2 * n;
    for (ptrdiff_t c = 0; c < n; c++) logits[c] = (double)o[c];
    sc_categorical_logits(1, n, logits, p, log_p);
    for (ptrdiff_t c = 0; delta && c < n; c++) delta[c] = (float)(p[c] - (c == label)) * scale;
    return -log_p[label];
}

/* ---- of inputs --------------------------------------------------------------------------------------------------- */

/* Tell the rows of input i. */
static void sc_net_tell(const sc_net *n, const sc_net_end *e, const int64_t *at, ptrdiff_t i, double *scratch)
{
    const sc_level *level = n->levels + e->level;
    const ptrdiff_t R = level->rows, m = e->width, every = sc_net_every(n, level);
    const float each = (float)(1.0 / ((double)n->batch * (double)(R / every)));
    for (ptrdiff_t r = i * R; r < (i + 1) * R; r++) {
        const float *o = e->output + sc_net_source(n, e->outputs, R, r) * m;
        float *delta = e->delta ? e->delta + r * m : NULL;
        const float scale = r % every ? 0.0f : each;
        double cost;
        if (e->kind == SC_END_LABELS) cost = sc_end_label(m, o, e->labels[at[i]], scale, scratch, delta);
        else {
            const float *t = e->target + (e->targets ? sc_net_source(n, e->targets, R, r) : at[i]) * m;
            cost = sc_end_numbers(e->kind, m, o, t, scale, delta);
        }
        level->cost[r] += e->sign * cost;
    }
}

/* log(sum of e^f) for f = -J, of all K samples but `left_out` (-1: none). */
static double sc_log_sum_but(ptrdiff_t K, const double *J, ptrdiff_t left_out)
{
    double top = -HUGE_VAL, sum = 0.0;
    for (ptrdiff_t k = 0; k < K; k++)
        if (k != left_out && -J[k] > top) top = -J[k];
    for (ptrdiff_t k = 0; k < K; k++)
        if (k != left_out) sum += sc_exp_one(-J[k] - top);
    return top + sc_log_one(sum);
}

/* The cost of input i, once all is told; then each level gets what those above it were told. */
static void sc_net_gather(const sc_net *n, ptrdiff_t i)
{
    const ptrdiff_t lowest = n->n_levels > 1;
    n->mean[i] = 0.0;
    for (ptrdiff_t l = n->n_levels - 1; l >= lowest; l--) {
        const sc_level *level = n->levels + l, *above = level + 1;
        double *cost = level->cost + i * level->rows;
        const ptrdiff_t every = sc_net_every(n, level);
        for (ptrdiff_t r = 0; r < level->rows; r += every) n->mean[i] += cost[r] / (double)(level->rows / every);
        if (l == n->n_levels - 1) continue;
        const ptrdiff_t m = level->rows / n->groups, M = above->rows / n->groups;
        for (ptrdiff_t r = 0; r < level->rows; r++) cost[r] += above->cost[i * above->rows + r / m * M + r % m];
    }
    if (n->rule == SC_NET_VIMCO) {
        const ptrdiff_t K = n->groups;
        const double *J = n->levels[lowest].cost + i * K, all = sc_log_sum_but(K, J, -1);
        for (ptrdiff_t k = 0; k < K; k++) n->share[i * K + k] = sc_exp_one(-J[k] - all);
        n->mean[i] = sc_log_one((double)K) - all;
    }
}

static void sc_weigh_vimco(const sc_net *n, ptrdiff_t i, const sc_level *level)
{
    const ptrdiff_t K = n->groups;
    const double *J = n->levels[1].cost + i * K, *share = n->share + i * K, all = sc_log_sum_but(K, J, -1);
    double sum = 0.0;
    for (ptrdiff_t k = 0; k < K; k++) sum += J[k] - J[0];
    for (ptrdiff_t k = 0; k < K; k++) {
        /* the sum of the others is the difference of sums where that loses nothing */
        const double others = share[k] < 0.5 ? all + sc_log_one(1.0 - share[k]) : sc_log_sum_but(K, J, k);
        const double mean = -(J[0] + (sum - (J[k] - J[0])) / (double)(K - 1)); /* of the others */
        const double pair[2] = {-others, -mean};
        level->weight[i * K + k] = (float)((sc_log_sum_but(2, pair, -1) - all + share[k]) / (double)n->batch);
    }
}

static void sc_weigh_nvil(const sc_net *n, ptrdiff_t i, const sc_level *level)
{
    const ptrdiff_t K = level->rows, from = i * level->seen;
    const double scale = 1.0 / ((double)K * (double)n->batch * level->spread);
    for (ptrdiff_t r = from; r < from + level->seen; r++) level->by_predicted[r] = 0.0f;
    for (ptrdiff_t r = i * K; r < (i + 1) * K; r++) {
        const ptrdiff_t source = sc_net_source(n, level->seen, K, r);
        level->weight[r] = (float)(scale * (level->cost[r] - level->baseline - (double)level->predicted[source]));
        level->by_predicted[source] -= level->weight[r];
    }
}

static void sc_weigh_level(const sc_net *n, ptrdiff_t i, const sc_level *level)
{
    const ptrdiff_t K = level->rows;
    const double *J = level->cost + i * K;
    double mean = 0.0, centre = level->baseline, scale = 1.0 / ((double)K * (double)n->batch);
    if (n->rule == SC_NET_LEAVE_ONE_OUT || n->rule == SC_NET_DOUBLE || n->rule == SC_NET_RODEO) {
        for (ptrdiff_t k = 0; k < K; k++) mean += (J[k] - J[0]) / (double)K;
        centre = J[0] + mean, scale = 1.0 / ((double)(K - 1) * (double)n->batch);
    }
    for (ptrdiff_t k = 0; k < K; k++) level->weight[i * K + k] = (float)(scale * (J[k] - centre));
}

/* The weights of the scores of input i. */
static void sc_net_weigh(const sc_net *n, ptrdiff_t i)
{
    for (const sc_level *level = n->levels + 1; level < n->levels + n->n_levels; level++) {
        if (n->rule == SC_NET_VIMCO) sc_weigh_vimco(n, i, level);
        else if (n->rule == SC_NET_NVIL) sc_weigh_nvil(n, i, level);
        else sc_weigh_level(n, i, level);
    }
}

/* With vimco the gradient of a row by an end's output is its share of the samples, not 1 of K. */
static void sc_net_shares(const sc_net *n, ptrdiff_t i)
{
    const ptrdiff_t K = n->groups;
    for (const sc_net_end *e = n->ends; e < n->ends + n->n_ends; e++)
        for (ptrdiff_t k = 0; e->delta && k < K; k++) {
            float *delta = e->delta + (i * K + k) * e->width;
            const vf factor = vf_set1((float)((double)K * n->share[i * K + k]));
            for (ptrdiff_t j = 0; j < e->width; j += 16)
                vf_store_part(delta + j, vf_mul(factor, vf_load_part(delta + j, e->width - j, 0)), e->width - j);
        }
}

#endif
