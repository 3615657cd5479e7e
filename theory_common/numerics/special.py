r"""Real Lambert W, Wright omega and r-Lambert functions.

Each also exists in a form that takes logarithms, for arguments beyond the float range.

Every function works elementwise, in a fixed number of steps, for any batch shape, float32 and
float64. A start value (``seed``) that is right to 1 per cent is corrected twice. The second
correction needs no logarithm of its own. With ``w = seed (1 + e)`` the equation
``w + ln|w| = ln|z|`` becomes

.. math:: \mathrm{seed}\; e + \ln(1 + e) = m, \qquad m = \ln|z / \mathrm{seed}| - \mathrm{seed},

so that only ``m`` costs a logarithm. Only the rounding error of ``m``, divided by ``1 + w``,
reaches the result. Near the fold ``z = -1/e``, where ``1 + w`` vanishes, a series in ``e z + 1``
is used instead. That number comes from an error-free product.

Quotients are written ``a * (1 / b)`` where the last bit does not matter. XLA can merge a reciprocal
with the operations around it, but not a division. Each operation that is not merged costs a pass
through memory.

Derivatives are computed from the equations (``custom_jvp``) and not from the corrections. They may
be differentiated again. Results that would be subnormal are 0, since XLA rounds them to 0.

Sources: Corless et al., *On the Lambert W function*, Adv. Comput. Math. 5 (1996), for the branches
and the series at the fold; Fritsch, Shafer and Crowley, *Algorithm 443*, CACM 16 (1973), for the
first correction; Mezo and Baricz, *On the generalization of the Lambert W function*, Trans. AMS 369
(2017), for the r-Lambert function.
"""

import functools
import math
from collections.abc import Callable
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from theory_common import checks
from theory_common.claims import backed_by

_EULER = Fraction("2.718281828459045235360287471352662497757247093699959574966967627724")
_INVERSE_SQUARE = 1 / _EULER**2


def _with_rest(head: float) -> tuple[float, float]:
    """``head``, a float near ``exp(-2)``, and what it lacks."""
    return head, float(_INVERSE_SQUARE - Fraction(head))


_EXP_MINUS_2 = {
    "float32": _with_rest(float(np.float32(np.exp(-2)))),
    "float64": _with_rest(float(np.exp(-2))),
}
# ln 2 as a head that is exact in products with counts up to 1,100, and the rest.
_LOG_2 = {
    "float32": (0.693115234375, 3.1946184945309415e-05),
    "float64": (0.6931471803691238, 1.9082149292705877e-10),
}
# Beyond these gaps (w = -0.49 on branch 0, w = -2.01 on branch -1) 1 + w is no longer small, and
# the corrections are as accurate.
_FOLD_GAP = {0: 0.2, -1: 0.31}
_SEED_GAP = 750.0  # beyond it the seed is ln|z| itself, 1 per cent off


# --- lambertw and its relatives -------------------------------------------------------------------


@backed_by("lambert-derivative", "lambert-identities", "lambert-monotone", "lambert-series")
def lambertw(z: ArrayLike, branch: int = 0) -> Array:
    r"""The real root ``w`` of ``w exp(w) = z``: ``w >= -1`` on branch 0, ``w <= -1`` on branch -1.

    Domain: ``z >= -1/e`` on branch 0, ``-1/e <= z <= 0`` on branch -1 (``-inf`` at 0); NaN outside.
    The float nearest to ``-1/e`` counts as ``-1/e``, though it lies a fraction of an ulp outside,
    and gives -1.
    Args: ``z`` of any shape; ``branch`` static, 0 or -1, else ``ValueError``.
    Accuracy: 4 ulp, the neighbourhood of the fold included (measured: ``docs/accuracy.md``).
    Derivative: ``exp(-w) / (1 + w)``, 4 ulp; infinite at the fold.
    Claims: ``lambert-derivative``, ``lambert-identities``, ``lambert-monotone``,
        ``lambert-series``.
    """
    return _part(_lambertw, 0, (checks.choice("branch", branch, (0, -1)),), checks.real("z", z))


@backed_by("lambert-series")
def lambertw_plus_one(z: ArrayLike, branch: int = 0) -> Array:
    r"""``1 + lambertw(z, branch)`` without the cancellation near ``z = -1/e``.

    It behaves like ``sqrt(2 (e z + 1))`` there.

    Accuracy: 4 ulp of ``1 + w``. Domain, arguments and errors: :func:`lambertw`.
    Claim: ``lambert-series``.
    """
    return _part(_lambertw, 1, (checks.choice("branch", branch, (0, -1)),), checks.real("z", z))


@backed_by("wright-omega")
def wright_omega(u: ArrayLike) -> Array:
    r"""The root ``w > 0`` of ``w + ln w = u``, that is ``W_0(exp(u))``, for any real ``u``.

    It is 0 at -inf and inf at inf.

    Accuracy: 4 ulp; 0 where ``exp(u)`` underflows. Derivative: ``w / (1 + w)``, 4 ulp (5 in
        float32).
    Claim: ``wright-omega``.
    """
    u = checks.real("u", u)
    return _part(_lambertw_exp, 0, (0,), u, jnp.ones((), u.dtype))


