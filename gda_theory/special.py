r"""Real Lambert W, Wright omega and r-Lambert functions, and the same in logarithms, where the arguments leave the float range.

Every function here is one elementwise kernel: no loop, any batch shape, float32 and float64. A crude seed (1 per cent) takes two
corrections, and the second needs no logarithm of its own. With ``w = seed (1 + e)`` the equation ``w + ln|w| = ln|z|`` becomes

.. math:: \mathrm{seed}\; e + \ln(1 + e) = m, \qquad m = \ln|z / \mathrm{seed}| - \mathrm{seed},

so that only ``m`` costs a logarithm, and only its rounding error, divided by ``1 + w``, reaches the result. Near the fold
``z = -1/e``, where ``1 + w`` vanishes, a series takes over; it is fed with ``e z + 1`` from an error-free product.

Derivatives are those of the equations (``custom_jvp``), never of the corrections; they may be differentiated again. Results that
would be subnormal are 0, since XLA flushes them.

Sources: Corless et al., *On the Lambert W function*, Adv. Comput. Math. 5 (1996), for the branches and the series at the fold;
Fritsch, Shafer and Crowley, *Algorithm 443*, CACM 16 (1973), for the first correction; Mezo and Baricz, *On the generalization of
the Lambert W function*, Trans. AMS 369 (2017), for the r-Lambert function.
"""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from theory_common import checks

_EULER = Fraction("2.718281828459045235360287471352662497757247093699959574966967627724")
# Beyond these gaps (w = -0.49 on branch 0, w = -2.01 on branch -1) 1 + w is no longer small, and the corrections are as accurate.
_FOLD_GAP = {0: 0.2, -1: 0.31}
_SEED_GAP = 750.0  # beyond it the seed is ln|z| itself, 1 per cent off


# --- lambertw and its relatives -----------------------------------------------------------------------------------------------


def lambertw(z, branch: int = 0) -> Array:
    r"""The real root ``w`` of ``w exp(w) = z``: ``w >= -1`` on branch 0, ``w <= -1`` on branch -1.

    Domain: ``z >= -1/e`` on branch 0, ``-1/e <= z <= 0`` on branch -1 (``-inf`` at 0); NaN outside. The float nearest to ``-1/e`` counts
    as ``-1/e``, though it lies a fraction of an ulp outside, and gives -1.
    Args: ``z`` of any shape; ``branch`` static, 0 or -1, else ``ValueError``.
    Accuracy: 4 ulp, the neighbourhood of the fold included (measured: ``docs/accuracy.md``).
    Derivative: ``exp(-w) / (1 + w)``; infinite at the fold.
    """
    return _lambertw(checks.real("z", z), checks.choice("branch", branch, (0, -1)))[0]


def lambertw_plus_one(z, branch: int = 0) -> Array:
    r"""``1 + lambertw(z, branch)`` without the cancellation near ``z = -1/e``, where it behaves like ``sqrt(2 (e z + 1))``.

    Accuracy: 4 ulp of ``1 + w`` (8 at the two or three floats next to ``-1/e``). Domain, arguments and errors: :func:`lambertw`.
    """
    return _lambertw(checks.real("z", z), checks.choice("branch", branch, (0, -1)))[1]


def wright_omega(u) -> Array:
    r"""The root ``w > 0`` of ``w + ln w = u``, that is ``W_0(exp(u))``, for any real ``u``; 0 at -inf, inf at inf.

    Accuracy: 4 ulp; 0 where ``exp(u)`` underflows. Derivative: ``w / (1 + w)``.
    """
    u = checks.real("u", u)
    return _lambertw_exp(u, jnp.ones((), u.dtype), 0)[0]


def lambertw_exp(log_abs, sign, branch: int = 0) -> Array:
    r"""``lambertw(sign * exp(log_abs), branch)`` where the exponential leaves the float range: ``w + ln|w| = log_abs``.

    Args:
        log_abs: logarithm of ``|z|``, any real number; a negative ``z`` needs ``log_abs <= -1``, else NaN.
        sign: any real number, only its sign counts: a signed mass will do. 0 means ``z = 0``.
        branch: static, 0 or -1 (NaN for a positive sign), else ``ValueError``.
    Shapes: ``log_abs`` and ``sign`` broadcast. Accuracy: 4 ulp. Derivative in ``log_abs``: ``w / (1 + w)``; none in ``sign``.
    """
    branch = checks.choice("branch", branch, (0, -1))
    log_abs, sign = checks.reals(log_abs=log_abs, sign=sign).values()
    return _lambertw_exp(log_abs, jnp.sign(jax.lax.stop_gradient(sign)), branch)[0]


def lambertw_from_gap(gap, branch: int = 0) -> Array:
    r"""``lambertw(-exp(-1 - gap), branch)``: the argument is how far ``ln|z|`` lies below the fold, ``gap >= 0``, else NaN."""
    return _from_gap(checks.real("gap", gap), checks.choice("branch", branch, (0, -1)))[0]


