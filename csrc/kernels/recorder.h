/* recorder: what a running sample of a simulator remembers (draws.h has the draws, stochcore.h what a program sees).
 *
 * Decision t of a program has the score s_t, and B_t is what had been paid before it (with discounts, less a baseline
 * for its stage where there is one). Each decision adds to two vectors,
 *
 *     S += s_t        R -= B_t s_t
 *
 * so that in the end J S + R = sum_t s_t (J - B_t): every decision is weighed by what came after it (Williams 1992,
 * section 3, "episodic REINFORCE"; the cost-to-go of Sutton, McAllester, Singh and Mansour, NeurIPS 2000), without a tape.
 * A baseline b for J wants one for B_t too, or the weights J - b - B_t of late decisions are far from zero: the others'
 * mean of B_t at the same stage, in a second run on the same noise (SC_BLAME_STAGE); or B_t is left out (SC_BLAME_WHOLE);
 * or b is a value of the stage, learned before (SC_BLAME_LATER with `value`).
 *
 * Noise is addressed by (sample, draw): block b of the sample has the uniforms of its draws 2b and 2b + 1, both planes of
 * each side by side.
 */
#ifndef SC_KERNELS_RECORDER_H
#define SC_KERNELS_RECORDER_H

#include "../draw.h"
#include "noise.h"
#include "numbers.h"

/* In a loop: it is short and its sum in order, which a compiler's vectors only make slower. */
#define SC_ONE_BY_ONE __asm__ volatile("")

static inline sc_recorder *sc_recorder_of(sc_draw *d) { return (sc_recorder *)(void *)d; }

static __attribute__((cold, noinline)) void sc_leave(sc_recorder *r, int status, double value)
{
    if (!r->status) r->status = status, r->got = value;
    if (r->leave) longjmp(*r->leave, 1);
}

/* ---- noise ------------------------------------------------------------------------------------------------------- */

/* Counters: the block, the low half of the sample; the stream; 18 more bits of the sample beside the purpose. */
static __attribute__((noinline)) void sc_draw_ahead(sc_recorder *r)
{
    const uint32_t c3 = r->stream.purpose << 24 | ((uint32_t)(r->sample >> 32) & 0x3ffff);
    uint32_t words[64];
    vw x[4];
    sc_engine engine;
    if (r->cancel && sc_cancelled(r->cancel)) {
        sc_leave(r, SC_DRAW_STOPPED, 0.0);
        return;
    }
    if (r->drawn >= r->limit) sc_leave(r, SC_DRAW_LIMIT, (double)r->limit);
    sc_engine_begin(&engine, &r->stream);
    x[0] = vw_count((uint64_t)(uint32_t)r->sample << 32 | (uint64_t)r->drawn / 2, r->stream.stream, c3);
    for (int j = 1; j < 4; j++) x[j] = vw_add64(x[j - 1], vw_group(4, 0, 0, 0));
    sc_run_engine(&engine, x);
    for (int j = 0; j < 4; j++) vw_store(words + 16 * j, x[j]);
    for (int i = 0; i < SC_DRAWS_AHEAD; i++) r->k[i] = (uint64_t)words[2 * i] << 21 | words[2 * i + 1] >> 11;
    r->at = 0, r->bordered = 0;
    r->drawn += SC_DRAWS_AHEAD;
}

static inline uint64_t sc_draw_k(sc_recorder *r)
{
    if (__builtin_expect(r->at >= SC_DRAWS_AHEAD, 0)) sc_draw_ahead(r);
    return r->k[r->at++ & (SC_DRAWS_AHEAD - 1)];
}

