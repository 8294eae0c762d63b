"""A real superlink: with a certificate it lets in the nodes whose keys it knows; killed, it costs no finished round."""

import datetime
import ipaddress
import signal
import subprocess

import pytest
import torch
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flower_processes import federation_in, metrics_of, options_of, wait_until
from small_data import small_recipe

from mglib.flower.connection import Connection, environment, program
from mglib.training import Run, train
from mglib.training.algorithms import network_of

ROUNDS = 3
OFTEN = """
import sys
from mglib.__main__ import main
from mglib.flower import driver

driver.ROUNDS_PER_CHECKPOINT = 1
sys.exit(main())
"""


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(subject, issuer, key, signer, *extensions):
    today = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(today - datetime.timedelta(days=1))
    builder = builder.not_valid_after(today + datetime.timedelta(days=2))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem(key):
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)


def write_certificates(place):
    """Write the certificates of an authority and of a superlink at 127.0.0.1; return the superlink's options."""
    authority, link = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    root = (x509.BasicConstraints(ca=True, path_length=None), True)
    (place / "ca.crt").write_bytes(certificate("authority", "authority", authority, authority, root))
    (place / "superlink.pem").write_bytes(certificate("superlink", "authority", link, authority, (host, False)))
    (place / "superlink.key").write_bytes(pem(link))
    files = {"--ssl-ca-certfile": "ca.crt", "--ssl-certfile": "superlink.pem", "--ssl-keyfile": "superlink.key"}
    return [
        *(text for option, file in files.items() for text in (option, str(place / file))),
        "--enable-supernode-auth",
    ]


def key_of(place, name):
    """Write a node's pair of keys as OpenSSH does, and return the private one's path."""
    key = ec.generate_private_key(ec.SECP384R1())
    form = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    (place / name).write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (place / f"{name}.pub").write_bytes(public)
    return place / name


@pytest.fixture(scope="module")
def recipe(folder):
    return small_recipe(folder, rounds=ROUNDS, nodes_per_round=2, quorum=2)


@pytest.fixture(scope="module")
def federation(recipe, tmp_path_factory):
    """A superlink that knows two nodes' keys; a node with another key and one with none have come as well."""
    place, folder = tmp_path_factory.mktemp("federation"), recipe.data.removeprefix("folder:")
    private = ("--root-certificates", str(place / "ca.crt"))
    with federation_in(place) as federation:
        federation.options = write_certificates(place)
        federation.current = federation.superlink(*federation.options)
        operator = place / "operator"
        operator.mkdir()
        (operator / "config.toml").write_text(Connection(federation.address, place / "ca.crt").settings)
        federation.private = private
        for name in ("alphabet1", "alphabet0"):  # they come in another order than they are named
            key = key_of(place, f"{name}.key")
            command = [*federation.prefix, program("flwr"), "supernode", "register", f"{key}.pub", "mglib"]
            done = subprocess.run(command, env=environment(operator), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            federation.node(name, f"folder:{folder}/{name}", *private, "--key", str(key))
        unknown = key_of(place, "unknown.key")
        federation.strangers = {
            "alphabet2": federation.node("alphabet2", f"folder:{folder}/alphabet2", *private, "--key", str(unknown)),
            "alphabet3": federation.node("alphabet3", f"folder:{folder}/alphabet3", *private),
        }
        yield federation


@pytest.fixture(scope="module")
def trained(federation, recipe, tmp_path_factory):
    """The folder of a training whose superlink is killed after its first checkpoint, and what the training says."""
    out = tmp_path_factory.mktemp("trained") / "run"
    options = [*options_of(recipe, out, deadline=300, patience=600), *federation.private]
    training = federation.train(*options, program=("-c", OFTEN))
    wait_until((out / "checkpoint.safetensors").exists, training)
    federation.end(federation.current, signal.SIGKILL)
    try:
        said, _ = training.communicate(timeout=400)
    finally:
        federation.current = federation.superlink(*federation.options)
    return out, options, training.returncode, said


def test_nodes_with_a_registered_key_train_in_private_and_others_are_refused(federation, trained):
    assert {tuple(metrics["nodes"]) for metrics in metrics_of(trained[0])} == {("alphabet0", "alphabet1")}
    for process in federation.strangers.values():
        assert process.wait(60) != 0
    assert b"Failed to activate" in federation.said("alphabet2")
    assert b"must be registered" in federation.said("alphabet3")


def test_a_killed_superlink_ends_the_training_with_the_reason(trained):
    *_, code, said = trained
    assert code == 1, said
    assert "was lost" in said
    assert "--resume" in said


def test_resume_on_real_nodes_gives_the_bits_of_one_process_left_alone(federation, trained, recipe, tmp_path):
    out, options, *_ = trained
    assert 0 < len(metrics_of(out)) < ROUNDS
    again = federation.train(*options, "--resume")
    near = train(recipe, tmp_path / "near")
    said, _ = again.communicate(timeout=900)
    assert again.returncode == 0, said + federation.said("superlink")[-2000:].decode()
    loaded, _, far = Run(out).load()
    assert loaded == Run(tmp_path / "near").load()[0]
    assert all(torch.equal(far[name], near[name]) for name in near)
    assert metrics_of(out) == metrics_of(tmp_path / "near")
    _, initial = network_of(loaded)
    assert any(not torch.equal(far[name], initial[name]) for name in far), "nothing was trained"
