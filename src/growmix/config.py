"""RunConfig: what one run is asked to do, read from YAML or from options, or made in Python."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from growmix.errors import BadInput, shortened, shown
from growmix.settings import MOST_DRAWS, Settings, require_whole
from growmix.storage.durable import write_whole
from growmix.streams.selection import Selection
from growmix.system.paths import check_path

LabelSpace = Literal["separate", "shared"]

RUNS = Path("runs")
"""Where runs go that were not told where."""

MOST_YAML = 2**20
"""Bytes of a configuration: a hundred times what all keys take."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: which stream, which data, and the settings of the mixture.

    In YAML and on the command line it is flat: the keys below and those of
    :class:`growmix.settings.Settings` stand side by side.

    Attributes
    ----------
    stream
        Name of the stream, such as ``split-digits``; ``growmix streams`` lists them.
    tasks
        Tasks of the stream ``domains``, such as ``mnist,fashion_mnist@invert``; other streams have their own.
    data_root
        Folder of ``<name>/{train,test}.parquet``; by default the environment's GROWMIX_DATA, else the Hub. The data set
        ``digits`` needs neither, and then the folder is not looked at.
    out
        Folder that the run is written to; by default ``runs/<stream>-seed<seed>``.
    label_space
        ``separate``: each data set brings its own classes; ``shared``: equal numbers are one class; by default the
        stream's own.
    replace
        Data sets to take in place of others, such as ``svhn=mnist_m``.
    train_examples
        Training examples per task at most, drawn by the seed; by default all.
    test_examples
        Test examples per task at most, drawn by the seed; by default all.
    label_fraction
        Share of each class's training labels that is kept; the other examples are learnt without a label.
    method
        ``mixture``, or what it is compared with: ``growmix compare --help`` lists them.
    student
        Whether a mixture teaches a student at the end.
    likelihood_draws
        Draws of the code for the test log-likelihood, at most 10,000; 0 leaves it out.
    likelihood_examples
        Test examples per task that it is measured on, at most.
    frechet_examples
        Test examples per task for the Frechet distance of samples; 0 leaves it out.
    theory
        Whether to follow the run with the theory of the method: what was forgotten, and why.
    checkpoint_every
        Seconds between two checkpoints inside a task; 0 for none by the clock. After a task there always is one.
    checkpoint_steps
        Gradient steps between two checkpoints inside a task, beside those by the clock; 0 for none by the count.
    settings
        Of the mixture and its student.

    Examples
    --------
    >>> RunConfig.of({"stream": "split-digits", "epochs": 3}).settings.epochs
    3
    >>> RunConfig.of({"stream": "split-digits", "epoch": 3})
    Traceback (most recent call last):
    growmix.errors.BadInput: epoch is no key; did you mean epochs?
    """

    stream: str
    tasks: tuple[str, ...] | None = None
    data_root: Path | None = None
    out: Path | None = None
    label_space: LabelSpace | None = None
    replace: tuple[str, ...] = ()
    train_examples: int | None = None
    test_examples: int | None = None
    label_fraction: float = 1.0
    method: str = "mixture"
    student: bool = True
    likelihood_draws: int = 50
    likelihood_examples: int = 500
    frechet_examples: int = 1_000
    theory: bool = False
    checkpoint_every: float = 60.0
    checkpoint_steps: int = 0
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        kinds = value_kinds()
        for name in _own_names():
            object.__setattr__(self, name, _convert(name, getattr(self, name), kinds[name]))
        if self.data_root is not None:  # whoever reads back what is written may be elsewhere
            object.__setattr__(self, "data_root", self.data_root.absolute())
        if not isinstance(self.settings, Settings):
            raise BadInput(f"settings is {shown(self.settings)}; give a Settings")
        Selection(self.seed, self.train_examples, self.test_examples, self.label_fraction)  # has the ranges of these
        require_whole(self.likelihood_draws, "likelihood_draws", 0, MOST_DRAWS)
        for name, least in {"likelihood_examples": 1, "frechet_examples": 0, "checkpoint_steps": 0}.items():
            require_whole(getattr(self, name), name, least)
        if self.frechet_examples == 1:
            raise BadInput("frechet_examples is 1; allowed is 2 or more, since one image has no spread, or 0 for none")
        if not 0 <= self.checkpoint_every < float("inf"):
            raise BadInput(f"checkpoint_every is {self.checkpoint_every}; allowed is a number of seconds, 0 or more")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunConfig:
        """The configuration that flat keys and values ask for.

        Raises
        ------
        BadInput
            An unknown key, a missing stream, a value of the wrong type or out of its range.
        """
        checked = checked_values(values)
        if checked.get("stream") is None:
            raise BadInput("stream is missing; allowed is the name of a stream, 'growmix streams' lists them")
        own = {name: checked.pop(name) for name in tuple(checked) if name in _own_names()}
        return cls(**own, settings=Settings(**checked))

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.settings.seed

    @property
    def folder(self) -> Path:
        """Where the run is written to."""
        method = "" if self.method == "mixture" else f"-{self.method}"
        return self.out or RUNS / f"{self.stream}{method}-seed{self.seed}"

    def changed(self, **changes: Any) -> RunConfig:
        """The same configuration with some keys changed.

        Raises
        ------
        BadInput
            A name that is no key of a run's own (those of ``settings`` are its), or a value that is not allowed.

        Examples
        --------
        >>> RunConfig(stream="split-digits").changed(steam="split-mnist")
        Traceback (most recent call last):
        growmix.errors.BadInput: steam is no key; did you mean stream?
        """
        known = [*_own_names(), "settings"]
        for name in changes:
            if name not in known:
                raise BadInput(f"{name} is no key; {_hint(name, known)}")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Flat keys and values, ready for YAML; :meth:`of` reads them back.

        Examples
        --------
        >>> config = RunConfig(stream="domains", tasks=("mnist", "mnist@invert"))
        >>> RunConfig.of(config.to_dict()) == config
        True
        """
        own = {name: _plain(getattr(self, name)) for name in _own_names()}
        return own | self.settings.to_dict()

    def write(self, file: Path) -> None:
        """Write YAML that ``growmix run --config`` runs again; not where to: that is a matter of the next run."""
        values = {name: value for name, value in self.to_dict().items() if name != "out"}
        text = "# What this run was asked to do; growmix run --config with this file does it again.\n"
        write_whole(file, (text + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)).encode())


