"""Plain data: settings, links, names, certificates. It asks nothing, and imports nothing else of the project."""
