r"""Samplers of hidden tokens, and what can be measured of a conditional without sampling.

A *conditional* is a function from tokens ``(*batch, length)`` to log probabilities ``(*batch,
length, vocabulary)``. A hidden token is the number ``vocabulary``. Row i of the answer is the law
of token i given all tokens that are shown. Only the rows of hidden tokens are read. A trained
network is a conditional, and so is the exact posterior of a model
(:func:`exact_conditional`). So errors of a sampler and errors of a network can be told apart.

*Which sampler is exact.* Let the conditional be exact. A sampler that reveals one token at a time
draws from the exact posterior, by the chain rule. The order may depend on what is shown: both
:func:`one_at_a_time` and :func:`most_confident_first` are exact. :func:`ancestral` reveals each
token at a step of its own, uniform among the steps. If two tokens are revealed at one step, they
are drawn independently of each other. So its law differs from the posterior, in total variation, by
at most the probability that some step reveals two. With h hidden tokens

.. math:: \operatorname{TV} \le 1 - \prod_{k<h} \left(1 - \frac{k}{\text{steps}}\right)
          \le \frac{h (h-1)}{2\,\text{steps}} .

It is exact in the limit of many steps only. For two tokens the law is the posterior with weight
1 - 1/steps, and the product of the marginals with weight 1/steps.

A trained network is in general *inconsistent*: no joint law has all its conditionals. Then the
result depends on the order in which tokens are revealed, and :func:`pair_covariance` is not
symmetric.

Source: the ancestral sampler of masked diffusion, Sahoo et al., arXiv:2406.07524, Sec. 3; the bound
is that of the birthday problem.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Bool, Float, Int

from rhm_theory.inference import evidence
from rhm_theory.models import interface
from rhm_theory.models.grammar import Grammar, symbols_in
from rhm_theory.models.interface import SequenceModel
from rhm_theory.noise.processes import Mask
from theory_common import checks

Conditional: TypeAlias = Callable[
    [Int[ArrayLike, "*batch length"]], Float[ArrayLike, "*batch length vocabulary"]
]
Sampler: TypeAlias = Callable[
    [Array, Conditional, Int[ArrayLike, "*batch length"]], Int[Array, "*batch length"]
]

DOUBT = 1e-4  # likelihood of another token than the one shown, where what is shown is impossible


class PairCovariance(NamedTuple):
    """Covariances of the changes of tokens, given a set S of shown tokens.

    Attributes:
        kept: the probability of the true token at each place; 1 where it is shown.
        covariance: Cov(n_i, n_j | S), where ``columns`` says which j. It is 0 where i or j is
            shown. For i = j it is the variance.
    """

    kept: Float[Array, "*batch length"]
    covariance: Float[Array, "*batch columns length"]


def exact_conditional(model: Grammar | SequenceModel) -> Conditional:
    """The exact posterior of ``model`` as a conditional, for samplers and as a reference.

    A sampler that reveals several tokens at once can leave the language. No posterior exists then.
    There the conditional is the posterior under the likelihood 1 for the token that is shown and
    ``DOUBT`` for each other token, so the sequences with the fewest differences have the most
    weight. The function may be traced.

    Args:
        model: a :class:`rhm_theory.Grammar` or another law of symbols.

    Raises: ``TypeError`` if the model has no marginals. The conditional raises as
        :meth:`rhm_theory.Mask.likelihood` does, for tokens that are no symbols.
    """
    interface.verb(model, "sequences")
    return functools.partial(_exact_log_probabilities, model)


@jax.jit
def _exact_log_probabilities(
    model: Grammar | SequenceModel, tokens: Int[ArrayLike, "*batch length"]
) -> Float[Array, "*batch length vocabulary"]:
    def posterior(likelihood):
        found = evidence.marginals(model, likelihood)
        return found[0] if isinstance(found, tuple) else found

    seen = Mask(0.5).likelihood(tokens, vocabulary=model.vocabulary)
    exact = posterior(seen)
    impossible = jnp.isnan(exact).any((-1, -2), keepdims=True)
    found = jax.lax.cond(
        impossible.any(),
        lambda: jnp.where(impossible, posterior(jnp.maximum(seen, DOUBT)), exact),
        lambda: exact,
    )
    return jnp.log(found)


def ancestral(
    key: Array, conditional: Conditional, tokens: Int[ArrayLike, "*batch length"], *, steps: int
) -> Int[Array, "*batch length"]:
    """Reveal each hidden token at one of the ``steps``, drawn uniformly and independently.

    Tokens of one step are drawn independently of each other, given those shown before. This is
    masked diffusion run backward from its level to 0 in equal steps.

    Args:
        key: of the steps and the tokens.
        conditional: the law of each hidden token given the shown ones.
        tokens: with ``vocabulary`` in the place of each hidden token.
        steps: at least 1. One step draws all tokens from their marginals.

    Returns: the tokens, none hidden.
    Raises: ``TypeError`` or ``ValueError`` that names ``key``, ``tokens`` or ``steps``; for an
        answer of the wrong shape, or no law, also ``conditional``.
    """
    steps = checks.whole("steps", steps, least=1)
    return _filled(key, conditional, tokens, _independently, lambda step: steps - step)


def one_at_a_time(
    key: Array, conditional: Conditional, tokens: Int[ArrayLike, "*batch length"]
) -> Int[Array, "*batch length"]:
    """Reveal one hidden token after the other, in an order that is uniformly random.

    The law is the posterior if the conditional is exact.

    Args:
        key: of the order and the tokens.
        conditional: the law of each hidden token given the shown ones.
        tokens: with ``vocabulary`` in the place of each hidden token.

    Returns: the tokens, none hidden.
    Raises: as :func:`ancestral`.
    """
    return _filled(key, conditional, tokens, _in_random_order, lambda step: np.shape(tokens)[-1])


def most_confident_first(
    key: Array,
    conditional: Conditional,
    tokens: Int[ArrayLike, "*batch length"],
    *,
    steps: int | None = None,
) -> Int[Array, "*batch length"]:
    """Reveal first the hidden tokens whose most probable symbol has the highest probability.

    Their symbols are drawn, not maximised. Of equal tokens the leftmost comes first.

    Args:
        key: of the tokens.
        conditional: the law of each hidden token given the shown ones.
        tokens: with ``vocabulary`` in the place of each hidden token.
        steps: at least 1; a sequence reveals equally many tokens at each of them. One token at a
            time by default. Then the law is the posterior if the conditional is exact.

    Returns: the tokens, none hidden.
    Raises: as :func:`ancestral`.
    """
    if steps is not None:
        steps = checks.whole("steps", steps, least=1)

    def left(step: int) -> int:
        return np.shape(tokens)[-1] if steps is None else steps - step

    return _filled(key, conditional, tokens, _by_confidence, left)


def denoiser(key: Array, conditional: Conditional, sampler: Sampler = one_at_a_time) -> Callable:
    """A denoiser for :func:`rhm_theory.compare` and :func:`rhm_theory.forward_backward`.

    The noise is :class:`rhm_theory.Mask`. Each call of the denoiser draws new samples. The same
    calls in the same order give the same samples.

    Args:
        key: of the samples.
        conditional: the law of each hidden token given the shown ones.
        sampler: such as :func:`one_at_a_time`, or
            ``functools.partial(rt.denoisers.sampling.ancestral, steps=16)``.

    Returns: a function from noised sequences ``(batch, length)`` to samples.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    checks.key("key", key)
    for name, value in (("conditional", conditional), ("sampler", sampler)):
        if not callable(value):
            raise TypeError(f"{name} must be a function, got {value!r}")
    calls = itertools.count()

    def denoised(noised: Int[ArrayLike, "batch length"]) -> Int[np.ndarray, "batch length"]:
        return np.asarray(sampler(jax.random.fold_in(key, next(calls)), conditional, noised))

    return denoised


