"""Exact inference for the Random Hierarchy Model against other ways to the same numbers.

These are the same passes in NumPy (batch first) and in scalar Numba, a public library for graphical
models, and samples. All of it runs in a process that may use one core only, so that neither side's
threads help it.
"""

import functools
import json
import operator
import os
import subprocess
import sys
from collections.abc import Iterator

import jax
import numpy as np

import rhm_theory as rt
from benchmarks import timing
from theory_common import entry

DEPTH, VOCABULARY, RULES, BRANCHING, STARTS = 7, 16, 4, 2, 256
NOISE = 0.5
TURNS = 15
DEPTHS, GROWTH_STARTS = (
    (7, 9, 11, 14),
    16,
)  # so many that the shortest are more than the cost of a call
PRECISION = 0.01
POPULATION_DEPTH, POPULATION_SIZES = 20, (32, 128, 512)  # members for each rule of each symbol


def draw(depth: int, starts: int, seed: int = 0) -> tuple[rt.Grammar, jax.Array]:
    """A random grammar, and the likelihoods of sequences that it gave."""
    key = jax.random.key(seed)
    grammar = rt.Grammar.random(
        key, depth=depth, vocabulary=VOCABULARY, rules_per_symbol=RULES, branching=BRANCHING
    )
    return grammar, rt.likelihood.epsilon_process(
        grammar.sample(key, (starts,)).leaves, NOISE, vocabulary=VOCABULARY
    )


def numpy_upward(rules: np.ndarray, likelihood: np.ndarray) -> tuple[list, list]:
    """Messages ``(batch, nodes, vocabulary)`` of all levels, and the children of each rule.

    So few levels need no scale.
    """
    messages, entries = [likelihood], []
    for table in rules:
        children = messages[-1].reshape(len(likelihood), -1, BRANCHING, VOCABULARY)
        entries.append(
            [children[:, :, place][:, :, table[:, :, place]] for place in range(BRANCHING)]
        )
        messages.append(functools.reduce(operator.mul, entries[-1]).sum(-1))
    return messages, entries


