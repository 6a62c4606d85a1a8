"""Our executor beside graphql-core's own."""

from __future__ import annotations

from graphql import ExecutionResult, build_schema, parse

from api.plans import Executor

SCHEMA = build_schema("type Query { a: Int } type T { x: Int } type Subscription { t: T }")


def test_a_subscription_remembers_nothing_of_the_events_it_executed() -> None:
    subscribed = Executor.build(SCHEMA, parse("subscription { t { x } }"))
    assert isinstance(subscribed, Executor)
    for x in range(3):
        event = subscribed.build_per_event_executor({"t": {"x": x}})
        assert event.execute_operation(False) == ExecutionResult({"t": {"x": x}}, None)
        assert len(event._relevant_sub_fields) == 1
    assert subscribed._relevant_sub_fields == {}
