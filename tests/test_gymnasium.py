"""interop.gymnasium: episodes against the same program written as a simulator, dynamic programming, and themselves."""

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

import stochcore as sc
from stochcore import environments
from stochcore.interop import _spaces
from stochcore.interop import gymnasium as face
from stochcore.interop.gymnasium import Environment

gym = pytest.importorskip("gymnasium")

ESTIMATORS = [
    "leave_one_out",
    "whole_return",
    "score_function",
    "antithetic",
    "moving_average",
    4,
    "by time",
    "by state",
]
DISCOUNT = 0.75


class Game(gym.Env):
    """Two or three decisions among three actions, which begin at -1; no noise of its own."""

    observation_space = gym.spaces.Box(-10, 10, (2, 1))
    action_space = gym.spaces.Discrete(3, start=-1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed_seen, self.time, self.state = seed, 0, 0.5
        return self.seen(), {}

    def seen(self):
        return np.array([[self.state], [self.time]], dtype=np.float32)

    def step(self, action):
        assert self.action_space.contains(action)
        a = action + 1
        reward = 1.0 + a - 0.5 * self.time * (a == 1) + 0.25 * self.state * a * a
        self.state, self.time = 0.5 * self.state + a - 1, self.time + 1
        return self.seen(), reward, bool(self.time == 3), bool(self.time == 2 and a == 2), {}


def program(policy):
    """The same game, as a simulator."""

    def game(draw, theta, x):
        state = 0.5
        for time in range(3):
            draw.state((state, float(time), 1.0) if policy == "linear" else (state, float(time)))
            if policy == "linear":
                a = draw.categorical(0, 3, (state, float(time), 1.0))
            else:
                a = draw.tanh_policy(0, 4, 3, (state, float(time)))
            draw.cost(-(1.0 + a - 0.5 * time * (a == 1) + 0.25 * state * a * a))
            draw.discount(DISCOUNT)
            state = 0.5 * state + a - 1
            if time == 1 and a == 2:
                return

    return sc.simulator(game)


def theta_of(policy):
    return np.linspace(-0.8, 0.9, 9 if policy == "linear" else 27)


def task_of(policy, env=Game, **options):
    return Environment(env, policy=policy, hidden=4, discount=DISCOUNT, **options)


def own(estimator, policy):
    kinds = {
        4: sc.estimators.LeaveOneOut(k=4),
        "by time": sc.estimators.ValueBaseline(n_stages=8),
        "by state": sc.estimators.ValueBaseline(3 if policy == "linear" else 2),
    }
    return kinds.get(estimator, estimator)


def same(a, b):
    pairs = [(a.cost, b.cost), (a.cost_se, b.cost_se), (a.grad, b.grad), (a.grad_se, b.grad_se)]
    return all(np.ravel(one).tobytes() == np.ravel(other).tobytes() for one, other in pairs)


# ---- what is true --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("policy", ["linear", "tanh"])
def test_a_game_without_noise_has_the_bits_of_a_simulator_and_the_gradient_of_its_tree(policy, estimator):
    model, theta = program(policy)(theta_of(policy)), theta_of(policy)
    ours = sc.estimate(task_of(policy)(theta), n_samples=3000, estimator=own(estimator, policy), seed=3)
    assert same(ours, sc.estimate(model, n_samples=3000, estimator=own(estimator, policy), seed=3))
    truth = sc.exact(model)
    assert abs(ours.cost - truth.cost) < 4 * ours.cost_se
    assert (abs(ours.grad - truth.grad) < 4 * ours.grad_se + 1e-15).all()
    assert (abs(truth.grad) > 5 * ours.grad_se).sum() > 4  # a wrong gradient would be seen
    assert ours.n_evals == 3000  # baselines by stage too: no second run
    assert ours.unbiased


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
def test_smallest_numbers_of_episodes():
    """A baseline that includes the episode itself would be off by half here."""
    theta = theta_of("linear")
    truth, model = sc.exact(program("linear")(theta)), task_of("linear", n_envs=2)(theta)
    for estimator in ("leave_one_out", "whole_return", "score_function", "antithetic"):
        n = 4 if estimator == "antithetic" else 2
        grads = np.array([sc.estimate(model, n_samples=n, estimator=estimator, seed=s).grad for s in range(2500)])
        z = (grads.mean(axis=0) - truth.grad) / (grads.std(axis=0) / len(grads) ** 0.5)
        assert abs(z).max() < 4, estimator


MAP = ["SFF", "FHF", "FFG"]


def lake(discount=1.0, **options):
    return Environment("FrozenLake-v1", discount=discount, desc=MAP, is_slippery=True, **options)


def lake_values(theta, most_steps, discount=1.0):
    """Dynamic programming: the expected discounted return of a softmax policy on the slippery lake, and of the best."""
    table = gym.make("FrozenLake-v1", desc=MAP, is_slippery=True).unwrapped.P
    chance = np.exp(theta.reshape(4, 9).T)
    chance /= chance.sum(axis=1, keepdims=True)
    value, best = np.zeros(9), np.zeros(9)

    def ahead(s, a, value):
        return sum(p * (reward + (not over) * discount * value[to]) for p, to, reward, over in table[s][a])

    for _ in range(most_steps):
        value = np.array([sum(chance[s, a] * ahead(s, a, value) for a in range(4)) for s in range(9)])
        best = np.array([max(ahead(s, a, best) for a in range(4)) for s in range(9)])
    return value[0], best[0]


@pytest.mark.parametrize("estimator", ["leave_one_out", "whole_return", "score_function", "antithetic"])
def test_a_slippery_lake_against_dynamic_programming(estimator):
    """Noise of the environment's own, one-hot observations, a cut after 12 steps, and a discount."""
    task = lake(0.9, max_steps=12)
    assert (task.n_features, task.n_actions) == (9, 4)
    theta = 0.7 * sc.Stream(5).normal((4, 9))
    e = sc.estimate(task(theta), n_samples=6000, estimator=estimator, seed=1)
    assert abs(-e.cost - lake_values(theta, 12, 0.9)[0]) < 4 * e.cost_se
    slope = np.empty((4, 9))
    for at in np.ndindex(4, 9):
        moved = [theta.copy(), theta.copy()]
        moved[0][at] += 1e-4
        moved[1][at] -= 1e-4
        up, down = (lake_values(each, 12, 0.9)[0] for each in moved)
        slope[at] = -(up - down) / 2e-4
    assert (abs(e.grad - slope) < 4 * e.grad_se + 1e-9).all()
    assert (abs(slope) > 5 * e.grad_se).sum() >= 5


def test_cartpole_has_the_physics_of_the_compiled_one():
    """The same policy on both: their mean returns agree, and so does a path from a fixed start."""
    theta = np.zeros((2, 5))
    theta[1, :4] = (0.2, 0.4, 4.0, 2.0)
    ours = sc.estimate(Environment("CartPole-v1", max_steps=60)(theta), n_samples=400, estimator="whole_return")
    theirs = sc.estimate(sc.simulator(environments.cartpole)(theta[1, :4], 60.0), n_samples=2000, seed=1)
    assert abs(ours.cost - theirs.cost) < 4 * np.hypot(ours.cost_se, theirs.cost_se)
    assert abs(theirs.cost) < 58  # not all of them last to the end
    z = (ours.grad[1, :4] - theirs.grad) / np.hypot(ours.grad_se[1, :4], theirs.grad_se)
    assert abs(z).max() < 4

    class Fixed:
        """A recorder that pushes as told, from the start that Gymnasium has drawn."""

        def __init__(self, start, pushes):
            self.noise = iter((np.asarray(start, dtype=np.float64) + 0.05) / 0.1)
            self.pushes, self.seen = iter(pushes), []

        uniform = lambda self: next(self.noise)  # noqa: E731
        sin, cos = staticmethod(np.sin), staticmethod(np.cos)

        def bernoulli(self, i, features):
            self.seen.append(features)
            return next(self.pushes)

        def cost(self, c):
            pass

    env, pushes = gym.make("CartPole-v1"), [1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1]
    path = [env.reset(seed=4)[0]]
    start = env.unwrapped.state
    path += [env.step(push)[0] for push in pushes[:-1]]
    draw = Fixed(start, pushes)
    environments.cartpole(draw, None, len(pushes))
    np.testing.assert_allclose(draw.seen, path, rtol=1e-6, atol=1e-7)


# ---- the same bits -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("estimator", ["leave_one_out", "whole_return", "antithetic"])
def test_bits_depend_on_neither_slots_nor_threads_nor_the_kind_of_environment(estimator):
    theta = 0.5 * sc.Stream(2).normal((4, 9))
    options = {"n_samples": 150, "estimator": estimator, "seed": 9}
    first = sc.estimate(lake(n_envs=1)(theta), n_threads=1, **options)
    for n_envs in (8, 32, 200):
        for threads in (1, 2):
            assert same(first, sc.estimate(lake(n_envs=n_envs)(theta), n_threads=threads, **options))

    def several():
        made = [lambda: gym.make("FrozenLake-v1", desc=MAP, is_slippery=True)] * 7
        return gym.vector.SyncVectorEnv(made, autoreset_mode=gym.vector.AutoresetMode.DISABLED)

    task = Environment(several)
    assert task.by_seed
    assert task.n_envs == 7
    for _ in range(2):  # the second time it is in the middle of something
        assert same(first, sc.estimate(task(theta), **options))


def test_processes_of_their_own():
    theta = np.zeros((4, 9))
    with lake(n_envs=3, vectorization_mode="async") as task:
        assert task.by_seed
        e = sc.estimate(task(theta), n_samples=100)
    assert same(e, sc.estimate(lake()(theta), n_samples=100))


@pytest.mark.parametrize("n_envs", [5, 64])
def test_estimates_merge(n_envs):
    model = task_of("linear", n_envs=n_envs)(theta_of("linear"))
    whole, first = sc.estimate(model, n_samples=5000), sc.estimate(model, n_samples=2048)
    rest = sc.estimate(model, n_samples=5000 - 2048, first_sample=2048)
    assert same(whole, first.merge(rest))


def test_estimates_of_an_environment_that_was_made_again_merge():
    one, other = (lake(max_steps=5)(np.zeros((4, 9))) for _ in range(2))
    first, rest = sc.estimate(one, n_samples=2048), sc.estimate(other, n_samples=500, first_sample=2048)
    assert same(first.merge(rest), sc.estimate(one, n_samples=2548))


def test_episodes_are_addressed():
    model, stream = lake()(np.zeros((4, 9))), sc.Stream(7)
    costs = model.sample(300, stream)
    assert set(costs.tolist()) == {0.0, -1.0}
    assert (model.sample(100, stream.at(200)) == costs[200:]).all()
    e = sc.estimate(model, n_samples=300, seed=7, estimator="whole_return")
    assert e.cost == pytest.approx(costs.mean(), abs=1e-15)
    assert model.sample(0, stream).shape == (0,)
    longer = Environment("CartPole-v1")(np.zeros((2, 5))).sample(40, stream)
    assert len(set(longer.tolist())) > 15  # each episode has a start of its own


def test_pairs_share_the_noise_of_their_environment():
    seeds = []

    class Recorded(Game):
        def reset(self, *, seed=None, options=None):
            seeds.append(seed)
            return super().reset(seed=seed, options=options)

    model = task_of("linear", Recorded, n_envs=1)(theta_of("linear"))
    sc.estimate(model, n_samples=64, estimator="antithetic")
    assert seeds[::2] == seeds[1::2]
    assert len(set(seeds)) == 32
    assert all(0 <= seed < 2**31 for seed in seeds)
    before = seeds.copy()
    seeds.clear()
    sc.estimate(model, n_samples=64, estimator="whole_return")
    assert seeds[:32] == before[::2]  # those of samples 0 .. 31
    assert len(set(seeds)) == 64


# ---- vector environments that begin anew by themselves -------------------------------------------------------------
@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode), ids=lambda mode: mode.name)
@pytest.mark.parametrize("n_envs", [1, 5, 64])
def test_each_way_to_begin_anew(mode, n_envs):
    """A game without noise of its own is the same whoever resets it."""
    theta = theta_of("linear")
    want = sc.estimate(task_of("linear")(theta), n_samples=150, seed=8)
    with task_of("linear", lambda: gym.vector.SyncVectorEnv([Game] * n_envs, autoreset_mode=mode)) as task:
        assert task.by_seed == (mode.name == "DISABLED")
        for _ in range(2):
            assert same(want, sc.estimate(task(theta), n_samples=150, seed=8))
    cut = task_of("linear", max_steps=2)
    vector = gym.vector.SyncVectorEnv([Game] * n_envs, autoreset_mode=mode)
    want, found = (
        sc.estimate(each(theta), n_samples=70, seed=8) for each in (cut, task_of("linear", vector, max_steps=2))
    )
    assert same(want, found)


