"""dcmesh at work: commands for what a stack has deployed, run in the project's directory as `python -m dcmesh VERB`."""
