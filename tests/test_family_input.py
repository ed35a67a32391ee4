"""What families refuse, and in which words, rule by rule."""

import numpy as np
import pytest
from families import TOP, begins, every, made, refuses, rows, same

import stochcore as sc

REAL = "must hold real numbers (float64 or what converts to it), got dtype"
LAST = "must have at least one number on the last axis, got shape"
EYE = np.zeros((3, 3))


# Parameters


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        # rates
        (lambda: sc.Poisson(rate=0.0), ValueError, "`rate` must be positive, got 0.0"),
        (lambda: sc.Poisson(rate=[1.0, -2.0]), ValueError, "`rate` must be positive, got -2.0 at index 1"),
        (lambda: sc.Poisson(rate=[[1.0, np.nan]]), ValueError, "`rate` must be finite, got nan at index (0, 1)"),
        (lambda: sc.Poisson(rate=np.inf), ValueError, "`rate` must be finite, got inf"),
        (lambda: sc.Poisson(rate=1e-310), ValueError, "`rate` must be at least 2.2e-308, got 1e-310"),
        (lambda: sc.Poisson(log_rate=[-np.inf]), ValueError, "`log_rate` must be finite, got -inf at index 0"),
        (lambda: sc.Poisson(rate=["a"]), TypeError, f"`rate` {REAL} <U1"),
        (lambda: sc.Poisson(rate=True), TypeError, f"`rate` {REAL} bool"),
        (lambda: sc.Poisson(rate=1j), TypeError, f"`rate` {REAL} complex128"),
        (lambda: sc.Poisson(), ValueError,
         "exactly one of `rate` and `log_rate` must be given, got rate=None, log_rate=None"),
        (lambda: sc.Poisson(rate=1.0, log_rate=0.0), ValueError,
         "exactly one of `rate` and `log_rate` must be given, got rate=1.0, log_rate=0.0"),
        (lambda: sc.Poisson(rate=[]), ValueError, "`rate` must have at least one site, got shape (0,)"),
        (lambda: sc.Poisson(rate=[1.0, 2.0], batch_ndims=2), ValueError, "`batch_ndims` must be in [0, 1], got 2"),
        (lambda: sc.Poisson(rate=1.0, batch_ndims=1.0), TypeError, "`batch_ndims` must be an integer, got 1.0"),
        # wide tables
        (lambda: sc.Poisson(rate=1e15), ValueError,
         "`rate` of Poisson must spread over at most 2^27 outcomes in all, got wider ones"),
        (lambda: sc.Poisson(log_rate=800.0), ValueError,
         "`log_rate` of Poisson must spread over at most 2^27 outcomes in all, got wider ones"),
        (lambda: sc.Binomial(2**53, probs=0.5), ValueError,
         "`probs` of Binomial must spread over at most 2^27 outcomes in all, got wider ones"),
        (lambda: sc.NegativeBinomial(3.0, logits=-800.0), ValueError,
         "`logits` of NegativeBinomial must spread over at most 2^27 outcomes in all, got wider ones"),
        (lambda: sc.Geometric(probs=1e-16), ValueError, "`probs` must make outcomes that stay below 2^53, got 1e-16"),
        (lambda: sc.Geometric(logits=[0.0, -800.0]), ValueError,
         "`logits` must make outcomes that stay below 2^53, got -800.0 at index 1"),
        # probabilities and trials
        (lambda: sc.Binomial(3, probs=[0.5, 1.2]), ValueError, "`probs` must lie in [0, 1], got 1.2 at index 1"),
        (lambda: sc.Binomial(3, probs=-0.1), ValueError, "`probs` must lie in [0, 1], got -0.1"),
        (lambda: sc.Binomial(3, logits=np.nan), ValueError, "`logits` must be finite, got nan"),
        (lambda: sc.Binomial(3), ValueError,
         "exactly one of `logits` and `probs` must be given, got logits=None, probs=None"),
        (lambda: sc.Binomial(-1, probs=0.5), ValueError, "`total_count` must lie in 0 .. 2^53, got -1"),
        (lambda: sc.Binomial([3, -4], probs=0.5), ValueError, "`total_count` must lie in 0 .. 2^53, got -4 at index 1"),
        (lambda: sc.Binomial(2**53 + 1, probs=0.5), ValueError,
         "`total_count` must lie in 0 .. 2^53, got 9007199254740993"),
        (lambda: sc.Binomial(3.0, probs=0.5), TypeError, "`total_count` must hold integers, got dtype float64"),
        (lambda: sc.Binomial(True, probs=0.5), TypeError, "`total_count` must hold integers, got dtype bool"),
        (lambda: sc.Binomial(None, probs=0.5), TypeError, "`total_count` must hold integers, got dtype object"),
        (lambda: sc.Binomial([[1], [1, 2]], probs=0.5), ValueError,
         "`total_count` must be a rectangular array, got [[1], [1, 2]]"),
        (lambda: sc.NegativeBinomial(None, probs=0.5), TypeError, f"`total_count` {REAL} object"),
        (lambda: sc.Binomial([1, 2], probs=[0.5, 0.5, 0.5]), ValueError,
         "shapes must broadcast, got `probs` (3,) and `total_count` (2,)"),
        (lambda: sc.NegativeBinomial(0.0, probs=0.5), ValueError, "`total_count` must be positive, got 0.0"),
        (lambda: sc.NegativeBinomial([1.0, -1.0], probs=0.5), ValueError,
         "`total_count` must be positive, got -1.0 at index 1"),
        (lambda: sc.NegativeBinomial("2", probs=0.5), TypeError, f"`total_count` {REAL} <U1"),
        (lambda: sc.NegativeBinomial(1.0, probs=0.0), ValueError, "`probs` must lie in (0, 1], got 0.0"),
        (lambda: sc.NegativeBinomial(1.0, probs=[0.5, 1.5]), ValueError,
         "`probs` must lie in (0, 1], got 1.5 at index 1"),
        (lambda: sc.Geometric(probs=0.0), ValueError, "`probs` must lie in (0, 1], got 0.0"),
        (lambda: sc.Geometric(probs=[0.5, -0.5]), ValueError, "`probs` must lie in (0, 1], got -0.5 at index 1"),
        (lambda: sc.Geometric(logits=0.0, probs=0.5), ValueError,
         "exactly one of `logits` and `probs` must be given, got logits=0.0, probs=0.5"),
        # latents
        (lambda: sc.Normal(0.0), ValueError,
         "exactly one of `scale` and `log_scale` must be given, got scale=None, log_scale=None"),
        (lambda: sc.Normal(0.0, 1.0, log_scale=0.0), ValueError,
         "exactly one of `scale` and `log_scale` must be given, got scale=1.0, log_scale=0.0"),
        (lambda: sc.Normal(0.0, [1.0, 0.0]), ValueError, "`scale` must be positive, got 0.0 at index 1"),
        (lambda: sc.Normal(np.nan, 1.0), ValueError, "`mean` must be finite, got nan"),
        (lambda: sc.Normal([0.0, 1.0], [1.0, 2.0, 3.0]), ValueError,
         "shapes must broadcast, got `mean` (2,) and `scale` (3,)"),
        (lambda: sc.Normal(0.0, log_scale=[0.0, 800.0]), ValueError,
         "`log_scale` must lie in -708 .. 709, got 800.0 at index 1"),
        (lambda: sc.RoundedNormal(0.0, -1.0), ValueError, "`scale` must be positive, got -1.0"),
        (lambda: sc.RoundedNormal(0.0, 1e9), ValueError,
         "`scale` over `step` must spread over at most 2^27 outcomes in all, got wider ones"),
        (lambda: sc.RoundedNormal(1e308, log_scale=709.0), ValueError,
         "`log_scale` over `step` must spread over at most 2^27 outcomes in all, got wider ones"),
        (lambda: sc.RoundedNormal([0.0, -1e17], 1.0, step=0.5), ValueError,
         "`mean` over `step` must stay below 2^53, got 2e+17"),
        (lambda: sc.RoundedNormal(0.0, 1.0, step=0.0), ValueError, "`step` must be a positive finite number, got 0.0"),
        (lambda: sc.RoundedNormal(0.0, 1.0, step="a"), TypeError, "`step` must be a number, got 'a'"),
        (lambda: sc.RoundedNormal(0.0, 1.0, step=[1.0]), TypeError, "`step` must be a number, got [1.0]"),
        (lambda: sc.Ordinal(0.0), ValueError,
         "exactly one of `cutpoints` and `free_cutpoints` must be given, got cutpoints=None, free_cutpoints=None"),
        (lambda: sc.Ordinal(0.0, [0.0, 1.0, 1.0]), ValueError,
         "`cutpoints` must increase along the last axis, got 1.0 before 1.0 at index 1"),
        (lambda: sc.Ordinal(0.0, [[0.0, 1.0], [2.0, -1.0]]), ValueError,
         "`cutpoints` must increase along the last axis, got 2.0 before -1.0 at index (1, 0)"),
        (lambda: sc.Ordinal(0.0, []), ValueError, f"`cutpoints` {LAST} (0,)"),
        (lambda: sc.Ordinal(0.0, 1.0), ValueError, f"`cutpoints` {LAST} ()"),
        (lambda: sc.Ordinal(0.0, [0.0, np.inf]), ValueError, "`cutpoints` must be finite, got inf at index 1"),
        (lambda: sc.Ordinal([0.0, 1.0], np.zeros((3, 1))), ValueError,
         "shapes must broadcast, got `location` (2,) and `cutpoints` (3,)"),
        (lambda: sc.Ordinal(0.0, [0.0], noise="probit"), ValueError,
         "`noise` must be one of 'logistic', 'normal', got 'probit'"),
        (lambda: sc.Ordinal(0.0, [0.0], noise=1), TypeError, "`noise` must be a string, got 1"),
        (lambda: sc.Ordinal(0.0, free_cutpoints=[0.0, 800.0]), ValueError,
         "`free_cutpoints` must give finite cut points that increase, got 800.0 at index 1"),
        (lambda: sc.Ordinal(0.0, free_cutpoints=[5.0, -50.0]), ValueError,
         "`free_cutpoints` must give finite cut points that increase, got -50.0 at index 1"),
        (lambda: sc.Ordinal(0.0, free_cutpoints=[0.0, 710.0, 0.0]), ValueError,
         "`free_cutpoints` must give finite cut points that increase, got 710.0 at index 1"),
        (lambda: sc.Ordinal(2.0**53 + 4, free_cutpoints=[0.0, 0.0]), ValueError,
         "`location` must be so near the cut points that these stay apart, got 9007199254740996.0"),
        # orders
        (lambda: sc.PlackettLuce(1.0), ValueError, f"`logits` {LAST} ()"),
        (lambda: sc.PlackettLuce(np.zeros((2, 0))), ValueError, f"`logits` {LAST} (2, 0)"),
        (lambda: sc.PlackettLuce([0.0, np.inf]), ValueError, "`logits` must be finite, got inf at index 1"),
        (lambda: sc.PlackettLuce(np.zeros((0, 2))), ValueError, "`logits` must have at least one site, got shape (0,)"),
        (lambda: sc.PlackettLuce(np.zeros(2**20 + 1)), ValueError,
         "`logits` must have at most 2^20 items on the last axis, got 1048577"),
        (lambda: sc.TopK([0.0, 1.0], 3), ValueError, "`k` must be in [1, 2], got 3"),
        (lambda: sc.TopK([0.0, 1.0], 0), ValueError, "`k` must be in [1, 2], got 0"),
        (lambda: sc.TopK([0.0, 1.0], -1), ValueError, "`k` must be in [1, 2], got -1"),
        (lambda: sc.TopK([0.0, 1.0], 1.0), TypeError, "`k` must be an integer, got 1.0"),
        (lambda: sc.TopK([0.0, 1.0], True), TypeError, "`k` must be an integer, got True"),
        (lambda: sc.TopK([0.0, 1.0], None), TypeError, "`k` must be an integer, got None"),
        (lambda: sc.TopK([0.0, 1.0], 1, ordered=1), TypeError, "`ordered` must be a bool, got 1"),
        (lambda: sc.TopK(np.zeros((2, 3)), 1, batch_ndims=2), ValueError, "`batch_ndims` must be in [0, 1], got 2"),
        # chains
        (lambda: sc.MarkovChain(np.zeros(3), EYE), ValueError,
         "`transitions` must have shape (T - 1, 3, 3) without `n_steps`, got (3, 3)"),
        (lambda: sc.MarkovChain(np.zeros(3), EYE[:2], n_steps=3), ValueError,
         "`transitions` must have shape (3, 3) with `n_steps`, got (2, 3)"),
        (lambda: sc.MarkovChain(np.zeros(2), EYE, n_steps=3), ValueError,
         "`transitions` must have shape (2, 2) with `n_steps`, got (3, 3)"),
        (lambda: sc.MarkovChain(np.zeros((2, 3)), EYE, n_steps=3), ValueError,
         "`transitions` must have shape (2, 3, 3) with `n_steps`, got (3, 3)"),
        (lambda: sc.MarkovChain(np.zeros(3), EYE[None], n_steps=2), ValueError,
         "`transitions` must have shape (3, 3) with `n_steps`, got (1, 3, 3)"),
        (lambda: sc.MarkovChain(np.zeros(3), EYE, n_steps=0), ValueError, "`n_steps` must be at least 1, got 0"),
        (lambda: sc.MarkovChain(np.zeros(3), EYE, n_steps=2.0), TypeError, "`n_steps` must be an integer, got 2.0"),
        (lambda: sc.MarkovChain(0.0, EYE, n_steps=2), ValueError, f"`initial` {LAST} ()"),
        (lambda: sc.MarkovChain(np.zeros(3), EYE + np.nan, n_steps=2), ValueError,
         "`transitions` must be finite, got nan at index (0, 0)"),
        (lambda: sc.MarkovChain(np.zeros((2, 3)), np.zeros((2, 3, 3)), n_steps=2, batch_ndims=2), ValueError,
         "`batch_ndims` must be in [0, 1], got 2"),
        # joints
        (lambda: sc.Joint(), ValueError, "`families` must hold at least one, got none"),
        (lambda: sc.Joint(a=3), TypeError, "`a` must be a family of this package, got 3"),
        (lambda: sc.Joint(a=sc.Poisson(rate=[[1.0]], batch_ndims=1)), ValueError,
         "`a` must have no problems of its own, got batch_ndims=1"),
        # Linear
        (lambda: sc.Poisson(log_rate=sc.Linear([1.0, 2.0])), TypeError,
         "`log_rate` must be numbers or a Linear of inputs, Linear(weight)(x), got Linear(<2>) without any"),
        (lambda: sc.Linear(1.0), ValueError, "`weight` must have shape (inputs, *outputs), got ()"),
        (lambda: sc.Linear(np.zeros((2, 0))), ValueError, "`weight` must have shape (inputs, *outputs), got (2, 0)"),
        (lambda: sc.Linear([np.nan]), ValueError, "`weight` must be finite, got nan at index 0"),
        (lambda: sc.Linear(EYE, [0.0]), ValueError, "`bias` must have shape (3,), got (1,)"),
        (lambda: sc.Linear(EYE)(np.zeros((4, 2))), ValueError,
         "`x` must have 3 inputs on the last axis, got shape (4, 2)"),
        (lambda: sc.Linear(EYE)(1.0), ValueError, "`x` must have 3 inputs on the last axis, got shape ()"),
        (lambda: sc.Linear(EYE)([np.inf, 0.0, 0.0]), ValueError, "`x` must be finite, got inf at index 0"),
        (lambda: sc.Poisson(rate=sc.Linear(np.ones(2))([1.0, -1.0])), ValueError, "`rate` must be positive, got 0.0"),
        (lambda: sc.Bernoulli(probs=sc.Linear(np.ones(1))([[0.5], [2.0]])), ValueError,
         "`probs` must lie in [0, 1], got 2.0 at index 1"),
    ],
)  # fmt: skip
def test_parameters(build, error, message):
    with refuses(error, message):
        build()


