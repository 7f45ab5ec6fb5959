"""Guile's object files (.go): reading, judging and relinking them."""
