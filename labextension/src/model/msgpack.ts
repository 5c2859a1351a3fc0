/** Reads MessagePack, which is how Flyte writes dataclasses into binary literals. */

const TEXT = new TextDecoder();

/** The decoded value, or undefined when the bytes are no MessagePack that we understand. */
export function decodeMsgpack(bytes: Uint8Array): { value: unknown } | undefined {
  const reader = new Reader(bytes);
  try {
    const value = reader.read();
    return reader.atEnd ? { value } : undefined;
  } catch {
    // Cut short, or an extension type: the caller shows the number of bytes instead.
    return undefined;
  }
}

class Reader {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.at === this.bytes.length;
  }

  read(): unknown {
    const code = this.unsigned(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this.record(code & 0x0f);
    if (code < 0xa0) return this.list(code & 0x0f);
    if (code < 0xc0) return this.text(code & 0x1f);
    if (code >= 0xe0) return code - 0x100;
    return this.wide(code);
  }

  private wide(code: number): unknown {
    switch (code) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return code === 0xc3;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.take(this.unsigned(1 << (code - 0xc4)));
      case 0xca:
        return this.view.getFloat32(this.skip(4));
      case 0xcb:
        return this.view.getFloat64(this.skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.unsigned(1 << (code - 0xcc));
      case 0xcf:
        return narrow(this.view.getBigUint64(this.skip(8)));
      case 0xd0:
        return this.view.getInt8(this.skip(1));
      case 0xd1:
        return this.view.getInt16(this.skip(2));
      case 0xd2:
        return this.view.getInt32(this.skip(4));
      case 0xd3:
        return narrow(this.view.getBigInt64(this.skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(this.unsigned(1 << (code - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.list(this.unsigned(code === 0xdc ? 2 : 4));
      case 0xde:
      case 0xdf:
        return this.record(this.unsigned(code === 0xde ? 2 : 4));
      default:
        throw new RangeError(
          `MessagePack code ${code} at byte ${this.at - 1} is not supported`
        );
    }
  }

  private record(size: number): Record<string, unknown> {
    const entries: [string, unknown][] = [];
    for (let index = 0; index < size; index++) {
      entries.push([String(this.read()), this.read()]);
    }
    return Object.fromEntries(entries);
  }

  private list(size: number): unknown[] {
    const items: unknown[] = [];
    for (let index = 0; index < size; index++) {
      items.push(this.read());
    }
    return items;
  }

  private text(size: number): string {
    return TEXT.decode(this.take(size));
  }

  private take(size: number): Uint8Array {
    const start = this.skip(size);
    return this.bytes.subarray(start, start + size);
  }

  private unsigned(size: number): number {
    const start = this.skip(size);
    let value = 0;
    for (let index = start; index < start + size; index++) {
      value = value * 256 + this.view.getUint8(index);
    }
    return value;
  }

  private skip(size: number): number {
    const start = this.at;
    if (start + size > this.bytes.length) {
      throw new RangeError(
        `MessagePack ends at byte ${this.bytes.length}, inside a value`
      );
    }
    this.at += size;
    return start;
  }
}

/** A number where that is exact, else the big integer itself. */
function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
