"""Data with three classes, and the softmax objective written again in NumPy alone."""

import numpy as np

from gda_theory.problem.multinomial import MultinomialProblem

ROWS, FEATURES, CLASSES = 90, 4, 3
FORGET = np.arange(ROWS) < 12
INTERCEPT = np.array([0.05] * (FEATURES - 1) + [0.0])  # the last column is of ones


def data(seed=1):
    """Features whose last column is 1, and labels that no plane separates."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(ROWS, FEATURES))
    features[:, -1] = 1
    truth = 2 * rng.normal(size=(FEATURES, CLASSES))
    truth[-1] = 0  # about as many rows of each class
    scores = features @ truth
    return features, np.argmax(scores + rng.gumbel(size=scores.shape), 1)


def problem(reduction="mean", ridge=INTERCEPT, seed=1, **others):
    features, labels = data(seed)
    return MultinomialProblem(features, labels, FORGET, ridge=ridge, reduction=reduction, **others)


def signed(given, strength):
    """The signed weight of each row's loss, and the ridge of each column."""
    weight = np.asarray(given.sample_weight)
    forget = np.asarray(given.forget)
    ridge = np.asarray(given.ridge)
    kept, lost = np.where(forget, 0, weight), np.where(forget, weight, 0)
    if given.reduction == "mean":
        kept, lost = kept / kept.sum(), lost / lost.sum()
        ridge = ridge * max(1, 1 - strength)
    return kept - strength * lost, ridge


def probabilities(given, weights):
    scores = np.asarray(given.features) @ weights.T
    scores = np.exp(scores - scores.max(1, keepdims=True))
    return scores / scores.sum(1, keepdims=True)


def value(given, weights, strength=0.0):
    coefficient, ridge = signed(given, strength)
    labels = np.asarray(given.labels)
    own = probabilities(given, weights)[np.arange(len(labels)), labels]
    return -coefficient @ np.log(own) + np.sum(ridge * weights**2) / 2


def gradient(given, weights, strength=0.0):
    coefficient, ridge = signed(given, strength)
    residual = probabilities(given, weights) - np.eye(len(weights))[np.asarray(given.labels)]
    return (coefficient[:, None] * residual).T @ np.asarray(given.features) + ridge * weights


def hessian(given, weights, strength=0.0):
    """(K d, K d), row by row from the definition."""
    coefficient, ridge = signed(given, strength)
    features = np.asarray(given.features)
    probability = probabilities(given, weights)
    total = np.diag(np.tile(ridge, len(weights)))
    for c, x, p in zip(coefficient, features, probability, strict=True):
        total += c * np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
    return total


def solved(given, start, strength=0.0):
    """Newton's method from ``start``, with equal shifts of all intercepts held at 0."""
    weights = np.array(start)
    for _ in range(50):
        slope = gradient(given, weights, strength).ravel()
        if np.max(np.abs(slope)) < 1e-14:
            break
        # Adding 1 to the curvature along common shifts changes no step: the slope there is 0.
        shift = np.kron(np.ones((len(weights),) * 2) / len(weights), np.eye(weights.shape[1]))
        step = np.linalg.solve(hessian(given, weights, strength) + shift, slope)
        weights = weights - step.reshape(weights.shape)
    return weights
