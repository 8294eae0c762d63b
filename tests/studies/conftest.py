"""What the tests of the benchmarks share."""

import pytest
from small_data import write_alphabets

from mglib.training import Recipe


@pytest.fixture(scope="session")
def bench_recipe(tmp_path_factory):
    """Return a recipe on a folder of small alphabets whose rounds take no time."""
    folder = write_alphabets(tmp_path_factory.mktemp("alphabets"), characters=9)
    return Recipe(data=f"folder:{folder}", image_size=14, width=4, depth=2, ways=3, queries=2, nodes_per_round=3)
