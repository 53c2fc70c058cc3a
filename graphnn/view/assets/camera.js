"use strict";

/** The camera: which part of the picture the stage shows. Dragging pans, wheel and two fingers zoom. */
class Camera {
  constructor(stage, picture) {
    this.stage = stage;
    this.picture = picture;
    this.width = picture.width.baseVal.value;
    this.height = picture.height.baseVal.value;
    this.scale = 1;
    this.x = this.y = 0; // of the stage's corner, in the picture
    this.pointers = new Map();
    this.dragged = false;
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"])
      stage.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
  }

  show() {
    this.picture.style.transform = `scale(${this.scale}) translate(${-this.x}px, ${-this.y}px)`;
  }

  /** The smallest scale: all of the picture, but never larger than life. */
  get whole() {
    return Math.min(1, this.stage.clientWidth / this.width, this.stage.clientHeight / this.height);
  }

  fit() {
    this.stop();
    this.scale = this.whole;
    this.x = (this.width - this.stage.clientWidth / this.scale) / 2;
    this.y = (this.height - this.stage.clientHeight / this.scale) / 2;
    this.show();
  }

  pan(dx, dy) {
    this.stop();
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.show();
  }

  /** Zoom, and keep what is at (left, top) of the stage where it is: the middle unless said. */
  zoom(factor, left = this.stage.clientWidth / 2, top = this.stage.clientHeight / 2) {
    this.stop();
    const scale = Math.min(4, Math.max(this.whole / 2, this.scale * factor));
    this.x += left / this.scale - left / scale;
    this.y += top / this.scale - top / scale;
    this.scale = scale;
    this.show();
  }

  /** Bring a box of the picture into the middle, large enough to read, unless it is well in sight. */
  follow(box) {
    const readable = Math.min(1.1, Math.max(0.9, this.stage.clientHeight / this.height));
    const scale = Math.max(this.scale, readable);
    const wide = this.stage.clientWidth / scale, high = this.stage.clientHeight / scale;
    const x = box.x + box.width / 2 - wide / 2, y = box.y + box.height / 2 - high / 2;
    const near = Math.abs(x - this.x) < wide * 0.32 && Math.abs(y - this.y) < high * 0.32;
    if (scale === this.scale && near) return;
    // A picture that is lower than the stage stays in its middle.
    this.glide({ x, y: this.height < high ? (this.height - high) / 2 : y, scale });
  }

  glide(to) {
    this.stop();
    const from = { x: this.x, y: this.y, scale: this.scale };
    const time = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 260;
    const start = performance.now();
    const frame = (now) => {
      const part = time ? Math.min(1, Math.max(0, now - start) / time) : 1;
      const eased = 1 - (1 - part) ** 3;
      for (const key of ["x", "y", "scale"]) this[key] = from[key] + (to[key] - from[key]) * eased;
      this.show();
      this.gliding = part < 1 ? requestAnimationFrame(frame) : 0;
    };
    frame(start);
  }

  stop() {
    cancelAnimationFrame(this.gliding);
  }

  wheel(event) {
    event.preventDefault();
    const corner = this.stage.getBoundingClientRect();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.shiftKey) this.pan(-(event.deltaX || event.deltaY) * lines, 0);
    else this.zoom(Math.exp(-event.deltaY * lines * 0.002), event.clientX - corner.left, event.clientY - corner.top);
  }

  press(event) {
    if (event.target.closest("button")) return;
    if (!this.pointers.size) this.dragged = false;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const dx = event.clientX - last.x, dy = event.clientY - last.y;
    if (!this.dragged && this.pointers.size === 1 && Math.hypot(dx, dy) < 4) return; // still a click
    if (!this.dragged) {
      this.dragged = true;
      for (const id of this.pointers.keys()) this.stage.setPointerCapture(id);
    }
    const here = { x: event.clientX, y: event.clientY };
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, here);
    if (!other) return this.pan(dx, dy);
    const corner = this.stage.getBoundingClientRect();
    const apart = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    this.zoom(apart(here) / apart(last), (here.x + other.x) / 2 - corner.left, (here.y + other.y) / 2 - corner.top);
    this.pan(dx / 2, dy / 2);
  }
}
