"""What nbval does not compare when it runs the chapters: markup, whose text stands beside it, and warnings."""


def pytest_collectstart(collector):
    """Extend what nbval leaves out for notebooks by the kinds of output that hold drawings or machine details."""
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += ("text/html", "image/svg+xml", "stderr")
