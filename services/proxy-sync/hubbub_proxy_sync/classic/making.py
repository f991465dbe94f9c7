"""Makes a classic proxy as JupyterHub makes it: the same keywords (contract, part 7.4), below an application."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from traitlets.config import Config

from hubbub.config import Options
from hubbub.internal_tls.files import Files
from hubbub_proxy_sync.classic import known, traefik
from hubbub_proxy_sync.classic.facades import JupyterHub, no_database
from hubbub_proxy_sync.proxies.site import Site


class Making:
    """How to make one of *kind*. `certificates`: those of internal TLS, by part."""

    def __init__(self, kind: type[Any], options: Options, site: Site) -> None:
        self.kind = traefik.cared_for(kind)
        self.certificates: dict[str, Files] = {}
        self._options = options
        self._site = site

    @property
    def name(self) -> str:
        return self.kind.__name__

    def make(self, *, found: bool = False) -> Any:
        """One. *found*: its process runs already. To be called where it will live. Raises whatever its author likes."""
        app = JupyterHub(self._options, self._site, self.certificates)
        ours = {**known.options(self.kind, self._site), **traefik.options(self.kind, self._site)}
        more = {name: value for name, value in ours.items() if not self._said(name)}
        if found and "should_start" in self.kind.class_trait_names():
            more["should_start"] = False
        made = self.kind(
            db_factory=no_database,
            public_url=self._site.bind_url,
            parent=app,
            app=app,
            log=app.log,
            hub=app.hub,
            host_routing=self._site.host_routing,
            ssl_cert=self._site.ssl_cert,
            ssl_key=self._site.ssl_key,
            **more,
        )
        if found and made.should_start:
            made.should_start = False
        traefik.settle(made, self._site, self._said)
        return made

    def failed(self) -> None:
        """One could not be started."""
        if traefik.is_one(self.kind):
            traefik.renew_port(self._site)

    def _said(self, name: str) -> bool:
        """Whether the operator has set this option."""
        return any(name in section for section in self._sections())

    def _sections(self) -> Iterator[Config]:
        """Of the configuration, those that the class reads."""
        for place in (self._options.traits, self._options.traits.get("JupyterHub", Config())):
            for section in self.kind.section_names():
                if isinstance(found := place.get(section), Config):
                    yield found

    @property
    def arguments(self) -> tuple[str, ...]:
        """What its process is started by: a change of these needs another. Options are hashed, some are secret."""
        plain: list[str] = []
        for section in self._sections():
            for option, value in section.items():
                try:
                    plain.append(json.dumps([option, value], sort_keys=True))
                except (TypeError, ValueError):
                    continue  # a callable, say: whether that is another nobody can tell
        site = self._site
        files = [f"{name}:{files.certfile}" for name, files in self.certificates.items()]
        told = (site.bind_url, site.hub.url, site.ssl_cert, site.ssl_key, str(site.host_routing), *sorted(files))
        digest = hashlib.sha256("\n".join(sorted(plain)).encode()).hexdigest()
        return (f"{self.kind.__module__}.{self.name}", *told, digest)
