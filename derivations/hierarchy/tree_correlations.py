"""How far a change reaches in a random hierarchy (arXiv:2410.13770), in mean field.

Compared with the start, each node is *unchanged* (U) or *changed* (C), given its parent. One level
down has two numbers: the weight w of the true rule under an unchanged parent, and 1/A with
A = 1 + p + … + p^{s-1}, where p is that of the child's level.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.hierarchy import measures, tree_measures
from derivations.hierarchy.mean_field.maps import (
    BRANCHING,
    ENOUGH,
    GEOMETRIC,
    PAPER,
    SIZES,
    WITH_TRANSITION,
    F_p,
    geometric,
    geometric_steps,
    noise,
    none_or_more,
    numerator,
    p_star,
    power,
    slope_of_upward,
    slope_p,
    slope_star,
    tuples,
    upward,
    wrong_tuple,
)
from derivations.hierarchy.measures import Shape
from derivations.ledger.domains import Integers, between, positive_within
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import belief as p
from derivations.ledger.symbols import branching as s
from derivations.ledger.symbols import rules_per_symbol as m
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import Eq, Gt, Iff, Implies, Le, Lt, NoValue, Order, Theorem, limit

w, A, unchanged = sp.symbols(
    "w A_p unchanged", positive=True
)  # weight of the true rule; 1 + p + .. + p^(s-1); P(the parent is unchanged)
first, second, path, level, slack = sp.symbols("a b Lambda level t", positive=True)
ascent, exponent, image, size = sp.symbols("F' nu F d", positive=True)
depth = sp.Symbol("depth", positive=True)

terms = geometric(p)  # A
true_rule = power / (power + (m - 1) * wrong_tuple)
one_of_wrong = (p - power) / (1 - power)  # g: a child unchanged in a tuple that is not the true one
two_of_wrong = (p**2 - power) / (1 - power)  # g_2: two children
damping = w / A
siblings = (unchanged * w - power) * (1 - unchanged * w) / A**2


# What the measures return.
C_C, C_U, w_m, cov, cov_root, least = sp.symbols("C_C C_U w_m Cov Cov_root Cov_least", real=True)
A_m, damped, root_rate = sp.symbols("A_m lambda_m rate", positive=True)
sum_of_powers = geometric(p)  # A
rule_weight = power * (tuples - 1) / numerator  # w
other_rule = (m - 1) * (1 - power) / numerator  # 1 - w
BELOW_ONE = BRANCHING | {p: between(0, 1)}
TO_ZERO = "known:rational functions that agree for p > 0 agree at p = 0"
A_IS_SUM = "known:A = 1 + p + .. + p^(s-1) is above 1 for p > 0 and s >= 2"


def true_rule_step() -> Positive:
    """1 - w > 0 for m > 1, v^s > m and 0 < p < 1."""
    ranges = {m: 1 + first, power: 1 / (1 + slack)}
    share = other_rule.subs(tuples, m + path).subs(ranges)
    return Positive(W_BELOW_ONE, share)


W_BELOW_ONE, OTHER_RULE = "w < 1 for m = 1 + a, v^s = m + Lambda, p < 1", "1 - w"


def other_rule_step() -> Equal:
    """1 - w, as in rhm-descent."""
    return Equal(OTHER_RULE, 1 - rule_weight, other_rule)


def one_child(vocabulary, rules_per_symbol, branching, belief):
    """One child's chances, summed over the states of all children."""
    law = tree_measures.children(Shape(vocabulary, rules_per_symbol, branching), belief)

    def changed(chances):
        return sum(chance for states, chance in chances.items() if states[0])

    return {C_C: changed(law.under_changed), C_U: changed(law.under_unchanged), w_m: law.true_rule}


