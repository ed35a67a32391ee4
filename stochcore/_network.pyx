"""network: the parallel loops of a stack of layers, over memory that NumPy owns, and SciPy's BLAS."""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t

import numpy as np

from ._dispatch cimport (
    begin, finish, kernels, sc_cancel, sc_layer, sc_net, sc_net_chunk, sc_net_batch_stride, sc_net_planes,
    sc_sgemm, sc_step_scalars, sc_table, team,
)
from ._noise cimport stream_of

from ._networks import aligned

NO_UPDATE = -1  # a kind of step that leaves the parameters alone: only the gradient is wanted
LINEAR, LEAKY, TANH, DROPOUT, BERNOULLI, CATEGORICAL, NORMAL = range(7)
GIVEN, SQUARED, LIKELIHOOD, LABELS = range(4)  # costs at the end
CONSTANT, LEAVE_ONE_OUT, DISARM, STRAIGHT = range(4)  # rules for the scores

# What cython_blas says of sgemm: four floats in C's eyes, ints of 32 bits.
cdef object SIGNATURE = "void (char *, char *, int *, int *, int *, "

# A product of fewer multiplications than some 2^22 takes one thread less time than two need to meet.
cdef double SUMS_A_UNIT = 128


cdef sc_sgemm sgemm_of(object capsule) except *:
    """The pointer in SciPy's capsule."""
    cdef const char *name = PyCapsule_GetName(capsule)
    if not name.decode().startswith(SIGNATURE):
        raise ImportError(f"SciPy's sgemm has another signature here: {name.decode()}")
    return <sc_sgemm>PyCapsule_GetPointer(capsule, name)


