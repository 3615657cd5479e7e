"""The network: one hidden layer of rectified linear units, many of which are trained at once."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

Parameters = Any  # the arrays of one network, as a pytree


def initial(seed: int | Int[Array, ""], sizes: tuple[int, int, int]) -> Parameters:
    """The arrays of a fresh network: He's normal weights, biases 0, in float32.

    Args:
        seed: of JAX's generator.
        sizes: numbers of inputs, hidden units and classes.
    """
    network = structure(sizes)
    keys = jax.random.split(jax.random.key(seed), len(network.layers))
    weights = [
        jax.random.normal(key, layer.weight.shape, jnp.float32)
        * np.float32(np.sqrt(2 / layer.weight.shape[1]))
        for key, layer in zip(keys, network.layers, strict=True)
    ]
    biases = [jnp.zeros(layer.out_features, jnp.float32) for layer in network.layers]
    filled = eqx.tree_at(lambda one: [layer.weight for layer in one.layers], network, weights)
    filled = eqx.tree_at(lambda one: [layer.bias for layer in one.layers], filled, biases)
    return eqx.filter(filled, eqx.is_array)


def structure(sizes: tuple[int, int, int]) -> eqx.nn.MLP:
    """The network without meaningful numbers."""
    return eqx.nn.MLP(
        in_size=sizes[0],
        out_size=sizes[2],
        width_size=sizes[1],
        depth=1,
        key=jax.random.key(0),
        dtype=jnp.float32,
    )


def features(parameters: Parameters, inputs: Float[Array, "n d"]) -> Float[Array, "n hidden"]:
    """What the last layer receives."""
    first = parameters.layers[0]
    return jax.nn.relu(inputs @ first.weight.T + first.bias)


def logits(parameters: Parameters, inputs: Float[Array, "n d"]) -> Float[Array, "n classes"]:
    """The outputs of the network."""
    last = parameters.layers[-1]
    return features(parameters, inputs) @ last.weight.T + last.bias


def loss(
    parameters: Parameters, inputs: Float[Array, "n d"], labels: Int[Array, " n"]
) -> Float[Array, ""]:
    """The mean cross-entropy."""
    return -jnp.mean(log_probabilities(logits(parameters, inputs), labels))


def log_probabilities(
    outputs: Float[Array, "n classes"], labels: Int[Array, " n"]
) -> Float[Array, " n"]:
    """The logarithm of the probability of each label."""
    return jnp.take_along_axis(jax.nn.log_softmax(outputs), labels[:, None], 1)[:, 0]


def margins(
    parameters: Parameters, inputs: Float[Array, "n d"], labels: Int[Array, " n"]
) -> Float[Array, " n"]:
    """The logit of the right class's probability, see :mod:`gda_theory.evaluation.margins`."""
    outputs = logits(parameters, inputs)
    right = jnp.take_along_axis(outputs, labels[:, None], 1)[:, 0]
    others = jnp.where(jnp.arange(outputs.shape[1]) == labels[:, None], -jnp.inf, outputs)
    return right - jax.nn.logsumexp(others, axis=1)
