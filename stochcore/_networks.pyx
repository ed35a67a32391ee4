"""networks: the training loop of a layer of Bernoulli units, its bound, and its single layers."""

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint64_t

import numpy as np

from ._dispatch cimport (
    SC_VAE_IMAGES, begin, finish, kernels, sc_cancel, sc_step_scalars, sc_stream, sc_table, sc_vae,
    sc_vae_blocks, sc_vae_chunks, sc_vae_place, sc_vae_size, sc_vae_tiles, sc_vae_work, team,
)
from ._noise cimport stream_of

NO_UPDATE = -1  # a kind of step that leaves the parameters alone: only the gradient is wanted

cdef Py_ssize_t SLOTS = 64  # blocks of images whose bound is worked out at a time: this bounds the memory

# A step's three parallel loops cost microseconds, and milliseconds on a busy machine: one thread takes steps of
# fewer than about 2^22 sums, which it does in 0.2 ms. `team` counts in smaller change.
cdef double SUMS_A_UNIT = 128


def aligned(Py_ssize_t n, dtype):
    """Return n zeros that begin at a line of the cache (64 bytes)."""
    size = np.dtype(dtype).itemsize * n
    raw = np.zeros(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + size].view(dtype)


cdef class Network:
    """Parameters in the kernels' layout (csrc/vae.h), with the arrays behind the pointers."""

    cdef sc_vae vae
    cdef readonly Py_ssize_t n_visible, n_latents, visible_stride, latent_stride
    cdef readonly object parameters, mean

    def __init__(self, Py_ssize_t n_visible, Py_ssize_t n_latents):
        cdef float[::1] parameters, mean
        self.n_visible, self.n_latents = n_visible, n_latents
        self.visible_stride, self.latent_stride = (n_visible + 15) // 16 * 16, (n_latents + 15) // 16 * 16
        self.vae.n_visible, self.vae.n_latents = n_visible, n_latents
        self.vae.visible_stride, self.vae.latent_stride = self.visible_stride, self.latent_stride
        self.parameters = parameters = aligned(sc_vae_size(&self.vae), np.float32)
        self.mean = mean = aligned(self.visible_stride, np.float32)
        self.vae.parameters, self.vae.mean = &parameters[0], &mean[0]

    def copy(self):
        """Return the same network in memory of its own."""
        other = Network(self.vae.n_visible, self.vae.n_latents)
        other.parameters[:], other.mean[:] = self.parameters, self.mean
        return other

    cdef int threads(self, object n_threads, double images, double n_samples) except -1:
        return team(n_threads, <Py_ssize_t>min(
            self.vae.n_visible * images * self.vae.n_latents * (n_samples + 1) / SUMS_A_UNIT, 1e15))


cdef class Descent:
    """Steps that move a network: data, noise, scratch, and how many steps are done."""

    cdef sc_vae_work work
    cdef Network network
    cdef object data, scratch
    cdef public Py_ssize_t completed

    def __init__(self, Network network, const float[:, ::1] data, Py_ssize_t batch, Py_ssize_t n_samples,
                 int kind, double baseline, object pixels, object latents):
        cdef unsigned char[::1] scratch
        self.network, self.data = network, data.base
        self.work.vae = network.vae
        self.work.batch, self.work.n_samples = batch, n_samples
        self.work.kind, self.work.baseline = kind, baseline
        self.work.data = &data[0, 0]
        self.work.pixels, self.work.latents = stream_of(pixels), stream_of(latents)
        self.scratch = scratch = aligned(sc_vae_place(&self.work, NULL), np.uint8)
        sc_vae_place(&self.work, <char *>&scratch[0])

    def run(self, int kind, const double[:, ::1] scalars, uint64_t first_step, const int64_t[:, ::1] rows,
            float[:, ::1] moments, double[:, ::1] records, object n_threads):
        """Take a step for each row of `rows`, the batch's places in the data; return 0, or why it stopped.

        `completed` counts on. Signals are handled here alone, so that they find a step done or not begun.
        """
        cdef Py_ssize_t n_steps = rows.shape[0], step, i
        cdef Py_ssize_t blocks = sc_vae_blocks(&self.work), chunks = sc_vae_chunks(&self.work.vae)
        cdef Py_ssize_t tiles = sc_vae_tiles(&self.work.vae)
        cdef int threads = self.network.threads(n_threads, self.work.batch, self.work.n_samples), status = 0
        cdef const sc_table *t = kernels()
        cdef sc_vae_work *work = &self.work
        cdef const sc_step_scalars *s
        cdef uint64_t number
        cdef double squares
        cdef float *m = &moments[0, 0]
        cdef float *v = &moments[1, 0]
        cdef sc_cancel cancel
        if not (
            rows.shape[1] == work.batch and scalars.shape[0] == n_steps == records.shape[0]
            and scalars.shape[1] == 6 and records.shape[1] == 3
            and moments.shape[0] == 2 and moments.shape[1] == sc_vae_size(&work.vae)
        ):
            raise ValueError("arrays of these shapes do not fit each other")
        begin(&cancel)
        with nogil:
            for step in range(n_steps):
                number = (first_step + <uint64_t>step) * <uint64_t>work.batch
                s = <const sc_step_scalars *>&scalars[step, 0]
                t.vae_prepare(work, step == 0)
                for i in prange(blocks, num_threads=threads, schedule="dynamic"):
                    t.vae_forward(work, &rows[step, 0], number, i, &cancel)
                t.vae_turn(work)
                for i in prange(tiles, num_threads=threads, schedule="dynamic"):
                    t.vae_decode(work, i, &cancel)
                status = t.vae_summarise(work, &cancel, &records[step, 0])
                if status:
                    break
                for i in prange(chunks, num_threads=threads, schedule="dynamic"):
                    t.vae_learn(work, i, kind, s, m, v)
                squares = 0.0
                for i in range(chunks):
                    squares = squares + work.squares[i]
                records[step, 2] = sqrt(squares)
                self.completed += 1
        finish(&cancel)
        return status

    def gradient(self):
        """Return the gradient of the last step, laid out as the parameters."""
        cdef Py_ssize_t n = sc_vae_size(&self.work.vae)
        return np.array(<float[:n]>self.work.gradient)


