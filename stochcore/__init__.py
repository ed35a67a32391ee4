"""stochcore: gradients of expected costs through discrete random decisions, on CPUs.

A model emits a discrete y = f(z; w) from noise z. The expected cost E[J(f(z; w))] is smooth in w although J(y) is not;
`estimate` gives it and its gradient, each with an error bar, with the same bits for any number of threads and on any
instruction set. ``docs/contract.md`` says what is promised.
"""

from . import costs, environments, estimators, schedules, simulators
from .compare import Comparison, compare
from .config import show_config
from .distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Family,
    Geometric,
    Joint,
    Linear,
    MarkovChain,
    NegativeBinomial,
    Normal,
    Ordinal,
    PlackettLuce,
    Poisson,
    RoundedNormal,
    TopK,
)
from .estimate import Estimate
from .estimators import estimate
from .exact import exact
from .layers import BernoulliUnits, CategoricalUnits, Dropout, LeakyReLU, NormalUnits, Tanh
from .network import Network
from .networks import BernoulliVAE
from .noise import Stream
from .optimize import SGD, Adam, Fit, Momentum, Natural, RMSProp, minimize
from .simulators import CSimulator, Draw, Simulator, simulator
from .unbiased import Unbiasedness, check_unbiased
from .version import __version__

__all__ = [
    "SGD",
    "Adam",
    "Bernoulli",
    "BernoulliUnits",
    "BernoulliVAE",
    "Binomial",
    "CSimulator",
    "Categorical",
    "CategoricalUnits",
    "Comparison",
    "Draw",
    "Dropout",
    "Estimate",
    "Family",
    "Fit",
    "Geometric",
    "Joint",
    "LeakyReLU",
    "Linear",
    "MarkovChain",
    "Momentum",
    "Natural",
    "NegativeBinomial",
    "Network",
    "Normal",
    "NormalUnits",
    "Ordinal",
    "PlackettLuce",
    "Poisson",
    "RMSProp",
    "RoundedNormal",
    "Simulator",
    "Stream",
    "Tanh",
    "TopK",
    "Unbiasedness",
    "__version__",
    "check_unbiased",
    "compare",
    "costs",
    "environments",
    "estimate",
    "estimators",
    "exact",
    "get_include",
    "minimize",
    "schedules",
    "show_config",
    "simulator",
    "simulators",
]


def get_include() -> str:
    """Return the folder of ``stochcore.h``, for C and Cython extensions."""
    from importlib.resources import files

    return str(files(__name__) / "include")
