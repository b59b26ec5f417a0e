// The slice viewer. All images of a set share one grid: flipping exchanges voxels and nothing else.
"use strict";
(() => {
  const get = (id) => document.getElementById(`viewer-${id}`);
  const sets = JSON.parse(document.getElementById("viewer-sets").textContent);
  const canvas = get("canvas"), said = get("said"), box = get("box");
  const GRAYS = "gray", HOT = "errors";
  // Colours of errors, as in the figures: inferno in eight equal steps.
  const STOPS = [[0, 0, 4], [33, 12, 74], [87, 16, 110], [138, 34, 106], [188, 55, 84], [228, 90, 49], [249, 142, 9], [249, 203, 53], [252, 255, 164]];
  const ramp = { [GRAYS]: ["#000", "#fff"], [HOT]: STOPS.map((rgb) => `rgb(${rgb.join(" ")})`) };
  const state = { set: null, key: null, held: false, start: 0 };
  const unpacked = new Map();
  let painter = null;

  const bytes = async (text) => {
    const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };
  // The first byte has a bit for each axis along which the voxels are differences; see `pack` in viewer.py.
  const unpack = async (name, shape) => {
    const element = [...document.querySelectorAll("[data-blob]")].find((one) => one.dataset.blob === name);
    const whole = new Uint8Array(await bytes(element.textContent)), data = whole.subarray(1);
    let stride = 1;
    for (let axis = 0; axis < 3; axis += 1) {
      const period = stride * shape[axis];
      if (whole[0] & (1 << axis)) {
        for (let start = 0; start < data.length; start += period) {
          for (let i = start + stride; i < start + period; i += 1) data[i] += data[i - stride];
        }
      }
      stride = period;
    }
    return data;
  };
  const voxels = (set, key) => {
    const { blob } = set.images.find((image) => image.key === key);
    if (!unpacked.has(blob)) unpacked.set(blob, unpack(blob, set.shape));
    return unpacked.get(blob);
  };

  const wanted = () => (state.held && state.set.measured ? "truth" : state.key);
  const mode = () => (state.set.measured && wanted() !== "truth" ? get("mode").value : "image");
  // The upper end of errors is that of the figure, and moves with white.
  const errorTop = () => Math.max(1, (state.set.error_top / state.set.white) * Number(get("high").value));

  let turn = 0;
  const show = async () => {
    const mine = (turn += 1), set = state.set, key = wanted();
    const image = await voxels(set, key);
    const truth = set.measured ? await voxels(set, "truth") : null;
    if (mine !== turn) return;
    let shown = image;
    if (mode() === "error") {
      shown = new Uint8Array(image.length);
      for (let i = 0; i < shown.length; i += 1) shown[i] = Math.abs(image[i] - truth[i]);
    }
    state.image = image;
    state.truth = truth;
    const low = Number(get("low").value), high = Number(get("high").value);
    const window_ = mode() === "error" ? [0, errorTop(), HOT] : [low, Math.max(high, low + 1), GRAYS];
    painter.voxels(shown, window_);
    const [from, to, colours] = window_, unit = set.white / 255;
    get("ramp").style.background = `linear-gradient(to right, ${ramp[colours].join(", ")})`;
    get("from").textContent = (from * unit).toFixed(3);
    get("to").textContent = `${(to * unit).toFixed(3)}${colours === HOT ? ", |SR − ground truth|" : ", intensity"}`;
    tell();
  };

  const tell = () => {
    const set = state.set;
    if (!set || !state.image) return;
    const image = set.images.find((one) => one.key === wanted());
    const [x, y, z] = painter.voxel();
    const at = x + set.shape[0] * (y + set.shape[1] * z);
    const unit = set.white / 255;
    const parts = [image.label + (mode() === "error" ? `, error (0 to ${(errorTop() * unit).toFixed(3)})` : "")];
    if (at >= 0 && at < state.image.length) {
      parts.push(`at the crosshair ${(state.image[at] * unit).toFixed(3)}`);
      if (state.truth && image.key !== "truth") {
        parts.push(`ground truth ${(state.truth[at] * unit).toFixed(3)}`);
        parts.push(`difference ${((state.image[at] - state.truth[at]) * unit).toFixed(3)}`);
      }
    }
    if (image.psnr) parts.push(`PSNR of the volume ${image.psnr} dB`);
    said.textContent = parts.join(" · ");
  };

  const choose = (key) => {
    state.key = key;
    for (const input of get("images").querySelectorAll("input")) input.checked = input.value === key;
    return show();
  };

  const open = async () => {
    const subject = get("subject").value;
    const scales = sets.filter((set) => name(set) === subject);
    const set = scales.find((one) => String(one.scale) === get("scale").value) || scales[0];
    const first = state.set === null || name(state.set) !== name(set) || String(state.set.shape) !== String(set.shape);
    state.set = set;
    get("mode").disabled = !set.measured;
    get("images").replaceChildren(...set.images.map((image) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "viewer-image", value: image.key });
      input.addEventListener("change", () => choose(image.key));
      const text = document.createElement("span");
      text.textContent = image.label;
      label.append(input, text);
      if (image.psnr) {
        const psnr = document.createElement("small");
        psnr.textContent = `${image.psnr} dB`;
        label.append(psnr);
      }
      return label;
    }));
    if (first) {
      painter.grid(set);
      const thin = set.shape.indexOf(1);
      if (thin >= 0) get("plane").value = String([2, 1, 0][thin]);
      painter.plane(Number(get("plane").value));
      painter.zoom(Number(get("zoom").value));
    }
    const keep = set.images.some((image) => image.key === state.key);
    await choose(keep ? state.key : set.images[0].key);
  };

  const name = (set) => `${set.dataset_label}, ${set.subject}`;
  const fill = (select, values) => {
    const before = select.value;
    select.replaceChildren(...values.map(([value, label]) => new Option(label, value)));
    if (values.some(([value]) => value === before)) select.value = before;
  };
  const subjects = [...new Set(sets.map(name))];
  const scalesOf = () => fill(get("scale"), sets.filter((set) => name(set) === get("subject").value)
    .map((set) => [String(set.scale), `${set.scale}×`]));
  fill(get("subject"), subjects.map((name) => [name, name]));
  scalesOf();

  const flip = (step) => {
    const keys = state.set.images.map((image) => image.key);
    choose(keys[(keys.indexOf(state.key) + step + keys.length) % keys.length]);
  };
  const keydown = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !state.set) return;
    const act = {
      ArrowLeft: () => flip(-1),
      ArrowRight: () => flip(1),
      ArrowUp: () => painter.step(1),
      ArrowDown: () => painter.step(-1),
      g: () => { if (!state.held) { state.held = true; show(); } },
      e: () => {
        if (!state.set.measured) return;
        get("mode").value = get("mode").value === "error" ? "image" : "error";
        show();
      },
    }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    act();
  };
  const keyup = (event) => {
    if (event.key === "g" && state.held) { state.held = false; show(); }
  };

  // Slices on a plain canvas: one plane, or three.
  const slicePainter = () => {
    const context = canvas.getContext("2d");
    // Columns and rows of a plane's picture, the axis it lies across, and what its edges are.
    const planes = [
      { axes: [0, 1, 2], ends: ["R", "L", "A", "P"] },
      { axes: [0, 2, 1], ends: ["R", "L", "S", "I"] },
      { axes: [1, 2, 0], ends: ["A", "P", "S", "I"] },
    ];
    const colour = new Uint32Array(256);
    let data = null, shape = [1, 1, 1], size = [1, 1, 1], at = [0, 0, 0], pan = [0, 0, 0];
    let plane = 0, factor = 1, smooth = false, cross = true, tiles = [];
    const clamp = (low, value, high) => Math.min(high, Math.max(low, value));

    const setColours = ([low, high, colours]) => {
      for (let level = 0; level < 256; level += 1) {
        const t = clamp(0, (level - low) / (high - low), 1);
        const place = t * (STOPS.length - 1), below = Math.min(STOPS.length - 2, Math.floor(place));
        const hot = STOPS[below].map((c, i) => c + (place - below) * (STOPS[below + 1][i] - c));
        const [r, g, b] = (colours === GRAYS ? [255 * t, 255 * t, 255 * t] : hot).map(Math.round);
        colour[level] = 0xff000000 | (b << 16) | (g << 8) | r;
      }
    };
    // Where each plane is drawn, in pixels of the canvas, and how many pixels a millimetre has.
    const arrange = () => {
      const { width, height } = canvas;
      const [x, y, z] = shape.map((n, axis) => n * size[axis]);
      if (plane < 3) {
        const [u, v] = planes[plane].axes.map((axis) => [x, y, z][axis]);
        return [[{ plane, left: 0, top: 0, width, height }], Math.min(width / u, height / v)];
      }
      const row = Math.min(width / (x + x + y), height / Math.max(y, z));
      const square = Math.min(width / (x + y), height / (y + z));
      const unit = Math.max(row, square);
      const tile = (index, left, top, wide, high) => (
        { plane: index, left: left * unit, top: top * unit, width: wide * unit, height: high * unit });
      const found = row >= square
        ? [tile(0, 0, 0, x, y), tile(1, x, 0, x, z), tile(2, x + x, 0, y, z)]
        : [tile(1, 0, 0, x, z), tile(2, x, 0, y, z), tile(0, 0, z, x, y)];
      const right = Math.max(...found.map((one) => one.left + one.width));
      const bottom = Math.max(...found.map((one) => one.top + one.height));
      for (const one of found) {
        one.left += (width - right) / 2;
        one.top += (height - bottom) / 2;
      }
      return [found, unit];
    };
    const slice = ([u, v, w]) => {
      const stride = [1, shape[0], shape[0] * shape[1]];
      const picture = new ImageData(shape[u], shape[v]);
      const pixels = new Uint32Array(picture.data.buffer);
      let pixel = 0;
      // RAS: flipped, up is at the top; right (sagittal: anterior) is on the left.
      for (let row = shape[v] - 1; row >= 0; row -= 1) {
        let place = (shape[u] - 1) * stride[u] + row * stride[v] + at[w] * stride[w];
        for (let column = 0; column < shape[u]; column += 1, place -= stride[u]) pixels[pixel++] = colour[data[place]];
      }
      const whole = new OffscreenCanvas(shape[u], shape[v]);
      whole.getContext("2d").putImageData(picture, 0, 0);
      return whole;
    };
    const paint = (tile, unit, ratio) => {
      const { axes, ends } = planes[tile.plane], [u, v] = axes;
      const wide = shape[u] * size[u] * unit * factor, high = shape[v] * size[v] * unit * factor;
      const middle = [tile.left + tile.width / 2, tile.top + tile.height / 2];
      const left = middle[0] - wide / 2 - pan[u] * unit * factor, top = middle[1] - high / 2 - pan[v] * unit * factor;
      Object.assign(tile, { axes, wide, high, x: left, y: top, unit: unit * factor });
      context.save();
      context.beginPath();
      context.rect(tile.left, tile.top, tile.width, tile.height);
      context.clip();
      context.imageSmoothingEnabled = smooth;
      context.drawImage(slice(axes), left, top, wide, high);
      context.fillStyle = "#3cfc";
      if (cross) {
        context.fillRect(left + ((shape[u] - 0.5 - at[u]) / shape[u]) * wide, tile.top, ratio, tile.height);
        context.fillRect(tile.left, top + ((shape[v] - 0.5 - at[v]) / shape[v]) * high, tile.width, ratio);
      }
      context.restore();
      context.fillStyle = "#3cf";
      const pad = 10 * ratio, right = tile.left + tile.width, bottom = tile.top + tile.height;
      context.fillText(ends[0], tile.left + pad, middle[1]);
      context.fillText(ends[1], right - pad, middle[1]);
      context.fillText(ends[2], middle[0], tile.top + pad);
      context.fillText(ends[3], middle[0], bottom - pad);
    };
    const draw = () => {
      if (!data) return;
      const ratio = devicePixelRatio || 1;
      canvas.width = canvas.clientWidth * ratio;
      canvas.height = canvas.clientHeight * ratio;
      Object.assign(context, { font: `${14 * ratio}px sans-serif`, textAlign: "center", textBaseline: "middle" });
      context.fillRect(0, 0, canvas.width, canvas.height);
      const [found, unit] = arrange();
      tiles = found;
      for (const tile of tiles) paint(tile, unit, ratio);
    };
    const under = (event) => {
      const ratio = devicePixelRatio || 1, x = event.offsetX * ratio, y = event.offsetY * ratio;
      const tile = tiles.find((one) => x >= one.left && x < one.left + one.width && y >= one.top && y < one.top + one.height);
      return [tile, x, y];
    };
    const move = (axis, by) => {
      at[axis] = clamp(0, at[axis] + by, shape[axis] - 1);
      draw();
      tell();
    };
    const point = ([tile, x, y]) => {
      if (!tile) return;
      const [u, v] = tile.axes;
      at[u] = clamp(0, shape[u] - 1 - Math.floor(((x - tile.x) / tile.wide) * shape[u]), shape[u] - 1);
      at[v] = clamp(0, shape[v] - 1 - Math.floor(((y - tile.y) / tile.high) * shape[v]), shape[v] - 1);
      draw();
      tell();
    };
    canvas.addEventListener("wheel", (event) => {
      const [tile] = under(event);
      if (!tile) return;
      event.preventDefault();
      move(tile.axes[2], event.deltaY < 0 ? 1 : -1);
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button === 0) point(under(event));
      if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) point(under(event));
      const [tile] = under(event);
      if (!tile || !(event.buttons & 2)) return;
      const ratio = devicePixelRatio || 1, [u, v] = tile.axes;
      pan[u] -= (event.movementX * ratio) / tile.unit;
      pan[v] -= (event.movementY * ratio) / tile.unit;
      draw();
    });
    new ResizeObserver(draw).observe(canvas);
    return {
      grid: (set) => {
        [shape, size, data] = [set.shape, set.voxel_size, null];
        at = shape.map((n) => Math.floor(n / 2));
        pan = [0, 0, 0];
      },
      voxels: (loaded, how) => { data = loaded; setColours(how); draw(); },
      plane: (index) => { plane = index; draw(); },
      zoom: (times) => {
        factor = times;
        if (factor === 1) pan = [0, 0, 0];
        draw();
      },
      smooth: (on) => { smooth = on; draw(); },
      cross: (on) => { cross = on; draw(); },
      step: (by) => move(planes[plane % 3].axes[2], by),
      voxel: () => at,
    };
  };

  const begin = async () => {
    said.textContent = "Unpacking…";
    try {
      painter = slicePainter();
      await open();
    } catch (error) {
      said.textContent = `The viewer could not start (${error.message}). The figures above show a slice of every method.`;
      throw error;
    }
    get("subject").addEventListener("change", () => { scalesOf(); open(); });
    get("scale").addEventListener("change", open);
    get("plane").addEventListener("change", () => { painter.plane(Number(get("plane").value)); tell(); });
    get("mode").addEventListener("change", show);
    get("low").addEventListener("input", show);
    get("high").addEventListener("input", show);
    get("zoom").addEventListener("input", () => painter.zoom(Number(get("zoom").value)));
    get("smooth").addEventListener("change", () => painter.smooth(get("smooth").checked));
    get("cross").addEventListener("change", () => painter.cross(get("cross").checked));
    canvas.addEventListener("keydown", keydown);
    canvas.addEventListener("keyup", keyup);
    box.addEventListener("pointerenter", () => { box.dataset.over = "yes"; });
    box.addEventListener("pointerleave", () => { delete box.dataset.over; });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, select, textarea");
      if (box.dataset.over && !typing && event.target !== canvas) keydown(event);
    });
    document.addEventListener("keyup", keyup);
    box.dataset.ready = "yes";
  };

  // Megabytes are unpacked only where somebody looks.
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); begin(); }
  }, { rootMargin: "300px" }).observe(box);
})();
