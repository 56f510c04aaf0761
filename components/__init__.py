"""What is created: one ComponentResource a file, wired together by `site.py` and `cluster_pair.py`."""
