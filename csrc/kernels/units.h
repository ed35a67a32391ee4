/* units: layers of discrete units, drawn and relaxed, and the estimators of the gradient by their logits x.
 *
 *   bernoulli  y = [k < T(q)], q = sigmoid(x)     categorical  y one-hot, as a family's with the same logits
 *   relaxed    y = sigmoid((x - e)/t), e logistic noise; y = softmax((x + e)/t), e Gumbel noise, each class's its own
 *              (Maddison et al. 2017; Jang, Gu and Poole 2017). As t goes to 0 bernoulli units are those of k.
 *
 * Noise is addressed by (row, unit): element row * units + unit. Backwards, with w the weight of a sample (its cost J less
 * a baseline, over how many there are) and d the gradient of the cost by y:
 *   score      w (y - q), the score function (Williams 1992, eq. 4); d stops here, since y is no function of x
 *   disarm     1/2 (J - J') (y - y') max(q, 1 - q) for a row and its branch, drawn from the opposite noise (Dong, Mnih
 *              and Tucker 2020, eq. 6, and section 3.3 for several layers); 0 for other rows
 *   arm        (J' - J) (u - 1/2), u the trunk's uniform (Yin and Zhou 2019, theorem 1)
 *   local      q (1 - q) (J of the row with y = 1 less J with y = 0); of classes p_c (J_c - sum_b p_b J_b) (Titsias and
 *              Lazaro-Gredilla 2015)
 *   double     (J_k - c b_k less the mean of that of others) (y_k - q) + c q (1 - q) g_k, where g_k is the mean of the
 *              others' gradients by y, and b_k = g_k . (y_k - q) (Titsias and Shi 2022)
 *   rodeo      in stein.h
 *   straight   d times the derivative of the mean by x (Bengio, Leonard and Courville 2013). Biased.
 *   gumbel     d times the derivative of relaxed y by x. Biased.
 * Where a row becomes several samples, their gradients add up in order.
 *
 * Promises: lane words only, sums in a fixed order; bits depend on the arguments alone.
 */
#ifndef SC_KERNELS_UNITS_H
#define SC_KERNELS_UNITS_H

#include "ends.h"
#include "ladders.h"
#include "layers.h"

/* ---- forward: rows that go, [first, stop) ------------------------------------------------------------------------ */

/* The samples of one row: sites 0 .. l->outputs / classes. k has room for a number a site. */
static void sc_class_units(const sc_layer *l, const sc_stream *s, uint64_t e, const float *p, double *scratch, float *y)
{
    const ptrdiff_t C = l->classes, sites = l->outputs / C;
    double *own = scratch;
    uint64_t *thresholds = (uint64_t *)(void *)(scratch + C), *k = thresholds + C;
    sc_fill_k53(s, e, sites, k);
    for (ptrdiff_t i = 0; i < sites; i++, y += C) {
        ptrdiff_t c = 0;
        for (ptrdiff_t j = 0; j < C; j++) y[j] = 0.0f, own[j] = (double)p[i * C + j];
        sc_class_thresholds(C, own, thresholds);
        while (c < C - 1 && k[i] >= thresholds[c]) c++;
        y[c] = 1.0f;
    }
}

/* Softmax of a row's sites, in float64, rounded once. */
static void sc_softmax_row(ptrdiff_t sites, ptrdiff_t C, const float *x, double *scratch, float *p)
{
    double *logits = scratch, *own = scratch + C, *log_p = scratch + 2 * C;
    for (ptrdiff_t i = 0; i < sites; i++, x += C, p += C) {
        for (ptrdiff_t c = 0; c < C; c++) logits[c] = (double)x[c];
        sc_categorical_logits(1, C, logits, own, log_p);
        for (ptrdiff_t c = 0; c < C; c++) p[c] = (float)own[c];
    }
}

/* A branch of local expectation: the trunk's outcomes y, but for one unit, or one site, which takes its next class. */
static void sc_branch_units(const sc_layer *l, ptrdiff_t branch, const float *y, float *out)
{
    const ptrdiff_t C = l->classes, site = C > 1 ? branch / (C - 1) : branch;
    memcpy(out, y, (size_t)l->outputs * sizeof *out);
    if (C == 1) {
        out[site] = 1.0f - y[site];
        return;
    }
    ptrdiff_t other = branch % (C - 1);
    for (ptrdiff_t c = 0; c <= other; c++) other += y[site * C + c] > 0.0f; /* after the trunk's class: one further */
    for (ptrdiff_t c = 0; c < C; c++) out[site * C + c] = (float)(c == other);
}

