"""RULES: pure functions on frozen dataclasses. Standard library only; no I/O, no async, no clock, no randomness."""

from domain import errors, ledger, makers, market, money, people, tickets

__all__ = ["errors", "ledger", "makers", "market", "money", "people", "tickets"]
