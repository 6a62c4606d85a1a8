"""What a first start puts into an empty market: one admin, or a whole demo.

Everything is done through the schema itself, by people who signed in, so that each order, ledger row and ticket of the
demo is exactly what the same deed leaves at any other time; only the tag `demo` tells it apart.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import db.people
from api import schema
from api.app import services
from api.context import Context, Services
from api.flow import (
    BOOK,
    CANCEL_MARKET_ORDER,
    CANCEL_ORDER,
    LOGIN,
    LOGOUT,
    PLACE_MARKET_ORDER,
    PLACE_ORDER,
    STARTING_PRICES,
    cents_of,
    eur_of,
)
from api.logins import Login
from api.office import TAGS as CLI_TAGS
from api.office import new_password
from api.settings import Settings
from api.tickets import DECLARED
from db.embedded import Urls
from db.transaction import Write
from domain.errors import ErrorCode
from domain.people import Caller, UserOutcome, UserRole, new_user
from domain.tickets import Attempt

Say = Callable[[str], None]

SEED: Final = 20_261_122  # each demo is alike; ids, times and passwords differ
USER_AGENT: Final = "carbondesk demo"
ADDRESS: Final = "127.0.0.1"
TAGS: Final = ("demo",)
ADMIN: Final = ("Helena Brandt", "admin@carbondesk.local")
ANALYST: Final = ("Marta Nowak", "analyst@carbondesk.local")
TRADERS: Final = (
    ("Lukas Weber", "lukas.weber@rheinstahl.example"),
    ("Chen Yifan", "chen.yifan@huadong-power.example"),
    ("Sofia Rossi", "sofia.rossi@adria-cement.example"),
    ("Wang Jianing", "wang.jianing@lanhai-carbon.example"),
    ("Camille Laurent", "camille.laurent@volt-ouest.example"),
    ("Erik Lindqvist", "erik.lindqvist@norrskog.example"),
)
MAKERS: Final = (
    ("MM-Alpha", "Pilot certificates of the 2025 auctions", 600_000, 120_000),
    ("MM-Beta", "Surplus of the power sector", 450_000, 160_000),
    ("MM-Gamma", None, 300_000, 90_000),
)
WIRED: Final = 4  # the first traders announce bank transfers; the others are credited by hand

LEVELS: Final = 30  # quoted a side before trading
LEVELS_MIN: Final = 26  # what is traded away below this is quoted again
ROUNDS: Final = 16  # of trading, in both books
CANCELS: Final = 3  # by makers, and as many by traders, in each book
SECOND_ORDER: Final = 0.3  # how often a level gets two orders
MAKERS_SHARE: Final = 0.75  # of what is offered
BUSY_TRIES_MAX: Final = 5  # on a slow disk a lock may come too late
TAKEN_DEPTHS: Final = (0, 0, 1, 1, 2)  # how many levels one taker sweeps before the one he ends in


@dataclass(frozen=True, slots=True)
class Scene:
    """How one certificate is traded. Units: cents, certificates; a spacing is the greatest step between two levels.

    sellers: the traders who offer it; only the others bid, so nobody meets an order of his own.
    """

    certificate: str
    mid: int
    spacing: int
    lot: int
    lots_max: int
    sellers: tuple[int, ...]


SCENES: Final = (
    Scene("CEA", STARTING_PRICES["CEA"], spacing=2, lot=100, lots_max=24, sellers=(1, 3)),
    Scene("EUA", STARTING_PRICES["EUA"], spacing=4, lot=25, lots_max=18, sellers=(0, 4)),
)
assert LEVELS * max(scene.spacing for scene in SCENES) < min(scene.mid for scene in SCENES)

CREATE_USER: Final = """mutation DemoUser($input: CreateUserInput!) {
  createUser(input: $input) { errors { code message } user { id } } }"""
APPROVE_KYC: Final = "mutation DemoKyc($id: ID!) { approveKyc(userId: $id) { errors { code message } } }"
REQUEST_DEPOSIT: Final = """mutation DemoTransfer($input: RequestDepositInput!) {
  requestDeposit(input: $input) { errors { code message } deposit { id } } }"""
APPROVE_DEPOSIT: Final = "mutation DemoCredit($id: ID!) { approveDeposit(id: $id) { errors { code message } } }"
CREATE_TRANSACTION: Final = """mutation DemoTransaction($input: CreateTransactionInput!) {
  createTransaction(input: $input) { errors { code message } } }"""
CREATE_MAKER: Final = """mutation DemoMaker($input: CreateMarketMakerInput!) {
  createMarketMaker(input: $input) { errors { code message } marketMaker { id } } }"""


async def seed(settings: Settings, urls: Urls, say: Say) -> list[Login]:
    """Fill an empty market with people, makers, books and trades; return who may sign in."""
    async with _opened(settings, urls) as opened:
        stage = Stage(opened)
        admin = await stage.first_admin()
        await stage.cast(admin)
        say(f"demo: 1 admin, 1 analyst, {len(stage.traders)} traders with euros and certificates")
        await stage.create_makers()
        say(f"demo: {len(MAKERS)} market makers: {', '.join(name for name, *_ in MAKERS)}")
        await asyncio.gather(*(stage.quote(scene) for scene in SCENES))
        say(f"demo: {stage.orders} orders in two books, {LEVELS} levels a side")
        for _ in range(ROUNDS):
            await asyncio.gather(*(stage.trade(scene) for scene in SCENES))
        await asyncio.gather(*(stage.cancel(scene) for scene in SCENES))
        await stage.be_refused()
        await asyncio.gather(*(stage.deepen(scene) for scene in SCENES))
        say(f"demo: {stage.trades} trades, {stage.cancels} orders cancelled, {stage.refusals} attempts refused")
        await stage.sign_out()
        return stage.logins


async def admin_only(settings: Settings, urls: Urls, say: Say) -> Login:
    """Give an empty market the one admin whom everything else needs; return his login."""
    async with _opened(settings, urls) as opened:
        login = await Stage(opened).first_admin()
    say("an empty market with one admin")
    return login


@contextlib.asynccontextmanager
async def _opened(settings: Settings, urls: Urls) -> AsyncIterator[Services]:
    known = {"database_url": urls.database_url, "redis_url": urls.redis_url}
    async with services(settings.model_copy(update=known)) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who signed in."""

    login: Login
    caller: Caller

    @property
    def id(self) -> str:
        return str(self.caller.user.id)