def lambertw_plus_one_from_gap(gap, branch: int = 0) -> Array:
    r"""``1 + lambertw(-exp(-1 - gap), branch)``: the root ``t`` of ``-t - ln(1 - t) = gap``, of either sign.

    Near the fold it behaves like ``sqrt(2 gap)`` on branch 0 and ``-sqrt(2 gap)`` on branch -1. A caller with ``ln|z|`` at hand
    passes ``gap = -(1 + log_abs)``, which is exact for ``log_abs`` in [-2, -1/2].
    Domain: ``gap >= 0``, else NaN. Accuracy: 4 ulp of ``1 + w`` in terms of ``gap``. Derivative: ``1/t - 1``.
    """
    return _from_gap(checks.real("gap", gap), checks.choice("branch", branch, (0, -1)))[1]


def log_ratio(a, b) -> Array:
    r"""``ln(a / b)`` for ``a >= 0``, ``b > 0``: of the plain ratio, one rounding, unless that over- or underflows, then ``ln a - ln b``."""
    a, b = checks.reals(a=a, b=b).values()
    ratio = a / b
    plain = (ratio >= jnp.finfo(ratio.dtype).tiny) & jnp.isfinite(ratio)
    # Two selections: the gradient of the unused side must be finite too.
    direct = jnp.log(jnp.where(plain, a, 1) / jnp.where(plain, b, 1))
    return jnp.where(plain, direct, jnp.log(jnp.where(plain, 1, a)) - jnp.log(jnp.where(plain, 1, b)))


# --- derivatives: the pair (w, 1 + w), since every derivative needs both -------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
@functools.partial(jax.jit, static_argnums=1)
def _lambertw(z: Array, branch: int) -> tuple[Array, Array]:
    return _principal_plain(z) if branch == 0 else _lower_plain(z)


@_lambertw.defjvp
def _lambertw_jvp(branch, primals, tangents):
    (z,), (z_dot,) = primals, tangents
    w, plus_one = _lambertw(z, branch)
    inner = jnp.abs(w) < 1  # there exp(-w) is accurate, and W/z would cancel in the second derivative
    near = jnp.exp(-jnp.where(inner, w, 0)) / plus_one
    far = (1 - 1 / plus_one) / jnp.where(inner, 1, z) if branch == 0 else (1 / plus_one - 1) / jnp.abs(z)
    w_dot = jnp.where(inner, near, far) * z_dot
    return (w, plus_one), (w_dot, w_dot)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
@functools.partial(jax.jit, static_argnums=2)
def _lambertw_exp(log_abs: Array, sign: Array, branch: int) -> tuple[Array, Array]:
    log_abs, sign = jnp.broadcast_arrays(log_abs, sign)
    return _principal_exp(log_abs, sign) if branch == 0 else _lower_exp(log_abs, sign)


@_lambertw_exp.defjvp
def _lambertw_exp_jvp(branch, primals, tangents):
    w, plus_one = _lambertw_exp(*primals, branch)
    w_dot = _elasticity(w, plus_one) * tangents[0]
    return (w, plus_one), (w_dot, w_dot)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
@functools.partial(jax.jit, static_argnums=1)
def _from_gap(gap: Array, branch: int) -> tuple[Array, Array]:
    return _negative(gap, -1 - gap, branch)


@_from_gap.defjvp
def _from_gap_jvp(branch, primals, tangents):
    w, plus_one = _from_gap(primals[0], branch)
    w_dot = -_elasticity(w, plus_one) * tangents[0]
    return (w, plus_one), (w_dot, w_dot)


def _elasticity(w: Array, plus_one: Array) -> Array:
    """``dw / d ln|z| = w / (1 + w)``, in the form whose own derivative does not cancel."""
    inner = jnp.abs(w) < 1
    return jnp.where(inner, jnp.where(inner, w, 0) / plus_one, 1 - 1 / plus_one)


# --- kernels ------------------------------------------------------------------------------------------------------------------


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
    z = sign * jnp.exp(jnp.minimum(log_abs, 1))
    w, plus_one = _principal(z, log_abs, (log_abs > -2) & (sign != 0))
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
    """Branch 0 away from the fold. ``in_logs``: trust ``log_abs`` (accurate where it is not large against 1 + w), else trust ``z``."""
    small = log_abs <= 1
    clipped = jnp.clip(z, -0.31, np.e)
    # Rational minimax fits of W_0(z)/z on [-0.31, e] (0.6 per cent) and of omega(u) on [1, 750] (0.4 per cent).
    ratio = (0.99513 + 1.16319 * clipped) / (1 + (2.19031 + 0.59720 * clipped) * clipped)
    u = jnp.clip(log_abs, 1, _SEED_GAP)
    large_seed = jnp.where(log_abs < _SEED_GAP, (0.55207 + (0.44471 + 0.142295 * u) * u) / (1 + 0.14337 * u), log_abs)
    small_seed = clipped * ratio
    seed = jnp.where(small, small_seed, large_seed)
    log = jnp.log(jnp.where(in_logs, jnp.abs(seed), ratio))
    mismatch = jnp.where(in_logs, log_abs - log, -log) - seed
    w, plus_one = _correct(seed, mismatch)
    # W_0(z) = z to the last bit; a seed below z could be flushed to 0.
    tiny = jnp.abs(z) < jnp.finfo(z.dtype).eps / 4
    infinite = log_abs == jnp.inf
    w = jnp.where(tiny & small, z, jnp.where(infinite, jnp.inf, w))
    return w, jnp.where(infinite, jnp.inf, plus_one)


