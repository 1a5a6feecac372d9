"""Failures of the components: one class each, saying what is wrong and what would be right.

A validator of a configuration model raises one of the `ConfigurationError` classes; pydantic adds the place, and the
loader of the stack file (`stacks.loading`) turns it into a `components.problems.Problem`.
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "FloatingVersionError",
    "MalformedValueError",
    "MissingPinError",
    "NotBuiltError",
    "PlainSecretError",
]


class ConfigurationError(ValueError):
    """A value of the stack file that cannot be used.

    Attributes
    ----------
    what
        What is wrong, as a clause without its place: ``'64 GB' is not a size``.
    remedy
        What would be right: ``write 64Gi``.
    """

    def __init__(self, *, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


class MalformedValueError(ConfigurationError):
    """A text that is not of the kind it has to be."""

    def __init__(self, text: object, kind: str, remedy: str) -> None:
        super().__init__(what=f"{_quote(text)} is not {kind}", remedy=remedy)


class NotBuiltError(ConfigurationError):
    """A kind that exists in the field, and not in this program."""

    def __init__(self, part: str, kind: str, why: str, built: tuple[str, ...]) -> None:
        super().__init__(what=f"{kind} as {part} is not built here: {why}", remedy=f"write {' or '.join(built)}")


class PlainSecretError(ConfigurationError):
    """A secret that stands in the file for everybody to read. The message never repeats it."""

    def __init__(self, *, kind: str) -> None:
        super().__init__(
            what=f"{kind} stands here in plain text",
            remedy="give it a key of its own (pulumi config set --secret clientSecret), write {secret: clientSecret}",
        )


class MissingPinError(LookupError):
    """A chart, image or package that the environment's pins do not name."""

    def __init__(self, *, kind: str, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no {kind} {name!r} among the pins; it pins {', '.join(known) or 'none'}")
        self.kind = kind
        self.name = name


class FloatingVersionError(ConfigurationError):
    """A version that would be something else tomorrow."""

    def __init__(self, version: str) -> None:
        super().__init__(what=f"{version!r} is not one exact version", remedy="pin one, such as 1.21.2 or v3.32.1")


def _quote(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


_LONGEST_SHOWN = 80
"""Characters of a wrong value that an error repeats: enough to find it, short enough for one line."""