@pytest.mark.parametrize("n_envs", [20, 100])
def test_native_vector_environments(n_envs):
    theta = np.zeros((2, 5))
    theta[1, :4] = (0.2, 0.4, 4.0, 2.0)
    task = Environment("CartPole-v1", n_envs=n_envs, vectorization_mode="vector_entry_point", max_episode_steps=60)
    assert not task.by_seed
    model = task(theta)
    e = sc.estimate(model, n_samples=1500, estimator="whole_return", n_threads=1)
    assert same(e, sc.estimate(model, n_samples=1500, estimator="whole_return", n_threads=2))
    single = Environment("CartPole-v1", max_steps=60)(theta)
    other = sc.estimate(single, n_samples=300, estimator="whole_return", seed=3)
    assert abs(e.cost - other.cost) < 4 * np.hypot(e.cost_se, other.cost_se)
    z = (e.grad - other.grad) / np.hypot(e.grad_se, other.grad_se)
    assert abs(z).max() < 4


@pytest.mark.parametrize("mode", ["NEXT_STEP", "SAME_STEP"])
@pytest.mark.parametrize("most_steps", [9, 100])
def test_who_begins_anew_does_not_bias(mode, most_steps):
    """Short episodes leave their slots early, but no more of them are counted; those that are cut off wait."""
    made = [lambda: gym.make("FrozenLake-v1", desc=MAP, is_slippery=True)] * 7
    vector = gym.vector.SyncVectorEnv(made, autoreset_mode=gym.vector.AutoresetMode[mode])
    theta = 0.7 * sc.Stream(5).normal((4, 9))
    e = sc.estimate(Environment(vector, max_steps=most_steps)(theta), n_samples=2500, estimator="whole_return", seed=6)
    assert abs(-e.cost - lake_values(theta, most_steps)[0]) < 4 * e.cost_se
    assert 0 < e.cost_se < 0.01