@claim(
    "rhm-descent",
    statement=(
        "A child of a changed parent is changed with probability 1/A; a child of an unchanged one "
        "with (1−w)/A. Here A = 1 + p + … + p^{s−1} and w = p^s(v^s−1)/((v^s−m)p^s + m − 1). So "
        "one level damps by λ = w/A."
    ),
    explanation=(
        "Weigh all tuples by the children's beliefs. The true one has p^s, and a given child is "
        "true in a share p. Without the true tuple that share is g = (p - p^s)/(1 - p^s), and 1 - "
        "g = 1/A. An unchanged parent took its true rule with probability w, and otherwise any "
        "other tuple."
    ),
    where=f"{PAPER}, mean field of the ε-process, going down",
    domain="v >= 2, 1 <= m <= v^(s-1), s >= 1, 0 <= p < 1 of the child's level; m > 1 if p = 0",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.correlations",
    theorem=Theorem(
        domain=SIZES | {p: between(0, 1, "[)")},
        hypotheses=(ENOUGH,),
        conclusions={
            "w": Eq(w_m, rule_weight),
            "under a changed parent": Eq(C_C, 1 / sum_of_powers),
            "under an unchanged parent": Eq(C_U, (1 - rule_weight) / sum_of_powers),
            "λ": Eq(C_C - C_U, rule_weight / sum_of_powers),
        },
        measure=one_child,
        digits=160,  # p^s is down to 1e-72, and m - 1 cancels where m = 1
        most_digits=160,
        points=16,
    ),
    joins=[
        GEOMETRIC,
        join("identity", "w", equation=("w, by Bayes' rule", "claim:rhm-random-rules", TO_ZERO)),
        join(
            "linearity of expectation",
            "under a changed parent",
            terms=("1 - g", "sums in closed form", "claim:rhm-random-rules", TO_ZERO),
        ),
        join(
            "conditioning",
            "under an unchanged parent",
            parts=("w", "under a changed parent", "1 - P(U|U)"),
        ),
        join(
            "identity",
            "λ",
            equation=("under a changed parent", "under an unchanged parent", "P(U|U) - P(U|C)"),
        ),
    ],
    counterexample=(
        "v, m, s, p at which the mean posterior of a rule leaves a child unchanged with another "
        "probability"
    ),
)
def descent(
    weight=rule_weight,
    changed_given_changed=1 / A,
    changed_given_unchanged=(1 - w) / A,
    lost=w / A,
):
    yield from geometric_steps()
    given_unchanged = w + (1 - w) * one_of_wrong
    given_changed = one_of_wrong
    yield Equal("w, by Bayes' rule", true_rule, weight)
    yield Equal("1 - g", 1 - given_changed, changed_given_changed.subs(A, terms))
    yield Equal("1 - P(U|U)", 1 - given_unchanged, changed_given_unchanged.subs(A, terms))
    yield Equal("P(U|U) - P(U|C)", given_unchanged - given_changed, lost.subs(A, terms))


def two_children(vocabulary, rules_per_symbol, branching, belief, unchanged):
    """The covariance of two children, from the states of all children; and w."""
    if not 0 <= unchanged <= 1:
        raise NoValue("a probability lies in [0, 1]")
    law = tree_measures.level_of(Shape(vocabulary, rules_per_symbol, branching), belief)
    return {cov: law.covariance(unchanged), w_m: law.true_rule}


true_chance = unchanged * w_m


@claim(
    "rhm-sibling-covariance",
    statement=(
        "Two siblings have Cov = (Pw − p^s)(1 − Pw)/A² = (P(1−w)(w−p^s) − (1−P)p^s + P(1−P)w²)/A². "
        "It is positive exactly when p^s < Pw < 1, and negative exactly when Pw < p^s. Pw is the "
        "probability of the true tuple, and p^s that for independent children."
    ),
    explanation=(
        "The tuple is the true one with probability t = Pw. Otherwise two children are both "
        "unchanged with probability g_2, and one with g. As Pw <= 1, the first factor has the sign."
    ),
    where=f"{PAPER}, mean field of the ε-process, two children of one node",
    domain="as rhm-descent with s >= 2; 0 <= P <= 1 the probability of an unchanged parent",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.correlations",
    theorem=Theorem(
        domain=BRANCHING | {p: between(0, 1, "[)"), unchanged: between(0, 1, "[]")},
        hypotheses=(ENOUGH,),
        conclusions={
            "covariance": Eq(cov, (true_chance - power) * (1 - true_chance) / sum_of_powers**2),
            "expanded": Eq(
                cov,
                (
                    unchanged * (1 - w_m) * (w_m - power)
                    - (1 - unchanged) * power
                    + unchanged * (1 - unchanged) * w_m**2
                )
                / sum_of_powers**2,
            ),
            "positive": Iff(Gt(cov, 0), (Lt(power, true_chance), Lt(true_chance, 1))),
            "negative": Iff(Lt(cov, 0), Lt(true_chance, power)),
        },
        measure=two_children,
        points=25,
    ),
    joins=[
        GEOMETRIC,
        join(
            "conditioning",
            "one child is unchanged with probability t + (1-t)g",
            parts=("one child, by its parent's state", "claim:rhm-descent"),
        ),
        join(
            "linearity of expectation",
            "covariance",
            terms=(
                "one child is unchanged with probability t + (1-t)g",
                "E n_i n_j - E n_i E n_j, of unchanged and so of changed ones",
                "sums in closed form",
                TO_ZERO,
            ),
        ),
        join("identity", "expanded", equation=("covariance", "the expanded form")),
        join(
            "sign",
            ("positive", "negative"),
            sign=(
                "covariance",
                OTHER_RULE,
                W_BELOW_ONE,
                "known:a product of a number and one that is >= 0",
            ),
        ),
    ],
    counterexample="v, m, s, p, P at which two children have another covariance",
)
def sibling_covariance(
    covariance=siblings,
    expanded=(
        unchanged * (1 - w) * (w - power)
        - (1 - unchanged) * power
        + unchanged * (1 - unchanged) * w**2
    )
    / A**2,
):
    yield from geometric_steps()
    whole = unchanged * w
    both, one = whole + (1 - whole) * two_of_wrong, whole + (1 - whole) * one_of_wrong
    yield Equal(
        "E n_i n_j - E n_i E n_j, of unchanged and so of changed ones",
        both - one**2,
        covariance.subs(A, terms),
    )
    by_parent = unchanged * (w + (1 - w) * one_of_wrong) + (1 - unchanged) * one_of_wrong
    yield Equal("one child, by its parent's state", by_parent, one)
    yield Equal("the expanded form", expanded, siblings)
    yield other_rule_step()
    yield true_rule_step()


