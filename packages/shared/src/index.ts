export { readInternalToken } from "./config/internal-token.ts";
export { isLoopbackHost, requireOffLoopback } from "./config/off-loopback.ts";
export { type ApiKeySetting, type Env, readEnv, type Vars } from "./config/read-env.ts";
export { type ServiceName, type Setting, type SettingName, type SettingOf, settings } from "./config/settings.ts";
export { settingsPage } from "./config/settings-page.ts";
export { oneIdempotencyKey, readIdempotencyKey } from "./intake/idempotency-key.ts";
export { errorOfRefusal } from "./intake/refusal.ts";
export { inputText, requestHash, type SubmitFacts, submitItem } from "./intake/submit-item.ts";
export { taskIds } from "./intake/task-id.ts";
export { type ExpirySweep, type ExpirySweepDeps, expirySweep } from "./lifecycle/expiry-sweep.ts";
export { mainOf, type ProcessLike, type Running } from "./lifecycle/main-of.ts";
export { type Part, part } from "./lifecycle/part.ts";
export { type Readiness, readiness } from "./lifecycle/readiness.ts";
export { aborted, type RunOptions, runParts } from "./lifecycle/run-parts.ts";
export { checkJsonDepth } from "./limits/json-depth.ts";
export { type LogFields, type Logger, silentLogger } from "./log/logger.ts";
export { type LogLevel, pinoLogger } from "./log/pino-logger.ts";
export { redactFields, redactText } from "./log/redact.ts";
export { enumNames } from "./native-json/enum-names.ts";
export { fromNativeJson } from "./native-json/from-native-json.ts";
export { suggest } from "./native-json/suggest.ts";
export { durationText, parseDuration, parseTimestamp, timestampText } from "./native-json/time.ts";
export { toNativeJson } from "./native-json/to-native-json.ts";
export { maxJsonDepth, valueFromJson, valueToJson } from "./native-json/value.ts";
export { type AddressVerdict, addressGuard } from "./outbound/address-guard.ts";
export { type GuardedOutbound, type GuardedOutboundOptions, guardedOutbound } from "./outbound/guarded-outbound.ts";
export { type ResumeFacts, type ResumeKeys, resumeKeys, resumeToken, resumeUrl } from "./resume/resume-token.ts";
export { fromConnectError, isConnectionFault, toConnectError } from "./rpc/connect-error.ts";
export { type DirectOptions, directClient } from "./rpc/direct-client.ts";
export { connectCodes, httpStatuses } from "./rpc/error-codes.ts";
export { serveHealth } from "./rpc/health.ts";
export {
  addInternalToken,
  answerErrors,
  endStreamsWhen,
  logCalls,
  requireInternalToken,
  sameSecret,
} from "./rpc/interceptors.ts";
export { newMessage, newTimestamp } from "./rpc/message-codec.ts";
export { checkMessageSize } from "./rpc/message-size.ts";
export { internalTokenHeader, onwardCall, projectHeader, projectOf } from "./rpc/metadata.ts";
export { type OnePort, type OnePortOptions, onePort } from "./rpc/one-port.ts";
export { serveReflection } from "./rpc/reflection.ts";
export {
  type AnyHandler,
  type AnyRequest,
  type AnyResponse,
  type RpcHandler,
  type RpcHandlerOptions,
  rpcHandler,
} from "./rpc/rpc-handler.ts";
export { http2Limits, type ServeRpcOptions, serveRpc } from "./rpc/serve-rpc.ts";
export { serviceClient } from "./rpc/service-client.ts";
export { type ServiceTransport, type ServiceTransportOptions, serviceTransport } from "./rpc/service-transport.ts";
export { failureMessage, failureOf, tooLarge } from "./run-wire/failure.ts";
export { nodeStateName, nodeStateNumber } from "./run-wire/node-state.ts";
export { suspensionMessage, suspensionOf, waitingMessage, waitingOf } from "./run-wire/node-wait.ts";
export { spendMessage, spentOf, usageMessage, usageOf } from "./run-wire/spend.ts";
export { type SecretBox, secretBox } from "./secret-box/secret-box.ts";
