"""Chains of hidden states, and what they contain.

* :func:`markov_chain`: each state emits a symbol of its own.
* :func:`independent_sites`: one state. So the symbols are independent.
* :func:`hidden_markov`: any chain of states. If no state ever changes, it is a flat mixture of
  independent symbols; :func:`rhm_theory.controls.mixture` mixes any models.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Float

from rhm_theory.models.hidden_markov import HiddenMarkov
from rhm_theory.models.sites import require_sum_one
from theory_common import checks
from theory_common.claims import backed_by


@backed_by("hidden-markov-passes")
def hidden_markov(
    transition: Float[ArrayLike, "states states"] | Sequence,
    emission: Float[ArrayLike, "*sites states vocabulary"] | Sequence,
    *,
    length: int,
    initial: Float[ArrayLike, " states"] | Sequence | None = None,
) -> HiddenMarkov:
    """A chain of hidden states, each of which emits a symbol.

    Args:
        transition: ``transition[a, b]`` = P(next state is b | a); square, rows >= 0 that sum to 1.
        emission: ``emission[a, x]`` = P(symbol x | state a), rows >= 0 that sum to 1; or one such
            matrix for each site.
        length: number of sites, at least 1.
        initial: law of the first state; by default the stationary one, which must be unique.

    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    Claim: ``hidden-markov-passes``.
    """
    transition = checks.nonnegative("transition", transition)
    if transition.ndim != 2 or transition.shape[0] != transition.shape[1] or not transition.size:
        raise ValueError(
            f"transition must be a square matrix of one state or more, got shape {transition.shape}"
        )
    require_sum_one("transition", transition)
    length = checks.whole("length", length, least=1)
    emission = checks.nonnegative("emission", emission).astype(transition.dtype)
    by_site = emission if emission.ndim > 2 else emission[None]
    states = len(transition)
    if by_site.ndim != 3 or by_site.shape[:2] not in ((1, states), (length, states)):
        raise ValueError(
            f"emission must have shape ({states}, vocabulary) or ({length}, {states}, vocabulary), "
            f"got {emission.shape}"
        )
    require_sum_one("emission", by_site)
    if initial is None:
        initial = _stationary(transition)
    else:
        initial = checks.nonnegative("initial", initial).astype(transition.dtype)
        if initial.shape != transition.shape[:1]:
            raise ValueError(f"initial must have shape {transition.shape[:1]}, got {initial.shape}")
        require_sum_one("initial", initial)
    return HiddenMarkov(transition=transition, initial=initial, emission=by_site, length=length)


@backed_by("hidden-markov-passes")
def markov_chain(
    transition: Float[ArrayLike, "vocabulary vocabulary"] | Sequence,
    *,
    length: int,
    initial: Float[ArrayLike, " vocabulary"] | Sequence | None = None,
) -> HiddenMarkov:
    """A chain of symbols with ``transition[a, b]`` = P(next is b | a).

    It is the hidden chain whose state *is* the symbol.

    Args:
        transition: square, rows >= 0 that sum to 1.
        length: number of sites, at least 1.
        initial: law of the first site; by default the stationary one, which must be unique.

    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    Claim: ``hidden-markov-passes``.
    """
    transition = checks.nonnegative("transition", transition)
    own = np.eye(transition.shape[0] if transition.ndim else 0)
    return hidden_markov(transition, own, length=length, initial=initial)


@backed_by("hidden-markov-passes")
def independent_sites(
    laws: Float[ArrayLike, "length vocabulary"] | Sequence,
) -> HiddenMarkov:
    """Symbols that are independent, one law for each site.

    It is the hidden chain with one state.

    Args: laws: ``laws[i, x]`` = P(symbol x at site i), rows >= 0 that sum to 1.
    Raises: ``ValueError`` or ``TypeError`` that names ``laws``.
    Claim: ``hidden-markov-passes``.
    """
    laws = checks.nonnegative("laws", laws)
    if laws.ndim != 2 or not laws.size:
        raise ValueError(f"laws must have shape (length, vocabulary), got {laws.shape}")
    require_sum_one("laws", laws)
    alone = jnp.ones((1, 1), laws.dtype)
    return HiddenMarkov(
        transition=alone, initial=alone[0], emission=laws[:, None], length=len(laws)
    )


def _stationary(transition: Array) -> Array:
    """The only law that a transition keeps."""
    size = len(transition)
    # Singular unless the law is unique; the added matrix of ones makes the solution sum to 1.
    balance = _balance(transition)
    if not checks.is_traced(balance) and np.linalg.matrix_rank(np.asarray(balance)) < size:
        raise ValueError("transition must have one stationary law, or initial must be given")
    return _kept_by(balance)


@jax.jit
def _balance(transition: Array) -> Array:
    return jnp.eye(len(transition), dtype=transition.dtype) - transition.T + 1


@jax.jit
def _kept_by(balance: Array) -> Array:
    return jnp.maximum(jnp.linalg.solve(balance, jnp.ones(len(balance), balance.dtype)), 0)
