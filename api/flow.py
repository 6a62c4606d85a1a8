"""Simulated traders: the demo's people keep the market moving through the public API, as any program would.

Each one looks at the book and at what is his, then does one thing: quote near the best price, take from the other side,
or cancel. The admin sells for the market makers where offers run out. Nobody gets more than a bounded number of open
orders, and prices are drawn back to where they started, so that it may run for days.
"""

import asyncio
import contextlib
import json
import random
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog

from api.logins import Login

PAUSE_S: Final = 2.0  # of one trader between two actions, on average: six traders make three actions a second
REQUEST_TIMEOUT_S: Final = 5.0  # longer than the API lets a write wait
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 10.0
DEPTH: Final = 30
OPEN_ORDERS_MAX: Final = 40  # of one trader; then the oldest goes before another comes
OPEN_ORDERS_MIN: Final = 20  # below it he only quotes, so that both books stay deep
MAKER_ORDERS_MAX: Final = 90  # of all market makers together
ASK_LEVELS_MIN: Final = 25
TAKE_SHARE: Final = 0.2  # of a trader's actions
CANCEL_SHARE: Final = 0.25
QUOTE_TICKS: Final = 12.0  # how far from the other side's best price a quote lies on average: about 25 levels a side
QUOTE_TICKS_MAX: Final = 40
SWEPT_LEVELS: Final = (1, 1, 1, 2, 3)  # how many levels one taker takes: what moves the price
STARTING_PRICES: Final = {"CEA": 12_04, "EUA": 72_38}  # cents; what the demo's books are laid out around
LOTS: Final = {"CEA": 25, "EUA": 5}
QUOTE_LOTS_MAX: Final = 8
TAKE_LOTS_MAX: Final = 40  # 12,000 to 15,000 EUR: a thousandth of what the traders have
PULL: Final = 6.0  # at 5 % above its starting price a certificate is bought in 2 of 10 cases instead of 5
DELIVERY_LOTS: Final = 1_000  # what a market maker without certificates gets from the registry
assert OPEN_ORDERS_MIN < OPEN_ORDERS_MAX <= 100  # one page of the API

log = structlog.get_logger(__name__)

LOGIN: Final = """mutation Login($input: LoginInput!) {
  login(input: $input) { accessToken errors { code message } } }"""
LOGOUT: Final = "mutation Logout { logout { errors { code message } } }"
BOOK: Final = """query Book($certificateType: CertificateType!, $depth: Int!) {
  orderBook(certificateType: $certificateType, depth: $depth) {
    bids { price quantity } asks { price quantity } lastPrice } }"""
PLACE_ORDER: Final = """mutation Place($input: PlaceOrderInput!) {
  placeOrder(input: $input) { errors { code message } order { id } trades { id } } }"""
CANCEL_ORDER: Final = "mutation Cancel($id: ID!) { cancelOrder(id: $id) { errors { code message } order { id } } }"
PLACE_MARKET_ORDER: Final = """mutation PlaceForMaker($input: PlaceMarketOrderInput!) {
  placeMarketOrder(input: $input) { errors { code message } order { id } trades { id } } }"""
CANCEL_MARKET_ORDER: Final = """mutation CancelForMaker($id: ID!) {
  cancelMarketOrder(id: $id) { errors { code message } order { id } } }"""
LOOK_AS_TRADER: Final = """query LookAsTrader($certificateType: CertificateType!, $depth: Int!, $orders: OrderFilter!) {
  orderBook(certificateType: $certificateType, depth: $depth) { bids { price quantity } asks { price quantity } }
  me { balances { asset available } }
  orders(filter: $orders, first: 100) { nodes { id side price certificateType } } }"""
LOOK_AS_ADMIN: Final = """query LookAsAdmin($certificateType: CertificateType!, $depth: Int!, $orders: OrderFilter!) {
  orderBook(certificateType: $certificateType, depth: $depth) { bids { price } asks { price } }
  marketMakers(filter: { isActive: true }) { nodes { id balance(asset: ASSET) { available } } }
  orders(filter: $orders, last: 1) { totalCount nodes { id } } }"""
DELIVER: Final = """mutation Deliver($input: CreateTransactionInput!) {
  createTransaction(input: $input) { errors { code message } } }"""
OPEN: Final = ("OPEN", "PARTIALLY_FILLED")


class Away(Exception):
    """The API does not answer, or cannot now."""