def test_native_ones_merge_too():
    task = Environment("CartPole-v1", n_envs=500, vectorization_mode="vector_entry_point", max_episode_steps=20)
    model = task(np.zeros((2, 5)))
    whole, first = sc.estimate(model, n_samples=4500), sc.estimate(model, n_samples=2048)
    assert same(whole, first.merge(sc.estimate(model, n_samples=4500 - 2048, first_sample=2048)))


# ---- descent -------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize(("policy", "rate"), [("linear", 0.3), ("tanh", 0.1)])
def test_cartpole_is_learned(policy, rate):
    task = Environment("CartPole-v1", policy=policy, max_steps=200)
    fit = sc.minimize(
        task(task.initial(1)), n_steps=45, n_samples=16, optimizer=sc.Adam(rate), estimator="whole_return", seed=1
    )
    assert fit.history.cost[0] > -60
    assert -fit.model.sample(20, sc.Stream(77)).mean() >= 195


def test_a_lake_is_learned():
    """Almost to what the best policy has in 100 steps."""
    task = lake()
    fit = sc.minimize(task(task.initial()), n_steps=60, n_samples=64, optimizer=sc.Adam(0.2), seed=0)
    first, best = lake_values(task.initial(), 100)
    last, _ = lake_values(fit.model.parameters, 100)
    assert first < 0.3
    assert best > 0.6
    assert last > 0.93 * best


