"""Any data: reduction to sample types, an unpenalised intercept, and the limit of App. J."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import data_measures, measures, scalar_measures
from derivations.ledger.domains import (
    Drawn,
    Integers,
    OneOf,
    between,
    nonnegative,
    positive,
    positive_within,
    real,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import phi, ridge, strength, w
from derivations.ledger.theorems import (
    Eq,
    Given,
    Gt,
    Iff,
    Implies,
    Le,
    NoValue,
    Theorem,
    limit,
)

b, retain_share, forget_share = sp.symbols("b rho_R rho_F", positive=True)
time, dimension, scale = sp.symbols("tau d z", positive=True)
coefficient, dual, margin = sp.symbols("c_i p_i m_i", real=True)
r11, r12, r22, z1, z2 = sp.symbols("R_11 R_12 R_22 z_1 z_2", real=True)
share, whole, curvature = sp.symbols("rho S H", positive=True)
weight, gradient_there, rest = sp.symbols("w_0 G_0 q", real=True)


data, loss, step = sp.Symbol("data"), sp.Symbol("loss"), sp.Symbol("h", positive=True)
dual_error, margin_error, decay_found = sp.symbols("dual_error margin_error outside", real=True)
SIGNED = Drawn(
    "up to 4 samples in up to 3 dimensions, with weights of either sign",
    data_measures.data_maker(4, 3, signed=True),
    special=data_measures.special(),
)


def _reduction(data, ridge, tau, loss, h=None):
    """A stationary point against its duals, and the flow's part outside the span, by steps of h."""
    rows, signed = data_measures.matrix(data.rows), data_measures.numbers(data.signed)
    if h is not None:
        start = data_measures.vector(data.point)
        end = data_measures.flow(rows, signed, ridge, start, tau, loss, round(1 / h))
        sizes = [data_measures.norm(data_measures.outside_span(rows, at)) for at in (start, end)]
        exists = sizes[0] > mpmath.sqrt(mpmath.eps)
        return {decay_found: sizes[1] / sizes[0] if exists else mpmath.exp(-ridge * tau)}
    at = data_measures.stationary(rows, signed, ridge, loss)
    margins = rows * at
    duals = mpmath.matrix([c * loss.phi(m) / ridge for c, m in zip(signed, margins, strict=True)])
    size = data_measures.norm(rows) + 1
    return {
        dual_error: data_measures.norm(at - rows.T * duals) / size,
        margin_error: data_measures.norm(margins - rows * rows.T * duals) / size**2,
    }


