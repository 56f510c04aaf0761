"""The container images as containerd keeps them, unpacked once for all sites.

A site's containerd gets hard links to what never changes (blobs and unpacked layers), and copies of the databases. That
takes a moment, where an import takes many seconds. The sites also share the disk space and memory of their programs.
"""

import contextlib
import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab import lock, progress
from lab.errors import LabError
from lab.paths import IMAGE_STORE

NAMESPACE = "k8s.io"
"""containerd's namespace for what kubelet runs."""


def ensure(archives: tuple[Path, ...]) -> None:
    """Unpack the images if they are not unpacked.

    Raises:
        LabError: an archive cannot be imported.
    """
    with _held(archives):
        pass


def link(archives: tuple[Path, ...], root: Path) -> None:
    """Fill a site's containerd root directory with the images. What it held before is deleted.

    Raises:
        LabError: an archive cannot be imported, or the store cannot be read.
    """
    shutil.rmtree(root, ignore_errors=True)
    with _held(archives) as store:
        # Hard links do not work across file systems. On another one, everything is copied.
        same = store.stat().st_dev == root.parent.stat().st_dev
        command = ["cp", "--archive", *(["--link"] if same else []), str(store), str(root)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise LabError(f"cannot copy the images from {store}: {result.stderr.strip()}")
        for database in store.glob("*/*.db"):
            own = root / database.relative_to(store)
            own.unlink()
            shutil.copy2(database, own)


@contextlib.contextmanager
def _held(archives: tuple[Path, ...]) -> Iterator[Path]:
    """Yield a containerd root directory with the images.

    It is made if it is missing, and stays while the block runs.
    """
    # The toolchain has a directory for each version of an image, so the path identifies the archive's content.
    store = IMAGE_STORE / hashlib.sha256("\n".join(map(str, archives)).encode()).hexdigest()[:16]
    with lock.held(IMAGE_STORE, lambda: progress.note("waiting for another command that uses the images")):
        if not store.exists():
            with progress.Steps(1).step("unpacking the container images", "15 s"):
                _unpack(archives, store)
        yield store


def _unpack(archives: tuple[Path, ...], store: Path) -> None:
    """Import the archives with a containerd for this purpose alone.

    Its root directory becomes the store and replaces older ones.
    """
    for old in IMAGE_STORE.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    new, scratch, log = (store.with_suffix(suffix) for suffix in (".new", ".run", ".log"))
    scratch.mkdir()
    config, socket = scratch / "containerd.toml", scratch / "containerd.sock"
    config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    daemon = ["containerd", f"--config={config}", f"--root={new}", f"--state={scratch}", f"--address={socket}"]
    client = ["ctr", f"--address={socket}", "--connect-timeout=30s", f"--namespace={NAMESPACE}", "images", "import"]
    imports = "\n".join(shlex.join([*client, str(archive)]) for archive in archives)
    script = f"{shlex.join(daemon)} &\n{imports}\nkill -TERM $!\nwait $!"
    # containerd, its mounts and its processes end with this process, even if this one is killed. The lock is free then.
    alone = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*alone, "sh", "-ec", script]
    with log.open("wb") as output:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    if result.returncode:
        raise LabError("the container images cannot be imported", log)
    shutil.rmtree(scratch)
    log.unlink()
    new.rename(store)
