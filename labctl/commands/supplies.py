"""Verbs about what comes from outside: charts, images, the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.bundle.distributions import Distribution

from .options import OwnJsonOption, StackOption

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def charts(stack: StackOption = "dev", as_json: OwnJsonOption = False) -> None:
    """Check every release's values against the chart itself, where the network reaches it."""
    from labctl.verbs.charts import charts as verb

    verb(stack, as_json=as_json)


@verbs.command()
def images(
    registry: Annotated[str, typer.Option("--registry", "-r", help="Registry and folder they go to.")],
    stack: StackOption = "dev",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it there instead of printing.")] = None,
    built: Annotated[
        Path | None, typer.Option("--built", help="What buildx said of its builds: print their pins instead.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The pins of --built as JSON; what is built is JSON in any case.")
    ] = False,
) -> None:
    """Print what `docker buildx bake` builds: the lab's images and those of its profiles."""
    from labctl.verbs.images import images as verb

    verb(stack, registry=registry, output=output, built=built, as_json=as_json)


bundles = typer.Typer(invoke_without_command=True, help="Everything a stack needs from outside.")
verbs.add_typer(bundles, name="bundle")


@bundles.callback()
def bundle(
    context: typer.Context,
    stack: StackOption = "dev",
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="Fetch it all, verified; goes on where it ended.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as the lock file has it.")] = False,
    lock: Annotated[Path | None, typer.Option("--lock", metavar="FILE", help="Write the lock file there.")] = None,
    architecture: Annotated[
        list[str] | None,
        typer.Option("--architecture", metavar="amd64|arm64", help="Of the hosts; repeatable; amd64 unless given."),
    ] = None,
    distribution: Annotated[
        list[Distribution] | None,
        typer.Option("--distribution", help="Of the hosts, by codename; repeatable; all unless given."),
    ] = None,
    apt_source: Annotated[
        list[str] | None,
        typer.Option("--apt-source", metavar="CODENAME=LINE", help="Packages from here; a line of sources.list."),
    ] = None,
    image: Annotated[
        list[str] | None, typer.Option("--image", help="An image that no chart names; repeatable.")
    ] = None,
) -> None:
    """List everything a stack needs from outside; with --into fetch it into a folder, to carry or to serve."""
    if context.invoked_subcommand is not None:
        return
    from components.pins import Architecture
    from labctl.verbs.bundle import Wishes
    from labctl.verbs.bundle import bundle as verb

    unknown = set(architecture or ()) - {known.value for known in Architecture}
    if unknown:
        message = f"--architecture is amd64 or arm64, not {', '.join(sorted(unknown))}"
        raise typer.BadParameter(message)
    wishes = Wishes(
        architectures=tuple(Architecture(name) for name in sorted(set(architecture or ("amd64",)))),
        distributions=tuple(distribution or Distribution),
        sources=tuple(apt_source or ()),
        images=tuple(image or ()),
    )
    verb(stack, wishes, into=into, as_json=as_json, lock_file=lock)


@bundles.command()
def serve(
    folder: Annotated[Path, typer.Option("--folder", help="The bundle.")],
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to answer.")] = "127.0.0.1:8080",
    certificate: Annotated[Path | None, typer.Option("--certificate", help="Serve HTTPS: chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Its private key, PEM.")] = None,
) -> None:
    """Serve a bundle to hosts: files, packages, charts, and its images as a read-only registry."""
    if (certificate is None) != (key is None):
        message = "--certificate and --key belong together"
        raise typer.BadParameter(message)
    from labctl.verbs.bundle import serve as verb

    verb(folder, listen=listen, certificate=certificate, key=key)
