"""Fewer queries a class: cheaper rounds that teach less. How long is it until the target?"""

import dataclasses

from mglib.training import Recipe, set_up
from studies.bench.report import Goal, Progress, Report, Row
from studies.bench.target import EVERY, KINDS, TARGET, TASKS, race, rounds_of

COUNTS = (15, 10, 5)  # queries a class; the first is the recipe's own


def measure(
    quick: bool = False,
    progress: Progress = iter,
    recipe: Recipe | None = None,
    counts: tuple[int, ...] = COUNTS,
) -> Report:
    """Train until the target is reached on validation nodes, which are asked as many queries whatever the training.

    recipe: of the trainings, its method aside; None: the library's own, on glyphs.
    counts: of queries a class; the others are held against the first.
    """
    recipe = recipe or Recipe()
    target, most = (0.0, 2) if quick else (TARGET, recipe.rounds)
    rows, goals, notes = [], [], {}
    for kind, method in KINDS.items():
        experiment = set_up(dataclasses.replace(recipe, method=method, queries=counts[0]))
        trainings = {
            count: set_up(dataclasses.replace(experiment.recipe, queries=count), experiment.federation)
            for count in counts
        }
        ways = {f"{count} queries a class": rounds_of(training, None) for count, training in trainings.items()}
        courses = race(experiment, ways, target, most, progress)
        usual, *fewer = courses
        setting = {"kind": kind, "target": target, "width": recipe.width, "image": recipe.image_size, "threads": 1}
        more = [Row(way, courses[way].seconds, usual, courses[usual].seconds, setting) for way in fewer]
        best = min(row.ratio for row in more)
        goals.append(Goal.at_most(f"{kind}: seconds to the target with fewer queries, at best", 1, best))
        rows += more
        notes[kind] = {way: dataclasses.asdict(course) for way, course in courses.items()}
    return Report(rows, goals, {"tasks": TASKS, "looked at every so many rounds": EVERY, "courses": notes})