/* log(u / (1 - u)) of the draws that are in k, in float32 by their first 32 bits. */
static __attribute__((noinline)) void sc_borders_ahead(sc_recorder *r)
{
    uint32_t words[SC_DRAWS_AHEAD];
    for (int i = 0; i < SC_DRAWS_AHEAD; i++) words[i] = (uint32_t)(r->k[i] >> 21);
    for (int i = 0; i < SC_DRAWS_AHEAD; i += 16) {
        const vw word = vw_load(words + i);
        vf_store(r->border + i, sc_logit32_value(sc_logit32_split(word), word));
    }
    r->bordered = SC_DRAWS_AHEAD;
}

/* Which of `width` outcomes the script takes here. */
static int32_t sc_scripted(sc_recorder *r, int32_t width)
{
    if (r->depth >= r->most_depth) {
        sc_leave(r, SC_DRAW_LIMIT, (double)r->most_depth);
        return 0;
    }
    const int32_t own = r->depth < r->n_script ? r->script[r->depth] : 0;
    r->script[r->depth] = own, r->width[r->depth++] = width;
    return own;
}

/* ---- stages ------------------------------------------------------------------------------------------------------ */

/* B_t, or 0 */
static inline double sc_paid(const sc_recorder *r) { return r->blame ? r->cost - r->less : 0.0; }

/* A cost ends a stage. The others' mean leaves this sample out; where there are none, the last mean goes on. */
static void sc_compare_stage(sc_recorder *r)
{
    if (r->stage >= SC_MOST_STAGES) return;
    if (r->learning) r->sum[r->stage] += r->cost, r->count[r->stage] += 1.0;
    else if (r->count[r->stage] > 1.0) r->less = (r->sum[r->stage] - r->cost) / (r->count[r->stage] - 1.0);
}

/* The value of the stage that begins; it learns from J less what was paid before. */
static void sc_value_stage(sc_recorder *r)
{
    const ptrdiff_t n = r->n_value, at = SC_MIN(r->stage, n - 1);
    r->less = -r->value[at];
    if (r->learned && r->stage < n) r->learned[2 * n + at] += r->cost;
}

static inline void sc_next_stage(sc_recorder *r)
{
    r->stage++;
    if (r->sum) sc_compare_stage(r);
    else if (r->value && r->by_time) sc_value_stage(r);
}

/* The value of a state with these features, in units of now: g_t w . f. It learns from f f' and f (J - paid)/g_t,
 * weighed by g_t^2. */
static void sc_value_state(sc_recorder *r, const double *f)
{
    const ptrdiff_t n = r->n_value;
    const double g = r->weight;
    double value = 0.0, *square = r->learned;
    for (ptrdiff_t i = 0; i < n; i++) value += r->value[i] * f[i];
    if (!isfinite(value)) sc_leave(r, SC_DRAW_NOT_FINITE, value);
    r->less = -g * value;
    if (!square) return;
    double *paid = square + n * n;
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t k = 0; k <= i; k++) square[i * n + k] += g * g * f[i] * f[k];
        paid[i] -= g * f[i] * r->cost;
        r->seen[i] += g * f[i];
    }
}

