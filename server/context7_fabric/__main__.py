"""`python -m context7_fabric` is the command `context7-fabric`."""

import sys

from context7_fabric.cli.main import main

sys.exit(main())
