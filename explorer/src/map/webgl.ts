// Points by WebGL 2: one draw call over an index that holds the rows layer by layer.

import type { Rgb } from "../palette";
import type { Camera } from "./camera";
import { LOOK, type Layers } from "./layers";
import type { Renderer } from "./renderer";

const VERTEX = `#version 300 es
in vec2 place;
in vec3 colour;
in float layer;
uniform vec2 middle, stretch;
uniform float size, opacity;
uniform vec2 look[${LOOK.length}];
out vec4 shade;
out float radius;
void main() {
  vec2 mine = look[int(layer + 0.5)];
  gl_Position = vec4((place - middle) * stretch, 0.0, 1.0);
  radius = 0.5 * size * mine.y;
  gl_PointSize = 2.0 * radius + 1.0;
  shade = vec4(colour, opacity * mine.x);
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 shade;
in float radius;
out vec4 pixel;
void main() {
  float far = length(gl_PointCoord - 0.5) * (2.0 * radius + 1.0);
  float cover = clamp(radius + 0.5 - far, 0.0, 1.0);
  if (cover <= 0.0) discard;
  pixel = vec4(shade.rgb, shade.a * cover);
}`;

const NAMES = ["place", "colour", "layer"] as const;
type Name = (typeof NAMES)[number];

export class GlRenderer implements Renderer {
  readonly kind = "webgl";
  readonly #gl: WebGL2RenderingContext;
  #program!: WebGLProgram;
  #buffers!: Record<Name | "order", WebGLBuffer>;
  #uniform!: (name: string) => WebGLUniformLocation | null;
  #drawn = 0;
  #ratio = 1;
  #lost = false;
  #places: [Float32Array, Float32Array] | null = null;
  #painted: [Uint8Array, Layers] | null = null;
  #last: Parameters<Renderer["draw"]> | null = null;

  constructor(
    readonly canvas: HTMLCanvasElement,
    gl: WebGL2RenderingContext,
  ) {
    this.#gl = gl;
    this.#set();
    // A driver that restarts takes everything with it: what was there is built again.
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.#lost = true;
    });
    canvas.addEventListener("webglcontextrestored", () => {
      this.#lost = false;
      this.#set();
      if (this.#places) this.places(...this.#places);
      if (this.#painted) this.paint(...this.#painted);
      if (this.#last) this.draw(...this.#last);
    });
  }

  #set(): void {
    const gl = this.#gl;
    const program = (this.#program = gl.createProgram()!);
    for (const [type, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ] as const) {
      const shader = gl.createShader(type)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    NAMES.forEach((name, i) => gl.bindAttribLocation(program, i, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(`The map's shader does not link: ${gl.getProgramInfoLog(program)}`);
    const make = (): WebGLBuffer => gl.createBuffer()!;
    this.#buffers = { place: make(), colour: make(), layer: make(), order: make() };
    this.#uniform = (name) => gl.getUniformLocation(program, name);
    gl.useProgram(program);
    gl.uniform2fv(this.#uniform("look"), LOOK.flat());
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.#buffers.order);
    NAMES.forEach((_, i) => gl.enableVertexAttribArray(i));
  }

  #fill(name: Name, data: Float32Array | Uint8Array, size: number, type: number, scaled: boolean, stride: number): void {
    const gl = this.#gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
    gl.vertexAttribPointer(NAMES.indexOf(name), size, type, scaled, stride, 0);
  }

  places(x: Float32Array, y: Float32Array): void {
    this.#places = [x, y];
    const both = new Float32Array(2 * x.length);
    for (let i = 0; i < x.length; i++) {
      both[2 * i] = x[i]!;
      both[2 * i + 1] = y[i]!;
    }
    this.#fill("place", both, 2, this.#gl.FLOAT, false, 8);
  }

  paint(colours: Uint8Array, layers: Layers): void {
    this.#painted = [colours, layers];
    const gl = this.#gl;
    this.#fill("colour", colours, 3, gl.UNSIGNED_BYTE, true, 4);
    this.#fill("layer", layers.state, 1, gl.UNSIGNED_BYTE, false, 1);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, layers.order, gl.DYNAMIC_DRAW);
    this.#drawn = layers.drawn;
  }

  draw(camera: Camera, size: number, opacity: number, background: Rgb): void {
    this.#last = [camera, size, opacity, background];
    if (this.#lost) return;
    const gl = this.#gl;
    const [r, g, b] = background;
    gl.clearColor(r / 255, g / 255, b / 255, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.#drawn) return;
    gl.uniform2f(this.#uniform("middle"), camera.x, camera.y);
    gl.uniform2f(this.#uniform("stretch"), (2 * camera.scale) / camera.width, (2 * camera.scale) / camera.height);
    gl.uniform1f(this.#uniform("size"), size * this.#ratio);
    gl.uniform1f(this.#uniform("opacity"), opacity);
    gl.drawElements(gl.POINTS, this.#drawn, gl.UNSIGNED_INT, 0);
  }

  resize(width: number, height: number, ratio: number): void {
    this.#ratio = ratio;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.#gl.viewport(0, 0, this.canvas.width, this.canvas.height);
  }

  destroy(): void {
    for (const buffer of Object.values(this.#buffers)) this.#gl.deleteBuffer(buffer);
    this.#gl.deleteProgram(this.#program);
    this.#gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
