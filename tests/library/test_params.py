"""Parameters as a whole: taking apart, averaging, and files that are whole or not there."""

import os

import numpy as np
import pytest
import torch

from mglib.params import (
    PART,
    load,
    merge,
    new_folder,
    save,
    split,
    under_prefix,
    weighted_mean,
    whole_number,
    with_prefix,
    write_atomically,
    write_new,
)

PARAMS = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}


def test_split_and_merge_undo_each_other():
    inside, outside = split(PARAMS, {"b"})
    assert (list(inside), list(outside)) == (["b"], ["a"])
    merged = merge(PARAMS, {"b": torch.zeros(2, 2)})
    assert list(merged) == ["a", "b"]
    assert torch.equal(merged["a"], PARAMS["a"])
    assert not merged["b"].any()


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"\['c'\]; there are \['a', 'b'\]"):
        split(PARAMS, {"c"})


def test_the_mean_weighs_by_share():
    other = {name: value + 4 for name, value in PARAMS.items()}
    torch.testing.assert_close(weighted_mean([PARAMS, other], [3, 1]), {n: v + 1 for n, v in PARAMS.items()})


@pytest.mark.parametrize(
    ("several", "weights", "message"),
    [
        ([], [], "at least one"),
        ([PARAMS], [1, 2], "1 sets of parameters and 2 weights"),
        ([PARAMS, PARAMS], [1, 0], "must all be positive"),
        ([PARAMS], [float("nan")], "must all be positive"),
        ([PARAMS, {"a": PARAMS["a"]}], [1, 1], "different names"),
    ],
)
def test_a_mean_that_has_no_meaning_is_refused(several, weights, message):
    with pytest.raises(ValueError, match=message):
        weighted_mean(several, weights)


def test_two_sets_share_a_file_under_prefixes(tmp_path):
    save(tmp_path / "both", with_prefix("x/", PARAMS) | with_prefix("y/", {"a": torch.zeros(1)}), {"of": "two"})
    tensors, metadata = load(tmp_path / "both")
    assert metadata == {"of": "two"}
    assert under_prefix("x/", tensors).keys() == PARAMS.keys()
    assert all(torch.equal(value, PARAMS[name]) for name, value in under_prefix("x/", tensors).items())
    assert under_prefix("y/", tensors)["a"].shape == (1,)


def test_a_transposed_tensor_is_saved_and_loaded(tmp_path):
    turned = torch.arange(6.0).view(2, 3).T
    save(tmp_path / "file", {"a": turned})
    assert torch.equal(load(tmp_path / "file")[0]["a"], turned)


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    write_atomically(tmp_path / "file", b"old")
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "file", "no bytes")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_takes_its_name_once_its_bytes_are_on_disk(tmp_path, monkeypatch):
    done = []

    def noted(name):
        call = getattr(os, name)
        return lambda *arguments: done.append(name) or call(*arguments)

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name))
    write_atomically(tmp_path / "file", b"new")
    assert done == ["fsync", "replace"]


def test_two_writers_of_one_file_both_leave_it_whole(tmp_path, monkeypatch):
    replace = os.replace

    def overtaken(source, target):  # the other writer begins later and is done sooner
        monkeypatch.setattr(os, "replace", replace)
        write_atomically(tmp_path / "file", b"other")
        replace(source, target)

    monkeypatch.setattr(os, "replace", overtaken)
    write_atomically(tmp_path / "file", b"own")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"own"}


def test_a_full_disk_is_told_with_the_files_name(tmp_path, full_disk):
    with full_disk(bytes_left=10), pytest.raises(OSError, match=r"a/file'$"):
        write_new(tmp_path / "a" / "file", bytes(1000))
    assert list((tmp_path / "a").iterdir()) == []


def test_a_new_file_takes_the_place_of_none(tmp_path):
    write_new(str(tmp_path / "a" / "file"), b"new")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("a/file", "a", "link"):
        with pytest.raises(ValueError, match=f"{name} exists already; choose a new file"):
            write_new(tmp_path / name, b"other")
    assert (tmp_path / "a" / "file").read_bytes() == b"new"


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="nothing does not exist"):
        load(tmp_path / "nothing")


def test_a_folder_that_cannot_be_begun_is_told_by_its_own_name(tmp_path):
    long = tmp_path / ("n" * 250)  # of the file system's 255 characters, to which the temporary folder's name adds
    with pytest.raises(OSError, match="too long") as error, new_folder(long):
        pytest.fail("nothing is lent")
    assert error.value.filename == str(long)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file'$"), new_folder(tmp_path / "file" / "new"):
        pytest.fail("nothing is lent")


@pytest.mark.parametrize("yes", [True, np.True_, torch.tensor(True)])
def test_a_yes_of_any_type_is_no_whole_number(yes):
    with pytest.raises(ValueError, match=r"`n` \(=.*True.*must be a whole number"):
        whole_number("n", yes)
    assert whole_number("n", torch.tensor(1)) == 1


def fill(path):
    path.write_text("half")
    raise OSError("the disk is full")


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_is_filled_whole_or_not_at_all(tmp_path, there):
    folder = tmp_path / "above" / "new"
    if there:
        folder.mkdir(parents=True)
        (folder / f".of a killed process{PART}").touch()
    with pytest.raises(OSError, match="full"), new_folder(folder) as part:
        fill(part / "a")
    assert folder.exists() == there
    assert len(list(tmp_path.rglob("*"))) == 1 + 2 * there, "nothing is left behind"
    with new_folder(folder) as part:
        (part / "a").write_text("one")
        (part / "b").write_text("two")
        assert not (folder / "a").exists()
    assert sorted(path.name for path in folder.iterdir() if path.suffix != PART) == ["a", "b"]
    for taken in (folder, folder / "a"):
        with pytest.raises(ValueError, match=f"{taken} is not an empty folder"), new_folder(taken):
            pytest.fail("there is something already")
    assert (folder / "a").read_text() == "one"
