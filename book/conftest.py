"""What nbval does not compare: markup that has text beside it, and stderr."""


def pytest_collectstart(collector):
    """Leave out, for notebooks, what holds drawings or machine details."""
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += ("text/html", "image/svg+xml", "stderr")
