/**
 * Builds the page into `dist/`, or into the folder named: what a node serves and nothing else.
 *
 *   node build.mjs [FOLDER]      the page
 *   node build.mjs tests FOLDER  the tests, a bundle each for node's test runner; FOLDER/browser: for a browser
 *
 * `index.html` names `/main.js` and `/style.css`; both are bundled (from `src/main.ts`, `src/ui/style.css`), given the
 * hash of what they hold as part of their name, and the page is made to name those. What pages that a node itself
 * writes need (`WRITTEN`) is bundled in the same way, as far as there is a source for it; `manifest.json` tells how each
 * is called: {"services.js": "/assets/services-<hash>.js"}. What lies in `static/` is copied. Beside each file that gets smaller lies its gzip. A folder is written whole beside the old one and then takes its
 * place, so that a node never serves half a page.
 */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const PAGE = [
  ["main.js", "src/main.ts"],
  ["style.css", "src/ui/style.css"],
];
const WRITTEN = [
  ["services.js", "src/services/main.ts"],
  ["desk.js", "src/desk/main.ts"],
  ["services.css", "src/services/style.css"],
];
const TARGET = ["chrome110", "firefox115", "safari16.4"];
const PACKED = new Set([".html", ".js", ".css", ".svg", ".json", ".webmanifest", ".txt"]);

async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [join(HERE, entry)],
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    target: TARGET,
    legalComments: "none",
    charset: "utf8",
    logLevel: "warning",
  });
  return outputFiles[0].contents;
}

/** Bundles `entry` into the folder's assets; the path it is served at. */
async function asset(folder, named, entry) {
  const contents = await bundle(entry);
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 16);
  const path = `/assets/${named.replace(".", `-${hash}.`)}`;
  await writeFile(join(folder, path), contents);
  return path;
}

async function page(folder) {
  const made = `${folder}.new`;
  await rm(made, { recursive: true, force: true });
  await mkdir(join(made, "assets"), { recursive: true });
  await cp(join(HERE, "static"), made, { recursive: true }).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
  let html = await readFile(join(HERE, "index.html"), "utf8");
  const manifest = {};
  for (const [named, entry] of PAGE) {
    if (!html.includes(`"/${named}"`)) throw new Error(`index.html does not name "/${named}"`);
    manifest[named] = await asset(made, named, entry);
    html = html.replaceAll(`"/${named}"`, `"${manifest[named]}"`);
  }
  for (const [named, entry] of WRITTEN)
    if (existsSync(join(HERE, entry))) manifest[named] = await asset(made, named, entry);
  await writeFile(join(made, "manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
  await writeFile(join(made, "index.html"), html);
  for (const entry of await readdir(made, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !PACKED.has(extname(entry.name))) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const contents = await readFile(path);
    const packed = gzipSync(contents, { level: 9 });
    if (packed.length < contents.length) await writeFile(`${path}.gz`, packed);
  }
  await rm(`${folder}.old`, { recursive: true, force: true });
  await rename(folder, `${folder}.old`).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(made, folder);
  await rm(`${folder}.old`, { recursive: true, force: true });
}

async function tests(folder) {
  const names = (await readdir(join(HERE, "tests"))).filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: names.map((name) => join(HERE, "tests", name)),
    bundle: true,
    platform: "node",
    format: "esm",
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    sourcemap: "inline",
    logLevel: "warning",
  });
  const within = await readdir(join(HERE, "tests", "browser"));
  await build({
    entryPoints: within.map((name) => join(HERE, "tests", "browser", name)),
    bundle: true,
    format: "esm",
    target: TARGET,
    outdir: join(folder, "browser"),
    logLevel: "warning",
  });
}

const [what = "dist", where] = process.argv.slice(2);
if (what.startsWith("-") || (what === "tests" && where === undefined)) {
  console.error("Usage: node build.mjs [FOLDER], or node build.mjs tests FOLDER.");
  process.exitCode = 2;
} else if (what === "tests") await tests(resolve(where));
else await page(resolve(HERE, what));
