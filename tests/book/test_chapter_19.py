"""Chapter 19: its riddle is one, and its start is the one that the study trained."""

import json

import numpy as np
import torch
from chapters import RESULTS, defined_in, prose_of

import mglib
from mglib.params import PRICE, RATE
from mglib.tasks import fonts
from mglib.training import Run
from studies.measure import federation_of
from studies.question_data import QUESTIONS
from studies.questions import compared, rates_of, step_worth

CHAPTER = "19_when_the_labels_decide"


def test_each_question_sorts_the_same_images_into_five_classes_of_five():
    square = defined_in(CHAPTER, "square")["square"]
    clean = torch.from_numpy(fonts.render("აბგდე", fonts.covering_faces("აბგდე")[0]))
    square.__globals__["clean"] = clean
    images, labels = square(np.random.default_rng(0), np.arange(5), np.arange(5), np.arange(5))
    assert images.shape == (25, 3, 20, 20)
    for question in QUESTIONS:
        assert labels[question].bincount().tolist() == [5] * 5
    for one in QUESTIONS:
        for other in QUESTIONS:
            if one < other:  # what is asked says nothing of what is not
                assert len({*zip(labels[one].tolist(), labels[other].tolist(), strict=True)}) == 25


def test_the_start_is_that_of_the_first_part_of_the_study():
    record = json.loads((RESULTS / "questions" / "metagater-12-asked-1-seed0.json").read_text())
    run = Run(RESULTS / "runs" / "questions" / "two-stages-12")
    recipe, _, params = run.load()
    experiment = mglib.set_up(recipe, federation_of(recipe))
    assert rates_of(experiment, params) == record["rates"]
    assert float(params[PRICE]) == record["price"]
    assert any(name.startswith(RATE) for name in params)


def test_the_step_is_worth_more_where_other_questions_come_in():
    worth = {}
    for asked in (0.0, 0.5):
        for seed in range(5):
            name = f"metagater-25-asked-{asked:g}-seed{seed}.json"
            record = json.loads((RESULTS / "questions" / name).read_text())
            for gain, question in zip(step_worth(record), record["questions"], strict=True):
                worth.setdefault((asked, question), []).append(gain)
    worth = {which: 100 * np.mean(gains) for which, gains in worth.items()}
    assert abs(worth[0.5, "character"] - worth[0.0, "character"]) < 0.5
    assert worth[0.5, "ink"] > worth[0.5, "character"] + 5
    assert "So **the step is worth more because other questions come in**, above all inks." in prose_of(CHAPTER)


def test_the_step_is_worth_more_the_tighter_the_budget():
    rows = {(row["asked"], row["budget"], row["method"]): row for row in compared(RESULTS / "questions")}
    steps = [rows[1.0, budget, "metagater"]["step"] for budget in (0.5, 0.25, 0.12)]
    assert steps == sorted(steps)
    assert "On average, the tighter the budget, the more the step is worth" in prose_of(CHAPTER)
    lead = rows[1.0, 0.5, "gates-fixed"]
    assert lead["lead"] + lead["lead_ci95"] < 0.01, "the goal of a point is missed at half of the MACs"
