"""RunConfig: what one run is asked to do, read from YAML or from options, or made in Python.

The adversary is a typing mistake, or a file that somebody else wrote: it may hold anything, and may be very large.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import yaml

from growmix.baselines.catalogue import METHODS
from growmix.errors import BadInput, shortened, shown
from growmix.settings import (
    MIN_EXAMPLES,
    MOST_DRAWS,
    NOT_NEGATIVE,
    STUDENT_NETWORKS,
    Declaration,
    Number,
    OneOf,
    Rule,
    Settings,
    Use,
    Whole,
    check_all,
    declarations,
    idle,
    refuse_unknown,
    required,
    setting,
    student_networks,
    with_declarations,
)
from growmix.settings.mixture import AUTOENCODERS, LABELS, RUN, WITH_VAE
from growmix.storage.durable import write_whole
from growmix.streams.catalogue import LabelSpace
from growmix.system.paths import check_path

CONFIG = "config.yaml"
"""The file of a run's folder that holds its configuration."""

RUNS = Path("runs")
"""The folder of runs that were not told where to go."""

MOST_YAML = 2**20
"""The largest configuration in bytes: a hundred times what all keys take."""


@final
@dataclass(frozen=True)
class Place(Rule):
    """Allows paths that the system can look up; whether anything is there is not asked."""

    words = "a path"

    def accepts(self, value: Any) -> bool:
        """Say whether the value is a path, or text for one."""
        return isinstance(value, (str, os.PathLike))

    def kept(self, value: Any, name: str) -> Path:
        """Return the path, with ``~`` resolved."""
        return check_path(value, name)


@final
@dataclass(frozen=True)
class Names(Rule):
    """Allows lists of names, also as one text with commas between.

    Parameters
    ----------
    fewest
        How many names there must be.
    """

    fewest: int
    words = "names with commas between, or a list of names"

    def accepts(self, value: Any) -> bool:
        """Say whether the value is a list of names, none of them empty."""
        is_list = isinstance(value, (list, tuple)) and len(value) >= self.fewest
        return is_list and all(isinstance(name, str) and name.strip() for name in value)

    def read(self, text: str) -> list[str]:
        """Return the names between the commas."""
        names = text.split(",")
        if not self.accepts(names):
            raise ValueError
        return names

    def kept(self, value: Any, name: str) -> tuple[str, ...]:
        """Return the names without the blanks around them."""
        return tuple(each.strip() for each in value)


MOST_TRAINED = Whole(MIN_EXAMPLES)
SHARE = Number("from 0 to 1", lambda share: 0 <= share <= 1)
SCORED = Use("likelihood_draws", lambda draws: draws > 0, "likelihood_draws above 0")


