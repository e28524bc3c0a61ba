// Recompresses one file from brotli to zstd for build.py, and prints the size and hash of its content as JSON.
// usage: node compress.mjs SOURCE TARGET LEVEL
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createBrotliDecompress, createZstdCompress } from "node:zlib";

const [source, target, level] = process.argv.slice(2);
const hash = createHash("sha256");
let size = 0;
const measure = new Transform({
  transform(chunk, _encoding, done) {
    hash.update(chunk);
    size += chunk.length;
    done(null, chunk);
  },
});
await pipeline(
  [
    createReadStream(source, { highWaterMark: 1 << 20 }),
    createBrotliDecompress(),
    measure,
    createZstdCompress({
      params: { [constants.ZSTD_c_compressionLevel]: Number(level), [constants.ZSTD_c_checksumFlag]: 1 },
    }),
    createWriteStream(target),
  ],
);
console.log(JSON.stringify({ size, sha256: hash.digest("hex") }));
