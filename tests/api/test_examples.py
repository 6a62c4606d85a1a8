"""The seed's three examples through GraphQL over HTTP, every figure.

Source: seed.md, "Data Flow Examples"; design.md §4 for what Example 3's balances must be.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.world import CANCEL_MARKET_ORDER, ORDER, PASSWORD, PLACE_ORDER, Api, Trader

BALANCES = """query($id: ID!) { marketMaker(id: $id) {
  cea: balance(asset: CEA) { available locked total } eur: balance(asset: EUR) { available locked total } } }"""
ROWS = """nodes { asset transactionType reason amount availableDelta lockedDelta balanceAfter lockedAfter ticketId notes
  order { id } trade { id } createdBy { id } holderId }"""
MAKER_ROWS = f"""query($id: ID!, $asset: Asset!) {{ marketMaker(id: $id) {{
  transactions(filter: {{ asset: $asset }}) {{ {ROWS} }} }} }}"""
USER_ROWS = f"""query($id: ID!, $asset: Asset!) {{ user(id: $id) {{
  transactions(filter: {{ asset: $asset }}) {{ {ROWS} }} }} }}"""
FIGURES = ("transactionType", "reason", "amount", "availableDelta", "lockedDelta", "balanceAfter", "lockedAfter")


@dataclass
class Replay:
    """What the three examples answered, in their order, and the maker's balances after each."""

    api: Api
    maker: dict[str, Any] = field(default_factory=dict)
    order: dict[str, Any] = field(default_factory=dict)
    buyer: Trader = field(default_factory=lambda: Trader("", "", ""))
    tickets: dict[str, str] = field(default_factory=dict)  # of the buyer's way in, by mutation
    deposit: dict[str, Any] = field(default_factory=dict)
    bought: dict[str, Any] = field(default_factory=dict)
    balances: list[dict[str, Any]] = field(default_factory=list)
    books: list[dict[str, Any]] = field(default_factory=list)

    async def note(self) -> None:
        """Keep what the maker has and what the book shows now."""
        self.balances.append((await self.api.ask(BALANCES, id=self.maker["id"]))["marketMaker"])
        book = await self.api.ask(
            "{ orderBook(certificateType: CEA) { asks { price quantity orderCount } bids { price } lastPrice } }", ""
        )
        self.books.append(book["orderBook"])

    @property
    def trade_ticket(self) -> str:
        ticket_id: str = self.bought["trades"][0]["ticketId"]
        return ticket_id


@pytest.fixture(scope="module")
async def replay(api: Api) -> Replay:
    """Example 1, 2 and 3 once; the buyer comes in through the public API too."""
    one = Replay(api)
    created = await api.ask(
        """mutation($input: CreateMarketMakerInput!) { createMarketMaker(input: $input) { ticketId
          errors { code } marketMaker { id name isActive description user { id email role kycStatus }
          createdBy { id email } balances { asset available locked total seq } } } }""",
        input={
            "name": "MM-Alpha",
            "email": "mm-alpha@internal.com",
            "description": "Alpha desk",
            "initialBalances": [{"asset": "CEA", "amount": "10000"}],
        },
    )
    payload = created["createMarketMaker"]
    assert payload["errors"] == []
    one.maker = {**payload["marketMaker"], "ticketId": payload["ticketId"]}
    await one.note()
    one.order = await api.sell(one.maker["id"], "25.50", "100")
    await one.note()
    await let_buyer_in(one)
    one.bought = await api.order(one.buyer, "BUY", "25.50", "100")
    await one.note()
    return one


