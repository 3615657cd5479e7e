"""The trap against SciPy's optimisers on a formula written again in NumPy, and against 40-digit
folds by mpmath.
"""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.optimize

from gda_theory.paper import trap

CASES = [(name, ridge) for name in trap.CONVENTIONS for ridge in (0.1, 0.05, 0.02)]
X, Y = np.array([-1.0, 1, 3, 4]), np.array([-1.0, 1, -1, 1])
COUNTS = {"pretrain": (5, 4, 1, 4), "retrain": (5, 4, 1, 2), "descent_ascent": (5, 4, 1, 0)}
MEANS = {
    "pretrain": np.array([5, 4, 1, 4]) / 14,
    "retrain": np.array([5, 4, 1, 2]) / 12,
    "descent_ascent": np.array([5, 4, 1, 2]) / 12 - np.array([0, 0, 0, 1.0]),
}


def written_again(name, problem, ridge, exp=np.exp):
    """J of the paper's text, residual by residual.

    The shortcut 4 (h - t)² for targets ±1 against 2h - 1 is not taken.
    """
    weights = (MEANS if name.endswith("means") else COUNTS)[problem]

    def objective(theta):
        total = ridge * (theta[0] ** 2 + theta[1] ** 2)
        for x, y, weight in zip((-1, 1, 3, 4), (-1, 1, -1, 1), weights, strict=True):
            h = 1 / (1 + exp(-(1 + theta[0] * x + theta[1] * x * x) / 2))
            residual = {"literal": h - y, "zero_one": h - (y + 1) / 2, "signed": 2 * h - 1 - y}[
                name.removesuffix("_means")
            ]
            total = total + weight * residual**2
        return total

    return objective


def wrong(theta, counts):
    says = np.where(1 + theta[0] * X + theta[1] * X**2 > 0, 1, -1)  # h > 1/2
    return int(np.sum(np.where(says == Y, 0, counts)))


@pytest.fixture(scope="module")
def landscapes():
    return {case: trap.landscape(*case) for case in CASES}


# The facts' table: global minimum and value, then the other minimum, to the digits printed there.
TABLE = [
    ("literal", 0.1, "pretrain", [(3.79, -0.82, 11.904), (3.2534, -2.1342, 12.861)]),
    ("literal", 0.1, "retrain", [(3.25, -2.14, 10.861), (3.68, -0.89, 11.794)]),
    ("literal", 0.1, "descent_ascent", [(3.25, -2.14, 8.861)]),
    ("literal", 0.05, "retrain", [(4.066, -2.470, 9.946), (4.57, -1.07, 10.914)]),
    ("zero_one", 0.1, "pretrain", [(2.18, -0.37, 2.004)]),
    ("zero_one", 0.1, "retrain", [(2.13, -0.43, 1.952)]),
    ("zero_one", 0.1, "descent_ascent", [(2.00, -1.13, 1.203)]),
    ("signed", 0.1, "pretrain", [(3.37, -0.62, 5.806)]),
    ("signed", 0.1, "retrain", [(3.29, -0.68, 5.689)]),
    ("signed", 0.1, "descent_ascent", [(3.24, -1.60, 2.419)]),
    ("signed", 0.05, "retrain", [(3.831, -0.790, 5.038), (3.846, -1.759, 9.615)]),
    ("signed", 0.02, "pretrain", [(4.63, -0.89, 4.566), (4.76, -2.11, 16.94)]),
    ("signed", 0.02, "retrain", [(4.50, -0.93, 4.506), (4.85, -2.19, 8.954)]),
    ("signed", 0.02, "descent_ascent", [(4.90, -2.24, 0.963)]),
]


@pytest.mark.parametrize(("name", "ridge", "problem", "expected"), TABLE)
def test_reference_table(landscapes, name, ridge, problem, expected):
    found = getattr(landscapes[name, ridge], problem)
    assert len(found.minima) == len(expected)
    for point, value, row in zip(found.minima, found.value, expected, strict=False):
        # One unit of the last digit printed, which a table may cut or round: parameters to 0.01,
        # values to 0.001 (16.94: 0.01).
        np.testing.assert_allclose(point, row[:2], rtol=0, atol=0.01)
        np.testing.assert_allclose(value, row[2], rtol=0, atol=0.01 if row[2] == 16.94 else 0.001)