# Outcomes


@pytest.mark.parametrize(
    ("build", "y", "message"),
    [
        (lambda: sc.Poisson(rate=[1.0, 2.0]), [0, -1], "`y` must be at least 0, got -1 at index 1"),
        (lambda: sc.Poisson(rate=1.0), 2**31, "`y` must be in 0 .. 2147483647, got 2147483648"),
        (lambda: sc.Binomial([3, 5], probs=0.5), [[0, 5], [4, 0]], "`y` must be in 0 .. 3, got 4 at index (1, 0)"),
        (lambda: sc.Binomial([3, 5], probs=0.5), [0, -5], "`y` must be at least 0, got -5 at index 1"),
        (lambda: sc.NegativeBinomial(1.5, probs=0.5), -1, "`y` must be at least 0, got -1"),
        (lambda: sc.Geometric(probs=[0.5, 0.5]), [1, 0], "`y` must be at least 1, got 0 at index 1"),
        (lambda: sc.Ordinal([0.0], [0.0, 1.0]), [3], "`y` must lie in 0 .. 2, got 3 at index 0"),
        (lambda: sc.Ordinal(0.0, [0.0, 1.0]), -1, "`y` must lie in 0 .. 2, got -1"),
        (lambda: sc.RoundedNormal(0.0, 1.0), 2**40, "`y` must be in -2147483647 .. 2147483647, got 1099511627776"),
        (lambda: sc.PlackettLuce(np.zeros(3)), [0, 1, 3], "`y` must lie in 0 .. 2, got 3 at index 2"),
        (lambda: sc.PlackettLuce(np.zeros(3)), [0, 1, 0], "`y` must hold each item once, got 0 twice"),
        (lambda: sc.TopK(np.zeros((2, 4)), 2), [[0, 1], [3, 3]],
         "`y` must hold each item once, got 3 twice at index 1"),
        (lambda: sc.TopK(np.zeros((2, 4)), 2, ordered=False), [[[0, 1], [3, 3]]],
         "`y` must hold each item once, got 3 twice at index (0, 1)"),
        (lambda: sc.TopK(np.zeros(4), 2), [0, 1, 2], "`y` must have the sites (2,) as its last axes, got shape (3,)"),
        (lambda: sc.MarkovChain(np.zeros(2), np.zeros((2, 2)), n_steps=3), [0, 1, 2],
         "`y` must lie in 0 .. 1, got 2 at index 2"),
        (lambda: sc.MarkovChain(np.zeros(2), np.zeros((2, 2)), n_steps=3), [0, 1],
         "`y` must have the sites (3,) as its last axes, got shape (2,)"),
        (lambda: sc.Normal([0.0], 1.0), [np.nan], "`y` must be finite, got nan at index 0"),
    ],
)  # fmt: skip
def test_outcomes(build, y, message):
    q = build()
    for method in (q.log_prob, q.score, q.outcome_probs):
        with refuses(ValueError, message):
            method(y)
    with pytest.raises(ValueError, match=begins(message.split(", got")[0])):  # here the index has an axis more
        q.weighted_score([y], [1.0])


