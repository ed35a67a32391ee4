"""Costs of few pairs: QUBO, Ising and MaxCut against their formulas, however they are given, packed or not."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stochcore as sc
from stochcore.costs import QUBO, Form, Ising, Linear, MaxCut, Quadratic

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SITES = [1, 2, 5, 8, 9, 31, 63, 64, 65, 100, 255, 256, 257, 300]
ROWS = [1, 7, 64, 65, 130, 300, 600]
# how weights are drawn, and whether they can be counted by bits
WEIGHTS = {
    "unit": (lambda rng, n: np.ones(n), True),
    "signs": (lambda rng, n: rng.choice([-1.0, 1.0], n), True),
    "whole": (lambda rng, n: rng.integers(1, 101, n) * rng.choice([-1.0, 1.0], n), True),
    "eighths": (lambda rng, n: rng.integers(1, 20, n) / 8, True),
    "wide": (lambda rng, n: rng.integers(2**38, 2**40, n).astype(float), False),
    "real": (lambda rng, n: rng.normal(size=n), False),
}


def refuses(error, message):
    return pytest.raises(error, match="^" + re.escape(message) + "$")


def need(path):
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


def edges_of(sites, kind, seed=0):
    """Some distinct pairs with weights, and a weight for each site."""
    rng = np.random.default_rng([sites, seed])
    pairs = np.array(list(itertools.combinations(range(sites), 2)), int).reshape(-1, 2)
    pairs = pairs[rng.permutation(len(pairs))[: 4 * sites]]
    draw = WEIGHTS[kind][0]
    return np.column_stack([pairs, draw(rng, len(pairs))]), draw(rng, sites)


def formulas(edges, alone, y):
    """What J is by definition: MaxCut, Ising, QUBO."""
    i, j, w = edges[:, 0].astype(int), edges[:, 1].astype(int), edges[:, 2]
    f = y.astype(float)
    s = 2 * f - 1
    cut = -(w * (f[:, i] != f[:, j])).sum(axis=1)
    return cut, (w * s[:, i] * s[:, j]).sum(axis=1) + s @ alone, (w * f[:, i] * f[:, j]).sum(axis=1) + f @ alone


def costs_of(sites, kind):
    edges, alone = edges_of(sites, kind)
    return MaxCut(edges, n_nodes=sites), Ising(edges, alone, n_nodes=sites), QUBO(edges, alone, n_nodes=sites)


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("sites", SITES)
def test_formulas(sites, kind):
    edges, alone = edges_of(sites, kind)
    costs = costs_of(sites, kind)
    exact = WEIGHTS[kind][1]
    for cost in costs:
        assert (cost._cut is not None) == exact or not cost.n_pairs
    rng = np.random.default_rng(sites)
    for rows in ROWS:
        y = rng.integers(0, 2, size=(rows, sites), dtype=np.uint8)
        for cost, j in zip(costs, formulas(edges, alone, y), strict=True):
            if exact:
                assert np.array_equal(cost(y), j)
            else:
                scale = np.abs(edges[:, 2]).sum() + np.abs(alone).sum()
                np.testing.assert_allclose(cost(y), j, rtol=1e-12, atol=1e-14 * scale)


@pytest.mark.parametrize("kind", ["unit", "whole", "real"])
@pytest.mark.parametrize("sites", [3, 65, 300])
def test_rows_types_and_layouts_have_the_same_bits(sites, kind):
    y = np.random.default_rng(1).integers(0, 2, size=(600, sites), dtype=np.uint8)
    for cost in costs_of(sites, kind):
        j = cost(y)
        for dtype in (bool, np.int8, np.int32, np.int64, np.uint64):
            assert cost(y.astype(dtype)).tobytes() == j.tobytes()
        assert cost(np.asfortranarray(y)).tobytes() == j.tobytes()
        assert cost(y.reshape(6, 100, sites)).tobytes() == j.tobytes()
        for i in (0, 7, 511, 512, 599):
            assert cost(y[i]) == j[i]
            assert cost(y[i]).shape == ()
        assert cost(y[:0]).shape == (0,)


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("sites", SITES)
def test_packed_samples_have_the_costs_of_bytes(sites, kind):
    model = sc.Bernoulli(logits=np.random.default_rng(sites).normal(size=sites))
    for cost in costs_of(sites, kind):
        for n, skip in ((30, 0), (200, 1), (1100, 0)):
            if n * sites > 150_000:
                continue
            stream = sc.Stream(3).at(skip)
            packed = sc.estimate(model, cost, n, seed=stream)
            plain = sc.estimate(model, lambda y, cost=cost: cost(y), n, seed=stream)
            if sites > 8:
                for name in ("cost", "cost_se", "grad", "grad_se", "best_cost", "best_y"):
                    assert np.array_equal(getattr(packed, name), getattr(plain, name)), (n, name)
            else:  # each outcome is met as often as it came
                np.testing.assert_allclose(packed.cost, plain.cost, rtol=1e-12, atol=1e-12)
                scale = 1e-12 + 1e-12 * np.abs(plain.grad).max()
                np.testing.assert_allclose(packed.grad, plain.grad, rtol=1e-9, atol=scale)
                assert packed.best_cost == plain.best_cost


@pytest.mark.parametrize("sites", [5, 70, 300])
def test_any_number_of_threads_has_the_same_bits(sites):
    model = sc.Bernoulli(logits=np.linspace(-1, 1, sites))
    for kind in ("whole", "real"):
        for cost in costs_of(sites, kind):
            for estimator in ("leave_one_out", "antithetic"):
                one, *others = (sc.estimate(model, cost, 3000, n_threads=k, estimator=estimator) for k in (1, 2, 3))
                for other in others:
                    assert (one.cost, one.cost_se) == (other.cost, other.cost_se)
                    assert one.grad.tobytes() == other.grad.tobytes()


def test_opposites_are_priced_too():
    model = sc.Bernoulli(logits=np.linspace(-1, 1, 300))
    for cost in costs_of(300, "whole"):
        packed, plain = (sc.estimate(model, c, 500, estimator="antithetic") for c in (cost, lambda y, c=cost: c(y)))
        assert packed.cost == plain.cost
        np.testing.assert_allclose(packed.grad, plain.grad, rtol=1e-12)


def test_sites_of_several_axes_and_problems_are_taken_in_order():
    cost = costs_of(12, "whole")[2]
    model = sc.Bernoulli(logits=np.linspace(-1, 1, 24).reshape(2, 3, 4), batch_ndims=1)
    e = sc.estimate(model, cost, 500)
    y = model.sample(500, sc.Stream(0)).reshape(500, 2, 12)
    np.testing.assert_allclose(e.cost, cost(y).mean(axis=0), rtol=1e-12)
    truth = sc.exact(model, cost)
    assert np.all(abs(e.cost - truth.cost) < 4 * e.cost_se)
    classes = sc.Categorical(logits=np.zeros((12, 2)))
    assert sc.estimate(classes, cost, 300).cost == pytest.approx(cost(classes.sample(300, sc.Stream(0))).mean())


def test_a_dense_quadratic_is_the_same():
    rng = np.random.default_rng(2)
    Q, b = rng.integers(-9, 9, size=(40, 40)).astype(float), rng.integers(-9, 9, size=40).astype(float)
    y = rng.integers(0, 2, size=(200, 40), dtype=np.uint8)
    assert np.array_equal(QUBO(Q, b)(y), Quadratic(Q, b)(y))
    Q, b = rng.normal(size=(40, 40)), rng.normal(size=40)
    np.testing.assert_allclose(QUBO(Q, b)(y), Quadratic(Q, b)(y), rtol=1e-11, atol=1e-12)
    model = sc.Bernoulli(logits=np.linspace(-1, 1, 40))
    e, f = (sc.estimate(model, cost, 500) for cost in (QUBO(Q, b), Quadratic(Q, b)))
    np.testing.assert_allclose(e.grad, f.grad, rtol=1e-9, atol=1e-12)


def test_no_pairs_at_all():
    y = np.array([[0, 1, 1], [1, 1, 1]], np.uint8)
    assert MaxCut([], n_nodes=3)(y).tolist() == [0.0, 0.0]
    assert QUBO([], [1.0, 2.0, 4.5], n_nodes=3)(y).tolist() == [6.5, 7.5]
    assert Ising([], [0.0, 0.0, 1.0], n_nodes=3)(y).tolist() == [1.0, 1.0]
    assert MaxCut(np.zeros((3, 3)))(y).tolist() == [0.0, 0.0]
    assert MaxCut([(0, 1, 0.0)]).n_pairs == 0


# Known optima


def test_the_cube_is_bipartite():
    pairs = [(a, a ^ 1 << k) for a in range(8) for k in range(3) if a < a ^ 1 << k]
    every = np.arange(256)[:, None] >> np.arange(8) & 1
    assert MaxCut(pairs)(every).min() == -12.0


def test_the_optimum_of_gka1b():
    cost = QUBO.read(need(DATA / "biqmac" / "gka1b.sparse"))
    best = min(
        cost((np.arange(a, a + 2**16)[:, None] >> np.arange(20) & 1).astype(np.uint8)).min()
        for a in range(0, 2**20, 2**16)
    )
    assert best == -133.0


def test_the_bipartite_graph_of_the_gset():
    cost = MaxCut.read(need(DATA / "gset" / "G48.txt"))
    neighbours = [[] for _ in range(cost.n_nodes)]
    for i, j in zip(cost.first, cost.second, strict=True):
        neighbours[i].append(j)
        neighbours[j].append(i)
    side = np.full(cost.n_nodes, 255, np.uint8)
    for start in range(cost.n_nodes):
        todo = [start] if side[start] == 255 else []
        side[todo] = 0
        while todo:
            node = todo.pop()
            for other in neighbours[node]:
                if side[other] == 255:
                    side[other] = 1 - side[node]
                    todo.append(other)
    assert cost(side) == -6000.0
    assert cost.n_pairs == 6000


def test_gset_graphs_by_scipy():
    sparse = pytest.importorskip("scipy.sparse")
    for name, n, m in (("G14", 800, 4694), ("G22", 2000, 19990), ("G55", 5000, 12498)):
        cost = MaxCut.read(need(DATA / "gset" / f"{name}.txt"))
        assert (cost.n_nodes, cost.n_pairs) == (n, m)
        a = sparse.coo_array((np.ones(m), (cost.first, cost.second)), shape=(n, n)).tocsr()
        y = sc.Bernoulli(logits=np.zeros(n)).sample(70, sc.Stream(1))
        s = 2.0 * y.T - 1.0
        assert np.array_equal(cost(y), -(m - (s * (a @ s)).sum(axis=0)) / 2)


# How graphs are given


def test_every_way_to_give_a_graph():
    sparse, networkx = pytest.importorskip("scipy.sparse"), pytest.importorskip("networkx")
    edges, _ = edges_of(9, "whole")
    rows = [(int(i), int(j), w) for i, j, w in edges]
    upper = np.zeros((9, 9))
    upper[edges[:, 0].astype(int), edges[:, 1].astype(int)] = edges[:, 2]
    graph = networkx.Graph()
    graph.add_nodes_from(range(9))
    graph.add_weighted_edges_from(rows)
    y = np.random.default_rng(0).integers(0, 2, size=(50, 9), dtype=np.uint8)
    ways = [edges, rows, upper, upper.T, upper + upper.T, graph]
    ways += [
        kind(m) for kind in (sparse.csr_matrix, sparse.coo_array, sparse.lil_array) for m in (upper, upper + upper.T)
    ]
    for family in (MaxCut, Ising):
        want = family(edges, n_nodes=9)(y)
        for way in ways:
            assert np.array_equal(family(way)(y), want)
    want = QUBO(edges, n_nodes=9)(y)
    for way in (rows, upper, upper.T, graph, sparse.csc_array(upper)):
        assert np.array_equal(QUBO(way)(y), want)
    assert np.array_equal(QUBO(upper + upper.T)(y), 2 * want)  # y'Qy
    side = [node for node in range(9) if y[0, node]]
    assert MaxCut(graph)(y[0]) == -networkx.cut_size(graph, side, weight="weight")


def test_graphs_of_networkx():
    networkx = pytest.importorskip("networkx")
    graph = networkx.MultiGraph()
    graph.add_edge("b", "a")
    graph.add_edge("a", "b", weight=2.5)
    graph.add_edge("a", "c", weight=True)
    assert MaxCut(graph)([[1, 0, 0], [0, 0, 1]]).tolist() == [-3.5, -1.0]  # b, a, c
    graph.add_edge("c", "c", weight=4)
    assert QUBO(graph)([0, 0, 1]) == 4.0
    with refuses(ValueError, "`graph` must have no self-loops, got one at node 2"):
        MaxCut(graph)
    with pytest.raises(TypeError, match=r"^`graph` must be an undirected graph, got a DiGraph$"):
        MaxCut(networkx.DiGraph(graph))
    graph.add_edge("a", "c", weight=np.inf)
    with pytest.raises(ValueError, match="`graph` must be finite, got inf"):
        MaxCut(graph)


def test_repeated_edges_are_added_up():
    y = [[0, 1, 1], [1, 1, 0]]
    assert MaxCut(
        [
            (0, 1),
            (1, 0),
            (
                1,
                2,
            ),
            (1, 2),
        ]
    )(y).tolist() == [-2.0, -2.0]
    assert QUBO([(0, 0, 1.0), (0, 1, 2.0), (1, 0, 0.5), (0, 0, 4.0)])([1, 1]) == 7.5
    assert MaxCut([(0, 1, 2.0), (1, 0, -2.0)]).n_pairs == 0


def test_a_square_array_is_a_matrix_unless_the_nodes_are_counted():
    rows = np.array([[0, 1, 5], [1, 2, 3], [2, 0, 1]])
    assert MaxCut(rows, n_nodes=3)([1, 0, 0]) == -6.0
    assert MaxCut(list(map(tuple, rows.tolist())))([1, 0, 0]) == -6.0
    with refuses(ValueError, "`graph` must have no self-loops, got one at node 1"):
        MaxCut(rows)


@given(st.data())
def test_any_edges(data):
    n = data.draw(st.integers(1, 12))
    ends = st.integers(0, n - 1)
    edges = data.draw(st.lists(st.tuples(ends, ends, st.integers(-9, 9)), max_size=40))
    y = np.array(data.draw(st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), max_size=9)), int)
    y = y.reshape(-1, n)
    want = sum((w * y[:, i] * y[:, j] for i, j, w in edges), np.zeros(len(y)))
    assert np.array_equal(QUBO(edges, n_nodes=n)(y), want)
    plain = [edge for edge in edges if edge[0] != edge[1]]
    want = -sum((w * (y[:, i] != y[:, j]) for i, j, w in plain), np.zeros(len(y)))
    assert np.array_equal(MaxCut(plain, n_nodes=n)(y), want)


MATRIX = "`graph` must be a symmetric or a triangular matrix, got"
SHAPE = "`{}` must be a square matrix or edges (i, j) or (i, j, weight), got shape {}"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MaxCut([[0, 1], [2, 0]]), ValueError, f"{MATRIX} 1.0 at (0, 1) and 2.0 at (1, 0)"),
        (lambda: MaxCut([[0, 1, 1], [0, 0, 0], [1, 1, 0]]), ValueError, f"{MATRIX} 1.0 at (0, 1) and 0.0 at (1, 0)"),
        (lambda: MaxCut(np.eye(2)), ValueError, "`graph` must have no self-loops, got one at node 0"),
        (lambda: Ising([(3, 3)]), ValueError, "`J` must have no self-loops, got one at node 3"),
        (lambda: MaxCut(np.zeros((4, 4, 2))), ValueError, SHAPE.format("graph", "(4, 4, 2)")),
        (lambda: QUBO([1.0, 2.0]), ValueError, SHAPE.format("Q", "(2,)")),
        (lambda: QUBO(np.zeros((5, 4))), ValueError, SHAPE.format("Q", "(5, 4)")),
        (lambda: MaxCut([]), ValueError, "`graph` must have at least one node, got none"),
        (lambda: MaxCut(np.zeros((0, 0))), ValueError, "`graph` must have at least one node, got none"),
        (
            lambda: MaxCut([(0, 0.5)]),
            ValueError,
            "`graph` must have a node at each end of an edge, got 0.5 at index (0, 1)",
        ),
        (
            lambda: MaxCut([(0, 1), (2, -1)]),
            ValueError,
            "`graph` must have a node at each end of an edge, got -1.0 at index (1, 1)",
        ),
        (
            lambda: MaxCut([(0, 3)], n_nodes=3),
            ValueError,
            "`graph` must have one of the 3 nodes at each end of an edge, got 3.0 at index (0, 1)",
        ),
        (lambda: MaxCut([(0, 1)], n_nodes=0), ValueError, "`n_nodes` must be in [1, 2147483646], got 0"),
        (lambda: MaxCut([(0, 1, np.nan)]), ValueError, "`graph` must be finite, got nan at index (0, 2)"),
        (
            lambda: MaxCut([(0, 1), (1, 2, 3.0)]),
            ValueError,
            "`graph` must be a rectangular array, got [(0, 1), (1, 2, 3.0)]",
        ),
        (
            lambda: MaxCut("G22"),
            TypeError,
            "`graph` must hold real numbers (float64 or what converts to it), got dtype <U3",
        ),
        (lambda: QUBO(np.eye(2), [1.0]), ValueError, "`b` must have shape (2,), got (1,)"),
        (lambda: Ising([(0, 1)], 1.0), ValueError, "`h` must have shape (2,), got ()"),
        (
            lambda: MaxCut([(0, 1, 1.5e308)]),
            ValueError,
            "`cost` must have weights whose sums are finite, got some too large for float64",
        ),
        (
            lambda: Ising([(0, 1, 1.0)], [1e308, 1e308]),
            ValueError,
            "`cost` must have weights whose sums are finite, got some too large for float64",
        ),
        (
            lambda: QUBO([(0, 1, 1e308), (0, 1, 1e308)]),
            ValueError,
            "`cost` must have weights whose sums are finite, got some too large for float64",
        ),
    ],
)  # fmt: skip
def test_bad_graphs(call, error, message):
    with refuses(error, message):
        call()


def test_bad_sparse_matrices():
    sparse = pytest.importorskip("scipy.sparse")
    with refuses(ValueError, "`graph` must be a square matrix, got shape (2, 3)"):
        MaxCut(sparse.csr_array((2, 3)))
    with refuses(ValueError, "`n_nodes` goes with edges, got 3 and a `graph` of 2 nodes"):
        MaxCut(sparse.csr_array((2, 2)), n_nodes=3)
    with refuses(TypeError, "`Q` must hold real numbers (float64 or what converts to it), got dtype complex128"):
        QUBO(sparse.csr_array(np.eye(2, dtype=complex)))


# Files


def test_files(tmp_path):
    path = tmp_path / "graph.txt"
    path.write_text("3 4\n1 2 1\n\n2 3 -2.5\n3 1\n1 2 1\n")
    assert MaxCut.read(path)([[1, 0, 0], [1, 1, 0]]).tolist() == [-3.0, 1.5]
    path.write_text("2 3\n1 1 -3\n1 2 5\n2 2 1\n")
    assert QUBO.read(str(path))([[1, 0], [0, 1], [1, 1]]).tolist() == [-3.0, 1.0, 8.0]
    with refuses(ValueError, "`graph` must have no self-loops, got one at node 0"):
        MaxCut.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", " is empty: a graph begins with its numbers of nodes and of edges"),
        ("3\n", ", line 1: must be a whole number and a whole number, got '3'"),
        ("a b\n", ", line 1: must be a whole number and a whole number, got 'a b'"),
        ("0 0\n", ", line 1: must have at least one node, got 0 nodes and 0 edges"),
        ("2 2\n1 2 1\n", " must have 2 lines of edges, as its first line says, got 1"),
        ("2 1\n1\n", ", line 2: must be a whole number and a whole number, got '1'"),
        ("2 1\n1 2 x\n", ", line 2: must be a whole number and a whole number and a number, got '1 2 x'"),
        ("2 1\n1 2 1 1\n", ", line 2: must be a whole number and a whole number and a number, got '1 2 1 1'"),
        ("2 1\n\n1.5 2 1\n", ", line 3: must be a whole number and a whole number and a number, got '1.5 2 1'"),
        ("2 1\n1 3 1\n", ", line 2: nodes must be in 1 .. 2, got 1 and 3"),
        ("2 1\n0 1 1\n", ", line 2: nodes must be in 1 .. 2, got 0 and 1"),
        ("2 1\n1 2 nan\n", ", line 2: a weight must be finite, got nan"),
    ],
)
def test_malformed_files(tmp_path, text, message):
    path = tmp_path / "graph.txt"
    path.write_text(text)
    with refuses(ValueError, f"{path}{message}"):
        MaxCut.read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        MaxCut.read(tmp_path / "none.txt")


# How they fit


def test_outcomes_must_be_bits():
    cost = MaxCut([(0, 1), (1, 2)])
    for y, came in (([[0, 1, 2]], "2 at index (0, 2)"), ([0, 1, -1], "-1 at index 2")):
        with refuses(ValueError, f"`y` must hold bits, got {came}"):
            cost(y)
    with refuses(ValueError, "`y` must hold bits, got 255 at index (70, 1)"):
        cost(np.eye(71, 3, dtype=np.uint8) + np.array([[0, 255, 0]]) * (np.arange(71) == 70)[:, None].astype(np.uint8))
    with refuses(TypeError, "`y` must hold integers, got dtype float64"):
        cost([0.0, 1.0, 1.0])
    with refuses(ValueError, "`y` must have the sites (3,) as its last axes, got shape (1, 2)"):
        cost([[0, 1]])
    with refuses(
        ValueError, "`cost` is of bits: the model must have outcomes 0 and 1, got Categorical(logits=<3 x 3>)"
    ):
        sc.estimate(sc.Categorical(logits=np.zeros((3, 3))), cost, 10)
    message = "`cost` must fit the sites (4,) of the model (batch ()), got MaxCut of 3 nodes"
    for call, options in ((sc.exact, {}), (sc.estimate, {}), (sc.minimize, {"n_steps": 1, "n_samples": 9})):
        with refuses(ValueError, message):
            call(sc.Bernoulli(logits=np.zeros(4)), cost, **options)


def test_repr_and_values():
    cost = MaxCut([(0, 1), (1, 2)])
    assert repr(cost) == "costs.MaxCut(<3 nodes, 2 pairs>)"
    assert repr(QUBO(np.ones((2, 2)))) == "costs.QUBO(<2 nodes, 1 pairs>)"
    assert isinstance(cost, Form)
    assert (cost.n_nodes, cost.n_pairs) == (3, 2)
    assert cost.linear.tolist() == [-1.0, -2.0, -1.0]
    assert cost.weight.tolist() == [2.0, 2.0]


def test_exact_and_minimize():
    edges, alone = edges_of(9, "whole")
    every = (np.arange(512)[:, None] >> np.arange(9) & 1).astype(np.uint8)
    for cost, j in zip(costs_of(9, "whole"), formulas(edges, alone, every), strict=True):
        model = sc.Bernoulli(logits=np.linspace(-1, 1, 9))
        truth = sc.exact(model, cost)
        assert truth.cost == pytest.approx((model.outcome_probs(every) * j).sum(), rel=1e-12)
        e = sc.estimate(model, cost, 100_000)
        assert np.all(abs(e.grad - truth.grad) < 4.5 * e.grad_se)
        for sign, best in ((1, j.min()), (-1, j.max())):
            start = sc.Bernoulli(logits=np.zeros(9))
            fit = sc.minimize(start, cost, n_steps=50, n_samples=500, optimizer=sc.Adam(0.05), maximize=sign < 0)
            assert fit.best_cost == best
            assert cost(fit.best_y) == best
        assert np.array_equal(cost.negated()(every), -cost(every))
        assert repr(cost.negated()) == repr(cost)


def test_mean_by_linearity():
    cost = Linear(np.arange(3.0))
    graph = QUBO(np.diag(np.arange(3.0)))
    y = np.random.default_rng(0).integers(0, 2, size=(9, 3))
    assert np.array_equal(cost(y), graph(y))
