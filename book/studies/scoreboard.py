"""What became of each claim, in one table made of the result files alone: claim, verdict, numbers, seeds, link."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from studies.cells import RESULTS
from studies.lines import days_of
from studies.questions import compared as compared_questions
from studies.rows import DATA, SEEDS, SMALL, UNSEEN
from studies.statistics import LEVEL, estimate_means
from studies.tables import slim_by_budget, starts_compared

NAMES = {
    "glyphs": "glyphs",
    "omniglot": "Omniglot",
    "cifar10": "CIFAR-10",
    SMALL: "CIFAR-10 with few filters",
    UNSEEN: "CIFAR-10 with new classes",
}
CHANCE = 0.2  # of five classes
TIME = "[chapter 8](08_making_saved_work_save_time.ipynb#where-it-pays)"
STEPS = "[chapter 10](10_one_step_on_a_new_node.ipynb#one-step-or-ten)"
STAGES = "[chapter 10](10_one_step_on_a_new_node.ipynb#four-orders)"
TABLE = "[chapter 11](11_against_its_relatives.ipynb#the-table)"
RIVALS = "[chapter 11](11_against_its_relatives.ipynb#the-rival-that-knows-names)"
COST = "[chapter 11](11_against_its_relatives.ipynb#what-it-costs-to-answer)"
GOALS = "[chapter 11](11_against_its_relatives.ipynb#met-or-missed)"
NAMED = "[chapter 11](11_against_its_relatives.ipynb#when-everybody-knows-the-names)"
LONGER = "[chapter 11](11_against_its_relatives.ipynb#would-longer-training-change-this)"
SWAPS = "[chapter 12](12_what_the_meta_gates_know.ipynb#somebody-else-chooses)"
LABELS = "[chapter 19](19_when_the_labels_decide.ipynb#five-trainings-each)"
SLOPES = "[chapter 13](13_does_it_converge.ipynb#what-the-deep-net-does)"
UNSEEN_SETS = "[chapter 14](14_on_real_images.ipynb#where-a-gap-opens)"


class Measured(NamedTuple):
    """A number with its unit, what it was measured on, what it says of the claim, and how many trainings gave it."""

    where: str
    said: str
    verdict: str
    seeds: int


def scoreboard(rows_of: Callable[[str], list[dict[str, Any]]]) -> str:
    """Return the table; rows_of: a name in `studies.TABLES` to the rows that `table_rows` reads from the files."""
    base, steps = rows_of("baselines"), rows_of("steps")
    long, quarter, named = rows_of("long") + rows_of("small"), rows_of("quarter"), rows_of("named")
    starts = starts_compared(RESULTS / "evidence")
    asked = compared_questions(RESULTS / "questions")
    tighter = [row for row in slim_by_budget(RESULTS / "evidence") if row["budget"] == 0.25]

    def leads(method: str, least: float = 0.0) -> list[Measured]:
        return [compared(_row(base, data, method), -1, least) for data in DATA]

    def leads_in(method: str, least: float = 0.0, rows: Sequence[dict[str, Any]] = long) -> list[Measured]:
        there = [row for row in rows if row["method"] == method and row["paired_seeds"] >= len(SEEDS)]
        return [compared(row, -1, least) for row in there]

    rows = (
        ("1. The exact gradient for both beats its first-order shortcut", leads("first-order"), TABLE),
        ("2. One start serves nodes never met: accuracy after one step, where chance is 20 %", _right(base), TABLE),
        ("2. … and new classes, with accuracy above chance", _right(rows_of("unseen")), UNSEEN_SETS),
        (
            "2. In one slim network, a meta-learnt start beats one that was trained to name all classes",
            leads_in("fedavg", 0.0, starts),
            RIVALS,
        ),
        ("2. … after 1,500 rounds, with learnt rates", leads_in("fedavg-long", 0.0, starts), RIVALS),
        ("3. Half of the MACs cost at most half a point against the dense network", leads("dense", -0.005), GOALS),
        ("3. … and after 1,500 rounds with learnt rates", leads_in("dense-long", -0.005), LONGER),
        (
            "3. At half of the MACs, gates beat a slim network of the same cost by two points",
            leads("slim", 0.02),
            GOALS,
        ),
        ("3. … by two points after 1,500 rounds with learnt rates", leads_in("slim-long", 0.02), LONGER),
        ("3. … by anything, after 1,500 rounds with learnt rates", leads_in("slim-long"), LONGER),
        (
            "3. … by two points after 1,500 rounds, where both also know the names",
            leads_in("slim-named-long", 0.02, named),
            NAMED,
        ),
        ("3. At a quarter of the MACs, by two points", [compared(row, -1, 0.02) for row in tighter], COST),
        ("3. … by two points after 1,500 rounds there", leads_in("slim-long", 0.02, quarter), LONGER),
        ("3. … by anything, after 1,500 rounds there", leads_in("slim-long", 0.0, quarter), LONGER),
        (
            "3. A quarter of the MACs costs at most three points against dense, after 1,500 rounds",
            leads_in("dense-long", -0.03, quarter),
            LONGER,
        ),
        ("3. Half of the filters take at most half of the dense network's time", [_time()], TIME),
        ("4. The learnt gates choose better than chance", [_swapped("random, one order", 0.0)], SWAPS),
        ("4. They beat one fixed mask in their place by two points", [_swapped("one mask for all", 0.02)], SWAPS),
        ("4. They beat a mask learnt with the network", leads("static-mask"), TABLE),
        ("4. … after 1,500 rounds with learnt rates", leads_in("static-mask-long"), LONGER),
        ("5. One step adapts: gained over no step", [compared(_stepped(steps, data, 0), -1) for data in DATA], STEPS),
        (
            "5. Ten steps would add less than a point",
            [_within(_stepped(steps, data, 10), 0.01) for data in DATA],
            STEPS,
        ),
        ("5. The second stage, which moves the gates, brings accuracy", leads("gates-fixed"), STAGES),
        ("5. … after 1,500 rounds with learnt rates", leads_in("gates-fixed-long"), LONGER),
        ("5. … at a quarter of the MACs, after 1,500 rounds", leads_in("gates-fixed-long", 0.0, quarter), LONGER),
        (
            "5. … at least a point where nodes are asked different things",
            [_asked(asked, budget) for budget in (0.12, 0.25, 0.5)],
            LABELS,
        ),
        ("6. Training the gated network lowers its loss", [_fallen("loss", slice(0, 1), slice(-1, None))], SLOPES),
        ("6. … and its squared gradient, to the end", [_fallen("squared_norm", slice(1, 6), slice(6, None))], SLOPES),
        ("7. MetaGater beats pFedMe", leads("pfedme"), TABLE),
        ("7. MetaGater beats ANIL", leads("anil"), TABLE),
        ("7. MetaGater beats Per-FedAvg", leads("per-fedavg"), TABLE),
        ("7. MetaGater beats FedAvg that knows names and takes ten steps", leads("fedavg-10"), RIVALS),
        ("7. … after 1,500 rounds, with learnt rates", leads_in("fedavg-10-long"), LONGER),
        ("7. … after 1,500 rounds, and knows the names as well", leads_in("fedavg-10-long", 0.0, named), NAMED),
    )
    lines = ["| claim | verdict | number, 95 % interval | seeds, where |", "|---|---|---|---|"]
    for claim, measured, where in (row for row in rows if row[1]):  # the others have no five trainings yet
        numbers = "<br>".join(f"{each.where}: {each.said}" for each in measured)
        fewest, most = min(each.seeds for each in measured), max(each.seeds for each in measured)
        seeds = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        cells = (claim, _verdict(measured), numbers, f"{seeds}, {where}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{_days().capitalize()}."])


def _days() -> str:
    """Return between which days the files behind the table were made."""
    trainings = ("evidence/*/*/*/seed*.json", "questions/*.json", "gates/glyphs-*.json", "convergence/baseline.json")
    paths = (path for pattern in (*trainings, "bench/inference.json") for path in RESULTS.glob(pattern))
    return days_of(json.loads(path.read_text())["date"] for path in paths)


def _verdict(measured: Sequence[Measured]) -> str:
    """Return one word, or several with the data that each holds for."""
    by = {word: [each.where for each in measured if each.verdict == word] for word in ("yes", "open", "no")}
    said = [f"**{word}** on {_listed(where)}" for word, where in by.items() if where]
    return ", ".join(said) if len(said) > 1 else f"**{measured[0].verdict}**"


def _listed(names: Sequence[str]) -> str:
    """Return names in words: a, b and c."""
    return ", ".join([*names[:-2], " and ".join(names[-2:])])


def _row(rows: list[dict[str, Any]], data: str, method: str, **more: Any) -> dict[str, Any]:
    wanted = {"data": data, "method": method, **more}
    return next(row for row in rows if wanted.items() <= row.items())


def _stepped(rows: list[dict[str, Any]], data: str, steps: int) -> dict[str, Any]:
    return _row(rows, data, "metagater", steps=steps)


def _judged(mean: float, half: float, least: float = 0.0, p: float | None = None) -> str:
    """Return what the whole interval says; a bare lead asks for a corrected p as well."""
    if least == 0 and p is not None and p >= LEVEL:
        return "open"
    return "yes" if mean - half >= least else "no" if mean + half < least else "open"


def _points(mean: float, half: float) -> str:
    return f"{100 * mean:+.1f} ± {100 * half:.1f} points".replace("-", "−")


def compared(row: dict[str, Any], sign: int, least: float = 0.0) -> Measured:
    """Return the row's difference to its reference, or with sign -1 the reference's lead over the row."""
    if row["difference"] is None:
        return Measured(NAMES[row["data"]], "not measured yet", "open", 0)
    mean, half = sign * row["difference"], row["difference_ci95"]
    verdict = _judged(mean, half, least, row["p"])
    return Measured(NAMES[row["data"]], _points(mean, half), verdict, row["paired_seeds"])


def _within(row: dict[str, Any], most: float) -> Measured:
    """Return the row's difference to its reference, of which it is asked to be at most so much."""
    return compared(row, 1)._replace(verdict=compared(row, -1, -most).verdict)


