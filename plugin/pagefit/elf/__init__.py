"""Facts of ELF files, as frozen values. Nothing here judges and nothing here writes."""
