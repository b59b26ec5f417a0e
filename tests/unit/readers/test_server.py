"""The server of a reader study: what it tells, whom, and what it refuses."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from mrisr.readers.server import STUDY_PAGE, application
from mrisr.readers.store import Store
from reader_scans import make_study, put, submission

FOREIGN = "A" * 43


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("served"))


@pytest.fixture
def served(study):
    """A client, and the tokens of two readers: one has all cases, one only two of them."""
    study.answers.unlink(missing_ok=True)
    store = Store(study, create=True)
    tokens = store.add_reader("R1"), store.add_reader("R2", count=2)
    with TestClient(application(store), raise_server_exceptions=False) as client:
        client.store = store
        yield client, *tokens


def cases_of(client, token):
    return client.get(f"/r/{token}/study").json()["cases"]


def test_a_reader_gets_the_page_their_cases_and_both_images(served, study):
    client, token, _ = served
    page = client.get(f"/r/{token}/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    said = client.get(f"/r/{token}/study").json()
    assert said["reader"] == "R1" and len(said["choices"]) == 5
    assert [its["key"] for its in said["questions"]] == ["noise", "sharpness"]
    assert [case["number"] for case in said["cases"]] == [1, 2, 3, 4, 5, 6]
    assert {case["case"] for case in said["cases"]} == {case.name for case in study.cases}
    for case in study.cases:
        for side in ("left", "right"):
            image = client.get(f"/r/{token}/image/{case.name}/{side}")
            assert image.content == study.image(getattr(case, side)).read_bytes()


def test_an_answer_is_kept_changed_and_shown_again(served):
    client, token, _ = served
    done = put(client, token, "case-002", submission(noise=-1, sharpness=2))
    assert done.json() == {
        **{"case": "case-002", "revision": 1},
        "scores": {"noise": -1, "sharpness": 2},
    }
    assert put(client, token, "case-002", submission(0, 1, revision=1)).json()["revision"] == 2
    (shown,) = [case for case in cases_of(client, token) if case["case"] == "case-002"]
    assert shown["answer"] == {"revision": 2, "scores": {"noise": 0, "sharpness": 1}}
    (reader, _) = client.store.readers()
    assert [its.revision for its in client.store.history(reader)] == [1, 2]


def test_the_same_submission_twice_is_one_answer(served):
    client, token, _ = served
    answer = submission(1, 1)
    first, again = (put(client, token, "case-001", answer) for _ in range(2))
    assert first.status_code == again.status_code == 200 and first.json() == again.json()
    assert put(client, token, "case-001", submission(2, 2, revision=1)).status_code == 200
    # A reply that was lost long ago is the same still.
    assert put(client, token, "case-001", answer).json() == first.json()
    assert len(client.store.history(client.store.readers()[0])) == 2
    for case, other in (("case-001", {**answer, "scores": {"noise": 0, "sharpness": 1}}),
                        ("case-003", answer)):  # fmt: skip
        reused = put(client, token, case, other)
        assert reused.status_code == 422 and reused.json()["error"].startswith("id: ")


def test_a_second_tab_is_told_what_the_first_one_said(served):
    client, token, _ = served
    put(client, token, "case-001", submission(1, 1))
    late = put(client, token, "case-001", submission(-1, -1))
    assert late.status_code == 409
    assert late.json()["answer"] == {"revision": 1, "scores": {"noise": 1, "sharpness": 1}}
    early = put(client, token, "case-003", submission(revision=4))
    assert early.status_code == 409 and early.json()["answer"] is None


def test_of_many_tabs_at_once_one_wins(served):
    client, token, _ = served
    with ThreadPoolExecutor(8) as pool:
        codes = list(
            pool.map(
                lambda n: put(client, token, "case-001", submission(n % 2)).status_code, range(16)
            )
        )
    assert sorted(codes) == [200] + 15 * [409]


def test_a_lost_link_is_replaced_and_the_answers_stay(served):
    client, token, _ = served
    put(client, token, "case-001", submission(1, 1))
    new = client.store.add_reader("R1")
    assert client.get(f"/r/{token}/study").status_code == 404
    assert sum(case["answer"] is not None for case in cases_of(client, new)) == 1


def test_who_has_no_link_learns_nothing(served):
    client, token, _ = served
    replies = {
        (reply.status_code, reply.content, tuple(sorted(reply.headers.items())))
        for wrong in (
            FOREIGN,
            token[:-1],
            token[:-1] + ("A" if token[-1] != "A" else "B"),
            token.swapcase(),
            "x",
            "%00",
            "é" * 43,
        )
        for reply in (
            client.get(f"/r/{wrong}/"),
            client.get(f"/r/{wrong}/study"),
            client.get(f"/r/{wrong}/image/case-001/left"),
            put(client, wrong, "case-001", submission()),
            client.get("/nothing"),
        )
    }
    assert len(replies) == 1 and next(iter(replies))[0] == 404
    assert not client.store.history(client.store.readers()[0])


def test_tokens_are_not_on_the_disk(served, study):
    _, token, other = served
    assert re.fullmatch(r"[\w-]{43}", token) and token != other
    for path in study.folder.glob("answers.sqlite*"):
        assert token.encode() not in path.read_bytes()


def test_a_reader_reaches_their_own_cases_alone(served, study):
    client, _, token = served
    own = {case["case"] for case in cases_of(client, token)}
    assert len(own) == 2
    for case in study.cases:
        code = 200 if case.name in own else 404
        assert client.get(f"/r/{token}/image/{case.name}/left").status_code == code
        assert put(client, token, case.name, submission()).status_code == code


@pytest.mark.parametrize(
    "path",
    [
        *("image/../../study.json", "image/case-001/..%2F..%2Fkey.csv", "image/case-001/left.nii"),
        *("image/..%2Fstudy.json/left", "image/case-001%00/left", "image/case-001/center"),
        *("answers.sqlite", "images/", "../../assets/..%2Fkey.py", "answer/case-001/x"),
        *("image/%2e%2e/%2e%2e", "image/" + "a" * 5000 + "/left"),
    ],
)
def test_addresses_name_no_files(served, path):
    client, token, _ = served
    for start in (f"/r/{token}/", "/assets/", "/"):
        assert client.get(start + path).status_code == 404


def test_only_what_is_offered_can_be_done(served):
    client, token, _ = served
    for method, path, allowed in (
        ("POST", f"/r/{token}/answer/case-001", "PUT"),
        ("GET", f"/r/{token}/answer/case-001", "PUT"),
        ("DELETE", f"/r/{token}/image/case-001/left", "GET"),
        ("OPTIONS", f"/r/{token}/answer/case-001", "PUT"),
        ("POST", "/health", "GET"),
    ):
        reply = client.request(method, path)
        assert reply.status_code == 405 and allowed in reply.headers["allow"]
        assert "access-control-allow-origin" not in reply.headers


GOOD = submission(number=7)


@pytest.mark.parametrize(
    "body, field",
    [
        *(("", "body"), ("[]", "body"), ("[" * 2000, "body"), ("\xff", "body"), ("{}", "body")),
        ({**GOOD, "more": 1}, "body"),
        *(({**GOOD, "id": value}, "id") for value in (7, "x", GOOD["id"].upper() + " ", None)),
        *(({**GOOD, "scores": value}, "scores") for value in ([], {}, {"noise": 1}, None)),
        ({**GOOD, "scores": {"noise": 1, "sharpness": 1, "x": 1}}, "scores"),
        *(
            ({**GOOD, "scores": {"noise": value, "sharpness": 0}}, "scores.noise")
            for value in (3, -3, 0.5, 1.0, "1", True, None, [], 10**40)
        ),
        *(
            ({**GOOD, "seconds": value}, "seconds")
            for value in (-1, "1", None, True, float("nan"), float("inf"), 1e9)
        ),
        *(({**GOOD, "revision": value}, "revision") for value in (-1, 0.0, "0", None, True, 10**9)),
    ],
)
def test_what_is_no_answer_is_refused_by_its_field(served, body, field):
    client, token, _ = served
    content = body.encode("latin1") if isinstance(body, str) else json.dumps(body)
    reply = put(client, token, "case-001", None, content=content)
    assert reply.status_code == 422
    assert reply.json()["error"].partition(":")[0] == field
    assert not client.store.latest(client.store.readers()[0])


def test_large_bodies_are_cut_off(served):
    client, token, _ = served
    assert put(client, token, "case-001", None, content=b" " * 5000).status_code == 413
    sent = []

    def endless():
        while len(sent) < 100_000:
            sent.append(1)
            yield b" " * 1000

    # Without a length, in chunks.
    assert put(client, token, "case-001", None, content=endless()).status_code == 413
    said = {"content-length": "99999999999999999999"}
    assert put(client, token, "case-001", submission(), headers=said).status_code == 413
    padded = json.dumps(submission()).ljust(4096)
    assert put(client, token, "case-001", None, content=padded).status_code == 200


def test_other_kinds_of_content_are_refused(served):
    client, token, _ = served
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        headers = {"content-type": kind}
        assert put(client, token, "case-001", submission(), headers=headers).status_code == 415
    headers = {"content-type": "application/json; charset=utf-8"}
    assert put(client, token, "case-001", submission(), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers, code",
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://testserver.evil.example"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://testserver"}, 200),
        ({"origin": "http://testserver"}, 200),
        ({"origin": "https://testserver"}, 200),  # TLS ends at the proxy
        ({}, 200),
    ],
)
def test_pages_of_other_sites_cannot_answer(served, headers, code):
    client, token, _ = served
    assert put(client, token, "case-001", submission(), headers=headers).status_code == code


def test_every_reply_has_the_headers_that_keep_it_private(served):
    client, token, _ = served
    for reply in (
        client.get(f"/r/{token}/"),
        client.get(f"/r/{token}/study"),
        client.get(f"/r/{token}/image/case-001/left"),
        client.get("/assets/page.js"),
        client.get("/nothing"),
        client.post("/health"),
        put(client, token, "case-001", submission()),
    ):
        headers = reply.headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "script-src 'self'" in policy and "unsafe-eval" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        kept = "no-cache" if reply.url.path.startswith("/assets") else "no-store, no-transform"
        assert headers["cache-control"] == kept
        assert "server" not in headers and "set-cookie" not in headers


def test_a_failure_tells_nothing_and_can_be_tried_again(served, monkeypatch):
    client, token, _ = served
    with monkeypatch.context() as patch:
        patch.setattr(client.store, "latest", lambda _: 1 / 0)
        reply = client.get(f"/r/{token}/study")
    assert reply.status_code == 500 and reply.json() == {"error": "the server failed; try again"}
    assert reply.headers["cache-control"] == "no-store, no-transform"
    assert client.get(f"/r/{token}/study").status_code == 200


def test_scripts_are_sent_once_and_packed(served):
    client, *_ = served
    whole = client.get("/assets/niivue.js", headers={"accept-encoding": "identity"})
    packed = client.get("/assets/niivue.js", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and "gzip" not in whole.headers
    assert packed.content == whole.content and len(whole.content) > 1e6  # unpacked by the client
    tag = {"if-none-match": whole.headers["etag"]}
    assert client.get("/assets/niivue.js", headers=tag).status_code == 304
    assert client.get("/assets/index.html").status_code == 404


def test_nothing_that_reaches_the_browser_tells_which_is_which(served, study):
    """All replies of a whole session, by their bytes and headers."""
    client, token, other = served
    for who in (token, other):
        # The page is the same file for every reader and study.
        assert client.get(f"/r/{who}/").content == (STUDY_PAGE / "index.html").read_bytes()
        replies = [client.get(f"/r/{who}/study")]
        for case in cases_of(client, who):
            replies.append(put(client, who, case["case"], submission()))
            both = [client.get(f"/r/{who}/image/{case['case']}/{s}") for s in ("left", "right")]
            replies += both
            # Of a pair all is the same but for the voxels.
            assert both[0].headers == both[1].headers
            assert both[0].content[:352] == both[1].content[:352]
            assert len(both[0].content) == len(both[1].content)
            for reply in both:
                names = {name.lower() for name in reply.headers}
                assert not names & {"etag", "last-modified", "content-disposition", "set-cookie"}
        for reply in replies:
            text = (str(reply.headers) + str(reply.url)).encode() + reply.content
            for word in (b"conv", b"coord", b"sub-", b"slice-", b"knees", b".nii"):
                assert word not in text, (reply.url, word)
            for image in study.folder.glob("images/*"):
                assert image.stem.encode() not in text


def test_every_second_reader_has_the_sides_changed(served, study):
    client, token, other = served
    for case in cases_of(client, other):
        for side, across in (("left", "right"), ("right", "left")):
            ours = client.get(f"/r/{token}/image/{case['case']}/{side}").content
            assert ours == client.get(f"/r/{other}/image/{case['case']}/{across}").content


def test_readers_have_orders_of_their_own(study):
    study.answers.unlink(missing_ok=True)
    with Store(study, create=True) as store:
        orders = set()
        for number in range(8):
            store.add_reader(f"R{number}")
            orders.add(tuple(shown.name for shown in store.cases(store.readers()[-1])))
    assert len(orders) > 4 and all(len(set(order)) == 6 for order in orders)


@pytest.mark.parametrize("start", ["", "/mri/study"])
def test_a_proxy_may_have_a_path_before_it_and_take_it_away_or_not(study, start):
    study.answers.unlink(missing_ok=True)
    store = Store(study, create=True)
    token = store.add_reader("R1")
    with TestClient(application(store, "/mri/study/")) as client:
        assert client.get(f"{start}/r/{token}/study").json()["reader"] == "R1"
        reply = client.get(f"{start}/r/{token}", follow_redirects=False)
        # Relative: the server need not know its address.
        assert reply.headers["location"] == f"{token}/"
        assert client.get(f"{start}/r/{token}").url.path == f"{start}/r/{token}/"
