import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { ServerReflection, type ServerReflectionRequest } from "@longhaul/proto/grpc/reflection/v1/reflection_pb";
import { ServerReflection as ServerReflectionAlpha } from "@longhaul/proto/grpc/reflection/v1alpha/reflection_pb";

/** Serves gRPC server reflection, v1 and v1alpha (which most tools still ask for), from the descriptors of the generated code. */
export function serveReflection(router: ConnectRouter, services: readonly DescService[]): void {
  const answer = answerer([...services, ServerReflection, ServerReflectionAlpha]);
  // Both versions have the same messages, field by field, under different names.
  router.service(ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request.messageRequest) };
      }
    },
  });
  router.service(ServerReflectionAlpha, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request.messageRequest) };
      }
    },
  });
}

type Question = Pick<ServerReflectionRequest, "messageRequest">["messageRequest"] | AlphaQuestion;
// The oneof of the v1alpha request differs only in the type name of one message.
type AlphaQuestion =
  | {
      readonly case: "fileContainingExtension";
      readonly value: { readonly containingType: string; readonly extensionNumber: number };
    }
  | { readonly case: undefined };

type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

function answerer(services: readonly DescService[]): (question: Question) => Answer {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();
  for (const service of services) addFile(service.file);

  function addFile(file: DescFile): void {
    const name = file.proto.name;
    if (files.has(name)) return;
    files.set(name, file);
    for (const message of file.messages) addMessage(message, file);
    for (const one of file.enums) {
      symbols.set(one.typeName, file);
      for (const value of one.values)
        symbols.set(`${one.typeName.slice(0, one.typeName.lastIndexOf(".") + 1)}${value.name}`, file);
    }
    for (const service of file.services) {
      symbols.set(service.typeName, file);
      for (const method of service.methods) symbols.set(`${service.typeName}.${method.name}`, file);
    }
    for (const extension of file.extensions) {
      symbols.set(extension.typeName, file);
      const of = extensions.get(extension.extendee.typeName) ?? new Map<number, DescFile>();
      extensions.set(extension.extendee.typeName, of.set(extension.number, file));
    }
    for (const dependency of file.dependencies) addFile(dependency);
  }

  function addMessage(message: DescFile["messages"][number], file: DescFile): void {
    symbols.set(message.typeName, file);
    for (const field of message.fields) symbols.set(`${message.typeName}.${field.name}`, file);
    for (const nested of message.nestedMessages) addMessage(nested, file);
    for (const nested of message.nestedEnums) symbols.set(nested.typeName, file);
  }

  const encoded = new Map<DescFile, Uint8Array>();
  function withImports(file: DescFile | undefined, what: string): Answer {
    if (!file) return refuse(Code.NotFound, `${what} is not known here`);
    const all = new Set<DescFile>();
    const collect = (one: DescFile): void => {
      if (all.has(one)) return;
      all.add(one);
      one.dependencies.forEach(collect);
    };
    collect(file);
    const fileDescriptorProto = [...all].map((one) => {
      const bytes = encoded.get(one) ?? toBinary(FileDescriptorProtoSchema, one.proto);
      encoded.set(one, bytes);
      return bytes;
    });
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }

  return (question) => {
    switch (question.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: services.map(({ typeName }) => ({ name: typeName })) } };
      case "fileByFilename":
        return withImports(files.get(question.value), question.value);
      case "fileContainingSymbol":
        return withImports(symbols.get(question.value), question.value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        return withImports(
          extensions.get(containingType)?.get(extensionNumber),
          `extension ${extensionNumber} of ${containingType}`,
        );
      }
      case "allExtensionNumbersOfType": {
        if (!symbols.has(question.value)) return refuse(Code.NotFound, `${question.value} is not known here`);
        const numbers = [...(extensions.get(question.value)?.keys() ?? [])];
        return { case: "allExtensionNumbersResponse", value: { baseTypeName: question.value, extensionNumber: numbers } };
      }
      case undefined:
        return refuse(Code.InvalidArgument, "the request asks nothing");
    }
  };
}

function refuse(errorCode: number, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
