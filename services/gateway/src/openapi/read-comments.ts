import { fromBinary } from "@bufbuild/protobuf";
import { type DescriptorProto, type FileDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

// Field numbers in descriptor.proto, of which the paths of source locations consist.
const fileMessage = 4;
const fileEnum = 5;
const fileService = 6;
const messageField = 2;
const messageNested = 3;
const enumValue = 2;
const serviceMethod = 2;

/** The leading comments of an image made by `buf build`, by full name, for the files that `isWanted` chooses. */
export function readComments(image: Uint8Array, isWanted: (file: string) => boolean): Record<string, string> {
  const comments = new Map<string, string>();
  for (const file of fromBinary(FileDescriptorSetSchema, image).file) {
    if (!isWanted(file.name)) continue;
    const names = namesByPath(file);
    for (const { path, leadingComments } of file.sourceCodeInfo?.location ?? []) {
      const name = names.get(path.join("."));
      const text = leadingComments.replaceAll(/\s+/g, " ").trim();
      if (name !== undefined && text !== "") comments.set(name, text);
    }
  }
  return Object.fromEntries([...comments].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function namesByPath(file: FileDescriptorProto): Map<string, string> {
  const names = new Map<string, string>();
  const addMessage = (message: DescriptorProto, path: string, scope: string): void => {
    const name = `${scope}.${message.name}`;
    names.set(path, name);
    for (const [at, field] of message.field.entries()) names.set(`${path}.${messageField}.${at}`, `${name}.${field.name}`);
    for (const [at, nested] of message.nestedType.entries()) addMessage(nested, `${path}.${messageNested}.${at}`, name);
  };
  for (const [at, message] of file.messageType.entries()) addMessage(message, `${fileMessage}.${at}`, file.package);
  for (const [at, { name, value }] of file.enumType.entries()) {
    names.set(`${fileEnum}.${at}`, `${file.package}.${name}`);
    for (const [index, one] of value.entries())
      names.set(`${fileEnum}.${at}.${enumValue}.${index}`, `${file.package}.${name}.${one.name}`);
  }
  for (const [at, { name, method }] of file.service.entries()) {
    names.set(`${fileService}.${at}`, `${file.package}.${name}`);
    for (const [index, one] of method.entries())
      names.set(`${fileService}.${at}.${serviceMethod}.${index}`, `${file.package}.${name}.${one.name}`);
  }
  return names;
}
