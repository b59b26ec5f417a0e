// Answers on their way to the server. Each is kept on this device, under an id of its own, until the server has
// said that it is on its disk; the same id sent twice is one answer there.

const WAITS = [1, 2, 4, 8, 15, 30]; // seconds before the next try
const PATIENCE = 20; // seconds for a reply
const AGAIN = [408, 425, 429]; // beside 5xx: worth another try

const identifier = () => {
  // crypto.randomUUID is missing where the page came without TLS.
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte, at) => {
    const bits = at === 6 ? (byte & 0x0f) | 0x40 : at === 8 ? (byte & 0x3f) | 0x80 : byte;
    return bits.toString(16).padStart(2, "0");
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
    return this.waiting.findLast((answer) => answer.case === name) ?? this.stored.get(name);
  }

  unsent(name) {
    return this.waiting.some((answer) => answer.case === name);
  }

  /** "saved", "saving", "waiting" (for the next try), "asked" (the reader, about a clash) or "refused". */
  get state() {
    if (this.waiting.some((answer) => answer.refused)) return "refused";
    if (this.clash) return "asked";
    if (this.next !== null) return "waiting";
    return this.waiting.length ? "saving" : "saved";
  }

  get refusal() {
    return this.waiting.find((answer) => answer.refused)?.refused;
  }

  /** The first answer that met another one of the same case on the server. */
  get clash() {
    return this.waiting.find((answer) => answer.clash);
  }

  give(name, scores, seconds) {
    if (same(scores, this.latest(name)?.scores)) return;
    const last = this.waiting.findLast((answer) => answer.case === name);
    if (last && last.revision === null) {
      this.#keep(Object.assign(last, { scores, seconds: last.seconds + seconds }));
    } else {
      const answer = { id: identifier(), case: name, scores, seconds, revision: null, made: Date.now() };
      this.waiting.push(answer);
      this.#keep(answer);
    }
    this.#send();
  }

  retry() {
    for (const answer of this.waiting) delete answer.refused;
    if (this.wake) this.wake();
    else this.#send();
  }

  /** The reader has chosen: the stored answer, or the one given here. */
  settle(mine) {
    const answer = this.clash;
    delete answer.clash;
    if (mine) {
      this.#renew(answer);
      this.#send();
    } else {
      this.#forget(answer);
    }
    this.tell();
  }

  #keep(answer) {
    this.device.put(`answer/${answer.id}`, answer);
  }

  #forget(answer) {
    this.waiting = this.waiting.filter((other) => other !== answer);
    this.device.drop(`answer/${answer.id}`);
  }

  /** Make it another answer, based on what the server has now. */
  #renew(answer) {
    this.#forget(answer);
    this.waiting.push(Object.assign(answer, { id: identifier(), revision: null }));
    this.#keep(answer);
  }

  async #send() {
    if (this.busy) return this.tell();
    this.busy = true;
    for (;;) {
      const answer = this.waiting.find((one) => !one.clash && !one.refused);
      if (!answer) break;
      if (answer.revision === null) answer.revision = this.stored.get(answer.case)?.revision ?? 0;
      this.#keep(answer);
      this.tell();
      const done = await this.#put(answer);
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
  async #put(answer) {
    const { id, scores, seconds, revision } = answer;
    let reply, body;
    try {
      reply = await fetch(`answer/${encodeURIComponent(answer.case)}`, {
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
      this.stored.set(answer.case, { scores: body.scores ?? scores, revision: body.revision });
      this.#forget(answer);
      return true;
    }
    if (reply.status === 409 && "answer" in body) {
      if (!body.answer) {
        // The server knows of none: this one is its first.
        this.stored.delete(answer.case);
        this.#renew(answer);
        return true;
      }
      this.stored.set(answer.case, body.answer);
      // What the reader said last is what has to be weighed against the stored answer.
      const last = this.waiting.findLast((one) => one.case === answer.case);
      if (last !== answer) {
        last.seconds += answer.seconds;
        this.#forget(answer);
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
    answer.refused = `${body.error ?? reply.statusText} (${reply.status})`;
    return true;
  }
}
