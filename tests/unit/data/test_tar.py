"""Scans in one archive, against a server on this machine."""

import hashlib
import io
import tarfile

import nibabel as nib
import numpy as np
import pytest
import yaml

from mrisr.common.errors import InputError
from mrisr.data import datasets, draw_split
from mrisr.data import fetch as sources


@pytest.fixture(scope="module")
def scan():
    data = np.random.default_rng(0).integers(0, 1000, (32, 32, 16)).astype(np.int16)
    return nib.Nifti1Image(data, np.eye(4)).to_bytes()


def pack(members):
    """Return a tar archive of names and contents; a content that is text is a link's target."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


class Lab:
    """A dataset in an archive behind the server, and a folder to download it to."""

    def __init__(self, root, server):
        self.root, self.server, self.downloads = root, server, root / "downloads"
        self.folder = self.downloads / "packed"
        (root / "datasets").mkdir()

    def publish(self, *members, md5=None):
        content = pack(members)
        self.server.files["/all.tar"] = content
        spec = {
            "label": "Packed",
            "skull_stripped": True,
            "source": {
                "kind": "https",
                "archive": {
                    "url": f"{self.server.url}/all.tar",
                    "md5": md5 or hashlib.md5(content).hexdigest(),
                },
                "pattern": "{subject}-T1.nii",
            },
            "split": {"kind": "listed", "counts": {"train": 1, "val": 1, "test": 1}, "seed": 1},
        }
        (self.root / "datasets" / "packed.yaml").write_text(yaml.safe_dump(spec))
        return content

    def load(self):
        return datasets.load("packed", {}, [self.root], self.downloads)

    def split(self):
        return draw_split.split(self.load(), self.downloads)

    def know(self, *subjects):
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{subject}\ttest\n" for subject in subjects)
        (self.folder / "split.tsv").write_text(f"subject\tsplit\n{rows}")

    def fetch(self):
        sources.fetch(self.load(), "test", self.downloads, self.root / "out.tsv")

    def refused(self):
        with pytest.raises(InputError) as caught:
            self.fetch()
        return str(caught.value)


@pytest.fixture
def lab(tmp_path, server):
    return Lab(tmp_path, server)


def test_an_archive_is_downloaded_once_for_the_split_and_all_scans(lab, server, scan):
    names = ["IXI002-Guys-0828", "IXI012-HH-1211", "IXI014-HH-1236"]
    content = lab.publish(*((f"./{name}-T1.nii", scan) for name in names), ("./x-T2.nii", b""))
    server.faults["/all.tar"] = ["break off", "busy"]
    lab.split()
    dataset = lab.load()
    made = datasets.make_split(names, {"train": 1, "val": 1, "test": 1}, 1, "split", "packed")
    assert dataset.subjects == made
    assert dataset.checksums[names[0]] == {"bytes": len(scan)}
    half = f"bytes={len(content) // 2}-"
    assert [asked for _, asked in server.requests] == [None, half, half]

    server.requests.clear()
    lab.fetch()
    (subject,) = made["test"]
    assert (lab.folder / f"{subject}-T1.nii").read_bytes() == scan
    assert f"{server.url}/all.tar#{subject}-T1.nii" in (lab.root / "out.tsv").read_text()
    assert {path.name for path in lab.folder.glob("*.nii")} == {f"{subject}-T1.nii"}
    (lab.folder / "all.tar").unlink()
    lab.fetch()
    assert server.requests == []


def test_a_scan_that_is_damaged_on_disk_is_taken_out_again(lab, server, scan):
    lab.publish(("a-T1.nii", scan))
    lab.know("a")
    lab.fetch()
    (lab.folder / "a-T1.nii").write_bytes(scan[:-9])
    lab.fetch()
    assert (lab.folder / "a-T1.nii").read_bytes() == scan
    assert len(server.requests) == 1


def test_no_member_lands_outside_and_links_are_not_followed(lab, scan, tmp_path):
    secret = tmp_path / "secret-T1.nii"
    secret.write_bytes(scan)
    lab.publish(
        ("../outside-T1.nii", scan),
        (f"{tmp_path}/absolute-T1.nii", scan),
        ("link-T1.nii", str(secret)),
        ("a-T1.nii", scan),
    )
    lab.know("a", "link", "outside", "absolute", "lost")
    message = lab.refused()
    assert "4 of 5 subjects" in message
    for subject in ("link", "outside", "absolute", "lost"):
        assert f"{subject}: {lab.folder / 'all.tar'} has no file {subject}-T1.nii" in message
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*-T1.nii*")}
    assert found == {"secret-T1.nii", "downloads/packed/a-T1.nii"}


def test_another_archive_than_the_published_one_is_refused_once(lab, server, scan):
    lab.publish(("a-T1.nii", scan), md5="0" * 32)
    lab.know("a", "b")
    message = lab.refused()
    assert message.startswith(f"{server.url}/all.tar: its md5 is ")
    assert "where 00000000000000000000000000000000 is published" in message
    assert not list(lab.folder.glob("all.tar*"))


def test_what_is_left_of_another_archive_is_dropped(lab, server, scan):
    lab.publish(("a-T1.nii", scan))
    lab.know("a")
    (lab.folder / "all.tar.part").write_bytes(b"something else")
    lab.fetch()
    assert [asked for _, asked in server.requests] == ["bytes=14-", None]


def test_an_archive_put_there_by_hand_is_verified_too(lab, server, scan):
    content = lab.publish(("a-T1.nii", scan))
    lab.know("a")
    (lab.folder / "all.tar").write_bytes(content[:-600])
    assert "all.tar: its md5 is" in lab.refused()
    (lab.folder / "all.tar").write_bytes(content)
    lab.fetch()
    assert server.requests == []


def test_what_is_no_archive_is_named(lab, server):
    body = b"no tar at all"
    lab.publish(md5=hashlib.md5(body).hexdigest())
    server.files["/all.tar"] = body
    lab.know("a")
    assert "all.tar: cannot be read as a tar archive" in lab.refused()


def test_without_a_network_the_place_for_the_archive_is_named(lab, server, scan):
    lab.publish(("a-T1.nii", scan))
    lab.know("a", "b")
    server.server_close()
    assert f"put the archive at {lab.folder / 'all.tar'}" in lab.refused()
