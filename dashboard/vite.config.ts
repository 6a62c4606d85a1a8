import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'
import { precompress } from './build/precompress.ts'

// `npm run dev` talks to a running server: `make run` by default.
const API = process.env.CARBONDESK_API ?? 'http://127.0.0.1:8000'

// An absolute path: the output lies outside this folder, and the precompressor reads it too.
const OUT_DIR = fileURLToPath(new URL('../api/_dashboard', import.meta.url))

export default defineConfig({
  plugins: [react(), precompress()],
  build: {
    outDir: OUT_DIR,
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy allows data: for images only
    rolldownOptions: {
      output: {
        // What changes with our dependencies apart from what changes with our code: browsers keep the former.
        codeSplitting: {
          groups: [{ name: 'framework', test: /node_modules[\\/](react|react-dom|scheduler|@tanstack[\\/](?:react-router|router-core|react-store|store|history)|graphql-ws|urql|@urql|wonka|@0no-co)[\\/]/ }],
        },
      },
    },
    modulePreload: { polyfill: false }, // the polyfill is for browsers without import maps; ours all have it
  },
  server: {
    // Host stays as the browser sent it, so that the server's same-origin check still means something.
    proxy: Object.fromEntries(
      ['/graphql', '/healthz', '/readyz'].map((path) => [path, { target: API, ws: path === '/graphql' }]),
    ),
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
