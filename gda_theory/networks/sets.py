r"""Forget sets: random rows, rows along principal components, neighbours, easy and flipped rows.

Principal components are those of the *neural tangent kernel* of the loss,
:math:`G_{ij} = \langle\nabla\ell_i, \nabla\ell_j\rangle`, averaged over pretrained networks. For a
network of fully connected layers it is the sum over layers of
:math:`\langle\delta_i, \delta_j\rangle (\langle a_i, a_j\rangle + 1)`, with the inputs a of a layer
and the gradients :math:`\delta` at its outputs.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from gda_theory.networks import model
from gda_theory.networks.data import NetworkData
from gda_theory.networks.model import Parameters

NETWORKS = 20  # over which kernel and losses are averaged
KINDS = ("random", "pc1_top", "pc1_bottom", "pc2_top", "neighbours", "easy", "flipped")


def forget_sets(
    data: NetworkData,
    pretrained: Parameters,
    count: int,
    seed: int,
    kinds: Sequence[str] = KINDS,
) -> dict[str, Int[np.ndarray, " count"]]:
    """One forget set of each kind, as row numbers.

    * ``random``: drawn from all rows.
    * ``pc1_top``, ``pc1_bottom``, ``pc2_top``: the rows that stand out most along a principal
      component of the kernel. Its sign is such that its entries have a positive sum of cubes.
    * ``neighbours``: a random row and those whose inputs are nearest to it.
    * ``easy``: the rows with the least loss.
    * ``flipped``: random rows with a flipped label. It is the control for the components, which
      find flipped rows as well.

    Args:
        data: with the training rows.
        pretrained: networks trained on all rows, with the networks in the first axis.
        count: rows of each set.
        seed: of NumPy's generator.
        kinds: which of them.
    Raises: ``ValueError`` for an unknown kind, or if there are not enough rows.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"kinds must be among {', '.join(KINDS)}, got {unknown[0]!r}")
    rows = len(data.inputs)
    if not 0 < count < rows:
        raise ValueError(f"count must lie between 1 and {rows - 1}, got {count}")
    if "flipped" in kinds and data.flipped.sum() < count:
        raise ValueError(
            f"data must have {count} flipped rows for the set 'flipped', got {data.flipped.sum()}"
        )
    generator = np.random.default_rng(seed)
    some = jax.tree.map(lambda leaf: leaf[:NETWORKS], pretrained)
    first, second = components(some, data)
    losses = mean_losses(some, data)
    centre = generator.integers(rows)
    distances = np.linalg.norm(data.inputs - data.inputs[centre], axis=1)
    found = {
        "random": generator.choice(rows, count, replace=False),
        "pc1_top": np.argsort(-first)[:count],
        "pc1_bottom": np.argsort(first)[:count],
        "pc2_top": np.argsort(-second)[:count],
        "neighbours": np.argsort(distances, kind="stable")[:count],
        "easy": np.argsort(losses, kind="stable")[:count],
    }
    if "flipped" in kinds:
        found["flipped"] = generator.choice(np.flatnonzero(data.flipped), count, replace=False)
    return {kind: np.sort(found[kind]) for kind in kinds}


def mean_losses(networks: Parameters, data: NetworkData) -> Float[np.ndarray, " n"]:
    """The loss of each training row, averaged over networks."""
    return np.asarray(_losses(networks, data.inputs, data.labels), float)


def components(networks: Parameters, data: NetworkData) -> Float[np.ndarray, "2 n"]:
    """The first two principal components of the kernel, as unit vectors over the rows."""
    kernel = np.asarray(
        mean_kernel(networks, jnp.asarray(data.inputs), jnp.asarray(data.labels)), float
    )
    _, vectors = np.linalg.eigh(kernel)
    leading = vectors[:, [-1, -2]].T
    signs = np.sign(np.sum(leading**3, axis=1, keepdims=True))
    return leading * np.where(signs == 0, 1, signs)


@jax.jit
def mean_kernel(
    networks: Parameters, inputs: Float[jax.Array, "n d"], labels: Int[jax.Array, " n"]
) -> Float[jax.Array, "n n"]:
    """The neural tangent kernel of the loss, averaged over networks."""

    def one(parameters: Parameters) -> Float[jax.Array, "n n"]:
        hidden = model.features(parameters, inputs)
        outputs = model.logits(parameters, inputs)
        last = jax.nn.softmax(outputs) - jax.nn.one_hot(
            labels, outputs.shape[1], dtype=outputs.dtype
        )
        first = (last @ parameters.layers[-1].weight) * (hidden > 0)
        return (last @ last.T) * (hidden @ hidden.T + 1) + (first @ first.T) * (
            inputs @ inputs.T + 1
        )

    return jnp.mean(jax.lax.map(one, networks), axis=0)


@jax.jit
def _losses(networks: Parameters, inputs, labels) -> Float[jax.Array, " n"]:
    def one(parameters: Parameters) -> Float[jax.Array, " n"]:
        return -model.log_probabilities(model.logits(parameters, inputs), labels)

    return jnp.mean(jax.lax.map(one, networks), axis=0)
