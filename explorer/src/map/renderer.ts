// What draws points. Two can: WebGL, and a plain canvas where there is none. Both are handed the same arrays.
//
// Neither is regl-scatterplot: regl 2.1 turns its drawing commands into code with `Function`, which a
// content-security-policy without 'unsafe-eval' refuses (tried: EvalError), and its index and lasso want workers from blob:
// addresses and inline styles. What remains to be written without it is one shader.

import type { Camera } from "./camera";
import { CanvasRenderer } from "./canvas";
import type { Layers } from "./layers";
import type { Rgb } from "../palette";
import { GlRenderer } from "./webgl";

export interface Renderer {
  readonly kind: "webgl" | "canvas";
  /** New places. */
  places(x: Float32Array, y: Float32Array): void;
  /** New colours [4n] (red, green, blue, unused) or layers. */
  paint(colours: Uint8Array, layers: Layers): void;
  /** Draw what was painted; size is a diameter in css pixels. */
  draw(camera: Camera, size: number, opacity: number, background: Rgb): void;
  resize(width: number, height: number, ratio: number): void;
  destroy(): void;
}

/** The quicker renderer that this machine has. WebGL without a graphics card is slower than the plain canvas (measured: two
 *  times at 10,000 points, seven times at 200,000), so it is asked to fail then. `?renderer=webgl` or `canvas` insists. */
export function makeRenderer(canvas: HTMLCanvasElement): Renderer {
  const asked = new URLSearchParams(location.search).get("renderer");
  if (asked !== "canvas") {
    const options = { alpha: false, antialias: false, depth: false, stencil: false, powerPreference: "high-performance" };
    const gl = canvas.getContext("webgl2", { ...options, failIfMajorPerformanceCaveat: asked !== "webgl" }) as WebGL2RenderingContext | null;
    if (gl) return new GlRenderer(canvas, gl);
  }
  return new CanvasRenderer(canvas);
}
