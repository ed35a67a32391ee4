"""The network of Bernoulli units, against a float64 twin in NumPy, against enumeration, and on real digits."""

import hashlib
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

import stochcore as sc
from stochcore import _dispatch, _networks
from stochcore._batches import Orders
from stochcore.noise import BATCHING, BINARISING, EVALUATION, LAYERS

NAMES = ("W", "b", "V", "c", "prior")
SHAPES = [  # pixels, units, images, samples
    (1, 1, 1, 2),
    (5, 3, 7, 2),
    (16, 16, 16, 4),
    (70, 33, 50, 2),
    (17, 65, 3, 3),
    (112, 130, 65, 2),
    (200, 48, 40, 5),
]


def softplus(a):
    return np.logaddexp(0, a)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def noise(seed, purpose, first, shape):
    return sc.Stream(seed)._replace(purpose=purpose).at(first)._k53(shape)


def below(k, p):
    """The contract's Bernoulli: k < ceil(2^53 p), for p as float32."""
    return (k < np.ceil(np.float64(p) * 2.0**53)).astype(float)


def random_model(D, H, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = dict(zip(NAMES, ((D, H), (H,), (H, D), (D,), (H,)), strict=True))
    return sc.BernoulliVAE.from_parameters(
        {name: scale * rng.normal(size=shape) for name, shape in shapes.items()}, mean=rng.uniform(0.1, 0.9, D)
    )


def elbo(P, logits, z, x):
    """log p(x|z) + log p(z) - log q(z|x), and the decoder's logits."""
    o = z @ P["V"] + P["c"]
    log_p = (x * o - softplus(o)).sum(-1) + (z * P["prior"] - softplus(P["prior"])).sum(-1)
    return log_p - (z * logits - softplus(logits)).sum(-1), o


def twin(model, x, z, leave_one_out=True, baseline=0.0, pairs=False):
    """Cost, its standard error and gradients of a batch x (B, D) with units z (B, K, H), in float64."""
    P = {name: np.asarray(a, float) for name, a in model.parameters.items()}
    B, K = z.shape[:2]
    logits = 2 * (x - model.mean) @ P["W"] + P["b"]
    f, o = elbo(P, logits[:, None], z, x[:, None])
    delta = sigmoid(o) - x[:, None]
    others = (f.sum(1, keepdims=True) - f) / (K - 1) if leave_one_out else -baseline
    weight = (f - others) / K
    score = -(weight[:, :, None] * (z - sigmoid(logits)[:, None])).sum(1) / B
    if pairs:
        half = (f[:, ::2] - f[:, 1::2])[:, :, None] / 2 * (z[:, ::2] - z[:, 1::2])
        score = -half.mean(1) * sigmoid(np.abs(logits)) / B
    grad = {
        "W": 2 * (x - model.mean).T @ score,
        "b": score.sum(0),
        "V": np.einsum("bkh,bkd->hd", z, delta) / (B * K),
        "c": delta.mean((0, 1)),
        "prior": sigmoid(P["prior"]) - z.mean((0, 1)),
    }
    cost = -f.mean(1)
    return cost.mean(), cost.std(ddof=1) / np.sqrt(B) if B > 1 else np.inf, grad


def step_twin(model, images, t, B, K, seed, **how):
    """Step t of training: its batch, binarised, and its units."""
    n, (D, H) = len(images), model.parameters["W"].shape
    rows = []
    for at in range(t * B, (t + 1) * B):
        epoch, place = divmod(at, n)
        word = noise(seed, BATCHING, epoch * n, n) >> np.uint64(21)
        rows.append(np.argsort(word, kind="stable")[place])
    x = below(noise(seed, BINARISING, t * B * D, (B, D)), np.float32(images[rows]))
    k = noise(seed, LAYERS, t * B * K * H, (B, K, H))
    if how.get("pairs"):
        k[:, 1::2] = 2**53 - 1 - k[:, ::2]
    return twin(model, x, below(k, model.encode(x)[:, None]), **how)


def one_step(model, images, t, B, K, seed=0, estimator="leave_one_out", n_threads=None):
    """Step t by the trainer: the record, and the gradient read off a step of SGD with rate 1."""
    trainer = model.trainer(images, batch_size=B, n_samples=K, estimator=estimator, seed=seed, n_threads=n_threads)
    moments = np.zeros((2, trainer.parameters.size), np.float32)
    record = trainer.run(sc.SGD.kind, sc.SGD(1.0).scalars(t, 1), t, moments)[0]
    after = trainer.model().parameters
    return record, {name: np.float64(model.parameters[name]) - after[name] for name in NAMES}


@pytest.mark.parametrize(("D", "H", "B", "K"), SHAPES)
def test_step_agrees_with_float64_twin(D, H, B, K):
    model = random_model(D, H, scale=0.5)
    images = np.random.default_rng(1).uniform(size=(B + 3, D))
    record, grad = one_step(model, images, 3, B, K, seed=5)
    cost, cost_se, want = step_twin(model, images, 3, B, K, 5)
    assert record[0] == pytest.approx(cost, rel=1e-5)
    assert record[1] == pytest.approx(cost_se, rel=1e-4)
    assert record[2] == pytest.approx(np.sqrt(sum((g**2).sum() for g in want.values())), rel=1e-5)
    for name in NAMES:
        np.testing.assert_allclose(grad[name], want[name], atol=1e-5 * (1 + np.abs(want[name]).max()), err_msg=name)


@pytest.mark.parametrize("baseline", [None, 12.5])
def test_score_function_agrees_with_twin(baseline):
    model, images = random_model(20, 7), np.random.default_rng(1).uniform(size=(9, 20))
    estimator = sc.estimators.ScoreFunction(baseline)
    _, grad = one_step(model, images, 2, 6, 1, estimator=estimator)
    _, _, want = step_twin(model, images, 2, 6, 1, 0, leave_one_out=False, baseline=baseline or 0.0)
    for name in NAMES:
        np.testing.assert_allclose(grad[name], want[name], atol=2e-5 * (1 + np.abs(want[name]).max()), err_msg=name)


@pytest.mark.parametrize("K", [2, 4, 6])
def test_disarm_agrees_with_twin(K):
    model, images = random_model(20, 37), np.random.default_rng(1).uniform(size=(9, 20))
    record, grad = one_step(model, images, 2, 6, K, estimator="disarm")
    cost, cost_se, want = step_twin(model, images, 2, 6, K, 0, pairs=True)
    assert record[0] == pytest.approx(cost, rel=1e-5)
    assert record[1] == pytest.approx(cost_se, rel=1e-4)
    for name in NAMES:
        np.testing.assert_allclose(grad[name], want[name], atol=2e-5 * (1 + np.abs(want[name]).max()), err_msg=name)


def test_an_opposite_unit_at_a_tie_is_decided_by_all_bits():
    """Probabilities made of the units' own noise: k < T(p) or 2^53 - 1 - k < T(p) hangs on the last bits."""
    k = noise(3, LAYERS, 0, (1, 64))
    p = np.float32(k[0] * 2.0**-53)
    p[::2] = np.float32((2**53 - 1 - k[0, ::2]) * 2.0**-53)
    logits = np.log(np.float64(p)) - np.log1p(-np.float64(p))
    parameters = {"W": np.zeros((1, 64)), "b": logits, "V": np.zeros((64, 1)), "c": [0.0], "prior": np.zeros(64)}
    model = sc.BernoulliVAE.from_parameters(parameters, mean=[0.5])
    x, q = np.ones((1, 1)), model.encode(np.ones((1, 1)))
    both = np.stack([k, 2**53 - 1 - k], axis=1)
    _, grad = model.gradient(x, estimator="disarm", seed=3)
    z = below(both, q[:, None])
    assert (abs(np.float64(q[0]) - k[0] * 2.0**-53) < 2.0**-22).sum() > 20
    np.testing.assert_allclose(grad["prior"], 0.5 - z[0].mean(0), atol=1e-7)


def exact_gradient(model, images):
    """Mean cost of binary images and its gradient, by enumerating the units."""
    H = model.n_latents
    z = (np.arange(2**H)[:, None] >> np.arange(H) & 1).astype(float)
    P = {name: np.asarray(a, float) for name, a in model.parameters.items()}
    cost, grad = 0.0, {name: np.zeros(a.shape) for name, a in P.items()}
    for x in images:
        logits = 2 * (x - model.mean) @ P["W"] + P["b"]
        q = np.exp((z * logits - softplus(logits)).sum(1))
        f, o = elbo(P, logits, z, x)
        miss, score = sigmoid(o) - x, -(q * f) @ (z - sigmoid(logits))
        cost -= q @ f / len(images)
        prior = sigmoid(P["prior"]) - q @ z
        parts = np.outer(2 * (x - model.mean), score), score, (q[:, None] * z).T @ miss, q @ miss, prior
        for name, part in zip(NAMES, parts, strict=True):
            grad[name] += part / len(images)
    return cost, grad


@pytest.mark.parametrize(
    ("estimator", "K"),
    [
        ("leave_one_out", 2),
        ("leave_one_out", 3),
        (sc.estimators.ScoreFunction(4.0), 1),
        ("score_function", 2),
        ("disarm", 2),
        ("disarm", 4),
    ],
)
def test_gradient_is_unbiased(estimator, K):
    """At least 10^6 evaluations for each, every parameter: |z| < 4 (164 numbers were looked at, in all)."""
    model = random_model(5, 3)
    images = (np.random.default_rng(2).random((4, 5)) < 0.5).astype(float)
    cost, want = exact_gradient(model, images)
    x, replicates = np.tile(images, (250, 1)), -(-1_000_000 // (1000 * K))
    found = [model.gradient(x, n_samples=K, estimator=estimator, seed=seed) for seed in range(replicates)]
    pairs = [(np.array([c for c, _ in found]), cost)]
    pairs += [(np.array([g[name] for _, g in found], float), want[name]) for name in NAMES]
    for values, exact in pairs:
        se = values.std(axis=0, ddof=1) / np.sqrt(replicates)
        assert np.abs((values.mean(axis=0) - exact) / se).max() < 4


def test_smallest_batch_is_unbiased():
    """One image, two samples: a weight that included the sample itself would show."""
    model = random_model(5, 3, seed=3)
    x = np.array([[1.0, 0, 1, 1, 0]])
    _, want = exact_gradient(model, x)
    found = [model.gradient(x, seed=seed)[1] for seed in range(10_000)]
    for name in NAMES:
        values = np.array([g[name] for g in found], float)
        se = values.std(axis=0, ddof=1) / 100
        assert np.abs((values.mean(axis=0) - want[name]) / se).max() < 4, name


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def everything(n_threads):
    """A hash over training, bound and single layers; large enough for more than one thread."""
    model = sc.BernoulliVAE(150, 100, seed=1)
    images = sc.Stream(2).uniform((130, 150), dtype=np.float32)
    trainer = model.trainer(images, batch_size=120, n_samples=2, seed=3, n_threads=n_threads)
    moments = np.zeros((2, trainer.parameters.size), np.float32)
    records = trainer.run(sc.Adam.kind, sc.Adam(1e-2).scalars(0, 4), 0, moments)
    after = trainer.model()
    looks = after.bound(images, n_draws=4, n_threads=n_threads), after.encode(images), after.sample(3)
    return digest(trainer.parameters, moments, records, *looks, after.reconstruct(images[:5]))


def test_same_bits_for_any_threads():
    assert everything(1) == everything(2) == everything(3) == everything(None)


def test_same_bits_on_every_instruction_set():
    want = everything(1)
    code = f"import runpy; print(runpy.run_path({__file__!r})['everything'](1))"
    for isa in _dispatch.runnable():
        environment = {**os.environ, "STOCHCORE_ISA": isa}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100, check=True
        )
        assert done.stdout.strip() == want, isa


def test_outcomes_are_those_of_k_even_on_a_tie():
    k = noise(7, EVALUATION, 0, 4099)
    stream = sc.Stream(7)._replace(purpose=EVALUATION)
    close = (k * 2.0**-53).astype(np.float32)  # within a float32 of the noise itself: ties everywhere
    for p in (close, np.nextafter(close, np.float32(0)), np.nextafter(close, np.float32(1))):
        y = _networks.bernoulli(stream, p.reshape(1, -1))[0]
        np.testing.assert_array_equal(y, below(k, p))
    for p in (0.0, 1.0):
        assert (_networks.bernoulli(stream, np.full((1, 99), p, np.float32)) == p).all()


def test_every_image_once_an_epoch():
    orders = Orders(10, sc.Stream(1))
    rows = orders.rows(0, 5, 4).reshape(-1)
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert (rows[:10] != rows[10:]).any()
    np.testing.assert_array_equal(orders.rows(3, 2, 4).reshape(-1), rows[12:])


def test_runs_may_be_cut():
    model, images = random_model(9, 4), np.random.default_rng(0).uniform(size=(30, 9))
    whole, cut = model.trainer(images, batch_size=7), model.trainer(images, batch_size=7)
    moments = np.zeros((2, 2, whole.parameters.size), np.float32)
    records = whole.run(3, sc.Adam(0.01).scalars(0, 20), 0, moments[0]).copy()
    first = cut.run(3, sc.Adam(0.01).scalars(0, 6), 0, moments[1]).copy()
    rest = cut.run(3, sc.Adam(0.01).scalars(6, 14), 6, moments[1])
    assert digest(whole.parameters, records) == digest(cut.parameters, first, rest)
    assert digest(moments[0]) == digest(moments[1])


def test_padding_stays():
    model, images = random_model(9, 4), np.random.default_rng(0).uniform(size=(30, 9))
    trainer = model.trainer(images, batch_size=7)
    trainer.run(3, sc.Adam(0.1).scalars(0, 50), 0, np.zeros((2, trainer.parameters.size), np.float32))
    before, after = model._network.parameters, trainer.parameters
    used = sum(a.size for a in model.parameters.values())
    assert (before == after).sum() == before.size - used


def test_ctrl_c_leaves_completed_steps():
    model, images = random_model(64, 32), np.random.default_rng(0).uniform(size=(500, 64))
    trainer, again = (model.trainer(images, batch_size=50, n_threads=1) for _ in range(2))
    moments = np.zeros((2, 2, trainer.parameters.size), np.float32)
    scalars = sc.Adam(1e-3).scalars(0, 300_000)
    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        with pytest.raises(KeyboardInterrupt):
            trainer.run(3, scalars, 0, moments[0])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    done = trainer.completed
    assert 0 < done < 300_000
    records = again.run(3, scalars[:done], 0, moments[1])
    assert digest(trainer.parameters, moments[0], trainer.records[:done]) == digest(
        again.parameters, moments[1], records
    )


def test_divergence_says_so():
    model, images = random_model(9, 4), np.random.default_rng(0).uniform(size=(30, 9))
    trainer = model.trainer(images, batch_size=7, seed=3)
    with pytest.raises(ValueError, match=r"diverged at step \d+, try a smaller `learning_rate`: its cost is"):
        trainer.run(0, sc.SGD(1e37).scalars(0, 50), 0, np.zeros((2, trainer.parameters.size), np.float32))
    assert 0 < trainer.completed < 50


@pytest.fixture(scope="module")
def digits():
    images = pytest.importorskip("sklearn.datasets").load_digits().data / 16
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[:1500]], images[order[1500:]]


