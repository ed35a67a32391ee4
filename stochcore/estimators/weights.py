"""weights: the estimators that weigh the score by costs, in the kernels (csrc/kernels/weights.h)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..costs import BuiltIn, Cost
from ..distributions import Bernoulli, Family
from ..distributions.family import Simulated
from ..distributions.parameters import Structure
from .base import Estimator, named

Array = NDArray[Any]


@dataclass
class Weighing:
    """What the kernels are told: which weights, and arrays of baselines and factors."""

    kind: str
    baseline: Array  # one a problem
    by_sample: Array | None = None
    by_parameter: Array | None = None
    factor: Array | None = None  # one for each score
    mirrored: bool = False  # samples come in antithetic pairs
    flips: bool = False  # costs are asked for their flips
    value: Any = None  # of a simulator's stages or states


class Weighted(Estimator):
    """An estimator sum_i w_i grad log p(y_i; w), whose weights the kernels make from the costs of a block."""

    mirrored: ClassVar[bool] = False  # samples come in antithetic pairs

    def weighing(self, model: Family, cost: BuiltIn | Cost, n_samples: int) -> Weighing:
        """Return what the kernels are told."""
        return Weighing(self.name, np.zeros(math.prod(model.batch_shape)), mirrored=self.mirrored)

    def draw(self, model: Family, stream: Any, number: int) -> Any:
        """Return sample `number` again, from its address."""
        if not self.mirrored:
            return super().draw(model, stream, number)
        row, opposite = divmod(number, 2)
        own = stream.antithetic() if opposite else stream
        return model.sample(1, own.at(row * model.n_elements))


@named
@dataclass(frozen=True, eq=False)
class ScoreFunction(Weighted):
    """ScoreFunction(baseline=None)

    g = 1/n sum_i (J_i - b) grad log p(y_i; w). Unbiased for any baseline b that does not depend on the samples.

    Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
    Learning 8, 1992, eq. 5. One evaluation of J a sample; every family.

    Parameters
    ----------
    baseline : array_like, optional
        A number; one for each problem, shape (*batch); one for each parameter (Williams' b_ij), shape of the
        parameters; or one for each sample, shape (n_samples, *batch). Left out: 0.
    """

    baseline: ArrayLike | None = None
    name = "score_function"
    simulates = True
    blame = "later"

    @property
    def stays(self) -> bool:  # type: ignore[override]
        """A baseline is an array of somebody else's."""
        return self.baseline is None

    def weighing(self, model: Family, cost: BuiltIn | Cost, n_samples: int) -> Weighing:
        """Return what the kernels are told."""
        if self.baseline is None:
            return super().weighing(model, cost, n_samples)
        return Weighing(self.name, *_baselines(self.baseline, model, n_samples))

    def negated(self) -> ScoreFunction:
        """Return the same estimator for minus the cost."""
        if self.baseline is None:
            return self
        return ScoreFunction(Structure.of(self.baseline).map(lambda b: -_check.reals("baseline", b), self.baseline))


@named
@dataclass(frozen=True)
class LeaveOneOut(Weighted):
    """LeaveOneOut(k=None)

    g = 1/n sum_i (J_i - mean of the others' J) grad log p(y_i; w), the others being those of the same group.

    Kool, van Hoof and Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019, eq. 8. Unbiased: the mean of
    the others is independent of sample i. One evaluation of J a sample; every family. Beside score_function without a
    baseline its variance is that of the best constant baseline, and 1/(k-1) of it more.

    A decision of a simulator is weighed by J_i - B_it less the others' mean of that, B_it being what sample i had paid
    before stage t (costs end stages) and the others those of the block that came so far: each program runs twice, on
    the same noise. In groups of k: by the whole J_i, as in ``WholeReturn``.

    Parameters
    ----------
    k : int, optional
        Samples in a group, at least 2; `n_samples` is a multiple of it. Left out: a group is a block (32 to 1024
        samples, by the size of the model).
    """

    k: int | None = None
    name = "leave_one_out"
    simulates = True
    least = 2

    def __post_init__(self) -> None:
        if self.k is not None:
            object.__setattr__(self, "k", _check.integer("k", self.k, 2, 1 << 20))

    @property
    def samples_per_unit(self) -> int:  # type: ignore[override]
        """Samples in a group."""
        return self.k or 1

    @property
    def blame(self) -> str:  # type: ignore[override]
        """In a simulator, each stage has a baseline of its own."""
        return "stage" if self.k is None else "whole"

    def weighing(self, model: Family, cost: BuiltIn | Cost, n_samples: int) -> Weighing:
        """Return what the kernels are told."""
        made = super().weighing(model, cost, n_samples)
        made.kind = "leave_one_out" if self.k is None else "groups"
        return made


@named
@dataclass(frozen=True)
class WholeReturn(Weighted):
    """WholeReturn()

    g = 1/n sum_i (J_i - mean of the others' J) sum_t s_t: leave-one-out for simulators that blames each decision for
    the whole cost, also for what was paid before it.

    Unbiased. One run of the program a sample, where leave_one_out takes two: it is the better one where costs come at
    the end. Williams 1992, section 3.
    """

    name = "whole_return"
    simulates = True
    least = 2

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return None if isinstance(model, Simulated) else "is for simulators"

    def weighing(self, model: Family, cost: BuiltIn | Cost, n_samples: int) -> Weighing:
        """Return what the kernels are told."""
        made = super().weighing(model, cost, n_samples)
        made.kind = "leave_one_out"
        return made


@named
@dataclass(frozen=True, eq=False)
class MovingAverage(Weighted):
    """MovingAverage(decay=0.9, initial=0.0)

    g = 1/n sum_i (J_i - b_t) grad log p(y_i; w), b_t the moving average of the mean costs of the steps before step t.

    "Reinforcement comparison": Sutton, "Temporal credit assignment in reinforcement learning", 1984; Williams 1992,
    section 9. In ``sc.minimize`` m_t = decay m_{t-1} + (1 - decay) Jbar_{t-1} from m_0 = 0, divided by its weight 1 -
    decay^t, so that it has no memory of its start (as in Adam); each problem has its own. Only completed steps count,
    so b_t is independent of the samples of step t: unbiased. (An average that has already seen the batch that it is
    the baseline of is not.) One evaluation of J a sample; every family. `Fit` keeps it, in files too.

    Parameters
    ----------
    decay : float
        In [0, 1).
    initial : array_like
        The baseline of the first step, which has no past, and of a single ``sc.estimate``, which never has one: a
        number, or one for each problem, shape (*batch).
    """

    decay: float = 0.9
    initial: ArrayLike = 0.0
    name = "moving_average"
    simulates = True

    def __post_init__(self) -> None:
        decay = _check.real("decay", self.decay)
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"`decay` must lie in [0, 1), got {self.decay}")
        initial = _check.reals("initial", self.initial).copy()
        object.__setattr__(self, "decay", decay)
        object.__setattr__(self, "initial", initial if initial.ndim else float(initial))

    def weighing(self, model: Family, cost: BuiltIn | Cost, n_samples: int) -> Weighing:
        """Return what the kernels are told at the first step."""
        initial = np.asarray(self.initial)
        if initial.shape not in ((), model.batch_shape):
            raise ValueError(f"`initial` must be a number or have shape {model.batch_shape}, got {initial.shape}")
        start = np.array(np.broadcast_to(initial, model.batch_shape), dtype=np.float64).reshape(-1)
        return Weighing("score_function", start)

    def negated(self) -> MovingAverage:
        """Return the same estimator for minus the cost."""
        return MovingAverage(self.decay, -np.asarray(self.initial))