cdef void bound_slot(const sc_table *t, const sc_vae_work *work, const int64_t *rows, Py_ssize_t n,
                     Py_ssize_t slot, Py_ssize_t slots, Py_ssize_t n_draws, sc_cancel *cancel, double *mean,
                     double *squares) noexcept nogil:
    cdef Py_ssize_t first = slot * SC_VAE_IMAGES, count
    while first < n:
        count = min(<Py_ssize_t>SC_VAE_IMAGES, n - first)
        if t.vae_bound(work, rows, n, first, count, n_draws, cancel, mean, squares):
            return
        first += slots * SC_VAE_IMAGES


def bound(Network network, const float[:, ::1] data, Py_ssize_t n_draws, object pixels, object latents,
          object n_threads):
    """Return, for each image, the mean of `n_draws` bounds and the sum of their squared deviations."""
    cdef Py_ssize_t n = data.shape[0], slots = min(SLOTS, (n + SC_VAE_IMAGES - 1) // SC_VAE_IMAGES), each, i
    cdef int threads = network.threads(n_threads, <double>n * n_draws, 1)
    cdef const sc_table *t = kernels()
    cdef const int64_t[::1] rows = np.arange(n)
    cdef double[::1] mean = np.empty(n), squares = np.empty(n)
    cdef unsigned char[::1] memory, scratch
    cdef sc_vae_work *works
    cdef sc_cancel cancel
    memory = aligned(slots * sizeof(sc_vae_work), np.uint8)
    works = <sc_vae_work *>&memory[0]
    works[0].vae, works[0].data = network.vae, &data[0, 0]
    works[0].batch, works[0].n_samples = SC_VAE_IMAGES, 1
    works[0].pixels, works[0].latents = stream_of(pixels), stream_of(latents)
    each = sc_vae_place(works, NULL)
    scratch = aligned(slots * each, np.uint8)
    for i in range(slots):
        works[i] = works[0]
        sc_vae_place(&works[i], <char *>&scratch[i * each])
        t.vae_prepare(&works[i], 1)
    begin(&cancel)
    for i in prange(slots, nogil=True, num_threads=threads, schedule="static", chunksize=1):
        bound_slot(t, &works[i], &rows[0], n, i, slots, n_draws, &cancel, &mean[0], &squares[0])
    finish(&cancel)
    return np.asarray(mean), np.asarray(squares)


def affine(object x, object weight, object bias, object centre, bint sigmoid):
    """Return x W + b, with a centre 2 (x - centre) W + b, or its sigmoid: sums in order, in float32."""
    cdef Py_ssize_t inner = weight.shape[0], outputs = weight.shape[1], stride = (outputs + 15) // 16 * 16
    cdef const sc_table *t = kernels()
    cdef float[:, ::1] W = np.pad(weight, [(0, 0), (0, stride - outputs)])
    cdef float[::1] start = np.pad(bias, (0, stride - outputs)), offset = start
    cdef const float[:, ::1] rows = np.ascontiguousarray(x if centre is None else 2 * x)
    cdef const float[::1] minus
    cdef float[:, ::1] out = np.empty((rows.shape[0], stride), dtype=np.float32)
    if centre is not None:
        minus, offset = -2 * centre, np.empty(stride, dtype=np.float32)
        t.affine32(1, inner, stride, &minus[0], &W[0, 0], &start[0], 0, &offset[0])
    t.affine32(rows.shape[0], inner, stride, &rows[0, 0], &W[0, 0], &offset[0], sigmoid, &out[0, 0])
    return np.ascontiguousarray(np.asarray(out)[:, :outputs])


def bernoulli(object stream, const float[:, ::1] p):
    """Return 1 where k < T(p), else 0, as float32; elements in C order."""
    cdef sc_stream s = stream_of(stream)
    cdef float[:, ::1] out = np.empty((p.shape[0], p.shape[1]), dtype=np.float32)
    kernels().bernoulli32(&s, 0, p.shape[0] * p.shape[1], &p[0, 0], &out[0, 0])
    return np.asarray(out)
