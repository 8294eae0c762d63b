"""How drawings look, told by statistics that know nothing of any network."""

import torch
from torch import Tensor
from torch.nn import functional as F

LAYOUT = 4  # cells a side
DIRECTIONS = 8  # bins of half a turn


def strokes(images: Tensor) -> Tensor:
    """Return what the strokes of each drawing are like, wherever they lie: (image, `DIRECTIONS` + 2).

    First the shares of the edges' length that run in each direction, from the brightness's slope; then the ink's share
    of the image, and the length of edge for each inked pixel, which is large where strokes are thin.

    images: (image, height, width), background 0 and ink 1.
    """
    padded = F.pad(images[:, None], (1, 1, 1, 1))
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    across, down = F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None]).unbind(1)
    steepness, angle = torch.hypot(across, down), torch.atan2(down, across) % torch.pi
    place = angle / torch.pi * DIRECTIONS  # an edge between two bins counts for both
    lower = place.floor()
    shares = torch.zeros(len(images), DIRECTIONS)
    for bins, part in ((lower, 1 - place + lower), (lower + 1, place - lower)):
        shares.scatter_add_(1, bins.long().flatten(1) % DIRECTIONS, (part * steepness).flatten(1))
    length, ink = shares.sum(1, keepdim=True), images.sum((1, 2))[:, None]
    return torch.cat([shares / length.clamp(min=1e-6), ink / images[0].numel(), length / ink.clamp(min=1e-6)], 1)


def layout(images: Tensor) -> Tensor:
    """Return where the ink lies: its share in each of `LAYOUT`² cells, (image, `LAYOUT`²), which sum to one."""
    cells = F.adaptive_avg_pool2d(images[:, None], LAYOUT).flatten(1)
    return cells / cells.sum(1, keepdim=True).clamp(min=1e-6)
