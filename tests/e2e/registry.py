"""A private registry of container images, for containerd: it serves archives, under names of its own, to one user.

Usage: python registry.py PORT USER PASSWORD ARCHIVE...

An archive is one of the lab's (lab/images.py). The image `registry.k8s.io/a/b:1` becomes `a/b:1`. For each request, a
line with the status and the path is written to standard output.
"""

import base64
import hashlib
import json
import sys
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Registry:
    """The images of some archives.

    Attributes:
        blobs: each blob by its digest: its file, where it begins in that, and how long it is.
        manifests: each manifest by its path.
        allowed: the header of the user who may read.
    """

    def __init__(self, user: str, password: str) -> None:
        self.blobs = dict[str, tuple[Path, int, int]]()
        self.manifests = dict[str, bytes]()
        self.allowed = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    def add(self, archive: Path) -> None:
        """Serve the images of an archive."""
        with tarfile.open(archive) as tar:
            places = {member.name: (archive, member.offset_data, member.size) for member in tar}
        (image,) = json.loads(self.read(places["manifest.json"]))
        described = []
        for kind, name in ((CONFIG, image["Config"]), *((LAYER, layer) for layer in image["Layers"])):
            digest = f"sha256:{hashlib.sha256(self.read(places[name])).hexdigest()}"
            self.blobs[digest] = places[name]
            described.append({"mediaType": kind, "size": places[name][2], "digest": digest})
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
        content = json.dumps(manifest).encode()
        name = image["RepoTags"][0]
        host, slash, rest = name.partition("/")
        repository, _, tag = (rest if slash and "." in host else name).rpartition(":")
        for reference in (tag, f"sha256:{hashlib.sha256(content).hexdigest()}"):
            self.manifests[f"/v2/{repository}/manifests/{reference}"] = content

    @staticmethod
    def read(place: tuple[Path, int, int]) -> bytes:
        """Return a part of a file."""
        file, begin, size = place
        with file.open("rb") as opened:
            opened.seek(begin)
            return opened.read(size)


class Handler(BaseHTTPRequestHandler):
    """Answers containerd."""

    registry: Registry

    def do_GET(self) -> None:
        """Answer with a manifest or a blob."""
        digest = self.path.rpartition("/")[2]
        if self.headers.get("Authorization") != self.registry.allowed:
            self._answer(401, "text/plain", b"", **{"WWW-Authenticate": 'Basic realm="private"'})
        elif manifest := self.registry.manifests.get(self.path):
            told = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
            self._answer(200, MANIFEST, manifest, **{"Docker-Content-Digest": told})
        elif "/blobs/" in self.path and digest in self.registry.blobs:
            self._answer(200, "application/octet-stream", self.registry.read(self.registry.blobs[digest]))
        else:
            self._answer(404, "text/plain", b"")

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def _answer(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        print(status, self.path, flush=True)
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing else."""


def main() -> None:
    """Serve until the process is ended."""
    port, user, password, *archives = sys.argv[1:]
    Handler.registry = Registry(user, password)
    for archive in archives:
        Handler.registry.add(Path(archive))
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
