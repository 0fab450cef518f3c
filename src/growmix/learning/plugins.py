"""Objects of a user's own in place of what settings name: gate, novelty measure, likelihood, blueprint, component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, final, runtime_checkable

from growmix.components.kinds import ComponentKind
from growmix.components.likelihoods import DEFAULTS, Likelihood
from growmix.components.nets import Blueprint
from growmix.errors import BadInput, shown
from growmix.learning.gating import Gate
from growmix.learning.novelty import NoveltyMeasure
from growmix.settings import (
    STUDENT_NETWORKS,
    Settings,
    Support,
    declarations,
    idle,
    spelled_out,
    student_networks,
)

INTERFACES: Mapping[str, type] = MappingProxyType(
    {
        "gate": Gate,
        "novelty": NoveltyMeasure,
        "likelihood": Likelihood,
        "blueprint": Blueprint,
        "component": ComponentKind,
    }
)
"""Which interface an object must have, by the keyword that it is handed over with."""

OF_OUR_KIND = ("hidden", "latent", "classification_weight")
"""Settings that only a component of growmix's own uses; the student has its own ones."""


@runtime_checkable
class NamedBySettings(Protocol):
    """Ability of an object that settings may name: handing it in means the same as naming it."""

    def as_settings(self) -> dict[str, Any]:
        """Return the settings that name an equal object; none where no settings do."""


@final
@dataclass(frozen=True, kw_only=True)
class Plugins:
    """Objects of a user's own; ``None`` where what the settings name is used.

    A checkpoint keeps their names, not the objects: ``load`` is given the same ones again.

    Attributes
    ----------
    gate
        Decides whether a task grows a component.
    novelty
        Measures how new a task is to each component.
    likelihood
        Says how likely an example is, given what a decoder puts out.
    blueprint
        Makes the networks of a component.
    component
        Makes the components.

    Examples
    --------
    >>> from growmix.learning.gating import AlwaysGate
    >>> Plugins(gate=AlwaysGate()).names()
    {'gate': 'always'}
    >>> Plugins(gate=AlwaysGate)
    Traceback (most recent call last):
    growmix.errors.BadInput: gate is the class AlwaysGate; give an object of it, such as AlwaysGate()
    """

    gate: Gate | None = None
    novelty: NoveltyMeasure | None = None
    likelihood: Likelihood | None = None
    blueprint: Blueprint | None = None
    component: ComponentKind | None = None

    def __post_init__(self) -> None:
        for keyword, given in self.given().items():
            check_plugin(given, keyword, INTERFACES[keyword])
        for keyword in ("blueprint", "likelihood"):
            if self.component is not None and getattr(self, keyword) is not None:
                raise BadInput(f"{keyword} has no effect beside a component of your own; leave one of them out")

    def given(self) -> dict[str, Any]:
        """Return the objects that were given, by keyword."""
        return {keyword: each for keyword in INTERFACES if (each := getattr(self, keyword)) is not None}

    def names(self) -> dict[str, str]:
        """Return the names of the objects that were given, by keyword; a blueprint's stands in a checkpoint anyway."""
        return {keyword: _name_of(each) for keyword, each in self.given().items() if keyword != "blueprint"}

    def check_names(self, saved: Mapping[str, str], kind: str) -> None:
        """Check that these are the objects that a checkpoint was made with.

        Parameters
        ----------
        saved
            The names that :func:`names_of_plugins` found in the checkpoint, by keyword.
        kind
            What lies in the checkpoint, such as ``mixture``, for the message.

        Raises
        ------
        BadInput
            An object is missing, has another name, or is one too many; the message says which.
        """
        given = self.names()
        for keyword in {**saved, **given}:
            wanted, found = saved.get(keyword), given.get(keyword)
            if wanted is not None and found is None:
                raise BadInput(
                    f"{keyword} is missing: this {kind} was made with a {keyword} of its user's own, {shown(wanted)}; "
                    f"give the same to load, {keyword}=..."
                )
            if wanted is None:
                raise BadInput(
                    f"{keyword} is {found!r}, but this {kind} was made without a {keyword} of its user's own"
                )
            if wanted != found:
                raise BadInput(f"{keyword} is {found!r}, but this {kind} was made with {shown(wanted)}")


