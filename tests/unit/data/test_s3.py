"""Scans in an S3 bucket, against a stand-in on this machine."""

import gzip
import logging
import re

import nibabel as nib
import numpy as np
import pytest
import yaml

from mrisr.common.errors import InputError
from mrisr.data import datasets, draw_split
from mrisr.data import fetch as sources
from s3_stand_in import KEY, SECRET


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """The bytes of a scan of some 100 kB, too much for one packet."""
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    data = np.random.default_rng(0).integers(0, 1000, (48, 48, 32)).astype(np.int16)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return path.read_bytes()


class Lab:
    """A dataset in the bucket, and a folder to download it to."""

    def __init__(self, root, bucket):
        self.root, self.bucket = root, bucket
        self.downloads = root / "downloads"
        (root / "datasets").mkdir()
        self.write()

    def write(self, counts=(2, 1, 1), **source):
        spec = {
            "label": "Brains",
            "licence": "on request",
            "access": "ask the professor",
            "skull_stripped": True,
            "source": {
                "kind": "s3",
                "bucket": "brains",
                "region": "us-east-1",
                "key": "release/{subject}/T1w/brain.nii.gz",
                "pattern": "{subject}/brain.nii.gz",
                **source,
            },
            "split": {
                "kind": "listed",
                "counts": dict(zip(("train", "val", "test"), counts, strict=True)),
                "seed": 1,
            },
        }
        (self.root / "datasets" / "brains.yaml").write_text(yaml.safe_dump(spec))

    def put(self, *subjects, content):
        for subject in subjects:
            self.bucket.files[self.object(subject)] = content

    def object(self, subject):
        return f"/brains/release/{subject}/T1w/brain.nii.gz"

    def path(self, subject):
        return self.downloads / "brains" / subject / "brain.nii.gz"

    def load(self, **overrides):
        return datasets.load("brains", overrides, [self.root], self.downloads)

    def split(self, **options):
        return draw_split.split(self.load(), self.downloads, **options).read_text()

    def know(self, *subjects):
        """Write a split by hand, one that states no checksums."""
        file = self.downloads / "brains" / "split.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{subject}\ttest\n" for subject in subjects)
        file.write_text(f"subject\tsplit\n{rows}")

    def fetch(self, *subjects):
        dataset = self.load(subjects={"test": list(subjects)} if subjects else {})
        sources.fetch(dataset, "test", self.downloads, self.root / "out.tsv")

    def refused(self, *subjects):
        with pytest.raises(InputError) as caught:
            self.fetch(*subjects)
        assert not (self.root / "out.tsv").exists()
        return str(caught.value)


@pytest.fixture
def lab(tmp_path, bucket):
    return Lab(tmp_path, bucket)


def test_a_listing_of_several_pages_becomes_the_seeded_split(lab, bucket, scan):
    subjects = [f"{n}" for n in range(100, 108)]
    lab.write(counts=(5, 1, 2))
    lab.put(*subjects, content=scan)
    bucket.files["/brains/release/200/MEG/raw.bin"] = b"a subject without the scan"
    bucket.files["/brains/release/readme.txt"] = b"no subject"
    bucket.files["/brains/other/300/T1w/brain.nii.gz"] = scan
    rows = [line.split("\t") for line in lab.split().splitlines()]
    assert rows[0] == ["subject", "split", "md5", "bytes"]
    made = datasets.make_split(subjects, {"train": 5, "val": 1, "test": 2}, 1, "split", "brains")
    assert {tuple(row[:2]) for row in rows[1:]} == {(s, k) for k, its in made.items() for s in its}
    assert {row[3] for row in rows[1:]} == {str(len(scan))}
    assert sum(path.startswith("list") for path, _ in bucket.requests) == 3
    dataset = lab.load()
    assert dataset.subjects == made and dataset.unlisted is None

    lab.fetch()
    assert all(lab.path(subject).read_bytes() == scan for subject in made["test"])
    assert not (lab.downloads / "brains" / "checksums.tsv").exists()  # the listing has the MD5


def test_more_or_fewer_subjects_than_stated_change_the_training_set_alone(lab, scan, caplog):
    lab.write(counts=(4, 1, 2))
    lab.put(*(f"{n}" for n in range(5)), content=scan)
    text = lab.split()
    assert [text.count(f"\t{split}\t") for split in ("train", "val", "test")] == [2, 1, 2]
    assert "5 subjects where 7 are expected" in caplog.text
    lab.put("5", content=scan)
    with pytest.raises(InputError, match=r"not the split that .* gives now; .*--replace"):
        lab.split()
    assert lab.split(replace=True) != text
    lab.write(counts=(4, 3, 3))
    with pytest.raises(InputError, match="6 subjects, too few for 3 val and 3 test"):
        lab.split(replace=True)


