"""How fast and how large: measured on the lab, beside what a user would pick instead. `make bench` runs it all."""
