"""Accounts on paper beside a book table: moved by the pure ledger as the desk would, checked by adding up."""

from __future__ import annotations

from domain import ledger
from domain.book import OrderSide, Resting
from domain.ledger import Account, Move, TransactionReason
from domain.money import Asset, CertificateType
from tests.domain.book_table import Table, holder_of, id_of


class Accounts:
    """The accounts of some holders, and every move that was made. made: what deposits and withdrawals left."""

    def __init__(self, names: list[str]) -> None:
        self.of = {
            (id_of(name), asset): Account(id_of(name), None, asset, 0, 0, 0)
            for name in names
            for asset in (Asset.EUR, Asset.CEA)
        }
        self.made = {Asset.EUR: 0, Asset.CEA: 0}
        self.moves: list[Move] = []

    def move(self, move: Move) -> None:
        key = (move.holder_id, move.asset)
        self.of[key] = ledger.apply(self.of[key], move)
        self.moves.append(move)

    def deposit(self, name: str, asset: Asset, amount: int) -> None:
        self.move(Move(id_of(name), None, asset, TransactionReason.DEPOSIT, amount))
        self.made[asset] += amount

    def account(self, name: str, side: OrderSide) -> Account:
        """Return the account that an order of this side reserves from."""
        return self.of[id_of(name), Asset.EUR if side is OrderSide.BUY else Asset.CEA]

    def place(
        self, table: Table, side: OrderSide, name: str, quantity: int, price: int | None, force: str
    ) -> list[str]:
        """Place an order on both books with what its holder has, and move the accounts as the desk would."""
        holder = holder_of(name)
        account = self.account(holder, side)
        table.funds[holder], table.locked[holder] = account.available, account.locked
        limit = None if price is None else f"{price / 100:.2f}"
        seen = table.place(side, name, str(quantity), limit, force)
        if placement := table.placement:
            party = table.party(name)
            self.move(ledger.lock(party.holder_id, party.market_maker_id, placement))
            for fill in placement.fills:
                moves = ledger.settle(placement.terms, fill, party.holder_id, party.market_maker_id)
                for asset in (Asset.EUR, Asset.CEA):
                    assert sum(sum(move.deltas) for move in moves if move.asset is asset) == 0
                for move in moves:
                    self.move(move)
            if cut := ledger.release_cut(placement, party.holder_id, party.market_maker_id):
                self.move(cut)
        return seen

    def cancel(self, table: Table, resting: Resting) -> None:
        """Take an order out of both books and give back its reserve."""
        self.move(ledger.release(resting, CertificateType.CEA))
        assert table.cancel(table.names[resting.order_id]) == []

    def check(self, table: Table) -> None:
        """Compare each account with the open orders and with its moves, and what exists with what was deposited."""
        reserved = dict.fromkeys(self.of, 0)
        for one in table.book.orders.values():
            is_buy = one.side is OrderSide.BUY
            reserved[one.holder_id, Asset.EUR if is_buy else Asset.CEA] += one.remaining * (one.price if is_buy else 1)
        sums = dict.fromkeys(self.of, (0, 0, 0))
        for move in self.moves:
            available, locked, count = sums[move.holder_id, move.asset]
            sums[move.holder_id, move.asset] = (available + move.deltas[0], locked + move.deltas[1], count + 1)
        for key, account in self.of.items():
            assert account.available >= 0
            assert account.locked == reserved[key]
            assert (account.available, account.locked, account.seq) == sums[key]
        for asset, made in self.made.items():
            assert sum(one.available + one.locked for one in self.of.values() if one.asset is asset) == made
