"""Flower without processes: what travels, who takes part, what becomes of bad answers, and what is refused."""

import json
import re
import signal
import tomllib
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.cli.typing import SuperLinkConnection
from flwr.common.serde import message_to_proto
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given
from hypothesis import strategies as st
from image_files import pixels_of, write_image
from PIL import Image
from small_data import small_recipe, write_alphabets

from mglib.__main__ import main
from mglib.federated import Refusal, Round, RoundFailed, Update, admit
from mglib.flower import Connection, client_app, driver, own_node, server_app, train_on_flower
from mglib.flower.driver import pack_state, received_lines, send_line, send_state, unpack_state
from mglib.flower.messages import Member, Order, pack_update, unpack_update
from mglib.flower.node import node_command_line
from mglib.flower.server_app import FlowerEngine, Registry, decided
from mglib.training import Recipe, Run, adapt_to_folder, evaluate_run, set_up
from mglib.training.algorithms import client_update, network_of

ROUNDS = 4


@pytest.fixture(scope="module")
def recipe(folder):
    return small_recipe(folder, rounds=ROUNDS, nodes_per_round=2, quorum=1)


@pytest.fixture(scope="module", autouse=True)
def identity():
    """Flower asks who is speaking before it lets a message be made."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


# --- what travels --------------------------------------------------------------------------------------------------


def order_of(recipe, position=0):
    experiment = set_up(recipe)
    return experiment, Order(experiment.initial, experiment.recipe, Round(2, ROUNDS, recipe.seed), position)


def as_received(content):
    """A message as a node gets it, without a superlink between."""
    return Message(content=content, message_type="train", dst_node_id=1)


def context_of(folder):
    return Context(run_id=1, node_id=1, node_config={"data": f"folder:{folder}", "node": ""}, state=RecordDict(),
                   run_config={})  # fmt: skip


def test_an_order_and_its_answer_arrive_as_they_were_sent(recipe):
    experiment, order = order_of(recipe, position=1)
    there = Order.unpack(order.pack())
    assert there.recipe == order.recipe
    assert (there.round, there.position) == (order.round, 1)
    assert all(torch.equal(there.params[name], value) for name, value in experiment.initial.items())
    update = Update("node", order.params, 7.0, {"loss": 0.5}, 2)
    back = unpack_update("node", pack_update(update))
    assert (back.weight, back.metrics, back.round) == (7.0, {"loss": 0.5}, 2)


def test_a_node_computes_what_the_engine_in_process_computes_and_its_images_stay(recipe, folder):
    experiment, order = order_of(recipe)
    reply = client_app.compute(as_received(order.pack()), context_of(folder / "alphabet0"))
    update = client_update(order.recipe, experiment.net)
    expected = update(order.params, experiment.federation.train[0], 0, order.round)
    found = unpack_update("alphabet0", reply.content)
    assert all(torch.equal(found.params[name], expected.params[name]) for name in expected.params)
    assert found.weight == expected.weight
    node = own_node({"data": f"folder:{folder / 'alphabet0'}"}, recipe)
    assert {name: type(record).__name__ for name, record in reply.content.items()} == {
        "params": "ArrayRecord",
        "metrics": "MetricRecord",
        "answer": "ConfigRecord",
    }
    assert set(reply.content["params"]) == set(experiment.initial)
    assert set(reply.content["answer"]) == {"weight", "round"}
    wire = message_to_proto(reply).SerializeToString()
    for image in node.images:
        assert image.numpy().tobytes() not in wire
        assert (image.float() / 255).numpy().tobytes() not in wire
    assert not any(name.encode() in wire for name in node.classes)


def introduced(recipe, folder):
    question = RecordDict({"order": ConfigRecord({"recipe": recipe.dumps()})})
    return client_app.introduce(as_received(question), context_of(folder)).content


def test_an_introduction_says_a_name_and_three_numbers_only(recipe, folder):
    said = dict(introduced(recipe, folder / "alphabet1")["introduction"])
    assert 0 < said.pop("bright") < 48 * 14 * 14 // 2
    assert said == {"name": "alphabet1", "channels": 1, "pixels": 48 * 14 * 14}
    assert list(introduced(recipe, folder / "alphabet1")) == ["introduction"]


@pytest.mark.parametrize("bright", [1, 4])
def test_the_superlink_decides_on_polarity_as_one_process_does(tmp_path, bright):
    folder = write_alphabets(tmp_path)
    for file in (file for number in range(bright) for file in (folder / f"alphabet{number}").rglob("*.png")):
        Image.fromarray(255 - pixels_of(file)).save(file)
    recipe = small_recipe(folder)
    said = [introduced(recipe, node)["introduction"] for node in sorted(folder.iterdir())]
    members = [Member(0, *(one[name] for name in ("name", "channels", "pixels", "bright"))) for one in said]
    assert decided(recipe, members) == set_up(recipe).recipe
    assert decided(recipe, members).invert is (bright == 4)
    assert decided(replace(recipe, invert=False, channels=3), members) == replace(recipe, invert=False, channels=3)
    in_colour = [*members, members[0]._replace(channels=3)]
    assert decided(recipe, in_colour) == replace(recipe, channels=3, invert=False)


@given(count=st.integers(0, 5), longest=st.integers(1, 40_000), rounds=st.integers(1, 10**6))
def test_a_state_arrives_whole_in_lines_among_others(count, longest, rounds):
    params = {"a.weight": torch.randn(longest % 97 + 1, 3), "b": torch.randn(2)}
    state = {f"first.{name}": value * 2 for name, value in params.items()} if count else {}
    with redirect_stdout(StringIO()) as out:
        send_line({"metrics": {"round": 1}})
        send_state(rounds, params, state)
    lines = out.getvalue().splitlines(keepends=True)
    noisy = [line for told in lines for line in ("INFO something else\n", told)]
    first, second = list(received_lines(noisy))
    assert first == {"metrics": {"round": 1}}
    done, there, server = unpack_state(second["state"])
    assert done == rounds
    assert all(torch.equal(there[name], params[name]) for name in params)
    assert server.keys() == state.keys()


# --- the engine, on a grid that is made up -------------------------------------------------------------------------


class Grid:
    """Answers at once, in reverse order, as each node is told to; errors are the superlink's, in the nodes' place.

    behaviours: by Flower's id, what a node makes of a message. Those that are taken out are gone.
    """

    def __init__(self, behaviours):
        self.behaviours, self.sent = behaviours, {}

    def get_node_ids(self):
        return list(self.behaviours)

    def push_messages(self, messages):
        sent = {str(message.metadata.dst_node_id): message for message in messages}
        self.sent |= sent
        return [name if int(name) in self.behaviours else None for name in sent]

    def pull_messages(self, waiting):
        for name in sorted(waiting, reverse=True):
            content = self.behaviours.get(int(name), lambda _: Error(5, "Node Unavailable"))(self.sent[name])
            if content is not None:
                is_error = isinstance(content, Error)
                yield SimpleNamespace(
                    metadata=SimpleNamespace(reply_to_message_id=name, src_node_id=1 if is_error else int(name)),
                    has_error=lambda is_error=is_error: is_error,
                    error=content, content=content,
                )  # fmt: skip


def honest(message):
    order = Order.unpack(message.content)
    moved = {name: value + order.position for name, value in order.params.items()}
    return pack_update(Update("somebody else", moved, 1.0, {"loss": 1.0}, order.round.index))


def answering(**records):
    """A node's answer in which some records are others."""
    usual = pack_update(Update("somebody", {"p": torch.zeros(2)}, 1.0, {"loss": 1.0}, 0))
    return RecordDict({**usual, **records})