@every
def test_outcomes_of_other_types_and_shapes(name):
    q = made(name)
    if isinstance(q, sc.Joint):
        y = q.sample(2, sc.Stream(0))
        first = next(iter(y))
        names = ", ".join(map(repr, y))
        for call in (q.log_prob, q.score, q.outcome_probs, lambda y: q.weighted_score(y, [1.0, 1.0])):
            with refuses(ValueError, f"`y` must have the names {names}, got 'other'"):
                call({"other": 1})
            with refuses(TypeError, f"`y` must be a dict of {names}, got 3"):
                call(3)
            more = {**y, first: q.sample(3, sc.Stream(0))[first]}
            with pytest.raises(ValueError, match=begins("`y` must hold as many samples for each name, got ")):
                call(more)
        return
    y = q.sample(2, sc.Stream(0))
    for call in (q.log_prob, q.score, q.outcome_probs, lambda y: q.weighted_score(y, np.ones((2, *q.batch_shape)))):
        with pytest.raises(TypeError, match=begins("`y` must hold ")):
            call(y.astype(str))
        with pytest.raises(TypeError, match=begins("`y` must hold ")):
            call(y.astype(complex))
        if not isinstance(q, sc.Normal):
            with refuses(TypeError, "`y` must hold integers, got dtype float64"):
                call(y.astype(float))
        if q.site_shape:
            with pytest.raises(
                ValueError, match=begins(f"`y` must have the sites {q.site_shape} as its last axes, got ")
            ):
                call(np.concatenate([y, y], axis=-1))
            with pytest.raises(
                ValueError, match=begins(f"`y` must have the sites {q.site_shape} as its last axes, got ")
            ):
                call(y.reshape(-1)[:0])


