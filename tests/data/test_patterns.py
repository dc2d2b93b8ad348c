"""The patterns that a generator draws: the same always, and no two alike."""

from pathlib import Path

import numpy as np
import pytest

from isthmus import load, load_styles
from isthmus.data.readers.patterns import PATTERNS, make_pattern, read_patterns


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_depends_on_its_seed_alone(name: str) -> None:
    one, same, other = make_pattern(name, 48), make_pattern(name, 48), make_pattern(name, 48, 1)
    assert one.shape == (48, 48, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert one.std() > 10


def test_the_data_set_holds_all_of_them_and_a_limit_some() -> None:
    samples = load("patterns")
    assert samples.items.names[0] == "mosaic"
    assert samples.values.shape == (len(PATTERNS), 256, 256, 3)
    part = read_patterns(Path("anywhere"), 2)
    assert list(part.names) == ["mosaic", "triangles"]


def test_they_are_styles_by_their_names() -> None:
    styles = load_styles("patterns", side=64)
    assert styles.names == tuple(PATTERNS)
    assert {picture.shape for picture in styles.pictures.values()} == {(64, 64, 3)}
