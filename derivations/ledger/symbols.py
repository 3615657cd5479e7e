"""The symbols that all derivations share, their assumptions, and the words a reader may give them.

Greek letters keep the paper's names. :data:`WORDS` says which word of the library each one is. So
``claim.evaluate(ridge=0.1, correlation=0.5)`` reads like a call of the library.
"""

import sympy as sp

w, b, c = sp.symbols("w b c", real=True)
x, y = sp.symbols("x y", real=True)
ridge, alpha, retain, forget = sp.symbols("lambda alpha r f", positive=True)
on_coordinate, in_pair = sp.symbols("r_j r_p", positive=True)
strength = sp.Symbol("gamma", nonnegative=True)
mass = sp.Symbol("K", real=True)

# The correlation. Proofs that need epsilon < 1 substitute ``below_one``.
epsilon = sp.Symbol("epsilon", positive=True)
odds, other_odds = sp.symbols("t tau", positive=True)
# Every number of (0, 1) is t/(1+t) for one t > 0: its positivity is then a matter of coefficients.
below_one = odds / (1 + odds)
also_below_one = other_odds / (1 + other_odds)  # a second, independent number of (0, 1)

# Masses of the retain type and the forget type, and of the pretrained retain type.
A, B, a = sp.symbols("A B a", positive=True)
P, Q = sp.symbols("P Q", positive=True)  # the duals A phi(x)/lambda and B phi(y)/lambda
k11, k12, k22 = sp.symbols("k11 k12 k22", positive=True)  # Gram matrix of the two sample types

total = retain + forget
s = 1 + epsilon**2
q = (1 - epsilon**2) ** 2
paper_gram = {k11: s, k12: 2 * epsilon, k22: s}
gram_determinant = k11 * k22 - k12**2

# The numbers of a random hierarchy, as real numbers.
vocabulary, rules_per_symbol, branching, belief = sp.symbols("v m s p", positive=True)

# Minus the derivative of any margin loss: positive, and decreasing where a claim says so.
phi = sp.Function("phi", real=True)

WORDS = {
    "weight": w,
    "ridge": ridge,
    "alpha": alpha,
    "retain_size": retain,
    "forget_size": forget,
    "retain_on_coordinate": on_coordinate,
    "retain_in_pair": in_pair,
    "strength": strength,
    "mass": mass,
    "correlation": epsilon,
    "retain_mass": A,
    "forget_mass": B,
    "retain_dual": P,
    "forget_dual": Q,
    "vocabulary": vocabulary,
    "rules_per_symbol": rules_per_symbol,
    "branching": branching,
    "belief": belief,
}
