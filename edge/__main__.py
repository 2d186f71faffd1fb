from edge.cli import edge_app

edge_app(prog_name="python -m edge")