def names_of_plugins(saved: object) -> dict[str, str]:
    """Return the names that a checkpoint has for its user's own objects, by keyword.

    Raises
    ------
    ValueError
        The checkpoint says something else than names.
    """
    if not isinstance(saved, dict) or not all(isinstance(name, str) for name in saved.values()):
        raise ValueError(f"names of a user's own objects are {shown(saved)}")
    if not saved.keys() <= INTERFACES.keys():
        raise ValueError(f"a user's own objects are given for {shown(sorted(saved))}")
    return dict(saved)


def chosen(settings: Settings, **given: Any) -> tuple[Settings, Plugins]:
    """Sort what is given by keyword: what settings can name changes them, an object of a user's own becomes a plugin.

    Examples
    --------
    >>> from growmix.learning.gating import AlwaysGate
    >>> settings, plugins = chosen(Settings(), gate=AlwaysGate(), novelty="smd", blueprint=None)
    >>> settings.gate, settings.novelty, plugins.names()
    ('always', 'smd', {})
    """
    named: Any = {}
    objects: dict[str, Any] = {}
    for keyword, each in given.items():
        if keyword == "blueprint" and isinstance(each, str):
            named |= _named_by(each, given.get("component"))
        elif isinstance(each, str):
            named[keyword] = each
        elif isinstance(each, NamedBySettings) and not isinstance(each, type) and (found := each.as_settings()):
            named |= found
        elif each is not None:
            objects[keyword] = each
    return settings.replace(**named), Plugins(**objects)


def _named_by(word: str, component: Any) -> dict[str, str]:
    """Return the settings that the first word of a mixture stands for; raises ``BadInput`` beside another component."""
    said = spelled_out(word)
    if component is not None and said.get("component", component) != component:
        raise BadInput(f"component is {shown(component)}, but {word!r} names one too; give one of them alone")
    return said


def refuse_idle_changes(
    settings: Settings, changes: Mapping[str, Any], plugins: Plugins, support: Support | None
) -> None:
    """Refuse a setting given by name that has no effect in its combination.

    Settings that come as a whole, in a ``Settings``, may hold more than one combination uses.

    Parameters
    ----------
    settings
        All settings of the mixture.
    changes
        The settings that were given by name.
    plugins
        Objects of a user's own in place of what the settings name.
    support
        Which numbers the examples hold, which decides on the default likelihood; ``None`` while that is open.

    Raises
    ------
    BadInput
        A setting has no effect; the message says what would use it.
    """
    values, declared = settings.to_dict() | plugins.given(), declarations(Settings)
    if values["likelihood"] is None and support is not None:
        values["likelihood"] = DEFAULTS[support]
    values[STUDENT_NETWORKS] = student_networks(values["student_blueprint"], values["blueprint"], values["component"])
    for name, reason in idle(values, declared.values()):
        if name in changes:
            raise BadInput(reason)
    for name in OF_OUR_KIND:
        if plugins.component is not None and changes.get(name, declared[name].default) != declared[name].default:
            raise BadInput(f"{name} has no effect beside a component of your own; leave one of them out")


def refuse_contradictions(settings: Settings, changes: Mapping[str, Any]) -> None:
    """Refuse a setting given by name of which an object that was handed in has another value.

    Raises
    ------
    BadInput
        The settings, which the objects have changed, are not those that were given by name.
    """
    for name, value in changes.items():
        kept = getattr(settings, name)
        if kept != declarations(Settings)[name].check(value):
            raise BadInput(
                f"{name} is {shown(value)}, but the object that was handed in has {shown(kept)}; give one of them alone"
            )


def _members(interface: type) -> list[str]:
    """Return what an interface asks for: its abstract members, or all that a protocol names."""
    abstract = getattr(interface, "__abstractmethods__", ())
    return sorted(abstract or (name for name in vars(interface) if not name.startswith("_")))


def _name_of(plugin: Any) -> str:
    return str(getattr(plugin, "name", type(plugin).__name__))


def check_plugin(given: Any, keyword: str, interface: type) -> None:
    """Refuse what is no object of an interface, and name what it misses.

    Raises
    ------
    BadInput
        A class was given in place of an object, or the object does not inherit from the interface.
    """
    if isinstance(given, type):
        raise BadInput(f"{keyword} is the class {given.__name__}; give an object of it, such as {given.__name__}()")
    if isinstance(given, interface):
        return
    missing = [member for member in _members(interface) if not hasattr(given, member)]
    told = f"misses {', '.join(missing)}" if missing else f"has all members of a {interface.__name__}, but is none"
    raise BadInput(
        f"{keyword} is {shown(given)}, which {told}; allowed are the names of the settings and objects of a class that "
        f"inherits from {interface.__module__}.{interface.__name__}"
    )
