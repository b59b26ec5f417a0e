"""Bad and odd input of every kind, made by code, and the two gates that must deal with it.

`python tests/corpus.py` prints what the gates say to each kind.
"""

import bz2
import contextlib
import csv
import gzip
import logging
import os
import struct
import sys
import tempfile
import unittest.mock
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from typer.testing import CliRunner

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from mrisr.cli.main import app
from mrisr.common.errors import MrisrError
from mrisr.data import datasets, fetch
from mrisr.prepare import ground_truth

SHAPE = (20, 22, 24)
AFFINE = nib.affines.from_matvec(np.diag([-0.9, 1.1, 1.5]), [9.0, -12, -14])
GOOD, ODD = "sub-01", "sub-02"


def head(shape=SHAPE, dtype=np.int16, seed=0):
    """Return a block of signal with 0 around it; another seed is another subject's."""
    data = np.zeros(shape, np.float64)
    block = tuple(slice(n // 5, n - n // 5) for n in shape)
    data[block] = np.random.default_rng(seed).uniform(50, 900, data[block].shape)
    return data.astype(dtype)


class Lab:
    """A BIDS dataset of two subjects; the second one is odd."""

    def __init__(self, root):
        self.root, self.bids = Path(root), Path(root) / "bids"
        self.rows, self.changes, self.appended = None, {}, ""
        self.write(head(seed=1), subject=GOOD)
        self.scan.parent.mkdir(parents=True)

    @property
    def scan(self):
        return self.path(ODD)

    def path(self, subject, suffix="nii.gz"):
        return self.bids / subject / "anat" / f"{subject}_T1w.{suffix}"

    def write(self, data, affine=AFFINE, subject=ODD, suffix="nii.gz", edit=None, image=None):
        """Write a scan; `edit` may change the image's header."""
        path = self.path(subject, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        image = (image or nib.Nifti1Image)(data, affine)
        if edit:
            edit(image.header)
        nib.save(image, path)
        return path

    def patch(self, field, values, code, suffix="nii.gz", data=None):
        """Write a scan and overwrite bytes of its header: as they are in the file, unchecked."""
        path = self.write(head() if data is None else data, suffix=suffix)
        content = bytearray(self.unpacked(path))
        struct.pack_into(code, content, OFFSETS[field], *values)
        self.put(bytes(content), suffix)

    @staticmethod
    def unpacked(path):
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix in (".gz", ".mgz") else content

    def put(self, content, suffix="nii.gz"):
        packed = gzip.compress(content, 1) if suffix.endswith("gz") else content
        self.path(ODD, suffix).write_bytes(packed)

    def spec(self):
        """Write the dataset's files."""
        spec = {
            "label": "Own scans",
            "skull_stripped": True,
            "source": {"kind": "bids", "folder": str(self.bids)},
            "split": "test" if self.rows is None else "own.tsv",
        } | self.changes
        folder = self.root / "datasets"
        folder.mkdir(exist_ok=True)
        text = yaml.safe_dump(spec, sort_keys=False)
        (folder / "own.yaml").write_text(text + self.appended)
        if self.rows is not None:
            (folder / "own.tsv").write_bytes(self.rows.replace(" ", "\t").encode())

    def fetch_and_prepare(self):
        """Do what the workflow does; return what it says if it refuses, else None."""
        staging = self.root / "staging"
        try:
            dataset = datasets.load("own", search=[self.root])
            subjects = dataset.subjects["test"]
            dataset.local_files("test")
            given = list(dataset.mask_files("test").values())
            fetch.fetch(dataset, "test", self.root / "raw", self.root / "list.tsv", workers=1)
            hr, masks = (
                [self.root / kind / f"{s}.nii.gz" for s in subjects] for kind in ("hr", "masks")
            )
            ground_truth.prepare_subjects(
                ground_truth.listed_scans(
                    self.root / "list.tsv", subjects, hr, masks, given_masks=given
                ),
                ground_truth.Settings(
                    {"kind": "none"},
                    dataset.spec["mask"],
                    min_size=16,
                    intensity=dataset.spec["intensity"],
                ),
                staging=staging,
                fingerprint="code",
            )
        except MrisrError as error:
            return str(error)
        return None

    def check(self, *options):
        """Call `mrisr data check`; return exit code, output on one line, rows by subject."""
        table = self.root / "check.csv"
        arguments = ["data", "check", "own", "--plugins", self.root, "--workers", 1]
        called = CliRunner().invoke(app, [*map(str, [*arguments, "--csv", table, *options])])
        logging.basicConfig(handlers=[logging.NullHandler()], force=True)  # its stream is closed
        if called.exception is not None and not isinstance(called.exception, SystemExit):
            raise called.exception
        rows = {}
        if table.exists():
            with table.open(newline="") as file:
                rows = {row["subject"]: row for row in csv.DictReader(file)}
        return called.exit_code, called.output, rows


OFFSETS = {
    **{"dim": 40, "datatype": 70, "bitpix": 72, "pixdim": 76, "vox_offset": 108},
    **{"scl_slope": 112, "scl_inter": 116, "xyzt_units": 123, "qform_code": 252},
    **{"sform_code": 254, "quatern_b": 256, "srow_x": 280, "magic": 344, "extension": 352},
}


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        name: What it is.
        make: Makes it in a lab.
        what: Pattern of what is said to be wrong; None if it is accepted.
        remedy: Pattern of what to do.
        note: Pattern of what is noted about an accepted scan.
        during: What else holds while the gates look at it.
    """

    name: str
    make: Callable[[Lab], object]
    what: str | None = None
    remedy: str | None = None
    note: str | None = None
    during: Callable[[Lab], contextlib.AbstractContextManager] = lambda lab: (
        contextlib.nullcontext()
    )


def changed(index, value, dtype=np.float32):
    data = head(dtype=dtype)
    data[index] = value
    return data


def forms(sform, qform):
    def edit(header):
        header.set_sform(sform, code=1)
        header.set_qform(qform, code=1)

    return edit


def turned(codes):
    ornt = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(AFFINE), nib.orientations.axcodes2ornt(codes)
    )
    return nib.Nifti1Image(head(), AFFINE).as_reoriented(ornt)


def _shift(millimetres):
    """Return what is added to an affine to move it along x."""
    found = np.zeros((4, 4))
    found[0, 3] = millimetres
    return found


def oblique(degrees=10):
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return nib.affines.from_matvec(turn) @ AFFINE


def scaled(factor):
    return np.diag([factor, factor, factor, 1]) @ AFFINE


def unit(name):
    return lambda header: header.set_xyzt_units(name)


def cut(part, suffix="nii.gz"):
    def make(lab):
        path = lab.write(head(), suffix=suffix)
        content = path.read_bytes()
        path.write_bytes(content[: int(part * len(content))])

    return make


def broken_crc(lab):
    path = lab.write(head())
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(content)


def appended(what, suffix="nii.gz", packed=False):
    def make(lab):
        path = lab.write(head(), suffix=suffix)
        if packed:
            lab.put(lab.unpacked(path) + what(), suffix)
        else:
            path.write_bytes(path.read_bytes() + what())

    return make


def big_endian(lab):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.save(nib.Nifti1Image(head(dtype=">i2"), AFFINE, header), lab.scan)


def extension(lab):
    image = nib.Nifti1Image(head(), AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"scanned on a Monday"))
    nib.save(image, lab.scan)


def zero_voxel(lab):
    lab.patch("srow_x", [0.0], "<f")


def singular(lab):
    lab.patch("srow_x", [1.0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], "<12f")


def bad_quaternion(lab):
    lab.patch("quatern_b", [2.0, 2, 2], "<3f", data=head())
    content = bytearray(lab.unpacked(lab.scan))
    struct.pack_into("<2h", content, OFFSETS["qform_code"], 1, 0)
    lab.put(bytes(content))


def other_file(name, subject=ODD):
    def make(lab):
        path = lab.bids / subject / "anat" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(head(), AFFINE), path)

    return make


def subject_folder(*names):
    def make(lab):
        lab.write(head())
        for name in names:
            (lab.bids / name / "anat").mkdir(parents=True)

    return make


def table(rows):
    def make(lab):
        lab.write(head())
        lab.rows = rows

    return make


def link(target):
    return lambda lab: lab.scan.symlink_to(target)


def no_permission(lab):
    lab.write(head()).chmod(0)


@contextlib.contextmanager
def not_root(lab):
    """Refuse what root would be let read."""
    real = Path.open

    def opened(path, *arguments, **options):
        if path == lab.scan:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    if os.geteuid() != 0:
        yield
        return
    with unittest.mock.patch.object(Path, "open", opened):
        yield


def described(make, appended="", **changes):
    """Also change the dataset's file, or append to it."""

    def also(lab):
        make(lab)
        lab.changes |= changes
        lab.appended = appended

    return also


def holds(content, suffix="nii.gz"):
    """Write bytes in place of a scan."""

    def make(lab):
        lab.path(ODD, suffix).write_bytes(content(lab) if callable(content) else content)

    return make


def bzip2(lab):
    return bz2.compress(lab.unpacked(lab.write(head())))


def in_capitals(lab):
    lab.write(head()).rename(lab.scan.with_name("sub-02_T1w.NII.GZ"))


def mgh_without_orientation(lab):
    content = bytearray(lab.unpacked(lab.write(head(), suffix="mgz", image=nib.MGHImage)))
    content[28:30] = bytes(2)
    lab.put(bytes(content), "mgz")


def by_pattern(pattern, *names):
    """Have scans in a flat folder beside the two subjects', found by a pattern."""

    def make(lab):
        for seed, name in enumerate(names, start=2):
            nib.save(nib.Nifti1Image(head(seed=seed), AFFINE), lab.bids / f"{name}.nii.gz")
        source = {"kind": "folder", "folder": str(lab.bids), "pattern": pattern}
        lab.changes |= {"source": source}
        lab.rows = "subject split\nP1 test\nP1_2 test\n"

    return make


def named(*names):
    """Call the subjects by names that look like something else."""

    def make(lab):
        lab.write(head())
        for seed, name in enumerate(names, start=2):
            nib.save(nib.Nifti1Image(head(seed=seed), AFFINE), lab.bids / f"{name}.nii.gz")
        source = {"kind": "folder", "folder": str(lab.bids), "pattern": "{subject}.nii.gz"}
        for subject in (GOOD, ODD):
            nib.save(nib.load(lab.path(subject)), lab.bids / f"{subject}.nii.gz")
        lab.changes |= {"source": source}
        lab.rows = "subject split\n" + "".join(f"{n} test\n" for n in (GOOD, ODD, *names))

    return make


def masked(edit, affine=AFFINE):
    """Give both subjects masks; that of the second is edited."""

    def make(lab):
        lab.write(head())
        for subject in (GOOD, ODD):
            mask = (head() > 0).astype(np.float32)
            odd = subject == ODD
            image = nib.Nifti1Image(edit(mask) if odd else mask, affine if odd else AFFINE)
            (lab.bids / "masks").mkdir(exist_ok=True)
            nib.save(image, lab.bids / "masks" / f"{subject}.nii.gz")
        lab.changes |= {"mask": {"kind": "file", "pattern": "masks/{subject}.nii.gz"}}

    return make


def quoted_note(lab):
    lab.write(head())
    lab.rows = f'participant_id note\n{GOOD} "moved\n{ODD} fine\n'
    lab.changes |= {"split": {"kind": "table", "file": "own.tsv", "as": "test"}}


def write(data, affine=AFFINE, **options):
    return lambda lab: lab.write(data() if callable(data) else data, affine, **options)


def patched(field, values, code, **options):
    return lambda lab: lab.patch(field, values, code, **options)


AGAIN, CONVERT, REPAIR = "copy or download it again", "dcm2niix", "repair or leave out"
EXPORT, UNDO, CROP = "export it again", "undo the standardisation", "crop"
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
SHEARED = AFFINE + np.array([[0, 0.4, 0, 0], *[[0] * 4] * 3])
SHIFTED = nib.affines.from_matvec(np.eye(3), [5, 0, 0]) @ AFFINE
MIRRORED = np.diag([-1.0, 1, 1, 1]) @ AFFINE
RANDOM = np.random.default_rng(1)

KINDS = [
    # The file.
    Kind("gzip cut in half", cut(0.5), "truncated or damaged", AGAIN),
    Kind("gzip cut before its end mark", cut(0.9995), "truncated or damaged", AGAIN),
    Kind("gzip with a wrong checksum", broken_crc, "CRC check failed", AGAIN),
    Kind("gzip with more after it", appended(lambda: b"junk"), "truncated or damaged", AGAIN),
    Kind(
        "gzip bomb: 64 MB after the voxels",
        appended(lambda: bytes(64 << 20), packed=True),
        "goes on after the 20 x 22 x 24 voxels",
        CONVERT,
    ),
    Kind("bzip2", holds(bzip2), "packed by bzip2", "bunzip2"),
    Kind(
        "pointer of git LFS",
        holds(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "a pointer of git LFS",
        "git lfs pull",
    ),
    Kind(
        "pointer of git-annex",
        holds(b"/annex/objects/SHA256E-s9--0.nii.gz\n"),
        "a pointer of git-annex",
        "datalad get",
    ),
    Kind("ZIP archive", holds(b"PK\x03\x04" + bytes(200)), "a ZIP archive", "unpack it"),
    Kind("DICOM file", holds(bytes(128) + b"DICM" + bytes(99)), "a DICOM file", "dcm2niix"),
    Kind("name in capitals", in_capitals, "no file sub-02/anat", "add it|list"),
    Kind("a few bytes after the voxels", appended(lambda: bytes(512), packed=True)),
    Kind("wrong magic", patched("magic", [b"xyz"], "<3s"), "not a NIfTI file", CONVERT),
    Kind("empty file", lambda lab: lab.scan.touch(), "empty", AGAIN),
    Kind(
        "text file",
        lambda lab: lab.scan.write_text("a scan\n" * 90),
        "cannot be read|not a NIfTI",
        "copy|convert",
    ),
    Kind("gzipped text", lambda lab: lab.put(b"a scan\n" * 90), "not a NIfTI file", CONVERT),
    Kind(
        "not compressed, but named .gz",
        lambda lab: lab.scan.write_bytes(lab.unpacked(lab.write(head()))),
        "cannot be read|not a NIfTI",
        "copy|convert",
    ),
    Kind(
        "folder named like a scan", lambda lab: lab.scan.mkdir(), "a folder, not a file", "inside"
    ),
    Kind("link to nothing", link("gone"), "link to nothing", "datalad get"),
    Kind("link to itself", lambda lab: lab.scan.symlink_to(lab.scan), "link to nothing", "datalad"),
    Kind("no permission", no_permission, "no permission", "chmod", during=not_root),
    Kind(
        "pair of .hdr and .img", other_file("sub-02_T1w.img"), "no file sub-02/anat", "add it|list"
    ),
    Kind("no file at all", lambda lab: None, "no file sub-02/anat", "add it|list"),
    Kind(
        "two files for a subject",
        lambda lab: (lab.write(head()), other_file("sub-02_run-2_T1w.nii.gz")(lab)),
        "2 files match",
        "set session, entities or pattern",
    ),
    # The header.
    Kind(
        "4-D series",
        write(lambda: np.stack([head()] * 3, -1)),
        "4-D with shape",
        "split the series",
    ),
    Kind("4-D with one volume", write(lambda: head()[..., None])),
    Kind("2-D", write(lambda: head()[..., 12]), "2-D with shape", "3-D volume is expected"),
    Kind("RGB", write(lambda: np.ones(SHAPE, RGB)), "voxels of type", "one channel"),
    Kind("complex", write(lambda: head(dtype=np.complex64)), "complex64", "take the magnitude"),
    Kind("uint8, 0 and 1", write(lambda: (head() > 400).astype(np.uint8))),
    Kind("unknown type of voxels", patched("datatype", [9999], "<h"), "not a NIfTI file", CONVERT),
    Kind(
        "header of 30000 x 30000 x 30000",
        patched("dim", [3, *[30000] * 3], "<4h"),
        "truncated or damaged",
        AGAIN,
    ),
    Kind(
        "the same, not compressed",
        patched("dim", [3, *[30000] * 3], "<4h", suffix="nii"),
        "truncated or damaged",
        AGAIN,
    ),
    Kind(
        "header of 200 x 200 x 200, gzip",
        patched("dim", [3, 200, 200, 200], "<4h"),
        "truncated or damaged",
        AGAIN,
    ),
    Kind("not compressed, cut", cut(0.6, "nii"), "truncated or damaged", AGAIN),
    Kind(
        "not compressed, goes on",
        appended(lambda: bytes(9999), "nii"),
        "goes on after the 20 x 22 x 24 voxels",
        CONVERT,
    ),
    Kind(
        "negative dimension", patched("dim", [3, -20, 22, 24], "<4h"), "header|no voxels|NIfTI", "."
    ),
    Kind("dimension 0", patched("dim", [3, 0, 22, 24], "<4h"), "no voxels|header|NIfTI", "."),
    Kind("voxels begin at byte 1e30", patched("vox_offset", [1e30], "<f"), "damaged|NIfTI", "."),
    Kind("big-endian", big_endian),
    Kind("NIfTI-2", write(head, image=nib.Nifti2Image)),
    Kind("extension in the header", extension),
    Kind(
        "extension of 2 GB",
        lambda lab: (extension(lab), _stretch(lab)),
        "header|NIfTI|damaged",
        ".",
    ),
    # Where it lies.
    Kind("voxel size 0", zero_voxel, "voxel size 0", CONVERT),
    Kind(
        "negative voxel size beside a sound sform",
        patched("pixdim", [1.0, -0.9, -1.1, -1.5], "<4f"),
    ),
    Kind("sheared", write(head, SHEARED), "sheared", "resample"),
    Kind("singular affine", singular, "singular", CONVERT),
    Kind(
        "neither sform nor qform",
        patched("qform_code", [0, 0], "<2h"),
        "no orientation",
        CONVERT,
    ),
    Kind(
        "MGH without orientation",
        mgh_without_orientation,
        "its RAS flag is 0",
        "mri_convert",
    ),
    Kind(
        "sform and qform differ in left and right",
        write(head, edit=forms(AFFINE, MIRRORED)),
        "sform says that the axes point to LAS, its qform to RAS",
        "which is right",
    ),
    Kind(
        "sform and qform differ by 5 mm",
        write(head, edit=forms(AFFINE, SHIFTED)),
        note="differ by up to 5 mm",
    ),
    Kind(
        "pixdim and sform of another voxel size",
        patched("pixdim", [1.0, 0.868, 0.868, 3], "<4f"),
        "pixdim says voxels of 0.868 x 0.868 x 3 mm, its sform 0.9 x 1.1 x 1.5 mm",
        "which is right",
    ),
    Kind(
        "a unit of length that NIfTI does not define",
        patched("xyzt_units", [5], "<B"),
        note="code 5, is unknown to NIfTI; taken as mm",
    ),
    Kind("qform without a rotation", bad_quaternion, "header is damaged", CONVERT),
    Kind(
        "NaN in the affine", patched("srow_x", [np.nan], "<f"), "NaN or infinite entries", CONVERT
    ),
    Kind("oblique", write(head, oblique())),
    Kind("LAS", lambda lab: nib.save(turned("LAS"), lab.scan)),
    Kind("PIR", lambda lab: nib.save(turned("PIR"), lab.scan)),
    Kind("slices of 20 mm", write(head, np.diag([-0.5, 0.5, 20, 1])), note="40 times as long"),
    Kind("metres", write(head, scaled(1e-3), edit=unit("meter")), note="stated in meters"),
    Kind("micrometres", write(head, scaled(1e3), edit=unit("micron")), note="stated in microns"),
    Kind(
        "millimetres called metres",
        write(head, edit=unit("meter")),
        "voxel size 900 x",
        "unit is wrong",
    ),
    Kind(
        "metres called millimetres", write(head, scaled(1e-3)), "voxel size 0.0009", "unit is wrong"
    ),
    Kind("one slice", write(lambda: head()[:, :, 12:13]), "20 x 22 x 1 voxels", CROP),
    Kind(
        "too small for the scales", write(lambda: head((15, 20, 20))), "15 x 20 x 20 voxels", CROP
    ),
    # Intensities.
    Kind("one NaN", write(lambda: changed((3, 3, 3), np.nan)), "1 of 10560 voxels are NaN", REPAIR),
    Kind(
        "infinite",
        write(lambda: changed((0, 0, slice(2)), np.inf)),
        "2 of 10560 voxels are NaN",
        REPAIR,
    ),
    Kind(
        "1e300 in float64",
        write(lambda: changed((0, 0, 0), 1e300, float)),
        "infinite as 32-bit",
        REPAIR,
    ),
    Kind(
        "1e30, one voxel", write(lambda: changed((0, 0, 0), 1e30)), "maximum is 1e\\+30", "outliers"
    ),
    Kind(
        "one voxel at 30 times the 99 % quantile",
        write(lambda: _hot()),
        note="30 times the 99 % quantile .* set intensity: \\{white: 99.9 %\\}",
    ),
    Kind(
        "the same, and white: 99.9 %",
        described(write(lambda: _hot()), intensity={"white": "99.9 %"}),
        note=r"^\d voxels above white, .* set to 1$",
    ),
    Kind(
        "1e30, one voxel, and white: 99.9 %",
        described(write(lambda: changed((0, 0, 0), 1e30)), intensity={"white": "99.9 %"}),
    ),
    Kind(
        "background 0.001",
        write(lambda: head(dtype=np.float32) + np.float32(0.001)),
        note="^its background is 0.001, not 0 .* set intensity: \\{black: 0.001\\}[^|]*$",
    ),
    Kind(
        "the same, and black: 0.001",
        described(
            lambda lab: [
                lab.write(head(dtype=np.float32, seed=seed) + np.float32(0.001), subject=subject)
                for seed, subject in enumerate((ODD, GOOD))
            ],
            intensity={"black": 0.001},
        ),
        note="^$",
    ),
    Kind(
        "noise in the air",
        write(lambda: head() + RANDOM.integers(1, 9, SHAPE).astype(np.int16)),
        note="its mask is 100.0% of the volume",
    ),
    Kind(
        "white: 50 %",
        described(write(head), intensity={"white": "50 %"}),
        "intensity.white",
        ".",
    ),
    Kind("slope 1e37", patched("scl_slope", [1e37], "<f"), "infinite as 32-bit", REPAIR),
    Kind("slope 0: no scaling", patched("scl_slope", [0.0], "<f")),
    Kind("slope NaN: no scaling", patched("scl_slope", [np.nan], "<f")),
    Kind("intercept NaN", patched("scl_slope", [1.0, np.nan], "<2f"), "not a NIfTI file", CONVERT),
    Kind("slope -1", patched("scl_slope", [-1.0], "<f"), "no magnitudes", UNDO),
    Kind("all negative", write(lambda: -head() - 1), "no magnitudes", UNDO),
    Kind("standardised in the brain", write(lambda: _standardised()), "no magnitudes", UNDO),
    Kind(
        "phase, -3.1 to 3.1", write(lambda: RANDOM.uniform(-3.1, 3.1, SHAPE)), "no magnitudes", UNDO
    ),
    Kind(
        "int16 overflowed once",
        write(lambda: changed((9, 9, 9), -32768, np.int16)),
        "no magnitudes",
        UNDO,
    ),
    Kind("ringing", write(lambda: _ringing())),
    Kind(
        "constant", write(lambda: np.full(SHAPE, 7, np.int16)), "constant, every voxel is 7", EXPORT
    ),
    Kind(
        "all zero", write(lambda: np.zeros(SHAPE, np.int16)), "constant, every voxel is 0", EXPORT
    ),
    Kind(
        "NaN, sheared and no magnitudes",
        write(lambda: changed((3, 3, 3), np.nan) - 500, SHEARED),
        "sheared",
        "resample",
    ),
    # Masks.
    Kind("mask with NaN outside", masked(lambda mask: np.where(mask > 0, mask, np.nan))),
    Kind(
        "mask 5 micrometres off the grid of its scan",
        masked(lambda mask: mask, AFFINE + _shift(0.005)),
    ),
    # The dataset's file.
    Kind(
        "a key twice",
        described(write(head), appended="skull_stripped: false\n"),
        "key 'skull_stripped' is in line 2 already",
        "delete one",
    ),
    Kind(
        "a wildcard beside {subject}",
        by_pattern("{subject}*_T1.nii.gz", "P1_T1", "P10_T1"),
        "a wildcard beside",
        "put what follows the name between them",
    ),
    Kind(
        "one file for two subjects",
        by_pattern("{subject}_*T1.nii.gz", "P1_2_a_T1"),
        "P1_2_a_T1.nii.gz is found for P1 too",
        "make the pattern say where",
    ),
    # The list of subjects.
    Kind("a note that begins with a quotation mark", quoted_note),
    Kind("subjects called NA, null, 001 and 1e5", named("NA", "null", "001", "1e5")),
    Kind(
        "subject twice in the list",
        table("subject split\nsub-01 test\nsub-01 test\n"),
        "in line 2 already",
        "one split",
    ),
    Kind(
        "unknown split",
        table("subject split\nsub-01 tset\nsub-02 test\n"),
        "unknown split 'tset'",
        "did you mean",
    ),
    Kind(
        "comma in place of tabs",
        table("subject,split\nsub-01,test\n"),
        "no column 'subject'",
        "tabs",
    ),
    Kind(
        "listed, not there",
        table("subject split\nsub-01 test\nsub-09 test\n"),
        "no file sub-09",
        "add it|list",
    ),
    Kind(
        "list with a BOM and Windows line ends",
        table("\ufeffsubject split\r\nsub-01 test\r\nsub-02 test\r\n"),
    ),
    Kind(
        "wrong published checksum",
        table(f"subject split sha256\nsub-01 test \nsub-02 test {'0' * 64}\n"),
        "its sha256 is",
        AGAIN,
    ),
    Kind(
        "names with spaces, accents and dashes",
        subject_folder("sub-é", "sub-3 (copy)", "sub--4 x"),
        "'sub--4 x', 'sub-3 \\(copy\\)', 'sub-é' cannot name subjects",
        "rename",
    ),
    Kind(
        "name with a leading dash",
        table("subject split\n-x test\nsub-01 test\n"),
        "'-x' cannot name",
        "letters",
    ),
    Kind(
        "path in place of a name",
        table("subject split\n../sub-01 test\n"),
        "cannot name",
        "letters",
    ),
]


def _hot():
    data = head(dtype=np.float32)
    data[9, 9, 9] = 30 * np.quantile(data[data > 0], 0.99)
    return data


def _stretch(lab):
    content = bytearray(lab.unpacked(lab.scan))
    struct.pack_into("<i", content, OFFSETS["extension"], 2**31 - 16)
    lab.put(bytes(content))


def _standardised():
    data = head(dtype=np.float32)
    inside = data > 0
    data[inside] = (data[inside] - data[inside].mean()) / data[inside].std()
    return data


def _ringing():
    data = head(dtype=np.float32)
    data[:2] = -0.004 * data.max()
    data[3, 4:8, 5] = -0.07 * data.max()
    return data


def main():
    """Print a Markdown table of all kinds and of what the gates say."""
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    print("| kind | outcome | message |\n| --- | --- | --- |")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            lab = Lab(folder)
            kind.make(lab)
            lab.spec()
            with kind.during(lab):
                said = lab.fetch_and_prepare()
                code, output, rows = lab.check("--full")
            assert code == (said is not None), (kind.name, said, output)
            text = said.splitlines()[-1] if said else rows.get(ODD, {}).get("notes", "")
            text = text.strip().replace(f"{folder}/", "").replace("|", "\\|")
            print(f"| {kind.name} | {'refused' if said else 'accepted'} | {text} |")


if __name__ == "__main__":
    main()
