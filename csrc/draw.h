/* A recorder as the kernels see it: what stochcore.h shows of it, and what is behind that. Memory is the caller's. */
#ifndef SC_DRAW_H
#define SC_DRAW_H

#include <setjmp.h>

#include "cancel.h"
#include "core.h"

/* Why a program was left. */
enum {
    SC_DRAW_INDEX = -10,       /* outside theta; `value` is the index */
    SC_DRAW_PROBABILITY = -11, /* outside [0, 1], or several whose sum is not 1 */
    SC_DRAW_PARAMETER = -12,   /* a rate, scale, number of trials or of classes that cannot be */
    SC_DRAW_NOT_FINITE = -13,  /* a cost, score or derivative */
    SC_DRAW_LIMIT = -14,       /* too many draws */
    SC_DRAW_FAILED = -16,      /* the program says so: it raised an exception */
    SC_DRAW_CONTINUOUS = -15,  /* enumeration met a draw that has no list of outcomes */
};

enum { SC_DRAWS_AHEAD = 32, SC_POLICY_MOST = 256 }; /* classes of a policy, and units of its layer, at most */

typedef struct sc_recorder {
    sc_draw draw; /* first: what the program holds */
    sc_stream stream;
    double *score, *rest; /* S and R */
    double cost, weight;  /* J so far; the product of discounts */
    const double *stage_baseline; /* beside the costs before decision t; the last one goes on */
    ptrdiff_t n_stages, stage;
    uint64_t sample;
    int64_t drawn, limit; /* draws that are in k or before it */
    ptrdiff_t at;
    uint64_t k[SC_DRAWS_AHEAD];
    sc_cancel *cancel;
    int status;
    double value; /* what broke the rule */
    jmp_buf *leave; /* NULL: draws return, and whoever called looks at the status */
    /* enumeration: outcomes to take, for all draws so far how many outcomes there were; NULL: noise decides */
    int32_t *script, *width;
    ptrdiff_t n_script, depth, most_depth;
    double chance; /* of the outcomes taken */
} sc_recorder;

/* A compiled program and how it is run. */
typedef struct sc_program {
    sc_simulator run;
    const double *theta, *x;
    ptrdiff_t n_theta, n_x;
    const double *stage_baseline;
    ptrdiff_t n_stages;
    int64_t max_draws;
} sc_program;

#endif
