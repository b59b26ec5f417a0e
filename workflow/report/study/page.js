// The reader's page: screens, keys, time, and where the reader is. Images are viewer.js, answers are answers.js.
import { Answers, Device, same } from "./answers.js";
import { able, read, Viewer } from "./viewer.js";

const get = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const secret = location.pathname.split("/").filter(Boolean).pop();
const device = new Device(secret);
const KEYS = ["12345", "67890"]; // of the first and the second question; Shift and 1 to 5 is the second, too
const SCORES = [2, 1, 0, -1, -2]; // of the left image, as the buttons stand: the left one better at the left
const TICK = 5; // seconds between two notes of the time
const DAY = 86400; // seconds; the server takes no more

let study, answers, viewer;
let screen = "loading", at = 0, shown = null, skip = false;

// --- Time: seconds that a case was open and visible since its last answer.
const clock = {
  name: null,
  since: 0,
  open(name) {
    this.close();
    this.name = name;
    this.since = performance.now();
  },
  close() {
    if (!this.name) return;
    if (document.visibilityState === "visible") this.note();
    this.name = null;
  },
  note() {
    const now = performance.now();
    device.put(`time/${this.name}`, (device.get(`time/${this.name}`) ?? 0) + (now - this.since) / 1000);
    this.since = now;
  },
  take(name) {
    if (this.name === name && document.visibilityState === "visible") this.note();
    const seconds = device.get(`time/${name}`) ?? 0;
    device.drop(`time/${name}`);
    return Math.min(DAY, Math.round(seconds * 1000) / 1000);
  },
};
setInterval(() => { if (clock.name && document.visibilityState === "visible") clock.note(); }, 1000 * TICK);

// --- Images: those of the case and the next are kept, and the slices of the one before.
const images = new Map();
const load = (name) => {
  if (!images.has(name)) {
    const pair = Promise.all(["left", "right"].map((side) => read(`image/${encodeURIComponent(name)}/${side}`)));
    pair.catch(() => images.delete(name));
    images.set(name, pair);
  }
  return images.get(name);
};
const near = () => {
  const names = [at + 1, at, ...(current().slices ? [at - 1] : [])].map((index) => study.cases[index]?.case);
  for (const name of [...images.keys()]) if (!names.includes(name)) images.delete(name);
  if (names[0]) load(names[0]).catch(() => {});
};

// --- Scores.
const current = () => study.cases[at];
const given = () => Object.fromEntries(study.questions.flatMap(({ key }) => {
  const input = get("answers").querySelector(`input[name="score-${key}"]:checked`);
  return input ? [[key, Number(input.value)]] : [];
}));
const complete = (scores) => study.questions.every(({ key }) => key in scores);
const scoresOf = (name) => device.get(`draft/${name}`) ?? answers.latest(name)?.scores ?? {};
const fillIn = () => {
  const scores = scoresOf(current().case);
  for (const input of get("answers").querySelectorAll("input")) {
    input.checked = scores[input.name.slice(6)] === Number(input.value);
  }
  for (const group of get("questions").children) group.classList.remove("missing");
  get("note").textContent = "";
  skip = false;
};
const scored = () => {
  device.put(`draft/${current().case}`, given());
  for (const group of get("questions").children) {
    if (group.querySelector(":checked")) group.classList.remove("missing");
  }
  get("note").textContent = "";
  skip = false;
  paint();
};
/** What is complete is on its way when the reader leaves the case. */
const leave = () => {
  if (screen !== "case" || !shown) return;
  const name = current().case, scores = given();
  if (!complete(scores)) return;
  if (!same(scores, answers.latest(name)?.scores)) answers.give(name, scores, clock.take(name));
  device.drop(`draft/${name}`);
};

