"""network: stacks of layers, deterministic and stochastic, that learn. sc.Network."""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _network
from ._graph import Graph
from ._layered import Data, Trainer, end_of, inputs, look, pair
from ._model import Model, not_read, read, single
from ._rules import Rule
from .costs import End
from .distributions import Linear
from .estimators import Estimator
from .layers import Affine, Layer, checked, from_plain, plain, sizes
from .noise import INITIALISING, Stream, as_stream

__all__ = ["Network"]

Array = NDArray[Any]


class Network(Model):
    """Network(*layers, cost, seed=0)

    A stack of layers, deterministic and stochastic in any order, with a cost at the end, in float32.

    The expected cost E[J(output, target)] is over the noise of all layers. Its gradient by the parameters is estimated
    from K samples for each input: deterministic layers and `NormalUnits` are differentiated exactly, and each layer of
    discrete units y with probabilities p(y | x) adds the score function's term

        w_k grad log p(y_k | x_k),

    w_k a sample's whole cost less a baseline, which is the cost downstream of the layer, since all cost is at the end
    (Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
    Learning 8, 1992, eq. 4; for stacks: Schulman, Heess, Weber and Abbeel, "Gradient estimation using stochastic
    computation graphs", NeurIPS 2015, theorem 1). Estimators:

    - ``leave_one_out``: the baseline is the mean of the input's other samples. K at least 2.
    - ``score_function``: a baseline that is a number, 0 by default.
    - ``moving_average``: of the mean costs of completed steps.
    - ``nvil``: less what a net foretells from the layer's input besides (`estimators.Nvil`).
    - ``disarm``: for BernoulliUnits; K even. With L layers of units, K is a multiple of L + 1: a trunk, and for each
      layer a branch that takes the opposite noise there (Dong, Mnih and Tucker 2020, eq. 6 and section 3.3).
    - ``arm``: the same samples, with the trunk's uniform in the place of the bits (Yin and Zhou 2019, theorem 1).
    - ``local_expectation``: for small layers. Each sample is a trunk, with a branch and an evaluation for each other
      outcome of each unit; each unit is summed out given the others (Titsias and Lazaro-Gredilla 2015).
    - ``double_cv``: leave_one_out with a control variate by the gradient of J (`estimators.DoubleCV`). K at least 2.
    - ``rodeo``: leave_one_out with control variates by a Stein operator and that gradient (`estimators.Rodeo`). As
      double_cv it is for the last layer, of BernoulliUnits; K at least 2.
    - ``straight_through``: the units' gradient as if they were their means. Biased, for comparison.
    - ``gumbel_softmax``: relaxed units (`estimators.GumbelSoftmax`). Biased, for comparison.

    All but the last two are unbiased. J is evaluated once a sample, but for ``local_expectation``.

    The start: weights of ``sc.Linear(inputs, outputs)`` ~ N(0, 1/inputs), biases 0; ``sc.Linear(W, b)`` as it is. A
    network is a value: ``sc.minimize(net, data=..., ...)`` makes a new one.

    Matrix products are SciPy's BLAS, on one thread each, inside our own parallel loops: ``pip install
    'stochcore[networks]'``. The bits do not depend on the number of threads; another BLAS has others.

    Parameters
    ----------
    *layers : sc.Linear, LeakyReLU, Tanh, Dropout, BernoulliUnits, CategoricalUnits, NormalUnits
        From the input on; a layer's outputs are the next one's inputs.
    cost : costs.CrossEntropy, costs.SquaredError, costs.BernoulliLikelihood, or callable
        A function of one's own maps (output, target), float32 of shape (rows, outputs) and the targets of these rows,
        to costs of shape (rows,), one a row and none dependent on the others. If it has a ``grad(output, target)``, of
        the output's shape, the layers above the last units learn by it; otherwise they must have no parameters.
    seed : int or Stream
        Noise of the start.

    Attributes
    ----------
    layers : tuple
    cost
    sizes : tuple of int
        Width of the input, and of each layer's output.
    parameters : mapping
        Read-only views: linear0.weight (inputs, outputs), linear0.bias (outputs,), linear1.weight, ...

    Examples
    --------
    >>> import numpy as np
    >>> import stochcore as sc
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])  # exclusive or
    >>> net = sc.Network(
    ...     sc.Linear(2, 8), sc.BernoulliUnits(), sc.Linear(8, 2), cost=sc.costs.CrossEntropy(), seed=1
    ... )
    >>> fit = sc.minimize(
    ...     net, data=(x, [0, 1, 1, 0]), batch_size=4, n_samples=8, n_steps=1500, optimizer=sc.Adam(0.03)
    ... )
    >>> fit.model.predict(x, n_samples=200).argmax(axis=1)
    array([0, 1, 1, 0])
    """

    FORMAT = "stochcore.Network 1"

    def __init__(self, *layers: Layer | Linear, cost: Any, seed: int | Stream = 0) -> None:
        own = tuple(checked(i, layer) for i, layer in enumerate(layers))
        self._set(own, cost)
        noise, parameters = as_stream(seed)._replace(purpose=INITIALISING), self._flat.copy()
        for layer, given, (weight, bias) in zip(own, layers, self._graph.places[0], strict=True):
            if not isinstance(given, Linear):
                continue
            W = given.weight.reshape(-1)
            if given.sizes_only:
                scale = np.float32(1 / math.sqrt(layer.wants or 1))
                W = noise.at(weight).normal(W.size, dtype=np.float32) * scale
            parameters[weight : weight + W.size] = single("weight", W)
            if given.bias is not None:
                parameters[bias : bias + given.bias.size] = single("bias", given.bias)
        self._set(own, cost, parameters)

    def _set(self, layers: tuple[Layer, ...], cost: Any, flat: Array | None = None) -> None:
        if not callable(cost):
            costs = "CrossEntropy, SquaredError, BernoulliLikelihood (stochcore.costs) or a function"
            raise TypeError(f"`cost` must be one of {costs}, got {_check._short(cost)}")
        self.layers, self.cost, self.sizes = layers, cost, tuple(sizes(layers))
        self._graph = Graph.chain(layers, list(self.sizes), end_of(cost))
        self._flat = np.zeros(self._graph.places[1], dtype=np.float32) if flat is None else flat
        self._flat.flags.writeable = False

    def _renew(self, flat: Array) -> Network:
        """Return the same network with other parameters."""
        return _again(self.layers, self.cost, flat)

    def _named(self, flat: Array) -> dict[str, Array]:
        named: dict[str, Array] = {}
        linear = [i for i, layer in enumerate(self.layers) if isinstance(layer, Affine)]
        for number, i in enumerate(linear):
            named[f"linear{number}.weight"], bias = self._graph.views(i, flat)
            if bias is not None:
                named[f"linear{number}.bias"] = bias
        return named

    def __repr__(self) -> str:
        return f"Network({', '.join(map(repr, self.layers))}, cost={_named_cost(self.cost)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(_again, self.layers, self.cost), (self._flat.copy(),)

    def trainer(
        self,
        data: Any,
        *,
        batch_size: int = 50,
        n_samples: int = 2,
        estimator: str | Estimator = "leave_one_out",
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> Trainer:
        """Return what `stochcore.minimize` drives: a copy of the network that moves.

        Step t takes inputs t * batch_size .. (t + 1) * batch_size of an endless row of random orders of the data.

        Parameters
        ----------
        data : array_like, shape (n, inputs) or (n, height, width), or a tuple of that and the targets
            Floats or bool. Targets: labels (n,) for CrossEntropy, (n, outputs) for the other costs of ours; one's own
            cost may have any with n rows. Left out: the inputs themselves.
        batch_size : int
            At most n.
        n_samples : int
            Samples of the noise for each input; without noise one is enough.
        estimator : str or Estimator
            One of those above.
        seed : int or Stream
            Noise of orders and layers.
        n_threads : int, optional
            At most so many threads; the bits do not depend on it.

        Returns
        -------
        Trainer
        """
        x, target = pair(data)
        checked_data = Data("data", x, target, list(self.sizes), self.cost)
        batch, n = _check.integer("batch_size", batch_size, 1), len(checked_data.x)
        if batch > n:
            raise ValueError(f"`batch_size` must be at most the number of inputs, {n}, got {batch}")
        return self._trainer(checked_data, batch, n_samples, estimator, seed, n_threads)

    def _trainer(
        self, data: Data, batch: int, n_samples: int, estimator: str | Estimator, seed: int | Stream,
        n_threads: int | None,
    ) -> Trainer:  # fmt: skip
        rule, stream, threads = Rule.of(n_samples, estimator, self.layers), as_stream(seed), _check.threads(n_threads)
        return Trainer(self._graph, self._flat, self._renew, data, batch, rule, stream, threads)

    def gradient(
        self,
        x: ArrayLike,
        target: Any = None,
        *,
        n_samples: int = 2,
        estimator: str | Estimator = "leave_one_out",
        seed: int | Stream = 0,
        n_threads: int | None = None,
    ) -> tuple[float, float, dict[str, Array]]:
        """Return one estimate of the mean cost of inputs and of its gradient, as a step uses it.

        Parameters
        ----------
        x, target : array_like
            As `data` of `trainer`.
        n_samples, estimator, seed, n_threads
            As in `trainer`.

        Returns
        -------
        cost : float
            The mean over inputs and samples.
        cost_se : float
            Its standard error over the inputs, as a step of `minimize` records it; infinite for a single one.
        grad : dict of ndarray
            Gradients by the names of the parameters, float32.
        """
        data = Data("x", x, target, list(self.sizes), self.cost)
        record, grad = self._trainer(data, len(data.x), n_samples, estimator, seed, n_threads).gradient()
        return float(record[0]), float(record[1]), {name: g.copy() for name, g in self._named(grad).items()}

    def predict(
        self, x: ArrayLike, *, n_samples: int = 100, seed: int | Stream = 0, n_threads: int | None = None
    ) -> Array:
        """Return what the network predicts, the mean over samples of its noise.

        Parameters
        ----------
        x : array_like
            As `data` of `trainer`.
        n_samples : int
            Samples for each input; a network without noise takes one.
        seed : int or Stream
            Noise apart from that of training.

        Returns
        -------
        ndarray of float64, shape (n, outputs)
            The mean of the outputs; for CrossEntropy of the probabilities of classes, for BernoulliLikelihood of the
            targets' means.
        """
        rows = inputs("x", x, self.sizes[0])
        total = np.zeros((len(rows), self.sizes[-1]))
        link = self.cost.mean if isinstance(self.cost, End) else None

        def add(at: slice, output: Array, costs: Array) -> None:
            for k in range(output.shape[1]):
                values = output[:, k].astype(np.float64)
                total[at] += values if link is None else link(values)

        n_samples = _check.integer("n_samples", n_samples, 1, 1 << 24)
        held = Data("x", rows, rows, list(self.sizes), None)
        graph = Graph.chain(self.layers, list(self.sizes), _network.GIVEN)
        return total / look(graph, self._flat, held, n_samples, seed, n_threads, add)

    def loss(
        self, data: Any, *, n_draws: int = 100, seed: int | Stream = 0, n_threads: int | None = None
    ) -> tuple[float, float]:
        """Return the expected cost, its mean over inputs, and the standard error of that.

        The standard error is that of the Monte Carlo average with the inputs fixed, sqrt(sum_i var_i / n_draws) / n:
        another seed moves the mean by so much, another set of inputs by more.

        Parameters
        ----------
        data : array_like
            As in `trainer`.
        n_draws : int
            Samples of the noise for each input, at least 2.
        seed : int or Stream
            Noise of its own, apart from that of training.
        n_threads : int, optional

        Returns
        -------
        mean, se : float
        """
        x, target = pair(data)
        held = Data("data", x, target, list(self.sizes), self.cost)
        n_draws = _check.integer("n_draws", n_draws, 2, 1 << 24)
        first, total, squares = np.zeros(len(held.x)), np.zeros(len(held.x)), np.zeros(len(held.x))
        seen = np.zeros(len(held.x), dtype=bool)

        def add(at: slice, output: Array, costs: Array) -> None:
            for k in range(costs.shape[1]):
                if not seen[at].all():
                    first[at], seen[at] = costs[:, 0], True
                gap = costs[:, k] - first[at]
                total[at] += gap
                squares[at] += gap * gap

        draws = look(self._graph, self._flat, held, n_draws, seed, n_threads, add)
        mean = first + total / draws
        if not np.isfinite(mean).all():
            raise ValueError(f"the cost is not finite: {mean[~np.isfinite(mean)][0]}")
        n, variance = len(mean), (squares - total * total / draws) / max(1, draws - 1)
        return math.fsum(mean) / n, math.sqrt(max(0.0, math.fsum(variance)) / draws) / n

    def evaluate(
        self, held_out: Any, *, n_draws: int = 100, seed: int | Stream = 0, n_threads: int | None = None
    ) -> tuple[float, float]:
        """Return the expected cost of held-out items and its standard error, as `loss`: what `minimize` looks at."""
        inputs("held_out", pair(held_out)[0], self.sizes[0])
        return self.loss(held_out, n_draws=n_draws, seed=seed, n_threads=n_threads)

    def _about(self) -> tuple[dict[str, Any], dict[str, Array]]:
        words = [plain(layer) for layer in self.layers]
        return {"layers": words, "cost": type(self.cost).__name__ if isinstance(self.cost, End) else None}, {}

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, cost: Any = None) -> Network:
        """Return the network that `save` wrote, bit for bit.

        Parameters
        ----------
        path : path
        cost : callable, optional
            Must be given where it was one's own.

        Returns
        -------
        Network

        Raises
        ------
        OSError, ValueError
            A file that cannot be read; one that is truncated, or something else.
        """
        _, about, arrays = read(path, (cls.FORMAT,))
        try:
            layers = tuple(from_plain(words) for words in about["layers"])
            if cost is None and about["cost"] is None:
                raise TypeError("`cost` must be given: no file can hold the one that was used")
            own = COSTS[about["cost"]]() if cost is None else cost
            return _again(layers, own).with_parameters(arrays)
        except (KeyError, ValueError) as error:
            raise not_read(path, cls.FORMAT, error) from None


COSTS = {kind.__name__: kind for kind in End.__subclasses__()}


def _again(layers: tuple[Layer, ...], cost: Any, flat: Array | None = None) -> Network:
    made = Network.__new__(Network)
    made._set(layers, cost, flat)
    return made


def _named_cost(cost: Any) -> str:
    if isinstance(cost, End):
        return repr(cost)
    return str(getattr(cost, "__qualname__", type(cost).__qualname__))
