"""schemathesis: documents that fit the schema, with values nobody thought of, are never answered with a fault."""

import asyncio
import string
from typing import Any

import httpx
import pytest
import schemathesis
from graphql import introspection_from_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.graphql import nodes

from api import schema
from tests.api.matrix import session_of
from tests.sizes import FUZZ_EXAMPLES, SECONDS_MAX
from tests.world import Api

# Ends the session that everything else needs, and takes no argument that could be wrong.
LEFT_OUT = {"logout"}
DIGITS = st.text(string.digits, min_size=1, max_size=14)
schemathesis.graphql.scalar("Decimal", st.one_of(
    st.decimals(0, 10**12, places=2, allow_nan=False).map(lambda number: nodes.String(f"{number:f}")),
    DIGITS.map(nodes.String), st.text(max_size=20).map(nodes.String),
))  # fmt: skip
schemathesis.graphql.scalar("DateTime", st.one_of(
    st.datetimes().map(lambda at: nodes.String(f"{at.isoformat()}Z")), st.text(max_size=30).map(nodes.String),
))  # fmt: skip
schemathesis.graphql.scalar("BigInt", st.integers(-(2**70), 2**70).map(nodes.Int))
schemathesis.graphql.scalar("JSON", st.text(max_size=30).map(nodes.String))


def operations() -> dict[str, Any]:
    loaded = schemathesis.graphql.from_dict(dict(introspection_from_schema(schema.build()._schema)))
    found: list[Any] = [result.ok() for result in loaded.get_all_operations() if isinstance(result, Ok)]
    return {operation.definition.field_name: operation for operation in found}


OPERATIONS = operations()


def test_schemathesis_reads_the_whole_schema() -> None:
    built = schema.build()._schema
    assert built.query_type
    assert built.mutation_type
    assert set(OPERATIONS) == set(built.query_type.fields) | set(built.mutation_type.fields)


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - LEFT_OUT))
async def test_a_document_that_fits_the_schema_is_never_answered_with_a_fault(api: Api, name: str) -> None:
    (admin,) = await api.sql("SELECT id FROM users WHERE email = $1", api.admin_email)
    token = await session_of(api, str(admin["id"]))

    def fuzz() -> None:
        with httpx.Client(timeout=30, headers={"Authorization": f"Bearer {token}"}) as client:

            @settings(max_examples=FUZZ_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(case=OPERATIONS[name].as_strategy())
            def ask(case: Any) -> None:
                response = client.post(api.url, json={"query": case.body})
                codes = [error["extensions"]["code"] for error in response.json().get("errors", ())]
                assert response.status_code < 500
                assert "INTERNAL" not in codes, response.text

            ask()

    count = await api.ticket_count()
    await asyncio.to_thread(fuzz)
    rows = await api.tickets_since(count)
    assert "INTERNAL" not in {row["error_code"] for row in rows}
