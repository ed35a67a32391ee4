/* What a kernel has to know of a model, a cost and an estimate: plain structs over memory that NumPy owns. */
#ifndef SC_FAMILY_H
#define SC_FAMILY_H

#include "core.h"

enum { SC_BERNOULLI = 0, SC_CATEGORICAL = 1 };

/* A family of independent sites. A sample is n_problems rows of n_sites outcomes: uint8 for Bernoulli, int32 for
 * categorical. Parameters: n_problems * n_sites, times n_classes for categorical. */
typedef struct sc_family {
    int kind;
    int by_probs;                          /* the gradient is by probabilities, not by logits */
    ptrdiff_t n_problems, n_sites, n_classes;
    ptrdiff_t period; /* elements in a row of sites, which few classes repeat to fill the lanes */
    ptrdiff_t site_stride, class_stride; /* between thresholds. Few classes: 1, period; many: n_classes + 1, 1 */
    const uint32_t *high; /* high words of the thresholds */
    const uint64_t *thresholds; /* few classes: [n_classes - 1][period]; many: [period][n_classes + 1] */
    int guide_bits; /* many classes: for each site, by the first bits of a word, how many */
    const uint32_t *guide; /* thresholds lie below: [period][2^guide_bits + 1]; few: NULL */
    const double *probs; /* Bernoulli [sites]; categorical [sites][n_classes] */
} sc_family;

enum { SC_COST_GIVEN = 0, SC_COST_LINEAR = 1, SC_COST_QUADRATIC = 2 };

/* J of a row y. GIVEN: somebody else (a Python callable) evaluates it. */
typedef struct sc_cost {
    int kind;
    ptrdiff_t problem_stride; /* from one problem's weights to the next: 0 where they are shared */
    const double *linear; /* [n_sites] */
    const double *quadratic; /* [n_sites][n_sites] */
} sc_cost;

#endif