def garbage(data, kind="numpy.ndarray"):
    return ArrayRecord({"p": Array(dtype="float32", shape=(2,), stype=kind, data=data)})


def engine_on(recipe, *behaviours, deadline=0.3):
    members = [Member(place, f"node {place}", 1) for place in range(len(behaviours))]
    return FlowerEngine(Grid(dict(enumerate(behaviours))), members, recipe, deadline)


def test_answers_are_put_in_the_order_of_positions_whatever_order_they_come_in(recipe):
    params = {"p": torch.zeros(2)}
    answers = engine_on(recipe, honest, honest, honest).run(params, [0, 1, 2], Round(0, 2, 0))
    assert [float(answer.params["p"][0]) for answer in answers] == [0, 1, 2]
    assert [answer.node for answer in answers] == ["node 0", "node 1", "node 2"], "who sent it, whatever it says"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (lambda message: None, "no answer within 0.3 s"),
        (lambda message: Error(2, "the app raised"), "the app raised (Flower's 2)"),
        (lambda message: RecordDict(), "its records cannot be read: KeyError"),
        (lambda message: RecordDict({"answer": ConfigRecord({})}), "its records cannot be read: KeyError"),
        (lambda message: answering(params=garbage(b"")), "its records cannot be read: EOFError"),
        (lambda message: answering(params=garbage(b"PK\3\4 no zip")), "its records cannot be read: BadZipFile"),
        (lambda message: answering(params=garbage(b"", "pickle")), "its records cannot be read: TypeError"),
        (lambda message: answering(metrics=ConfigRecord({"loss": "low"})), "its loss is a str"),
        (lambda message: answering(metrics=MetricRecord({"loss": [1.0, 2.0]})), "its loss is a list"),
        (lambda message: answering(answer=ConfigRecord({"weight": "9", "round": 0})), "its weight is a str"),
        (lambda message: answering(answer=ConfigRecord({"weight": 9.0, "round": 0.5})), "answers round 0.5"),
    ],
)
def test_a_node_that_does_not_answer_as_it_should_is_refused_with_the_reason(recipe, behaviour, reason):
    params, first = {"p": torch.zeros(2)}, Round(0, 2, 0)
    answers = engine_on(recipe, honest, behaviour).run(params, [0, 1], first)
    (admitted,), (refused,) = admit(params, answers, first)
    assert admitted.node == "node 0"
    assert refused.node == "node 1"
    assert reason in refused.reason


