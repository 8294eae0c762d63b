"""A link with a certificate that knows its nodes by their keys: training goes on in private, strangers stay outside."""

import datetime
import ipaddress
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from network_namespace import network_namespace
from small_data import small_recipe, write_alphabets
from test_flower import metrics_of, options_of

from mglib.flower.connection import Connection, environment, program
from mglib.flower.local import LocalFederation

ROUNDS = 2


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


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate authority and the link's certificate, for 127.0.0.1."""
    place = tmp_path_factory.mktemp("certificates")
    authority, link = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    root = (x509.BasicConstraints(ca=True, path_length=None), True)
    (place / "ca.crt").write_bytes(certificate("authority", "authority", authority, authority, root))
    (place / "link.pem").write_bytes(certificate("link", "authority", link, authority, (host, False)))
    (place / "link.key").write_bytes(pem(link))
    return place


def key_of(place, name):
    """Write a node's pair of keys as OpenSSH does, and return the private one's path."""
    key = ec.generate_private_key(ec.SECP384R1())
    form = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    (place / name).write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (place / f"{name}.pub").write_bytes(public)
    return place / name


def test_known_nodes_train_in_private_and_a_stranger_and_one_without_a_key_are_refused(certificates, tmp_path):
    folder = write_alphabets(tmp_path / "alphabets")
    settings = {"MGLIB_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    root = certificates / "ca.crt"
    private = ("--root-certificates", str(root))
    with network_namespace() as apart, LocalFederation(tmp_path, prefix=apart, settings=settings) as federation:
        federation.link(
            "--ssl-ca-certfile", str(root), "--ssl-certfile", str(certificates / "link.pem"),
            "--ssl-keyfile", str(certificates / "link.key"), "--enable-supernode-auth",
        )  # fmt: skip
        home = tmp_path / "operator"
        home.mkdir()
        (home / "config.toml").write_text(Connection(federation.address, root).settings)
        for name in ("alphabet0", "alphabet1"):
            key = key_of(tmp_path, f"{name}.key")
            command = [*apart, program("flwr"), "supernode", "register", f"{key}.pub", "link"]
            told = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False)
            assert told.returncode == 0, told.stdout + told.stderr
            federation.node(name, f"folder:{folder / name}", *private, "--key", str(key))
        unknown = key_of(tmp_path, "unknown.key")
        stranger = federation.node("alphabet2", f"folder:{folder / 'alphabet2'}", *private, "--key", str(unknown))
        keyless = federation.node("alphabet3", f"folder:{folder / 'alphabet3'}", *private)
        recipe, out = small_recipe(folder, rounds=ROUNDS, nodes_per_round=2, quorum=2), tmp_path / "run"
        training = federation.train(*options_of(recipe, out, deadline=100), *private)
        said, _ = training.communicate(timeout=300)
        assert training.returncode == 0, said + federation.said("link")[-2000:].decode()
        assert [metrics["nodes"] for metrics in metrics_of(out)] == [["alphabet0", "alphabet1"]] * ROUNDS
        for process in (stranger, keyless):
            assert process.wait(60) != 0
        assert b"Failed to activate" in federation.said("alphabet2")
        assert b"must be registered" in federation.said("alphabet3")