static void sc_relaxed_units(const sc_net *n, const sc_layer *l, uint64_t row, const float *x, double *scratch,
                             float *y)
{
    const ptrdiff_t units = l->outputs, C = l->classes;
    const vf cold = vf_set1((float)(1.0 / n->factor));
    if (C == 1) sc_fill_logistic32(&l->noise, row * (uint64_t)units, units, y);
    else sc_fill_gumbel32(&l->noise, row * (uint64_t)units, units, y);
    for (ptrdiff_t j = 0; j < units; j += 16) {
        const vf e = vf_load_part(y + j, units - j, 0), own = vf_load_part(x + j, units - j, 0);
        const vf z = vf_mul(cold, C == 1 ? vf_sub(own, e) : vf_add(own, e));
        vf_store_part(y + j, C == 1 ? sc_sigmoid32(z) : z, units - j);
    }
    if (C > 1) sc_softmax_row(units / C, C, y, scratch, y);
}

/* What a trunk's units drew, less 1/2: the middle of what the first 24 bits stand for. */
static void sc_keep_uniforms(const sc_layer *l, uint64_t e, float *kept)
{
    const ptrdiff_t units = l->outputs;
    sc_fill_uniform32(&l->noise, e, units, kept);
    for (ptrdiff_t j = 0; j < units; j += 16)
        vf_store_part(kept + j, vf_add(vf_load_part(kept + j, units - j, 0), vf_set1(-0.5f + 0x1p-25f)), units - j);
}

/* Probabilities of rows that come, [first, stop) times before, then samples. A branch of disarm or arm that parts here
 * takes the opposite noise. */
static void sc_discrete_units(const sc_net *n, const sc_layer *l, uint64_t noise, ptrdiff_t first, ptrdiff_t stop,
                              double *scratch)
{
    const ptrdiff_t units = l->outputs, C = l->classes;
    const ptrdiff_t M = l->after / n->groups, m = l->before > 1 ? l->before / n->groups : 1;
    const int bits = l->kind == SC_LAYER_BERNOULLI;
    sc_stream opposite = l->noise;
    opposite.antithetic ^= 1;
    for (ptrdiff_t r = first * l->before; r < stop * l->before; r++) {
        const float *x = l->in + r * units;
        float *p = l->own + r * units;
        if (!bits) sc_softmax_row(units / C, C, x, scratch, p);
        for (ptrdiff_t j = 0; bits && j < units; j += 16)
            vf_store_part(p + j, sc_sigmoid32(vf_load_part(x + j, units - j, 0)), units - j);
    }
    for (ptrdiff_t r = first * l->after; r < stop * l->after; r++) {
        const float *p = l->own + sc_net_source(n, l->before, l->after, r) * units;
        const uint64_t row = sc_noise_row(n, noise, l->after, r), e = row * (uint64_t)(units / C);
        float *y = l->out + r * units;
        if (n->rule == SC_NET_ARM && r % M == 0) sc_keep_uniforms(l, e, l->kept + r / M * units);
        if (n->rule == SC_NET_LOCAL && r % M >= m) sc_branch_units(l, r % M - m, y - r % M * units, y);
        else if (n->rule == SC_NET_GUMBEL)
            sc_relaxed_units(n, l, row, l->in + sc_net_source(n, l->before, l->after, r) * units, scratch, y);
        else if (bits) sc_bernoulli32(r % M < m ? &l->noise : &opposite, e, units, p, y);
        else sc_class_units(l, &l->noise, e, p, scratch, y);
        for (ptrdiff_t j = 0; l->bits && j < units; j += 16) {
            const uint32_t on = vn_bits(vf_eq(vf_load_part(y + j, units - j, 0), vf_set1(1)));
            sc_put_bits(l->bits + j / 32 * sc_net_lines(n, l->after) + r, j, on);
        }
    }
}

/* The sum of rows, in order. */
static void sc_sum_rows(ptrdiff_t rows, ptrdiff_t n, const float *x, float *out)
{
    for (ptrdiff_t j = 0; j < n; j += 16) {
        vf sum = vf_set1(0);
        for (ptrdiff_t r = 0; r < rows; r++) sum = vf_add(sum, vf_load_part(x + r * n + j, n - j, 0));
        vf_store_part(out + j, sum, n - j);
    }
}

