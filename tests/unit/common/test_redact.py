"""What is shown of text that others wrote."""

import logging

import pytest

from mrisr.common.errors import InputError
from mrisr.common.progress import job
from mrisr.common.redact import printable, redacted, safe

PASSWORD = "hunter2-of-the-lab"


@pytest.mark.parametrize(
    "text",
    [
        f"Invalid endpoint: http://user:{PASSWORD}@host:port",
        f"Invalid endpoint: http//user:{PASSWORD}@host",
        f"Invalid endpoint: user:{PASSWORD}@host",
        f"https://{PASSWORD}@host/scan.nii.gz: HTTP 404",
        f"Max retries exceeded with url: /a?X-Amz-Signature={PASSWORD}&b=c",
        f"/a?X-Amz-Credential={PASSWORD}/2026/s3 (Caused by",
        f"/a?sig={PASSWORD} and /a?token={PASSWORD}",
        f"b'AWS4-HMAC-SHA256 Credential={PASSWORD}/20260101/s3, Signature={PASSWORD}'",
        f"Authorization: Bearer {PASSWORD}",
        f"{{'X-Amz-Security-Token': '{PASSWORD}'}}",
        f"aws_secret_access_key = {PASSWORD}",
    ],
)
def test_secrets_are_hidden_wherever_they_stand(text):
    shown = redacted(text)
    assert PASSWORD not in shown and "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "datasets.a: no such file: /data/sub-01/anat.nii.gz (from /home/a@b)",
        "https://example.org/scan.nii.gz?version=2: HTTP 404 Not Found",
        "s3://brains/release/1: the secret key does not belong to the access key",
        "sub-01: at most 3 voxels; write to a@example.org",
    ],
)
def test_what_holds_no_secret_stays(text):
    assert redacted(text) == text


def test_secrets_of_the_environment_are_hidden(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{PASSWORD}\r")
    assert redacted(f"Invalid header value b'{PASSWORD}\\r'") == "Invalid header value b'***'"
    assert redacted(f"cannot send {PASSWORD}") == "cannot send ***"


def test_control_characters_are_written_out():
    assert printable("a\x1b[2Jb\nc\u202e") == "a\\x1b[2Jb\nc\\u202e"
    assert safe("a\r\n b\x07") == "a b\\x07"


def test_a_jobs_log_and_message_are_safe(tmp_path, capsys):
    with pytest.raises(SystemExit), job(tmp_path / "job.log"):
        logging.getLogger("urllib3").warning("http://user:%s@host \x1b[31m", PASSWORD)
        raise InputError(f"http://user:{PASSWORD}@host: refused \x1b[2J")
    told = (tmp_path / "job.log").read_text() + capsys.readouterr().err
    assert PASSWORD not in told and "\x1b" not in told and "refused \\x1b[2J" in told
