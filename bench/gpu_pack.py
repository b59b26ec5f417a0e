"""What bench/gpu.py needs on a bare machine with Python, PyTorch, NumPy and SciPy: one folder.

    python bench/gpu_pack.py --train FILES --val FILES --test FILES

gathers wheels of the packages that such a machine lacks, for its Python (`--python`, of Linux on
x86-64), and prepared ground truths, packed without loss where they were whole numbers once. It
prints the command for the machine, which needs no network and installs nothing.
"""

import argparse
import json
import lzma
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(".gpu")
# What the package imports on the way, beside PyTorch and what it needs itself.
PACKAGES = (
    *("attrs", "jsonschema", "jsonschema-specifications", "referencing", "rpds-py"),
    *("nibabel", "packaging", "psutil", "pyyaml", "safetensors", "tqdm", "typing-extensions"),
    *("importlib-resources", "lpips"),
)
MOST_MIB = 60
# Whole numbers up to this are sought behind intensities; else so many gray levels are kept.
LEVELS = 4095
FORMATS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux1")


def use_wheels(pack: Path, folder: Path) -> None:
    """Let Python find the packages of a pack, after those that are installed.

    Args:
        pack: Folder of the pack.
        folder: Where the wheels are unpacked.

    Raises:
        SystemExit: The pack has no wheels.
    """
    wheels = sorted((pack / "wheels").glob("*.whl"))
    if not wheels:
        raise SystemExit(f"{pack}/wheels: no wheel; make the pack by bench/gpu_pack.py")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():  # `extract` leaves no path out of the folder
                archive.extract(member, folder)
    sys.path.append(str(folder))


def packed(file: Path) -> bytes:
    """Return a volume's grid, and its intensities as whole numbers, compressed."""
    import numpy as np

    from mrisr.volumes.io import load

    volume = load(file)
    levels = whole_numbers(volume.data)
    numbers = np.rint(volume.data.astype(np.float64) * levels).astype("<u2")
    about = {"shape": numbers.shape, "affine": volume.affine.tolist(), "levels": levels}
    # High and low bytes apart: the high ones hardly change from voxel to voxel.
    high, low = (numbers >> 8).astype(np.uint8), (numbers & 255).astype(np.uint8)
    content = json.dumps(about).encode() + b"\n" + high.tobytes() + low.tobytes()
    return lzma.compress(content, preset=4)


def whole_numbers(data: "np.ndarray") -> int:  # noqa: F821
    """Return what intensities in [0,1] must be multiplied with to be whole numbers, or `LEVELS`."""
    import numpy as np

    found = np.unique(data).astype(np.float64)
    for levels in range(1, LEVELS + 1):
        products = found * levels
        if np.abs(products - np.rint(products)).max() < 1e-3:
            return levels
    return LEVELS


def unpacked(content: bytes) -> tuple["np.ndarray", "np.ndarray"]:  # noqa: F821
    """Return intensities and affine of what `packed` made."""
    import numpy as np

    head, _, body = lzma.decompress(content).partition(b"\n")
    about = json.loads(head)
    high, low = np.frombuffer(body, np.uint8).reshape(2, *about["shape"]).astype(np.uint16)
    data = ((high << 8) + low).astype(np.float64) / about["levels"]
    return data.astype(np.float32), np.array(about["affine"])


def unpack(pack: Path, folder: Path) -> Path:
    """Write the volumes of a pack to the folders train, val and test of a folder.

    Returns:
        That folder.
    """
    from mrisr.volumes.io import Volume, save

    def one(file: Path) -> None:
        target = folder / file.parent.name / f"{file.name.removesuffix('.xz')}.nii"
        target.parent.mkdir(parents=True, exist_ok=True)
        save(Volume(*unpacked(file.read_bytes())), target)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, sorted((pack / "volumes").glob("*/*.xz"))))
    return folder


def download(folder: Path, version: str) -> None:
    """Download the wheels of `PACKAGES`, as pinned here where they are installed."""
    from importlib import metadata

    wanted = []
    for name in PACKAGES:
        try:
            wanted.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            wanted.append(name)
    platforms = [part for each in FORMATS for part in ("--platform", f"{each}_x86_64")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", version, "--implementation", "cp"]
    subprocess.run([*command, *platforms, "-d", str(folder), *wanted], check=True)


def command(pack: Path, train: Sequence[str], seconds: int, out: str) -> str:
    """Return the command for the machine, run in the repository's root."""
    asked = f" --train {' '.join(train)}" if train else ""
    return f'python3 bench/gpu.py --pack {pack} --seconds {seconds} --out "{out}"{asked}'


def size_mib(folder: Path) -> float:
    """Return the size of all files of a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def main(given: list[str] | None = None) -> None:
    """Make the pack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for use in ("train", "val", "test"):
        parser.add_argument(f"--{use}", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--pack", type=Path, default=FOLDER, help="folder, replaced")
    parser.add_argument("--python", default="3.12", help="version on the machine")
    parser.add_argument("--no-wheels", action="store_true", help="keep those that are there")
    arguments = parser.parse_args(given)
    sys.path.insert(0, str(ROOT / "workflow"))
    wheels, volumes = arguments.pack / "wheels", arguments.pack / "volumes"
    if not arguments.no_wheels:
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir(parents=True)
        download(wheels, arguments.python)
    shutil.rmtree(volumes, ignore_errors=True)
    for use in ("train", "val", "test"):
        (volumes / use).mkdir(parents=True)
        for file in getattr(arguments, use):
            name = file.name.removesuffix(".gz").removesuffix(".nii")
            (volumes / use / f"{name}.xz").write_bytes(packed(file))
    size = size_mib(arguments.pack)
    if size > MOST_MIB:
        raise SystemExit(f"{arguments.pack}: {size:.0f} MiB, more than {MOST_MIB}; fewer volumes")
    print(f"{arguments.pack}: {size:.1f} MiB. On the machine, in the repository's root:\n")
    train = ["cubic_residual:90", "arssr_rdn:90"] if arguments.train else []
    print(command(arguments.pack, train, 480, "results/gpu"))


if __name__ == "__main__":
    main()