@backed_by("lambert-identities", "wright-omega")
def lambertw_exp(log_abs: ArrayLike, sign: ArrayLike, branch: int = 0) -> Array:
    r"""``lambertw(sign * exp(log_abs), branch)``, also where the exponential leaves the range.

    It solves ``w + ln|w| = log_abs``.

    Args:
        log_abs: logarithm of ``|z|``, any real number; a negative ``z`` needs ``log_abs <= -1``,
            else NaN.
        sign: any real number, of which only the sign is used. 0 means ``z = 0``.
        branch: static, 0 or -1 (NaN for a positive sign), else ``ValueError``.
    Shapes: ``log_abs`` and ``sign`` broadcast. Accuracy: 4 ulp.
    Derivative in ``log_abs``: ``w / (1 + w)``; none in ``sign``.
    Claims: ``lambert-identities``, ``wright-omega``.
    """
    branch = checks.choice("branch", branch, (0, -1))
    log_abs, sign = checks.reals(log_abs=log_abs, sign=sign).values()
    return _part(_lambertw_exp, 0, (branch,), log_abs, jnp.sign(jax.lax.stop_gradient(sign)))


@backed_by("lambert-gap")
def lambertw_from_gap(gap: ArrayLike, branch: int = 0) -> Array:
    r"""``lambertw(-exp(-1 - gap), branch)``, for the ``gap`` from ``ln|z|`` up to the fold.

    A negative ``gap`` gives NaN.

    Claim: ``lambert-gap``.
    """
    return _part(_from_gap, 0, (checks.choice("branch", branch, (0, -1)),), checks.real("gap", gap))


@backed_by("lambert-gap")
def lambertw_plus_one_from_gap(gap: ArrayLike, branch: int = 0) -> Array:
    r"""``1 + lambertw(-exp(-1 - gap), branch)``, a root ``t`` of ``-t - ln(1 - t) = gap``.

    Near the fold it behaves like ``sqrt(2 gap)`` on branch 0 and ``-sqrt(2 gap)`` on branch -1. A
    caller with ``ln|z|`` at hand passes ``gap = -(1 + log_abs)``, which is exact for ``log_abs`` in
    [-2, -1/2]. Domain: ``gap >= 0``, else NaN. Accuracy: 4 ulp of ``1 + w`` in terms of ``gap``.
    Derivative: ``1/t - 1``.
    Claim: ``lambert-gap``.
    """
    return _part(_from_gap, 1, (checks.choice("branch", branch, (0, -1)),), checks.real("gap", gap))


@backed_by("r-lambert-monotone", "r-lambert-form")
def r_lambertw(z: ArrayLike, r: ArrayLike = 1.0) -> Array:
    r"""The real root ``w`` of ``w exp(w) + r w = z``, for any real ``z``. It has the sign of ``z``.

    Domain: ``r >= exp(-2)`` (the float nearest to it included). There the map is increasing and has
    one real branch. A smaller ``r`` is a ``ValueError``, or NaN if traced. At ``r = exp(-2)``,
    ``z = -4 exp(-2)`` the root ``w = -2`` is triple.
    Shapes: broadcast. Accuracy: 2 ulp, the triple root included (1 but for the smallest normal
        numbers).
    Derivatives: ``1 / (exp(w) (1 + w) + r)`` in ``z``, ``-w`` times that in ``r``; 4 ulp.
    Claims: ``r-lambert-monotone``, ``r-lambert-form``.
    """
    lowest = float(np.exp(-2.0))
    z, r = checks.reals(z=z, r=r).values()
    r = checks.require(
        "r",
        r,
        lambda r: np.isfinite(r) & (r >= np.asarray(lowest, r.dtype)),
        "finite and >= exp(-2) = 0.135335...",
    )
    return _part(_r_lambertw, 0, (), z, r)


@backed_by("r-lambert-monotone")
def r_lambertw_exp(log_z: ArrayLike, log_r: ArrayLike) -> Array:
    r"""The root ``t > 0`` of ``t exp(t) + r t = z``, from ``ln z`` and ``ln r``.

    Both may be any real numbers: it solves ``ln t + ln(e^t + r) = ln z``.

    ``log_r = -inf`` gives ``wright_omega(log_z)``. ``r`` has no lower bound, since for ``z > 0``
    there is one positive root.
    Shapes: broadcast. Accuracy: 4 ulp.
    Derivatives: with ``s = e^t / (e^t + r)``, ``t / (1 + t s)`` in ``log_z`` and ``-(1 - s)`` times
    that in ``log_r``. They reach 4 ulp (5 in float32), but lose about ``t ln t`` ulp where a large
    ``t`` passes ``ln r``.
    Claim: ``r-lambert-monotone``.
    """
    log_z, log_r = checks.reals(log_z=log_z, log_r=log_r).values()
    return _part(_r_lambertw_exp, 0, (), log_z, log_r)


