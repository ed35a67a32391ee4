"""network: the parallel loops of a network, over memory that NumPy owns, and SciPy's BLAS."""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t

import numpy as np

from ._dispatch cimport (
    SC_NET_DOTS, SC_NET_MIX, begin, finish, kernels, sc_cancel, sc_layer, sc_level, sc_net, sc_net_batch_stride,
    sc_net_chunk, sc_net_end, sc_net_every, sc_net_lines, sc_net_planes, sc_net_source, sc_sgemm, sc_step_scalars,
    sc_table, team,
)
from ._noise cimport stream_of

from ._networks import aligned

NO_UPDATE = -1  # a kind of step that leaves the parameters alone: only the gradient is wanted
LINEAR, LEAKY, TANH, DROPOUT, BERNOULLI, CATEGORICAL, NORMAL = range(7)
GIVEN, SQUARED, LIKELIHOOD, LABELS = range(4)  # costs at the end
CONSTANT, LEAVE_ONE_OUT, DISARM, STRAIGHT, VIMCO, NVIL, ARM, LOCAL, GUMBEL, DOUBLE, RODEO = range(11)  # for scores

# What cython_blas says of sgemm: four floats in C's eyes, ints of 32 bits.
cdef object SIGNATURE = "void (char *, char *, int *, int *, int *, "

# A step's loops meet twice or more: microseconds, and 10 to 30 ms where another process holds a core. One thread takes
# steps of fewer than 2^24 sums, which it does in 0.8 ms. Of a batch in one block only the chunks go over threads; there
# two gain nothing below some 2^25 sums and a tenth at 2^26: one thread takes fewer than these. `team` counts in units.
cdef double SUMS_A_UNIT = 512
cdef double OF_ONE_BLOCK = 0.25


def sums_a_unit(double sums):
    """Let a unit of work be so many sums, and return how many it was: tests want teams for small steps."""
    global SUMS_A_UNIT
    before, SUMS_A_UNIT = SUMS_A_UNIT, sums
    return before


cdef sc_sgemm sgemm_of(object capsule) except *:
    """The pointer in SciPy's capsule."""
    cdef const char *name = PyCapsule_GetName(capsule)
    if not name.decode().startswith(SIGNATURE):
        raise ImportError(f"SciPy's sgemm has another signature here: {name.decode()}")
    return <sc_sgemm>PyCapsule_GetPointer(capsule, name)


