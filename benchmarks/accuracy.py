"""Errors of the special functions: ``python -m benchmarks.accuracy`` writes docs/accuracy.md.

Each root that a function returns is improved by Newton steps on its own defining equation in 300
bits (mpmath), starting from the returned value; the distance, in units of the last place of the
working dtype, is the error. Tests check on other arguments, and by another route (Arb), that the
equation changes sign there.
"""

import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import scipy.special

from theory_common import entry
from theory_common.numerics import special

DOCUMENT = pathlib.Path(__file__).parent.parent / "docs" / "accuracy.md"
BITS = 300
POINTS = 2000


class Equation(NamedTuple):
    """An equation ``value(x, *arguments) = 0`` for ``x``, and its derivative ``slope`` in ``x``."""

    value: Callable
    slope: Callable


class Case(NamedTuple):
    """A function, the equation of its root, and how its result follows from the root."""

    name: str
    domain: str
    sample: Callable[[np.random.Generator, int], tuple]  # arguments, float64
    compute: Callable[..., jax.Array]
    root: Callable[..., jax.Array]  # a start for Newton's method
    equation: Equation
    exact: Callable  # of the root and the arguments
    allowed: int  # ulp
    scipy: Callable | None = None


def lambert() -> Equation:
    """``w exp(w) = z``."""
    return Equation(lambda w, z: w * mpmath.exp(w) - z, lambda w, z: (1 + w) * mpmath.exp(w))


def lambert_in_logs() -> Equation:
    """``w + ln|w| = ln|z|``."""
    return Equation(lambda w, u, *_: w + mpmath.log(abs(w)) - u, lambda w, *_: 1 + 1 / w)


def lambert_from_gap() -> Equation:
    """``-t - ln(1 - t) = gap``."""
    return Equation(lambda t, gap: -t - mpmath.log1p(-t) - gap, lambda t, gap: t / (1 - t))


def r_lambert() -> Equation:
    """``w exp(w) + r w = z``."""
    return Equation(
        lambda w, z, r: w * mpmath.exp(w) + r * w - z, lambda w, z, r: (1 + w) * mpmath.exp(w) + r
    )


def r_lambert_in_logs() -> Equation:
    """``ln t + ln(exp(t) + r) = ln z``, with the larger exponential drawn out of the sum.

    The other one may be too large for mpmath's memory.
    """

    def value(t, u, v):
        return mpmath.log(t) + max(t, v) + mpmath.log1p(mpmath.exp(-abs(t - v))) - u

    return Equation(value, lambda t, u, v: 1 / t + share(t, v))


def share(t: mpmath.mpf, v: mpmath.mpf) -> mpmath.mpf:
    """``exp(t) / (exp(t) + exp(v))``."""
    return 1 / (1 + mpmath.exp(v - t)) if v - t < 1e4 else mpmath.mpf(0)


