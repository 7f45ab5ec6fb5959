"""The build hooks: finding the inner backend, mirroring what it offers, and mending the wheel it built."""
