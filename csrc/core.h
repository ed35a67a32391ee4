/* Status codes and the few words that every kernel shares. A kernel returns 0 or one of these; it never allocates,
 * never prints, never calls Python. Where a code needs a place (which sample was it?), the kernel says so in its
 * own argument. */
#ifndef SC_CORE_H
#define SC_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "stochcore.h"

enum {
    SC_OK = 0,
    SC_CANCELLED = -1,       /* the caller asked to stop (Ctrl-C, or another block failed) */
    SC_COST_NOT_FINITE = -2, /* J of some sample is NaN or infinite */
    SC_COST_NOT_BITS = -3,   /* a cost of bits was given something else */
};

#define SC_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SC_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
