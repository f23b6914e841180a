import { fileURLToPath } from "node:url";
import {
  type ChannelCredentials,
  credentials,
  loadPackageDefinition,
  type Metadata,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where `.proto` files are looked for: ours, and those of google.api. */
export const protoFolders = [`${root}proto`, `${root}node_modules/protobufjs`] as const;

const options = { keepCase: false, longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: [...protoFolders] };

/** The services of some `.proto` files, as `@grpc/grpc-js` builds them from text, with nothing of ours in between. */
export function constructorOf(file: string, name: string): ServiceClientConstructor {
  let at: unknown = loadPackageDefinition(loadSync(file, options));
  for (const part of name.split(".")) at = typeof at === "object" && at !== null ? Reflect.get(at, part) : undefined;
  if (!isConstructor(at)) throw new Error(`${file} has no service ${name}`);
  return at;
}

function isConstructor(value: unknown): value is ServiceClientConstructor {
  return typeof value === "function" && "service" in value;
}

export interface GrpcClient {
  /** Calls a unary method; rejects with a ServiceError. */
  call(method: string, request: object, metadata?: Metadata): Promise<Record<string, unknown>>;
  /** Reads a stream to its end. */
  stream(method: string, request: object): Promise<Record<string, unknown>[]>;
  /** A stream both ways: sends the requests, and reads as many answers. */
  exchange(method: string, requests: readonly object[]): Promise<Record<string, unknown>[]>;
  readonly methods: readonly string[];
  readonly service: ServiceClientConstructor["service"];
  close(): void;
}

export function grpcClient(
  file: string,
  name: string,
  address: string,
  channel: ChannelCredentials = credentials.createInsecure(),
): GrpcClient {
  const Service = constructorOf(file, name);
  const client = new Service(address, channel);
  const methodOf = (method: string): ((...args: unknown[]) => unknown) => {
    const found: unknown = Reflect.get(client, method);
    if (typeof found !== "function") throw new Error(`${name} has no method ${method}`);
    return found.bind(client);
  };
  const collect = (stream: NodeJS.ReadableStream, count = Number.POSITIVE_INFINITY): Promise<Record<string, unknown>[]> =>
    new Promise((resolve, reject) => {
      const got: Record<string, unknown>[] = [];
      stream.on("data", (one: unknown) => {
        got.push(one as Record<string, unknown>);
        if (got.length === count) resolve(got);
      });
      stream.on("error", reject);
      stream.on("end", () => resolve(got));
    });
  return {
    methods: Object.keys(Service.service),
    service: Service.service,
    call: (method, request, metadata) =>
      new Promise((resolve, reject) => {
        const done = (error: Error | null, answer: Record<string, unknown>): void => (error ? reject(error) : resolve(answer));
        if (metadata === undefined) methodOf(method)(request, done);
        else methodOf(method)(request, metadata, done);
      }),
    stream: (method, request) => collect(methodOf(method)(request) as NodeJS.ReadableStream),
    async exchange(method, requests) {
      const stream = methodOf(method)() as NodeJS.ReadWriteStream & { write(one: object): boolean };
      const got = collect(stream, requests.length);
      for (const request of requests) stream.write(request);
      const answers = await got;
      stream.end();
      return answers;
    },
    close: () => client.close(),
  };
}