def test_learns_digits(digits):
    train, test = digits
    model = sc.BernoulliVAE(64, 32, mean=train.mean(axis=0), seed=0)
    fit = sc.minimize(model, data=train, batch_size=50, optimizer=sc.Adam(3e-3), n_steps=2000, n_samples=2, n_threads=1)
    start, end = model.bound(test)[0], fit.model.bound(test)[0]
    assert start == pytest.approx(-31.4, abs=0.2)
    assert end > -25.3  # -25.05
    assert -fit.history.cost[-200:].mean() == pytest.approx(end, abs=0.5)


@pytest.mark.slow
def test_reaches_the_goal(digits):
    train, test = digits
    for seed in range(3):
        model = sc.BernoulliVAE(64, 32, mean=train.mean(axis=0), seed=seed)
        fit = sc.minimize(
            model, data=train, batch_size=50, optimizer=sc.Adam(3e-3), n_steps=20_000, n_samples=2, seed=seed
        )
        assert fit.model.bound(test)[0] > -23.9


def test_bound_is_the_mean_over_the_units():
    """Binary images: the expectation is known by enumeration; its error bar covers it."""
    model, rng = random_model(5, 3), np.random.default_rng(2)
    images = (rng.random((40, 5)) < 0.5).astype(float)
    exact = -exact_gradient(model, images)[0]
    looks = np.array([model.bound(images, n_draws=8, seed=seed) for seed in range(1000)])
    z = (looks[:, 0] - exact) / looks[:, 1]
    assert abs(z.mean()) * np.sqrt(len(z)) < 4
    assert 0.92 < np.mean(np.abs(z) < 1.96) < 0.98
    assert looks[:, 0].std() == pytest.approx(looks[:, 1].mean(), rel=0.1)