class SignedOut(Exception):
    """The session has ended."""


def eur_of(cents: int) -> str:
    """Write a price as the wire has it."""
    return f"{cents // 100}.{cents % 100:02d}"


def cents_of(price: str) -> int:
    """Read a price of the wire."""
    euros, _, cents = price.partition(".")
    return int(euros) * 100 + int(cents.ljust(2, "0"))


async def trade(url: str, logins: Sequence[Login], *, pause_s: float = PAUSE_S) -> None:
    """Trade until cancelled. url: where the API answers, without a path. One request at a time for each person."""
    people = [Person(url, login) for login in logins if login.role in ACTS]
    try:
        async with asyncio.TaskGroup() as group:
            for person in people:
                group.create_task(_keep_going(person, pause_s), name=person.login.email)
    finally:
        await asyncio.gather(*(person.sign_out() for person in people))


async def _keep_going(person: "Person", pause_s: float) -> None:
    """Act again and again; when the API is away wait ever longer, up to BACKOFF_MAX_S."""
    backoff_s = BACKOFF_FIRST_S
    while True:
        await asyncio.sleep(person.dice.expovariate(1 / pause_s))
        try:
            await person.sign_in()
            await ACTS[person.login.role](person)
            backoff_s = BACKOFF_FIRST_S
        except SignedOut:
            person.token = None
        except Away as error:
            log.warning("flow_waits", who=person.login.email, error=str(error), wait_s=backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)


