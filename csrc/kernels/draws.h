/* draws: the random decisions of simulators, one at a time, each with its score (recorder.h).
 *
 * y = 1 iff k < 2^53 p, k being the draw's 53 bits: where the logit of p and that of u, by its first 32 bits, are further
 * apart than the latter's error, that is known without p. Classes and counts go through their distribution function in
 * order, counts in parts of at most 256 on average, so that nothing underflows.
 */
#ifndef SC_KERNELS_DRAWS_H
#define SC_KERNELS_DRAWS_H

#include "recorder.h"

enum { SC_COUNT_PART = 256 };

/* ---- decisions --------------------------------------------------------------------------------------------------- */

static int64_t sc_decide(sc_recorder *r, double p, double q)
{
    if (__builtin_expect(r->script != NULL, 0)) {
        const int sure = p == 0.0 || q == 0.0; /* what cannot be is no way to go */
        const int32_t taken = sc_scripted(r, sure ? 1 : 2), y = sure ? q == 0.0 : taken;
        r->chance *= y ? p : q;
        return y;
    }
    return (double)sc_draw_k(r) < p * 0x1p53;
}

/* p and 1 - p */
typedef struct {
    double p, q;
} sc_odds;

static inline sc_odds sc_odds_of(double logit)
{
    const double t = sc_exp_one(-fabs(logit)), larger = 1.0 / (1.0 + t), smaller = t * larger;
    return logit < 0.0 ? (sc_odds){smaller, larger} : (sc_odds){larger, smaller};
}

/* The border's error: u is known to 2^-33, so its logit to 2^-33/(u (1 - u)) <= 2^-19 within +-9.5; 4 ulp of float32 are
 * 2^-18 there. (A border beyond 9.5 is on its side of any logit within.) */
#define SC_BORDER_WIDTH 0x1p-16
#define SC_BORDER_MOST 9.5

/* Any decision: those that are too close to call or the first of a group, the script's, those of many features. */
static __attribute__((noinline)) int64_t sc_bernoulli_with_care(sc_draw *d, ptrdiff_t i, const double *features,
                                                                ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!sc_has_parameters(r, i, n ? n : 1)) return 0;
    const double logit = sc_predictor(r, i, features, n);
    const sc_odds odds = sc_odds_of(logit);
    if (!isfinite(logit)) sc_leave(r, SC_DRAW_NOT_FINITE, logit);
    if (r->waiting.count >= SC_WAITING) sc_blame_waiting(r);
    const int64_t y = sc_decide(r, odds.p, odds.q);
    if (!r->bordered && !r->script) sc_borders_ahead(r);
    if (n > SC_WAITING_FEATURES) sc_blame(r, i, y ? odds.q : -odds.p, features, n);
    else sc_wait(r, i, logit, y, features, n);
    return y;
}

/* The same where nothing is the matter: u's logit says which side it is on. */
static inline __attribute__((always_inline)) int64_t sc_bernoulli(sc_draw *d, ptrdiff_t i, const double *features,
                                                                  ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    const int ready = (r->at < r->bordered) & (r->waiting.count < SC_WAITING);
    const int fits = (size_t)i < (size_t)d->n_theta && (size_t)n <= SC_WAITING_FEATURES && n <= d->n_theta - i;
    if (__builtin_expect(!(ready && fits), 0)) return sc_bernoulli_with_care(d, i, features, n);
    const double logit = sc_predictor(r, i, features, n), border = (double)r->border[r->at];
    if (__builtin_expect(!(fabs(logit - border) > SC_BORDER_WIDTH), 0) ||
        (__builtin_expect(!(fabs(logit) < SC_BORDER_MOST), 0) &&
         !(fabs(border) < SC_BORDER_MOST && fabs(logit) < HUGE_VAL)))
        return sc_bernoulli_with_care(d, i, features, n);
    r->at++;
    sc_wait(r, i, logit, border < logit, features, n);
    return border < logit;
}

static int64_t sc_draw_one_bernoulli(sc_draw *d, ptrdiff_t i, const double *features, ptrdiff_t n)
{
    return n ? sc_bernoulli(d, i, features, n) : sc_bernoulli(d, i, NULL, 0);
}

