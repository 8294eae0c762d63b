"""How nbval compares notebooks: text, and numbers within a tolerance."""

import re
from contextlib import suppress

import nbval.kernel

NUMBER = re.compile(r"(?<![\w.])[-−+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")


def started(*args, start=nbval.kernel.start_new_kernel, **options):
    """Start a kernel; if it dies, another: its port may be taken."""
    for _ in range(2):
        with suppress(RuntimeError):
            return start(*args, **options)
    return start(*args, **options)


nbval.kernel.start_new_kernel = started


def pytest_collectstart(collector):
    """Leave out, for notebooks, what holds drawings or machine details."""
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += ("text/html", "image/svg+xml", "stderr")


def pytest_itemcollected(item):
    """Compare numbers within the `tolerance` in the cell's metadata, if any.

    It is {"relative": …, "absolute": …, "why": …}. A cell that neither prints
    nor asserts is marked as one that compares nothing.
    """
    if type(item).__name__ != "IPyNbCell":
        return
    if not compares(item.cell):
        item.user_properties.append(("compares", "nothing"))
    if "tolerance" not in item.cell.metadata:
        return
    tolerance, sanitize = item.cell.metadata["tolerance"], item.sanitize

    def near(output):
        text = sanitize(output)
        near_to = (
            tolerance.get("relative", 0.0),
            tolerance.get("absolute", 0.0),
        )
        return Near(text, near_to) if isinstance(text, str) else text

    item.sanitize = near


def compares(cell):
    """Whether a run of the cell can fail for more than an error."""
    tags = cell.metadata.get("tags", ())
    if "raises-exception" in tags or re.search(r"\bassert", cell.source):
        return True
    prints = any(
        output.get("name") == "stdout"
        or set(output.get("data", {})) == {"text/plain"}
        for output in cell.outputs
    )
    return prints and "nbval-ignore-output" not in tags


def pytest_report_teststatus(report):
    """Count cells that compare nothing apart from the tests passed."""
    nothing = dict(report.user_properties).get("compares") == "nothing"
    if nothing and report.when == "call" and report.passed:
        return "only run", ".", "ONLY RUN"
    return None


class Near(str):
    """Text that equals another of the same words if the numbers are near."""

    def __new__(cls, text, tolerance):
        """Make it; tolerance: relative and absolute; the larger counts."""
        new = super().__new__(cls, text)
        new.tolerance = tolerance
        return new

    def __eq__(self, other):
        """Whether the other's words are these and its numbers near."""
        if re.sub(r"\s+", " ", NUMBER.sub("#", self)) != re.sub(
            r"\s+", " ", NUMBER.sub("#", other)
        ):
            return False
        relative, absolute = self.tolerance
        pairs = zip(_numbers(self), _numbers(other), strict=True)
        return all(
            abs(one - two) <= max(absolute, relative * abs(one)) + 1e-12
            for one, two in pairs
        )

    def __ne__(self, other):
        """Whether a word differs, or a number is too far off."""
        return not self == other

    __hash__ = str.__hash__


def _numbers(text):
    return [
        float(found.replace(",", "").replace("−", "-"))
        for found in NUMBER.findall(text)
    ]