def test_a_node_that_is_gone_is_refused_with_what_the_superlink_says(recipe):
    engine, params = engine_on(recipe, honest, honest, honest, deadline=300), {"p": torch.zeros(2)}
    engine._grid.behaviours[1] = lambda message: engine._grid.behaviours.pop(1) and None  # it dies over it
    answers = engine.run(params, [0, 1], Round(0, 2, 0))
    assert answers[1] == Refusal("node 1", "Node Unavailable (Flower's 5)")
    _, gone, there = engine.run(params, [0, 1, 2], Round(1, 2, 0))
    assert gone == Refusal("node 1", "the superlink took no order for it")
    assert isinstance(there, Update)


# --- who takes part, on a grid that is made up ---------------------------------------------------------------------


def introducing(name="a", channels=1, **more):
    said = {"name": name, "channels": channels, "pixels": 10, "bright": 1, **more}
    return lambda message: RecordDict({"introduction": ConfigRecord(said)})


def places_of(registry):
    return [(member.name, member.node_id) for member in registry.members]


def test_a_restarted_node_takes_the_place_of_its_dead_twin(recipe, capsys):
    grid = Grid({7: introducing("b"), 8: introducing("a"), 9: introducing("c")})
    registry = Registry(grid, 1.0)
    registry.gather(recipe, 3, 1.0)
    engine = FlowerEngine(grid, registry.members, recipe, 1.0)
    assert places_of(registry) == [("a", 8), ("b", 7), ("c", 9)]
    grid.behaviours[3] = introducing("b")  # it is back before the superlink has noticed that it was gone
    registry.look(recipe)
    assert places_of(registry) == [("a", 8), ("b", 7), ("c", 9)]
    registry.look(recipe)
    (told,) = received_lines(capsys.readouterr().out.splitlines(keepends=True))
    assert "a second node is called b" in told["note"]
    del grid.behaviours[7]
    registry.look(recipe)
    assert places_of(registry) == [("a", 8), ("b", 3), ("c", 9)]
    assert len(engine) == 3, "its dead twin is no longer there"


