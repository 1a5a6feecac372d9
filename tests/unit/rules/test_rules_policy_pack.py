"""The policy pack, started and asked as the official engine does it: a process that says its port, then gRPC.

The engine's side is here: ``NewPolicyAnalyzer``, ``Analyze`` and ``AnalyzeStack`` of its ``analyzer_plugin.go``, and
``pulumi-analyzer-policy-python``, which runs ``python -u -m pulumi.policy <engine> .`` in the pack's folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from rule_graphs import ROOT, STACKS, Graph, changed, facts, find, put, resource, reviewed, stack_graph, unprotected

from labctl.graph.rules import RULES, RuledResource, Violation, violations
from labctl.graph.values import UNKNOWN, Inputs, Secret, Value, to_struct

LARGEST_MESSAGE_BYTES = 400 * 1024 * 1024
"""As the engine and the pack allow."""
PATIENCE_SECONDS = 60
MANDATORY = analyzer_pb2.EnforcementLevel.Value("MANDATORY")
DISABLED = analyzer_pb2.EnforcementLevel.Value("DISABLED")
Diagnostic = analyzer_pb2.AnalyzeDiagnostic


class Analyzer(Protocol):
    """The calls of the engine to a pack, which the generated stub leaves without types."""

    def GetAnalyzerInfo(self, request: empty_pb2.Empty, /) -> analyzer_pb2.AnalyzerInfo: ...  # noqa: N802 - gRPC's names
    def Configure(self, request: analyzer_pb2.ConfigureAnalyzerRequest, /) -> empty_pb2.Empty: ...  # noqa: N802 - as above
    def Analyze(self, request: analyzer_pb2.AnalyzeRequest, /) -> analyzer_pb2.AnalyzeResponse: ...  # noqa: N802 - as above
    def AnalyzeStack(self, request: analyzer_pb2.AnalyzeStackRequest, /) -> analyzer_pb2.AnalyzeResponse: ...  # noqa: N802 - as above


@dataclass(frozen=True)
class Engine:
    """The engine's end of the connection."""

    analyzer: Analyzer

    def look_at(self, each: RuledResource) -> list[Diagnostic]:
        """Ask about one resource, before it would be touched."""
        request = analyzer_pb2.AnalyzeRequest(
            urn=each.urn,
            type=each.type,
            name=each.name,
            properties=to_struct(each.inputs),
            options=options(each),
        )
        return list(self.analyzer.Analyze(request).diagnostics)

    def look_at_all(self, graph: Graph) -> list[Diagnostic]:
        """Ask about each resource, and then about the stack."""
        sent = [
            analyzer_pb2.AnalyzerResource(
                urn=each.urn,
                type=each.type,
                name=each.name,
                properties=to_struct(each.inputs),
                options=options(each),
                parent=each.parent,
            )
            for each in graph
        ]
        whole = self.analyzer.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=sent)).diagnostics
        return [*(found for each in graph for found in self.look_at(each)), *whole]

    def configure(self, levels: Mapping[str, int]) -> None:
        """Set enforcement levels by the name of the policy, as ``--policy-pack-config`` does."""
        config = {name: analyzer_pb2.PolicyConfig(enforcementLevel=level) for name, level in levels.items()}  # pyright: ignore[reportArgumentType] - the stub wants the enum's own type
        self.analyzer.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig=config))


def options(each: RuledResource) -> analyzer_pb2.AnalyzerResourceOptions:
    return analyzer_pb2.AnalyzerResourceOptions(protect=each.protect, parent=each.parent)


