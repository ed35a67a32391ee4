"""What a stack of layers trains with: the kernels' plan of it, checked data, and the trainer that `minimize` drives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _blas, _check, _network
from ._batches import Orders
from ._graph import BLOCK, Graph
from ._rules import Rule
from .costs import End
from .layers import Affine
from .noise import INITIALISING, Stream, as_stream

Array = NDArray[Any]

SPARSE = 0.35  # of inputs: with fewer that are not 0, a first linear layer skips those that are
PASS = 2048  # rows that go forward at a time when a network is only looked at
MIX = (1.0, 0.5, 0.0, 0.0, 0.0)  # of rodeo's control variates: nearly exact where the cost is linear in units
HALF = 1 << 63  # noise for looking at a network lies half a stream away from that of training
ENDS = {
    "SquaredError": _network.SQUARED,
    "BernoulliLikelihood": _network.LIKELIHOOD,
    "CrossEntropy": _network.LABELS,
}


def end_of(cost: Any) -> int:
    """Return what the kernels are told of a cost at the end."""
    return ENDS.get(type(cost).__name__, _network.GIVEN) if isinstance(cost, End) else _network.GIVEN


def work(
    graph: Graph, parameters: Array, batch: int, rule: Rule, stream: Stream, stride: int | None = None,
    sparse: bool = False, pixels: Stream | None = None,
) -> _network.Work:  # fmt: skip
    """Return the kernels' work of a batch; with `pixels` its inputs are drawn."""
    first, rows = graph.nodes[0], graph.rows(rule.groups, rule.kind)
    sparse = sparse and isinstance(first.layer, Affine) and first.outputs >= 16
    sizes = {
        "batch": batch, "blocks": -(-batch // BLOCK), "groups": rule.groups, "width": first.inputs,
        "stride": rule.groups if stride is None else stride, "sparse": sparse, "rule": rule.kind, "factor": rule.factor,
        "baseline": rule.baseline, "pixels": pixels, "baselines": graph.baselines, "normalise": rule.normalise,
        "mix": tuple(rule.coefficient * part for part in MIX),
    }  # fmt: skip
    return _network.Work(
        _blas.sgemm(),
        graph.planned(rows, batch, rule.kind, stream),
        [asdict(end) for end in graph.ends],
        graph.levels(rows),
        graph.chunks(sparse, graph.by_bits(rows, batch, rule.kind)),
        parameters,
        sizes,
    )


def inputs(name: str, x: ArrayLike, width: int) -> Array:
    """Return inputs as float32 rows of that width."""
    array = _check._array(name, x)
    if array.ndim < 2 or array.size == 0 or math.prod(array.shape[1:]) != width:
        raise ValueError(f"`{name}` must have shape (n, {width}), n at least 1, got {array.shape}")
    if array.dtype.kind not in "bf" or array.dtype.itemsize > 8:
        what = "floats or bool (divide bytes of images by 255)"
        raise TypeError(f"`{name}` must be {what}, got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        rows: Array = array.reshape(len(array), width).astype(np.float32, order="C")
    if not np.isfinite(rows).all():
        raise ValueError(
            f"`{name}` must be finite in float32, got {_check._first(array, ~np.isfinite(rows.reshape(array.shape)))}"
        )
    return rows


class Batches(Protocol):
    """What a trainer draws its batches from. A function of one's own that tells costs is asked by `judge`."""

    x: Array
    sparse: bool  # is so much of it 0 that a first linear layer skips that?
    cost: Any

    def shown(self, made: _network.Work) -> _network.Work:
        """Let the kernels look at these data."""

    def judge(self, made: _network.Work, rows: Array) -> None:
        """Write the costs of these rows, and their gradient."""


class Data:
    """Inputs and targets, checked, as a cost at the end wants them."""

    def __init__(self, name: str, x: Any, target: Any, widths: list[int], cost: Any) -> None:
        self.cost = cost
        self.x = inputs(name, x, widths[0])
        if target is None and isinstance(cost, End) and cost.labels:
            raise ValueError(f"`target` must be given for {cost!r}: a label for each input")
        if target is None:
            target = self.x
        self.sparse = bool(np.count_nonzero(self.x) < SPARSE * self.x.size)
        self.target: Array = cost.targets(target, widths[-1]) if isinstance(cost, End) else np.asarray(target)
        if self.target.ndim < 1 or len(self.target) != len(self.x):
            raise ValueError(f"`target` must have {len(self.x)} rows, as the inputs, got shape {self.target.shape}")

    def shown(self, made: _network.Work) -> _network.Work:
        """Let the kernels look at these data."""
        end = end_of(self.cost)
        rows, labels = end in (_network.SQUARED, _network.LIKELIHOOD), end == _network.LABELS
        made.look_at(self.x, self.target if rows else None, self.target if labels else None)
        return made

    def judge(self, made: _network.Work, rows: Array) -> None:
        """Ask a cost in Python for the costs of these rows of data, and for their gradient."""
        K = len(made.cost) // len(rows)
        output, target = made.output.copy(), np.repeat(self.target[rows], K, axis=0)
        values = np.asarray(self.cost(output, target))
        if values.shape != made.cost.shape or values.dtype.kind not in "biuf":
            raise ValueError(
                f"`cost` must return {len(made.cost)} numbers, one for each row, got shape {values.shape} of "
                f"dtype {values.dtype}"
            )
        made.cost[:] = values
        if made.delta is None:
            return
        grad = np.asarray(self.cost.grad(output, target))
        if grad.shape != output.shape or grad.dtype.kind not in "biuf":
            raise ValueError(
                f"`cost.grad` must return numbers of shape {output.shape}, got {grad.shape} of dtype {grad.dtype}"
            )
        made.delta[:] = grad * made.every / len(made.cost)
        made.delta[np.arange(len(grad)) % made.every > 0] = 0.0


def pair(data: Any) -> tuple[Any, Any]:
    """Return inputs and targets, which come as a tuple; None for targets that were left out."""
    return data if isinstance(data, tuple) and len(data) == 2 else (data, None)


def look(
    graph: Graph,
    parameters: Array,
    data: Data,
    n_draws: int,
    seed: int | Stream,
    n_threads: int | None,
    add: Callable[[slice, Array, Array], None],
) -> int:
    """Let all inputs go forward n_draws times (once, without noise), piece by piece; return how often that was.

    add(inputs of the piece, outputs (inputs, draws, width), costs (inputs, draws)) gets what came out.
    """
    K = n_draws if graph.noisy else 1
    threads, stream = _check.threads(n_threads), as_stream(seed)
    stream = stream._replace(offset=(stream.offset + HALF) % (1 << 64))
    each = min(K, 64)
    piece, made = max(1, PASS // each), None
    for start in range(0, len(data.x), piece):
        at = slice(start, min(len(data.x), start + piece))
        rows = np.arange(at.start, at.stop)
        for drawn in range(0, K, each):
            k = min(each, K - drawn)
            if made is None or len(made.cost) != len(rows) * k:
                rule = Rule(_network.CONSTANT, k)
                made = data.shown(work(graph, parameters, len(rows), rule, stream, K, data.sparse))
            with _blas.one_thread():
                made.forward(rows, start * K + drawn, threads)
            if graph.given and data.cost is not None:
                data.judge(made, rows)
            add(at, made.output.reshape(len(rows), k, -1), made.cost.reshape(len(rows), k))
    return K


class Trainer:
    """A network that `stochcore.minimize` moves. `parameters` are live; those of the estimator's nets come last."""

    def __init__(
        self,
        graph: Graph,
        parameters: Array,
        renew: Callable[[Array], Any],
        data: Batches,
        batch: int,
        rule: Rule,
        stream: Stream,
        n_threads: int | None,
        pixels: Stream | None = None,
    ) -> None:
        rule.fits(graph)
        if graph.given and graph.lead(rule.kind)[-1] and not hasattr(data.cost, "grad"):
            above = "" if rule.passes else ", or the layers above the last units no parameters"
            raise ValueError(f"`cost` must have a `grad(output, target)`{above}, got {_check._short(data.cost)}")
        self._own = parameters.size
        if rule.kind == _network.NVIL:
            graph = graph.with_baselines(rule.hidden)
            parameters = graph.begun(parameters, stream._replace(purpose=INITIALISING))
        self.parameters: Array = _network.aligned(parameters.size, np.float32)
        self.parameters[:] = parameters
        self._renew, self._data, self._rule = renew, data, rule
        self._batch, self._n_threads = batch, n_threads
        self._given = graph.given
        self._work = data.shown(work(graph, self.parameters, batch, rule, stream, sparse=data.sparse, pixels=pixels))
        self._orders = Orders(len(data.x), stream)
        self.average: Array | None = self._work.average if rule.decay >= 0 else None
        self.records: Array = np.empty((0, 3))

    @property
    def completed(self) -> int:
        """How many steps of the last run are done."""
        return self._work.completed

    @completed.setter
    def completed(self, value: int) -> None:
        self._work.completed = value

    def stand(self, best: Any, average: Array | None) -> None:
        """Stand where another trainer stood."""
        if self.average is not None and average is not None:
            self.average[:] = average

    def run(self, kind: int, scalars: Array, first_step: int, moments: Array) -> Array:
        """Take a step for each row of scalars: cost, standard error over inputs, norm of the gradient."""
        self.completed, self.records = 0, np.empty((len(scalars), 3))
        piece = max(1, (1 << 16) // self._batch)
        for start in range(0, len(scalars), piece):
            part, step = slice(start, start + piece), first_step + start
            rows = self._orders.rows(step, len(scalars[part]), self._batch)
            if self._steps(kind, scalars[part], step, rows, moments, self.records[part]):
                at, why = first_step + self.completed, self.records[self.completed, 0]
                raise ValueError(f"the descent diverged at step {at}, try a smaller `learning_rate`: its cost is {why}")
        return self.records

    def gradient(self) -> tuple[Array, Array]:
        """Return the record and the gradient of step 0 for all inputs in their order."""
        records, moments = np.empty((1, 3)), np.zeros((2, self.parameters.size), dtype=np.float32)
        rows = np.arange(self._batch).reshape(1, -1)
        if self._steps(_network.NO_UPDATE, np.zeros((1, 6)), 0, rows, moments, records):
            raise ValueError(f"the cost is not finite: {records[0, 0]}")
        return records[0], self._work.gradient[: self._own]

    def _steps(self, kind: int, scalars: Array, first: int, rows: Array, moments: Array, records: Array) -> int:
        judge = None
        if self._given:
            judge = lambda at: self._data.judge(self._work, at)  # noqa: E731
        with _blas.one_thread():
            return self._work.run(
                kind, scalars, first, rows, moments, records, self._n_threads, self._rule.decay, judge
            )

    def model(self) -> Any:
        """Return the model as it is now."""
        return self._renew(self.parameters[: self._own].copy())