@every
def test_weights(name):
    q = made(name)
    y = q.sample(3, sc.Stream(0))
    w = np.ones((3, *q.batch_shape))
    inside = ", ".join(map(str, q.batch_shape))
    with refuses(ValueError, f"`weights` must have shape (n, {inside}), got {(*w.shape, 1)}"):
        q.weighted_score(y, w[..., None])
    with refuses(ValueError, "`weights` must have one row for each of the 3 samples, got 2"):
        q.weighted_score(y, w[:2])
    with refuses(ValueError, "`weights` must have one row for each of the 2 samples, got 3"):
        q.weighted_score(rows(y, slice(0, 2)), w)
    with refuses(TypeError, f"`weights` {REAL} bool"):
        q.weighted_score(y, w.astype(bool))
    with pytest.raises(ValueError, match=begins("`weights` must be finite, got nan")):
        q.weighted_score(y, w * np.nan)
    with refuses(TypeError, "`n_threads` must be an integer, got 1.5"):
        q.weighted_score(y, w, n_threads=1.5)


# Noise


@every
def test_noise(name):
    q = made(name)
    if isinstance(q, sc.Joint):
        with pytest.raises(TypeError, match=begins("`z` must be a dict of ")):
            q.step(np.zeros(3))
        with pytest.raises(ValueError, match=begins("`z` must have the names ")):
            q.step({"other": 1})
        return
    z = q.noise(2, sc.Stream(0))
    wanted = "float64 noise or integers k" if q.noise_kind == "uniform" else "float64 noise"
    with refuses(TypeError, f"`z` must be {wanted}, got dtype float32"):
        q.step(z.astype(np.float32))
    with refuses(TypeError, f"`z` must be {wanted}, got dtype bool"):
        q.step(z.astype(bool))
    if q.noise_kind != "uniform":
        with refuses(TypeError, f"`z` must be {wanted}, got dtype int64"):
            q.step(np.zeros(z.shape, np.int64))
        with pytest.raises(ValueError, match=begins("`z` must be finite, got nan")):
            q.step(z * np.nan)
        with pytest.raises(ValueError, match=begins("`z` must be finite, got -inf")):
            q.step(np.full(z.shape, -np.inf))
    else:
        with pytest.raises(ValueError, match=begins("`z` must lie in [0, 1), got 1.0")):
            q.step(np.ones(z.shape))
        with pytest.raises(ValueError, match=begins("`z` must lie in [0, 1), got nan")):
            q.step(z * np.nan)
        with pytest.raises(ValueError, match=begins("`z` must lie in 0 .. 2^53 - 1, got 9007199254740992")):
            q.step(np.full(z.shape, TOP))
        with pytest.raises(ValueError, match=begins("`z` must lie in 0 .. 2^53 - 1, got -1")):
            q.step(np.full(z.shape, -1))
    sites = q.noise_shape(1)[1:]
    if sites:
        z2 = np.concatenate([z, z], axis=-1)
        with refuses(ValueError, f"`z` must have the sites {sites} as its last axes, got shape {z2.shape}"):
            q.step(z2)
        with refuses(ValueError, f"`z` must have the sites {sites} as its last axes, got shape ()"):
            q.step(0.5)
    if hasattr(q, "latent_step"):
        with refuses(TypeError, "`z` must be float64 noise, got dtype int64"):
            q.latent_step(np.zeros(z.shape, np.int64))
        with pytest.raises(ValueError, match=begins("`z` must be finite, got nan")):
            q.latent_step(z * np.nan)


