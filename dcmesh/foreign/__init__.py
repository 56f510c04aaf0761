"""Objects that somebody else has written into a site and that affect its links, existing or new ones."""
