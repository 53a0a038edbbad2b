// Runs a Node.js handler: takes invocations from the Lambda Runtime API and answers them as AWS's own client does.
// CommonJS and a bare socket, because both are quicker to load than their alternatives and this is every cold start.
"use strict";

const fs = require("fs");
const net = require("net");
const path = require("path");
const util = require("util");

const TASK_ROOT = process.env.LAMBDA_TASK_ROOT;
const OPT_ROOT = process.env.STEPWELL_OPT_ROOT || "";
const API = "/2018-06-01/runtime";
// A line that ends with this goes on in the next one: one log event of several lines.
const CONTINUED = "\x1e\n";
delete process.env.STEPWELL_OPT_ROOT;

// --- the Runtime API ------------------------------------------------------------------------------------------------

/** One keep-alive HTTP/1.1 connection to the server that started us, which always sends Content-Length. */
class RuntimeApi {
  constructor(address) {
    const at = address.lastIndexOf(":");
    this.address = address;
    this.waiting = null;
    this.parts = [];
    this.received = 0;
    this.expected = 0;
    this.head = null;
    this.socket = net.connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), noDelay: true });
    this.socket.on("data", (chunk) => this.take(chunk));
    // The server is gone: there is nobody left to work for.
    this.socket.on("close", () => process.exit(0));
    this.socket.on("error", () => process.exit(0));
    this.idle();
  }

  /** While no request is under way the socket must not keep the event loop alive. */
  idle() {
    this.socket.unref();
  }

  next() {
    return this.exchange(`GET ${API}/invocation/next HTTP/1.1\r\nHost: ${this.address}\r\n\r\n`, null);
  }

  post(target, content, errorType) {
    const body = Buffer.isBuffer(content) ? content : Buffer.from(content, "utf8");
    const kind = errorType ? `Lambda-Runtime-Function-Error-Type: ${headerSafe(errorType)}\r\n` : "";
    const head =
      `POST ${API}${target} HTTP/1.1\r\nHost: ${this.address}\r\nContent-Type: application/json\r\n` +
      `${kind}Content-Length: ${body.length}\r\n\r\n`;
    return this.exchange(head, body);
  }

  exchange(head, body) {
    return new Promise((resolve) => {
      this.waiting = resolve;
      this.socket.ref();
      if (body === null || body.length === 0) {
        this.socket.write(head);
      } else {
        this.socket.write(Buffer.concat([Buffer.from(head, "latin1"), body]));
      }
    });
  }

  take(chunk) {
    this.parts.push(chunk);
    this.received += chunk.length;
    if (this.head === null) {
      const all = this.parts.length === 1 ? chunk : Buffer.concat(this.parts);
      const end = all.indexOf("\r\n\r\n");
      if (end < 0) {
        this.parts = [all];
        return;
      }
      const lines = all.toString("utf8", 0, end).split("\r\n");
      const headers = Object.create(null);
      for (let i = 1; i < lines.length; i++) {
        const colon = lines[i].indexOf(":");
        headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
      }
      this.head = { status: Number(lines[0].split(" ")[1]), headers };
      this.expected = Number(headers["content-length"] || 0);
      this.parts = [all.subarray(end + 4)];
      this.received = all.length - end - 4;
    }
    if (this.received < this.expected) return;
    const body = (this.parts.length === 1 ? this.parts[0] : Buffer.concat(this.parts)).subarray(0, this.expected);
    const answer = { status: this.head.status, headers: this.head.headers, body };
    const resolve = this.waiting;
    this.head = null;
    this.parts = [];
    this.received = 0;
    this.waiting = null;
    this.idle();
    resolve(answer);
  }
}

function headerSafe(text) {
  return String(text).replace(/[^\x20-\x7e]/g, "?");
}

// --- errors ---------------------------------------------------------------------------------------------------------

class RuntimeFault extends Error {
  constructor(name, message) {
    super(message);
    this.name = `Runtime.${name}`;
  }
}

/** Paths as they would be on Lambda: the package is at /var/task, layers are at /opt. */
function shown(text) {
  let result = String(text).split(TASK_ROOT).join("/var/task").split(__dirname).join("/var/runtime");
  if (OPT_ROOT) result = result.split(OPT_ROOT).join("/opt");
  return result;
}

function isError(value) {
  return (
    util.types.isNativeError(value) ||
    (value && typeof value.name === "string" && typeof value.message === "string" && typeof value.stack === "string")
  );
}

