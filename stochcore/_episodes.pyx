"""episodes: who plays in which slot of an environment, and what is written down until it is replayed as a program."""

cimport numpy as cnp

import numpy as np
from cython.parallel cimport prange
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from ._dispatch cimport kernels, sc_episode, sc_episodes, sc_program, sc_recorder, sc_table, team
from ._noise cimport Address

from ._draw import rule

cnp.import_array()

cdef enum:
    FIRST_ROOM = 32  # steps
    WORK = 64  # elements that a decision counts as, besides its weights
    STEP = 32  # and as how many times less: threads meet at each step, which is to take a millisecond


cdef class Episodes:
    """Episodes(n_slots, n_features, n_actions, hidden, discount, most_steps, cuts)

    The slots of an environment and the notes on the episodes that are played there. Those of more than `most_steps` are
    cut off there, or refused.
    """
    cdef sc_episodes *c  # in `head`
    cdef sc_episode *ring
    cdef sc_recorder *recorders
    cdef sc_program program
    cdef Address stream
    cdef Py_ssize_t n_slots, n_ring, most_steps, started, lead
    cdef int64_t first
    cdef bint cuts
    cdef double[::1] theta, nothing
    cdef int64_t[::1] at
    cdef uint8_t[::1] over
    cdef readonly object head, playing

    def __cinit__(self):
        self.ring, self.recorders, self.n_ring = NULL, NULL, 0

    def __init__(self, Py_ssize_t n_slots, Py_ssize_t n_features, Py_ssize_t n_actions, Py_ssize_t hidden,
                 double discount, Py_ssize_t most_steps, bint cuts):
        cdef double[::1] head
        self.head = np.zeros(sizeof(sc_episodes) // 8)
        head = self.head
        self.c = <sc_episodes *>&head[0]
        self.c.policy.hidden, self.c.policy.n_actions, self.c.policy.n_features = hidden, n_actions, n_features
        self.c.discount = discount
        self.n_slots, self.most_steps, self.cuts = n_slots, most_steps, cuts
        self.recorders = <sc_recorder *>calloc(n_slots, sizeof(sc_recorder))
        if self.recorders == NULL:
            raise MemoryError
        self.playing = np.full(n_slots, -1)
        self.at = self.playing

    def __dealloc__(self):
        self.release()
        free(self.recorders)

    @property
    def entry(self):
        """Where the program stands that replays an episode; its x is `head`."""
        return <uintptr_t>kernels().replay

    def begin(self, double[::1] theta, Address stream, int64_t first, bint mirrored, Py_ssize_t n_ring):
        """Get ready for episodes 0, 1, ...: samples `first` and on of a stream, n_ring of them at a time at most."""
        if self.n_ring != n_ring:
            self.release()
            self.ring = <sc_episode *>calloc(n_ring, sizeof(sc_episode))
            if self.ring == NULL:
                raise MemoryError
            self.n_ring = n_ring
            self.over = np.zeros(n_ring, np.uint8)
        self.c.ring, self.c.n_ring = self.ring, n_ring
        self.theta, self.nothing = theta, np.empty(2 * theta.shape[0])
        memset(&self.program, 0, sizeof(sc_program))
        self.program.theta, self.program.n_theta = &theta[0], theta.shape[0]
        self.program.max_draws = (<int64_t>1) << 40
        self.stream, self.first, self.started, self.lead = stream, first, 0, 0
        self.c.first, self.c.mirrored = stream.c.offset + <uint64_t>(first // 2 if mirrored else first), mirrored
        self.c.antithetic = stream.c.antithetic
        self.playing[:] = -1

    def start(self, const int64_t[::1] slots):
        """The next episodes begin in these slots."""
        cdef Py_ssize_t i, n = self.program.n_theta
        cdef uint64_t number
        cdef sc_recorder *r
        cdef Address own = self.stream
        cdef Address opposite = self.stream._replace(antithetic=not self.c.antithetic) if self.c.mirrored else None
        cdef const sc_table *t = kernels()
        for i in range(slots.shape[0]):
            r, number = &self.recorders[slots[i]], self.started
            r.draw.table, r.learning = &t.draw, True
            if self.c.mirrored:
                own, number = (opposite if self.started & 1 else self.stream), self.started // 2
            t.recorder_begin(r, &self.program, &own.c, self.c.first - own.c.offset + number, &self.nothing[0],
                             &self.nothing[n])
            self.ring[self.started % self.n_ring].n_steps = 0
            self.over[self.started % self.n_ring] = False
            self.at[slots[i]] = self.started
            self.started += 1

    def act(self, const double[:, ::1] features, int64_t[::1] actions, object n_threads):
        """Write down what is seen, shape (n_slots, n_features), and say what is done, 0 .. n_actions - 1."""
        cdef Py_ssize_t s, f, d = self.c.policy.n_features
        cdef int threads = team(n_threads, self.n_slots * (WORK + self.program.n_theta) // STEP)
        cdef const sc_table *t = kernels()
        cdef sc_episode *e
        cdef double *seen
        if features.shape[0] != self.n_slots or features.shape[1] != d or actions.shape[0] != self.n_slots:
            raise ValueError(f"`features` must have shape {(self.n_slots, d)}, got {np.shape(features)}")
        for s in range(self.n_slots):
            if self.at[s] < 0:
                continue
            e = &self.ring[self.at[s] % self.n_ring]
            if e.n_steps == e.room:
                self.widen(e)
            seen = e.features + e.n_steps * d
            memcpy(seen, &features[s, 0], d * sizeof(double))
            for f in range(d):
                if not isfinite(seen[f]):
                    raise ValueError(f"observations must be finite, got {seen[f]} {self.where(s)}")
        if threads > 1:
            for s in prange(self.n_slots, nogil=True, num_threads=threads, schedule="static"):
                actions[s] = act_one(t, self.c, &self.recorders[s], self.at[s])
        else:
            for s in range(self.n_slots):
                actions[s] = act_one(t, self.c, &self.recorders[s], self.at[s])
        for s in range(self.n_slots):
            if self.at[s] >= 0 and self.recorders[s].status:
                error = rule(self.recorders[s].status, self.recorders[s].got, self.program.n_theta)
                raise type(error)(f"{error} {self.where(s)}")

    def pay(self, const double[::1] rewards, const uint8_t[::1] over):
        """Write down minus the rewards; return how many episodes have ended."""
        cdef Py_ssize_t s, ended = 0
        cdef sc_episode *e
        for s in range(self.n_slots):
            if self.at[s] < 0:
                continue
            e = &self.ring[self.at[s] % self.n_ring]
            if not isfinite(rewards[s]):
                raise ValueError(f"rewards must be finite, got {rewards[s]} {self.where(s)}")
            e.costs[e.n_steps] = -rewards[s]
            e.n_steps += 1
            if not over[s] and e.n_steps >= self.most_steps and not self.cuts:
                raise RuntimeError(
                    f"episode {self.first + self.at[s]} has made {e.n_steps} steps and goes on: give `max_steps`, "
                    "where it is to be cut off"
                )
            if over[s] or e.n_steps >= self.most_steps:
                self.over[self.at[s] % self.n_ring] = True
                self.at[s] = -1
                ended += 1
        return ended

    def complete(self):
        """Return how many episodes have ended of those before which none goes on."""
        while self.lead < self.started and self.over[self.lead % self.n_ring]:
            self.lead += 1
        return self.lead

    def held(self):
        """Return how many numbers there is room for in the notes."""
        cdef Py_ssize_t i, total = 0
        for i in range(self.n_ring):
            total += self.ring[i].room * (self.c.policy.n_features + 1)
        return total

    def release(self):
        """Give memory back."""
        cdef Py_ssize_t i
        for i in range(self.n_ring):
            free(self.ring[i].features)
            free(self.ring[i].costs)
        free(self.ring)
        self.ring, self.n_ring = NULL, 0

    cdef int widen(self, sc_episode *e) except -1:
        cdef Py_ssize_t room = max(FIRST_ROOM, 2 * e.room)
        cdef void *features = realloc(e.features, room * self.c.policy.n_features * sizeof(double))
        if features == NULL:
            raise MemoryError
        e.features = <double *>features
        cdef void *costs = realloc(e.costs, room * sizeof(double))
        if costs == NULL:
            raise MemoryError
        e.costs, e.room = <double *>costs, room
        return 0

    cdef object where(self, Py_ssize_t slot):
        return f"in step {self.ring[self.at[slot] % self.n_ring].n_steps} of episode {self.first + self.at[slot]}"


cdef int64_t act_one(const sc_table *t, const sc_episodes *c, sc_recorder *r, int64_t number) noexcept nogil:
    """What the episode in this slot does; 0 where there is none."""
    if number < 0:
        return 0
    cdef const sc_episode *e = &c.ring[number % c.n_ring]
    return t.act(&r.draw, &c.policy, e.features + e.n_steps * c.policy.n_features)
