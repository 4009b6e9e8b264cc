// Holds a document against AsyncAPI's own JSON Schema and rules, with AsyncAPI's own parser. Then
// breaks it in several ways, each of which must be noticed: a judge who never objects is none.

import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const WARNING = 1;

const parser = new Parser();
const text = readFileSync(process.argv[2], "utf8");

/** What is wrong with a document. */
async function faults(document) {
  const { diagnostics } = await parser.parse(document);
  return diagnostics.filter(({ severity }) => severity <= WARNING);
}

/** The key of the first entry that has a property. */
const having = (entries, property) =>
  Object.keys(entries).find((key) => entries[key][property] !== undefined);

const mutations = {
  "a document without a title": (document) => {
    delete document.info.title;
  },
  "an action that is none": (document) => {
    Object.values(document.operations)[0].action = "shout";
  },
  "a channel with a property that is none": (document) => {
    Object.values(document.channels)[0].adress = "/ws";
  },
  "a parameter that is not described": (document) => {
    const { channels } = document;
    channels[having(channels, "parameters")].parameters = {};
  },
  "a reference to nothing": (document) => {
    const [channel] = Object.values(document.channels);
    const [name] = Object.keys(channel.messages);
    channel.messages[name].$ref = "#/components/messages/nothing";
  },
  "an operation with a message of no channel": (document) => {
    const [message] = Object.keys(document.components.messages);
    const [operation] = Object.values(document.operations);
    operation.messages = [{ $ref: `#/components/messages/${message}` }];
  },
  "a payload of a type that is none": (document) => {
    Object.values(document.components.messages)[0].payload.type = "objekt";
  },
  "a security scheme that is not there": (document) => {
    document.components.securitySchemes = {};
  },
};

const found = await faults(text);
for (const { code, message, path } of found) {
  console.error(`/${path.join("/")}: ${message} (${code})`);
}
let failed = found.length > 0;
for (const [name, mutate] of Object.entries(mutations)) {
  const broken = JSON.parse(text);
  mutate(broken);
  if ((await faults(JSON.stringify(broken))).length === 0) {
    console.error(`${name} was not noticed`);
    failed = true;
  }
}
if (failed) process.exit(1);
const count = (of) => Object.keys(JSON.parse(text)[of]).length;
console.log(`valid: ${count("channels")} channels, ${count("operations")} operations`);