def test_a_descent_goes_on_from_a_file(tmp_path):
    task, options = task_of("tanh"), {"n_samples": 16, "optimizer": sc.Adam(0.1), "estimator": "moving_average"}
    whole = sc.minimize(task(task.initial()), n_steps=7, **options)
    half = sc.minimize(task(task.initial()), n_steps=3, **options)
    half.save(tmp_path / "fit.npz")
    rest = sc.Fit.load(tmp_path / "fit.npz", task(task.initial())).resume(4)
    assert rest.model.parameters.tobytes() == whole.model.parameters.tobytes()


def test_an_error_bar_that_is_asked_for():
    model = task_of("linear")(theta_of("linear"))
    e = sc.estimate(model, target_se=0.02)
    assert e.cost_se <= 0.02
    assert same(e, sc.estimate(model, n_samples=e.n_samples))


# ---- what a policy sees --------------------------------------------------------------------------------------------
SPACES = [
    gym.spaces.Box(-1, 1, (2, 3)),
    gym.spaces.Box(0, 255, (2, 2), dtype=np.uint8),
    gym.spaces.Discrete(4, start=2),
    gym.spaces.MultiBinary(3),
    gym.spaces.MultiDiscrete([2, 3]),
    gym.spaces.Tuple((gym.spaces.Discrete(3), gym.spaces.Box(0, 1, (2,)))),
    gym.spaces.Dict(b=gym.spaces.Discrete(2), a=gym.spaces.Box(0, 1, (2,))),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__ + str(space.dtype))
