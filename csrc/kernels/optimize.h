/* optimize: one step of an optimiser on n parameters, in place.
 *
 * With gradient g, learning rate a, and one velocity m and one scale v for each parameter:
 *
 *   SGD       p -= a g
 *   Momentum  m = d1 m + g                  p -= a m                      (Polyak 1964; Sutskever et al. 2013)
 *   RMSProp   v = d2 v + (1 - d2) g^2       p -= a g / (sqrt(v) + e)      (Tieleman and Hinton 2012)
 *   Adam      m = d1 m + (1 - d1) g,  v = d2 v + (1 - d2) g^2
 *             p -= a c1 m / (sqrt(c2 v) + e)                              (Kingma and Ba 2015, algorithm 1)
 *
 * a and Adam's corrections c1 = 1/(1 - d1^t), c2 = 1/(1 - d2^t) belong to the step: the host works them out
 * (optimizer.h). Numbers of a step are float64; 1 - d1, 1 - d2 and a c1 are formed in float64 and rounded once to the
 * type of the parameters.
 *
 * Promises: elementwise, so any slice of a long vector has the bits of the whole. Multiplications, additions, divisions
 * and square roots in the order written, no fma: the same bits on every instruction set, and those of the same formulas
 * in NumPy. Division bounds the speed, not the multiplications that an fma would save.
 * m is not looked at by SGD and RMSProp, v not by SGD and Momentum: either may be NULL there.
 */
#ifndef SC_KERNELS_OPTIMIZE_H
#define SC_KERNELS_OPTIMIZE_H

#include "../lanes/lanes.h"
#include "../optimizer.h"

#define SC_DEFINE_UPDATE(name, real, lanes, width)                                                                     \
    static void name(int kind, const sc_step_scalars *s, ptrdiff_t n, const real *grad, real *param, real *m, real *v) \
    {                                                                                                                  \
        const int adam = kind == SC_ADAM, first = adam || kind == SC_MOMENTUM, second = adam || kind == SC_RMSPROP;    \
        const lanes rate = lanes##_set1((real)(adam ? s->rate * s->correction1 : s->rate));                            \
        const lanes decay1 = lanes##_set1((real)s->decay1);                                                            \
        const lanes gain1 = lanes##_set1((real)(adam ? 1.0 - s->decay1 : 1.0));                                        \
        const lanes decay2 = lanes##_set1((real)s->decay2), gain2 = lanes##_set1((real)(1.0 - s->decay2));             \
        const lanes correction2 = lanes##_set1((real)(adam ? s->correction2 : 1.0));                                   \
        const lanes epsilon = lanes##_set1((real)s->epsilon);                                                          \
        for (ptrdiff_t i = 0; i < n; i += (width)) {                                                                   \
            lanes g = lanes##_load_part(grad + i, n - i, 0), move = g;                                                 \
            if (first) {                                                                                               \
                lanes old = lanes##_load_part(m + i, n - i, 0);                                                        \
                move = lanes##_add(lanes##_mul(decay1, old), lanes##_mul(gain1, g));                                   \
                lanes##_store_part(m + i, move, n - i);                                                                \
            }                                                                                                          \
            move = lanes##_mul(rate, move);                                                                            \
            if (second) {                                                                                              \
                lanes old = lanes##_load_part(v + i, n - i, 0);                                                        \
                lanes scale = lanes##_add(lanes##_mul(decay2, old), lanes##_mul(gain2, lanes##_mul(g, g)));            \
                lanes##_store_part(v + i, scale, n - i);                                                               \
                move = lanes##_div(move, lanes##_add(lanes##_sqrt(lanes##_mul(scale, correction2)), epsilon));         \
            }                                                                                                          \
            lanes##_store_part(param + i, lanes##_sub(lanes##_load_part(param + i, n - i, 0), move), n - i);           \
        }                                                                                                              \
    }

SC_DEFINE_UPDATE(sc_update64, double, vd, 8)
SC_DEFINE_UPDATE(sc_update32, float, vf, 16)

#endif