@named
@dataclass(frozen=True)
class OptimalBaseline(Weighted):
    """OptimalBaseline()

    g_k = 1/n sum_i (J_i - b_k) s_ik; for each parameter the baseline of least variance, b_k = E[J s_k^2] / E[s_k^2].

    Weaver and Tao, "The optimal reward baseline for gradient-based reinforcement learning", UAI 2001, theorem 4;
    Greensmith, Bartlett and Baxter, JMLR 5, 2004, section 4.2. Unbiased: the samples of a block are halved by the
    parity of their numbers, and each half takes the baselines found on the other, its mean cost where that has no
    information. One evaluation of J a sample; every family.
    """

    name = "optimal_baseline"
    least = 2


@named
@dataclass(frozen=True)
class Antithetic(Weighted):
    """Antithetic()

    g = 1/n sum_i (J_i - mean J of the other pairs) grad log p(y_i; w), where sample 2i + 1 comes from the opposite
    noise of sample 2i (``Stream.antithetic``).

    Hammersley and Morton, "A new Monte Carlo technique: antithetic variates", 1956; the baseline leaves out the whole
    pair, so that it is independent of it. Unbiased. One evaluation of J a sample, `n_samples` even and at least 4;
    every family. It helps where the score times the cost is close to odd in the noise, and harms where it is even.
    """

    name = "antithetic"
    simulates = True
    mirrored = True
    least = 4
    samples_per_unit = 2
    dependent_samples = 2


