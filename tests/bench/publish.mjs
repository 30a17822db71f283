// Puts the results of the last `make bench` into docs/PERFORMANCE.md, between its two marks: `make bench-publish`.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const page = join(root, 'docs/PERFORMANCE.md');
const marks = /(<!-- results: make bench-publish -->\n)[^]*(<!-- end of results -->)/;
const text = readFileSync(page, 'utf8');
if (!marks.test(text)) throw new Error('docs/PERFORMANCE.md has lost its marks');
const results = readFileSync(join(root, 'build/bench/results.md'), 'utf8');
writeFileSync(page, text.replace(marks, (all, begin, end) => `${begin}\n${results}\n${end}`));
