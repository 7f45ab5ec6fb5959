"""Relinking finished ELF files without their objects, exactly or not at all."""