static int64_t sc_draw_one_bernoulli_p(sc_draw *d, double p)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!(p >= 0.0 && p <= 1.0)) sc_leave(r, SC_DRAW_PROBABILITY, p);
    return sc_decide(r, p, 1.0 - p);
}

/* One of k classes by their probabilities, in order; the last one takes what rounding leaves. */
static ptrdiff_t sc_decide_class(sc_recorder *r, const double *p, ptrdiff_t k)
{
    if (r->script) {
        int32_t possible = 0;
        for (ptrdiff_t c = 0; c < k; c++) possible += p[c] > 0.0;
        int32_t taken = sc_scripted(r, SC_MAX(possible, 1));
        ptrdiff_t y = 0;
        while (y < k - 1 && (p[y] == 0.0 || taken-- > 0)) y++;
        r->chance *= p[y];
        return y;
    }
    const double at = (double)sc_draw_k(r) * 0x1p-53;
    double sum = p[0];
    ptrdiff_t y = 0, last = k - 1;
    while (last > 0 && p[last] == 0.0) last--;
    while (y < last && !(at < sum)) sum += p[++y];
    return y;
}

static inline int sc_has_classes(sc_recorder *r, ptrdiff_t k)
{
    if (k >= 1 && k <= SC_POLICY_MOST) return 1;
    sc_leave(r, SC_DRAW_PARAMETER, (double)k);
    return 0;
}

/* Logits become probabilities, whose sum is 1 to rounding. */
static void sc_softmax(sc_recorder *r, double *p, ptrdiff_t k)
{
    double most = p[0], sum = 0.0;
    for (ptrdiff_t c = 1; c < k; c++) most = SC_MAX(most, p[c]);
    for (ptrdiff_t c = 0; c < k; c++) p[c] -= most;
    for (ptrdiff_t c = 0; c < k; c += 8) vd_store_part(p + c, sc_exp(vd_load_part(p + c, k - c, 0.0)), k - c);
    for (ptrdiff_t c = 0; c < k; c++) sum += p[c];
    if (!isfinite(sum)) sc_leave(r, SC_DRAW_NOT_FINITE, sum);
    for (ptrdiff_t c = 0; c < k; c++) p[c] /= sum;
}

static int64_t sc_draw_one_categorical(sc_draw *d, ptrdiff_t i, ptrdiff_t k, const double *features, ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    const ptrdiff_t each = n ? n : 1;
    double p[SC_POLICY_MOST];
    if (!sc_has_classes(r, k) || !sc_has_parameters(r, i, k * each)) return 0;
    for (ptrdiff_t c = 0; c < k; c++) p[c] = sc_predictor(r, i + c * each, features, n);
    sc_softmax(r, p, k);
    const ptrdiff_t y = sc_decide_class(r, p, k);
    for (ptrdiff_t c = 0; c < k; c++) sc_blame(r, i + c * each, (c == y ? 1.0 : 0.0) - p[c], features, n);
    return y;
}

static int64_t sc_draw_one_categorical_p(sc_draw *d, const double *p, ptrdiff_t k)
{
    sc_recorder *r = sc_recorder_of(d);
    double sum = 0.0;
    if (k < 1) sc_leave(r, SC_DRAW_PARAMETER, (double)k);
    for (ptrdiff_t c = 0; c < k; c++) {
        if (!(p[c] >= 0.0 && p[c] <= 1.0)) sc_leave(r, SC_DRAW_PROBABILITY, p[c]);
        sum += p[c];
    }
    if (!(fabs(sum - 1.0) <= 1e-9)) sc_leave(r, SC_DRAW_PROBABILITY, sum);
    return r->status ? 0 : sc_decide_class(r, p, k);
}

/* tanh z = 2 sigmoid(2 z) - 1 */
static void sc_tanh_row(double *z, ptrdiff_t n)
{
    for (ptrdiff_t u = 0; u < n; u += 8) {
        const vd x = vd_load_part(z + u, n - u, 0.0), y = sc_sigmoid(vd_add(x, x));
        vd_store_part(z + u, vd_sub(vd_add(y, y), vd_set1(1.0)), n - u);
    }
}

