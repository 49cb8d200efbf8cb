// The build goes into the Python package. Beside it stands the hash of what it was built from, so that a test can tell
// a page that is older than its sources.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { defineConfig } from "vite";

const here = import.meta.dirname;
const page = resolve(here, "../semblance/app/page");
const built = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.js"];

/** Every file that the build depends on, in order of its path. */
function sources() {
  const below = readdirSync(join(here, "src"), { recursive: true, withFileTypes: true });
  const files = below.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return [...files.map((file) => relative(here, file).replaceAll("\\", "/")), ...built].sort();
}

/** sha256 over path, zero, contents, zero of each file. */
function fingerprint() {
  const hash = createHash("sha256");
  for (const file of sources()) hash.update(file).update("\0").update(readFileSync(join(here, file))).update("\0");
  return hash.digest("hex");
}

export default defineConfig({
  root: here,
  base: "/",
  build: {
    outDir: page,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // a data: address would need a hole in the content-security-policy
    modulePreload: { polyfill: false },
    rolldownOptions: { output: { entryFileNames: "assets/[name]-[hash].js", assetFileNames: "assets/[name]-[hash][extname]" } },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8765" } },
  plugins: [{ name: "fingerprint", closeBundle: () => writeFileSync(join(page, "sources.sha256"), fingerprint() + "\n") }],
});
