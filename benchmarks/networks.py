"""Training many small networks: one after another, by vmap, and the same network in PyTorch.

Numbers are CPU seconds, so that programs with more threads are not favoured. The networks are those
of ``python -m figures networks``: digits, 128 hidden units, 30 epochs. PyTorch trains with its own
SGD and the same learning rates, order of batches and weight decay, first one network after another,
then all at once with batched matrix products.
"""

import importlib.util
import itertools
import sys
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from benchmarks import timing
from gda_theory import networks
from gda_theory.networks import training

MODELS = 100
LOOPED = 20  # networks that PyTorch trains one after another; the time is multiplied
AGREE = 0.01  # the largest difference of mean validation accuracy
TURNS = 3
TARGET = 3.0


def rows() -> Iterator[dict]:
    """Rows of the table."""
    data, recipe = networks.digits(0), networks.Recipe()
    yield _mapped_against_vmap(data, recipe)
    if importlib.util.find_spec("torch") is None:
        print("networks: PyTorch is not installed, its rows are left out", file=sys.stderr)
        return
    yield _against_torch(data, recipe, looped, LOOPED, "PyTorch, one after another", TARGET)
    yield _against_torch(data, recipe, batched, MODELS, "PyTorch, batched products", None)


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU seconds of one call, over all threads."""
    start = time.process_time()
    jax.block_until_ready(call())
    return time.process_time() - start


def _against_torch(data, recipe, train: Callable, count: int, name: str, target) -> dict:
    seeds = np.arange(MODELS)
    trained = networks.train(data, recipe, seeds)
    ours = float(np.mean(networks.margins(data, trained)[:, len(data.inputs) :] > 0))
    theirs = train(data, recipe, seeds[:count])
    if abs(ours - theirs) > AGREE:
        raise RuntimeError(f"validation accuracies must agree, got {ours:.3f} and {theirs:.3f}")
    mine, other = timing.medians(
        lambda: cpu_seconds(lambda: networks.train(data, recipe, seeds)),
        lambda: cpu_seconds(lambda: train(data, recipe, seeds[:count])),
        turns=TURNS,
    )
    other *= MODELS / count
    return {
        "work": f"train {MODELS} networks",
        "against": name,
        "ours_seconds": mine,
        "theirs_seconds": other,
        "ratio": other / mine,
        "target": target,
        "limit": f"Validation accuracy is {ours:.3f}, and {theirs:.3f} with PyTorch",
    }


def _mapped_against_vmap(data, recipe) -> dict:
    seeds = np.arange(training.CHUNK)
    kept = np.arange(len(data.inputs))
    order = [training.order(seed, kept, recipe.epochs, recipe.batch) for seed in seeds]
    given = {"seed": seeds.astype(np.int32), "order": np.stack(order)}
    shared = {"inputs": data.inputs, "labels": data.labels}
    shape = training.sizes(data, recipe)
    mapped = training.trainer(recipe, shape)
    at_once = jax.jit(
        lambda shared, rows: jax.vmap(lambda row: training.trained(recipe, shape, shared, row))(
            rows
        )
    )
    mine, other = timing.medians(
        lambda: cpu_seconds(lambda: mapped(shared, given)),
        lambda: cpu_seconds(lambda: at_once(shared, given)),
    )
    return {
        "work": f"train {len(seeds)} networks one after another",
        "against": "vmap",
        "ours_seconds": mine,
        "theirs_seconds": other,
        "ratio": other / mine,
    }


def rates(recipe: networks.Recipe, steps: int) -> np.ndarray:
    """The learning rate of each step, see :class:`gda_theory.networks.Recipe`."""
    rising = max(int(recipe.rise * steps), 1)
    step = np.arange(steps)
    return recipe.peak * np.minimum((step + 1) / rising, (steps - step) / (steps - rising))


def looped(data: networks.NetworkData, recipe: networks.Recipe, seeds: np.ndarray) -> float:
    """Train in PyTorch, one network after another. Returns the validation accuracy."""
    import torch

    torch.set_num_threads(1)
    inputs, labels = torch.tensor(data.inputs), torch.tensor(data.labels).long()
    right = []
    for seed in seeds:
        torch.manual_seed(int(seed))
        network = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], recipe.hidden),
            torch.nn.ReLU(),
            torch.nn.Linear(recipe.hidden, data.classes),
        )
        for layer in (network[0], network[2]):
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        order = _order(data, recipe, seed)
        optimiser = torch.optim.SGD(
            network.parameters(),
            lr=recipe.peak,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        for rate, batch in zip(rates(recipe, len(order)), torch.tensor(order).long(), strict=True):
            optimiser.param_groups[0]["lr"] = float(rate)
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()
            optimiser.step()
        with torch.no_grad():
            right.append(
                _accuracy(torch, network(torch.tensor(data.validation_inputs))[None], data)
            )
    return float(np.mean(right))


def batched(data: networks.NetworkData, recipe: networks.Recipe, seeds: np.ndarray) -> float:
    """Train all networks at once in PyTorch. Returns the mean validation accuracy."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs, labels = torch.tensor(data.inputs), torch.tensor(data.labels).long()
    sizes = (inputs.shape[1], recipe.hidden, data.classes)
    count = len(seeds)
    weights = [
        torch.randn(count, before, after) * (2 / before) ** 0.5
        for before, after in itertools.pairwise(sizes)
    ]
    biases = [torch.zeros(count, 1, after) for after in sizes[1:]]
    parameters = [value.requires_grad_() for value in (*weights, *biases)]

    def outputs(rows):
        hidden = torch.relu(torch.baddbmm(biases[0], rows, weights[0]))
        return torch.baddbmm(biases[1], hidden, weights[1])

    orders = torch.tensor(np.stack([_order(data, recipe, seed) for seed in seeds], 1)).long()
    optimiser = torch.optim.SGD(
        parameters, lr=recipe.peak, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    for rate, batch in zip(rates(recipe, len(orders)), orders, strict=True):
        optimiser.param_groups[0]["lr"] = float(rate)
        optimiser.zero_grad()
        scores = outputs(inputs[batch]).reshape(-1, data.classes)
        # The sum over networks of their mean losses: each gets its own gradient.
        loss = torch.nn.functional.cross_entropy(scores, labels[batch].reshape(-1)) * count
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        unseen = torch.tensor(data.validation_inputs).expand(count, -1, -1)
        return _accuracy(torch, outputs(unseen), data)


def _order(data, recipe, seed) -> np.ndarray:
    order = training.order(seed, np.arange(len(data.inputs)), recipe.epochs, recipe.batch)
    return order.reshape(-1, recipe.batch)


def _accuracy(torch, scores, data) -> float:
    """The share of rows whose right label gets more than half of the probability."""
    labels = torch.tensor(data.validation_labels).long()
    shares = torch.softmax(scores, -1)[:, torch.arange(len(labels)), labels]
    return float((shares > 0.5).float().mean())
