// Two images of one grid, side by side. NiiVue paints; what is shown is one state for both, so that pan, zoom,
// window and slice cannot differ. NiiVue's own mouse and keys are covered: it has no gestures, and it would
// move one side alone.

const ZOOM = [0.25, 24], WIDTH = [2, 400], LEVEL = [-50, 150]; // of the fit; % of the case's own window
const SLOP = 4; // px that a click may move
const PLANES = { axial: 2, coronal: 1, sagittal: 0 }; // the axis across each
const AXES = [[0, 1], [0, 2], [1, 2]]; // of the picture, by NiiVue's number of the plane
const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));

/** The bytes of a file, unpacked if they are gzipped. */
const unpacked = async (buffer) => {
  const [first, second] = new Uint8Array(buffer, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return buffer;
  return new Response(new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
};

export const read = async (url) => {
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
  return niivue.NVImage.new(await unpacked(await reply.arrayBuffer()), "volume.nii");
};

export const able = () => Boolean(document.createElement("canvas").getContext("webgl2"));

export class Viewer {
  /**
   * @param {HTMLElement[]} frames two, of the same size, each with a canvas and a mark.
   * @param {() => void} tell is called after each change of what is shown.
   * @param {() => void} lost is called when the browser takes the graphics away.
   */
  constructor(frames, tell, lost) {
    Object.assign(this, { frames, tell, lost });
    this.plane = "axial"; // or coronal, sagittal, all
    this.smooth = true;
    this.tool = "move"; // what the left button or a finger does: move, window, slices
    this.marks = true;
    this.deep = false;
    this.stale = { window: true };
    this.fingers = new Map();
    this.painters = [];
  }

  async start() {
    this.painters = await Promise.all(this.frames.map(async (frame) => {
      const canvas = frame.querySelector("canvas");
      const nv = new niivue.Niivue({
        isRadiologicalConvention: true, sagittalNoseLeft: true, isColorbar: false, show3Dcrosshair: false,
        dragAndDropEnabled: false, isNearestInterpolation: !this.smooth, multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
        crosshairWidth: 0, crosshairWidthUnit: "percent", crosshairGap: 6, crosshairColor: [0.55, 0.55, 0.55, 1],
        backColor: [0, 0, 0, 1], fontColor: [0.75, 0.75, 0.75, 1], fontMinPx: 15, showAllOrientationMarkers: true,
        isAntiAlias: false, loadingText: "", logLevel: "error", interactive: false,
      });
      canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); this.lost(); });
      await nv.attachToCanvas(canvas, false);
      canvas.tabIndex = -1;
      return nv;
    }));
    this.frames.forEach((frame, side) => this.#listen(frame, side));
  }

  /** Show a pair as its case begins: in its own window, whole, at its middle. */
  show(images, window) {
    const dims = images[0].dimsRAS.slice(1, 4);
    const thin = dims.indexOf(1);
    this.dims = dims;
    this.deep = thin < 0;
    this.own = window;
    // A slice has one plane; volumes stay in the plane that the reader has chosen.
    if (this.deep) this.plane = this.chosen ?? "axial";
    else this.plane = Object.keys(PLANES).find((plane) => PLANES[plane] === thin);
    this.painters.forEach((nv, side) => {
      // A canvas that was hidden has no size until NiiVue looks.
      if (nv.canvas.width !== Math.round(nv.canvas.offsetWidth * this.#ratio())) nv.resizeListener();
      nv.volumes = [images[side]];
      [images[side].cal_min, images[side].cal_max] = window;
      nv.setVolume(images[side], 0);
    });
    this.reset();
    this.stale = {};
  }

  /** Take no orders until the next pair is shown. */
  rest() {
    this.dims = null;
    this.fingers.clear();
    // NiiVue paints what is hidden, too, and no padding fits in there.
    for (const nv of this.painters) nv.opts.multiplanarPadPixels = 0;
  }

  reset() {
    const mm = (fraction) => [...this.painters[0].frac2mm([fraction, fraction, fraction])].slice(0, 3);
    this.middle = mm(0.5);
    this.ends = [mm(0), mm(1)];
    this.centre = [...this.middle];
    this.zoom = 1;
    this.at = this.dims.map((count) => Math.floor(count / 2));
    this.set({ width: 100, level: 50 });
  }

  /** Change the state: plane, smooth, tool, marks, zoom, width and level (% of the case's own window). */
  set(choice) {
    Object.assign(this, choice);
    if (choice.plane) this.chosen = choice.plane;
    this.width = clamp(this.width, WIDTH);
    this.level = clamp(this.level, LEVEL);
    if ("width" in choice || "level" in choice) this.stale.window = true;
    if ("smooth" in choice) this.stale.smooth = true;
    this.#soon();
  }

  /** Go through the slices: across the plane, or across the one of the three under the pointer. */
  step(by, axis = PLANES[this.plane] ?? 2) {
    if (!this.deep) return;
    this.at[axis] = clamp(this.at[axis] + by, [0, this.dims[axis] - 1]);
    this.#soon();
  }

  get axis() { return PLANES[this.plane] ?? 2; }

  /** Zoom by a factor about a point of a frame, or about the middle. */
  scale(factor, point = null) {
    const zoom = clamp(this.zoom * factor, ZOOM);
    const tile = point && this.#tile(point);
    if (tile) {
      const here = this.#mm(point, tile);
      AXES[tile.axCorSag].forEach((axis, at) => {
        this.centre[axis] = here[at] - ((here[at] - this.centre[axis]) * this.zoom) / zoom;
      });
    }
    this.zoom = zoom;
    this.#soon();
  }

  /** Move the picture by pixels; the three planes move together. */
  move(across, down, point = null) {
    const tile = (point && this.#tile(point)) || this.painters[0].screenSlices[0];
    if (!tile) return;
    const [, , wide, high] = tile.leftTopWidthHeight.map((value) => value / this.#ratio());
    const [u, v] = AXES[tile.axCorSag];
    this.centre[u] -= (across / wide) * tile.fovMM[0];
    this.centre[v] += (down / high) * tile.fovMM[1];
    this.#soon();
  }

  /** One voxel on one pixel of the screen (the smaller voxel side where they differ). */
  one() {
    const tile = this.painters[0].screenSlices[0];
    const perMm = (tile.leftTopWidthHeight[2] / Math.abs(tile.fovMM[0])) / this.zoom;
    const sides = this.painters[0].volumes[0].pixDimsRAS.slice(1, 4).filter((_, axis) => AXES[tile.axCorSag].includes(axis));
    this.zoom = 1;
    this.centre = [...this.middle];
    this.scale(1 / (Math.min(...sides) * perMm));
  }

  /** Pixels of the screen to a voxel, across the picture. */
  get pixels() {
    const tile = this.painters[0].screenSlices[0];
    if (!tile) return 0;
    const side = this.painters[0].volumes[0].pixDimsRAS[1 + AXES[tile.axCorSag][0]];
    return (tile.leftTopWidthHeight[2] / Math.abs(tile.fovMM[0])) * side;
  }

  #ratio() { return this.painters[0].uiData.dpr || 1; }

  #tile([x, y]) {
    const ratio = this.#ratio();
    return this.painters[0].screenSlices.find(({ leftTopWidthHeight: [left, top, wide, high] }) =>
      x * ratio >= left && x * ratio <= left + wide && y * ratio >= top && y * ratio <= top + high);
  }

  #mm([x, y], tile) {
    const ratio = this.#ratio(), [left, top, wide, high] = tile.leftTopWidthHeight;
    return [
      tile.leftTopMM[0] + ((x * ratio - left) / wide) * tile.fovMM[0],
      tile.leftTopMM[1] + (1 - (y * ratio - top) / high) * tile.fovMM[1],
    ];
  }

  #soon() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      if (this.dims && this.frames[0].clientWidth) this.#draw();
    });
  }

  #draw() {
    const [low, high] = this.own, range = high - low;
    const middle = low + (range * this.level) / 100, half = (range * this.width) / 200;
    this.centre = this.centre.map((value, axis) =>
      clamp(value, [Math.min(this.ends[0][axis], this.ends[1][axis]), Math.max(this.ends[0][axis], this.ends[1][axis])]));
    const pan = this.middle.map((value, axis) => value - this.zoom * this.centre[axis]);
    for (const nv of this.painters) {
      const types = { axial: nv.sliceTypeAxial, coronal: nv.sliceTypeCoronal, sagittal: nv.sliceTypeSagittal, all: nv.sliceTypeMultiplanar };
      nv.opts.sliceType = types[this.plane];
      nv.opts.multiplanarPadPixels = this.plane === "all" ? 4 : 0;
      nv.opts.crosshairWidth = this.plane === "all" && this.marks ? 0.5 : 0;
      nv.scene.crosshairPos = this.at.map((voxel, axis) => (voxel + 0.5) / this.dims[axis]);
      nv.scene.pan2Dxyzmm = [...pan, this.zoom];
      nv.opts.isNearestInterpolation = !this.smooth;
      if (this.stale.smooth) nv.updateInterpolation(0);
      if (this.stale.window) {
        [nv.volumes[0].cal_min, nv.volumes[0].cal_max] = [middle - half, middle + half];
        nv.updateGLVolume();
      } else {
        nv.drawScene();
      }
    }
    this.stale = {};
    this.tell();
  }

  // Mouse, pen and fingers, on either side.
  #listen(frame, side) {
    const point = (event) => {
      const box = frame.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const drags = (event) => {
      if (event.pointerType === "mouse" && event.button === 2) return "window";
      if (event.pointerType === "mouse" && (event.button === 1 || event.shiftKey)) return "move";
      return this.tool === "slices" && !this.deep ? "move" : this.tool;
    };
    frame.addEventListener("contextmenu", (event) => event.preventDefault());
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (!this.dims) return;
      if (this.deep && !event.ctrlKey) this.#wheel(event, point(event));
      else this.scale(Math.exp(-clamp(event.deltaY, [-60, 60]) * (event.ctrlKey ? 0.01 : 0.003)), point(event));
    }, { passive: false });
    frame.addEventListener("pointerdown", (event) => {
      if (!this.dims) return;
      event.preventDefault();
      frame.setPointerCapture(event.pointerId);
      if (this.fingers.size === 0) this.drag = { kind: drags(event), far: 0, side, rest: 0 };
      else Object.assign(this.drag, { kind: null, far: Infinity });
      this.fingers.set(event.pointerId, point(event));
    });
    frame.addEventListener("pointermove", (event) => {
      const now = point(event), before = this.fingers.get(event.pointerId);
      this.#mark(event.pointerType === "mouse" && !before ? now : null, side);
      if (!before || !this.dims) return;
      if (this.fingers.size === 1) this.#pull(now, before);
      else if (this.fingers.size === 2) this.#pinch(event.pointerId, now, before);
      this.fingers.set(event.pointerId, now);
    });
    const up = (event) => {
      const had = this.fingers.delete(event.pointerId);
      const click = had && event.type === "pointerup" && this.fingers.size === 0 && this.drag.far <= SLOP && event.button === 0;
      if (click && this.dims && this.plane === "all") this.#cross(point(event));
    };
    frame.addEventListener("pointerup", up);
    frame.addEventListener("pointercancel", up);
    frame.addEventListener("pointerleave", () => this.#mark(null, side));
  }

  #wheel(event, point) {
    // Touchpads send many small turns: a slice for each 40 px.
    this.turned = (this.turned ?? 0) + (event.deltaMode === 0 ? clamp(event.deltaY, [-40, 40]) : Math.sign(event.deltaY) * 40);
    const steps = Math.trunc(this.turned / 40);
    this.turned -= 40 * steps;
    const tile = this.plane === "all" ? this.#tile(point) : null;
    if (steps) this.step(-steps, tile ? [2, 1, 0][tile.axCorSag] : this.axis);
  }

  #pull(now, before) {
    const across = now[0] - before[0], down = now[1] - before[1];
    this.drag.far += Math.abs(across) + Math.abs(down);
    if (this.drag.far <= SLOP) return;
    if (this.drag.kind === "move") this.move(across, down, before);
    if (this.drag.kind === "window") this.set({ width: this.width + across / 3, level: this.level + down / 3 });
    if (this.drag.kind === "slices") {
      // The whole stack in three quarters of the frame's height.
      const tile = this.plane === "all" ? this.#tile(before) : null;
      const axis = tile ? [2, 1, 0][tile.axCorSag] : this.axis;
      this.drag.rest -= (down / (0.75 * this.frames[0].clientHeight)) * this.dims[axis];
      const steps = Math.trunc(this.drag.rest);
      this.drag.rest -= steps;
      if (steps) this.step(steps, axis);
    }
  }

  #pinch(id, now, before) {
    const [other] = [...this.fingers].filter(([finger]) => finger !== id).map(([, at]) => at);
    const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    this.move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2, middle);
    if (far(before, other) > 10) this.scale(far(now, other) / far(before, other), middle);
  }

  #cross(point) {
    const tile = this.#tile(point);
    if (!tile) return;
    const ratio = this.#ratio(), nv = this.painters[0];
    const frac = nv.screenXY2TextureFrac(point[0] * ratio, point[1] * ratio, nv.screenSlices.indexOf(tile), true);
    if (frac[0] < 0) return;
    this.at = this.dims.map((count, axis) => clamp(Math.floor(frac[axis] * count), [0, count - 1]));
    this.#soon();
  }

  /** A mark in the other image, where the pointer is in this one. */
  #mark(point, side) {
    this.frames.forEach((frame, at) => {
      const mark = frame.querySelector(".mark");
      mark.hidden = !point || at === side || !this.marks || !this.dims;
      if (!mark.hidden) mark.style.translate = `${point[0]}px ${point[1]}px`;
    });
  }
}
