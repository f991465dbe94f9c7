"""Print the harness's description of a running Hubbub: target.py FOLDER STOP KILL LAUNCH."""

import json
import os
import sys
from pathlib import Path

folder, stop, kill, launch = sys.argv[1:]
running = json.loads((Path(folder) / "data" / "run" / "stack.json").read_text())
print(
    json.dumps(
        {
            "label": "hubbub",
            "hub_url": running["hub_url"],
            "public_url": running["public_url"],
            "token": os.environ["BENCH_TOKEN"],
            "pids": {"hub": f"{folder}/pid"},
            "stop_cmd": stop.strip(),
            "kill_cmd": kill.strip(),
            "start_cmd": launch.strip(),
            "shared_options": {"standin": "shared", "profile": "shared"},
        }
    )
)
