"""Files made to do harm: each ends in our own errors, quickly and with little memory."""

import io
import os
import random
import struct
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from kerascheckpoint import verify_checkpoint
from kerascheckpoint.errors import CheckpointError
from kerascheckpoint.formats import record
from support import small_files

pytestmark = pytest.mark.any_backend

SECONDS, MEMORY = 10, 1 << 30  # of the processor; bytes

LOOK = """
import sys, time
from kerascheckpoint import list_checkpoints, verify_checkpoint, CheckpointError, notify
notify.set_warning_handler(lambda text: None)
for look in (list_checkpoints, verify_checkpoint):
    try:
        look(sys.argv[1])
        print("read")
    except (CheckpointError, OSError) as error:
        print(type(error).__name__)
# Not getrusage(): that counts what the parent had in memory when it forked.
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))
print(time.process_time(), peak)
"""


def forged(**fields):
    """Return metadata with a record whose own checksum is right."""
    whole = small_files.FIELDS | {"states": {"random": {"version": 1}}, "compiled": "x"} | fields
    return record.embed({"keras_version": "3.0.0"}, record.encode(whole))


def with_metadata(path, text):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", text)
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", b"")


ENTRY = b"PK\1\2" + bytes(42)  # of the directory of a zip
ENTRIES = 3_000_000


def many_members(path):
    """A directory of three million entries, without the members."""
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(ENTRY) * ENTRIES, 0, 0)
    path.write_bytes(ENTRY * ENTRIES + end)


def many_members_in_secret(path):
    """The same in a zip64 record, which Python believes, behind an end record that names one."""
    size = len(ENTRY) * ENTRIES
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, ENTRIES, ENTRIES, size, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, size, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(ENTRY), 0, 0)
    path.write_bytes(ENTRY * ENTRIES + end64 + locator + end)


def many_groups(path):
    with h5py.File(path, "w") as file:
        vars_ = file.create_group("layers/dense/vars")
        for number in range(30_000):
            vars_.create_group(str(number))


CASES = {
    "a guard of negative length.keras": lambda p: with_metadata(
        p, forged(arrays={"a": ["00000000", 0, -1]})
    ),
    "a guard beyond the file.keras": lambda p: with_metadata(
        p, forged(arrays={"a": ["00000000", 0, 10**15]})
    ),
    "more batches than there are.keras": lambda p: with_metadata(p, forged(batch=10**15)),
    "a million metrics.keras": lambda p: with_metadata(
        p, forged(metrics={f"m{number}": 1.0 for number in range(1_000_000)})
    ),
    "forty megabytes of objects.keras": lambda p: with_metadata(
        p, "[" + "{}," * 13_000_000 + "{}]"
    ),
    "forty megabytes of numbers.keras": lambda p: with_metadata(p, "[" + "1," * 20_000_000 + "1]"),
    "deep metadata.keras": lambda p: with_metadata(p, "[" * 5_000_000),
    "three million members.keras": many_members,
    "three million members in secret.keras": many_members_in_secret,
    "many groups.weights.h5": many_groups,
    "memory of a process.keras": lambda p: p.symlink_to("/proc/self/mem"),
    "memory of a process.weights.h5": lambda p: p.symlink_to("/proc/self/mem"),
    "a pipe.keras": lambda p: os.mkfifo(p),
    "a device.weights.h5": lambda p: p.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_ends_in_our_errors_quickly_and_in_little_memory(name, tmp_path):
    path = tmp_path / name
    CASES[name](path)
    line = [sys.executable, "-c", LOOK, str(path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    *outcomes, figures = done.stdout.splitlines()
    seconds, peak = map(float, figures.split())
    assert outcomes[1].startswith("Checkpoint"), outcomes
    assert seconds < SECONDS
    assert peak < MEMORY


def test_the_name_of_a_member_reaches_no_terminal(tmp_path):
    path = tmp_path / "m.keras"
    with_metadata(path, "{}")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("assets/\x1b[31m\u202e", b"")
    with pytest.raises(CheckpointError, match=r"assets/\\x1b\[31m\\u202e is compressed"):
        verify_checkpoint(path)


def stock_bytes():
    """Return a stock `.weights.h5` file."""
    file = io.BytesIO()
    with h5py.File(file, "w") as h5_file:
        for number in range(4):
            h5_file[f"layers/dense_{number}/vars/0"] = np.ones((3, 2), "float32")
            h5_file[f"layers/dense_{number}/vars/1"] = np.ones(2, "float32")
    return file.getvalue()


def test_a_stock_file_with_a_changed_byte_hangs_nobody(tmp_path):
    """HDF5 itself hangs or crashes over some of these; `HOSTILE_BYTES=all` tries every byte."""
    from kerascheckpoint.formats import forms

    content, choose = stock_bytes(), random.Random(2)
    places = range(len(content)) if os.environ.get("HOSTILE_BYTES") == "all" else []
    places = places or choose.sample(range(len(content)), 200)
    path = tmp_path / "m.weights.h5"
    outcomes = []
    with forms.reading_many():
        for place in places:
            changed = bytearray(content)
            changed[place] = 127 if content[place] != 127 else 6
            path.write_bytes(changed)
            try:
                with forms.open_checkpoint(path) as checkpoint:
                    checkpoint.verify()
                outcomes.append("read")
            except CheckpointError:
                outcomes.append("refused")
    assert len(outcomes) == len(places)
    assert set(outcomes) == {"read", "refused"}


def test_a_hundred_stock_files_need_one_helper_process(tmp_path, monkeypatch):
    from kerascheckpoint import list_checkpoints

    for number in range(100):
        (tmp_path / f"{number}.weights.h5").write_bytes(stock_bytes())
    started, start = [], subprocess.Popen

    def noted(*arguments, **settings):
        started.append(arguments)
        return start(*arguments, **settings)

    monkeypatch.setattr(subprocess, "Popen", noted)
    assert len(list_checkpoints(tmp_path)) == 100
    assert len(started) == 1
