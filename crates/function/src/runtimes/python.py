"""Runs a Python handler: takes invocations from the Lambda Runtime API and answers them as AWS's own client does.

Started as `python3 -S bootstrap.py <import path>`; everything else comes from the environment. Kept small, with
few imports: all of it is part of every cold start.
"""
import _socket
import importlib
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TASK_ROOT = os.environ["LAMBDA_TASK_ROOT"]
OPT_ROOT = os.environ.pop("STEPWELL_OPT_ROOT", "")
API = "/2018-06-01/runtime"
# A line that ends with this goes on in the next one: one log event of several lines.
CONTINUED = "\x1e\n"
NO_BREAK_SPACE = "\u00a0"
RECEIVE_BYTES = 1 << 18


class Fault(Exception):
    """An error of the runtime's own making, such as a handler that cannot be found."""

    def __init__(self, type_, message, trace=None):
        super().__init__(message)
        self.type = type_
        self.message = message
        self.trace = trace or []


class RuntimeApi:
    """One keep-alive HTTP/1.1 connection to the server that started us, which always sends Content-Length."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.host = address
        self.buffer = b""
        self.socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.next_request = ("GET %s/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n" % (API, address)).encode()

    def next(self):
        return self.exchange(self.next_request)

    def post(self, path, body, content_type="application/json", error_type=None):
        kind = "Lambda-Runtime-Function-Error-Type: %s\r\n" % error_type if error_type else ""
        head = "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n" % (
            API, path, self.host, content_type, kind, len(body))
        status, _, _ = self.exchange(head.encode("latin-1", "replace") + body)
        return status

    def exchange(self, request):
        view = memoryview(request)
        while view:
            view = view[self.socket.send(view):]
        buffer = self.buffer
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end >= 0:
                break
            buffer += self.receive()
        lines = buffer[:end].decode("utf-8", "replace").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        body = buffer[end + 4:]
        if len(body) < length:
            parts, missing = [body], length - len(body)
            while missing > 0:
                part = self.receive()
                parts.append(part)
                missing -= len(part)
            body = b"".join(parts)
        self.buffer = body[length:]
        return int(lines[0].split(" ", 2)[1]), headers, body[:length]

    def receive(self):
        part = self.socket.recv(RECEIVE_BYTES)
        if not part:
            # The server is gone: there is nobody left to work for.
            os._exit(0)
        return part


class CognitoIdentity:
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]


class Client:
    __slots__ = ["installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"]


class ClientContext:
    __slots__ = ["custom", "env", "client"]


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, headers):
        get = headers.get
        self.aws_request_id = get("lambda-runtime-aws-request-id")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = get("lambda-runtime-invoked-function-arn")
        self.tenant_id = get("lambda-runtime-aws-tenant-id")
        self.client_context = read_client_context(get("lambda-runtime-client-context"))
        self.identity = CognitoIdentity()
        self.identity.cognito_identity_id = None
        self.identity.cognito_identity_pool_id = None
        self._epoch_deadline_time_in_ms = int(get("lambda-runtime-deadline-ms") or 0)

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, msg):
        sys.stdout.write(str(msg))

    def __repr__(self):
        return "LambdaContext([%s])" % ",".join("%s=%s" % i for i in vars(self).items() if not i[0].startswith("_"))


def read_client_context(text):
    if not text:
        return None
    try:
        given = json.loads(text)
    except ValueError as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse Client Context JSON: %s" % error)
    context = ClientContext()
    given = given if isinstance(given, dict) else {}
    context.custom, context.env, context.client = given.get("custom"), given.get("env"), None
    client = given.get("client")
    if isinstance(client, dict):
        context.client = Client()
        for name in Client.__slots__:
            setattr(context.client, name, client.get(name))
    return context


# --- results -------------------------------------------------------------------------------------------------------

ASCII_ONLY = os.environ.get("AWS_EXECUTION_ENV", "").rsplit(".", 1)[-1] in ("8", "9", "10", "11")


class Numbers:
    """Writes decimals as JSON numbers, digit for digit, by way of a text that nothing else can be."""

    def __init__(self):
        self.mark = os.urandom(8).hex()
        self.seen = False

    def default(self, value):
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8")
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            self.seen = True
            return "%s%s%s" % (self.mark, value, self.mark)
        raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)

    def encode(self, value):
        text = json.dumps(value, default=self.default, ensure_ascii=ASCII_ONLY)
        if self.seen:
            text = text.replace('"' + self.mark, "").replace(self.mark + '"', "")
        return text.encode("utf-8")


def marshal(result):
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return Numbers().encode(result), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)


def unmarshal(body):
    try:
        return json.loads(body)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)


# --- errors --------------------------------------------------------------------------------------------------------

def shown(path):
    """A path as it would be on Lambda: the package is at /var/task, layers are at /opt."""
    for root, name in ((TASK_ROOT, "/var/task"), (OPT_ROOT, "/opt")):
        if root and root in path:
            path = path.replace(root, name)
    return path


def trace_of(error):
    """The frames from the handler on, as AWS lists them."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    for i, frame in enumerate(frames):
        if not frame.filename.startswith(HERE):
            frames = frames[i:]
            break
    trace = []
    for frame in frames:
        line = "    %s\n" % frame.line if frame.line else ""
        trace.append('  File "%s", line %s, in %s\n%s' % (shown(frame.filename), frame.lineno, frame.name, line))
    return trace


