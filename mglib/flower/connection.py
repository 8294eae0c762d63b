"""How Flower's programs are called: where the superlink is, whether the connection is private, what they may not do."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

QUIET = {  # no telemetry, no look for updates, and above all: a run may not install packages on a node
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


@dataclass(frozen=True)
class Connection:
    """The superlink's address, HOST:PORT, and the certificate that its own is signed with; none is needed on loopback.

    Raises ValueError if the address is no HOST:PORT, or lies elsewhere and no certificate is given.
    """

    address: str
    root_certificates: Path | None = None

    def __post_init__(self):
        """Check that the superlink can be reached in private."""
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise ValueError(f"`superlink` (={self.address!r}) must be HOST:PORT")
        if self.root_certificates is None and not _is_loopback(host):
            raise ValueError(
                f"`superlink` (={self.address!r}) is another machine: give --root-certificates, the certificate "
                f"that the superlink's is signed with, or anyone between could read and change what travels"
            )
        if self.root_certificates is not None and not self.root_certificates.is_file():
            raise ValueError(f"`root_certificates` (={self.root_certificates}) is no file")

    @property
    def options(self) -> list[str]:
        """The options of `flower-supernode`."""
        if self.root_certificates is None:
            return ["--superlink", self.address, "--insecure"]
        return ["--superlink", self.address, "--root-certificates", str(self.root_certificates)]

    @property
    def settings(self) -> str:
        """The content of the `config.toml` that `flwr` reads; the superlink is called `mglib` there."""
        root = self.root_certificates  # of which flwr takes no relative path
        facts = {"address": self.address} | ({"root-certificates": str(root.resolve())} if root else {"insecure": True})
        lines = "".join(f"{name} = {json.dumps(fact, ensure_ascii=False)}\n" for name, fact in facts.items())
        return f'[superlink]\ndefault = "mglib"\n\n[superlink.mglib]\n{lines}'


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def program(name: str) -> str:
    """Return the path of one of Flower's programs, which lie beside this Python.

    Raises ValueError if it is not installed.
    """
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise ValueError(f"there is no {name} here: pip install -e '.[flower]' in the project's folder")
    return found


def environment(home: Path) -> dict[str, str]:
    """Return the environment for one of Flower's programs that keeps its files in `home`, and finds the others."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **QUIET, "PATH": beside, "FLWR_HOME": str(home)}
