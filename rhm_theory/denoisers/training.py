r"""Train a masked diffusion model: Muon for the matrices, Adam for the rest.

Muon replaces the gradient's momentum by the nearest orthogonal matrix. On text it leaves the
unigram plateau, the loss of a model that ignores all context, where Adam alone stays for a minute.
The learning rate rises over the first 2 % of the run and falls to 0 like a cosine.

A run with a ``folder`` keeps a checkpoint there. After Ctrl-C, an error or a full disk, the same
call goes on from the last one. With ``steps`` the result is the same as without the stop, bit by
bit: the random numbers of a step depend on the key and on its number alone.

Source: Jordan, *Muon* (2024), as Optax has it.
"""

import contextlib
import functools
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.denoisers import masked, storage
from rhm_theory.denoisers.masked import MaskedDiffusion
from rhm_theory.models.grammar import symbols_in
from theory_common import checks

KIND = "checkpoint of a training run"
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the noise, for the loss on held-out sequences
RISE = 0.02  # share of the run over which the learning rate rises
ADAM = 0.15  # learning rate of Adam over that of Muon
HELD_OUT_STREAM = 2**32 - 1  # no step has this number
CHECKPOINT_SECONDS = 60.0
# A function from a random generator and a number to so many sequences.
Draw: TypeAlias = Callable[[np.random.Generator, int], Any]


class History(NamedTuple):
    """The course of a training run; each array has an entry for each record.

    Attributes:
        step: gradient steps that were done.
        share: of the run that was done.
        seconds: that had passed.
        tokens: symbols that were seen.
        loss: mean loss of the batches since the record before, in nats for each hidden symbol.
        held_out: loss on held-out sequences, a mean over the levels 0.1, 0.3, .. 0.9. It is NaN
            without held-out sequences.
    """

    step: Int[np.ndarray, " records"]
    share: Float[np.ndarray, " records"]
    seconds: Float[np.ndarray, " records"]
    tokens: Int[np.ndarray, " records"]
    loss: Float[np.ndarray, " records"]
    held_out: Float[np.ndarray, " records"]


class Trained(NamedTuple):
    """A trained model.

    Attributes:
        model: at the end of the run.
        history: its losses on the way.
        kept: the model at each share of the run that ``keep`` names.
    """

    model: MaskedDiffusion
    history: History
    kept: dict[float, MaskedDiffusion]


class _State(NamedTuple):
    """What a run needs to go on."""

    model: MaskedDiffusion
    memory: Any
    step: int
    seconds: float
    sum_of_losses: float
    losses: int
    records: tuple[tuple[float, ...], ...]


class _Plan(NamedTuple):
    """What fixes a run. ``identity`` tells the checkpoints of different runs apart."""

    key: Array
    draw: Draw
    batch: int
    steps: int | None
    seconds: float | None
    learning_rate: float
    held_out: np.ndarray | None
    keep: tuple[float, ...]
    records: int
    folder: Path | None
    identity: str

    def share(self, state: _State) -> float:
        """How much of the run is done."""
        if self.steps is not None:
            return state.step / self.steps
        assert self.seconds is not None
        return min(state.seconds / self.seconds, 1.0)


def train(
    key: Array,
    model: MaskedDiffusion,
    sequences: Int[ArrayLike, "sequences length"] | Draw,
    *,
    batch: int = 32,
    steps: int | None = None,
    minutes: float | None = None,
    learning_rate: float = 0.02,
    held_out: Int[ArrayLike, "held_out length"] | None = None,
    keep: Sequence[float] = (),
    records: int = 20,
    folder: str | Path | None = None,
    progress: bool = False,
) -> Trained:
    """Train ``model`` on sequences of symbols, in float32.

    Args:
        key: of the batches and of the masks.
        model: where training begins.
        sequences: symbols below ``model.vocabulary``. Or a function from a NumPy generator and a
            number to so many sequences, for sequences that are drawn anew for each batch.
        batch: sequences in a gradient step, at least 1.
        steps: how many gradient steps, at least 1. Give either ``steps`` or ``minutes``.
        minutes: how long to train, > 0. The result then depends on the machine.
        learning_rate: of Muon, > 0. That of Adam is 0.15 times as large.
        held_out: sequences that are not trained on, for the history.
        keep: shares of the run, in (0, 1], at which the model is kept too.
        records: entries of the history, at least 1.
        folder: keeps a checkpoint, so that a stopped run goes on.
        progress: show a bar on standard error.

    Raises: ``TypeError`` or ``ValueError`` that names the argument. ``FloatingPointError`` if the
        loss is no number. ``OSError`` if a checkpoint cannot be written; the last one is kept.
    """
    plan = _plan(
        checks.key("key", key),
        model,
        sequences,
        batch=checks.whole("batch", batch, least=1),
        steps=steps,
        minutes=minutes,
        learning_rate=float(checks.positive("learning_rate", learning_rate)),
        held_out=None if held_out is None else _sequences("held_out", held_out, model),
        keep=_shares(keep),
        records=checks.whole("records", records, least=1),
        folder=None if folder is None else Path(folder),
    )
    # Everything is float32 here, whatever the caller's setting: so is the optimiser's memory.
    with jax.enable_x64(False), _bar(progress) as show:
        return _run(plan, model, show)