@pytest.mark.parametrize("bias", [True, False])
def test_rows_are_flat_observations(space, bias):
    from gymnasium.vector.utils import concatenate, create_empty_array

    sight = _spaces.Sight(space, None, bias=bias)
    space.seed(3)
    some = [space.sample() for _ in range(6)]
    want = np.array([gym.spaces.flatten(space, each) for each in some], dtype=np.float64)
    if bias and not isinstance(space, gym.spaces.Discrete):
        want = np.column_stack([want, np.ones(6)])
    assert sight.size == want.shape[1]
    single, batch = sight.rows(6), sight.rows(6)
    for each, row in zip(some, single, strict=True):
        sight.one(each, row)
    assert (single == want).all()
    many = concatenate(space, some, create_empty_array(space, 6))
    assert (sight.all(many, batch) == want).all()


def test_features_of_ones_own():
    def squares(observations):
        state, time = observations[:, :, 0].T
        return np.stack([state, time, state * time], axis=1).astype(np.float32)

    theta = theta_of("linear")
    tasks = [
        task_of("linear", features=squares),
        task_of("linear", lambda: gym.vector.SyncVectorEnv([Game] * 5), features=squares),
    ]
    assert tasks[0].n_features == 3
    one, other = (sc.estimate(task(theta), n_samples=80) for task in tasks)
    assert same(one, other)
    assert one.cost != sc.estimate(task_of("linear")(theta), n_samples=80).cost


# ---- how it is made ------------------------------------------------------------------------------------------------
def test_a_task_travels():
    task = Environment("CartPole-v1", policy="tanh", hidden=3, n_envs=2, discount=0.5)
    again = pickle.loads(pickle.dumps(task(task.initial(4))))
    assert same(sc.estimate(task(task.initial(4)), n_samples=8), sc.estimate(again, n_samples=8))
    assert repr(again) == ("<Environment CartPole-v1, tanh policy: 4 features, 2 actions, 23 parameters>(theta <23>)")
    given = Environment(gym.vector.SyncVectorEnv([Game]))
    with pytest.raises(TypeError, match="an Environment of a vector environment that was given cannot be pickled"):
        pickle.dumps(given)


def test_starts():
    linear, tanh = Environment(Game), Environment(Game, policy="tanh", hidden=50)
    assert not linear.initial().any()
    assert linear.initial().shape == (3, 3)
    theta = tanh.initial(3)
    assert theta.shape == (tanh.n_parameters,)
    assert (theta == tanh.initial(3)).all()
    assert (theta != tanh.initial(4)).any()
    assert theta[:100].std() == pytest.approx(0.5**0.5, rel=0.2)
    assert not theta[100:150].any()
    assert theta[150:300].std() == pytest.approx(0.1 / 50**0.5, rel=0.2)
    assert not theta[300:].any()


def test_the_package_does_not_import_gymnasium():
    words = "import sys, stochcore, stochcore.interop.gymnasium; assert 'gymnasium' not in sys.modules"
    subprocess.run([sys.executable, "-c", words], check=True)


