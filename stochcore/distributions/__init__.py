"""distributions: step functions y = f(z; w), with their samples, log-probabilities and scores.

`family` has the protocol, `compiled` what our families share, `parameters` theta and maps to it; the families live in
`sites` (bits, classes), `counts`, `latent` (thresholds of a Gaussian or logistic latent, and the Gaussian itself),
`orders`, `chains` and `joint`.
"""

from .chains import MarkovChain
from .compiled import Compiled
from .counts import Binomial, Geometric, NegativeBinomial, Poisson
from .family import Family
from .joint import Joint
from .latent import Normal, Ordinal, RoundedNormal
from .orders import PlackettLuce, TopK
from .parameters import Linear
from .sites import Bernoulli, Categorical

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "Compiled",
    "Family",
    "Geometric",
    "Joint",
    "Linear",
    "MarkovChain",
    "NegativeBinomial",
    "Normal",
    "Ordinal",
    "PlackettLuce",
    "Poisson",
    "RoundedNormal",
    "TopK",
]