def _run(plan: _Plan, model: MaskedDiffusion, show: Callable[[float, str], None]) -> Trained:
    state, kept = _restored(plan, model)
    begun = time.monotonic() - state.seconds
    saved = time.monotonic()
    try:
        while plan.share(state) < 1:
            state = _next(plan, state, begun)
            state = _recorded(plan, state)
            share = plan.share(state)
            for at in plan.keep:
                if at <= share and at not in kept:
                    kept[at] = state.model
                    _save_kept(plan, at, state.model)
            show(share, f"step {state.step}, loss {state.sum_of_losses / state.losses:.3f}")
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                _save(plan, state)
                saved = time.monotonic()
    except KeyboardInterrupt:
        _save(plan, state)
        raise
    _save(plan, state)
    return Trained(model=state.model, history=_history(plan, state), kept=kept)


def _next(plan: _Plan, state: _State, begun: float) -> _State:
    """The state after one gradient step."""
    seed = [*np.asarray(jax.random.key_data(plan.key)).tolist(), state.step]
    tokens = plan.draw(np.random.default_rng(seed), plan.batch)
    tokens = np.asarray(tokens, np.int32)
    rate = plan.learning_rate * _schedule(plan.share(state))
    # NumPy arrays are arguments of one shape and dtype, so that this compiles once.
    numbers = np.int32(state.step), np.float32(rate)
    model, memory, loss = _step(state.model, state.memory, tokens, plan.key, *numbers)
    value = float(loss)
    if not math.isfinite(value):
        raise FloatingPointError(
            f"training diverged: the loss of step {state.step} is {value}. "
            f"Try a learning_rate below {plan.learning_rate:g}"
        )
    # Losses are summed anew after each record.
    fresh = bool(state.records) and state.records[-1][0] == state.step
    return state._replace(
        model=model,
        memory=memory,
        step=state.step + 1,
        seconds=time.monotonic() - begun,
        sum_of_losses=value + (0 if fresh else state.sum_of_losses),
        losses=1 + (0 if fresh else state.losses),
    )


def _recorded(plan: _Plan, state: _State) -> _State:
    """The state with one more record if it is time for it."""
    share = plan.share(state)
    if len(state.records) >= int(share * plan.records + 1e-9):
        return state
    held_out = math.nan
    if plan.held_out is not None:
        law = state.model.log_probabilities
        key = jax.random.fold_in(plan.key, HELD_OUT_STREAM)
        vocabulary = state.model.vocabulary
        levels = np.array(LEVELS)
        found = masked.losses(key, law, plan.held_out, levels, vocabulary=vocabulary)
        held_out = float(found.mean)
    mean = state.sum_of_losses / state.losses
    row = (float(state.step), share, state.seconds, mean, held_out)
    # A long step may pass the time of several records, which then are one.
    return state._replace(records=(*state.records, row))


def _history(plan: _Plan, state: _State) -> History:
    step, share, seconds, loss, held_out = np.array(state.records).T
    return History(
        step=step.astype(int),
        share=share,
        seconds=seconds,
        tokens=step.astype(int) * plan.batch * state.model.length,
        loss=loss,
        held_out=held_out,
    )


def _schedule(share: float) -> float:
    """The learning rate over its largest value, at a share of the run in [0, 1]."""
    return min(1.0, share / RISE + 0.02) * (1 + math.cos(math.pi * share)) / 2


# --- a gradient step


@functools.cache
def _optimiser() -> optax.GradientTransformation:
    """Of learning rate 1: the changes are multiplied by the rate of the step."""
    return optax.multi_transform(
        {"matrix": optax.contrib.muon(1.0), "other": optax.adam(ADAM, b2=0.98)}, _labels
    )


def _labels(model: MaskedDiffusion) -> MaskedDiffusion:
    """Which optimiser takes which array: the embedding and the head go to Adam."""
    labels = jax.tree.map(lambda _: "matrix", model)
    ends = (lambda tree: tree.network.embedding, lambda tree: tree.network.head)
    for end in ends:
        labels = eqx.tree_at(end, labels, "other")
    return labels


@eqx.filter_jit
def _step(
    model: MaskedDiffusion, memory: Any, tokens: Any, key: Array, number: Any, rate: Any
) -> tuple[MaskedDiffusion, Any, Array]:
    batch, length = tokens.shape
    drawn = jax.random.fold_in(key, number)
    uniform = jax.random.uniform(drawn, (batch, length + 1), jnp.float32)
    loss, gradient = eqx.filter_value_and_grad(masked.masked_loss)(model, tokens, uniform)
    change, memory = _optimiser().update(gradient, memory, model)
    change = jax.tree.map(lambda leaf: rate * leaf, change)
    return eqx.apply_updates(model, change), memory, loss


# --- arguments