def log_ratio(a: ArrayLike, b: ArrayLike) -> Array:
    r"""``ln(a / b)`` for ``a >= 0``, ``b > 0``.

    The ratio has one rounding. Where it would over- or underflow, it is scaled first.
    """
    return _log_ratio(*checks.reals(a=a, b=b).values())


@jax.jit
def _log_ratio(a: Array, b: Array) -> Array:
    """:func:`log_ratio` of arrays of one dtype."""
    info, ratio = jnp.finfo(a.dtype), jax.lax.stop_gradient(a / b)
    exponent = jnp.where(ratio < info.tiny, 1.0, 0.0) - jnp.where(ratio > info.max, 1.0, 0.0)
    # A power of 2, half of the exponent range: once up and once down it brings any ratio into
    # range, and rounds nothing.
    half = info.maxexp // 2
    up, down = (
        jnp.where(exponent == sign, 2.0**half, jnp.where(exponent == -sign, 2.0**-half, 1.0))
        for sign in (1, -1)
    )
    return jnp.log((a * up) / (b * down)) - exponent * (2 * half * math.log(2))


# --- derivatives: the pair (w, 1 + w), since every derivative needs both --------------------------


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _part(kernel, index: int, static: tuple, *arguments: Array) -> Array:
    """One result of a kernel; compiled by itself, it takes a third of the time of all of them."""
    return kernel(*arguments, *static)[index]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _lambertw(z: Array, branch: int) -> tuple[Array, Array]:
    return _principal_plain(z) if branch == 0 else _lower_plain(z)


@_lambertw.defjvp
def _lambertw_jvp(branch, primals, tangents):
    (z,), (z_dot,) = primals, tangents
    w, plus_one = _lambertw(z, branch)
    inner = (
        jnp.abs(w) < 1
    )  # there exp(-w) is accurate, and W/z would cancel in the second derivative
    near = jnp.exp(-jnp.where(inner, w, 0)) / plus_one
    far = (
        (1 - 1 / plus_one) / jnp.where(inner, 1, z)
        if branch == 0
        else (1 / plus_one - 1) / jnp.abs(z)
    )
    w_dot = jnp.where(inner, near, far) * z_dot
    return (w, plus_one), (w_dot, w_dot)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _lambertw_exp(log_abs: Array, sign: Array, branch: int) -> tuple[Array, Array]:
    log_abs, sign = jnp.broadcast_arrays(log_abs, sign)
    return _principal_exp(log_abs, sign) if branch == 0 else _lower_exp(log_abs, sign)


@_lambertw_exp.defjvp
def _lambertw_exp_jvp(branch, primals, tangents):
    w, plus_one = _lambertw_exp(*primals, branch)
    w_dot = _elasticity(w, plus_one) * tangents[0]
    return (w, plus_one), (w_dot, w_dot)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _from_gap(gap: Array, branch: int) -> tuple[Array, Array]:
    return _negative(gap, -1 - gap, branch)


@_from_gap.defjvp
def _from_gap_jvp(branch, primals, tangents):
    w, plus_one = _from_gap(primals[0], branch)
    w_dot = -_elasticity(w, plus_one) * tangents[0]
    return (w, plus_one), (w_dot, w_dot)


@jax.custom_jvp
def _r_lambertw(z: Array, r: Array) -> tuple[Array, Array]:
    """``(w, slope)``, where ``slope = dz/dw = exp(w) (1 + w) + r``."""
    w, slope = _r_plain(*jnp.broadcast_arrays(z, r))
    valid = r >= float(np.asarray(np.exp(-2.0), r.dtype))
    return jnp.where(valid, w, jnp.nan), jnp.where(valid, slope, jnp.nan)


@_r_lambertw.defjvp
def _r_lambertw_jvp(primals, tangents):
    w, slope = _r_lambertw(*primals)
    z_dot, r_dot = tangents
    w_dot = (z_dot - w * r_dot) / slope
    return (w, slope), (w_dot, jnp.exp(w) * (2 + w) * w_dot + r_dot)


@jax.custom_jvp
def _r_lambertw_exp(log_z: Array, log_r: Array) -> tuple[Array, Array, Array]:
    """``(t, a, b)``, where ``a : b`` is as ``e^t : r`` and the larger of the two is 1."""
    log_z, log_r = jnp.broadcast_arrays(log_z, log_r)
    difference, error = _two_sum(log_z, -log_r)
    linear = jnp.exp(difference) * (
        1 + jnp.where(jnp.abs(error) < 1, error, 0)
    )  # beyond, the exponential is 0 or inf
    return _r_positive(log_z, log_r, jnp.exp(jnp.minimum(log_z, 1)), linear)


