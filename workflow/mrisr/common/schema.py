"""Checks of YAML files against the schemas in `workflow/schemas`, with errors that help."""

import copy
import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from mrisr.common.errors import ConfigError
from mrisr.common.paths import WORKFLOW

SCHEMAS = WORKFLOW / "schemas"
# Ten times as fast, where PyYAML was built with libyaml.
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Configs nest to about six levels, and have some hundred values.
DEEPEST, MOST_NODES = 50, 100_000
# Octal (010) and sexagesimal (1:30) integers of YAML 1.1.
ODD_NUMBER = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+)")
# A number that YAML 1.1 reads as text, because it has no point or no sign for the exponent.
TEXT_NUMBER = re.compile(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)")


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping.

    Raises:
        ConfigError: The file is missing, not YAML, or not a mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_bombs(text)
        content = copy.deepcopy(_parsed(text))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not text in UTF-8; is it a YAML file?") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_not_yaml(error, text)}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, found {type(content).__name__}")
    return content


def _not_yaml(error: yaml.YAMLError, text: str) -> str:
    """Return a sentence that tells why a text is not YAML."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return str(error)
    line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"line {mark.line + 1} is indented with a tab; write blanks in place"
    said = ", ".join(filter(None, [getattr(error, name, None) for name in ("context", "problem")]))
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}"


def yaml_text(content: dict) -> str:
    """Return a mapping as YAML that people read: keys in their order, lists in a line."""

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    Plain.add_representer(
        list,
        lambda dumper, items: dumper.represent_sequence(
            "tag:yaml.org,2002:seq", items, flow_style=not any(isinstance(i, dict) for i in items)
        ),
    )
    return str(yaml.dump(content, Dumper=Plain, sort_keys=False, allow_unicode=True, width=100))


def _refuse_bombs(text: str) -> None:
    """Refuse YAML that would keep the parser busy: deep nesting, or aliases of aliases.

    Raises:
        ConfigError: The YAML is of this kind; the message names no file.
    """
    depth = 0
    # Deep nesting needs this many brackets or this much indentation.
    if text.count("[") + text.count("{") > DEEPEST or " " * DEEPEST in text or "- " * 9 in text:
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ConfigError(f"nested more than {DEEPEST} deep; write it flat")
    if "&" not in text or "*" not in text:
        return
    sizes: dict[int, int] = {}
    if (node := yaml.compose(text, yaml.SafeLoader)) and _expanded(node, sizes) > MOST_NODES:
        raise ConfigError("its aliases stand for too much; write it without anchors")


def _expanded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return the number of values of a YAML node, with its aliases written out."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST_NODES + 1  # for a node that holds itself
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [n for part in parts for n in (part if isinstance(part, tuple) else (part,))]
        sizes[id(node)] = 1 + sum(_expanded(part, sizes) for part in flat)
    return sizes[id(node)]


def validate(
    content: dict, schema: str, where: str, properties: Mapping[str, dict] | None = None
) -> None:
    """Check `content` against `workflow/schemas/<schema>.schema.yaml`.

    Args:
        content: Content of a YAML file.
        schema: `config`, `method` or `dataset`.
        where: The file's name, for the message.
        properties: Schemas of further top-level keys.

    Raises:
        ConfigError: One message for all problems, one a line: the key, what is wrong, and the
            nearest valid key or the values allowed.
    """
    refuse_unsafe(content, where)
    rules = _parsed((SCHEMAS / f"{schema}.schema.yaml").read_text(encoding="utf-8"))
    rules = {**rules, "properties": {**rules["properties"], **(properties or {})}}
    found = sorted(
        jsonschema.Draft202012Validator(rules).iter_errors(content),
        key=lambda error: list(map(str, error.absolute_path)),
    )
    # If several keys are missing, each error explains all of them.
    lines = dict.fromkeys(line for error in found for line in _explain(error))
    if lines:
        raise ConfigError("\n  ".join([f"{where}: refused by the {schema} schema:", *lines]))


def changes(pairs: Sequence[str]) -> dict:
    """Return the changes in `key=value` pairs, with values read as Snakemake's --config reads them.

    Raises:
        ConfigError: A pair has no `=`, or its value is not YAML.
    """
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise ConfigError(f"--config '{pair}': give key=value, e.g. 'scales=[2, 4]'")
        try:
            found[key] = _parsed(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--config '{pair}': not YAML ({error})") from None
        except ConfigError as error:
            raise ConfigError(f"--config '{pair}': {error}") from None
    return found


def refuse_unsafe(content: Any, where: str, at: str = "") -> None:
    """Refuse what no schema refuses: passwords in addresses, and names of several lines.

    The content of a config ends in logs and results, and names become parts of paths.

    Raises:
        ConfigError: The message names the key, but not its value.
    """
    if isinstance(content, Mapping):
        items = [(f"{at}.{key}" if at else str(key), value) for key, value in content.items()]
    elif isinstance(content, list):
        items = [(f"{at}.{number}", value) for number, value in enumerate(content)]
    elif isinstance(content, str) and re.search(r"[a-z0-9+]://[^/\s]*@", content, re.IGNORECASE):
        raise ConfigError(
            f"{where}: '{at}' holds a user name or password in an address, which would end in logs"
            " and results; take it out, write it to ~/.netrc and change the password"
        )
    elif isinstance(content, float) and not math.isfinite(content):
        raise ConfigError(f"{where}: '{at}' is {content}; give a finite number")
    else:
        items = []
    for key, value in items:
        if not key.isprintable():  # `$` in a schema's pattern lets a line end at the end pass
            raise ConfigError(f"{where}: key {key!r}: take the line end or tab out")
        refuse_unsafe(value, where, key)


@cache
def _parsed(text: str) -> Any:
    """Parse YAML, each text once: every job checks every method against one schema."""
    try:
        return _loaded(text, FAST)
    except yaml.YAMLError:  # Python's own parser tells better what is wrong
        return _loaded(text, yaml.SafeLoader)


def _loaded(text: str, kind: Any) -> Any:
    loader = kind(text)
    try:
        node = loader.get_single_node()
        problems = list(_misread(node)) if node is not None else []
        if problems:
            raise ConfigError("; ".join(problems))
        return loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()


def _is_plain_number(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":int") and not node.style


def _misread(node: yaml.Node) -> Iterator[str]:
    """Yield what YAML 1.1 silently reads as no user means it: a key twice, 010 for 8."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name, at = str(key.value), key.start_mark.line + 1
            if name in first and name != "<<":
                yield f"line {at}: key '{name}' is in line {first[name]} already; delete one"
            first.setdefault(name, at)
            yield from _misread(key)
            yield from _misread(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _misread(item)
    elif (
        isinstance(node, yaml.ScalarNode)
        and _is_plain_number(node)
        and ODD_NUMBER.fullmatch(node.value)
    ):
        number = yaml.safe_load(node.value)
        yield (
            f"line {line}: {node.value} is the number {number} to YAML; write {number}, or quotes"
            f" around it ('{node.value}') for text"
        )


def typed(value: Any) -> Any:
    """Return values with their YAML types: Snakemake's `--config` leaves text in lists and maps.

    Args:
        value: Text, or lists and mappings of text; `2.5`, `true` and `null` become their values.
    """
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return found if found is None or isinstance(found, int | float) else value


def nearest(word: str, known: Any) -> str:
    """Return a hint for a misspelt `word`: the nearest of `known`, or all of them."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(known)


def _explain(error: jsonschema.ValidationError) -> Iterator[str]:
    at = ".".join(map(str, error.absolute_path))
    prefix = f"{at}." if at else ""
    key = f"'{at}'" if at else "the file"
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = error.schema.get("properties", {})
            patterns = error.schema.get("patternProperties", {})
            for name in error.instance:
                if name in known or any(_matches(name, pattern) for pattern in patterns):
                    continue
                hint = (
                    f"names look like {', '.join(patterns)}"
                    if patterns and not known
                    else nearest(str(name), known)
                )
                yield f"unknown key '{prefix}{name}': {hint}"
        case "required":
            for name in error.validator_value:
                if name not in error.instance:
                    about = error.schema.get("properties", {}).get(name, {}).get("description", "")
                    similar = difflib.get_close_matches(
                        name, [str(k) for k in error.instance], n=1, cutoff=0.6
                    )
                    hint = f" (is '{prefix}{similar[0]}' meant?)" if similar else ""
                    yield f"missing key '{prefix}{name}'{hint}" + (f": {about}" if about else "")
        case "enum":
            yield f"{key}: {error.instance!r}: " + nearest(
                str(error.instance), error.validator_value
            )
        case "oneOf" | "anyOf" if error.context:
            best = jsonschema.exceptions.best_match([error])
            if best is not None and best is not error:
                yield from _explain(best)
            else:
                yield f"{key}: {error.message}"
        case "type":
            wanted = error.validator_value
            wanted = wanted if isinstance(wanted, str) else " or ".join(wanted)
            hint = _as_number(error.instance)
            yield f"{key}: {error.instance!r} where {wanted} is expected{hint}"
        case _:
            about = error.schema.get("description", "")
            yield f"{key}: {error.message}" + (f" ({about})" if about else "")


def _as_number(value: object) -> str:
    """Return how to write a number that YAML read as text, or an empty text."""
    found = TEXT_NUMBER.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return ""
    whole, part, sign, power = found.groups()
    return f"; write {whole}{part if part and len(part) > 1 else '.0'}e{sign or '+'}{power}"


def _matches(name: object, pattern: str) -> bool:
    return jsonschema.Draft202012Validator({"type": "string", "pattern": pattern}).is_valid(name)
