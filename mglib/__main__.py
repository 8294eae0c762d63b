"""The command line: `python -m mglib train | node | evaluate | adapt | predict | export`."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence

import tyro

from mglib.commands import COMMANDS
from mglib.federated import RoundFailed


def main(
    arguments: Sequence[str] | None = None,
    commands: Mapping[str, Callable] = COMMANDS,
    program: str = "python -m mglib",
) -> int:
    """Run one of the commands, functions whose arguments are their options.

    Return 0; 1 where a part of the work failed, or a round of a training, and was reported; 2 with one line that says
    why where the input or the disk refuses; 130 if stopped.
    """
    warnings.showwarning = _show_warning
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            dict(commands), prog=program, args=arguments, config=(tyro.conf.OmitArgPrefixes,)
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RoundFailed as error:
        print(f"stopped: {error}; train --resume goes on from the last checkpoint", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what is finished is kept: the same command goes on there, train with --resume", file=sys.stderr)
        return 130
    return code or 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"note: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