@_r_lambertw_exp.defjvp
def _r_lambertw_exp_jvp(primals, tangents):
    t, grown, straight = _r_lambertw_exp(*primals)
    z_dot, r_dot = tangents
    both = grown + straight
    t_dot = t * (both * z_dot - straight * r_dot) / (both + t * grown)
    difference, linear = t_dot - r_dot, grown < straight
    return (t, grown, straight), (
        t_dot,
        jnp.where(linear, grown, 0) * difference,
        -jnp.where(linear, 0, straight) * difference,
    )


def _elasticity(w: Array, plus_one: Array) -> Array:
    """``dw / d ln|z| = w / (1 + w)``, in the form whose own derivative does not cancel."""
    inner = jnp.abs(w) < 1
    return jnp.where(inner, jnp.where(inner, w, 0) / plus_one, 1 - 1 / plus_one)


# --- kernels --------------------------------------------------------------------------------------


def _principal_plain(z: Array) -> tuple[Array, Array]:
    above = _above_fold(z)
    gap = _gap(above)
    w, plus_one = _principal(z, jnp.log(jnp.maximum(z, 1)), z > 2)
    near = above < -np.expm1(-_FOLD_GAP[0])
    return _with_fold(near, gap, 0, w, plus_one)


def _lower_plain(z: Array) -> tuple[Array, Array]:
    above = _above_fold(z)
    near = above < -np.expm1(-_FOLD_GAP[-1])
    log_abs = jnp.log(-z)
    return _with_fold(near, _gap(above), -1, *_lower(-1 - log_abs, log_abs))


def _principal_exp(log_abs: Array, sign: Array) -> tuple[Array, Array]:
    log_abs = jnp.where(sign == 0, -jnp.inf, log_abs)
    z = sign * jnp.exp(jnp.minimum(log_abs, 1))
    w, plus_one = _principal(z, log_abs, log_abs > -2)
    gap = -1 - log_abs
    return _with_fold((sign < 0) & (gap < _FOLD_GAP[0]), gap, 0, w, plus_one)


def _lower_exp(log_abs: Array, sign: Array) -> tuple[Array, Array]:
    log_abs = jnp.where(sign > 0, jnp.nan, jnp.where(sign == 0, -jnp.inf, log_abs))
    return _negative(-1 - log_abs, log_abs, -1)


def _negative(gap: Array, log_abs: Array, branch: int) -> tuple[Array, Array]:
    if branch == 0:
        w, plus_one = _principal(-jnp.exp(log_abs), log_abs, log_abs > -2)
    else:
        w, plus_one = _lower(gap, log_abs)
    return _with_fold(gap < _FOLD_GAP[branch], gap, branch, w, plus_one)


def _principal(z: Array, log_abs: Array, in_logs: Array) -> tuple[Array, Array]:
    """Branch 0 away from the fold.

    ``in_logs`` says where to use ``log_abs``, which is accurate unless it is large against
    ``1 + w``. Elsewhere ``z`` is used.
    """
    small = log_abs <= 1
    seed, ratio = _principal_seed(z, log_abs)
    log = jnp.log(jnp.where(in_logs, jnp.abs(seed), ratio))
    mismatch = jnp.where(in_logs, log_abs - log, -log) - seed
    w, plus_one = _correct(seed, mismatch)
    # W_0(z) = z to the last bit; a seed below z could be flushed to 0.
    tiny = jnp.abs(z) < jnp.finfo(z.dtype).eps / 4
    infinite = log_abs == jnp.inf
    w = jnp.where(tiny & small, z, jnp.where(infinite, jnp.inf, w))
    return w, jnp.where(infinite, jnp.inf, plus_one)


def _principal_seed(z: Array, log_abs: Array) -> tuple[Array, Array]:
    """``W_0(z)`` and ``W_0(z)/z``, both to 1 per cent; the second only where ``z <= e``."""
    # Rational minimax fits of W_0(z)/z on [-0.31, e] (0.6 per cent) and of omega(u) on [1, 750]
    # (0.4 per cent).
    clipped = jnp.clip(z, -0.31, math.e)
    ratio = (0.99513 + 1.16319 * clipped) * (1 / (1 + (2.19031 + 0.59720 * clipped) * clipped))
    u = jnp.clip(log_abs, 1, _SEED_GAP)
    large = jnp.where(
        log_abs < _SEED_GAP,
        (0.55207 + (0.44471 + 0.142295 * u) * u) * (1 / (1 + 0.14337 * u)),
        log_abs,
    )
    return jnp.where(log_abs <= 1, clipped * ratio, large), ratio


def _lower(gap: Array, log_abs: Array) -> tuple[Array, Array]:
    """Branch -1 away from the fold."""
    # A minimax fit of -W_{-1} on gaps from 0.18 to 750 (2 per cent).
    root = jnp.sqrt(2 * jnp.clip(gap, 0.18, _SEED_GAP))
    seed = jnp.where(gap < _SEED_GAP, -(1.17542 + (0.67933 + 0.47810 * root) * root), log_abs)
    log = jnp.log(-seed)
    # Near the fold from the gap, which log_abs = -1 - gap may have rounded; far from it the other
    # way round.
    mismatch = jnp.where(gap < 1, ((-seed - 1) - gap) - log, (log_abs - log) - seed)
    w, plus_one = _correct(seed, mismatch)
    infinite = gap == jnp.inf
    return jnp.where(infinite, -jnp.inf, w), jnp.where(infinite, -jnp.inf, plus_one)