def test_a_second_node_of_a_name_ends_nobodys_training(recipe, capsys):
    grid = Grid({1: introducing("a"), 2: introducing("a")})
    registry = Registry(grid, 1.0)
    with pytest.raises(
        RoundFailed, match=r"1 of 2 nodes were there after 0\.1 s: a; a second node is called a .*--node"
    ):
        registry.gather(recipe, 2, 0.1)
    registry.gather(recipe, 1, 0.1)
    grid.behaviours |= {3: introducing("a"), 4: introducing("b")}
    registry.look(recipe)
    assert places_of(registry) == [("a", 1), ("b", 4)]
    assert len(list(received_lines(capsys.readouterr().out.splitlines(keepends=True)))) == 2
    del grid.behaviours[1]
    registry.look(recipe)
    assert places_of(registry) == [("a", 3), ("b", 4)]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (lambda message: RecordDict(), "KeyError"),
        (lambda message: RecordDict({"introduction": ConfigRecord({"name": "a"})}), "KeyError"),
        (lambda message: Error(2, "the app\x1b[2J raised"), "the app [2J raised (Flower's 2)"),
        (introducing(7), "its name must be text"),
        (introducing(" "), "its name must be text"),
        (introducing("two\nlines"), "its name must be text"),
        (introducing("a" * 201), "of 1 to 200 characters"),
        (introducing(channels=2), "node 'a': channels must be 1 or 3, not 2"),
        (introducing(channels="3"), "channels must be 1 or 3, not '3'"),
        (introducing(channels=True), "channels must be 1 or 3, not True"),
        (introducing(channels=[1]), "channels must be 1 or 3, not [1]"),
        (introducing(bright=11), "node 'a': 11 bright pixels of 10"),
        (introducing(pixels="many"), "1 bright pixels of 'many'"),
    ],
)
def test_a_bad_introduction_is_passed_over_with_the_reason_once(recipe, behaviour, reason, capsys):
    grid = Grid({1: behaviour, 2: introducing("b", more="than is asked")})
    registry = Registry(grid, 1.0)
    registry.gather(recipe, 1, 1.0)
    registry.look(recipe)
    assert places_of(registry) == [("b", 2)]
    (told,) = received_lines(capsys.readouterr().out.splitlines(keepends=True))
    assert reason in told["note"]


def test_a_node_that_is_held_out_takes_no_part_and_hears_why(recipe, capsys):
    registry = Registry(Grid({1: introducing("a"), 2: introducing("alphabet3")}), 1.0)
    registry.gather(recipe, 1, 1.0)
    assert recipe.held_out == ("alphabet3",)
    assert places_of(registry) == [("a", 1)]
    (told,) = received_lines(capsys.readouterr().out.splitlines(keepends=True))
    assert told["note"] == "alphabet3 is held out and takes no part"


def trained_elsewhere(recipe, out, monkeypatch, *names):
    """Leave what a training on nodes elsewhere leaves, of which the superlink told one round."""

    def submitted(folder, config, connection):
        sent = replace(Recipe.loads(config["recipe"]), channels=1, invert=True)
        yield from ({"recipe": sent.dumps()}, {"metrics": {"round": 0, "nodes": names}})
        yield {"state": pack_state(1, network_of(sent)[1], {})}

    monkeypatch.setattr("mglib.flower.driver._submitted", submitted)
    train_on_flower(recipe, out, Connection("127.0.0.1:1"))
    return Run(out)


@pytest.mark.filterwarnings("ignore:most pixels")  # the made-up superlink says that all images are dark on light
def test_nodes_elsewhere_are_not_evaluated_on_again(recipe, folder, tmp_path, monkeypatch):
    run = trained_elsewhere(recipe, tmp_path / "run", monkeypatch, "alphabet0", "alphabet1")
    assert json.loads(run.nodes_file.read_text())["train"].keys() == {"alphabet0", "alphabet1"}
    with pytest.raises(ValueError, match="were elsewhere: name data"):
        evaluate_run(run, tasks=2)
    with pytest.raises(ValueError, match=r"trained on: alphabet0 \(alphabet0\), alphabet1 \(alphabet1\)"):
        evaluate_run(run, tasks=2, data=f"folder:{folder}")
    scored = evaluate_run(run, tasks=2, data=f"folder:{folder}", nodes=["alphabet3", "alphabet3"])
    assert scored["nodes"] == ["alphabet3"]