/* After a sample: what it has paid in all goes to the stages or states that it has come through. */
static void sc_value_end(sc_recorder *r)
{
    const ptrdiff_t n = r->n_value;
    if (!r->value || !r->learned) return;
    if (!r->by_time) {
        for (ptrdiff_t i = 0; i < n; i++) r->learned[n * n + i] += r->cost * r->seen[i];
        return;
    }
    const ptrdiff_t last = SC_MIN(r->stage, n - 1);
    r->learned[last] += 1.0, r->learned[n + last] += r->cost;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static inline int sc_has_parameters(sc_recorder *r, ptrdiff_t i, ptrdiff_t n)
{
    if (__builtin_expect(i >= 0 && n > 0 && i <= r->draw.n_theta - n, 1)) return 1;
    sc_leave(r, SC_DRAW_INDEX, (double)(i < 0 || i >= r->draw.n_theta ? i : i + n - 1));
    return 0;
}

/* The derivative of log p by theta[i], or by features . theta[i ..]. */
static inline void sc_blame(sc_recorder *r, ptrdiff_t i, double value, const double *features, ptrdiff_t n)
{
    const double paid = sc_paid(r);
    if (r->learning) return;
    if (!n) {
        r->score[i] += value;
        r->rest[i] -= paid * value;
        return;
    }
    for (ptrdiff_t f = 0; f < n; f++) {
        const double own = value * features[f];
        r->score[i + f] += own;
        r->rest[i + f] -= paid * own;
    }
}

/* A fixed order, for lanes of any width. */
static inline double sc_sum_eight(vd x)
{
    double v[8];
    vd_store(v, x);
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

static inline void sc_blame_sixteen(sc_recorder *r, ptrdiff_t i, vd a, vd b)
{
    const sc_waiting *w = &r->waiting;
    r->score[i] += sc_sum_eight(vd_add(a, b));
    if (r->blame) r->rest[i] -= sc_sum_eight(vd_add(vd_mul(a, vd_load(w->paid)), vd_mul(b, vd_load(w->paid + 8))));
}

/* Scores y - p of binary decisions wait until there are sixteen, since p = sigmoid(logit) is cheap in lanes. Sixteen that
 * have the same parameters are summed first. */
static __attribute__((noinline)) void sc_blame_waiting(sc_recorder *r)
{
    sc_waiting *w = &r->waiting;
    if (r->learning) { /* a first run, which has no use for scores */
        w->count = 0, w->mixed = 0;
        return;
    }
    const vd a = vd_sub(vd_load(w->y), sc_sigmoid(vd_load(w->logit)));
    const vd b = vd_sub(vd_load(w->y + 8), sc_sigmoid(vd_load(w->logit + 8)));
    double own[SC_WAITING];
    if (w->count == SC_WAITING && !w->mixed) {
        const ptrdiff_t i = (ptrdiff_t)(w->key[0] >> 8), n = w->key[0] & 255;
        if (!n) sc_blame_sixteen(r, i, a, b);
        for (ptrdiff_t f = 0; f < n; f++)
            sc_blame_sixteen(r, i + f, vd_mul(a, vd_load(w->features[f])), vd_mul(b, vd_load(w->features[f] + 8)));
        w->count = 0;
        return;
    }
    vd_store(own, a), vd_store(own + 8, b);
    for (ptrdiff_t e = 0; e < w->count; e++) {
        const ptrdiff_t i = (ptrdiff_t)(w->key[e] >> 8), n = w->key[e] & 255;
        if (!n) r->score[i] += own[e], r->rest[i] -= own[e] * w->paid[e];
        for (ptrdiff_t f = 0; f < n; f++) {
            const double each = own[e] * w->features[f][e];
            r->score[i + f] += each;
            r->rest[i + f] -= each * w->paid[e];
        }
    }
    w->count = 0, w->mixed = 0;
}

/* There must be room. */
static inline void sc_wait(sc_recorder *r, ptrdiff_t i, double logit, int64_t y, const double *features, ptrdiff_t n)
{
    sc_waiting *w = &r->waiting;
    const uint64_t key = (uint64_t)i << 8 | (uint64_t)n;
    const ptrdiff_t e = w->count++;
    w->logit[e] = logit, w->y[e] = (double)y, w->paid[e] = sc_paid(r), w->key[e] = key;
    w->mixed |= key ^ w->key[0];
    for (ptrdiff_t f = 0; f < n; f++) {
        SC_ONE_BY_ONE;
        w->features[f][e] = features[f];
    }
}

/* theta[i], or features . theta[i ..] in order */
static inline double sc_predictor(const sc_recorder *r, ptrdiff_t i, const double *features, ptrdiff_t n)
{
    const double *theta = r->draw.theta + i;
    double sum = 0.0;
    if (!n) return theta[0];
    for (ptrdiff_t f = 0; f < n; f++) {
        SC_ONE_BY_ONE;
        sum += features[f] * theta[f];
    }
    return sum;
}

#endif