def _asked(rows: list[dict[str, Any]], budget: float) -> Measured:
    """Return the lead over gates that stay as they are, where a node's labels alone tell what it is asked."""
    row = next(row for row in rows if (row["method"], row["budget"], row["asked"]) == ("gates-fixed", budget, 1.0))
    verdict = _judged(row["lead"], row["lead_ci95"], 0.01, row["p"])
    where = f"questions, {100 * budget:g} % of the MACs"
    return Measured(where, _points(row["lead"], row["lead_ci95"]), verdict, row["paired_seeds"])


def _right(rows: list[dict[str, Any]]) -> list[Measured]:
    found = []
    for row in (row for row in rows if row["method"] == "metagater"):
        mean, half = row["accuracy"], row["ci95"]
        said = f"{100 * mean:.1f} ± {100 * half:.1f} %"
        found.append(Measured(NAMES[row["data"]], said, _judged(mean, half, CHANCE), row["seeds"]))
    return found


def _time() -> Measured:
    report = json.loads((RESULTS / "bench" / "inference.json").read_text())
    goal = next(goal for goal in report["goals"] if goal["name"] == "skipping over dense, worst case")
    said = f"{goal['measured']:.2f} of its time, no interval"
    where = "worst from 64 filters up, one image or sixteen, one machine"
    return Measured(where, said, "yes" if goal["met"] else "no", 1)


