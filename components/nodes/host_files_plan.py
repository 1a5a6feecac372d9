"""Where hosts download from: the values every step that downloads is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.errors import MissingPinError

if TYPE_CHECKING:
    from components.pins import HostFilePin, Pins

    from .config import NodesConfig
    from .steps import ScriptValue

__all__ = ["kubernetes_image", "mirror_values", "pinned_file"]


def mirror_values(config: NodesConfig) -> dict[str, ScriptValue]:
    """Return the values that make a step's packages and files come from the lab's mirror; none without one."""
    mirror = config.mirror
    if mirror is None:
        return {}
    return {
        "MIRROR_URL": mirror.url.rstrip("/"),
        "MIRROR_APT_KEY": mirror.apt_key,
        "MIRROR_CA": mirror.certificate_authority,
    }


def pinned_file(name: str, pin: HostFilePin) -> dict[str, ScriptValue]:
    """Return a pinned file as a script takes it.

    Parameters
    ----------
    name
        Beginning of the values' names: ``CONTAINERD``.
    pin
        The file.

    Returns
    -------
    dict
        ``<NAME>``: one line per architecture, ``amd64 SHA256 URL``; ``<NAME>_VERSION``.
    """
    lines = (
        f"{architecture.value} {digest} {pin.address(architecture)}" for architecture, digest in pin.sha256.items()
    )
    return {name: tuple(sorted(lines)), f"{name}_VERSION": pin.version}


def kubernetes_image(pins: Pins, name: str) -> str:
    """Return the reference of an image that kubeadm runs.

    Raises
    ------
    MissingPinError
        If the environment does not pin it.
    """
    if name not in pins.kubernetes_images:
        raise MissingPinError(kind="Kubernetes image", name=name, known=tuple(pins.kubernetes_images))
    return pins.kubernetes_images[name]
