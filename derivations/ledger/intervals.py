"""Rigorous enclosures: SymPy expressions in Arb balls, and the Krawczyk test for a root.

Every ball contains the exact value, rounding included. So a comparison of balls is a proof.
python-flint is imported only here, and only when a certificate is first asked for.
"""

from collections.abc import Mapping, Sequence

import sympy as sp

PRECISION = 160  # bits; the boxes certified here are 1e-12 wide or wider


def flint():
    """The python-flint module. ``ImportError`` says what to install if it is missing."""
    try:
        import flint as module
    except ImportError as error:
        raise ImportError("certified claims need python-flint: pip install python-flint") from error
    return module


def enclose(expression: sp.Expr, point: Mapping[sp.Symbol, object]):
    """A ball that contains ``expression`` at every point of the balls or rationals in ``point``."""
    module = flint()
    with module.ctx.workprec(PRECISION):
        return _enclose(
            sp.sympify(expression), {symbol: ball(value) for symbol, value in point.items()}, {}
        )


def ball(value, radius=0):
    """An exact rational, integer or decimal string as a ball, widened by ``radius``."""
    module = flint()
    with module.ctx.workprec(PRECISION):
        if isinstance(value, module.arb):
            return value
        value, radius = sp.Rational(value), sp.Rational(radius)
        centre = module.arb(module.fmpq(int(value.p), int(value.q)))
        return centre + module.arb(0, 1) * module.arb(module.fmpq(int(radius.p), int(radius.q)))


def _enclose(node: sp.Expr, point: Mapping, seen: dict):
    if node in seen:  # shared subexpressions are the rule in derivatives
        return seen[node]
    if node.is_Symbol:
        result = point[node]
    elif node.is_Rational:
        result = ball(node)
    elif node is sp.E:
        result = ball(1).exp()
    elif node.is_Add or node.is_Mul:
        first, *rest = (_enclose(argument, point, seen) for argument in node.args)
        result = first
        for other in rest:
            result = result + other if node.is_Add else result * other
    elif node.is_Pow and node.exp.is_Integer:
        result = _enclose(node.base, point, seen) ** int(node.exp)
    else:
        operations = {sp.exp: "exp", sp.log: "log", sp.tanh: "tanh", sp.LambertW: "lambertw"}
        if node.func not in operations:
            raise NotImplementedError(f"no ball arithmetic for {node.func.__name__} in {node}")
        result = getattr(_enclose(node.args[0], point, seen), operations[node.func])()
    seen[node] = result
    return result


def krawczyk(
    equations: Sequence[sp.Expr],
    unknowns: Sequence[sp.Symbol],
    centre: Sequence,
    radius,
    point: Mapping,
) -> tuple[bool, str]:
    """Whether the box ``centre ± radius`` provably holds exactly one root of ``equations``.

    The Krawczyk operator is ``K = c - C F(c) + (1 - C F'(box)) (box - c)``. Here ``C`` is an
    approximate inverse of the Jacobian at c. If K lies in the interior of the box, the box holds
    exactly one root. A box without the root fails.
    """
    module = flint()
    jacobian = sp.Matrix(equations).jacobian(unknowns)
    with module.ctx.workprec(PRECISION):
        centres = [ball(value) for value in centre]
        box = [ball(value, radius) for value in centre]
        at_centre, in_box = (
            dict(point) | dict(zip(unknowns, values, strict=True)) for values in (centres, box)
        )
        size = len(unknowns)
        slope = module.arb_mat(
            [[enclose(entry, at_centre).mid() for entry in jacobian.row(i)] for i in range(size)]
        )
        inverse = slope.inv()
        value = module.arb_mat([[enclose(equation, at_centre)] for equation in equations])
        contraction = module.arb_mat(
            size, size, [int(i == j) for i in range(size) for j in range(size)]
        )
        contraction -= inverse * module.arb_mat(
            [[enclose(entry, in_box) for entry in jacobian.row(i)] for i in range(size)]
        )
        offset = module.arb_mat([[box[i] - centres[i]] for i in range(size)])
        image = (
            module.arb_mat([[entry] for entry in centres]) - inverse * value + contraction * offset
        )
        inside = all(box[i].contains_interior(image[i, 0]) for i in range(size))
        enclosure = ", ".join(image[i, 0].str(15, radius=True) for i in range(size))
    place = "inside" if inside else "not inside"
    size_of_box = f"{float(sp.Rational(radius)):.0e}"
    return inside, f"Krawczyk image ({enclosure}) {place} the box of radius {size_of_box}"
