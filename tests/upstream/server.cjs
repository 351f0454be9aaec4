// The Node middleware behind a real server on loopback: prints its port, then what the middleware logs. `hook` on standard input runs
// the Functions hook over the JSON that follows, one context a line.
"use strict";

const http = require("node:http");
const readline = require("node:readline");
const forwardedFor = require(process.argv[2]);

const use = forwardedFor.middleware();
const server = http.createServer((request, response) => use(request, response, () => response.end("ok")));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

const invoke = forwardedFor.hook();
readline.createInterface({ input: process.stdin }).on("line", (text) => {
  const { type, input } = JSON.parse(text);
  const made = type === "httpTrigger" ? new Request(input.url, { method: input.method, headers: input.headers }) : input;
  invoke({ inputs: [made], invocationContext: { options: { trigger: { type } }, log: console.log } });
  console.log("done");
});
process.stdin.on("end", () => server.close());
