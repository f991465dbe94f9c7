"""Internal TLS in tests: certificates without a bus, and handshakes without a network."""

import ssl
from collections.abc import Iterable
from pathlib import Path

from hubbub.internal_tls import certificates, files
from hubbub.internal_tls.authorities import Authorities, settle
from hubbub.internal_tls.files import Files
from hubbub.internal_tls.options import HERE
from hubbub.internal_tls.parts import KEPT


def authorities(folder: Path) -> Authorities:
    """Those of a house on this machine."""
    return settle(folder, dict.fromkeys(KEPT, HERE))


def issued(found: Authorities, folder: Path, part: str, alt_names: Iterable[str] = HERE) -> Files:
    """What the part would have got on the bus, with whom it trusts."""
    key = certificates.new_key()
    asked = certificates.read(certificates.request(key, part, alt_names))
    made = Files.within(folder, part)
    signed = found.sign(part, asked, part, asked.alt_names)
    made.write(key=certificates.key_text(key), certificate=signed, trust=found.trust(part))
    return made


def shaken(server: Files, client: Files | None, name: str = "127.0.0.1") -> bool:
    """Whether the two talk to each other. A client that is null has no certificate, and takes any."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if client is None:
        asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    else:
        asking = files.asking(client)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = asking.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = files.serving(server).wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(4):  # each side needs two turns at most
            for side in (ours, theirs):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        # What a server of TLS 1.3 refuses, its client is told when it reads.
        theirs.write(b"x")
        return ours.read(1) == b"x"
    except ssl.SSLError:
        return False
