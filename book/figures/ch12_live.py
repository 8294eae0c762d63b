"""Chapter 12: a drawing, what it opens, and the answer as one filter after another is closed by the reader's hand."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from figures.widgets import Live, numbers


def play_closing(
    images: Tensor,
    labels: Sequence[int],
    support: Tensor,
    gates: Sequence[Tensor],
    answers: Mapping[str, tuple[Sequence[Tensor], Tensor]],
    caption: str = "",
    opens_at: int = 0,
) -> Live:
    """Return drawings whose open filters the reader closes step by step, in orders to choose from.

    images: (input, height, width), 0 to 1; labels: their classes; support: (ways, height, width).
    gates: what the inputs open, a layer, (input, filter).
    answers: by order, at which step each filter closes, a layer (input, filter), zero if it is never open or stays; and
        the probabilities, (step, input, ways), nothing closed at step 0.
    opens_at: the step that is shown before the reader moves anything.

    Raises:
        ValueError: if there is no order, if the steps of two orders differ in number, or if there is no such step.
    """
    steps = {len(probabilities) for _, probabilities in answers.values()}
    if len(steps) != 1:
        raise ValueError(f"orders of {sorted(steps)} steps: need one order at least, and the same steps for each")
    (count,) = steps
    if not 0 <= opens_at < count:
        raise ValueError(f"`opens_at` (={opens_at}) must be a step from 0 to {count - 1}")
    data = {
        "images": [_bytes(image) for image in images],
        "support": [_bytes(image) for image in support],
        "side": images.shape[-1],
        "labels": [int(label) for label in labels],
        "gates": [[gate[i].int().tolist() for gate in gates] for i in range(len(images))],
        "orders": {
            name: {
                "closes": [[layer[i].int().tolist() for layer in closes] for i in range(len(images))],
                "answers": numbers(probabilities, 3),
            }
            for name, (closes, probabilities) in answers.items()
        },
        "steps": count - 1,
        "opens_at": opens_at,
    }
    opened = [int(sum(gate[i].sum() for gate in gates)) for i in range(len(images))]
    alt = (
        f"A drawn character on the left, the cells of its filters in {len(gates)} blocks, and on the right a bar for "
        f"each of {len(support)} classes. {len(images)} characters can be chosen, which open {min(opened)} to "
        f"{max(opened)} filters. A slider closes these step by step, by {', '.join(answers)}, and the bars change."
    )
    return Live("closing.js", data, caption, alt)


def _bytes(image: Tensor) -> list[int]:
    return np.asarray(image * 255).round().astype(int).flatten().tolist()
