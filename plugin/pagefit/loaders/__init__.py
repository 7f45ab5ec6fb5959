"""When does an ELF file load at a page size? The rules of the real loaders, as pure functions over facts."""
