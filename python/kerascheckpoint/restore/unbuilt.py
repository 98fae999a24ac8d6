"""Make objects that a restore has built unbuilt again if it fails."""

from collections.abc import Iterable
from typing import Any

from ..keras_seam.objects import saveable_type

_Contents = dict[Any, Any] | list[Any] | set[Any]


class UnbuiltObjects:
    """The contents of Keras objects before they are built.

    Building adds variables and layers to attributes, and to lists that objects share. Everything
    reachable is remembered, and restored in place.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        """Remember the contents of `roots` and of everything reachable from them."""
        self._attributes: list[tuple[Any, dict[str, Any]]] = []
        self._containers: list[tuple[_Contents, _Contents]] = []
        seen: set[int] = set()
        pending = list(roots)
        while pending:
            target = pending.pop()
            if id(target) in seen:
                continue
            seen.add(id(target))
            pending.extend(self._remember(target))

    def _remember(self, target: Any) -> Iterable[Any]:
        """Remember one object; return its contents."""
        if isinstance(target, dict):
            self._containers.append((target, dict(target)))
            return list(target.values())
        if isinstance(target, list | set):
            self._containers.append((target, _kind(target)(target)))
            return list(target)
        if isinstance(target, tuple):
            return target
        if _is_of_keras(target):
            self._attributes.append((target, dict(vars(target))))
            return list(vars(target).values())
        return ()

    def put_back(self) -> None:
        """Restore the contents of every object."""
        for target, attributes in self._attributes:
            vars(target).clear()
            vars(target).update(attributes)
        for container, contents in self._containers:
            if not _is_same(container, contents):
                _fill(container, contents)


def _kind(container: _Contents) -> Any:
    return next(kind for kind in (dict, list, set) if isinstance(container, kind))


def _is_same(container: _Contents, contents: _Contents) -> bool:
    """Tell whether a container holds the same objects as an earlier copy of it."""

    def ids(held: _Contents) -> list[Any]:
        if isinstance(held, dict):
            return [(key, id(value)) for key, value in held.items()]
        return [id(value) for value in held]

    return ids(container) == ids(contents)


def _fill(container: Any, contents: Any) -> None:
    """Replace the contents of a container.

    Keras' containers report every change to a tracker. The tracker is restored separately, so they
    are changed here through their base classes: list, dict and set.
    """
    is_keras = type(container).__module__.startswith("keras.")
    plain: Any = super(type(container), container) if is_keras else container
    plain.clear()
    plain.extend(contents) if isinstance(container, list) else plain.update(contents)


def _is_of_keras(target: Any) -> bool:
    """Tell whether an object belongs to Keras, including instances of a user's subclasses."""
    if isinstance(target, type) or not hasattr(target, "__dict__"):
        return False
    return isinstance(target, saveable_type()) or type(target).__module__.startswith("keras.")
