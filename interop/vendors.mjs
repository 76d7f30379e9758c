// The libraries from npm, each called as its documentation shows. Reads one JSON array a line,
// [package, "sign" or "verify", items], and answers each with a line: a list of signatures or
// nulls, or of verdicts.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { mock } from "node:test";

import { Signature as HubSpotSignature } from "@hubspot/api-client";
import { validateSignature } from "@line/bot-sdk";
import { LinearWebhookClient } from "@linear/sdk/webhooks";
import Mux from "@mux/mux-node";
import { signWebhookPayload, verifyWebhookSignature } from "@notionhq/client";
import { sign as signForGitHub, verify as verifyFromGitHub } from "@octokit/webhooks-methods";
import { Paddle } from "@paddle/paddle-node-sdk";
import { webhooks as polar } from "@polar-sh/sdk/2026-10";
import { encodeSignatureHeader, isValidSignature } from "@sanity/webhook";
import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";
import { EventSubMiddleware } from "@twurple/eventsub-http";
import { WorkOS } from "@workos-inc/node";
import { AwsLambdaReceiver } from "@zoom/rivet/chatbot";
import { computeWebhookSignature } from "box-node-sdk/internal";
import { WebhooksManager as BoxWebhooks } from "box-node-sdk/managers";
import { verifySignature as verifyFromGoCardless } from "gocardless-nodejs/webhooks";
import Razorpay from "razorpay";
import { WebhooksHelper as SquareHelper } from "square";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";
import { WebflowClient } from "webflow-api";

// Some are CommonJS whose names an import does not find.
const require = createRequire(import.meta.url);
const { hmacValidator: AdyenValidator } = require("@adyen/api-library");
const { verifySlackRequest } = require("@slack/bolt");

// Zoom's receiver writes each event to the console, which is where the answers go.
console.debug = console.log = () => {};

const mux = new Mux({ tokenId: "id", tokenSecret: "secret" });
const paddle = new Paddle("key"); // its constructor finds out which runtime this is
const webflow = new WebflowClient({ accessToken: "token" });
const workos = new WorkOS("key");
const boxHeaders = { "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256" };
const shopifyHeaders = {
  "x-shopify-topic": "orders/create",
  "x-shopify-shop-domain": "interop.myshopify.com",
  "x-shopify-api-version": "2026-01",
  "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
};

const hubSpotVersion = (provider) => provider.slice("hubspot-".length);

