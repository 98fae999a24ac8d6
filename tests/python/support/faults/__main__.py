"""Run one fault and print its outcome as JSON.

Usage: python -m support.faults FAULT FILE DIRECTORY TRIES SEED
"""

import dataclasses
import json
import sys

from kerascheckpoint.storage import direct_io
from support.faults.attempt import FAULTS
from support.faults.sample import Sample


def main(arguments: list[str]) -> None:
    """Run one fault and print its outcome."""
    fault, path, directory, tries, seed = arguments
    direct_io.SIZE = 2 * direct_io.BLOCK  # a small file takes as many writes as a large one does
    outcome = FAULTS[fault](Sample(path), directory, int(tries), int(seed))
    print(json.dumps(dataclasses.asdict(outcome)))


if __name__ == "__main__":
    main(sys.argv[1:])
