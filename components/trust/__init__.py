"""The certificates of the sites."""