@every
def test_sampling(name):
    q, s = made(name), sc.Stream(0)
    for bad, error, message in (
        (-1, ValueError, "`n` must be at least 0, got -1"),
        (2.0, TypeError, "`n` must be an integer, got 2.0"),
        (None, TypeError, "`n` must be an integer, got None"),
    ):
        with refuses(error, message):
            q.sample(bad, s)
        with refuses(error, message):
            q.noise(bad, s)
    for call in (q.sample, q.noise):
        with refuses(TypeError, "`stream` must be a stochcore.Stream, got int"):
            call(2, 7)
    with refuses(ValueError, "`n_threads` must be in [1, 1024], got 0"):
        q.sample(2, s, n_threads=0)


# out


@every
def test_out(name):
    q, s = made(name), sc.Stream(0)
    if isinstance(q, sc.Joint):
        with pytest.raises(ValueError, match=begins("`out` must have the names ")):
            q.sample(2, s, out={"other": np.zeros(2)})
        with pytest.raises(TypeError, match=begins("`out` must be a dict of ")):
            q.sample(2, s, out=np.zeros(2))
        return
    shape = (2, *q.site_shape)
    z = q.noise(2, s)
    for call in (lambda out: q.sample(2, s, out=out), lambda out: q.step(z, out=out)):
        with refuses(TypeError, f"`out` must have dtype {q.dtype}, got float32"):
            call(np.empty(shape, np.float32))
        with refuses(ValueError, f"`out` must have shape {shape}, got {(3, *q.site_shape)}"):
            call(np.empty((3, *q.site_shape), q.dtype))
        with pytest.raises(ValueError, match=begins("`out` must be C-contiguous, got strides ")):
            call(np.empty((2, *q.site_shape, 2), q.dtype)[..., 0])
        with refuses(ValueError, "`out` must be writable, got a read-only array"):
            call(frozen(shape, q.dtype))
        with refuses(TypeError, "`out` must be a NumPy array, got 3"):
            call(3)
    memory = np.zeros(z.size * 8, np.uint8)
    noise = memory.view(np.float64).reshape(z.shape)
    noise[...] = z
    size = int(np.prod(shape)) * np.dtype(q.dtype).itemsize
    with refuses(ValueError, "`out` must not overlap `z`, got arrays that share memory"):
        q.step(noise, out=memory[:size].view(q.dtype).reshape(shape))
    assert same(noise, z)
    y = q.sample(2, s)
    with refuses(TypeError, "`out` must have dtype float64, got float32"):
        q.log_prob(y, out=np.empty((2, *q.batch_shape), np.float32))
    with refuses(ValueError, f"`out` must have shape {(2, *q.batch_shape)}, got {(5, *q.batch_shape)}"):
        q.log_prob(y, out=np.empty((5, *q.batch_shape)))


