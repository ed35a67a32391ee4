/* order_scores: probabilities of rankings, of the first k and of sets of k, and their derivatives by the logits l.
 *
 * Orders (Luce 1959, Plackett 1975):  log p(y) = sum_t [l_{y_t} - L_t],  L_t = log sum of e^l over what is left at t.
 * With p_t = e^{l_{y_t} - L_t}, r_t = 1 - p_t, c_0 = 0 and c_{t+1} = (1 + c_t) r_t:
 *   d log p / d l = r_t - c_t p_t at y_t,  -c_k e^{l_j - L_k} at what is never taken (L_k: of that alone).
 * Sums grow from the end of the list, so that p_t and r_t have relative precision and the terms of the logarithm one
 * sign. Where the logits differ by at most 600 they are sums of e^{l - max}, which many lists share; otherwise they are
 * kept relative to the largest logit that they hold, so that nothing overflows however far apart the logits are.
 *
 * Sets of k, taken in any order: with a_i = e^{l_i} / (sum of e^l outside S), in Gumbel noise's terms (Kool et al. 2020)
 *   P(S) = integral over s > 0 of e^{-s} prod_S (1 - e^{-a_i s}),   d log P / d l_i = E[a_i s / (e^{a_i s} - 1)] in S,
 * E the mean under the integrand; the others share minus the sum of these by their e^l. In x = log s the integrand f is
 * analytic for |Im x| < pi/2, and |f(x + ic)| <= f(x + log cos c) cos(c)^{-k-1} since |1 - e^{-z}| is at most
 * (1 - e^{-Re z}) |z| / Re z: the trapezoidal rule with step h errs by less than 2 e^{-2 pi c/h} cos(c)^{-k-1} of P,
 * for every c < pi/2. SC_SET_STEP / sqrt(k + 8.5) makes that less than 2^-50 for every k. log f is concave: nodes go out
 * from its top until f is below 2^-60 of it. The time is about 45 k / h evaluations: sets are meant to be small.
 *
 * Promises: the same bits on every instruction set; each score to about 1e-14 of the largest in its list. Logits are
 * finite. A set's bits depend on the order in which it is written. Scratch is the caller's, in doubles.
 */
#ifndef SC_KERNELS_ORDER_SCORES_H
#define SC_KERNELS_ORDER_SCORES_H

#include "../core.h"
#include "functions.h"

static inline double sc_order_log(double x)
{
    vd_store_part(&x, sc_log(vd_set1(x)), 1);
    return x;
}

/* ---- what is not taken ------------------------------------------------------------------------------------------ */

/* rest[i] = e^{l_i - top} where i is not in y, else 0; returns their sum. With nothing left that is 0, top -inf. */
static double sc_order_rest(const double *logits, ptrdiff_t items, ptrdiff_t k, const int32_t *y, double *rest,
                            double *top)
{
    vd most = vd_set1(-HUGE_VAL), sum = vd_set1(0);
    double each[8];
    *top = -HUGE_VAL;
    memcpy(rest, logits, (size_t)items * sizeof *rest);
    for (ptrdiff_t t = 0; t < k; t++) rest[y[t]] = -HUGE_VAL;
    for (ptrdiff_t i = 0; i < items; i += 8) most = vd_max(most, vd_load_part(rest + i, items - i, -HUGE_VAL));
    vd_store(each, most);
    for (int j = 0; j < 8; j++) *top = each[j] > *top ? each[j] : *top;
    if (k == items) return 0;
    for (ptrdiff_t i = 0; i < items; i += 8) {
        vd e = sc_exp(vd_sub(vd_load_part(rest + i, items - i, -HUGE_VAL), vd_set1(*top)));
        sum = vd_add(sum, e);
        vd_store_part(rest + i, e, items - i);
    }
    return vd_sum(sum);
}

/* ---- orders ----------------------------------------------------------------------------------------------------- */

/* linear[i] = e^{l_i - max}, for many lists of the same logits; returns `linear`, or NULL where it would underflow. */
static const double *sc_order_linear(const double *logits, ptrdiff_t items, double *linear)
{
    double top = logits[0], least = top;
    for (ptrdiff_t i = 1; i < items; i++) {
        top = logits[i] > top ? logits[i] : top;
        least = logits[i] < least ? logits[i] : least;
    }
    if (!(top - least <= 600)) return NULL;
    for (ptrdiff_t i = 0; i < items; i += 8)
        vd_store_part(linear + i, sc_exp(vd_sub(vd_load_part(logits + i, items - i, top), vd_set1(top))), items - i);
    return linear;
}

