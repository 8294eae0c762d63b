"""The command line: `python -m mglib train | evaluate | adapt | predict | export | export-live | bench | reproduce`."""

import sys
import warnings
from collections.abc import Sequence

import tyro

from mglib.commands import COMMANDS
from mglib.federated import RoundFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Return 0; 1 where a part of the work failed, or a round of a training, and was reported; 2 with one line that says
    why where the input or the disk refuses; 130 if stopped.
    """
    warnings.showwarning = _show_warning
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="python -m mglib", args=arguments, config=(tyro.conf.OmitArgPrefixes,)
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RoundFailed as error:
        print(f"stopped: {error}; train --resume goes on from the last checkpoint", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "stopped; train --resume goes on from the last checkpoint, reproduce after the last cell", file=sys.stderr
        )
        return 130
    return code or 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"note: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