async def let_buyer_in(replay: Replay) -> None:
    """Create the buyer, approve KYC, announce 5,000.00 EUR and approve them."""
    api = replay.api
    created = await api.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { ticketId errors { code } user { id } } }",
        input={"email": "buyer@example.com", "name": "Buyer", "role": "TRADER", "password": PASSWORD},
    )
    user_id = created["createUser"]["user"]["id"]
    approved = await api.ask(
        "mutation($id: ID!) { approveKyc(userId: $id) { ticketId errors { code } user { kycStatus } } }", id=user_id
    )
    assert approved["approveKyc"]["user"] == {"kycStatus": "APPROVED"}
    replay.buyer = Trader(user_id, "buyer@example.com", await api.login("buyer@example.com"))
    requested = await api.ask(
        """mutation($input: RequestDepositInput!) { requestDeposit(input: $input) { ticketId errors { code }
          deposit { id amount reference status decidedAt ticketId } } }""",
        replay.buyer.token,
        input={"amount": "5000", "reference": "INV-7"},
    )
    assert await api.balance(user_id, "EUR") == ("0.00", "0.00")  # announced is not credited
    replay.deposit = requested["requestDeposit"]["deposit"]
    credited = await api.ask(
        """mutation($id: ID!) { approveDeposit(id: $id) { ticketId errors { code }
          deposit { id status decidedAt decidedBy { email } } } }""",
        id=replay.deposit["id"],
    )
    decided = credited["approveDeposit"]["deposit"]
    assert decided["status"] == "APPROVED"
    assert decided["decidedBy"] == {"email": api.admin_email}
    assert decided["decidedAt"] is not None
    assert await api.balance(user_id, "EUR") == ("5000.00", "0.00")
    replay.tickets = {
        name: answered[name]["ticketId"]
        for name, answered in (
            ("createUser", created),
            ("approveKyc", approved),
            ("requestDeposit", requested),
            ("approveDeposit", credited),
        )
    }