def frozen(shape, dtype):
    out = np.empty(shape, dtype)
    out.flags.writeable = False
    return out


# Structure of parameters


@every
def test_structure_of_parameters(name):
    q = made(name)
    theta = q.parameters
    if not isinstance(theta, dict):
        with refuses(ValueError, f"`{q.given}` must have shape {theta.shape}, got {(*theta.shape, 2)}"):
            q.with_parameters(np.stack([theta, theta], axis=-1))
        with pytest.raises(ValueError, match=begins(f"`{q.given}` must be finite, got nan")):
            q.with_parameters(theta * np.nan)
        with pytest.raises(TypeError, match=begins(f"`{q.given}` must hold real numbers")):
            q.with_parameters({"a": 1})
        return
    told = "parameters" if isinstance(q, sc.Joint) or len(q._arguments) > 1 else q.given
    names = list(theta)
    with refuses(TypeError, f"`{told}` must be a dict of {', '.join(names)}, got 3"):
        q.with_parameters(3)
    least = dict(list(theta.items())[1:])
    came = ", ".join(map(repr, least))
    with refuses(ValueError, f"`{told}` must have the names {', '.join(map(repr, names))}, got {came}"):
        q.with_parameters(least)
    with pytest.raises(ValueError, match=begins(f"`{told}` must have the names {', '.join(map(repr, names))}, got ")):
        q.with_parameters({**theta, "more": 1.0})
    if not isinstance(theta[names[0]], dict):
        bad = np.stack([theta[names[0]]] * 2)
        message = f"`{told}['{names[0]}']` must have shape {bad.shape[1:]}, got {bad.shape}"
        with refuses(ValueError, message):
            q.with_parameters({**theta, names[0]: bad})