def read_values(file: Path) -> dict[str, Any]:
    """Keys and values of a YAML file, checked and of the right types; a stream may be missing.

    Raises
    ------
    BadInput
        The file can't be read, is no YAML mapping, or has an unknown key or a wrong value.
    """
    file = check_path(file, "config")
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_YAML + 1)
    except OSError as error:
        raise BadInput(f"config {str(file)!r} can't be read: {error.strerror}; give a YAML file") from error
    if len(content) > MOST_YAML:
        raise BadInput(f"config {str(file)!r} has more than {MOST_YAML:,} bytes; give a YAML file of a run's keys")
    try:
        document = yaml.load(content.decode("utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise BadInput(f"config {str(file)!r} is no text in UTF-8; give a YAML file") from error
    except Exception as error:  # yaml's own; of Python for 3,000 brackets; and of any kind for !!bool maybe or !!int ""
        raise BadInput(f"config {str(file)!r} is no YAML: {shortened(str(error), 300)}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise BadInput(f"config {str(file)!r} holds a {kind}; allowed are lines of 'key: value'")
    try:
        values = checked_values(document)
        RunConfig.of({"stream": "any"} | values)  # checks ranges; a stream may be named elsewhere
    except BadInput as error:
        raise BadInput(f"config {str(file)!r}: {error}") from error
    return values


_TEXT_HERE = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


class _Loader(yaml.SafeLoader):
    """YAML without surprises: no key twice, no aliases (which can grow without end), and what reads as text is text.

    In YAML 1.1 the number 1:30 is 90, 010 is 8, 2024-01-01 a date, and what stands under << counts as if it were here.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=self.current_event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        met: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in met:
                raise yaml.MarkedYAMLError(
                    problem=f"{shortened(key.value)} is there twice", problem_mark=key.start_mark
                )
            met.add(key.value)
        return super().construct_mapping(node, deep)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        is_text = tag in _TEXT_HERE or (tag in _NUMBERS and (":" in value or _OCTAL.fullmatch(value)))
        return self.DEFAULT_SCALAR_TAG if is_text else tag


def checked_values(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Flat values, each of the type of its key; text is read as what the key needs.

    Raises
    ------
    BadInput
        No mapping, an unknown key or a value of another type.

    Examples
    --------
    >>> checked_values({"learning_rate": "2e-3", "tasks": "mnist,fashion_mnist", "patience": "none"})
    {'learning_rate': 0.002, 'tasks': ('mnist', 'fashion_mnist'), 'patience': None}
    """
    if not isinstance(values, Mapping):
        raise BadInput(f"values is {shown(values)}; allowed is a mapping from keys to values")
    kinds = value_kinds()
    checked = {}
    for name, value in values.items():
        if name not in kinds:
            raise BadInput(f"{_quoted(name)} is no key; {_hint(_quoted(name), kinds)}")
        checked[name] = _convert(name, value, kinds[name])
    return checked


@functools.cache
def value_kinds() -> dict[str, Any]:
    """Every flat key and its type."""
    own = typing.get_type_hints(RunConfig)
    return {name: own[name] for name in _own_names()} | typing.get_type_hints(Settings)


def without_none(kind: Any) -> Any:
    """The type beside ``None`` in an optional one, else the type itself."""
    if get_origin(kind) in (types.UnionType, typing.Union):
        return next(member for member in get_args(kind) if member is not types.NoneType)
    return kind


def _quoted(name: object) -> str:
    return shortened(name) if isinstance(name, str) else shown(name)


def _own_names() -> list[str]:
    return [part.name for part in fields(RunConfig) if part.name != "settings"]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _convert(name: str, value: Any, kind: Any) -> Any:
    wanted = without_none(kind)
    optional = wanted is not kind
    if optional and (value is None or (isinstance(value, str) and value == "none")):
        return None
    if not optional and isinstance(value, (list, tuple)) and not value and get_origin(wanted) is tuple:
        return ()
    if wanted is Path:
        return check_path(value, name)
    try:
        return _read_as(wanted, value)
    except (ValueError, OverflowError):
        allowed = _allowed(wanted) + (", or none" if optional else "")
        raise BadInput(f"{name} is {shown(value)}; allowed is {allowed}{_near_choice(value, wanted)}") from None


def _read_as(kind: Any, value: Any) -> Any:
    """The value as that type.

    Raises
    ------
    ValueError
        If it is none of it. A whole number is a number, ``True`` is neither, and text may spell any of them:
        options come as text, and YAML takes ``2e-3`` for text too.
    """
    is_text = isinstance(value, str)
    if get_origin(kind) is Literal and is_text and value in get_args(kind):
        return value
    if get_origin(kind) is tuple and (is_text or isinstance(value, (list, tuple))):
        return _names(value.split(",") if is_text else value)
    if kind is bool and (isinstance(value, bool) or (is_text and value.lower() in ("true", "false"))):
        return value if isinstance(value, bool) else value.lower() == "true"
    if kind is int and (is_text or (isinstance(value, Integral) and not isinstance(value, bool))):
        return int(value)
    if kind is float and (is_text or (isinstance(value, Real) and not isinstance(value, bool))):
        return float(value)
    if kind is str and is_text and value.isprintable() and value:
        return value
    raise ValueError


def _names(parts: Iterable[Any]) -> tuple[str, ...]:
    names = tuple(part.strip() if isinstance(part, str) else "" for part in parts)
    if not names or "" in names:
        raise ValueError
    return names


def _allowed(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        return "names with commas between, or a list of names"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text in one line"}[kind]


def _near_choice(value: Any, kind: Any) -> str:
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    near = difflib.get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