@claim(
    "type-reduction",
    statement=(
        "A stationary point is w = Σ pᵢ zᵢ with zᵢ = yᵢxᵢ and pᵢ = cᵢφ(mᵢ)/λ. The margins are m = "
        "K p, where K is the Gram matrix of the zᵢ. Under the flow, the part of w outside their "
        "span decays as e^{−λt}."
    ),
    explanation=(
        "The gradient is λw - Σ c_i φ(m_i) z_i. So a problem in d dimensions with k types has k "
        "unknowns. The steps are written out for two types in three dimensions. The sums are "
        "linear, so each further type adds terms of the same form."
    ),
    where="Sec. 5.1, any data",
    domain="any margin loss, any signed weights c_i, λ > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.problem.objective.Objective",
    theorem=Theorem(
        domain={
            data: SIGNED,
            ridge: positive_within(1),
            # The steps h must be short against 1/λ, and their error above the rounding.
            time: between(0, 2, "[]", decades=1),
            loss: OneOf((measures.LOGISTIC, measures.HEAVY, measures.EXPONENTIAL)),
        },
        conclusions={
            "w = Σ p_i z_i": Eq(dual_error, 0),
            "m = K p": Eq(margin_error, 0),
            "decay": limit(decay_found, sp.exp(-ridge * time), step, power=4, at=("1/40", "1/80")),
        },
        measure=_reduction,
        digits=40,
        most_digits=40,
        points=8,
    ),
    joins=[
        join(
            "identity",
            "w = Σ p_i z_i",
            equation=("gradient/λ = w - Σ p_i z_i", "known:sums of more types are linear"),
        ),
        join("identity", "m = K p", equation=("m = K p of a combination", "w = Σ p_i z_i")),
        join(
            "identity",
            "decay",
            equation=(
                "flow across the span: -<∇J, e> = -λ<w, e>",
                "so it decays",
                "from where it was",
                "known:sums of more types are linear",
            ),
        ),
    ],
    counterexample="a stationary w outside the span of the y_i x_i",
)
def type_reduction(dual_mass=coefficient * phi(margin) / ridge, decay=sp.exp(-ridge * time)):
    types = [sp.Matrix(sp.symbols(f"z_{i}(1:4)", real=True)) for i in (1, 2)]
    weights = sp.Matrix(sp.symbols("w_1:4", real=True))
    coefficients = sp.symbols("c_1:3", real=True)
    loss = sp.Function("ell")
    at = sp.Symbol("m")
    slope = -loss(at).diff(at)  # φ
    margins = [weights.dot(kind) for kind in types]
    value = (
        sum(c * loss(m) for c, m in zip(coefficients, margins, strict=True))
        + ridge * weights.dot(weights) / 2
    )
    gradient = sp.Matrix([value]).jacobian(weights).T
    duals = [
        dual_mass.subs(coefficient, c).subs(phi(margin), slope.subs(at, m))
        for c, m in zip(coefficients, margins, strict=True)
    ]
    combination = duals[0] * types[0] + duals[1] * types[1]
    yield Equal("gradient/λ = w - Σ p_i z_i", gradient / ridge, weights - combination)
    p = sp.symbols("p_1:3", real=True)
    inside = p[0] * types[0] + p[1] * types[1]
    gram = sp.Matrix(2, 2, lambda i, j: types[i].dot(types[j]))
    yield Equal(
        "m = K p of a combination",
        sp.Matrix([kind.dot(inside) for kind in types]),
        gram * sp.Matrix(p),
    )
    across = types[0].cross(types[1])  # orthogonal to both types
    yield Equal(
        "flow across the span: -<∇J, e> = -λ<w, e>",
        -gradient.dot(across),
        -ridge * weights.dot(across),
    )
    yield Equal("so it decays", sp.diff(decay, time), -ridge * decay)
    yield Equal("from where it was", decay.subs(time, 0), 1)


ridge_error, span_error = sp.symbols("ridge_error span_error", real=True)


def _in_span(data):
    """Margins, ridge term and stationary form of w = Λ^-1/2 Q z, from a QR factorisation."""
    rows = data_measures.matrix(data.rows)
    if rows.rows > rows.cols:
        raise NoValue("more rows than dimensions")
    diagonal = [mpf(1) / 2 + abs(value) for value in data_measures.numbers(data.point)]
    roots = mpmath.diag([mpmath.sqrt(value) for value in diagonal])
    q, r = mpmath.qr(roots**-1 * rows.T, mode="skinny")
    inside = data_measures.vector(data.signed)
    weights = roots**-1 * q * inside
    of_duals = roots * (mpmath.diag(diagonal) ** -1 * rows.T * inside)
    ridge_term = data_measures.dot(weights, mpmath.diag(diagonal) * weights)
    return {
        margin_error: data_measures.norm(rows * weights - r.T * inside),
        ridge_error: ridge_term - data_measures.dot(inside, inside),
        span_error: data_measures.norm(of_duals - q * (q.T * of_duals)),
    }


