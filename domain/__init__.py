"""RULES: pure functions on frozen dataclasses. Standard library only; no I/O, no async, no clock, no randomness."""

from domain import book, errors, ledger, makers, market, money, people, tickets

__all__ = ["book", "errors", "ledger", "makers", "market", "money", "people", "tickets"]
