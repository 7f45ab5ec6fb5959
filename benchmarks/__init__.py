"""One command, `make bench`: pagefit side by side with what people use, in the same run."""
