"""What earlier looks leave behind."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.ledger import canonical
from shared.core.memory import GRACE, Looks, Memory, SeenConnection, Settling, remember
from shared.core.model import ConnectionStatus
from shared.core.observation import Incarnation
from shared.core.wire import from_json, to_json
from tests.core.cases import HOUR, MESSAGE, MINUTE, NOW, SERVICE, Watcher, a_connection, a_link, an_observation, service_id

OURS = a_connection()
LIFE = Incarnation.of(a_link())
SECOND = timedelta(seconds=1)


def the_only(memory: Memory) -> SeenConnection:
    (seen,) = memory.connections
    return seen


def test_a_connection_is_first_seen_once() -> None:
    """However often it is seen, and though a look misses it."""
    watcher = Watcher()
    for minutes, connections in ((5, [OURS]), (4, []), (3, [OURS]), (2, [OURS])):
        watcher.look([], connections, at=NOW - minutes * MINUTE)
    assert the_only(watcher.memory).first_seen == NOW - 5 * MINUTE


def test_the_message_asked_with_is_kept_when_approval_replaces_it() -> None:
    """Nobody could tell afterwards what was asked."""
    watcher = Watcher()
    watcher.look([], [OURS])
    watcher.look([], [replace(OURS, status=ConnectionStatus.APPROVED, description="lg:1")])
    assert the_only(watcher.memory).requested_message == MESSAGE
    watcher = Watcher()
    watcher.look([], [replace(OURS, status=ConnectionStatus.APPROVED, description="lg:1")])
    assert the_only(watcher.memory).requested_message is None


def test_a_rejection_is_dated_by_the_first_look_that_shows_it() -> None:
    """And forgotten where the connection is in another state again."""
    watcher = Watcher()
    rejected = replace(OURS, status=ConnectionStatus.REJECTED)
    watcher.look([], [rejected], at=NOW - 2 * MINUTE)
    watcher.look([], [rejected], at=NOW - MINUTE)
    assert the_only(watcher.memory).rejected_since == NOW - 2 * MINUTE
    watcher.look([], [OURS])
    assert the_only(watcher.memory).rejected_since is None


def test_what_vanished_is_kept_for_an_hour() -> None:
    """From the first look that missed it; then it is forgotten, so that the memory does not grow without end."""
    watcher = Watcher()
    watcher.look([], [OURS], at=NOW - HOUR - MINUTE)
    watcher.look([], [], at=NOW - GRACE)
    watcher.look([], [], at=NOW)
    assert the_only(watcher.memory).gone_since == NOW - GRACE
    watcher.look([], [], at=NOW + SECOND)
    assert watcher.memory.connections == ()


def test_a_link_is_absent_as_of_when_its_service_was_last_read() -> None:
    """By the look before the one that found it; where there was none, nobody can say."""
    watcher = Watcher()
    watcher.look([a_link()], [], at=NOW - 3 * MINUTE)
    assert watcher.memory.absent_at(LIFE) is None
    late = a_link("late")
    watcher.look([a_link()], [], at=NOW - 2 * MINUTE)
    watcher.look([a_link(), late], [], at=NOW - MINUTE)
    watcher.look([a_link(), late], [])
    assert watcher.memory.absent_at(Incarnation.of(late)) == NOW - 2 * MINUTE - 2 * SECOND
    assert watcher.memory.absent_at(LIFE) is None


def test_a_link_of_a_service_that_was_not_read_is_absent_as_of_the_snapshot() -> None:
    """Which may be older than the look."""
    snapshot = NOW - 8 * MINUTE
    first = replace(an_observation([a_link()], [], at=NOW - 2 * MINUTE), links_started=snapshot)
    elsewhere = a_link(service=service_id("other"))
    memory = remember(remember(Memory(), first), an_observation([a_link(), elsewhere], []))
    assert memory.absent_at(Incarnation.of(elsewhere)) == snapshot


def test_a_stale_list_does_not_make_a_link_younger() -> None:
    """Where Azure says when it was made, finding the same life again is no new beginning."""
    watcher = Watcher()
    watcher.look([a_link()], [OURS], at=NOW - 3 * MINUTE)
    watcher.look([], [OURS], at=NOW - 2 * MINUTE)
    watcher.look([], [OURS], at=NOW - MINUTE)
    watcher.look([a_link()], [OURS])
    assert watcher.memory.absent_at(LIFE) is None
    anew = a_link(created_at=NOW)
    watcher.look([anew], [OURS], at=NOW + MINUTE)
    assert watcher.memory.absent_at(Incarnation.of(anew)) == NOW - 2 * SECOND


def test_where_azure_does_not_say_it_has_to_be_taken_for_a_new_one() -> None:
    """It may have been deleted and made anew."""
    undated = a_link(created_at=None)
    watcher = Watcher()
    watcher.look([undated], [OURS], at=NOW - 3 * MINUTE)
    watcher.look([], [OURS], at=NOW - 2 * MINUTE)
    watcher.look([undated], [OURS])
    assert watcher.memory.absent_at(Incarnation.of(undated)) == NOW - 2 * MINUTE - 2 * SECOND
    dated = Watcher()
    dated.look([a_link()], [OURS], at=NOW - 3 * MINUTE)
    dated.look([], [OURS], at=NOW - 2 * MINUTE)
    dated.look([undated], [OURS])
    assert dated.memory.absent_at(Incarnation.of(undated)) == NOW - 2 * MINUTE - 2 * SECOND


def test_a_list_that_leaves_out_when_a_link_was_made_is_not_about_another_link() -> None:
    """What was known stays known."""
    watcher = Watcher()
    watcher.look([], [], at=NOW - 4 * MINUTE)
    for minutes, link in ((3, a_link()), (2, a_link(created_at=None)), (1, a_link())):
        watcher.look([link], [], at=NOW - minutes * MINUTE)
        assert watcher.memory.absent_at(LIFE) == NOW - 4 * MINUTE - 2 * SECOND


def test_links_that_are_gone_are_forgotten() -> None:
    """After an hour; at once where they could not be told from new ones anyway."""
    watcher = Watcher()
    watcher.look([a_link(), a_link("undated", created_at=None)], [], at=NOW - GRACE - MINUTE)
    watcher.look([], [], at=NOW - GRACE)
    assert [seen.incarnation for seen in watcher.memory.links] == [LIFE]
    watcher.look([], [], at=NOW)
    watcher.look([], [], at=NOW + SECOND)
    assert watcher.memory.links == ()


def test_looks_at_an_approval_start_at_nought() -> None:
    """And a new count replaces the old one."""
    memory = Memory()
    assert memory.looks_at("d") == Looks(decision="d")
    memory = memory.with_looks(Looks(decision="d", approved=1)).with_looks(Looks(decision="e", gone=1))
    memory = memory.with_looks(Looks(decision="d", approved=2))
    assert {looks.decision: looks.approved for looks in memory.looks} == {"d": 2, "e": 0}


def test_only_the_same_evidence_has_been_settling() -> None:
    """For the same pair."""
    memory = Memory(settling=(Settling(pair="p", digest="d", since=NOW),))
    assert memory.settled_since("p", "d") == NOW
    assert memory.settled_since("p", "e") is None
    assert memory.settled_since("q", "d") is None


@pytest.mark.parametrize("change", [{"observed_at": NOW}, {"links_read_at": NOW}, {"read_at": {SERVICE.key: NOW}}])
def test_the_time_of_a_look_alone_is_nothing_to_remember(change: dict[str, object]) -> None:
    """So that a quiet target costs no write."""
    assert Memory().same_but_time(replace(Memory(), **change))  # type: ignore[arg-type]
    assert not Memory().same_but_time(Memory(budget_spent_since=NOW))


def test_memory_survives_the_way_through_the_state_store() -> None:
    """Whole."""
    watcher = Watcher()
    watcher.look([a_link()], [OURS, a_connection(None, number=2, status=ConnectionStatus.REJECTED)], at=NOW - MINUTE)
    watcher.look([a_link("other", created_at=None)], [])
    memory = replace(watcher.memory, settling=(Settling(pair="p", digest="d", since=NOW),)).with_looks(Looks(decision="d"))
    assert from_json(Memory, json.loads(canonical(to_json(memory)))) == memory