def _correct(seed: Array, mismatch: Array) -> tuple[Array, Array]:
    """``(w, 1 + w)`` for ``w = seed (1 + e)``, where ``seed e + ln(1 + e) = mismatch``.

    For ``|e|`` below 0.03.
    """
    plus_one = 1 + seed
    step = mismatch * (1 / plus_one)
    error = step * (
        1 + step * (1 / (2 * plus_one * (1 + 2 / 3 * step) - 2 * step))
    )  # Fritsch et al.: fourth order
    rest = mismatch - seed * error - _log1p(error, terms=4)
    error = error + rest * (1 / (seed + 1 / (1 + error)))
    return seed + seed * error, plus_one + seed * error


def _r_positive(log_z: Array, log_r: Array, z: Array, linear: Array) -> tuple[Array, Array, Array]:
    """``(t, a, b)`` as in ``_r_lambertw_exp``.

    It follows ``linear = z / r`` where ``t < ln r``, else ``log_z`` where ``t`` is above 0.1, else
    ``z``.
    """
    info = jnp.finfo(log_z.dtype)
    infinite = log_z > 2.0 ** (info.nmant + 12)  # there ln z - ln t rounds to ln z
    u = jnp.where(infinite, 1, log_z)
    t = _r_seed(u, log_r, jnp.maximum(z, info.tiny), jnp.maximum(linear, info.tiny))
    grown, straight, decay = _weights(t - log_r)
    share = grown * (1 / (grown + straight))
    is_linear = t < log_r
    in_logs = ~is_linear & (t > 0.1)
    reference = jnp.where(is_linear, linear, jnp.where(in_logs, 1, z))
    known, lost = _two_sum(jnp.where(in_logs, u, 0), jnp.where(is_linear, 0, -t))
    error = _r_correct(
        t, share, ((known - jnp.log(t / reference)) + lost) - _log1p(decay, terms=17)
    )
    root = jnp.where(
        t < info.tiny / info.eps, t * (1 + error), t + t * error
    )  # there t * error could be flushed to 0
    above, lost = _two_sum(root, -log_r)
    grown, straight, _ = _weights(
        above, lost + ((t - root) + t * error)
    )  # as of the root before it is rounded
    t = jnp.where(jnp.minimum(z, linear) < info.tiny, 0, root)
    saturated = linear > log_z
    t = jnp.where(infinite, jnp.where(saturated, log_z, linear), t)
    return t, jnp.where(infinite, saturated, grown), jnp.where(infinite, ~saturated, straight)


def _r_seed(log_z: Array, log_r: Array, z: Array, linear: Array) -> Array:
    """``t`` with an error below 0.03, relative and absolute."""
    upper = jnp.minimum(linear, _principal_seed(z, log_z)[0])
    inverse = 1 / linear
    linear_share = upper * inverse
    # These are exact with t in place of ``upper``:
    # t = omega(ln z + ln(1 - t/linear)), and t = linear - omega(linear - ln r + ln t).
    mostly_linear = linear_share > 0.5
    log = jnp.log(jnp.where(mostly_linear, upper, 1 - linear_share))
    u = jnp.where(mostly_linear, linear - log_r, log_z) + log
    omega = _principal(jnp.exp(jnp.minimum(u, 1)), u, u > -2)[0]
    t = jnp.clip(jnp.where(mostly_linear, linear - omega, omega), upper / 4, upper * 1.02)
    exponential = log_z > 1
    for _ in range(2):  # Halley steps on t (e^t + r)/z = 1
        grown = t * jnp.where(exponential, 1, 1 / z) * jnp.exp(t - jnp.where(exponential, log_z, 0))
        straight = t * inverse
        value, slope = grown + straight - 1, grown * (1 + t) + straight
        t = t * (1 - 2 * value * slope * (1 / (2 * slope * slope - value * grown * t * (2 + t))))
    return t


def _repeat(count: int, step: Callable[[Array], Array], start: Array) -> Array:
    """``step`` applied ``count`` times, as a loop.

    Unrolled, XLA would compute the result anew for each of its uses.
    """
    return jax.lax.fori_loop(0, count, lambda _, value: step(value), start)


def _weights(above: Array, lost: ArrayLike = 0.0) -> tuple[Array, Array, Array]:
    """``(exp(x), 1, exp(-|x|))``, or ``(1, exp(-x), exp(-|x|))`` if that is smaller.

    Here ``x = above + lost``, where ``lost`` is a rounding error.
    """
    decay = jnp.exp(-jnp.abs(above))
    decay = decay - decay * jnp.where(jnp.abs(lost) < 1, lost, 0) * jnp.sign(above)
    return jnp.where(above < 0, decay, 1), jnp.where(above < 0, 1, decay), decay