/* ---- backward: rows that came, [first, stop) --------------------------------------------------------------------- */

/* By the logits of units. */
static void sc_back_score(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before;
    const float *weight = n->levels[l->unit].weight;
    for (ptrdiff_t r = first; r < stop; r++)
        for (ptrdiff_t j = 0; j < units; j += 16) {
            const float *y = l->out + r * fan * units + j;
            const vf q = vf_load_part(l->own + r * units + j, units - j, 0);
            vf sum = vf_set1(0);
            for (ptrdiff_t k = 0; k < fan; k++, y += units)
                sum = vf_fma(vf_set1(weight[r * fan + k]), vf_sub(vf_load_part(y, units - j, 0), q), sum);
            vf_store_part(l->delta_in + r * units + j, sum, units - j);
        }
}

/* Of a row that came the pairs are a trunk and the branch that parts here; there is one, or one in each group where no
 * layer before had noise. Other branches have none. Disarm and arm. */
static void sc_back_pairs(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, M = l->after / n->groups, m = l->before > 1 ? l->before / n->groups : 1;
    const ptrdiff_t pairs = l->before > 1 ? 1 : n->groups;
    const int arm = n->rule == SC_NET_ARM;
    const double *J = n->levels[l->unit].cost, scale = (arm ? -1.0 : 0.5) / ((double)n->batch * (double)n->groups);
    for (ptrdiff_t r = first; r < stop; r++)
        for (ptrdiff_t j = 0; j < units; j += 16) {
            const vf q = vf_load_part(l->own + r * units + j, units - j, 0);
            const vf likelier = vf_max(q, vf_sub(vf_set1(1), q));
            vf sum = vf_set1(0);
            for (ptrdiff_t k = 0; k < pairs && r % m == 0; k++) {
                const ptrdiff_t trunk = (r / m * pairs + k) * M, branch = trunk + m;
                vf by = vf_sub(vf_load_part(l->out + trunk * units + j, units - j, 0),
                               vf_load_part(l->out + branch * units + j, units - j, 0));
                by = arm ? vf_load_part(l->kept + trunk / M * units + j, units - j, 0) : vf_mul(by, likelier);
                sum = vf_fma(vf_set1((float)(scale * (J[trunk] - J[branch]))), by, sum);
            }
            vf_store_part(l->delta_in + r * units + j, sum, units - j);
        }
}

/* Of a trunk with p, by its own cost and its branches'; added to `by`. */
static void sc_local_sites(const sc_layer *l, const float *p, const float *y, double own, const double *other,
                           double scale, float *by)
{
    const ptrdiff_t units = l->outputs, C = l->classes;
    for (ptrdiff_t j = 0; C == 1 && j < units; j++) {
        const double q = (double)p[j], gap = y[j] > 0.0f ? own - other[j] : other[j] - own;
        by[j] += (float)(scale * q * (1.0 - q) * gap);
    }
    for (ptrdiff_t i = 0; C > 1 && i < units; i += C, other += C - 1) {
        double mean = 0.0;
        for (ptrdiff_t c = 0, k = 0; c < C; c++)
            if (y[i + c] == 0.0f) mean += (double)p[i + c] * (other[k++] - own);
        for (ptrdiff_t c = 0, k = 0; c < C; c++) {
            const double gap = y[i + c] == 0.0f ? other[k++] - own : 0.0;
            by[i + c] += (float)(scale * (double)p[i + c] * (gap - mean));
        }
    }
}

static void sc_back_local(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, M = l->after / n->groups, m = l->before > 1 ? l->before / n->groups : 1;
    const ptrdiff_t trunks = l->before > 1 ? 1 : n->groups;
    const double *J = n->levels[l->unit].cost, scale = 1.0 / ((double)n->batch * (double)n->groups);
    for (ptrdiff_t r = first; r < stop; r++) {
        float *by = l->delta_in + r * units;
        memset(by, 0, (size_t)units * sizeof *by);
        for (ptrdiff_t k = 0; k < trunks && r % m == 0; k++) {
            const ptrdiff_t trunk = (r / m * trunks + k) * M;
            sc_local_sites(l, l->own + r * units, l->out + trunk * units, J[trunk], J + trunk + m, scale, by);
        }
    }
}

