"""`python -m pagefit`."""

import sys

from pagefit.cli.main import main

sys.exit(main())