// --- Where the reader is.
const turn = (next) => {
  screen = document.body.dataset.screen = next;
  for (const part of ["loading", "welcome", "case", "end"]) get(part).hidden = part !== next;
  get("dots").hidden = next === "loading" || next === "welcome";
  get("again").hidden = next === "loading" || next === "welcome";
  if (next !== "case") {
    clock.close();
    viewer?.rest();
  }
  paint();
  if (next === "welcome" || next === "end") get(next).focus();
};
const firstOpen = () => study.cases.findIndex(({ case: name }) => !answers.latest(name));
const go = (index) => {
  leave();
  at = index;
  turn("case");
  open();
};
const finish = () => {
  leave();
  turn("end");
};
const onward = () => {
  if (!shown) return;
  const scores = given(), missing = study.questions.filter(({ key }) => !(key in scores));
  if (missing.length && !skip) {
    for (const { key } of missing) get(`question-${key}`).classList.add("missing");
    const labels = missing.map(({ label }) => label).join(" and ");
    get("note").textContent = `Not answered yet: ${labels}. “Next” once more leaves this case open.`;
    skip = true;
    return;
  }
  if (at + 1 < study.cases.length) go(at + 1);
  else finish();
};
const backward = () => {
  if (screen === "end") go(study.cases.length - 1);
  else if (at > 0) go(at - 1);
};

let turns = 0;
const open = async () => {
  const mine = (turns += 1), item = current();
  clock.close();
  shown = null;
  delete document.body.dataset.ready;
  document.body.dataset.case = item.case;
  fillIn();
  usable(false);
  get("wait").hidden = false;
  get("wait-text").textContent = "Loading the images…";
  get("reload-images").hidden = true;
  viewer.rest();
  try {
    const pair = await load(item.case);
    if (mine !== turns) return;
    viewer.show(pair, item.window);
  } catch (error) {
    if (mine !== turns) return;
    get("wait-text").textContent = `The images of this case could not be loaded (${error.message}). Trying again soon.`;
    get("reload-images").hidden = false;
    setTimeout(() => { if (mine === turns && screen === "case") open(); }, 5000);
    return;
  }
  // Both sides appear at once.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    if (mine !== turns) return;
    shown = item;
    get("wait").hidden = true;
    usable(true);
    clock.open(item.case);
    document.body.dataset.ready = "yes";
    near();
  }));
};
const usable = (yes) => {
  for (const input of get("answers").querySelectorAll("input, #next")) input.disabled = !yes;
};

// --- What stands on the page.
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const paint = () => {
  if (!study) return;
  const count = study.cases.length;
  const done = study.cases.filter(({ case: name }) => answers.latest(name)).length;
  get("place").replaceChildren(...(screen === "case" ? ["Case ", make("b", { textContent: at + 1 }), ` of ${count} · `] : []),
    screen === "case" ? `${done} answered` : `${done} of ${count} answered`);
  get("progress").max = count;
  get("progress").value = done;
  study.cases.forEach(({ case: name }, index) => {
    const dot = get("dots").children[index];
    const draft = device.get(`draft/${name}`);
    const answer = answers.unsent(name) ? "unsent" : answers.latest(name) ? "yes" : draft && Object.keys(draft).length ? "part" : "no";
    const said = { unsent: "answered, not saved yet", yes: "answered", part: "answered in part", no: "not answered" }[answer];
    dot.dataset.answer = answer;
    dot.title = `Case ${index + 1}: ${said}`;
    dot.setAttribute("aria-label", dot.title);
    if (screen === "case" && index === at) dot.setAttribute("aria-current", "step");
    else dot.removeAttribute("aria-current");
  });
  get("back").disabled = at === 0;
  saved();
  ending(done, count);
};

const saved = () => {
  const state = answers.state, open = answers.waiting.length;
  const element = get("saved"), wait = Math.max(0, Math.ceil((answers.next - Date.now()) / 1000));
  const text = {
    saved: answers.stored.size ? "All answers saved" : "",
    saving: "Saving…",
    waiting: `Not saved: ${plural(open, "answer")}, ${device.keeps ? "kept on this device" : "keep this page open"}`,
    asked: "Not saved: your choice is needed",
    refused: `Not saved: the server refused ${plural(open, "answer")}: ${answers.refusal}. Tell whoever sent you the link.`,
  }[state];
  element.dataset.state = state;
  if (get("saved-said").textContent !== text) get("saved-said").textContent = text;
  get("saved-wait").textContent = state === "waiting" ? `; next try in ${wait} s` : "";
  get("retry").hidden = state !== "waiting" && state !== "refused";
};
setInterval(() => { if (answers?.state === "waiting") saved(); }, 1000);