function toResponse(error) {
  try {
    if (isError(error)) {
      return { errorType: error.name, errorMessage: error.message, trace: shown(error.stack).split("\n") };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch (_) {
    const errorMessage =
      "callback called with Error argument, but there was a problem while retrieving one or more of its message, " +
      "name, and stack";
    return { errorType: "handled", errorMessage };
  }
}

function formatted(error) {
  const asError = error instanceof Error ? error : new Error(error);
  const withHidden = (_, value) => {
    if (!(value instanceof Error)) return value;
    const entry = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    if (typeof value.stack === "string") entry.stack = shown(value.stack).split("\n");
    return entry;
  };
  try {
    return "\t" + JSON.stringify(asError, withHidden);
  } catch (_) {
    return "\t" + JSON.stringify(toResponse(asError));
  }
}

// --- logging --------------------------------------------------------------------------------------------------------

let requestId;
const LOG_AS_JSON = (process.env.AWS_LAMBDA_LOG_FORMAT || "").toUpperCase() === "JSON";
const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

function writeLog(level, args) {
  const time = new Date().toISOString();
  let line;
  if (LOG_AS_JSON) {
    line = jsonLine(time, level, args);
  } else {
    line = `${time}\t${requestId}\t${level}\t${util.format(...args)}`;
  }
  process.stdout.write(line.replace(/\n/g, CONTINUED) + "\n");
}

function jsonLine(timestamp, level, args) {
  const entry = { timestamp, level, requestId };
  const replacer = (_, value) =>
    value instanceof Error
      ? {
          errorType: value.constructor.name,
          errorMessage: value.message,
          stackTrace: typeof value.stack === "string" ? shown(value.stack).split("\n") : value.stack,
          ...value,
        }
      : value;
  if (args.length === 1) {
    try {
      return JSON.stringify({ ...entry, message: args[0] }, replacer);
    } catch (_) {
      return JSON.stringify({ ...entry, message: util.format(args[0]) });
    }
  }
  entry.message = util.format(...args);
  const error = args.find((a) => a instanceof Error);
  if (error) {
    entry.errorType = error.constructor.name;
    entry.errorMessage = error.message;
    entry.stackTrace = typeof error.stack === "string" ? shown(error.stack).split("\n") : [];
  }
  return JSON.stringify(entry);
}

function patchConsole() {
  const least = Math.max(LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || "").toUpperCase()), 0);
  for (const [method, level] of [
    ["trace", "TRACE"], ["debug", "DEBUG"], ["info", "INFO"], ["log", "INFO"], ["warn", "WARN"], ["error", "ERROR"],
    ["fatal", "FATAL"],
  ]) {
    console[method] = LEVELS.indexOf(level) >= least ? (...args) => writeLog(level, args) : () => {};
  }
}

function logError(what, error) {
  if (LOG_AS_JSON) {
    console.error(error instanceof Error ? error : new Error(error));
  } else {
    console.error(what, formatted(error));
  }
}

// --- the handler ----------------------------------------------------------------------------------------------------

const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");

function isModuleScope(folder) {
  for (;;) {
    if (folder.endsWith("/node_modules")) return false;
    const file = path.join(folder, "package.json");
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, "utf8")).type === "module";
      } catch (_) {
        return false;
      }
    }
    const parent = path.dirname(folder);
    if (parent === folder) return false;
    folder = parent;
  }
}

async function loadModule(root, name) {
  const file = path.resolve(TASK_ROOT, root, name);
  const required = (end) => (fs.existsSync(file + end) ? { app: require(file + end) } : undefined);
  const imported = async (end) => (fs.existsSync(file + end) ? { app: await import(file + end) } : undefined);
  const esm = isModuleScope(path.dirname(file));
  if (fs.existsSync(file) && fs.statSync(file).isFile()) return require(file);
  const found =
    (esm ? await imported(".js") : required(".js")) || (await imported(".mjs")) || required(".cjs");
  if (found) return found.app;
  return require(require.resolve(name, { paths: [TASK_ROOT, path.resolve(TASK_ROOT, root)] }));
}

async function loadHandler(full) {
  if (full.includes("..")) {
    const why = "is not a valid handler name. Use absolute paths when specifying root directories in handler names.";
    throw new RuntimeFault("MalformedHandlerName", `'${full}' ${why}`);
  }
  const last = path.basename(full);
  const root = full.slice(0, full.indexOf(last));
  const match = /^([^.]*)\.(.*)$/.exec(last);
  if (!match) throw new RuntimeFault("MalformedHandlerName", "Bad handler");
  let app;
  try {
    app = await loadModule(root, match[1]);
  } catch (error) {
    if (error instanceof SyntaxError) throw wrapped("UserCodeSyntaxError", error);
    if (error && error.code === "MODULE_NOT_FOUND") throw wrapped("ImportModuleError", error);
    throw error;
  }
  const pick = (from) => match[2].split(".").reduce((value, key) => value && value[key], from);
  // A bundler's CommonJS output that is imported has its exports under `default`.
  const handler = pick(app) || (app && app.default && pick(app.default));
  if (!handler) throw new RuntimeFault("HandlerNotFound", `${full} is undefined or not exported`);
  if (typeof handler !== "function") throw new RuntimeFault("HandlerNotFound", `${full} is not a function`);
  return handler;
}

function wrapped(name, error) {
  const fault = new RuntimeFault(name, shown(error));
  if (name === "UserCodeSyntaxError") fault.stack = `Runtime.${name}: ${shown(error.stack)}`;
  return fault;
}

// --- invocations ----------------------------------------------------------------------------------------------------

const api = new RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API);
let onDrained = null;

/** What one invocation may still do: answer once, then ask for the next. */
class Answer {
  constructor(id) {
    this.id = id;
    this.done = false;
  }

