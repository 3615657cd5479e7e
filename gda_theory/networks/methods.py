r"""Methods that unlearn a forget set F from a trained network, while the retain set R is at hand.

A method is a function of the network, the data and a learning rate. It returns the networks after
each epoch, with the epochs in the first axis. All use plain stochastic gradient descent, as the
paper does, except the two Newton steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from gda_theory.networks import model
from gda_theory.networks.model import Parameters

TEMPERATURE = 4.0  # of SCRUB's distillation
DISTILLATION = 0.1  # weight of the divergence to the teacher, beside the cross-entropy
DAMPING = 1e-3  # of the Newton step of the whole network
ITERATIONS = 30  # of conjugate gradients


class Task(NamedTuple):
    """What a method may use.

    * ``inputs``, ``labels``: all training rows.
    * ``forget``, ``retain``: the batches ``(epochs, steps, batch)`` of each set, as row numbers.
    * ``rate``: the learning rate. ``ascent_epochs``: in which epochs the loss on F is raised.
    * ``ridge``: of the objective whose minimum the Newton steps look for.
    * ``target``: logits ``(n, classes)`` of a retrained network, for oracle matching only.
    """

    inputs: Float[Array, "n d"]
    labels: Int[Array, " n"]
    forget: Int[Array, "epochs steps k"]
    retain: Int[Array, "epochs steps batch"]
    rate: Float[Array, ""]
    ascent_epochs: Int[Array, ""]
    ridge: Float[Array, ""]
    target: Float[Array, "n classes"]


def ascent(network: Parameters, task: Task) -> Parameters:
    """Pure gradient ascent (GA): raise the loss on F in every epoch."""

    def epoch(current: Parameters, batches: _Batches) -> Parameters:
        return _descend(current, task, batches.forget, _negative(_cross_entropy), task.rate)

    return _by_epoch(network, task, epoch)


def descent_ascent(network: Parameters, task: Task) -> Parameters:
    """Descent-ascent (GDA): in the first epochs raise the loss on F; in all, lower it on R."""

    def epoch(current: Parameters, batches: _Batches) -> Parameters:
        rate = jnp.where(batches.number < task.ascent_epochs, task.rate, 0)
        raised = _descend(current, task, batches.forget, _negative(_cross_entropy), rate)
        return _descend(raised, task, batches.retain, _cross_entropy, task.rate)

    return _by_epoch(network, task, epoch)


def fine_tune(network: Parameters, task: Task) -> Parameters:
    """Lower the loss on R only."""

    def epoch(current: Parameters, batches: _Batches) -> Parameters:
        return _descend(current, task, batches.retain, _cross_entropy, task.rate)

    return _by_epoch(network, task, epoch)


def scrub(network: Parameters, task: Task) -> Parameters:
    """SCRUB (arXiv:2302.09880): a student leaves its teacher on F, and stays with it on R.

    The teacher is the pretrained network. In the first epochs the student raises the divergence
    from the teacher on F. In all epochs it lowers cross-entropy and divergence on R.
    """

    def away(student: Parameters, task: Task, rows: Int[Array, " batch"]) -> Float[Array, ""]:
        return -_divergence(network, student, task.inputs[rows])

    def near(student: Parameters, task: Task, rows: Int[Array, " batch"]) -> Float[Array, ""]:
        divergence = _divergence(network, student, task.inputs[rows])
        return _cross_entropy(student, task, rows) + DISTILLATION * divergence

    def epoch(student: Parameters, batches: _Batches) -> Parameters:
        rate = jnp.where(batches.number < task.ascent_epochs, task.rate, 0)
        moved = _descend(student, task, batches.forget, away, rate)
        return _descend(moved, task, batches.retain, near, task.rate)

    return _by_epoch(network, task, epoch)


def scrub_with_frozen_student(network: Parameters, task: Task) -> Parameters:
    """SCRUB with the mistake of a public benchmark: the optimiser holds the teacher's parameters.

    Only what an optimiser holds is changed, and the teacher gets no gradient. So the student never
    moves, and the result is the pretrained network, at the cost of SCRUB. It is here to show what
    this mistake hides.
    """

    def epoch(student: Parameters, batches: _Batches) -> Parameters:
        return student

    return _by_epoch(network, task, epoch)


def match_oracle(network: Parameters, task: Task) -> Parameters:
    """Oracle matching (arXiv:2410.23232): fit the outputs of a retrained network on F and R.

    It needs what unlearning should spare, so it is a yardstick and no method to use.
    """

    def distance(current: Parameters, task: Task, rows: Int[Array, " batch"]) -> Float[Array, ""]:
        outputs = model.logits(current, task.inputs[rows])
        return jnp.mean(jnp.sum((outputs - task.target[rows]) ** 2, 1))

    def epoch(current: Parameters, batches: _Batches) -> Parameters:
        moved = _descend(current, task, batches.forget, distance, task.rate)
        return _descend(moved, task, batches.retain, distance, task.rate)

    return _by_epoch(network, task, epoch)


def newton_last_layer(network: Parameters, task: Task) -> Parameters:
    r"""Newton steps of the last layer; one step an epoch.

    Training stops before a minimum is reached. So the steps look for the minimum of
    :math:`J_R(w) - \langle\nabla J_D(w_0), w\rangle`: without forgotten rows, the pretrained
    weights :math:`w_0` would be this minimum. With the features h of a row and a 1 for the bias,
    and probabilities p, the Hessian is
    :math:`\tfrac1r\sum_i (\mathrm{diag}(p_i) - p_i p_i^\top) \otimes h_i h_i^\top + \lambda I`.
    """
    kept, forgotten = task.retain[0].reshape(-1), task.forget[0].reshape(-1)
    rows = jnp.concatenate([kept, forgotten])
    hidden = model.features(network, task.inputs[rows])
    inputs = jnp.concatenate([hidden, jnp.ones_like(hidden[:, :1])], 1)
    labels = task.labels[rows]
    start = _last(network)
    drift = _softmax_gradient(start, inputs, labels, task.ridge)

    def epoch(current: Parameters, batches: _Batches) -> Parameters:
        weights = _last(current)
        own, right = inputs[: len(kept)], labels[: len(kept)]
        gradient = _softmax_gradient(weights, own, right, task.ridge) - drift
        hessian = _softmax_hessian(weights, own, task.ridge)
        step = jax.scipy.linalg.solve(hessian, gradient.reshape(-1), assume_a="pos")
        return _with_last(current, weights - step.reshape(weights.shape))

    return _by_epoch(network, task, epoch)


def newton_network(network: Parameters, task: Task) -> Parameters:
    r"""Damped Gauss-Newton steps of the whole network; one step an epoch.

    They look for the minimum of the same objective as :func:`newton_last_layer`. The step solves
    :math:`(G + (\lambda + \mu) I)\, \delta = -\nabla J_R(w) + \nabla J_D(w_0)` by conjugate
    gradients. The Gauss-Newton matrix G of the mean loss on R is never formed. Unlike the Hessian,
    it has no negative eigenvalues.
    """
    kept, forgotten = task.retain[0].reshape(-1), task.forget[0].reshape(-1)

    def objective(current: Parameters, rows: Int[Array, " rows"]) -> Float[Array, ""]:
        squares = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(current))
        return _cross_entropy(current, task, rows) + task.ridge * squares / 2

    gradient = jax.grad(objective)
    drift = gradient(network, jnp.concatenate([kept, forgotten]))

    def outputs(current: Parameters) -> Float[Array, "n classes"]:
        return model.logits(current, task.inputs[kept])

    def epoch(current: Parameters, batches: _Batches) -> Parameters:
        probabilities = jax.nn.softmax(outputs(current))
        back = jax.vjp(outputs, current)[1]

        def apply(vector: Parameters) -> Parameters:
            moved = probabilities * jax.jvp(outputs, (current,), (vector,))[1]
            curved = moved - probabilities * jnp.sum(moved, 1, keepdims=True)
            (product,) = back(curved / len(kept))
            return jax.tree.map(
                lambda one, other: one + (task.ridge + DAMPING) * other, product, vector
            )

        residual = jax.tree.map(jnp.subtract, gradient(current, kept), drift)
        step = _conjugate_gradients(apply, residual)
        return jax.tree.map(jnp.subtract, current, step)

    return _by_epoch(network, task, epoch)


METHODS: dict[str, Callable[[Parameters, Task], Parameters]] = {
    "ascent": ascent,
    "descent-ascent": descent_ascent,
    "fine-tuning": fine_tune,
    "SCRUB": scrub,
    "SCRUB, frozen student": scrub_with_frozen_student,
    "Newton, last layer": newton_last_layer,
    "Newton, network": newton_network,
    "oracle matching": match_oracle,
}


class _Batches(NamedTuple):
    """The batches ``(steps, batch)`` of one epoch, and its number from 0."""

    number: Int[Array, ""]
    forget: Int[Array, "steps k"]
    retain: Int[Array, "steps batch"]


_Loss = Callable[[Parameters, Task, Any], Float[Array, ""]]


def _by_epoch(
    network: Parameters, task: Task, epoch: Callable[[Parameters, _Batches], Parameters]
) -> Parameters:
    """The networks after each epoch."""
    batches = _Batches(jnp.arange(task.retain.shape[0]), task.forget, task.retain)

    def step(current: Parameters, of_epoch: _Batches) -> tuple[Parameters, Parameters]:
        after = epoch(current, of_epoch)
        return after, after

    return jax.lax.scan(step, network, batches)[1]


def _descend(
    network: Parameters, task: Task, batches: Int[Array, "steps batch"], loss: _Loss, rate: Array
) -> Parameters:
    """One pass of plain stochastic gradient descent."""

    def step(current: Parameters, rows: Int[Array, " batch"]) -> tuple[Parameters, None]:
        gradient = jax.grad(loss)(current, task, rows)
        return jax.tree.map(lambda one, other: one - rate * other, current, gradient), None

    return jax.lax.scan(step, network, batches)[0]


def _cross_entropy(network: Parameters, task: Task, rows: Int[Array, " batch"]) -> Float[Array, ""]:
    return model.loss(network, task.inputs[rows], task.labels[rows])


def _negative(loss: _Loss) -> _Loss:
    return lambda *arguments: -loss(*arguments)


def _divergence(
    teacher: Parameters, student: Parameters, inputs: Float[Array, "batch d"]
) -> Float[Array, ""]:
    """KL(teacher || student) of softened probabilities, times the squared temperature."""
    known, learnt = (
        jax.nn.log_softmax(model.logits(one, inputs) / TEMPERATURE) for one in (teacher, student)
    )
    return TEMPERATURE**2 * jnp.mean(jnp.sum(jnp.exp(known) * (known - learnt), 1))


def _conjugate_gradients(
    apply: Callable[[Parameters], Parameters], right: Parameters
) -> Parameters:
    """``apply(x) = right`` by a fixed number of iterations from 0, for a positive definite map.

    ``jax.scipy.sparse.linalg.cg`` returned 0 or NaN here inside jit (JAX 0.10 on a CPU).
    """

    def dot(one: Parameters, other: Parameters) -> Float[Array, ""]:
        products = jax.tree.map(jnp.vdot, one, other)
        return jnp.sum(jnp.stack(jax.tree.leaves(products)))

    def plus(one: Parameters, factor: Array, other: Parameters) -> Parameters:
        return jax.tree.map(lambda first, second: first + factor * second, one, other)

    def iteration(_: Array, state: tuple) -> tuple:
        solution, residual, direction, squared = state
        image = apply(direction)
        length = _quotient(squared, dot(direction, image))
        residual = plus(residual, -length, image)
        smaller = dot(residual, residual)
        direction = plus(residual, _quotient(smaller, squared), direction)
        return plus(solution, length, state[2]), residual, direction, smaller

    start = (jax.tree.map(jnp.zeros_like, right), right, right, dot(right, right))
    return jax.lax.fori_loop(0, ITERATIONS, iteration, start)[0]


def _quotient(above: Float[Array, ""], below: Float[Array, ""]) -> Float[Array, ""]:
    """``above / below``, and 0 where ``below`` is not positive: then the residual is 0."""
    return jnp.where(below > 0, above / jnp.where(below > 0, below, 1), 0)


def _softmax_gradient(
    weights: Float[Array, "classes h"],
    inputs: Float[Array, "n h"],
    labels: Int[Array, " n"],
    ridge: Array,
) -> Float[Array, "classes h"]:
    """The gradient of the mean softmax loss with a ridge."""
    known = jax.nn.one_hot(labels, len(weights), dtype=weights.dtype)
    residuals = jax.nn.softmax(inputs @ weights.T) - known
    return residuals.T @ inputs / len(inputs) + ridge * weights


def _softmax_hessian(
    weights: Float[Array, "classes h"], inputs: Float[Array, "n h"], ridge: Array
) -> Float[Array, "all all"]:
    """Its Hessian, over the weights in one row, class after class."""
    probabilities = jax.nn.softmax(inputs @ weights.T)
    blocks = jax.vmap(lambda weight: (inputs * weight[:, None]).T @ inputs, 1)(probabilities)
    spread = (probabilities[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
    hessian = jax.scipy.linalg.block_diag(*blocks) - spread.T @ spread
    return hessian / len(inputs) + ridge * jnp.eye(len(hessian), dtype=weights.dtype)


def _last(network: Parameters) -> Float[Array, "classes h"]:
    """Weights of the last layer, with the biases as the last column."""
    last = network.layers[-1]
    return jnp.concatenate([last.weight, last.bias[:, None]], 1)


def _with_last(network: Parameters, weights: Float[Array, "classes h"]) -> Parameters:
    return eqx.tree_at(
        lambda one: (one.layers[-1].weight, one.layers[-1].bias),
        network,
        (weights[:, :-1], weights[:, -1]),
    )
