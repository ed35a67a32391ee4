"""What a descent of `minimize` is made of, checked; in plain words for files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from ._descent import FamilyTrainer, Trainer
from ._held_out import HeldOut
from .costs import BuiltIn, Cost, fitting
from .distributions import Family
from .distributions.family import Simulated
from .estimators import Estimator, ValueBaseline, Vimco, Workers, resolve
from .estimators.base import as_plain as plain_estimator
from .estimators.base import from_plain as estimator_of_plain
from .network import Network
from .noise import Stream, _restore, as_stream
from .optimizers import Natural, Optimizer, Rate, as_plain, checked, from_plain

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a descent is made of, besides where it stands."""

    model: Any
    cost: Any
    data: Any
    batch_size: int
    optimizer: Optimizer
    n_samples: int
    estimator: str | Estimator
    seed: int | Stream
    n_threads: int | None
    maximize: bool
    entropy: Rate | None = None
    workers: Workers | None = None  # not in files: who makes the shards of a step's estimate
    held_out: HeldOut | None = None

    def trainer(self) -> Trainer:
        """Return what takes the steps, at the start."""
        if isinstance(self.model, Family):
            return self._family_trainer(self.model)
        if not hasattr(self.model, "trainer"):
            raise TypeError(
                "`model` must be a family such as Bernoulli, a network such as BernoulliVAE, or a simulator with its "
                f"theta, got {_check._short(self.model)}"
            )
        name = type(self.model).__name__
        if isinstance(self.optimizer, Natural):
            raise TypeError(f"`optimizer` must be a plain one for a {name}, got {self.optimizer!r}")
        if self.entropy is not None:
            why = ": its cost has the entropy of its units" if self.shows == "bound" else ""
            raise TypeError(f"`entropy` must be left out for a {name}{why}")
        if self.cost is not None:
            data = ": `data` is what it learns from" if self.data is None else ""
            raise TypeError(f"`cost` must be left out for a {name}, which brings its own{data}")
        if self.workers is not None:
            raise TypeError(f"`executor` must be left out for a {name}: its steps go over threads")
        if self.data is None:
            raise TypeError(f"`data` must be given for a {name}")
        if self.maximize:
            why = "its cost is minus its bound" if self.shows == "bound" else "it brings a cost"
            raise ValueError(f"`maximize` must be False for a {name}: {why}")
        if self.held_out is not None and not hasattr(self.model, "evaluate"):
            raise TypeError(f"`held_out` must be left out for a {name}: it has no `evaluate`")
        if self.held_out is not None and self.held_out.bound_samples > 1 and not hasattr(self.model, "bound"):
            raise TypeError(f"`bound_samples` must be left out for a {name}: it has no `bound`")
        trainer: Trainer = self.model.trainer(
            self.data,
            batch_size=self.batch_size,
            n_samples=self.n_samples,
            estimator=self.estimator,
            seed=self.seed,
            n_threads=self.n_threads,
        )
        return trainer

    def _family_trainer(self, model: Family) -> FamilyTrainer:
        for name, given in (("data", self.data), ("held_out", self.held_out)):
            if given is not None:
                raise TypeError(f"`{name}` must be left out for a {type(model).__name__}: it has a `cost`")
        if self.maximize and isinstance(model, Simulated):
            raise ValueError("`maximize` must be False for a simulator: let it tell minus its reward as cost")
        cost, estimator = fitting(model, self.cost), resolve(self.estimator)
        estimator.check(model, cost, self.n_samples)
        if self.maximize:
            cost, estimator = negative(cost), estimator.negated()
        stream = as_stream(self.seed)
        natural = isinstance(self.optimizer, Natural)
        if self.workers is not None and isinstance(estimator, ValueBaseline) and estimator.weights is None:
            raise ValueError(
                "`executor` must be left out for a value_baseline that learns: what it has seen stays here"
            )
        made = FamilyTrainer(model, cost, self.n_samples, estimator, stream, self.n_threads, self.entropy, natural)
        made.workers = self.workers
        return made

    @property
    def shows(self) -> str:
        """What a bar shows: the cost, or minus that, the bound of a model of the data."""
        return "cost" if self.data is None or isinstance(self.model, Network) else "bound"

    @property
    def label(self) -> str:
        """What it is called: a bound with many samples is another one."""
        of_many = self.shows == "bound" and resolve(self.estimator).name == Vimco.name
        return f"{self.n_samples:,}-sample bound" if of_many else self.shows

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of independent problems."""
        return self.model.batch_shape if isinstance(self.model, Family) else ()

    @property
    def record_width(self) -> int:
        """Numbers that a step leaves."""
        problems = math.prod(self.batch_shape)
        return 3 * problems + 1 + (0 if self.entropy is None else problems + 1)

    def about(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a file holds of the plan, in plain words, and the estimator's arrays."""
        estimator, arrays = self.estimator, {}
        if not isinstance(estimator, str):
            estimator, arrays = plain_estimator(estimator) or (None, {})  # type: ignore[assignment]
        plain = {
            "optimizer": _plain_or_none(self.optimizer),
            "estimator": estimator,
            "entropy": None if self.entropy is None else [_plain_or_none(self.entropy)],
            "seed": self.seed._key() if isinstance(self.seed, Stream) else int(self.seed),
            "n_samples": self.n_samples,
            "batch_size": self.batch_size,
            "maximize": self.maximize,
            "held_out": None if self.held_out is None else self.held_out.about(),
        }
        return plain, arrays

    @staticmethod
    def again(
        plain: dict[str, Any],
        arrays: dict[str, Any],
        optimizer: Optimizer | None,
        estimator: str | Estimator | None,
        entropy: Rate | None,
        held_out: Any = None,
        **given: Any,
    ) -> Plan:
        """Return the plan that `about` told of, with what no file holds."""
        optimizer = from_plain(plain["optimizer"]) if optimizer is None else checked(optimizer)
        if optimizer is None:
            raise TypeError("`optimizer` must be given: no file can hold the learning rate that was used")
        if estimator is None:
            estimator = plain["estimator"]
            if estimator is None:
                raise TypeError("`estimator` must be given: no file can hold the one that was used")
            if isinstance(estimator, dict):
                estimator = estimator_of_plain(estimator, arrays)
        kept = plain.get("entropy")
        if (kept is None) != (entropy is None) and entropy is not None:
            raise ValueError("`entropy` must be left out: there was none")
        if kept is not None and entropy is None:
            entropy = from_plain(kept[0])
            if entropy is None:
                raise TypeError("`entropy` must be given: no file can hold the schedule that was used")
        seed = plain["seed"]
        return Plan(
            optimizer=optimizer,
            estimator=estimator,
            entropy=checked_entropy(entropy),
            held_out=HeldOut.again(plain.get("held_out"), held_out),
            seed=_restore(*seed) if isinstance(seed, list) else seed,
            n_samples=plain["n_samples"],
            batch_size=plain["batch_size"],
            maximize=plain["maximize"],
            **given,
        )


def _plain_or_none(value: Any) -> Any:
    """Return an optimiser or a schedule in plain words; None where it is a function of the user's own."""
    try:
        return as_plain(value)
    except TypeError:
        return None


def checked_entropy(entropy: Any) -> Rate | None:
    """Return a weight or a schedule of weights."""
    if entropy is None or callable(entropy):
        return entropy  # type: ignore[no-any-return]
    return _check.real("entropy", entropy)


def negative(cost: Cost | BuiltIn) -> Cost | BuiltIn:
    """Return minus `cost`, exactly."""
    if isinstance(cost, BuiltIn):
        return cost.negated()

    def minus(y: Array) -> ArrayLike:
        values = np.asarray(cost(y))
        return -values.astype(np.float64) if values.dtype.kind in "iufb" else values

    return minus