# Enumeration


def test_enumeration():
    over = "enumeration must have at most 2^20 outcomes, got some 2^"
    for build, more in (
        (lambda: sc.Poisson(rate=np.full(9, 3.0)), "43 on 9 sites"),
        (lambda: sc.Binomial(1, probs=np.full(21, 0.5)), "21 on 21 sites"),
        (lambda: sc.PlackettLuce(np.zeros(10)), "22 on 1 lists"),
        (lambda: sc.TopK(np.zeros((3, 20)), 3), "38 on 3 lists"),
        (lambda: sc.MarkovChain(np.zeros(2), np.zeros((2, 2)), n_steps=21), "21 on 21 sites"),
        (
            lambda: sc.Joint(
                a=sc.Poisson(rate=[3.0, 3.0]), b=sc.PlackettLuce(np.zeros(6)), c=sc.Binomial(9, probs=0.5)
            ),
            "23",
        ),
    ):
        q = build()
        for call in (q.enumerate, lambda q=q: sc.exact(q, lambda y: 0)):
            with pytest.raises(ValueError, match=begins(over)) as caught:
                call()
            assert str(caught.value).removeprefix(over).split()[1:] == more.split()[1:]
    with refuses(ValueError, "`enumerate` must have outcomes that can be counted, got those of a Normal"):
        sc.exact(sc.Normal(0.0, 1.0), lambda y: y)


def test_a_linear_can_not_move_bounded_arguments():
    for q, free, given in (
        (sc.Poisson(rate=sc.Linear([1.0])([2.0])), "log_rate", "rate"),
        (sc.Bernoulli(probs=sc.Linear([0.5])([1.0])), "logits", "probs"),
        (sc.Geometric(probs=sc.Linear([0.5])([1.0])), "logits", "probs"),
        (sc.Normal(0.0, sc.Linear([0.5])([1.0])), "log_scale", "scale"),
    ):
        message = f"`model` must give `{free}`, which may be any numbers, where a Linear moves, got `{given}`"
        with refuses(ValueError, message):
            sc.minimize(q, lambda y: y.reshape(len(y)), n_steps=1, n_samples=4)


def test_bounds_do_not_move():
    for q, name in ((sc.Binomial(3, probs=[0.5, 1.0]), "probs"), (sc.Geometric(probs=[0.5, 1.0]), "probs")):
        with refuses(ValueError, f"`model` must have {name} between 0 and 1, where they can move, got 1.0 at index 1"):
            sc.minimize(q, lambda y: y.sum(axis=1), n_steps=1, n_samples=4)