def test_bound_agrees_with_float64():
    model, images = random_model(37, 20), np.random.default_rng(1).uniform(size=(35, 37))
    n, S = len(images), 3
    x = below(noise(4, EVALUATION, 0, (S, n, 37)), np.float32(images))
    z = below(noise(4, EVALUATION, 1 << 63, (S, n, 20)), model.encode(x.reshape(-1, 37)).reshape(S, n, 20))
    P = {name: np.asarray(a, float) for name, a in model.parameters.items()}
    f, _ = elbo(P, 2 * (x - model.mean) @ P["W"] + P["b"], z, x)
    mean, se = model.bound(images, n_draws=S, seed=4)
    assert mean == pytest.approx(f.mean(), rel=1e-6)
    assert se == pytest.approx(np.sqrt(f.var(0, ddof=1).sum() / S) / n, rel=1e-5)


def test_layers():
    model = random_model(37, 20)
    P = {name: np.asarray(a, float) for name, a in model.parameters.items()}
    images = np.random.default_rng(1).uniform(size=(6, 37))
    q = model.encode(images)
    np.testing.assert_allclose(q, sigmoid(2 * (images - model.mean) @ P["W"] + P["b"]), atol=1e-5)
    np.testing.assert_allclose(model.decode(q), sigmoid(q @ P["V"] + P["c"]), atol=1e-5)
    z = below(noise(3, LAYERS, 0, (4, 20)), sigmoid(P["prior"]))
    np.testing.assert_array_equal(model.sample(4, seed=3), model.decode(z))
    x = below(noise(3, EVALUATION, 0, (6, 37)), np.float32(images))
    z = below(noise(3, EVALUATION, 1 << 63, (6, 20)), model.encode(x))
    np.testing.assert_array_equal(model.reconstruct(images, seed=3), model.decode(z))