def pair_covariance(
    conditional: Conditional,
    tokens: Int[ArrayLike, "*batch length"],
    visible: Bool[ArrayLike, "*#batch length"],
    columns: Int[ArrayLike, "*#batch columns"],
    *,
    vocabulary: int,
) -> PairCovariance:
    r"""Covariances of changes, teacher-forced: without sampling, from the true tokens alone.

    Let :math:`n_i = 1` where token i is drawn anew and differs from the true one, and
    :math:`p_i(S)` the probability of the true token i given the set S of shown tokens. Then

    .. math:: \operatorname{Cov}(n_i, n_j \mid S) = p_j(S)\,(p_i(S + j) - p_i(S)).

    Here S + j shows token j too. It holds for a conditional that belongs to a joint law, and then
    the matrix is symmetric. For an inconsistent one it is the covariance of the sampler that
    reveals j first and i next. It costs one call of the conditional, and one for each column.

    Args:
        conditional: the law of each hidden token given the shown ones.
        tokens: the true sequences, none hidden.
        visible: the set S: which tokens are shown.
        columns: which j, places in [0, length), for each sequence or for all.
        vocabulary: the number of symbols, which stands for a hidden token.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: the chain rule, :math:`P(n_i = n_j = 0) = p_j(S)\,p_i(S + j)`.
    """
    tokens = symbols_in("tokens", tokens, checks.whole("vocabulary", vocabulary, least=1))
    if not tokens.ndim:
        raise ValueError("tokens must have shape (*batch, length), got ()")
    visible = _visible(visible, tokens.shape)
    columns = symbols_in("columns", columns, tokens.shape[-1])
    if not columns.ndim or not columns.shape[-1]:
        raise ValueError(f"columns must have shape (*batch, columns), got {columns.shape}")
    batch = checks.common_shape(columns=columns.shape[:-1], tokens=tokens.shape[:-1])
    if batch != tokens.shape[:-1]:
        raise ValueError(f"columns must broadcast to {tokens.shape[:-1]}, got {columns.shape[:-1]}")
    columns = jnp.broadcast_to(columns, (*batch, columns.shape[-1]))

    def kept(shown):
        asked = jnp.where(shown, tokens, vocabulary)
        log_probabilities = _answer(conditional, asked, vocabulary)
        _require_law(_is_law(log_probabilities, asked))
        return _kept(log_probabilities, tokens, shown)

    alone = kept(visible)
    covariances = []
    for column in range(columns.shape[-1]):
        place = columns[..., column, None]
        with_it = kept(visible | (jnp.arange(tokens.shape[-1]) == place))
        covariances.append(jnp.take_along_axis(alone, place, -1) * (with_it - alone))
    return PairCovariance(kept=alone, covariance=jnp.stack(covariances, -2))


