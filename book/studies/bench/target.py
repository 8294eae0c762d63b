"""Training to a target: seconds until new writers' characters are recognised, by `mglib` and by loops over its peers.

All ways train the same network from the same start on the same tasks, with the same server and the same rates. They
differ in how a node computes its meta-gradient, so their courses agree up to rounding. They take turns round by round
on one thread, so that a machine that is slow for a while is so for all. What testing takes is not counted.
"""

import dataclasses
import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from mglib.federated import RoundResult
from mglib.federated.process import one_thread
from mglib.meta.adapt import Metrics
from mglib.nets import Objective
from mglib.params import Params
from mglib.tasks import Node
from mglib.training import Recipe, evaluate, set_up
from mglib.training.experiment import Experiment
from mglib.training.updates import MetaUpdate
from studies.bench import peers
from studies.bench.report import Goal, Progress, Report, Row

OURS, NESTED = "mglib", "nested autograd, as learn2learn does"
KINDS = {"plain MAML": "maml", "two stages": "metagater"}  # and their methods
TARGET, TASKS, EVERY = 0.8, 200, 50  # of the queries right, on so many validation tasks, looked at every so many rounds


@dataclasses.dataclass(frozen=True)
class PeerUpdate(MetaUpdate):
    """A node that computes its meta-gradient in a peer's way."""

    peer: peers.MetaGradient = peers.nested

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return the peer's gradient of the task that `MetaUpdate` would draw."""
        recipe = self.recipe
        task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, generator)
        return self.peer(objective, params, task, self.stages), {"accuracy": 0.0}


@dataclasses.dataclass
class Course:
    """How one way is doing: the seconds of its rounds so far, and what it knows."""

    seconds: float = 0.0  # of the processor
    rounds: int = 0
    accuracy: float = 0.0
    reached: bool = False


def measure(quick: bool = False, progress: Progress = iter, recipe: Recipe | None = None) -> Report:
    """Train until the target is reached on validation nodes, all ways side by side.

    recipe: of the trainings, its method aside; None: the library's own, on glyphs.

    Raises:
        ValueError: if a peer's package is missing.
    """
    recipe = recipe or Recipe()
    target, most = (0.0, 2) if quick else (TARGET, recipe.rounds)
    packages, rows, goals, notes = peers.installed(), [], [], {}
    for kind, method in KINDS.items():
        experiment = set_up(dataclasses.replace(recipe, method=method))
        ways = {OURS: None, NESTED: peers.nested} | (packages if kind == "plain MAML" else {})
        courses = race(
            experiment, {way: rounds_of(experiment, peer) for way, peer in ways.items()}, target, most, progress
        )
        setting = {"kind": kind, "target": target, "width": recipe.width, "image": recipe.image_size, "threads": 1}
        ours, *others = [courses[way].seconds for way in ways]
        rows += [
            Row(f"{kind}, {OURS}", ours, f"{kind}, {way}", other, setting)
            for way, other in zip(list(ways)[1:], others, strict=True)
        ]
        goals.append(Goal.at_most(f"{kind}: seconds to the target over the fastest peer's", 0.5, ours / min(others)))
        notes[kind] = {way: dataclasses.asdict(course) for way, course in courses.items()}
    return Report(rows, goals, {"tasks": TASKS, "looked at every so many rounds": EVERY, "courses": notes})


def race(
    experiment: Experiment,
    rounds: dict[str, Iterator[RoundResult]],
    target: float,
    most: int,
    progress: Progress = iter,
) -> dict[str, Course]:
    """Return each way's course until it has reached the target on the experiment's tasks, or after `most` rounds."""
    courses = {way: Course() for way in rounds}
    with one_thread():
        for number in progress(range(1, most + 1)):
            running = [way for way, course in courses.items() if not course.reached]
            for way in running:
                course, started = courses[way], time.process_time()
                result = next(rounds[way])
                course.seconds += time.process_time() - started
                course.rounds = number
                if number % EVERY == 0 or number == most:
                    course.accuracy = accuracy_of(experiment, result)
                    course.reached = course.accuracy >= target
            if not running:
                break
    return courses


def rounds_of(experiment: Experiment, peer: peers.MetaGradient | None) -> Iterator[RoundResult]:
    """Yield the state after each round, each node's gradient computed in a peer's way (None: the library's)."""
    if peer is not None:
        algorithm = dataclasses.replace(experiment.algorithm, update=partial(PeerUpdate, peer=peer))
        experiment = dataclasses.replace(experiment, algorithm=algorithm)
    return experiment.rounds()


def accuracy_of(experiment: Experiment, result: RoundResult) -> float:
    """Return the share of right answers on validation tasks after one step."""
    recipe = experiment.recipe
    scores = evaluate(
        experiment.objective,
        result.params,
        experiment.federation.validation,
        experiment.stages,
        tasks=TASKS,
        ways=recipe.ways,
        shots=recipe.shots,
        queries=recipe.queries,
    )
    return float(np.mean([score.accuracy for score in scores]))
