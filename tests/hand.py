"""A reader's hand in the browser: it drags by mouse or by finger and moves sliders by their keys."""


def drag(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press at one point of the window, move to another and let go: by finger where the page has touch."""
    places = [tuple(a + (b - a) * step / 4 for a, b in zip(start, end, strict=True)) for step in range(5)]
    if not page.evaluate("() => navigator.maxTouchPoints > 0"):
        page.mouse.move(*start)
        page.mouse.down()
        for place in places:
            page.mouse.move(*place)
        page.mouse.up()
        return
    finger = page.context.new_cdp_session(page)
    for kind, place in [("touchStart", start), *(("touchMove", place) for place in places), ("touchEnd", None)]:
        points = [{"x": place[0], "y": place[1]}] if place else []
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def drag_by(page, handle, right: float, down: float) -> None:
    """Drag a handle so many pixels from its middle."""
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    drag(page, (x, y), (x + right, y + down))


def move_everything(page, sliders: tuple[str, ...], check) -> list[tuple[float, ...]]:
    """Move each slider by its keys, then each handle of a drawing by keys and by dragging; return what `check` returns.

    sliders: their labels. check: compares what the page says and returns all that was set; it is asked before the first
    move and after each, and everything that it returns must have been moved.
    """
    seen = [check(page)]
    for name in sliders:
        for keys in (["Home"], ["PageUp"], ["End"], ["PageDown", "PageDown", "ArrowRight"]):
            press(page.get_by_label(name, exact=True), *keys)
            seen.append(check(page))
    for handle in page.locator("g[role=slider]").all():
        press(handle, "ArrowRight", "ArrowUp")
        seen.append(check(page))
        drag_by(page, handle, 30, -25)
        seen.append(check(page))
    assert all(len(set(values)) >= 3 for values in zip(*seen, strict=True)), "one of the handles moves nothing"
    return seen


def press(handle, *keys: str) -> None:
    """Press keys on a handle, one after the other."""
    handle.focus()
    for key in keys:
        handle.press(key)
