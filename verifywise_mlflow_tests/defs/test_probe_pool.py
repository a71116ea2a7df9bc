"""The threads of a sweep: bounded, never waited for, and fair."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from verifywise_mlflow.defs.sensors.probe_pool import Question, StillHangingError, Sweep


def asked(sweep: Sweep, questions: list[Question[str]], *, budget: float = 1.0, longest: float = 0.5) -> dict[str, str]:
    """Return what became of each question that was put."""
    replies = sweep.ask(questions, budget_seconds=budget, longest_seconds=longest)
    return {reply.tenant_id: type(reply.outcome).__name__ for reply in replies}


def ended(sweep: Sweep) -> bool:
    """Wait for the threads to end."""
    deadline = time.monotonic() + 10
    while sweep.threads and time.monotonic() < deadline:
        time.sleep(0.01)
    return not sweep.threads


def question(name: str, ask: Callable[[], str] = lambda: "well", server: str = "") -> Question[str]:
    return Question(name, server or name, ask)


def test_hanging_servers_hold_up_neither_this_tick_nor_the_next_and_cost_no_more_threads() -> None:
    sweep = Sweep(places=3, places_a_server=1)
    answers = threading.Event()

    def hang() -> str:
        answers.wait(30)
        return "late"

    hanging = [question("h1", hang), question("h2", hang)]
    well = [question(f"w{index}") for index in range(20)]
    began = time.monotonic()
    first = asked(sweep, [*hanging, *well])
    second = asked(sweep, [*hanging, *well])
    assert time.monotonic() - began < 20
    assert first == second
    assert {first.pop("h1"), first.pop("h2")} == {StillHangingError.__name__}
    assert first == {f"w{index}": "str" for index in range(20)}
    assert sweep.threads <= 3

    answers.set()
    assert ended(sweep)
    assert asked(sweep, hanging) == {"h1": "str", "h2": "str"}, "who answers again is asked again"


def test_where_every_place_hangs_nobody_is_said_to_have_answered() -> None:
    sweep = Sweep(places=2, places_a_server=1)
    answers = threading.Event()
    asked(sweep, [question(name, lambda: str(answers.wait(30))) for name in ("h1", "h2")], budget=0.2, longest=0.1)
    assert asked(sweep, [question("well")]) == {}
    answers.set()
    assert ended(sweep)


def test_tenants_of_a_server_that_hangs_do_not_take_the_places_of_others() -> None:
    sweep = Sweep(places=4, places_a_server=2)
    answers = threading.Event()
    shared = [question(f"s{index}", lambda: str(answers.wait(30)), server="shared") for index in range(9)]
    outcome = asked(sweep, [*shared, question("w1"), question("w2")])
    answers.set()
    assert outcome == {"s0": "StillHangingError", "s1": "StillHangingError", "w1": "str", "w2": "str"}
    assert ended(sweep)


def test_an_error_is_its_tenants_own() -> None:
    def fail() -> str:
        raise ValueError("no")

    outcome = asked(Sweep(places=1, places_a_server=1), [question("bad", fail), question("well")])
    assert outcome == {"bad": "ValueError", "well": "str"}


def test_questions_that_nobody_waits_for_any_more_are_not_put() -> None:
    sweep = Sweep(places=1, places_a_server=1)
    put: list[str] = []

    def slowly(name: str) -> str:
        put.append(name)
        time.sleep(0.05)
        return name

    replies = sweep.ask(
        [question(f"{index}", partial(slowly, f"{index}")) for index in range(100)],
        budget_seconds=30,
        longest_seconds=1,
    )
    next(replies)
    replies.close()  # type: ignore[attr-defined]  # it is a generator: so ends a tick in which our database fails
    assert ended(sweep)
    assert len(put) < 10