@named
@dataclass(frozen=True)
class Disarm(Weighted):
    """Disarm()

    g_d = 1/2 (J(y) - J(y')) (y_d - y'_d) sigmoid(|logit_d|), averaged over antithetic pairs y = [u < p],
    y' = [1 - u < p].

    DisARM: Dong, Mnih and Tucker, "DisARM: an antithetic gradient estimator for binary latent variables", NeurIPS
    2020, eq. 6 (independently U2G: Yin, Ho, Yan, Qian and Zhou 2020): ARM with its noise summed out. Unbiased. One
    evaluation of J a sample, `n_samples` even; Bernoulli.
    """

    name = "disarm"
    mirrored = True
    least = 2
    samples_per_unit = 2
    dependent_samples = 2

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return None if isinstance(model, Bernoulli) else "is for Bernoulli models"

    def weighing(self, model: Any, cost: BuiltIn | Cost, n_samples: int) -> Weighing:
        """Return what the kernels are told."""
        made = super().weighing(model, cost, n_samples)
        p, q = model._tables.probs, model._tables.complement
        made.factor = np.maximum(p, q)
        return made


def _baselines(baseline: ArrayLike, model: Family, n_samples: int) -> tuple[Array, Array | None, Array | None]:
    """Sort a baseline by its shape: one a problem, one a sample, or one a parameter (less the problem's)."""
    structure, zero = model._structure, np.zeros(math.prod(model.batch_shape))
    if isinstance(baseline, Mapping):
        return zero, None, structure.flatten(baseline, "baseline")
    b = _check.reals("baseline", baseline)
    shapes = {"problem": model.batch_shape, "parameter": structure.shape, "sample": (n_samples, *model.batch_shape)}
    if structure.shape is None:
        del shapes["parameter"]
    if b.ndim == 0:
        return np.full(math.prod(model.batch_shape), b[()]), None, None
    kinds = [kind for kind, shape in shapes.items() if b.shape == shape]
    if len(kinds) > 1:
        raise ValueError(
            f"`baseline` of shape {b.shape} may be one for each {' or one for each '.join(kinds)}: "
            "change `n_samples`, or reshape the model, so that only one of them fits"
        )
    if kinds == ["problem"]:
        return b.reshape(-1), None, None
    if kinds == ["sample"]:
        return zero, b.reshape(-1), None
    if kinds == ["parameter"] and b.shape[: len(model.batch_shape)] != model.batch_shape:  # problems share them
        return zero, None, b.reshape(-1)
    if kinds == ["parameter"]:
        by_problem = b.reshape(zero.size, -1)
        centre = by_problem.mean(axis=1)
        return centre, None, (by_problem - centre[:, None]).reshape(-1)
    rule = ", ".join(f"{shape} ({kind})" for kind, shape in shapes.items())
    raise ValueError(f"`baseline` must be a number or have one of the shapes {rule}, got {b.shape}")
