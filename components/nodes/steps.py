"""Steps of a host: one shell script with the values it is to bring about, composed into the text a shell is fed.

A text is one function that is called at its very end, so what was cut off in transfer runs nothing. The scripts are
put on a host by a step of their own, before all others (`installation`): every text would carry thirty kilobytes of
them otherwise, twice in the state of each of thousands of steps, and no preview could be read.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from components.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = [
    "FILES",
    "INSTALLATION",
    "Lifecycle",
    "PlainValue",
    "ScriptValue",
    "Step",
    "StepOutput",
    "compose",
    "compose_whole",
    "installation",
    "read_script",
    "script_file",
    "script_paths",
    "scripts_on",
]

FILES = Path(__file__).parent / "files"
"""Where the scripts of the hosts themselves are."""
COMPONENTS = Path(__file__).parents[1]
SCRIPTS = "*/files/*.sh"
"""Every component's scripts, beneath `COMPONENTS`. A name is taken once among them all."""
COMMON = ("lib", "packages", "downloads")
"""What every script is written with."""
INSTALLATION = "scripts"
"""Name of the step that puts the scripts on a host."""
FOLDER = "/usr/local/lib/research-compute/steps"
"""Where they are on a host."""
CHECKSUM_DIGITS = 12
"""Hexadecimal digits of a script's checksum in its name on a host: enough to tell versions apart."""
_END = "END_OF_THIS_SCRIPT"
_INSTALLATION = """{given}
set -euo pipefail
export LC_ALL=C
umask 022
changed=()
put() {{
    local path={folder}/$1 content
    content=$(cat && printf x)
    content=${{content%x}}
    if [[ -f $path && ! -L $path && $(stat -c '%a %U' -- "$path") == "644 $(id -un)" ]] &&
        cmp -s -- "$path" <(printf '%s' "$content"); then return 0; fi
    changed+=("\\"file $path\\"")
    printf '%s' "$content" >"$path.$$"
    sync -- "$path.$$"
    mv -fT -- "$path.$$" "$path"
}}
case $1 in
apply)
mkdir -p -- {folder}
{files}
;;
undo)
rm -rf -- {folder}
;;
esac
printf '{{"step":"{step}","host":"%s","mode":"%s","changed":[%s],"result":{{}}}}\\n' \\
    "$STEP_HOST" "$1" "$(IFS=,; printf '%s' "${{changed[*]}}")"
"""
_PRESENT = """if [[ ! -f {script} ]]; then
    echo "failed: the scripts of $STEP_HOST are gone (was it reinstalled?): raise its reconverge in nodes.hosts" >&2
    exit 70
fi"""


class Lifecycle(StrEnum):
    """What becomes of a step once it was done."""

    CONVERGED = "converged"
    """Done again whenever its text changes; undone when the host leaves."""
    ONCE = "once"
    """History: done once and never again, whatever changes later. A further time is a step with another generation."""
    LEAVING = "leaving"
    """Costs nothing while its subject is there; what it does is done when the subject leaves."""
    NEVER = "never"
    """Does nothing, ever: it keeps the place of a `LEAVING` step, so that the end of that one is not the subject's."""


@dataclass(frozen=True, kw_only=True)
class StepOutput:
    """A result of another step, which is known once that has run."""

    step: str
    host: str | None
    """The other step's subject."""
    key: str


PlainValue: TypeAlias = str | int | bool | tuple[str, ...] | None
"""A value as a script gets it: text, a number, ``true`` or ``false``, an array, or nothing."""
ScriptValue: TypeAlias = PlainValue | SecretRef | StepOutput
"""A value as a planner gives it."""
NO_VALUES: Mapping[str, PlainValue] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Step:
    """One script on one host, and the values it is to bring about."""

    name: str
    subject: str | None
    """Host that it is about; None where it is about the cluster as a whole."""
    host: str
    """Host that it runs on: its subject, but for what a control-plane host does about another."""
    values: Mapping[str, ScriptValue]
    """By the name the script reads them under, in capitals."""
    script: str = ""
    """Name of the script, without its suffix; the step's own name if none is given."""
    libraries: tuple[str, ...] = ()
    """Further files with functions the script calls, without their suffix; of `INSTALLATION`, all it puts there."""
    files: tuple[str, ...] = ()
    """Further files it needs on the host and does not call."""
    after: tuple[tuple[str, str | None], ...] = ()
    """Steps it waits for, beside those whose results it uses: name and subject. Those that do not exist are ignored."""
    lifecycle: Lifecycle = Lifecycle.CONVERGED
    generation: int | str | None = None
    """Sets one `ONCE` step apart from an earlier one."""
    output_is_secret: bool = False

    @property
    def key(self) -> tuple[str, str | None]:
        """Name and subject, by which other steps refer to it."""
        return self.name, self.subject

    @property
    def resource(self) -> str:
        """Name of the resource it becomes, beneath the component's own: ``cp-1-admit-0``."""
        parts = (self.subject, self.name, None if self.generation is None else str(self.generation))
        return "-".join(part for part in parts if part is not None)