static int64_t sc_draw_one_tanh_policy(sc_draw *d, ptrdiff_t i, ptrdiff_t hidden, ptrdiff_t k, const double *features,
                                       ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    double h[SC_POLICY_MOST], p[SC_POLICY_MOST], back[SC_POLICY_MOST];
    if (!sc_has_classes(r, k) || !sc_has_classes(r, hidden)) return 0;
    if (n < 1) sc_leave(r, SC_DRAW_PARAMETER, (double)n);
    const ptrdiff_t b1 = i + hidden * n, w2 = b1 + hidden, b2 = w2 + k * hidden;
    if (n < 1 || !sc_has_parameters(r, i, b2 + k - i)) return 0;
    const double *theta = d->theta;
    for (ptrdiff_t u = 0; u < hidden; u++) h[u] = theta[b1 + u] + sc_predictor(r, i + u * n, features, n);
    sc_tanh_row(h, hidden);
    for (ptrdiff_t c = 0; c < k; c++) p[c] = theta[b2 + c] + sc_predictor(r, w2 + c * hidden, h, hidden);
    sc_softmax(r, p, k);
    const ptrdiff_t y = sc_decide_class(r, p, k);
    if (r->learning) return y;
    memset(back, 0, (size_t)hidden * sizeof *back);
    for (ptrdiff_t c = 0; c < k; c++) {
        const double own = (c == y ? 1.0 : 0.0) - p[c];
        for (ptrdiff_t u = 0; u < hidden; u++) back[u] += own * theta[w2 + c * hidden + u];
        sc_blame(r, w2 + c * hidden, own, h, hidden);
        sc_blame(r, b2 + c, own, NULL, 0);
    }
    for (ptrdiff_t u = 0; u < hidden; u++) {
        const double own = back[u] * (1.0 - h[u] * h[u]);
        sc_blame(r, i + u * n, own, features, n);
        sc_blame(r, b1 + u, own, NULL, 0);
    }
    return y;
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

/* A count whose masses follow each other: mass *= ratio(y), from `mass` at 0 on. */
typedef struct sc_counting {
    double mass, rate, odds; /* Poisson: rate, odds 0; binomial: trials, p/q */
    int64_t most;
} sc_counting;

static inline double sc_next_mass(const sc_counting *c, double mass, int64_t y)
{
    if (c->odds != 0.0) return mass * ((double)(c->most - y) / (double)(y + 1) * c->odds);
    return mass * (c->rate / (double)(y + 1));
}

static int64_t sc_decide_count(sc_recorder *r, const sc_counting *c)
{
    double mass = c->mass, sum = mass;
    int64_t y = 0;
    if (r->script) { /* all but 2^-60 of the mass */
        int32_t width = 1;
        for (double total = mass, m = mass;
             width < 10000 && width <= c->most && total < 1.0 && (m > 0x1p-80 || (double)width < c->rate); width++)
            m = sc_next_mass(c, m, width - 1), total += m;
        const int32_t own = sc_scripted(r, width);
        for (; y < own; y++) mass = sc_next_mass(c, mass, y);
        r->chance *= mass;
        return y;
    }
    const double at = (double)sc_draw_k(r) * 0x1p-53;
    while (!(at < sum) && y < c->most) {
        mass = sc_next_mass(c, mass, y++);
        sum += mass;
        if (mass < 0x1p-70 && (double)y > c->rate) break; /* rounding has left a little: the tail is 2^-60 or less */
    }
    return y;
}

static int64_t sc_draw_one_poisson(sc_draw *d, ptrdiff_t i, const double *features, ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!sc_has_parameters(r, i, n ? n : 1)) return 0;
    const double logarithm = sc_predictor(r, i, features, n), rate = sc_exp_one(logarithm);
    if (!isfinite(logarithm)) sc_leave(r, SC_DRAW_NOT_FINITE, logarithm);
    if (!(rate <= 1e6)) {
        sc_leave(r, SC_DRAW_PARAMETER, rate);
        return 0;
    }
    int64_t y = 0;
    for (double left = rate; left > 0.0; left -= SC_COUNT_PART) {
        const double own = SC_MIN(left, SC_COUNT_PART);
        const sc_counting part = {sc_exp_one(-own), own, 0.0, INT64_MAX};
        y += sc_decide_count(r, &part);
    }
    sc_blame(r, i, (double)y - rate, features, n);
    return y;
}

