"""networks: what only layers of an ``sc.Network`` can do."""

from __future__ import annotations

from dataclasses import dataclass

from .. import _check
from ..costs import BuiltIn, Cost
from ..distributions import Family
from .base import Estimator, named


def _decay_or_none(decay: float | None) -> float | None:
    """Return a decay that is one, or None."""
    if decay is None:
        return None
    checked = _check.real("decay", decay)
    if not 0.0 <= checked < 1.0:
        raise ValueError(f"`decay` must lie in [0, 1) or be None, got {decay}")
    return checked


@named
@dataclass(frozen=True)
class StraightThrough(Estimator):
    """StraightThrough()

    The gradient by the units, as if they were their means: g = dJ/dy dE[y]/dlogit.

    Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic neurons for conditional
    computation", 2013. Biased, unless J is linear in y: for comparison. One evaluation of J a sample; ``sc.Network``,
    with a cost that has a gradient, and ``sc.BernoulliVAE`` with one layer of units.
    """

    name = "straight_through"
    unbiased = False

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return "is for the units of an sc.Network or sc.BernoulliVAE"


@named
@dataclass(frozen=True)
class Nvil(Estimator):
    """Nvil(hidden=100, decay=0.8, normalise=False)

    A baseline that a small net foretells from the input of each layer of units: w = (J - b_t - c(x)) / s.

    Mnih and Gregor, "Neural variational inference and learning in belief networks", ICML 2014, sections 2.3.1 to 2.3.3
    and algorithm 1. J is the cost that the layer is to blame for. x are the rows that the layer's own net takes: the
    network's input for the first layer (for a BernoulliVAE 2 (x - mean)), the units of the layer before for others.
    c is Linear(inputs, hidden), Tanh, Linear(hidden, 1), which begins at c = 0 and learns by half the squared error,
    E[(J - b_t - c(x))^2] / 2s, with the optimiser of the model and in the same step. b_t is the moving average of the
    costs of completed steps, as for ``moving_average``. c is that of the parameters before the step, so neither has
    seen step t's samples: unbiased, while s = 1.

    `normalise` divides by s = max(1, r_t), r_t^2 the moving average of the variance of J - c(x) in completed steps.
    That scales the layer's gradient by a number of at most 1, each layer's by its own, and so is not unbiased: its
    direction is kept within a layer, not its length. To an optimiser that does not see lengths, such as Adam, it
    matters little.

    One evaluation of J a sample; ``sc.Network`` and ``sc.BernoulliVAE``. `Fit` keeps the nets, in files too. A single
    ``gradient`` has no past: b = c = 0 there, which is the score function without a baseline.

    Parameters
    ----------
    hidden : int
        Units of the nets.
    decay : float
        Of the moving averages, in [0, 1).
    normalise : bool
        Divide by the spread of signals?
    """

    hidden: int = 100
    decay: float = 0.8
    normalise: bool = False
    name = "nvil"

    def __post_init__(self) -> None:
        _check.integer("hidden", self.hidden, 1, 1 << 16)
        decay = _check.real("decay", self.decay)
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"`decay` must lie in [0, 1), got {self.decay}")
        if not isinstance(self.normalise, bool):
            raise TypeError(f"`normalise` must be True or False, got {_check._short(self.normalise)}")
        object.__setattr__(self, "decay", decay)

    @property
    def unbiased(self) -> bool:  # type: ignore[override]
        """Unless it is scaled."""
        return not self.normalise

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return "is for the units of an sc.Network or sc.BernoulliVAE"


@named
@dataclass(frozen=True)
class DoubleCV(Estimator):
    """DoubleCV(coefficient=1.0, decay=0.9)

    Leave-one-out, with what the other samples' gradients by y tell of a sample's cost taken off.

    Of K samples of BernoulliUnits with means q, sample k has g_k, the mean of the other samples' dJ/dy, and b_k = g_k .
    (y_k - q), which has expectation 0 and covaries with the score by q (1 - q) g_k:

        1/K sum_k (J_k - c b_k - 1/(K - 1) sum_{j != k} (J_j - c b_j)) (y_k - q) + c q (1 - q) 1/K sum_k g_k

    Titsias and Shi, "Double control variates for gradient estimation in discrete latent variable models", AISTATS 2022
    (there -c is alpha, which learns by descent on the variance). This is g + c h with E[h] = 0, g that of
    leave-one-out, and its variance by the logits of the units is least at c = -E[g . h] / E[h . h]: in ``sc.minimize``
    both are moving averages of completed steps, and `Fit` keeps them. So c does not depend on the samples of the step:
    unbiased.

    K evaluations of J and of its gradient, K at least 2. ``sc.Network``, with a cost that has a gradient: the last
    layer of units; those before have ``leave_one_out``, since the gradient that would come to them is an estimate that
    knows all samples. ``sc.BernoulliVAE`` with one layer of units.

    Parameters
    ----------
    coefficient : float
        c of the first step, and of a single ``gradient``. 1 is exact for a J that is linear in y, 0 is leave-one-out.
    decay : float or None
        Of the moving averages, in [0, 1); None: c stays what it was.
    """

    coefficient: float = 1.0
    decay: float | None = 0.9
    name = "double_cv"
    least = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficient", _check.real("coefficient", self.coefficient))
        object.__setattr__(self, "decay", _decay_or_none(self.decay))

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return "is for the units of an sc.Network or sc.BernoulliVAE"