@claim(
    "span-coordinates",
    statement=(
        "Let Λ^{−1/2}T′ = QR and w = Λ^{−1/2}Qz. Then the margins are Tw = R′z, and w′Λw/2 = "
        "|z|²/2. Every stationary w = Λ^{−1}T′p is of this form."
    ),
    explanation=(
        "Only Q'Q = 1 is used of Q. The steps are written out for two types in two dimensions, "
        "where Q is a rotation. In general (ABC)' = C'B'A' gives Tw = R'Q'Qz. Λ^{-1}T'p = "
        "Λ^{-1/2}Q(Rp)."
    ),
    where="Sec. 5.1, any data",
    domain=(
        "every coordinate is penalised, with Λ its diagonal ridge; T has at most as many rows as "
        "the span has dimensions"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.span.into_span",
    theorem=Theorem(
        domain={
            data: Drawn(
                "2 or 3 samples in up to 5 dimensions",
                data_measures.data_maker(3, 5, signed=True),
                special=data_measures.special(3),
            )
        },
        conclusions={
            "margins": Eq(margin_error, 0),
            "ridge term": Eq(ridge_error, 0),
            "stationary points": Eq(span_error, 0),
        },
        measure=_in_span,
        most_digits=60,
        points=15,
    ),
    joins=[
        join("identity", "margins", equation=("Q'Q", "T w", "known:(ABC)' = C'B'A'")),
        join("identity", "ridge term", equation=("Q'Q", "w'Λw/2", "known:(ABC)' = C'B'A'")),
        join(
            "identity",
            "stationary points",
            equation=("Λ^-1 T'p", "claim:type-reduction", "known:(ABC)' = C'B'A'"),
        ),
    ],
    counterexample=(
        "w = Λ^{-1/2} Q z with other margins than R'z, or another ridge term than |z|²/2"
    ),
)
def span_coordinates(
    margin_1=r11 * z1,
    margin_2=r12 * z1 + r22 * z2,
    ridge_term=(z1**2 + z2**2) / 2,
):
    half = sp.Symbol("t", real=True)  # tangent of half the angle
    rotation = sp.Matrix([[1 - half**2, -2 * half], [2 * half, 1 - half**2]]) / (1 + half**2)
    triangle = sp.Matrix([[r11, r12], [0, r22]])
    inside = sp.Matrix([z1, z2])
    duals = sp.Matrix([dual, margin])
    roots = sp.diag(*sp.symbols("l_1:3", positive=True))  # Λ^{1/2}
    types = (roots * rotation * triangle).T
    weights = roots.inv() * rotation * inside
    yield Equal("Q'Q", rotation.T * rotation, sp.eye(2))
    yield Equal("T w", types * weights, sp.Matrix([margin_1, margin_2]))
    yield Equal("w'Λw/2", (weights.T * roots**2 * weights)[0] / 2, ridge_term)
    yield Equal(
        "Λ^-1 T'p", roots**-2 * types.T * duals, roots.inv() * rotation * (triangle * duals)
    )


at_mean, at_sum = sp.symbols("G_of_mean G_of_sum", real=True)
mean_error, sum_error, map_error = sp.symbols("mean_error sum_error map_error", real=True)


def _shared(data, ridge):
    """G at both oracles, and at a point against their gradients and the fixed-point map.

    The last row is forgotten.
    """
    rows = data_measures.matrix(data.rows[:-1])
    samples = [abs(value) for value in data_measures.numbers(data.signed)]
    whole, kept = sum(samples), sum(samples[:-1])
    shares = [value / whole for value in samples[:-1]]
    there = data_measures.vector(data.point)
    of_mean = [value / kept for value in samples[:-1]]
    mean = data_measures.stationary(rows, of_mean, ridge)
    total = data_measures.stationary(rows, samples[:-1], ridge)
    left = {}
    for name, penalty, w_at in (
        (at_mean, kept / whole * ridge, mean),
        (at_sum, ridge / whole, total),
    ):
        left[name] = data_measures.norm(data_measures.gradient(rows, shares, penalty, w_at))
    of_g = data_measures.gradient(rows, shares, kept / whole * ridge, there)
    of_sums = data_measures.gradient(rows, shares, ridge / whole, there)
    return left | {
        mean_error: data_measures.norm(
            of_g - kept / whole * data_measures.gradient(rows, of_mean, ridge, there)
        ),
        sum_error: data_measures.norm(
            of_sums - data_measures.gradient(rows, samples[:-1], ridge, there) / whole
        ),
        map_error: _fixed_point_error(rows, shares, kept / whole * ridge, there),
    }


def _fixed_point_error(rows, shares, penalty, at):
    """|w - (its image) - H^-1 G(w)|, with w_0 = 0 as the centre."""
    centre = mpmath.matrix(rows.cols, 1)
    linear = data_measures.data_hessian(rows, shares, penalty, centre)
    at_centre = data_measures.gradient(rows, shares, penalty, centre)
    there = data_measures.gradient(rows, shares, penalty, at)
    beyond = there - at_centre - linear * (at - centre)
    image = centre - mpmath.lu_solve(linear, at_centre + beyond)
    return data_measures.norm(at - image - mpmath.lu_solve(linear, there))


@claim(
    "shared-centre",
    statement=(
        "Let c_i = s_i/Σs, and let ρ be the share of Σs that a forget set leaves. The oracle "
        "solves G(w) = Λ_ρ w − Σ_{i∈R} c_i φ(m_i) t_i = 0, with Λ_ρ = ρΛ (means) or Λ/Σs (sums). G "
        "is its gradient times ρ, or divided by Σs. The zeros of G are the fixed points of w = w₀ "
        "− H⁻¹(G(w₀) + rest(w))."
    ),
    explanation=(
        "rest is what G has beyond its linear part at w₀, whose slope is H. H is built from the "
        "sums of that set. Only rest depends on w."
    ),
    where="Sec. 5.1: many oracles of one data set",
    domain="any loss with the derivatives used, any sample weights s; the oracle's minimum",
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.many.retrain_many",
    theorem=Theorem(
        domain={
            data: Drawn(
                "up to 4 samples in up to 3 dimensions, the last of which is forgotten",
                data_measures.data_maker(4, 3, signed=False),
                special=data_measures.special()[:3],
            ),
            ridge: positive_within(2),
        },
        conclusions={
            "zero at the mean's oracle": Eq(at_mean, 0),
            "zero at the sum's oracle": Eq(at_sum, 0),
            "G for means": Eq(mean_error, 0),
            "G for sums": Eq(sum_error, 0),
            "fixed points": Eq(map_error, 0),
        },
        measure=_shared,
        digits=20,
        most_digits=40,
        points=8,
    ),
    joins=[
        join("identity", "G for means", equation="means: ρ(Λw - Σ s φ t/Σ_R s)"),
        join("identity", "G for sums", equation="sums: (Λw - Σ s φ t)/Σs"),
        join("identity", "zero at the mean's oracle", equation="G for means"),
        join("identity", "zero at the sum's oracle", equation="G for sums"),
        join("identity", "fixed points", equation="w - (its next) = H⁻¹G(w)"),
    ],
    counterexample="a data set and a forget set whose oracle is no zero of G",
)
def shared_centre(
    of_mean=share * ridge, of_sum=ridge / whole, moved=weight - (gradient_there + rest) / curvature
):
    kept_sum = sp.Symbol("S_R", real=True)  # Σ_{i∈R} s_i φ(m_i) t_i, a component
    kept = share * whole
    yield Equal(
        "means: ρ(Λw - Σ s φ t/Σ_R s)",
        share * (ridge * w - kept_sum / kept),
        of_mean * w - kept_sum / whole,
    )
    yield Equal(
        "sums: (Λw - Σ s φ t)/Σs", (ridge * w - kept_sum) / whole, of_sum * w - kept_sum / whole
    )
    whole_gradient = gradient_there + curvature * (w - weight) + rest
    yield Equal("w - (its next) = H⁻¹G(w)", w - moved, whole_gradient / curvature)


features = sp.Symbol("features")
b_at = sp.Symbol("b", real=True)
upward_found, downward_found = sp.symbols("upward downward", real=True)
unbounded, change, reach = sp.symbols("unbounded change S", real=True)
least_ratio = sp.Symbol("least_ratio", real=True)


def _intercept(rho_R, rho_F, strength, ridge, features, weight, b):
    """J along the intercept far away, and how much another weight changes it at ``b``.

    One sample of each class stands for its class in R and in F.
    """
    kept, forgotten = (rho_R, 1 - rho_R), (-strength * rho_F, -strength * (1 - rho_F))
    signed = [*zip((1, -1), kept, strict=True), *zip((1, -1), forgotten, strict=True)]
    x = data_measures.numbers(features.signed)

    def value(w_at, b_there):
        losses = (
            share * scalar_measures.logistic_loss(label * (w_at * x_i + b_there))
            for (label, share), x_i in zip(signed, x, strict=True)
        )
        return sum(losses) + ridge * w_at**2 / 2

    far = mpf(10) ** (2 * mpmath.mp.dps)
    up, down = (
        (value(weight, 2 * sign * far) - value(weight, sign * far)) / far for sign in (1, -1)
    )
    tolerance = mpmath.sqrt(mpmath.eps) * (1 + strength)
    with mpmath.extradps(40):
        changed = value(weight, b) - value(mpf(0), b)
    return {
        upward_found: up,
        downward_found: down,
        unbounded: int(min(up, down) < -tolerance),
        change: changed,
        least_ratio: min(rho_R / rho_F, (1 - rho_R) / (1 - rho_F)),
        reach: sum(abs(share * x_i) for (_, share), x_i in zip(signed, x, strict=True)),
    }


def _four_numbers(generator):
    values = [data_measures.Fraction(f"{generator.gauss(0, 2):.4g}") for _ in range(4)]
    return data_measures.Data((), tuple(values), ())


@claim(
    "class-share-bound",
    statement=(
        "Let ρ_R and ρ_F be the shares in R and F of the class that loses as b grows. Along the "
        "intercept b, J grows as |b|(ρ_R − γρ_F). So J is unbounded below exactly when γ > min_c "
        "ρ_R^c/ρ_F^c. This bound is at most 1, and 1 only for equal shares. The other weights w "
        "lower J by less than S²/(2λ), where S is the mean of |x| over R plus γ times that over F."
    ),
    explanation=(
        "ℓ(-b) = b + ℓ(b), so J(0, b) is a bounded term plus a linear one. ℓ is 1-Lipschitz, so "
        "the other weights change it by less than S|w|, and λ|w|²/2 - S|w| >= -S²/(2λ). In the "
        "steps ρ_R and ρ_F are the shares of class +1; the shares of the two classes add up to 1."
    ),
    where="Sec. 5.1, with an unpenalised intercept",
    domain=(
        "logistic loss, both classes present in R and in F, every other coordinate penalised; mean "
        "losses"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.problem.objective.Objective.recession_slopes",
    theorem=Theorem(
        domain={
            retain_share: between(0, 1),
            forget_share: between(0, 1),
            strength: nonnegative,
            ridge: positive,
            features: Drawn(
                "one feature of each class in R and in F",
                _four_numbers,
                special=(data_measures.Data((), (data_measures.Fraction(0),) * 4, ()),),
            ),
            w: real,
            b_at: real,
        },
        conclusions={
            "upwards": Eq(upward_found, (1 - retain_share) - strength * (1 - forget_share)),
            "downwards": Eq(downward_found, retain_share - strength * forget_share),
            "unbounded": Iff(
                Eq(unbounded, 0),
                (
                    Le(strength * forget_share, retain_share),
                    Le(strength * (1 - forget_share), 1 - retain_share),
                ),
            ),
            "at most 1": Le(least_ratio, 1),
            "equal shares": Iff(Eq(least_ratio, 1), Eq(retain_share, forget_share)),
            "other weights": Implies(Gt(reach, 0), Gt(change, -(reach**2) / (2 * ridge))),
        },
        measure=_intercept,
        points=35,
    ),
    joins=[
        join(
            "identity",
            ("upwards", "downwards"),
            equation=(
                "ℓ(-b) = b + ℓ(b), both exponentiated",
                "J(0, b), b -> +oo",
                "J(0, -b)",
                "ℓ(b) -> 0",
            ),
        ),
        join(
            "triangle inequality",
            "other weights",
            terms=("ℓ is 1-Lipschitz: 1 - |ℓ'|", "λw²/2 - Sw over its least value"),
        ),
        join(
            "equivalence",
            "unbounded",
            identity=(
                "upwards",
                "downwards",
                "other weights",
                "the downward slope turns at the class's ratio",
            ),
            factor="the downward slope falls in γ",
        ),
        join(
            "contradiction",
            ("at most 1", "equal shares"),
            assumption="known:both ratios are above 1",
            absurd="so one ratio is at most 1",
        ),
    ],
    counterexample="γ below the bound with J unbounded below, or above it with J bounded",
)
def class_share_bound(
    upward=(1 - retain_share) - strength * (1 - forget_share),
    downward=retain_share - strength * forget_share,
    threshold=retain_share / forget_share,
):
    loss = sp.log(1 + sp.exp(-b))
    yield Equal(
        "ℓ(-b) = b + ℓ(b), both exponentiated", sp.exp(loss.subs(b, -b)), sp.exp(b) * sp.exp(loss)
    )
    small = sp.Symbol("ell_b", positive=True)  # ℓ(|b|) -> 0; ℓ(-|b|) = |b| + ℓ(|b|)
    large = b + small
    up = (
        retain_share * small
        + (1 - retain_share) * large
        - strength * (forget_share * small + (1 - forget_share) * large)
    )
    down = (
        retain_share * large
        + (1 - retain_share) * small
        - strength * (forget_share * large + (1 - forget_share) * small)
    )
    yield Equal("J(0, b), b -> +oo", up, b * upward + (1 - strength) * small)
    yield Equal("J(0, -b)", down, b * downward + (1 - strength) * small)
    yield Equal("ℓ(b) -> 0", sp.limit(loss, b, sp.oo), 0)
    yield Equal(
        "the downward slope turns at the class's ratio", downward.subs(strength, threshold), 0
    )
    yield Positive("the downward slope falls in γ", -sp.diff(downward, strength))
    yield Equal("ℓ is 1-Lipschitz: 1 - |ℓ'|", 1 + sp.diff(loss, b), 1 / (1 + sp.exp(-b)))
    size, least = sp.symbols("S lambda", positive=True)
    yield Equal(
        "λw²/2 - Sw over its least value",
        least * w**2 / 2 - size * w + size**2 / (2 * least),
        least * (w - size / least) ** 2 / 2,
    )
    # If both ratios were above 1, both differences of shares would be positive. Their sum is 0.
    differences = (retain_share - forget_share) + ((1 - retain_share) - (1 - forget_share))
    yield Equal("so one ratio is at most 1", differences, 0)


below_one = sp.Symbol("h", positive=True)  # 1 - ε
PROBLEMS = ("pretraining", "oracle", "descent-ascent")
at_limit = {
    name: sp.symbols(f"w1_{name} w2_{name} m_{name} phi_{name}", real=True)
    for name in ("D", "R", "DA")
}


def _aligned(d, ridge, loss, h):
    """The pair's weights at ε = 1 - h, from the duals of its margins, and φ at the first margin."""
    if ridge <= 0:
        raise NoValue("the ridge must be positive")
    if loss is measures.EXPONENTIAL and d > 2:
        # Near the threshold h must be small against the square of the distance to it.
        h *= min(1, ridge * (d - 1) / (2 * mpmath.e * (d - 2)) - 1) ** 2
    gram = measures.papers_gram(1 - h)
    share = mpf(1) / (d - 1)
    masses = {"D": (mpf(1) / d, mpf(1) / d), "R": (share, mpf(0)), "DA": (share, mpf(-1))}
    measured = {}
    for name, (on_u, on_v) in masses.items():
        margins = (
            measures.descent_ascent(on_u, -on_v, gram, ridge, loss)
            if on_v < 0
            else measures.margins((on_u, on_v), gram, ridge, loss)
        )
        p, q = (c * loss.phi(m) / ridge for c, m in zip((on_u, on_v), margins, strict=True))
        values = (p + q * (1 - h), p * (1 - h) + q, margins[0], loss.phi(margins[0]))
        measured |= dict(zip(at_limit[name], values, strict=True))
    return measured


def _exists_aligned(d, ridge, loss):
    if d < 2:
        raise NoValue("one sample is retained")
    return loss is not measures.EXPONENTIAL or ridge > 2 * mpmath.e * (d - 2) / (d - 1)


@claim(
    "appendix-j-limits",
    statement=(
        "As ε → 1⁻, w₁ and w₂ have the same limit. It is ½W(4/(dλ)) for pretraining, "
        "½W(2/((d−1)λ)) for the oracle, and ½W(−2(d−2)/((d−1)λ)) for descent-ascent, which needs λ "
        "≥ 2e(d−2)/(d−1)."
    ),
    explanation=(
        "At ε = 1 both samples have margin w1 + w2, and J is symmetric in w1 and w2. So w1 = w2 = "
        "w, and λw is the net mass of the two samples times φ(2w): hence 2w = z φ(2w). Away from "
        "the threshold the solutions are nondegenerate there, so they are continuous in ε."
    ),
    where="App. J",
    domain=(
        "ε -> 1⁻, d >= 2 samples, λ > 0; exponential or logistic loss, with W(z) the root of w = "
        "z φ(w); the threshold for the exponential loss, strictly"
    ),
    origin="paper",
    evidence="proved",
    backs=["gda_theory.paper.appendix.aligned_limits", "gda_theory.paper.appendix.aligned_pair"],
    theorem=Theorem(
        domain={
            dimension: Integers(2, 40),
            ridge: positive_within(2),
            loss: OneOf((measures.EXPONENTIAL, measures.LOGISTIC)),
        },
        hypotheses=(Given("λ > 2e(d-2)/(d-1), if the loss is exponential", _exists_aligned),),
        conclusions={
            **{
                f"{index} of {name}": limit(2 * weight, margin, below_one)
                for name, (*weights, margin, _) in zip(PROBLEMS, at_limit.values(), strict=True)
                for index, weight in zip(("w_1", "w_2"), weights, strict=True)
            },
            "pretraining": limit(
                at_limit["D"][2], 4 / (dimension * ridge) * at_limit["D"][3], below_one
            ),
            "oracle": limit(
                at_limit["R"][2], 2 / ((dimension - 1) * ridge) * at_limit["R"][3], below_one
            ),
            "descent-ascent": limit(
                at_limit["DA"][2],
                -2 * (dimension - 2) / ((dimension - 1) * ridge) * at_limit["DA"][3],
                below_one,
            ),
        },
        measure=_aligned,
        digits=20,
        points=8,
    ),
    joins=[
        join(
            "implicit function",
            "the solutions are continuous in ε",
            jacobian=(
                "-1/e at the least ridge",
                "the least ridge, d = 2 + z",
                "given:λ > 2e(d-2)/(d-1), if the loss is exponential",
                "claim:lemma-2-branches",
                "claim:logistic-minimum-exists",
            ),
            smooth="known:both losses are smooth",
        ),
        *(
            join(
                "identity",
                (name, f"w_1 of {name}", f"w_2 of {name}"),
                equation=(
                    "∇J on the diagonal",
                    f"{name}: 2K/λ",
                    "the solutions are continuous in ε",
                ),
            )
            for name in PROBLEMS
        ),
    ],
    counterexample="d, λ at which the solutions, as ε -> 1, tend elsewhere",
)
def appendix_j(
    pretrain=4 / (dimension * ridge),
    retrain=2 / ((dimension - 1) * ridge),
    descent_ascent=-2 * (dimension - 2) / ((dimension - 1) * ridge),
    least_ridge=2 * sp.E * (dimension - 2) / (dimension - 1),
):
    weights = sp.symbols("w_1 w_2", real=True)
    sums = sum(weights)
    loss = sp.Function("ell")
    at = sp.Symbol("m")
    net = sp.Symbol("K", real=True)
    value = net * loss(sums) + ridge * (weights[0] ** 2 + weights[1] ** 2) / 2
    slope = loss(at).diff(at).subs(at, 2 * w)
    on_diagonal = [
        sp.diff(value, weight).subs(dict.fromkeys(weights, w)).doit() for weight in weights
    ]
    yield Equal(
        "∇J on the diagonal", sp.Matrix(on_diagonal), sp.Matrix([ridge * w + net * slope] * 2)
    )
    # Net masses: 1/d + 1/d; 1/(d-1); 1/(d-1) - 1. Then 2w = (2K/λ) φ(2w).
    masses = (2 / dimension, 1 / (dimension - 1), 1 / (dimension - 1) - 1)
    arguments = (pretrain, retrain, descent_ascent)
    for name, mass, argument in zip(
        ("pretraining", "oracle", "descent-ascent"), masses, arguments, strict=True
    ):
        yield Equal(f"{name}: 2K/λ", 2 * mass / ridge, argument)
    yield Equal("-1/e at the least ridge", descent_ascent.subs(ridge, least_ridge), -sp.exp(-1))
    yield Positive("the least ridge, d = 2 + z", least_ridge.subs(dimension, 2 + scale))
