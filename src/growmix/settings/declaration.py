"""Declarations: a setting is declared once, and checks, options, YAML keys, help and documentation are made from it."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np

from growmix.errors import BadInput, nearest, shortened, shown
from growmix.settings.rules import OneOf, Rule, Text, Truth

T = TypeVar("T")
Record = TypeVar("Record")


@dataclass(frozen=True)
class Use:
    """When a setting has an effect: while another one has certain values.

    Attributes
    ----------
    key
        The name of the other setting.
    holds
        Whether the setting has an effect with this value of the other one.
    words
        What makes it have an effect, in words, such as ``gate dirichlet``.
    """

    key: str
    holds: Callable[[Any], bool]
    words: str


def used_with(key: str, *values: Any) -> Use:
    """Return the condition that another setting has one of these values.

    Examples
    --------
    >>> used_with("gate", "dirichlet").words
    'gate dirichlet'
    """
    return Use(key, lambda value: value in values, f"{key} {' or '.join(map(str, values))}")


@dataclass(frozen=True)
class Declaration:
    """All that is known of a setting.

    Attributes
    ----------
    name
        The name, which is also the key in YAML and, with hyphens, the option on the command line.
    kind
        The type of its values, as annotated but without ``None``.
    optional
        Whether it may be ``None``, which text spells "none".
    default
        The value where nothing else is said.
    rule
        Which values it may have.
    group
        The title under which help and documentation show it.
    help
        What it does, in a sentence or two.
    uses
        When it has an effect: all of these hold; none where it always has one.
    door
        Whether an object of the user's own may be handed over in place of a name.
    common
        Whether the short help shows it.
    """

    name: str
    kind: Any
    optional: bool
    default: Any
    rule: Rule
    group: str
    help: str
    uses: tuple[Use, ...] = ()
    door: bool = False
    common: bool = False

    @property
    def whole_help(self) -> str:
        """The help, with what it takes for the setting to have an effect."""
        return self.help + (f" Used with {self.needed}." if self.uses else "")

    @property
    def needed(self) -> str:
        """What it takes for the setting to have an effect, in words; empty where it always has one."""
        return ", and ".join(use.words for use in self.uses)

    @property
    def allowed(self) -> str:
        """What values are allowed, in words."""
        return f"{self.rule.words}, or none" if self.optional else self.rule.words

    def check(self, value: Any) -> Any:
        """Return a value of Python's as it is kept, or refuse it.

        Raises
        ------
        BadInput
            The value is not allowed.
        """
        if isinstance(value, np.generic):  # a number of numpy's is a number, but neither JSON nor YAML takes it
            value = value.item()
        if value is None and self.optional:
            return None
        if not self.rule.accepts(value):
            raise BadInput(f"{self.name} is {shown(value)}; allowed is {self.allowed}{self.rule.hint(value)}")
        return self.rule.kept(value, self.name)

    def read(self, value: Any) -> Any:
        """Return a value that may be spelt as text, as files and command lines give it, or refuse it.

        Raises
        ------
        BadInput
            The value is not allowed.
        """
        if not isinstance(value, str):
            return self.check(value)
        if value == "none" and self.optional:
            return None
        try:
            return self.check(self.rule.read(value))
        except (ValueError, OverflowError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{self.name} is {shown(value)}; allowed is {self.allowed}") from None


def setting(
    default: T,
    group: str,
    rule: Rule | None = None,
    *,
    help: str,
    uses: tuple[Use, ...] = (),
    door: bool = False,
    common: bool = False,
) -> T:
    """Declare a setting as a field of a dataclass; its name and its type are those of the field.

    Parameters
    ----------
    default
        The value where nothing else is said.
    group
        The title under which help and documentation show the setting.
    rule
        Which values are allowed; by default those of the type: the names of a ``Literal``, true and false, or text.
    help
        What the setting does, in a sentence or two.
    uses
        When the setting has an effect: all of these hold; by default it always has one.
    door
        Whether an object of the user's own may be handed over in place of a name.
    common
        Whether the short help shows the setting.

    Examples
    --------
    >>> from growmix.settings.rules import Whole
    >>> @dataclass(frozen=True)
    ... class Oven:
    ...     warmth: int = setting(180, "Heat", Whole(50, 250), help="Degrees Celsius in the middle of the oven.")
    >>> declarations(Oven)["warmth"].allowed
    'a whole number from 50 to 250'
    """
    return field(default=default, metadata=_known(group, rule, help, uses=uses, door=door, common=common))


def required(group: str, *, help: str) -> Any:
    """Declare a setting that has no default, as a field of a dataclass."""
    return field(metadata=_known(group, None, help, common=True))


def _known(group: str, rule: Rule | None, help: str, **more: Any) -> dict[str, Any]:
    return {"group": group, "rule": rule, "help": help, **more}


def parameter(name: str, default: int | float, rule: Rule, group: str, help: str, use: Use) -> Declaration:
    """Declare a parameter that stands alone, such as that of a baseline."""
    return Declaration(name, type(default), False, default, rule, group, help, (use,))


def declarations(record: Any) -> Mapping[str, Declaration]:
    """Return the declared settings of a dataclass by their names, in order."""
    return _declarations(record)


@functools.cache
def _declarations(record: Any) -> Mapping[str, Declaration]:
    kinds = typing.get_type_hints(record)
    declared = [part for part in fields(record) if "help" in part.metadata]
    return types.MappingProxyType({part.name: _declaration(part, kinds[part.name]) for part in declared})


def _declaration(part: Any, kind: Any) -> Declaration:
    wanted = without_none(kind)
    known = dict(part.metadata)
    known["rule"] = known["rule"] or _rule_of(wanted)
    default = None if part.default is MISSING else part.default
    return Declaration(part.name, wanted, wanted is not kind, default, **known)


def _rule_of(kind: Any) -> Rule:
    if get_origin(kind) is Literal:
        return OneOf(get_args(kind))
    return {bool: Truth(), str: Text()}[kind]


def without_none(kind: Any) -> Any:
    """Return the type beside ``None`` in an optional one, else the type itself.

    Examples
    --------
    >>> without_none(int | None), without_none(str)
    (<class 'int'>, <class 'str'>)
    """
    if get_origin(kind) in (types.UnionType, typing.Union):
        return next(member for member in get_args(kind) if member is not types.NoneType)
    return kind


def check_all(record: Any) -> None:
    """Check every declared setting of a frozen dataclass as it is made, and keep each in its own form.

    Raises
    ------
    BadInput
        A value is not allowed; the first such setting is named.
    """
    for name, declared in declarations(type(record)).items():
        object.__setattr__(record, name, declared.check(getattr(record, name)))


def idle(values: Mapping[str, Any], declared: Iterable[Declaration]) -> Iterator[tuple[str, str]]:
    """Return the settings that were changed but have no effect together, each with the reason in a line.

    A setting counts as changed where it differs from its default: one that has its default changes nothing anyway.

    Parameters
    ----------
    values
        The values of all settings by name; a condition on a setting that is not among them is taken to hold.
    declared
        The settings that are looked at.

    Examples
    --------
    >>> fan = used_with("mode", "fan")
    >>> speed = Declaration("speed", str, False, "low", Text(), "Air", "How fast it turns.", (fan,))
    >>> list(idle({"mode": "top", "speed": "high"}, [speed]))
    [('speed', "speed is 'high', which has no effect with mode 'top'; it has one with mode fan")]
    """
    for each in declared:
        value = values.get(each.name, each.default)
        unmet = next((use for use in each.uses if use.key in values and not use.holds(values[use.key])), None)
        if unmet is not None and value != each.default:
            met = f"{unmet.key} {shown(values[unmet.key])}"
            yield (
                each.name,
                f"{each.name} is {shown(value)}, which has no effect with {met}; it has one with {each.needed}",
            )


def refuse_unknown(names: Iterable[Any], known: Iterable[str], what: str) -> None:
    """Refuse names that are not declared, with the nearest one that is.

    Raises
    ------
    BadInput
        A name is not known.
    """
    known = list(known)
    for name in names:
        if name not in known:
            quoted = shortened(name) if isinstance(name, str) else shown(name)
            near = nearest(quoted, known)
            hint = f"did you mean {near}?" if near else f"allowed are {', '.join(known) or 'none'}"
            raise BadInput(f"{quoted} is no {what}; {hint}")


def with_declarations(record: type[Record]) -> type[Record]:
    """Append the declared settings to the docstring of a dataclass, so that Python's ``help`` shows them.

    The docstring is left alone where Python leaves docstrings out (``python -OO``).
    """
    if record.__doc__ is not None:
        entries = [f"{each.name}\n    {each.whole_help}" for each in declarations(record).values()]
        record.__doc__ = "\n".join([record.__doc__.rstrip(), "", "Attributes", "----------", *entries])
    return record
