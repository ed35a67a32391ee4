/* What a kernel has to know of a model and a cost: plain structs over memory that NumPy owns. */
#ifndef SC_FAMILY_H
#define SC_FAMILY_H

#include "core.h"

/* How outcomes come out of noise. */
enum {
    SC_BERNOULLI = 0,   /* k against one threshold a site */
    SC_CATEGORICAL = 1, /* k against few thresholds, as many at each site */
    SC_LADDERS = 2,     /* k against any number of thresholds */
    SC_CHAINS = 3,      /* a path: the ladder of a step hangs on the state before it */
    SC_ORDERS = 4,      /* the largest of logits + Gumbel noise, in order */
    SC_NORMAL = 5,      /* centre + scale z */
    SC_TRIALS = 6,      /* up to the first success: k against thresholds that have a formula */
    SC_GIVEN = 7,       /* somebody else makes them: an "outcome" is a row of scores */
};

/* What an outcome is kept in. */
enum { SC_U8 = 0, SC_I32 = 1, SC_I64 = 2, SC_F64 = 3 };

/* How the score of a problem comes out of its outcomes y (scores.h). */
enum {
    SC_BY_CLASS = 0, /* one value for each class: Bernoulli, categorical */
    SC_AFFINE = 1,   /* slope (y - centre): counts */
    SC_TABLED = 2,   /* a row of a table for each outcome: ordinal, rounded normal */
    SC_GAUSSIAN = 3, /* d/scale and (d^2 - 1)/scale, d = (y - centre)/scale */
    SC_PATHS = 4,    /* transitions of a chain less their expectation */
    SC_RANKS = 5,    /* of an order, or of a set without one */
    SC_ROWS = 6,     /* the outcomes are the scores */
};

/* The thresholds of one site: y = first + #{c < count : k >= thresholds[c]}; thresholds[count] = 2^53 ends them. `high`
 * are their high words, and one more. cells[first bits of k], shift = 32 - bits: how many thresholds every such k has
 * reached, as uint8, uint16 or uint32: the smallest that holds count. */
typedef struct sc_ladder {
    const uint32_t *high;
    const void *cells;
    const uint64_t *thresholds;
    int64_t first;
    uint32_t count;
    uint16_t shift, size;
} sc_ladder;

/* An argument of a family (logits, scale, ...): theta itself, or inputs x times weights plus bias. */
typedef struct sc_argument {
    ptrdiff_t n; /* numbers in it */
    ptrdiff_t theta; /* where its parameters begin */
    ptrdiff_t rows, inputs; /* x is [rows][inputs]; weights [inputs][n / rows]; then the bias, where there is one */
    const double *x; /* NULL: theta itself */
    int bias;
} sc_argument;

/* From the scores that a family makes, problem by problem, back to theta. */
typedef struct sc_map {
    int plain; /* they are the derivatives by theta already */
    const int64_t *index; /* where each belongs among all arguments, one after the other; NULL: in order */
    ptrdiff_t n_arguments;
    sc_argument argument[3];
} sc_map;

/* A sample is n_problems rows of n_sites outcomes, made of n_elements elements of noise. */
typedef struct sc_family {
    int kind, type, score;
    int by_probs; /* the gradient is by probabilities, not by logits */
    ptrdiff_t n_problems, n_sites, n_classes, n_elements;
    ptrdiff_t n_scores; /* of one problem, before the map */
    ptrdiff_t n_scratch; /* numbers that the kernels want */
    /* Bernoulli, few classes: thresholds [n_classes - 1][period], period a multiple of the sites and at least 64; and
     * [n_classes - 1][period + 64] the first 16 of their 53 bits, less 2^15: at the end the row begins again */
    ptrdiff_t period;
    const int16_t *top;
    const uint64_t *thresholds;
    /* ladders: one a site; chains: n_ladders a chain, first that of the first state, then [states] of each step */
    const sc_ladder *ladders;
    ptrdiff_t n_ladders, n_steps;
    int per_step; /* each step of a chain has transitions of its own */
    /* orders */
    ptrdiff_t n_taken; /* of n_classes items */
    int unordered;
    const double *logits;
    /* scores */
    const double *probs; /* by class: [sites] or [sites][n_classes]; paths: as the ladders */
    const double *centre, *slope, *scale; /* affine; Gaussian: slope = 1/scale; Bernoulli: slope = 1 - p */
    const float *inverse; /* trials: 1/rate too, where all are at most 2^13 */
    const double *table; /* tabled; Gaussian: the factor of d^2 - 1; trials: their rates, and 1/rate as `scale` */
    const int64_t *rows; /* tabled: the n_each numbers of outcome y of a site begin at table[rows[site] + y n_each] */
    ptrdiff_t n_each;
    sc_map map;
} sc_family;

enum {
    SC_COST_GIVEN = 0, /* somebody else (a Python callable) evaluates it */
    SC_COST_LINEAR = 1,
    SC_COST_QUADRATIC = 2,
    SC_COST_TABLE = 3,
    SC_COST_FORM = 4, /* a quadratic form of bits over few pairs */
    SC_COST_COMPILED = 5,
};

/* Terms of a cut that have the weight 2^plane: pairs first .. first + count; turned: they count where bits agree. */
typedef struct sc_cut_terms {
    int64_t first, count, plane, turned;
} sc_cut_terms;

/* constant + linear . y + sum_{i<j} q_ij y_i y_j, and the same as a cut (cuts.h), where that is exact and cheap. */
typedef struct sc_form {
    double constant;
    const int64_t *start,
        *upper; /* site d's neighbours: start[d] .. start[d + 1]; from upper[d] on they are beyond d */
    const int32_t *neighbour;
    const double *weight; /* of each neighbour: q_ij both at i and at j */
    ptrdiff_t n_groups, n_planes; /* no planes: not as a cut */
    const sc_cut_terms *groups;
    const uint64_t *pairs; /* j << 32 | i; n_sites is a node whose bit is 0 */
    double cut_constant, unit;
    int64_t offset;
} sc_form;

typedef double (*sc_function)(const void *y, ptrdiff_t n_sites, void *data);

/* J of a row y. */
typedef struct sc_cost {
    int kind;
    ptrdiff_t problem_stride; /* from one problem's weights to the next, in sites: 0 where they are shared */
    const double *linear; /* [n_sites] */
    const double *quadratic; /* [n_sites][n_sites] */
    /* of one problem on packed samples, or NULL: J of all outcomes of at most eight sites; tables of sums of sites in
     * short rows (buckets.h), and in longer ones, in units (digits.h) */
    const double *outcomes, *tables;
    const uint8_t *digits;
    double unit;
    const double *table; /* [n_sites][n_classes] */
    ptrdiff_t n_classes;
    sc_form form;
    sc_function function; /* of uint8_t, int32_t, int64_t or double: the family's type */
    void *data;
    double sign; /* of what the function returns: 1 or -1 */
    /* J(y with y_d = 1) - J(y with y_d = 0) = slope_d + sum_j symmetric_dj y_j, or with the form's weights */
    const double *slope; /* [n_sites] */
    const double *symmetric; /* [n_sites][n_sites] without its diagonal */
} sc_cost;

#endif
