"""Configs that start from another one, such as `base: arssr`; they are merged before any check."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mrisr.common.errors import ConfigError
from mrisr.common.paths import ROOT
from mrisr.common.schema import nearest, read_yaml
from mrisr.methods.method import merge

#: The configs that come with mrisr.
SHIPPED = ROOT / "config"
# The key at the start of an error's line, as the schemas and `mrisr.study.check` write it.
KEY = re.compile(r"(?:unknown key |missing key )?'?([a-z_][\w.-]*)'?(?=[: ])")


@dataclass(frozen=True)
class Written:
    """A config, with the file that each of its keys comes from.

    Attributes:
        content: The config, without `base`.
        places: File by key, as a path through mappings: `("methods", "cubic")`.
        files: The files that were merged, the last one first.
    """

    content: dict
    places: dict[tuple[str, ...], str]
    files: tuple[str, ...]

    def explained(self, message: str, where: str) -> str:
        """Return an error that also names the file of every key from another file.

        Args:
            message: `<where>: <key>: ...`, or `<where>:` and then one key a line.
            where: Name of the config in messages.
        """
        return "\n".join(self._explained(line, f"{where}: ") for line in message.splitlines())

    def _explained(self, line: str, top: str) -> str:
        found = KEY.match(line.removeprefix(top).lstrip())
        if not found:
            return line
        path = tuple(found[1].split("."))
        known = (self.places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.places)
        place = next(known, None)
        if place is None or place in line or place == self.files[0]:
            return line
        return f"{line} (written in {place})"


def read(path: str | Path) -> Written:
    """Read a config and all configs that it is based on.

    Raises:
        ConfigError: A file is missing or not YAML; or `base` names no config, or makes a circle.
    """
    return _on_base(read_yaml(path), str(path), [Path(path).absolute().parent], [Path(path)])


def resolved(config: dict, where: str, folders: Sequence[str | Path] = ()) -> Written:
    """Complete a config of another workflow with the configs that it is based on.

    Args:
        config: Content of the config.
        where: Name of the config in messages.
        folders: Folders to look for a base in, before those that come with mrisr.

    Raises:
        ConfigError: As `read`.
    """
    return _on_base(config, where, [Path(folder) for folder in folders], [])


def together(paths: Sequence[str | Path], changes: dict) -> Written:
    """Read the configs of a call, each on its base, and lay later ones and `--config` over them.

    Args:
        paths: At least one file.
        changes: Keys of `--config`, which remove nothing.

    Raises:
        ConfigError: As `read`; or `--config` names a base.
    """
    if "base" in changes:
        raise ConfigError(
            f"--config base={changes['base']}: a base is for files; write `base:` and `study:` to"
            " a config of a few lines"
        )
    read_ones = [read(path) for path in paths]
    content: dict = {}
    places: dict[tuple[str, ...], str] = {}
    for one in read_ones:
        content = merge(content, one.content)
        places |= one.places
    content = merge(content, changes)
    places |= dict.fromkeys(_keys(changes), "--config")
    files = tuple(file for one in reversed(read_ones) for file in one.files)
    return Written(content, places, files)


def _on_base(config: dict, file: str, folders: Sequence[Path], chain: Sequence[Path]) -> Written:
    content = {key: value for key, value in config.items() if key != "base"}
    if "base" not in config:
        return Written(copy.deepcopy(content), dict.fromkeys(_keys(content), file), (file,))
    path = _base_file(config["base"], file, folders, chain)
    if "study" not in config:
        raise ConfigError(
            f"{file}: missing key 'study': beside `base: {config['base']}` it is needed, or results"
            " would go where the base has its own"
        )
    base = _on_base(read_yaml(path), _shown(path), [path.parent], [*chain, path])
    places = dict(base.places)
    return Written(_laid_over(base.content, content, file, (), places), places, (file, *base.files))


def _base_file(base: Any, file: str, folders: Sequence[Path], chain: Sequence[Path]) -> Path:
    """Return the file of a base: beside the config that names it, or one that comes with mrisr.

    Raises:
        ConfigError: There is no such file, or it is based on the config that names it.
    """
    if not isinstance(base, str) or not re.fullmatch(r"\w+", base, re.ASCII):
        raise ConfigError(f"{file}: base: {base!r}: give the name of a config, e.g. `base: arssr`")
    looked = [folder / f"{base}.yaml" for folder in [*folders, SHIPPED]]
    there = [path for path in looked if path.is_file()]
    # A copy of a config that comes with mrisr may have the same name, and start from it.
    others = [path for path in there if not chain or not path.samefile(chain[-1])]
    if not there:
        names = {path.stem for folder in [*folders, SHIPPED] for path in folder.glob("*.yaml")}
        beside = ", ".join(map(str, folders)) or SHIPPED
        raise ConfigError(
            f"{file}: base: no config '{base}' in {beside} or among those that come with mrisr:"
            f" {nearest(base, names)}"
        )
    path = (others or there)[0]
    if any(path.samefile(one) for one in chain):
        circle = " -> ".join([*(one.stem for one in chain), base])
        raise ConfigError(f"{file}: base: goes in a circle, {circle}; name another base, or none")
    return path


def _laid_over(
    base: Mapping,
    changes: Mapping,
    file: str,
    at: tuple[str, ...],
    places: dict[tuple[str, ...], str],
) -> dict:
    """Return `base` with `changes` laid over it; null removes what `base` has.

    A new key goes behind the key that it follows in `changes`, because methods and datasets have
    the same order in tables. `places` is changed.
    """
    merged, order = dict(base), list(base)
    for before, key in pairwise([None, *changes]):
        value, path = changes[key], (*at, str(key))
        if key in base and isinstance(value, Mapping) and isinstance(base[key], Mapping):
            merged[key] = _laid_over(base[key], value, file, path, places)
            places[path] = file
            continue
        for known in [known for known in places if known[: len(path)] == path]:
            del places[known]
        if key in base and value is None:
            del merged[key]
            continue
        if key not in base:
            order.insert(order.index(before) + 1 if before in order else len(order), key)
        merged[key] = copy.deepcopy(value)
        places |= dict.fromkeys([path, *_keys(value, path)], file)
    return {key: merged[key] for key in order if key in merged}


def _keys(content: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key of nested mappings."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield (*at, str(key))
            yield from _keys(value, (*at, str(key)))


def _shown(path: Path) -> str:
    """Return a path as short as possible: relative to here, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
