"""Flip the bits of a file one by one: a reader must find the damage or read the same arrays."""

import json
import mmap
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import numpy as np

from kerascheckpoint import errors, verify
from kerascheckpoint.formats import forms
from support import small_files
from support.faults.child import in_child

PATIENCE = 30  # seconds after which a process that reads one small file counts as hanging


def damage(path: Any, bits: list[tuple[int, int]]) -> list[str]:
    """Flip each of `bits` in a file, one at a time; return what a reader did not survive.

    A reader must not crash or hang either.

    Args:
        path: A whole file of ours.
        bits: Which bits, as (byte, bit).
    """
    code = "from support.faults.flipped_bits import report_damage; report_damage()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([str(path), bits]),
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    lost: list[str] = json.loads(done.stdout.splitlines()[-1])
    return lost


def report_damage() -> None:
    """Read the arguments of `damage` from standard input and print what it returns, as JSON.

    One child tries bit after bit. When a bit kills it, the next child goes on behind that bit.
    """
    path, bits = json.load(sys.stdin)
    content, expected = pathlib.Path(path).read_bytes(), small_files.read(path)
    position = mmap.mmap(-1, 8)
    lost: list[str] = []

    def serve(start: int, told: int) -> None:
        with forms.reading_many():
            for index in range(start, len(bits)):
                position[:] = index.to_bytes(8, "little")
                signal.alarm(PATIENCE)
                changed = bytearray(content)
                byte, bit = bits[index]
                changed[byte] ^= 1 << bit
                pathlib.Path(path).write_bytes(changed)
                problem = _problem(path, expected)
                if problem:
                    os.write(told, f"byte {byte}, bit {bit}: {problem}\n".encode())

    start = 0
    while start < len(bits):
        heard, told = os.pipe()
        code = in_child(lambda: serve(start, told))  # noqa: B023
        os.close(told)
        with open(heard) as pipe:
            lost += pipe.read().splitlines()
        if code == 0:
            break
        index = int.from_bytes(position[:], "little")
        byte, bit = bits[index]
        ending = "hang" if code == -signal.SIGALRM else f"crash ({code})"
        lost.append(f"byte {byte}, bit {bit}: {ending}")
        start = index + 1
    print(json.dumps(lost))


def _problem(path: str, expected: dict[str, np.ndarray]) -> str:
    """Return what is wrong with how a damaged file is read, an empty text if nothing is."""
    try:
        verify.verify_checkpoint(path)
    except (errors.CheckpointCorruptError, errors.CheckpointSchemaError):
        return ""
    except Exception as error:
        return f"raised {error!r}"
    try:
        found = small_files.read(path)
    except Exception as error:
        return f"verified, but cannot be read: {error!r}"
    same = {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }
    return "" if same else "verified, but reads as something else"
