"""Sources asked at once: slow ones, broken ones, and somebody who asks to stop."""

from __future__ import annotations

import threading
import time

from doctor_facts import declared, results, well

from labctl.doctor.asking import Asked, Patience, ask
from labctl.doctor.facts.everything import NOT_ASKED, Facts
from labctl.doctor.facts.fact import Inapplicable, Known, Unknown
from labctl.doctor.vocabulary import CheckId, Source, State

PROD = declared("prod")


def facts() -> Facts:
    return Facts(state=well(PROD).state)


def failing(facts: Facts, why: Unknown) -> None:
    facts.cluster = why


def no_hub(facts: Facts, why: Unknown) -> None:
    facts.hub = why


def quick(facts: Facts, _: threading.Event) -> None:
    facts.cluster = well(PROD).cluster


def broken(facts: Facts, _: threading.Event) -> None:
    del facts
    message = "the disk is gone"
    raise OSError(message)


def stuck(facts: Facts, cancelled: threading.Event) -> None:
    del cancelled
    time.sleep(5)
    facts.hub = Inapplicable("too late")


def test_a_slow_source_holds_up_no_other_and_is_named() -> None:
    told: list[tuple[Source, ...]] = []
    cluster = Asked(source=Source.CLUSTER, seconds=30, ask=quick, fail=failing)
    hub = Asked(source=Source.HUB, seconds=0.3, ask=stuck, fail=no_hub)
    began = time.monotonic()
    found = ask(facts(), (cluster, hub), Patience(on_progress=lambda waiting: told.append(tuple(waiting))))
    assert time.monotonic() - began < 3
    assert isinstance(found.cluster, Known)
    assert found.hub == Unknown("no answer within 0 s", "run labctl doctor again")
    assert told == [(Source.CLUSTER, Source.HUB), (Source.HUB,)]
    assert results(found, PROD)[CheckId.HUB].state is State.UNKNOWN


def test_what_breaks_is_that_source_s_own() -> None:
    cluster = Asked(source=Source.CLUSTER, seconds=30, ask=broken, fail=failing)
    found = ask(facts(), (cluster,), Patience())
    assert isinstance(found.cluster, Unknown)
    assert found.cluster.why == "the disk is gone"
    assert found.hub is NOT_ASKED


def test_somebody_asks_to_stop() -> None:
    cancelled = threading.Event()
    cancelled.set()
    hub = Asked(source=Source.HUB, seconds=60, ask=stuck, fail=no_hub)
    cluster = Asked(source=Source.CLUSTER, seconds=60, ask=quick, fail=failing)
    began = time.monotonic()
    found = ask(facts(), (hub, cluster), Patience(cancelled=cancelled))
    assert time.monotonic() - began < 4
    assert isinstance(found.cluster, Known), "what came so far counts"
    assert found.hub == Unknown("stopped before it answered", "run labctl doctor again")


def test_what_cleans_up_is_waited_for() -> None:
    cancelled = threading.Event()
    cancelled.set()

    def stopping(facts: Facts, _: threading.Event) -> None:
        time.sleep(3)
        facts.hub = Inapplicable("the server is stopped")

    hub = Asked(source=Source.HUB, seconds=60, ask=stopping, fail=no_hub, must_end=True)
    found = ask(facts(), (hub,), Patience(cancelled=cancelled))
    assert found.hub == Inapplicable("the server is stopped")


def test_hosts_that_have_answered_stay_and_the_others_are_unknown() -> None:
    cancelled = threading.Event()
    every = well(PROD).hosts
    assert isinstance(every, Known)

    def some(facts: Facts, _: threading.Event) -> None:
        late = Unknown("it has not answered yet", "run labctl doctor again")
        facts.hosts = Known({**every.value, "worker-1": late})
        cancelled.set()
        time.sleep(5)

    def no_hosts(facts: Facts, why: Unknown) -> None:
        facts.hosts = why

    asked = Asked(source=Source.HOSTS, seconds=None, ask=some, fail=no_hosts)
    found = results(ask(facts(), (asked,), Patience(cancelled=cancelled)), PROD)
    assert [finding.subject for finding in found[CheckId.HOSTS].findings] == ["worker-1"]
    assert found[CheckId.DRIFT].state is State.OK, "of those that have answered"
