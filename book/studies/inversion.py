"""Gradient inversion: images that would have given the gradient that was seen (Zhu et al., arXiv 1906.08935)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mglib.federated.process import one_thread
from mglib.meta import Stage
from mglib.meta.adapt import LossFn, gradient_of
from mglib.params import Params, detach
from mglib.tasks import Batch
from studies.bench.peers import nested_loss

GradientFunction = Callable[[Tensor], Params]  # of images (image, channel, height, width), differentiable in them


def batch_gradient(loss_fn: LossFn, params: Params, labels: Tensor) -> GradientFunction:
    """Return the function from images of these labels to the gradient of one plain step on all parameters."""
    point = detach(params, requires_grad=True)
    return lambda images: gradient_of(loss_fn(point, Batch(images, labels))[0], point, create_graph=True)


def task_gradient(
    loss_fn: LossFn, params: Params, labels: tuple[Tensor, Tensor], stages: Sequence[Stage]
) -> GradientFunction:
    """Return the function from a task's images, the support set's before the queries', to the exact meta-gradient.

    labels: of the support set and of the queries. The nested form of `mglib.meta_gradient`: an attacker has to
    differentiate it once more.
    """
    point = detach(params, requires_grad=True)

    def of_images(images: Tensor) -> Params:
        support, query = images.split([len(each) for each in labels])
        batches = Batch(support, labels[0]), Batch(query, labels[1], support)
        return gradient_of(nested_loss(loss_fn, point, *batches, stages), point, create_graph=True)

    return of_images


@dataclass(frozen=True)
class Attack:
    """How images are sought: Adam on the angle between gradients plus total variation (Geiping et al., 2003.14053).

    smoothness: weight of the mean absolute difference of neighbouring pixels; a picture is smoother than noise.
    """

    steps: int = 600
    learning_rate: float = 0.1
    smoothness: float = 0.15
    seed: int = 0

    def __call__(self, gradient_of: GradientFunction, gradient: Params, shape: Sequence[int]) -> Tensor:
        """Return images of this shape, values 0 to 1, whose gradient points where `gradient` does.

        The angle does not change if the gradient is scaled, so neither learning rate nor clipping need be known.
        """
        generator = torch.Generator().manual_seed(self.seed)
        images = (0.3 * torch.rand(tuple(shape), generator=generator)).requires_grad_()
        adam = torch.optim.Adam([images], self.learning_rate)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self.steps)
        with one_thread():
            for _ in range(self.steps):
                loss = angle(gradient_of(images), gradient) + self.smoothness * roughness(images)
                (images.grad,) = torch.autograd.grad(loss, images)
                adam.step()
                falling.step()
                images.data.clamp_(0, 1)
        return images.detach()


def angle(ours: Params, theirs: Params) -> Tensor:
    """Return one minus the cosine of the angle between two gradients, 0 to 2."""
    pairs = [(ours[name], theirs[name]) for name in theirs]
    product = sum((a * b).sum() for a, b in pairs)
    lengths = sum(a.square().sum() for a, _ in pairs) * sum(b.square().sum() for _, b in pairs)
    return 1 - product / lengths.clamp(min=1e-24).sqrt()


def roughness(images: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbours, down plus across: total variation for a pixel."""
    return images.diff(dim=-1).abs().mean() + images.diff(dim=-2).abs().mean()


def likeness(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return how alike images are, their pixels' correlation, −1 to 1, for each pair of a first and a second one.

    Brightness and contrast do not count; a contrast that all images share leaves no trace in the gradient.

    ours, theirs: (image, channel, height, width) each; returns (one of ours, one of theirs).
    """
    centred = [images.flatten(1) - images.flatten(1).mean(1, keepdim=True) for images in (ours, theirs)]
    ours, theirs = (rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-9) for rows in centred)
    return ours @ theirs.T


def peak_ratio(likeness: Tensor, true: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in decibels, once brightness and contrast are set as well as can be.

    likeness: of each pair, (image,); true: its true images, values 0 to 1.
    """
    error = true.flatten(1).var(1, correction=0) * (1 - likeness.square())
    return -10 * torch.log10(error.clamp(min=1e-10))