@with_declarations
@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What one run is asked to do: which stream, which data, and the settings of the mixture.

    In YAML and on the command line it is flat: the keys below and those of :class:`growmix.settings.Settings` stand
    side by side.

    Raises
    ------
    BadInput
        A value is not allowed.

    Examples
    --------
    >>> RunConfig.of({"stream": "split-digits", "epochs": 3}).settings.epochs
    3
    >>> RunConfig.of({"stream": "split-digits", "epoch": 3})
    Traceback (most recent call last):
    growmix.errors.BadInput: epoch is no key; did you mean epochs?
    """

    # fmt: off
    stream: str = required(RUN, help="Name of the stream, such as split-digits; growmix streams lists them.")
    method: str = setting("mixture", RUN, OneOf(tuple(METHODS)), common=True, help=(
        "What learns: the growing mixture, or a method that it is compared with; docs/methods.md describes them."
    ))
    tasks: tuple[str, ...] | None = setting(None, RUN, Names(1), common=True, help=(
        "Tasks of the stream domains, such as mnist,fashion_mnist@invert; other streams have their own."
    ))
    data_root: Path | None = setting(None, RUN, Place(), common=True, help=(
        "Folder of <name>/{train,test}.parquet; by default the environment's GROWMIX_DATA, else the Hub. The data set "
        "digits needs neither, and then the folder is not looked at."
    ))
    out: Path | None = setting(None, RUN, Place(), common=True, help=(
        "Folder that the run is written to; by default runs/STREAM-seedSEED."
    ))
    label_space: LabelSpace | None = setting(None, RUN, help=(
        "Whether each data set brings its own classes (separate), or equal numbers are one class (shared); by default "
        "the stream's own."
    ))
    replace: tuple[str, ...] = setting((), RUN, Names(0), help=(
        "Data sets to take in place of others, such as svhn=mnist_m."
    ))
    train_examples: int | None = setting(None, RUN, MOST_TRAINED, help=(
        "Largest number of training examples of a task, drawn by the seed; by default all."
    ))
    test_examples: int | None = setting(None, RUN, Whole(1), help=(
        "Largest number of test examples of a task, drawn by the seed; by default all."
    ))
    label_fraction: float = setting(1.0, RUN, SHARE, uses=(LABELS,), help=(
        "Share of each class's training labels that is kept; the other examples are learnt without a label."
    ))
    student: bool = setting(True, RUN, common=True, help="Whether a mixture teaches a student at the end.")
    likelihood_draws: int = setting(50, RUN, Whole(0, MOST_DRAWS), help=(
        "Draws of the code for the test log-likelihood; 0 leaves it out."
    ))
    likelihood_examples: int = setting(500, RUN, Whole(1), uses=(SCORED,), help=(
        "Largest number of test examples of a task that the log-likelihood is measured on."
    ))
    frechet_examples: int = setting(1_000, RUN, Whole(0), help=(
        "Test examples of a task for the Frechet distance of samples; 0 leaves it out."
    ))
    theory: bool = setting(False, RUN, help=(
        "Whether to follow the run with the theory of the method: what was forgotten, and why."
    ))
    checkpoint_every: float = setting(60.0, RUN, NOT_NEGATIVE, help=(
        "Seconds between two checkpoints inside a task; 0 for none by the clock. After a task there always is one."
    ))
    checkpoint_steps: int = setting(0, RUN, Whole(0), help=(
        "Gradient steps between two checkpoints inside a task, beside those by the clock; 0 for none by the count."
    ))
    # fmt: on
    settings: Settings = field(default_factory=Settings)
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Parameters that the method alone has, by name; those that are not given get their defaults."""

    def __post_init__(self) -> None:
        check_all(self)
        if self.data_root is not None:  # whoever reads back what is written may be in another folder
            object.__setattr__(self, "data_root", self.data_root.absolute())
        if not isinstance(self.settings, Settings):
            raise BadInput(f"settings is {shown(self.settings)}; give a Settings")
        if self.frechet_examples == 1:
            raise BadInput("frechet_examples is 1; allowed is 2 or more, since one image has no spread, or 0 for none")
        if not isinstance(self.parameters, Mapping):
            raise BadInput(f"parameters is {shown(self.parameters)}; give a mapping from names to values")
        own = {name: getattr(self, name) for name in declarations(RunConfig)}
        for reason in idle_keys(own | self.settings.to_dict() | {**self.parameters}).values():
            raise BadInput(reason)
        method = METHODS[self.method]
        defaults = {name: each.default for name, each in keys().items() if each not in method.parameters}
        given = {k: value for k, value in self.parameters.items() if k not in defaults or value != defaults[k]}
        object.__setattr__(self, "parameters", method.values(given))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunConfig:
        """Return the configuration that flat keys and values ask for.

        Raises
        ------
        BadInput
            A key is unknown, the stream is missing, or a value is of the wrong type or out of its range.
        """
        checked = checked_values(values)
        if checked.get("stream") is None:
            raise BadInput("stream is missing; allowed is the name of a stream, 'growmix streams' lists them")
        own = {name: checked.pop(name) for name in declarations(cls) if name in checked}
        settings = Settings(**{name: checked.pop(name) for name in declarations(Settings) if name in checked})
        return cls(**own, settings=settings, parameters=checked)

    @classmethod
    def fitting(cls, values: Mapping[str, Any]) -> RunConfig:
        """Return the configuration that flat keys and values ask for, without those that have no effect together.

        It is for studies, in whose settings a user may change what others depend on.

        Raises
        ------
        BadInput
            A key is unknown, the stream is missing, or a value is of the wrong type or out of its range.
        """
        checked = checked_values(values)
        idle_names = idle_keys(checked)
        return cls.of({name: value for name, value in checked.items() if name not in idle_names})

    @property
    def seed(self) -> int:
        """The seed of everything random."""
        return self.settings.seed

    @property
    def folder(self) -> Path:
        """The folder that the run is written to."""
        method = "" if self.method == "mixture" else f"-{self.method}"
        return self.out or RUNS / f"{self.stream}{method}-seed{self.seed}"

    def changed(self, **changes: Any) -> RunConfig:
        """Return the same configuration with some keys changed.

        Raises
        ------
        BadInput
            A name is no key of the run's own (those of the settings are theirs), or a value is not allowed.

        Examples
        --------
        >>> RunConfig(stream="split-digits").changed(steam="split-mnist")
        Traceback (most recent call last):
        growmix.errors.BadInput: steam is no key; did you mean stream?
        """
        refuse_unknown(changes, [*declarations(RunConfig), "settings", "parameters"], "key")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return flat keys and values, ready for YAML; :meth:`of` reads them back.

        Examples
        --------
        >>> config = RunConfig(stream="domains", tasks=("mnist", "mnist@invert"))
        >>> RunConfig.of(config.to_dict()) == config
        True
        """
        own = {name: _plain(getattr(self, name)) for name in declarations(RunConfig)}
        return own | self.settings.to_dict() | {**self.parameters}

    def write(self, file: Path) -> None:
        """Write YAML that ``growmix run --config`` runs again, but for the folder, which the next run chooses."""
        values = {name: value for name, value in self.to_dict().items() if name != "out"}
        text = "# What this run was asked to do; growmix run --config with this file does it again.\n"
        write_whole(file, (text + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)).encode())


def read_values(file: Path) -> dict[str, Any]:
    """Return the keys and values of a YAML file, checked and of the right types; a stream may be missing.

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
    with _naming(file):
        values = checked_values(document)
        RunConfig.fitting({"stream": "any"} | values)  # checks ranges; what makes the rest work may be named elsewhere
    return values


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Name the file of a configuration in what is said against it."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"config {str(file)!r}: {error}") from error


