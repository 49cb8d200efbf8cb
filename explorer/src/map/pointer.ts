// Fingers, pens and mice, by pointer events alone: one drags the map or draws a lasso, two pinch, a short press chooses.

export interface Gestures {
  pan(dx: number, dy: number): void;
  zoom(px: number, py: number, factor: number): void;
  hover(px: number, py: number): void;
  leave(): void;
  choose(px: number, py: number, more: boolean): void;
  lassoing(): boolean;
  lasso(path: number[], ended: boolean): void;
  settle(): void;
}

const SLACK = 5; // a press that moves less is no drag

export function listen(element: HTMLElement, gestures: Gestures): void {
  const down = new Map<number, { x: number; y: number }>();
  let start: { x: number; y: number } | null = null;
  let dragged = false;
  let path: number[] | null = null;
  let lastTap = { time: 0, x: 0, y: 0 };

  const at = (event: PointerEvent | WheelEvent): { x: number; y: number } => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const spread = (): { x: number; y: number; far: number } => {
    const [a, b] = [...down.values()] as [{ x: number; y: number }, { x: number; y: number }];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, far: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.target instanceof Element && event.target.closest("button, a, input, select")) return;
    if (event.pointerType === "mouse" && event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    gestures.leave();
    down.set(event.pointerId, at(event));
    if (down.size === 1) {
      start = at(event);
      dragged = false;
      path = gestures.lassoing() || event.shiftKey ? [start.x, start.y] : null;
    } else {
      path = null; // a second finger means a pinch
      gestures.lasso([], false);
    }
  });

  element.addEventListener("pointermove", (event) => {
    const now = at(event);
    const before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") gestures.hover(now.x, now.y);
      return;
    }
    if (down.size === 2) {
      const old = spread();
      down.set(event.pointerId, now);
      const fresh = spread();
      gestures.pan(fresh.x - old.x, fresh.y - old.y);
      gestures.zoom(fresh.x, fresh.y, fresh.far / old.far);
      dragged = true;
      return;
    }
    if (!dragged && start && Math.hypot(now.x - start.x, now.y - start.y) < SLACK) return;
    dragged = true;
    down.set(event.pointerId, now);
    if (path) {
      const far = Math.hypot(now.x - path[path.length - 2]!, now.y - path[path.length - 1]!);
      if (far >= 3) path.push(now.x, now.y);
      gestures.lasso(path, false);
    } else {
      gestures.pan(now.x - before.x, now.y - before.y);
    }
  });

  const up = (event: PointerEvent): void => {
    if (!down.delete(event.pointerId)) return;
    if (down.size) return;
    const now = at(event);
    if (path && dragged && event.type === "pointerup") gestures.lasso(path, true);
    else if (path && dragged) gestures.lasso([], false);
    else if (!dragged && event.type === "pointerup") tap(now, event);
    path = null;
    gestures.settle();
  };
  const tap = (now: { x: number; y: number }, event: PointerEvent): void => {
    const again = event.timeStamp - lastTap.time < 320 && Math.hypot(now.x - lastTap.x, now.y - lastTap.y) < 24;
    lastTap = { time: again ? 0 : event.timeStamp, ...now };
    if (again) gestures.zoom(now.x, now.y, 2);
    else gestures.choose(now.x, now.y, event.ctrlKey || event.metaKey);
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  element.addEventListener("pointerleave", () => gestures.leave());
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const now = at(event);
      const step = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 16 : event.deltaY;
      gestures.zoom(now.x, now.y, Math.exp(-Math.max(-120, Math.min(120, step)) * 0.0022));
      gestures.settle();
    },
    { passive: false },
  );
}
