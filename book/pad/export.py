"""From a run's folder to what the page's script loads: sizes, rates and parameters, in one JSON object."""

import base64
from pathlib import Path
from typing import Any

from mglib.meta.adapt import factors_of
from mglib.params import PRICE, of_network
from mglib.training import Run
from mglib.training.algorithms import stages_of

SOURCE = Path(__file__).parent / "gated_net.js"
START = Run(Path(__file__).resolve().parents[2] / "results" / "runs" / "drawings" / "gated-50")  # the pad's own


def export_live(run: Run | str | Path) -> dict[str, Any]:
    """Return the run's start as `gated_net.js` loads it: parameters as base64 of 32-bit floats, little-endian.

    Raises:
        ValueError: if the run is not finished, or its network is none that the script knows.
    """
    recipe, net, params = (run := Run(run)).load()
    if recipe.method != "metagater" or recipe.channels != 1 or recipe.image_size % 4 or recipe.steps != 1:
        raise ValueError(
            f"the run in {run.folder} is {recipe.method}, {recipe.image_size} pixels, {recipe.channels} channels, "
            f"steps {recipe.steps}: the page's script knows metagater with one step on grey images, sides in fours"
        )
    return {
        "ways": recipe.ways,
        "width": recipe.width,
        "depth": len(net.layers),
        "image_size": recipe.image_size,
        "budget": recipe.budget,
        "penalty": recipe.penalty,
        "backbone_learning_rate": recipe.backbone_learning_rate,
        "gate_learning_rate": recipe.gate_learning_rate,
        "factors": {
            name: float(f) for s in stages_of(recipe, net) for name, f in factors_of(s, params).items() if f != 1
        },
        "price": float(params[PRICE]) if PRICE in params else None,
        "params": {
            name: base64.b64encode(value.numpy().astype("<f4").tobytes()).decode()
            for name, value in of_network(params).items()
        },
    }