def test_nothing_is_fetched_before_subjects_are_listed(lab, bucket):
    dataset = lab.load(subjects={"train": 1})
    assert dataset.subjects == {
        "train": ["placeholder0001"],
        "val": ["placeholder0003"],
        "test": ["placeholder0004"],
    }
    message = lab.refused()
    assert message.endswith(
        f"run: mrisr data split brains --downloads {lab.downloads} --plugins {lab.root}"
    )
    assert bucket.requests == []


def test_downloads_are_listed_and_trusted_on_first_use(lab, bucket, scan, caplog):
    caplog.set_level(logging.INFO, "mrisr")
    lab.know("1", "2")
    lab.put("1", "2", content=scan)
    lab.fetch()
    assert "s3://brains/release/1/T1w/brain.nii.gz" in (lab.root / "out.tsv").read_text()
    assert "those of 2 files are recorded" in caplog.text and "licence: on request" in caplog.text
    bucket.requests.clear()
    lab.fetch()
    assert bucket.requests == []


def test_what_is_on_disk_needs_no_keys(lab, scan, monkeypatch):
    lab.put("1", "2", "3", "4", content=scan)
    lab.split()
    lab.fetch()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    lab.fetch()


def test_a_connection_that_breaks_off_is_resumed(lab, bucket, scan):
    lab.know("1")
    lab.put("1", content=scan)
    bucket.faults[lab.object("1")] = ["break off", "busy"]
    lab.fetch()
    assert lab.path("1").read_bytes() == scan
    half = f"bytes={len(scan) // 2}-"
    assert [asked for _, asked in bucket.requests] == [None, half, half]


@pytest.mark.parametrize("left", ["part", "all", "too much", "another version"])
def test_leftovers_of_an_earlier_run_are_continued_or_dropped(lab, bucket, scan, left):
    content = {
        "part": scan[:1000],
        "all": scan,
        "too much": scan + b"more",
        "another version": scan[999::-1],
    }[left]
    lab.know("1")
    lab.put("1", content=scan)
    lab.path("1").parent.mkdir(parents=True)
    lab.path("1").with_name("brain.nii.gz.part").write_bytes(content)
    lab.fetch()
    assert lab.path("1").read_bytes() == scan
    assert bucket.requests[0][1] == f"bytes={len(content)}-"


def test_a_file_that_is_not_its_etag_is_refused(lab, bucket, scan):
    lab.know("1", "2")
    lab.put("1", "2", content=scan)
    bucket.etags[lab.object("1")] = f'"{"0" * 32}"'
    bucket.etags[lab.object("2")] = f'"{"0" * 32}-2"'  # in two parts: no MD5
    message = lab.refused()
    assert re.search(
        r"\n  1: .*damaged on its way: its md5 is .* where the server states 0{32}", message
    )
    assert "1 of 2 subjects" in message
    assert lab.path("2").exists() and not lab.path("1").exists()


def test_a_file_that_was_replaced_since_the_listing_is_refused(lab, scan):
    lab.put("1", "2", "3", "4", content=scan)
    lab.split()
    lab.put("1", "2", "3", "4", content=gzip.compress(gzip.decompress(scan), 1))
    lab.bucket.etags.clear()
    assert re.search(r"not the checksum stated in .*split\.tsv", lab.refused())


def test_a_subject_that_is_not_there_is_named(lab, scan):
    lab.know("1", "2")
    lab.put("1", content=scan)
    message = lab.refused()
    assert "1 of 2 subjects" in message
    assert "2: s3://brains/release/2/T1w/brain.nii.gz: the bucket has no such file" in message
    assert lab.path("1").exists()


def test_a_server_that_stays_busy_is_given_up(lab, bucket, scan):
    lab.know("1")
    lab.put("1", content=scan)
    bucket.faults[lab.object("1")] = ["busy"] * 4
    assert "download failed after 4 tries: HTTP 503 SlowDown" in lab.refused()


