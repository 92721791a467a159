// Makes a component of the connector: node build.mjs FILE
//
// The runtime imports all of WASI 0.2, files too, which no host of connectors offers. So
// its imports are replaced by stubs that trap. That must not happen to what the connector
// itself imports: while it is made, its `wasi:` interfaces are named `keep:`, which is as
// long, and in the finished component their imports get their right names again.

import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { componentize } from 'componentize-qjs';

const [WASI, KEEP] = ['wasi:', 'keep:'];
const IMPORTS = 10;

const here = import.meta.dirname;
const work = join(here, 'build');
try {
  await cp(join(here, 'src'), work, { recursive: true });
  await cp(join(here, 'wit'), join(work, 'wit'), { recursive: true });
  const contract = join(work, 'wit', 'deps', 'connector');
  await cp(join(here, '..', '..', 'wit', 'connector'), contract, { recursive: true });
  for (const file of await readdir(work, { recursive: true })) {
    if (!/\.(js|wit)$/.test(file)) continue;
    const text = await readFile(join(work, file), 'utf8');
    await writeFile(join(work, file), text.replaceAll(WASI, KEEP));
  }
  const manifest = await readFile(join(here, 'manifest.json'), 'utf8');
  const module = `export const MANIFEST = ${JSON.stringify(manifest)};\n`;
  await writeFile(join(work, 'manifest.js'), module);

  const entry = join(work, 'connector.js');
  const { component } = await componentize({
    witPath: join(work, 'wit'),
    world: 'js-hello',
    jsSource: await readFile(entry, 'utf8'),
    jsPath: entry,
    moduleRoot: work,
    stubWasi: true,
    optSize: true,
    sync: true,
  });
  const names = rename(component);
  await writeFile(process.argv[2], component);
  console.log(`${process.argv[2]}: ${component.length} bytes, imports ${names.join(', ')}`);
} finally {
  await rm(work, { recursive: true });
}

// Gives the imports of a component their names back, in place; answers those names. A
// component is a header of eight bytes, and sections: a kind, a length, that many bytes.
function rename(component) {
  const found = [];
  for (let at = 8; at < component.length; ) {
    const kind = component[at++];
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      more = component[at] >= 0x80;
      length += (component[at++] & 0x7f) * 2 ** shift;
    }
    const section = component.subarray(at, at + length);
    at += length;
    if (kind !== IMPORTS) continue;
    for (let name = section.indexOf(KEEP); name >= 0; name = section.indexOf(KEEP, name)) {
      section.write(WASI, name);
      found.push(section.subarray(name).toString('latin1').match(/^[a-z:/-]+@[0-9.]+/)[0]);
    }
  }
  return found;
}
