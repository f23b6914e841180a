/** Something wrong with a value of `with`. Its texts never hold the value itself, which may be a secret. */
export class RequestFault extends Error {
  override readonly name = "RequestFault";
  /** JSON pointer relative to `with`. */
  readonly pointer: string;
  readonly mend: string;

  constructor(pointer: string, message: string, mend: string) {
    super(message);
    this.pointer = pointer;
    this.mend = mend;
  }
}
