import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin, ResolvedConfig } from 'vite'

const COMPRESSIBLE = new Set(['.js', '.css', '.html', '.svg', '.json'])
const BYTES_MIN = 1024 // below one packet's payload a second file only costs a lookup

/** Write .gz and .br beside each built file, so that the server never compresses. */
export function precompress(): Plugin {
  let config: ResolvedConfig
  return {
    name: 'carbondesk:precompress',
    apply: 'build',
    configResolved(resolved) {
      config = resolved
    },
    closeBundle() {
      const entries = readdirSync(config.build.outDir, { recursive: true, withFileTypes: true })
      for (const entry of entries) {
        if (!entry.isFile() || !COMPRESSIBLE.has(extname(entry.name))) continue
        const path = join(entry.parentPath, entry.name)
        const content = readFileSync(path)
        if (content.length < BYTES_MIN) continue
        writeFileSync(`${path}.gz`, gzipSync(content, { level: constants.Z_BEST_COMPRESSION }))
        writeFileSync(`${path}.br`, brotliCompressSync(content))
      }
    },
  }
}
