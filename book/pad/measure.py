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

from mglib import Batch, Run, adapt, set_up
from mglib.tasks import fonts
from mglib.tasks.glyphs import SCRIPTS, TEST, VALIDATION, kept_characters
from mglib.training import with_provenance
from pad import DrawingPad, export_live
from pad.drawings import DrawingSettings, character_lines, federation_of, shake
from pad.strokes import centred, rasterise
from studies.bench.report import machine

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "results" / "runs" / "drawings" / "gated-50"
RESULT = ROOT / "results" / "drawings" / "pad.json"
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
DRAW = """(strokes) => {
  const pad = document.querySelector('[data-part=pad]'), box = pad.getBoundingClientRect();
  pad.setPointerCapture = () => {};
  pad.hasPointerCapture = () => true;
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
    kept = kept_characters(tuple(SCRIPTS), {*TEST, *VALIDATION})
    lines = {script: character_lines(kept[script], fonts.covering_faces(kept[script])[0]) for script in TEST}
    run, generator = Run(RUN), np.random.default_rng(options.seed)
    recipe, _, params = run.load()
    experiment = set_up(recipe, federation_of(recipe))
    page_right, python_right, adapting, predicting = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "pad.html"
        file.write_text(
            f"<!doctype html><meta charset='utf-8'>{DrawingPad(export_live(run), lines['Hebrew'])._repr_html_()}"
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
            own = adapt(experiment.objective, params, Batch(images_of(support), torch.arange(5)), experiment.stages)
            asked = Batch(images_of(query), torch.arange(5), images_of(support))
            logits = experiment.objective.predict(own, asked).logits
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


def draw_task(script: dict, generator: np.random.Generator) -> tuple[list, list]:
    """Return two drawings of each of five characters by one hand, to adapt on and to ask for."""
    settings = DrawingSettings()
    hand = settings.style * generator.standard_normal(30)
    chosen = [script[name] for name in generator.choice(sorted(script), 5, replace=False)]
    return tuple([shake(strokes, settings, generator, hand)[0] for strokes in chosen] for _ in range(2))


def images_of(drawings: list) -> torch.Tensor:
    """Return the drawings as the pad would rasterise them: (drawing, 1, side, side), 0 to 1."""
    images = np.stack([rasterise(centred(strokes)) for strokes in drawings])
    return torch.from_numpy(images)[:, None].float() / 255


if __name__ == "__main__":
    sys.exit(main())
