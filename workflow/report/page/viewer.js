// The slice viewer. All images of a set share one grid: flipping exchanges voxels and nothing else.
"use strict";
(() => {
  const get = (id) => document.getElementById(`viewer-${id}`);
  const sets = JSON.parse(document.getElementById("viewer-sets").textContent);
  const canvas = get("canvas"), said = get("said"), box = get("box");
  const GRAYS = "gray", HOT = "errors", CROSS = 0.25;
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
  // A whole NIfTI file (the first image of a set) or its voxels alone.
  const blob = (name) => {
    if (!unpacked.has(name)) {
      const element = [...document.querySelectorAll("[data-blob]")].find((el) => el.dataset.blob === name);
      unpacked.set(name, bytes(element.textContent));
    }
    return unpacked.get(name);
  };
  const voxels = async (set, key) => {
    const image = set.images.find((one) => one.key === key);
    const count = set.shape.reduce((a, b) => a * b);
    const data = await blob(image.blob);
    return new Uint8Array(data, data.byteLength - count, count);
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
    said.textContent = `${parts.join(" · ")}${painter.note}`;
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
      await painter.grid(await blob(set.images[0].blob), set);
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

  // With WebGL 2: NiiVue.
  const niivuePainter = async () => {
    const library = document.createElement("script");
    library.textContent = new TextDecoder().decode(await bytes(document.getElementById("niivue").textContent));
    document.head.append(library);
    const nv = new niivue.Niivue({
      isRadiologicalConvention: true, sagittalNoseLeft: true, isColorbar: false, show3Dcrosshair: false,
      dragAndDropEnabled: false, isNearestInterpolation: true, crosshairWidth: CROSS, crosshairWidthUnit: "percent", crosshairGap: 0, crosshairColor: [0.2, 0.8, 1, 0.9],
      backColor: [0, 0, 0, 1], logLevel: "error", multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
      showAllOrientationMarkers: true, fontColor: [0.2, 0.8, 1, 1], fontMinPx: 16,
      viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "",
    });
    const column = (index) => STOPS.map((rgb) => rgb[index]);
    nv.addColormap(HOT, {
      R: column(0), G: column(1), B: column(2), A: STOPS.map((_, i) => (i ? 255 : 0)),
      I: STOPS.map((_, i) => Math.round((255 * i) / (STOPS.length - 1))),
    });
    await nv.attachToCanvas(canvas);
    nv.opts.dragMode = niivue.DRAG_MODE.pan;
    nv.onLocationChange = tell;
    const types = [nv.sliceTypeAxial, nv.sliceTypeCoronal, nv.sliceTypeSagittal, nv.sliceTypeMultiplanar];
    return {
      note: "",
      grid: async (buffer) => {
        while (nv.volumes.length) nv.removeVolumeByIndex(0);
        nv.addVolume(await niivue.NVImage.new(buffer.slice(0), "volume.nii"));
        nv.scene.crosshairPos = [0.5, 0.5, 0.5];
      },
      voxels: (data, [low, high, colours]) => {
        const volume = nv.volumes[0];
        volume.img = data;
        // A new colour map sets the window anew: ours comes after it.
        if (volume.colormap !== colours) volume.colormap = colours;
        volume.cal_min = low;
        volume.cal_max = high;
        nv.updateGLVolume();
      },
      plane: (index) => nv.setSliceType(types[index]),
      zoom: (factor) => {
        const [x, y, z] = nv.scene.pan2Dxyzmm;
        nv.setPan2Dxyzmm([x, y, z, factor]);
      },
      smooth: (on) => nv.setInterpolation(!on),
      cross: (on) => { nv.opts.crosshairWidth = on ? CROSS : 0; nv.drawScene(); },
      step: (by) => {
        const axis = [2, 1, 0, 2][Number(get("plane").value)];
        nv.moveCrosshairInVox(...[0, 1, 2].map((a) => (a === axis ? by : 0)));
        nv.drawScene();
        tell();
      },
      voxel: () => [...nv.frac2vox(nv.scene.crosshairPos)].map(Math.round),
    };
  };

  // Without: one slice on a plain canvas.
  const plainPainter = () => {
    const context = canvas.getContext("2d");
    const ends = [["R", "L", "A", "P"], ["R", "L", "S", "I"], ["A", "P", "S", "I"]];
    let data = null, shape = [1, 1, 1], size = [1, 1, 1], window_ = [0, 255, GRAYS], plane = 0, factor = 1, at = [0, 0, 0];
    let smooth = false, cross = true, whereTo = null;
    const hot = (t) => {
      const place = t * (STOPS.length - 1), below = Math.min(STOPS.length - 2, Math.floor(place));
      return STOPS[below].map((c, i) => c + (place - below) * (STOPS[below + 1][i] - c));
    };
    const draw = () => {
      if (!data) return;
      // Columns and rows of the picture, and the axis it is taken across.
      const [u, v, w] = [[0, 1, 2], [0, 2, 1], [1, 2, 0]][plane];
      const picture = new ImageData(shape[u], shape[v]);
      const [low, high, colours] = window_;
      const stride = [1, shape[0], shape[0] * shape[1]];
      for (let row = 0; row < shape[v]; row += 1) {
        for (let column = 0; column < shape[u]; column += 1) {
          // RAS: flipped, up is at the top; right (sagittal: anterior) is on the left.
          const i = (shape[u] - 1 - column) * stride[u] + (shape[v] - 1 - row) * stride[v] + at[w] * stride[w];
          const t = Math.min(1, Math.max(0, (data[i] - low) / (high - low)));
          const rgb = colours === GRAYS ? [255 * t, 255 * t, 255 * t] : hot(t);
          picture.data.set([...rgb, 255], 4 * (row * shape[u] + column));
        }
      }
      const whole = new OffscreenCanvas(shape[u], shape[v]);
      whole.getContext("2d").putImageData(picture, 0, 0);
      const ratio = devicePixelRatio || 1;
      canvas.width = canvas.clientWidth * ratio;
      canvas.height = canvas.clientHeight * ratio;
      const fit = factor * Math.min(canvas.width / (shape[u] * size[u]), canvas.height / (shape[v] * size[v]));
      const [wide, high_] = [shape[u] * size[u] * fit, shape[v] * size[v] * fit];
      context.imageSmoothingEnabled = smooth;
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(whole, (canvas.width - wide) / 2, (canvas.height - high_) / 2, wide, high_);
      const [left_, top_] = [(canvas.width - wide) / 2, (canvas.height - high_) / 2];
      whereTo = (x, y) => {
        at[u] = Math.min(shape[u] - 1, Math.max(0, shape[u] - 1 - Math.floor(((x * ratio - left_) / wide) * shape[u])));
        at[v] = Math.min(shape[v] - 1, Math.max(0, shape[v] - 1 - Math.floor(((y * ratio - top_) / high_) * shape[v])));
      };
      if (cross) {
        context.fillStyle = "#3cfc";
        context.fillRect(left_ + ((shape[u] - 0.5 - at[u]) / shape[u]) * wide, 0, ratio, canvas.height);
        context.fillRect(0, top_ + ((shape[v] - 0.5 - at[v]) / shape[v]) * high_, canvas.width, ratio);
      }
      context.font = `${14 * ratio}px sans-serif`;
      context.fillStyle = "#3cf";
      const [left, right, top, bottom] = ends[plane], pad = 14 * ratio;
      context.fillText(left, pad / 2, canvas.height / 2);
      context.fillText(right, canvas.width - pad, canvas.height / 2);
      context.fillText(top, canvas.width / 2, pad);
      context.fillText(bottom, canvas.width / 2, canvas.height - pad / 2);
      context.fillStyle = "#000";
    };
    const step = (by) => {
      const axis = [2, 1, 0][plane];
      at[axis] = Math.min(shape[axis] - 1, Math.max(0, at[axis] + by));
      draw();
      tell();
    };
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); step(event.deltaY < 0 ? 1 : -1); });
    canvas.addEventListener("click", (event) => {
      if (!whereTo) return;
      whereTo(event.offsetX, event.offsetY);
      draw();
      tell();
    });
    get("plane").querySelector("[value='3']").remove();
    return {
      note: " · no WebGL 2 here: one plane, zoom about its centre",
      grid: async (buffer, set) => {
        const header = new DataView(buffer);
        shape = set.shape;
        size = [0, 1, 2].map((axis) => header.getFloat32(80 + 4 * axis, true));
        at = shape.map((n) => Math.floor(n / 2));
      },
      voxels: (loaded, how) => { data = loaded; window_ = how; draw(); },
      plane: (index) => { plane = Math.min(index, 2); draw(); },
      zoom: (times) => { factor = times; draw(); },
      smooth: (on) => { smooth = on; draw(); },
      cross: (on) => { cross = on; draw(); },
      step,
      voxel: () => at,
    };
  };

  const begin = async () => {
    said.textContent = "Unpacking…";
    try {
      const able = document.createElement("canvas").getContext("webgl2");
      painter = able ? await niivuePainter() : plainPainter();
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
    // NiiVue has keys of its own on the canvas: ours come first.
    canvas.addEventListener("keydown", keydown, true);
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
