"""What several processes agree on, and that one process alone decides for itself."""

import json

import keras

from kerascheckpoint.backends.processes import Processes, processes_of
from support import processes

AGREE = """
import io, json
from kerascheckpoint.backends.processes import processes_of

with scope:
    model = None if strategy is None else type("Model", (), {"distribute_strategy": strategy})
found = processes_of(model)
values = [found.agree({"epoch": 7 + rank}), found.gather("x" * (1 + 600 * rank))]
target = io.BytesIO()
found.send(lambda: io.BytesIO(b"abc" * 3_000_001), target if rank else None)
values.append(target.getvalue() == b"abc" * 3_000_001)  # in three pieces
try:
    found.send(lambda: open("/nowhere", "rb"), target if rank else None)
except OSError as error:
    values.append(str(error))
print(json.dumps([found.index, found.count, found.is_first, *values]))
"""


def test_one_process_agrees_with_itself():
    """Nothing is sent anywhere, and values that JSON does not hold are fine."""
    alone = processes_of(keras.Sequential())
    assert (alone.index, alone.count, alone.is_first, alone.can_agree) == (0, 1, True, False)
    value = object()
    assert alone.agree(value) is value
    assert alone.gather(value) == [value]
    assert Processes(1, 2).agree(value) is value  # no way to talk: each decides for itself


def test_the_first_process_decides_for_all_and_each_gets_all_values(tmp_path):
    """Values of any length: what JSON holds arrives as it was, in the order of the processes."""
    ended = processes.run_two(AGREE)
    found = [json.loads(output.splitlines()[-1]) for output in ended]
    texts = ["x", "x" * 601]
    assert [each[:5] for each in found] == [
        [0, 2, True, {"epoch": 7}, texts],
        [1, 2, False, {"epoch": 7}, texts],
    ]
    assert [each[5] for each in found] == [False, True]  # a file goes to those that need it
    assert all("process 0 of this training: " in each[6] for each in found)
    assert all("/nowhere" in each[6] for each in found)