def test_images_may_come_in_many_forms():
    model = random_model(12, 3)
    bits = np.random.default_rng(0).integers(0, 2, (5, 12)).astype(bool)
    want = model.encode(bits)
    for same in (
        bits.astype(np.float32),
        bits.reshape(5, 3, 4),
        np.uint8(255) * bits,
        bits[:, ::-1][:, ::-1],
        bits.tolist(),
    ):
        np.testing.assert_array_equal(model.encode(same), want)
    assert model.reconstruct(bits.reshape(5, 3, 4)).shape == (5, 3, 4)


def test_start():
    model = sc.BernoulliVAE(64, 32, mean=np.linspace(0, 1, 64), seed=3)
    P = model.parameters
    assert (P["b"] == 0).all()
    assert (P["prior"] == 0).all()
    m = np.linspace(0, 1, 64).clip(0.01, 0.99)
    np.testing.assert_allclose(P["c"], np.log(m / (1 - m)), rtol=1e-5, atol=1e-5)
    assert P["W"].std() == pytest.approx(1 / 8, rel=0.1)
    assert P["V"].std() == pytest.approx(32**-0.5, rel=0.1)
    assert digest(*sc.BernoulliVAE(64, 32, mean=m, seed=3).parameters.values()) == digest(*P.values())
    assert (sc.BernoulliVAE(64, 32, seed=4).parameters["W"] != P["W"]).any()


