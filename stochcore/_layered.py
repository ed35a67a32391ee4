"""What a stack of layers trains with: the kernels' plan of it, checked data, and the trainer that `minimize` drives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _blas, _check, _network
from ._batches import Orders
from .costs import End
from .estimators import Disarm, Estimator, LeaveOneOut, MovingAverage, ScoreFunction, StraightThrough, resolve
from .layers import Affine, Layer
from .noise import LAYERS, Stream, as_stream

Array = NDArray[Any]

MOST = 1 << 24  # samples: far beyond sense, and no size overflows
INPUTS = 64  # of a batch in a block, at most
SPARSE = 0.35  # of inputs: with fewer that are not 0, a first linear layer skips those that are
PASS = 2048  # rows that go forward at a time when a network is only looked at
HALF = 1 << 63  # noise for looking at a network lies half a stream away from that of training
CHUNK = 1 << 16  # weights in a chunk, about: they stay in the second-level cache
ENDS = {
    "SquaredError": _network.SQUARED,
    "BernoulliLikelihood": _network.LIKELIHOOD,
    "CrossEntropy": _network.LABELS,
}


@dataclass(frozen=True)
class Rule:
    """How the scores of units are weighed."""

    kind: int
    n_samples: int
    baseline: float = 0.0
    decay: float = 0.0  # of a moving average of costs; 0: there is none
    group: int = 1  # samples that share noise

    @staticmethod
    def of(n_samples: int, estimator: str | Estimator, layers: tuple[Layer, ...]) -> Rule:
        """Return the rule of an estimator on these layers, or say why it cannot be."""
        K, chosen = _check.integer("n_samples", n_samples, 1, MOST), resolve(estimator)
        units = [layer for layer in layers if layer.units]
        if isinstance(chosen, LeaveOneOut) and chosen.k is None:
            if units and K < 2:
                raise ValueError(f"`n_samples` must be at least 2 for leave_one_out, got {K}")
            made = Rule(_network.LEAVE_ONE_OUT if units else _network.CONSTANT, K)
        elif isinstance(chosen, MovingAverage):
            made = Rule(_network.CONSTANT, K, _check.real("initial", chosen.initial), chosen.decay)
        elif isinstance(chosen, ScoreFunction):
            baseline = 0.0 if chosen.baseline is None else _check.real("baseline", chosen.baseline)
            made = Rule(_network.CONSTANT, K, baseline)
        elif isinstance(chosen, StraightThrough):
            made = Rule(_network.STRAIGHT, K)
        elif isinstance(chosen, Disarm):
            made = Rule(_network.DISARM, K, group=_pairs(K, units))
        else:
            names = "score_function, moving_average, leave_one_out, disarm or straight_through"
            raise ValueError(f"`estimator` must be {names} for a Network, got {chosen!r}")
        if any(layer.noise for layer in layers):
            return made
        return Rule(_network.CONSTANT, 1)  # all samples of an input are alike


def _pairs(K: int, units: list[Layer]) -> int:
    """How many samples a trunk and its branches are, for disarm."""
    others = [layer for layer in units if layer.kind != _network.BERNOULLI]
    if others or not units:
        came = repr(others[0]) if others else "none"
        raise ValueError(f"`estimator` disarm is for networks whose units are BernoulliUnits, got {came}")
    if K % (len(units) + 1):
        each = "a pair" if len(units) == 1 else f"a trunk and a branch for each of {len(units)} layers of units"
        raise ValueError(f"`n_samples` must be a multiple of {len(units) + 1} for disarm ({each}), got {K}")
    return len(units) + 1


def places(layers: tuple[Layer, ...]) -> tuple[list[tuple[int, int]], int]:
    """Return where each layer's weight and bias begin among the parameters (-1: none), and how many these are."""
    found, at = [], 0
    for layer in layers:
        if not isinstance(layer, Affine):
            found.append((-1, -1))
            continue
        weights = layer.n_inputs * layer.n_outputs
        found.append((at, at + weights if layer.bias else -1))
        at += weights + (layer.n_outputs if layer.bias else 0)
    return found, at


def lead(layers: tuple[Layer, ...], straight: bool) -> list[bool]:
    """Say for each layer whether a gradient by its output reaches parameters."""
    used: list[bool] = []
    for layer in layers:
        below = bool(used) and used[-1]
        used.append(isinstance(layer, Affine) or (below and (straight or not layer.units)))
    return used


def planned(layers: tuple[Layer, ...], widths: list[int], rule: Rule, stream: Stream) -> list[dict[str, Any]]:
    """Return what the kernels are told of each layer."""
    used = lead(layers, rule.kind == _network.STRAIGHT)
    rows, units, plan = 1, 0, []
    for i, (layer, place) in enumerate(zip(layers, places(layers)[0], strict=True)):
        after = rule.n_samples if layer.noise else rows
        units += layer.units
        plan.append(
            {
                "kind": layer.kind, "back": i > 0 and used[i - 1] and (used[i] or layer.units), "used": used[i],
                "unit": units if layer.units else 0, "inputs": widths[i], "outputs": widths[i + 1],
                "classes": layer.classes, "before": rows, "after": after, "number": layer.number,
                "weight": place[0], "bias": place[1], "noise": stream._replace(purpose=LAYERS + i),
            }
        )  # fmt: skip
        rows = after
    return plan


