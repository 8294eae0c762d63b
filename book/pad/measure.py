"""How well the drawing pad works: held-out characters drawn on the real page by a pointer that shakes.

Five characters of a script that nobody trained on, one drawing each, one step; then one more drawing of each is asked
for. The answers of the page are counted, and beside them Python's on the pixels of the same strokes. Needs a Chromium.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import sync_playwright
from tqdm import tqdm

from mglib import Batch, adapt
from mglib.tasks.glyphs import TEST
from mglib.training import with_provenance
from mglib.training.algorithms import final_objective, stages_of
from pad import START, DrawingPad, export_live
from pad.drawings import draw_task, held_out_lines, images_of
from studies.bench.report import machine
from studies.cells import RESULTS

RESULT = RESULTS / "drawings" / "pad.json"
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
DRAW = """(strokes) => {
  const pad = document.querySelector('[data-part=pad]'), box = pad.getBoundingClientRect();
  pad.setPointerCapture = () => {};
  const fire = (type, [x, y]) => pad.dispatchEvent(new PointerEvent(type, {
    clientX: box.left + x * box.width, clientY: box.top + y * box.height, pointerId: 1, bubbles: true, cancelable: true,
  }));
  for (const stroke of strokes) {
    fire('pointerdown', stroke[0]);
    for (const point of stroke.slice(1)) fire('pointermove', point);
    fire('pointerup', stroke[stroke.length - 1]);
  }
}"""


def main() -> int:
    """Measure and write the result file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser's program")
    options = parser.parse_args()
    lines, generator = held_out_lines(), np.random.default_rng(options.seed)
    recipe, net, params = START.load()
    objective, stages = final_objective(recipe, net), stages_of(recipe, net)
    page_right, python_right, adapting, predicting = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "pad.html"
        file.write_text(
            f"<!doctype html><meta charset='utf-8'>{DrawingPad(export_live(START), lines['Hebrew'])._repr_html_()}"
        )
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(file.as_uri())
        page.wait_for_selector("figure[data-ready]")
        for number in tqdm(range(options.tasks)):
            support, query = draw_task(lines[TEST[number % len(TEST)]], generator)
            page.click("[data-part=reset]")
            for slot, strokes in enumerate(support):
                page.click(f"[data-part=slots] button:nth-child({slot + 1})")
                page.evaluate(DRAW, [stroke.tolist() for stroke in strokes])
            page.click("[data-part=adapt]")
            adapting.append(float(page.get_attribute("figure", "data-adapt-milliseconds")))
            answers = []
            for strokes in query:
                page.click("[data-part=ask]")
                page.evaluate(DRAW, [stroke.tolist() for stroke in strokes])
                answers.append(int(page.get_attribute("figure", "data-answer")))
                predicting.append(float(page.get_attribute("figure", "data-predict-milliseconds")))
            page_right.append(sum(answer == label for label, answer in enumerate(answers)))
            own = adapt(objective, params, Batch(images_of(support), torch.arange(5)), stages)
            asked = Batch(images_of(query), torch.arange(5), images_of(support))
            logits = objective.predict(own, asked).logits
            python_right.append(int((logits.argmax(1) == torch.arange(5)).sum()))
        browser.close()
    record = {
        "tasks": options.tasks,
        "queries": 5,
        "page": float(np.mean(page_right)) / 5,
        "ci95": 1.96 * float(np.std(np.array(page_right) / 5, ddof=1)) / options.tasks**0.5,
        "python": float(np.mean(python_right)) / 5,
        "page_right": page_right,
        "python_right": python_right,
        "adapt_milliseconds": statistics.median(adapting),
        "predict_milliseconds": statistics.median(predicting),
        "scripts": list(TEST),
        "seed": options.seed,
        "machine": machine(),
        "command": "python -m pad.measure",
    }
    RESULT.write_text(json.dumps(with_provenance(record, recipe), indent=2) + "\n")
    print(f"page {record['page']:.1%} ± {record['ci95']:.1%}, Python {record['python']:.1%}")
    print(f"median: adapt {record['adapt_milliseconds']:.1f} ms, predict {record['predict_milliseconds']:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
