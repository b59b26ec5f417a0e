import csv
import gzip
import hashlib
import logging
import re
import threading

import nibabel as nib
import numpy as np
import pytest
import yaml

from mrisr.common import http as download
from mrisr.common.errors import InputError
from mrisr.common.seeds import generator
from mrisr.data import datasets, simulate
from mrisr.data import fetch as sources


def nifti(path, shape=(8, 9, 10), dtype=np.int16):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = generator(0, str(shape)).integers(0, 1000, shape).astype(dtype)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return path


@pytest.fixture(scope="session")
def scan(tmp_path_factory):
    """The bytes of a scan of some 100 kB, too much for one packet."""
    return nifti(tmp_path_factory.mktemp("scan") / "scan.nii.gz", (48, 48, 32)).read_bytes()


class Lab:
    """A dataset behind the server and a folder to download it to."""

    def __init__(self, root, server):
        self.root, self.server = root, server
        self.downloads, self.output = root / "downloads", root / "sources.tsv"

    def path(self, subject):
        return self.downloads / "web" / subject / f"{subject}_T1w.nii.gz"

    def dataset(self, rows, suffix="nii.gz", **overrides):
        """Describe the dataset; each row is a subject and, if published, `sha256=...` etc."""
        kinds = sorted({cell.split("=")[0] for row in rows for cell in row[1:]})
        lines = ["\t".join(["subject", "split", *kinds])]
        for subject, *cells in rows:
            stated = dict(cell.split("=") for cell in cells)
            lines.append("\t".join([subject, "test", *(stated.get(kind, "") for kind in kinds)]))
        spec = {
            "label": "Web",
            "licence": "CC0",
            "citation": "Someone 2020",
            "skull_stripped": True,
            "source": {
                "kind": "https",
                "url": f"http://127.0.0.1:{self.server.server_port}/{{subject}}",
                "pattern": f"{{subject}}/{{subject}}_T1w.{suffix}",
            },
            "split": "web.tsv",
        }
        folder = self.root / "datasets"
        folder.mkdir(exist_ok=True)
        (folder / "web.yaml").write_text(yaml.safe_dump(spec))
        (folder / "web.tsv").write_text("\n".join(lines) + "\n")
        return datasets.load("web", overrides, search=[self.root])

    def fetch(self, *rows, **changes):
        dataset = self.dataset([row if isinstance(row, tuple) else (row,) for row in rows])
        sources.fetch(dataset, "test", self.downloads, self.output, **changes)
        return read(self.output)

    def refused(self, *rows):
        with pytest.raises(InputError) as caught:
            self.fetch(*rows)
        assert not self.output.exists()
        return str(caught.value)


@pytest.fixture
def lab(tmp_path, server):
    return Lab(tmp_path, server)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def sha(content):
    return hashlib.sha256(content).hexdigest()


def test_download_list_and_trust_on_first_use(lab, server, scan, caplog):
    caplog.set_level(logging.INFO, "mrisr")
    server.files = {"/sub-01": scan, "/sub-02": scan}
    rows = lab.fetch("sub-02", "sub-01")
    assert [row["subject"] for row in rows] == ["sub-02", "sub-01"]
    assert rows[1] == {
        "subject": "sub-01",
        "path": str(lab.path("sub-01")),
        "url": f"http://127.0.0.1:{server.server_port}/sub-01",
        "bytes": str(len(scan)),
        "sha256": sha(scan),
    }
    assert lab.path("sub-01").read_bytes() == scan
    assert read(lab.downloads / "web" / "checksums.tsv")[0] == {
        "file": "sub-01/sub-01_T1w.nii.gz",
        "bytes": str(len(scan)),
        "sha256": sha(scan),
    }
    assert caplog.text.count("licence: CC0; cite: Someone 2020") == 1
    assert caplog.text.count("those of 2 files are recorded") == 1
    assert {path.name for path in lab.path("sub-01").parent.iterdir()} == {"sub-01_T1w.nii.gz"}

    caplog.clear()
    server.requests.clear()
    assert lab.fetch("sub-02", "sub-01") == rows
    assert server.requests == [] and "licence" not in caplog.text