def numpy_evidence(rules: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    return np.log(numpy_upward(rules, likelihood)[0][-1][:, 0].sum(-1)) - constant(len(rules))


def numpy_marginals(rules: np.ndarray, likelihood: np.ndarray) -> list[np.ndarray]:
    """Down again.

    The sum over the rules that give a child is a product with their incidence matrix, which is
    faster than ``np.add.at``.
    """
    messages, entries = numpy_upward(rules, likelihood)
    above = np.repeat(1 / messages[-1].sum(-1, keepdims=True), VOCABULARY, -1)
    found = [messages[-1] * above]
    for level in reversed(range(len(rules))):
        below = np.empty((*above.shape[:2], BRANCHING, VOCABULARY))
        for place in range(BRANCHING):
            others = [entry for other, entry in enumerate(entries[level]) if other != place]
            given = above[..., None] * functools.reduce(operator.mul, others)
            incidence = np.eye(VOCABULARY)[rules[level][:, :, place].ravel()]
            below[:, :, place] = (given.reshape(-1, VOCABULARY * RULES) @ incidence).reshape(
                *above.shape
            )
        above = below.reshape(len(likelihood), -1, VOCABULARY)
        found.append(messages[level] * above)
    return found[::-1]


def constant(depth: int) -> float:
    """What the log evidence owes to the probabilities of the root and the rules."""
    return np.log(VOCABULARY) + (BRANCHING**depth - 1) // (BRANCHING - 1) * np.log(RULES)


def numba_evidence():
    """The compiled scalar loops, one sequence after the other: its messages stay in the cache."""
    import numba

    @numba.njit(fastmath=True)
    def evidence(rules, likelihood):
        depth, vocabulary, count, branching = rules.shape
        batch, length = likelihood.shape[:2]
        found = np.empty(batch)
        messages, parents = np.empty((length, vocabulary)), np.empty((length, vocabulary))
        for index in range(batch):
            messages[:] = likelihood[index]
            nodes = length
            for level in range(depth):
                nodes //= branching
                for node in range(nodes):
                    for symbol in range(vocabulary):
                        total = 0.0
                        for rule in range(count):
                            term = 1.0
                            for place in range(branching):
                                term *= messages[
                                    node * branching + place, rules[level, symbol, rule, place]
                                ]
                            total += term
                        parents[node, symbol] = total
                messages, parents = parents, messages
            found[index] = np.log(messages[0].sum())
        return found

    return evidence


def traffic_seconds(likelihood: jax.Array) -> float:
    """Seconds to read and write once as many bytes as the likelihood and all messages are."""
    values = jax.numpy.concatenate([likelihood, likelihood], 1)
    stream = jax.jit(lambda x: x + 1)
    return min(timing.seconds(lambda: stream(values)) for _ in range(9))


def measure() -> Iterator[dict]:
    """The rows, in a process of one core."""
    grammar, likelihood = draw(DEPTH, STARTS)
    other, _ = draw(DEPTH, STARTS, seed=1)
    rules, values = np.asarray(grammar.rules), np.asarray(likelihood)
    limit = traffic_seconds(likelihood)
    multiplications = STARTS * grammar.inner_nodes * VOCABULARY * RULES
    work = f"of {STARTS} starts, depth {DEPTH}, v={VOCABULARY}, m={RULES}, float64"

    def row(name, against, ours, theirs, target, passes):
        """``passes``: how often the messages must be read or written at least."""
        compiling = timing.compile_seconds(lambda: ours(grammar))
        recompiling = timing.compile_seconds(lambda: ours(other))
        measured = timing.interleaved(lambda: ours(grammar), theirs, turns=TURNS)
        least = passes * limit
        return {
            "work": f"{name} {work}",
            "against": against,
            "target": target,
            **measured._asdict(),
            "compile_seconds": compiling,
            "limit": f"All messages pass through memory at least {passes}x. This takes "
            f"{1e3 * least:.1f} ms, and ours takes {measured.ours_seconds / least:.1f} times that. "
            f"One pass makes {multiplications / 1e6:.1f} million multiplications. "
            f"Another grammar of this size needs {recompiling:.2f} s to compile",
        }

    def evidence(grammar):
        return rt.log_evidence(grammar, likelihood)

    np.testing.assert_allclose(evidence(grammar), numpy_evidence(rules, values), rtol=1e-12)
    jax.clear_caches()
    yield row(
        "log evidence",
        "NumPy, vectorised, batch first",
        evidence,
        lambda: numpy_evidence(rules, values),
        8,
        1,
    )
    scalar = numba_evidence()
    np.testing.assert_allclose(
        evidence(grammar), scalar(rules, values) - constant(DEPTH), rtol=1e-12
    )
    jax.clear_caches()
    yield row(
        "log evidence", "Numba, scalar, fastmath", evidence, lambda: scalar(rules, values), 3, 1
    )
    for ours, theirs in zip(
        rt.marginals(grammar, likelihood), numpy_marginals(rules, values), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-300)
    jax.clear_caches()
    yield row(
        "all marginals",
        "NumPy, up and down",
        lambda g: rt.marginals(g, likelihood),
        lambda: numpy_marginals(rules, values),
        10,
        4,
    )
    yield against_samples(grammar)
    yield against_pgmpy(grammar, likelihood[0])
    yield growth(
        "log evidence", lambda grammar, likelihood, starts: rt.log_evidence(grammar, likelihood)
    )
    yield growth("susceptibility", rt.susceptibility)
    yield population_growth()


def against_samples(grammar: rt.Grammar) -> dict:
    """The exact variance of the number of changes of one start, against posterior samples.

    There are as many samples as know the variance to one per cent.
    """
    start = grammar.sample(jax.random.key(1)).leaves
    likelihood = rt.likelihood.epsilon_process(start, NOISE, vocabulary=VOCABULARY)
    variance, _, fourth = rt.change_cumulants(grammar, likelihood, start, order=4)[1:]
    # The variance of a sample variance is (fourth cumulant + 2 variance^2)/samples, for many
    # samples.
    samples = int(np.ceil((fourth / variance**2 + 2) / PRECISION**2))

    @jax.jit
    def sampled(key):
        drawn = rt.sample_posterior(key, grammar, likelihood, (samples,)).leaves
        return jax.numpy.var((drawn != start).sum(-1), ddof=1)

    tree, compiled = (
        grammar.parse(start),
        jax.jit(lambda likelihood, tree: rt.change_moments(grammar, likelihood, tree).variance),
    )

    def exact():
        return compiled(likelihood, tree)

    compiling = timing.compile_seconds(exact)
    measured = timing.interleaved(exact, lambda: sampled(jax.random.key(2)), turns=TURNS)
    plain = min(
        timing.seconds(lambda: rt.change_moments(grammar, likelihood, start).variance)
        for _ in range(TURNS)
    )
    off = abs(float(sampled(jax.random.key(3)) / exact()) - 1)
    if off > 5 * PRECISION:
        raise RuntimeError(f"the samples' variance is {off:.1%} away from the exact one")
    return {
        "work": f"exact variance of the number of changes of one start, depth {DEPTH}",
        "against": f"{samples:,} posterior samples (standard error {PRECISION:.0%}), "
        "our own sampler",
        "target": 1000,
        **measured._asdict(),
        "compile_seconds": compiling,
        "limit": "The table compares compiled functions. A call from Python, with all checks, "
        f"takes {1e3 * plain:.1f} ms",
    }


def pgmpy_graph(grammar: rt.Grammar, likelihood: np.ndarray):
    """The tree as a factor graph, and the names of the nodes, level by level.

    There is a factor for each rule application and for each leaf.
    """
    from pgmpy.factors.discrete import DiscreteFactor
    from pgmpy.models import FactorGraph

    names = [
        [f"{level},{node}" for node in range(BRANCHING ** (grammar.depth - level))]
        for level in range(grammar.depth + 1)
    ]
    factors = [
        DiscreteFactor([name], [VOCABULARY], values)
        for name, values in zip(names[0], likelihood, strict=True)
    ]
    for level, table in enumerate(np.asarray(grammar.rules)):
        chances = np.zeros((VOCABULARY,) * (BRANCHING + 1))
        for symbol in range(VOCABULARY):
            chances[(symbol, *table[symbol].T)] = 1 / RULES
        for node, parent in enumerate(names[level + 1]):
            children = names[level][node * BRANCHING : (node + 1) * BRANCHING]
            factors.append(DiscreteFactor([parent, *children], chances.shape, chances))
    graph = FactorGraph()
    graph.add_nodes_from([name for level in names for name in level] + factors)
    graph.add_factors(*factors)
    graph.add_edges_from([(name, factor) for factor in factors for name in factor.variables])
    return graph, names


def against_pgmpy(grammar: rt.Grammar, likelihood: jax.Array) -> dict:
    """All marginals of one tree by pgmpy's belief propagation."""
    from pgmpy.inference import BeliefPropagationWithMessagePassing

    graph, names = pgmpy_graph(grammar, np.asarray(likelihood))
    propagation, nodes = (
        BeliefPropagationWithMessagePassing(graph),
        [name for level in names for name in level],
    )

    def ours():
        return rt.marginals(grammar, likelihood)

    found = propagation.query(nodes)
    for level, exact in zip(names, ours(), strict=True):
        np.testing.assert_allclose(exact, [found[name].values for name in level], atol=1e-12)
    measured = timing.interleaved(ours, lambda: propagation.query(nodes), turns=3)
    root = min(timing.seconds(lambda: propagation.query(names[-1])) for _ in range(5))
    return {
        "work": f"all marginals of one tree, depth {DEPTH}",
        "against": "pgmpy, belief propagation by messages on the factor graph",
        "target": 50,
        **measured._asdict(),
        "limit": f"The root of the tree alone takes pgmpy {1e3 * root:.0f} ms",
    }


def growth(name: str, function) -> dict:
    """How the time grows with the length."""
    lengths, seconds, compiled = (
        [],
        [],
        jax.jit(function),
    )  # the work alone: checks from Python cost as much as the shortest
    for depth in DEPTHS:
        grammar, likelihood = draw(depth, GROWTH_STARTS)
        starts = grammar.sample(jax.random.key(0), (GROWTH_STARTS,)).leaves
        compiled(grammar, likelihood, starts)
        lengths.append(grammar.length)
        call = functools.partial(compiled, grammar, likelihood, starts)
        seconds.append(min(timing.seconds(call) for _ in range(TURNS)))
    work = f"{name} of {GROWTH_STARTS} starts by length, {lengths[0]} to {lengths[-1]:,} leaves"
    return linear(work, "length", lengths, seconds)


def population_growth() -> dict:
    """How the time of population dynamics grows with the population."""
    numbers = {"vocabulary": VOCABULARY, "rules_per_symbol": RULES, "branching": BRANCHING}
    grammar = rt.Grammar.random(jax.random.key(0), depth=POPULATION_DEPTH, **numbers)
    seconds = []
    for size in POPULATION_SIZES:
        call = functools.partial(rt.population.beliefs, jax.random.key(1), grammar, 0.8, size=size)
        call()
        seconds.append(min(timing.seconds(call) for _ in range(TURNS)))
    members = [VOCABULARY * RULES * size for size in POPULATION_SIZES]
    work = (
        f"messages of a grammar of depth {POPULATION_DEPTH} by population, "
        f"{members[0]:,} to {members[-1]:,} members"
    )
    return linear(work, "population", members, seconds)


def linear(work: str, of: str, sizes: list[int], seconds: list[float]) -> dict:
    """A row that says how the time grows with a size."""
    slope = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    return {
        "work": work,
        "against": "linear growth",
        "target": f"slope of log time by log {of} 0.9 to 1.1",
        "met": 0.9 <= slope <= 1.1,
        "ours_seconds": seconds[-1],
        "growth": f"The slope is {slope:.2f}. Times by {of}: "
        + ", ".join(
            f"{size} in {1e3 * value:.1f} ms" for size, value in zip(sizes, seconds, strict=True)
        ),
    }


def child() -> None:
    """In that process: the rows, one JSON object a line."""
    entry.enable_float64()
    for row in measure():
        print(json.dumps(row), flush=True)


def rows() -> Iterator[dict]:
    """The table's rows, from a process that is held to one core."""
    code = "import os\nif hasattr(os, 'sched_setaffinity'): "
    code += "os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\n"
    code += "from benchmarks import rhm\nrhm.child()"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield from map(json.loads, process.stdout)
    if process.returncode:
        raise RuntimeError(f"the measuring process ended with status {process.returncode}")