def _r_correct(t: Array, share: Array, mismatch: Array) -> Array:
    """The root ``e`` of ``ln(1 + e) + ln(1 + share (exp(t e) - 1)) = mismatch``.

    For ``|e|`` and ``|t e|`` below 0.05, by two Halley steps.
    """
    error = jnp.zeros_like(t)
    for _ in range(2):
        growth = _expm1(t * error)
        value = _log1p(error, terms=5) + _log1p(share * growth, terms=5) - mismatch
        moved = share * (1 + growth) * (1 / (1 + share * growth))
        inverse = 1 / (1 + error)
        slope = inverse + t * moved
        bend = t * t * moved * (1 - moved) - inverse * inverse
        error = error - 2 * value * slope * (1 / (2 * slope * slope - value * bend))
    return error


def _expm1(x: Array) -> Array:
    """``exp(x) - 1`` for ``|x|`` below 0.05, by its series."""
    return x * _polynomial(x, [1 / math.factorial(k) for k in range(1, 10)])


def _r_plain(z: Array, r: Array) -> tuple[Array, Array]:
    """``(w, slope)`` of ``w (exp(w) + r) = z``, by three corrections of a seed.

    The residual of the last one does not cancel.
    """
    critical_w, critical_slope = _r_critical(
        jnp.clip(z, -42 * jnp.minimum(r, 2), 0), jnp.minimum(r, 2)
    )
    start = jnp.where(z > 0, _r_positive_seed(z, r), _r_negative_seed(z, r, critical_w))
    unit = jnp.where(z > 1, 1 / 1024, 1.0)  # else a seed above the root could overflow
    scaled_z, scaled_r = z * unit, r * unit

    def halley(w):
        growth = unit * jnp.exp(w)
        value, slope = w * (growth + scaled_r) - scaled_z, growth * (1 + w) + scaled_r
        return w - value / (slope - value * (growth * (2 + w) / slope) / 2)

    w = _repeat(2, halley, start)
    growth, lost = (unit * part for part in _exp(w))
    error = -_product_less(w, growth, scaled_r, scaled_z, w * lost) / (growth * (1 + w) + scaled_r)
    slope = (
        _product_less(1 + w, growth, 0.0, -scaled_r, (1 + w) * lost + growth * (2 + w) * error)
        / unit
    )
    critical = (jnp.abs(critical_w + 2) < 0.8) & (
        slope < (growth + r) / 10
    )  # elsewhere little cancels
    w, slope = (
        jnp.where(critical, critical_w, w + error),
        jnp.where(critical, critical_slope, slope),
    )
    # Below -42, exp(w) is nothing against r.
    linear = z / r
    w, slope = jnp.where(linear < -42, linear, w), jnp.where(linear < -42, r, slope)
    return jnp.where(z == jnp.inf, jnp.inf, w), jnp.where(z == jnp.inf, jnp.inf, slope)


def _r_positive_seed(z: Array, r: Array) -> Array:
    """``w`` with an error below 0.03, relative and absolute, where ``z > 0``."""
    tiny = jnp.finfo(z.dtype).tiny
    return _r_seed(
        jnp.log(jnp.maximum(z, tiny)), jnp.log(r), jnp.maximum(z, tiny), jnp.maximum(z / r, tiny)
    )


def _r_negative_seed(z: Array, r: Array, at_small_r: Array) -> Array:
    """``w`` near enough for Halley's steps where ``z <= 0``: ``at_small_r`` where ``r < 2``."""
    linear = jnp.maximum(z / r, -42)
    seed = jnp.where(r < 2, at_small_r, linear / (1 + jnp.exp(linear) / r))
    flat = z / (1 + r)  # the first term of the series at 0, where the seed must be right relatively
    return jnp.where(flat > -0.05, flat - flat * flat / (1 + r), seed)


def _r_critical(z: Array, r: Array) -> tuple[Array, Array]:
    """``(w, slope)``, accurate near the triple root ``w = -2`` at ``r = exp(-2)``.

    Elsewhere it is a seed, for ``r`` up to 2.

    With ``w = d - 2`` the equation reads ``A d + exp(-2) h(d) = C``, where
    ``h(d) = (d - 2) exp(d) + 2 + d``. Here ``A = r - exp(-2)`` and ``C = z + 2 r + 2 exp(-2)`` come
    without cancellation, so that the triple root ``A = C = 0`` is as easy as any other.
    """
    head, tail = _EXP_MINUS_2[z.dtype.name]
    total, error = _two_sum(2 * r, z)
    # Not r - head - tail: XLA adds the two constants up, and the tail is lost.
    excess, excess_lost = _two_sum(jnp.maximum(r - head, 0), -tail)
    excess_lost = jnp.where(excess > 0, excess_lost, 0)
    excess = jnp.maximum(excess, 0)
    target, target_lost = _two_sum(total + 2 * head, error + 2 * tail)
    # h is d**3/6 at first: the root of the cubic (Cardano).
    half, third = 3 * jnp.abs(target) / head, 2 * excess / head
    cube = half + jnp.sqrt(half * half + third * third * third) + jnp.finfo(z.dtype).tiny
    size = jnp.exp(jnp.log(cube) / 3)  # jnp.cbrt is a scalar call on a CPU, and twenty times slower
    d = jnp.clip(jnp.sign(target) * (size - third / size), -44, 2)

    def change(d, value):
        slope = excess + (head + tail) * _critical_slope(d)
        step = value / (slope - value * (head * d * jnp.exp(d) / slope) / 2)
        return jnp.where(value == 0, 0, step)

    def improved(d):
        value = _product_less(d, excess, 0.0, target, -target_lost)
        return jnp.clip(d - change(d, value + (head + tail) * _critical_value(d)), -44, 2)

    d = _repeat(4, improved, d)
    # The last step from a value with one rounding: here A d, h and C cancel.
    grown, grown_lost = _critical_pair(d, head, tail)
    value = _product_less(d, excess, excess_lost, target, grown_lost - target_lost, plus=grown)
    step = change(d, value)
    root = jnp.clip(d - step, -44, 2)
    lost = (d - root) - step
    slope = _critical_quotient(
        (root, lost), (excess, excess_lost), (target, target_lost), head + tail
    )
    return (root - 2) + lost, slope


