"""The same recipe on machines elsewhere, through Flower: the superlink, the nodes, and the driver.

The *superlink* (`flower-superlink`) runs where all can reach it and holds no images. Each *node* (`python -m mglib
node`) sits beside its own folder of images, which nobody else sees. The *driver* (`python -m mglib train --engine
flower`) hands a recipe to the superlink and keeps the run's folder. On the superlink `server_app` runs `run_rounds`
with a `FlowerEngine`; on the nodes `client_app` makes the client update from the recipe that it is sent.
"""

from mglib.flower.connection import Connection, environment
from mglib.flower.driver import train_on_flower
from mglib.flower.node import node_command_line, own_node
