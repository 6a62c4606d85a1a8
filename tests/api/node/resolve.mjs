// Packages come from the dashboard's node_modules, or from the folder that NODE_FOLDER names.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.env.NODE_FOLDER ?? join(here, "..", "..", "..", "dashboard");
const require = createRequire(join(folder, "package.json"));

/** Import a package of that folder. */
export const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