@dataclass(frozen=True, slots=True)
class Quote:
    """An order to place. who: a trader, or the id of a market maker. depth: levels between it and the best one."""

    who: Actor | str
    side: str
    price: int
    quantity: int
    depth: int = 0


class Stage:
    """The demo while it is played: who takes part, and what was done so far."""

    def __init__(self, opened: Services) -> None:
        self.logins: list[Login] = []
        self.traders: list[Actor] = []
        self.makers: list[str] = []
        self.done: Counter[str] = Counter()  # by field
        self.trades = 0
        self.refusals = 0
        self._services = opened
        self._schema = schema.build()
        # Of their own, so that what one book draws does not depend on the other's pace.
        self._dice = {scene: random.Random(f"{SEED} {scene.certificate}") for scene in SCENES}  # noqa: S311 - no secrets
        self._rests: dict[Scene, list[tuple[Quote, str]]] = {scene: [] for scene in SCENES}
        self._admin: Actor
        self._analyst: Actor

    @property
    def orders(self) -> int:
        return self.done["placeOrder"] + self.done["placeMarketOrder"]

    @property
    def cancels(self) -> int:
        return self.done["cancelOrder"] + self.done["cancelMarketOrder"]

    # ------------------------------------------------------------------------------------------------------ asking

    async def ask(self, actor: Actor | None, document: str, *, refused: str | None = None, **variables: Any) -> Any:
        """Run an operation with one root field as somebody; return what the field answers.

        refused: the code that it has to be refused with; anything else than what the play says is a defect of ours.
        """
        caller = actor.caller if actor else None
        codes: list[str] = []
        for _ in range(BUSY_TRIES_MAX):
            context = Context(self._services, caller, ADDRESS, USER_AGENT, tags=TAGS)
            result = await self._schema.execute(document, variable_values=variables, context_value=context)
            codes = [str((error.extensions or {}).get("code")) for error in result.errors or ()]
            (field, answer), *_ = (result.data or {"": None}).items()
            if answer:
                codes += [error["code"] for error in answer.get("errors", ())]
            if codes != [ErrorCode.BUSY]:
                break
        assert codes == ([refused] if refused else []), f"{document.partition('(')[0]} was answered {codes}"
        self.done[field] += not codes
        self.refusals += bool(codes)
        return answer

    async def sign_in(self, login: Login) -> Actor:
        answer = await self.ask(None, LOGIN, input={"email": login.email, "password": login.password})
        caller = await db.people.caller(self._services.pool, answer["accessToken"])
        assert caller is not None
        return Actor(login, caller)

    async def sign_out(self) -> None:
        """End every session of the demo: nobody holds the tokens."""
        await asyncio.gather(*(self.ask(actor, LOGOUT) for actor in (self._admin, self._analyst, *self.traders)))

    # ------------------------------------------------------------------------------------------------------ people

    async def first_admin(self) -> Login:
        """Create the admin whom nobody could create through the API: user null, tag `cli`."""
        name, email = ADMIN
        login = Login(email, new_password(), UserRole.ADMIN.value, name)
        new = new_user(login.email, login.name, UserRole.ADMIN, login.password)
        password_hash = await self._services.passwords.hash(login.password)
        declared = DECLARED["createUser"]
        asked = {"email": login.email, "name": login.name, "role": login.role, "password": login.password}
        attempt = Attempt(
            attempt_id=uuid4(),
            field=declared.name,
            action_type=declared.action,
            request=declared.recorded({"input": asked}),
            started_at_ns=time.monotonic_ns(),
            tags=CLI_TAGS,
        )

        async def work(write: Write) -> UserOutcome:
            return await db.people.create(write, new, password_hash)

        answer = await self._services.units.run(attempt, work, declared.tell, declared.outcome_of)
        assert answer.refusal is None, answer.refusal
        self.logins.append(login)
        return login

    async def cast(self, admin: Login) -> None:
        """Let the admin create everybody else; each one signs in."""
        self._admin = await self.sign_in(admin)
        self._analyst, *self.traders = await asyncio.gather(
            self._create(*ANALYST, UserRole.ANALYST), *(self._create(*who, UserRole.TRADER) for who in TRADERS)
        )
        self.logins += [actor.login for actor in (self._analyst, *self.traders)]
        await asyncio.gather(*(self._equip(index, trader) for index, trader in enumerate(self.traders)))
        await self._announce(self.traders[0], 250_000, "second half of November")  # left for an admin to decide

    async def _create(self, name: str, email: str, role: UserRole) -> Actor:
        login = Login(email, new_password(), role.value, name)
        asked = {"email": email, "name": name, "role": role.value, "password": login.password}
        await self.ask(self._admin, CREATE_USER, input=asked)
        return await self.sign_in(login)

    async def _equip(self, index: int, trader: Actor) -> None:
        """Approve a trader and give him euros and certificates of both kinds."""
        dice = random.Random(f"{SEED} {index}")  # noqa: S311 - no secret
        await self.ask(self._admin, APPROVE_KYC, id=trader.id)
        euros = dice.randint(80, 150) * 10_000
        if index < WIRED:
            await self.ask(self._admin, APPROVE_DEPOSIT, id=await self._announce(trader, euros, "trading account"))
        else:
            await self._transact("userId", trader.id, "EUR", euros, "Opening balance, SWIFT MT103")
        for asset, amount in (("CEA", dice.randint(40, 90) * 1_000), ("EUA", dice.randint(8, 20) * 1_000)):
            await self._transact("userId", trader.id, asset, amount, "Transfer from the registry account")

    async def _announce(self, trader: Actor, euros: int, purpose: str) -> str:
        reference = f"{trader.login.name}, {purpose}"
        answer = await self.ask(trader, REQUEST_DEPOSIT, input={"amount": f"{euros}.00", "reference": reference})
        deposit_id: str = answer["deposit"]["id"]
        return deposit_id

    async def _transact(
        self, holder: str, holder_id: str, asset: str, amount: int, notes: str, *, kind: str = "DEPOSIT"
    ) -> None:
        asked = {holder: holder_id, "asset": asset, "transactionType": kind, "amount": str(amount), "notes": notes}
        await self.ask(self._admin, CREATE_TRANSACTION, input=asked)

    async def create_makers(self) -> None:
        """Create the market makers with what they sell."""
        for name, description, cea, eua in MAKERS:
            asked = {
                "name": name,
                "email": f"{name.lower()}@carbondesk.local",
                "description": description,
                "initialBalances": [{"asset": "CEA", "amount": str(cea)}, {"asset": "EUA", "amount": str(eua)}],
            }
            answer = await self.ask(self._admin, CREATE_MAKER, input=asked)
            self.makers.append(answer["marketMaker"]["id"])
        await self._transact(
            "marketMakerId", self.makers[1], "EUA", 15_000, "Returned to the registry", kind="WITHDRAWAL"
        )

    # ------------------------------------------------------------------------------------------------------ trading

    async def quote(self, scene: Scene) -> None:
        """Lay out both sides of an empty book: makers and some traders offer, the other traders bid."""
        dice = self._dice[scene]
        quotes = []
        for side, direction in (("SELL", 1), ("BUY", -1)):
            price = scene.mid
            for depth in range(LEVELS):
                price += direction * dice.randint(1, scene.spacing)
                orders = 1 + (dice.random() < SECOND_ORDER)
                quotes += [self._draw(scene, side, price, depth) for _ in range(orders)]
        await self._rest(scene, quotes)

    def _draw(self, scene: Scene, side: str, price: int, depth: int) -> Quote:
        """Draw who quotes how much at a price."""
        dice = self._dice[scene]
        quantity = scene.lot * dice.randint(1, min(scene.lots_max, 4 + depth))  # the best levels are the thinnest
        if side == "SELL" and dice.random() < MAKERS_SHARE:
            return Quote(dice.choice(self.makers), side, price, quantity, depth)
        return Quote(self._trader(scene, side), side, price, quantity, depth)

    def _trader(self, scene: Scene, side: str) -> Actor:
        may = [trader for index, trader in enumerate(self.traders) if (index in scene.sellers) == (side == "SELL")]
        return self._dice[scene].choice(may)

    async def _rest(self, scene: Scene, quotes: Sequence[Quote]) -> None:
        """Place quotes together and remember their orders."""
        placed = await asyncio.gather(*(self._place(scene, quote) for quote in quotes))
        self._rests[scene] += zip(quotes, placed, strict=True)

    async def _place(self, scene: Scene, quote: Quote) -> str:
        """Place an order; return its id."""
        asked = {
            "certificateType": scene.certificate,
            "side": quote.side,
            "price": eur_of(quote.price),
            "quantity": str(quote.quantity),
        }
        if isinstance(quote.who, Actor):
            answer = await self.ask(quote.who, PLACE_ORDER, input=asked)
        else:
            answer = await self.ask(self._admin, PLACE_MARKET_ORDER, input={**asked, "marketMakerId": quote.who})
        self.trades += len(answer["trades"])
        order_id: str = answer["order"]["id"]
        return order_id

    async def _sides(self, scene: Scene) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return bids and asks as (price, quantity), best first."""
        book = await self.ask(None, BOOK, certificateType=scene.certificate, depth=2 * LEVELS)
        bids, asks = (
            [(cents_of(level["price"]), int(level["quantity"])) for level in book[side]] for side in ("bids", "asks")
        )
        return bids, asks

    async def trade(self, scene: Scene) -> None:
        """Let somebody take from one side, down to some level, and quote a new best price on both."""
        dice = self._dice[scene]
        bids, asks = await self._sides(scene)
        is_buy = dice.random() < 0.5
        taken = asks if is_buy else bids
        depth = dice.choice(TAKEN_DEPTHS)
        price, quantity = taken[depth]
        swept = sum(quantity for _, quantity in taken[:depth])
        lots = dice.randint(1, max(1, quantity // scene.lot))
        side = "BUY" if is_buy else "SELL"
        await self._place(scene, Quote(self._trader(scene, side), side, price, swept + lots * scene.lot))
        if is_buy:
            bid = dice.randint(bids[0][0], min(price - 1, bids[0][0] + scene.spacing))
            ask = dice.randint(bid + 1, price + scene.spacing)
        else:
            ask = dice.randint(max(price + 1, asks[0][0] - scene.spacing), asks[0][0])
            bid = dice.randint(price - scene.spacing, ask - 1)
        await self._rest(scene, [self._draw(scene, "BUY", bid, 0), self._draw(scene, "SELL", ask, 0)])

    async def cancel(self, scene: Scene) -> None:
        """Cancel some orders of makers and of traders that lie too deep to have traded."""
        deep = [(quote.who, order_id) for quote, order_id in self._rests[scene] if quote.depth >= LEVELS // 2]
        traders = [(who, order_id) for who, order_id in deep if isinstance(who, Actor)]
        makers = [order_id for who, order_id in deep if isinstance(who, str)]
        dice = self._dice[scene]
        await asyncio.gather(
            *(self.ask(self._admin, CANCEL_MARKET_ORDER, id=order_id) for order_id in dice.sample(makers, CANCELS)),
            *(self.ask(who, CANCEL_ORDER, id=order_id) for who, order_id in dice.sample(traders, CANCELS)),
        )

    async def deepen(self, scene: Scene) -> None:
        """Add the levels that trading and cancelling took below LEVELS_MIN."""
        bids, asks = await self._sides(scene)
        quotes = []
        for side, levels, direction in (("SELL", asks, 1), ("BUY", bids, -1)):
            worst = levels[-1][0]
            missing = LEVELS_MIN - len(levels)
            quotes += [self._draw(scene, side, worst + direction * (step + 1), LEVELS) for step in range(missing)]
        await self._rest(scene, quotes)

    async def be_refused(self) -> None:
        """Make the mistakes that people make; each leaves its FAILED ticket and nothing else."""
        admin, maker_id, (first, second, third, *_) = self._admin, self.makers[0], self.traders
        buy = {"certificateType": "EUA", "side": "BUY", "price": "71.90", "quantity": "900000"}
        await self.ask(first, PLACE_ORDER, refused="INSUFFICIENT_BALANCE", input=buy)
        off_tick = {"certificateType": "CEA", "side": "SELL", "price": "12.125", "quantity": "500"}
        await self.ask(second, PLACE_ORDER, refused="INVALID_PRICE", input=off_tick)
        wrong = {"email": third.login.email, "password": "autumn-in-trieste"}
        await self.ask(None, LOGIN, refused="INVALID_CREDENTIALS", input=wrong)
        for_maker = {**buy, "quantity": "100", "marketMakerId": maker_id}
        await self.ask(admin, PLACE_MARKET_ORDER, refused="SIDE_NOT_ALLOWED", input=for_maker)
        await self.ask(self._analyst, PLACE_MARKET_ORDER, refused="FORBIDDEN", input={**for_maker, "side": "SELL"})
        too_much = {"marketMakerId": maker_id, "asset": "CEA", "transactionType": "WITHDRAWAL", "amount": "2000000"}
        await self.ask(admin, CREATE_TRANSACTION, refused="INSUFFICIENT_BALANCE", input=too_much)
        twice = {"name": MAKERS[0][0], "email": "mm-alpha-2@carbondesk.local"}
        await self.ask(admin, CREATE_MAKER, refused="NAME_TAKEN", input=twice)
