"""Whom is asked for what: each source fills in its fact, and whatever goes wrong with it is that fact's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from components.hub.operation.plan import health_profile
from labctl.cluster_access import client_of
from labctl.drift.asked import asked_hosts
from labctl.drift.survey import survey
from labctl.errors import LabError
from labctl.hosts import lab_hosts
from labctl.hub_check import Order, check_hub
from labctl.hub_check.errors import NoAddressError, NoTokenError
from labctl.hub_check.hub import Hub
from labctl.hub_check.of_lab import hub_address, hub_token
from labctl.restore.errors import NoStorageError
from labctl.restore.host import storage_host
from labctl.restore.wanted import homes, storage_of
from labctl.ssh import Connector

from .asking import Asked
from .facts.cluster import cluster_facts
from .facts.fact import Inapplicable, Known, Unknown
from .facts.served import served_certificate
from .vocabulary import Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from labctl.drift.findings import HostFinding
    from labctl.lab import Lab

    from .facts.everything import Facts
    from .facts.fact import Fact

__all__ = ["Question", "questions"]

HOST_SECONDS: Final = 60.0
"""For one host's whole answer: a healthy one takes a second or two."""
COPIES_SECONDS: Final = 90.0
"""For the list of copies: a repository in a bucket is opened in it."""
CLUSTER_SECONDS: Final = 60.0
"""For all lists of the API server: 10,000 pods take it a few seconds."""
LOOK_SECONDS: Final = 20.0
"""For a connection and a look at what is shown there, of a few names."""
HUB_SECONDS: Final = 100.0
"""For three requests of the hub, each of which has half a minute (`labctl.hub_check.hub`)."""
STOP_SECONDS: Final = 120.0
"""More than that where a server is started: it is stopped again, too."""
HTTPS_PORT: Final = 443


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is wanted of an examination."""

    lab: Lab
    hosts: tuple[str, ...] = ()
    """Only these; empty: all."""
    spawn: bool = False
    """Whether a test user's server is started."""


def questions(question: Question) -> Mapping[Source, Asked]:
    """Return every source beside the state, which is read before all others."""
    config = question.lab.cluster.hub
    start_seconds = (
        config.servers.start_timeout.seconds + STOP_SECONDS if config is not None and question.spawn else 0.0
    )
    every = (
        Asked(source=Source.CLUSTER, seconds=CLUSTER_SECONDS, ask=partial(_cluster, question), fail=_no_cluster),
        Asked(source=Source.API_CERTIFICATE, seconds=LOOK_SECONDS, ask=partial(_api, question), fail=_no_api),
        Asked(
            source=Source.GATEWAY_CERTIFICATE, seconds=LOOK_SECONDS, ask=partial(_gateway, question), fail=_no_gateway
        ),
        Asked(
            source=Source.HUB,
            seconds=HUB_SECONDS + start_seconds,
            ask=partial(_hub, question),
            fail=_no_hub,
            must_end=question.spawn,
        ),
        Asked(source=Source.HOSTS, seconds=None, ask=partial(_hosts, question), fail=_no_hosts),
        Asked(
            source=Source.COPIES, seconds=COPIES_SECONDS + LOOK_SECONDS, ask=partial(_copies, question), fail=_no_copies
        ),
    )
    return {asked.source: asked for asked in every}


def _cluster(question: Question, facts: Facts, cancelled: Event) -> None:
    lab = question.lab
    facts.cluster = cluster_facts(facts.state.snapshot, lab.root, lab.stack, cancelled)


def _api(question: Question, facts: Facts, cancelled: Event) -> None:
    del cancelled
    lab = question.lab
    client = client_of(facts.state.snapshot, lab.root)
    if client is None:
        facts.api_certificate = Inapplicable("the state has no cluster yet")
        return
    server = urlsplit(client.access.server)
    client.close()
    if server.scheme != "https" or server.hostname is None:
        facts.api_certificate = Inapplicable(f"{client.access.server} has no TLS")
        return
    remedy = "see the check `api-server`"
    shown = served_certificate(server.hostname, server.port or HTTPS_PORT, server.hostname, remedy=remedy)
    facts.api_certificate = shown