C_0, C_1, C_2, C_3, C_l, chi = sp.symbols("C_0 C_1 C_2 C_3 C_l chi", real=True)
counted, path_m, above_m, below_m = sp.symbols("partners Lambda_m P_above P_below", real=True)


def every_state(vocabulary, rules_per_symbol, branching, belief, depth, level):
    """Covariances of leaves and of siblings from the states of all nodes of a small tree."""
    shape = Shape(vocabulary, rules_per_symbol, branching)
    if branching < 2 or not 1 <= level <= depth:
        raise NoValue("there is no such level")
    if belief == 0:
        raise NoValue("every leaf is changed")
    laws = tree_measures.all_states(shape, belief, depth)
    height, width = int(level), int(branching)
    leaves = laws[0]
    number = width ** int(depth)
    mean = sum(chance * sum(states) for states, chance in leaves.items())
    square = sum(chance * sum(states) ** 2 for states, chance in leaves.items())
    variance = tree_measures.covariance_of(leaves, 0, 0)
    by_height = [
        tree_measures.covariance_of(leaves, 0, width**k) if k < depth else mpf(0) for k in range(3)
    ]
    beliefs = tree_measures.beliefs_upward(shape, belief, depth)
    ancestors = [[leaf // width**k for k in range(int(depth) + 1)] for leaf in range(number)]
    met = [min(k for k in range(int(depth) + 1) if leaf[k] == 0) for leaf in ancestors]
    parent, child = (
        sum(chance for states, chance in law.items() if states[0])
        for law in (laws[height], laws[height - 1])
    )
    here = tree_measures.level_of(shape, beliefs[height - 1])
    slopes = [tree_measures.level_of(shape, at).slope() for at in beliefs[: height - 1]]
    return {
        C_0: variance,
        **dict(zip((C_1, C_2, C_3), by_height, strict=True)),
        C_l: by_height[height - 1],
        chi: (square - mean**2) / (number * variance),
        counted: met.count(height),
        path_m: mpmath.fprod(slopes),
        cov: tree_measures.covariance_of(laws[height - 1], 0, 1),
        above_m: 1 - parent,
        below_m: child,
        w_m: here.true_rule,
        A_m: sum(beliefs[height - 1] ** k for k in range(width)),
    }


@claim(
    "rhm-correlations",
    statement=(
        "Two leaves with common ancestor at level ℓ have C_ℓ = (λ₁⋯λ_{ℓ−1})² Cov(siblings at ℓ), "
        "and each leaf has (s−1)s^{ℓ−1} such partners. So χ = 1 + Σ_ℓ (s−1)s^{ℓ−1} C_ℓ/C_0. From P "
        "= p_L at the root, P(changed) = (1 − Pw)/A, level by level."
    ),
    explanation=(
        "Given the two children of the ancestor, the leaves are independent. The mean of each is "
        "affine in its child's state, with slope λ₁⋯λ_{ℓ−1} (rhm-descent). The search enumerates "
        "the states of all nodes: up to depth 3 with s = 2, and up to depth 2 with s = 3."
    ),
    where=f"{PAPER}, mean field of the ε-process: C at every tree distance, χ at finite depth",
    domain="as rhm-descent with s >= 2 and p > 0 (no leaf varies at p = 0), any depth",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.theory.mean_field.correlations",
        "rhm_theory.theory.mean_field.mean_changed",
        "rhm_theory.theory.mean_field.susceptibility",
    ],
    theorem=Theorem(
        # More leaves have too many states to enumerate.
        domain=BELOW_ONE
        | {p: between(0, 1, "[)"), s: Integers(2, 3), depth: Integers(1, 3), level: Integers(1, 3)},
        hypotheses=(ENOUGH, Le(level, depth), Le(s**depth, tree_measures.MOST_LEAVES)),
        conclusions={
            "two leaves": Eq(C_l, path_m**2 * cov),
            "partners": Eq(counted, (s - 1) * s ** (level - 1)),
            "χ": Eq(chi, 1 + (s - 1) * (C_1 + s * C_2 + s**2 * C_3) / C_0),
            "P(changed)": Eq(below_m, (1 - above_m * w_m) / A_m),
        },
        measure=every_state,
        digits=50,  # a leaf's variance is down to 1e-12
        points=10,
    ),
    joins=[
        GEOMETRIC,
        join(
            "tree Markov property",
            "given the ancestor's two children, the leaves are independent",
            model="known:a child's rule depends on its own symbol only",
        ),
        join(
            "conditioning",
            "two leaves",
            parts=(
                "given the ancestor's two children, the leaves are independent",
                "covariance of a + Λn and b + Λn'",
                "claim:rhm-descent",
                "claim:rhm-sibling-covariance",
            ),
        ),
        join(
            "counting",
            "partners",
            number="they add up: the leaves below level ℓ that are not below level ℓ - 1",
        ),
        join(
            "linearity of expectation", "χ", terms=("two leaves", "partners", "sums in closed form")
        ),
        join(
            "conditioning",
            "P(changed)",
            parts=("P(changed), by its parent's state", "claim:rhm-descent"),
        ),
    ],
    counterexample=(
        "v, m, s, p₀, depth at which the enumeration of all states gives another covariance"
    ),
)
def correlations(
    joined=path**2 * siblings,
    partners=(s - 1) * s ** (level - 1),
    changed=(1 - unchanged * w) / A,
):
    yield from geometric_steps()
    one, other, both = sp.symbols(
        "x y z", positive=True
    )  # means of two siblings' states, and of their product
    affine = first * second + first * path * other + second * path * one + path**2 * both
    apart = (first + path * one) * (second + path * other)
    yield Equal(
        "covariance of a + Λn and b + Λn'",
        (affine - apart).subs(both, siblings + one * other),
        joined,
    )
    yield Equal(
        "they add up: the leaves below level ℓ that are not below level ℓ - 1",
        partners,
        s**level - s ** (level - 1),
    )
    mixed = unchanged * (1 - w) / A + (1 - unchanged) / A
    yield Equal("P(changed), by its parent's state", mixed, changed)


F_slope, at_leaf, at_top, gained = sp.symbols("F'_m p_0 p_l dp_l", real=True)


def along_a_path(vocabulary, rules_per_symbol, branching, belief, level):
    """Slopes by complex steps through Bayes' rule, and λ from the states of the children."""
    shape = Shape(vocabulary, rules_per_symbol, branching)
    beliefs = tree_measures.beliefs_upward(shape, belief, level)
    slopes = [tree_measures.level_of(shape, at).slope() for at in beliefs]
    fixed = measures.interior_fixed_points(shape)
    found = {
        F_p: measures.bayes(shape, belief),
        slope_p: measures.slope_at(lambda at: measures.bayes(shape, at), belief),
        damped: slopes[0],
        path_m: mpmath.fprod(slopes[:-1]),
        at_top: beliefs[-1],
        gained: measures.slope_at(
            lambda at: tree_measures.beliefs_upward(shape, at, level)[-1], belief
        ),
        slope_star: mpmath.nan,
        F_slope: mpmath.nan,
    }
    if fixed:
        found[slope_star] = measures.slope_at(lambda at: measures.bayes(shape, at), fixed[0])
        found[F_slope] = branching * tree_measures.level_of(shape, fixed[0]).slope()
    return found


@claim(
    "rhm-path-damping",
    statement=(
        "F′(p) = sλ · F(1−F)/(p(1−p)) for every p. So sλ = F′(p*) at each interior fixed point, "
        "and along a path s^ℓ λ₁⋯λ_ℓ = (dp_ℓ/dp₀) p₀(1−p₀)/(p_ℓ(1−p_ℓ))."
    ),
    explanation=(
        "λ = w/A with A = (1-p^s)/(1-p). Where F(p) = p the quotient is 1. Along a path the "
        "quotients telescope, since F(p_ℓ) = p_{ℓ+1}."
    ),
    where=f"{PAPER}, mean field of the ε-process: what goes down is what came up",
    domain="v >= 2, 1 <= m <= v^(s-1), every s >= 2, 0 < p < 1",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.criticality",
    theorem=Theorem(
        domain=BELOW_ONE | {level: Integers(0, 4)},
        hypotheses=(ENOUGH,),
        conclusions={
            "F'": Eq(slope_p, s * damped * F_p * (1 - F_p) / (p * (1 - p))),
            "at a fixed point": Implies(WITH_TRANSITION, Eq(F_slope, slope_star)),
            "along a path": Eq(s**level * path_m, gained * p * (1 - p) / (at_top * (1 - at_top))),
        },
        measure=along_a_path,
        digits=120,  # 1 - p falls to 1e-24, and each of the levels loses such a factor
        most_digits=240,
        points=9,
    ),
    joins=[
        join(
            "identity",
            "F'",
            equation=("F'", "λ is that of rhm-descent", "claim:rhm-descent"),
        ),
        join(
            "identity",
            "at a fixed point",
            equation=("F'", "the quotient minus 1", "claim:rhm-transition"),
        ),
        join("induction", "along a path", base="F'", step=("F'", "two quotients telescope")),
    ],
    counterexample="v, m, s, p at which s λ F(1-F)/(p(1-p)) is not F'(p)",
)
def path_damping(
    ratio=image * (1 - image) / (p * (1 - p)),
    excess=(image - p) * (1 - image - p) / (p * (1 - p)),
):
    lost = power * (tuples - 1) / numerator / terms
    yield Equal("F'", slope_of_upward, s * lost * ratio.subs(image, upward))
    yield Equal("λ is that of rhm-descent", lost, true_rule / terms)
    yield Equal("the quotient minus 1", ratio - 1, excess)
    highest = sp.Symbol("p_2", positive=True)
    above = ratio.subs({p: image, image: highest}, simultaneous=True)
    yield Equal("two quotients telescope", ratio * above, ratio.subs(image, highest))


far = sp.Symbol("far", positive=True)  # 2^k after k levels
P_k, P_rest = sp.symbols("P_k P_rest", real=True)
FEW_LEVELS = 16


def down_at_the_transition(vocabulary, rules_per_symbol, branching, far=None):
    """Level by level down from a root at p*, every level with the belief p*."""
    shape = Shape(vocabulary, rules_per_symbol, branching)
    fixed = measures.the_fixed_point(shape)
    law = tree_measures.level_of(shape, fixed)
    levels = FEW_LEVELS if far is None else int(mpmath.nint(mpmath.log(far, 2)))
    state, covariances = fixed, [law.covariance(fixed)]
    for _ in range(levels):
        state = 1 - law.changed(state)
        covariances.append(law.covariance(state))
    return {
        p_star: fixed,
        w_m: law.true_rule,
        A_m: sum(fixed**k for k in range(int(branching))),
        damped: law.slope(),
        cov_root: covariances[0],
        least: min(covariances),
        P_k: state,
        cov: covariances[-1],
    }


of_rest = (A_m - 1) / (A_m - w_m)
below_true = p_star * w_m - p_star**s
cov_rest = (1 - w_m) * below_true / (A_m - w_m) ** 2
BY_LEVELS = sp.log(damped) / sp.log(2)
FORTY_AND_EIGHTY = (str(2**40), str(2**80))  # levels: there λ^2k is small beside λ^k


@claim(
    "rhm-stationary-covariance",
    statement=(
        "At p*, going down, the probability of being unchanged tends to (A−1)/(A−w), with an error "
        "of λ^k after k levels. The covariance of siblings goes from (pw−p^s)(1−pw)/A² at the root "
        "to (1−w)(pw−p^s)/(A−w)². All of them are positive, since pw > p^s for m < v^{s−1}."
    ),
    explanation=(
        "P -> 1 - (1 - Pw)/A is affine with slope λ in (0, 1), so P moves monotonically from p* to "
        "its limit. (Pw - p^s)(1 - Pw) is concave in P, so it is at least the smaller of its two "
        "end values."
    ),
    where=f"{PAPER}, mean field of the ε-process, at the transition",
    domain="where rhm-transition has an interior fixed point p*; then 1 < m < v^(s-1)",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.criticality",
    theorem=Theorem(
        domain=BRANCHING,
        hypotheses=WITH_TRANSITION,
        conclusions={
            "the probability": limit(P_k, of_rest, far, BY_LEVELS, at=FORTY_AND_EIGHTY),
            "at the root": Eq(cov_root, below_true * (1 - p_star * w_m) / A_m**2),
            "in the limit": limit(cov, cov_rest, far, BY_LEVELS, at=FORTY_AND_EIGHTY),
            "pw > p^s": Gt(below_true, 0),
            "all positive": Gt(least, 0),
            "its limit is positive": Gt(cov_rest, 0),
        },
        measure=down_at_the_transition,
        digits=100,  # λ > 1/s, so λ^80 is above 1e-60
        points=10,
    ),
    joins=[
        GEOMETRIC,
        join(
            "affine iteration",
            "the probability",
            rest_point="the limit is at rest",
            slope="the slope of the step is λ",
            below_one=(OTHER_RULE, W_BELOW_ONE, A_IS_SUM, "claim:rhm-descent"),
        ),
        join(
            "identity",
            "at the root",
            equation=("covariance at the root, P = p*", "claim:rhm-sibling-covariance"),
        ),
        join(
            "identity",
            "in the limit",
            equation=(
                "the probability",
                "covariance in the limit",
                "sums in closed form",
                "known:a polynomial in P is continuous, with bounded slope on [0, 1]",
            ),
        ),
        join(
            "sign",
            "pw > p^s",
            sign=(
                "pw - p^s at p*, over pw",
                "denominator of F",
                "which is positive for v^s = mv + t, p < 1",
                "claim:rhm-fixed-points",
                "known:most is the mean of 1, v, .., v^(s-1), so m < v^(s-1)",
            ),
        ),
        join(
            "sign",
            "its limit is positive",
            sign=("pw > p^s", OTHER_RULE, W_BELOW_ONE),
        ),
        join(
            "concavity",
            "all positive",
            concave="it is concave in P",
            ends=("at the root", "its limit is positive", "pw > p^s", W_BELOW_ONE),
        ),
    ],
    counterexample=(
        "v, m, s with a transition at which two siblings, at some level, have a covariance <= 0"
    ),
)
def stationary_covariance(
    stationary=(A - 1) / (A - w),
    covariance=(1 - w) * (p * w - power) / (A - w) ** 2,
    at_root=(p * w - power) * (1 - p * w) / A**2,
    excess=(tuples - m * v) * (1 - power) / (tuples - 1),
):
    yield from geometric_steps()
    step = 1 - (1 - unchanged * w) / A
    yield Equal("the limit is at rest", step.subs(unchanged, stationary), stationary)
    yield Equal("the slope of the step is λ", sp.diff(step, unchanged), damping)
    # p^s = 1 - A (1-p), by the closed form of A.
    of_sum = {p: 1 - (1 - power) / A}
    limit_value = siblings.subs(unchanged, stationary)
    placeholder = sp.Symbol("X", positive=True)  # p^s

    def by_power(e):
        return e.subs(power, placeholder).subs(p, of_sum[p].subs(power, placeholder))

    yield Equal("covariance in the limit", by_power(limit_value), by_power(covariance))
    yield Equal("covariance at the root, P = p*", siblings.subs(unchanged, p), at_root)
    yield Equal("it is concave in P", sp.diff(siblings, unchanged, 2), -2 * w**2 / A**2)
    yield other_rule_step()
    yield true_rule_step()
    # At p* the numerator of F is p times its denominator,
    # (v^s - mv) p^s + mv - 1 = v^s - 1 - (v^s - mv)(1 - p^s).
    denominator = tuples - 1 - (tuples - m * v) * (1 - power)
    weight = power * (tuples - 1) / (p * denominator)
    yield Equal("pw - p^s at p*, over pw", (p * weight - power) / (p * weight), excess)
    yield Equal("denominator of F", denominator, (tuples - m * v) * power + m * v - 1)
    below_most = (
        excess.subs(tuples, m * v + slack)
        .subs({m: 1 + first, v: 1 + second})
        .subs(power, 1 / (1 + path))
    )
    yield Positive("which is positive for v^s = mv + t, p < 1", below_most)


largest_cov, P_leaf, off_true = sp.symbols("Cov_largest P_leaf off", real=True)


def every_string(vocabulary, branching, belief, depth):
    """A tree of m = v^(s-1) rules for each symbol, up and down by Bayes' rule."""
    if depth < 1:
        raise NoValue("the root has children")
    shape = Shape(vocabulary, vocabulary ** (branching - 1), branching)
    found = tree_measures.tree(shape, belief, depth)
    beliefs = tree_measures.beliefs_upward(shape, belief, depth)
    rule = tree_measures.children(shape, beliefs[-2]).true_rule
    return {
        chi: found.susceptibility,
        least: found.least,
        largest_cov: found.largest,
        P_leaf: 1 - found.changed,
        off_true: beliefs[-1] * rule - beliefs[-2] ** branching,
    }


@claim(
    "rhm-free-strings",
    statement=(
        "For m = v^{s−1} nothing correlates. At every level Pw = p^s, siblings have covariance 0, "
        "and a child is unchanged with its own p. So χ = 1."
    ),
    explanation=(
        "Go down from the root, where P = F(p). Then Pw = F(p)w = p^s, and a child has P = 1 - (1 "
        "- Pw)/A = p, which is F of the level below."
    ),
    where=f"{PAPER}, mean field of the ε-process: every string is valid",
    domain="m = v^(s-1), v >= 2, s >= 2, 0 < p < 1, any depth >= 1",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.susceptibility_peak",
    theorem=Theorem(
        domain={
            v: Integers(2, 60),
            s: Integers(2, 6),
            p: between(0, 1, decades=6),  # the leaf's variance must not vanish in 30 digits
            depth: Integers(1, 12),
        },
        conclusions={
            "Pw": Eq(off_true, 0),
            "no covariance is negative": Eq(least, 0),
            "no covariance is positive": Eq(largest_cov, 0),
            "a leaf's P": Eq(P_leaf, p),
            "χ": Eq(chi, 1),
        },
        measure=every_string,
        points=12,
    ),
    joins=[
        GEOMETRIC,
        join("identity", "Pw", equation=("F(p) w", "claim:rhm-descent")),
        join(
            "induction",
            "a leaf's P",
            base="Pw",
            step=("a child's P", "Pw", "claim:rhm-descent", "sums in closed form"),
        ),
        join(
            "identity",
            ("no covariance is negative", "no covariance is positive"),
            equation=("covariance of siblings", "a leaf's P", "claim:rhm-sibling-covariance"),
        ),
        join(
            "identity",
            "χ",
            equation=(
                "no covariance is negative",
                "no covariance is positive",
                "claim:rhm-correlations",
            ),
        ),
    ],
    counterexample=(
        "v, s, a noise and a depth at which m = v^(s-1) has a susceptibility other than 1"
    ),
)
def free_strings(rules=v ** (s - 1), chosen=power, kept=p):
    yield from geometric_steps()
    yield Equal("F(p) w", (upward * true_rule).subs(m, rules), chosen)
    yield Equal("covariance of siblings", siblings.subs(unchanged, chosen / w), 0)
    yield Equal("a child's P", 1 - (1 - chosen) / terms, kept)


lost_rule_m, changed_m, excess_chi = sp.symbols("lost_rule changed chi_1", real=True)


def almost_no_noise(vocabulary, rules_per_symbol, branching, a, b, depth, t=None):
    """One level whose beliefs are t from 1, and a tree with the noise t."""
    shape = Shape(vocabulary, rules_per_symbol, branching)
    small = mpf(1) / 2 if t is None else t
    if not 0 <= small * b <= 1:
        raise NoValue("a probability lies in [0, 1]")
    law = tree_measures.level_of(shape, 1 - small * a)
    start = 1 - small + small / vocabulary
    excess = tree_measures.tree(shape, start, depth).susceptibility - 1
    rounding = mpf(10) ** (-mpmath.mp.dps // 2)
    return {
        lost_rule_m: 1 - law.true_rule,
        changed_m: law.changed(1 - small * b),
        cov: law.covariance(1 - small * b),
        excess_chi: excess if abs(excess) > rounding else mpf(0),  # as for m = v^(s-1)
    }


SMOOTH = "known:rational functions are smooth where they are defined"
SMALL_NOISES = ("1e-8", "1e-9")
lost_share = (m - 1) * s * first / (tuples - 1)


@claim(
    "rhm-small-noise",
    statement=(
        "χ = 1 + O(ε) as ε → 0. With 1 − p = ta and 1 − P = tb, t → 0, the parent takes another "
        "rule with probability t s(m−1)a/(v^s−1) + O(t²). A child is changed with probability t(b "
        "+ s(m−1)a/(v^s−1))/s + O(t²), and siblings have covariance O(t²)."
    ),
    explanation=(
        "Both factors of Cov = (Pw - p^s)(1 - Pw)/A² vanish at t = 0. A leaf's variance does not "
        "fall as fast: b > 0 at the root, as F' > 0, and so on each level below. A tends to s."
    ),
    where=f"{PAPER}, mean field of the ε-process as ε → 0",
    domain=(
        "v >= 2, 1 <= m <= v^(s-1), s >= 2, a > 0, b >= 0, any depth; of grammars "
        "in place of their averages: rhm-zero-noise"
    ),
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.susceptibility",
    theorem=Theorem(
        domain=BRANCHING
        | {
            # ta and tb are small for these a and b only.
            first: positive_within(3),
            second: between(0, None, "[)", decades=3),
            depth: Integers(0, 5),
        },
        hypotheses=(ENOUGH,),
        conclusions={
            "another rule": Order(
                lost_rule_m - slack * lost_share, slack, sp.Integer(2), at=SMALL_NOISES
            ),
            "a child": Order(
                changed_m - slack * (second + lost_share) / s,
                slack,
                sp.Integer(2),
                at=SMALL_NOISES,
            ),
            "siblings": Order(cov, slack, sp.Integer(2), at=SMALL_NOISES),
            "χ": Order(excess_chi, slack, sp.Integer(1), at=SMALL_NOISES),
        },
        measure=almost_no_noise,
        digits=100,  # the errors are squares of numbers down to 1e-21
        points=12,
    ),
    joins=[
        join(
            "Taylor series",
            "another rule",
            derivatives="d(1 - w)/dt",
            smooth=(SMOOTH, "claim:rhm-descent"),
        ),
        join(
            "Taylor series",
            "a child",
            derivatives=("d(1 - Pw)/dt, by A over the child's", "d(1 - w)/dt"),
            smooth=(SMOOTH, "claim:rhm-descent"),
        ),
        join(
            "Taylor series",
            "siblings",
            derivatives=("the covariance at t = 0", "its slope there", "d(1 - w)/dt"),
            smooth=(SMOOTH, "claim:rhm-sibling-covariance"),
        ),
        join(
            "identity",
            "χ",
            equation=(
                "siblings",
                "a child",
                "which is positive for m - 1 = l, v^s - 1 = F'",
                "claim:rhm-upward-slope",
                "claim:rhm-correlations",
            ),
        ),
    ],
    counterexample=(
        "v, m, s and a depth at which χ of the mean field tends to another number than 1 as ε → 0"
    ),
)
def small_noise(
    lost_rule=s * (m - 1) * first / (tuples - 1),
    changed=second + s * (m - 1) * first / (tuples - 1),
):
    near = {p: 1 - slack * first, unchanged: 1 - slack * second}
    other = sp.diff((1 - true_rule).subs(near), slack).subs(slack, 0)
    yield Equal("d(1 - w)/dt", other, lost_rule)
    another = sp.Function("o")(slack)  # 1 - w, of which the value and the slope at 0 are known

    def at_zero(e):
        return e.subs({sp.diff(another, slack): lost_rule, another: 0}).subs(slack, 0)

    whole = (unchanged * (1 - another)).subs(near)
    yield Equal("d(1 - Pw)/dt, by A over the child's", at_zero(sp.diff(1 - whole, slack)), changed)
    yield Positive(
        "which is positive for m - 1 = l, v^s - 1 = F'",
        changed.subs(tuples, 1 + ascent).subs(m, 1 + none_or_more),
    )
    covariance = (whole - power.subs(near)) * (1 - whole)  # times A², whose limit is s²
    yield Equal("the covariance at t = 0", at_zero(covariance), 0)
    yield Equal("its slope there", at_zero(sp.diff(covariance, slack)), 0)


def root_at_the_transition(vocabulary, rules_per_symbol, branching, depth):
    """The root's slope in the noise, by a complex step through all levels."""
    shape = Shape(vocabulary, rules_per_symbol, branching)
    fixed = measures.the_fixed_point(shape)

    def root(noise):
        start = 1 - noise + noise / vocabulary
        return tree_measures.beliefs_upward(shape, start, depth)[-1]

    return {
        slope_star: measures.slope_at(lambda at: measures.bayes(shape, at), fixed),
        root_rate: -measures.slope_at(root, (1 - fixed) / (1 - 1 / vocabulary)),
    }


@claim(
    "rhm-root-slope",
    statement=(
        "At ε* the root's belief falls with the noise at the rate (1 − 1/v) F′(p*)^L = (1 − "
        "1/v) d^{1/ν}."
    ),
    explanation=(
        "p₀ falls at the rate 1 - 1/v and starts at p*. Each level multiplies the slope by F'(p*), "
        "since p* is a fixed point."
    ),
    where=f"{PAPER}, the class transition at finite depth",
    domain="where rhm-transition has an interior fixed point p*; the mean field, d = s^L leaves",
    origin="new",
    evidence="proved",
    backs="rhm_theory.experiment.trajectories.root_slope",
    theorem=Theorem(
        domain=BRANCHING | {depth: Integers(0, 8)},
        hypotheses=WITH_TRANSITION,
        conclusions={
            "by levels": Eq(root_rate, (1 - 1 / v) * slope_star**depth),
            "by leaves": Eq(
                root_rate, (1 - 1 / v) * (s**depth) ** (sp.log(slope_star) / sp.log(s))
            ),
        },
        measure=root_at_the_transition,
        points=15,
    ),
    joins=[
        join(
            "induction",
            "by levels",
            base=("no level", "claim:rhm-upward-map"),
            step=("one level more", "claim:rhm-transition"),
        ),
        join("identity", "by leaves", equation=("by levels", "ln F'^L is ln d^(1/ν)")),
    ],
    counterexample=(
        "v, m, s and a depth L at which the root's belief falls at ε* with another slope"
    ),
)
def root_slope(at_critical=(1 - 1 / v) * ascent**level, growth=1 / exponent):
    yield Equal("no level", -sp.diff(1 - noise + noise / v, noise), at_critical.subs(level, 0))
    yield Equal("one level more", at_critical.subs(level, level + 1), ascent * at_critical)
    nu = sp.log(s) / sp.log(ascent)
    yield Equal(
        "ln F'^L is ln d^(1/ν)",
        level * sp.log(ascent),
        growth.subs(exponent, nu) * level * sp.log(s),
    )
