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

const OPTIONS: WebGLContextAttributes = { alpha: false, antialias: false, depth: false, stencil: false, powerPreference: "high-performance" };

let card: boolean | undefined; // asked once: making a context is slow

/** The quicker renderer that this machine has: WebGL without a graphics card is slower than the plain canvas (measured: two
 *  times at 10,000 points, seven times at 200,000). `?renderer=webgl` or `?renderer=canvas` insists. */
export function makeRenderer(canvas: HTMLCanvasElement): Renderer {
  const asked = new URLSearchParams(location.search).get("renderer");
  if (asked === "webgl" || (asked !== "canvas" && (card ??= hasCard()))) {
    const gl = canvas.getContext("webgl2", OPTIONS) as WebGL2RenderingContext | null;
    if (gl) return new GlRenderer(canvas, gl);
  }
  return new CanvasRenderer(canvas);
}

/** Whether WebGL runs on a graphics card. Asked of another canvas, since one that has given WebGL gives nothing else; and by
 *  name, too, since not every browser heeds the caveat. */
function hasCard(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2", { ...OPTIONS, failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}