static int64_t sc_draw_one_binomial(sc_draw *d, ptrdiff_t i, int64_t trials, const double *features, ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!sc_has_parameters(r, i, n ? n : 1)) return 0;
    if (trials < 0 || trials > 1000000) {
        sc_leave(r, SC_DRAW_PARAMETER, (double)trials);
        return 0;
    }
    const double logit = sc_predictor(r, i, features, n), t = sc_exp_one(-fabs(logit)), larger = 1.0 / (1.0 + t);
    if (!isfinite(logit)) sc_leave(r, SC_DRAW_NOT_FINITE, logit);
    const double log_larger = sc_log_one(larger); /* successes of the rarer kind are counted */
    int64_t rare = 0;
    for (int64_t left = trials; left > 0; left -= SC_COUNT_PART) {
        const int64_t own = SC_MIN(left, SC_COUNT_PART);
        const sc_counting part = {sc_exp_one((double)own * log_larger), (double)own * t * larger, t, own};
        rare += t > 0.0 ? sc_decide_count(r, &part) : 0;
    }
    const int64_t y = logit < 0.0 ? rare : trials - rare;
    const double p = logit < 0.0 ? t * larger : larger;
    sc_blame(r, i, (double)y - (double)trials * p, features, n);
    return y;
}

/* Trials up to and with the first success: the least y with 1 - q^y > u. */
static int64_t sc_draw_one_geometric(sc_draw *d, ptrdiff_t i, const double *features, ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!sc_has_parameters(r, i, n ? n : 1)) return 0;
    const double logit = sc_predictor(r, i, features, n);
    const sc_odds odds = sc_odds_of(logit);
    const double p = odds.p, q = odds.q;
    if (!isfinite(logit)) sc_leave(r, SC_DRAW_NOT_FINITE, logit);
    if (!(p > 1e-9)) {
        sc_leave(r, SC_DRAW_PARAMETER, p);
        return 1;
    }
    int64_t y = 1;
    if (r->script) {
        int32_t width = 1;
        for (double tail = q; width < 10000 && tail > 0x1p-60; width++) tail *= q;
        const int32_t own = sc_scripted(r, width);
        double mass = p;
        for (; y <= own; y++) mass *= q;
        r->chance *= mass;
    } else {
        const double left = (double)((UINT64_C(1) << 53) - sc_draw_k(r)) * 0x1p-53; /* 1 - u */
        const double log_q = -sc_first(sc_softplus(vd_set1(logit)));
        y = 1 + (int64_t)(sc_log_one(left) / log_q);
    }
    sc_blame(r, i, q - (double)(y - 1) * p, features, n);
    return y;
}

/* ---- continuous draws, and costs ----------------------------------------------------------------------------------- */

static double sc_draw_one_uniform(sc_draw *d)
{
    sc_recorder *r = sc_recorder_of(d);
    if (r->script) sc_leave(r, SC_DRAW_CONTINUOUS, 0.0);
    return (double)sc_draw_k(r) * 0x1p-53;
}

static double sc_draw_one_standard_normal(sc_draw *d)
{
    sc_recorder *r = sc_recorder_of(d);
    if (r->script) sc_leave(r, SC_DRAW_CONTINUOUS, 0.0);
    double x[32];
    const double q = (double)((int64_t)(2 * sc_draw_k(r) + 1) - (INT64_C(1) << 53)) * 0x1p-54;
    for (int j = 0; j < 32; j++) x[j] = q;
    sc_normal_quantile(x);
    return x[0];
}

static double sc_draw_one_exponential(sc_draw *d, ptrdiff_t i, int log)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!sc_has_parameters(r, i, 1)) return 0.0;
    const double rate = log ? sc_exp_one(d->theta[i]) : d->theta[i];
    if (r->script) sc_leave(r, SC_DRAW_CONTINUOUS, 0.0);
    if (!(rate > 0.0 && rate < HUGE_VAL)) sc_leave(r, SC_DRAW_PARAMETER, rate);
    const double left = (double)((UINT64_C(1) << 53) - sc_draw_k(r)) * 0x1p-53; /* 1 - u */
    const double y = -sc_log_one(left) / rate;
    sc_blame(r, i, log ? 1.0 - rate * y : 1.0 / rate - y, NULL, 0);
    return y;
}

