"""Scenes to trade in."""

import pytest

from tests.unit.bridge.scenes import FLAT, Scene


@pytest.fixture
def scene():
    """Make a terminal on bars; ten quiet minutes follow those that are given."""

    def make(*bars, **options):
        return Scene(*bars, *[(bars[-1][3],) * 4 if bars else FLAT] * 10, **options)

    return make