def test_a_run_on_nodes_elsewhere_knows_their_polarity(recipe, tmp_path, monkeypatch):
    run = trained_elsewhere(replace(recipe, data="glyphs"), tmp_path / "run", monkeypatch, "a", "b")
    support = tmp_path / "own"
    for number in range(recipe.ways):
        write_image(support / f"{number}.png", value=20 * number)  # dark, as the run's before they were turned
    with pytest.warns(UserWarning, match="--invert False"):
        network, _ = adapt_to_folder(run, support)
    assert network.inverted


def test_a_run_elsewhere_lies_outside_its_data_and_knows_their_whole_path(recipe, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    near = replace(recipe, data=f"folder:{folder.name}")
    with pytest.raises(ValueError, match="lies in the data"):
        train_on_flower(near, folder / "run", Connection("127.0.0.1:1"))
    run = trained_elsewhere(near, folder.parent / "far", monkeypatch, "alphabet0")
    assert Recipe.load(run.recipe_file).data == f"folder:{folder}"


@pytest.mark.parametrize("change", [{"rotate": True}, {"new_nodes": "unseen-sets"}, {"nodes": (2, 1, 1)}])
def test_nodes_elsewhere_are_who_they_are(recipe, tmp_path, change):
    with pytest.raises(ValueError, match=f"`{next(iter(change))}`.*those elsewhere are who they are"):
        train_on_flower(replace(recipe, **change), tmp_path / "run", Connection("127.0.0.1:1"))


def test_a_node_s_configuration_takes_any_name_of_a_folder():
    *_, config, _, _ = node_command_line(Connection("127.0.0.1:1"), "folder:/data/🙂 é", "ø")
    values = dict(part.split("=", 1) for part in re.findall(r'\w+="[^"]*"', config))
    assert {name: tomllib.loads(f"x = {value}")["x"] for name, value in values.items()} == {
        "data": "folder:/data/🙂 é", "node": "ø",
    }  # fmt: skip


def test_a_silent_stranger_holds_nobody_up(recipe):
    grid = Grid({1: introducing("a"), 2: lambda message: None})
    registry = Registry(grid, 1.0)
    registry.gather(recipe, 1, 0.2)
    assert places_of(registry) == [("a", 1)]
    grid.behaviours[2] = introducing("b")
    registry.look(recipe)
    assert places_of(registry) == [("a", 1), ("b", 2)], "its answer is received when it comes"


def test_a_training_ends_in_the_bits_of_its_honest_nodes(recipe, folder, capsys):
    recipe = replace(recipe, nodes_per_round=3)

    def working(name):
        def node(message):
            work = client_app.introduce if message.metadata.message_type == "query" else client_app.compute
            return work(message, context_of(folder / name)).content

        return node

    def lying(message):
        if message.metadata.message_type == "query":
            return introducing("zeta")(message)
        return answering(metrics=MetricRecord({"round": 5}), answer=ConfigRecord({"weight": 1e300, "round": 0}))

    grid = Grid(
        {1: working("alphabet1"), 2: lying, 3: working("alphabet0"), 4: introducing("alphabet0"), 5: introducing(3)}
    )
    config = {"recipe": recipe.dumps(), "deadline": 30.0, "patience": 5.0, "state": "", "rounds_per_checkpoint": 10}
    server_app.main(grid, SimpleNamespace(run_config=config))
    told = list(received_lines(capsys.readouterr().out.splitlines(keepends=True)))
    assert told[-1] == {"done": True}
    assert len([what for what in told if "note" in what]) == 2
    for metrics in (what["metrics"] for what in told if "metrics" in what):
        assert metrics["nodes"] == ["alphabet0", "alphabet1"]
        assert metrics["refused"].keys() == {"zeta"}
    (state,) = (what["state"] for what in told if "state" in what)
    _, params, _ = unpack_state(state)
    *_, near = set_up(replace(recipe, nodes_per_round=2)).rounds()
    assert all(torch.equal(params[name], value) for name, value in near.params.items())


def test_a_fault_on_the_superlink_is_told_to_the_driver(recipe, capsys):
    with pytest.raises(KeyError):
        server_app.main(Grid({}), SimpleNamespace(run_config={"recipe": recipe.dumps(), "deadline": 1.0}))
    (told,) = received_lines(capsys.readouterr().out.splitlines(keepends=True))
    assert told == {"failed": "KeyError: 'patience'"}


def test_a_finished_run_keeps_no_checkpoint(recipe, tmp_path):
    run, (_, params) = Run(tmp_path), network_of(recipe)
    recipe.save(run.recipe_file)
    run.finish(params)
    run.keep(recipe.rounds, params, {})  # as a kill between the two files of `finish` leaves it
    train_on_flower(recipe, tmp_path, Connection("127.0.0.1:1"), resume=True)
    assert not run.checkpoint_file.exists()


def test_the_driver_warns_of_who_takes_no_part_and_of_garbled_lines(recipe, tmp_path, monkeypatch):
    _, params = network_of(replace(recipe, channels=1))
    told = [{"recipe": replace(recipe, channels=1).dumps()}, {"note": "a second node is called a"},
            {"state": pack_state(1, params, {})}]  # fmt: skip
    monkeypatch.setattr("mglib.flower.driver._submitted", lambda *rest: (line for line in told))
    with pytest.warns(UserWarning, match="a second node is called a"):
        train_on_flower(recipe, tmp_path / "run", Connection("127.0.0.1:1"))
    assert Run(tmp_path / "run").finished
    with pytest.raises(RoundFailed, match=r"cannot be read: 'mglib: {"):
        list(received_lines(['mglib: {"metrics": {"ro\n']))


# --- what is refused before anything runs --------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["example.org:9092", "10.1.2.3:9092", "[2001:db8::1]:9092"])
def test_a_superlink_elsewhere_is_not_reached_without_a_certificate(address):
    with pytest.raises(ValueError, match="--root-certificates"):
        Connection(address)


@pytest.mark.parametrize("address", ["localhost:9092", "127.0.0.1:9092", "[::1]:9092"])
def test_a_superlink_on_this_machine_is(address):
    assert "--insecure" in Connection(address).options


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:", ":9092", "localhost:http", "localhost:0", "localhost:65536"]
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match="HOST:PORT"):
        Connection(address)


