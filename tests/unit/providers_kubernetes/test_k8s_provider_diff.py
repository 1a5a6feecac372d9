from __future__ import annotations

from pathlib import Path

import pytest
from kubernetes_samples import kubeconfig

from labctl.engine.providers.kubernetes import FACTORY
from labctl.engine.providers.kubernetes.configuration import provider_diff
from labctl.engine.providers.kubernetes.exceptions import KubeconfigError, UnsupportedOptionError
from labctl.graph.values import UNKNOWN, Inputs, Secret, Value

SAME = kubeconfig()
PORT = kubeconfig(server="https://10.1.0.1:7443")
AUTHORITY = kubeconfig(authority="T1RIRVI=")
OTHER_CONTEXT = kubeconfig(context="other")
NAMESPACE = kubeconfig(namespace="lab")
UNUSED = SAME.replace("10.9.9.9", "10.9.9.8")


def config(text: Value, identifier: str = "", **options: Value) -> Inputs:
    named: Inputs = {"clusterIdentifier": identifier} if identifier else {}
    return {"kubeconfig": text, **named, **options}


@pytest.mark.parametrize(
    ("old", "new", "changed", "replaces"),
    [
        # with the same identifier before and after nothing replaces
        (config(SAME, "jsi"), config(PORT, "jsi"), {"kubeconfig"}, set[str]()),
        (config(SAME, "jsi"), config(UNKNOWN, "jsi"), {"kubeconfig"}, set[str]()),
        (config(SAME, "jsi"), config(AUTHORITY, "jsi"), {"kubeconfig"}, set[str]()),
        (config(SAME, "jsi"), config(SAME, "jsi", context="other"), {"context"}, set[str]()),
        (config(SAME, "jsi"), config(OTHER_CONTEXT, "jsi"), {"kubeconfig"}, set[str]()),
        (config(SAME, "jsi"), config(SAME, "jsi"), set[str](), set[str]()),
        # the identifier itself
        (config(SAME, "jsi"), config(SAME, "max"), {"clusterIdentifier"}, {"clusterIdentifier"}),
        (config(SAME), config(SAME, "jsi"), {"clusterIdentifier"}, set[str]()),
        (config(SAME, "jsi"), config(SAME), {"clusterIdentifier"}, set[str]()),
        (config(SAME, "jsi"), config(PORT), {"clusterIdentifier", "kubeconfig"}, {"kubeconfig"}),
        (config(SAME, "jsi"), config(UNKNOWN, "max"), {"kubeconfig"}, {"clusterIdentifier", "kubeconfig"}),
        # without one, the active cluster's entry decides
        (config(SAME), config(PORT), {"kubeconfig"}, {"kubeconfig"}),
        (config(SAME), config(AUTHORITY), {"kubeconfig"}, {"kubeconfig"}),
        (config(SAME), config(UNKNOWN), {"kubeconfig"}, {"kubeconfig"}),
        (config(SAME), config(OTHER_CONTEXT), {"kubeconfig"}, {"kubeconfig"}),
        (config(SAME), config(SAME, context="other"), {"context"}, {"context"}),
        (config(SAME), config(SAME, cluster="other"), {"cluster"}, {"cluster"}),
        (config(SAME), config(SAME, context=UNKNOWN), {"context"}, {"context"}),
        (config(SAME), config(NAMESPACE), {"kubeconfig"}, set[str]()),
        (config(SAME), config(UNUSED), {"kubeconfig"}, set[str]()),
        (config(SAME), config(SAME, enableSecretMutable="true"), {"enableSecretMutable"}, set[str]()),
        # a secret kubeconfig is compared by its contents
        (config(Secret(SAME)), config(SAME), set[str](), set[str]()),
    ],
)
def test_when_the_provider_is_updated_and_when_replaced(
    old: Inputs, new: Inputs, changed: set[str], replaces: set[str]
) -> None:
    diff = provider_diff(old, new, Path())

    assert set(diff.changes) == changed
    assert diff.replace_paths == replaces
    assert not diff.detailed


def test_a_kubeconfig_by_path_is_compared_by_what_is_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(SAME, encoding="utf-8")
    (tmp_path / "two").write_text(SAME, encoding="utf-8")
    (tmp_path / "three").write_text(PORT, encoding="utf-8")

    assert not provider_diff(config("one"), config("two"), tmp_path).replace_paths
    assert provider_diff(config("one"), config("three"), tmp_path).replace_paths == {"kubeconfig"}
    assert not provider_diff(config("one"), config("not-there"), tmp_path).replace_paths


def test_the_engine_internal_entry_is_no_change() -> None:
    assert not provider_diff({**config(SAME), "__internal": {}}, config(SAME), Path()).changes


def test_a_broken_kubeconfig_is_named_and_not_quoted() -> None:
    with pytest.raises(KubeconfigError, match="not YAML") as raised:
        provider_diff(config(SAME), config("clusters: [\n  hush-canary: {"), Path())

    assert "hush-canary" not in str(raised.value)


def test_options_are_stored_as_the_official_provider_stores_them() -> None:
    given: Inputs = {
        "kubeconfig": Secret(SAME),
        "enableServerSideApply": True,
        "enableSecretMutable": "true",
        "clusterIdentifier": "jsi",
        "upsertExistingObjects": False,
        "version": "4.34.2",
        "__internal": {},
    }

    assert FACTORY.check_config(given) == {
        "kubeconfig": Secret(SAME),
        "enableServerSideApply": "true",
        "enableSecretMutable": "true",
        "clusterIdentifier": "jsi",
        "upsertExistingObjects": "false",
        "version": "4.34.2",
        "__internal": {},
    }


def test_an_unknown_option_value_stays_unknown() -> None:
    assert FACTORY.check_config({"kubeconfig": UNKNOWN})["kubeconfig"] is UNKNOWN


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"enableServerSideApply": "false"}, "enableServerSideApply=false"),
        ({"enableServerSideApply": False}, "enableServerSideApply=false"),
        ({"upsertExistingObjects": "true"}, "upsertExistingObjects"),
        ({"enablePatchForce": True}, "enablePatchForce"),
        ({"renderYamlToDirectory": "out"}, "renderYamlToDirectory"),
        ({"helmReleaseSettings": {"driver": "sql"}}, "helmReleaseSettings"),
        ({"somethingNew": "x"}, "somethingNew"),
    ],
)
def test_options_that_do_something_else_are_refused_by_name(options: Inputs, named: str) -> None:
    with pytest.raises(UnsupportedOptionError, match=named):
        FACTORY.check_config(options)
