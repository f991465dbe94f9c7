"""`python -m hubbub_local` is `hubbub`."""

import sys

from hubbub_local.cli import main

sys.exit(main())
