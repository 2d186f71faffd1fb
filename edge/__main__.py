from functools import partial

from edge.cli import edge_app
from edgewise import exits

exits.main(partial(edge_app, prog_name="python -m edge"))
