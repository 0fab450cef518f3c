"""Where a learner trains: the fabric of its device, made when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from growmix.system.threads import OwnLock

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes seconds to import, and only training needs it


@final
class Machine:
    """The fabric of one learner, made when it is first asked for; a copy of the learner makes its own."""

    def __init__(self) -> None:
        self.lock = OwnLock()
        self.fabric: Fabric | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Machine, ()
