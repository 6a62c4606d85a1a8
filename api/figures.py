"""The types of the schema that are figures only: nothing in them is looked up, nothing in them is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from api.books import BookEvent, Delta, Heartbeat, Snapshot
from api.enums import Asset, CertificateType, OrderSide, SnapshotReason
from api.ladder import BookPicture, Level
from api.scalars import BigInt
from db import candles
from db.proofs import Inclusion
from domain import ledger

ID = strawberry.ID


def described(text: str, **options: Any) -> Any:
    """Return a plain field with its description."""
    return strawberry.field(description=text, **options)


def id_of(value: UUID | None) -> ID | None:
    """Return an id as it is sent."""
    return None if value is None else ID(str(value))


@strawberry.type(description="What a holder has of an asset.")
class Balance:
    holder_id: ID = described("The user who holds it.")
    market_maker_id: ID | None = described("The holder's market maker profile, if it is one.")
    asset: Asset = described("The asset.")
    available: Decimal = described("What can be used for orders and withdrawals.")
    locked: Decimal = described("What open orders have reserved.")
    total: Decimal = described("available + locked.")
    seq: BigInt = described("Number of the last ledger row behind these figures; 0 before the first.")

    @classmethod
    def of(cls, record: ledger.Balance) -> Balance:
        return cls(
            holder_id=ID(str(record.holder_id)),
            market_maker_id=id_of(record.market_maker_id),
            asset=record.asset,
            available=record.available,
            locked=record.locked,
            total=record.total,
            seq=BigInt(record.seq),
        )


@strawberry.type(description="What a market maker has in the book and has sold so far.")
class MarketMakerStats:
    open_orders: int = described("Orders in the books now.")
    trades: int = described("Trades made.")
    sold_quantity: Decimal = described("Certificates sold.")
    proceeds: Decimal = described("EUR received for them.")
    last_trade_at: datetime | None = described("When the last trade was made.")


@strawberry.type(description="One price of a book.")
class PriceLevel:
    price: Decimal = described("EUR per certificate.")
    quantity: Decimal = described("Certificates at this price.")
    order_count: int = described("Orders at this price.")
    cumulative_quantity: Decimal = described("Certificates at this price and better.")

    @classmethod
    def side(cls, levels: Sequence[Level], depth: int) -> list[PriceLevel]:
        total = Decimal(0)
        side = []
        for level in levels[:depth]:
            total += level.quantity
            side.append(
                cls(
                    price=level.price,
                    quantity=level.quantity,
                    order_count=level.order_count,
                    cumulative_quantity=total,
                )
            )
        return side


@strawberry.type(description="A whole book as committed.")
class OrderBook:
    certificate_type: CertificateType = described("Whose book.")
    sequence: BigInt = described("Goes up by one with each command that changes the book.")
    bids: list[PriceLevel] = described("Buyers, best first.")
    asks: list[PriceLevel] = described("Sellers, best first.")
    best_bid: Decimal | None = described("Highest price a buyer offers.")
    best_ask: Decimal | None = described("Lowest price a seller asks.")
    spread: Decimal | None = described("bestAsk - bestBid.")
    last_price: Decimal | None = described("Price of the newest trade.")
    checksum: BigInt = described(
        'CRC-32 of the ASCII text "b:PRICE:QUANTITY;" for the best 10 bids, then "a:PRICE:QUANTITY;" for the best 10 '
        "asks, best first, strings exactly as sent, whatever depth was asked for."
    )
    at: datetime = described(
        "The last moment this was known to be the newest book; of a book of the past: when the next change came."
    )

    @classmethod
    def of(cls, picture: BookPicture, depth: int) -> OrderBook:
        best_bid = picture.bids[0].price if picture.bids else None
        best_ask = picture.asks[0].price if picture.asks else None
        return cls(
            certificate_type=CertificateType(picture.certificate_type),
            sequence=BigInt(picture.sequence),
            bids=PriceLevel.side(picture.bids, depth),
            asks=PriceLevel.side(picture.asks, depth),
            best_bid=best_bid,
            best_ask=best_ask,
            spread=None if best_bid is None or best_ask is None else best_ask - best_bid,
            last_price=picture.last_price,
            checksum=BigInt(picture.checksum),
            at=picture.at,
        )


@strawberry.type(description="What the trades of a certificate came to in a bucket of time.")
class Candle:
    start: datetime = described("Where the bucket begins.", name="from")
    stop: datetime = described("Where it ends, not included.", name="to")
    open: Decimal = described("EUR: price of the first trade; without a trade the last price before the bucket.")
    high: Decimal = described("EUR: highest price; without a trade the last price before.")
    low: Decimal = described("EUR: lowest price; without a trade the last price before.")
    close: Decimal = described("EUR: price of the last trade; without a trade the last price before.")
    volume: Decimal = described("Certificates traded.")
    notional: Decimal = described("EUR traded.")
    trades: int = described("Trades; 0 for a bucket that only carries the last price on.")
    vwap: Decimal | None = described("notional / volume in EUR, 4 decimals, rounded half up; null without a trade.")

    @classmethod
    def of(cls, record: candles.Candle) -> Candle:
        return cls(
            start=record.start,
            stop=record.stop,
            open=record.open,
            high=record.high,
            low=record.low,
            close=record.close,
            volume=record.volume,
            notional=record.notional,
            trades=record.trades,
            vwap=record.vwap,
        )


@strawberry.type(description="A whole book, every level, among its changes: what is known so far is replaced by it.")
class OrderBookSnapshot:
    book: OrderBook = described("Every level of both sides.")
    reason: SnapshotReason = described("Why it is sent.")


@strawberry.type(description="What a command, or several one after the other, changed at one price.")
class LevelChange:
    side: OrderSide = described("BUY: a level of the bids; SELL: of the asks.")
    price: Decimal = described("EUR per certificate.")
    quantity: Decimal = described('Certificates at this price now, not a difference; "0" removes the level.')
    order_count: int = described("Orders at this price now.")


@strawberry.type(
    description="What changed since previousSequence, where the event before ended: of one command, or merged."
)
class OrderBookDelta:
    sequence: BigInt = described("The sequence of the book after this.")
    previous_sequence: BigInt = described("The sequence on which this builds; is yours another one, subscribe again.")
    changes: list[LevelChange] = described("Each level that is not as it was; those not named are unchanged.")
    checksum: BigInt = described("Of the book after this, as OrderBook.checksum.")
    at: datetime = described("The last moment this was known to be the newest book.")


@strawberry.type(
    description="Sent each second, whether or not anything changed: how far the database is, so that silence is seen."
)
class OrderBookHeartbeat:
    sequence: BigInt = described("The newest one committed. If you are not there a second later, you miss something.")
    at: datetime = described("When the database said so. If it stands still, the database is away and your book ages.")


@strawberry.type(description="A figure that an action moved.")
class FieldChange:
    path: str = described("Dotted path within the state.")
    before: JSON | None = described("What it was; null when it was not there.")
    after: JSON | None = described("What it is; null when it is not there.")


@strawberry.type(description="What proves that a ticket stands in the signed tree; docs/audit.md says how to check it.")
class TicketProof:
    ticket_id: ID = described("The ticket.")
    leaf_index: BigInt = described("Its place in the tree, from 0.")
    tree_size: BigInt = described("Leaves of the tree that the checkpoint signs.")
    leaf_hash: str = described("The hash of its leaf, in hex; over its id and its digest.")
    path: list[str] = described("The hashes from the leaf to the root (RFC 6962), in hex.")
    checkpoint: str = described("The newest checkpoint: a C2SP signed note of origin, size and root.")

    @classmethod
    def of(cls, record: Inclusion) -> TicketProof:
        return cls(
            ticket_id=ID(record.ticket_id),
            leaf_index=BigInt(record.leaf_index),
            tree_size=BigInt(record.tree_size),
            leaf_hash=record.leaf_hash.hex(),
            path=[one.hex() for one in record.path],
            checkpoint=record.checkpoint,
        )


OrderBookEvent = Annotated[
    OrderBookSnapshot | OrderBookDelta | OrderBookHeartbeat,
    strawberry.union("OrderBookEvent", description="What happens to a book that is followed by its changes."),
]


def book_event(event: BookEvent) -> OrderBookSnapshot | OrderBookDelta | OrderBookHeartbeat:
    """Return an event as it is sent."""
    match event:
        case Snapshot(picture, reason):
            depth = max(len(picture.bids), len(picture.asks))
            return OrderBookSnapshot(book=OrderBook.of(picture, depth), reason=SnapshotReason(reason))
        case Delta():
            return OrderBookDelta(
                sequence=BigInt(event.sequence),
                previous_sequence=BigInt(event.previous_sequence),
                changes=[
                    LevelChange(
                        side=OrderSide(side), price=level.price, quantity=level.quantity, order_count=level.order_count
                    )
                    for side, level in event.changes
                ],
                checksum=BigInt(event.checksum),
                at=event.at,
            )
        case Heartbeat(sequence, at):
            return OrderBookHeartbeat(sequence=BigInt(sequence), at=at)
