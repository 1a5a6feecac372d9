"""The tables of docs/storage.md say what the program does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from components.quantities import Size
from components.storage.layout_plan import usable_bytes
from components.storage.properties_plan import FILE_SYSTEM_PROPERTIES, KIND_PROPERTIES, POOL_PROPERTIES
from components.storage.zfs_config import PoolConfig

if TYPE_CHECKING:
    from pathlib import Path

    from components.model import Value

DISK = Size(bytes=16 * 10**12)
LAYOUT = re.compile(r"(?:(?P<groups>\d) )?(?P<kind>mirror|raidz\d)s? of (?P<width>\d+)")
DRAID = re.compile(r"(?P<kind>draid\d):(?P<data>\d+)d:(?P<width>\d+)c:(?P<spares>\d+)s")


def described(text: str) -> PoolConfig:
    """Return the pool a line of the table of layouts describes."""
    found = DRAID.fullmatch(text) or LAYOUT.fullmatch(text)
    assert found is not None, text
    words = found.groupdict()
    width = int(words["width"])
    group: dict[str, Value] = {"kind": words["kind"]}
    if "spares" in words:
        group["draid"] = {"data": int(words["data"]), "spares": int(words["spares"])}
    data: list[Value] = [
        {**group, "disks": [f"/disks/{index}-{disk}" for disk in range(width)]}
        for index in range(int(words.get("groups") or 1))
    ]
    return PoolConfig.model_validate({"host": "store-1", "data": data})


def rows(root: Path, heading: str) -> list[list[str]]:
    section = (
        (root / "docs/storage.md").read_text(encoding="utf-8").partition(f"### {heading}\n")[2].partition("\n#")[0]
    )
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_table_of_layouts_is_right(root: Path) -> None:
    table = rows(root, "Layouts")
    assert len(table) >= 6
    for text, disks, small, large, _ in table:
        pool = described(text)
        assert int(disks) == sum(len(group.disks) for group in pool.data)
        for cell, record in ((small, 128 * 2**10), (large, 2**20)):
            assert float(cell.removesuffix(" TiB")) == pytest.approx(usable_bytes(pool, DISK, record) / 2**40, abs=0.06)


def test_every_property_is_in_the_table_with_its_reason(root: Path) -> None:
    said = {(cells[0], cells[1].strip("`"), cells[2]) for cells in rows(root, "Properties")}
    ours = {
        *(("pool", f"{each.name}={each.value}", each.reason) for each in POOL_PROPERTIES),
        *(("all", f"{each.name}={each.value}", each.reason) for each in FILE_SYSTEM_PROPERTIES),
    }
    assert ours <= said
    by_kind = {(f"{each.name}={each.value}", each.reason) for table in KIND_PROPERTIES.values() for each in table}
    assert by_kind == {(text, reason) for of, text, reason in said if of not in {"pool", "all"}}
