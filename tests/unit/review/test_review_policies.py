"""What a change breaks, beside what was broken before, and what exceptions let be."""

from __future__ import annotations

from preview_samples import CONFIG_MAP, state, urn

from labctl.graph.rules import NamedException
from labctl.graph.values import Plain
from labctl.review import compared_policies, policies_of_preview

METADATA: Plain = {"name": "x", "namespace": "hub-prod"}
NAMESPACE = "kubernetes:core/v1:Namespace"


def config(data: dict[str, Plain]) -> dict[str, Plain]:
    return state(CONFIG_MAP, "x", {"metadata": METADATA, "data": data})


def test_one_fault_before_does_not_hide_a_second_one() -> None:
    one, two = config({"volumes": [{"hostPath": "/a"}]}), config({"volumes": [{"hostPath": "/b"}, {"hostPath": "/a"}]})
    found = compared_policies("prod", [one], [two], ((), ()))
    assert [item.path for item in found.still_broken] == ["data.volumes[0].hostPath"]
    assert [item.path for item in found.newly_broken] == ["data.volumes[1].hostPath"]
    back = compared_policies("prod", [two], [one], ((), ()))
    assert (back.newly_broken, len(back.still_broken), back.mended) == ((), 1, 1)


def test_a_fault_that_moved_is_the_same() -> None:
    one, two = config({"volumes": [{"hostPath": "/a"}]}), config({"volumes": [{}, {"hostPath": "/a"}]})
    found = compared_policies("prod", [one], [two], ((), ()))
    assert found.newly_broken == ()
    assert [item.path for item in found.still_broken] == ["data.volumes[1].hostPath"]


def test_exceptions_hold_for_a_preview() -> None:
    labels: Plain = {"lab.internal/stack": "prod", "pod-security.kubernetes.io/enforce": "privileged"}
    made = state(NAMESPACE, "gpu-namespace", {"metadata": {"name": "gpu-prod", "labels": labels}})
    steps: list[dict[str, Plain]] = [{"op": "create", "urn": urn(NAMESPACE, "gpu-namespace"), "newState": made}]
    assert [item.rule for item in policies_of_preview("prod", steps).newly_broken] == ["pod-security"]
    exception = NamedException(
        rule="pod-security", resource=f"{NAMESPACE}::gpu-namespace", reason="It installs drivers on the hosts."
    )
    found = policies_of_preview("prod", steps, [exception])
    assert found.newly_broken == ()
    assert [reason for _, reason in found.newly_excused] == ["It installs drivers on the hosts."]
    assert found.partly