def spread(generator: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """Numbers log-uniform between ``exp(low)`` and ``exp(high)``."""
    return np.exp(generator.uniform(low, high, count))


def next_to_fold(dtype, count: int) -> np.ndarray:
    """The ``count`` floats after the one nearest to ``-1/e``."""
    start = np.asarray(-1 / np.e, dtype)
    return (
        (start.view(f"i{start.itemsize}") - np.arange(1, count + 1))
        .astype(f"i{start.itemsize}")
        .view(dtype)
    )


def fold_and_beyond(
    generator: np.random.Generator, count: int, dtype: type = np.float64
) -> tuple[np.ndarray, ...]:
    """A quarter next to the fold, a half at all distances from it, a quarter towards 0."""
    quarter = count // 4
    distance = spread(
        generator, count - 2 * quarter, np.log(4 * np.finfo(dtype).eps), np.log(0.999)
    )
    towards_zero = -spread(generator, quarter, np.log(np.finfo(dtype).tiny) + 1, -1.1)
    return (
        np.concatenate(
            [
                next_to_fold(dtype, quarter).astype(np.float64),
                -np.exp(-1.0) * (1 - distance),
                towards_zero,
            ]
        ),
    )


def positive(
    generator: np.random.Generator, count: int, dtype: type = np.float64
) -> tuple[np.ndarray, ...]:
    """Half of all sizes, half between 1e-3 and 1e3."""
    info = np.finfo(dtype)
    half = count // 2
    return (
        np.concatenate(
            [
                spread(generator, half, np.log(info.tiny) + 1, np.log(info.max)),
                spread(generator, count - half, -7, 7),
            ]
        ),
    )


def triple(
    generator: np.random.Generator, count: int, dtype: type = np.float64
) -> tuple[np.ndarray, ...]:
    """``(z, r)`` at all distances from the triple root ``r = exp(-2)``, ``z = -4 exp(-2)``."""
    lowest = np.nextafter(np.asarray(np.exp(-2.0), dtype), np.asarray(1, dtype)).astype(np.float64)
    r = lowest * (1 + spread(generator, count, np.log(np.finfo(dtype).eps), 1))
    z = (
        -2
        * (lowest + r)
        * (
            1
            + generator.choice([-1, 1], count)
            * spread(generator, count, np.log(np.finfo(dtype).eps), -0.7)
        )
    )
    return z, r


def passing(
    generator: np.random.Generator, count: int, dtype: type = np.float64
) -> tuple[np.ndarray, ...]:
    """``(ln z, ln r)`` where ``t`` passes ``ln r``, from 0.1 to 1e4."""
    v = spread(generator, count, -2.3, 9.2)
    return v + np.log(v) + generator.uniform(-3, 8, count), v


@functools.cache  # a fresh jit would compile anew
def slope(function: Callable, argument: int = 0) -> Callable:
    """The elementwise derivative of ``function`` in one argument."""
    return jax.jit(jax.vmap(jax.grad(function, argument)))


def lambert_cases(dtype) -> Iterator[Case]:
    """The functions of the Lambert family."""
    t_of = {
        branch: lambda z, branch=branch: special.lambertw_plus_one(z, branch) for branch in (0, -1)
    }
    w_of = {branch: lambda z, branch=branch: special.lambertw(z, branch) for branch in (0, -1)}
    domains = [
        (0, "-1/e < z < 0", lambda g, n: fold_and_beyond(g, n, dtype)),
        (0, "z > 0", lambda g, n: positive(g, n, dtype)),
        (-1, "-1/e < z < 0", lambda g, n: fold_and_beyond(g, n, dtype)),
    ]
    for branch, domain, sample in domains:
        rest = (w_of[branch], lambert())
        reference = scipy_branch(branch)
        # For z > 0 nothing cancels in 1 + w, so that there is nothing to compare.
        one_more = None if domain == "z > 0" else lambda z, f=reference: 1 + f(z)
        yield Case(
            f"lambertw, branch {branch}",
            domain,
            sample,
            w_of[branch],
            *rest,
            lambda w, z: w,
            4,
            reference,
        )
        yield Case(
            f"1 + lambertw, branch {branch}",
            domain,
            sample,
            t_of[branch],
            *rest,
            lambda w, z: 1 + w,
            4,
            one_more,
        )
        yield Case(
            f"lambertw', branch {branch}",
            domain,
            sample,
            slope(w_of[branch]),
            *rest,
            lambda w, z: mpmath.exp(-w) / (1 + w),
            4,
        )
    limit = float(-np.log(np.finfo(dtype).tiny)) - 1

    def any_u(g, n):
        return (
            np.concatenate(
                [
                    g.uniform(-limit, limit, n // 2),
                    g.uniform(-5, 5, n // 4),
                    spread(g, n - n // 2 - n // 4, 2, limit),
                ]
            ),
        )

    omega = (special.wright_omega, lambert_in_logs())
    name = f"-{limit:.0f} < u < exp({limit:.0f})"
    yield Case(
        "wright_omega",
        name,
        any_u,
        special.wright_omega,
        *omega,
        lambda w, u: w,
        4,
        scipy.special.wrightomega,
    )
    yield Case(
        "wright_omega'",
        name,
        any_u,
        slope(special.wright_omega),
        *omega,
        lambda w, u: w / (1 + w),
        4,
    )
    for branch, widest in (
        (0, 10),
        (-1, limit - 2),
    ):  # soon after a gap of 10, float32 rounds 1 + W_0 to 1

        def below(g, n):
            return (-1 - spread(g, n, -15, np.log(limit - 2)),)

        def in_logs(u, branch=branch):
            return special.lambertw_exp(u, -1, branch)

        def gaps(g, n, widest=widest):
            return (spread(g, n, -60, np.log(widest)),)

        def t_from(gap, branch=branch):
            return special.lambertw_plus_one_from_gap(gap, branch)

        domain = f"z < 0, {1 - limit:.0f} < ln(-z) < -1"
        yield Case(
            f"lambertw_exp, branch {branch}",
            domain,
            below,
            in_logs,
            in_logs,
            lambert_in_logs(),
            lambda w, u: w,
            4,
        )
        rest = (gaps, t_from, t_from, lambert_from_gap(), lambda t, gap: t, 4)
        yield Case(
            f"lambertw_plus_one_from_gap, branch {branch}", f"1e-26 < gap < {widest:.0f}", *rest
        )


def scipy_branch(branch: int) -> Callable:
    """SciPy's real values of one branch."""
    return lambda z: scipy.special.lambertw(z, branch).real


def r_lambert_cases(dtype) -> Iterator[Case]:
    """The functions of the r-Lambert family."""
    limit = float(-np.log(np.finfo(dtype).tiny)) - 1

    def at_one(g, n):
        size = np.concatenate([spread(g, n // 2, 1 - limit, limit), spread(g, n - n // 2, -5, 5)])
        return g.choice([-1, 1], n) * size, np.ones(n)

    def moderate(g, n):
        return g.choice([-1, 1], n) * spread(g, n, -6, 6), spread(g, n, -1.99, 6)

    def large(g, n):
        r = spread(g, n, 1, limit - 12)
        return r * np.log(r) * spread(g, n, -1, 3), r

    plain = (special.r_lambertw, special.r_lambertw, r_lambert(), lambda w, z, r: w, 2)
    yield Case("r_lambertw", "r = 1, any z", at_one, *plain)
    yield Case("r_lambertw", "exp(-2) < r < 400, -400 < z < 400", moderate, *plain)
    yield Case("r_lambertw", f"w passes ln r < {limit - 12:.0f}", large, *plain)
    yield Case("r_lambertw", "near the triple root", lambda g, n: triple(g, n, dtype), *plain)
    for argument, name, factor in ((0, "dw/dz", lambda w: 1), (1, "dw/dr", lambda w: -w)):

        def derivative(w, z, r, factor=factor):
            return factor(w) / (mpmath.exp(w) * (1 + w) + r)

        rest = (slope(special.r_lambertw, argument), special.r_lambertw, r_lambert(), derivative, 4)
        yield Case(f"r_lambertw, {name}", "exp(-2) < r < 400, -400 < z < 400", moderate, *rest)
        yield Case(f"r_lambertw, {name}", f"w passes ln r < {limit - 12:.0f}", large, *rest)
        yield Case(
            f"r_lambertw, {name}", "near the triple root", lambda g, n: triple(g, n, dtype), *rest
        )

    def wide(g, n):
        return g.uniform(-limit / 2, limit / 2, n), g.uniform(-limit / 2, limit / 2, n)

    def middle(g, n):
        return g.uniform(-5, 5, n), g.uniform(-5, 5, n)

    logs = (
        special.r_lambertw_exp,
        special.r_lambertw_exp,
        r_lambert_in_logs(),
        lambda t, u, v: t,
        4,
    )
    yield Case("r_lambertw_exp", f"ln z and ln r within {limit / 2:.0f} of 0", wide, *logs)
    yield Case("r_lambertw_exp", "ln z and ln r within 5 of 0", middle, *logs)
    yield Case("r_lambertw_exp", "t passes ln r < 1e4", passing, *logs)
    for argument, name, sign in ((0, "dt/d ln z", lambda s: 1), (1, "dt/d ln r", lambda s: s - 1)):

        def derivative(t, u, v, sign=sign):
            return sign(share(t, v)) * t / (1 + t * share(t, v))

        yield Case(
            f"r_lambertw_exp, {name}",
            "ln z and ln r within 5 of 0",
            middle,
            slope(special.r_lambertw_exp, argument),
            special.r_lambertw_exp,
            r_lambert_in_logs(),
            derivative,
            4,
        )


def cases(dtype) -> list[Case]:
    """All cases, with domains that fit the dtype."""
    return [*lambert_cases(dtype), *r_lambert_cases(dtype)]


def polished(equation: Equation, start: float, arguments) -> mpmath.mpf:
    """The exact root next to ``start``."""
    x = mpmath.mpf(start)
    for _ in range(8):
        step = equation.value(x, *arguments) / equation.slope(x, *arguments)
        x -= step
        if abs(step) < abs(x) * mpmath.mpf(2) ** (-BITS // 2):  # the next step would square this
            return x
    return mpmath.nan


class Errors(NamedTuple):
    """Errors in ulp, one a point.

    ``scipy`` is None where SciPy has no such function, and in float32, where it has another dtype.
    """

    ours: np.ndarray
    scipy: np.ndarray | None


def ulps(got: np.ndarray, exact: list, dtype) -> np.ndarray:
    """Distances in units of the last place of ``exact`` in ``dtype``, without subnormals.

    They are infinite where the result was not finite.
    """
    errors = []
    for value, truth in zip(got, exact, strict=True):
        if abs(truth) < np.finfo(dtype).tiny:
            continue
        unit = float(np.spacing(np.abs(np.asarray(float(truth), dtype))))
        errors.append(
            float(abs(mpmath.mpf(float(value)) - truth) / unit) if np.isfinite(value) else np.inf
        )
    return np.array(errors)


def errors(case: Case, dtype, generator: np.random.Generator, count: int) -> Errors:
    """The errors of one case on ``count`` random arguments."""
    arguments = [np.asarray(argument, dtype) for argument in case.sample(generator, count)]
    traced = [jnp.asarray(argument) for argument in arguments]
    got, starts = np.asarray(case.compute(*traced)), np.asarray(case.root(*traced))
    if got.dtype != dtype:
        raise TypeError(f"{case.name} returned {got.dtype} for {np.dtype(dtype)}")
    with mpmath.workprec(BITS):
        exact = []
        for start, *point in zip(starts, *arguments, strict=True):
            point = [mpmath.mpf(float(number)) for number in point]
            exact.append(case.exact(polished(case.equation, float(start), point), *point))
        theirs = (
            ulps(case.scipy(*arguments), exact, dtype)
            if case.scipy and dtype == np.float64
            else None
        )
        return Errors(ulps(got, exact, dtype), theirs)


def rows() -> Iterator[dict]:
    """Rows for the table of speed: our largest error against SciPy's on the same arguments."""
    for case in cases(np.float64):
        if case.scipy:
            found = errors(case, np.float64, np.random.default_rng(0), POINTS)
            ours, theirs = found.ours.max(), found.scipy.max()
            yield {
                "work": f"{case.name} on {case.domain}: {ours:.2f} ulp",
                "against": f"SciPy: {theirs:.3g} ulp",
                "ratio": theirs / ours,
                "target": f"{case.allowed} ulp at most",
                "met": bool(ours <= case.allowed),
                "limit": "A correctly rounded result has an error of 0.5 ulp at most",
            }


def table(dtype, count: int = POINTS) -> Iterator[list[str]]:
    """Rows of the published table."""
    for case in cases(dtype):
        found = errors(case, dtype, np.random.default_rng(0), count)
        theirs = "" if found.scipy is None else f"{found.scipy.max():.3g}"
        yield [
            case.name,
            case.domain,
            f"{found.ours.max():.2f}",
            f"{found.ours.mean():.2f}",
            str(case.allowed),
            theirs,
        ]


def document(count: int = POINTS) -> str:
    """The whole page."""
    lines = [
        "# Accuracy of the special functions",
        "",
        "`python -m benchmarks.accuracy` writes this page. Do not edit it by hand.",
        "",
        "An error is given in units of the last place (*ulp*) of the exact result. The exact",
        "result is that for the arguments as rounded to floats. It is computed with",
        f"{BITS} bits. Each row has {count} random arguments, drawn with seed 0. XLA, the compiler",
        "of JAX, replaces subnormal results by 0, so no argument with such a result is drawn.",
        "*Allowed* is the error that the tests accept, on other arguments. A prime or a `d` in the",
        "name of a function marks a derivative.",
        "",
        "One case is missing from the table: the *derivatives* of `r_lambertw_exp`, where its",
        "value `t` is large and close to `ln r`. Their error is about `t ln t` ulp there. The",
        "value `t` itself stays as exact as the table says. So do the value and the derivatives",
        "of `r_lambertw`, the same function without logarithms.",
        "",
        "In float32 the special functions are as accurate in ulp, as the second table shows. One",
        "ulp of float32 is at most 1.2e-7 of the value. Solved minima are less accurate. A minimum",
        "is accepted if the gradient is below 1.9e-6 of its parts (16 epsilons). If the objective",
        "is nearly flat, the weights may be wrong by many times that. The difference of two",
        "solutions has a still larger relative error.",
        "",
        "So compute distances and verdicts in float64: call",
        "`jax.config.update('jax_enable_x64', True)` before anything else. The commands do so.",
        "Float32 has no numbers below 1e-38 or above 3e38. If a ridge or a size becomes 0 or",
        "infinite for this reason, the error message says so and tells you to use float64.",
    ]
    for dtype in (np.float64, np.float32):
        lines += [
            "",
            f"## {np.dtype(dtype)}, on {jax.devices()[0].platform}, jax {jax.__version__}",
            "",
        ]
        lines += [
            "| function | domain | largest | mean | allowed | SciPy's largest |",
            "|---|---|---|---|---|---|",
        ]
        lines += [f"| {' | '.join(row)} |" for row in table(dtype, count)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    entry.enable_float64()
    DOCUMENT.write_text(document())
    print(DOCUMENT.read_text())


if __name__ == "__main__":
    main()
