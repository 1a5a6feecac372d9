"""Container images by digest: a tag says what was meant, the digest what will run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic_core import core_schema

from .errors import MalformedValueError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["ImageReference", "Interface"]

_PATTERN = (
    r"^(?P<registry>[a-z0-9.-]+(?::[0-9]+)?)/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?@(?P<digest>sha256:[0-9a-f]{64})$"
)
"""Grammar of the OCI distribution specification, narrowed: the registry is always named and the digest required."""


class Interface(StrEnum):
    """What of an image people work in, in the browser."""

    NOTEBOOK = "notebook"
    """JupyterLab."""
    CODE_SERVER = "code-server"
    """Visual Studio Code, through jupyter-server-proxy."""
    RSTUDIO = "rstudio"
    """RStudio, through jupyter-server-proxy."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One image: ``registry/repository[:tag]@sha256:...``."""

    registry: str
    repository: str
    tag: str | None
    digest: str
    """``sha256:`` and 64 hexadecimal digits, of the manifest or the index."""

    @classmethod
    def parse(cls, value: object) -> ImageReference:
        """Return the image a text names.

        Raises
        ------
        MalformedValueError
            If the registry or the digest is missing, or the text is no image reference at all.
        """
        if isinstance(value, ImageReference):
            return value
        match = re.match(_PATTERN, value) if isinstance(value, str) else None
        if match is None or "." not in match["registry"] + match["registry"].replace(":", ".").replace(
            "localhost", "."
        ):
            raise MalformedValueError(
                value, "an image with registry and digest", "write quay.io/jupyter/minimal-notebook:TAG@sha256:DIGEST"
            )
        return cls(match["registry"], match["repository"], match["tag"], match["digest"])

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest: what a chart's ``image.name`` takes."""
        return f"{self.registry}/{self.repository}"

    @property
    def tag_and_digest(self) -> str:
        """What follows the name's colon in a reference; a chart that joins ``name:tag`` gets a pinned image by it.

        Raises
        ------
        MalformedValueError
            If the reference has no tag.
        """
        if self.tag is None:
            raise MalformedValueError(str(self), "an image with a tag", "add the tag before the digest")
        return f"{self.tag}@{self.digest}"

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}@{self.digest}" if self.tag else f"{self.name}@{self.digest}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: type[object], _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema(when_used="always")
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"^[^/\s]+/[^@\s]+@sha256:[0-9a-f]{64}$"}
