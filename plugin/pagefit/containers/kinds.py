"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf.headers import is_elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal, TypeAlias

Kind: TypeAlias = "Literal['elf', 'zip', 'ar', 'tar', 'gz', 'bz2', 'xz', 'zst']"

#: First bytes of everything that is looked into, but of uncompressed tar archives: those start with a name.
SIGNATURES: Final[dict[bytes, Kind]] = {
    c.ELF_MAGIC: "elf",
    b"PK\3\4": "zip",
    b"PK\5\6": "zip",  # one without members
    b"!<arch>\n": "ar",
    b"\x1f\x8b\x08": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}
SHORTEST_SIGNATURE: Final = min(map(len, SIGNATURES))
COMPRESSIONS: Final = ("gz", "bz2", "xz", "zst")
#: A tar archive is a multiple of this long, and starts with a header of this length (bytes).
TAR_BLOCK: Final = 512


def kind_of(prefix: bytes) -> Kind | None:
    """The kind of a file that starts with these bytes (`TAR_BLOCK` of them, fewer only when the file is shorter)."""
    for signature, kind in SIGNATURES.items():
        if prefix.startswith(signature):
            return kind
    return "tar" if is_tar_header(prefix) else None


def is_tar_header(block: bytes) -> bool:
    """Whether these 512 bytes carry a tar header's checksum: their own sum with the checksum field as blanks."""
    try:
        checksum = int(block[148:156].strip(b"\0 "), 8)
    except ValueError:
        return False
    return len(block) == TAR_BLOCK and checksum == sum(block) - sum(block[148:156]) + 8 * ord(" ")


def is_loadable(prefix: bytes) -> bool:
    """Whether a file that starts with these bytes (18 or more) is ELF and neither ET_REL nor ET_CORE."""
    if not is_elf(prefix):
        return False
    return int.from_bytes(prefix[16:18], "big" if prefix[5:6] == b"\2" else "little") not in (c.ET_REL, c.ET_CORE)
