/** Protobuf's binary form, read from the front. Throws an Error where the data ends too early. */
export class WireReader {
  /** Where it stands. */
  at = 0;
  readonly #data: Buffer;

  constructor(data: Buffer) {
    this.#data = data;
  }

  /** Reads a length; answers where what has it ends. */
  end(): number {
    const length = this.uint32();
    const end = this.at + length;
    if (end > this.#data.length) throw new Error("the message is cut off");
    return end;
  }

  /** The lower 32 bits of a varint. */
  uint32(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new Error("a number goes on for too long");
  }

  int32(): number {
    return this.uint32() | 0;
  }

  int64(): bigint {
    let low = 0;
    // Up to 49 bits are exact as a number.
    for (let factor = 1, count = 0; count < 7; factor *= 128, count++) {
      const byte = this.#byte();
      low += (byte & 0x7f) * factor;
      if (byte < 0x80) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new Error("a number goes on for too long");
  }

  double(): number {
    const start = this.#pass(8);
    return this.#data.readDoubleLE(start);
  }

  bytes(): Uint8Array {
    const end = this.end();
    const found = this.#data.subarray(this.at, end);
    this.at = end;
    return found;
  }

  string(): string {
    const end = this.end();
    const found = this.#data.toString("utf8", this.at, end);
    this.at = end;
    return found;
  }

  /** Passes over a field of this wire type. */
  skip(wire: number): void {
    switch (wire) {
      case 0:
        this.uint32();
        return;
      case 1:
        this.#pass(8);
        return;
      case 2:
        this.at = this.end();
        return;
      case 5:
        this.#pass(4);
        return;
      default:
        throw new Error(`a field has the wire type ${wire}`);
    }
  }

  #pass(bytes: number): number {
    const start = this.at;
    if (start + bytes > this.#data.length) throw new Error("the message is cut off");
    this.at += bytes;
    return start;
  }

  #byte(): number {
    const byte = this.#data[this.at++];
    if (byte === undefined) throw new Error("the message is cut off");
    return byte;
  }
}
