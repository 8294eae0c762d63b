"""Chapter 13: the theorem's two terms and their sum over the rate, under the reader's hand."""

from figures.widgets import Live

LARGEST = 0.5  # u = η K Λ may not be larger
STEPS = [1, 2, 3, 5, 10, 20, 30, 50, 100]
ROUNDS = [digit * 10**power for power in range(1, 7) for digit in (1, 3, 6)]


def play_bound(
    smoothness: float,
    fall: float,
    dissimilarity: float,
    count: int,
    *,
    steps: int,
    sampled: int,
    rounds: int,
    caption: str = "",
) -> Live:
    """Return the bound on the mean squared gradient against the rate η, up to the largest that the theorem allows.

    smoothness: Λ; fall: F at the start minus its least value; dissimilarity: σ², the largest V; count: of all nodes.
    steps, sampled, rounds: K, S and T at first, each one of those that its slider goes through.

    Raises:
        ValueError: if a slider does not go there.
    """
    choices = {"steps": STEPS, "sampled": list(range(1, count + 1)), "rounds": ROUNDS}
    chosen = {"steps": steps, "sampled": sampled, "rounds": rounds}
    for name, value in chosen.items():
        if value not in choices[name]:
            raise ValueError(f"`{name}` (={value}) must be one of {choices[name]}")
    constants = {"smoothness": smoothness, "fall": fall, "dissimilarity": dissimilarity}
    data = {name: round(value, 6) for name, value in constants.items()}
    data |= {"u": LARGEST, "count": count, "choices": choices, "rate": LARGEST / (steps * smoothness)} | chosen
    alt = (
        f"Three curves over the rate of the local steps, both axes in powers of ten, for {steps} local steps on "
        f"{sampled} of {count} nodes and {rounds} rounds: a term that falls with the rate, a floor that rises with it, "
        "and their sum, the bound, with a mark where it is least. Beyond the largest rate allowed the plane is grey. A "
        "handle chooses the rate; the terms are given below."
    )
    return Live("bound.js", data, caption, alt)
