"""Who sees what of an object he has reached: one declared line for every field of every type; none, no schema.

Root fields have a policy of their own (`api.policy`), which decides whether somebody gets to an object at all. What he
may not see of it is null, or an empty list: never an error, so that a page does not break. The resolvers carry this
out; `tests/api/test_matrix.py` walks the schema and compares what each kind of caller gets with what stands here.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, is_introspection_type


class Sight(Enum):
    """A rule about who sees a field of an object he has reached."""

    OPEN = "whoever reaches the object"
    SELF = "ADMIN, and the user whose object it is"
    HOLDER = "ADMIN, ANALYST, and the user whose object it is"
    OWN = "ADMIN, ANALYST, and the user whose the linked object is"
    OVERSIGHT = "ADMIN and ANALYST"
    ADMIN = "ADMIN"


ROOTS: Final = frozenset({"Query", "Mutation", "Subscription"})

# Frames: what they hold has rights of its own. A payload is seen by nobody but who made the attempt.
FRAMES: Final = ("Connection", "Aggregates", "Edge", "Payload", "PageInfo", "UserError")

SIGHTS: Final[dict[str, dict[Sight, str]]] = {
    "ActionCount": {Sight.OPEN: "actionType count failedCount"},
    "AssetTransaction": {
        Sight.OPEN: "id asset transactionType reason amount availableDelta lockedDelta balanceAfter lockedAfter notes"
        " holderId ticketId createdAt trade",
        Sight.OWN: "holder order createdBy",
        Sight.OVERSIGHT: "marketMaker ticket",
    },
    "AttemptOutcome": {Sight.OPEN: "ticketId status errorCode order transaction"},  # only of one's own attempts
    "Balance": {Sight.OPEN: "holderId marketMakerId asset available locked total seq"},
    "Candle": {Sight.OPEN: "from to open high low close volume notional trades vwap"},
    "Certificate": {
        Sight.OPEN: "certificateType name description tickSize lotSize referencePrice isHalted lastTrade",
    },
    "Deposit": {
        Sight.OPEN: "id amount reference status reason createdAt decidedAt ticketId",
        Sight.OWN: "user decidedBy",
    },
    "ErrorCodeCount": {Sight.OPEN: "errorCode count lastAt"},
    "FieldChange": {Sight.OPEN: "path before after"},
    "KycDocument": {Sight.OPEN: "id kind fileName contentType bytes sha256 uploadedAt ticketId"},
    "LevelChange": {Sight.OPEN: "side price quantity orderCount"},
    "MarketMaker": {
        Sight.OPEN: "id name description isActive createdAt updatedAt user createdBy balances balance stats"
        " transactions orders trades tickets",
    },
    "MarketMakerStats": {Sight.OPEN: "openOrders trades soldQuantity proceeds lastTradeAt"},
    "OrderAggregate": {
        Sight.OPEN: "from to hourOfDay weekday count certificateType side orderType timeInForce status cancelReason"
        " marketMakerId userId quantitySum quantityAvg quantityMin quantityMax filledQuantitySum fillRate notionalSum"
        " priceAvg priceMin priceMax vwap",
        Sight.OWN: "user",
        Sight.OVERSIGHT: "marketMaker",
    },
    "Operations": {
        Sight.OPEN: "schemaState isRedisConnected sealingAlarm sealLagSeconds sealedLeaves sockets deskQueue streams"
        " pools",
    },
    "Order": {
        Sight.OPEN: "id certificateType side orderType timeInForce price quantity filledQuantity remainingQuantity"
        " averagePrice status cancelReason priority createdAt updatedAt ticketId trades",
        Sight.HOLDER: "user transactions",
        Sight.OVERSIGHT: "marketMaker ticket tickets",
    },
    "OrderBook": {
        Sight.OPEN: "certificateType sequence bids asks bestBid bestAsk spread lastPrice checksum at",
    },
    "OrderBookDelta": {Sight.OPEN: "sequence previousSequence changes checksum at"},
    "OrderBookHeartbeat": {Sight.OPEN: "sequence at"},
    "OrderBookSnapshot": {Sight.OPEN: "book reason"},
    "PoolState": {Sight.OPEN: "name openConnections usedConnections maxConnections"},
    "PriceLevel": {Sight.OPEN: "price quantity orderCount cumulativeQuantity"},
    "Session": {Sight.OPEN: "id user createdAt lastSeenAt expiresAt ipAddress userAgent isCurrent"},
    "Settings": {Sight.OPEN: "priceBandPercent publicMarketData haltedCertificates"},
    "StreamState": {Sight.OPEN: "certificateType lagSeconds behindEvents"},
    "Ticket": {
        Sight.OPEN: "id ticketId timestamp actionType status summary errorCode errorMessage entityType entityId"
        " ipAddress userAgent sessionId durationMs relatedTicketIds tags digest sealedAt user marketMaker"
        " relatedTickets",
        Sight.ADMIN: "requestPayload responseData beforeState afterState changes",
    },
    "TicketAggregate": {
        Sight.OPEN: "from to hourOfDay weekday count actionType status errorCode userId marketMakerId entityType"
        " ipAddress sessionId failedCount failureRate durationMsSum durationMsAvg durationMsMin durationMsMax"
        " durationMsP50 durationMsP95 marketMaker user",
    },
    "TicketProof": {Sight.OPEN: "ticketId leafIndex treeSize leafHash path checkpoint"},
    "TicketStats": {
        Sight.OPEN: "durationP95Ms totalActions successCount failedCount successRate byActionType byUser byErrorCode"
        " actionsOverTime",
    },
    "TimeCount": {Sight.OPEN: "from to successCount failedCount"},
    "Trade": {
        Sight.OPEN: "id certificateType price quantity notional takerSide status executedAt settledAt",
        Sight.HOLDER: "registryReference ticketId",
        Sight.OWN: "buyer seller buyOrder sellOrder",
        Sight.OVERSIGHT: "marketMaker ticket",
    },
    "TradeAggregate": {
        Sight.OPEN: "from to hourOfDay weekday count certificateType takerSide status marketMakerId buyerId sellerId"
        " quantitySum quantityAvg quantityMin quantityMax notionalSum notionalAvg notionalMin notionalMax priceAvg"
        " priceMin priceMax vwap",
        Sight.OVERSIGHT: "marketMaker buyer seller",
    },
    "TransactionAggregate": {
        Sight.OPEN: "from to hourOfDay weekday count asset transactionType reason holderId marketMakerId amountSum"
        " amountAvg amountMin amountMax availableDeltaSum lockedDeltaSum",
        Sight.OWN: "holder",
        Sight.OVERSIGHT: "marketMaker",
    },
    "UserCount": {Sight.OPEN: "user count failedCount"},
    "User": {
        Sight.OPEN: "id name role isActive kycStatus createdAt",
        Sight.SELF: "email kycReason kycDocuments deposits",
        Sight.HOLDER: "balances orders trades transactions",
        Sight.OVERSIGHT: "tickets",
    },
}


def sight_of(type_name: str, field_name: str) -> Sight | None:
    """Return who sees a field; None when nobody has said."""
    if type_name.endswith(FRAMES):
        return Sight.OPEN
    declared = SIGHTS.get(type_name, {})
    return next((sight for sight, names in declared.items() if field_name in names.split()), None)


def objects(schema: GraphQLSchema) -> Iterator[GraphQLObjectType | GraphQLInterfaceType]:
    """Yield the types whose fields somebody may see, the root types left out."""
    for kind in schema.type_map.values():
        is_ours = kind.name not in ROOTS and not is_introspection_type(kind)
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and is_ours:
            yield kind


def require_declared(schema: GraphQLSchema) -> None:
    """Refuse a schema with a field of which nobody has said who sees it, and rights of fields that are gone.

    Raises: TypeError, naming them.
    """
    there = {f"{kind.name}.{name}" for kind in objects(schema) for name in kind.fields}
    undeclared = sorted(name for name in there if sight_of(*name.split(".")) is None)
    declared = [
        f"{kind}.{name}" for kind, sights in SIGHTS.items() for names in sights.values() for name in names.split()
    ]
    gone = sorted(set(declared) - there)
    twice = sorted({name for name in declared if declared.count(name) > 1})
    for fault, names in (("say who sees", undeclared), ("there is no", gone), ("declared twice:", twice)):
        if names:
            raise TypeError(f"api/rights.py: {fault} {', '.join(names)}")