def _swapped(rival: str, least: float) -> Measured:
    """Return what other gates cost at prediction, over the networks measured."""
    files = [json.loads(path.read_text()) for path in sorted((RESULTS / "gates").glob("glyphs-*.json"))]
    lost = [np.subtract(*(f["swaps"]["prediction"][which] for which in ("its own", rival))) for f in files]
    (estimate,) = estimate_means([np.array(lost) / files[0]["queries"]])
    verdict = _judged(estimate.mean, estimate.ci95, least)
    return Measured("glyphs", _points(estimate.mean, estimate.ci95), verdict, len(files))


def _fallen(what: str, early: slice, late: slice) -> Measured:
    """Return how far a mean over late probes lies below one over early probes, over the trainings' seeds."""
    seeds = json.loads((RESULTS / "convergence" / "baseline.json").read_text())["seeds"].values()
    values = np.array([[probe[what] for probe in probes] for probes in seeds])
    before, after = values[:, early].mean(1), values[:, late].mean(1)
    (estimate,) = estimate_means([(before - after)[:, None]])
    said = f"{before.mean():.2f} → {after.mean():.2f}, a fall of {estimate.mean:+.2f} ± {estimate.ci95:.2f}"
    return Measured("glyphs", said.replace("-", "−"), _judged(estimate.mean, estimate.ci95), len(values))
