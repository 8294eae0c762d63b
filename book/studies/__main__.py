"""`python -m studies reproduce | bench | readme`, called in book/: what the methods reach, what the library takes."""

import importlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tqdm import tqdm

import mglib.__main__
from studies import STUDIES, TABLES, measure_missing, reproduce_tables, table_rows
from studies.cells import RESULTS, ROOT
from studies.readme import readme_command
from studies.reproduce import INSTRUMENTS

Positional = tyro.conf.Positional
QUICK = ROOT / "runs" / "evidence-quick"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the codes are those of `python -m mglib`."""
    return mglib.__main__.main(arguments, COMMANDS, "python -m studies")


def bench_command(
    what: Positional[Literal["meta-step", "target", "queries", "inference", "batches", "rounds", "scale"]],
    quick: bool = False,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Time the library side by side with what else could be used, in one run, and report ratios.

    Args:
        what: meta-step: the gradient of training; target: a training until it knows enough; queries: the same
            with fewer of them; inference: gates that skip; batches: the same on two threads; rounds: many nodes;
            scale: a million of them.
        quick: a few small cases and few rounds, to see that it works; its figures mean little.
        json_: print one JSON object.
    """
    benchmark = importlib.import_module(f"studies.bench.{what.replace('-', '_')}")
    report = benchmark.measure(quick=quick, progress=lambda done: tqdm(done, disable=not sys.stderr.isatty()))
    if json_:
        print(json.dumps(report.as_dict(), indent=2))
        return
    for row in report.rows:
        setting = ", ".join(f"{name} {value}" for name, value in row.setting.items())
        print(f"{1e3 * row.seconds:10.3f} ms {row.ratio:6.2f} × {row.against}: {row.what} ({setting})")
    for goal in report.goals:
        print(f"{'met   ' if goal.met else 'missed'} {goal.name}: {goal.measured:.3g}, aimed for {goal.target}")


def reproduce_command(
    tables: Positional[tuple[str, ...]] = (),
    quick: bool = False,
    seeds: int | None = None,
    only: str = "",
    workers: int = 2,
    show: bool = False,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
    omniglot: str | None = None,
    cifar10: str | None = None,
    out: Path | None = None,
) -> int:
    """Train and test what a table lacks, on all cores, go on where it was stopped, and print the table.

    Args:
        tables: baselines, unseen, shots, steps, budgets, long, rates, named, quarter, small, ablations, and studies; by
            default all.
        quick: short trainings and few tasks, to see that it works; by default into runs/evidence-quick.
        seeds: trainings of each method in the tables; by default 5, to which those of further seeds are added, and 2 if
            quick. Studies have their own.
        only: nothing but the cells with this in their name, such as glyphs/1-shot/metagater-50/seed0.
        workers: processes, one thread each.
        show: print what the files say and run nothing.
        json_: print the rows as one JSON list.
        omniglot: folder of its images, <alphabet>/<character>/<image>; by default it is downloaded.
        cifar10: folder of its images, <class>/<image>; by default it is downloaded.
        out: folder of the records; by default results/evidence, and results for the studies.
    """
    known = {**TABLES, **STUDIES}
    if unknown := [name for name in tables if name not in known]:
        raise ValueError(f"no table {', '.join(map(repr, unknown))}; there are {', '.join(known)}")
    further = seeds is None and not quick  # trainings that have files count too
    seeds = (2 if quick else 5) if seeds is None else seeds
    if seeds < 1:
        raise ValueError(f"`seeds` (={seeds}) must be at least 1")
    chosen = [known[name] for name in tables or known]
    trained = [each for each in chosen if each.name in TABLES]
    studies = [each for each in chosen if each.name in STUDIES]
    apart = out or (QUICK if quick else RESULTS)
    out = out or (QUICK if quick else RESULTS / "evidence")
    failed = 0
    if not show:
        sources = {name: path for name, path in (("omniglot", omniglot), ("cifar10", cifar10)) if path is not None}
        options = {"quick": quick, "only": only, "workers": workers}
        tuned = RESULTS / "evidence" if quick else None  # a quick look takes the settings that were found at length
        settings = {"seeds": range(seeds), "sources": sources, "tuned": tuned, **options}
        made = reproduce_tables(trained, out, INSTRUMENTS, **settings)
        failed += _show_progress(made if trained else [])
        for study in studies:
            failed += _show_parts(measure_missing(study, apart, sources=sources, **options))
    rows = [row for table in trained for row in table_rows(table, out, None if further else range(seeds))]
    rows += [row for study in studies for row in study.lines(apart)]
    if show and all(row.get("missing") is True or row.get("accuracy", 0) is None for row in rows):
        looked = " or ".join(dict.fromkeys(str(folder.resolve()) for folder in (out, apart)))
        raise ValueError(f"there are no records in {looked}: name their folder with --out, or make them without --show")
    if json_:
        print(json.dumps(rows, indent=2))
    else:
        for each in chosen:
            print(f"{each.title} ({each.name})")
            for row in rows:
                if row["table"] == each.name:
                    print(f"  {_as_line(row) if each in trained else _as_words(row)}")
    return 1 if failed else 0


