"""Names against patterns: the same answers as a regular expression, in bounded time."""

import random
import re

import pytest

from kerascheckpoint.policies.file_template import FileTemplate
from kerascheckpoint.policies.name_pattern import Part, fits

pytestmark = pytest.mark.any_backend

EXPRESSIONS = {"number": r" *\d+", "gap": r"[^/\\]+?"}


def test_the_answers_are_those_of_a_regular_expression():
    choose = random.Random(1)
    outcomes = set()
    for _ in range(20_000):
        kinds = choose.choices(["literal", "optional", "number", "gap"], k=choose.randint(1, 4))
        parts = tuple(
            Part(kind, "".join(choose.choices("-1a", k=2)) if kind[0] in "lo" else "")
            for kind in kinds
        )
        expression = "".join(
            EXPRESSIONS.get(p.kind) or f"(?:{re.escape(p.text)}){'?' * (p.kind == 'optional')}"
            for p in parts
        )
        name = "".join(choose.choices("-1a /", weights=(4, 4, 4, 1, 1), k=choose.randint(0, 7)))
        expected = re.fullmatch(expression, name) is not None
        assert fits(parts, name) is expected, (parts, name)
        outcomes.add(expected)
    assert outcomes == {True, False}


def test_a_long_name_of_dashes_takes_no_exponential_time(tmp_path):
    """Whoever can put a file into a directory must not be able to stop a training there."""
    metrics = "-".join(f"{{{name}}}" for name in "abcdefghijklmnop")
    template = FileTemplate.parse(tmp_path / f"{metrics}.keras")
    assert not template.matches(str(tmp_path / ("-" * 240 + ".kera")))
    assert template.matches(str(tmp_path / ("-" * 240 + ".keras")))