def test_means_move_the_ascent_minimum(landscapes):
    """Eq. 1's means: x = 4 weighs 2/12 - 2/2."""
    weights, _, _ = trap.arguments("zero_one_means", 0.05)
    np.testing.assert_allclose(weights, list(MEANS.values()), rtol=1e-15)
    np.testing.assert_allclose(
        landscapes["zero_one_means", 0.05].descent_ascent.parameters,
        [(0.596, -0.866)],
        atol=0.00051,
    )


def nearest(points, point):
    return np.min(np.linalg.norm(points - point, axis=1))


@pytest.mark.parametrize(("name", "ridge"), CASES)
def test_minima_are_those_of_scipy(landscapes, name, ridge):
    """From 20 random starts SciPy finds nothing new and nothing lower; from beside each minimum it
    comes back to it.
    """
    starts = np.random.default_rng(0).normal(scale=4, size=(20, 2))
    for problem in trap.PROBLEMS:
        found, again = (
            getattr(landscapes[name, ridge], problem),
            written_again(name, problem, ridge),
        )
        ends = [
            scipy.optimize.minimize(again, start, method="BFGS", options={"gtol": 1e-7})
            for start in starts
        ]
        # BFGS with differenced gradients stops about 1e-5 from a minimum.
        assert max(nearest(found.minima, end.x) for end in ends) < 1e-3
        assert min(end.fun for end in ends) == pytest.approx(found.value[0], rel=1e-9)
        for minimum in found.minima:
            simplex = minimum + np.array([(0.01, 0.005), (-0.01, 0.005), (0.0, -0.01)])
            options = {"initial_simplex": simplex, "xatol": 1e-7, "fatol": 1e-14}
            back = scipy.optimize.minimize(again, minimum, method="Nelder-Mead", options=options)
            np.testing.assert_allclose(back.x, minimum, atol=1e-5)
        np.testing.assert_allclose(
            found.value, [again(point) for point in found.parameters], rtol=1e-12, atol=1e-12
        )
        assert found.complete
        assert np.sum(found.kind == trap.Kind.SADDLE) == len(found.minima) - 1
        assert len(found.kind) == 2 * len(found.minima) - 1


@pytest.mark.parametrize(("name", "ridge"), [("literal", 0.1), ("signed", 0.05), ("signed", 0.02)])
def test_no_stationary_point_is_missed_on_a_fine_grid(landscapes, name, ridge):
    """Wherever both components of the gradient change sign in a cell of side 0.05, SciPy's root
    finder ends at a known point.
    """
    step, (weights, targets, c) = 0.05, trap.arguments(name, ridge)
    a, b = np.meshgrid(np.arange(-2, 8, step), np.arange(-5, 2, step))
    slopes = jax.jit(jax.vmap(trap.gradient, (0, None, None, None)))
    for row, problem in zip(weights, trap.PROBLEMS, strict=True):
        signs = np.asarray(
            slopes(jnp.asarray(np.stack([a.ravel(), b.ravel()], -1)), row, targets, c) > 0
        ).reshape(*a.shape, 2)
        corners = np.stack([signs[:-1, :-1], signs[1:, :-1], signs[:-1, 1:], signs[1:, 1:]])
        mixed = np.all(np.any(corners, 0) & ~np.all(corners, 0), -1)
        known, again = (
            getattr(landscapes[name, ridge], problem).parameters,
            written_again(name, problem, ridge),
        )
        reached = set()
        for centre in np.stack([a[:-1, :-1][mixed], b[:-1, :-1][mixed]], -1) + step / 2:
            root = scipy.optimize.root(
                lambda t, again=again: scipy.optimize.approx_fprime(t, again, 1e-6), centre
            )
            # Where it fails there was no root, only two nearly parallel zero lines; differences
            # place a root to 1e-4 at worst.
            if root.success:
                assert nearest(known, root.x) < 1e-3
                reached.add(int(np.argmin(np.linalg.norm(known - root.x, axis=1))))
        assert reached == set(range(len(known)))


def test_derivatives_are_those_of_automatic_differentiation():
    weights, targets, c = trap.arguments("signed", 0.05)

    @jax.jit
    def both(*at):
        automatic = jax.grad(trap.objective)(*at), jax.hessian(trap.objective)(*at)
        return (trap.gradient(*at), trap.hessian(*at)), automatic

    for point in np.array([[0.3, -0.4], [4.0, -2.5], [-1.0, 0.9]]):
        for row in np.asarray(weights):
            for found, expected in zip(*both(point, row, targets, c), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("name", "ridge"), CASES)
