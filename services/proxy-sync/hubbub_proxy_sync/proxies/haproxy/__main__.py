"""`python -m hubbub_proxy_sync.proxies.haproxy -f jupyterhub_config.py FOLDER`: for a HAProxy that others run."""

import argparse
from pathlib import Path

from hubbub.config import ConfigError, load
from hubbub.settings import Settings, give_up
from hubbub_proxy_sync.proxies import site_of
from hubbub_proxy_sync.proxies.haproxy.driver import HAProxy


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hubbub_proxy_sync.proxies.haproxy",
        description="Writes what HAProxy needs into a folder: its configuration, an empty map, pages, a certificate.",
    )
    parser.add_argument("-f", "--config", metavar="FILE", default="", help="a jupyterhub_config.py")
    parser.add_argument("folder", metavar="FOLDER", help="where HAProxy will find it")
    arguments = parser.parse_args()
    settings = Settings.from_environ()
    try:
        options = load(arguments.config, settings)
        HAProxy(config=options.traits, site=site_of(options, settings)).write(Path(arguments.folder).absolute())
    except (ConfigError, ValueError, OSError) as error:
        give_up(str(error))


if __name__ == "__main__":
    main()