@contextmanager
def running(folder: Path, stack: str) -> Generator[Engine]:
    """Start the pack in `folder` for an update of `stack`, and end it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    told = {
        "PULUMI_PROJECT": "research-compute",
        "PULUMI_STACK": stack,
        "PULUMI_ORGANIZATION": "organization",
        "PULUMI_DRY_RUN": "true",
        "PULUMI_CONFIG": json.dumps({"research-compute:x": "y"}),
    }
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:9", "."],
        cwd=folder,
        env=kept | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), f"no port: {port!r}\n{process.communicate(timeout=PATIENCE_SECONDS)[1]}"
        sizes = [(f"grpc.max_{way}_message_length", LARGEST_MESSAGE_BYTES) for way in ("send", "receive")]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=sizes) as channel:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE_SECONDS)
            yield Engine(cast("Analyzer", analyzer_pb2_grpc.AnalyzerStub(channel)))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def engine() -> Generator[Engine]:
    with running(ROOT / "policies", "prod") as started:
        yield started


def told(found: Iterable[Diagnostic]) -> list[tuple[str, str, str]]:
    """Return policy, logical name and text without the description; the engine knows the resource it asked about."""
    return sorted((each.policyName, each.urn.rpartition("::")[2], each.message.partition("\n")[2]) for each in found)


def said(found: Iterable[Violation]) -> list[tuple[str, str, str]]:
    return sorted(
        (
            each.rule,
            each.urn.rpartition("::")[2],
            (f"{each.path}: " if each.path else "") + f"{each.what}; {each.remedy}",
        )
        for each in found
    )


def test_every_rule_is_a_policy_of_the_pack(engine: Engine) -> None:
    info = engine.analyzer.GetAnalyzerInfo(empty_pb2.Empty())
    project = yaml.safe_load((ROOT / "policies" / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
    assert (info.name, info.supportsConfig) == (project["name"], True)
    assert project["runtime"]["name"] == "python"
    policies = {each.name: each for each in info.policies}
    assert set(policies) == {rule.name for rule in RULES}
    stack_type = analyzer_pb2.PolicyType.Value("POLICY_TYPE_STACK")
    for rule in RULES:
        found = policies[rule.name]
        assert found.description == rule.description
        assert analyzer_pb2.EnforcementLevel.Name(found.enforcementLevel).lower() == rule.severity
        assert (found.policy_type == stack_type) is rule.needs_stack


@pytest.mark.parametrize("stack", STACKS)
def test_the_real_stacks_break_nothing(engine: Engine, stack: str) -> None:
    assert told(engine.look_at_all(stack_graph(stack))) == []


def test_what_is_broken_is_reported_where_and_how_bad(engine: Engine) -> None:
    graph = stack_graph("prod")
    image = put("quay.io/jupyter/minimal-notebook:latest", "values", "singleuser", "profileList", 0, "image")
    graph = changed(graph, "hub-jupyterhub", image)
    graph = changed(graph, "hub-jupyterhub", put("http", "values", "httpRoute", "gateway", "sectionName"))
    graph = changed(graph, "network-metallb", put(True, "values", "speaker", "hostNetwork"))  # noqa: FBT003 - a value
    graph = unprotected(unprotected(graph, "hub-namespace"), "hub-groups-claim")
    found = engine.look_at_all(graph)
    assert {each.enforcementLevel for each in found} == {MANDATORY}
    assert {each.policyName for each in found} == {
        "image-digest",
        "no-privileges",
        "data-protected",
        "data-namespace-protected",
        "tls-route",
    }
    assert told(found) == said(violations(graph, facts("prod"), reviewed()))


def test_the_environment_is_that_of_the_resources_stack(engine: Engine) -> None:
    claim = unprotected(stack_graph("test"), "hub-notebooks-claim")
    assert [each.policyName for each in engine.look_at_all(claim)] == ["data-protected"]
    assert not find(stack_graph("next"), "hub-notebooks-claim").protect, "and it breaks nothing there, as shown above"


def test_sealed_and_plain_secrets_are_told_apart(engine: Engine) -> None:
    """The SDK drops the marks of secrets; without `policies.pack.keep_secrets` all of these would look plain."""
    metadata: Inputs = {"metadata": {"name": "x", "namespace": "hub-prod"}}
    data: dict[str, Value] = {
        "sealed": Secret({"key": "correct-horse-battery"}),
        "sealed-inside": {"key": Secret("correct-horse-battery")},
        "sealed-unknown": {"key": Secret(UNKNOWN)},
        "plain": {"key": "correct-horse-battery"},
        "plain-unknown": {"key": UNKNOWN},
    }
    found = {
        name: told(engine.look_at(resource("kubernetes:core/v1:Secret", name, {**metadata, "stringData": value})))
        for name, value in data.items()
    }
    assert {name for name, each in found.items() if each} == {"plain", "plain-unknown"}
    assert "correct-horse" not in repr(found)


def test_a_level_can_be_configured(engine: Engine) -> None:
    broken = resource("kubernetes:core/v1:Service", "web", {"metadata": {"name": "web"}, "spec": {"type": "NodePort"}})
    engine.configure({"no-node-port": analyzer_pb2.EnforcementLevel.Value("ADVISORY"), "namespace-said": DISABLED})
    try:
        assert [(each.policyName, each.enforcementLevel) for each in engine.look_at(broken)] == [("no-node-port", 0)]
    finally:
        engine.configure({})
    assert len(engine.look_at(broken)) == 2


def copied(target: Path) -> Path:
    """Copy what the pack needs: no more than a clone has without the packages for development."""
    for name in ("policies", "labctl", "stacks"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target / "policies"


def test_exceptions_are_those_beside_the_pack(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "exceptions.yaml").write_text("exceptions: []\n", encoding="utf-8")
    with running(folder, "prod") as engine:
        found = engine.look_at_all(stack_graph("prod"))
    assert told(found) == said(violations(stack_graph("prod"), facts("prod")))
    assert found


def test_a_wrong_file_of_exceptions_stops_the_pack(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "exceptions.yaml").write_text("exceptions: [{rule: image-digest}]\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"exceptions\.0\.reason"), running(folder, "prod"):
        pass


def test_what_the_pack_installs_is_what_the_project_tests() -> None:
    lines = (ROOT / "policies" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = {line.split("#")[0].strip() for line in lines} - {""}
    project = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    shared = {line for line in wanted if line.split("==")[0] in ("pulumi", "pydantic", "pyyaml")}
    assert len(shared) == 3
    assert all(line in project for line in shared)
    from importlib.metadata import version  # noqa: PLC0415 - beside its only use

    assert f"pulumi-policy=={version('pulumi-policy')}" in wanted
    assert f"protobuf=={version('protobuf')}" in wanted
