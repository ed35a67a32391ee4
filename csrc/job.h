/* What one estimate is, for the kernels: model, cost, estimator, noise; and the scratch of one thread. */
#ifndef SC_JOB_H
#define SC_JOB_H

#include "family.h"

enum { SC_SCORE_FUNCTION = 0, SC_LEAVE_ONE_OUT = 1 };

enum { SC_LEAST = 8 }; /* a last block of fewer samples joins the one before it */

typedef struct sc_estimator {
    int kind;
    int within;                       /* also estimate the variance inside each group */
    const double *baseline;           /* [n_problems] */
    const double *sample_baseline;    /* [n_samples][n_problems], or NULL */
    ptrdiff_t first_sample;           /* the sample that sample_baseline begins with */
    const double *parameter_baseline; /* [n_parameters], beyond `baseline`, or NULL */
} sc_estimator;

typedef struct sc_job {
    sc_family family;
    sc_cost cost;
    sc_estimator estimator;
    sc_stream stream;
    ptrdiff_t n_parameters;
    ptrdiff_t block_rows;
} sc_job;

/* Memory of one thread; NumPy's. */
typedef struct sc_scratch {
    void *y;           /* block_rows + SC_LEAST samples */
    double *costs;     /* their costs, [rows][n_problems] */
    double *j;         /* those of one problem */
    double *weight;    /* three numbers a row */
    double *histogram; /* three for each parameter of a problem */
    double *row;       /* n_sites */
} sc_scratch;

#endif
