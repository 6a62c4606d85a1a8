"""What a first start puts into an empty market: one admin, or a whole demo.

Everything is done through the schema itself, by people who signed in, so that each order, ledger row and ticket of the
demo is exactly what the same deed leaves at any other time; only the tag `demo` tells it apart.
"""

import asyncio
import contextlib
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import strawberry

import db.people
from api import schema
from api.app import services
from api.context import Context, Services
from api.flow import BOOK, CANCEL_MARKET_ORDER, CANCEL_ORDER, LOGIN, LOGOUT, PLACE_MARKET_ORDER, PLACE_ORDER
from api.logins import Login
from api.settings import Settings
from api.tickets import DECLARED
from db.embedded import Urls
from db.unit import Write
from domain.errors import ErrorCode
from domain.people import Caller, UserOutcome, UserRole, new_user
from domain.tickets import Attempt

Say = Callable[[str], None]

SEED: Final = 20_261_122  # each demo is alike; ids, times and passwords differ
USER_AGENT: Final = "carbondesk demo"
ADDRESS: Final = "127.0.0.1"
TAGS: Final = ("demo",)
CLI_TAGS: Final = ("cli",)  # nobody is signed in when the first admin is made

# Read aloud and typed without doubt: no 0/o, no 1/l/i. 20 of 31 symbols are 99 bits.
PASSWORD_SYMBOLS: Final = "23456789abcdefghjkmnpqrstuvwxyz"
PASSWORD_GROUPS: Final = 4
PASSWORD_GROUP_LENGTH: Final = 5

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
    Scene("CEA", 12_04, spacing=2, lot=100, lots_max=24, sellers=(1, 3)),
    Scene("EUA", 72_38, spacing=4, lot=25, lots_max=18, sellers=(0, 4)),
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
        say(f"demo: {stage.count['placeOrder'] + stage.count['placeMarketOrder']} orders, {LEVELS} levels a side")
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


def _password() -> str:
    groups = ("".join(secrets.choice(PASSWORD_SYMBOLS) for _ in range(PASSWORD_GROUP_LENGTH)) for _ in range(PASSWORD_GROUPS))
    return "-".join(groups)


def _eur(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _cents(price: str) -> int:
    euros, _, cents = price.partition(".")
    return int(euros) * 100 + int(cents.ljust(2, "0"))


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who signed in."""

    id: str
    login: Login
    caller: Caller


@dataclass(frozen=True, slots=True)
class Maker:
    """A market maker of the demo."""

    id: str


class Stage:
    """The demo while it is played: who takes part, and what was done so far."""

    def __init__(self, opened: Services) -> None:
        self.logins: list[Login] = []
        self.traders: list[Actor] = []
        self.makers: list[Maker] = []
        self.count: Counter[str] = Counter()  # what was done, by mutation
        self.trades = 0
        self.refusals = 0
        self._services = opened
        self._schema: strawberry.Schema = schema.build()
        self._random = random.Random(SEED)  # noqa: S311 - a demo that is alike each time; passwords come from `secrets`
        self._admin: Actor
        self._analyst: Actor

    @property
    def cancels(self) -> int:
        return self.count["cancelOrder"] + self.count["cancelMarketOrder"]

    # ------------------------------------------------------------------------------------------------------ asking

    async def ask(
        self, actor: Actor | None, document: str, *, refused: ErrorCode | str | None = None, **variables: Any
    ) -> Any:
        """Run an operation with one root field as somebody; return what the field answers.

        refused: the code it has to be refused with. Anything else than what the play says is a defect of ours.
        """
        caller = actor.caller if actor else None
        context = Context(self._services, caller, ADDRESS, USER_AGENT, tags=TAGS)
        result = await self._schema.execute(document, variable_values=variables, context_value=context)
        codes = [str((error.extensions or {}).get("code")) for error in result.errors or ()]
        (field, answer), *_ = (result.data or {"": None}).items()
        if isinstance(answer, dict):
            codes += [error["code"] for error in answer.get("errors", ())]
        wanted = [str(refused)] if refused else []
        assert codes == wanted, f"the demo's {document.split('(')[0]} was answered {codes}: {result}"
        self.count[field] += not codes
        self.refusals += bool(codes)
        return answer

    async def sign_in(self, login: Login, user_id: str) -> Actor:
        answer = await self.ask(None, LOGIN, input={"email": login.email, "password": login.password})
        caller = await db.people.caller(self._services.pool, answer["accessToken"])
        assert caller is not None
        return Actor(user_id, login, caller)

    async def sign_out(self) -> None:
        """End every session of the demo; the tokens are known to nobody."""
        await asyncio.gather(*(self.ask(actor, LOGOUT) for actor in (self._admin, self._analyst, *self.traders)))

    # ------------------------------------------------------------------------------------------------------ people

    async def first_admin(self) -> Login:
        """Create the admin whom nobody could create through the API: user null, tag `cli`."""
        name, email = ADMIN
        login = Login(email, _password(), UserRole.ADMIN.value, name)
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
        assert answer.outcome is not None, answer.refusal
        self.logins.append(login)
        self._admin = Actor(str(answer.outcome.user.id), login, await self._caller_of(login))
        return login
