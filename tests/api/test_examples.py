"""The seed's three examples through GraphQL over HTTP, every figure.

Source: seed.md, "Data Flow Examples"; design.md §4 for what Example 3's balances must be.
"""

from tests.world import Api, Trader

BALANCES = """query($id: ID!) { marketMaker(id: $id) {
  cea: balance(asset: CEA) { available locked total } eur: balance(asset: EUR) { available locked } } }"""


async def test_one(api: Api) -> None:
    maker = await api.maker("MM-Alpha", CEA="10000")
    found = await api.ask(BALANCES, id=maker["id"])
    assert found["marketMaker"]["cea"] == {"available": "10000", "locked": "0", "total": "10000"}
