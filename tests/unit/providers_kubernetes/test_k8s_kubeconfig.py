from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from kubernetes_samples import kubeconfig

from labctl.engine.providers.kubernetes.exceptions import (
    KubeconfigError,
    NoKubeconfigError,
    UnsupportedAuthenticationError,
)
from labctl.engine.providers.kubernetes.kubeconfig import Kubeconfig, Overrides

Parts = dict[str, list[dict[str, dict[str, object]]]]


def test_contents_and_path_are_the_same(tmp_path: Path) -> None:
    text = kubeconfig(namespace="hub")
    (tmp_path / "config").write_text(text, encoding="utf-8")

    by_text = Kubeconfig.load(text, tmp_path).access(Overrides())
    by_path = Kubeconfig.load("config", tmp_path).access(Overrides())

    assert by_text == by_path
    assert (by_text.server, by_text.namespace, by_text.token) == ("https://10.1.0.1:6443", "hub", "t0ken")
    assert by_text.certificate_authority == b"CA"
    assert by_text.verifies


def test_context_and_cluster_may_be_chosen() -> None:
    loaded = Kubeconfig.load(kubeconfig(), Path())

    assert loaded.access(Overrides(context="other")).server == "https://10.9.9.9:6443"
    assert loaded.access(Overrides(cluster="other")).server == "https://10.9.9.9:6443"


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    content = cast("Parts", json.loads(kubeconfig()))
    content["clusters"][0]["cluster"] = {"server": "https://a:1", "certificate-authority": "pki/ca.crt"}
    content["users"][0]["user"] = {"client-certificate": "pki/a.crt", "client-key": "pki/a.key", "tokenFile": "token"}
    (tmp_path / "pki").mkdir()
    for name in ("ca.crt", "a.crt", "a.key"):
        (tmp_path / "pki" / name).write_text(name, encoding="utf-8")
    (tmp_path / "config").write_text(json.dumps(content), encoding="utf-8")

    access = Kubeconfig.load("config", tmp_path).access(Overrides())

    assert (access.certificate_authority, access.client_certificate, access.client_key) == (
        b"ca.crt",
        b"a.crt",
        b"a.key",
    )
    assert access.token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  ", "KUBECONFIG"),
        ("not/there", "No such file"),
        ("a: [\n b", "not YAML"),
        ("a: 1\n", "no list of clusters"),
        (kubeconfig(context="gone"), "context 'gone' leads to no cluster"),
        (kubeconfig(authority="***"), "certificate-authority-data is not base64"),
    ],
)
def test_what_cannot_be_used_is_said(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises((KubeconfigError, NoKubeconfigError), match=words.replace("*", "")):
        Kubeconfig.load(text, tmp_path).access(Overrides())


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("users", "exec", {"command": "aws"}),
        ("users", "auth-provider", {"name": "gcp"}),
        ("users", "username", "admin"),
        ("users", "as", "system:admin"),
        ("clusters", "proxy-url", "http://proxy"),
    ],
)
def test_other_ways_to_authenticate_are_refused_by_name(part: str, name: str, value: object) -> None:
    content = cast("Parts", json.loads(kubeconfig()))
    content[part][0][part.removesuffix("s")][name] = value

    with pytest.raises(UnsupportedAuthenticationError, match=name):
        Kubeconfig.load(json.dumps(content), Path()).access(Overrides())


def test_only_the_kubeconfig_itself_turns_verification_off() -> None:
    content = cast("Parts", json.loads(kubeconfig()))
    content["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True

    assert not Kubeconfig.load(json.dumps(content), Path()).access(Overrides()).verifies