def _lower(gap: Array, log_abs: Array) -> tuple[Array, Array]:
    """Branch -1 away from the fold."""
    # A minimax fit of -W_{-1} on gaps from 0.18 to 750 (2 per cent).
    root = jnp.sqrt(2 * jnp.clip(gap, 0.18, _SEED_GAP))
    seed = jnp.where(gap < _SEED_GAP, -(1.17542 + (0.67933 + 0.47810 * root) * root), log_abs)
    w, plus_one = _correct(seed, (log_abs - jnp.log(-seed)) - seed)
    infinite = gap == jnp.inf
    return jnp.where(infinite, -jnp.inf, w), jnp.where(infinite, -jnp.inf, plus_one)


def _correct(seed: Array, mismatch: Array) -> tuple[Array, Array]:
    """``(w, 1 + w)`` for ``w = seed (1 + e)``, where ``seed e + ln(1 + e) = mismatch``; for ``|e|`` below 0.03."""
    plus_one = 1 + seed
    step = mismatch / plus_one
    error = step * (1 + step / (2 * plus_one * (1 + 2 / 3 * step) - 2 * step))  # Fritsch et al.: fourth order
    rest = mismatch - seed * error - _log1p(error, terms=4)
    error = error + rest / (seed + 1 / (1 + error))
    return seed + seed * error, plus_one + seed * error


def _with_fold(near: Array, gap: Array, branch: int, w: Array, plus_one: Array) -> tuple[Array, Array]:
    """Replaces ``(w, 1 + w)`` where the fold is ``near``; NaN where ``gap`` is negative."""
    root = jnp.sqrt(2 * jnp.clip(gap, 0, _FOLD_GAP[branch] + 0.01))
    root = -root if branch == 0 else root
    fold = -root * _polynomial(root, _FOLD_SERIES[1:])
    fold = jnp.where(gap < 0, jnp.nan, fold)
    return jnp.where(near, fold - 1, w), jnp.where(near, fold, plus_one)


def _above_fold(z: Array) -> Array:
    """``e z + 1`` to a few ulp, also where it is 1e-17: every product below is exact, so fused multiply-adds cannot hurt."""
    info = jnp.finfo(z.dtype)
    z = jnp.clip(z, -1, 1)  # nobody asks farther out, and the split of an infinity is NaN
    half = (info.nmant + 1) // 2
    head, middle, tail = _split_euler(half)
    high = jax.lax.reduce_precision(z, exponent_bits=info.nexp, mantissa_bits=half - 1)
    low = z - high
    above = ((1 + head * high) + head * low + middle * high) + (middle * low + tail * z)
    return jnp.where(z == float(np.asarray(-1 / np.e, z.dtype)), 0, above)


def _split_euler(bits: int) -> tuple[float, float, float]:
    """``e`` as a head and a middle of ``bits`` bits each, and the rest."""
    head = Fraction(round(_EULER * 2 ** (bits - 2)), 2 ** (bits - 2))
    middle = Fraction(round((_EULER - head) * 2 ** (2 * bits - 2)), 2 ** (2 * bits - 2))
    return float(head), float(middle), float(_EULER - head - middle)


def _gap(above: Array) -> Array:
    """``-ln(-e z)`` for ``above = e z + 1`` up to 0.28; beyond, a finite number that nobody uses."""
    return -_log1p(-jnp.minimum(above, 0.28), terms=11)


def _log1p(x: Array, terms: int) -> Array:
    """``ln(1 + x) = 2 atanh(x / (2 + x))`` by its series: XLA's own log1p loses 100 ulp. Error: ``(x/(2+x))**(2 terms)``."""
    ratio = x / (2 + x)
    return 2 * ratio * _polynomial(ratio * ratio, [1 / (2 * k + 1) for k in range(terms)])


def _polynomial(x: Array, coefficients) -> Array:
    """``sum_k coefficients[k] x**k``."""
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def _fold_series(degree: int) -> list[float]:
    """Coefficients of ``v = -w`` in ``q``, where ``v - ln v = 1 + q**2/2``; from ``v' (v - 1) = q v``. Radius ``sqrt(4 pi)``."""
    a = [Fraction(1), Fraction(1)]
    for n in range(2, degree + 1):
        a.append((a[n - 1] - sum(k * a[k] * a[n + 1 - k] for k in range(2, n))) / (n + 1))
    return [float(coefficient) for coefficient in a]


_FOLD_SERIES = _fold_series(26)  # (0.8 / 3.54)**26 < 2e-17