def _visible(visible: Bool[ArrayLike, "..."], shape: tuple[int, ...]) -> Bool[Array, "..."]:
    found = jnp.asarray(visible)
    if found.dtype != bool:
        raise TypeError(f"visible must be boolean, True where a token is shown, got {found.dtype}")
    if checks.common_shape(visible=found.shape, tokens=shape) != shape:
        raise ValueError(f"visible must broadcast to tokens {shape}, got {found.shape}")
    return jnp.broadcast_to(found, shape)


@jax.jit
def _kept(log_probabilities, tokens, shown):
    true = jnp.take_along_axis(log_probabilities, tokens[..., None], -1)[..., 0]
    return jnp.where(shown, 1, jnp.exp(true))


# --- the loop that all samplers share


def _filled(
    key: Array, conditional: Conditional, tokens, choose: Callable, left: Callable[[int], int]
) -> Int[Array, "*batch length"]:
    """Ask the conditional and reveal the tokens that ``choose`` takes, until none is hidden.

    ``left`` says how many steps are left, with the present one.
    """
    checks.key("key", key)
    tokens = symbols_in("tokens", tokens, np.iinfo(np.int32).max)
    if not tokens.ndim:
        raise ValueError("tokens must have shape (*batch, length), got ()")
    for step in itertools.count():
        log_probabilities = _answer(conditional, tokens)
        if not step:
            symbols_in("tokens", tokens, log_probabilities.shape[-1] + 1)
        # The number of the step is an array: another one compiles nothing.
        numbers = np.array([step, left(step)], np.int32)
        tokens, lawful, hidden = _revealed(key, numbers, log_probabilities, tokens, choose)
        _require_law(lawful)
        if not hidden:
            break
    return tokens


def _answer(conditional, tokens, vocabulary=None) -> Float[Array, "*batch length vocabulary"]:
    """The log probabilities, checked: of the right shape, and a law for each hidden token."""
    found = jnp.asarray(conditional(tokens))
    wanted = (*tokens.shape, found.shape[-1] if vocabulary is None and found.ndim else vocabulary)
    if found.shape != wanted or not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(
            f"conditional must return log probabilities of shape (*batch, length, vocabulary) for "
            f"tokens of shape {tokens.shape}, got {found.dtype} of shape {found.shape}"
        )
    return found


def _require_law(lawful: bool | Array) -> None:
    if not lawful:
        raise ValueError(
            "conditional must return log probabilities, got NaN, +inf or no possible symbol "
            "for a hidden token"
        )


@jax.jit
def _is_law(log_probabilities, tokens):
    hidden = tokens == log_probabilities.shape[-1]
    return jnp.isfinite(jnp.where(hidden, log_probabilities.max(-1), 0)).all()


@functools.partial(jax.jit, static_argnames="choose")
def _revealed(key, numbers, log_probabilities, tokens, choose):
    """The tokens after a step, whether the answer was a law, and whether any token is hidden."""
    vocabulary = log_probabilities.shape[-1]
    for_place, for_symbol = jax.random.split(jax.random.fold_in(key, numbers[0]))
    chosen = choose(for_place, log_probabilities, tokens == vocabulary, numbers[1])
    drawn = jax.random.categorical(for_symbol, log_probabilities).astype(tokens.dtype)
    found = jnp.where(chosen, drawn, tokens)
    return found, _is_law(log_probabilities, tokens), (found == vocabulary).any()


def _independently(key, log_probabilities, hidden, left):
    """Each hidden token with probability 1/left: all of them at the last step."""
    del log_probabilities
    return hidden & (left * jax.random.uniform(key, hidden.shape) < 1)


def _in_random_order(key, log_probabilities, hidden, left):
    del log_probabilities
    return _first(jax.random.uniform(key, hidden.shape), hidden, left)


def _by_confidence(key, log_probabilities, hidden, left):
    del key
    return _first(log_probabilities.max(-1), hidden, left)


def _first(priority, hidden, left):
    """The hidden tokens of the highest priority: the number that is due with ``left`` steps."""
    due = -(-hidden.sum(-1, keepdims=True) // left)
    order = jnp.argsort(jnp.where(hidden, -priority, jnp.inf), -1)
    rank = jnp.argsort(order, -1)
    return hidden & (rank < due)
