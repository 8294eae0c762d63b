"""Where the parts meet: recipes, training that survives being stopped, evaluation on nodes never seen."""

from mglib.training.evaluation import TaskScore, evaluate, evaluate_run, score, summarise, with_provenance
from mglib.training.experiment import Experiment, set_up
from mglib.training.export import export_network
from mglib.training.node import NodeNetwork, adapt_to_folder
from mglib.training.recipes import Recipe
from mglib.training.runs import Run
from mglib.training.trainer import round_metrics, train
