from functools import partial

from cloud.cli import cloud_app
from edgewise import exits

exits.main(partial(cloud_app, prog_name="python -m cloud"))