@contextmanager
def _kept() -> Iterator[None]:
    """Say what is left of work that is stopped."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note("; the same command goes on after the last record")
        raise


@_kept()
def _show_parts(parts: Iterable) -> int:
    """Tell of each part of a study as it is finished; return how many failed."""
    failed = 0
    for part, error in parts:
        failed += error is not None
        print(f"failed {part}: {error}" if error else part, file=sys.stderr, flush=True)
    return failed


def _as_words(row: dict[str, Any]) -> str:
    """Return a row of a study as it is read."""
    if row.get("missing"):
        return f"{row['part']}: not measured yet"
    said = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in said.items() if name != "table")


@_kept()
def _show_progress(progress: Iterable) -> int:
    """Show what gets done, on a bar or line by line; return how much failed."""
    failed = 0
    with tqdm(unit="record", disable=not sys.stderr.isatty()) as bar:
        for step in progress:
            failed += step.error is not None
            bar.total = step.total
            bar.update(step.done - bar.n)
            minutes = f"{step.seconds_left / 60:.0f} min left"
            bar.set_postfix_str(minutes)
            if step.error is not None:
                bar.write(f"{step.done}/{step.total} failed {step.what}: {step.error}", file=sys.stderr)
            elif bar.disable:
                print(f"{step.done}/{step.total} {step.what}, {minutes}", file=sys.stderr, flush=True)
    if failed:
        print(f"{failed} of the records failed; the same command tries them again", file=sys.stderr)
    return failed


def _as_line(row: dict[str, Any]) -> str:
    """Return a row of a table as it is read."""
    name = f"{row['data']:15}{row['shots']}-shot  {row['label']:28}"
    if row["accuracy"] is None:
        return f"{name}not measured yet"
    macs = "" if row["macs_ratio"] is None else f"{row['macs_ratio']:.1%}{'†' if row['off_budget'] else ' '}"
    said = f"{name}{_percent(row['accuracy'], row['ci95'])} %  MACs {macs:>7} {row['seeds']} seeds"
    if row["difference"] is None:
        return said
    p = "" if row["p"] is None else f", p {row['p']:.2g}"
    return f"{said}  {_percent(row['difference'], row['difference_ci95'], '+')} to {row['reference']}{p}"


def _percent(share: float, half: float | None, sign: str = "") -> str:
    return f"{100 * share:{sign}5.1f}" + ("" if half is None else f" ± {100 * half:4.1f}")


COMMANDS = {"reproduce": reproduce_command, "bench": bench_command, "readme": readme_command}

if __name__ == "__main__":
    sys.exit(main())
