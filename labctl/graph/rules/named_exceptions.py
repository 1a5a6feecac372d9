"""Named exceptions: where a rule may be broken, and why; a reviewed file, ``policies/exceptions.yaml``."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .errors import ExceptionsFileError

if TYPE_CHECKING:
    from pathlib import Path

    from .model import Violation

__all__ = ["EXCEPTIONS_FILE", "NamedException", "NamedExceptions", "load_exceptions"]

EXCEPTIONS_FILE: Final = "policies/exceptions.yaml"
"""Where it is, below the project's folder."""
LEAST_REASON: Final = 20
"""Characters of a reason: shorter ones say only that there is an exception."""


class NamedException(BaseModel):
    """One place where a rule may be broken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str = Field(title="Rule", description="Name of the rule, as docs/rules.md has it.")
    resource: str = Field(
        title="Resource",
        description="URN, or type::name (kubernetes:core/v1:Namespace::gpu-namespace); * is any text, ? any character.",
        min_length=4,
    )
    path: str = Field(
        default="*",
        title="Path",
        description="Property path of the violation, * and ? as above; every path where it is left out.",
    )
    reason: str = Field(title="Reason", description="Why it has to be so: a sentence.", min_length=LEAST_REASON)

    @field_validator("resource")
    @classmethod
    def _names_something(cls, pattern: str) -> str:
        """Return a pattern that names a resource: one that is only wildcards would switch the rule off."""
        if not re.search(r"[A-Za-z]", pattern):
            message = "the pattern names no resource: switch no rule off"
            raise ValueError(message)
        return pattern

    @cached_property
    def _resource(self) -> re.Pattern[str]:
        return _wildcards(self.resource)

    @cached_property
    def _path(self) -> re.Pattern[str]:
        return _wildcards(self.path)

    def excuses(self, violation: Violation) -> bool:
        """Tell whether this is the exception that `violation` needs."""
        if violation.rule != self.rule or self._path.fullmatch(violation.path) is None:
            return False
        short = "::".join(violation.urn.split("::")[2:]).rpartition("$")[2]
        return any(self._resource.fullmatch(name) is not None for name in (violation.urn, short))


class NamedExceptions(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exceptions: tuple[NamedException, ...] = Field(
        default=(), title="Exceptions", description="Each place where a rule may be broken, with its reason."
    )


def _wildcards(pattern: str) -> re.Pattern[str]:
    """Return a shell pattern of ``*`` and ``?``; brackets are those of property paths."""
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)


def load_exceptions(path: Path, rules: frozenset[str] | None = None) -> tuple[NamedException, ...]:
    """Return the exceptions in the file at `path`; none where there is no file.

    Parameters
    ----------
    path
        The file.
    rules
        Names of the rules that there are; None: not compared.

    Raises
    ------
    ExceptionsFileError
        It is not YAML, lacks something, has a key too many, or names a rule that there is not.
    """
    if not path.is_file():
        return ()
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
        read = NamedExceptions.model_validate({} if content is None else content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise ExceptionsFileError(path, problems) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = cast("object", getattr(error, "problem_mark", None))
        raise ExceptionsFileError(path, [f"not YAML ({mark or 'not UTF-8'})"]) from error
    unknown = [each.rule for each in read.exceptions if rules is not None and each.rule not in rules]
    if unknown:
        raise ExceptionsFileError(path, [f"there is no rule {name!r}" for name in unknown])
    return read.exceptions
