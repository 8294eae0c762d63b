"""The same recipe on machines elsewhere, through Flower: the link, the nodes, and the way home.

Three parties. The *link* (`flower-superlink`) runs where all can reach it and holds no images. Each *node*
(`python -m mglib node`) sits with its own folder of images, which nobody else sees. *Home* (`python -m mglib train
--engine flower`) hands a recipe to the link, follows, and keeps the run's folder. On the link runs `server_app`, which
is `run_rounds` with a `FlowerEngine`; on the nodes runs `client_app`, which makes the client update from the recipe it
is sent.
"""

from mglib.flower.connection import Connection, environment
from mglib.flower.home import train_on_flower
from mglib.flower.node import node_command_line, own_node

__all__ = ["Connection", "environment", "node_command_line", "own_node", "train_on_flower"]
