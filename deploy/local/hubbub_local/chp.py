"""`python -m hubbub_local.chp`: the proxy that `make setup` has installed, wherever that is, for HUBBUB_CHP_COMMAND."""

import json
import os
import sys

from hubbub_local.errors import StackError
from hubbub_local.services import proxy_command


def main() -> None:
    try:
        command = json.loads(proxy_command())
    except StackError as error:
        sys.exit(f"hubbub: {error}")
    os.execv(command[0], [*command, *sys.argv[1:]])


if __name__ == "__main__":
    main()
