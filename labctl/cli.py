"""The command line: verbs with their options, and what an error looks like to a person.

Each verb imports what it needs when it runs: ``labctl --help`` and ``labctl preview`` need no control plane.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .bundle.distributions import Distribution
from .exit_codes import ExitCode
from .restore.copies import Source  # noqa: TC001 - typer reads the annotations when it runs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

app = typer.Typer(
    name="labctl",
    help="A lab's own machines as a research-compute cluster, and an engine to run the program anywhere.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StackOption = Annotated[str, typer.Option("--stack", "-s", envvar="LAB_STACK", help="Environment: Pulumi.<stack>.yaml")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON in the shape of the official CLI's.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RefreshOption = Annotated[bool, typer.Option("--refresh", help="Look first at what is really there.")]
ParallelOption = Annotated[int, typer.Option("--parallel", "-p", min=1, help="Operations under way at once.")]
AllowOption = Annotated[
    list[str] | None,
    typer.Option("--allow-destroy", metavar="URN", help="Name what may be destroyed; a shell pattern, repeatable."),
]

HubOption = Annotated[
    bool, typer.Option("--hub/--no-hub", envvar="LAB_HUB", help="On a simulated lab, start its hub on this machine.")
]


@app.command()
def up(
    stack: StackOption = "dev",
    yes: YesOption = False,
    refresh: RefreshOption = False,
    parallel: ParallelOption = 16,
    allow_destroy: AllowOption = None,
    hub: HubOption = True,
) -> None:
    """Bring the lab to what its stack file says; on a simulated lab, start its control plane first and its hub last."""
    from .verbs.up import up as verb

    verb(stack, yes=yes, refresh=refresh, parallel=parallel, allow_destroy=tuple(allow_destroy or ()), hub=hub)


@app.command()
def preview(
    stack: StackOption = "dev",
    as_json: JsonOption = False,
    refresh: RefreshOption = False,
    expect_no_changes: Annotated[bool, typer.Option("--expect-no-changes", help="Exit 8 when there are any.")] = False,
    allow_destroy: AllowOption = None,
) -> None:
    """Show what `up` would change. Needs no cluster, no credentials and no Pulumi CLI."""
    from .verbs.preview import preview as verb

    verb(
        stack,
        as_json=as_json,
        refresh=refresh,
        expect_no_changes=expect_no_changes,
        allow_destroy=tuple(allow_destroy or ()),
    )


@app.command()
def refresh(stack: StackOption = "dev", yes: YesOption = False) -> None:
    """Take over into the state what is really there; changes nothing in the cluster."""
    from .verbs.refresh import refresh as verb

    verb(stack, yes=yes)


@app.command()
def destroy(stack: StackOption = "dev", yes: YesOption = False, allow_destroy: AllowOption = None) -> None:
    """Delete everything of the stack, dependents first."""
    from .verbs.destroy import destroy as verb

    verb(stack, yes=yes, allow_destroy=tuple(allow_destroy or ()))


@app.command()
def diff(
    one: Annotated[str, typer.Argument(help="Stack")],
    other: Annotated[str, typer.Argument(help="Stack to compare it with")],
    as_json: JsonOption = False,
) -> None:
    """Compare two stacks: configuration rendered to resources, without a cluster."""
    from .verbs.diff import diff as verb

    verb(one, other, as_json=as_json)


@app.command()
def export(
    stack: StackOption = "dev",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write it there instead of printing it.")] = None,
) -> None:
    """Print the state as `pulumi stack import` takes it; secrets stay sealed."""
    from .verbs.export import export as verb

    verb(stack, file=file)


@app.command()
def images(
    registry: Annotated[str, typer.Option("--registry", "-r", help="Registry and folder they go to.")],
    stack: StackOption = "dev",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it there instead of printing.")] = None,
    built: Annotated[
        Path | None, typer.Option("--built", help="What buildx said of its builds: print their pins instead.")
    ] = None,
) -> None:
    """Print what `docker buildx bake` builds: the lab's images and those of its profiles."""
    from .verbs.images import images as verb

    verb(stack, registry=registry, output=output, built=built)