def test_no_server_is_said_once(lab, bucket):
    lab.know("1", "2", "3", "4", "5", "6")
    bucket.server_close()
    message = lab.refused()
    assert "no connection after 4 tries" in message and "compute nodes" in message
    assert "not tried, as brains was not reached" in message


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODYSKEY"}, "the access key is unknown"),
        ({"AWS_ACCESS_KEY_ID": "AKIAWRONGSECRET"}, "the secret key does not belong to"),
        ({"AWS_ACCESS_KEY_ID": "AKIAEXPIRED"}, "the keys have expired"),
        ({"AWS_ACCESS_KEY_ID": "AKIANORIGHTS"}, "access denied"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no AWS keys found"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "the AWS settings cannot be used"),
        ({"AWS_PROFILE": "lost"}, r"the AWS settings cannot be used .*\(lost\)"),
    ],
)
def test_refused_keys_end_everything_with_one_message(lab, scan, monkeypatch, environment, message):
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    lab.put("1", "2", "3", "4", content=scan)
    lab.know("1", "2", "3", "4")
    wanted = rf"s3://brains: .*{message}.*; ask the professor"
    assert re.fullmatch(wanted, lab.refused())


def test_refused_keys_list_nothing(lab, scan, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANORIGHTS")
    lab.put("1", "2", "3", "4", content=scan)
    with pytest.raises(InputError, match=r"access denied: .*; ask the professor"):
        lab.split()
    assert not (lab.downloads / "brains" / "split.tsv").exists()


def test_keys_of_a_profile(lab, scan, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text(
        f"[lab]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    lab.write(profile="lab")
    lab.put("1", "2", "3", "4", content=scan)
    lab.split()
    lab.fetch()


def test_another_bucket_is_named(lab):
    lab.write(bucket="hearts")
    with pytest.raises(InputError, match=r"no such bucket 'hearts'; check source\.bucket"):
        lab.split()


def test_keys_stand_nowhere(lab, bucket, scan, caplog, tmp_path):
    caplog.set_level(logging.DEBUG, "mrisr")
    logging.getLogger().setLevel(logging.INFO)
    lab.put("1", "2", "3", "4", content=scan)
    said = lab.split()
    bucket.faults[lab.object(lab.load().subjects["test"][0])] = ["break off", "busy"]
    lab.fetch()
    lab.know("9")
    (lab.root / "out.tsv").unlink()
    said += lab.refused()
    said += caplog.text + "".join(p.read_text() for p in tmp_path.rglob("*.tsv"))
    assert "brains" in said
    assert KEY not in said and SECRET not in said


SECRETS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": "the-token-of-this-session-that-nobody-sees",
}


def said(lab, caplog):
    caplog.set_level(logging.DEBUG, "mrisr")
    try:
        lab.fetch()
        message = ""
    except InputError as error:
        message = f"{error}"
    return message, message + caplog.text


@pytest.mark.parametrize("end", ["\r", "\r\n", " \n", "\t"])
@pytest.mark.parametrize("field", SECRETS)
def test_line_ends_around_a_key_are_taken_off(lab, scan, monkeypatch, caplog, field, end):
    lab.know("1")
    lab.put("1", content=scan)
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv(field, SECRETS[field] + end)
    message, shown = said(lab, caplog)
    assert message == "" and lab.path("1").read_bytes() == scan
    assert not any(secret in shown for secret in SECRETS.values())


@pytest.mark.parametrize("wrong", ["\r", "\n", " ", "\x1b", "é"])
@pytest.mark.parametrize("field", SECRETS)
def test_a_key_with_foreign_characters_is_refused_unseen(
    lab, bucket, monkeypatch, caplog, field, wrong
):
    lab.know("1")
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv(field, f"{SECRETS[field][:9]}{wrong}{SECRETS[field][9:]}")
    message, shown = said(lab, caplog)
    assert f"{field.lower()} has blanks or characters that no key has" in message
    assert bucket.requests == []
    parts = [part for secret in SECRETS.values() for part in (secret[:9], secret[9:])]
    assert not any(part in shown for part in parts)


@pytest.mark.parametrize(
    "address",
    [
        "http://user:{}@127.0.0.1:port",
        "http://user:{}@127.0.0.1:999999",
        "http://user:{}@ 127.0.0.1",
        "http//user:{}@127.0.0.1",
        "user:{}@127.0.0.1",
        "http://{}@[::1",
        "http://user:{}@127.0.0.1:1",
    ],
)
def test_the_password_of_an_endpoint_is_not_shown(lab, monkeypatch, caplog, address):
    monkeypatch.setattr("mrisr.common.http.BACK_OFF", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address.format("hunter2-of-the-lab"))
    lab.know("1")
    message, shown = said(lab, caplog)
    assert message and "hunter2" not in shown