def figures(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the figures of ledger rows, oldest first."""
    return [tuple(row[name] for name in FIGURES) for row in reversed(rows)]


async def rows_of_maker(replay: Replay, asset: str) -> list[dict[str, Any]]:
    answered = await replay.api.ask(MAKER_ROWS, id=replay.maker["id"], asset=asset)
    rows: list[dict[str, Any]] = answered["marketMaker"]["transactions"]["nodes"]
    return rows


async def rows_of(api: Api, user_id: str, asset: str) -> list[dict[str, Any]]:
    answered = await api.ask(USER_ROWS, id=user_id, asset=asset)
    rows: list[dict[str, Any]] = answered["user"]["transactions"]["nodes"]
    return rows


def related(ticket: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the links of a ticket in both directions, as (id, action)."""
    return [(one["ticketId"], one["actionType"]) for one in ticket["relatedTickets"]]


# ----------------------------------------------------------------------------------------------------------- example 1


async def test_example_1_creates_a_maker_with_10_000_cea(replay: Replay) -> None:
    maker = replay.maker
    assert (maker["name"], maker["isActive"], maker["description"]) == ("MM-Alpha", True, "Alpha desk")
    assert maker["user"]["email"] == "mm-alpha@internal.com"
    assert (maker["user"]["role"], maker["user"]["kycStatus"]) == ("MARKET_MAKER", "NONE")
    assert maker["createdBy"]["email"] == replay.api.admin_email
    assert {one["asset"]: (one["available"], one["locked"], one["total"], one["seq"]) for one in maker["balances"]} == {
        "CEA": ("10000", "0", "10000", 1),
        "EUA": ("0", "0", "0", 0),
        "EUR": ("0.00", "0.00", "0.00", 0),
    }
    assert replay.balances[0]["cea"] == {"available": "10000", "locked": "0", "total": "10000"}


async def test_example_1_deposits_the_initial_balance_under_the_ticket_of_the_creation(replay: Replay) -> None:
    row = (await rows_of_maker(replay, "CEA"))[-1]
    assert figures([row]) == [("DEPOSIT", "DEPOSIT", "10000", "10000", "0", "10000", "0")]
    assert row["ticketId"] == replay.maker["ticketId"]
    assert (row["order"], row["trade"], row["notes"]) == (None, None, "Initial balance")
    assert row["createdBy"] == {"id": replay.maker["createdBy"]["id"]}


async def test_example_1_leaves_the_ticket_mm_created(replay: Replay) -> None:
    ticket = await replay.api.ticket(replay.maker["ticketId"])
    assert (ticket["actionType"], ticket["status"]) == ("MM_CREATED", "SUCCESS")
    assert ticket["summary"] == "Created market maker MM-Alpha with 10000 CEA"
    assert (ticket["entityType"], ticket["entityId"]) == ("MARKET_MAKER", replay.maker["id"])
    assert ticket["marketMaker"] == {"id": replay.maker["id"]}
    assert ticket["user"] == {"id": replay.maker["createdBy"]["id"]}
    assert (ticket["errorCode"], ticket["errorMessage"]) == (None, None)
    assert ticket["requestPayload"] == {
        "input": {
            "name": "MM-Alpha",
            "email": "mm-alpha@internal.com",
            "description": "Alpha desk",
            "initialBalances": [{"asset": "CEA", "amount": "10000"}],
        }
    }
    assert ticket["beforeState"] is None
    assert ticket["afterState"] == {
        "marketMaker": {
            "id": replay.maker["id"],
            "userId": replay.maker["user"]["id"],
            "name": "MM-Alpha",
            "description": "Alpha desk",
            "isActive": True,
        },
        "balances": {"CEA": {"available": "10000", "locked": "0"}},
    }
    assert {"path": "balances.CEA.available", "before": None, "after": "10000"} in ticket["changes"]
    assert (ticket["tags"], ticket["relatedTicketIds"]) == (["market-maker"], [])
    assert ticket["ipAddress"] == "127.0.0.1"
    assert ticket["sessionId"] is not None
    assert ticket["durationMs"] > 0
    assert len(ticket["digest"]) == 64


# ----------------------------------------------------------------------------------------------------------- example 2


async def test_example_2_locks_100_of_10_000(replay: Replay) -> None:
    assert replay.balances[1]["cea"] == {"available": "9900", "locked": "100", "total": "10000"}
    assert replay.order["errors"] == []
    assert replay.order["trades"] == []
    order = replay.order["order"]
    assert (order["side"], order["status"], order["price"], order["quantity"]) == ("SELL", "OPEN", "25.50", "100")
    assert (order["filledQuantity"], order["remainingQuantity"], order["averagePrice"]) == ("0", "100", None)
    assert order["ticketId"] == replay.order["ticketId"]


async def test_example_2_writes_the_trade_debit(replay: Replay) -> None:
    row = (await rows_of_maker(replay, "CEA"))[-2]
    assert figures([row]) == [("TRADE_DEBIT", "LOCK", "-100", "-100", "100", "9900", "100")]
    assert row["ticketId"] == replay.order["ticketId"]
    assert row["order"] == {"id": replay.order["order"]["id"]}
    assert row["trade"] is None


async def test_example_2_shows_the_order_in_the_public_book(replay: Replay) -> None:
    assert replay.books[0] == {"asks": [], "bids": [], "lastPrice": None}
    assert replay.books[1] == {
        "asks": [{"price": "25.50", "quantity": "100", "orderCount": 1}],
        "bids": [],
        "lastPrice": None,
    }


async def test_example_2_leaves_the_ticket_mm_order_placed(replay: Replay) -> None:
    order_id, user_id = replay.order["order"]["id"], replay.maker["user"]["id"]
    ticket = await replay.api.ticket(replay.order["ticketId"])
    assert (ticket["actionType"], ticket["status"]) == ("MM_ORDER_PLACED", "SUCCESS")
    assert ticket["summary"] == "SELL 100 CEA @ 25.50 for MM-Alpha"
    assert (ticket["entityType"], ticket["entityId"]) == ("ORDER", order_id)
    assert ticket["marketMaker"] == {"id": replay.maker["id"]}
    assert ticket["tags"] == ["order", "market-maker"]
    assert ticket["relatedTicketIds"] == []
    assert ticket["beforeState"] == {"holderId": user_id, "balances": {"CEA": {"available": "10000", "locked": "0"}}}
    assert ticket["afterState"] == {
        "order": {
            "id": order_id,
            "side": "SELL",
            "certificateType": "CEA",
            "price": "25.50",
            "quantity": "100",
            "filledQuantity": "0",
            "status": "OPEN",
            "cancelReason": None,
        },
        "holderId": user_id,
        "balances": {"CEA": {"available": "9900", "locked": "100"}},
    }
    moved = {one["path"]: (one["before"], one["after"]) for one in ticket["changes"]}
    assert moved["balances.CEA.available"] == ("10000", "9900")
    assert moved["balances.CEA.locked"] == ("0", "100")
    assert moved["order.status"] == (None, "OPEN")
    assert "holderId" not in moved


# ----------------------------------------------------------------------------------------------------------- example 3


async def test_example_3_lets_the_buyer_in_with_a_ticket_a_step(replay: Replay) -> None:
    tickets = {name: await replay.api.ticket(ticket_id) for name, ticket_id in replay.tickets.items()}
    assert {name: (one["actionType"], one["status"], one["summary"]) for name, one in tickets.items()} == {
        "createUser": ("USER_CREATED", "SUCCESS", "Created TRADER"),
        "approveKyc": ("KYC_APPROVED", "SUCCESS", "Approved KYC of TRADER"),
        "requestDeposit": ("DEPOSIT_REQUESTED", "SUCCESS", "Requested deposit of 5000.00 EUR"),
        "approveDeposit": ("DEPOSIT_APPROVED", "SUCCESS", "Approved deposit of 5000.00 EUR"),
    }
    assert tickets["requestDeposit"]["user"] == {"id": replay.buyer.id}
    assert tickets["approveKyc"]["changes"] == [{"path": "user.kycStatus", "before": "NONE", "after": "APPROVED"}]
    assert tickets["approveDeposit"]["changes"] == [
        {"path": "deposit.status", "before": "PENDING", "after": "APPROVED"}
    ]
    assert related(tickets["approveDeposit"]) == [(replay.tickets["requestDeposit"], "DEPOSIT_REQUESTED")]
    assert related(tickets["requestDeposit"]) == [(replay.tickets["approveDeposit"], "DEPOSIT_APPROVED")]
    assert replay.deposit["ticketId"] == replay.tickets["requestDeposit"]


async def test_example_3_trades_100_cea_for_2_550_eur(replay: Replay) -> None:
    assert replay.bought["errors"] == []
    (trade,) = replay.bought["trades"]
    assert (trade["price"], trade["quantity"], trade["notional"]) == ("25.50", "100", "2550.00")
    assert trade["takerSide"] == "BUY"
    order = replay.bought["order"]
    assert (order["status"], order["filledQuantity"], order["remainingQuantity"]) == ("FILLED", "100", "0")
    assert order["averagePrice"] == "25.5000"
    sold = await replay.api.ask(f"query($id: ID!) {{ order(id: $id) {{ {ORDER} }} }}", id=replay.order["order"]["id"])
    assert sold["order"] == {
        **replay.order["order"],
        "status": "FILLED",
        "filledQuantity": "100",
        "remainingQuantity": "0",
        "averagePrice": "25.5000",
    }
    assert replay.books[2] == {"asks": [], "bids": [], "lastPrice": "25.50"}


async def test_example_3_leaves_the_maker_9_900_and_nothing_locked(replay: Replay) -> None:
    assert replay.balances[2] == {
        "cea": {"available": "9900", "locked": "0", "total": "9900"},
        "eur": {"available": "2550.00", "locked": "0.00", "total": "2550.00"},
    }


async def test_example_3_leaves_the_buyer_100_cea_and_2_450_eur(replay: Replay) -> None:
    assert await replay.api.balance(replay.buyer.id, "EUR") == ("2450.00", "0.00")
    assert await replay.api.balance(replay.buyer.id, "CEA") == ("100", "0")


async def test_example_3_writes_the_seller_s_rows(replay: Replay) -> None:
    certificates, cash = await rows_of_maker(replay, "CEA"), await rows_of_maker(replay, "EUR")
    assert figures(certificates) == [
        ("DEPOSIT", "DEPOSIT", "10000", "10000", "0", "10000", "0"),
        ("TRADE_DEBIT", "LOCK", "-100", "-100", "100", "9900", "100"),
        ("TRADE_CREDIT", "SETTLE_OUT", "100", "0", "-100", "9900", "0"),
    ]
    assert figures(cash) == [("TRADE_CREDIT", "SETTLE_IN", "2550.00", "2550.00", "0.00", "2550.00", "0.00")]
    for row in (certificates[0], cash[0]):
        assert row["ticketId"] == replay.trade_ticket
        assert row["trade"] == {"id": replay.bought["trades"][0]["id"]}
        assert row["order"] == {"id": replay.order["order"]["id"]}
        assert row["holderId"] == replay.maker["user"]["id"]


async def test_example_3_writes_the_buyer_s_rows(replay: Replay) -> None:
    api, buyer = replay.api, replay.buyer
    certificates, cash = await rows_of(api, buyer.id, "CEA"), await rows_of(api, buyer.id, "EUR")
    assert figures(cash) == [
        ("DEPOSIT", "DEPOSIT", "5000.00", "5000.00", "0.00", "5000.00", "0.00"),
        ("TRADE_DEBIT", "LOCK", "-2550.00", "-2550.00", "2550.00", "2450.00", "2550.00"),
        ("TRADE_CREDIT", "SETTLE_OUT", "2550.00", "0.00", "-2550.00", "2450.00", "0.00"),
    ]
    assert figures(certificates) == [("TRADE_CREDIT", "SETTLE_IN", "100", "100", "0", "100", "0")]
    assert [row["ticketId"] for row in reversed(cash)] == [
        replay.tickets["approveDeposit"],
        replay.bought["ticketId"],
        replay.trade_ticket,
    ]
    assert certificates[0]["ticketId"] == replay.trade_ticket
    assert cash[2]["notes"] == "Deposit INV-7"
    assert {row["order"]["id"] for row in (*certificates, *cash[:2])} == {replay.bought["order"]["id"]}


async def test_example_3_leaves_a_ticket_for_the_order_the_trade_and_each_filled_order(replay: Replay) -> None:
    api = replay.api
    trade = await api.ticket(replay.trade_ticket)
    assert (trade["actionType"], trade["status"]) == ("MM_TRADE_EXECUTED", "SUCCESS")
    assert trade["summary"] == "100 CEA @ 25.50 = 2550.00 EUR"
    assert (trade["entityType"], trade["entityId"]) == ("TRADE", replay.bought["trades"][0]["id"])
    assert trade["marketMaker"] == {"id": replay.maker["id"]}
    assert trade["user"] == {"id": replay.buyer.id}
    assert trade["tags"] == ["trade", "market-maker"]
    assert trade["afterState"]["trade"] == {
        "id": replay.bought["trades"][0]["id"],
        "certificateType": "CEA",
        "price": "25.50",
        "quantity": "100",
        "notional": "2550.00",
        "buyOrderId": replay.bought["order"]["id"],
        "sellOrderId": replay.order["order"]["id"],
        "takerSide": "BUY",
    }
    assert sorted(trade["relatedTicketIds"]) == sorted([replay.order["ticketId"], replay.bought["ticketId"]])
    filled = [ticket_id for ticket_id, action in related(trade) if action == "ORDER_FILLED"]
    orders = {(await api.ticket(ticket_id))["entityId"] for ticket_id in filled}
    assert orders == {replay.order["order"]["id"], replay.bought["order"]["id"]}
    placed = await api.ticket(replay.bought["ticketId"])
    assert (placed["actionType"], placed["summary"]) == ("ORDER_PLACED", "BUY 100 CEA @ 25.50")
    assert placed["user"] == {"id": replay.buyer.id}
    assert (placed["marketMaker"], placed["tags"]) == (None, ["order"])
    assert placed["beforeState"]["balances"] == {"EUR": {"available": "5000.00", "locked": "0.00"}}
    assert placed["afterState"]["balances"] == {"EUR": {"available": "2450.00", "locked": "0.00"}}
    assert placed["afterState"]["order"]["status"] == "FILLED"


async def test_example_3_links_its_tickets_in_both_directions(replay: Replay) -> None:
    api = replay.api
    sold, bought, trade = replay.order["ticketId"], replay.bought["ticketId"], replay.trade_ticket
    actions = {
        ticket_id: sorted(action for _, action in related(await api.ticket(ticket_id)))
        for ticket_id in (sold, bought, trade)
    }
    assert actions == {
        sold: ["MM_TRADE_EXECUTED", "ORDER_FILLED"],
        bought: ["MM_TRADE_EXECUTED", "ORDER_FILLED"],
        trade: ["MM_ORDER_PLACED", "ORDER_FILLED", "ORDER_FILLED", "ORDER_PLACED"],
    }
    assert (trade, "MM_TRADE_EXECUTED") in related(await api.ticket(sold))
    assert (sold, "MM_ORDER_PLACED") in related(await api.ticket(trade))
    wide = await api.ask("query($id: ID!) { ticket(ticketId: $id) { relatedTickets(depth: 3) { ticketId } } }", id=sold)
    assert {one["ticketId"] for one in wide["ticket"]["relatedTickets"]} >= {bought, trade}


async def test_example_3_shows_the_trade_in_the_maker_s_history(replay: Replay) -> None:
    answered = await replay.api.ask(
        """query($id: ID!) { marketMaker(id: $id) { stats { openOrders trades soldQuantity proceeds lastTradeAt }
          trades { nodes { id status ticketId buyer { id } seller { id } buyOrder { id } sellOrder { id } } }
          orders { nodes { id } } tickets { nodes { actionType } } } }""",
        id=replay.maker["id"],
    )
    maker = answered["marketMaker"]
    assert maker["stats"].pop("lastTradeAt") is not None
    assert maker["stats"] == {"openOrders": 0, "trades": 1, "soldQuantity": "100", "proceeds": "2550.00"}
    assert maker["trades"]["nodes"] == [
        {
            "id": replay.bought["trades"][0]["id"],
            "status": "EXECUTED",
            "ticketId": replay.trade_ticket,
            "buyer": {"id": replay.buyer.id},
            "seller": {"id": replay.maker["user"]["id"]},
            "buyOrder": {"id": replay.bought["order"]["id"]},
            "sellOrder": {"id": replay.order["order"]["id"]},
        }
    ]
    assert maker["orders"]["nodes"] == [{"id": replay.order["order"]["id"]}]
    assert sorted(one["actionType"] for one in maker["tickets"]["nodes"]) == [
        "MM_CREATED",
        "MM_ORDER_PLACED",
        "MM_TRADE_EXECUTED",
        "ORDER_FILLED",
    ]


# ------------------------------------------------------------------------------------------------------------ variants


async def test_a_cancelled_order_gives_back_10_000_and_nothing_is_locked(api: Api) -> None:
    maker = await api.maker(CEA="10000")
    placed = await api.sell(maker["id"], "25.50", "100")
    assert await api.balance(maker["user"]["id"], "CEA") == ("9900", "100")
    cancelled = (await api.ask(CANCEL_MARKET_ORDER, id=placed["order"]["id"]))["cancelMarketOrder"]
    assert cancelled["errors"] == []
    assert cancelled["order"] == {**placed["order"], "status": "CANCELLED", "cancelReason": "REQUESTED"}
    assert await api.balance(maker["user"]["id"], "CEA") == ("10000", "0")
    rows = await rows_of(api, maker["user"]["id"], "CEA")
    assert figures(rows) == [
        ("DEPOSIT", "DEPOSIT", "10000", "10000", "0", "10000", "0"),
        ("TRADE_DEBIT", "LOCK", "-100", "-100", "100", "9900", "100"),
        ("TRADE_CREDIT", "RELEASE", "100", "100", "-100", "10000", "0"),
    ]
    assert [row["ticketId"] for row in reversed(rows)] == [
        maker["ticketId"],
        placed["ticketId"],
        cancelled["ticketId"],
    ]
    ticket = await api.ticket(cancelled["ticketId"])
    assert (ticket["actionType"], ticket["summary"]) == (
        "MM_ORDER_CANCELLED",
        "Cancelled SELL 100 CEA @ 25.50, 100 of 100 left",
    )
    moved = {one["path"]: (one["before"], one["after"]) for one in ticket["changes"]}
    assert moved == {
        "order.status": ("OPEN", "CANCELLED"),
        "order.cancelReason": (None, "REQUESTED"),
        "balances.CEA.available": ("9900", "10000"),
        "balances.CEA.locked": ("100", "0"),
    }
    assert ticket["relatedTicketIds"] == [placed["ticketId"]]
    assert related(await api.ticket(placed["ticketId"])) == [(cancelled["ticketId"], "MM_ORDER_CANCELLED")]
    shown = await api.ask("{ orderBook(certificateType: CEA) { asks { price } } }")
    assert shown["orderBook"]["asks"] == []


async def test_a_partial_fill_leaves_the_rest_locked_and_in_the_book(api: Api) -> None:
    maker, buyer = await api.maker(CEA="10000"), await api.trader(EUR="5000")
    placed = await api.sell(maker["id"], "25.50", "100")
    bought = await api.order(buyer, "BUY", "25.50", "40")
    assert (bought["order"]["status"], bought["trades"][0]["notional"]) == ("FILLED", "1020.00")
    assert await api.balance(maker["user"]["id"], "CEA") == ("9900", "60")
    assert await api.balance(maker["user"]["id"], "EUR") == ("1020.00", "0.00")
    assert await api.balance(buyer.id, "EUR") == ("3980.00", "0.00")
    assert await api.balance(buyer.id, "CEA") == ("40", "0")
    rest = (await api.ask(f"query($id: ID!) {{ order(id: $id) {{ {ORDER} }} }}", id=placed["order"]["id"]))["order"]
    assert (rest["status"], rest["filledQuantity"], rest["remainingQuantity"]) == ("PARTIALLY_FILLED", "40", "60")
    trade = await api.ticket(bought["trades"][0]["ticketId"])
    filled = [one for one in trade["relatedTickets"] if one["actionType"] == "ORDER_FILLED"]
    assert len(filled) == 1  # the buyer's; the seller's order is not full
    assert (await api.ticket(filled[0]["ticketId"]))["entityId"] == bought["order"]["id"]
    cancelled = (await api.ask(CANCEL_MARKET_ORDER, id=placed["order"]["id"]))["cancelMarketOrder"]
    assert (cancelled["order"]["status"], cancelled["order"]["filledQuantity"]) == ("CANCELLED", "40")
    assert await api.balance(maker["user"]["id"], "CEA") == ("9960", "0")
    assert (await api.ticket(cancelled["ticketId"]))["summary"] == "Cancelled SELL 100 CEA @ 25.50, 60 of 100 left"


async def test_a_better_price_gives_the_unused_reserve_back_under_the_trade_s_ticket(api: Api) -> None:
    maker, buyer = await api.maker(CEA="100"), await api.trader(EUR="2600")
    await api.sell(maker["id"], "25.50", "100")
    bought = await api.order(buyer, "BUY", "26.00", "100")
    (trade,) = bought["trades"]
    assert (trade["price"], bought["order"]["price"]) == ("25.50", "26.00")
    rows = await rows_of(api, buyer.id, "EUR")
    assert figures(rows)[1:] == [
        ("TRADE_DEBIT", "LOCK", "-2600.00", "-2600.00", "2600.00", "0.00", "2600.00"),
        ("TRADE_CREDIT", "SETTLE_OUT", "2550.00", "0.00", "-2550.00", "0.00", "50.00"),
        ("TRADE_CREDIT", "RELEASE", "50.00", "50.00", "-50.00", "50.00", "0.00"),
    ]
    assert [row["ticketId"] for row in rows[:3]] == [trade["ticketId"], trade["ticketId"], bought["ticketId"]]
    assert await api.balance(buyer.id, "EUR") == ("50.00", "0.00")
    assert await api.balance(maker["user"]["id"], "EUR") == ("2550.00", "0.00")


async def test_an_order_larger_than_the_book_rests_with_what_is_left(api: Api) -> None:
    first, second = await api.maker(CEA="50"), await api.maker(CEA="50")
    buyer = await api.trader(EUR="3000")
    await api.sell(first["id"], "25.40", "50")
    await api.sell(second["id"], "25.50", "50")
    bought = await api.order(buyer, "BUY", "25.50", "110")
    assert [(trade["price"], trade["quantity"]) for trade in bought["trades"]] == [("25.40", "50"), ("25.50", "50")]
    order = bought["order"]
    assert (order["status"], order["filledQuantity"], order["remainingQuantity"]) == ("PARTIALLY_FILLED", "100", "10")
    assert order["averagePrice"] == "25.4500"
    # 3000.00 - 110 × 25.50 = 195.00, and 50 × 0.10 = 5.00 back; 10 × 25.50 stay locked
    assert await api.balance(buyer.id, "EUR") == ("200.00", "255.00")
    book = await api.ask("{ orderBook(certificateType: CEA) { asks { price } bids { price quantity } } }")
    assert book["orderBook"] == {"asks": [], "bids": [{"price": "25.50", "quantity": "10"}]}
    seller = await api.trader(CEA="10")
    sold = await api.order(seller, "SELL", "25.00", "10")  # the resting buyer sets the price
    assert [(trade["price"], trade["takerSide"]) for trade in sold["trades"]] == [("25.50", "SELL")]
    assert await api.balance(buyer.id, "EUR") == ("200.00", "0.00")
    assert await api.balance(seller.id, "EUR") == ("255.00", "0.00")
    trade = await api.ticket(sold["trades"][0]["ticketId"])
    assert (trade["actionType"], trade["marketMaker"], trade["tags"]) == ("TRADE_EXECUTED", None, ["trade"])


async def test_of_two_orders_at_one_price_the_older_trades_first(api: Api) -> None:
    older, younger = await api.maker(EUA="10"), await api.maker(EUA="10")
    buyer = await api.trader(EUR="1000")
    first = await api.sell(older["id"], "70.00", "10", "EUA")
    await api.sell(younger["id"], "70.00", "10", "EUA")
    asked = {"side": "BUY", "certificateType": "EUA", "price": "70.00", "quantity": "10"}
    bought = await api.ask(PLACE_ORDER.replace("trades {", "trades { sellOrder { id } ", 1), buyer.token, input=asked)
    assert bought["placeOrder"]["order"]["status"] == "FILLED"
    assert await api.balance(older["user"]["id"], "EUA") == ("0", "0")
    assert await api.balance(younger["user"]["id"], "EUA") == ("0", "10")
    sold = await api.ask(f"query($id: ID!) {{ order(id: $id) {{ {ORDER} }} }}", id=first["order"]["id"])
    assert sold["order"]["status"] == "FILLED"


async def test_a_deactivated_maker_s_orders_are_cancelled_and_their_reserve_released(api: Api) -> None:
    for head, action in (
        ("updateMarketMaker(id: $id, input: {isActive: false})", "MM_UPDATED"),
        ("deleteMarketMaker(id: $id)", "MM_DELETED"),
    ):
        maker = await api.maker(CEA="10")
        orders = [(await api.sell(maker["id"], price, "5"))["order"]["id"] for price in ("41.00", "42.00")]
        document = f"mutation($id: ID!) {{ {head} {{ ticketId errors {{ code }} cancelledOrders {{ id }} }} }}"
        ((_, payload),) = ((await api.ask(document, id=maker["id"])).data or {}).items()
        assert payload["errors"] == []
        assert {one["id"] for one in payload["cancelledOrders"]} == set(orders)
        assert await api.balance(maker["user"]["id"], "CEA") == ("10", "0")
        ticket = await api.ticket(payload["ticketId"])
        assert ticket["actionType"] == action
        assert ticket["summary"].endswith(", 2 open orders cancelled")
        children = [one for one in ticket["relatedTickets"] if one["actionType"] == "MM_ORDER_CANCELLED"]
        assert len(children) == 2


async def test_after_all_of_it_what_is_owned_is_what_was_deposited(api: Api) -> None:
    rows = await api.sql(
        "SELECT asset, sum(available + locked) AS owned,"
        " (SELECT sum(available_delta) FROM asset_transactions a WHERE a.asset = b.asset"
        "  AND a.transaction_type IN ('DEPOSIT', 'WITHDRAWAL')) AS brought FROM balances b GROUP BY asset"
    )
    assert len(rows) == 3
    assert [row["owned"] for row in rows] == [row["brought"] for row in rows]