/* rest[i] = linear[i] where i is not in y, else 0; returns their sum. */
static double sc_order_rest_linear(const double *linear, ptrdiff_t items, ptrdiff_t k, const int32_t *y, double *rest)
{
    vd sum = vd_set1(0);
    memcpy(rest, linear, (size_t)items * sizeof *rest);
    for (ptrdiff_t t = 0; t < k; t++) rest[y[t]] = 0;
    for (ptrdiff_t i = 0; i < items && k < items; i += 8) sum = vd_add(sum, vd_load_part(rest + i, items - i, 0));
    return vd_sum(sum);
}

/* Doubles that sc_order_log_prob and sc_order_score need. */
static inline ptrdiff_t sc_order_scratch(ptrdiff_t items, ptrdiff_t k) { return items + 2 * k; }

/* gap[t] = l_{y_t} - the largest logit behind it, and e[t] = e^-|gap|. `top`: the largest never taken. */
static void sc_order_gaps(const double *logits, ptrdiff_t k, const int32_t *y, double top, double *gap, double *e)
{
    for (ptrdiff_t t = k - 1; t >= 0; t--) {
        const double l = logits[y[t]];
        gap[t] = l - top;
        top = l > top ? l : top;
    }
    for (ptrdiff_t t = 0; t < k; t += 8) vd_store_part(e + t, sc_exp_minus_abs(vd_load_part(gap + t, k - t, 0)), k - t);
}

/* Each term of log p as gap - log1p(e), in place: where e^-|gap| is tiny, the gap itself is the better part of it. */
static void sc_order_terms(ptrdiff_t k, double sum, double *gap, double *e)
{
    for (ptrdiff_t t = k - 1; t >= 0; t--) {
        const double here = e[t];
        if (gap[t] > 0) {
            e[t] = sum * here;
            sum = e[t] + 1;
            gap[t] = 0;
        } else if (here > 0x1p-20) {
            e[t] = sum / here;
            sum += here;
            gap[t] = 0;
        } else {
            sum += here;
            e[t] = sum - 1;
        }
    }
}

/* log p(y) of the first k, in order. linear: what sc_order_linear gave. */
static double sc_order_log_prob(const double *logits, const double *linear, ptrdiff_t items, ptrdiff_t k,
                                const int32_t *y, double *scratch)
{
    double *gap = scratch + items, *e = gap + k, top, sum;
    vd total = vd_set1(0);
    if (linear) {
        sum = sc_order_rest_linear(linear, items, k, y, scratch);
        for (ptrdiff_t t = k - 1; t >= 0; t--) {
            const double here = linear[y[t]];
            gap[t] = 0;
            e[t] = sum / here;
            sum += here;
        }
    } else {
        sum = sc_order_rest(logits, items, k, y, scratch, &top);
        sc_order_gaps(logits, k, y, top, gap, e);
        sc_order_terms(k, sum, gap, e);
    }
    for (ptrdiff_t t = 0; t < k; t += 8) {
        vd log = sc_log1p(vd_load_part(e + t, k - t, 0));
        total = vd_add(total, vd_sub(vd_load_part(gap + t, k - t, 0), log));
    }
    return vd_sum(total);
}

/* score[i] = d log p(y) / d l_i. linear: what sc_order_linear gave. */
static void sc_order_score(const double *logits, const double *linear, ptrdiff_t items, ptrdiff_t k, const int32_t *y,
                           double *scratch, double *score)
{
    double *r = scratch, *p = scratch + k, top, c = 0;
    const double rest =
        linear ? sc_order_rest_linear(linear, items, k, y, score) : sc_order_rest(logits, items, k, y, score, &top);
    double sum = rest;
    if (!linear) sc_order_gaps(logits, k, y, top, r, p);
    for (ptrdiff_t t = k - 1; t >= 0; t--) {
        const int above = !linear && r[t] > 0;
        const double behind = above ? sum * p[t] : sum, here = linear ? linear[y[t]] : above ? 1 : p[t];
        sum = behind + here;
        p[t] = here / sum;
        r[t] = behind / sum;
    }
    for (ptrdiff_t t = 0; t < k; t++) {
        const double minus = c * p[t];
        c = (1 + c) * r[t];
        p[t] = r[t] - minus;
    }
    const double factor = k < items ? -c / rest : 0;
    for (ptrdiff_t i = 0; i < items && k < items; i++) score[i] *= factor;
    for (ptrdiff_t t = 0; t < k; t++) score[y[t]] = p[t];
}

/* ---- sets ------------------------------------------------------------------------------------------------------- */

#define SC_SET_STEP 0.7

/* Doubles that sc_set_log_prob and sc_set_score need. */
static inline ptrdiff_t sc_set_scratch(ptrdiff_t items, ptrdiff_t k) { return items + 18 * k; }