def describe(error, request_id):
    if isinstance(error, Fault):
        message, type_, trace = error.message, error.type, error.trace
    else:
        try:
            message = str(error)
        except Exception:
            message = ""
        type_, trace = type(error).__name__, trace_of(error)
    return {"errorMessage": message, "errorType": type_, "requestId": request_id, "stackTrace": trace}


def log_error(result):
    if LOG_AS_JSON:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        sys.stdout.write(json.dumps(dict({"timestamp": stamp, "level": "ERROR"}, **result), ensure_ascii=False) + "\n")
        return
    line = "[ERROR]"
    if result["errorType"]:
        line += " " + result["errorType"] + (":" if result["errorMessage"] else "")
    if result["errorMessage"]:
        line += " " + result["errorMessage"]
    lines = line.splitlines() + ["Traceback (most recent call last):"]
    for element in result["stackTrace"]:
        for text in element.splitlines():
            bare = text.lstrip(" ")
            lines.append(NO_BREAK_SPACE * (len(text) - len(bare)) + bare)
    sys.stdout.write(CONTINUED.join(lines) + "\n")


# --- logging -------------------------------------------------------------------------------------------------------

LOG_AS_JSON = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
request_id = ""


def set_up_logging():
    import logging

    ours = vars(logging.makeLogRecord({})).keys() | {"aws_request_id", "message", "asctime"}

    class Handler(logging.Handler):
        def emit(self, record):
            try:
                sys.stdout.write(self.format(record).replace("\n", CONTINUED) + "\n")
            except Exception:
                self.handleError(record)

    class Filter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = request_id
            return True

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            entry = {"timestamp": "%s.%03dZ" % (stamp, record.msecs), "level": record.levelname,
                     "message": record.getMessage(), "logger": record.name}
            if record.exc_info and record.exc_info[0]:
                entry["stackTrace"] = trace_of(record.exc_info[1])
                entry["errorType"] = record.exc_info[0].__name__
                entry["errorMessage"] = str(record.exc_info[1])
                entry["location"] = "%s:%s:%s" % (shown(record.pathname), record.funcName, record.lineno)
            entry["requestId"] = record.aws_request_id
            entry.update((k, v) for k, v in vars(record).items() if k not in ours and k not in entry)
            return json.dumps(entry, ensure_ascii=False, default=str)

    handler = Handler()
    if LOG_AS_JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(Filter())
    logging.Formatter.converter = time.gmtime
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL", "WARN": "WARNING"}.get(level, level)
    if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


# --- the handler ---------------------------------------------------------------------------------------------------

def load_handler(name):
    module_name, dot, function = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName",
                    "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict",
                    "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError",
                    "Unable to import module '%s': %s" % (module_name, shown(str(error))))
    except SyntaxError as error:
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, error),
                    ['  File "%s" Line %s\n    %s' % (shown(error.filename or ""), error.lineno, error.text)])
    try:
        return getattr(module, function)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module_name))


def set_up_paths(installed):
    minor = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python")[2]
    path = [TASK_ROOT]
    if OPT_ROOT:
        path += [OPT_ROOT + "/python/lib/python%s/site-packages" % minor, OPT_ROOT + "/python"]
    path += [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    path += [p for p in installed if p]
    path += [p for p in sys.path if p != HERE]
    sys.path[:] = list(dict.fromkeys(path))
    sys.argv[:] = [""]
    sys.path_importer_cache.clear()
    # The interpreter starts without `site`, whose start-up costs more than all of this; code counts on exit().
    import site
    site.setquit()


def serve_one(api, handler):
    global request_id
    status, headers, body = api.next()
    if status != 200:
        os._exit(0)
    request_id = headers.get("lambda-runtime-aws-request-id", "")
    trace_id = headers.get("lambda-runtime-trace-id")
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    failed = None
    try:
        context = LambdaContext(headers)
        result, content_type = marshal(handler(unmarshal(body), context))
    except Exception as error:
        failed = describe(error, request_id)
    if failed is None:
        sys.stdout.flush()
        sys.stderr.flush()
        status = api.post("/invocation/%s/response" % request_id, result, content_type)
        if status == 413:
            print("[ERROR] LAMBDA_RUNTIME Failed to post handler success response. Http response code: 413.")
        return
    log_error(failed)
    sys.stdout.flush()
    sys.stderr.flush()
    body = json.dumps(failed, ensure_ascii=ASCII_ONLY).encode("utf-8", "replace")
    api.post("/invocation/%s/error" % request_id, body, error_type=failed["errorType"])


def main():
    set_up_paths(sys.argv[1].split(os.pathsep) if len(sys.argv) > 1 else [])
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        set_up_logging()
        handler = load_handler(os.environ["_HANDLER"])
    except Exception as error:
        failed = describe(error, "")
        log_error(failed)
        sys.stdout.flush()
        api.post("/init/error", json.dumps(failed).encode(), error_type=failed["errorType"])
        sys.exit(1)
    while True:
        serve_one(api, handler)
