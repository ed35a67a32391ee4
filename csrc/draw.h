/* A recorder as the kernels see it: what stochcore.h shows of it, and what is behind that. Memory is the caller's. */
#ifndef SC_DRAW_H
#define SC_DRAW_H

#include <setjmp.h>

#include "cancel.h"
#include "core.h"

/* Why a program was left. */
enum {
    SC_DRAW_INDEX = -10,       /* outside theta; `got` is the index */
    SC_DRAW_PROBABILITY = -11, /* outside [0, 1], or several whose sum is not 1 */
    SC_DRAW_PARAMETER = -12,   /* a rate, scale, number of trials or of classes that cannot be */
    SC_DRAW_NOT_FINITE = -13,  /* a cost, score or derivative */
    SC_DRAW_LIMIT = -14,       /* too many draws */
    SC_DRAW_FAILED = -16,      /* the program says so: it raised an exception */
    SC_DRAW_CONTINUOUS = -15,  /* enumeration met a draw that has no list of outcomes */
    SC_DRAW_STOPPED = -18,     /* by the flag that other threads and Ctrl-C set */
    SC_DRAW_STATE = -17,       /* a state with another number of features than the baseline has; `got` is that */
};

/* The weight of decision t: J less a baseline, less */
enum {
    SC_BLAME_WHOLE = 0, /* nothing */
    SC_BLAME_LATER = 1, /* what had been paid before it */
    SC_BLAME_STAGE = 2, /* by how much more had been paid before it than by the others of its block at that stage */
};

enum { SC_MOST_STAGES = 4096 }; /* later ones are compared with the last of these */
enum { SC_DRAWS_AHEAD = 32, SC_POLICY_MOST = 256 }; /* classes of a policy, and units of its layer, at most */

enum { SC_WAITING = 16, SC_WAITING_FEATURES = 16 };

/* Binary decisions whose scores are still to be added (recorder.h). */
typedef struct sc_waiting {
    ptrdiff_t count;
    uint64_t mixed;           /* not 0: not all of the same parameters, */
    uint64_t key[SC_WAITING]; /* i << 8 | n */
    double logit[SC_WAITING], y[SC_WAITING], paid[SC_WAITING], features[SC_WAITING_FEATURES][SC_WAITING];
} sc_waiting;

typedef struct sc_recorder {
    sc_draw draw; /* first: what the program holds */
    sc_stream stream;
    double *score, *rest; /* S and R */
    double cost, weight;  /* J so far; the product of discounts */
    int blame;            /* SC_BLAME_*: what a decision's weight leaves out */
    ptrdiff_t stage;      /* costs told so far */
    double less; /* what is taken off the cost so far: the others' mean of it, or minus the value from here on */
    double *sum, *count; /* of what all samples of a block had paid when a stage began; NULL: nobody asks */
    int learning; /* this run only adds to these */
    const double *value; /* of each stage, or the weights of a state's features; NULL: no such baseline */
    ptrdiff_t n_value;
    int by_time;
    double *learned, *seen; /* what a value learns from (recorder.h); NULL: it does not */
    uint64_t sample;
    int64_t drawn, limit; /* draws that are in k or before it */
    ptrdiff_t at, bordered; /* the next of k; how many of them have borders: all or none */
    uint64_t k[SC_DRAWS_AHEAD];
    float border[SC_DRAWS_AHEAD]; /* their logits */
    sc_waiting waiting;
    sc_cancel *cancel;
    int status;
    double got; /* what broke the rule */
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
    int blame;
    const double *value; /* as the recorder's */
    ptrdiff_t n_value;
    int by_time;
    int64_t max_draws;
} sc_program;

/* How an environment's actions are drawn: theta holds [n_actions][n_features] weights of logits (hidden is 0), or a layer
 * of tanh as in stochcore.h. */
typedef struct sc_policy {
    ptrdiff_t hidden, n_actions, n_features;
} sc_policy;

/* What an episode saw before each step, [n_steps][n_features], and what the step cost. */
typedef struct sc_episode {
    double *features, *costs;
    ptrdiff_t n_steps, room;
} sc_episode;

/* Episodes 0, 1, .. in a ring: of samples `first` and on, mirrored ones of each sample and its opposite. */
typedef struct sc_episodes {
    sc_policy policy;
    double discount;
    uint64_t first;
    int mirrored, antithetic; /* are they in pairs? is the stream itself the opposite of another? */
    sc_episode *ring;
    ptrdiff_t n_ring;
} sc_episodes;

#endif