def test_what_was_recorded_is_verified(lab, server, scan, caplog):
    server.files = {"/sub-01": scan}
    lab.fetch("sub-01")
    lab.path("sub-01").write_bytes(scan[:-9])
    lab.fetch("sub-01")
    assert lab.path("sub-01").read_bytes() == scan
    assert "has not the checksum recorded in" in caplog.text

    lab.path("sub-01").unlink()
    lab.output.unlink()
    server.files["/sub-01"] = gzip.compress(gzip.decompress(scan), 1)
    message = lab.refused("sub-01")
    assert "recorded in" in message and "delete its line" in message
    assert not lab.path("sub-01").exists()


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_published_checksums(lab, server, scan, kind):
    server.files = {"/sub-01": scan, "/sub-02": scan}
    right = hashlib.new(kind, scan).hexdigest()
    wrong = hashlib.new(kind, b"other").hexdigest()
    message = lab.refused(("sub-01", f"{kind}={right}"), ("sub-02", f"{kind}={wrong}"))
    assert "1 of 2 subjects" in message and "sub-02: " in message and "web.tsv" in message
    assert lab.path("sub-01").exists() and not lab.path("sub-02").exists()
    assert not (lab.downloads / "web" / "checksums.tsv").exists()
    assert lab.fetch(("sub-01", f"{kind}={right}"))[0]["sha256"] == sha(scan)


def test_published_size(lab, server, scan):
    server.files = {"/sub-01": scan}
    assert f"{len(scan)} bytes where" in lab.refused(("sub-01", "bytes=5"))
    assert not lab.path("sub-01").exists()
    assert lab.fetch(("sub-01", f"bytes={len(scan)}"))


def test_a_connection_that_breaks_off_is_resumed(lab, server, scan):
    server.files, server.faults = {"/sub-01": scan}, {"/sub-01": ["break off", "busy"]}
    lab.fetch("sub-01")
    assert lab.path("sub-01").read_bytes() == scan
    half = f"bytes={len(scan) // 2}-"
    assert [asked for _, asked in server.requests] == [None, half, half]


@pytest.mark.parametrize("fault", ["says less", "says more", "stall", 429, 500, 408])
def test_a_fault_that_passes_is_got_over(lab, server, scan, fault, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (10, 0.2))
    server.files, server.faults = {"/sub-01": scan}, {"/sub-01": [fault]}
    if fault == "says less":  # what arrived looks complete; gzip tells, and the next run gets it
        assert "damaged gzip" in lab.refused("sub-01")
    lab.fetch("sub-01")
    server.go_on.set()
    assert lab.path("sub-01").read_bytes() == scan
    assert len(server.requests) == 2


@pytest.mark.parametrize(("code", "hint"), [(401, "it needs an account"), (403, "may need an acc")])
def test_a_refusal_is_not_tried_again(lab, server, scan, code, hint):
    server.files, server.faults = {"/sub-01": scan}, {"/sub-01": [code]}
    message = lab.refused("sub-01")
    assert f"HTTP {code}" in message and hint in message
    assert len(server.requests) == 1


def test_a_file_of_amazon_that_is_not_its_etag_is_refused(lab, server, scan):
    server.files, server.software = {"/sub-01": scan, "/sub-02": scan}, "AmazonS3"
    md5 = hashlib.md5(scan).hexdigest()
    server.etags = {"/sub-01": f'"{md5}"', "/sub-02": f'"{md5[::-1]}"'}
    message = lab.refused("sub-01", "sub-02")
    assert "1 of 2" in message and f"where the server states {md5[::-1]}; run again" in message
    server.software = "another"  # whose ETag is anything
    lab.fetch("sub-01", "sub-02")


