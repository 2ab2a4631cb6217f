"""Mutation testing: whether the tests see small faults of the engine."""
