"""One run in a hostile place: odd names, keys in the environment, and volumes that do not stay."""

import re
from html.parser import HTMLParser

import pytest
import yaml

from tiny_study import TinyStudy, jobs

pytestmark = pytest.mark.workflow
FOLDER = "-a b 'c' \"d\" $(touch pwned) `touch pwned` ;& ü"
SECRET = "wJalrXUtnFEMIfakeKEYofATestThatNobodyHas"
LABEL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    """Collects what a browser would run."""

    def __init__(self):
        super().__init__()
        self.found, self.inside = [], False

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        self.found += [
            f"{tag} {name}"
            for name, value in attrs
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:")
        ]

    def handle_data(self, data):
        if self.inside and re.match(r"\s*alert\(1\)", data):
            self.found.append("script")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that ran, and what it printed."""
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAFAKEFAKEFAKEFAKE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("HTTPS_PROXY", f"http://someone:{SECRET}@127.0.0.1:9")
    methods = {"cubic": {"label": LABEL}}
    study = TinyStudy(
        tmp_path_factory.mktemp("hostile") / FOLDER,
        keep=[], metrics=["psnr"], methods=methods, title=LABEL,
    )  # fmt: skip
    file = study.plugins / "datasets" / "tiny.yaml"
    said = {"label": LABEL, "description": LABEL, "licence": LABEL, "citation": LABEL}
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | said))
    output = study.run()[1]
    yield study, output
    patch.undo()


def test_nothing_in_a_folders_name_is_run(finished):
    study, _ = finished
    assert (study.results / "report.html").exists()
    assert not list(study.folder.parent.rglob("pwned"))


def test_credentials_stand_in_no_file_and_in_no_message(finished):
    study, output = finished
    assert SECRET not in output
    files = [path for path in study.folder.rglob("*") if path.is_file()]
    assert any(path.parts[-2] == "metadata" or ".snakemake" in path.parts for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_pages_run_nothing_of_what_configs_and_datasets_say(finished):
    study, _ = finished
    for page in [study.results / "report.html", *study.results.glob("tables/*.html")]:
        tags = Tags()
        tags.feed(page.read_text())
        assert tags.found == [], page
        assert "alert(1)" in page.read_text() or page.stem == "significance"


def test_volumes_that_do_not_stay_are_deleted_and_nothing_is_made_again(finished):
    study, _ = finished
    volumes = [str(path.relative_to(study.results)) for path in study.results.glob("sr/**/*.gz")]
    # The first test subject is in the figures.
    assert volumes == ["sr/tiny/cubic/x2/sub-04.nii.gz"]
    assert "Nothing to be done" in study.run("-n")[1]

    # Another method is work of its own.
    study.config["methods"]["identity"] = None
    todo = jobs(study.run("-n")[1])
    assert todo["reconstruct_identity_tiny"] == todo["evaluate_tiny"] == 1
    assert not [rule for rule in todo if rule.startswith(("reconstruct_cubic", "degrade"))]