def test_claims_are_counts_of_the_classifier(landscapes, name, ridge):
    found = landscapes[name, ridge]
    first = {problem: getattr(found, problem).parameters[0] for problem in trap.PROBLEMS}
    missed = {problem: wrong(first[problem], counts) for problem, counts in COUNTS.items()}
    pretrain, retrain, ascent = found.statements
    assert pretrain.found.startswith(f"{14 - missed['pretrain']} right, {missed['pretrain']} wrong")
    assert retrain.found.startswith(f"{12 - missed['retrain']} right, {missed['retrain']} wrong")
    assert ascent.found.startswith(
        f"{10 - missed['descent_ascent']} right, {missed['descent_ascent']} wrong"
    )
    in_truth = wrong(first["descent_ascent"], COUNTS["retrain"])
    assert f"{12 - in_truth} right, {in_truth} wrong" in ascent.found
    # Only x = 3 is a cluster of one point, so one wrong means that it alone is.
    assert (pretrain.holds, retrain.holds) == (missed["pretrain"] == 1, missed["retrain"] == 1)
    assert ascent.holds == (missed["descent_ascent"] == 0 and in_truth == 2 and found.trap_holds)


@pytest.mark.parametrize(("name", "ridge"), CASES)
def test_fine_tuning_is_the_flow(landscapes, name, ridge):
    """Descent from the ascent minimum ends where SciPy's stiff solver takes the gradient flow on R,
    and J falls all the way.
    """
    found = landscapes[name, ridge]
    weights, targets, c = trap.arguments(name, ridge)
    slope = jax.jit(trap.gradient)
    flow = scipy.integrate.solve_ivp(
        lambda _, t: -np.asarray(slope(t, weights[1], targets, c)),
        (0, 2000),
        found.fine_tuning[0],
        method="LSODA",
        rtol=1e-8,
        atol=1e-10,
    )
    np.testing.assert_array_equal(found.fine_tuning[0], found.descent_ascent.parameters[0])
    np.testing.assert_allclose(flow.y[:, -1], found.retrain.minima[found.ends_in], atol=1e-5)
    np.testing.assert_allclose(
        found.fine_tuning[-1], found.retrain.minima[found.ends_in], atol=1e-5
    )
    values = trap.objective(jnp.asarray(found.fine_tuning), weights[1], targets, c)
    assert np.all(np.diff(values) <= 1e-13)
    assert found.trap_holds == (found.ends_in > 0)


def test_all_three_claims_hold_only_below_a_fold(landscapes):
    everything = {
        case
        for case, found in landscapes.items()
        if all(statement.holds for statement in found.statements)
    }
    assert everything == {("signed", 0.05), ("signed", 0.02)}
    assert all(
        statement.holds for statement in trap.landscape("zero_one", 0.0125).statements
    )  # signed at 0.05, divided by 4
    for ridge in (
        1e-3,
        0.01,
        0.3,
        1.0,
    ):  # no ridge rescues "retraining keeps it" in the literal reading
        literal = trap.landscape("literal", ridge)
        assert not literal.statements[1].holds
        assert literal.retrain.right[0].tolist() == [True, True, True, False]


def fold_by_mpmath(name, problem, start):
    """grad J = 0 and det hess J = 0 in (a, b, c), all derivatives by mpmath from the formula
    written again.
    """
    with mpmath.workdps(40):

        def derivative(a, b, c, order):
            return mpmath.diff(
                lambda p, q: written_again(name, problem, c, mpmath.exp)((p, q)), (a, b), order
            )

        def system(a, b, c):
            bend = (
                derivative(a, b, c, (2, 0)) * derivative(a, b, c, (0, 2))
                - derivative(a, b, c, (1, 1)) ** 2
            )
            return derivative(a, b, c, (1, 0)), derivative(a, b, c, (0, 1)), bend

        return [float(value) for value in mpmath.findroot(system, start, tol=1e-15)]


@pytest.mark.parametrize(
    ("problem", "near"),
    [("pretrain", 0.0268089304877), ("retrain", 0.0771966651700)],
    ids=["second minimum of D", "second minimum of R"],
)
def test_folds(problem, near):
    """The facts print 0.02660 and 0.07714; both folds lie slightly higher, by three independent
    routes (here: two).
    """
    found = trap.folds("signed", problem=problem)
    np.testing.assert_allclose(found.ridge, [near], rtol=1e-11)
    start = (*np.round(found.parameters[0], 2), round(near, 4))
    np.testing.assert_allclose(
        [*found.parameters[0], found.ridge[0]], fold_by_mpmath("signed", problem, start), rtol=1e-10
    )
    for factor, minima in ((1 - 1e-6, 2), (1 + 1e-6, 1)):
        points = getattr(trap.landscape("signed", near * factor), problem)
        assert len(points.minima) == minima
        assert points.complete
    quarter = trap.folds("zero_one", problem=problem).ridge
    np.testing.assert_allclose(4 * quarter, found.ridge, rtol=1e-11)