/* The gradient by units that are targets of a cost, added to that by what takes them. */
static void sc_add_by_target(const sc_net *n, const sc_layer *l, ptrdiff_t i)
{
    const ptrdiff_t units = l->outputs, K = l->after;
    for (const sc_net_end *e = n->ends; e < n->ends + n->n_ends; e++)
        for (ptrdiff_t r = i * K; e->target == l->out && r < (i + 1) * K; r++) {
            const float *o = e->output + sc_net_source(n, e->outputs, K, r) * units;
            const vf scale = vf_set1((float)(-e->sign / ((double)n->batch * (double)K)));
            float *d = l->delta_out + r * units;
            for (ptrdiff_t j = 0; j < units; j += 16)
                vf_store_part(d + j,
                              vf_fma(scale, vf_load_part(o + j, units - j, 0), vf_load_part(d + j, units - j, 0)),
                              units - j);
        }
}

/* The last layer of units, input i: g + c h, g that of leave one out, h what is left of the control variates, whose mean
 * is 0. c is best at -E[g . h] / E[h . h], for which g . h and h . h go to `share`. Gradients by y come as shares of the
 * mean cost; `total` has room for a row. */
static void sc_back_double(const sc_net *n, const sc_layer *l, ptrdiff_t i, float *total)
{
    const ptrdiff_t units = l->outputs, K = l->after, fan = K / l->before;
    const sc_level *level = n->levels + l->unit;
    const vf c = vf_set1((float)n->factor), share = vf_set1((float)(1.0 / (double)(K - 1)));
    float *d = l->delta_out + i * K * units;
    vd gh = vd_set1(0), hh = vd_set1(0);
    sc_back_score(n, l, i * l->before, (i + 1) * l->before);
    sc_add_by_target(n, l, i);
    sc_sum_rows(K, units, d, total);
    for (ptrdiff_t k = 0; k < K; k++) { /* b_k takes the place of the cost, which has been told */
        const float *q = l->own + (i * l->before + k / fan) * units, *y = l->out + (i * K + k) * units;
        vd sum = vd_set1(0);
        for (ptrdiff_t j = 0; j < units; j += 16) {
            const vf away = vf_sub(vf_load_part(y + j, units - j, 0), vf_load_part(q + j, units - j, 0));
            const vf own = vf_load_part(d + k * units + j, units - j, 0);
            const vf product = vf_mul(away, vf_sub(vf_load_part(total + j, units - j, 0), own));
            sum = vd_add(sum, vd_add(vf_lo_f64(product), vf_hi_f64(product)));
        }
        level->cost[i * K + k] = -(double)n->batch * (double)K / (double)(K - 1) * vd_sum(sum);
    }
    sc_weigh_level(n, i, level);
    for (ptrdiff_t r = i * l->before; r < (i + 1) * l->before; r++)
        for (ptrdiff_t j = 0; j < units; j += 16) {
            float *by = l->delta_in + r * units + j;
            const vf q = vf_load_part(l->own + r * units + j, units - j, 0), g = vf_load_part(by, units - j, 0);
            const vf slope = vf_mul(share, vf_mul(q, vf_sub(vf_set1(1), q))),
                     all = vf_load_part(total + j, units - j, 0);
            vf h = vf_set1(0);
            for (ptrdiff_t k = r * fan; k < (r + 1) * fan; k++) {
                const vf own = vf_load_part(l->delta_out + k * units + j, units - j, 0);
                const vf away = vf_sub(vf_load_part(l->out + k * units + j, units - j, 0), q);
                h = vf_fma(slope, vf_sub(all, own), vf_fma(vf_set1(level->weight[k]), away, h));
            }
            const vf gap = vf_mul(g, h), square = vf_mul(h, h);
            gh = vd_add(gh, vd_add(vf_lo_f64(gap), vf_hi_f64(gap)));
            hh = vd_add(hh, vd_add(vf_lo_f64(square), vf_hi_f64(square)));
            vf_store_part(by, vf_fma(c, h, g), units - j);
        }
    n->share[i * K] = vd_sum(gh), n->share[i * K + 1] = vd_sum(hh);
}

