// The writer of network.bin: see FORMAT.md. The reader is internal/sim/network.go.

import { deflateRawSync } from 'node:zlib';

export const Kind = { float: 1, int: 2, counter: 3, bool: 4, text: 5 };

class Writer {
  bytes = [];

  uvarint(n) {
    let rest = BigInt(n);
    for (; rest >= 0x80n; rest >>= 7n) this.bytes.push(Number(rest & 0x7fn) | 0x80);
    this.bytes.push(Number(rest));
  }

  // signed writes zigzag, so that small numbers of both signs are short.
  signed(n) {
    this.uvarint(n < 0 ? -2 * n - 1 : 2 * n);
  }

  text(s) {
    const utf8 = Buffer.from(s, 'utf8');
    this.uvarint(utf8.length);
    for (const b of utf8) this.bytes.push(b);
  }
}

// whole turns the values of a point into whole numbers.
function whole({ kind, decimals, values }, texts) {
  switch (kind) {
    case Kind.bool: return values.map(Number);
    case Kind.text: return values.map((v) => texts.indexOf(v));
    case Kind.counter: return values.map(Math.floor);
    default: return values.map((v) => Math.round(v * 10 ** decimals) + 0); // + 0: no negative zero
  }
}

function writePoint(w, point) {
  w.text(point.name);
  w.text(point.unit);
  w.uvarint(point.kind);
  w.uvarint(point.decimals);
  const texts = point.kind === Kind.text ? [...new Set(point.values)] : [];
  w.uvarint(texts.length);
  texts.forEach((t) => w.text(t));
  let last = 0;
  for (const v of whole(point, texts)) {
    w.signed(v - last);
    last = v;
  }
}

// encode returns the whole file.
export function encode({ step, steps, controllers }) {
  const w = new Writer();
  w.uvarint(step);
  w.uvarint(steps);
  w.uvarint(controllers.length);
  for (const c of controllers) {
    w.text(c.name);
    w.text(c.kind);
    w.uvarint(c.points.length);
    c.points.forEach((p) => writePoint(w, p));
  }
  const header = Buffer.from([...Buffer.from('PSNW'), 1, 0]);
  return Buffer.concat([header, deflateRawSync(Buffer.from(w.bytes), { level: 9 })]);
}
