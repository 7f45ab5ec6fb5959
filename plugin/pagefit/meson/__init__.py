"""Plain Meson projects: the subproject, relinking after the compile, and the tarball of the installed set."""
