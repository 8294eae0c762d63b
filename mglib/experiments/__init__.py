"""Where the parts meet: recipes, training that survives being stopped, evaluation on nodes never seen."""

from mglib.experiments.evaluation import TaskScore, evaluate, evaluate_run, score, summarise
from mglib.experiments.export import export_network
from mglib.experiments.fast_gradient import fast_meta_gradient
from mglib.experiments.node import NodeNetwork, adapt_to_folder
from mglib.experiments.recipes import Recipe
from mglib.experiments.results import read_results, with_provenance
from mglib.experiments.runs import Run
from mglib.experiments.training import Experiment, round_metrics, set_up, train

__all__ = [
    "Experiment",
    "NodeNetwork",
    "Recipe",
    "Run",
    "TaskScore",
    "adapt_to_folder",
    "evaluate",
    "evaluate_run",
    "export_network",
    "fast_meta_gradient",
    "read_results",
    "round_metrics",
    "score",
    "set_up",
    "summarise",
    "train",
    "with_provenance",
]