typedef struct {
    ptrdiff_t k;
    double x0, h; /* the first node, near the top of f, and the step */
    double reference, total; /* log f(x0) less `outside`, and the sum of f / f(x0) over the nodes */
    double outside; /* the sum of log a_i x0 over small ones, which is taken out of every log f */
    ptrdiff_t small; /* how many those are */
    double *log_a, *a, *b, *mean; /* k, k; 8k, 8k for the scores, else NULL */
} sc_set;

#define SC_SET_NEAR 0.34 /* below log(2)/2, where e^r - 1 = r + r^2 P(r) as in sc_exp */

/* (1 - e^-z) / z = num / den for z >= 0, by what the eight lanes need; with `want`, e^-z too. */
SC_INLINE vd sc_set_parts(vd z, int want, vd *den, vd *e)
{
    const vd one = vd_set1(1), border = vd_set1(SC_SET_NEAR);
    const vm near = vd_lt(z, border);
    const int far = vm_any(vd_le(border, z));
    vd num = one;
    *den = one;
    *e = one;
    if (want || far) *e = sc_exp_minus_abs(z);
    if (vm_any(near)) num = vd_fma(vd_neg(z), sc_polynomial(vd_neg(z), sc_exp_c, SC_LENGTH(sc_exp_c)), one);
    if (!far) return num;
    *den = vd_select(near, one, z);
    return vd_select(near, num, vd_sub(one, *e));
}

/* The slope of log f, which descends, at eight x. */
SC_INLINE vd sc_set_slope(const sc_set *set, vd x)
{
    vd s = sc_exp(x), slope = vd_sub(vd_set1(1), s), den, e;
    for (ptrdiff_t i = 0; i < set->k; i++) {
        vd num = sc_set_parts(vd_mul(vd_set1(set->a[i]), s), 1, &den, &e);
        slope = vd_add(slope, vd_div(vd_mul(e, den), num));
    }
    return slope;
}

/* log f less `outside`, at eight x; with set->b, each item's z / (e^z - 1) too. */
static vd sc_set_log_f(const sc_set *set, vd x)
{
    const vd one = vd_set1(1), border = vd_set1(SC_SET_NEAR);
    const int want = set->b != NULL;
    vd s = sc_exp(x), above = one, below = one, den, e;
    vd log_f = vd_fma(vd_set1((double)set->small), vd_sub(x, vd_set1(set->x0)), vd_sub(x, s));
    for (ptrdiff_t i = 0; i < set->k; i++) {
        vd z = vd_mul(vd_set1(set->a[i]), s), num = sc_set_parts(z, want, &den, &e);
        if (want) vd_store(set->b + 8 * i, vd_div(vd_mul(e, den), num));
        if (set->log_a[i] + set->x0 < 0) below = vd_mul(below, den);
        else num = vd_select(vd_lt(z, border), vd_mul(z, num), num);
        above = vd_mul(above, num);
        if (i % 8 == 7) { /* no factor is below e^-64 */
            log_f = vd_add(log_f, sc_log(vd_div(above, below)));
            above = below = one;
        }
    }
    return vd_add(log_f, sc_log(vd_div(above, below)));
}

/* The eight nodes from number n on; returns f / f(x0) at the one farthest out. */
static double sc_set_block(sc_set *set, ptrdiff_t n, vd *total)
{
    double x[8], f[8];
    for (int j = 0; j < 8; j++) x[j] = set->x0 + (double)(n + j) * set->h;
    vd log_f = sc_set_log_f(set, vd_load(x));
    if (n == 0) {
        vd_store(f, log_f);
        set->reference = f[0];
    }
    vd weight = sc_exp(vd_sub(log_f, vd_set1(set->reference)));
    *total = vd_add(*total, weight);
    for (ptrdiff_t i = 0; set->b && i < set->k; i++)
        vd_store(set->mean + 8 * i, vd_fma(weight, vd_load(set->b + 8 * i), vd_load(set->mean + 8 * i)));
    vd_store(f, weight);
    return n < 0 ? f[0] : f[7];
}

/* Near the top of f, where 1 <= s <= 1 + k: ninth by ninth, to three steps. Exact multiples of 2^-20 and 2^-30 make
 * exact nodes. */
