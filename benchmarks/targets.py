"""The targets that saves have, beside what a benchmark measured."""

from collections.abc import Mapping
from typing import Any

from tables import ratio_of_fit, usual  # type: ignore[import-not-found]

Row = tuple[str, str, str, bool | None]
Results = Mapping[str, Mapping[str, Any]]


class _Figures:
    """Reads figures of one case; those that were not measured are `None`."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self._result = result
        self._saves = result.get("saves", {})
        self._fits = result.get("fits", {})

    def usual(self, name: str) -> float | None:
        """Return the median from the second save on; of others, a single one counts too."""
        times = self._saves.get(name, ())
        is_enough = len(times) > 1 or (times and not name.startswith(("ours", "stall")))
        return usual(times) if is_enough else None

    def first(self, name: str) -> float | None:
        return self._saves[name][0] if name in self._saves else None

    def fit(self, name: str, *, with_wait: bool) -> float | None:
        if not {name, "none"} <= set(self._fits):
            return None
        ratio: float = ratio_of_fit(self._fits, name, with_wait=with_wait)
        return ratio

    def next_step(self, name: str) -> float | None:
        """Return the first step after a save, in steps of a `fit` without any."""
        fit = self._fits.get(name)
        return fit and max(fit["next_steps"]) / min(fit["other_steps"])

    def first_stall(self, name: str) -> float | None:
        fit = self._fits.get(name)
        return fit and fit["stalls"][0][0]

    def memory(self, name: str) -> float | None:
        """Return bytes as a share of the state's."""
        size = self._result.get("memory", {}).get(name)
        return size and size / self._result["bytes"]

    def megabytes(self, name: str) -> float | None:
        size = self._result.get("memory", {}).get(name)
        return None if size is None else size / 1e6


def over(value: float | None, other: float | None) -> float | None:
    """Return a ratio, or `None` if a part of it was not measured."""
    return None if value is None or other is None else value / other


def row(what: str, value: float | None, limit: float, unit: str = "x") -> Row:
    """Return a row for a figure that should not exceed a limit.

    Args:
        what: What the figure is.
        value: The figure: a ratio, seconds for the unit "ms", or a number of the unit.
        limit: The limit, in that unit.
        unit: "x" for a ratio, "%" for a ratio as per cent, "ms", or another.
    """
    shown = f"<= {limit:g} {unit}"
    if value is None:
        return what, "not measured", shown, None
    value *= {"%": 100, "ms": 1000}.get(unit, 1)
    return what, f"{value:.3g} {unit}", shown, value <= limit


def on_processor(backend: str, results: Results) -> list[Row]:
    """Return the rows of a backend on the processor, for its cases "dense" and "many"."""
    dense, many = _Figures(results.get("dense", {})), _Figures(results.get("many", {}))
    keras, raw = dense.usual("Keras .keras"), dense.usual("raw write + fsync")
    rows = []
    for suffix, of_raw in ((".keras", 1.3), (".weights.h5", 1.15)):
        stall, ours = dense.usual(f"stall {suffix}"), dense.usual(f"ours {suffix}")
        if backend == "tensorflow":
            rows.append(row(f"dense: stall {suffix}, of Keras' .keras", over(stall, keras), 2, "%"))
        else:
            memcpy = dense.usual("memcpy of the state")
            rows.append(row(f"dense: stall {suffix}, of a memcpy", over(stall, memcpy), 1.2))
        first = over(dense.first(f"stall {suffix}"), stall)
        rows.append(row(f"dense: first stall {suffix}, of a later one", first, 2))
        rows.append(row(f"dense: {suffix}, of a raw write", over(ours, raw), of_raw))
        theirs = dense.usual(f"Keras {suffix}")
        rows.append(row(f"dense: {suffix}, of Keras'", over(ours, theirs), 1))
        first = over(dense.first(f"ours {suffix}"), dense.first(f"Keras {suffix}"))
        rows.append(row(f"dense: first {suffix}, of Keras' first", first, 1))
        small, theirs = many.usual(f"ours {suffix}"), many.usual(f"Keras {suffix}")
        rows.append(row(f"many: {suffix}, of Keras'", over(small, theirs), 10, "%"))
        small = many.usual(f"stall {suffix}")
        rows.append(row(f"many: stall {suffix}, of Keras'", over(small, theirs), 8, "%"))
        for wait, text in ((False, "without"), (True, "with")):
            fit = dense.fit(f"ours {suffix}", with_wait=wait)
            rows.append(row(f"dense: fit, {suffix}, {text} the wait at its end", fit, 1.05))
    rows.append(row("dense: memory, foreground", dense.megabytes("foreground"), 64, "MB"))
    rows.append(row("dense: memory, background, of the state", dense.memory("background"), 1.1))
    return rows


def on_gpu(backend: str, results: Results) -> list[Row]:
    """Return the rows of a backend on a GPU, for its cases "dense", "many" and "large"."""
    dense, many, large = (_Figures(results.get(name, {})) for name in ("dense", "many", "large"))
    stall, keras = dense.usual("ours: stall"), dense.usual("Keras .keras")
    other = "DCP" if backend == "torch" else "Orbax"
    few, theirs = many.usual("ours: stall"), many.usual("Keras .keras")
    ours, raw = dense.usual("ours: foreground"), dense.usual("raw write + fsync")
    return [
        row("dense: stall", stall, 5, "ms"),
        row("dense: first stall of a fit", dense.first_stall("ours .keras"), 50, "ms"),
        row("dense: stall, of Keras' .keras", over(stall, keras), 0.2, "%"),
        row(f"dense: stall, of {other}'s", over(stall, dense.usual(other)), 1, "%"),
        row("8 times the bytes: stall, of dense's", over(large.usual("ours: stall"), stall), 2),
        row("many: stall, of Keras' .keras", over(few, theirs), 5, "%"),
        row(
            "dense: fit, without the wait at its end",
            dense.fit("ours .keras", with_wait=False),
            1.03,
        ),
        row("dense: next step, in steps", dense.next_step("ours .keras"), 2),
        row("dense: foreground, of a raw write", over(ours, raw), 1.1),
        row("dense: memory of the device, of the state", dense.memory("device"), 1.01),
        row("dense: memory of the host, of the state", dense.memory("host"), 1.1),
    ]