def test_a_model_is_a_value():
    model, images = random_model(6, 3), np.random.default_rng(0).uniform(size=(8, 6))
    before = digest(*model.parameters.values())
    with pytest.raises(ValueError, match="read-only"):
        model.parameters["W"][0, 0] = 1
    trainer = model.trainer(images, batch_size=4)
    trainer.run(0, sc.SGD(0.1).scalars(0, 3), 0, np.zeros((2, trainer.parameters.size), np.float32))
    assert digest(*model.parameters.values()) == before
    assert digest(*trainer.model().parameters.values()) != before
    assert repr(model) == "BernoulliVAE(6, n_latents=3)"


def test_save_and_load(tmp_path):
    model = random_model(37, 20)
    path = tmp_path / "model.npz"
    model.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]
    for other in (sc.BernoulliVAE.load(path), pickle.loads(pickle.dumps(model))):
        assert other._network.parameters.tobytes() == model._network.parameters.tobytes()
        assert other.mean.tobytes() == model.mean.tobytes()
    former = dict(model.parameters, mean=model.mean, format=np.array("stochcore.BernoulliVAE 1"))
    np.savez(tmp_path / "former.npz", **former)
    other = sc.BernoulliVAE.load(tmp_path / "former.npz")
    assert other._flat.tobytes() == model._flat.tobytes()
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"^`path` must be .*model\.npz"):
            sc.BernoulliVAE.load(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match=r"^`path` must be a 'stochcore.BernoulliVAE 2' file, got .*another kind"):
        sc.BernoulliVAE.load(path)
    parts = {**model.parameters, "mean": model.mean, "format": np.array("stochcore.BernoulliVAE 1")}
    for name in ("W", "mean"):
        np.savez(path, **{key: value for key, value in parts.items() if key != name})
        with pytest.raises(ValueError, match=r"^`path` must be a 'stochcore.BernoulliVAE 2' file"):
            sc.BernoulliVAE.load(path)
    with pytest.raises(FileNotFoundError):
        sc.BernoulliVAE.load(tmp_path / "none.npz")
    with pytest.raises(OSError, match="No such file"):
        model.save(tmp_path / "none" / "model.npz")