def compose(step: Step, values: Mapping[str, PlainValue]) -> str:
    """Return the text a shell is fed for a step: values first, then the scripts they are for, by name and content.

    The scripts themselves are on the host (`installation`), so a text shows what it is to bring about and no more.

    Parameters
    ----------
    step
        The step; its own values are not looked at.
    values
        Its values with secrets and other steps' results put in.
    """
    calls = [f". {shlex.quote(f'{FOLDER}/{script_file(name)}')}" for name in _scripts_of(step)]
    return _text(step, [*_assignments(values), _PRESENT.format(script=f"{FOLDER}/{script_file('lib')}"), *calls])


def compose_whole(step: Step, values: Mapping[str, PlainValue]) -> str:
    """Return the same text with the scripts in it, for a host that may not have them."""
    return _text(step, [*_assignments(values), *(read_script(name) for name in _scripts_of(step))])


def installation(names: Iterable[str], values: Mapping[str, PlainValue] = NO_VALUES) -> str:
    """Return the text that puts scripts on a host, each under a name with the checksum of its content.

    What other versions of this program left there stays: a step that is undone later may still name it.

    Parameters
    ----------
    names
        The scripts, without their suffix.
    values
        What every step is given: the host, and how often it was to be applied again.
    """
    files = "\n".join(f"put {script_file(name)} <<'{_END}'\n{read_script(name)}{_END}" for name in sorted(names))
    given = "\n".join(_assignments({"STEP_HOST": "", **values}))
    body = _INSTALLATION.format(given=given, folder=shlex.quote(FOLDER), files=files, step=INSTALLATION)
    return f'main() {{\n{body}}}\nmain "$@" </dev/null\nexit\n'


def scripts_on(hosts: Collection[str], steps: Iterable[Step]) -> tuple[str, ...]:
    """Return the names of the scripts that steps need on any of some hosts."""
    return tuple(sorted({name for step in steps if step.host in hosts for name in (*_scripts_of(step), *step.files)}))


def script_file(name: str) -> str:
    """Return the name a script has on a host: its own and the beginning of its content's checksum."""
    return f"{name}-{hashlib.sha256(read_script(name).encode()).hexdigest()[:CHECKSUM_DIGITS]}.sh"


@cache
def read_script(name: str) -> str:
    """Return the script `name`, whichever component's it is."""
    return script_paths()[name].read_text(encoding="utf-8")


@cache
def script_paths() -> Mapping[str, Path]:
    """Return where every script is, by its name."""
    return {path.stem: path for path in sorted(COMPONENTS.glob(SCRIPTS))}


def _scripts_of(step: Step) -> tuple[str, ...]:
    return (*COMMON, *step.libraries, step.script or step.name)


def _text(step: Step, lines: list[str]) -> str:
    body = "\n".join([*lines, f'run_step {shlex.quote(step.name)} "$@"'])
    return f'main() {{\n{body}\n}}\nmain "$@" </dev/null\nexit\n'


def _assignments(values: Mapping[str, PlainValue]) -> list[str]:
    return [_assignment(name, value) for name, value in sorted(values.items())]


def _assignment(name: str, value: PlainValue) -> str:
    if isinstance(value, tuple):
        return f"readonly -a {name}=({' '.join(shlex.quote(item) for item in value)})"
    if isinstance(value, bool):
        return f"readonly {name}={'true' if value else 'false'}"
    return f"readonly {name}={shlex.quote('' if value is None else str(value))}"
