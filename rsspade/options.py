"""Options of a training script: a frozen dataclass filled from a YAML file and then from the command line.

The dataclass is the only list of options: its fields are the flags (a nested dataclass adds a dotted prefix, as in
`--loss.l1 10`), its types say what a value may be, its docstring is the help. No library does this with an error of
one line that names the nearest valid option, which is why these lines exist.
"""

import dataclasses
import difflib
import inspect
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import yaml

from rsspade.errors import ConfigError, explain

__all__ = [
    "OptionText", "default_options", "describe_options", "explain_options", "flatten", "parse_yaml", "read_options",
    "shown", "to_yaml", "unflatten",
]  # fmt: skip

T = TypeVar("T")
_MAX_YAML_BYTES = 1024 * 1024
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def read_options(kind: type[T], argv: Sequence[str]) -> T:
    """Read a command line, and the YAML file that its `--config` names, into the dataclass `kind`."""
    given = _split(kind, argv)
    file = given.pop("config", None)
    values = {} if file is None else _read_yaml(kind, Path(str(file)))
    return unflatten(kind, values | {name: _convert(kind, name, text, f"--{name}") for name, text in given.items()})


def flatten(config: Any) -> dict[str, Any]:  # noqa: ANN401 (any dataclass instance)
    """Every option of a config by its dotted name."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat |= {f"{field.name}.{name}": inner for name, inner in flatten(value).items()}
        else:
            flat[field.name] = value
    return flat


def default_options(kind: type[Any]) -> dict[str, Any]:
    """The default of every option that has one, by dotted name."""
    return {name: default for name, (_, default, _) in _options(kind).items() if default is not dataclasses.MISSING}


def unflatten(kind: type[T], values: Mapping[str, Any]) -> T:
    """Build the dataclass from dotted names; what is not given has its default."""
    hints = typing.get_type_hints(kind)
    made: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            prefix = f"{field.name}."
            made[field.name] = unflatten(
                hint, {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
            )
        elif field.name in values:
            made[field.name] = values[field.name]
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(
                explain(f"--{field.name}", expected="a value", found="none", fix="This option is needed.")
            )
    return kind(**made)


def to_yaml(config: Any) -> str:  # noqa: ANN401 (any dataclass instance)
    """The resolved config, nested, as `--config` reads it."""
    plain = dataclasses.asdict(
        config, dict_factory=lambda items: {k: list(v) if isinstance(v, tuple) else v for k, v in items}
    )
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def parse_yaml(text: str) -> Any:  # noqa: ANN401 (any YAML)
    """The content of a YAML file; raises `yaml.YAMLError`, whatever is wrong with it.

    No run writes an alias, and all are refused: a few of them can stand for a thing a billion times as large as the file, or for
    one that holds itself.
    """
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise yaml.YAMLError("an alias: write out what it stands for")
        return yaml.safe_load(text)
    except (ValueError, RecursionError) as err:
        raise yaml.YAMLError(str(err)) from err


class OptionText(NamedTuple):
    """An option in words.

    Attributes:
        name: Dotted, without dashes.
        value: What stands behind it; nothing for a switch.
        default: None where it has none and is needed.
        text: What it does.
    """

    name: str
    value: str
    default: str | None
    text: str


def explain_options(kind: type[Any]) -> list[OptionText]:
    """All options in words, in the order of the dataclass."""
    return [
        OptionText(name, _kind(hint), None if default is dataclasses.MISSING else shown(default), text)
        for name, (hint, default, text) in _options(kind).items()
    ]


def describe_options(kind: type[Any]) -> str:
    """The options with types, defaults and explanations, one or two lines each, for `--help`."""
    lines = []
    for name, value, default, text in explain_options(kind):
        shown = "needed" if default is None else f"default {default}"
        lines += [f"  --{name} {value}  ({shown})", f"        {text}"]
    return "\n".join(lines)


def _options(kind: type[Any], prefix: str = "") -> dict[str, tuple[Any, Any, str]]:
    """Dotted name -> type, default, explanation."""
    hints, texts = typing.get_type_hints(kind), _explanations(kind)
    found: dict[str, tuple[Any, Any, str]] = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            found |= _options(hint, f"{prefix}{field.name}.")
        else:
            default = field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            found[prefix + field.name] = (hint, default, texts.get(field.name, ""))
    return found


def _explanations(kind: type[Any]) -> dict[str, str]:
    """The `Attributes:` section of a docstring."""
    doc = inspect.getdoc(kind) or ""
    section = doc.partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _split(kind: type[Any], argv: Sequence[str]) -> dict[str, str]:
    """`--name value`, `--name=value` and, for a switch, `--name` alone."""
    known, given, rest = _options(kind), {}, list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise ConfigError(explain("command line", expected="an option such as --steps 1000", found=repr(word),
                                      fix="Every value stands behind its option."))  # fmt: skip
        name, equals, value = word[2:].partition("=")
        if name != "config" and name not in known:
            raise ConfigError(_unknown(f"--{name}", name, [*known, "config"], dashes="--"))
        switch = name != "config" and known[name][0] is bool
        if not equals and switch:
            value = rest.pop(0) if rest and rest[0].lower() in _WORDS else "true"
        elif not equals:
            if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
                raise ConfigError(explain(word, expected="a value behind it", found="none", fix="Add one."))
            value = rest.pop(0)
        if name in given:
            raise ConfigError(explain(f"--{name}", expected="it once", found="it twice", fix="Remove one."))
        given[name] = value
    return given


def _read_yaml(kind: type[Any], path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_YAML_BYTES:
            raise ConfigError(
                explain(
                    path, expected="a YAML file of options", found="a file too large to be one", fix="Correct --config."
                )
            )
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise ConfigError(
            explain(
                f"--config {path}",
                expected="a readable YAML file",
                found=_first_line(err),
                fix="Correct the file or its name.",
            )
        ) from err
    flat: dict[str, Any] = {}
    _flatten_yaml(content or {}, "", flat, path)
    known = _options(kind)
    for name in flat:
        if name not in known:
            raise ConfigError(_unknown(f"{path}: {name}", name, known, dashes=""))
    return {name: _convert(kind, name, value, f"{path}: {name}") for name, value in flat.items()}


def _flatten_yaml(content: Any, prefix: str, flat: dict[str, Any], path: Path) -> None:  # noqa: ANN401
    if not isinstance(content, dict) or not all(isinstance(k, str) for k in content):
        raise ConfigError(
            explain(
                f"{path}: {prefix or 'the file'}",
                expected="options by name",
                found=type(content).__name__,
                fix="Write `name: value`.",
            )
        )
    for name, value in content.items():
        if isinstance(value, dict):
            _flatten_yaml(value, f"{prefix}{name}.", flat, path)
        else:
            flat[prefix + name] = value


def _unknown(where: str, name: str, known: Sequence[str] | Mapping[str, Any], *, dashes: str) -> str:
    near = _nearest(name, list(known))
    hint = f"Did you mean {dashes}{near}? " if near else ""
    return explain(
        where, expected="the name of an option", found="an unknown one", fix=f"{hint}`--help` lists them all."
    )


def _nearest(name: str, known: Sequence[str]) -> str | None:
    """The most similar option; the last part of a dotted name alone will do."""
    wanted = name.replace("-", "_").lower()
    ends = {option.rpartition(".")[2]: option for option in reversed(known)}
    if wanted in ends:
        return ends[wanted]
    near = difflib.get_close_matches(wanted, [*known, *ends], n=1, cutoff=0.5)
    return ends.get(near[0], near[0]) if near else None


def _convert(kind: type[Any], name: str, value: Any, where: str) -> Any:  # noqa: ANN401 (any option's value)
    return _as_type(_options(kind)[name][0], value, where)


def _as_type(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    """A value from text or from YAML, as its type wants it; YAML reads 1e-3 as text, so text is always allowed."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null", "")):
            return None
        return _as_type(next(a for a in typing.get_args(hint) if a is not type(None)), value, where)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value in choices:
            return value
        near = _nearest(str(value), choices)
        fix = f"Did you mean {near}?" if near else "Choose one of them."
        raise ConfigError(explain(where, expected=f"one of {', '.join(choices)}", found=repr(value), fix=fix))
    if origin is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(p, str) for p in parts):
            raise _wrong(where, "names separated by commas", value)
        return tuple(p.strip() for p in parts if p.strip())
    if hint is bool:
        word = str(value).lower()
        if word not in _WORDS:
            raise _wrong(where, "true or false", value)
        return _WORDS[word]
    if hint is str:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise _wrong(where, "text", value)
        return str(value)
    return _as_number(hint, value, where)


def _as_number(hint: Any, value: Any, where: str) -> int | float:  # noqa: ANN401
    if hint is int:
        text = str(value).replace("_", "")
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d{1,18}", text):
            raise _wrong(where, "a whole number", value)
        return int(text)
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(where, "a number", value)
    return number


def _wrong(where: str, expected: str, value: object) -> ConfigError:
    return ConfigError(explain(where, expected=expected, found=repr(value), fix="Correct the value."))


def _first_line(err: BaseException) -> str:
    return " ".join(str(err).split())[:200]


def _kind(hint: Any) -> str:  # noqa: ANN401
    origin = typing.get_origin(hint)
    if origin is Literal:
        return "|".join(typing.get_args(hint))
    if origin is tuple:
        return "A,B,…"
    if origin in (typing.Union, types.UnionType):
        return f"{_kind(typing.get_args(hint)[0])}|none"
    return {bool: "", int: "N", float: "X", str: "TEXT"}[hint]


def shown(value: object) -> str:
    """A value as it is typed."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
