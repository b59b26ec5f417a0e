"""The reader study's page in a real browser, against the real server."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from browser import CHROMIUM, SOFTWARE, Browser
from mrisr.readers.folder import ReaderStudy
from mrisr.readers.pairs import Item, make
from mrisr.readers.store import Store
from mrisr.volumes.io import Volume, save
from reader_load import serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
METHODS = ("wavelets", "splines")
READY = "document.body.dataset.ready && document.body.dataset.case"
SCREEN = "document.body.dataset.screen"
SAVED = "document.getElementById('saved').dataset.state"
QUIET = f"{SAVED} === 'saved'"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile"), *SOFTWARE) as its:
        yield its


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of four slices and a volume; both methods made the same images, but of the volume."""
    folder = tmp_path_factory.mktemp("study")
    random = np.random.default_rng(0)
    # Turned; voxels of 1 x 0.5 x 0.6 mm.
    affine = np.array([[0.8, -0.3, 0, -12], [0.6, 0.4, 0, -40], [0, 0, 0.6, -30], [0, 0, 0, 1]])
    items = []
    for number, shape in enumerate([(1, 60, 48)] * 4 + [(30, 36, 32)]):
        data = random.random(shape).astype(np.float32)
        files = {}
        for method, gain in zip(METHODS, (1, 1 if 1 in shape else 0.4), strict=True):
            files[method] = folder / f"{method}_{number}.nii.gz"
            save(Volume(gain * data, affine), files[method])
        items.append(Item("d", f"sub-{number}", f"sub-{number}", "2", files))
    make(items, folder / "study", folder / "key.csv", seed=1)
    return ReaderStudy.load(folder / "study")


class Server:
    """`mrisr readers serve` in a process of its own, on the same port each time."""

    def __init__(self, study):
        self.study, self.port = study, 0

    def start(self):
        self.running = serving(self.study.folder, "--port", str(self.port))
        _, self.address = self.running.__enter__()
        self.port = urlsplit(self.address).port

    def kill(self):
        self.running.__exit__(None, None, None)


@pytest.fixture(scope="module")
def server(study):
    with Store(study, create=True):
        pass
    its = Server(study)
    its.start()
    yield its
    its.kill()


@pytest.fixture
def reader(server, study, request):
    """Name and link of a reader of the test's own."""
    name = request.node.name[:90]
    with Store(study) as store:
        token = store.add_reader(name, seed=2)
    return name, f"{server.address}/r/{token}/"


def kept(study, name):
    """Return what is stored for a reader: scores, revision and seconds by case."""
    with Store(study) as store:
        (its,) = (one for one in store.readers() if one.name == name)
        return {
            case: (tuple(answer.scores.values()), answer.revision, answer.seconds)
            for case, answer in store.latest(its).items()
        }


def begin(tab):
    """Go from the instructions to the first case; return its name."""
    tab.wait(f"{SCREEN} === 'welcome'")
    tab.press("Enter")
    return tab.wait(READY)


def answer(tab, noise, sharpness):
    """Answer the case by keyboard and go on; return the case."""
    case = tab.wait(READY)
    tab.press("12345"[2 - noise])
    tab.press("67890"[2 - sharpness])
    tab.press("Enter")
    return case