const ending = (done, count) => {
  const left = count - done;
  get("end-title").textContent = left ? `${plural(left, "case")} ${left === 1 ? "is" : "are"} open` : "All cases are answered. Thank you.";
  get("end-said").textContent = left
    ? "The numbers at the top without a filled dot are cases that have no complete answer yet."
    : "You can still change an answer: choose its number at the top.";
  get("end-saved").textContent = answers.waiting.length
    ? "Not everything is saved yet. Please keep this page open until the line at the top says so."
    : `Everything is saved${left ? "" : "; you can close this page"}.`;
  get("open").hidden = !left;
  if (left) get("open").textContent = `Go to case ${firstOpen() + 1}`;
};

const clash = () => {
  const answer = answers?.clash, box = get("clash");
  if (!answer || box.open) return;
  const number = study.cases.findIndex(({ case: name }) => name === answer.case) + 1;
  get("clash-title").textContent = `Two answers to case ${number}`;
  const said = (scores, key) => study.choices[scores[key] + 2] ?? "–";
  get("clash-rows").replaceChildren(...study.questions.map(({ key, label }) => make("tr", {},
    make("th", { scope: "row", textContent: label }),
    make("td", { textContent: said(answer.clash.scores, key) }),
    make("td", { textContent: said(answer.scores, key) }))));
  box.showModal();
  // Enter, meant for the case, must not choose.
  get("clash-title").focus();
};
const settle = (mine) => {
  const { case: name } = answers.clash;
  get("clash").close();
  document.activeElement?.blur();
  device.drop(`draft/${name}`);
  answers.settle(mine);
  if (screen === "case" && current().case === name) fillIn();
};

const view = () => {
  const { dims, at: voxel, axis, plane } = viewer;
  get("planes").hidden = get("slices").hidden = get("tool-slices").hidden = !viewer.deep;
  for (const input of document.getElementsByName("plane")) input.checked = input.value === plane;
  const tool = viewer.tool === "slices" && !viewer.deep ? "move" : viewer.tool;
  for (const input of document.getElementsByName("tool")) input.checked = input.value === tool;
  get("slice").max = dims[axis];
  get("slice").value = voxel[axis] + 1;
  get("slice-said").value = `${voxel[axis] + 1} of ${dims[axis]}`;
  get("width").value = viewer.width;
  get("level").value = viewer.level;
  get("width-said").value = `${Math.round(viewer.width)} %`;
  get("level-said").value = `${Math.round(viewer.level)} %`;
  get("smooth").checked = viewer.smooth;
  get("zoom-said").value = `${viewer.zoom < 9.95 ? viewer.zoom.toFixed(1) : Math.round(viewer.zoom)}×`;
  get("zoom-said").title = `${viewer.pixels.toFixed(2)} pixels of the screen to a voxel`;
};

