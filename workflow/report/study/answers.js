// Answers on their way to the server. Each is kept on this device, under an id of its own, until the server has
// said that it is on its disk; the same id sent twice is one answer there.

const WAITS = [1, 2, 4, 8, 15, 30]; // seconds before the next try
const PATIENCE = 20; // seconds for a reply
const AGAIN = [408, 425, 429]; // beside 5xx: worth another try

const identifier = () => {
  // crypto.randomUUID is missing where the page came without TLS.
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte, at) => {
    const its = at === 6 ? (byte & 0x0f) | 0x40 : at === 8 ? (byte & 0x3f) | 0x80 : byte;
    return its.toString(16).padStart(2, "0");
  }).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
};

/** 53 bits of a text (cyrb53): names this reader's things on the device without telling the secret link. */
const digest = (text) => {
  let a = 0xdeadbeef, b = 0x41c6ce57;
  for (const letter of text) {
    const code = letter.codePointAt(0);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);
};

/** What this device keeps for this reader; in memory alone where the browser keeps nothing. */
export class Device {
  constructor(secret) {
    this.prefix = `mrisr-study/${digest(secret)}/`;
    this.memory = new Map();
    this.keeps = true;
  }

  put(name, value) {
    this.memory.set(name, value);
    try {
      localStorage.setItem(this.prefix + name, JSON.stringify(value));
    } catch {
      this.keeps = false;
    }
  }

  get(name) {
    if (this.memory.has(name)) return this.memory.get(name);
    try {
      return JSON.parse(localStorage.getItem(this.prefix + name)) ?? undefined;
    } catch {
      return undefined;
    }
  }

  drop(name) {
    this.memory.delete(name);
    try {
      localStorage.removeItem(this.prefix + name);
    } catch { /* it kept nothing */ }
  }

  /** All values whose names start so. */
  all(start) {
    try {
      const names = Object.keys(localStorage).filter((name) => name.startsWith(this.prefix + start));
      return names.map((name) => this.get(name.slice(this.prefix.length))).filter((value) => value !== undefined);
    } catch {
      return [];
    }
  }
}

export const same = (a, b) => Boolean(a && b) && Object.keys(a).every((key) => a[key] === b[key]);

export class Answers {
  /**
   * @param {Device} device keeps what is not sent.
   * @param {Map<string, {scores: object, revision: number}>} stored what the server has, by case.
   * @param {() => void} tell is called whenever something changed.
   */
  constructor(device, stored, tell) {
    this.device = device;
    this.stored = stored;
    this.tell = tell;
    // Those of an earlier visit, or of a tab that was closed.
    this.waiting = device.all("answer/").sort((a, b) => a.made - b.made);
    this.busy = false;
    this.failures = 0;
    this.next = null; // when the next try is, in ms since 1970
    this.wake = null;
  }

  /** Send what an earlier visit has left. */
  begin() {
    addEventListener("online", () => this.retry());
    this.#send();
  }

  /** The reader's last word on a case, sent or not. */
  latest(name) {
    return this.waiting.findLast((its) => its.case === name) ?? this.stored.get(name);
  }

  unsent(name) {
    return this.waiting.some((its) => its.case === name);
  }

  /** "saved", "saving", "waiting" (for the next try), "asked" (the reader, about a clash) or "refused". */
  get state() {
    if (this.waiting.some((its) => its.refused)) return "refused";
    if (this.clash) return "asked";
    if (this.next !== null) return "waiting";
    return this.waiting.length ? "saving" : "saved";
  }

  get refusal() {
    return this.waiting.find((its) => its.refused)?.refused;
  }

  /** The first answer that met another one of the same case on the server. */
  get clash() {
    return this.waiting.find((its) => its.clash);
  }

  give(name, scores, seconds) {
    if (same(scores, this.latest(name)?.scores)) return;
    const last = this.waiting.findLast((its) => its.case === name);
    if (last && last.revision === null) {
      this.#keep(Object.assign(last, { scores, seconds: last.seconds + seconds }));
    } else {
      const its = { id: identifier(), case: name, scores, seconds, revision: null, made: Date.now() };
      this.waiting.push(its);
      this.#keep(its);
    }
    this.#send();
  }

  retry() {
    for (const its of this.waiting) delete its.refused;
    if (this.wake) this.wake();
    else this.#send();
  }

  /** The reader has chosen: the stored answer, or the one given here. */
  settle(mine) {
    const its = this.clash;
    delete its.clash;
    if (mine) {
      this.#renew(its);
      this.#send();
    } else {
      this.#forget(its);
    }
    this.tell();
  }

  #keep(its) {
    this.device.put(`answer/${its.id}`, its);
  }

  #forget(its) {
    this.waiting = this.waiting.filter((other) => other !== its);
    this.device.drop(`answer/${its.id}`);
  }

  /** Make it another answer, based on what the server has now. */
  #renew(its) {
    this.#forget(its);
    this.waiting.push(Object.assign(its, { id: identifier(), revision: null }));
    this.#keep(its);
  }

  async #send() {
    if (this.busy) return this.tell();
    this.busy = true;
    for (;;) {
      const its = this.waiting.find((one) => !one.clash && !one.refused);
      if (!its) break;
      if (its.revision === null) its.revision = this.stored.get(its.case)?.revision ?? 0;
      this.#keep(its);
      this.tell();
      const done = await this.#put(its);
      if (done) {
        this.failures = 0;
        continue;
      }
      const wait = WAITS[Math.min(this.failures, WAITS.length - 1)];
      this.failures += 1;
      this.next = Date.now() + 1000 * wait;
      this.tell();
      await new Promise((go) => {
        this.wake = go;
        setTimeout(go, 1000 * wait);
      });
      this.wake = this.next = null;
    }
    this.busy = false;
    this.tell();
  }

  /** Send one; false if it must be sent again. */
  async #put(its) {
    const { id, scores, seconds, revision } = its;
    let reply, body;
    try {
      reply = await fetch(`answer/${encodeURIComponent(its.case)}`, {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ id, scores, seconds, revision }),
        keepalive: true,
        signal: AbortSignal.timeout(1000 * PATIENCE),
      });
      body = await reply.json().catch(() => ({}));
    } catch {
      return false;
    }
    if (reply.ok && Number.isInteger(body.revision)) {
      this.stored.set(its.case, { scores: body.scores ?? scores, revision: body.revision });
      this.#forget(its);
      return true;
    }
    if (reply.status === 409 && "answer" in body) {
      if (!body.answer) {
        // The server knows of none: this one is its first.
        this.stored.delete(its.case);
        this.#renew(its);
        return true;
      }
      this.stored.set(its.case, body.answer);
      // What the reader said last is what has to be weighed against the stored answer.
      const last = this.waiting.findLast((one) => one.case === its.case);
      if (last !== its) {
        last.seconds += its.seconds;
        this.#forget(its);
      }
      if (same(last.scores, body.answer.scores)) {
        this.#forget(last);
      } else {
        last.clash = body.answer;
        this.#keep(last);
      }
      return true;
    }
    if (reply.ok || reply.status >= 500 || AGAIN.includes(reply.status)) return false;
    its.refused = `${body.error ?? reply.statusText} (${reply.status})`;
    return true;
  }
}
