/* Cancellation: one flag that every worker looks at, at block borders and inside long rows.
 *
 * The calling thread is a worker too, so it cannot wait for signals: at its own borders, at most every 10 ms, it asks
 * the host (for Python: PyErr_CheckSignals) through `poll`. A non-zero answer raises the flag; the others see it at
 * their next border. A block that fails raises the same flag with its own code, so nobody works on for nothing.
 */
#ifndef SC_CANCEL_H
#define SC_CANCEL_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct sc_cancel {
    atomic_int status;  /* SC_OK until somebody stops the work */
    int (*poll)(void);  /* asked by the calling thread only; may be NULL */
    const void *caller; /* which thread that is */
    int64_t next_poll;  /* in nanoseconds */
} sc_cancel;

void sc_cancel_begin(sc_cancel *cancel, int (*poll)(void)); /* by the calling thread, before the parallel loop */
int sc_cancel_poll(sc_cancel *cancel);                      /* the slow half of sc_cancelled */

/* Between calls of a function that may take a nanosecond or a minute. A look at the clock takes longer than a
 * nanosecond: as long as that many calls together took no time that it can see, the next look comes after twice as many,
 * at most 16. */
typedef struct sc_patience {
    int calls, left;
    int64_t since;
} sc_patience;

int sc_cancel_look(sc_cancel *cancel, sc_patience *patience);

static inline void sc_cancel_raise(sc_cancel *cancel, int status)
{
    int expected = 0;
    atomic_compare_exchange_strong(&cancel->status, &expected, status); /* the first one to fail is the one reported */
}

/* 0, or the status for which to stop. */
static inline int sc_cancelled(sc_cancel *cancel)
{
    int status = atomic_load_explicit(&cancel->status, memory_order_relaxed);
    return status ? status : cancel->poll ? sc_cancel_poll(cancel) : 0;
}

/* The same before each of many calls; begin with {0}. */
static inline int sc_cancelled_between(sc_cancel *cancel, sc_patience *patience)
{
    if (--patience->left > 0) return atomic_load_explicit(&cancel->status, memory_order_relaxed);
    return sc_cancel_look(cancel, patience);
}

#endif