// --- What the reader does.
const check = (input) => { if (screen === "case" && shown && input && !input.disabled) { input.checked = true; scored(); } };
const answerKey = (event) => {
  // By the key's place: digits are shifted on some keyboards.
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
  if (digit === undefined) return false;
  let row = KEYS.findIndex((keys) => keys.includes(digit)), column = KEYS[row].indexOf(digit);
  if (row === 0 && event.shiftKey) row = 1;
  const { key } = study.questions[row] ?? {};
  check(key && get("answers").querySelectorAll(`input[name="score-${key}"]`)[column]);
  return true;
};
const acts = {
  Enter: onward,
  ArrowRight: onward,
  ArrowLeft: backward,
  ArrowUp: () => viewer.step(1),
  ArrowDown: () => viewer.step(-1),
  PageUp: () => viewer.step(5),
  PageDown: () => viewer.step(-5),
  "+": () => viewer.scale(1.25),
  "=": () => viewer.scale(1.25),
  "-": () => viewer.scale(0.8),
  a: () => viewer.deep && viewer.set({ plane: "axial" }),
  c: () => viewer.deep && viewer.set({ plane: "coronal" }),
  s: () => viewer.deep && viewer.set({ plane: "sagittal" }),
  m: () => viewer.deep && viewer.set({ plane: "all" }),
  w: () => viewer.set({ width: viewer.width / 1.1 }),
  W: () => viewer.set({ width: viewer.width * 1.1 }),
  l: () => viewer.set({ level: viewer.level - 5 }),
  L: () => viewer.set({ level: viewer.level + 5 }),
  i: () => prefer({ smooth: !viewer.smooth }),
  x: () => prefer({ marks: !viewer.marks }),
  o: () => viewer.one(),
  r: () => viewer.reset(),
};
const prefer = (choice) => {
  viewer.set(choice);
  device.put("view", { smooth: viewer.smooth, marks: viewer.marks, tool: viewer.tool });
};
const keydown = (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !study || document.querySelector("dialog[open]")) return;
  if (event.key === "?") {
    event.preventDefault();
    get("keys").showModal();
    return;
  }
  const tag = event.target.tagName, kind = event.target.type;
  if (screen === "welcome" && event.key === "Enter" && tag !== "BUTTON") get("start").click();
  if (screen === "end" && event.key === "ArrowLeft") backward();
  if (screen !== "case") return;
  // With the focus on them, these have their own use for the keys.
  // A button of a dialog that was closed may still have it.
  if (tag === "BUTTON" && event.target.offsetParent && (event.key === "Enter" || event.key === " ")) return;
  if ((kind === "radio" || kind === "range") && event.key.startsWith("Arrow")) return;
  if (kind === "range" && event.key.startsWith("Page")) return;
  const act = acts[event.key] ?? acts[event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : ""];
  if (!answerKey(event)) {
    if (!act || (!shown && act !== backward)) return;
    if (event.repeat && (act === onward || act === backward)) return;
    act();
  }
  event.preventDefault();
};

const listen = () => {
  document.addEventListener("keydown", keydown);
  // After a click, keys belong to the case again and not to what was clicked; labels focus later than they click.
  document.addEventListener("click", (event) => {
    if (event.detail > 0 && screen === "case") setTimeout(() => document.activeElement?.closest("input, button")?.blur());
  });
  get("start").addEventListener("click", () => {
    device.put("read", true);
    if (back === "end") turn("end");
    else go(back ? at : Math.max(0, firstOpen()));
  });
  get("again").addEventListener("click", () => { leave(); welcome(screen); });
  get("help").addEventListener("click", () => get("keys").showModal());
  get("retry").addEventListener("click", () => answers.retry());
  get("reload-images").addEventListener("click", open);
  get("back").addEventListener("click", backward);
  get("answers").addEventListener("submit", (event) => { event.preventDefault(); onward(); });
  get("questions").addEventListener("change", scored);
  get("open").addEventListener("click", () => go(firstOpen()));
  get("review").addEventListener("click", () => go(0));
  get("keep-stored").addEventListener("click", () => settle(false));
  get("keep-mine").addEventListener("click", () => settle(true));
  // Browsers let Escape close it in the end: what is open is asked again.
  get("clash").addEventListener("close", clash);
  get("slice").addEventListener("input", () => viewer.step(Number(get("slice").value) - 1 - viewer.at[viewer.axis]));
  get("width").addEventListener("input", () => viewer.set({ width: Number(get("width").value) }));
  get("level").addEventListener("input", () => viewer.set({ level: Number(get("level").value) }));
  get("smooth").addEventListener("change", () => prefer({ smooth: get("smooth").checked }));
  get("in").addEventListener("click", () => viewer.scale(1.25));
  get("out").addEventListener("click", () => viewer.scale(0.8));
  get("one").addEventListener("click", () => viewer.one());
  get("reset").addEventListener("click", () => viewer.reset());
  for (const input of document.getElementsByName("plane")) input.addEventListener("change", () => viewer.set({ plane: input.value }));
  for (const input of document.getElementsByName("tool")) input.addEventListener("change", () => prefer({ tool: input.value }));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") {
      clock.since = performance.now();
      return;
    }
    // A tablet may never come back to a page that it has hidden.
    if (clock.name) clock.note();
    leave();
  });
  addEventListener("pagehide", leave);
  addEventListener("beforeunload", (event) => {
    leave();
    if (answers.state === "waiting" || !device.keeps && answers.waiting.length) event.preventDefault();
  });
  // Pages that come back from the browser's cache may be behind the server.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
};

