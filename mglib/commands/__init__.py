"""The commands of `python -m mglib`, each a function whose arguments are its options; only they print."""

from mglib.commands.own import adapt_command, export_command, predict_command
from mglib.commands.training import evaluate_command, node_command, train_command

COMMANDS = {
    "train": train_command,
    "node": node_command,
    "evaluate": evaluate_command,
    "adapt": adapt_command,
    "predict": predict_command,
    "export": export_command,
}

__all__ = ["COMMANDS"]
