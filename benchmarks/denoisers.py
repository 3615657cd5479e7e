"""Denoisers that are trained here: gradient steps against PyTorch, and what an experiment costs.

All of it runs in a process that may use one core only. The network in PyTorch is the same: sizes,
rotary positions, neighbours, masks drawn anew for each step, Muon for the matrices and Adam for the
rest. Without PyTorch, the rows against it are left out.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

import rhm_theory as rt
from benchmarks import timing
from theory_common import entry

STARTS, TRAJECTORIES = 64, 32
LEVELS = np.linspace(0.1, 1.0, 10)
TURNS, STEPS = 5, 8


class Case(NamedTuple):
    """The sizes of a network and of its batch."""

    name: str
    vocabulary: int
    length: int
    width: int
    layers: int
    heads: int
    batch: int


TEXT = Case("text", 1024, 64, width=96, layers=4, heads=3, batch=32)
GRAMMAR = Case("grammar", 8, 16, width=64, layers=3, heads=4, batch=128)


def rows() -> Iterator[dict]:
    """The rows of the table, measured in a process on one core."""
    if importlib.util.find_spec("equinox") is None or importlib.util.find_spec("optax") is None:
        print("denoisers: skipped, Equinox or Optax is not installed", file=sys.stderr)
        return
    if importlib.util.find_spec("torch") is None:
        print("denoisers: PyTorch is not installed, its rows are left out", file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.denoisers"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield from map(json.loads, done.stdout.splitlines())


def measured() -> Iterator[dict]:
    """The rows, in this process."""
    for case in (TEXT, GRAMMAR):
        model = created(case)
        if importlib.util.find_spec("torch") is not None:
            yield step_row(case, model)
        yield experiment_row(case, model)


def created(case: Case):
    """A network with random weights."""
    from rhm_theory.denoisers import MaskedDiffusion

    return MaskedDiffusion.create(
        jax.random.key(0),
        vocabulary=case.vocabulary,
        length=case.length,
        width=case.width,
        layers=case.layers,
        heads=case.heads,
    )


def step_row(case: Case, model) -> dict:
    """Gradient steps: seconds, and tokens a second."""
    found = timing.interleaved(our_steps(case, model), their_steps(case), turns=TURNS)
    tokens = STEPS * case.batch * case.length
    return {
        "work": f"{STEPS} gradient steps of a {case.name} denoiser: {case.batch} x {case.length} "
        f"tokens each, {tokens / found.ours_seconds:,.0f} tokens a second",
        "against": f"the same network and optimiser in PyTorch, "
        f"{tokens / found.theirs_seconds:,.0f} tokens a second",
        "ours_seconds": found.ours_seconds,
        "theirs_seconds": found.theirs_seconds,
        "ratio": found.ratio,
        "target": 1.0,
    }


def our_steps(case: Case, model) -> Callable[[], object]:
    """Training of ``STEPS`` steps, compiled at the first call."""
    from rhm_theory.denoisers import train

    tokens = np.random.default_rng(0).integers(case.vocabulary, size=(case.batch, case.length))
    key = jax.random.key(1)
    return lambda: train(key, model, tokens, batch=case.batch, steps=STEPS, records=1)


def their_steps(case: Case) -> Callable[[], object]:
    """The same in PyTorch."""
    import torch

    torch.set_num_threads(1)
    network, matrices, others = torch_network(case)
    muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.0)
    adam = torch.optim.Adam(others, lr=0.003)
    tokens = torch.randint(case.vocabulary, (case.batch, case.length))

    def step() -> float:
        level = (torch.rand(1) + torch.arange(case.batch)) / case.batch
        hidden = torch.rand(case.batch, case.length) < level[:, None]
        logits = network(torch.where(hidden, case.vocabulary, tokens))
        loss = torch.nn.functional.cross_entropy(logits[hidden], tokens[hidden])
        muon.zero_grad()
        adam.zero_grad()
        loss.backward()
        muon.step()
        adam.step()
        return float(loss.detach())

    return lambda: [step() for _ in range(STEPS)]


def torch_network(case: Case):
    """The network as a function, its matrices, and its other weights."""
    import torch
    from torch.nn import functional

    width = case.width
    size = width // case.heads

    def weights(*shape: int, scale: float = width**-0.5):
        return torch.nn.Parameter(scale * torch.randn(*shape))

    embedding = weights(case.vocabulary + 1, width, scale=1.0)
    head = weights(width, case.vocabulary, scale=0.0)
    neighbours = [weights(width, width) for _ in range(4)]
    shapes = {name: (width, width) for name in ("query", "key", "value", "out")}
    shapes |= {"wide": (width, 4 * width), "narrow": (4 * width, width)}
    layers = [{name: weights(*shape) for name, shape in shapes.items()} for _ in range(case.layers)]
    rates = torch.tensor(1e-3 ** np.linspace(0, 1, size // 2), dtype=torch.float32)
    angles = torch.arange(case.length)[:, None] * rates

    def norm(x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)

    def turned(x):
        first, second = norm(x).chunk(2, -1)
        cosine, sine = angles.cos(), angles.sin()
        return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)

    def by_head(x):
        return x.view(-1, case.length, case.heads, size).transpose(1, 2)

    def network(tokens):
        x = embedding[tokens]
        padded = functional.pad(x, (0, 0, 2, 2))
        for place, matrix in zip((0, 1, 3, 4), neighbours, strict=True):
            x = x + padded[:, place : place + case.length] @ matrix
        for layer in layers:
            inner = norm(x)
            query, key, value = (by_head(inner @ layer[part]) for part in ("query", "key", "value"))
            mixed = functional.scaled_dot_product_attention(turned(query), turned(key), value)
            x = x + mixed.transpose(1, 2).reshape(x.shape) @ layer["out"]
            x = x + torch.relu(norm(x) @ layer["wide"]).square() @ layer["narrow"]
        return norm(x) @ head

    matrices = [*neighbours, *(matrix for layer in layers for matrix in layer.values())]
    return network, matrices, [embedding, head]


def experiment_row(case: Case, model) -> dict:
    """Forward and backward by the network: one level is timed for the text, all for the grammar."""
    from rhm_theory.denoisers import sampling

    # All sequences are possible; the experiment asks for nothing else.
    law = rt.controls.independent_sites(
        np.full((case.length, case.vocabulary), 1 / case.vocabulary)
    )
    starts = np.random.default_rng(0).integers(case.vocabulary, size=(STARTS, case.length))
    denoiser = sampling.denoiser(jax.random.key(2), model.log_probabilities)

    def run(starts: np.ndarray, levels) -> object:
        return rt.forward_backward(
            jax.random.key(3),
            law,
            rt.Mask(levels),
            denoiser,
            starts=starts,
            trajectories=TRAJECTORIES,
        )

    run(starts[:1], [0.5])
    few = 1 if case is TEXT else 4
    seconds = timing.seconds(lambda: run(starts[:few], LEVELS)) * STARTS / few
    count = STARTS * TRAJECTORIES * len(LEVELS)
    return {
        "work": f"forward-backward of a {case.name} denoiser, one token at a time: {STARTS} starts "
        f"x {TRAJECTORIES} trajectories x {len(LEVELS)} levels of {case.length} tokens "
        f"(measured on {few} of the starts)",
        "against": f"{1e3 * seconds / count:.2f} ms for each trajectory",
        "ours_seconds": seconds,
    }


def main() -> None:
    """Print each row as JSON; the process keeps to one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    entry.enable_float64()
    for row in measured():
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
