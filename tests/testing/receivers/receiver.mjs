// Receivers of Frappe's and Stripe's webhooks in Node, right and wrong ones: node receiver.mjs NAME
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SECRET = process.env.SECRET;
const LIMIT = 4096;
const REFUSED = [401, "refused"];
const seen = new Set();

const mac = (content, encoding) => createHmac("sha256", SECRET).update(content).digest(encoding);

function same(right, given) {
  const [one, other] = [Buffer.from(right), Buffer.from(given ?? "")];
  return one.length === other.length && timingSafeEqual(one, other);
}

function once(key) {
  if (seen.has(key)) return [200, "duplicate"];
  seen.add(key); // nothing else runs between the two
  return [200, "handled"];
}

const frappe = (request, body) => {
  const right = mac(body, "base64");
  return same(right, request.headers["x-frappe-webhook-signature"]) ? once(right) : REFUSED;
};

const RECEIVERS = {
  frappe,

  stripe(request, body) {
    const entries = (request.headers["stripe-signature"] ?? "").split(",").map((each) => each.split("="));
    const times = entries.filter(([name]) => name === "t").map(([, value]) => value);
    if (times.length !== 1 || !/^\d{10}$/.test(times[0])) return REFUSED;
    if (Math.abs(Date.now() / 1000 - Number(times[0])) > 300) return REFUSED;
    const right = mac(Buffer.concat([Buffer.from(`${times[0]}.`), body]), "hex");
    const matches = entries.filter(([name, value]) => name === "v1" && same(right, value));
    return matches.length > 0 ? once(right) : REFUSED;
  },

  hex(request, body) {
    const right = mac(body, "hex");
    return same(right, request.headers["x-frappe-webhook-signature"]) ? once(right) : REFUSED;
  },

  // What JSON.parse() and JSON.stringify() make of the body.
  parsed(request, body) {
    let text;
    try {
      text = JSON.stringify(JSON.parse(body));
    } catch {
      return [400, "no JSON"];
    }
    const right = mac(text, "base64");
    return same(right, request.headers["x-frappe-webhook-signature"]) ? once(right) : REFUSED;
  },

  decoded: (request, body) => frappe(request, Buffer.from(body.toString("utf8"))),

  // timingSafeEqual() throws if the lengths differ, and Buffer.from() if there is no header.
  throwing(request, body) {
    const given = Buffer.from(request.headers["x-frappe-webhook-signature"]);
    const right = mac(body, "base64");
    return timingSafeEqual(Buffer.from(right), given) ? once(right) : REFUSED;
  },
};

const receive = RECEIVERS[process.argv[2]];

const server = createServer((request, response) => {
  if (Number(request.headers["content-length"] ?? 0) > LIMIT) {
    response.writeHead(413, { connection: "close" }).end("too large");
    return;
  }
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    let answer;
    try {
      answer = receive(request, Buffer.concat(chunks));
    } catch {
      answer = [500, "failed"]; // as Express answers
    }
    response.writeHead(answer[0], { "content-type": "text/plain" }).end(answer[1]);
  });
});

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