def test_every_fold_is_where_the_count_changes():
    for name in trap.CONVENTIONS:
        for problem in trap.PROBLEMS:
            folds = trap.folds(name, problem=problem).ridge
            for ridge in (0.004, 0.05, 1.3):
                row = trap.arguments(name, ridge)[0][trap.PROBLEMS.index(problem)]
                points = trap.stationary_points(row, *trap.arguments(name, ridge)[1:])
                assert len(points.minima) == 1 + np.sum(folds > ridge)


def test_trap_holds_up_to_the_fold():
    fold = trap.folds("signed", problem="retrain").ridge[0]
    assert trap.landscape("signed", fold * 0.9999).trap_holds
    assert trap.landscape("signed", fold * 1.01).ends_in == 0
    assert (
        trap.landscape("signed", fold * 1.000002).ends_in == -1
    )  # still creeping past where the minimum was: said, not guessed


def test_ridge_does_not_shift_minimisers_radially(landscapes):
    """App.

    B says so; a/b of D's minimum moves from -5.20 to -5.41. All lie on the one curve where grad L
    is parallel to them.
    """
    ratio = {
        ridge: np.divide(*landscapes["signed", ridge].pretrain.parameters[0])
        for ridge in (0.02, 0.1)
    }
    np.testing.assert_allclose([ratio[0.02], ratio[0.1]], [-5.20, -5.41], atol=0.0051)
    for (name, ridge), found in landscapes.items():
        weights, targets, _ = trap.arguments(name, ridge)
        for point in found.retrain.parameters:
            np.testing.assert_allclose(
                trap.ridge_through(jnp.asarray(point), weights[1], targets), ridge, rtol=1e-11
            )


def test_a_changed_convention_changes_the_answer(landscapes):
    """Mutants: one target, the factor, the reduction; each moves D's minimum, so the tests above
    would notice.
    """
    signed, at = trap.CONVENTIONS["signed"], landscapes["signed", 0.05].pretrain.parameters[0]
    same = trap.landscape(signed, 0.05)
    np.testing.assert_array_equal(same.pretrain.parameters[0], at)
    for mutant in (
        signed._replace(targets=(0.0, 0.9)),
        signed._replace(targets=(-1.0, 1.0)),
        signed._replace(factor=2.0),
        signed._replace(mean=True),
    ):
        assert np.linalg.norm(trap.landscape(mutant, 0.05).pretrain.parameters[0] - at) > 0.05


@pytest.mark.parametrize("ridge", [0.0, -0.1, np.nan, np.inf, [0.1, 0.2], [0.0]])
def test_bad_ridge(ridge):
    for call in (lambda: trap.landscape("literal", ridge), lambda: trap.arguments("signed", ridge)):
        with pytest.raises(ValueError, match=r"^ridge must be"):
            call()
    with pytest.raises(ValueError, match=r"^least_ridge must be"):
        trap.folds(problem="retrain", least_ridge=ridge)


def test_bad_names():
    with pytest.raises(ValueError, match=r"convention must be one of 'literal', .*got 'text'"):
        trap.landscape("text")
    with pytest.raises(
        ValueError,
        match="problem must be one of 'pretrain', 'retrain', 'descent_ascent', got 'oracle'",
    ):
        trap.folds(problem="oracle")
    with pytest.raises(TypeError, match="ridge must be a real number"):
        trap.landscape("literal", True)


def test_conventions_cannot_be_changed():
    with pytest.raises(TypeError):
        trap.CONVENTIONS["literal"] = trap.CONVENTIONS["signed"]
    with pytest.raises(AttributeError):
        trap.CONVENTIONS["literal"].factor = 2.0


def test_float32(landscapes):
    """A float32 ridge keeps all in float32.

    Errors are eps times the condition number |H|/c, here up to 1e-7 * 1e3.
    """
    for case in (("signed", 0.05), ("literal", 0.1)):
        found, reference = trap.landscape(case[0], jnp.float32(case[1])), landscapes[case]
        assert found.retrain.parameters.dtype == np.float32
        for problem in trap.PROBLEMS:
            np.testing.assert_allclose(
                getattr(found, problem).parameters,
                getattr(reference, problem).parameters,
                atol=1e-4,
            )
        assert (found.ends_in, found.statements) == (reference.ends_in, reference.statements)