@named
@dataclass(frozen=True)
class Rodeo(Estimator):
    """Rodeo(scale=4.0, coefficient=1.0, decay=0.99)

    Leave-one-out, with what a discrete Stein operator makes of the other samples' gradients by y.

    A sample y of BernoulliUnits with means q has scores s = y - q, and for every function h that does not depend on the
    draw, (A h)(y) = sum_i P_i (h(y with unit i turned) - h(y)) has mean 0, where P_i is the chance that the unit be
    what it is not: the Stein operator of Gibbs sampling, here without a factor of 1 over the number of units. Sample k
    of K takes functions h_k and f_k that the others alone have a part in:

        1/K sum_k (J_k - 1/(K - 1) sum_{j != k} (J_j + (A h_j)(y_j))) s_k + (A f_k s)(y_k)

    Shi, Zhou, Hwang, Titsias and Mackey, "Gradient estimation with discrete Stein operators", NeurIPS 2022. There h and
    f are what a net makes of J_j and t_j(y) = dJ/dy_j . (y - y_j). Here they are a mix of a few bends of t,

        h_k = mean of c_0 t_j + c_3 sqrt(a^2 + t_j^2),  f_k = mean of c_1 u_j + c_2 v_j + c_4 sqrt(a^2 + t_j^2)

    over j != k, with u_j(y) = dJ/dy_j . (y - q) and v_j = t_j - u_j, a number. So what is added is linear in c, and its
    variance by the logits of the units is least where five linear equations hold, whose terms are in ``sc.minimize``
    moving averages of completed steps; `Fit` keeps them. c does not depend on the samples of the step: unbiased. With
    c_0 and c_1 alone this is nearly `DoubleCV`, whose b is -A u; the bend tells more once J is not nearly linear.

    K evaluations of J and of its gradient, K at least 2, and some K^2 units square roots an input. ``sc.Network``, with
    a cost that has a gradient: the last layer of units; those before have ``leave_one_out``. ``sc.BernoulliVAE`` with
    one layer of units.

    Parameters
    ----------
    scale : float
        a, above 0: which changes of J are small.
    coefficient : float
        The first step, and a single ``gradient``, have c = `coefficient` (1, 1/2, 0, 0, 0), of which 1 leaves little of
        a J that is linear in y, and 0 is leave-one-out.
    decay : float or None
        Of the moving averages, in [0, 1); None: c stays what it was.
    """

    scale: float = 4.0
    coefficient: float = 1.0
    decay: float | None = 0.99
    name = "rodeo"
    least = 2

    def __post_init__(self) -> None:
        scale = _check.real("scale", self.scale)
        if scale <= 0:
            raise ValueError(f"`scale` must be above 0, got {scale}")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "coefficient", _check.real("coefficient", self.coefficient))
        object.__setattr__(self, "decay", _decay_or_none(self.decay))

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return "is for the units of an sc.Network or sc.BernoulliVAE"


@named
@dataclass(frozen=True)
class GumbelSoftmax(Estimator):
    """GumbelSoftmax(temperature=0.5)

    Units become continuous while they learn, and the gradient passes through them: for comparison.

    A unit is sigmoid((x - e)/t), e logistic noise, in place of [x > e]; a site softmax((x + e)/t), e Gumbel noise, in
    place of the class where x + e is largest. Maddison et al., "The Concrete distribution: a continuous
    relaxation of discrete random variables", ICLR 2017; Jang, Gu and Poole, "Categorical
    reparameterization with Gumbel-softmax", ICLR 2017, eq. 2. Exact for the relaxed network, whose costs the history
    holds; biased for the network itself. As t falls, the bias does, and the variance grows. `predict` and `loss` have
    units that are 0 or 1. One evaluation of J and of its gradient a sample; ``sc.Network``, with a cost that has a
    gradient, and ``sc.BernoulliVAE`` with one layer of units, where log q and the prior are those of Bernoulli units at
    relaxed y, not densities of y.

    Parameters
    ----------
    temperature : float
        t, above 0.
    """

    temperature: float = 0.5
    name = "gumbel_softmax"
    unbiased = False

    def __post_init__(self) -> None:
        temperature = _check.real("temperature", self.temperature)
        if temperature <= 0:
            raise ValueError(f"`temperature` must be above 0, got {temperature}")
        object.__setattr__(self, "temperature", temperature)

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return "is for the units of an sc.Network or sc.BernoulliVAE"


@named
@dataclass(frozen=True)
class Vimco(Estimator):
    """Vimco()

    For the bound with many samples: the baseline of a sample is the bound with the others' mean in its place.

    With w_k = p(x, z_k) / q(z_k | x) and L = log(1/K sum_k w_k), the weight of grad log q(z_k | x) is L less the same
    with w_k replaced by the geometric mean of the other w (Mnih and Rezende, "Variational inference for Monte Carlo
    objectives", ICML 2016, eqs. 8 to 10). Unbiased for the gradient of E[L]. K samples and K evaluations, K at least 2;
    ``sc.BernoulliVAE``.
    """

    name = "vimco"
    least = 2

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return "is for the units of an sc.BernoulliVAE"
