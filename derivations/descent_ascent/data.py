"""Any data: reduction to sample types, an unpenalised intercept, and the limit of App. J."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import sympy as sp

from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import phi, ridge, w

b, strength, retain_share, forget_share = sp.symbols("b gamma rho_R rho_F", positive=True)
time, dimension, scale = sp.symbols("tau d z", positive=True)
coefficient, dual, margin = sp.symbols("c_i p_i m_i", real=True)
r11, r12, r22, z1, z2 = sp.symbols("R_11 R_12 R_22 z_1 z_2", real=True)
share, whole, curvature = sp.symbols("rho S H", positive=True)
weight, gradient_there, rest = sp.symbols("w_0 G_0 q", real=True)


@claim(
    "type-reduction",
    statement=(
        "A stationary point is w = Σ pᵢ zᵢ with zᵢ = yᵢxᵢ and pᵢ = cᵢφ(mᵢ)/λ. The margins are m = "
        "K p, where K is the Gram matrix of the zᵢ. Under the flow, the part of w outside their "
        "span decays as e^{−λt}."
    ),
    explanation=(
        "The gradient is λw - Σ c_i φ(m_i) z_i. So a problem in d dimensions with k types has k "
        "unknowns. The steps are written out for two types in three dimensions."
    ),
    where="Sec. 5.1, any data",
    domain="any margin loss, any signed weights c_i, λ > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.problem.objective.Objective",
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
    yield Equal("m = K p", sp.Matrix([kind.dot(inside) for kind in types]), gram * sp.Matrix(p))
    across = types[0].cross(types[1])  # orthogonal to both types
    yield Equal(
        "flow across the span: -<∇J, e> = -λ<w, e>",
        -gradient.dot(across),
        -ridge * weights.dot(across),
    )
    yield Equal("so it decays", sp.diff(decay, time), -ridge * decay)
    yield Equal("from where it was", decay.subs(time, 0), 1)


@claim(
    "span-coordinates",
    statement=(
        "Let Λ^{−1/2}T′ = QR and w = Λ^{−1/2}Qz. Then the margins are Tw = R′z, and w′Λw/2 = "
        "|z|²/2. Every stationary w = Λ^{−1}T′p is of this form."
    ),
    explanation=(
        "Only Q'Q = 1 is used of Q. The steps are written out for two types in two dimensions, "
        "where Q is a rotation. Λ^{-1}T'p = Λ^{-1/2}Q(Rp)."
    ),
    where="Sec. 5.1, any data",
    domain=(
        "every coordinate is penalised, with Λ its diagonal ridge; T has at most as many rows as "
        "the span has dimensions"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.span.into_span",
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
    rules=["Taylor"],
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


@claim(
    "class-share-bound",
    statement=(
        "Let ρ_R and ρ_F be the shares in R and F of the class that loses as b grows. Along the "
        "intercept b, J grows as |b|(ρ_R − γρ_F). So J is unbounded below exactly when γ > min_c "
        "ρ_R^c/ρ_F^c, which is at most 1."
    ),
    explanation=(
        "ℓ(-b) = b + ℓ(b), so J(0, b) is a bounded term plus a linear one. The other weights "
        "change it by at most S|w| (logistic-norm-bound: ℓ is 1-Lipschitz), and their ridge "
        "outweighs that. In the steps ρ_R and ρ_F are the shares of class +1; the shares of the "
        "two classes add up to 1."
    ),
    where="Sec. 5.1, with an unpenalised intercept",
    domain=(
        "logistic loss, both classes present in R and in F, every other coordinate penalised; mean "
        "losses"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.problem.objective.Objective.recession_slopes",
    rules=["triangle inequality"],
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
    # If both ratios were above 1, both differences of shares would be positive. Their sum is 0.
    differences = (retain_share - forget_share) + ((1 - retain_share) - (1 - forget_share))
    yield Equal("so one ratio is at most 1", differences, 0)


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
        "ε -> 1⁻, d >= 3 samples, λ > 0; any loss, with W(z) the root of w = z φ(w); the threshold "
        "for the exponential loss"
    ),
    origin="paper",
    evidence="proved",
    backs=["gda_theory.paper.appendix.aligned_limits", "gda_theory.paper.appendix.aligned_pair"],
    rules=["definition of W", "implicit function"],
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
