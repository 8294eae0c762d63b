"""What nbval does not compare: markup, whose text stands beside it; warnings."""


def pytest_collectstart(collector):
    """Leave out, for notebooks, what holds drawings or details of the machine."""
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += ("text/html", "image/svg+xml", "stderr")
