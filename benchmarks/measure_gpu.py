"""Measure saves of a model on a GPU, one backend and model, for `gpu.py`; see `cases.py`."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from typing import Any

import cases  # type: ignore[import-not-found]
import models  # type: ignore[import-not-found]
import others  # type: ignore[import-not-found]
from device import copy_actions  # type: ignore[import-not-found]
from memory import Peak  # type: ignore[import-not-found]
from models import FIELDS, check
from timing import Action, Clock, time_in_turn, write_raw  # type: ignore[import-not-found]

EPOCHS = 4
MOST_ROUNDS = 7


def main() -> None:
    """Measure the case that the command line holds."""
    case, clock = cases.begin()
    model, data = models.build(case["kind"], case["megabytes"])
    cases.report(models.description(model))
    directory = case["directory"]
    measure_saves(model, directory, clock.part(0.35 if case["fits"] else 1.0), case)
    if case["fits"]:
        cases.report({"exact": is_exact(model, data, directory)})
        settings = {"epochs": EPOCHS, "epoch_seconds": case["fits"], "report": cases.report}
        makers = fit_makers(model, directory)
        models.measure_fits(model, data, makers, clock, **settings)


def measure_saves(model: Any, directory: str, clock: Clock, case: dict[str, Any]) -> None:
    """Time each kind of save, as many rounds as the time allows."""
    from kerascheckpoint.saving import Saver

    compared = our_references(model, directory) | theirs(model, directory)
    peak = Peak()
    saver = Saver(on_background=True)
    saver.prepare(model)
    cases.join_preparing()
    path = os.path.join(directory, "b.keras")

    def finish() -> None:
        saver.report_finished(wait_for_all=True)
        if "memory" not in seen:
            seen["memory"] = {"device": peak.device(), "host": peak.host()}
            cases.report(seen)

    seen: dict[str, Any] = {}
    behind = Action(lambda: saver.save(model, path, FIELDS, check), finish, "ours: until durable")
    # The first save tells most of its memory before anything else has taken some.
    actions = {"ours: stall": behind} | compared
    if case["is_large"]:
        actions = for_large_models(actions, directory)
    expected = case.get("expected", {})
    time_in_turn(actions, clock, rounds=MOST_ROUNDS, expected=expected, report=cases.report)
    saver.release_memory()


def for_large_models(actions: dict[str, Action], directory: str) -> dict[str, Action]:
    """Leave out what says nothing new, and remove each file at once: disks are finite."""

    def finish_and_remove(action: Action) -> Callable[[], None]:
        def finish() -> None:
            action.finish()
            for entry in os.scandir(directory):
                if entry.is_file():
                    os.unlink(entry)
                elif not entry.name.startswith("orbax"):  # which counts its files itself
                    shutil.rmtree(entry)

        return finish

    return {
        name: dataclasses.replace(action, finish=finish_and_remove(action))
        for name, action in actions.items()
        if name not in ("Keras .weights.h5", "DCP, own stager")
    }


def our_references(model: Any, directory: str) -> dict[str, Action]:
    """Return a save in the foreground, and what the machine can do at best."""
    import numpy as np

    from kerascheckpoint.saving import Saver

    now = Saver(on_background=False)
    size = models.state_bytes(model)
    source = np.ones(min(size, 1 << 30), np.uint8)  # of a larger state it is taken again and again
    target = source.copy()

    def copy_on_host() -> None:
        for start in range(0, size, len(source)):
            left = size - start
            np.copyto(target[:left], source[:left])

    on_device, to_host = copy_actions(model)
    path, raw = os.path.join(directory, "o.keras"), os.path.join(directory, "raw")
    return {
        "ours: foreground": Action(lambda: now.save(model, path, FIELDS, check)),
        "raw write + fsync": Action(lambda: write_raw(raw, source, size)),
        "memcpy on the host": Action(copy_on_host),
        "copy on the device": Action(on_device),
        "to the host": Action(to_host),
    }


def theirs(model: Any, directory: str) -> dict[str, Action]:
    """Return what others do; their stall where they write in the background."""
    import keras

    def path(name: str) -> str:
        return os.path.join(directory, name)

    actions = {}
    if keras.config.backend() == "torch":
        dcp = others.DistributedCheckpoint(model, path("dcp"))
        actions["DCP"] = Action(dcp.save, dcp.finish)
        cases.report({"notes": ["DCP: torch.distributed.checkpoint.async_save, its stall."]})
        staged = with_stager(model, path("dcp-stager"))
        if staged is not None:
            actions["DCP, own stager"] = Action(staged.save, staged.finish)
    elif others.why_not_orbax():
        cases.report({"notes": [f"Orbax was not measured: {others.why_not_orbax()}."]})
    else:
        orbax = others.Orbax(model, path("orbax"))
        actions["Orbax"] = Action(orbax.save, orbax.finish)
        cases.report({"notes": ["Orbax: Keras' OrbaxCheckpoint in the background, its stall."]})
    actions["Keras .weights.h5"] = Action(lambda: model.save_weights(path("k.weights.h5")))
    actions["Keras .keras"] = Action(lambda: model.save(path("k.keras")))
    return actions


def with_stager(model: Any, path: str) -> Any:
    """Return DCP with PyTorch's stager over pinned memory, or `None` where there is none."""
    try:
        staged = others.DistributedCheckpoint(model, path, with_stager=True)
    except Exception as error:  # it needs CUDA, and is new in PyTorch
        cases.report({"notes": [f"DCP was not measured with its own stager: {error}."]})
        return None
    note = "DCP, own stager: until PyTorch's DefaultStager (pinned memory) lets training go on."
    cases.report({"notes": [note]})
    return staged


def is_exact(model: Any, data: Any, directory: str) -> bool:
    """Tell whether a file of the background holds the state of its instant, byte for byte.

    Training goes on while the copies run. Keras itself reads the file.
    """
    import numpy as np

    from kerascheckpoint.backends.arrays import numpy_views
    from kerascheckpoint.saving import Saver
    from kerascheckpoint.snapshot.capture import state_variables

    def contents() -> list[bytes]:
        return [np.array(a).tobytes() for a in numpy_views(state_variables(model)).values()]

    saver, path = Saver(on_background=True), os.path.join(directory, "e.weights.h5")
    saver.prepare(model)
    models.train(model, data, 5)
    wanted = contents()
    saver.save(model, path, FIELDS, check)
    models.train(model, data, 20)
    went_on = contents() != wanted
    saver.report_finished(wait_for_all=True)
    saver.release_memory()
    model.load_weights(path)
    return went_on and contents() == wanted


def fit_makers(model: Any, directory: str) -> dict[str, Callable[[], Any]]:
    """Return what makes the callbacks to compare, by name."""
    import keras

    from kerascheckpoint import ModelCheckpoint

    def path(name: str) -> str:
        return os.path.join(directory, name)

    makers: dict[str, Callable[[], Any]] = {
        "none": keras.callbacks.Callback,
        "ours .keras": lambda: ModelCheckpoint(path("f.keras"), save_on_background=True),
    }
    if keras.config.backend() == "torch":
        dcp = others.DistributedCheckpoint(model, path("fit-dcp"))
        makers["DCP"] = dcp.callback
    elif not others.why_not_orbax():
        makers["Orbax"] = lambda: others.orbax_callback(path("orbax-fit"))
    makers["Keras .keras"] = lambda: keras.callbacks.ModelCheckpoint(path("g.keras"))
    return makers


if __name__ == "__main__":
    main()