MODEL = random_model(4, 2)
GOOD = np.full((3, 4), 0.5)
NAN = np.array([[0.5, 0.5, np.nan, 0.5]])
PARTS = {name: np.array(a) for name, a in MODEL.parameters.items()}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sc.BernoulliVAE(0), ValueError, r"`n_visible` must be in \[1, "),
        (lambda: sc.BernoulliVAE(4, 0), ValueError, r"`n_latents` must be in \[1, "),
        (lambda: sc.BernoulliVAE(4.5), TypeError, "`n_visible` must be an integer, got 4.5"),
        (lambda: sc.BernoulliVAE(4, mean=[0.5] * 3), ValueError, "`mean` must hold n_visible = 4 numbers, got 3"),
        (lambda: sc.BernoulliVAE(2, mean=[0.5, 2]), ValueError, r"`mean` must lie in \[0, 1\], got 2.0 at index 1"),
        (lambda: sc.BernoulliVAE(4, seed=-1), ValueError, "`seed` must be in .*, got -1"),
        (lambda: MODEL.trainer(GOOD + 0.7), ValueError, r"`data` must lie in \[0, 1\], got 1.2 at index \(0, 0\)"),
        (lambda: MODEL.bound(NAN), ValueError, r"`data` must lie in \[0, 1\], got nan at index \(0, 2\)"),
        (lambda: MODEL.encode(GOOD[:, :3]), ValueError, r"`x` must have the shape \(n, 4\) or .*, got \(3, 3\)"),
        (lambda: MODEL.bound(GOOD[:0]), ValueError, r"`data` must have the shape .*, n at least 1, got \(0, 4\)"),
        (lambda: MODEL.bound(GOOD[0]), ValueError, r"`data` must have the shape .*, got \(4,\)"),
        (lambda: MODEL.bound(np.ones((1, 4), int)), TypeError, "`data` must be floats .*, got dtype int64"),
        (lambda: MODEL.bound(np.ones((1, 4), np.uint8)), ValueError, "`data` must be bool or float .*value / 255"),
        (lambda: MODEL.bound(GOOD, n_draws=1), ValueError, "`n_draws` must be in .*, got 1"),
        (lambda: MODEL.trainer(GOOD, batch_size=4), ValueError, "`batch_size` must be at most .* images, 3, got 4"),
        (lambda: MODEL.trainer(GOOD, batch_size=0), ValueError, "`batch_size` must be at least 1, got 0"),
        (lambda: MODEL.trainer(GOOD, batch_size=3, n_samples=1), ValueError, "`n_samples` must be at least 2 for l"),
        (
            lambda: MODEL.trainer(GOOD, batch_size=3, estimator="magic"),
            ValueError,
            "`estimator` must be one of 'auto', .*'score_function', 'leave_one_out', .*, got 'magic'",
        ),
        (
            lambda: MODEL.trainer(GOOD, batch_size=3, n_samples=4, estimator="price"),
            ValueError,
            r"`estimator` must be .*, nvil, leave_one_out, .*, double_cv, .* or vimco for a BernoulliVAE, got Price",
        ),
        (
            lambda: MODEL.trainer(GOOD, batch_size=3, n_samples=3, estimator="disarm"),
            ValueError,
            "`n_samples` must be a multiple of 2 for disarm, got 3",
        ),
        (
            lambda: MODEL.trainer(GOOD, batch_size=3, n_samples=4, estimator=sc.estimators.LeaveOneOut(k=2)),
            ValueError,
            r"`estimator` must be one of .* for a BernoulliVAE, got LeaveOneOut\(k=2\)",
        ),
        (
            lambda: MODEL.trainer(GOOD, batch_size=3, estimator=sc.estimators.ScoreFunction([1.0, 2.0])),
            TypeError,
            "`baseline` must be a number",
        ),
        (lambda: MODEL.trainer(GOOD, batch_size=3, n_threads=0), ValueError, "`n_threads` must be in"),
        (lambda: MODEL.gradient(GOOD), ValueError, r"`x` must hold 0 and 1 only, got 0.5 at index \(0, 0\)"),
        (lambda: MODEL.decode(np.ones((2, 3))), ValueError, r"`z` must have the shape \(n, n_latents = 2\), got"),
        (lambda: MODEL.sample(0), ValueError, "`n` must be at least 1, got 0"),
        (
            lambda: sc.BernoulliVAE.from_parameters({"W": np.ones((4, 2))}, mean=np.ones(4)),
            ValueError,
            "`parameters` must hold W, b, V, c, prior, got W",
        ),
        (
            lambda: sc.BernoulliVAE.from_parameters({**PARTS, "b": np.ones(3)}, mean=np.ones(4)),
            ValueError,
            r"`b` must have shape \(2,\) beside W's \(4, 2\), got \(3,\)",
        ),
        (
            lambda: sc.BernoulliVAE.from_parameters({**PARTS, "b": [1e300, 0]}, mean=np.ones(4)),
            ValueError,
            r"`b` must fit in float32, got 1e\+300",
        ),
        (
            lambda: sc.BernoulliVAE.from_parameters({**PARTS, "b": [np.nan, 0]}, mean=np.ones(4)),
            ValueError,
            "`b` must be finite, got nan at index 0",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match="^" + message) as caught:
        call()
    assert "\n" not in str(caught.value)
