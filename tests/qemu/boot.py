# SPDX-License-Identifier: BSD-2-Clause
"""What the tests' guests boot: our programs, compiled here, and the rig's kernel."""
import lzma
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = ["virtio_pci", "virtio_balloon"]


class Boot:
    """What a guest boots from. Without an initrd the kernel is the guest."""

    def __init__(self, kernel, initrd, *, mib=200, rate=10, beat_ms=100):
        self.kernel, self.initrd = kernel, initrd
        self.command_line = (f"console=ttyS0 quiet panic=-1 guest.mib={mib} guest.rate={rate} "
                             f"guest.beat={beat_ms}")


def linux_kernel():
    """The rig's kernel, unpacked: it boots in seconds under TCG; and its modules' folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pagerail" / "rig"
    script = HERE.parent / "rig" / "lab" / "kernel.sh"
    out = subprocess.run([script, cache], check=True, stdout=subprocess.PIPE, text=True)
    kernel, _, modules = out.stdout.splitlines()
    return kernel, Path(modules)


def module_files(folder):
    """The files of MODULES and of what they need, in the order in which to load them."""
    files = []
    for name in MODULES:
        out = subprocess.run(["modprobe", "--dirname", folder.parents[2], "--set-version",
                              folder.name, "--show-depends", name],
                             check=True, stdout=subprocess.PIPE, text=True)
        files += [Path(line.split()[1]) for line in out.stdout.splitlines()]
    return list(dict.fromkeys(files))


def module_bytes(path):
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def build_initrd(folder, modules):
    """Compile guest.c, and pack it with the modules that it loads; the path."""
    root = Path(folder) / "initrd"
    for name in ("dev", "modules"):
        (root / name).mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-static", "-o", root / "init", HERE / "guest.c"], check=True)
    names = ["init", "dev", "modules"]
    for number, path in enumerate(module_files(modules)):
        names.append(f"modules/{number}")
        (root / names[-1]).write_bytes(module_bytes(path))
    archive = Path(folder) / "initrd.cpio"
    with open(archive, "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root,
                       input="\n".join(names).encode(), stdout=out, check=True)
    return archive


def build_tiny(folder):
    """Compile tiny.c, a kernel of its own; the path. Its header lies first, at 1 MiB."""
    image = Path(folder) / "tiny"
    subprocess.run(["gcc", "-m32", "-O2", "-ffreestanding", "-fno-pic", "-fno-stack-protector",
                    "-fno-asynchronous-unwind-tables", "-mgeneral-regs-only", "-nostdlib",
                    "-static",
                    "-Wl,--build-id=none,-N,-e,_start,-Ttext=0x101000,--no-warn-rwx-segments",
                    "-Wl,--section-start=.multiboot=0x100000", "-o", image,
                    HERE / "tiny.c"], check=True)
    return image


def build_linux(folder):
    kernel, modules = linux_kernel()
    return kernel, build_initrd(folder, modules)


GUESTS = {"linux": build_linux, "tiny": lambda folder: (build_tiny(folder), None)}