cdef class Work:
    """A network with the scratch of one batch: what takes steps, or only looks.

    `layers` holds a dict for each sc_layer, with the number of the layer that it takes (-1: the input); `ends` one for
    each sc_net_end, with the number of the layer that is its output, and that of its target (-1: the input, None:
    `look_at` gives it); `rows` those of each level; `sizes` numbers of sc_net, and the numbers of the layers that
    foretell the costs of levels, `baselines`, three of a net and after all others.
    """

    cdef sc_net net
    cdef list kept
    cdef public Py_ssize_t completed
    cdef readonly object cost, mean, output, delta, gradient, average
    cdef readonly Py_ssize_t every  # one of so many rows of the last level is a sample
    cdef double sums
    cdef Py_ssize_t own  # layers of the model itself
    cdef tuple first_mix  # coefficients of a first step

    def __init__(self, object sgemm, list layers, list ends, list rows, const int64_t[:, ::1] chunks,
                 const float[::1] parameters, dict sizes):
        self.kept = [parameters.base, chunks.base]
        self.net.sgemm = sgemm_of(sgemm)
        self.net.parameters = <float *>&parameters[0] if parameters.shape[0] else NULL
        self.net.chunks = <const sc_net_chunk *>&chunks[0, 0] if chunks.shape[0] else NULL
        self.net.n_layers, self.net.n_chunks = len(layers), chunks.shape[0]
        self.net.n_ends, self.net.n_levels = len(ends), len(rows)
        self.net.batch, self.net.blocks = sizes["batch"], sizes["blocks"]
        self.net.groups, self.net.stride = sizes["groups"], sizes["stride"]
        self.net.rule, self.net.factor, self.net.width = sizes["rule"], sizes["factor"], sizes["width"]
        self.net.binary = sizes["pixels"] is not None
        self.first_mix = sizes["mix"]
        if self.net.binary:
            self.net.pixels = stream_of(sizes["pixels"])
        self.scratch(max(max(layer["inputs"], layer["outputs"]) for layer in layers), sizes["sparse"])
        self.gradient = aligned(parameters.shape[0], np.float32)
        self.net.gradient = <float *>self.address(self.gradient)
        self.own = len(layers) - 3 * len(sizes["baselines"])
        self.place(layers, self.own - 1)
        self.rise(rows, sizes["baseline"])
        self.foretell(sizes["baselines"], sizes["normalise"])
        self.conclude(ends)

    cdef void *address(self, object array) except? NULL:
        """Where an array's memory begins; the array is kept."""
        self.kept.append(array)
        return <void *><size_t>array.ctypes.data

    cdef float *floats(self, Py_ssize_t n) except? NULL:
        return <float *>self.address(aligned(n, np.float32))

    cdef int scratch(self, Py_ssize_t most, bint sparse) except -1:
        """The arrays of the batch; `most` is the width of the widest row."""
        cdef Py_ssize_t batch = self.net.batch
        self.mean = np.zeros(batch)
        self.net.mean = <double *>self.address(self.mean)
        self.net.share = <double *>self.address(np.zeros(batch * self.net.groups))
        self.net.x = self.floats(batch * self.net.width)
        self.net.squares = <double *>self.address(np.zeros(max(1, self.net.n_chunks)))
        self.net.scratch_each = (5 * most + 23) // 8 * 8  # classes: logits, p, log p; or p, thresholds, k
        if self.net.rule == RODEO:  # sc_stein: 5 numbers a sample, two rows, and one a sample
            self.net.scratch_each = ((5 + most // 2 + 1) * self.net.groups + most + 23) // 8 * 8
            self.net.mix = <double *>self.address(np.array(self.first_mix))
            self.net.dots = <double *>self.address(np.zeros(batch * SC_NET_DOTS))
        self.net.scratch = <double *>self.address(aligned(self.net.blocks * self.net.scratch_each, np.float64))
        if sparse:
            bits = sc_net_planes(&self.net) * sc_net_batch_stride(&self.net)
            self.net.bits = <uint32_t *>self.address(aligned(bits, np.uint32))
            bits = self.net.width * sc_net_batch_stride(&self.net) // 32
            self.net.columns = <uint32_t *>self.address(aligned(bits, np.uint32))
        return 0

    cdef int place(self, list layers, Py_ssize_t output) except -1:
        """Layers, with what they put out and the gradient by that; `output` is the number of the last one."""
        cdef sc_layer *it
        cdef Py_ssize_t i, batch = self.net.batch
        memory = np.zeros(len(layers) * sizeof(sc_layer), dtype=np.uint8)
        self.net.layers = <sc_layer *>self.address(memory)
        self.sums = 0.0
        values, delta, every = None, None, []
        for i, layer in enumerate(layers):
            it = &self.net.layers[i]
            it.kind, it.back, it.unit = layer["kind"], layer["back"], layer["unit"]
            it.inputs, it.outputs, it.classes = layer["inputs"], layer["outputs"], layer["classes"]
            it.before, it.after, it.number = layer["before"], layer["after"], layer["number"]
            it.weight, it.bias = layer["weight"], layer["bias"]
            it.noise = stream_of(layer["noise"])
            source = layer["source"]
            it.in_ = self.net.x if source < 0 else self.net.layers[<Py_ssize_t>source].out
            it.delta_in = NULL if source < 0 else self.net.layers[<Py_ssize_t>source].delta_out
            if not (layer["kind"] in (LEAKY, TANH) and source >= 0 and layers[source]["kind"] == LINEAR):
                values = aligned(batch * it.after * it.outputs, np.float32)
                delta = aligned(batch * it.after * it.outputs, np.float32) if layer["used"] else None
            every.append((values, delta))
            it.out = <float *>self.address(values)
            it.delta_out = NULL if delta is None else <float *>self.address(delta)
            if layer["kind"] >= DROPOUT:
                units = layer["kind"] in (BERNOULLI, CATEGORICAL)
                it.own = self.floats(batch * (it.before if units else it.after) * it.outputs)
                if self.net.rule == ARM and units:
                    it.kept = self.floats(batch * self.net.groups * it.outputs)
            if layer["centre"] is not None:
                centre = aligned(it.inputs, np.float32)
                centre[:] = layer["centre"]
                it.centre = <const float *>self.address(centre)
                it.offset, it.sum = self.floats(it.outputs), self.floats(it.outputs)
            if layer["bits"]:
                self.take_bits(it, &self.net.layers[<Py_ssize_t>source])
            if layer["kind"] == LINEAR:
                self.sums += <double>batch * it.after * it.inputs * it.outputs
        it = &self.net.layers[output]
        shape, (values, delta) = (batch * it.after, it.outputs), every[output]
        self.output = values.reshape(shape)
        self.delta = None if delta is None else delta.reshape(shape)
        return 0

    cdef int take_bits(self, sc_layer *it, sc_layer *units) except -1:
        """Let a linear layer take the bits of units."""
        cdef Py_ssize_t lines = sc_net_lines(&self.net, units.after)
        if units.bits == NULL:
            units.bits = <uint32_t *>self.address(aligned((units.outputs + 31) // 32 * lines, np.uint32))
            units.columns = <uint32_t *>self.address(aligned(units.outputs * (lines // 32), np.uint32))
        it.bits, it.columns = units.bits, units.columns
        return 0

    cdef int rise(self, list rows, double baseline) except -1:
        """Levels, with their costs."""
        cdef Py_ssize_t i
        self.net.levels = <sc_level *>self.address(np.zeros(len(rows) * sizeof(sc_level), dtype=np.uint8))
        for i, each in enumerate(rows):
            self.cost = np.zeros(self.net.batch * each)
            self.net.levels[i].rows, self.net.levels[i].baseline = each, baseline
            self.net.levels[i].cost = <double *>self.address(self.cost)
            self.net.levels[i].weight = self.floats(self.net.batch * each)
            self.net.levels[i].spread = 1.0
        self.every = sc_net_every(&self.net, &self.net.levels[len(rows) - 1])
        return 0

    cdef int foretell(self, tuple baselines, bint normalise) except -1:
        """What foretells the costs of levels, and averages: those costs, their weight; squared spreads, or `share`."""
        cdef sc_layer *layer
        cdef Py_ssize_t i, levels = self.net.n_levels
        more = {DOUBLE: 2, RODEO: SC_NET_DOTS}.get(self.net.rule, levels if normalise else 0)
        self.average = np.zeros(levels + 1 + more)
        for i in range(len(baselines)):
            layer = &self.net.layers[<Py_ssize_t>baselines[i]]
            self.net.levels[i + 1].seen = layer.after
            self.net.levels[i + 1].predicted, self.net.levels[i + 1].by_predicted = layer.out, layer.delta_out
        return 0

    cdef int conclude(self, list ends) except -1:
        """Ends, between what layers put out."""
        cdef sc_net_end *it
        cdef sc_layer *layer
        cdef Py_ssize_t i
        self.net.ends = <sc_net_end *>self.address(np.zeros(len(ends) * sizeof(sc_net_end), dtype=np.uint8))
        for i, end in enumerate(ends):
            it = &self.net.ends[i]
            layer = &self.net.layers[<Py_ssize_t>end["output"]]
            it.kind, it.level, it.sign, it.width = end["kind"], end["level"], end["sign"], layer.outputs
            it.outputs, it.output = layer.after, layer.out
            it.delta = layer.delta_out if end["sign"] > 0 else NULL
            if end["target"] is None:
                continue
            it.targets, it.target = 1, self.net.x
            if end["target"] >= 0:
                layer = &self.net.layers[<Py_ssize_t>end["target"]]
                it.targets, it.target = layer.after, layer.out
        return 0

    def look_at(self, const float[:, ::1] data, const float[:, ::1] targets, const int64_t[::1] labels):
        """Let rows be those of these data; targets or labels of the only end, or neither (None)."""
        if data.shape[1] != self.net.width or (targets is not None and targets.shape[1] != self.net.ends[0].width):
            raise ValueError("arrays of these shapes do not fit each other")
        self.net.data = &data[0, 0]
        self.kept.append(data.base)
        if targets is not None:
            self.net.ends[0].target = &targets[0, 0]
            self.kept.append(targets.base)
        if labels is not None:
            self.net.ends[0].labels = &labels[0]
            self.kept.append(labels.base)

    def run(self, int kind, const double[:, ::1] scalars, uint64_t first_step, const int64_t[:, ::1] rows,
            float[:, ::1] moments, double[:, ::1] records, object n_threads, double decay, object judge):
        """Take a step for each row of `rows`, the batch's places in the data; return 0, or why it stopped.

        `completed` counts on. Where the cost is given, judge(rows of the step) writes `cost` and `delta`. With a
        `decay` of at least 0 the baselines are the moving averages of the completed steps' costs, level by level.
        """
        cdef Py_ssize_t n_steps = rows.shape[0], step, i
        cdef Py_ssize_t blocks = self.net.blocks, chunks = self.net.n_chunks
        cdef double share = 1.0 if blocks > 1 else OF_ONE_BLOCK
        cdef int threads = team(n_threads, <Py_ssize_t>min(3 * self.sums * share / SUMS_A_UNIT, 1e15)), status = 0
        cdef bint given = judge is not None
        cdef const sc_table *t = kernels()
        cdef sc_net *net = &self.net
        cdef uint64_t noise
        cdef double squares
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
            if decay >= 0.0:
                self.recall()
            with nogil:
                t.net_prepare(net)
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
                if net.chunks[i].layer < self.own:
                    squares = squares + net.squares[i]
            records[step, 2] = sqrt(squares)
            if decay >= 0.0:
                self.remember(decay)
            self.completed += 1
        finish(&cancel)
        return status

    cdef void recall(self):
        """Let baselines be the averages, once there are any."""
        cdef double[::1] average = self.average
        cdef Py_ssize_t i, last = self.net.n_levels
        for i in range(last):
            if average[last] > 0.0:
                self.net.levels[i].baseline = average[i] / average[last]
                if self.net.rule == NVIL and len(average) > last + 1:
                    self.net.levels[i].spread = max(1.0, sqrt(average[last + 1 + i] / average[last]))

        if self.net.rule == DOUBLE and average[last + 2] > 0.0:
            self.net.factor = -average[last + 1] / average[last + 2]
        if self.net.rule == RODEO and average[last] > 0.0:
            self.mix(&average[last + 1])

    cdef void mix(self, const double *dots) noexcept:
        """Solve for the coefficients, what is no more than a mix of those before left out (0)."""
        cdef double[SC_NET_MIX][SC_NET_MIX + 1] row
        cdef double[SC_NET_MIX] size
        cdef double ratio
        cdef Py_ssize_t i, j, k, at = SC_NET_MIX
        for i in range(SC_NET_MIX):
            size[i] = sqrt(dots[at + i])
            for j in range(i + 1):  # of unit length: the pivots are what the ones before do not explain
                ratio = size[i] * size[j]
                row[i][j] = row[j][i] = dots[at + j] / ratio if ratio > 0.0 else 0.0
            row[i][SC_NET_MIX] = -dots[i] / size[i] if size[i] > 0.0 else 0.0
            at += i + 1
        for k in range(SC_NET_MIX):
            if row[k][k] < 1e-6:
                for j in range(SC_NET_MIX + 1):
                    row[k][j] = 0.0
                for i in range(SC_NET_MIX):
                    row[i][k] = 0.0
                continue
            for i in range(k + 1, SC_NET_MIX):
                ratio = row[i][k] / row[k][k]
                for j in range(k, SC_NET_MIX + 1):
                    row[i][j] = row[i][j] - ratio * row[k][j]
        for k in range(SC_NET_MIX - 1, -1, -1):
            ratio = row[k][SC_NET_MIX]
            for j in range(k + 1, SC_NET_MIX):
                ratio = ratio - row[k][j] * row[j][SC_NET_MIX]
            row[k][SC_NET_MIX] = ratio / row[k][k] if row[k][k] > 0.0 else 0.0
            self.net.mix[k] = row[k][SC_NET_MIX] / size[k] if size[k] > 0.0 else 0.0

    cdef void remember(self, double decay):
        """Let the averages see a step that is over."""
        cdef double[::1] average = self.average
        cdef Py_ssize_t i, k, row, last = self.net.n_levels
        cdef sc_level *it
        cdef double sum, mean
        for i in range(last):
            it, sum = &self.net.levels[i], 0.0
            for k in range(self.net.batch):
                mean = 0.0
                for row in range(k * it.rows, (k + 1) * it.rows):
                    mean = mean + it.cost[row] / <double>it.rows
                sum = sum + mean
            average[i] = decay * average[i] + (1.0 - decay) * (sum / <double>self.net.batch)
            if self.net.rule == NVIL and len(average) > last + 1 and it.seen:
                average[last + 1 + i] = decay * average[last + 1 + i] + (1.0 - decay) * self.variance(it)
        average[last] = decay * average[last] + (1.0 - decay)
        for i in range(2 if self.net.rule == DOUBLE else 0):
            sum = 0.0
            for k in range(self.net.batch):
                sum = sum + self.net.share[k * self.net.groups + i]
            average[last + 1 + i] = decay * average[last + 1 + i] + (1.0 - decay) * sum
        for i in range(SC_NET_DOTS if self.net.rule == RODEO else 0):
            sum = 0.0
            for k in range(self.net.batch):
                sum = sum + self.net.dots[k * SC_NET_DOTS + i]
            average[last + 1 + i] = decay * average[last + 1 + i] + (1.0 - decay) * sum

    cdef double variance(self, sc_level *level) noexcept:
        """Of a level's costs less what was foretold of them."""
        cdef Py_ssize_t i, rows = self.net.batch * level.rows
        cdef double mean = 0.0, squares = 0.0, gap
        for i in range(rows):
            mean = mean + self.gap(level, i) / <double>rows
        for i in range(rows):
            gap = self.gap(level, i) - mean
            squares = squares + gap * gap
        return squares / <double>rows

    cdef double gap(self, sc_level *level, Py_ssize_t row) noexcept:
        return level.cost[row] - level.predicted[sc_net_source(&self.net, level.seen, level.rows, row)]

    def forward(self, const int64_t[::1] rows, uint64_t noise, object n_threads):
        """Let rows go forward: `output`, and where it is not given also `cost`, that of the last level, and `mean`."""
        cdef Py_ssize_t blocks = self.net.blocks, i
        cdef int threads = team(n_threads, 0 if blocks == 1 else <Py_ssize_t>min(self.sums / SUMS_A_UNIT, 1e15))
        cdef const sc_table *t = kernels()
        cdef sc_net *net = &self.net
        cdef sc_cancel cancel
        if rows.shape[0] != net.batch:
            raise ValueError("arrays of these shapes do not fit each other")
        begin(&cancel)
        t.net_prepare(net)
        for i in prange(blocks, nogil=True, num_threads=threads, schedule="static", chunksize=1):
            t.net_look(net, &rows[0], noise, i, &cancel)
        finish(&cancel)

    def values(self, Py_ssize_t layer):
        """What a layer put out, and what it keeps for the way back: read by tests."""
        cdef sc_layer *it = &self.net.layers[layer]
        cdef Py_ssize_t rows = self.net.batch * it.after
        out = np.array(<float[:rows * it.outputs]>it.out).reshape(rows, it.outputs)
        rows = self.net.batch * (it.before if it.kind in (BERNOULLI, CATEGORICAL) else it.after)
        own = None if it.own == NULL else np.array(<float[:rows * it.outputs]>it.own).reshape(rows, it.outputs)
        return out, own
