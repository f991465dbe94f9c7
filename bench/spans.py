"""What a span costs the process that makes it, in microseconds of processor: without an exporter, kept, and not kept.

.venv/bin/python bench/spans.py
"""

import os
import time

from hubbub import telemetry

TIMES = 20_000


def cost(parent: str) -> float:
    began = time.process_time()
    for _ in range(TIMES):
        with telemetry.span("postgres select users", parent=parent, kind="client"):
            pass
    return (time.process_time() - began) / TIMES * 1e6


IDS = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
print(f"no exporter {cost(f'00-{IDS}-01'):.1f} us")
os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
telemetry.start("bench", "bench-1")
print(f"kept {cost(f'00-{IDS}-01'):.1f} us, not kept {cost(f'00-{IDS}-00'):.1f} us")
os._exit(0)  # nobody is there to be sent them