cdef class Work:
    """A stack of layers with the scratch of one batch: what takes steps, or only looks."""

    cdef sc_net net
    cdef list layers, kept
    cdef public Py_ssize_t completed
    cdef readonly object cost, output, delta, gradient, average
    cdef double sums

    def __init__(self, object sgemm, list layers, const int64_t[:, ::1] chunks, const float[::1] parameters,
                 dict sizes):
        """`layers` holds a dict for each sc_layer, `sizes` numbers of sc_net; arrays by `look_at`."""
        cdef Py_ssize_t rows, most, bits
        self.kept = [parameters.base]
        self.net.sgemm = sgemm_of(sgemm)
        self.net.parameters = <float *>&parameters[0] if parameters.shape[0] else NULL
        self.net.n_layers, self.net.n_chunks = len(layers), chunks.shape[0]
        self.net.chunks = <const sc_net_chunk *>&chunks[0, 0] if chunks.shape[0] else NULL
        self.net.batch, self.net.n_samples = sizes["batch"], sizes["n_samples"]
        self.net.blocks, self.net.group, self.net.stride = sizes["blocks"], sizes["group"], sizes["stride"]
        self.net.rule, self.net.end, self.net.baseline = sizes["rule"], sizes["end"], sizes["baseline"]
        self.net.width = layers[0]["inputs"]
        self.kept.append(chunks.base)
        rows = self.net.batch * self.net.n_samples
        self.cost = np.zeros(rows)
        self.net.cost = <double *>self.address(self.cost)
        self.net.weight = <float *>self.address(aligned(rows, np.float32))
        self.net.x = <float *>self.address(aligned(self.net.batch * self.net.width, np.float32))
        self.net.squares = <double *>self.address(np.zeros(max(1, chunks.shape[0])))
        self.gradient = aligned(parameters.shape[0], np.float32)
        self.net.gradient = <float *>self.address(self.gradient)
        most = max(max(layer["inputs"], layer["outputs"]) for layer in layers)
        self.net.scratch_each = (5 * most + 23) // 8 * 8  # classes: logits, p, log p; or p, thresholds, k
        self.net.scratch = <double *>self.address(aligned(self.net.blocks * self.net.scratch_each, np.float64))
        if sizes["sparse"]:
            bits = sc_net_planes(&self.net) * sc_net_batch_stride(&self.net)
            self.net.bits = <uint32_t *>self.address(aligned(bits, np.uint32))
            bits = self.net.width * sc_net_batch_stride(&self.net) // 32
            self.net.columns = <uint32_t *>self.address(aligned(bits, np.uint32))
        self.average = np.zeros(2)  # of costs, and its weight: decay of sizes["decay"], none where that is 0
        self.place(layers)

    cdef void *address(self, object array) except? NULL:
        """Where an array's memory begins; the array is kept."""
        self.kept.append(array)
        return <void *><size_t>array.ctypes.data

    cdef int place(self, list layers) except -1:
        cdef sc_layer *it
        cdef Py_ssize_t i, batch = self.net.batch
        memory = np.zeros(len(layers) * sizeof(sc_layer), dtype=np.uint8)
        self.net.layers = <sc_layer *>self.address(memory)
        self.sums = 0.0
        values, delta = None, None
        for i, layer in enumerate(layers):
            it = &self.net.layers[i]
            it.kind, it.back, it.unit = layer["kind"], layer["back"], layer["unit"]
            it.inputs, it.outputs, it.classes = layer["inputs"], layer["outputs"], layer["classes"]
            it.before, it.after, it.number = layer["before"], layer["after"], layer["number"]
            it.weight, it.bias = layer["weight"], layer["bias"]
            it.noise = stream_of(layer["noise"])
            it.in_ = self.net.x if i == 0 else self.net.layers[i - 1].out
            it.delta_in = NULL if i == 0 else self.net.layers[i - 1].delta_out
            if not (layer["kind"] in (LEAKY, TANH) and i and layers[i - 1]["kind"] == LINEAR):
                values = aligned(batch * it.after * it.outputs, np.float32)
                delta = aligned(batch * it.after * it.outputs, np.float32) if layer["used"] else None
            it.out = <float *>self.address(values)
            it.delta_out = NULL if delta is None else <float *>self.address(delta)
            if layer["kind"] >= DROPOUT:
                units = layer["kind"] in (BERNOULLI, CATEGORICAL)
                own = aligned(batch * (it.before if units else it.after) * it.outputs, np.float32)
                it.own = <float *>self.address(own)
            if layer["kind"] == LINEAR:
                self.sums += <double>batch * it.after * it.inputs * it.outputs
        shape = batch * self.net.n_samples, layers[len(layers) - 1]["outputs"]
        self.output = values.reshape(shape)
        self.delta = None if delta is None else delta.reshape(shape)
        return 0

    def look_at(self, const float[:, ::1] data, const float[:, ::1] targets, const int64_t[::1] labels):
        """Let rows be those of these data; targets or labels, or neither (None)."""
        if data.shape[1] != self.net.width:
            raise ValueError("arrays of these shapes do not fit each other")
        self.net.data = &data[0, 0]
        self.kept.append(data.base)
        if targets is not None:
            self.net.targets, self.net.target_width = &targets[0, 0], targets.shape[1]
            self.kept.append(targets.base)
        if labels is not None:
            self.net.labels = &labels[0]
            self.kept.append(labels.base)

    def run(self, int kind, const double[:, ::1] scalars, uint64_t first_step, const int64_t[:, ::1] rows,
            float[:, ::1] moments, double[:, ::1] records, object n_threads, double decay, object judge):
        """Take a step for each row of `rows`, the batch's places in the data; return 0, or why it stopped.

        `completed` counts on. Where the cost is given, judge(rows of the step) writes `cost` and `delta`. With a
        `decay` above 0 the baseline is the moving average of the completed steps' costs.
        """
        cdef Py_ssize_t n_steps = rows.shape[0], step, i
        cdef Py_ssize_t blocks = self.net.blocks, chunks = self.net.n_chunks
        cdef int threads = team(n_threads, <Py_ssize_t>min(3 * self.sums / SUMS_A_UNIT, 1e15)), status = 0
        cdef bint given = judge is not None
        cdef const sc_table *t = kernels()
        cdef sc_net *net = &self.net
        cdef uint64_t noise
        cdef double squares
        cdef double[::1] average = self.average
        cdef float *m = &moments[0, 0]
        cdef float *v = &moments[1, 0]
        cdef sc_cancel cancel
        if not (
            rows.shape[1] == net.batch and scalars.shape[0] == n_steps == records.shape[0]
            and scalars.shape[1] == 6 and records.shape[1] == 3
            and moments.shape[0] == 2 and moments.shape[1] == len(self.gradient)
        ):
            raise ValueError("arrays of these shapes do not fit each other")
        begin(&cancel)
        for step in range(n_steps):
            noise = (first_step + <uint64_t>step) * <uint64_t>(net.batch * net.stride)
            if decay > 0.0 and average[1] > 0.0:
                net.baseline = average[0] / average[1]
            with nogil:
                if given:
                    for i in prange(blocks, num_threads=threads, schedule="static", chunksize=1):
                        t.net_forward(net, &rows[step, 0], noise, i, &cancel)
                else:
                    for i in prange(blocks, num_threads=threads, schedule="static", chunksize=1):
                        t.net_block(net, &rows[step, 0], noise, i, &cancel)
            if given:
                judge(np.asarray(rows[step]))
                with nogil:
                    for i in prange(blocks, num_threads=threads, schedule="static", chunksize=1):
                        t.net_backward(net, i, &cancel)
            with nogil:
                status = t.net_summarise(net, &cancel, &records[step, 0])
                if status == 0:
                    for i in prange(chunks, num_threads=threads, schedule="static", chunksize=1):
                        t.net_learn(net, i, kind, <const sc_step_scalars *>&scalars[step, 0], m, v)
            if status:
                break
            squares = 0.0
            for i in range(chunks):
                squares = squares + net.squares[i]
            records[step, 2] = sqrt(squares)
            if decay > 0.0:
                average[0] = decay * average[0] + (1.0 - decay) * records[step, 0]
                average[1] = decay * average[1] + (1.0 - decay)
            self.completed += 1
        finish(&cancel)
        return status

    def forward(self, const int64_t[::1] rows, uint64_t noise, object n_threads):
        """Let rows go forward as far as `output`, and `cost` where that is not given."""
        cdef int threads = team(n_threads, <Py_ssize_t>min(self.sums / SUMS_A_UNIT, 1e15))
        cdef Py_ssize_t blocks = self.net.blocks, i
        cdef const sc_table *t = kernels()
        cdef sc_net *net = &self.net
        cdef sc_cancel cancel
        if rows.shape[0] != net.batch:
            raise ValueError("arrays of these shapes do not fit each other")
        begin(&cancel)
        for i in prange(blocks, nogil=True, num_threads=threads, schedule="static", chunksize=1):
            t.net_forward(net, &rows[0], noise, i, &cancel)
        finish(&cancel)

    def values(self, Py_ssize_t layer):
        """What a layer put out, and what it keeps for the way back: read by tests."""
        cdef sc_layer *it = &self.net.layers[layer]
        cdef Py_ssize_t rows = self.net.batch * it.after
        out = np.array(<float[:rows * it.outputs]>it.out).reshape(rows, it.outputs)
        rows = self.net.batch * (it.before if it.kind in (BERNOULLI, CATEGORICAL) else it.after)
        own = None if it.own == NULL else np.array(<float[:rows * it.outputs]>it.own).reshape(rows, it.outputs)
        return out, own