@app.command()
def outputs(
    stack: StackOption = "dev",
    as_json: JsonOption = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Print secrets in the clear.")] = False,
) -> None:
    """Print what the stack exports."""
    from .verbs.outputs import outputs as verb

    verb(stack, as_json=as_json, show_secrets=show_secrets)


@app.command()
def unlock(
    lock: Annotated[str, typer.Argument(help="Id of the lock, as the message about it says")],
    stack: StackOption = "dev",
) -> None:
    """Release a lock that a dead process left, by its id."""
    from .verbs.unlock import unlock as verb

    verb(stack, lock)


@app.command()
def down(
    stack: StackOption = "dev",
    wipe: Annotated[bool, typer.Option("--wipe", help="Forget its data and its state, too.")] = False,
) -> None:
    """Stop the embedded control plane of a simulated lab; its data stays."""
    from .verbs.down import down as verb

    verb(stack, wipe=wipe)


@app.command()
def status(stack: StackOption = "dev", as_json: JsonOption = False) -> None:
    """Show the embedded control plane: processes, health, memory, where its kubeconfig is."""
    from .verbs.status import status as verb

    verb(stack, as_json=as_json)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def kubectl(context: typer.Context, stack: StackOption = "dev") -> None:
    """Run the pinned kubectl on the embedded control plane: `labctl kubectl get nodes`."""
    from .verbs.kubectl import kubectl as verb

    verb(stack, context.args)


@app.command()
def tools() -> None:
    """Obtain the control plane's programs now: from PATH, from their releases, or built from source, once."""
    from .verbs.tools import tools as verb

    verb()


@app.command()
def charts(stack: StackOption = "dev") -> None:
    """Check every release's values against the chart itself, where the network reaches it."""
    from .verbs.charts import charts as verb

    verb(stack)


@app.command()
def drift(
    stack: StackOption = "dev",
    host: Annotated[list[str] | None, typer.Option("--host", "-H", help="Only this host; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/drift.md).")] = False,
) -> None:
    """Ask the hosts what differs from the plan; changes nothing on them."""
    from .verbs.drift import drift as verb

    verb(stack, hosts=tuple(host or ()), as_json=as_json)


@app.command()
def capacity(
    stack: StackOption = "dev",
    running: Annotated[bool, typer.Option("--running", help="Beside what runs in the stack's cluster now.")] = False,
    demand: Annotated[Path | None, typer.Option("--demand", help="Who is to be served: YAML.")] = None,
    spawns: Annotated[Path | None, typer.Option("--spawns", help="Past spawns: CSV, or the hub's event log.")] = None,
    layouts: Annotated[bool, typer.Option("--layouts", help="Search for the layout that serves this best.")] = False,
    time_slices: Annotated[
        int, typer.Option("--time-slices", min=0, max=48, help="Containers that may share a GPU in that search.")
    ] = 0,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw it, too: SVG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/capacity.md).")] = False,
) -> None:
    """Show how much the lab holds: of each profile, of a mixture of users, and with GPUs cut otherwise."""
    from .capacity.question import Asked
    from .verbs.capacity import capacity as verb

    asked = Asked(running=running, demand=demand, spawns=spawns, layouts=layouts, time_slices=time_slices)
    verb(stack, asked, as_json=as_json, plot=plot)


hosts = typer.Typer(help="The lab's machines themselves.", no_args_is_help=True)
app.add_typer(hosts, name="hosts")


@hosts.command()
def keys(
    stack: StackOption = "dev",
    host: Annotated[list[str] | None, typer.Option("--host", "-H", help="Only this host; repeatable.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write keys that are missing into the stack file.")] = False,
) -> None:
    """Collect the hosts' SSH keys, show their fingerprints, and compare them with the stack file."""
    from .verbs.hosts import keys as verb

    verb(stack, hosts=tuple(host or ()), write=write)


restores = typer.Typer(
    help="Bring homes, shared folders and the hub's database back, from snapshots or from the repository.",
    no_args_is_help=True,
)
app.add_typer(restores, name="restore")