static double sc_draw_one_normal(sc_draw *d, ptrdiff_t i, double scale, const double *features, ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!sc_has_parameters(r, i, n ? n : 1)) return 0.0;
    if (!(scale > 0.0 && scale < HUGE_VAL)) sc_leave(r, SC_DRAW_PARAMETER, scale);
    const double mean = sc_predictor(r, i, features, n);
    if (!isfinite(mean)) sc_leave(r, SC_DRAW_NOT_FINITE, mean);
    const double z = sc_draw_one_standard_normal(d);
    sc_blame(r, i, z / scale, features, n);
    return mean + scale * z;
}

static void sc_draw_one_cost(sc_draw *d, double c)
{
    sc_recorder *r = sc_recorder_of(d);
    r->cost += r->weight * c;
    sc_next_stage(r);
    if (__builtin_expect(!isfinite(c), 0)) sc_leave(r, SC_DRAW_NOT_FINITE, c);
}

static void sc_draw_one_discount(sc_draw *d, double factor)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!isfinite(factor)) sc_leave(r, SC_DRAW_NOT_FINITE, factor);
    r->weight *= factor;
}

static void sc_draw_one_add_score(sc_draw *d, ptrdiff_t i, double value)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!sc_has_parameters(r, i, 1)) return;
    if (!isfinite(value)) sc_leave(r, SC_DRAW_NOT_FINITE, value);
    sc_blame(r, i, value, NULL, 0);
}

static void sc_draw_one_add_grad(sc_draw *d, ptrdiff_t i, double value)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!sc_has_parameters(r, i, 1)) return;
    if (!isfinite(value)) sc_leave(r, SC_DRAW_NOT_FINITE, value);
    r->rest[i] += r->weight * value;
}

static void sc_draw_one_state(sc_draw *d, const double *features, ptrdiff_t n)
{
    sc_recorder *r = sc_recorder_of(d);
    if (!r->value || r->by_time) return;
    if (n != r->n_value) {
        sc_leave(r, SC_DRAW_STATE, (double)n);
        return;
    }
    sc_value_state(r, features);
}

static void sc_draw_one_fail(sc_draw *d) { sc_leave(sc_recorder_of(d), SC_DRAW_FAILED, 0.0); }

#define SC_DRAW_TABLE                                                                                                  \
    {.version = STOCHCORE_DRAW_VERSION,                                                                                \
     .size = sizeof(sc_draw_table),                                                                                    \
     .bernoulli = sc_draw_one_bernoulli,                                                                               \
     .bernoulli_p = sc_draw_one_bernoulli_p,                                                                           \
     .categorical = sc_draw_one_categorical,                                                                           \
     .categorical_p = sc_draw_one_categorical_p,                                                                       \
     .tanh_policy = sc_draw_one_tanh_policy,                                                                           \
     .binomial = sc_draw_one_binomial,                                                                                 \
     .poisson = sc_draw_one_poisson,                                                                                   \
     .geometric = sc_draw_one_geometric,                                                                               \
     .exponential = sc_draw_one_exponential,                                                                           \
     .normal = sc_draw_one_normal,                                                                                     \
     .uniform = sc_draw_one_uniform,                                                                                   \
     .standard_normal = sc_draw_one_standard_normal,                                                                   \
     .cost = sc_draw_one_cost,                                                                                         \
     .discount = sc_draw_one_discount,                                                                                 \
     .add_score = sc_draw_one_add_score,                                                                               \
     .add_grad = sc_draw_one_add_grad,                                                                                 \
     .exp = sc_exp_one,                                                                                                \
     .log = sc_log_one,                                                                                                \
     .sin = sc_sin_one,                                                                                                \
     .cos = sc_cos_one,                                                                                                \
     .fail = sc_draw_one_fail,                                                                                         \
     .state = sc_draw_one_state}

#endif