def _plan(key, model, sequences, *, batch, steps, minutes, learning_rate, **others) -> _Plan:
    if (steps is None) == (minutes is None):
        raise ValueError(f"give either steps or minutes, got steps={steps}, minutes={minutes}")
    if steps is not None:
        steps = checks.whole("steps", steps, least=1)
    seconds = None if minutes is None else 60 * float(checks.positive("minutes", minutes))
    digest = hashlib.sha256()
    settings = (model.network.sizes, batch, steps, seconds, learning_rate, others["keep"])
    digest.update(f"{settings} {others['records']} {np.asarray(jax.random.key_data(key))}".encode())
    for leaf in masked.weights_of(model):
        digest.update(np.asarray(leaf).tobytes())
    if callable(sequences):
        draw = _checked_draw(sequences, model)
    else:
        rows = _sequences("sequences", sequences, model)
        digest.update(rows.tobytes())

        def draw(generator: np.random.Generator, count: int) -> np.ndarray:
            return rows[generator.integers(len(rows), size=count)]

    return _Plan(
        key=key,
        draw=draw,
        batch=batch,
        steps=steps,
        seconds=seconds,
        learning_rate=learning_rate,
        identity=digest.hexdigest(),
        **others,
    )


def _sequences(name: str, value: Any, model: MaskedDiffusion) -> np.ndarray:
    found = np.asarray(symbols_in(name, value, model.vocabulary))
    if found.ndim != 2 or found.shape[1] != model.length or not len(found):
        raise ValueError(
            f"{name} must have shape (sequences, {model.length}) with at least one, "
            f"got {found.shape}"
        )
    return found


def _checked_draw(draw: Draw, model: MaskedDiffusion) -> Draw:
    """``draw``, after one look at what it returns."""
    few = np.asarray(draw(np.random.default_rng(0), 2))
    if _sequences("what sequences returns", few, model).shape[0] != 2:
        raise ValueError(f"sequences must return as many as it is asked for, 2, got {len(few)}")
    return draw


def _shares(keep: Sequence[float]) -> tuple[float, ...]:
    values = np.asarray(checks.require("keep", keep, lambda s: (s > 0) & (s <= 1), "in (0, 1]"))
    return tuple(float(share) for share in np.asarray(keep, float)) if values.size else ()


# --- checkpoints


def _restored(plan: _Plan, model: MaskedDiffusion) -> tuple[_State, dict[float, MaskedDiffusion]]:
    """The state of the last checkpoint, or the beginning."""
    memory = _optimiser().init(model)
    start = _State(
        model=model,
        memory=memory,
        step=0,
        seconds=0.0,
        sum_of_losses=0.0,
        losses=0,
        records=(),
    )
    if plan.folder is None:
        return start, {}
    plan.folder.mkdir(parents=True, exist_ok=True)
    path = _checkpoint(plan)
    if not path.exists():
        return start, {}
    header, arrays = storage.read(path, KIND)
    if header["identity"] != plan.identity:
        raise ValueError(
            f"folder {plan.folder} keeps another run: its model, data, key or settings differ. "
            "Use another folder, or delete it"
        )
    leaves, structure = jax.tree.flatten((model, memory))
    held = [jnp.asarray(array, leaf.dtype) for array, leaf in zip(arrays, leaves, strict=True)]
    at_model, at_memory = jax.tree.unflatten(structure, held)
    numbers = dict(header["numbers"], records=tuple(map(tuple, header["numbers"]["records"])))
    state = _State(model=at_model, memory=at_memory, **numbers)
    paths = {share: _kept_path(plan, share) for share in plan.keep if share <= plan.share(state)}
    return state, {share: MaskedDiffusion.load(path) for share, path in paths.items()}


def _save(plan: _Plan, state: _State) -> None:
    if plan.folder is None:
        return
    numbers = {
        name: getattr(state, name)
        for name in ("step", "seconds", "sum_of_losses", "losses", "records")
    }
    header = {"identity": plan.identity, "numbers": numbers}
    leaves = jax.tree.leaves((state.model, state.memory))
    storage.write(_checkpoint(plan), KIND, header, leaves, force=True)


def _save_kept(plan: _Plan, share: float, model: MaskedDiffusion) -> None:
    if plan.folder is not None:
        model.save(_kept_path(plan, share), force=True)


def _checkpoint(plan: _Plan) -> Path:
    assert plan.folder is not None
    return plan.folder / "checkpoint.eqx"


def _kept_path(plan: _Plan, share: float) -> Path:
    assert plan.folder is not None
    return plan.folder / f"at_{share:g}.eqx"


@contextlib.contextmanager
def _bar(progress: bool) -> Iterator[Callable[[float, str], None]]:
    """A function that shows the share that is done, and a text."""
    if not progress:
        yield lambda share, text: None
        return
    import sys

    from rich.progress import Progress

    from theory_common.printing.tables import console

    with Progress(console=console(sys.stderr)) as bar:
        task = bar.add_task("training", total=1.0)
        yield lambda share, text: bar.update(task, completed=share, description=text)