  async succeed(result) {
    if (this.done) return;
    this.done = true;
    onDrained = null;
    let text;
    try {
      text = JSON.stringify(result === undefined ? null : result);
      if (text === undefined) text = "null";
    } catch (_) {
      this.done = false;
      return this.fail(new Error("Unable to stringify response body"));
    }
    const { status } = await api.post(`/invocation/${this.id}/response`, text);
    if (status === 413) {
      console.error("LAMBDA_RUNTIME Failed to post handler success response. Http response code: 413.");
    }
    serveNext();
  }

  async fail(error) {
    if (this.done) return;
    this.done = true;
    onDrained = null;
    if (error === undefined || error === null) error = "handled";
    logError("Invoke Error", error);
    const response = toResponse(error);
    await api.post(`/invocation/${this.id}/error`, JSON.stringify(response), response.errorType);
    serveNext();
  }
}

let answer = null;
let handler = null;

function parseHeader(headers, name, what) {
  const text = headers[name];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${what} as json: ${error}`);
  }
}

function contextOf(headers, current) {
  let waits = true;
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    get callbackWaitsForEmptyEventLoop() {
      return waits;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waits = value;
    },
    succeed: (result) => void current.succeed(result),
    fail: (error) => void current.fail(error),
    done: (error, result) =>
      void (error !== undefined && error !== null ? current.fail(error) : current.succeed(result)),
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseHeader(headers, "lambda-runtime-client-context", "ClientContext"),
    identity: parseHeader(headers, "lambda-runtime-cognito-identity", "CognitoIdentity"),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

function serveNext() {
  setImmediate(async () => {
    const { status, headers, body } = await api.next();
    if (status !== 200) process.exit(0);
    requestId = headers["lambda-runtime-aws-request-id"];
    const trace = headers["lambda-runtime-trace-id"];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    const current = (answer = new Answer(requestId));
    // Where the event loop runs dry before an answer: an async handler has failed, any other has returned nothing.
    onDrained = () => void (isAsync(handler) ? current.fail(neverSettled()) : current.succeed(null));
    try {
      invoke(JSON.parse(body.toString("utf8")), contextOf(headers, current), current);
    } catch (error) {
      current.fail(error);
    }
  });
}

function invoke(event, context, current) {
  if (handler[STREAMING]) {
    invokeStreaming(event, context, current);
    return;
  }
  const callback = (error, result) => {
    if (current.done || current.calledBack) return;
    current.calledBack = true;
    if (error !== undefined && error !== null) current.fail(error);
    else if (!context.callbackWaitsForEmptyEventLoop) current.succeed(result);
    else onDrained = () => void current.succeed(result);
  };
  const result = handler(event, context, callback);
  if (result && typeof result.then === "function") {
    result.then((value) => current.succeed(value), (error) => current.fail(error));
  }
}

/** A streaming handler's stream, gathered: callers of Invoke get it whole. */
function invokeStreaming(event, context, current) {
  const { Writable } = require("stream");
  const parts = [];
  const stream = new Writable({
    write(chunk, encoding, done) {
      parts.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, encoding));
      done();
    },
  });
  stream.setContentType = () => {};
  const finished = new Promise((resolve, reject) => stream.on("finish", resolve).on("error", reject));
  Promise.resolve(handler(event, stream, context))
    .then(() => finished)
    .then(async () => {
      current.done = true;
      onDrained = null;
      await api.post(`/invocation/${current.id}/response`, Buffer.concat(parts));
      serveNext();
    })
    .catch((error) => current.fail(error));
}

function isAsync(f) {
  return f.constructor && f.constructor.name === "AsyncFunction";
}

function neverSettled() {
  return new RuntimeFault(
    "NodejsExit",
    "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise " +
      "that was never settled. For more information, see " +
      "https://nodejs.org/docs/latest/api/process.html#exit-codes",
  );
}

process.on("beforeExit", () => {
  const drained = onDrained;
  onDrained = null;
  if (drained) drained();
});

/** An error nobody caught ends the process, after the invocation under way (or the start) has been told of it. */
async function die(what, error, code) {
  logError(what, error);
  const response = toResponse(error);
  const target = answer && !answer.done ? `/invocation/${answer.id}/error` : answer ? null : "/init/error";
  if (target && !api.waiting) {
    await api.post(target, JSON.stringify(response), response.errorType);
  }
  process.exit(code);
}

process.on("uncaughtException", (error) => void die("Uncaught Exception", error, 129));
process.on("unhandledRejection", (reason) => {
  const error = new RuntimeFault("UnhandledPromiseRejection", String(reason));
  error.reason = reason;
  void die("Unhandled Promise Rejection", error, 128);
});

(async () => {
  patchConsole();
  globalThis.awslambda = {
    streamifyResponse: (f) => Object.assign(f, { [STREAMING]: "response" }),
    HttpResponseStream: { from: (stream) => stream },
  };
  const keepAlive = setInterval(() => {}, 1 << 30);
  try {
    handler = await loadHandler(process.env._HANDLER);
  } catch (error) {
    clearInterval(keepAlive);
    await die("Uncaught Exception", error, 129);
    return;
  }
  clearInterval(keepAlive);
  serveNext();
})();