/* Relaxed units that are targets of their own logits' log q: that changes with the logits, too. */
static void sc_add_by_score(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before;
    for (const sc_net_end *e = n->ends; e < n->ends + n->n_ends; e++)
        for (ptrdiff_t k = first * fan; e->target == l->out && e->output == l->in && k < stop * fan; k++) {
            const vf scale = vf_set1((float)(e->sign / ((double)n->batch * (double)l->after)));
            for (ptrdiff_t j = 0; j < units; j += 16) {
                float *by = l->delta_in + k / fan * units + j;
                const vf q = vf_load_part(l->own + k / fan * units + j, units - j, 0);
                const vf away = vf_sub(q, vf_load_part(l->out + k * units + j, units - j, 0));
                vf_store_part(by, vf_fma(scale, away, vf_load_part(by, units - j, 0)), units - j);
            }
        }
}

static void sc_back_gumbel(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before, C = l->classes;
    for (ptrdiff_t r = first; r < stop; r++) {
        float *by = l->delta_in + r * units;
        memset(by, 0, (size_t)units * sizeof *by);
        for (ptrdiff_t k = r * fan; k < (r + 1) * fan; k++) {
            const float *y = l->out + k * units, *d = l->delta_out + k * units;
            const vf cold = vf_set1((float)(1.0 / n->factor));
            for (ptrdiff_t j = 0; C == 1 && j < units; j += 16) {
                const vf own = vf_load_part(y + j, units - j, 0), slope = vf_mul(own, vf_sub(vf_set1(1), own));
                const vf by_y = vf_mul(cold, vf_load_part(d + j, units - j, 0));
                vf_store_part(by + j, vf_fma(slope, by_y, vf_load_part(by + j, units - j, 0)), units - j);
            }
            for (ptrdiff_t i = 0; C > 1 && i < units; i += C) {
                double mean = 0.0;
                for (ptrdiff_t c = i; c < i + C; c++) mean += (double)y[c] * (double)d[c];
                for (ptrdiff_t c = i; c < i + C; c++)
                    by[c] += (float)((double)y[c] * ((double)d[c] - mean) / n->factor);
            }
        }
    }
}

static void sc_back_straight(const sc_layer *l, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t units = l->outputs, fan = l->after / l->before, C = l->classes;
    for (ptrdiff_t r = first; r < stop; r++) {
        const float *q = l->own + r * units;
        float *out = l->delta_in + r * units;
        for (ptrdiff_t j = 0; j < units; j += 16) {
            const vf p = vf_load_part(q + j, units - j, 0);
            vf sum = vf_set1(0);
            for (ptrdiff_t k = 0; k < fan; k++)
                sum = vf_add(sum, vf_load_part(l->delta_out + (r * fan + k) * units + j, units - j, 0));
            if (C == 1) sum = vf_mul(sum, vf_mul(p, vf_sub(vf_set1(1), p)));
            vf_store_part(out + j, sum, units - j);
        }
        for (ptrdiff_t i = 0; C > 1 && i < units; i += C) { /* by softmax: p (d - p . d) */
            double mean = 0.0;
            for (ptrdiff_t c = 0; c < C; c++) mean += (double)q[i + c] * (double)out[i + c];
            for (ptrdiff_t c = 0; c < C; c++) out[i + c] = (float)((double)q[i + c] * ((double)out[i + c] - mean));
        }
    }
}

/* By the logits of inputs first .. stop. */
static void sc_back_units(const sc_net *n, const sc_layer *l, ptrdiff_t first, ptrdiff_t stop, double *scratch)
{
    const ptrdiff_t from = first * l->before, to = stop * l->before;
    switch (n->rule) {
    case SC_NET_DISARM:
    case SC_NET_ARM: sc_back_pairs(n, l, from, to); return;
    case SC_NET_STRAIGHT:
    case SC_NET_GUMBEL:
        for (ptrdiff_t i = first; i < stop; i++) sc_add_by_target(n, l, i);
        if (n->rule == SC_NET_STRAIGHT) sc_back_straight(l, from, to);
        else sc_back_gumbel(n, l, from, to), sc_add_by_score(n, l, from, to);
        return;
    case SC_NET_LOCAL: sc_back_local(n, l, from, to); return;
    case SC_NET_DOUBLE:
        if (l->unit < n->n_levels - 1) break; /* layers before the last one: leave one out */
        for (ptrdiff_t i = first; i < stop; i++) sc_back_double(n, l, i, (float *)(void *)scratch);
        return;
    default: break;
    }
    sc_back_score(n, l, from, to);
}

#endif
