import { rmSync } from 'node:fs'
import { defineConfig } from 'vite'

const out = '../internal/console/dist'

export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  plugins: [{
    name: 'empty-but-keep',
    apply: 'build',
    // The directory itself is kept under version control by a hidden file.
    buildStart() { for (const made of ['assets', 'index.html']) rmSync(`${out}/${made}`, { recursive: true, force: true }) },
  }],
  build: {
    outDir: out,
    emptyOutDir: false,
    target: 'es2022',
    assetsInlineLimit: 0, // what stands in the page itself is refused by its policy
    modulePreload: { polyfill: false },
    license: { fileName: 'assets/licences.md' },
  },
})