def _critical_pair(d: Array, head: float, tail: float) -> tuple[Array, Array]:
    """``exp(-2) h(d)`` and what it lacks, where ``abs(d) < 1``; elsewhere as it is."""
    sixth = np.asarray(1 / 6, d.dtype)
    sixth_lost = float(Fraction(1, 6) - Fraction(float(sixth)))
    clipped = jnp.clip(d, -1, 1)
    series = [(n - 2) / math.factorial(n) for n in range(4, 22)]
    factor, rest = _two_sum(clipped * _polynomial(clipped, series), float(sixth))
    point = (d, jnp.zeros_like(d))
    cube = _pair_product(_pair_product(point, point), point)
    near = _pair_product(_pair_product(cube, (factor, rest + sixth_lost)), (head, tail))
    far = (head + tail) * _critical_value(d)
    inside = jnp.abs(d) <= 1
    return jnp.where(inside, near[0], far), jnp.where(inside, near[1], 0)


def _critical_quotient(
    root: tuple[Array, Array],
    excess: tuple[Array, Array],
    target: tuple[Array, Array],
    scale: float,
) -> Array:
    r"""The slope ``A + exp(-2) h'(d)``, as ``(3 C - 2 A d + exp(-2) (d h' - 3 h)) / d``.

    Written with C it is half as sensitive to ``d`` as with ``h'`` alone, where ``h`` is all that
    counts. Each argument is a number and what it lacks. One rounding is left.
    """
    d, d_lost = root
    series = [(n - 2) * (n - 3) / math.factorial(n) for n in range(4, 22)]
    rest = scale * (d**4 * _polynomial(jnp.clip(d, -1, 1), series))
    divisor = jnp.where(d == 0, 1, d)
    tripled, tripled_lost = _two_sum(2 * target[0], target[0])
    product, product_lost = _pair_product((-2 * d, -2 * d_lost), excess)
    total, lost = _two_sum(tripled, product)
    total, more = _two_sum(total, rest)
    lost = lost + more + tripled_lost + 3 * target[1] + product_lost + 4 * rest / divisor * d_lost
    quotient = total / divisor
    left = _product_less(quotient, divisor, 0.0, total, quotient * d_lost - lost)
    return jnp.where(d == 0, excess[0], quotient - left / divisor)


def _critical_value(d: Array) -> Array:
    """``h(d) = (d - 2) exp(d) + 2 + d``, by its series where that cancels."""
    series = d**3 * _polynomial(
        jnp.clip(d, -1, 1), [(n - 2) / math.factorial(n) for n in range(3, 22)]
    )
    return jnp.where(jnp.abs(d) > 1, (d - 2) * jnp.exp(d) + (2 + d), series)


def _critical_slope(d: Array) -> Array:
    """``h'(d) = 1 + (d - 1) exp(d)``, by its series where that cancels."""
    series = d**2 * _polynomial(
        jnp.clip(d, -1, 1), [(n - 1) / math.factorial(n) for n in range(2, 22)]
    )
    return jnp.where(jnp.abs(d) > 1, (d - 1) * jnp.exp(d) + 1, series)


def _exp(x: Array) -> tuple[Array, Array]:
    """``exp(x)`` and what it lacks, to 1/20 ulp, for ``|x|`` below 700 (80 in float32)."""
    count = jnp.round(x / math.log(2))
    high, low = _LOG_2[x.dtype.name]
    f, f_lost = _two_sum(x - count * high, -count * low)
    f_high, f_low = _halves(f)
    total, rest = _two_sum(f, 1.0)  # not (1, f): XLA adds the two constants up
    total, more = _two_sum(total, f_high * f_high / 2)  # an exact square, as in ``_above_fold``
    tail = f**3 * _polynomial(f, [1 / math.factorial(n) for n in range(3, 16)])
    rest = (rest + more) + ((tail + f_lost * (1 + f)) + (f_high + f) * f_low / 2)
    power = jnp.ldexp(jnp.ones_like(x), count.astype(jnp.int32))  # exact, which exp2 is not
    value, lost = _two_sum(total, rest)
    return value * power, lost * power


