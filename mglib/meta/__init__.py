"""Learning to learn: adaptation in stages, and the exact gradient through it."""

from mglib.meta.adapt import LossFn, Metrics, Stage, Task, adapt
from mglib.meta.gradient import meta_gradient