def sides(tab, folder):
    """Return the pixels of both frames, after what is planned has been painted."""
    tab.ask("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
    path = Path(folder) / "screen.png"
    path.write_bytes(tab.picture())
    screen = np.asarray(Image.open(path).convert("L")).astype(int)
    found = []
    for side in (1, 2):
        box = tab.box(f"#panes figure:nth-child({side}) .frame")
        top, left = round(box["y"]), round(box["x"])
        found.append(screen[top : top + int(box["height"]), left : left + int(box["width"])])
    return found


def test_a_reader_answers_all_cases_by_keyboard_changes_one_and_resumes(browser, study, reader):
    name, link = reader
    tab = browser.open(link)
    begin(tab)
    text = tab.ask("document.documentElement.outerHTML")
    assert not re.search("|".join((*METHODS, *(case.left for case in study.cases))), text)
    expected = {}
    for scores in [(2, -2), (0, 1)]:
        case = answer(tab, *scores)
        expected[case] = (*scores,)
        tab.wait(f"document.body.dataset.case !== '{case}'")
    tab.wait(READY)
    tab.press("ArrowLeft")
    tab.wait(f"{READY} === '{case}'")
    assert tab.ask("document.querySelector('[name=score-noise]:checked').value") == "0"
    tab.press("4")
    tab.press("1", shift=True)
    # A click leaves the arrows to the case.
    tab.click("#question-sharpness label:nth-of-type(2)")
    tab.wait("document.activeElement === document.body")
    tab.press("ArrowRight")
    expected[case] = (-1, 1)
    tab.wait(f"{READY} && {READY} !== '{case}'")
    third = tab.ask(READY)
    # Left without an answer to the second question: asked for once, then let go.
    tab.press("3")
    tab.press("Enter")
    assert "Sharpness" in tab.wait("document.getElementById('note').textContent")
    tab.press("Enter")
    fourth = tab.wait(f"{READY} && {READY} !== '{third}' && {READY}")
    expected[answer(tab, 1, 1)] = (1, 1)
    fifth = tab.wait(f"{READY} && {READY} !== '{fourth}' && {READY}")
    tab.wait(QUIET)
    assert tab.complaints() == []
    tab.close()

    tab = browser.open(link)
    assert tab.wait(READY) == third
    assert tab.ask("document.querySelector('[name=score-noise]:checked').value") == "0"
    expected[answer(tab, 0, -1)] = (0, -1)
    tab.wait(f"{READY} === '{fourth}'")
    tab.press("Enter")
    tab.wait(f"{READY} === '{fifth}'")
    expected[answer(tab, -2, 0)] = (-2, 0)
    tab.wait(f"{SCREEN} === 'end'")
    tab.wait(QUIET)
    assert "All cases are answered" in tab.ask("document.body.innerText")
    stored = kept(study, name)
    assert {case: scores for case, (scores, _, _) in stored.items()} == expected
    assert {c: revision for c, (_, revision, _) in stored.items() if revision > 1} == {case: 2}
    assert all(0 < seconds < 60 for _, _, seconds in stored.values())
    assert tab.complaints() == []
    tab.close()


def test_both_sides_show_the_same_whatever_the_reader_does(browser, reader, tmp_path):
    tab = browser.open(reader[1])
    begin(tab)
    cases = tab.ask("fetch('study').then((its) => its.json())")["cases"]
    flat, deep = (
        next(at for at, its in enumerate(cases, start=1) if its["slices"] == slices)
        for slices in (True, False)
    )
    tab.click(f"#dots button:nth-child({flat})")
    tab.wait(f"{READY} === '{cases[flat - 1]['case']}'")
    marks = "[...document.querySelectorAll('.mark')].map((its) => !its.hidden)"
    tab.mouse("mouseMoved", 200, 250, "none")
    tab.wait(f"String({marks}) === 'false,true'")
    tab.press("x")
    tab.mouse("mouseMoved", 201, 250, "none")
    tab.wait(f"String({marks}) === 'false,false'")
    whole = before = sides(tab, tmp_path)[0]
    acts = [
        lambda: tab.mouse("mouseWheel", 200, 250, "none", deltaX=0, deltaY=-300),
        lambda: tab.drag((800, 300), (890, 360)),
        lambda: tab.drag((300, 300), (180, 240), "right"),
        lambda: tab.press("i"),
        lambda: tab.press("L", shift=True),
        lambda: tab.press("o"),
        lambda: tab.touch([(200, 250), (300, 250)], [(180, 250), (330, 260)]),
    ]
    for number, act in enumerate(acts):
        act()
        left, right = sides(tab, tmp_path)
        # Software rounds a few pixels to the next gray.
        assert np.abs(left - right).max() <= 1, number
        assert np.abs(left - before).max() > 1, number
        before = left
    tab.press("r")
    tab.press("i")
    assert np.abs(sides(tab, tmp_path)[0] - whole).max() <= 1

    tab.click(f"#dots button:nth-child({deep})")
    tab.wait(f"{READY} === '{cases[deep - 1]['case']}'")
    # One method made 0.4 of the other's intensities: the brighter image is where it is served.
    means = tab.ask(
        "Promise.all(['left', 'right'].map(async (side) => new Int16Array((await (await fetch("
        f"'image/{cases[deep - 1]['case']}/' + side)).arrayBuffer()).slice(352))"
        ".reduce((a, b) => a + b, 0)))"
    )
    bright = 0 if means[0] > means[1] else 1
    acts = [
        lambda: None,
        lambda: tab.press("ArrowUp"),
        lambda: tab.mouse("mouseWheel", 200, 250, "none", deltaX=0, deltaY=200),
        lambda: tab.press("s"),
        lambda: tab.press("m"),
        lambda: (tab.mouse("mousePressed", 200, 200), tab.mouse("mouseReleased", 200, 200)),
    ]
    for number, act in enumerate(acts):
        act()
        shown = sides(tab, tmp_path)
        # But for the letters that NiiVue writes, the same voxels.
        alike = np.abs(0.4 * shown[bright] - shown[1 - bright]) <= 3
        assert alike.mean() > 0.97, number
        assert (shown[bright] != before).any(), number
        before = shown[bright]
    assert tab.complaints() == []
    tab.close()


def test_answers_outlive_a_lost_reply_a_lost_server_and_a_closed_tab(
    browser, server, study, reader
):
    name, link = reader
    tab = browser.open(link)
    first = begin(tab)
    # The server keeps it, and the reply is lost.
    tab.ask(
        "(() => { const real = fetch; window.fetch = async (...its) => {"
        " if (its[1]?.method !== 'PUT') return real(...its);"
        " window.fetch = real; await real(...its); throw new TypeError('lost'); }; })()"
    )
    answer(tab, 1, 0)
    second = tab.wait(f"{READY} !== '{first}' && {READY}")
    tab.wait(QUIET)
    assert {case: its[:2] for case, its in kept(study, name).items()} == {first: ((1, 0), 1)}
    server.kill()
    try:
        answer(tab, -1, -1)
        tab.wait(f"{SAVED} === 'waiting'")
        assert "Not saved: 1 answer, kept on this device" in tab.ask("document.body.innerText")
        # Changed after it was tried: the server may have it, so this is another answer.
        third = tab.wait(f"{READY} !== '{second}' && {READY}")
        tab.press("ArrowLeft")
        tab.wait(f"{READY} === '{second}'")
        tab.press("5")
        tab.press("ArrowRight")
        tab.wait(f"{READY} === '{third}'")
        answer(tab, 2, 2)
        tab.close()
    finally:
        server.start()
    tab = browser.open(link)
    tab.wait(f"{READY} !== '{third}' && {READY}")
    tab.wait(QUIET)
    stored = {case: its[:2] for case, its in kept(study, name).items()}
    assert stored == {first: ((1, 0), 1), second: ((-2, -1), 2), third: ((2, 2), 1)}
    tab.close()


def test_the_reader_decides_between_answers_of_two_tabs(browser, study, reader):
    name, link = reader
    tab = browser.open(link)
    first = begin(tab)
    other = browser.open(link)
    assert other.wait(READY) == first
    tab.front()
    answer(tab, 1, 1)
    second = tab.wait(f"{QUIET} && {READY} !== '{first}' && {READY}")
    answer(tab, 0, 2)
    tab.wait(f"{QUIET} && {READY} !== '{second}' && {READY}")
    other.front()
    for mine in (False, True):
        answer(other, -1, 0)
        other.wait("document.getElementById('clash').open")
        text = other.ask("document.getElementById('clash').innerText")
        assert all(told in text for told in ("Right slightly better", "Left")), text
        other.press("Enter")  # meant for the case
        assert other.ask("document.getElementById('clash').open")
        other.click("#keep-mine" if mine else "#keep-stored")
        other.wait(f"{QUIET} && !document.getElementById('clash').open")
    stored = {case: its[:2] for case, its in kept(study, name).items()}
    assert stored == {first: ((1, 1), 1), second: ((-1, 0), 2)}
    tab.close()
    other.close()


def test_a_browser_without_webgl_2_and_a_link_that_is_not_valid_are_told(browser, reader):
    hidden = "HTMLCanvasElement.prototype.getContext = () => null"
    tab = browser.open(reader[1], script=hidden)
    assert "WebGL 2 is missing" in tab.wait("document.getElementById('trouble').innerText")
    tab.close()
    tab = browser.open(re.sub("/r/.*", f"/r/{'A' * 43}/", reader[1]))
    assert "Check the link" in tab.ask("document.body.innerText")
    tab.close()