def _product_less(
    w: Array,
    growth: Array,
    r: ArrayLike,
    z: Array,
    rest: ArrayLike = 0.0,
    *,
    plus: ArrayLike = 0.0,
) -> Array:
    """``w (growth + r) - z + plus + rest`` with one rounding at the end, where ``rest`` is small.

    Every product is exact, as in ``_above_fold``.
    """
    total, error = _two_sum(growth, r)
    (high, low), (total_high, total_low) = _halves(w), _halves(total)
    return (((high * total_high - z) + plus) + (high * total_low + low * total_high)) + (
        low * total_low + w * error + rest
    )


def _pair_product(a: tuple, b: tuple) -> tuple[Array, Array]:
    """The product of two numbers, each given with what it lacks, and what the product lacks."""
    a_high, a_low = _halves(a[0])
    b_high, b_low = _halves(jnp.asarray(b[0], a_high.dtype))
    crossed = a_high * b_low + a_low * b_high
    return _two_sum(a_high * b_high, crossed + (a_low * b_low + a[0] * b[1] + a[1] * b[0]))


def _halves(x: Array) -> tuple[Array, Array]:
    """``x`` as a sum of two numbers of half its bits: products of such halves are exact."""
    info = jnp.finfo(x.dtype)
    high = jax.lax.reduce_precision(
        x, exponent_bits=info.nexp, mantissa_bits=(info.nmant + 1) // 2 - 1
    )
    return high, x - high


def _two_sum(a: Array, b: ArrayLike) -> tuple[Array, Array]:
    """``a + b`` and its rounding error, exactly."""
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def _with_fold(
    near: Array, gap: Array, branch: int, w: Array, plus_one: Array
) -> tuple[Array, Array]:
    """Replaces ``(w, 1 + w)`` where the fold is ``near``; NaN where ``gap`` is negative."""
    root = jnp.sqrt(2 * jnp.clip(gap, 0, _FOLD_GAP[branch] + 0.01))
    root = -root if branch == 0 else root
    fold = -root * _polynomial(root, _FOLD_SERIES[1:])
    fold = jnp.where(gap < 0, jnp.nan, fold)
    return jnp.where(near, fold - 1, w), jnp.where(near, fold, plus_one)


def _above_fold(z: Array) -> Array:
    """``e z + 1`` to a few ulp, also where it is 1e-17.

    Every product below is exact, so that fused multiply-adds do no harm.
    """
    z = jnp.clip(z, -1, 1)  # nobody asks farther out, and the halves of an infinity are NaN
    head, middle, tail = _split_euler((jnp.finfo(z.dtype).nmant + 1) // 2)
    high, low = _halves(z)
    above = ((1 + head * high) + head * low + middle * high) + (middle * low + tail * z)
    return jnp.where(z == float(np.asarray(-1 / math.e, z.dtype)), 0, above)


def _split_euler(bits: int) -> tuple[float, float, float]:
    """``e`` as a head and a middle of ``bits`` bits each, and the rest."""
    head = Fraction(round(_EULER * 2 ** (bits - 2)), 2 ** (bits - 2))
    middle = Fraction(round((_EULER - head) * 2 ** (2 * bits - 2)), 2 ** (2 * bits - 2))
    return float(head), float(middle), float(_EULER - head - middle)


def _gap(above: Array) -> Array:
    """``-ln(-e z)`` for ``above = e z + 1`` up to 0.28; beyond, some finite number."""
    return -_log1p(-jnp.minimum(above, 0.28), terms=11)


def _log1p(x: Array, terms: int) -> Array:
    """``ln(1 + x) = 2 atanh(x / (2 + x))`` by its series, with error ``(x/(2+x))**(2 terms)``.

    XLA's own log1p loses 100 ulp.
    """
    ratio = x * (1 / (2 + x))
    return 2 * ratio * _polynomial(ratio * ratio, [1 / (2 * k + 1) for k in range(terms)])


def _polynomial(x: Array, coefficients) -> Array:
    """``sum_k coefficients[k] x**k``."""
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def _fold_series(degree: int) -> list[float]:
    """Coefficients of ``v = -w`` in ``q``, where ``v - ln v = 1 + q**2/2``.

    They follow from ``v' (v - 1) = q v``. The radius of convergence is ``sqrt(4 pi)``.
    """
    a = [Fraction(1), Fraction(1)]
    for n in range(2, degree + 1):
        a.append((a[n - 1] - sum(k * a[k] * a[n + 1 - k] for k in range(2, n))) / (n + 1))
    return [float(coefficient) for coefficient in a]


_FOLD_SERIES = _fold_series(26)  # (0.8 / 3.54)**26 < 2e-17