// `body` is a Buffer, `text` the same as a string; the names of headers are in lower case.
const vendors = {
  "@adyen/api-library": {
    sign: ({ secret, text }) => new AdyenValidator().calculateHmac(text, secret),
    verify: ({ secret, text, headers }) =>
      new AdyenValidator().validateHMACSignature(secret, headers["hmacsignature"], text),
  },
  "@hubspot/api-client": {
    sign: ({ provider, secret, text, url, time }) =>
      HubSpotSignature.getSignature("POST", hubSpotVersion(provider), {
        clientSecret: secret,
        requestBody: text,
        url,
        timestamp: time * 1000,
      }),
    verify: ({ provider, secret, text, url, headers }) =>
      HubSpotSignature.isValid({
        signatureVersion: hubSpotVersion(provider),
        signature: headers["x-hubspot-signature-v3"] ?? headers["x-hubspot-signature"],
        method: "POST",
        clientSecret: secret,
        requestBody: text,
        url,
        timestamp: Number(headers["x-hubspot-request-timestamp"]),
      }),
  },
  "@line/bot-sdk": {
    verify: ({ secret, body, headers }) =>
      validateSignature(body, secret, headers["x-line-signature"]),
  },
  "@linear/sdk": {
    verify: ({ secret, body, headers }) =>
      new LinearWebhookClient(secret).verify(body, headers["linear-signature"]),
  },
  "@mux/mux-node": {
    verify: async ({ secret, text, headers }) => {
      await mux.webhooks.verifySignature(text, headers, secret);
      return true;
    },
  },
  "@notionhq/client": {
    sign: ({ secret, body }) => signWebhookPayload({ body, verificationToken: secret }),
    verify: ({ secret, body, headers }) =>
      verifyWebhookSignature({
        body,
        signature: headers["x-notion-signature"],
        verificationToken: secret,
      }),
  },
  "@octokit/webhooks-methods": {
    sign: ({ secret, text }) => signForGitHub(secret, text),
    verify: ({ secret, text, headers }) =>
      verifyFromGitHub(secret, text, headers["x-hub-signature-256"]),
  },
  "@paddle/paddle-node-sdk": {
    verify: ({ secret, text, headers }) =>
      paddle.webhooks.isSignatureValid(text, secret, headers["paddle-signature"]),
  },
  "@polar-sh/sdk": {
    verify: async ({ secret, text, headers }) => {
      await polar.validateEvent(text, headers, secret);
      return true;
    },
  },
  "@sanity/webhook": {
    sign: ({ secret, time, text }) => encodeSignatureHeader(text, time * 1000, secret),
    verify: ({ secret, text, headers }) =>
      isValidSignature(text, headers["sanity-webhook-signature"], secret),
  },
  "@shopify/shopify-api": {
    verify: async ({ secret, text, headers }) => {
      const shopify = shopifyApi({
        apiKey: "key",
        apiSecretKey: secret,
        apiVersion: "2026-01",
        hostName: "interop.example",
        isEmbeddedApp: true,
        logger: { level: -1 },
      });
      const rawRequest = {
        method: "POST",
        url: "/webhooks",
        headers: { ...shopifyHeaders, ...headers },
      };
      return (await shopify.webhooks.validate({ rawBody: text, rawRequest, rawResponse: {} })).valid;
    },
  },
  "@slack/bolt": {
    verify: ({ secret, text, headers }) => {
      verifySlackRequest({
        signingSecret: secret,
        body: text,
        headers: {
          "x-slack-signature": headers["x-slack-signature"],
          "x-slack-request-timestamp": Number(headers["x-slack-request-timestamp"]),
        },
      });
      return true;
    },
  },
  "@twurple/eventsub-http": {
    // What its middleware calls; there is no public way to it without a server.
    verify: ({ secret, text, headers }) =>
      EventSubMiddleware.prototype._verifyData.call(
        { _secret: secret },
        headers["twitch-eventsub-message-id"],
        headers["twitch-eventsub-message-timestamp"],
        text,
        headers["twitch-eventsub-message-signature"],
      ),
  },
  "@workos-inc/node": {
    sign: async ({ secret, text, spelledTime }) =>
      `t=${spelledTime}, v1=${await workos.webhooks.computeSignature(spelledTime, text, secret)}`,
    verify: ({ secret, text, headers }) =>
      workos.webhooks.verifyHeader({
        payload: text,
        sigHeader: headers["workos-signature"],
        secret,
      }),
  },
  "@zoom/rivet": {
    verify: async ({ secret, text, headers }) => {
      const handle = new AwsLambdaReceiver({ webhooksSecretToken: secret }).start();
      const answer = await handle({ body: text, headers, isBase64Encoded: false }, {});
      return answer.statusCode === 200;
    },
  },
  "box-node-sdk": {
    sign: ({ secret, text, spelledTime }) =>
      computeWebhookSignature(text, { ...boxHeaders, "box-delivery-timestamp": spelledTime }, secret),
    verify: ({ secret, text, headers }) =>
      BoxWebhooks.validateMessage(text, { ...boxHeaders, ...headers }, secret),
  },
  "gocardless-nodejs": {
    verify: ({ secret, body, headers }) => {
      verifyFromGoCardless(body, secret, headers["webhook-signature"]);
      return true;
    },
  },
  razorpay: {
    verify: ({ secret, text, headers }) =>
      Razorpay.validateWebhookSignature(text, headers["x-razorpay-signature"], secret),
  },
  square: {
    verify: ({ secret, text, url, headers }) =>
      SquareHelper.verifySignature({
        requestBody: text,
        signatureHeader: headers["x-square-hmacsha256-signature"],
        signatureKey: secret,
        notificationUrl: url,
      }),
  },
  standardwebhooks: {
    sign: ({ secret, id, time, text }) =>
      new StandardWebhook(secret).sign(id, new Date(time * 1000), text),
    verify: ({ secret, body, headers }) => {
      new StandardWebhook(secret).verify(body, headers, { jsonParse: false });
      return true;
    },
  },
  stripe: {
    sign: ({ secret, time, text }) =>
      Stripe.webhooks.generateTestHeaderString({ payload: text, secret, timestamp: time }),
    verify: ({ secret, body, headers }) =>
      Stripe.webhooks.signature.verifyHeader(
        body,
        headers["stripe-signature"],
        secret,
        Stripe.webhooks.DEFAULT_TOLERANCE,
      ),
  },
  svix: {
    sign: ({ secret, id, time, text }) =>
      new SvixWebhook(secret).sign(id, new Date(time * 1000), text),
    verify: ({ secret, body, headers }) => {
      new SvixWebhook(secret).verify(body, headers);
      return true;
    },
  },
  "webflow-api": {
    verify: ({ secret, text, headers }) =>
      webflow.webhooks.verifySignature({ headers, body: text, secret }),
  },
};

// What a mistake in a program raises: a library that does so has not refused, but stumbled.
const stumbles = [TypeError, RangeError, SyntaxError, ReferenceError];

async function judge(verify, item) {
  try {
    return (await verify(item)) === true ? "accepts" : "refuses";
  } catch (error) {
    const stumble = stumbles.find((each) => error instanceof each);
    return stumble ? `raises ${stumble.name}` : "refuses";
  }
}

async function signature(sign, item) {
  try {
    return (await sign(item)) ?? null;
  } catch {
    return null;
  }
}

mock.timers.enable({ apis: ["Date"], now: Number(process.argv[2]) * 1000 });

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const [name, action, items] = JSON.parse(line);
  const answers = [];
  for (const { body: encoded, ...rest } of items) {
    const body = Buffer.from(encoded, "base64");
    const item = { ...rest, body, text: body.toString("utf8") };
    const call = vendors[name][action];
    answers.push(await (action === "sign" ? signature(call, item) : judge(call, item)));
  }
  process.stdout.write(`${JSON.stringify(answers)}\n`);
}
