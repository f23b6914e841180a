const firstBytes = 65_536;
/** A buffer that grew beyond this for one message is not kept for the next. */
const keptBytes = 1_048_576;
const shortText = 48;
const int32Min = -0x8000_0000;
const int32Max = 0x7fff_ffff;

/** Protobuf's binary form, written into one buffer that is used again. */
export class WireWriter {
  #data = Buffer.allocUnsafeSlow(firstBytes);
  #at = 0;

  begin(): void {
    this.#at = 0;
  }

  /** A copy of what was written since `begin`. */
  take(): Buffer {
    const taken = Buffer.allocUnsafe(this.#at);
    this.#data.copy(taken, 0, 0, this.#at);
    if (this.#data.length > keptBytes) this.#data = Buffer.allocUnsafeSlow(firstBytes);
    return taken;
  }

  /** Leaves room for a length of so many bytes; answers where. */
  open(room: number): number {
    this.#need(room);
    const start = this.#at;
    this.#at += room;
    return start;
  }

  /** Writes the length of what came since `open`; answers how many bytes it took. */
  close(start: number, room: number): number {
    const length = this.#at - start - room;
    const taken = sizeOf(length);
    if (taken !== room) {
      this.#need(taken);
      this.#data.copyWithin(start + taken, start + room, this.#at);
    }
    const end = start + taken + length;
    this.#at = start;
    this.#varint(length);
    this.#at = end;
    return taken;
  }

  uint32(value: number): void {
    this.#need(5);
    this.#varint(value);
  }

  /** Throws for what is no whole number of 32 bits. */
  int32(value: number): void {
    if (!(Number.isInteger(value) && value >= int32Min && value <= int32Max)) throw new Error(`${value} is no int32`);
    if (value < 0) this.int64(BigInt(value));
    else this.uint32(value);
  }

  int64(value: bigint): void {
    this.#need(10);
    let rest = BigInt.asUintN(64, value);
    if (rest !== value && BigInt.asIntN(64, value) !== value) throw new Error(`${value} is no int64`);
    while (rest > 0x7fff_ffffn) {
      this.#data[this.#at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#varint(Number(rest));
  }

  double(value: number): void {
    this.#need(8);
    this.#at = this.#data.writeDoubleLE(value, this.#at);
  }

  bytes(value: Uint8Array): void {
    this.#need(5 + value.byteLength);
    this.#varint(value.byteLength);
    this.#data.set(value, this.#at);
    this.#at += value.byteLength;
  }

  string(text: string): void {
    const { length } = text;
    // UTF-8 takes at most three bytes per UTF-16 unit.
    this.#need(5 + 3 * length);
    if (length <= shortText && this.#ascii(text)) return;
    const start = this.#at;
    const room = sizeOf(length);
    const written = this.#data.write(text, start + room);
    const taken = sizeOf(written);
    if (taken !== room) this.#data.copyWithin(start + taken, start + room, start + room + written);
    this.#varint(written);
    this.#at = start + taken + written;
  }

  /** A call into native code costs more than a short loop. False, with nothing written, when there is a letter beyond ASCII. */
  #ascii(text: string): boolean {
    const data = this.#data;
    let at = this.#at;
    data[at++] = text.length;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return false;
      data[at++] = unit;
    }
    this.#at = at;
    return true;
  }

  /** Of a number from 0 to 2^32 - 1. */
  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#data[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#data[this.#at++] = rest;
  }

  #need(bytes: number): void {
    if (this.#at + bytes <= this.#data.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#data.length, this.#at + bytes));
    this.#data.copy(larger, 0, 0, this.#at);
    this.#data = larger;
  }
}

/** Bytes that a length takes. */
function sizeOf(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x4000) return 2;
  if (length < 0x20_0000) return 3;
  return length < 0x1000_0000 ? 4 : 5;
}