let back = null; // the screen from which the instructions were opened again
const welcome = (from = null) => {
  back = from;
  get("start").textContent = { case: `Back to case ${at + 1}`, end: "Back" }[from] ?? "Start";
  turn("welcome");
};

const trouble = (text, again = true) => {
  turn("loading");
  get("trouble").textContent = text;
  get("reload").hidden = !again;
};

const build = () => {
  document.title = study.title;
  get("title").textContent = get("welcome-title").textContent = study.title;
  get("instructions").replaceChildren(...study.instructions.split(/\n\s*\n/).map((text) => make("p", { textContent: text })),
    make("p", { textContent: `You are ${study.reader}; there are ${plural(study.cases.length, "case")}.` }));
  get("questions").replaceChildren(...study.questions.map(({ key, label }, row) => make("fieldset", { className: "scores", id: `question-${key}` },
    make("legend", { textContent: label }),
    ...SCORES.map((score, column) => make("label", {},
      make("input", { type: "radio", name: `score-${key}`, value: score }),
      make("span", {}, ...(KEYS[row] ? [make("kbd", { textContent: KEYS[row][column], ariaHidden: "true" })] : []),
        study.choices[score + 2]))))));
  get("dots").replaceChildren(...study.cases.map((_, index) => {
    const dot = make("button", { type: "button", textContent: index + 1 });
    dot.addEventListener("click", () => go(index));
    return dot;
  }));
  get("keys-list").prepend(...study.questions.slice(0, KEYS.length).flatMap(({ label }, row) => [
    make("dt", {}, ...(row === 0 ? [make("kbd", { textContent: "1" }), " to ", make("kbd", { textContent: "5" })]
      : [make("kbd", { textContent: "6" }), " to ", make("kbd", { textContent: "0" }), ", or ", make("kbd", { textContent: "Shift" }), " ",
        make("kbd", { textContent: "1" }), " to ", make("kbd", { textContent: "5" })])),
    make("dd", { textContent: `${label}: from “${study.choices[4]}” to “${study.choices[0]}”` })]));
};

const begin = async () => {
  get("reload").hidden = true;
  get("reload").onclick = () => location.reload();
  if (!able()) {
    trouble("This browser cannot show the images: WebGL 2 is missing. Use a recent Firefox, Chrome, Edge or Safari, and turn hardware acceleration on.", false);
    return;
  }
  let reply;
  try {
    reply = await fetch("study");
    if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
    study = await reply.json();
  } catch (error) {
    trouble(reply?.status === 404
      ? "This link is not valid any more. Ask whoever sent it for a new one."
      : `The study could not be loaded (${error.message}).`);
    return;
  }
  const stored = new Map(study.cases.filter((item) => item.answer).map((item) => [item.case, item.answer]));
  answers = new Answers(device, stored, () => { paint(); clash(); });
  viewer = new Viewer([...document.querySelectorAll(".frame")], view, () => {
    leave();
    trouble("The browser has taken the graphics away from this page. Your answers are safe.");
  });
  viewer.tool = matchMedia("(pointer: coarse)").matches ? "slices" : "move";
  Object.assign(viewer, device.get("view"));
  build();
  get("case").hidden = false; // NiiVue measures its canvas
  await viewer.start();
  listen();
  answers.begin();
  if (!device.get("read") && !stored.size) welcome();
  else if (firstOpen() < 0) turn("end");
  else go(firstOpen());
  clash();
};

begin().catch((error) => {
  trouble(`The page could not start (${error.message}).`);
  throw error;
});
