"""The command line: `python -m mglib train | node | evaluate | adapt | predict | export`."""

import importlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name

from mglib.commands import COMMANDS


def main(
    arguments: Sequence[str] | None = None,
    commands: Mapping[str, Callable | str] = COMMANDS,
    program: str = "python -m mglib",
) -> int:
    """Run one of the commands: functions whose arguments are their options, or where they are, as `module:name`.

    Return 0; 1 where a part of the work failed, or a round of a training, and was reported; 2 with one line that says
    why where the input or the disk refuses; 130 if stopped.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _make_streams_lenient()
    warnings.showwarning = _show_warning
    try:
        code = _run(arguments, commands, program)
        sys.stdout.flush()
    except (ValueError, OSError) as error:
        print(f"error: {error}{_notes(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"stopped{_notes(error)}", file=sys.stderr)
        return 130
    return code or 0


def _run(arguments: Sequence[str], commands: Mapping[str, Callable | str], program: str) -> int | None:
    """Call the command that is asked for; only its module is imported, or all of them where none is."""
    asked = [name for name in arguments[:1] if name in commands] or commands
    functions = {name: resolve_name(each) if isinstance(each := commands[name], str) else each for name in asked}
    tyro = importlib.import_module("tyro")
    one_level = (tyro.conf.OmitArgPrefixes,)
    return tyro.extras.subcommand_cli_from_dict(functions, prog=program, args=arguments, config=one_level)


def _notes(error: BaseException) -> str:
    return "".join(getattr(error, "__notes__", []))


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"note: {message}", file=sys.stderr)


class _Lenient(io.TextIOWrapper):
    """A standard stream that escapes what the terminal cannot show, and lets work go on that nobody listens to."""

    def __init__(self, stream: io.TextIOWrapper, forgiven: type[OSError]):
        kept = {option: getattr(stream, option) for option in ("encoding", "line_buffering", "write_through")}
        super().__init__(stream.buffer, errors="backslashreplace", **kept)
        self.forgiven = forgiven

    def write(self, text: str) -> int:
        self._attempt(super().write, text)
        return len(text)

    def flush(self) -> None:
        self._attempt(super().flush)

    def _attempt(self, do: Callable, *what: str) -> None:
        try:
            do(*what)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # or what is left would be tried again at the end
            if not isinstance(error, self.forgiven):
                raise OSError(error.errno, error.strerror, self.name) from error


def _make_streams_lenient() -> None:
    """Replace the process's own output and error streams; those that somebody put in their place are left alone."""
    for name, forgiven in (("stdout", BrokenPipeError), ("stderr", OSError)):  # a result that a full disk lost is none
        stream = getattr(sys, name)
        if stream is None:  # closed from outside
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, it stays open to the end
        elif stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _Lenient(stream, forgiven))


if __name__ == "__main__":
    sys.exit(main())
