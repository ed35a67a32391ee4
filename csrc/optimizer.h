/* One step of an optimiser, for the kernels. What depends on the number of the step (the schedule, Adam's bias
 * corrections) is worked out by the host, so that a run of steps needs one array of these and no Python in between. */
#ifndef SC_OPTIMIZER_H
#define SC_OPTIMIZER_H

enum { SC_SGD = 0, SC_MOMENTUM = 1, SC_RMSPROP = 2, SC_ADAM = 3 };

typedef struct sc_step_scalars {
    double rate;        /* learning rate of this step */
    double decay1;      /* of the first moment (Adam), or of the velocity (Momentum) */
    double decay2;      /* of the second moment (Adam, RMSProp) */
    double correction1; /* Adam: 1 / (1 - decay1^t) */
    double correction2; /* Adam: 1 / (1 - decay2^t) */
    double epsilon;
} sc_step_scalars;

#endif
