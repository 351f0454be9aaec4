// Logs where SignalR's upstream calls come from: a line of JSON for each, which `linkguard audit` reads.
//
// One file without dependencies, to be copied into an upstream written for Node, whether its modules are CommonJS or ES:
//
//   const forwardedFor = require("./forwarded-for.cjs");      // import forwardedFor from "./forwarded-for.cjs"
//   app.use(forwardedFor.middleware());                       // Express, Connect
//   http.createServer((req, res) => { forwardedFor.logRequest(req); ... })
//   app.hook.preInvocation(forwardedFor.hook());              // Azure Functions v4: HTTP and SignalR triggers
//
// A line holds the time, the method, the path and X-Forwarded-For, and nothing else: no query, no cookie, no user agent, no body.
// Only POSTs to the paths of SignalR's upstream templates are logged, so other callers' addresses never are. Logging that fails never
// fails a call.
"use strict";

// Where upstream templates lead to: paths, each with all that is below it. This is Azure Functions' own.
const UPSTREAM = ["/runtime/webhooks/signalr"];
// Characters of the header that are kept, from its right end: the right-most address is the one that the platform wrote.
const LONGEST = 1000;

// The line for one request; null where it is no upstream call. url: a path or a whole URL, with or without a query.
function line(method, url, forwardedFor, paths = UPSTREAM) {
  const path = /^[a-z]{1,8}:\/\//i.test(url) ? new URL(url).pathname : url.split(/[?#]/, 1)[0];
  const isUpstream = paths.map((one) => one.replace(/\/+$/, "")).some((one) => path === one || path.startsWith(`${one}/`));
  if (method.toUpperCase() !== "POST" || !isUpstream) return null;
  let kept = forwardedFor;
  if (kept.length > LONGEST) {
    const right = kept.slice(-LONGEST);
    kept = right.includes(",") ? right.slice(right.indexOf(",") + 1) : "";
  }
  return JSON.stringify({ time: new Date().toISOString(), method: method.toUpperCase(), path, x_forwarded_for: kept.trim() });
}

// A header of Node's own requests, of fetch's, and of a SignalR invocation.
function header(headers) {
  if (typeof headers?.get === "function") return headers.get("x-forwarded-for") ?? "";
  const values = Object.entries(headers ?? {}).filter(([name]) => name.toLowerCase() === "x-forwarded-for");
  return values.map(([, value]) => value).join(", ");
}

// Logs one request: Node's, Express's or fetch's.
function logRequest(request, { log = console.log, paths = UPSTREAM } = {}) {
  try {
    const found = line(request.method, request.originalUrl ?? request.url, header(request.headers), paths);
    if (found !== null) log(found);
  } catch {
    log("a request's X-Forwarded-For could not be logged");
  }
}

// Middleware for Express and Connect.
function middleware(options) {
  return (request, response, next) => {
    logRequest(request, options);
    next();
  };
}

// For app.hook.preInvocation of Azure Functions: a SignalR trigger's binding takes the call itself, and hands over its headers.
function hook({ paths = UPSTREAM } = {}) {
  return (context) => {
    const input = context.inputs?.[0];
    const log = (text) => context.invocationContext.log(text);
    switch (context.invocationContext?.options?.trigger?.type) {
      case "httpTrigger":
        logRequest(input, { log, paths });
        break;
      case "signalRTrigger":
        logRequest({ method: "POST", url: UPSTREAM[0], headers: input?.Headers ?? input?.headers }, { log, paths: UPSTREAM });
        break;
      default:
    }
  };
}

module.exports = { UPSTREAM, line, logRequest, middleware, hook };