def chunks(layers: tuple[Layer, ...], sparse: bool) -> Array:
    """Cut the parameters into pieces whose gradients are one product each: layer, row, rows, column, columns."""
    found = []
    for i, layer in enumerate(layers):
        if not isinstance(layer, Affine):
            continue
        n, m = layer.n_inputs, layer.n_outputs
        pieces = max(1, round(n * m / CHUNK))
        if n >= m or (sparse and i == 0):  # that one goes by rows
            edges = [n * k // pieces for k in range(pieces + 1)]
            found += [(i, a, b - a, 0, m) for a, b in pairwise(edges) if b > a]
        else:
            edges = sorted({m * k // pieces // 16 * 16 for k in range(pieces)} | {m})
            found += [(i, 0, n, a, b - a) for a, b in pairwise(edges)]
        if layer.bias:
            found.append((i, 0, 0, 0, m))
    found.sort(key=lambda c: -c[2] * c[4])  # they are dealt out to threads in turn
    return np.array(found, dtype=np.int64).reshape(-1, 5)


def work(
    layers: tuple[Layer, ...], widths: list[int], parameters: Array, batch: int, rule: Rule, end: int,
    stream: Stream, stride: int | None = None, sparse: bool = False,
) -> _network.Work:  # fmt: skip
    """Return the kernels' work of a batch."""
    sparse = sparse and isinstance(layers[0], Affine) and layers[0].n_outputs >= 16
    sizes = {
        "batch": batch, "n_samples": rule.n_samples, "blocks": -(-batch // INPUTS), "group": rule.group,
        "stride": rule.n_samples // rule.group if stride is None else stride,
        "sparse": sparse, "rule": rule.kind, "end": end, "baseline": rule.baseline,
    }  # fmt: skip
    return _network.Work(
        _blas.sgemm(), planned(layers, widths, rule, stream), chunks(layers, sparse), parameters, sizes
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

    @property
    def end(self) -> int:
        """What the kernels are told of the cost."""
        return ENDS.get(type(self.cost).__name__, _network.GIVEN) if isinstance(self.cost, End) else _network.GIVEN

    def shown(self, made: _network.Work) -> _network.Work:
        """Let the kernels look at these data."""
        rows = self.end in (_network.SQUARED, _network.LIKELIHOOD)
        labels = self.end == _network.LABELS
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
        made.delta[:] = grad / len(made.cost)


def pair(data: Any) -> tuple[Any, Any]:
    """Return inputs and targets, which come as a tuple; None for targets that were left out."""
    return data if isinstance(data, tuple) and len(data) == 2 else (data, None)


def look(
    layers: tuple[Layer, ...],
    widths: list[int],
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
    K = n_draws if any(layer.noise for layer in layers) else 1
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
                made = data.shown(work(layers, widths, parameters, len(rows), rule, data.end, stream, K, data.sparse))
            with _blas.one_thread():
                made.forward(rows, start * K + drawn, threads)
            if data.end == _network.GIVEN and data.cost is not None:
                data.judge(made, rows)
            add(at, made.output.reshape(len(rows), k, -1), made.cost.reshape(len(rows), k))
    return K


class Trainer:
    """A network that `stochcore.minimize` moves. `parameters` are live."""

    def __init__(
        self,
        layers: tuple[Layer, ...],
        widths: list[int],
        parameters: Array,
        renew: Callable[[Array], Any],
        data: Data,
        batch: int,
        rule: Rule,
        stream: Stream,
        n_threads: int | None,
    ) -> None:
        wanted = data.end == _network.GIVEN and lead(layers, rule.kind == _network.STRAIGHT)[-1]
        if wanted and not hasattr(data.cost, "grad"):
            raise ValueError(
                "`cost` must have a `grad(output, target)`, or the layers above the last units no parameters, "
                f"got {_check._short(data.cost)}"
            )
        self.parameters: Array = _network.aligned(parameters.size, np.float32)
        self.parameters[:] = parameters
        self._renew, self._data, self._rule = renew, data, rule
        self._batch, self._n_threads = batch, n_threads
        self._work = data.shown(
            work(layers, widths, self.parameters, batch, rule, data.end, stream, sparse=data.sparse)
        )
        self._orders = Orders(len(data.x), stream)
        self.average: Array | None = self._work.average if rule.decay else None
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
        return records[0], self._work.gradient

    def _steps(self, kind: int, scalars: Array, first: int, rows: Array, moments: Array, records: Array) -> int:
        judge = None
        if self._data.end == _network.GIVEN:
            judge = lambda at: self._data.judge(self._work, at)  # noqa: E731
        with _blas.one_thread():
            return self._work.run(
                kind, scalars, first, rows, moments, records, self._n_threads, self._rule.decay, judge
            )

    def model(self) -> Any:
        """Return the model as it is now."""
        return self._renew(self.parameters.copy())
