"""Prebuilt artifacts inside the source distribution, as a release tarball of Guile carries them.

`build_sdist` puts the whole install set of some wheels into `prebuilt/` of the sdist; `build_wheel` from such an sdist
puts the wheel together from it, without a compiler, when source, platform and every digest match.
"""
