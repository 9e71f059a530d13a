import { defineConfig } from 'vite';

declare const process: { env: Record<string, string | undefined> };

// The output is committed and compared octet by octet by tests/web: nothing here may depend on time, host or path.
export default defineConfig({
  base: '/',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  server: {
    fs: { allow: ['../..'] }, // a test reads twampctl's table of cases
    proxy: { '/api': { target: process.env.TWAMP_API ?? 'http://127.0.0.1:8080', changeOrigin: true } },
  },
  build: {
    target: 'es2020',
    outDir: 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0, // the policy of the page allows no data: but for images
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: 'assets/[name]-[hash].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name]-[hash][extname]',
      },
    },
  },
});
