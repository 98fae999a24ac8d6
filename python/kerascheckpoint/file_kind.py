"""The suffixes of checkpoint files and what they stand for."""

WEIGHTS_SUFFIX = ".weights.h5"

MODEL_SUFFIX = ".keras"

LEGACY_SUFFIX = ".h5"

ORBAX_SUFFIX = ".orbax"

DIRECTORY_SUFFIXES = (ORBAX_SUFFIX,)  # of checkpoints that are directories

COMMIT_MARK = "commit_success.txt"  # Orbax' last file in what is finished

SUFFIXES = (WEIGHTS_SUFFIX, MODEL_SUFFIX, LEGACY_SUFFIX, ORBAX_SUFFIX)


def suffix_of(path: str) -> str:
    """Return the suffix that says what a file holds, or an empty text if it has none."""
    return next((suffix for suffix in SUFFIXES if path.endswith(suffix)), "")
