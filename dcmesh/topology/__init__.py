"""The sites of a stack, drawn on a page."""