def test_a_relative_path_of_a_certificate_reaches_flwr_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = 'an "authority" \\ é.crt'
    (tmp_path / name).touch()
    settings = tomllib.loads(Connection("example.org:9092", Path(name)).settings)["superlink"]["mglib"]
    assert settings == {"address": "example.org:9092", "root-certificates": str(tmp_path / name)}
    assert SuperLinkConnection("mglib", settings["address"], settings["root-certificates"])
    assert tomllib.loads(Connection("[::1]:9092").settings)["superlink"]["mglib"]["insecure"] is True


def test_a_training_without_flower_installed_leaves_no_folder(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("mglib.flower.connection.shutil.which", lambda *_, **__: None)
    with pytest.raises(ValueError, match="there is no flwr here"):
        train_on_flower(recipe, tmp_path / "run", Connection("127.0.0.1:1"))
    assert not (tmp_path / "run").exists()


def test_ctrl_c_while_the_superlink_takes_a_run_stops_that_run(recipe, tmp_path, monkeypatch):
    called = []

    def flwr(home, command, *arguments):
        called.append((command, *arguments[:1]))
        if command == "run":
            signal.raise_signal(signal.SIGINT)
        return {"run-id": 7}

    monkeypatch.setattr(driver, "_flwr", flwr)
    with pytest.raises(KeyboardInterrupt):
        train_on_flower(recipe, tmp_path / "run", Connection("127.0.0.1:1"))
    assert called[1:] == [("stop", "7")]


def test_a_process_that_names_no_superlink_or_no_node_is_refused(folder, capsys):
    assert main(["train", "--engine", "flower"]) == 2
    assert "--superlink" in capsys.readouterr().err
    assert main(["node", "--data", f"folder:{folder}", "--superlink", "127.0.0.1:1"]) == 2
    assert "must name one of the 4 nodes" in capsys.readouterr().err