def test_ctrl_c_leaves_an_environment_that_works():
    class Interrupted(Game):
        steps = 0

        def step(self, action):
            Interrupted.steps += 1
            if Interrupted.steps == 100:
                os.kill(os.getpid(), signal.SIGINT)
            return super().step(action)

    task, theta = task_of("linear", Interrupted), theta_of("linear")
    with pytest.raises(KeyboardInterrupt):
        sc.estimate(task(theta), n_samples=100)
    assert Interrupted.steps == 100
    assert same(sc.estimate(task(theta), n_samples=100), sc.estimate(task_of("linear")(theta), n_samples=100))


# ---- what is refused -----------------------------------------------------------------------------------------------
class Many(Game):
    action_space = gym.spaces.Discrete(257)


class Wordy(Game):
    observation_space = gym.spaces.Sequence(gym.spaces.Discrete(3))


class Several(Game):
    action_space = gym.spaces.MultiDiscrete([2, 2])


@pytest.mark.parametrize(
    ("env", "options", "error", "words"),
    [
        ("Pendulum-v1", {}, ValueError, r"`env` must have Discrete actions, got Box\(-2.0, 2.0, \(1,\), float32\)"),
        (Several, {}, ValueError, r"`env` must have Discrete actions, got MultiDiscrete"),
        (Many, {}, ValueError, r"`env` must have at most 256 actions, got Discrete\(257\)"),
        (Wordy, {}, ValueError, "`features` must say what the policy sees of an observation space without a flat form"),
        (3, {}, TypeError, "`env` must be the name of an environment, a vector environment, or a function .* got 3"),
        (dict, {}, TypeError, r"`env` must make a gymnasium.Env or a vector environment, got \{\}"),
        (Game, {"policy": "deep"}, ValueError, "`policy` must be one of 'linear', 'tanh', got 'deep'"),
        (Game, {"policy": "tanh", "hidden": 257}, ValueError, r"`hidden` must be in \[1, 256\], got 257"),
        (Game, {"n_envs": 0}, ValueError, "`n_envs` must be at least 1, got 0"),
        (Game, {"max_steps": 0}, ValueError, "`max_steps` must be at least 1, got 0"),
        (Game, {"discount": 1.5}, ValueError, r"`discount` must lie in \(0, 1\], got 1.5"),
        (Game, {"discount": 0.0}, ValueError, "`discount` must be a positive finite number, got 0.0"),
        (Game, {"vectorization_mode": "fast"}, ValueError, "`vectorization_mode` must be one of 'sync', 'async', "),
        (Game, {"render_mode": None}, TypeError, "options are for environments .* by their name, got render_mode"),
        (Game, {"vectorization_mode": "vector_entry_point"}, TypeError, "options are for .* got vectorization_mode="),
        (Game, {"features": 3}, TypeError, r"`features` must be callable as features\(observations\), got 3"),
        (Game, {"features": lambda o: 1}, ValueError, r"`features` must return shape \(2, n_features\) .* got \(\)"),
    ],
)
def test_arguments(env, options, error, words):
    with pytest.raises(error, match=words):
        Environment(env, **options)


def test_options_of_a_vector_environment_that_is_given():
    with pytest.raises(TypeError, match="options are for environments that are made here, got size"):
        Environment(gym.vector.SyncVectorEnv([Game]), size=3)


def test_theta_has_a_size():
    with pytest.raises(ValueError, match=r"`theta` must have 9 numbers for <Environment Game, .*>, got shape \(2, 4\)"):
        Environment(Game)(np.zeros((2, 4)))
    model = Environment(Game)(np.zeros(9))
    with pytest.raises(ValueError, match=r"must be a number, or one for each sample, for a simulator"):
        sc.estimate(model, n_samples=10, baseline=np.zeros(9), estimator="score_function")
    with pytest.raises(ValueError, match="`model` cannot be enumerated: nobody knows all ways that an environment"):
        sc.exact(model)
    with pytest.raises(TypeError, match="`cost` must be left out for a simulator"):
        sc.estimate(model, lambda y: y, n_samples=9)
    for call in (
        lambda: model.noise_shape(1),
        lambda: model.step(0),
        lambda: model.log_prob(0),
        lambda: model.score(0),
    ):
        with pytest.raises(TypeError, match=r"an environment has noise of its own|episodes are not kept"):
            call()


