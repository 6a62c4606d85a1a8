"""The hostile corpus: requests of somebody who wants the door to break. Data only; `test_hostile.py` sends them.

A case says who sends it and how many root fields of mutations in it are attempts, each of which is owed one ticket.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

JSON_TYPE = {"Content-Type": "application/json"}
NOBODY, ADMIN, TRADER = "nobody", "admin", "trader"
MAKER = "MAKER-ID"  # put in by who sends the corpus
KIB = 1024


@dataclass(frozen=True)
class Case:
    """One request. attempts: root fields that leave a ticket each; status: what HTTP must say, when it is fixed."""

    name: str
    body: bytes
    who: str = ADMIN
    attempts: int = 0
    method: str = "POST"
    query_string: str = ""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_TYPE)


def asked(document: str, variables: str = "{}", **more: str) -> bytes:
    """Write a body; variables: JSON as text, so that it may hold what no encoder would write."""
    rest = "".join(f', "{name}": {value}' for name, value in more.items())
    return f'{{"query": {json.dumps(document)}, "variables": {variables}{rest}}}'.encode("utf-8", "surrogatepass")


PLACE = "mutation($i: PlaceMarketOrderInput!) { placeMarketOrder(input: $i) { ticketId errors { code } } }"
TRANSACT = "mutation($i: CreateTransactionInput!) { createTransaction(input: $i) { ticketId errors { code } } }"
CREATE = "mutation($i: CreateMarketMakerInput!) { createMarketMaker(input: $i) { ticketId errors { code } } }"
DEPOSIT = "mutation($i: RequestDepositInput!) { requestDeposit(input: $i) { ticketId errors { code } } }"
CANCEL = "mutation($i: ID!) { cancelMarketOrder(id: $i) { ticketId errors { code } } }"
LOGIN = "mutation($i: LoginInput!) { login(input: $i) { ticketId errors { code } } }"


# ------------------------------------------------------------------------------------------------------------- figures

# As JSON. What JSON itself forbids (NaN, Infinity bare) is among the bodies.
FIGURES = [
    '"NaN"', '"Infinity"', '"-Infinity"', '"sNaN"', '"-0"', '"+1"', '"-1"', '"1E+999999"', '"1E-999999"', '"1e5"',
    '"1_000"', '" 1 "', '"1 "', '"\\t1"', '"1\\n"', '"١٢٣"', '"１２"', '"0.005"', f'"1{"0" * 30}"', '"0x10"', '"1,5"',
    '"1."', '".5"', '""', '"--1"', '"1/2"', '"½"', '"∞"', f'"{"9" * 13}"', f'"{"9" * 5_000}"', f'"0.{"1" * 9}"',
    '"1\\u0000"', '"1\\u200b"', '"\\ud800"', '"1e100000"', '"0b1"', '"null"', '"1.0.0"', "true", "false", "null", "[]",
    "{}", "[0, [1], 0]", "1.5", "1e400", "-1", "-0", f"1{'0' * 30}", "7" * 5_000, "0.1", '{"a": 1}', '["1"]',
]  # fmt: skip
FIGURES_OF = {
    "price": (PLACE, f'{{"marketMakerId": "{MAKER}", "certificateType": "CEA", "quantity": "1", "price": %s}}'),
    "quantity": (PLACE, f'{{"marketMakerId": "{MAKER}", "certificateType": "CEA", "price": "9999", "quantity": %s}}'),
    "amount": (
        TRANSACT, f'{{"marketMakerId": "{MAKER}", "asset": "EUR", "transactionType": "DEPOSIT", "amount": %s}}'
    ),
}  # fmt: skip
LITERALS = ["NaN", "1e400", "1.5", "-1", "7" * 5_000, "1" * 200, "true", "null", "[[1]]", "{a: 1}", "CEA", '"NaN"',
            '"1_0"', "$x",
            '"\\u0000"', '""" 1 """', "0x1", "1.e1", "00", "-0"]  # fmt: skip


def figures() -> Iterator[Case]:
    for name, (document, frame) in FIGURES_OF.items():
        for index, figure in enumerate(FIGURES):
            yield Case(f"{name} {index} {figure[:20]}", asked(document, f'{{"i": {frame % figure}}}'), attempts=1)
    for index, literal in enumerate(LITERALS):
        document = (
            f'mutation {{ createTransaction(input: {{marketMakerId: "{MAKER}", asset: EUR, transactionType: DEPOSIT,'
            f" amount: {literal}}}) {{ ticketId errors {{ code }} }} }}"
        )
        # Not to be parsed, or names a variable that is not there: no attempt anybody could record.
        attempts = 0 if literal in ("$x", "0x1", "1.e1", "00") else 1
        yield Case(f"amount literal {index} {literal[:20]}", asked(document), attempts=attempts)


# --------------------------------------------------------------------------------------------------------------- texts

# As JSON strings.
TEXTS = {
    "NUL": '"a\\u0000b"',
    "only NUL": '"\\u0000"',
    "high surrogate": '"a\\ud83d"',
    "low surrogate": '"\\ude00a"',
    "swapped pair": '"\\ude00\\ud83d"',
    "right to left": '"\\u202eevil\\u202c"',
    "zero width": '"a\\u200b\\u200c\\u200d\\ufeffb"',
    "only zero width": '"\\u200b"',
    "combining": json.dumps("e" + "\u0301" * 1_000),
    "emoji family": '"👩‍👩‍👧‍👦"',
    "no character": '"\\uffff\\ufffe"',
    "line separator": '"a\\u2028b\\u2029c"',
    "CR LF": '"a\\r\\nSet-Cookie: carbondesk=x\\r\\n\\r\\nb"',
    "log line": '"x\\n{\\"event\\": \\"forged\\"}"',
    "ANSI": '"\\u001b[31mred\\u001b[0m\\u001b]0;title\\u0007"',
    "backspace": '"secret\\b\\b\\b"',
    "formula =": '"=HYPERLINK(\\"http://evil.example\\",\\"x\\")"',
    "formula +": "\"+1+cmd|' /C calc'!A0\"",
    "formula -": '"-2+3"',
    "formula @": '"@SUM(1+1)"',
    "formula tab": '"\\t=1+1"',
    "formula CR": '"\\r=1+1"',
    "formula comma": '"a\\",=1+1,\\""',
    "SQL": '"\'; DROP TABLE users; --"',
    "template": '"{{7*7}}${7*7}<%= 7*7 %>"',
    "script": '"<script>alert(1)</script>"',
    "per cent": '"100%s%n%x"',
    "shell": '"$(id)`id`"',
    "path": '"../../../../etc/passwd"',
    "blank": '"   "',
    "empty": '""',
    "number": "7",
    "list": '["a"]',
    "object": '{"a": "b"}',
    "boolean": "true",
    "70,000 letters": json.dumps("x" * 70_000),
    "escapes": '"\\\\u0000\\\\"',
}
TEXTS_OF = {
    "reference": (DEPOSIT, '{"amount": "1", "reference": %s}', TRADER),
    "name": (CREATE, '{"name": %s, "email": "hostile-name@desk.test"}', ADMIN),
    "notes": (
        TRANSACT,
        f'{{"marketMakerId": "{MAKER}", "asset": "EUR", "transactionType": "DEPOSIT", "amount": "1", "notes": %s}}',
        ADMIN,
    ),
    "idempotency key": (
        TRANSACT,
        f'{{"marketMakerId": "{MAKER}", "asset": "EUR", "transactionType": "DEPOSIT", "amount": "1",'
        ' "idempotencyKey": %s}',
        ADMIN,
    ),
}
LOGIN_TEXTS = (
    "NUL",
    "high surrogate",
    "SQL",
    "70,000 letters",
    "CR LF",
    "empty",
    "object",
)  # few: logins are throttled


def texts() -> Iterator[Case]:
    for name, (document, frame, who) in TEXTS_OF.items():
        for label, text in TEXTS.items():
            yield Case(f"{name}: {label}", asked(document, f'{{"i": {frame % text}}}'), who, attempts=1)
    for label in LOGIN_TEXTS:
        variables = f'{{"i": {{"email": {TEXTS[label]}, "password": {TEXTS[label]}}}}}'
        yield Case(f"login: {label}", asked(LOGIN, variables), NOBODY, attempts=1)
    for label, text in TEXTS.items():
        document = "query($s: String) { marketMakers(filter: {search: $s}) { nodes { id } } }"
        yield Case(f"search of makers: {label}", asked(document, f'{{"s": {text}}}'))


# ------------------------------------------------------------------------------------------------------ searches, lists

PATTERNS = ["%", "_", "\\", "a\\", "\\\\", "%%%%%%%%", "_" * 60, "'", '"', ":*", "!", "&", "|", "<->", "(", ")",
            "a:b:c",
            "a & !b", "TKT-2026-' OR 1=1", "TKT-", "TKT-99999999-1",
            f"TKT-2026-{'9' * 40}", "*", "a*b*", "\t", "x" * 5_000,
            "x y " * 2_000]  # fmt: skip
SEARCHES = {
    "tickets": "query($s: String!) { tickets(filter: {search: $s}) { nodes { id } totalCount } }",
    "users": "query($s: String!) { users(filter: {search: $s}) { nodes { id } totalCount } }",
}
CURSORS = ["", "x", "=", "AAAA", "%00", "W10=", "bnVsbA==", "\u0000", "💥", "x" * 10_000]
# Cursors that decode: JSON of the wrong shape, of huge figures, of texts that no column holds.
CURSORS += [
    base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")
    for text in (
        "{}", "[1]", "[null, null]", '["x", 1]', '["2026-01-01T00:00:00Z", "x"]', "[1e400, 1]", f"[{'9' * 400}, 1]",
        '["infinity", 1]', '["10000-01-01T00:00:00Z", 1]', '["\\u0000", 1]', '[2026, "1; DROP TABLE users"]',
        "[" * 5_000,
        "[2026, -1]", "[true, false]", '[["a"], 1]', '["NaN", "NaN"]', "[9223372036854775808, 9223372036854775808]",
    )
]  # fmt: skip
SIZES = [
    "0",
    "-1",
    "101",
    "1000000000",
    "2147483647",
    "2147483648",
    "1.5",
    '"10"',
    "true",
    "null",
    "[1]",
    "-2147483648",
]
DATES = ["2026-01-01", "2026-01-01T00:00:00", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
         "2026-01-01T24:00:00Z", "2026-01-01T23:59:60Z", "2026-01-01T00:00:00+25:00", "9999-12-31T23:59:59-23:59",
         "infinity",
         "0001-01-01T00:00:00+23:59", "now", "", "1767225600", "2026-01-01T00:00:00.1234567890Z",
         "２０２６-01-01T00:00:00Z"]  # fmt: skip
IDS = ["", "x", "\u0000", "1" * 36, "{11111111-2222-4333-8444-555555555555}", "11111111222243338444555555555555",
       "' OR '1'='1", "11111111-2222-4333-8444-55555555555\u0661", "../../x", "x" * 20_000, "\ud800",
       "urn:uuid:11111111-2222-4333-8444-555555555555"]  # fmt: skip


def lists() -> Iterator[Case]:
    for name, document in SEARCHES.items():
        for index, pattern in enumerate(PATTERNS):
            yield Case(f"search of {name} {index} {pattern[:12]!r}", asked(document, json.dumps({"s": pattern})))
    for root in ("tickets", "orders", "trades"):
        document = f"query($c: String) {{ {root}(first: 5, after: $c) {{ nodes {{ id }} }} }}"
        for index, cursor in enumerate(CURSORS):
            yield Case(f"cursor of {root} {index} {cursor[:12]!r}", asked(document, json.dumps({"c": cursor})))
    for size in SIZES:
        document = "query($n: Int) { tickets(first: $n) { nodes { id } } }"
        yield Case(f"first {size}", asked(document, f'{{"n": {size}}}'))
        yield Case(f"last {size}", asked(document.replace("first:", "last:"), f'{{"n": {size}}}'))
        yield Case(f"depth {size}", asked("{ orderBook(certificateType: CEA, depth: %s) { sequence } }" % size), NOBODY)  # noqa: UP031
    yield Case("first and last", asked("{ tickets(first: 1, last: 1) { nodes { id } } }"))
    yield Case("after and before", asked('{ tickets(after: "x", before: "y") { nodes { id } } }'))
    for date in DATES:
        document = "query($d: DateTime) { tickets(filter: {dateFrom: $d, dateTo: $d}) { totalCount } }"
        yield Case(f"date {date[:30]!r}", asked(document, json.dumps({"d": date})))
    for given in IDS:
        document = (
            "query($i: ID!) { marketMaker(id: $i) { id } order(id: $i) { id } user(id: $i) { id }"
            " ticket(ticketId: $i) { id } }"
        )
        yield Case(f"id {given[:12]!r}", asked(document, json.dumps({"i": given})))
        yield Case(f"cancel {given[:12]!r}", asked(CANCEL, json.dumps({"i": given})), attempts=1)
    for tags in (["x"] * 10_000, ["\u0000"], ["x" * 10_000], [], ["a", "a"]):
        document = "query($t: [String!]) { tickets(filter: {tags: $t}) { totalCount } }"
        yield Case(f"{len(tags)} tags {str(tags)[:12]}", asked(document, json.dumps({"t": tags})))


# ----------------------------------------------------------------------------------------------------------- documents


def doubling(levels: int) -> str:
    fragments = [f"fragment F{n} on User{{...F{n + 1} ...F{n + 1}}}" for n in range(levels)]
    return "{me{...F0}}" + "".join(fragments) + f"fragment F{levels} on User{{a:id}}"


ONE_LOGIN = 'login(input: {email: "a@b.example", password: "x"}) { ticketId }'
ONE_CANCEL = 'cancelMarketOrder(id: "x") { ticketId errors { code } }'
DOCUMENTS: dict[str, tuple[str, int]] = {  # and the attempts in it
    "100 logins": ("mutation {" + " ".join(f"a{n}: {ONE_LOGIN}" for n in range(100)) + "}", 0),
    "2 logins": (f"mutation {{ a: {ONE_LOGIN} b: {ONE_LOGIN} }}", 0),
    "2 logins by fragment": (f"mutation {{ ...F b: {ONE_LOGIN} }} fragment F on Mutation {{ a: {ONE_LOGIN} }}", 0),
    "20 cancels": ("mutation {" + " ".join(f"a{n}: {ONE_CANCEL}" for n in range(20)) + "}", 20),
    "21 cancels": ("mutation {" + " ".join(f"a{n}: {ONE_CANCEL}" for n in range(21)) + "}", 0),
    "a cancel twice by one key": (f"mutation {{ {ONE_CANCEL} {ONE_CANCEL} }}", 1),
    "a cancel skipped": (f"mutation {{ a: {ONE_CANCEL} @skip(if: true) b: {ONE_CANCEL} }}".replace(
        "{ ticketId errors { code } } @skip(if: true)", "@skip(if: true) { ticketId errors { code } }"), 1),
    "41 aliases": ("{ certificates {" + " ".join(f"a{n}: name" for n in range(41)) + "} }", 0),
    "the bomb": (doubling(16), 0),
    "a bigger bomb": (doubling(100), 0),
    "a cycle": ("{ me { ...A } } fragment A on User { ...B } fragment B on User { id ...A }", 0),
    "a fragment of itself": ("{ me { ...A } } fragment A on User { ...A }", 0),
    "300 fragments": ("{ me { " + " ".join(f"...F{n}" for n in range(300)) + "} }" + "".join(
        f"fragment F{n} on User {{ id }}" for n in range(300)), 0),
    "100 levels": ("{ tickets { nodes " + "{ relatedTickets " * 100 + "{ id }" + "}" * 101 + "}", 0),
    "10,000 braces": ("{" * 10_000, 0),
    "10,000 brackets": ("{ tickets(filter: {tags: " + "[" * 10_000 + "}", 0),
    "20,000 fields": ("{ " + "__typename " * 20_000 + "}", 0),
    "1,000 repeats that merge": ("{ " + "me { id } " * 1_000 + "}", 0),
    "1,000 directives": ("{ me { id " + "@skip(if: false) " * 1_000 + "} }", 0),
    "500 operations": (" ".join(f"query Q{n} {{ __typename }}" for n in range(500)), 0),
    "two operations, no name": ("query A { __typename } query B { __typename }", 0),
    "two operations of one name": ("query A { __typename } query A { __typename }", 0),
    "no operation": ("fragment A on User { id }", 0),
    "comments": ("#\n" * 5_000 + "{ __typename }", 0),
    "a long comment": ("#" + "x" * 200_000 + "\n{ __typename }", 0),
    "a long string": ('{ tickets(filter: {search: "' + "x" * 200_000 + '"}) { totalCount } }', 0),
    "a block string": ('{ tickets(filter: {search: """' + "x\n" * 10_000 + '"""}) { totalCount } }', 0),
    "an open string": ('{ tickets(filter: {search: "x', 0),
    "NUL between": ("{\x00__typename}", 0),
    "a byte order mark": ("\ufeff{ __typename }", 0),
    "names beyond ASCII": ("{ мe { id } }", 0),
    "an unknown field": ("mutation { destroy { id } }", 0),
    "an unknown argument": ('mutation { cancelMarketOrder(id: "x", force: true) { ticketId } }', 0),
    "an unknown enum value": (
        f'mutation {{ createTransaction(input: {{marketMakerId: "{MAKER}", asset: GOLD, transactionType: DEPOSIT,'
        ' amount: "1"}) { ticketId } }', 1),
    "an enum value as text": (
        f'mutation {{ createTransaction(input: {{marketMakerId: "{MAKER}", asset: "EUR", transactionType: DEPOSIT,'
        ' amount: "1"}) { ticketId } }', 1),
    "no argument": ("mutation { cancelMarketOrder { ticketId } }", 1),
    "no selection": ('mutation { cancelMarketOrder(id: "x") }', 0),
    "a subscription": ("subscription { tickets { id } }", 0),
    "introspection of introspection": (
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }", 0),
    "a type that is none": ('{ __type(name: "\\u0000") { name } }', 0),
    "a variable of no type": ("query($x: Nothing) { __typename }", 0),
    "a variable unused": ("query($x: Int) { __typename }", 0),
    "a thousand variables": ("query(" + " ".join(f"$v{n}: Int" for n in range(1_000)) + ") { __typename }", 0),
    "nothing": (" ", 0),
    "not GraphQL": ("SELECT * FROM users", 0),
}  # fmt: skip


def documents() -> Iterator[Case]:
    for name, (document, attempts) in DOCUMENTS.items():
        yield Case(name, asked(document), attempts=attempts)
        if not attempts and "login" not in name:
            yield Case(f"{name}, of nobody", asked(document), NOBODY)
    many = json.dumps({f"v{n}": n for n in range(20_000)})
    yield Case("20,000 variables", asked("{ __typename }", many))
    yield Case("33 levels of variables", asked(CANCEL, '{"i": ' + "[" * 33 + "]" * 33 + "}"), attempts=1)
    yield Case("an object as an id", asked(CANCEL, '{"i": {"$ne": null}}'), attempts=1)
    yield Case("no variables", asked(CANCEL), attempts=1)
    yield Case("a key with NUL", asked(CANCEL, '{"i": "x", "\\u0000": 1}'), attempts=1)
    yield Case("an extra field", asked(PLACE, '{"i": {"isAdmin": true}}'), attempts=1)
    yield Case("a prototype", asked(PLACE, '{"i": {"__proto__": {"a": 1}, "constructor": 1}}'), attempts=1)
    yield Case("a name of an operation", asked("{ __typename }", operationName='"\\u0000"'))
    yield Case(
        "extensions", asked("{ __typename }", extensions='{"persistedQuery": {"version": 1, "sha256Hash": "x"}}')
    )


# -------------------------------------------------------------------------------------------------------------- bodies

QUERY = b'"query":"{ __typename }"'
BODIES: dict[str, tuple[bytes, int]] = {  # and the status
    "empty": (b"", 400),
    "invalid UTF-8": (b'{"query":"\xff\xfe"}', 400),
    "overlong UTF-8": (b'{"query":"\xc0\xaf"}', 400),
    "UTF-8 of a surrogate": (b'{"query":"\xed\xa0\x80"}', 400),
    "UTF-16": ('{"query":"{ __typename }"}'.encode("utf-16"), 400),
    "byte order mark": (b"\xef\xbb\xbf{" + QUERY + b"}", 400),
    "NUL": (b"\x00", 400),
    "100,000 deep lists": (b'{"query":' + b"[" * 100_000, 400),
    "100,000 deep objects": (b'{"a":' * 40_000, 400),
    "100,000 deep and closed": (b"{" + QUERY + b',"variables":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400),
    "deep behind a surrogate": (b'{"b":"\\ud800","a":' + b"[" * 100_000, 400),
    "NaN": (b"{" + QUERY + b',"variables":{"a":NaN}}', 400),
    "Infinity": (b"{" + QUERY + b',"variables":{"a":Infinity}}', 400),
    "a batch": (b"[{" + QUERY + b"}]", 400),
    "a batch of 1,000": (b"[" + b",".join([b"{" + QUERY + b"}"] * 1_000) + b"]", 400),
    "text": (b'"x"', 400),
    "null": (b"null", 400),
    "query list": (b'{"query":[]}', 400),
    "variables list": (b"{" + QUERY + b',"variables":[]}', 400),
    "name number": (b"{" + QUERY + b',"operationName":7}', 400),
    "two objects": (b"{" + QUERY + b"}{" + QUERY + b"}", 400),
    "a form": (b"query=%7B__typename%7D", 400),
    "10 MB": (b"{" + QUERY + b',"variables":{"a":"' + b"x" * 10_000_000 + b'"}}', 413),
    "XML": (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', 400),
}
MEDIA_TYPES = ["application/jsonx", "application/json+x", "text/json", "text/plain", "text/plain, application/json",
               "application/graphql", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
               "application/json; charset=utf-16", "application/json; charset=utf-7", "",
               "application/x-json\u00e9"]  # fmt: skip


def bodies() -> Iterator[Case]:
    for name, (body, status) in BODIES.items():
        for who in (ADMIN, NOBODY):
            yield Case(f"body: {name}, of {who}", body, who, status=status)
    for media_type in MEDIA_TYPES:
        headers = {"Content-Type": media_type}
        yield Case(f"media type {media_type!r}", b"{" + QUERY + b"}", status=415, headers=headers)
    for encoding in ("gzip", "br", "deflate", "identity, gzip", "chunked"):
        yield Case(f"encoding {encoding}", b"x", status=415, headers={**JSON_TYPE, "Content-Encoding": encoding})
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "PROPFIND"):
        yield Case(f"method {method}", b"{" + QUERY + b"}", method=method, status=405)
    yield Case("duplicate keys", b"{" + QUERY + b"," + QUERY + b"}")
    yield Case("a mutation by GET", b"", method="GET", query_string="query=mutation{logout{ticketId}}", status=405)
    for index, query_string in enumerate(
        ("", "query=", "query=%FF", "query=%00", "query={__typename}&variables=[",
         "query={__typename}&variables=%7B%22a%22:1e400%7D",
         "&".join(f"a{n}=1" for n in range(100)), "query={__typename}&query={me{id}}", "query=" + "%7B" * 5_000)
    ):  # fmt: skip
        yield Case(f"GET {index}", b"", method="GET", query_string=query_string, headers={})
    bomb = base64.b64encode(bytes(3 * KIB * KIB)).decode()
    for name, text in (("zeros", bomb), ("letters", "A" * 4 * KIB * KIB), ("not base64", "=" * KIB * KIB)):
        variables = f'{{"i": {{"name": "X", "email": "bomb@desk.test", "description": "{text}"}}}}'
        yield Case(f"base64 bomb of {name}", asked(CREATE, variables), attempts=1)
        yield Case(f"base64 bomb of {name}, of nobody", asked(CREATE, variables), NOBODY, status=413)


HEADERS: dict[str, Mapping[str, str]] = {
    "a long user agent": {"User-Agent": "x" * 8_000},
    "control characters in the user agent": {"User-Agent": "a\tb\x1b[31m"},
    "a user agent beyond ASCII": {"User-Agent": "\u00e9\u00ff"},
    "an empty bearer": {"Authorization": "Bearer"},
    "a strange scheme": {"Authorization": "Negotiate x"},
    "a long token": {"Authorization": "Bearer " + "x" * 8_000},
    "a token beyond ASCII": {"Authorization": "Bearer \u00ff\u00fe"},
    "a cookie of rubbish": {"Cookie": "carbondesk=;;;=\x01; a=b; =; carbondesk", "Sec-Fetch-Site": "same-origin"},
    "a thousand cookies": {"Cookie": "; ".join(f"c{n}=x" for n in range(1_000)), "Sec-Fetch-Site": "same-origin"},
    "a strange origin": {"Origin": "http://[::1", "Cookie": "carbondesk=x"},
    "a strange host": {"Host": "a\tb"},
    "no host": {"Host": ""},
    "half a host": {"Host": "[::1", "Cookie": "carbondesk=x", "Sec-Fetch-Site": "same-origin"},
    "a host of many ports": {"Host": "127.0.0.1:1:2", "Cookie": "carbondesk=x", "Sec-Fetch-Site": "same-origin"},
    "a forwarded address": {"X-Forwarded-For": "' OR 1=1, ::ffff:127.0.0.1, \x7f"},
    "what is accepted": {"Accept": "application/json;q=NaN, */*;q=1e400, ;;;"},
    "a trace": {"traceparent": "00-" + "f" * 32 + "-x"},
}


def headers() -> Iterator[Case]:
    for name, given in HEADERS.items():
        yield Case(f"header: {name}", asked("{ __typename }"), NOBODY, headers={**JSON_TYPE, **given})


def corpus() -> list[Case]:
    """Return all cases; a name stands for one only."""
    cases = [*figures(), *texts(), *lists(), *documents(), *bodies(), *headers()]
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})
    return cases
