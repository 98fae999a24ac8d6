"""Connections to a remote place: one for all threads or one per thread, made again when broken."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from . import filesystems, retry

_Result = TypeVar("_Result")


class Connections:
    """fsspec's file systems for one place.

    Attributes:
        kind: What is known about the file system.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Find the file system for a URL, without connecting yet.

        Args:
            url: Any URL of the place.
            options: What fsspec needs to open it.

        Raises:
            ImportError: If the package for the protocol is missing.
            ValueError: If fsspec does not know the protocol.
        """
        self._url = url
        self._options = dict(options)
        self.kind = filesystems.kind_of(url)
        self._has_answered = False
        self._own = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_own"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _has_answered=False, _own=threading.local())

    @property
    def fs(self) -> Any:
        """The file system of this thread, because one connection would mix up the answers."""
        fs = getattr(self._own, "fs", None)
        if fs is None:
            fs = self._own.fs = filesystems.connect(self._url, self._options, self.kind)
        return fs

    def run(self, action: Callable[[], _Result], attempts: int | None = None) -> _Result:
        """Run an action; after a temporary failure, run it again on a new connection.

        The first action for a place has to end within `retry.FIRST_ANSWER` seconds.

        Args:
            action: A function without arguments, which uses `fs`.
            attempts: Largest number of attempts; `None` sets no limit but `retry.PATIENCE`.
        """
        if self._has_answered:
            return retry.run(action, before_retry=self._reconnect, attempts=attempts)
        made: dict[str, Any] = {}

        def ask() -> _Result:
            try:
                # Most likely the address is wrong. Clients of object stores try again themselves.
                few = attempts or (1 if self.kind.is_shared else 2)
                return retry.run(action, before_retry=self._reconnect, attempts=few)
            finally:
                made.update(self._own.__dict__)

        try:
            result = retry.within(retry.FIRST_ANSWER, ask)
        except Exception as error:
            self._has_answered = not retry.may_pass(error)  # a refusal is an answer
            raise
        finally:
            self._own.__dict__.update(made)
        self._has_answered = True
        return result

    def _reconnect(self) -> None:
        filesystems.forget(self._own.__dict__.pop("fs", None))