_TEXT_HERE = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


class _Loader(yaml.SafeLoader):
    """Reads YAML without surprises: no key twice, no aliases (which can grow without end), and text stays text.

    In YAML 1.1 the number 1:30 is 90, 010 is 8, 2024-01-01 is a date, and what stands under << counts as if it stood
    one level higher.
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


def require_run(folder: Path) -> None:
    """See that there is a run in a folder; what kind of file its configuration is, is not looked at.

    Raises
    ------
    BadInput
        There is no run in the folder.
    """
    if not os.path.lexists(folder / CONFIG):
        raise BadInput(f"folder {str(folder)!r} holds no run (no {CONFIG}); give what --out was")


def config_in(folder: Path) -> RunConfig:
    """Return what the run in a folder was asked to do.

    Raises
    ------
    BadInput
        There is no run in the folder, or its configuration can't be read.
    """
    require_run(folder)
    values = read_values(folder / CONFIG)
    with _naming(folder / CONFIG):
        return dataclasses.replace(RunConfig.of(values), out=folder)


def checked_values(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return flat values, each of the type of its key; text is read as what the key needs.

    Raises
    ------
    BadInput
        This is no mapping, a key is unknown, or a value is of another type.

    Examples
    --------
    >>> checked_values({"learning_rate": "2e-3", "tasks": "mnist,fashion_mnist", "patience": "none"})
    {'learning_rate': 0.002, 'tasks': ('mnist', 'fashion_mnist'), 'patience': None}
    """
    if not isinstance(values, Mapping):
        raise BadInput(f"values is {shown(values)}; allowed is a mapping from keys to values")
    known = keys()
    refuse_unknown(values, known, "key")
    return {name: known[name].read(value) for name, value in values.items()}


def keys() -> Mapping[str, Declaration]:
    """Return every flat key with its declaration, in the order in which help shows them."""
    parameters = {each.name: each for method in METHODS.values() for each in method.parameters}
    return MappingProxyType({**declarations(RunConfig), **declarations(Settings), **parameters})


def idle_keys(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys that were changed but have no effect together, each with the reason in a line.

    Parameters
    ----------
    values
        Checked values of some keys; the others have their defaults.

    Examples
    --------
    >>> idle_keys({"gate": "always", "alpha": 2.0, "epochs": 3})
    {'alpha': "alpha is 2.0, which has no effect with gate 'always'; it has one with gate dirichlet"}
    """
    known = keys()
    whole = {name: declared.default for name, declared in known.items()} | dict(values)
    method = METHODS[whole["method"]]
    of_method = method.idle(whole)
    resolved = {**whole, **method.fixed}
    if whole["likelihood"] is None:  # the pictures of streams are numbers in [0, 1] unless the settings say otherwise
        resolved["likelihood"] = "gaussian-pixel" if whole["support"] == "real" else "bernoulli"
    resolved[STUDENT_NETWORKS] = student_networks(whole["student_blueprint"], whole["blueprint"], whole["component"])
    resolved[AUTOENCODERS] = WITH_VAE.holds(whole["component"]) or (method.is_mixture and whole["student"])
    found = dict(idle(resolved, known.values()))
    return of_method | {name: reason for name, reason in found.items() if whole[name] != known[name].default}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
