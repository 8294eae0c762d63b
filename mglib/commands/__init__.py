"""The commands of `python -m mglib`, each a function whose arguments are its options; only they print."""

# Where each lies: its module is imported when it is asked for, since torch takes seconds.
COMMANDS = {
    "train": "mglib.commands.training:train_command",
    "node": "mglib.commands.training:node_command",
    "evaluate": "mglib.commands.training:evaluate_command",
    "adapt": "mglib.commands.own:adapt_command",
    "predict": "mglib.commands.own:predict_command",
    "export": "mglib.commands.own:export_command",
}
