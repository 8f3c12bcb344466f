"""A certificate authority of the tests: stand-ins that speak TLS have certificates of it."""

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


class Authority:
    """A certificate authority and certificates of its own for names."""

    def __init__(self, top: Path) -> None:
        self.top, self.file = top, top / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                      "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority")  # fmt: skip
        self.file.chmod(0o644)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.top, check=True, capture_output=True)

    def context(self, name: str) -> ssl.SSLContext:
        """Return a context for a server of that name."""
        (self.top / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                      "-out", f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                      "-extfile", "ext", "-out", f"{name}.pem")  # fmt: skip
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.top / f"{name}.pem", self.top / f"{name}.key")
        return made


def authority() -> Iterator[Authority]:
    """Yield an authority, in a directory that every user can read."""
    top = Path(tempfile.mkdtemp(prefix="asb-ca-", dir="/var/tmp"))
    top.chmod(0o755)
    try:
        yield Authority(top)
    finally:
        shutil.rmtree(top)
