from cloud.cli import cloud_app

cloud_app(prog_name="python -m cloud")
