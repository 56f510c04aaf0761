"""The databases that dcmesh runs, and their operator."""