class Person:
    """One who signs in and asks, over HTTP."""

    def __init__(self, url: str, login: Login) -> None:
        self.login = login
        self.dice = random.Random()  # noqa: S311 - nothing secret
        self.token: str | None = None
        self._url = f"{url}/graphql"
        # The address is our own, so a proxy of the environment must not be asked for it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def ask(self, document: str, **variables: Any) -> Any:
        """Return the data of an operation. A refusal of a mutation is data too: whoever trades meets some.

        Raises: Away, SignedOut.
        """
        body = json.dumps({"query": document, "variables": variables}).encode()
        answer = await asyncio.to_thread(self._post, body)
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        if "UNAUTHENTICATED" in codes:
            raise SignedOut
        if codes:
            raise Away(answer["errors"][0]["message"])
        return answer["data"]

    def _post(self, body: bytes) -> Any:
        headers = {"Content-Type": "application/json", "User-Agent": "carbondesk flow"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - http, as the caller says
        try:
            try:
                with self._opener.open(request, timeout=REQUEST_TIMEOUT_S) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                with error:
                    return json.load(error)
        except (OSError, ValueError, urllib.error.URLError) as error:
            raise Away(repr(error)) from error

    async def sign_in(self) -> None:
        """Sign in where there is no session.

        Raises: Away.
        """
        if self.token is not None:
            return
        data = await self.ask(LOGIN, input={"email": self.login.email, "password": self.login.password})
        if data["login"]["errors"]:
            raise Away(data["login"]["errors"][0]["message"])
        self.token = data["login"]["accessToken"]

    async def sign_out(self) -> None:
        """End the session, if the API is there to be told."""
        if self.token is not None:
            with contextlib.suppress(Away, SignedOut):
                await self.ask(LOGOUT)


# ------------------------------------------------------------------------------------------------------------- traders


async def _act_as_trader(person: Person) -> None:
    """Look, and do one thing that the balances allow."""
    dice = person.dice
    certificate = dice.choice(tuple(STARTING_PRICES))
    seen = await person.ask(LOOK_AS_TRADER, certificateType=certificate, depth=DEPTH, orders={"statuses": OPEN})
    mine = seen["orders"]["nodes"]  # newest first
    if len(mine) >= OPEN_ORDERS_MAX:
        await person.ask(CANCEL_ORDER, id=mine[-1]["id"])
        return
    chance = dice.random() if len(mine) >= OPEN_ORDERS_MIN else 1.0
    if chance < CANCEL_SHARE:
        await person.ask(CANCEL_ORDER, id=dice.choice(mine)["id"])
        return
    order = _order(dice, certificate, seen["orderBook"], takes=chance < CANCEL_SHARE + TAKE_SHARE)
    if met := next((one for one in mine if one["certificateType"] == certificate and _meet(order, one)), None):
        await person.ask(CANCEL_ORDER, id=met["id"])  # he has changed his mind about the price
    elif _is_covered(order, {balance["asset"]: balance["available"] for balance in seen["me"]["balances"]}):
        await person.ask(PLACE_ORDER, input=order)


def _order(dice: random.Random, certificate: str, book: Any, *, takes: bool) -> dict[str, str]:
    """Draw an order: one that takes some levels of the other side, or one that rests."""
    bid, ask = _touch(certificate, book)
    start = STARTING_PRICES[certificate]
    is_buy = dice.random() < 0.5 - PULL * ((bid + ask) / 2 - start) / start
    price = max(1, ask - _ticks(dice)) if is_buy else bid + _ticks(dice)
    lots = dice.randint(1, QUOTE_LOTS_MAX)
    if takes and (levels := book["asks" if is_buy else "bids"][: dice.choice(SWEPT_LEVELS)]):
        price = cents_of(levels[-1]["price"])
        lots = min(TAKE_LOTS_MAX, sum(int(level["quantity"]) for level in levels) // LOTS[certificate] or 1)
    return {
        "certificateType": certificate,
        "side": "BUY" if is_buy else "SELL",
        "price": eur_of(price),
        "quantity": str(lots * LOTS[certificate]),
    }


def _meet(order: dict[str, str], other: dict[str, str]) -> bool:
    """Tell whether two orders for the same certificate would trade."""
    if order["side"] == other["side"]:
        return False
    bid, ask = (order, other) if order["side"] == "BUY" else (other, order)
    return cents_of(bid["price"]) >= cents_of(ask["price"])


def _touch(certificate: str, book: Any) -> tuple[int, int]:
    """Return the best bid and ask in cents; beside an empty side the other one tells, at first the starting price."""
    bid = cents_of(book["bids"][0]["price"]) if book["bids"] else None
    ask = cents_of(book["asks"][0]["price"]) if book["asks"] else None
    if bid is None:
        bid = ask - 1 if ask is not None else STARTING_PRICES[certificate]
    return max(bid, 1), ask if ask is not None else bid + 1


def _ticks(dice: random.Random) -> int:
    """Draw how far from the other side's best price a quote lies; at least 1, so that it rests."""
    return 1 + min(int(dice.expovariate(1 / QUOTE_TICKS)), QUOTE_TICKS_MAX)


def _is_covered(order: dict[str, str], available: dict[str, str]) -> bool:
    quantity = int(order["quantity"])
    if order["side"] == "BUY":
        return quantity * cents_of(order["price"]) <= cents_of(available["EUR"])
    return quantity <= int(available[order["certificateType"]])


# ------------------------------------------------------------------------------------------------------------- makers


async def _act_as_admin(person: Person) -> None:
    """Sell for a market maker while levels are missing; when all of them have too many orders, take the oldest back."""
    dice = person.dice
    certificate = dice.choice(tuple(STARTING_PRICES))
    seen = await person.ask(
        LOOK_AS_ADMIN.replace("ASSET", certificate),
        certificateType=certificate,
        depth=DEPTH,
        orders={"statuses": OPEN, "hasMarketMaker": True},
    )
    open_orders, makers = seen["orders"], seen["marketMakers"]["nodes"]
    taken = {cents_of(level["price"]) for level in seen["orderBook"]["asks"]}
    if len(taken) >= ASK_LEVELS_MIN or not makers:
        return
    if open_orders["totalCount"] >= MAKER_ORDERS_MAX:
        await person.ask(CANCEL_MARKET_ORDER, id=open_orders["nodes"][0]["id"])
        return
    bid, _ = _touch(certificate, seen["orderBook"])
    price = bid + _ticks(dice)
    while price in taken:
        price += 1
    maker = dice.choice(makers)
    quantity = LOTS[certificate] * dice.randint(1, QUOTE_LOTS_MAX)
    if int(maker["balance"]["available"]) < quantity:
        delivery = str(LOTS[certificate] * DELIVERY_LOTS)
        asked = {"marketMakerId": maker["id"], "asset": certificate, "transactionType": "DEPOSIT", "amount": delivery}
        await person.ask(DELIVER, input=asked)
    asked = {"marketMakerId": maker["id"], "certificateType": certificate, "side": "SELL"}
    await person.ask(PLACE_MARKET_ORDER, input={**asked, "price": eur_of(price), "quantity": str(quantity)})


ACTS: Final[dict[str, Callable[[Person], Awaitable[None]]]] = {"TRADER": _act_as_trader, "ADMIN": _act_as_admin}
