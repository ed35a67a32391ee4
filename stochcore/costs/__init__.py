"""costs: J(y), built in, compiled, or any Python callable.

The protocol. A cost maps samples to one number each: y of shape (n, *sites) to J of shape (n,), or to (n, *batch) for a
family with ``batch_ndims``. Three kinds obey it:

- built in (`Linear`, `Quadratic`, `Table`, `QUBO`, `Ising`, `MaxCut`): evaluated inside the parallel loop, on packed
  bits where samples are bits; no samples stored;
- `compiled`: a C function ``double cost(const T *y, ptrdiff_t n_sites, void *data)``, called inside the parallel loop
  for one sample after another;
- a Python callable ``cost(y)``: called on chunks of at most 2^20 outcomes (or one block, where that is more) and of
  constant length (only the last chunk of an estimate may differ), in order, on one thread; y is read-only. What it
  raises comes out unchanged. For the same bits on every run it must itself be reproducible.

J must be finite. It is taken not to depend on the parameters other than through y.

A cost may also know

- ``flip(y)``: J(y with this one site flipped) - J(y), for bits, shape (n, *sites);
- ``differences(y, n_classes)``: J(y with this one site in class c) - J(y), shape (n, *sites, n_classes);
- ``grad_y(y)``: its derivative by real y, shape (n, *sites);
- ``hess_y(y)``: its second derivatives by each single y, shape (n, *sites);
- ``grad_params(y)``: where J depends on the parameters besides y, its derivative by these, (n, *parameters).

The built-in ones know the first two (a `Table` of other than two classes: the second); `Linear` and `Quadratic` know
``grad_y`` and ``hess_y``, and `with_gradient` gives them to a function. None depends on the parameters.

`CrossEntropy`, `SquaredError` and `BernoulliLikelihood` are another matter: costs at the end of an ``sc.Network``, of
its output beside a target.
"""

from __future__ import annotations

from .built_in import BuiltIn, Formula
from .ends import BernoulliLikelihood, CrossEntropy, End, SquaredError
from .foreign import Compiled, compiled
from .gradients import with_gradient
from .graphs import QUBO, Form, Ising, MaxCut
from .protocol import Array, Cost, as_cost, evaluate, fitting, length
from .sites import Linear, Quadratic, Table

__all__ = [
    "QUBO",
    "Array",
    "BernoulliLikelihood",
    "BuiltIn",
    "Compiled",
    "Cost",
    "CrossEntropy",
    "End",
    "Form",
    "Formula",
    "Ising",
    "Linear",
    "MaxCut",
    "Quadratic",
    "SquaredError",
    "Table",
    "as_cost",
    "compiled",
    "evaluate",
    "fitting",
    "length",
    "with_gradient",
]