static void sc_set_top(sc_set *set)
{
    double low = 0, high = sc_order_log((double)set->k + 1), root;
    vd_store_part(&root, vd_sqrt(vd_set1((double)set->k + 8.5)), 1);
    set->h = (double)(int64_t)(SC_SET_STEP / root * 0x1p+30) * 0x1p-30;
    while (high - low > 3 * set->h) {
        double x[8], slope[8];
        const double ninth = (high - low) / 9;
        int above = 0;
        for (int j = 0; j < 8; j++) x[j] = low + ninth * (j + 1);
        vd_store(slope, sc_set_slope(set, vd_load(x)));
        for (int j = 0; j < 8; j++) above += slope[j] > 0;
        low += ninth * above;
        high = low + ninth;
    }
    set->x0 = (double)(int64_t)(low * 0x1p+20) * 0x1p-20;
}

/* The integral. rest: what sc_order_rest made, log_rest the logarithm of its sum and `top`. */
static void sc_set_integrate(sc_set *set, const double *logits, const int32_t *y, double top, double log_rest)
{
    vd total = vd_set1(0);
    for (ptrdiff_t i = 0; i < set->k; i++) {
        set->log_a[i] = (logits[y[i]] - top) - log_rest;
        set->a[i] = set->log_a[i] < 650 ? set->log_a[i] : 650; /* 1 - e^-z is 1 at every node from there on */
    }
    for (ptrdiff_t i = 0; i < set->k; i += 8)
        vd_store_part(set->a + i, sc_exp(vd_load_part(set->a + i, set->k - i, 0)), set->k - i);
    sc_set_top(set);
    set->small = 0;
    set->outside = 0;
    for (ptrdiff_t i = 0; i < set->k; i++) {
        const double log_z = set->log_a[i] + set->x0;
        if (!(log_z < 0)) continue;
        set->small++;
        set->outside += log_z;
    }
    if (set->b) memset(set->mean, 0, (size_t)(8 * set->k) * sizeof *set->mean);
    for (ptrdiff_t n = 0; sc_set_block(set, n, &total) > 0x1p-60; n += 8) continue;
    for (ptrdiff_t n = -8; sc_set_block(set, n, &total) > 0x1p-60; n -= 8) continue;
    set->total = vd_sum(total);
}

/* log P of the set of the k items y. */
static double sc_set_log_prob(const double *logits, ptrdiff_t items, ptrdiff_t k, const int32_t *y, double *scratch)
{
    double top, sum = sc_order_rest(logits, items, k, y, scratch, &top);
    sc_set set = {.k = k, .log_a = scratch + items, .a = scratch + items + k};
    if (k == items) return 0;
    sc_set_integrate(&set, logits, y, top, sc_order_log(sum));
    const double log_p = set.outside + (set.reference + sc_order_log(set.h * set.total));
    return log_p < 0 ? log_p : 0;
}

/* score[i] = d log P / d l_i. */
static void sc_set_score(const double *logits, ptrdiff_t items, ptrdiff_t k, const int32_t *y, double *scratch,
                         double *score)
{
    double top, sum = sc_order_rest(logits, items, k, y, score, &top), all = 0;
    sc_set set = {.k = k, .log_a = scratch, .a = scratch + k, .b = scratch + 2 * k, .mean = scratch + 10 * k};
    if (k == items) {
        for (ptrdiff_t i = 0; i < items; i++) score[i] = 0;
        return;
    }
    sc_set_integrate(&set, logits, y, top, sc_order_log(sum));
    for (ptrdiff_t i = 0; i < k; i++) {
        scratch[i] = vd_sum(vd_load(set.mean + 8 * i)) / set.total;
        all += scratch[i];
    }
    for (ptrdiff_t i = 0; i < items; i++) score[i] *= -all / sum;
    for (ptrdiff_t i = 0; i < k; i++) score[y[i]] = scratch[i];
}

/* ---- weighted sums ---------------------------------------------------------------------------------------------- */

/* Doubles that sc_weigh_orders needs. */
static inline ptrdiff_t sc_weigh_orders_scratch(ptrdiff_t items, ptrdiff_t k, int ordered)
{
    return 2 * items + (ordered ? sc_order_scratch(items, k) : sc_set_scratch(items, k));
}

/* out[i] += sum over n of weight[n] * score_i(y + n * stride), in the order of n. */
static void sc_weigh_orders(const double *logits, ptrdiff_t items, ptrdiff_t k, int ordered, const int32_t *y,
                            ptrdiff_t stride, ptrdiff_t rows, const double *weight, double *scratch, double *out)
{
    double *score = scratch, *rest = scratch + 2 * items;
    const double *linear = ordered ? sc_order_linear(logits, items, scratch + items) : NULL;
    for (ptrdiff_t n = 0; n < rows; n++, y += stride) {
        if (ordered) sc_order_score(logits, linear, items, k, y, rest, score);
        else sc_set_score(logits, items, k, y, rest, score);
        for (ptrdiff_t i = 0; i < items; i++) out[i] += weight[n] * score[i];
    }
}

#endif
