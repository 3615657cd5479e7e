"""Unlearning on small networks: every run of every method, against retrained networks.

Two points of the protocol:

* Every rate and every kept epoch is scored and shown. Nothing is chosen by its result.
* Networks that gave outputs that are no numbers count as broken: their margins are set to -1e9.

It needs Equinox and Optax: ``pip install -e '.[networks]'``.
"""