WHAT = "home/NAMESPACE/CLAIM, shared/NAME, group/NAME or hub-database"
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="As it was then: 2026-11-20T14:30. The newest copy not later is taken."),
]
SnapshotOption = Annotated[str | None, typer.Option("--snapshot", metavar="ID", help="This copy, as `list` names it.")]
OfOption = Annotated[
    str | None, typer.Option("--of", metavar="HOST", help="Copies of that host, where this one had another name.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


@restores.command("list")
def restore_list(
    what: Annotated[str | None, typer.Argument(metavar="WHAT", help=f"{WHAT}; the homes as such if left out.")] = None,
    stack: StackOption = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/storage.md).")] = False,
) -> None:
    """Show the copies there are, with their times and where they are."""
    from .verbs.restore import list_copies

    list_copies(stack, what, as_json=as_json)


@restores.command("folder")
def restore_folder(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=WHAT)],
    stack: StackOption = "dev",
    at: AtOption = None,
    snapshot: SnapshotOption = None,
    source: Annotated[
        Source | None, typer.Option("--from", help="Only copies from there; the newest of all if left out.")
    ] = None,
    of: OfOption = None,
    path: Annotated[str | None, typer.Option("--path", help="Only this file or folder in it.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Instead of what is there, of which a snapshot stays; has to be named.")
    ] = False,
    allow_destroy: Annotated[
        list[str] | None,
        typer.Option("--allow-destroy", metavar="DATASET", help="Name what may be replaced; repeatable."),
    ] = None,
    cluster_is_down: Annotated[
        bool, typer.Option("--cluster-is-down", help="No pod uses it, and no cluster need be asked about that.")
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Bring one folder back: into a new folder in it, or instead of what is there, or made anew where it is gone."""
    from .verbs.restore import Choice, Manner
    from .verbs.restore import restore as verb

    manner = Manner(
        path=path,
        in_place=in_place,
        allow_destroy=tuple(allow_destroy or ()),
        cluster_is_down=cluster_is_down,
        dry_run=dry_run,
    )
    verb(stack, what, Choice(at=at, snapshot=snapshot, source=source, of=of), manner)


@restores.command("everything")
def restore_everything(
    stack: StackOption = "dev",
    at: AtOption = None,
    snapshot: SnapshotOption = None,
    of: OfOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Bring back from the repository what is not there or has no files: a storage host with new, empty pools."""
    from .verbs.restore import Choice, restore_all

    restore_all(stack, Choice(at=at, snapshot=snapshot, of=of), yes=yes, dry_run=dry_run)


hubs = typer.Typer(help="The lab's hub as its users find it.", no_args_is_help=True)
app.add_typer(hubs, name="hub")


@hubs.command("check")
def hub_check(
    stack: StackOption = "dev",
    spawn: Annotated[bool, typer.Option("--spawn", help="Start the test user's server, ask it, stop it.")] = False,
    url: Annotated[str | None, typer.Option("--url", help="Where the hub is, if not at its host name.")] = None,
    authority: Annotated[
        Path | None, typer.Option("--authority", metavar="FILE", help="Certificates its own is held against, PEM.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="The health service's token, if not the state's."),
    ] = None,
    start_seconds: Annotated[
        float | None, typer.Option("--start-seconds", min=1, help="How long it may start; else servers.startTimeout.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/hub-operation.md).")] = False,
) -> None:
    """Look at the hub from outside: proxy, hub, database; with --spawn whether a server starts. Exit 13 if not."""
    from .verbs.hub import Way, check

    way = Way(url=url, authority=authority, token_file=token_file)
    check(stack, way, spawn=spawn, start_seconds=start_seconds, as_json=as_json)


bundles = typer.Typer(invoke_without_command=True, help="Everything a stack needs from outside.")
app.add_typer(bundles, name="bundle")


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

    from .verbs.bundle import Wishes
    from .verbs.bundle import bundle as verb

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
    from .verbs.bundle import serve as verb

    verb(folder, listen=listen, certificate=certificate, key=key)


def run(arguments: Sequence[str]) -> int:
    """Run labctl with `arguments` and return its exit code; no traceback reaches a person."""
    from rich.console import Console

    from .failures import exit_code_of

    try:
        status = app(list(arguments), standalone_mode=False)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except typer.Exit as stop:
        return stop.exit_code
    except Exception as error:  # noqa: BLE001 - the one place that turns any failure into words and a code
        return exit_code_of(error, Console(stderr=True, highlight=False, soft_wrap=True))
    return status if isinstance(status, int) else ExitCode.OK