def test_a_long_download_says_how_far_it_is(lab, server, scan, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "mrisr")
    monkeypatch.setattr(download, "REPORT_EVERY", 0)
    server.files = {"/sub-01": scan}
    lab.fetch("sub-01")
    assert re.search(r"/sub-01: 0 of 0 MB", caplog.text)


def test_a_later_run_goes_on_and_a_server_may_ignore_range(lab, server, scan):
    server.files = {"/sub-01": scan, "/sub-02": scan}
    server.faults = {"/sub-01": ["busy"] * 4, "/sub-02": ["no range"]}
    for subject in ("sub-01", "sub-02"):
        lab.path(subject).parent.mkdir(parents=True)
        lab.path(subject).with_name(f"{subject}_T1w.nii.gz.part").write_bytes(scan[:1000])
    message = lab.refused("sub-01", "sub-02")
    assert "sub-01: " in message and "HTTP 503" in message and "after 4 tries" in message
    assert lab.path("sub-02").read_bytes() == scan
    lab.fetch("sub-01", "sub-02")
    assert lab.path("sub-01").read_bytes() == scan
    assert {asked for _, asked in server.requests} == {"bytes=1000-"}


@pytest.mark.parametrize("left", ["all", "too much", "another version"])
def test_leftovers_never_spoil_a_scan(lab, server, scan, left):
    server.files = {"/sub-01": scan}
    content = {"all": scan, "too much": scan + b"more", "another version": scan[999::-1]}[left]
    lab.path("sub-01").parent.mkdir(parents=True)
    lab.path("sub-01").with_name("sub-01_T1w.nii.gz.part").write_bytes(content)
    lab.fetch("sub-01")
    assert lab.path("sub-01").read_bytes() == scan


def test_refused_answers_are_reported_together(lab, server, scan, tmp_path):
    server.files = {
        "/sub-01": b"<!DOCTYPE html><title>Please log in</title>",
        "/sub-02": b"not a scan at all",
        "/sub-03": scan[:-100],
        "/sub-04": scan,
        "/sub-06": nifti(tmp_path / "a.nii.gz", (4, 4, 4, 2)).read_bytes(),
    }
    message = lab.refused(*(f"sub-0{n}" for n in range(1, 7)))
    assert "5 of 6 subjects have no usable scan" in message
    for subject, problem in {
        "sub-01": "web page",
        "sub-02": "not gzip",
        "sub-03": "damaged gzip",
        "sub-05": "HTTP 404",
        "sub-06": "4-D with shape (4, 4, 4, 2)",
    }.items():
        assert re.search(rf"^  {subject}: .*{re.escape(problem)}", message, re.MULTILINE)
    assert [path.name for path in (lab.downloads / "web").rglob("*.nii.gz*")] == [
        "sub-04_T1w.nii.gz"
    ]
    assert sum(path == "/sub-05" for path, _ in server.requests) == 1


def test_uncompressed_scans(lab, server, tmp_path):
    server.files = {"/sub-01": nifti(tmp_path / "a.nii").read_bytes(), "/sub-02": b"<html>"}
    dataset = lab.dataset([("sub-01",), ("sub-02",)], suffix="nii")
    with pytest.raises(InputError, match=r"sub-02: .*web page"):
        sources.fetch(dataset, "test", lab.downloads, lab.output)
    dataset = lab.dataset([("sub-01",)], suffix="nii")
    sources.fetch(dataset, "test", lab.downloads, lab.output)
    assert read(lab.output)[0]["path"].endswith("sub-01_T1w.nii")


def test_an_unreachable_host_is_given_up_soon(lab, server):
    server.server_close()
    rows = [(f"sub-{n:02}",) for n in range(30)]
    with pytest.raises(InputError) as caught:
        sources.fetch(lab.dataset(rows), "test", lab.downloads, lab.output, workers=1)
    assert str(caught.value).count("no connection after 4 tries") == 1
    assert str(caught.value).count("not tried, as 127.0.0.1") == 29
    assert "compute nodes" in str(caught.value)


