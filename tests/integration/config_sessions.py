"""Sessions that are over soon when nobody uses them."""

from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig("config_standin.py", path=str(Path(__file__).parent))  # noqa: F821

c.Hubbub.session_idle_timeout = 4