class Bad(Game):
    """Goes wrong in its fourth step."""

    steps, how = 0, None

    def step(self, action):
        observation, reward, over, cut, info = super().step(action)
        Bad.steps += 1
        if Bad.steps == 4:
            observation, reward = (observation, np.nan) if self.how == "reward" else (observation * np.inf, reward)
            if self.how == "raise":
                raise LookupError("its own")
        return observation, reward, over, cut, info


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("reward", ValueError, r"^rewards must be finite, got nan in step \d of episode \d$"),
        ("observation", ValueError, r"^observations must be finite, got (nan|inf|-inf) in step \d of episode \d$"),
        ("raise", LookupError, "^its own$"),
    ],
)
def test_an_environment_that_goes_wrong(monkeypatch, how, error, words):
    monkeypatch.setattr(Bad, "how", how)
    monkeypatch.setattr(Bad, "steps", 0)
    task, theta = task_of("linear", Bad, n_envs=1), theta_of("linear")
    with pytest.raises(error, match=words):
        sc.estimate(task(theta), n_samples=50)
    assert same(sc.estimate(task(theta), n_samples=50), sc.estimate(task_of("linear")(theta), n_samples=50))


def test_an_episode_without_an_end(monkeypatch):
    class Endless(Game):
        def step(self, action):
            return (*super().step(action)[:2], False, False, {})

    monkeypatch.setattr(face, "MOST_STEPS", 50)
    with pytest.raises(RuntimeError, match=r"^episode \d+ has made 50 steps and goes on: give `max_steps`, where it"):
        sc.estimate(Environment(Endless)(np.zeros(9)), n_samples=10)
    assert sc.estimate(Environment(Endless, max_steps=50)(np.zeros(9)), n_samples=10).n_samples == 10


def test_logits_without_a_bound():
    with pytest.raises(ValueError, match=r"^costs, logits, .* must be finite, got .* in step \d of episode \d+$"):
        sc.estimate(Environment(Game)(np.full(9, 1e308)), n_samples=10)


def test_states_outside_their_space():
    class Away(Game):
        observation_space = gym.spaces.Discrete(3)

        def seen(self):
            return 3

    with pytest.raises(ValueError, match=r"^observations must lie in Discrete\(3\), got 3$"):
        sc.estimate(Environment(Away)(np.zeros((3, 3))), n_samples=10)


def test_features_that_change_their_shape():
    calls = []

    def fickle(observations):
        calls.append(1)
        return np.zeros((len(observations), 2 if len(calls) < 3 else 3))

    task = Environment(Game, features=fickle, n_envs=4)
    with pytest.raises(ValueError, match=r"`features` must return shape \(4, 2\) for 4 observations, got \(4, 3\)"):
        sc.estimate(task(np.zeros(6)), n_samples=10)
    words = Environment(Game, features=lambda o: np.full((len(o), 2), "a"))
    with pytest.raises(TypeError, match="`features` must return real numbers, got dtype <U1"):
        sc.estimate(words(np.zeros(6)), n_samples=10)


def test_vector_environments_that_break_their_protocol():
    class Odd(gym.vector.SyncVectorEnv):
        def step(self, actions):
            found = super().step(actions)
            return (found[0], found[1][:, None], *found[2:])

    with pytest.raises(ValueError, match=r"an environment's rewards and ends must have shape \(3,\), got \(3, 1\)"):
        sc.estimate(Environment(Odd([Game] * 3))(np.zeros(9)), n_samples=10)
    strange = gym.vector.SyncVectorEnv([Game] * 3)
    strange.metadata["autoreset_mode"] = "Sometimes"
    with pytest.raises(ValueError, match="autoreset mode must be NextStep, SameStep or Disabled, got 'Sometimes'"):
        Environment(strange)


def test_closed():
    task = Environment(Game)
    task.close()
    task.close()
    with pytest.raises(RuntimeError, match="the Environment is closed: make it again"):
        sc.estimate(task(np.zeros(9)), n_samples=10)


def test_without_gymnasium(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs gymnasium: pip install 'stochcore\[gymnasium\]'"):
        Environment("CartPole-v1")