def test_unrecorded_files_are_taken_up_if_sound(lab, server, scan):
    server.files = {"/sub-01": scan, "/sub-02": scan}
    for subject, content in {"sub-01": scan, "sub-02": scan[:-50]}.items():
        lab.path(subject).parent.mkdir(parents=True)
        lab.path(subject).write_bytes(content)
    assert {row["sha256"] for row in lab.fetch("sub-01", "sub-02")} == {sha(scan)}
    assert server.requests == [("/sub-02", None)]


def test_two_jobs_share_a_download_folder(lab, server, scan):
    server.files = {"/sub-01": scan, "/sub-02": scan}
    every = lab.dataset([("sub-01",), ("sub-02",)])
    jobs = [
        threading.Thread(
            target=sources.fetch, args=(every, "test", lab.downloads, lab.root / f"{job}.tsv")
        )
        for job in "ab"
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert (lab.root / "a.tsv").read_bytes() == (lab.root / "b.tsv").read_bytes()
    assert len(server.requests) == 2
    assert len(read(lab.downloads / "web" / "checksums.tsv")) == 2


def test_scans_on_disk_are_used_in_place(lab, server, tmp_path):
    copy = tmp_path / "copy"
    file = nifti(copy / "sub-01" / "sub-01_T1w.nii.gz", (8, 8, 8, 1))
    nifti(copy / "sub-02" / "sub-02_T1w.nii.gz", dtype=np.complex64)
    (copy / "sub-03").mkdir()
    (copy / "sub-03" / "sub-03_T1w.nii.gz").write_text("hello")
    nifti(copy / "sub-04" / "sub-04_T1w.nii.gz")
    wrong = f"sha256={sha(b'other')}"
    rows = [("sub-01",), ("sub-02",), ("sub-03",), ("sub-04", wrong)]
    with pytest.raises(InputError) as caught:
        sources.fetch(lab.dataset(rows, folder=copy), "test", lab.downloads, lab.output)
    message = str(caught.value)
    assert "3 of 4" in message and "sub-01:" not in message
    assert "sub-02: " in message and "complex64" in message
    assert re.search(r"sub-03: .*NIfTI", message)
    assert re.search(r"sub-04: .*the publisher states \(see .*/web.tsv\)", message)
    assert not lab.output.exists()

    sources.fetch(lab.dataset(rows[:1], folder=copy), "test", lab.downloads, lab.output)
    (row,) = read(lab.output)
    assert row["path"] == str(file) and row["url"] == "n/a"
    assert row["sha256"] == sha(file.read_bytes())
    assert not lab.downloads.exists() and server.requests == []


def test_bundled_scans_are_made_once_for_a_seed(tmp_path, monkeypatch):
    made = []

    def cohort(subjects, folder, parameters, seed, workers=1):
        made.append((subjects, parameters, seed, workers))
        return {s: nifti(folder / f"{s}_T1w.nii.gz", (6, 6, 6 + seed)) for s in subjects}

    monkeypatch.setattr(simulate, "cohort", cohort)
    dataset = datasets.load("demo", {"subjects": {"test": 1}})
    output = tmp_path / "out" / "test.tsv"
    sources.fetch(dataset, "test", tmp_path / "raw", output, workers=2, seed=1)
    (first,) = read(output)
    assert first["subject"] == "sub-06" and first["url"] == "mrisr.data.simulate:mni152"
    assert nib.load(first["path"]).shape == (6, 6, 7)
    sources.fetch(datasets.load("demo"), "test", tmp_path / "raw", output, seed=1)
    sources.fetch(dataset, "test", tmp_path / "raw", output, seed=2)
    assert read(output)[0]["path"] != first["path"]
    parameters = {"voxel_size": 2}
    assert made == [
        (["sub-06"], parameters, 1, 2),
        (["sub-07"], parameters, 1, 4),
        (["sub-06"], parameters, 2, 4),
    ]
