"""Studies: what is measured beside the tables, by the same command; a part is one record in a file of its own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studies import attacks, compression, convergence, leaks, networks, prices, privacy, questions, swaps
from studies.cells import read_record, write_record
from studies.workers import Failure, run_jobs

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """A measurement in parts.

    parts: what each part changes, by name; measure: (changes, quick) → its record; rows: what a table says of it.
    folders: the options that name its images' folders, which are then among the changes.
    """

    name: str
    title: str
    parts: Mapping[str, Changes]
    measure: Callable[[Changes, bool], dict]
    rows: Callable[[str, dict], list[dict]]
    folders: tuple[str, ...] = ()

    def path(self, folder: Path, part: str) -> Path:
        """Return the file of a part under the folder of the results."""
        return folder / self.name / f"{part}.json"

    def lines(self, folder: Path) -> list[dict[str, Any]]:
        """Return the rows of all parts from their files alone; a part without a file says that it is missing."""
        lines = []
        for part in self.parts:
            record = read_record(self.path(folder, part))
            rows = [{"missing": True}] if record is None else self.rows(part, record)
            lines += [{"table": self.name, "part": part, **row} for row in rows]
        return lines


def measure_missing(
    study: Study,
    folder: Path,
    *,
    quick: bool = False,
    only: str = "",
    workers: int = 2,
    sources: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, str | None]]:
    """Measure the parts that have no file, or only a quick look's; yield the name of each, and why it failed if it did.

    sources: folders of images, by the name of their option.
    """
    images = {name: (sources or {}).get(name) for name in study.folders}
    wanted = [part for part in study.parts if only in f"{study.name}/{part}"]
    kept = {part: read_record(study.path(folder, part)) for part in wanted}
    parts = [part for part, record in kept.items() if record is None or (record.get("quick") and not quick)]
    jobs = [(study.name, part, folder, quick, images) for part in parts]
    for (name, part, *_), outcome in run_jobs(_measure_part, jobs, workers):
        yield f"{name}/{part}", outcome.reason if isinstance(outcome, Failure) else None


def _measure_part(job: tuple[str, str, Path, bool, Changes]) -> None:
    name, part, folder, quick, images = job
    study = STUDIES[name]
    write_record(study.path(folder, part), study.measure({**study.parts[part], **images}, quick))


STUDIES = {
    study.name: study
    for study in (
        Study(
            "convergence",
            "The squared gradient against rounds, by local steps, nodes and dealing",
            convergence.PARTS,
            convergence.measure_part,
            convergence.convergence_rows,
        ),
        Study(
            "gates",
            "Accuracy lost under other gates than the network's own, of as many filters",
            {f"glyphs-gated-50-seed{seed}": {"seed": seed} for seed in range(5)},
            swaps.measure_seed,
            swaps.swap_rows,
        ),
        Study(
            "prices",
            "What networks spend that were trained at a fixed price of MACs, and at one that the server sets",
            prices.PARTS,
            prices.measure_price,
            prices.price_rows,
            folders=("omniglot", "cifar10"),
        ),
        Study(
            "networks",
            "Accuracy on validation nodes with photographs, of dense networks by depth, width and rate",
            networks.PARTS,
            networks.measure_network,
            networks.network_rows,
            folders=("cifar10",),
        ),
        Study(
            "questions",
            "Accuracy on new nodes that are asked different things, by method, budget and how much they differ",
            questions.question_parts(range(5)),
            questions.measure_questions,
            questions.question_rows,
        ),
        Study(
            "attacks",
            "Accuracy on new nodes when three training nodes in ten lie, by what the server takes for the average",
            attacks.PARTS,
            attacks.measure_attack,
            attacks.attack_rows,
        ),
        Study(
            "privacy",
            "Accuracy and gates after training with clipped and noisy updates, and the ε of it",
            privacy.privacy_parts(range(5)),
            privacy.measure_privacy,
            privacy.privacy_rows,
        ),
        Study(
            "compression",
            "Bytes that a node sends in a round against accuracy on new nodes",
            compression.compression_parts(range(5)),
            compression.measure_compression,
            compression.compression_rows,
        ),
        Study(
            "inversion",
            "Support sets sought from the gradients that would leave a node",
            leaks.inversion_parts(range(5)),
            lambda changes, quick: leaks.measure_inversion(**changes, quick=quick),
            leaks.inversion_rows,
        ),
    )
}