def _gateway(question: Question, facts: Facts, cancelled: Event) -> None:
    lab = question.lab
    network = lab.cluster.network
    if network is None or not network.hostnames:
        facts.gateway_certificates = Inapplicable("the stack publishes no names")
    elif lab.simulated:
        facts.gateway_certificates = Inapplicable("the gateway is simulated, so nobody listens there")
    else:
        own = network.gateway.address if network.gateway is not None else None
        remedy = "see the checks `releases` and `pods`: is the gateway running, and its address announced"
        facts.gateway_certificates = Known(
            {
                name: served_certificate(str(own) if own is not None else name, HTTPS_PORT, name, remedy=remedy)
                for name in sorted({str(name) for name in network.hostnames.values()})
                if not cancelled.is_set()
            }
        )


def _hub(question: Question, facts: Facts, cancelled: Event) -> None:
    lab = question.lab
    config = lab.cluster.hub
    if config is None:
        facts.hub = Inapplicable("the stack has no hub")
        return
    tested = config.health_check
    if question.spawn and tested is None:
        remedy = f"add hub.healthCheck to Pulumi.{lab.stack}.yaml"
        facts.hub = Unknown("a server is to be started, and the hub has no test user", remedy)
        return
    try:
        url = hub_address(lab)
        token = None if tested is None else hub_token(lab, snapshot=facts.state.snapshot)
    except NoAddressError as error:
        has_none = "its hub was not started on this machine" if lab.simulated else str(error)
        facts.hub = Inapplicable(has_none)
        return
    except NoTokenError as error:
        facts.hub = Unknown(str(error), f"labctl up --stack {lab.stack}")
        return
    order = Order(
        stack=lab.stack,
        user=None if tested is None else tested.user,
        profile=health_profile(config) if question.spawn else None,
        start_seconds=config.servers.start_timeout.seconds,
    )
    facts.hub = Known(check_hub(Hub(url, token), order, cancelled))


def _hosts(question: Question, facts: Facts, cancelled: Event) -> None:
    """Ask the hosts; each that answers is noted as it does."""
    lab = question.lab
    if lab.cluster.nodes.adopt is not None:
        why = "they are simulated" if lab.simulated else "the cluster is adopted: its hosts are somebody else's"
        facts.hosts = Inapplicable(why)
        return
    reached = lab_hosts(lab, question.hosts)
    found: dict[str, Fact[HostFinding]] = {
        name: Unknown("it has not answered yet", "run labctl doctor again") for name in reached.targets
    }
    facts.hosts = Known(found)

    def note(finding: HostFinding) -> None:
        found[finding.host] = Known(finding)

    asked = [replace(host, answer_seconds=HOST_SECONDS) for host in asked_hosts(lab, reached, facts.state.snapshot)]
    connector = Connector()
    try:
        survey(asked, connector, hide=reached.hider(), cancelled=cancelled, on_finding=note)
    finally:
        connector.close()


def _copies(question: Question, facts: Facts, cancelled: Event) -> None:
    lab = question.lab
    try:
        nfs = storage_of(lab.cluster, lab.stack)
    except NoStorageError as error:
        facts.copies = Inapplicable(str(error))
        return
    if question.hosts and nfs.host not in question.hosts:
        facts.copies = Inapplicable(f"{nfs.host} is not asked (--host)")
        return
    connector = Connector()
    try:
        host = storage_host(lab_hosts(lab, (nfs.host,)), nfs.host, connector)
        facts.copies = Known(host.found(homes(nfs), cancelled=cancelled, seconds=COPIES_SECONDS))
    except LabError as error:
        facts.copies = Unknown(str(error), f"labctl restore list --stack {lab.stack}")
    finally:
        connector.close()


def _no_cluster(facts: Facts, why: Unknown) -> None:
    facts.cluster = why


def _no_api(facts: Facts, why: Unknown) -> None:
    facts.api_certificate = why


def _no_gateway(facts: Facts, why: Unknown) -> None:
    facts.gateway_certificates = why


def _no_hub(facts: Facts, why: Unknown) -> None:
    facts.hub = why


def _no_hosts(facts: Facts, why: Unknown) -> None:
    facts.hosts = why


def _no_copies(facts: Facts, why: Unknown) -> None:
    facts.copies = why
