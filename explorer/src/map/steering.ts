// The map by keyboard: arrows pan (by more with shift), plus and minus zoom, Enter chooses what is nearest to the middle.

export interface Steering {
  pan(dx: number, dy: number): void;
  zoom(factor: number): void;
  choose(): void;
  steered(): void;
}

const [STEP, STRIDE, CLOSER] = [56, 160, 1.4];

export function steer(element: HTMLElement, map: Steering): void {
  element.addEventListener("keydown", (event) => {
    if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? STRIDE : STEP;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => map.pan(step, 0),
      ArrowRight: () => map.pan(-step, 0),
      ArrowUp: () => map.pan(0, step),
      ArrowDown: () => map.pan(0, -step),
      "+": () => map.zoom(CLOSER),
      "=": () => map.zoom(CLOSER),
      "-": () => map.zoom(1 / CLOSER),
      Enter: () => map.choose(),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
    map.steered();
  });
}
